//! The connections of one lcore and what they share: `Sessions`.
//!
//! TCP below, TLS beside it and HTTP above know nothing of each other; they meet here. Whatever happens to
//! a client, or to the backend connection it is tied to, ends in [`Sessions::pump`], which moves the
//! client as far as it can go and is called again when there is more.
//!
//! | file | job |
//! |---|---|
//! | `mod` | what happens: TCP, TLS, deadlines; whom it concerns |
//! | `client` | a client connection and its phases |
//! | `request` | a request's head becomes an action |
//! | `exchange` | a request under way: bodies and the response |
//! | `response` | a backend's head becomes the client's |
//! | `cached` | answers out of the cache, and into it |
//! | `backend` | connections to backends: opened, lost, tried again |
//! | `tunnel` | bytes both ways after an upgrade |
//! | `pace` | room in TCP windows, and deadlines |
//! | `notice` | what other lcores are told |
//! | `seal` | what TCP asks for at transmit time |
//! | `thin` | bytes in far too many segments |
//! | `crypto` | the engines, lent for a call |
//! | `check` | for simulations: what holds between turns |

mod backend;
mod cached;
#[cfg(any(test, feature = "simulation"))]
mod check;
mod client;
mod crypto;
mod exchange;
mod notice;
mod pace;
mod request;
mod response;
mod seal;
mod thin;
mod tunnel;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use levee_buf::{Chain, Memory, Pieces};
use levee_crypto::{Done, Finished, Token};
use levee_tcp::{ConnId, Instant, Ready, Stack};
use levee_tls::Server;

pub(crate) use crypto::{Crypto, KeyLog};

use crate::config::Config;
use crate::deadlines::Deadlines;
use crate::log::Log;
use crate::metrics::{Counter, Counters};
use crate::route::Routes;
use crate::slab::{Key, Slab};
use crate::steer::Steering;
use crate::upstream::Upstream;
use crate::upstream::pool::Pools;
use client::{Client, Phase, Wait};

/// The time of a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Of a monotonic clock.
    pub instant: Instant,
    /// Milliseconds since 1970, UTC.
    pub unix_ms: u64,
}

/// All connections of one lcore.
pub(crate) struct Sessions<M: Memory> {
    config: Arc<Config>,
    /// By listener; `None` where it is plain.
    tls: Vec<Option<Rc<Server<M>>>>,
    routes: Routes,
    memory: M,
    crypto: Crypto<M>,
    cache: Option<levee_cache::Store<M>>,
    http_limits: levee_http::Limits,
    clients: Slab<Client<M>>,
    upstreams: Slab<Upstream<M>>,
    pools: Pools,
    /// By slot of the TCP connection.
    owners: Vec<Owner>,
    client_deadlines: Deadlines,
    upstream_deadlines: Deadlines,
    /// Clients to be looked at.
    touched: VecDeque<Key>,
    handshakes: usize,
    /// For the other workers.
    notices: VecDeque<M::Chain>,
    steering: Steering,
    log: Log,
    /// Whether a line for each request is wanted.
    access_log: bool,
    now: Now,
    date: Date,
    /// No further requests: the process is stopping.
    draining: bool,
    pub(crate) counters: Counters,
}

/// Whose TCP connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Client(Key),
    Upstream(Key),
    Nobody,
}

/// What a worker's sessions are built from.
pub(crate) struct Parts<M: Memory> {
    pub(crate) config: Arc<Config>,
    pub(crate) tls: Vec<Option<Rc<Server<M>>>>,
    pub(crate) memory: M,
    pub(crate) crypto: Crypto<M>,
    pub(crate) cache: Option<levee_cache::Store<M>>,
    pub(crate) steering: Steering,
    pub(crate) log: Log,
    pub(crate) now: Now,
}

