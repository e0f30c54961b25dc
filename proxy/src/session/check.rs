//! What holds between any two turns, for simulations: `Sessions::check`.

use levee_buf::{Memory, Pieces};
use levee_tcp::Stack;

use super::client::{Client, Phase};
use super::{Owner, Sessions};
use crate::metrics::Counter;
use crate::slab::Key;

impl<M: Memory> Sessions<M> {
    /// Looks whether the tables agree with each other and with `stack`, after a turn.
    ///
    /// # Panics
    /// They do not.
    pub(crate) fn check(&self, stack: &Stack<M>) {
        let mut handshakes = 0;
        for key in keys(|from| self.clients.next_key(from)) {
            let Some(client) = self.clients.get(key) else { continue };
            handshakes += usize::from(matches!(client.phase, Phase::Handshake));
            assert_eq!(self.owner(client.conn), Owner::Client(key), "the owner of a client's connection");
            self.check_client(key, client);
        }
        let (mut idle, mut ended) = (0, 0);
        for key in keys(|from| self.upstreams.next_key(from)) {
            let Some(upstream) = self.upstreams.get(key) else { continue };
            // TCP forgets a connection that has ended; what it said may be waiting for its client.
            let owner = if upstream.closed { Owner::Nobody } else { Owner::Upstream(key) };
            let owned = self.owner(upstream.conn);
            assert!(
                owned == owner || owned == Owner::Upstream(key),
                "the owner of a server's connection: {owned:?}"
            );
            ended += usize::from(upstream.closed);
            let tied = upstream.client.map(|client| self.clients.get(client).and_then(Client::upstream));
            assert!(tied.is_none_or(|its| its == Some(key)), "the client of a server's connection");
            idle += usize::from(tied.is_none());
        }
        assert_eq!(handshakes, self.handshakes, "handshakes under way");
        assert_eq!(self.pools.connections(), self.upstreams.len(), "connections that pools count");
        assert_eq!(self.pools.idle(), idle, "idle connections that pools count");
        let live = self.clients.len() + self.upstreams.len() - ended;
        assert!(stack.connections() >= live, "connections of TCP");
        assert_eq!(self.counters.sum(Counter::Accepted), stack.counters().accepted, "connections accepted");
        let classes =
            [Counter::Responses2xx, Counter::Responses3xx, Counter::Responses4xx, Counter::Responses5xx];
        let by_class: u64 = classes.iter().map(|&class| self.counters.sum(class)).sum();
        assert!(by_class <= self.counters.sum(Counter::Responses), "responses by class");
    }

    /// Connections to servers.
    pub(crate) const fn upstreams(&self) -> usize {
        self.upstreams.len()
    }

    /// Nobody's patience ends any more: for a simulation to notice.
    #[cfg(test)]
    pub(crate) fn lose_deadlines(&mut self) {
        for key in keys(|from| self.clients.next_key(from)) {
            self.client_deadlines.clear(key.index());
        }
    }

    fn check_client(&self, key: Key, client: &Client<M>) {
        let upstream = client.upstream();
        let tied = upstream.map(|upstream| self.upstreams.get(upstream).and_then(|its| its.client));
        assert!(tied.is_none_or(|its| its == Some(key)), "the connection that a client is tied to");
        let mut waits = self.client_deadlines.waiting(key.index()).is_some();
        if let Some(upstream) = upstream {
            waits |= self.upstream_deadlines.waiting(upstream.index()).is_some();
        }
        assert!(waits || client.touched, "a client waits without a deadline");
        // Of what it sent no more is here than its window had room for, and a record that an engine had (`levee_tls`
        // counts only what it has itself).
        let held = client.inbound.len() + client.tls.as_ref().map_or(0, levee_tls::Connection::buffered);
        let most = self.config.limits.receive_buffer_bytes + levee_buf::MAX_ROOM;
        assert!(held <= most, "{held} bytes of a client are held");
    }
}

/// All keys of a table.
fn keys(next: impl Fn(usize) -> Option<Key>) -> impl Iterator<Item = Key> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let key = next(from)?;
        from = key.index() + 1;
        Some(key)
    })
}
