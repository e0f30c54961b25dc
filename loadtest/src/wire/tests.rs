use clap::Parser;
use levee_buf::{Chain as _, Heap, HeapChain, Memory as _};
use proptest::prelude::*;

use super::*;

/// A frame that carries its number, of `length` bytes.
fn frame(memory: &Heap, number: u32, length: usize) -> HeapChain {
    let mut bytes = vec![0; length];
    bytes[14..18].copy_from_slice(&number.to_be_bytes());
    memory.chain(&bytes)
}

fn number(frame: &HeapChain) -> u32 {
    u32::from_be_bytes(frame.to_vec()[14..18].try_into().unwrap())
}

fn share(share: f64) -> Share {
    Share::new(share).unwrap()
}

/// Offers `count` frames of 100 bytes, `gap_ns` apart, and returns when each left and its number.
fn carry(settings: Settings, seed: u64, count: u32, gap_ns: u64) -> (Vec<(u64, u32)>, Counters) {
    let memory = Heap::new(20_000);
    let mut impairment = Impairment::new(settings, seed, 0, memory.clone());
    let mut left = Vec::new();
    let mut take = |impairment: &mut Impairment<Heap>, until: u64| {
        while let Some(at) = impairment.deadline().filter(|&at| at <= until) {
            assert!(at == 0 || impairment.due(at - 1).is_none(), "a frame left before its time");
            left.push((at, number(&impairment.due(at).unwrap())));
        }
    };
    for index in 0..count {
        let now = u64::from(index) * gap_ns;
        take(&mut impairment, now);
        assert!(impairment.offer(frame(&memory, index, 100), now).is_none());
    }
    take(&mut impairment, u64::MAX);
    assert_eq!((impairment.held(), memory.in_use()), (0, 0));
    let counters = impairment.counters();
    assert_eq!(counters.passed, left.len() as u64);
    (left, counters)
}

/// Whether `count` of `of` is `share` within five standard deviations.
fn expect_share(count: u64, of: u64, share: f64) {
    let (count, of) = (count as f64, of as f64);
    let deviation = (of * share * (1.0 - share)).sqrt();
    assert!((count - of * share).abs() < 5.0 * deviation, "{count} of {of}, not {share}");
}

#[test]
fn shares_hold() {
    const FRAMES: u32 = 100_000;
    let settings = Settings {
        loss: share(0.02),
        duplicate: share(0.01),
        corrupt: share(0.001),
        reorder: share(0.05),
        delay_ns: 10_000,
        ..Settings::default()
    };
    let (_, counters) = carry(settings, 7, FRAMES, 1000);
    expect_share(counters.lost, FRAMES.into(), 0.02);
    let sent = counters.offered - counters.lost;
    expect_share(counters.duplicated, sent, 0.01);
    expect_share(counters.corrupted, counters.passed, 0.001);
    // With ten frames under way there is always one to overtake.
    expect_share(counters.reordered, counters.passed, 0.05);
    assert_eq!(counters.passed, sent + counters.duplicated);
}

#[test]
fn bursts_are_as_long_and_as_frequent_as_asked() {
    const FRAMES: u32 = 100_000;
    let burst_loss = BurstLoss { enter: share(0.01), leave: share(0.25) };
    let settings = Settings { burst_loss: Some(burst_loss), ..Settings::default() };
    let (left, counters) = carry(settings, 3, FRAMES, 1);
    let share = counters.burst_lost as f64 / f64::from(FRAMES);
    assert!((share - 0.01 / 0.26).abs() < 0.004, "{share} lost");
    let gaps = left.windows(2).filter(|pair| pair[1].1 - pair[0].1 > 1).count();
    let mean = counters.burst_lost as f64 / gaps as f64;
    assert!((mean - 4.0).abs() < 0.3, "bursts of {mean}");
}

