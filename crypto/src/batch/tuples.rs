//! Nonces of ECDSA made in idle turns: `Tuples`. A signature with one of them takes two multiplications.
//!
//! # The risk
//!
//! A nonce that signs two messages gives the key away. Each is taken out of its pool when it is used; but a copy of
//! the whole process has the same pool. Whatever may be such a copy drops all of it: another process (a fork), another
//! generation (a boot, a reload), and clocks that have parted, as they do where a machine is stopped, copied and
//! started again. A virtual machine can be restored with all its clocks turned back, which nothing inside of it
//! sees at first: that is why there are none unless the operator asks for them.
//!
//! Bound: [`TUPLES`] for each key, of 64 bytes, at most [`AGE_NS`] old.

use rand_core::CryptoRng;
use zeroize::optimization_barrier;

use super::curves::{MOST, Secrets};
use super::ecdsa;
use super::lanes::{Cpu, LANES};
use crate::{KeyId, Moment};

/// Nonces for the ECDSA keys of an engine.
pub(super) struct Tuples {
    /// By key; those that are not ECDSA have no room.
    pools: Vec<Vec<Tuple>>,
    next: usize,
    /// Where the oldest were made, and what is known of the time of use: once for each use.
    made: Option<Origin>,
    now: Option<Origin>,
}

/// Where and when.
#[derive(Clone, Copy)]
struct Origin {
    moment: Moment,
    process: u32,
}

/// 1/k and r.
struct Tuple {
    inverse: [u8; 32],
    r: [u8; 32],
}

impl Drop for Tuple {
    fn drop(&mut self) {
        self.inverse = [0; 32];
        optimization_barrier(&self.inverse);
    }
}

/// Nonces of a key.
const TUPLES: usize = 2 * MOST;

/// Those that are older are dropped.
const AGE_NS: u64 = 10_000_000_000;

/// Nanoseconds by which two clocks may part within [`AGE_NS`]: 0.2 % are more than any adjustment.
const PARTED_NS: u64 = 20_000_000;

impl Tuples {
    /// For keys of which `are_ecdsa` says which they are.
    pub(super) fn new(are_ecdsa: impl Iterator<Item = bool>) -> Self {
        let pools = are_ecdsa.map(|is| Vec::with_capacity(if is { TUPLES } else { 0 }));
        Self { pools: pools.collect(), next: 0, made: None, now: None }
    }

    /// What the clocks say now, for one use: before each.
    pub(super) fn witness(&mut self, moment: Moment) {
        let now = Origin { moment, process: std::process::id() };
        if self.made.is_some_and(|made| !made.reaches(now)) {
            self.clear();
        }
        self.now = Some(now);
    }

    /// Drops all.
    pub(super) fn clear(&mut self) {
        self.pools.iter_mut().for_each(Vec::clear);
        self.made = None;
    }

    /// The inverses and r of nonces for `keys`, if the clocks were witnessed and there is one for each.
    pub(super) fn take(&mut self, keys: impl Iterator<Item = KeyId>) -> Option<(Secrets, [[u8; 32]; MOST])> {
        let now = self.now.take()?;
        if !self.made?.reaches(now) || std::process::id() != now.process {
            self.clear();
            return None;
        }
        let (mut inverses, mut rs) = (Secrets::default(), [[0; 32]; MOST]);
        let mut places = inverses.iter_mut().zip(&mut rs);
        for key in keys {
            // Those that were taken for others are gone, as they would be if these had failed.
            let tuple = self.pools.get_mut(usize::from(key.0))?.pop()?;
            let (inverse, r) = places.next()?;
            (*inverse, *r) = (tuple.inverse, tuple.r);
        }
        Some((inverses, rs))
    }

    /// Makes a few for a key that has room, whose scalar `scalar` gives. Returns whether there was one.
    pub(super) fn refill<'k>(
        &mut self,
        cpu: Cpu,
        random: &mut impl CryptoRng,
        scalar: impl Fn(usize) -> Option<&'k [u8; 32]>,
    ) -> bool {
        let Some(now) = self.now.take() else { return false };
        let count = self.pools.len();
        let has_room = |index: &usize| {
            self.pools.get(*index).is_some_and(|pool| pool.capacity() > 0 && pool.len() + LANES <= TUPLES)
        };
        let mut keys = (self.next..self.next + count).map(|index| index % count);
        let Some(index) = keys.find(has_room) else { return false };
        let (Some(pool), Some(scalar)) = (self.pools.get_mut(index), scalar(index)) else { return false };
        self.next = index + 1;
        let mut keys = Secrets::default();
        keys[..LANES].fill(*scalar);
        let (mut noise, mut more) = (Secrets::default(), Secrets::default());
        random.fill_bytes(noise[..LANES].as_flattened_mut());
        random.fill_bytes(more[..LANES].as_flattened_mut());
        let (mut inverses, mut rs) = (Secrets::default(), [[0; 32]; LANES]);
        let mut valid = [false; LANES];
        let sources = [&noise[..LANES], &more[..LANES]];
        ecdsa::nonces_ahead(cpu, &keys[..LANES], sources, &mut inverses[..LANES], &mut rs, &mut valid);
        let tuples = inverses.iter().zip(rs).zip(valid).filter(|(_, valid)| *valid);
        pool.extend(tuples.map(|((inverse, r), _)| Tuple { inverse: *inverse, r }));
        self.made.get_or_insert(now);
        true
    }
}

