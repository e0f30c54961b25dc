//! `Spent`: cookies that have made a connection, so that none makes two.
//!
//! Whoever answers by cookies remembers nobody: when a connection has ended by a reset, an old copy of the
//! segment that began it would begin it again, with the same numbers, and its request be done twice. So a
//! cookie is remembered from its use until it is too old to be believed: eight bytes, in the set that its hash
//! names. Where a set is full the oldest makes room, as in TIME-WAIT.

use super::cookie;
use crate::seq::Seq;
use crate::table::{HashKey, Tuple};
use crate::time::Instant;

/// Entries of a set: one cache line.
const WAYS: usize = 8;
/// Cookies for which there is always room.
const LEAST: usize = 1024;
/// The bits of an entry that say when its cookie was made. The others are of its hash, and those that chose the
/// set are not among them.
const MADE: u64 = 0x00ff_ffff;

/// The cookies, by their hash.
pub(crate) struct Spent {
    sets: Vec<[u64; WAYS]>,
    key: HashKey,
}

/// What came of [`Spent::spend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spending {
    First,
    /// The first time; another cookie that may still be believed made room.
    FirstEvicting,
    Again,
}

impl Spent {
    /// Room for `capacity` cookies, with as much again since they do not spread evenly.
    pub(crate) fn new(capacity: usize, key: HashKey) -> Self {
        Self::with_sets((capacity.max(LEAST) * 2).div_ceil(WAYS).next_power_of_two(), key)
    }

    fn with_sets(sets: usize, key: HashKey) -> Self {
        Self { sets: vec![[0; WAYS]; sets], key }
    }

    /// Remembers that `cookie`, which is believed now, makes a connection.
    pub(crate) fn spend(&mut self, tuple: &Tuple, irs: Seq, cookie: Seq, now: Instant) -> Spending {
        let hash = tuple.hash(self.key, u64::from(irs.0) | (u64::from(cookie.0) << 32));
        let entry = (hash & !MADE) | (cookie::made(cookie, now) & MADE);
        let mask = self.sets.len() - 1;
        let set = &mut self.sets[(hash & MADE) as usize & mask];
        if set.contains(&entry) {
            return Spending::Again;
        }
        let made = |entry: u64| (entry != 0).then_some(entry & MADE);
        let Some(oldest) = set.iter_mut().min_by_key(|entry| made(**entry)) else { return Spending::First };
        let is_needed = made(*oldest).is_some_and(|made| cookie::is_fresh(made, now));
        *oldest = entry;
        if is_needed { Spending::FirstEvicting } else { Spending::First }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUPLE: Tuple = Tuple {
        local: std::net::Ipv4Addr::new(10, 0, 0, 1),
        remote: std::net::Ipv4Addr::new(10, 0, 0, 2),
        local_port: 80,
        remote_port: 50_000,
    };

    fn secs(secs: u64) -> Instant {
        Instant::from_millis(secs * 1000)
    }

    /// A cookie for the peer's sequence number `irs`.
    fn cookie(irs: Seq, now: Instant) -> Seq {
        cookie::make(HashKey::derive(&[3; 32], 5), &TUPLE, irs, 1460, now)
    }

    #[test]
    fn a_cookie_is_spent_once() {
        let mut spent = Spent::new(0, HashKey::derive(&[3; 32], 6));
        for now in [secs(0), secs(64), secs(1000), secs(5_000_000)] {
            let made = cookie(Seq(7), now);
            assert_eq!(spent.spend(&TUPLE, Seq(7), made, now), Spending::First);
            assert_eq!(spent.spend(&TUPLE, Seq(7), made, now), Spending::Again);
            assert_eq!(
                spent.spend(&TUPLE, Seq(7), made, now + std::time::Duration::from_secs(64)),
                Spending::Again
            );
            assert_eq!(spent.spend(&TUPLE, Seq(8), cookie(Seq(8), now), now), Spending::First);
            let other = Tuple { remote_port: 50_001, ..TUPLE };
            assert_eq!(spent.spend(&other, Seq(7), made, now), Spending::First);
        }
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut spent = Spent::with_sets(1, HashKey::derive(&[3; 32], 6));
        let mut spend = |irs: u32, now| spent.spend(&TUPLE, Seq(irs), cookie(Seq(irs), now), now);
        for irs in 0..8 {
            assert_eq!(spend(irs, secs(64 * u64::from(irs / 4))), Spending::First);
        }
        assert_eq!(spend(8, secs(64)), Spending::FirstEvicting);
        assert_eq!(spend(7, secs(64)), Spending::Again, "the newest stay");
        assert_eq!(spend(9, secs(200)), Spending::First, "those of old are not believed any more");
    }
}