/// A burst that never ends by chance is over for the first frame behind a silence.
#[test]
fn silence_ends_a_burst() {
    const SILENCE_NS: u64 = 100_000_000;
    let burst_loss = BurstLoss { enter: share(0.5), leave: share(1e-9) };
    let settings = Settings { burst_loss: Some(burst_loss), ..Settings::default() };
    let (left, counters) = carry(settings.clone(), 3, 1000, SILENCE_NS - 1);
    assert!(left.len() < 20 && counters.burst_lost > 980, "{counters:?}");
    let (_, counters) = carry(settings, 3, 1000, SILENCE_NS);
    assert!((400..600).contains(&counters.burst_lost), "{counters:?}");
}

#[test]
fn chances_follow_from_the_seed() {
    let settings = Settings {
        loss: share(0.1),
        burst_loss: "0.01,0.5".parse().ok(),
        duplicate: share(0.1),
        corrupt: share(0.1),
        reorder: share(0.1),
        delay_ns: 5000,
        jitter_ns: 4000,
        rate: "1gbit".parse().ok(),
        ..Settings::default()
    };
    let first = carry(settings.clone(), 1, 5000, 1000);
    assert_eq!(first, carry(settings.clone(), 1, 5000, 1000));
    assert_ne!(first.0, carry(settings, 2, 5000, 1000).0);
}

#[test]
fn directions_have_chances_of_their_own() {
    let memory = Heap::new(1000);
    let fates = |stream| {
        let settings = Settings { loss: share(0.5), ..Settings::default() };
        let mut impairment = Impairment::new(settings, 1, stream, memory.clone());
        let fate = |index| {
            assert!(impairment.offer(frame(&memory, index, 60), 0).is_none());
            impairment.due(0).is_some()
        };
        (0..100).map(fate).collect::<Vec<_>>()
    };
    assert_ne!(fates(0), fates(1));
}

#[test]
fn delay_is_exact() {
    let settings = Settings { delay_ns: 20_000_000, ..Settings::default() };
    let (left, _) = carry(settings, 1, 1000, 12_345);
    for (index, &(at, number)) in left.iter().enumerate() {
        assert_eq!((at, number as usize), (20_000_000 + 12_345 * index as u64, index));
    }
}

#[test]
fn rate_is_exact() {
    // 800 bits at 8 Mbit/s: 100 us each, from the first on.
    let rate = "8mbit".parse().ok();
    let settings = Settings { rate, queue: 1000, ..Settings::default() };
    let (left, counters) = carry(settings.clone(), 1, 1000, 0);
    assert_eq!(counters.queue_full, 0);
    for (index, &(at, _)) in left.iter().enumerate() {
        assert_eq!(at, 100_000 * (index as u64 + 1));
    }
    // A line that is free in between takes a frame when it comes.
    let (left, _) = carry(settings, 1, 10, 150_000);
    assert!(left.iter().enumerate().all(|(index, &(at, _))| at == 150_000 * index as u64 + 100_000));
}

