//! One connection: `Connection`, its calls in, and what it gives out.
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

use std::rc::Rc;

use levee_buf::{Chain, Memory, Pieces};
use levee_crypto::{Aead, Direction, Done, Finished};

use crate::ending::{Closing, Ending, Filled, Sender};
use crate::error::{Alert, Error};
use crate::handshake::{Context, Established, Message, State, Traffic};
use crate::messages::Assembly;
use crate::record::{ContentType, Incoming, Outgoing, Record};
use crate::server::{Out, Server, Slot};
use crate::suite::Version;

/// An idle connection takes 600 bytes with chains of 40 bytes, and 432 with the 16 of packet buffers: it
/// has seven of them, two keys with the traffic secrets they come from, and room for a transcript's digest.
const _: () = assert!(size_of::<Connection<levee_buf::Heap>>() <= 600);

/// The server side of one TLS connection.
///
/// Once [`Connection::release`] was called it may be dropped.
pub struct Connection<M: Memory> {
    server: Rc<Server<M>>,
    phase: Phase<M::Chain>,
    incoming: Incoming<M>,
    outgoing: Outgoing<M>,
    /// Handshake bytes that are not yet a whole message, or wait for a job.
    messages: Assembly<M::Chain>,
    plain: M::Chain,
    ending: Ending,
    peer_closed: bool,
    warnings: u8,
}

enum Phase<C> {
    Fresh,
    Handshake(Box<Slot<C>>),
    Traffic(Traffic),
    Over,
}

/// Warning alerts that are taken over the life of a connection.
const MAX_WARNINGS: u8 = 8;

impl<M: Memory> Connection<M> {
    /// A connection that has not received anything.
    #[must_use]
    pub fn server(server: &Rc<Server<M>>) -> Self {
        Self {
            server: Rc::clone(server),
            phase: Phase::Fresh,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            messages: Assembly::default(),
            plain: M::Chain::default(),
            ending: Ending::default(),
            peer_closed: false,
            warnings: 0,
        }
    }

    /// Takes bytes from the wire, split anywhere, and works on them until they end or the connection
    /// waits for an engine. Bytes after an error or the peer's close_notify are discarded.
    ///
    /// Call after it: [`Connection::read`], [`Connection::fill`].
    ///
    /// # Errors
    /// The reason the connection is over; [`Connection::fill`] has its alert.
    pub fn input(&mut self, wire: M::Chain, out: &mut Out<'_, M>) -> Result<(), Error> {
        if self.ending.failed.is_some() || self.peer_closed || wire.is_empty() {
            return Ok(());
        }
        let result = self.incoming.push(wire, &mut out.records()).and_then(|()| self.run(None, out));
        self.verdict(result, out)
    }

    /// Takes the answer to a job. An answer that comes after an error is dropped.
    ///
    /// # Errors
    /// As [`Connection::input`].
    pub fn on_job(&mut self, done: Done, out: &mut Out<'_, M>) -> Result<(), Error> {
        if self.ending.failed.is_some() {
            return Ok(());
        }
        let result = self.step(out, |state, cx| state.resume(done, cx)).and_then(|()| self.run(None, out));
        self.verdict(result, out)
    }

    /// Takes the answer to a record that was sealed or opened.
    ///
    /// # Errors
    /// As [`Connection::input`].
    pub fn on_aead(&mut self, finished: Finished<M::Chain>, out: &mut Out<'_, M>) -> Result<(), Error> {
        let result = match finished.direction {
            Direction::Seal => self.outgoing.finished(finished, &mut out.records()),
            Direction::Open if self.ending.failed.is_some() => return Ok(()),
            Direction::Open => {
                self.incoming.opened(finished, &mut out.records()).and_then(|record| self.run(record, out))
            }
        };
        self.verdict(result, out)
    }

    /// Submits again what an engine was too busy for; of use when [`Connection::wants_resume`].
    ///
    /// # Errors
    /// As [`Connection::input`].
    pub fn resume(&mut self, out: &mut Out<'_, M>) -> Result<(), Error> {
        self.ending.starved = false;
        if let Phase::Handshake(slot) = &mut self.phase
            && let Some(job) = slot.job.take()
        {
            slot.job = out.engine.submit(out.token, job).err();
        }
        let sealed = self.outgoing.resume(&mut out.records());
        let result = sealed.and_then(|()| {
            if self.ending.failed.is_some() {
                return Ok(());
            }
            self.incoming.resume(&mut out.records()).and_then(|record| self.run(record, out))
        });
        self.verdict(result, out)
    }

    /// Whether an engine or memory refused something: call [`Connection::resume`] a turn later.
    #[must_use]
    pub fn wants_resume(&self) -> bool {
        let job = matches!(&self.phase, Phase::Handshake(slot) if slot.job.is_some());
        job || self.ending.starved || self.outgoing.is_stalled() || self.incoming.is_stalled()
    }

