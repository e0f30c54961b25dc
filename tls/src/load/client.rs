//! One connection of the load generator: `Client`, its calls in, and what it gives out.

use std::rc::Rc;

use levee_buf::{Chain, Memory, Pieces};
use levee_crypto::{Aead, Direction, Finished};

use super::config::{ClientHandle, ClientOut};
use super::handshake::{Context, Hello, MAX_FLIGHT, MAX_MESSAGE, State};
use super::traffic::Traffic;
use super::{ClientEstablished, Stage};
use crate::config::DEFAULT_KEY_LIMIT;
use crate::ending::{Closing, Ending, Filled, Sender};
use crate::error::{Alert, Error};
use crate::handshake::Message;
use crate::messages::{Assembly, kind};
use crate::record::{ContentType, HEADER, Incoming, Outgoing, Record};
use crate::suite::Version;

/// An idle client takes 800 bytes with chains of 40 bytes: it has seven of them, two keys and, for TLS 1.3,
/// what its keys come from.
const _: () = assert!(size_of::<Client<levee_buf::Heap>>() <= 800);

/// The slot of a handshake.
const _: () = assert!(size_of::<State>() <= 560);

/// The client side of one TLS connection, **without any secrecy**: see [the module](super).
///
/// Once [`Client::release`] was called it may be dropped.
pub struct Client<M: Memory> {
    handle: Rc<ClientHandle>,
    /// The handshake under way; with `traffic`, it is a renegotiation.
    slot: Option<Box<State>>,
    traffic: Option<(ClientEstablished, Traffic)>,
    incoming: Incoming<M>,
    outgoing: Outgoing<M>,
    /// Handshake bytes that are not yet a whole message, or wait until a flight of ours is sent.
    messages: Assembly<M::Chain>,
    plain: M::Chain,
    ending: Ending,
    /// Bytes of handshake messages of the handshake under way.
    flight: u32,
    renegotiated: u32,
    refused: u32,
    started: bool,
    peer_closed: bool,
    released: bool,
    warnings: u8,
}

/// Warning alerts that are taken over the life of a connection.
const MAX_WARNINGS: u8 = 8;

/// The room of a flight of ours: ClientKeyExchange, change_cipher_spec and Finished, each in its record.
const MAX_ANSWER: usize = 256;

impl<M: Memory> Client<M> {
    /// A client that has not sent anything.
    #[must_use]
    pub fn new(handle: &Rc<ClientHandle>) -> Self {
        Self {
            handle: Rc::clone(handle),
            slot: None,
            traffic: None,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            messages: Assembly::default(),
            plain: M::Chain::default(),
            ending: Ending::default(),
            flight: 0,
            renegotiated: 0,
            refused: 0,
            started: false,
            peer_closed: false,
            released: false,
            warnings: 0,
        }
    }

    /// Wire bytes to send: the ClientHello, flights, alerts and KeyUpdates first, then, once the
    /// handshake is complete, records of `plain`, together about `room` bytes. A record is cut to the
    /// room, but not below half a KiB while there is as much to send. What `plain` still holds was not
    /// taken.
    ///
    /// Call after it: [`Client::read`], for what came behind the server's flight.
    pub fn fill(
        &mut self,
        plain: &mut M::Chain,
        room: usize,
        out: &mut ClientOut<'_, M>,
    ) -> Filled<M::Chain> {
        self.fill_room(plain, room, out)
    }

    /// The record of the ClientHello, for who sends a part of it, or byte by byte: once, instead of the
    /// first [`Client::fill`]. `None` when it was given out already, or memory or slots ran out.
    pub fn hello(&mut self, out: &mut ClientOut<'_, M>) -> Option<M::Chain> {
        if self.stage() != Stage::Start || self.ending.closing != Closing::Open {
            return None;
        }
        match self.start(out) {
            Ok(wire) => Some(wire),
            Err(Error::MemoryExhausted) => None,
            Err(error) => {
                _ = self.verdict(Err(error), out);
                None
            }
        }
    }

