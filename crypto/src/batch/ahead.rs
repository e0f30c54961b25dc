//! Key pairs made in idle turns, for jobs that come later: `Ahead`.
//!
//! Each pair is given out once, and wiped when it is dropped. They are as secret as what they will agree on, so
//! that none is kept for long, and none is used in a process that is not the one that made it: a fork has
//! the same. Bound: [`PAIRS`] of a group, about 100 bytes each.

use zeroize::Zeroizing;

use super::curves::{Curve, MOST, Secrets};
use super::lanes::LANES;

/// Key pairs of a group.
pub(super) struct Ahead<C: Curve> {
    secrets: Vec<Zeroizing<[u8; 32]>>,
    publics: Vec<C::Public>,
    /// When the oldest was made.
    made_ns: u64,
    process: u32,
}

/// Secrets and their public shares: as many as were asked for, then zeros.
pub(super) type Pairs<C> = (Secrets, [<C as Curve>::Public; MOST]);

/// Pairs of a group.
const PAIRS: usize = 4 * MOST;

/// A pair that is older is not used.
const AGE_NS: u64 = 60_000_000_000;

impl<C: Curve> Ahead<C> {
    pub(super) fn new() -> Self {
        Self {
            secrets: Vec::with_capacity(PAIRS),
            publics: Vec::with_capacity(PAIRS),
            made_ns: 0,
            process: std::process::id(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// `count` pairs, if there are so many.
    pub(super) fn take(&mut self, count: usize) -> Option<Pairs<C>> {
        let left = self.secrets.len().checked_sub(count)?;
        if count > MOST || std::process::id() != self.process {
            return None;
        }
        let mut pairs = (Secrets::default(), [C::NONE; MOST]);
        for (place, secret) in pairs.0.iter_mut().zip(self.secrets.drain(left..)) {
            *place = *secret;
        }
        for (place, public) in pairs.1.iter_mut().zip(self.publics.drain(left..)) {
            *place = public;
        }
        Some(pairs)
    }

    /// Drops what is too old at `now_ns`, and adds a few pairs of `secrets`, which are asked for, if there is room.
    /// Returns whether there was.
    pub(super) fn refill(
        &mut self,
        cpu: C::Cpu,
        now_ns: u64,
        secrets: impl FnOnce(usize) -> Secrets,
    ) -> bool {
        let is_old = now_ns.saturating_sub(self.made_ns) >= AGE_NS;
        // Idle turns are many: they ask the system for nothing while all is there.
        if !is_old && self.secrets.len() + LANES > PAIRS {
            return false;
        }
        let process = std::process::id();
        if is_old || self.process != process {
            self.secrets.clear();
            self.publics.clear();
            self.process = process;
        }
        if self.secrets.is_empty() {
            self.made_ns = now_ns;
        }
        let secrets = secrets(LANES);
        let mut publics = [C::NONE; LANES];
        C::generate(cpu, &secrets[..LANES], &mut publics);
        self.secrets.extend(secrets[..LANES].iter().map(|secret| Zeroizing::new(*secret)));
        self.publics.extend(publics);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::curves::{Curve25519, P256};
    use super::super::lanes::Cpu;
    use super::*;

    fn random(count: usize) -> Secrets {
        let mut secrets = Secrets::default();
        secrets[..count].iter_mut().for_each(|secret| aws_lc_rs::rand::fill(&mut secret[1..]).unwrap());
        secrets
    }

    fn full<C: Curve<Cpu = Cpu>>(cpu: Cpu) -> Ahead<C> {
        let mut ahead = Ahead::<C>::new();
        (0..PAIRS / LANES).for_each(|_| assert!(ahead.refill(cpu, 0, random)));
        assert!(!ahead.refill(cpu, 0, random));
        assert_eq!((ahead.secrets.len(), ahead.publics.len()), (PAIRS, PAIRS));
        ahead
    }

    fn each_pair_is_given_once<C: Curve<Cpu = Cpu>>() {
        let cpu = Cpu::detect().expect("AVX-512 IFMA");
        let mut ahead = full::<C>(cpu);
        let mut seen = std::collections::HashSet::new();
        let mut left = PAIRS;
        for count in [1, 7, 32, 32, 32, 20] {
            let (secrets, publics) = ahead.take(count).unwrap();
            left -= count;
            let mut expected = [C::NONE; MOST];
            C::generate(cpu, &secrets[..count], &mut expected[..count]);
            for index in 0..count {
                assert_eq!(publics[index].as_ref(), expected[index].as_ref());
                assert!(seen.insert(secrets[index]));
            }
            assert!(secrets[count..].iter().all(|secret| *secret == [0; 32]));
        }
        assert_eq!(ahead.secrets.len(), left);
        assert!(ahead.take(left + 1).is_none());
        assert!(ahead.take(MOST + 1).is_none());
    }

    #[test]
    fn each_pair_of_each_group_is_given_once() {
        each_pair_is_given_once::<Curve25519>();
        each_pair_is_given_once::<P256>();
    }

    #[test]
    fn old_pairs_and_those_of_another_process_are_dropped() {
        let cpu = Cpu::detect().expect("AVX-512 IFMA");
        let mut ahead = full::<Curve25519>(cpu);
        ahead.refill(cpu, AGE_NS - 1, random);
        assert_eq!(ahead.secrets.len(), PAIRS);
        ahead.refill(cpu, AGE_NS, random);
        assert_eq!(ahead.secrets.len(), LANES);
        assert_eq!(ahead.made_ns, AGE_NS);

        ahead.process = ahead.process.wrapping_add(1);
        assert!(ahead.take(1).is_none());
        ahead.refill(cpu, AGE_NS, random);
        assert_eq!(ahead.secrets.len(), LANES);
        assert!(ahead.take(LANES).is_some());
    }
}
