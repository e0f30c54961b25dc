//! What TCP asks for at transmit time: `Sessions` as the stack's `Seal`.

use levee_buf::{Chain, Memory, Pieces};
use levee_tcp::{ConnId, Fill, Room, Seal};
use levee_tls::Filled;

use super::client::Phase;
use super::{Owner, Sessions};
use crate::slab::Key;

impl<M: Memory> Seal<M> for Sessions<M> {
    fn fill(&mut self, id: ConnId, room: Room) -> Fill<M::Chain> {
        match self.owner(id) {
            Owner::Client(key) => self.fill_client(key, room),
            Owner::Upstream(key) => self.fill_upstream(key, room),
            Owner::Nobody => Fill::Nothing,
        }
    }
}

impl<M: Memory> Sessions<M> {
    fn fill_client(&mut self, key: Key, room: Room) -> Fill<M::Chain> {
        let Some(client) = self.clients.get_mut(key) else { return Fill::Nothing };
        let ending = client.is_ending() && client.outbound.is_empty();
        let fill = match &mut client.tls {
            Some(tls) => {
                if ending && !client.truncated {
                    tls.close();
                }
                let mut out = self.crypto.out(&self.memory, key);
                match tls.fill(&mut client.outbound, room.window, &mut out) {
                    Filled::Wire(wire) => Fill::Data(wire),
                    Filled::Nothing if ending => Fill::Finished,
                    Filled::Nothing | Filled::Later => Fill::Nothing,
                }
            }
            None if ending => Fill::Finished,
            None => take(&self.memory, &mut client.outbound, room),
        };
        match fill {
            Fill::Data(_) => client.progress = true,
            Fill::Finished => client.phase = Phase::Lingering,
            Fill::Nothing => {}
        }
        self.touch(key);
        fill
    }

    fn fill_upstream(&mut self, key: Key, room: Room) -> Fill<M::Chain> {
        let Some(upstream) = self.upstreams.get_mut(key) else { return Fill::Nothing };
        let fill = match upstream.outbound.is_empty() {
            true if upstream.finishing => Fill::Finished,
            _ => take(&self.memory, &mut upstream.outbound, room),
        };
        if let Fill::Data(bytes) = &fill {
            upstream.progress = true;
            upstream.asked = upstream.asked.saturating_add(bytes.len());
        }
        if let Some(client) = upstream.client {
            self.touch(client);
        }
        fill
    }
}

/// As much of `bytes` as there is room for. Without memory for the cut all of it goes: TCP keeps what does
/// not fit.
fn take<M: Memory>(memory: &M, bytes: &mut M::Chain, room: Room) -> Fill<M::Chain> {
    match bytes.len() {
        0 => Fill::Nothing,
        all if all <= room.window => Fill::Data(bytes.take()),
        _ => Fill::Data(memory.split_to(bytes, room.window).unwrap_or_else(|| bytes.take())),
    }
}
