//! The record layer (RFC 8446 section 5, RFC 5246 section 6.2): headers, limits, nonces, additional data.
//!
//! `incoming` cuts records off the received chain and opens them where they lie; `outgoing` seals.

mod incoming;
mod outgoing;

use std::ops::Range;

pub(crate) use incoming::{Incoming, Record};
use levee_buf::{Chain, Memory};
use levee_crypto::{Aad, Aead, Algorithm, Direction, SessionId, TAG_LEN, Token};
pub(crate) use outgoing::Outgoing;
use zeroize::Zeroize;

use crate::counters::Counters;
use crate::error::Error;
use crate::keys::{Keys, MasterSecret, TrafficSecret};
use crate::suite::Version;

/// Bytes of a record header.
pub(crate) const HEADER: usize = 5;

/// The most bytes of plaintext in a record.
pub(crate) const MAX_PLAINTEXT: usize = 1 << 14;

/// RFC 8446 section 5.2: the length of TLSCiphertext MUST NOT exceed 2^14 + 256. RFC 5246 section 6.2.3
/// allows 2^14 + 2048, but the AEADs of TLS 1.2 add 24 bytes at most.
const MAX_CIPHERTEXT: usize = MAX_PLAINTEXT + 256;

/// The most bytes that protection adds to a record: header, explicit nonce or content type, tag.
pub(crate) const MAX_OVERHEAD: usize = HEADER + 8 + TAG_LEN;

/// What the record layer works with during a call: what [`Out`](crate::Out) and
/// [`ClientOut`](crate::load::ClientOut) have in common.
pub(crate) struct Records<'a, M: Memory> {
    pub(crate) memory: &'a M,
    pub(crate) aead: &'a mut dyn Aead<M>,
    pub(crate) token: Token,
    pub(crate) counters: &'a mut Counters,
}

/// The type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ContentType {
    ChangeCipherSpec = 20,
    Alert = 21,
    Handshake = 22,
    ApplicationData = 23,
}

impl ContentType {
    const fn from_code(code: u8) -> Option<Self> {
        match code {
            20 => Some(Self::ChangeCipherSpec),
            21 => Some(Self::Alert),
            22 => Some(Self::Handshake),
            23 => Some(Self::ApplicationData),
            _ => None,
        }
    }
}

/// A record header as it is sent.
pub(crate) fn header(kind: ContentType, length: usize) -> [u8; HEADER] {
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    [kind as u8, 3, 3, high, low]
}

/// The key of one direction and its sequence number.
pub(crate) struct Protection {
    source: Source,
    key: Option<Key>,
    version: Version,
    algorithm: Algorithm,
    seq: u64,
}

/// What the key comes from, outside the AEAD engine.
enum Source {
    /// Of application data of TLS 1.3: this key, and the next.
    Secret(TrafficSecret),
    /// Of a handshake: the key itself, by which records are done on the spot. In TLS 1.2, where data follows under
    /// the same one, that is the first record.
    Hand(Keys),
    /// Of application data of TLS 1.3 that is sent, before the first record of either direction.
    Master(MasterSecret),
    /// The engine has it, and there is no next; or nothing is derived yet for data that is received.
    Nothing,
}

/// A key in the AEAD engine, and its nonce base.
struct Key {
    session: SessionId,
    iv: [u8; 12],
}

impl Drop for Key {
    fn drop(&mut self) {
        self.iv.zeroize();
    }
}

impl Key {
    fn install<M: Memory>(keys: &Keys, out: &mut Records<'_, M>) -> Result<Self, Error> {
        let session = out.aead.open_session(&keys.key).ok_or(Error::SessionsFull)?;
        Ok(Self { session, iv: keys.iv })
    }
}

impl Protection {
    /// Installs `keys`; the session is closed by who holds the value.
    pub(crate) fn install<M: Memory>(
        keys: &Keys,
        version: Version,
        out: &mut Records<'_, M>,
    ) -> Result<Self, Error> {
        let key = Some(Key::install(keys, out)?);
        Ok(Self { source: Source::Nothing, key, version, algorithm: keys.key.algorithm(), seq: 0 })
    }

    /// The protection of a handshake. `keys` are installed with the first record of data, if they are for data too:
    /// many connections of a flood never get so far.
    pub(crate) fn handshake(keys: Keys, version: Version) -> Self {
        let algorithm = keys.key.algorithm();
        Self { source: Source::Hand(keys), key: None, version, algorithm, seq: 0 }
    }

    /// The protection of application data of TLS 1.3. Its key is installed with the first record.
    pub(crate) const fn traffic(secret: TrafficSecret, algorithm: Algorithm) -> Self {
        Self { source: Source::Secret(secret), key: None, version: Version::Tls13, algorithm, seq: 0 }
    }

