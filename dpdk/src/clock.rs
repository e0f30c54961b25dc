//! Time from the CPU's cycle counter.

use crate::eal::Eal;

/// A monotonic clock that costs a few nanoseconds to read; the same on all lcores where the counter is
/// invariant and synchronised, as on all x86-64 servers of this century's second decade and later.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: u64,
    hz: u64,
    /// Nanoseconds a cycle, times 2^32.
    scale: u64,
}

impl Clock {
    /// A clock that begins at zero, at the rate that DPDK measured.
    #[must_use]
    pub fn new(_eal: &Eal) -> Self {
        // SAFETY: DPDK is initialised, and with it its timers.
        let hz = unsafe { dpdk_sys::rte_get_tsc_hz() }.max(1);
        let scale = (u128::from(NANOSECONDS) << 32) / u128::from(hz);
        Self { start: cycles(), hz, scale: u64::try_from(scale).unwrap_or(u64::MAX) }
    }

    /// Nanoseconds since the clock was made.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.nanoseconds(cycles().saturating_sub(self.start))
    }

    /// The raw counter.
    #[must_use]
    pub fn cycles(&self) -> u64 {
        cycles()
    }

    /// Cycles a second.
    #[must_use]
    pub const fn hz(&self) -> u64 {
        self.hz
    }

    /// What `cycles` last in nanoseconds.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "it takes 584 years to fill 64 bits")]
    pub const fn nanoseconds(&self, cycles: u64) -> u64 {
        ((cycles as u128 * self.scale as u128) >> 32) as u64
    }
}

const NANOSECONDS: u64 = 1_000_000_000;

#[cfg(target_arch = "x86_64")]
fn cycles() -> u64 {
    // SAFETY: every x86-64 CPU has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn cycles() -> u64 {
    // SAFETY: it only reads a counter.
    unsafe { dpdk_sys::rte_rdtsc() }
}
