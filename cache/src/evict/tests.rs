//! S3-FIFO by itself.

use super::Eviction;

/// The order in which everything leaves.
fn drain(eviction: &mut Eviction) -> Vec<u32> {
    std::iter::from_fn(|| eviction.victim(|_| false)).collect()
}

#[test]
fn what_was_used_twice_outlives_what_was_not() {
    let mut eviction = Eviction::new(10, 9);
    for slot in 0..6 {
        eviction.insert(slot, u64::from(slot) << 32, 10);
    }
    for slot in [1, 1, 4, 4, 4, 5] {
        eviction.touch(slot);
    }
    assert_eq!(drain(&mut eviction), [0, 2, 3, 5, 1, 4]);
    assert_eq!((eviction.small.cost, eviction.main.cost), (0, 0));
}

#[test]
fn the_main_queue_gives_a_round_for_each_use() {
    let mut eviction = Eviction::new(4, 9);
    for slot in 0..3 {
        eviction.insert(slot, u64::from(slot) << 32, 100);
        eviction.touch(slot);
        eviction.touch(slot);
    }
    // Over its target, the small queue is emptied into the main one, where all start anew.
    assert_eq!(eviction.victim(|_| false), Some(0));
    eviction.touch(1);
    assert_eq!(drain(&mut eviction), [2, 1]);
}

#[test]
fn the_small_queue_keeps_its_tenth() {
    let mut eviction = Eviction::new(10, 100);
    for slot in 0..3 {
        eviction.insert(slot, u64::from(slot) << 32, 10);
        eviction.touch(slot);
        eviction.touch(slot);
    }
    // Two move on, and what is left in the small queue is no more than its share.
    assert_eq!(drain(&mut eviction), [0, 1, 2]);
}

#[test]
fn a_ghost_comes_back_into_the_main_queue() {
    let mut eviction = Eviction::new(8, 100);
    eviction.insert(0, 77, 50);
    assert_eq!(eviction.victim(|_| false), Some(0));
    eviction.insert(0, 77, 50);
    eviction.insert(1, 78, 50);
    assert_eq!((eviction.small.cost, eviction.main.cost), (50, 50));
    assert_eq!(drain(&mut eviction), [1, 0]);
    // Remembered once only.
    eviction.insert(0, 77, 50);
    assert_eq!(eviction.main.cost, 0);
}

#[test]
fn ghosts_are_forgotten_after_as_many_as_there_are_slots() {
    let mut eviction = Eviction::new(8, 100);
    for fingerprint in 0..9_u64 {
        eviction.insert(0, fingerprint.wrapping_mul(0x9e37_79b9_7f4a_7c15), 50);
        eviction.victim(|_| false);
    }
    eviction.insert(0, 0, 50);
    assert_eq!(eviction.main.cost, 0);
    eviction.insert(1, 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(8), 50);
    assert_eq!(eviction.main.cost, 50);
}

#[test]
fn costs_follow_resizing_and_removal() {
    let mut eviction = Eviction::new(4, 1000);
    eviction.insert(0, 0, 10);
    eviction.insert(1, 1 << 32, 20);
    eviction.resize(1, 5);
    eviction.resize(3, 99);
    assert_eq!(eviction.small.cost, 15);
    eviction.remove(0);
    eviction.remove(0);
    assert_eq!((eviction.small.cost, drain(&mut eviction)), (5, vec![1]));
}

#[test]
fn the_work_for_a_victim_is_bounded() {
    let mut eviction = Eviction::new(10_000, 10_000);
    for slot in 0..10_000 {
        eviction.insert(slot, u64::from(slot) << 32, 1);
        for _ in 0..3 {
            eviction.touch(slot);
        }
    }
    assert_eq!(eviction.victim(|_| false), Some(128), "the one after as many that moved on");
}

#[test]
fn what_is_pinned_is_passed_over() {
    let mut eviction = Eviction::new(4, 9);
    for slot in 0..4 {
        eviction.insert(slot, u64::from(slot) << 32, 10);
    }
    assert_eq!(eviction.victim(|slot| slot != 2), Some(2));
    assert_eq!(eviction.victim(|slot| slot != 1), Some(1));
    assert!(eviction.victim(|_| true).is_some(), "the work is bounded all the same");
}
