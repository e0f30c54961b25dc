//! What happens to a world as a whole: `Event`.

use super::dice::Dice;
use super::setting::Setting;

/// Something that happens to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A wire gives nothing on for so long.
    Cut { is_front: bool, ns: u64 },
    /// Engines do nothing any more.
    Park,
    /// They do again.
    Resume,
    /// The machine of the proxy slept for so long.
    Sleep(u64),
    /// So many frames come to the proxy that nobody there has sent.
    Noise(usize),
    /// The proxy is told to stop.
    Stop,
}

/// What happens in a world, by time.
pub(crate) fn events(dice: &mut Dice, setting: &Setting) -> Vec<(u64, Event)> {
    let mut events = Vec::new();
    for _ in 0..dice.pick(&[0, 0, 1, 2, 5]) {
        let at_ns = dice.within(0..=4_000_000) * 1000;
        // A calm world bears what is over before anybody's patience is.
        let longest = if setting.is_calm { 300_000_000 } else { 20_000_000_000 };
        let ns = dice.any_size(longest);
        let event = match dice.below(if setting.is_calm { 4 } else { 6 }) {
            0 | 1 => Event::Noise(dice.below(40)),
            2 => Event::Cut { is_front: dice.chance(500), ns },
            3 => {
                events.push((at_ns + ns, Event::Resume));
                Event::Park
            }
            4 => Event::Sleep(ns),
            _ => Event::Stop,
        };
        events.push((at_ns, event));
    }
    // The last comes first.
    events.sort_by_key(|&(at_ns, _)| std::cmp::Reverse(at_ns));
    events
}
