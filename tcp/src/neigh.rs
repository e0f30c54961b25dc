//! `Neighbours`: which station has which address on a link (RFC 826), bounded.
//!
//! Learned is only what was asked for, so strangers cannot fill the cache nor speak for a gateway: a
//! known station that announces another address is not believed but asked about. A bounded number of
//! frames waits for answers, and at most half of the entries are of neighbours that are not known yet: a
//! flood from addresses that nobody has does not drive out the known ones.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::output::Frame;
use crate::table::{HashKey, Table, Tuple};
use crate::time::Instant;
use crate::wire::ether::Mac;

/// Requests without an answer before a neighbour counts as gone.
const TRIES: u8 = 3;
/// RFC 1122 section 2.3.2.1: at most one request a second and destination.
const INTERVAL: Duration = Duration::from_secs(1);
/// An answer is believed for so long; then it is asked again, while it stays in use.
const FRESH: Duration = Duration::from_secs(60);
/// Frames that wait for one neighbour.
const WAITING_EACH: u8 = 4;
/// Frames that wait for all neighbours together.
const WAITING: usize = 512;
/// Entries looked at for the oldest when the cache is full.
const EVICTION_SAMPLE: usize = 8;

/// The cache and the frames that wait for it.
pub(crate) struct Neighbours<C> {
    entries: Vec<Entry>,
    table: Table,
    free: Vec<u32>,
    /// Entries that are not known yet.
    unknown: usize,
    hand: usize,
    waiting: VecDeque<(u32, Frame<C>)>,
    /// Entries to be asked for, each at most once.
    asks: VecDeque<u32>,
}

#[derive(Clone, Copy)]
struct Entry {
    address: Ipv4Addr,
    interface: u16,
    state: State,
    mac: Mac,
    waiting: u8,
    /// Whether it is among the entries to be asked for.
    is_asked: bool,
    /// Last time something was to be sent there.
    last_used: Instant,
    /// When to ask again, or when the answer gets old.
    due: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// Asked so many times, not known.
    Asked(u8),
    Known,
    /// Known and in use, but asked again so many times.
    Checked(u8),
}

/// Where a frame to a neighbour goes.
pub(crate) enum Way {
    /// To this station.
    Known(Mac),
    /// It waits here.
    Wait(u32),
    /// Nowhere: the cache is full of neighbours that were just asked for.
    Full,
}

/// What became due for a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    Asked,
    Gone,
    Nothing,
}

impl<C> Neighbours<C> {
    pub(crate) fn new(capacity: usize, key: HashKey) -> Self {
        let entry = Entry {
            address: Ipv4Addr::UNSPECIFIED,
            interface: 0,
            state: State::Free,
            mac: [0; 6],
            waiting: 0,
            is_asked: false,
            last_used: Instant(0),
            due: Instant(0),
        };
        Self {
            entries: vec![entry; capacity],
            table: Table::new(capacity, key),
            free: (0..u32::try_from(capacity).unwrap_or(u32::MAX)).rev().collect(),
            unknown: 0,
            hand: 0,
            waiting: VecDeque::with_capacity(WAITING),
            asks: VecDeque::with_capacity(capacity),
        }
    }

    /// The way to `address`; `hint` is where it was found the last time.
    pub(crate) fn way(&mut self, interface: u16, address: Ipv4Addr, hint: &mut u16, now: Instant) -> Way {
        let id = u32::from(*hint);
        let fits = |entry: &Entry| {
            entry.address == address && entry.interface == interface && entry.state != State::Free
        };
        let id = if self.entries.get(id as usize).is_some_and(fits) {
            id
        } else {
            match self.table.find(&key(interface, address)) {
                Some(id) => id,
                None => match self.vacant(now) {
                    Some(id) => {
                        self.table.insert(key(interface, address), id);
                        self.unknown += 1;
                        let entry = &mut self.entries[id as usize];
                        (entry.address, entry.interface) = (address, interface);
                        (entry.state, entry.last_used, entry.due) = (State::Asked(1), now, now + INTERVAL);
                        *hint = u16::try_from(id).unwrap_or(u16::MAX);
                        self.ask(id);
                        return Way::Wait(id);
                    }
                    None => return Way::Full,
                },
            }
        };
        *hint = u16::try_from(id).unwrap_or(u16::MAX);
        let entry = &mut self.entries[id as usize];
        entry.last_used = now;
        match entry.state {
            State::Known | State::Checked(_) => Way::Known(entry.mac),
            State::Asked(_) | State::Free => Way::Wait(id),
        }
    }

    /// Lets `frame` wait for `id`; gives it back when too many wait.
    pub(crate) fn wait(&mut self, id: u32, frame: Frame<C>) -> Result<(), Frame<C>> {
        let entry = &mut self.entries[id as usize];
        if entry.waiting >= WAITING_EACH || self.waiting.len() >= WAITING {
            return Err(frame);
        }
        entry.waiting += 1;
        self.waiting.push_back((id, frame));
        Ok(())
    }