impl<M: Memory> Sessions<M> {
    /// No connection yet; all memory they will use but packet memory is reserved here.
    #[must_use]
    pub(crate) fn new(parts: Parts<M>) -> Self {
        let config = parts.config;
        let capacity = config.workers.connections;
        let timeouts = &config.timeouts;
        let client_waits = Wait::ALL.map(|wait| {
            nanoseconds(match wait {
                Wait::Handshake => timeouts.handshake,
                Wait::RequestHead => timeouts.request_head,
                Wait::RequestBody => timeouts.request_body_idle,
                Wait::ResponseTaken => timeouts.response_idle,
                Wait::Keepalive => timeouts.keepalive,
                Wait::Tunnel => timeouts.tunnel_idle,
                Wait::Linger => timeouts.linger,
                Wait::Fetch => pace::FETCH_BY_ANOTHER,
            })
        });
        let upstream_waits: Vec<_> = config
            .backends
            .iter()
            .flat_map(|backend| [backend.connect_timeout, backend.response_timeout].map(nanoseconds))
            .collect();
        Self {
            tls: parts.tls,
            routes: Routes::new(config.routes.clone()),
            memory: parts.memory,
            crypto: parts.crypto,
            cache: parts.cache,
            http_limits: levee_http::Limits {
                head_bytes: config.limits.header_bytes,
                request_line: config.limits.request_line_bytes,
                fields: config.limits.header_fields,
            },
            clients: Slab::new(capacity),
            upstreams: Slab::new(capacity),
            pools: Pools::new(&config.backends),
            owners: vec![Owner::Nobody; capacity],
            client_deadlines: Deadlines::new(capacity, &client_waits),
            upstream_deadlines: Deadlines::new(capacity, &upstream_waits),
            touched: VecDeque::with_capacity(capacity),
            handshakes: 0,
            notices: VecDeque::with_capacity(notice::NOTICES),
            steering: parts.steering,
            access_log: config.log.access.is_some(),
            log: parts.log,
            now: parts.now,
            date: Date::at(parts.now),
            draining: false,
            counters: Counters::default(),
            config,
        }
    }

    /// Starts a turn at `now`.
    pub(crate) fn start_turn(&mut self, now: Now) {
        self.now = now;
        self.date.advance(now);
    }

    /// Something happened to a TCP connection.
    pub(crate) fn on_ready(&mut self, id: ConnId, ready: Ready, stack: &mut Stack<M>) {
        if let Some(listener) = ready.accepted {
            self.accept(id, listener, stack);
        }
        match self.owner(id) {
            Owner::Client(key) => self.on_client(key, ready, stack),
            Owner::Upstream(key) => self.on_upstream(key, ready, stack),
            Owner::Nobody => {}
        }
    }

    /// A public-key job is done.
    pub(crate) fn on_job(&mut self, token: Token, done: Done, stack: &mut Stack<M>) {
        self.step_tls(Key::from_u64(token.0), stack, |tls, out| tls.on_job(done, out));
    }

    /// An AEAD operation is finished.
    pub(crate) fn on_aead(&mut self, token: Token, finished: Finished<M::Chain>, stack: &mut Stack<M>) {
        self.step_tls(Key::from_u64(token.0), stack, |tls, out| tls.on_aead(finished, out));
    }

    /// Runs the public-key engine and hands its results to the connections that wait for them.
    pub(crate) fn run_engine(&mut self, stack: &mut Stack<M>) {
        self.crypto.witness(self.now.instant.0);
        self.crypto.engine.run();
        while let Some((token, done)) = self.crypto.engine.completed() {
            self.on_job(token, done, stack);
        }
    }

    /// Lets the public-key engine do what later jobs will need.
    pub(crate) fn work_ahead(&mut self, now_ns: u64) {
        self.crypto.witness(now_ns);
        self.crypto.engine.work_ahead(now_ns);
    }

    /// What the public-key engine tells of itself.
    pub(crate) fn account_of_engine(&self, say: &mut dyn FnMut(&str, u64)) {
        self.crypto.engine.account(say);
    }

    /// What the AEAD engine tells of itself.
    pub(crate) fn account_of_aead(&self, say: &mut dyn FnMut(&str, u64)) {
        self.crypto.aead.account(say);
    }

    /// Public-key jobs that wait.
    #[must_use]
    pub(crate) fn jobs(&self) -> usize {
        self.crypto.engine.in_flight()
    }

    /// Hands gathered AEAD operations to the device and finished ones to their connections.
    pub(crate) fn run_aead(&mut self, stack: &mut Stack<M>) {
        self.crypto.aead.flush();
        while let Some((token, finished)) = self.crypto.aead.completed() {
            self.on_aead(token, finished, stack);
        }
    }

    /// Looks at the clients to whom something happened.
    pub(crate) fn run_touched(&mut self, stack: &mut Stack<M>) {
        for _ in 0..self.touched.len() {
            let Some(key) = self.touched.pop_front() else { return };
            let Some(client) = self.clients.get_mut(key) else { continue };
            client.touched = false;
            if client.tls.as_ref().is_some_and(levee_tls::Connection::wants_resume) {
                self.step_tls(key, stack, |tls, out| tls.resume(out));
            }
            self.pump(key, stack);
        }
    }

    /// Ends idle connections at once and the others after the request under way.
    pub(crate) fn drain(&mut self, stack: &mut Stack<M>) {
        self.draining = true;
        let mut next = 0;
        while let Some(key) = self.clients.next_key(next) {
            next = key.index() + 1;
            if let Some(client) = self.clients.get_mut(key)
                && matches!(client.phase, Phase::Request)
                && client.inbound.is_empty()
            {
                client.phase = Phase::Closing;
                self.pump(key, stack);
            }
        }
    }