#[test]
fn a_full_queue_drops_what_comes_last() {
    let settings = Settings { rate: "8mbit".parse().ok(), queue: 10, ..Settings::default() };
    let (left, counters) = carry(settings.clone(), 1, 25, 0);
    assert_eq!(left.iter().map(|&(_, number)| number).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    assert_eq!((counters.passed, counters.queue_full), (10, 15));
    // One leaves in the time two come in: all but the queue and every second are dropped.
    let (_, counters) = carry(settings, 1, 1000, 50_000);
    assert!((500..=511).contains(&counters.passed), "{counters:?}");
}

#[test]
fn a_reordered_frame_leaves_before_those_under_way() {
    let memory = Heap::new(100);
    let settings =
        Settings { reorder: share(0.3), delay_ns: 1000, rate: "800mbit".parse().ok(), ..Settings::default() };
    let mut impairment = Impairment::new(settings, 5, 0, memory.clone());
    for index in 0..50 {
        assert!(impairment.offer(frame(&memory, index, 100), 0).is_none());
    }
    // Every frame takes the line 1 us, and the delay is as long.
    let mut left = Vec::new();
    while let Some(at) = impairment.deadline() {
        left.push((at, number(&impairment.due(at).unwrap())));
    }
    for &(at, number) in &left {
        let sent = 1000 * (u64::from(number) + 1);
        assert!(at == sent || at == sent + 1000, "{number} left at {at}");
    }
    let early = left.iter().filter(|&&(at, number)| at == 1000 * (u64::from(number) + 1)).count();
    assert!((5..30).contains(&early), "{early}");
}

#[test]
fn one_bit_is_turned_behind_the_ethernet_header() {
    let memory = Heap::new(10);
    let settings = Settings { corrupt: share(1.0), ..Settings::default() };
    let mut impairment = Impairment::new(settings, 1, 0, memory.clone());
    let mut seen = [false; 64];
    for _ in 0..2000 {
        let mut original = memory.chain(&[0x55; 64]);
        // What others read stays as it is.
        let shared = memory.reference(&mut original, 0..64).unwrap();
        assert!(impairment.offer(shared, 0).is_none());
        let bytes = impairment.due(0).unwrap().to_vec();
        let turned: Vec<_> = (0..64).filter(|&at| bytes[at] != 0x55).collect();
        assert_eq!(turned.len(), 1);
        assert_eq!((bytes[turned[0]] ^ 0x55).count_ones(), 1);
        seen[turned[0]] = true;
        assert_eq!(original.to_vec(), [0x55; 64]);
    }
    assert!(seen[..14].iter().all(|&seen| !seen) && seen[14..].iter().all(|&seen| seen));
    // There is nothing behind the header.
    assert!(impairment.offer(memory.chain(&[0x55; 14]), 0).is_none());
    assert_eq!(impairment.due(0).unwrap().to_vec(), [0x55; 14]);
    assert_eq!((impairment.counters().corrupted, memory.in_use()), (2000, 0));
}

#[test]
fn what_is_held_is_bounded() {
    let memory = Heap::new(20);
    let settings = Settings { delay_ns: 1000, duplicate: share(1.0), capacity: 15, ..Settings::default() };
    let mut impairment = Impairment::new(settings, 1, 0, memory.clone());
    for index in 0..10 {
        assert!(impairment.offer(frame(&memory, index, 60), 0).is_none());
    }
    assert_eq!((impairment.held(), memory.in_use()), (15, 15));
    assert_eq!((impairment.counters().duplicated, impairment.counters().no_memory), (10, 5));
    let hoard: Vec<_> = (0..4).map(|index| frame(&memory, index, 60)).collect();
    assert!(impairment.due(1000).is_some() && impairment.due(1000).is_some());
    let (last, more) = (frame(&memory, 0, 60), frame(&memory, 0, 60));
    assert!(memory.alloc(60).is_some());
    let last_place = frame(&memory, 0, 60);
    assert!(memory.alloc(60).is_none());
    // A frame of which no copy can be made passes once.
    assert!(impairment.offer(last, 0).is_none());
    assert_eq!((impairment.held(), impairment.counters().no_memory), (14, 6));
    drop((impairment, hoard, more, last_place));
    assert_eq!(memory.in_use(), 0);
}

#[test]
fn packets_over_the_mtu_are_answered() {
    let memory = Heap::new(10);
    let settings = Settings { mtu: Some(1280), ..Settings::default() };
    let mut impairment = Impairment::new(settings, 1, 0, memory.clone());
    for (length, passes) in [(1280, true), (1281, false), (1500, false)] {
        let mut packet = vec![0; 14 + length];
        packet[12..22].copy_from_slice(&[8, 0, 0x45, 0, 5, 220, 0, 0, 0x40, 0]);
        packet[26..34].copy_from_slice(&[10, 9, 1, 2, 10, 9, 1, 1]);
        let answer = impairment.offer(memory.chain(&packet), 0);
        assert_eq!((answer.is_none(), impairment.due(0).is_some()), (passes, passes), "{length}");
    }
    assert_eq!((impairment.counters().too_long, impairment.counters().answered), (2, 2));
    assert!(impairment.offer(memory.chain(&[0; 1500]), 0).is_none());
    assert_eq!((impairment.counters().too_long, impairment.counters().answered), (3, 2));
}

fn settings() -> impl Strategy<Value = Settings> {
    let shares = prop::array::uniform4(0.0..0.5_f64);
    let burst = prop::option::of((0.0..0.5_f64, 0.1..=1.0_f64));
    let rate = prop::option::of(1_u64..2000);
    (shares, burst, 0..3_000_000_u64, 0..4_000_000_u64, rate, 1_usize..300, 1_usize..1000).prop_map(
        |([loss, duplicate, corrupt, reorder], burst, delay_ns, jitter_ns, rate, queue, capacity)| Settings {
            loss: share(loss),
            burst_loss: burst.map(|(enter, leave)| BurstLoss { enter: share(enter), leave: share(leave) }),
            delay_ns,
            jitter_ns,
            reorder: share(reorder),
            duplicate: share(duplicate),
            corrupt: share(corrupt),
            rate: rate.and_then(|rate| format!("{rate}mbit").parse().ok()),
            queue,
            mtu: None,
            capacity,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_frame_is_accounted_for(settings in settings(), seed: u64, gap_ns in 0_u64..20_000) {
        let (_, counters) = carry(settings, seed, 2000, gap_ns);
        let Counters { lost, burst_lost, queue_full, no_memory, .. } = counters;
        prop_assert_eq!(
            counters.offered + counters.duplicated,
            counters.passed + lost + burst_lost + queue_full + no_memory
        );
    }

    #[test]
    fn order_is_kept_without_reordering(settings in settings(), seed: u64, gap_ns in 0_u64..20_000) {
        // A turned bit would change the numbers.
        let settings = Settings { reorder: Share::default(), corrupt: Share::default(), ..settings };
        let (left, counters) = carry(settings, seed, 2000, gap_ns);
        prop_assert!(left.windows(2).all(|pair| pair[0].1 <= pair[1].1 && pair[0].0 <= pair[1].0));
        prop_assert_eq!(counters.reordered, 0);
    }
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn parse(arguments: &str) -> Result<Options, String> {
    let line = format!("wire --a net_ring0 --b net_ring1 {arguments}");
    Line::try_parse_from(line.split_whitespace()).map(|line| line.options).map_err(|error| error.to_string())
}

#[test]
fn arguments_are_understood() {
    let options = parse(
        "--loss 2% --burst-loss 0.01,0.3 --delay 20ms --jitter 5ms --reorder 0.01 --duplicate 1% \
         --corrupt 0.1% --rate 100mbit --queue 64 --mtu 1400 --seed 9 --direction a-to-b --duration 3",
    )
    .unwrap();
    let settings = options.settings();
    assert_eq!((settings.loss, settings.duplicate), (share(0.02), share(0.01)));
    assert_eq!((settings.delay_ns, settings.jitter_ns), (20_000_000, 5_000_000));
    assert_eq!((settings.queue, settings.mtu, options.direction), (64, Some(1400), Direction::AToB));
    assert!(parse("").is_ok());
}

#[test]
fn arguments_are_refused_with_the_reason() {
    for (arguments, reason) in [
        ("--loss 2", "`2` is no share"),
        ("--corrupt 101%", "`101%` is no share"),
        ("--burst-loss 0.1", "`0.1` is no burst loss"),
        ("--delay 20", "`20` does not end in a unit: one of ns, us, ms, s"),
        ("--delay 20ms --jitter 5min", "`5min` does not end in a unit"),
        ("--jitter 5ms", "--delay <TIME>"),
        ("--reorder 1%", "--delay <TIME>"),
        ("--rate 100MB", "one of bit, kbit, mbit, gbit"),
        ("--rate 0bit", "`0bit` is out of range"),
        ("--queue 0", "`0` is no number of frames"),
        ("--mtu 60", "68"),
        ("--direction up", "[possible values: both, a-to-b, b-to-a]"),
    ] {
        let error = parse(arguments).unwrap_err();
        assert!(error.contains(reason), "{arguments}: {error}");
    }
}
