//! Bytes both ways after an upgrade (RFC 9110 section 7.8).

use levee_buf::{Chain, Memory, Pieces};
use levee_tcp::Stack;

use super::Sessions;
use super::client::Phase;
use super::thin::thicken;
use crate::metrics::Counter;
use crate::slab::Key;

impl<M: Memory> Sessions<M> {
    /// Passes on what arrived on either side. When the client has ended, the backend is told once it has got
    /// everything; when the backend has, and has got everything, the tunnel is over.
    pub(super) fn advance_tunnel(&mut self, key: Key, upstream_key: Key, stack: &mut Stack<M>) -> bool {
        let (Some(client), Some(upstream)) =
            (self.clients.get_mut(key), self.upstreams.get_mut(upstream_key))
        else {
            self.set_phase(key, Phase::Closing);
            return true;
        };
        let moved = !client.inbound.is_empty() || !upstream.inbound.is_empty();
        client.progress |= moved;
        upstream.outbound.append(client.inbound.take());
        client.outbound.append(upstream.inbound.take());
        for chain in [&mut upstream.outbound, &mut client.outbound] {
            if thicken(&self.memory, chain) {
                self.counters.count(Counter::Thickened);
            }
        }
        if client.peer_done && !upstream.finishing {
            upstream.finishing = true;
            stack.wake(upstream.conn);
        }
        if upstream.closed || upstream.fin && upstream.outbound.is_empty() {
            client.truncated |= upstream.broken;
            self.drop_upstream_when_sent(upstream_key, stack);
            self.set_phase(key, Phase::Closing);
            return true;
        }
        false
    }
}