    /// Takes bytes from the wire, split anywhere, and works on them until they end, or something of
    /// ours must be sent first, or the client waits for an engine. Bytes after an error or the peer's
    /// close_notify are discarded.
    ///
    /// Call after it: [`Client::read`], [`Client::fill`].
    ///
    /// # Errors
    /// The reason the connection is over; [`Client::fill`] has its alert.
    pub fn input(&mut self, wire: M::Chain, out: &mut ClientOut<'_, M>) -> Result<(), Error> {
        if self.ending.failed.is_some() || self.peer_closed || wire.is_empty() {
            return Ok(());
        }
        let result = self.incoming.push(wire, &mut out.records()).and_then(|()| self.run(None, out));
        self.verdict(result, out)
    }

    /// Takes the answer to a record that was sealed or opened.
    ///
    /// # Errors
    /// As [`Client::input`].
    pub fn on_aead(&mut self, finished: Finished<M::Chain>, out: &mut ClientOut<'_, M>) -> Result<(), Error> {
        let result = match finished.direction {
            Direction::Seal => self.outgoing.finished(finished, &mut out.records()),
            Direction::Open if self.ending.failed.is_some() => return Ok(()),
            Direction::Open => {
                let opened = self.incoming.opened(finished, &mut out.records());
                opened.and_then(|record| self.run(record, out))
            }
        };
        self.verdict(result, out)
    }

    /// Submits again what an engine was too busy for; of use when [`Client::wants_resume`].
    ///
    /// # Errors
    /// As [`Client::input`].
    pub fn resume(&mut self, out: &mut ClientOut<'_, M>) -> Result<(), Error> {
        self.ending.starved = false;
        let sealed = self.outgoing.resume(&mut out.records());
        let result = sealed.and_then(|()| {
            if self.ending.failed.is_some() {
                return Ok(());
            }
            self.incoming.resume(&mut out.records()).and_then(|record| self.run(record, out))
        });
        self.verdict(result, out)
    }

    /// Whether an engine or memory refused something: call [`Client::resume`] a turn later.
    #[must_use]
    pub fn wants_resume(&self) -> bool {
        self.ending.starved || self.outgoing.is_stalled() || self.incoming.is_stalled()
    }

