//! Where a job will be done first: what jobs cost on one side, as measured, and what is under way there.

/// What a job costs, by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// ECDSA signatures on P-256.
    EcdsaP256,
    /// One multiplication on P-256.
    P256,
    /// Two of them.
    P256Twice,
    /// RSA signatures, by the length of the modulus.
    Rsa2048,
    Rsa3072,
    Rsa4096,
    /// What only the CPU does.
    Other,
}

const KINDS: usize = 7;

impl Kind {
    /// The kind of an RSA key.
    pub(super) const fn rsa(bits: u16) -> Self {
        match bits {
            0..=2048 => Self::Rsa2048,
            2049..=3072 => Self::Rsa3072,
            _ => Self::Rsa4096,
        }
    }
}

/// Nanoseconds, to the order of magnitude, until it has been measured.
const GUESS_NS: [u64; KINDS] = [20_000, 50_000, 100_000, 300_000, 800_000, 1_800_000, 30_000];

/// One side: the CPU or a device.
pub(super) struct Load {
    cost_ns: [u64; KINDS],
    waiting: [u32; KINDS],
    /// Done since the last measurement.
    done: [u32; KINDS],
}

impl Load {
    pub(super) const fn new() -> Self {
        Self { cost_ns: GUESS_NS, waiting: [0; KINDS], done: [0; KINDS] }
    }

    /// How long it will take until one more job is done.
    pub(super) fn until_done_ns(&self, kind: Kind) -> u64 {
        self.cost_of(&self.waiting).saturating_add(self.cost_ns[kind as usize])
    }

    /// A job comes.
    pub(super) fn comes(&mut self, kind: Kind) {
        self.waiting[kind as usize] += 1;
    }

    /// A job goes, done here or given up.
    pub(super) fn goes(&mut self, kind: Kind, done: bool) {
        let kind = kind as usize;
        self.waiting[kind] = self.waiting[kind].saturating_sub(1);
        self.done[kind] += u32::from(done);
    }

    /// Jobs under way.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting == [0; KINDS]
    }

    /// The jobs done since the last call took `spent_ns` together; `at_most` that, if the side was not busy all the time.
    ///
    /// Each kind among them is corrected in the same proportion, by an eighth of what it was wrong.
    pub(super) fn measure(&mut self, spent_ns: u64, at_most: bool) {
        let done = std::mem::take(&mut self.done);
        let expected = self.cost_of(&done);
        if expected == 0 || (at_most && spent_ns >= expected) {
            return;
        }
        // A turn in which the CPU was taken from us says little.
        let spent = spent_ns.clamp(expected / MOST_WRONG, expected.saturating_mul(MOST_WRONG));
        for (cost, _) in self.cost_ns.iter_mut().zip(done).filter(|(_, done)| *done > 0) {
            let right = u128::from(*cost) * u128::from(spent) / u128::from(expected);
            let right = u64::try_from(right).unwrap_or(u64::MAX).min(LONGEST_NS);
            *cost = ((7 * *cost + right) / 8).max(1);
        }
    }

    fn cost_of(&self, counts: &[u32; KINDS]) -> u64 {
        self.cost_ns.iter().zip(counts).map(|(cost, count)| cost * u64::from(*count)).sum()
    }
}

/// By which factor one measurement may differ from what was expected.
const MOST_WRONG: u64 = 4;

/// No job costs more: sums do not overflow.
const LONGEST_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_follow_what_is_measured() {
        let mut load = Load::new();
        let before = load.cost_ns;
        for _ in 0..100 {
            for _ in 0..8 {
                load.comes(Kind::Rsa2048);
                load.goes(Kind::Rsa2048, true);
            }
            load.measure(8 * 70_000, false);
        }
        assert!(load.cost_ns[Kind::Rsa2048 as usize].abs_diff(70_000) < 1000);
        assert_eq!(load.cost_ns[Kind::Rsa3072 as usize], before[Kind::Rsa3072 as usize], "not measured");
    }

    #[test]
    fn kinds_that_were_mixed_are_corrected_alike() {
        let mut load = Load::new();
        for _ in 0..100 {
            for kind in [Kind::EcdsaP256, Kind::Rsa2048] {
                load.comes(kind);
                load.goes(kind, true);
            }
            load.measure(160_000, false);
        }
        let (ecdsa, rsa) = (load.cost_ns[Kind::EcdsaP256 as usize], load.cost_ns[Kind::Rsa2048 as usize]);
        assert!((ecdsa + rsa).abs_diff(160_000) < 1000 && (rsa / ecdsa).abs_diff(15) <= 1, "{ecdsa}, {rsa}");
    }

    #[test]
    fn a_time_that_is_only_a_bound_makes_nothing_dearer() {
        let mut load = Load::new();
        let cost = |load: &Load| load.cost_ns[Kind::Rsa2048 as usize];
        let before = cost(&load);
        for (spent_ns, cheaper) in [(10_000_000, false), (100_000, true)] {
            load.comes(Kind::Rsa2048);
            load.goes(Kind::Rsa2048, true);
            load.measure(spent_ns, true);
            assert_eq!(cost(&load) < before, cheaper);
        }
    }

    #[test]
    fn a_job_is_done_after_those_before_it() {
        let mut load = Load::new();
        let alone = load.until_done_ns(Kind::Rsa2048);
        load.comes(Kind::Rsa2048);
        load.comes(Kind::EcdsaP256);
        assert_eq!(load.until_done_ns(Kind::Rsa2048), 2 * alone + GUESS_NS[Kind::EcdsaP256 as usize]);
        load.goes(Kind::Rsa2048, false);
        load.goes(Kind::EcdsaP256, true);
        assert!(load.is_idle());
        assert_eq!(load.until_done_ns(Kind::Rsa2048), alone);
    }

    #[test]
    fn nothing_overflows() {
        let mut load = Load::new();
        for _ in 0..200 {
            load.comes(Kind::Rsa4096);
            load.goes(Kind::Rsa4096, true);
            load.measure(u64::MAX, false);
        }
        load.waiting = [u32::MAX; KINDS];
        assert!(load.until_done_ns(Kind::Rsa4096) > LONGEST_NS);
    }
}
