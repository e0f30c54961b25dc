//! From how many RSA signatures on the lanes are worth it, tried once for each size of keys: `fewest`.
//!
//! How vpmadd52 and a multiplier of 64 bits compare differs by CPU: two signatures pay for the lanes of an Intel
//! core, three for those of a Zen 4.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rand_core::CryptoRng;

use super::lanes::LANES;
use super::rsa;
use crate::{AwsLc, Job, KeyId, Message, SignatureScheme};

/// The fewest signatures by a key as long as `key`, the one of number `index`, that take more time by `scalar`
/// than half of the lanes take for up to four. Takes some milliseconds the first time.
pub(super) fn fewest(index: usize, key: &mut rsa::Key, scalar: &AwsLc, random: &mut impl CryptoRng) -> usize {
    static FEWEST: [OnceLock<usize>; 3] = [const { OnceLock::new() }; 3];
    let known = &FEWEST[(key.len() / 128).saturating_sub(2).min(2)];
    *known.get_or_init(|| {
        let lanes = quickest(|| {
            let mut signatures = [[0; rsa::MAX_LEN]; LANES / 2];
            let messages = [[1; rsa::MAX_LEN]; LANES / 2];
            key.sign(&messages, &mut signatures, &mut [false; LANES / 2], &mut |place: &mut [u8]| {
                random.fill_bytes(place);
            });
        });
        let job = Message::new(&[b"text"]).zip(u16::try_from(index).ok()).map(|(message, index)| Job::Sign {
            key: KeyId(index),
            scheme: SignatureScheme::RsaPkcs1Sha256,
            message,
        });
        let one = quickest(|| {
            if let Some(job) = &job {
                scalar.work(job);
            }
        });
        pays(lanes, one)
    })
}

/// The shortest of three: others have the CPU too.
fn quickest(mut work: impl FnMut()) -> Duration {
    let mut time = || {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    time().min(time()).min(time())
}

/// How many times `one` are more than `lanes`; all lanes, which are two halves, must pay too.
fn pays(lanes: Duration, one: Duration) -> usize {
    match (1..=LANES / 2).find(|&count| one * u32::try_from(count).unwrap_or(u32::MAX) > lanes) {
        Some(count) => count.max(2),
        None => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_used_where_they_take_less_time() {
        let ms = Duration::from_millis;
        let cases = [(10, 20, 2), (13, 10, 2), (20, 10, 3), (29, 10, 3), (39, 10, 4), (40, 10, usize::MAX)];
        for (lanes, one, expected) in cases {
            assert_eq!(pays(ms(lanes), ms(one)), expected, "{lanes} against {one}");
        }
    }
}