    /// Whether bytes given to [`Client::input`] are worked on at once: nothing is waited for, and the peer
    /// may still send.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let parked = self.slot.as_ref().is_some_and(|state| state.wants_write());
        let over = self.released || self.ending.failed.is_some() || self.peer_closed;
        !parked && !over && !self.incoming.is_parked()
    }

    /// Whether [`Client::fill`] has bytes of its own to send, without any plaintext.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        let due = match self.ending.closing {
            Closing::Open => match (&self.slot, &self.traffic) {
                (Some(state), _) => state.wants_write(),
                (None, Some((_, traffic))) => traffic.wants_write(),
                (None, None) => !self.started,
            },
            Closing::Asked(_) => true,
            Closing::Sealed | Closing::Closed => false,
        };
        self.outgoing.has_ready() || due && !self.outgoing.is_parked()
    }

    /// The application bytes decrypted since the last call, in the segments they came in.
    pub fn read(&mut self) -> Option<M::Chain> {
        if self.plain.is_empty() { None } else { Some(self.plain.take()) }
    }

    /// Bytes held: received and not decrypted, decrypted and not read, and of handshake messages that
    /// were not looked at. A record in the hands of the AEAD engine is not among them.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.incoming.buffered() + self.plain.len() + self.messages.len()
    }

    /// Begins another handshake inside the connection, with the next [`Client::fill`]; until it is over no
    /// plaintext is sent. False if that cannot be: the connection is not an established one of TLS 1.2,
    /// there is such a handshake already, or no free slot.
    pub fn renegotiate(&mut self) -> bool {
        let data = self.traffic.as_ref().and_then(|(_, traffic)| traffic.verify_data());
        let free = self.slot.is_none() && self.ending.closing == Closing::Open && !self.peer_closed;
        let Some(data) = data.filter(|_| free) else { return false };
        self.slot = self.handle.take_slot();
        let Some(state) = &mut self.slot else { return false };
        **state = State::Again(data);
        self.flight = 0;
        true
    }

    /// Renegotiations that were completed, and that the server refused: by a warning, and the connection
    /// goes on, or by its end.
    #[must_use]
    pub const fn renegotiations(&self) -> (u32, u32) {
        (self.renegotiated, self.refused)
    }

    /// Queues close_notify behind what was filled: `plain` is not taken any more.
    pub fn close(&mut self) {
        // Without a ClientHello there is nobody to tell.
        self.ending.close(self.started);
    }

    /// How far the first handshake has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        if self.ending.failed.is_some() || self.peer_closed || self.released {
            return Stage::Over;
        }
        match (&self.slot, &self.traffic) {
            (_, Some(_)) => Stage::Established,
            (Some(state), None) if state.has_flight() => Stage::FlightReceived,
            (Some(state), None) if state.has_server_hello() => Stage::HelloReceived,
            _ if self.started => Stage::HelloSent,
            _ => Stage::Start,
        }
    }

    /// What the handshake agreed on, once it is complete; after a renegotiation, what that did.
    #[must_use]
    pub fn handshake(&self) -> Option<&ClientEstablished> {
        self.traffic.as_ref().map(|(established, _)| established)
    }

    /// Why the connection failed.
    #[must_use]
    pub const fn error(&self) -> Option<Error> {
        self.ending.failed
    }

    /// Whether the peer sent close_notify: no more bytes will come, ours may still go.
    #[must_use]
    pub const fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether our close_notify or fatal alert was given out by [`Client::fill`], or there is none:
    /// nothing will be sent any more.
    #[must_use]
    pub fn send_closed(&self) -> bool {
        self.ending.closing == Closing::Closed
    }

    /// Gives the sessions back. Call once, before the client is dropped; operations under way may still
    /// finish, their answers are for nobody.
    pub fn release(&mut self, aead: &mut dyn Aead<M>) {
        self.leave_handshake();
        self.traffic = None;
        self.incoming.release(aead);
        self.outgoing.release(aead);
        self.ending.closing = Closing::Closed;
        self.released = true;
    }

    /// Takes a slot and writes the ClientHello.
    fn start(&mut self, out: &mut ClientOut<'_, M>) -> Result<M::Chain, Error> {
        let handle = Rc::clone(&self.handle);
        let ticket = if handle.options.resume { handle.tickets.borrow_mut().offer() } else { None };
        let wire = handle.hello.alloc(HEADER, ticket.as_deref(), None, out.memory);
        let mut wire = wire.ok_or(Error::MemoryExhausted)?;
        self.slot = handle.take_slot();
        let state = self.slot.as_mut().ok_or(Error::HandshakesFull)?;
        **state = State::Hello(Hello::first(ticket, &mut wire, &handle, out)?);
        self.started = true;
        Ok(wire)
    }

    /// Works on `record` and on what was received, until that ends or something must be waited for.
    fn run(&mut self, record: Option<Record<M::Chain>>, out: &mut ClientOut<'_, M>) -> Result<(), Error> {
        if let Some(record) = record {
            self.record(record, out)?;
        }
        while self.wants_input() {
            if self.message(out)? {
                continue;
            }
            if self.incoming.buffered() > 0 {
                self.install(out)?;
            }
            let Some(record) = self.incoming.next(&mut out.records())? else { return Ok(()) };
            self.record(record, out)?;
        }
        Ok(())
    }

    /// Installs the keys of an established connection before its first record.
    fn install(&mut self, out: &mut ClientOut<'_, M>) -> Result<(), Error> {
        let Some((established, traffic)) = &mut self.traffic else { return Ok(()) };
        traffic.install(established, &mut self.incoming, &mut self.outgoing, out)
    }

    fn record(&mut self, record: Record<M::Chain>, out: &mut ClientOut<'_, M>) -> Result<(), Error> {
        let Record { kind, payload } = record;
        if kind == ContentType::Handshake {
            return self.fragment(payload, out);
        }
        // RFC 8446 section 5.1: other record types MUST NOT be interleaved with a handshake message.
        if !self.messages.is_empty() {
            return Err(Error::InterleavedMessage);
        }
        match (kind, &mut self.slot, &mut self.traffic) {
            (ContentType::Alert, ..) => self.alert(&payload, out),
            (ContentType::ApplicationData, _, Some((_, traffic))) => {
                if !payload.is_empty() {
                    traffic.data();
                    self.plain.append(payload);
                }
                Ok(())
            }
            (ContentType::ChangeCipherSpec, Some(_), _) => {
                if payload.len() != 1 || payload.chunk(0) != [1] {
                    return Err(Error::BadChangeCipherSpec);
                }
                self.step(out, |state, cx| state.change_cipher_spec(cx))
            }
            _ => Err(Error::UnexpectedRecord),
        }
    }

    /// Takes handshake bytes.
    fn fragment(&mut self, payload: M::Chain, out: &mut ClientOut<'_, M>) -> Result<(), Error> {
        if self.slot.is_some() {
            self.flight = self.flight.saturating_add(u32::try_from(payload.len()).unwrap_or(u32::MAX));
            if usize::try_from(self.flight).is_ok_and(|flight| flight > MAX_FLIGHT) {
                return Err(Error::MessageTooLong);
            }
        }
        self.messages.push(payload, out.memory)
    }

    fn alert(&mut self, payload: &M::Chain, out: &mut ClientOut<'_, M>) -> Result<(), Error> {
        const USER_CANCELED: u8 = 90;
        const WARNING: u8 = 1;
        let mut alert = [0; 2];
        if payload.len() != payload.copy_to(0, &mut alert) || payload.len() != alert.len() {
            return Err(Error::BadAlert);
        }
        let [level, code] = alert;
        out.counters.alert_received(code);
        let established = self.handshake().map(|established| established.version);
        let again = established.is_some() && self.slot.is_some();
        if code == Alert::CloseNotify.code() {
            if established.is_none() {
                return Err(Error::AlertReceived);
            }
            self.refused += u32::from(again);
            self.leave_handshake();
            self.peer_closed = true;
            self.incoming.discard();
            return Ok(());
        }
        // RFC 5246 section 7.2.2: no_renegotiation is always a warning, and the connection goes on.
        if level == WARNING && code == Alert::NoRenegotiation.code() && again {
            self.refused += 1;
            self.leave_handshake();
            return Ok(());
        }
        // RFC 8446 section 6.2: all alerts but close_notify and user_canceled are errors, whatever
        // their level says.
        let warns = level == WARNING && established != Some(Version::Tls13);
        if !warns && code != USER_CANCELED {
            self.refused += u32::from(again);
            return Err(Error::AlertReceived);
        }
        self.warnings += 1;
        if self.warnings > MAX_WARNINGS { Err(Error::WarningFlood) } else { Ok(()) }
    }

    /// Takes the handshake message in front, if it is whole.
    fn message(&mut self, out: &mut ClientOut<'_, M>) -> Result<bool, Error> {
        let shaking = self.slot.is_some();
        // It is hashed where it lies, so it may be longer than a segment.
        let limit = |kind| if shaking && kind == kind::CERTIFICATE { MAX_FLIGHT } else { MAX_MESSAGE };
        let Some((kind, length)) = self.messages.front(limit)? else { return Ok(false) };
        let handshake = shaking && (self.traffic.is_none() || kind != kind::HELLO_REQUEST);
        if handshake && kind == kind::CERTIFICATE {
            let mut messages = self.messages.take();
            self.step(out, |state, cx| state.certificate(&messages, length, cx.handle))?;
            messages.trim_front(length);
            self.messages.put(messages);
            return Ok(true);
        }
        self.messages.gather(length, &mut out.records())?;
        let mut messages = self.messages.take();
        let result = messages.chunk(0).get(..length).ok_or(Error::Malformed).and_then(|bytes| {
            let message = Message { kind, bytes, last: messages.len() == length };
            match &mut self.traffic {
                Some((established, traffic)) if !handshake => {
                    traffic.message(&message, established, &self.handle, &mut self.incoming, out)
                }
                _ => self.step(out, |state, cx| state.message(&message, cx)),
            }
        });
        messages.trim_front(length);
        self.messages.put(messages);
        result.map(|()| true)
    }

    /// Consumes the handshake's state for the next one.
    fn step(
        &mut self,
        out: &mut ClientOut<'_, M>,
        step: impl FnOnce(State, &mut Context<'_, '_, M>) -> Result<State, Error>,
    ) -> Result<(), Error> {
        let state = self.slot.as_mut().ok_or(Error::UnexpectedMessage)?;
        let mut cx =
            Context { handle: &self.handle, incoming: &mut self.incoming, outgoing: &mut self.outgoing, out };
        match step(std::mem::replace(state, State::Empty), &mut cx)? {
            State::Done(established, traffic) => {
                out.counters.handshake(established.suite);
                self.renegotiated += u32::from(self.traffic.is_some());
                self.traffic = Some((established, traffic));
                self.leave_handshake();
            }
            next => **state = next,
        }
        Ok(())
    }

    /// The slot goes back, wiped.
    fn leave_handshake(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.handle.give_slot(slot);
        }
    }

    /// Sends the flight that is due, then looks at what came behind the server's.
    fn send_flight(&mut self, out: &mut ClientOut<'_, M>) -> Result<bool, Error> {
        let room = match self.slot.as_deref() {
            Some(State::Again(_)) => self.handle.hello.alloc(MAX_ANSWER, None, None, out.memory),
            _ => out.memory.alloc(MAX_ANSWER),
        };
        let flight = room.ok_or(Error::MemoryExhausted)?;
        // From here on the state is consumed: an error, whatever it is, is the end.
        let result = self.step(out, |state, cx| state.send(flight, cx)).and_then(|()| self.run(None, out));
        _ = self.verdict(result, out);
        Ok(true)
    }
}