    /// The next request to be sent: which entry, on which interface, for which address. Its timer is to be
    /// set to [`Neighbours::due`].
    pub(crate) fn next_ask(&mut self) -> Option<(u32, u16, Ipv4Addr)> {
        let id = self.asks.pop_front()?;
        let entry = &mut self.entries[id as usize];
        entry.is_asked = false;
        Some((id, entry.interface, entry.address))
    }

    /// Takes in that `address` is said to be at `mac`. The entry when this was asked for, so that
    /// [`Neighbours::take_waiting`] may have frames; `None` when it is not believed. A known station that
    /// announces another address is asked about.
    pub(crate) fn learn(
        &mut self,
        interface: u16,
        address: Ipv4Addr,
        mac: Mac,
        is_reply: bool,
        now: Instant,
    ) -> Option<u32> {
        let id = self.table.find(&key(interface, address))?;
        let entry = &mut self.entries[id as usize];
        match entry.state {
            State::Asked(_) | State::Checked(_) if is_reply => {}
            State::Known | State::Checked(_) if entry.mac == mac => {}
            State::Known => {
                (entry.state, entry.due) = (State::Checked(1), now + INTERVAL);
                self.ask(id);
                return None;
            }
            _ => return None,
        }
        self.unknown -= usize::from(matches!(entry.state, State::Asked(_)));
        (entry.mac, entry.state, entry.due) = (mac, State::Known, now + FRESH);
        Some(id)
    }

    /// A frame that waited for `id`, and the station it goes to, when that is known.
    pub(crate) fn take_waiting(&mut self, id: u32) -> Option<(Frame<C>, Mac)> {
        let entry = &mut self.entries[id as usize];
        let at = match entry.waiting {
            0 => None,
            _ => self.waiting.iter().position(|(waits_for, _)| *waits_for == id),
        }?;
        entry.waiting -= 1;
        self.waiting.remove(at).map(|(_, frame)| (frame, entry.mac))
    }

    /// When [`Neighbours::on_timeout`] is due for `id`.
    pub(crate) fn due(&self, id: u32) -> Instant {
        self.entries[id as usize].due
    }

    /// Sees to `id`, whose time has come. After `Gone`, `take_waiting` gives what waited in vain, and then
    /// [`Neighbours::forget`] is to be called.
    pub(crate) fn on_timeout(&mut self, id: u32, now: Instant) -> Overdue {
        let entry = &mut self.entries[id as usize];
        let tries = match entry.state {
            State::Free => return Overdue::Nothing,
            State::Known if entry.last_used + FRESH < now => return Overdue::Gone,
            State::Known => 0,
            State::Asked(tries) | State::Checked(tries) => tries,
        };
        if tries >= TRIES {
            return Overdue::Gone;
        }
        entry.due = now + INTERVAL;
        entry.state = match entry.state {
            State::Asked(_) => State::Asked(tries + 1),
            _ => State::Checked(tries + 1),
        };
        self.ask(id);
        Overdue::Asked
    }

    /// Forgets `id`, for which nothing waits.
    pub(crate) fn forget(&mut self, id: u32) {
        self.table.remove(id);
        let entry = &mut self.entries[id as usize];
        self.unknown -= usize::from(matches!(entry.state, State::Asked(_)));
        entry.state = State::Free;
        self.free.push(id);
    }

    /// Entries in use.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    fn ask(&mut self, id: u32) {
        if !std::mem::replace(&mut self.entries[id as usize].is_asked, true) {
            self.asks.push_back(id);
        }
    }

    /// A free entry. When there is none, the longest unused of a few makes room: of those that are not known,
    /// when half of all are such, else of any.
    fn vacant(&mut self, now: Instant) -> Option<u32> {
        let is_flooded = self.unknown >= self.entries.len().div_ceil(2);
        if !is_flooded && let Some(id) = self.free.pop() {
            return Some(id);
        }
        let mut victim: Option<usize> = None;
        for _ in 0..EVICTION_SAMPLE.min(self.entries.len()) {
            self.hand = (self.hand + 1) % self.entries.len();
            let entry = &self.entries[self.hand];
            let may_go = match entry.state {
                State::Free => false,
                State::Asked(_) => true,
                State::Known | State::Checked(_) => !is_flooded,
            };
            let is_older = victim.is_none_or(|victim| entry.last_used < self.entries[victim].last_used);
            // What was used within this second is likely the gateway or a live peer.
            if may_go && entry.waiting == 0 && entry.last_used + INTERVAL < now && is_older {
                victim = Some(self.hand);
            }
        }
        self.forget(u32::try_from(victim?).ok()?);
        self.free.pop()
    }
}

