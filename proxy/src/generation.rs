//! Which boot of the machine this is, told by the control plane to workers: `Generation`.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use levee_crypto::Moment;

/// A number that is another in another boot: workers read it, the control plane renews it.
#[derive(Clone, Debug)]
pub(crate) struct Generation(Arc<AtomicU64>);

/// "a randomly generated string in UUID format that is set once at boot" (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl Generation {
    /// That of now.
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(number(&boot_id()))))
    }

    /// Reads it again.
    pub(crate) fn renew(&self) {
        self.0.store(number(&boot_id()), Ordering::Relaxed);
    }

    /// What is to be told of `monotonic_ns`, which is now.
    pub(crate) fn moment(&self, monotonic_ns: u64) -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        Moment { monotonic_ns, wall_ns, generation: self.0.load(Ordering::Relaxed) }
    }
}

/// Empty when it cannot be read.
fn boot_id() -> String {
    fs::read_to_string(BOOT_ID).unwrap_or_default()
}

/// The first 64 bits of a UUID, which are as random as the rest but for four.
fn number(id: &str) -> u64 {
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_have_other_numbers() {
        assert_eq!(number("c6f1c3c2-3b0e-4d0c-9e6f-2b7d0a1e5f43\n"), 0xc6f1_c3c2_3b0e_4d0c);
        assert_eq!(number(""), 0);
    }

    #[test]
    fn it_stays_within_a_boot_and_is_seen_by_all() {
        let generation = Generation::new();
        let worker = generation.clone();
        let moment = worker.moment(7);
        assert_ne!(moment.generation, 0);
        generation.renew();
        assert_eq!(worker.moment(7).generation, moment.generation);
        generation.0.store(1, Ordering::Relaxed);
        assert_eq!(worker.moment(8).generation, 1);
        assert!(worker.moment(8).wall_ns >= moment.wall_ns && moment.monotonic_ns == 7);
    }
}