impl Origin {
    /// Whether what was made here may be used at `now`.
    fn reaches(self, now: Self) -> bool {
        let (made, then) = (self.moment, now.moment);
        let (Some(age), Some(other_age)) =
            (then.monotonic_ns.checked_sub(made.monotonic_ns), then.wall_ns.checked_sub(made.wall_ns))
        else {
            return false;
        };
        self.process == now.process
            && made.generation == then.generation
            && age < AGE_NS
            && age.abs_diff(other_age) < PARTED_NS
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    const START: Moment = Moment { monotonic_ns: 5_000_000_000, wall_ns: 70_000_000_000, generation: 3 };

    const SCALARS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

    fn after(ns: u64) -> Moment {
        Moment { monotonic_ns: START.monotonic_ns + ns, wall_ns: START.wall_ns + ns, ..START }
    }

    /// Pools of two ECDSA keys and one of another kind between them, full.
    fn full() -> Tuples {
        let cpu = Cpu::detect().expect("AVX-512 IFMA");
        let mut random = ChaCha20Rng::seed_from_u64(9);
        let mut tuples = Tuples::new([true, false, true].into_iter());
        for _ in 0..100 {
            tuples.witness(START);
            tuples.refill(cpu, &mut random, |index| SCALARS.get(index / 2));
        }
        let counts: Vec<_> = tuples.pools.iter().map(Vec::len).collect();
        assert_eq!(counts, [TUPLES, 0, TUPLES]);
        tuples
    }

    fn take(tuples: &mut Tuples, keys: &[u16]) -> Option<Vec<[u8; 32]>> {
        let (_, rs) = tuples.take(keys.iter().map(|key| KeyId(*key)))?;
        Some(rs[..keys.len()].to_vec())
    }

    #[test]
    fn each_is_given_once_and_for_its_own_key() {
        let mut tuples = full();
        let made: Vec<Vec<_>> =
            tuples.pools.iter().map(|pool| pool.iter().map(|tuple| tuple.r).collect()).collect();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..TUPLES {
            tuples.witness(after(1));
            for (key, r) in [0, 2].into_iter().zip(take(&mut tuples, &[0, 2]).unwrap()) {
                assert!(made[key].contains(&r) && seen.insert(r));
            }
        }
        assert_eq!(seen.len(), 2 * TUPLES);
        for keys in [[0], [1], [2], [3]] {
            tuples.witness(after(1));
            assert!(take(&mut tuples, &keys).is_none());
        }
    }

    #[test]
    fn the_clocks_are_asked_before_each_use() {
        let mut tuples = full();
        assert!(take(&mut tuples, &[0]).is_none());
        tuples.witness(after(1));
        assert!(take(&mut tuples, &[0]).is_some());
        assert!(take(&mut tuples, &[0]).is_none());
        let cpu = Cpu::detect().expect("AVX-512 IFMA");
        let left = tuples.pools[2].len();
        tuples.pools[2].clear();
        tuples.refill(cpu, &mut ChaCha20Rng::seed_from_u64(1), |index| SCALARS.get(index / 2));
        assert!(left > 0 && tuples.pools[2].is_empty());
    }

    #[test]
    fn whatever_may_be_a_copy_drops_all() {
        let second = 1_000_000_000;
        let kept = [
            after(0),
            after(AGE_NS - 1),
            Moment { wall_ns: after(second + PARTED_NS - 1).wall_ns, ..after(second) },
        ];
        for moment in kept {
            let mut tuples = full();
            tuples.witness(moment);
            assert!(take(&mut tuples, &[0]).is_some(), "{moment:?}");
        }
        let dropped = [
            after(AGE_NS),
            Moment { generation: 4, ..after(second) },
            Moment { wall_ns: after(second + PARTED_NS).wall_ns, ..after(second) },
            Moment { monotonic_ns: after(second + PARTED_NS).monotonic_ns, ..after(second) },
            Moment { wall_ns: START.wall_ns - 1, ..after(1) },
            Moment { monotonic_ns: START.monotonic_ns - 1, ..after(1) },
        ];
        for moment in dropped {
            let mut tuples = full();
            tuples.witness(moment);
            assert!(tuples.pools.iter().all(Vec::is_empty), "{moment:?}");
            assert!(take(&mut tuples, &[0]).is_none());
        }
        let mut forked = full();
        forked.made.as_mut().unwrap().process ^= 1;
        forked.witness(after(1));
        assert!(forked.pools.iter().all(Vec::is_empty));

        let mut between = full();
        between.witness(after(1));
        between.now.as_mut().unwrap().process ^= 1;
        assert!(take(&mut between, &[0]).is_none());
        assert!(between.pools.iter().all(Vec::is_empty));
    }
}
