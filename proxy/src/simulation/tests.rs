//! Worlds by the thousand, each of which can be had again; and worlds with something broken, in which that is noticed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use super::dice::Dice;
use super::ledger::Fault;
use super::link::Way;
use super::noise::forge_last;
use super::setting::Setting;
use super::world::World;
use super::{run_program, run_seed};

/// Worlds of a run where code is optimised, and where it is not; `LEVEE_SEEDS` is another number of them, from
/// `LEVEE_FIRST` on. `LEVEE_SEED` is one that is wanted alone.
const SEEDS: [u64; 2] = [10_000, 20];

#[test]
fn worlds() {
    if let Some(seed) = number("LEVEE_SEED") {
        println!("{:?}", Setting::any(&mut Dice::seeded(seed)));
        println!("{:?}", run_seed(seed));
        return;
    }
    let seeds = number("LEVEE_SEEDS").unwrap_or(SEEDS[usize::from(cfg!(debug_assertions))]);
    let first = number("LEVEE_FIRST").unwrap_or(0);
    let next = AtomicU64::new(first);
    let failed = AtomicU64::new(0);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return;
            }
            if catch_unwind(|| run_seed(seed)).is_err() {
                failed.fetch_add(1, Ordering::Relaxed);
                let profile = if cfg!(debug_assertions) { "" } else { " --release" };
                eprintln!(
                    "again: LEVEE_SEED={seed} cargo test{profile} -p levee-proxy --lib -- simulation::tests::worlds \
                     --nocapture"
                );
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    assert_eq!(failed.into_inner(), 0, "of {seeds} worlds so many failed");
}

/// Worlds in which something was wrong once; what, stands in `docs/findings.md`.
#[test]
fn worlds_that_found_something() {
    for seed in [39, 47, 56, 281, 720, 1278, 3743, 5362, 7937, 8386] {
        run_seed(seed);
    }
}

#[test]
fn a_seed_is_a_world() {
    let twice = std::thread::scope(|scope| {
        let worlds = || (0..10).map(run_seed).collect::<Vec<_>>();
        let (one, other) = (scope.spawn(worlds), scope.spawn(worlds));
        [one.join().unwrap(), other.join().unwrap()]
    });
    assert_eq!(twice[0], twice[1]);
    assert_ne!(twice[0][0], twice[0][1]);
}

#[test]
fn any_program_is_a_world() {
    run_program(&[]);
    for byte in [1, 77, 128, 255] {
        run_program(&[byte; 500]);
    }
}

/// Breaks something in a world, with each step of it.
type Spoil = fn(&mut World);

/// What fails in calm worlds that `spoil` is at with each step: the first thing, if there is one.
fn spoilt(spoil: Spoil) -> Option<String> {
    (0..20).find_map(|seed| {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut dice = Dice::seeded(seed);
            let setting = Setting::calm(&mut dice);
            let mut world = World::new(setting, &mut dice);
            world.spoil = spoil;
            world.live()
        }));
        let panic = outcome.err()?;
        panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
    })
}

#[test]
fn what_is_broken_is_noticed() {
    assert_eq!(spoilt(|_| {}), None);
    let cases: [(&str, Spoil); 7] = [
        ("other bytes than were sent", |world| answers(world, Fault::Lies)),
        ("a part of the content as the whole", |world| answers(world, Fault::Short)),
        ("meets BadRecordMac", |world| world.front.alter = |way, frame| forge(way == Way::FromProxy, frame)),
        ("other bytes than were sent", |world| {
            world.back.alter = |way, frame| forge(way == Way::ToProxy, frame)
        }),
        ("segments are held at the end", |world| world.proxy.leak()),
        ("a client waits without a deadline", |world| world.proxy.host.sessions_mut().lose_deadlines()),
        ("came to nothing", |world| world.proxy.park(true)),
    ];
    for (expected, spoil) in cases {
        let noticed = spoilt(spoil).unwrap_or_default();
        assert!(noticed.contains(expected), "{noticed:?} instead of {expected:?}");
    }
}

fn forge(is_wanted: bool, frame: &mut [u8]) {
    if is_wanted {
        forge_last(frame);
    }
}

fn answers(world: &mut World, fault: Fault) {
    for ask in &mut world.ledger.asks {
        ask.answer.fault = fault;
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}
