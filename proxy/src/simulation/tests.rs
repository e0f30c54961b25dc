//! Worlds by the thousand, each of which can be had again.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

use super::dice::Dice;
use super::run_seed;
use super::setting::Setting;

/// Worlds of a run; `LEVEE_SEEDS` is another number of them, `LEVEE_SEED` the one that is wanted.
const SEEDS: u64 = 100;

#[test]
fn worlds() {
    if let Some(seed) = number("LEVEE_SEED") {
        eprintln!("{:?}", Setting::any(&mut Dice::seeded(seed)));
        eprintln!("{:?}", run_seed(seed));
        return;
    }
    let seeds = number("LEVEE_SEEDS").unwrap_or(SEEDS);
    let first = number("LEVEE_FIRST").unwrap_or(0);
    let next = AtomicU64::new(first);
    let failed = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return;
            }
            if catch_unwind(|| run_seed(seed)).is_err() {
                failed.fetch_add(1, Ordering::Relaxed);
                eprintln!("again: LEVEE_SEED={seed}");
            }
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    assert_eq!(failed.into_inner(), 0, "worlds failed");
}

#[test]
fn a_seed_is_a_world() {
    for seed in 0..20 {
        assert_eq!(run_seed(seed), run_seed(seed));
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}