impl<M: Memory> Sender<M, ClientOut<'_, M>> for Client<M> {
    fn sending(&mut self) -> (&mut Outgoing<M>, &mut Ending) {
        (&mut self.outgoing, &mut self.ending)
    }

    /// A flight counts as a record.
    fn seal_next(
        &mut self,
        plain: &mut M::Chain,
        room: usize,
        out: &mut ClientOut<'_, M>,
    ) -> Result<bool, Error> {
        if let Closing::Asked(alert) = self.ending.closing {
            self.install(out)?;
            let level = if alert == Alert::CloseNotify { 1 } else { 2 };
            self.outgoing.send_short(ContentType::Alert, &[level, alert.code()], &mut out.records())?;
            self.ending.closing = Closing::Sealed;
            return Ok(true);
        }
        if self.ending.closing != Closing::Open {
            return Ok(false);
        }
        match (&self.slot, &mut self.traffic) {
            (None, None) if !self.started => {
                let hello = self.start(out)?;
                self.outgoing.send(hello);
            }
            (Some(state), _) if state.wants_write() => return self.send_flight(out),
            (None, Some((established, traffic))) => {
                if !plain.is_empty() {
                    traffic.install(established, &mut self.incoming, &mut self.outgoing, out)?;
                }
                let worn = self.outgoing.sealed() >= DEFAULT_KEY_LIMIT;
                if !plain.is_empty() && worn && !traffic.renew() {
                    return Err(Error::KeyLimit);
                }
                if traffic.wants_write() {
                    traffic.send(established, &mut self.outgoing, out)?;
                } else if plain.is_empty() {
                    return Ok(false);
                } else {
                    self.outgoing.send_data(plain, room, &mut out.records())?;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn verdict(&mut self, result: Result<(), Error>, out: &mut ClientOut<'_, M>) -> Result<(), Error> {
        let Err(error) = result else { return Ok(()) };
        if self.ending.fail(error, self.started) {
            out.counters.error(error);
        }
        self.leave_handshake();
        self.incoming.discard();
        self.messages = Assembly::default();
        self.plain = M::Chain::default();
        Err(error)
    }
}

impl<M: Memory> Drop for Client<M> {
    fn drop(&mut self) {
        self.leave_handshake();
    }
}
