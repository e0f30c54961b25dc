//! What the tests over a live EAL share. A process has one EAL: each test binary holds one test.
#![allow(dead_code, reason = "no test uses all of it")]

pub(crate) mod traffic;

use levee_dpdk::{Eal, Pool, Sizes};

/// Initialises DPDK without hugepages, with the given arguments and those every test needs: nothing
/// shared with other processes, no hardware.
pub(crate) fn eal(extra: &[&str]) -> Eal {
    // Without hugepages there is nothing to share, and DPDK 22.11 refuses --in-memory with them.
    init(&["--no-huge", "-m", "256", "--no-shconf"], extra)
}

/// As [`eal`], with hugepages, which are reserved if there are none. False: there are none to be had.
pub(crate) fn eal_on_hugepages(extra: &[&str]) -> (Eal, bool) {
    const NUMBER: &str = "/proc/sys/vm/nr_hugepages";
    const WANTED: usize = 160;
    let number = |text: &str| text.trim().parse::<usize>().unwrap_or(0);
    let free = || {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("HugePages_Free:"));
        line.map_or(0, number)
    };
    if free() < WANTED {
        let have = std::fs::read_to_string(NUMBER).map_or(0, |text| number(&text));
        // The kernel gives as many as it can.
        let _ = std::fs::write(NUMBER, (have + WANTED).to_string());
    }
    if free() < WANTED {
        println!("no hugepages: testing without");
        return (eal(extra), false);
    }
    (init(&["--in-memory"], extra), true)
}

fn init(memory: &[&str], extra: &[&str]) -> Eal {
    let prefix = format!("--file-prefix=levee-test-{}", std::process::id());
    let common = ["--no-pci", "--no-telemetry", "-l", "0", &prefix];
    let args = memory.iter().chain(&common).chain(extra).map(|&arg| arg.to_owned()).collect::<Vec<_>>();
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