    /// Resets every connection and forgets it, and what is cached.
    pub(crate) fn abort_all(&mut self, stack: &mut Stack<M>) {
        let mut next = 0;
        while let Some(key) = self.clients.next_key(next) {
            next = key.index() + 1;
            self.drop_client(key, stack);
        }
        next = 0;
        while let Some(key) = self.upstreams.next_key(next) {
            next = key.index() + 1;
            self.drop_upstream(key, stack);
        }
        if let Some(cache) = &mut self.cache {
            cache.purge_all();
        }
    }

    /// Something is to be done though nothing arrives.
    #[must_use]
    pub(crate) fn has_work(&self) -> bool {
        !self.touched.is_empty() || self.crypto.engine.in_flight() > 0
    }

    /// What is still held, by name: nothing, once every connection was aborted.
    #[must_use]
    pub(crate) fn held(&self) -> [(&'static str, usize); 5] {
        [
            ("clients", self.clients.len()),
            ("handshakes", self.handshakes),
            ("upstreams", self.upstreams.len()),
            ("pool_connections", self.pools.connections()),
            ("keys", self.crypto.aead.keys()),
        ]
    }

    /// Records that were copied whole: by TLS, or for a crypto device.
    #[must_use]
    pub(crate) fn copied_records(&self) -> u64 {
        self.crypto.counters.copied + self.crypto.aead.copied()
    }

    /// What TLS counts.
    #[must_use]
    pub(crate) const fn tls_counters(&self) -> &levee_tls::Counters {
        &self.crypto.counters
    }

    /// What the cache counts.
    #[must_use]
    pub(crate) fn cache_counters(&self) -> Option<&levee_cache::Counters> {
        self.cache.as_ref().map(levee_cache::Store::counters)
    }

    /// Connections to clients.
    #[must_use]
    pub(crate) const fn clients(&self) -> usize {
        self.clients.len()
    }

    fn accept(&mut self, id: ConnId, listener: u16, stack: &mut Stack<M>) {
        self.counters.count(Counter::Accepted);
        if self.draining {
            stack.abort(id);
            return;
        }
        let tls = self.tls.get(usize::from(listener)).cloned().flatten();
        let limit = self.config.limits.handshakes;
        if tls.is_some() && self.handshakes >= limit {
            self.counters.count(Counter::ShedHandshakes);
            stack.abort(id);
            return;
        }
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let handshake = tls.is_some();
        let tls = tls.map(|server| levee_tls::Connection::server(&server));
        let client = Client::new(id, listener, stack.peer(id).unwrap_or(nowhere), tls);
        let Ok(key) = self.clients.insert(client) else {
            self.counters.count(Counter::ShedClientTable);
            stack.abort(id);
            return;
        };
        self.handshakes += usize::from(handshake);
        self.set_owner(id, Owner::Client(key));
        self.touch(key);
    }

    fn on_client(&mut self, key: Key, ready: Ready, stack: &mut Stack<M>) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if ready.readable {
            let bytes = stack.recv(client.conn);
            client.received += bytes.len();
            client.progress |= !bytes.is_empty() && !client.is_ending();
            match client.phase {
                Phase::Closing | Phase::Lingering => {}
                _ if client.tls.is_some() => self.step_tls(key, stack, |tls, out| tls.input(bytes, out)),
                _ => client.inbound.append(bytes),
            }
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        client.fin |= ready.fin;
        client.see_end();
        if ready.closed.is_some() {
            if !matches!(client.phase, Phase::Lingering) && !client.fin {
                self.counters.count(Counter::ClientsLost);
            }
            self.forget_client(key, stack);
            return;
        }
        self.touch(key);
    }

    /// One step of a client's TLS connection, and what follows from it.
    fn step_tls(
        &mut self,
        key: Key,
        stack: &mut Stack<M>,
        step: impl FnOnce(
            &mut levee_tls::Connection<M>,
            &mut levee_tls::Out<'_, M>,
        ) -> Result<(), levee_tls::Error>,
    ) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(tls) = &mut client.tls else { return };
        let result = step(tls, &mut self.crypto.out(&self.memory, key));
        while let Some(plain) = tls.read() {
            client.inbound.append(plain);
        }
        if thin::thicken(&self.memory, &mut client.inbound) {
            self.counters.count(Counter::Thickened);
        }
        client.see_end();
        if result.is_err() {
            self.fail_tls(key, stack);
        } else if matches!(client.phase, Phase::Handshake)
            && client.tls.as_ref().is_some_and(levee_tls::Connection::is_established)
        {
            self.counters.count(Counter::Handshakes);
            let idle = self.draining && client.inbound.is_empty();
            self.set_phase(key, if idle { Phase::Closing } else { Phase::Request });
        }
        self.touch(key);
    }