const fn key(interface: u16, address: Ipv4Addr) -> Tuple {
    Tuple { local: Ipv4Addr::UNSPECIFIED, remote: address, local_port: interface, remote_port: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 9];
    const OTHER: Mac = [2, 0, 0, 0, 0, 10];

    fn cache(capacity: usize) -> Neighbours<u32> {
        Neighbours::new(capacity, HashKey::derive(&[1; 32], 1))
    }

    fn address(n: u8) -> Ipv4Addr {
        [10, 0, 0, n].into()
    }

    fn frame(n: u32) -> Frame<u32> {
        Frame { interface: 0, chain: n, offload: crate::TxOffload::default() }
    }

    fn at(secs: u64) -> Instant {
        Instant::from_millis(secs * 1000)
    }

    #[test]
    fn frames_wait_for_the_answer() {
        let mut cache = cache(4);
        let mut hint = u16::MAX;
        let Way::Wait(id) = cache.way(0, address(1), &mut hint, at(1)) else { panic!() };
        for n in 0..4 {
            assert!(cache.wait(id, frame(n)).is_ok());
        }
        assert!(cache.wait(id, frame(4)).is_err());
        assert!(matches!(cache.way(0, address(1), &mut hint, at(1)), Way::Wait(_)));
        assert_eq!(cache.learn(0, address(2), MAC, true, at(1)), None);
        assert_eq!(cache.learn(0, address(1), MAC, false, at(1)), None);
        assert_eq!(cache.learn(0, address(1), MAC, true, at(1)), Some(id));
        for n in 0..4 {
            assert!(cache.take_waiting(id).is_some_and(|(frame, mac)| frame.chain == n && mac == MAC));
        }
        assert!(cache.take_waiting(id).is_none());
        assert_eq!(cache.next_ask(), Some((id, 0, address(1))));
        assert_eq!(cache.next_ask(), None);
        assert!(matches!(cache.way(0, address(1), &mut hint, at(1)), Way::Known(MAC)));
    }

    #[test]
    fn a_changed_station_is_asked_not_believed() {
        let mut cache = cache(4);
        let mut hint = 0;
        let Way::Wait(id) = cache.way(0, address(1), &mut hint, at(1)) else { panic!() };
        assert_eq!(cache.learn(0, address(1), MAC, true, at(1)), Some(id));
        assert_eq!(cache.learn(0, address(1), OTHER, false, at(2)), None);
        assert!(matches!(cache.way(0, address(1), &mut hint, at(2)), Way::Known(MAC)));
        assert_eq!(cache.learn(0, address(1), OTHER, true, at(2)), Some(id));
        assert!(matches!(cache.way(0, address(1), &mut hint, at(2)), Way::Known(OTHER)));
    }

    #[test]
    fn silence_is_noticed_and_the_unused_make_room() {
        let mut cache = cache(4);
        let mut hint = u16::MAX;
        let Way::Wait(id) = cache.way(0, address(1), &mut hint, at(1)) else { panic!() };
        assert_eq!(cache.on_timeout(id, at(2)), Overdue::Asked);
        assert_eq!(cache.on_timeout(id, at(3)), Overdue::Asked);
        assert_eq!(cache.on_timeout(id, at(4)), Overdue::Gone);
        cache.forget(id);
        for n in 2..4 {
            assert!(matches!(cache.way(0, address(n), &mut hint, at(5)), Way::Wait(_)));
        }
        assert!(matches!(cache.way(0, address(4), &mut hint, at(5)), Way::Full));
        assert!(matches!(cache.way(0, address(4), &mut hint, at(9)), Way::Wait(_)));
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn addresses_that_nobody_has_do_not_drive_out_the_known() {
        let mut cache = cache(4);
        let mut hint = u16::MAX;
        for n in 1..=3 {
            let Way::Wait(id) = cache.way(0, address(n), &mut hint, at(1)) else { panic!() };
            assert_eq!(cache.learn(0, address(n), MAC, true, at(1)), Some(id));
        }
        for n in 4..200 {
            let now = at(u64::from(n));
            assert!(matches!(cache.way(0, address(n), &mut hint, now), Way::Wait(_) | Way::Full));
        }
        // Half of the cache is theirs, in turn.
        let known = cache.entries.iter().filter(|entry| entry.state == State::Known).count();
        assert_eq!((cache.len(), cache.unknown, known), (4, 2, 2));
    }

    #[test]
    fn each_question_is_asked() {
        let mut cache = cache(1000);
        let mut hint = u16::MAX;
        for n in 0..250 {
            assert!(matches!(cache.way(0, address(n), &mut hint, at(1)), Way::Wait(_)));
        }
        assert_eq!(std::iter::from_fn(|| cache.next_ask()).count(), 250);
    }
}
