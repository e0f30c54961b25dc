//! Randomness of this machine: `SystemRandom`.

use std::convert::Infallible;

use aws_lc_rs::rand::fill;
use rand_core::{TryCryptoRng, TryRng};

/// The random generator of aws-lc: AES-CTR-DRBG (NIST SP 800-90A), of each thread, seeded by the
/// operating system. After its first call on a thread it makes no system call.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

/// aws-lc ends the process itself when its generator cannot be trusted, so that no call fails.
impl TryRng for SystemRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, place: &mut [u8]) -> Result<(), Infallible> {
        fill(place).expect("aws-lc has randomness");
        Ok(())
    }
}

impl TryCryptoRng for SystemRandom {}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::*;

    #[test]
    fn it_fills_all_and_does_not_repeat() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            assert!(seen.insert(SystemRandom.next_u64()));
        }
        let mut bytes = [0; 4096];
        SystemRandom.fill_bytes(&mut bytes);
        assert!(bytes.chunks(32).all(|chunk| chunk.iter().any(|&byte| byte != 0)));
    }
}