    /// The protection of data that is sent, before [`Outgoing::divide`].
    pub(crate) const fn master(master: MasterSecret, algorithm: Algorithm) -> Self {
        Self { source: Source::Master(master), key: None, version: Version::Tls13, algorithm, seq: 0 }
    }

    /// The protection of data that is received, before the other's [`Outgoing::divide`].
    const fn awaiting(algorithm: Algorithm) -> Self {
        Self { source: Source::Nothing, key: None, version: Version::Tls13, algorithm, seq: 0 }
    }

    /// Whether it is [`Protection::awaiting`].
    const fn is_awaiting(&self) -> bool {
        matches!(self.source, Source::Nothing) && self.key.is_none()
    }

    /// The protection after a KeyUpdate (RFC 8446 section 7.2).
    fn next(&self) -> Option<Self> {
        match &self.source {
            Source::Secret(secret) => Some(Self::traffic(secret.next(), self.algorithm)),
            Source::Master(_) | Source::Hand(_) | Source::Nothing => None,
        }
    }

    /// The session for the next record, installed if that is to be done; without one, the record is done by
    /// [`Protection::by_hand`].
    fn ready<M: Memory>(&mut self, out: &mut Records<'_, M>) -> Result<Option<SessionId>, Error> {
        match (&self.source, &self.key) {
            (Source::Secret(secret), None) => {
                let keys = secret.keys(self.algorithm).ok_or(Error::EngineFailed)?;
                self.key = Some(Key::install(&keys, out)?);
            }
            (Source::Hand(keys), None) if self.version == Version::Tls12 && self.seq > 0 => {
                self.key = Some(Key::install(keys, out)?);
                self.source = Source::Nothing;
            }
            _ => {}
        }
        Ok(self.session())
    }

    /// Does an operation under the key in hand.
    fn by_hand(
        &self,
        direction: Direction,
        nonce: [u8; 12],
        aad: Aad,
        text: &mut impl Chain,
        at: Range<usize>,
    ) -> bool {
        match &self.source {
            Source::Hand(keys) => keys.key.once(direction, nonce, aad, text, at),
            Source::Secret(_) | Source::Master(_) | Source::Nothing => false,
        }
    }

    /// The session, if there is one.
    fn session(&self) -> Option<SessionId> {
        self.key.as_ref().map(|key| key.session)
    }

    /// Bytes of nonce in front of the ciphertext (RFC 5288 section 3).
    const fn explicit_nonce(&self) -> usize {
        match (self.version, self.algorithm) {
            (Version::Tls13, _) | (_, Algorithm::ChaCha20Poly1305) => 0,
            (Version::Tls12, _) => 8,
        }
    }

    /// Bytes of the content type behind the plaintext (RFC 8446 section 5.2).
    const fn inner_type(&self) -> usize {
        match self.version {
            Version::Tls13 => 1,
            Version::Tls12 => 0,
        }
    }

    /// Bytes in front of the ciphertext.
    pub(crate) const fn prefix(&self) -> usize {
        HEADER + self.explicit_nonce()
    }

    /// Bytes that a record is longer than its plaintext.
    const fn overhead(&self) -> usize {
        self.prefix() + self.inner_type() + TAG_LEN
    }

    /// The nonce of the record of number `seq`; `explicit` is what the record carries of it.
    fn nonce(&self, explicit: Option<[u8; 8]>) -> [u8; 12] {
        let mut nonce = match (&self.key, &self.source) {
            (Some(key), _) => key.iv,
            (None, Source::Hand(keys)) => keys.iv,
            (None, Source::Secret(_) | Source::Master(_) | Source::Nothing) => [0; 12],
        };
        let [_, _, _, _, tail @ ..] = &mut nonce;
        match explicit {
            Some(explicit) => *tail = explicit,
            // RFC 8446 section 5.3, RFC 7905 section 2: the number, padded to the left, XOR the IV.
            None => tail.iter_mut().zip(self.seq.to_be_bytes()).for_each(|(a, b)| *a ^= b),
        }
        nonce
    }

    /// Additional data of a record with `header` and `plaintext` bytes.
    fn aad(&self, kind: ContentType, header: [u8; HEADER], plaintext: usize) -> Aad {
        match self.version {
            // RFC 8446 section 5.2: the record header.
            Version::Tls13 => Aad::tls13(header),
            // RFC 5246 section 6.2.3.3: seq_num, type, version, length of the plaintext.
            Version::Tls12 => {
                let [a, b, c, d, e, f, g, h] = self.seq.to_be_bytes();
                let [high, low] = u16::try_from(plaintext).unwrap_or(u16::MAX).to_be_bytes();
                let [_, major, minor, _, _] = header;
                Aad::tls12([a, b, c, d, e, f, g, h, kind as u8, major, minor, high, low])
            }
        }
    }
}
