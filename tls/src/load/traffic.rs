//! After the client's handshake: tickets and KeyUpdates of TLS 1.3, what a renegotiation of TLS 1.2 has
//! to know.

use levee_buf::{Memory, Reader, Writer};

use super::ClientEstablished;
use super::config::{ClientHandle, ClientOut};
use super::tickets::{Secret, Ticket};
use super::tls13::{Ready, Secrets, install};
use crate::codec::end;
use crate::error::Error;
use crate::handshake::Message;
use crate::messages::server_hello::NewSessionTicket;
use crate::messages::{SessionId, kind, server_flight};
use crate::record::{ContentType, Incoming, Outgoing};

/// Messages that are taken without application data between them.
const MAX_MESSAGES: u8 = 32;

/// The Finished of both sides (RFC 5746 section 3.1).
#[derive(Clone, Copy)]
pub(super) struct VerifyData {
    pub(super) client: [u8; 12],
    pub(super) server: [u8; 12],
}

/// An established connection.
pub(super) struct Traffic {
    keys: Keys,
    messages: u8,
    /// A KeyUpdate is to be sent.
    update_due: bool,
}

enum Keys {
    Tls12(VerifyData),
    /// Of TLS 1.3, until the first record behind the handshake; empty if they could not be installed.
    Ready(Option<Ready>),
    Tls13(Secrets),
}

impl Traffic {
    pub(super) const fn tls12(data: VerifyData) -> Self {
        Self { keys: Keys::Tls12(data), messages: 0, update_due: false }
    }

    pub(super) const fn tls13(ready: Ready) -> Self {
        Self { keys: Keys::Ready(Some(ready)), messages: 0, update_due: false }
    }

    /// Installs the application keys, unless they are: before the first record, either way.
    pub(super) fn install<M: Memory>(
        &mut self,
        established: &ClientEstablished,
        incoming: &mut Incoming<M>,
        outgoing: &mut Outgoing<M>,
        out: &mut ClientOut<'_, M>,
    ) -> Result<(), Error> {
        if let Keys::Ready(ready) = &mut self.keys {
            let ready = ready.take().ok_or(Error::SessionsFull)?;
            self.keys = Keys::Tls13(ready.keys(established.suite, incoming, outgoing, out)?);
        }
        Ok(())
    }

    /// What a renegotiation is bound to; only TLS 1.2 has them.
    pub(super) const fn verify_data(&self) -> Option<VerifyData> {
        match self.keys {
            Keys::Tls12(data) => Some(data),
            Keys::Ready(_) | Keys::Tls13(_) => None,
        }
    }

    /// Application data came.
    pub(super) const fn data(&mut self) {
        self.messages = 0;
    }

    /// Takes a handshake message.
    pub(super) fn message<M: Memory>(
        &mut self,
        message: &Message<'_>,
        established: &ClientEstablished,
        handle: &ClientHandle,
        incoming: &mut Incoming<M>,
        out: &mut ClientOut<'_, M>,
    ) -> Result<(), Error> {
        self.messages += 1;
        if self.messages > MAX_MESSAGES {
            return Err(Error::KeyUpdateFlood);
        }
        match (&mut self.keys, message.kind) {
            (Keys::Tls13(Secrets { resumption, .. }), kind::NEW_SESSION_TICKET) => {
                let new = NewSessionTicket::decode13(message.body())?;
                let Some(resumption) = resumption else { return Ok(()) };
                let mut tickets = handle.tickets.borrow_mut();
                let bytes = tickets.copy(new.ticket);
                // RFC 8446 section 4.6.1: a lifetime of zero means to discard it at once.
                if new.lifetime > 0 && !bytes.is_empty() {
                    tickets.keep(Ticket {
                        bytes,
                        session_id: SessionId::default(),
                        suite: established.suite,
                        age_add: new.age_add,
                        secret: Secret::Tls13(resumption.ticket(new.nonce)),
                    });
                }
                Ok(())
            }
            (Keys::Tls13(Secrets { server, .. }), kind::KEY_UPDATE) => {
                message.expect_last()?;
                let mut input = Reader::new(message.body());
                let request = input.u8()?;
                end(&input)?;
                if request > 1 {
                    return Err(Error::BadKeyUpdate);
                }
                out.counters.key_updates_in = out.counters.key_updates_in.wrapping_add(1);
                *server = server.next();
                let keys = install(server, established.suite, out)?;
                incoming.protect(keys, out.aead);
                // RFC 8446 section 4.6.3: one answer to several requests is enough.
                self.update_due |= request == 1;
                Ok(())
            }
            // RFC 5246 section 7.4.1.1: it may be ignored by a client that does not wish to renegotiate.
            (Keys::Tls12(_), kind::HELLO_REQUEST) => Ok(()),
            _ => Err(Error::UnexpectedMessage),
        }
    }

    /// Whether [`Traffic::send`] has something to send.
    pub(super) const fn wants_write(&self) -> bool {
        self.update_due
    }

    /// The key is worn out. Whether a KeyUpdate replaces it: if not, it may not be used again.
    pub(super) const fn renew(&mut self) -> bool {
        self.update_due = matches!(self.keys, Keys::Tls13(_));
        self.update_due
    }

    /// Sends the KeyUpdate that is due.
    pub(super) fn send<M: Memory>(
        &mut self,
        established: &ClientEstablished,
        outgoing: &mut Outgoing<M>,
        out: &mut ClientOut<'_, M>,
    ) -> Result<(), Error> {
        let Keys::Tls13(Secrets { client, .. }) = &mut self.keys else { return Ok(()) };
        let mut message = [0; 5];
        let mut writer = Writer::new(&mut message);
        server_flight::key_update(&mut writer, false)?;
        outgoing.send_short(ContentType::Handshake, writer.written(), &mut out.records())?;
        self.update_due = false;
        // RFC 8446 section 4.6.3: the KeyUpdate is encrypted with the old key.
        *client = client.next();
        let keys = install(client, established.suite, out)?;
        outgoing.protect(keys, out.aead);
        out.counters.key_updates_out = out.counters.key_updates_out.wrapping_add(1);
        Ok(())
    }
}
