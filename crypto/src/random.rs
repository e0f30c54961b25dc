//! Randomness of this machine: `SystemRandom`, and `RandomStock` of it.

use std::convert::Infallible;

use aws_lc_rs::rand::fill;
use rand_core::{TryCryptoRng, TryRng};
use zeroize::optimization_barrier;

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

/// Randomness for the random values of handshakes, which are drawn one by one and sent in the clear: taken from
/// [`SystemRandom`] by the half KiB, since each call of that draws from the CPU besides. What was given out is wiped.
pub struct RandomStock {
    bytes: [u8; 512],
    /// From here on it is still to be given out.
    next: usize,
}

impl RandomStock {
    /// An empty stock.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; 512], next: 512 }
    }
}

impl Default for RandomStock {
    fn default() -> Self {
        Self::new()
    }
}

impl TryRng for RandomStock {
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
        if place.len() > self.bytes.len() {
            return SystemRandom.try_fill_bytes(place);
        }
        if place.len() > self.bytes.len() - self.next {
            SystemRandom.try_fill_bytes(&mut self.bytes)?;
            self.next = 0;
        }
        let given = &mut self.bytes[self.next..self.next + place.len()];
        place.copy_from_slice(given);
        given.fill(0);
        optimization_barrier(&self.bytes);
        self.next += place.len();
        Ok(())
    }
}

impl TryCryptoRng for RandomStock {}

impl Drop for RandomStock {
    fn drop(&mut self) {
        self.bytes = [0; 512];
        optimization_barrier(&self.bytes);
    }
}

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

    #[test]
    fn a_stock_does_not_repeat_and_keeps_nothing_it_gave() {
        let (mut stock, mut seen) = (RandomStock::new(), std::collections::HashSet::new());
        for length in (16..600).chain([32; 100]) {
            let mut bytes = vec![0; length];
            stock.fill_bytes(&mut bytes);
            for piece in bytes.chunks_exact(16) {
                assert!(seen.insert(piece.to_vec()));
            }
            assert!(stock.bytes[..stock.next].iter().all(|&byte| byte == 0));
        }
    }
}
