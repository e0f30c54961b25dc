//! The wire between the proxy and its peers: `Link`, and its `Weather`.

use std::collections::{BTreeMap, BTreeSet};

use super::dice::Dice;

/// What a link does to frames: chances in a thousand, and times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) loss: u32,
    pub(crate) duplicate: u32,
    /// Of one bit of a packet.
    pub(crate) corrupt: u32,
    pub(crate) delay_ns: u64,
    /// Frames overtake each other within this.
    pub(crate) jitter_ns: u64,
    /// What the wire takes for a byte.
    pub(crate) byte_ns: u64,
    /// Frames that would wait longer are lost.
    pub(crate) queue_ns: u64,
}

impl Weather {
    /// Of a cable on a table.
    pub(crate) const FAIR: Self = Self {
        loss: 0,
        duplicate: 0,
        corrupt: 0,
        delay_ns: 50_000,
        jitter_ns: 0,
        byte_ns: 8,
        queue_ns: 50_000_000,
    };

    /// Such that those who wait long enough get through.
    pub(crate) fn mild(dice: &mut Dice) -> Self {
        Self {
            loss: dice.pick(&[0, 0, 1, 5]),
            duplicate: dice.pick(&[0, 0, 5, 50]),
            corrupt: dice.pick(&[0, 0, 1, 5]),
            ..Self::any_pace(dice)
        }
    }

    /// Such that some never get through.
    pub(crate) fn rough(dice: &mut Dice) -> Self {
        Self {
            loss: dice.pick(&[10, 50, 200, 500]),
            duplicate: dice.pick(&[0, 50, 300]),
            corrupt: dice.pick(&[0, 20, 100]),
            ..Self::any_pace(dice)
        }
    }

    fn any_pace(dice: &mut Dice) -> Self {
        let delay_ns = dice.pick(&[20_000, 500_000, 10_000_000, 100_000_000]);
        Self {
            delay_ns,
            jitter_ns: dice.pick(&[0, delay_ns / 10, delay_ns * 2]),
            byte_ns: dice.pick(&[1, 8, 80]),
            ..Self::FAIR
        }
    }
}

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToProxy,
    FromProxy,
}

/// Frames under way between the proxy and the machines on one of its ports.
pub(crate) struct Link {
    pub(crate) weather: Weather,
    noise: Dice,
    /// By the time of their arrival, and by a number.
    under_way: BTreeMap<(u64, u64), (Way, Vec<u8>)>,
    /// When the wire is free again, each way.
    free_ns: [u64; 2],
    number: u64,
    /// Nothing gets through until then.
    down_until_ns: u64,
    /// TCP ports of those who have vanished: nothing of theirs gets through.
    vanished: BTreeSet<u16>,
    /// What else it does to frames, for it to be noticed.
    #[cfg(test)]
    pub(crate) alter: fn(Way, &mut [u8]),
}

impl Link {
    pub(crate) fn new(weather: Weather, noise: Dice) -> Self {
        let (under_way, vanished) = (BTreeMap::new(), BTreeSet::new());
        Self {
            weather,
            noise,
            under_way,
            free_ns: [0; 2],
            number: 0,
            down_until_ns: 0,
            vanished,
            #[cfg(test)]
            alter: |_, _| {},
        }
    }

    /// Takes a frame at `now_ns`; perhaps it arrives.
    pub(crate) fn send(&mut self, way: Way, mut frame: Vec<u8>, now_ns: u64) {
        #[cfg(test)]
        (self.alter)(way, &mut frame);
        let weather = self.weather;
        let free_ns = &mut self.free_ns[usize::from(way == Way::ToProxy)];
        let start_ns = now_ns.max(*free_ns);
        let noise = &mut self.noise;
        let is_gone =
            ports(&frame).is_some_and(|ports| ports.iter().any(|port| self.vanished.contains(port)));
        let is_late = start_ns - now_ns > weather.queue_ns;
        if noise.chance(weather.loss) || is_gone || is_late || now_ns < self.down_until_ns {
            return;
        }
        *free_ns = start_ns + frame.len() as u64 * weather.byte_ns;
        // Ethernet's own checksum is not simulated: of what it alone protects, nothing is changed.
        if noise.chance(weather.corrupt) && is_ipv4(&frame) {
            let at = ETHERNET + noise.below(frame.len() - ETHERNET);
            frame[at] ^= 1 << noise.below(8);
        }
        for _ in 0..1 + usize::from(noise.chance(weather.duplicate)) {
            let jitter_ns = noise.within(0..=weather.jitter_ns);
            let at_ns = *free_ns + weather.delay_ns + jitter_ns;
            self.number += 1;
            self.under_way.insert((at_ns, self.number), (way, frame.clone()));
        }
    }

    /// The next frame that has arrived at `now_ns`.
    pub(crate) fn arrived(&mut self, now_ns: u64) -> Option<(Way, Vec<u8>)> {
        let entry = self.under_way.first_entry().filter(|entry| entry.key().0 <= now_ns)?;
        Some(entry.remove())
    }

    /// When the next frame arrives.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.under_way.keys().next().map(|&(at_ns, _)| at_ns)
    }

    /// Nothing gets through until `until_ns`.
    pub(crate) const fn cut(&mut self, until_ns: u64) {
        self.down_until_ns = until_ns;
    }

    /// Who has this TCP port is not there any more.
    pub(crate) fn vanish(&mut self, port: u16) {
        self.vanished.insert(port);
    }

    /// From now on every frame gets through.
    pub(crate) const fn heal(&mut self) {
        self.weather = Weather::FAIR;
        self.down_until_ns = 0;
    }
}

pub(crate) const ETHERNET: usize = 14;

fn is_ipv4(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[8, 0])
}

/// The ports of a TCP segment without IP options, which none here has.
fn ports(frame: &[u8]) -> Option<[u16; 2]> {
    let port = |at| Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk::<2>()?));
    let is_tcp = is_ipv4(frame) && frame.get(ETHERNET + 9) == Some(&6);
    if is_tcp { Some([port(ETHERNET + 20)?, port(ETHERNET + 22)?]) } else { None }
}
