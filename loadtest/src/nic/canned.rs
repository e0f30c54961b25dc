//! A server that answers each ClientHello with bytes of the shape of a server's flight, made beforehand.

use std::collections::VecDeque;

use levee_buf::Memory;
use levee_tcp::Fill;

use crate::net::{Event, Net, Party};
use crate::report::Part;

/// The lengths of the records of a TLS 1.3 flight with an ECDSA certificate: ServerHello in the clear, then
/// one protected record of EncryptedExtensions to Finished.
const RECORDS: [(u8, usize); 2] = [(22, 90), (23, 800)];

/// Answers whatever comes first.
pub(super) struct Canned<M: Memory> {
    memory: M,
    flight: Vec<u8>,
    /// By slot: whether the flight is still to be sent.
    due: Vec<bool>,
    finished: VecDeque<usize>,
}

impl<M: Memory> Canned<M> {
    /// A server for connections in `slots` slots.
    pub(super) fn new(memory: M, slots: usize) -> Self {
        let record = |&(kind, length): &(u8, usize)| {
            let [high, low] = u16::try_from(length).unwrap_or_default().to_be_bytes();
            let mut record = vec![kind, 3, 3, high, low];
            record.resize(record.len() + length, 0);
            record
        };
        let flight = RECORDS.iter().flat_map(record).collect();
        Self { memory, flight, due: vec![false; slots], finished: VecDeque::new() }
    }
}

impl<M: Memory> Party<M> for Canned<M> {
    fn on_event(&mut self, slot: usize, event: Event, net: &mut dyn Net<M>) {
        if event.readable {
            drop(net.recv(slot));
            self.due[slot] = true;
            net.wake(slot);
        }
        if event.fin && event.closed.is_none() {
            self.finished.push_back(slot);
        }
        if event.closed.is_some() {
            self.due[slot] = false;
        }
    }

    fn fill(&mut self, slot: usize, _room: usize, _now_ns: u64) -> Fill<M::Chain> {
        let mut flight = M::Chain::default();
        if !std::mem::take(&mut self.due[slot]) || self.memory.push(&mut flight, &self.flight).is_err() {
            return Fill::Nothing;
        }
        Fill::Data(flight)
    }

    fn turn(&mut self, net: &mut dyn Net<M>) -> bool {
        let any = !self.finished.is_empty();
        while let Some(slot) = self.finished.pop_front() {
            net.finish(slot);
        }
        any
    }

    fn is_done(&self, _now_ns: u64) -> bool {
        false
    }

    fn counts(&self) -> (u64, u64) {
        (0, 0)
    }

    fn part(&self, _now_ns: u64) -> Option<Part> {
        None
    }
}
