//! What the tests over a live EAL share. A process has one EAL: each test binary holds one test.
#![allow(dead_code, reason = "no test uses all of it")]

use levee_dpdk::{Eal, Pool, Sizes};

/// Initialises DPDK with the given arguments and those every test needs: nothing shared with other
/// processes, no hardware.
pub(crate) fn eal(extra: &[&str]) -> Eal {
    let prefix = format!("--file-prefix=levee-test-{}", std::process::id());
    let mut args = vec!["--no-pci", "--no-telemetry", "-l", "0", &prefix];
    // Without hugepages there is nothing to share, and DPDK 22.11 refuses both options together.
    args.extend_from_slice(&["--no-huge", "-m", "256", "--no-shconf"]);
    args.extend_from_slice(extra);
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    Eal::init(&args).expect("DPDK starts (as root)")
}

/// A pool that is enough for a test.
pub(crate) fn pool(eal: &Eal, name: &str) -> Pool {
    Pool::create(eal, name, Sizes { segments: 4095, records: 255, references: 8191, cache: 128 }, None)
        .expect("memory for a pool")
}

/// A small generator of numbers, the same for the same seed (Marsaglia's xorshift).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }
}
