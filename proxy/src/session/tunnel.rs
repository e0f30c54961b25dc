//! Bytes both ways after an upgrade (RFC 9110 section 7.8).

use levee_buf::{Chain, Memory, Pieces};
use levee_tcp::Stack;

use super::Sessions;
use super::client::Phase;
use crate::slab::Key;

impl<M: Memory> Sessions<M> {
    /// Passes on what arrived on either side. When one side has ended, the other is told once it has got
    /// everything; the tunnel is over when both have.
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
        if client.peer_done && !upstream.finishing {
            upstream.finishing = true;
            stack.wake(upstream.conn);
        }
        if upstream.fin {
            self.drop_upstream_when_sent(upstream_key, stack);
            self.set_phase(key, Phase::Closing);
            return true;
        }
        false
    }
}