    /// Ends a client whose TLS connection has failed: its alert is still to go out, and nothing else.
    fn fail_tls(&mut self, key: Key, stack: &mut Stack<M>) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.outbound = M::Chain::default();
        if !client.is_ending() {
            self.counters.count(Counter::TlsErrors);
            self.end_exchange_of(key, stack);
            self.set_phase(key, Phase::Closing);
        }
    }

    /// Moves a client as far as it can go, and says what it waits for then.
    fn pump(&mut self, key: Key, stack: &mut Stack<M>) {
        // Sealing can fail as well, when TCP asks for bytes.
        if self.clients.get(key).and_then(|client| client.tls.as_ref()?.error()).is_some() {
            self.fail_tls(key, stack);
        }
        loop {
            let Some(client) = self.clients.get_mut(key) else { return };
            let again = match client.phase {
                Phase::Handshake if client.peer_done => {
                    self.set_phase(key, Phase::Closing);
                    true
                }
                Phase::Request => self.read_request(key, stack),
                Phase::Exchange(_) => self.advance_exchange(key, stack),
                Phase::Tunnel(upstream) => self.advance_tunnel(key, upstream, stack),
                Phase::Closing | Phase::Lingering => {
                    client.inbound = M::Chain::default();
                    if matches!(client.phase, Phase::Lingering) && client.fin {
                        self.forget_client(key, stack);
                        return;
                    }
                    false
                }
                Phase::Handshake => false,
            };
            if !again {
                break;
            }
        }
        self.settle(key, stack);
    }

    /// Changes what a client is doing, and keeps the count of handshakes true.
    fn set_phase(&mut self, key: Key, phase: Phase<M>) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let before = matches!(client.phase, Phase::Handshake);
        client.phase = phase;
        self.handshakes -= usize::from(before);
    }

    /// Resets a client's connection and forgets it.
    fn drop_client(&mut self, key: Key, stack: &mut Stack<M>) {
        let Some(client) = self.clients.get(key) else { return };
        stack.abort(client.conn);
        self.forget_client(key, stack);
    }

    /// Lets a client's connection end by itself and forgets it.
    fn forget_client(&mut self, key: Key, stack: &mut Stack<M>) {
        self.stop_waiting(key);
        self.end_exchange_of(key, stack);
        self.client_deadlines.clear(key.index());
        let Some(mut client) = self.clients.remove(key) else { return };
        self.handshakes -= usize::from(matches!(client.phase, Phase::Handshake));
        if let Some(tls) = &mut client.tls {
            tls.release(&mut *self.crypto.aead);
        }
        self.disown(client.conn, Owner::Client(key));
        stack.release(client.conn);
    }

    /// Has the client looked at before the turn ends.
    fn touch(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key)
            && !std::mem::replace(&mut client.touched, true)
        {
            self.touched.push_back(key);
        }
    }

    fn owner(&self, id: ConnId) -> Owner {
        let owner = self.owners.get(id.slot()).copied().unwrap_or(Owner::Nobody);
        let conn = match owner {
            Owner::Client(key) => self.clients.get(key).map(|client| client.conn),
            Owner::Upstream(key) => self.upstreams.get(key).map(|upstream| upstream.conn),
            Owner::Nobody => None,
        };
        if conn == Some(id) { owner } else { Owner::Nobody }
    }

    fn set_owner(&mut self, id: ConnId, owner: Owner) {
        if let Some(place) = self.owners.get_mut(id.slot()) {
            *place = owner;
        }
    }

    /// `owner` is gone; the slot may be another's already, since TCP gives it out again at once.
    fn disown(&mut self, id: ConnId, owner: Owner) {
        if let Some(place) = self.owners.get_mut(id.slot())
            && *place == owner
        {
            *place = Owner::Nobody;
        }
    }
}

/// The HTTP date of the turn, formatted once a second.
struct Date {
    second: u64,
    text: [u8; 29],
}

impl Date {
    fn at(now: Now) -> Self {
        let second = now.unix_ms / 1000;
        Self { second, text: levee_http::format_http_date(second) }
    }

    const fn text(&self) -> &[u8; 29] {
        &self.text
    }

    fn advance(&mut self, now: Now) {
        if now.unix_ms / 1000 != self.second {
            *self = Self::at(now);
        }
    }
}

fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