    /// Whether bytes given to [`Connection::input`] are worked on at once: nothing is waited for, and
    /// the peer may still send.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let parked = match &self.phase {
            Phase::Fresh | Phase::Traffic(_) => false,
            Phase::Handshake(slot) => !slot.state.wants_input(),
            Phase::Over => true,
        };
        !parked && !self.incoming.is_parked() && self.ending.failed.is_none() && !self.peer_closed
    }

    /// The application bytes decrypted since the last call, in the segments they came in.
    pub fn read(&mut self) -> Option<M::Chain> {
        if self.plain.is_empty() { None } else { Some(self.plain.take()) }
    }

    /// Bytes held: received and not decrypted, decrypted and not read, and of an unfinished handshake
    /// message. A record in the hands of the AEAD engine (at most 16,645 bytes) is not among them.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.incoming.buffered() + self.plain.len() + self.messages.len()
    }

    /// Segments that the bytes of [`Connection::buffered`] lie in: those that came in very many are copied together.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.incoming.segments() + self.plain.segments() + self.messages.segments()
    }

    /// Wire bytes to send: flights, alerts and KeyUpdates first, then records of `plain`, together about
    /// `room` bytes. A record is cut to the room, but not below half a KiB while there is as much to
    /// send. What `plain` still holds was not taken.
    pub fn fill(&mut self, plain: &mut M::Chain, room: usize, out: &mut Out<'_, M>) -> Filled<M::Chain> {
        self.fill_room(plain, room, out)
    }

    /// Queues close_notify behind what was filled: `plain` is not taken any more.
    pub fn close(&mut self) {
        // Without a ClientHello there is nobody to tell.
        self.ending.close(!matches!(self.phase, Phase::Fresh));
    }

    /// What the handshake agreed on, once it is complete.
    #[must_use]
    pub const fn handshake(&self) -> Option<&Established> {
        match &self.phase {
            Phase::Traffic(traffic) => Some(&traffic.established),
            _ => None,
        }
    }

    /// Whether the handshake is complete and the connection has not failed.
    #[must_use]
    pub const fn is_established(&self) -> bool {
        self.handshake().is_some()
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

    /// Whether our close_notify or fatal alert was given out by [`Connection::fill`], or there is none:
    /// nothing will be sent any more.
    #[must_use]
    pub fn send_closed(&self) -> bool {
        self.ending.closing == Closing::Closed
    }

    /// Whether [`Connection::fill`] has bytes of its own to send, without any plaintext.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        let due = match self.ending.closing {
            Closing::Open => matches!(&self.phase, Phase::Traffic(traffic) if traffic.wants_write()),
            Closing::Asked(_) => true,
            Closing::Sealed | Closing::Closed => false,
        };
        self.outgoing.has_ready() || due && !self.outgoing.is_parked()
    }

    /// Gives the sessions back. Call once, before the connection is dropped; operations and jobs under
    /// way may still finish, their answers are for nobody.
    pub fn release(&mut self, aead: &mut dyn Aead<M>) {
        self.leave_handshake(Phase::Over);
        self.incoming.release(aead);
        self.outgoing.release(aead);
        self.ending.closing = Closing::Closed;
    }

    /// Works on `record` and on what was received, until that ends or something must be waited for.
    fn run(&mut self, record: Option<Record<M::Chain>>, out: &mut Out<'_, M>) -> Result<(), Error> {
        if let Some(record) = record {
            self.record(record, out)?;
        }
        while self.wants_input() {
            if self.message(out)? {
                continue;
            }
            if self.incoming.awaits_secret() {
                self.derive_secrets();
            }
            let Some(record) = self.incoming.next(&mut out.records())? else { return Ok(()) };
            self.record(record, out)?;
        }
        Ok(())
    }

    /// Derives the secrets of application data of TLS 1.3, before the first record of either direction: many
    /// connections of a flood never have one.
    fn derive_secrets(&mut self) {
        self.incoming.divide(|finished| self.outgoing.divide(finished));
    }

    fn record(&mut self, record: Record<M::Chain>, out: &mut Out<'_, M>) -> Result<(), Error> {
        let Record { kind, payload } = record;
        if kind == ContentType::Handshake {
            return self.messages.push(payload, out.memory);
        }
        // RFC 8446 section 5.1: other record types MUST NOT be interleaved with a handshake message.
        if !self.messages.is_empty() {
            return Err(Error::InterleavedMessage);
        }
        match (kind, &mut self.phase) {
            (ContentType::Alert, _) => self.alert(&payload, out),
            (ContentType::ApplicationData, Phase::Traffic(traffic)) => {
                if !payload.is_empty() {
                    traffic.data();
                    self.plain.append(payload);
                }
                Ok(())
            }
            (ContentType::ChangeCipherSpec, Phase::Handshake(_)) => {
                if payload.len() != 1 || payload.chunk(0) != [1] {
                    return Err(Error::BadChangeCipherSpec);
                }
                self.step(out, |state, cx| state.change_cipher_spec(cx))
            }
            _ => Err(Error::UnexpectedRecord),
        }
    }

    fn alert(&mut self, payload: &M::Chain, out: &mut Out<'_, M>) -> Result<(), Error> {
        const USER_CANCELED: u8 = 90;
        const WARNING: u8 = 1;
        let mut alert = [0; 2];
        if payload.len() != payload.copy_to(0, &mut alert) || payload.len() != alert.len() {
            return Err(Error::BadAlert);
        }
        let [level, code] = alert;
        out.counters.alert_received(code);
        if code == Alert::CloseNotify.code() {
            if !self.is_established() {
                return Err(Error::AlertReceived);
            }
            self.peer_closed = true;
            self.incoming.discard();
            return Ok(());
        }
        // RFC 8446 section 6: all alerts but close_notify and user_canceled are errors, whatever their level says;
        // RFC 5246 section 7.2: the level says it.
        let warns = if self.is_tls13() { code == USER_CANCELED } else { level == WARNING };
        if !warns {
            return Err(Error::AlertReceived);
        }
        self.warnings += 1;
        if self.warnings > MAX_WARNINGS { Err(Error::WarningFlood) } else { Ok(()) }
    }

    /// Whether TLS 1.3 was chosen.
    const fn is_tls13(&self) -> bool {
        match &self.phase {
            Phase::Handshake(slot) => slot.state.is_tls13(),
            Phase::Traffic(traffic) => matches!(traffic.established.version, Version::Tls13),
            Phase::Fresh | Phase::Over => false,
        }
    }

    /// Takes the handshake message in front, if it is whole.
    fn message(&mut self, out: &mut Out<'_, M>) -> Result<bool, Error> {
        let limit = match &self.phase {
            Phase::Fresh => State::<M::Chain>::default().limit(),
            Phase::Handshake(slot) => slot.state.limit(),
            Phase::Traffic(traffic) => traffic.limit(),
            Phase::Over => 0,
        };
        let Some((kind, length)) = self.messages.front(|_| limit)? else { return Ok(false) };
        self.messages.gather(length, &mut out.records())?;
        let mut messages = self.messages.take();
        let result = messages.chunk(0).get(..length).ok_or(Error::Malformed).and_then(|bytes| {
            let message = Message { kind, bytes, last: messages.len() == length };
            match &mut self.phase {
                Phase::Traffic(traffic) => traffic.message(&message, &mut self.incoming, out),
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
        out: &mut Out<'_, M>,
        step: impl FnOnce(State<M::Chain>, &mut Context<'_, '_, M>) -> Result<State<M::Chain>, Error>,
    ) -> Result<(), Error> {
        if matches!(self.phase, Phase::Fresh) {
            let slot = self.server.take_slot().ok_or(Error::HandshakesFull)?;
            self.phase = Phase::Handshake(slot);
        }
        let Phase::Handshake(slot) = &mut self.phase else { return Err(Error::UnexpectedCompletion) };
        let Slot { state, transcript, job } = slot.as_mut();
        let mut cx = Context {
            config: self.server.config(),
            shares: self.server.shares(),
            incoming: &mut self.incoming,
            outgoing: &mut self.outgoing,
            transcript,
            job,
            out,
        };
        match step(std::mem::replace(state, State::Poisoned), &mut cx)? {
            State::Done(traffic) => {
                out.counters.handshake(traffic.established.suite);
                self.leave_handshake(Phase::Traffic(traffic));
            }
            next => *state = next,
        }
        Ok(())
    }

    /// Goes on to `next`; the slot goes back, wiped.
    fn leave_handshake(&mut self, next: Phase<M::Chain>) {
        if let Phase::Handshake(slot) = std::mem::replace(&mut self.phase, next) {
            self.server.give_slot(slot);
        }
    }
}

impl<M: Memory> Sender<M, Out<'_, M>> for Connection<M> {
    fn sending(&mut self) -> (&mut Outgoing<M>, &mut Ending) {
        (&mut self.outgoing, &mut self.ending)
    }

    fn seal_next(&mut self, plain: &mut M::Chain, room: usize, out: &mut Out<'_, M>) -> Result<bool, Error> {
        if self.outgoing.is_undivided() && (!plain.is_empty() || self.wants_write()) {
            self.derive_secrets();
        }
        match (self.ending.closing, &mut self.phase) {
            (Closing::Asked(alert), _) => {
                let level = if alert == Alert::CloseNotify { 1 } else { 2 };
                self.outgoing.send_short(ContentType::Alert, &[level, alert.code()], &mut out.records())?;
                self.ending.closing = Closing::Sealed;
            }
            (Closing::Open, Phase::Traffic(traffic)) => {
                let worn = self.outgoing.sealed() >= self.server.config().options.key_limit;
                if !plain.is_empty() && worn && !traffic.renew() {
                    return Err(Error::KeyLimit);
                }
                if traffic.wants_write() {
                    traffic.send(&mut self.outgoing, out)?;
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

    fn verdict(&mut self, result: Result<(), Error>, out: &mut Out<'_, M>) -> Result<(), Error> {
        let Err(error) = result else { return Ok(()) };
        if self.ending.fail(error, true) {
            out.counters.error(error);
        }
        self.leave_handshake(Phase::Over);
        self.incoming.discard();
        self.messages = Assembly::default();
        self.plain = M::Chain::default();
        Err(error)
    }
}

impl<M: Memory> Drop for Connection<M> {
    fn drop(&mut self) {
        self.leave_handshake(Phase::Over);
    }
}
