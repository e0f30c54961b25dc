//! `TimeWait`: connections in TIME-WAIT, 48 bytes each, in the order in which they end.
//!
//! All wait equally long, so the order of arrival is the order of expiry and no timers are needed. When
//! all entries are in use the oldest makes room: its late duplicates will be answered with RST.

use crate::seq::Seq;
use crate::time::Instant;

const NONE: u32 = u32::MAX;

/// What is remembered of a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) snd_nxt: Seq,
    pub(crate) rcv_nxt: Seq,
    /// The window field of our last ACK.
    pub(crate) window: u16,
    pub(crate) interface: u16,
    /// The peer's last timestamp, when timestamps are in use.
    pub(crate) ts_recent: Option<u32>,
    pub(crate) ts_offset: u32,
}

/// The entries, numbered from zero.
pub(crate) struct TimeWait {
    entries: Vec<Entry>,
    oldest: u32,
    newest: u32,
    free: u32,
    len: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    waiting: Waiting,
    until: Instant,
    next: u32,
    prev: u32,
}

impl TimeWait {
    pub(crate) fn new(capacity: usize) -> Self {
        let waiting = Waiting {
            snd_nxt: Seq(0),
            rcv_nxt: Seq(0),
            window: 0,
            interface: 0,
            ts_recent: None,
            ts_offset: 0,
        };
        let entry = Entry { waiting, until: Instant(0), next: NONE, prev: NONE };
        let mut entries = vec![entry; capacity];
        for (entry, next) in entries.iter_mut().zip(1..) {
            entry.next = next;
        }
        if let Some(last) = entries.last_mut() {
            last.next = NONE;
        }
        let free = if capacity == 0 { NONE } else { 0 };
        Self { entries, oldest: NONE, newest: NONE, free, len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Whether [`TimeWait::insert`] would find no entry.
    pub(crate) const fn is_full(&self) -> bool {
        self.free == NONE
    }

    /// Enters a connection; `None` when it is full.
    pub(crate) fn insert(&mut self, waiting: Waiting, until: Instant) -> Option<u32> {
        let id = self.free;
        let entry = self.entries.get_mut(id as usize)?;
        self.free = entry.next;
        entry.waiting = waiting;
        self.len += 1;
        self.link(id, until);
        Some(id)
    }

    pub(crate) fn waiting(&mut self, id: u32) -> &mut Waiting {
        &mut self.entries[id as usize].waiting
    }

    /// Starts the wait of `id` again.
    pub(crate) fn restart(&mut self, id: u32, until: Instant) {
        self.unlink(id);
        self.link(id, until);
    }

    pub(crate) fn remove(&mut self, id: u32) {
        self.unlink(id);
        self.entries[id as usize].next = self.free;
        self.free = id;
        self.len -= 1;
    }

    /// The one that ends first, and when.
    pub(crate) fn oldest(&self) -> Option<(u32, Instant)> {
        self.entries.get(self.oldest as usize).map(|entry| (self.oldest, entry.until))
    }

    fn link(&mut self, id: u32, until: Instant) {
        let entry = &mut self.entries[id as usize];
        (entry.until, entry.next, entry.prev) = (until, NONE, self.newest);
        match self.entries.get_mut(self.newest as usize) {
            Some(newest) => newest.next = id,
            None => self.oldest = id,
        }
        self.newest = id;
    }

    fn unlink(&mut self, id: u32) {
        let Entry { next, prev, .. } = self.entries[id as usize];
        match self.entries.get_mut(prev as usize) {
            Some(entry) => entry.next = next,
            None => self.oldest = next,
        }
        match self.entries.get_mut(next as usize) {
            Some(entry) => entry.prev = prev,
            None => self.newest = prev,
        }
    }
}

const _: () = assert!(size_of::<Entry>() <= 48);

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(n: u32) -> Waiting {
        Waiting { snd_nxt: Seq(n), rcv_nxt: Seq(0), window: 0, interface: 0, ts_recent: None, ts_offset: 0 }
    }

    #[test]
    fn keeps_the_order_of_expiry() {
        let mut wait = TimeWait::new(3);
        let ids: Vec<u32> = (0..3).map(|n| wait.insert(waiting(n), Instant(n.into())).unwrap()).collect();
        assert!(wait.is_full());
        assert_eq!(wait.insert(waiting(3), Instant(3)), None);
        wait.restart(ids[0], Instant(4));
        assert_eq!(wait.oldest(), Some((ids[1], Instant(1))));
        wait.remove(ids[1]);
        wait.remove(ids[2]);
        assert_eq!(wait.oldest(), Some((ids[0], Instant(4))));
        assert_eq!(wait.waiting(ids[0]).snd_nxt, Seq(0));
        wait.remove(ids[0]);
        assert_eq!((wait.oldest(), wait.len()), (None, 0));
        assert!(wait.insert(waiting(9), Instant(9)).is_some());
        assert_eq!(TimeWait::new(0).insert(waiting(0), Instant(0)), None);
    }
}
