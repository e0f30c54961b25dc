//! After the handshake: KeyUpdate of TLS 1.3, refused renegotiation of TLS 1.2.

use levee_buf::{Memory, Reader, Writer};

use super::{Established, Message};
use crate::codec::end;
use crate::error::{Alert, Error};
use crate::messages::{MAX_CLIENT_HELLO, MAX_OTHER, kind, server_flight};
use crate::record::{ContentType, Incoming, Outgoing};
use crate::server::Out;
use crate::suite::Version;

/// KeyUpdates that are taken without application data between them.
const MAX_KEY_UPDATES: u8 = 16;

/// Renegotiations that are refused with a warning; the next one is fatal.
const MAX_RENEGOTIATIONS: u8 = 1;

/// An established connection.
pub(crate) struct Traffic {
    pub(crate) established: Established,
    key_updates: u8,
    renegotiations: u8,
    /// A KeyUpdate is to be sent.
    update_due: bool,
    /// A no_renegotiation is to be sent.
    refusal_due: bool,
}

impl Traffic {
    pub(super) const fn new(established: Established) -> Self {
        Self { established, key_updates: 0, renegotiations: 0, update_due: false, refusal_due: false }
    }

    /// The longest handshake message that is taken.
    pub(crate) const fn limit(&self) -> usize {
        match self.established.version {
            Version::Tls13 => MAX_OTHER,
            Version::Tls12 => MAX_CLIENT_HELLO,
        }
    }

    /// Application data came.
    pub(crate) const fn data(&mut self) {
        self.key_updates = 0;
    }

    /// Takes a handshake message.
    pub(crate) fn message<M: Memory>(
        &mut self,
        message: &Message<'_>,
        incoming: &mut Incoming<M>,
        out: &mut Out<'_, M>,
    ) -> Result<(), Error> {
        match (self.established.version, message.kind) {
            (Version::Tls13, kind::KEY_UPDATE) => {
                message.expect_last()?;
                let mut input = Reader::new(message.body());
                let request = input.u8()?;
                end(&input)?;
                if request > 1 {
                    return Err(Error::BadKeyUpdate);
                }
                self.key_updates += 1;
                if self.key_updates > MAX_KEY_UPDATES {
                    return Err(Error::KeyUpdateFlood);
                }
                out.counters.key_updates_in = out.counters.key_updates_in.wrapping_add(1);
                incoming.update(out.aead);
                // RFC 8446 section 4.6.3: one answer to several requests is enough.
                self.update_due |= request == 1;
                Ok(())
            }
            (Version::Tls12, kind::CLIENT_HELLO) => {
                self.renegotiations += 1;
                if self.renegotiations > MAX_RENEGOTIATIONS {
                    return Err(Error::RenegotiationFlood);
                }
                let counters = &mut *out.counters;
                counters.renegotiations_refused = counters.renegotiations_refused.wrapping_add(1);
                self.refusal_due = true;
                Ok(())
            }
            _ => Err(Error::UnexpectedMessage),
        }
    }

    /// Whether [`Traffic::send`] has something to send.
    pub(crate) const fn wants_write(&self) -> bool {
        self.update_due || self.refusal_due
    }

    /// The key is worn out. Whether a KeyUpdate replaces it: if not, it may not be used again.
    pub(crate) fn renew(&mut self) -> bool {
        self.update_due = self.established.version == Version::Tls13;
        self.update_due
    }

    /// Sends what is due, one record at most.
    pub(crate) fn send<M: Memory>(
        &mut self,
        outgoing: &mut Outgoing<M>,
        out: &mut Out<'_, M>,
    ) -> Result<(), Error> {
        if self.refusal_due {
            // RFC 5246 section 7.2.2: no_renegotiation is always a warning.
            let alert = [1, Alert::NoRenegotiation.code()];
            outgoing.send_short(ContentType::Alert, &alert, &mut out.records())?;
            self.refusal_due = false;
            return Ok(());
        }
        if !self.update_due {
            return Ok(());
        }
        let mut message = [0; 5];
        let mut writer = Writer::new(&mut message);
        server_flight::key_update(&mut writer, false)?;
        outgoing.send_short(ContentType::Handshake, writer.written(), &mut out.records())?;
        self.update_due = false;
        // RFC 8446 section 4.6.3: the KeyUpdate is encrypted with the old key.
        outgoing.update(out.aead);
        out.counters.key_updates_out = out.counters.key_updates_out.wrapping_add(1);
        Ok(())
    }
}
