//! Which server of a backend gets a request, and the connections kept open to it: `Pools`.
//!
//! One lcore's own view: nothing here is shared between workers, so "fewest connections" means fewest of
//! this worker's. Bounded by the configuration's `keepalive` and `max_connections`.

use crate::config::{Backend, Balance};
use crate::slab::Key;

/// A server: index of its backend, and within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerId {
    pub(crate) backend: u16,
    pub(crate) server: u16,
}

/// What was tried in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tried {
    pub(crate) server: ServerId,
    /// It was a kept connection that was not there any more, as all of that server may be: only a new one will do.
    pub(crate) was_gone: bool,
}

/// The pools of all backends.
pub(crate) struct Pools {
    pools: Vec<Pool>,
}

struct Pool {
    balance: Balance,
    next: usize,
    idle: usize,
    idle_limit: usize,
    connections_limit: usize,
    max_fails: u32,
    fail_timeout_ns: u64,
    servers: Vec<ServerState>,
}

#[derive(Default)]
struct ServerState {
    /// Open connections that wait for a request; the one used last is used first.
    idle: Vec<Key>,
    /// Connections open or being opened, idle ones included.
    connections: usize,
    /// Requests under way.
    busy: usize,
    failures: u32,
    out_until_ns: u64,
}

/// Where a request can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Over this idle connection to this server.
    Reuse(Key, ServerId),
    /// Over a connection yet to be opened to this server.
    Connect(ServerId),
    /// Every server that may be used has as many connections as it may have.
    Full,
}

impl Pools {
    pub(crate) fn new(backends: &[Backend]) -> Self {
        Self { pools: backends.iter().map(Pool::new).collect() }
    }

    /// A server of `backend`, other than the one that was `tried` if there is another.
    ///
    /// A server that failed too often is left out until its time is over; when all are that could be tried, they
    /// are all tried again, since a proxy that refuses everything helps nobody.
    pub(crate) fn choose(&mut self, backend: u16, tried: Option<Tried>, now_ns: u64) -> Choice {
        let pool = &mut self.pools[usize::from(backend)];
        let may_reuse = !tried.is_some_and(|tried| tried.was_gone);
        let tried = tried.map(|tried| usize::from(tried.server.server));
        let Some(server) = pool
            .pick(may_reuse, |index, state| Some(index) != tried && state.out_until_ns <= now_ns)
            .or_else(|| pool.pick(may_reuse, |index, _| Some(index) != tried))
            .or_else(|| pool.pick(may_reuse, |_, _| true))
        else {
            return Choice::Full;
        };
        let id = ServerId { backend, server: u16::try_from(server).unwrap_or(u16::MAX) };
        let state = &mut pool.servers[server];
        state.busy += 1;
        if may_reuse && let Some(key) = state.idle.pop() {
            pool.idle -= 1;
            return Choice::Reuse(key, id);
        }
        state.connections += 1;
        Choice::Connect(id)
    }

    /// A request is done with its connection, which can take another: true if it is kept for one, false
    /// if it is to be closed (and is no longer counted).
    pub(crate) fn give_back(&mut self, id: ServerId, key: Key) -> bool {
        let pool = &mut self.pools[usize::from(id.backend)];
        let state = &mut pool.servers[usize::from(id.server)];
        state.busy -= 1;
        if pool.idle == pool.idle_limit {
            state.connections -= 1;
            return false;
        }
        pool.idle += 1;
        state.idle.push(key);
        true
    }

    /// The server gave a whole response.
    pub(crate) fn answered(&mut self, id: ServerId) {
        let state = self.server(id);
        state.failures = 0;
        state.out_until_ns = 0;
    }

    /// A connection that carried a request, or was being opened for one, is gone.
    pub(crate) fn lost(&mut self, id: ServerId) {
        let state = self.server(id);
        state.busy -= 1;
        state.connections -= 1;
    }

    /// An idle connection is gone.
    pub(crate) fn lost_idle(&mut self, id: ServerId, key: Key) {
        let pool = &mut self.pools[usize::from(id.backend)];
        let state = &mut pool.servers[usize::from(id.server)];
        if let Some(place) = state.idle.iter().position(|&idle| idle == key) {
            state.idle.remove(place);
            state.connections -= 1;
            pool.idle -= 1;
        }
    }

    /// The idle connection that was used longest ago, of some server.
    pub(crate) fn any_idle(&self) -> Option<Key> {
        self.pools.iter().flat_map(|pool| &pool.servers).find_map(|server| server.idle.first()).copied()
    }

    /// The server could not be reached, answered nothing in time, or answered nonsense.
    pub(crate) fn failed(&mut self, id: ServerId, now_ns: u64) {
        let pool = &mut self.pools[usize::from(id.backend)];
        let state = &mut pool.servers[usize::from(id.server)];
        state.failures = state.failures.saturating_add(1);
        if pool.max_fails > 0 && state.failures >= pool.max_fails {
            state.failures = 0;
            state.out_until_ns = now_ns.saturating_add(pool.fail_timeout_ns);
        }
    }

    /// Connections open or being opened, to all backends.
    pub(crate) fn connections(&self) -> usize {
        self.pools.iter().flat_map(|pool| &pool.servers).map(|server| server.connections).sum()
    }

    /// Connections kept idle, to all backends.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn idle(&self) -> usize {
        self.pools.iter().map(|pool| pool.idle).sum()
    }

    fn server(&mut self, id: ServerId) -> &mut ServerState {
        &mut self.pools[usize::from(id.backend)].servers[usize::from(id.server)]
    }
}

impl Pool {
    fn new(backend: &Backend) -> Self {
        let idle_limit = backend.keepalive;
        let server = |_: &_| ServerState { idle: Vec::with_capacity(idle_limit), ..ServerState::default() };
        Self {
            balance: backend.balance,
            next: 0,
            idle: 0,
            idle_limit,
            connections_limit: backend.max_connections,
            max_fails: backend.max_fails,
            fail_timeout_ns: u64::try_from(backend.fail_timeout.as_nanos()).unwrap_or(u64::MAX),
            servers: backend.servers.iter().map(server).collect(),
        }
    }

    fn pick(&mut self, may_reuse: bool, usable: impl Fn(usize, &ServerState) -> bool) -> Option<usize> {
        let count = self.servers.len();
        let turns = (0..count).map(|step| (self.next + step) % count);
        let limit = self.connections_limit;
        let mut open = turns.filter(|&index| {
            let state = &self.servers[index];
            usable(index, state) && (may_reuse && !state.idle.is_empty() || state.connections < limit)
        });
        let chosen = match self.balance {
            Balance::RoundRobin => open.next(),
            Balance::LeastConnections => open.min_by_key(|&index| self.servers[index].busy),
        }?;
        self.next = (chosen + 1) % count;
        Some(chosen)
    }
}

#[cfg(test)]
mod tests;
