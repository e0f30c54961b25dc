//! Received records: cut off the wire chain at any split, opened in place, bounded.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use levee_buf::{Chain, MAX_ROOM, Memory, Pieces};
use levee_crypto::{Aead, Algorithm, Answer, Digest, Direction, Finished, Operation, Outcome, TAG_LEN};

use super::{ContentType, HEADER, MAX_CIPHERTEXT, MAX_PLAINTEXT, Protection, Records};
use crate::error::Error;
use crate::keys::TrafficSecret;
use crate::suite::Version;

/// The bytes of rejected early data that are skipped, with all that protects them: servers commonly allow
/// 16 KiB of plaintext, which may come in many records.
const MAX_EARLY_DATA: u16 = 32_767;

/// Segments that a record's bytes may lie in before they are compared with [`MIN_SEGMENT`].
const MAX_SEGMENTS: usize = 32;

/// The least bytes a segment, on average, of a record that lies in many: below it the peer would hold
/// more of our memory than it sent.
const MIN_SEGMENT: usize = 256;

/// Records without content that are taken in a row.
const MAX_EMPTY: u8 = 16;

/// A record's content.
pub(crate) struct Record<C> {
    pub(crate) kind: ContentType,
    pub(crate) payload: C,
}

/// The receiving half of the record layer.
pub(crate) struct Incoming<M: Memory> {
    wire: M::Chain,
    protection: Option<Protection>,
    opening: Opening<M::Chain>,
    application: Application,
    /// The outer type of the record being opened.
    kind: ContentType,
    /// Bytes of records that may yet be skipped as rejected early data.
    skip: u16,
    empty: u8,
    /// Alerts in plaintext are taken though protection is on: the client may not have our keys.
    plain_alerts: bool,
}

/// What a server's keys of application data come from, before they are there.
enum Application {
    Nothing,
    /// The transcript up to the server's Finished.
    Transcript(Digest),
    /// The client's first secret, while records are still under the key of the handshake.
    Secret(TrafficSecret),
}

enum Opening<C> {
    Idle,
    InFlight,
    /// The engine was too busy for this record.
    Stalled(C),
}

impl<M: Memory> Default for Incoming<M> {
    fn default() -> Self {
        Self {
            wire: M::Chain::default(),
            protection: None,
            opening: Opening::Idle,
            application: Application::Nothing,
            kind: ContentType::Handshake,
            skip: 0,
            empty: 0,
            plain_alerts: false,
        }
    }
}

impl<M: Memory> Incoming<M> {
    /// Further bytes from the wire.
    pub(crate) fn push(&mut self, wire: M::Chain, out: &mut Records<'_, M>) -> Result<(), Error> {
        self.wire.append(wire);
        let segments = self.wire.segments();
        let thin = self.wire.len() < segments.saturating_mul(MIN_SEGMENT);
        if segments > MAX_SEGMENTS && thin && self.wire.len() <= MAX_ROOM {
            self.wire = copy(&self.wire, out)?;
        }
        Ok(())
    }

    /// Bytes received and not yet opened; those in the hands of the AEAD engine are not among them.
    pub(crate) fn buffered(&self) -> usize {
        self.wire.len()
    }

    /// Segments that those bytes lie in.
    pub(crate) fn segments(&self) -> usize {
        self.wire.segments()
    }

    /// Whether the AEAD engine has, or should have, a record.
    pub(crate) const fn is_parked(&self) -> bool {
        !matches!(self.opening, Opening::Idle)
    }

    pub(crate) const fn is_stalled(&self) -> bool {
        matches!(self.opening, Opening::Stalled(_))
    }

    /// The next record, or `None` when its bytes are not all here or the AEAD engine has it.
    pub(crate) fn next(&mut self, out: &mut Records<'_, M>) -> Result<Option<Record<M::Chain>>, Error> {
        while !self.is_parked() {
            let Some((kind, length)) = self.header()? else { return Ok(None) };
            let whole = HEADER.saturating_add(length);
            if self.wire.len() < whole {
                return Ok(None);
            }
            let record = out.memory.split_to(&mut self.wire, whole).ok_or(Error::MemoryExhausted)?;
            out.counters.records_in = out.counters.records_in.wrapping_add(1);
            let record = match self.is_protected(kind)? {
                true => self.open(record, kind, out)?,
                false => self.plain(record, kind, out)?,
            };
            if record.is_some() {
                return Ok(record);
            }
        }
        Ok(None)
    }

    /// The answer to a record that was given to the AEAD engine. `None`: it was skipped.
    pub(crate) fn opened(
        &mut self,
        finished: Finished<M::Chain>,
        out: &mut Records<'_, M>,
    ) -> Result<Option<Record<M::Chain>>, Error> {
        self.opening = Opening::Idle;
        let mut payload = finished.text;
        let Some(protection) = &mut self.protection else { return Err(Error::UnexpectedCompletion) };
        match finished.outcome {
            Outcome::Done => {}
            // RFC 8446 section 4.2.10: a server that ignores early_data skips records that fail to
            // deprotect, up to a maximum.
            Outcome::Forged if self.skip > 0 => return self.skip(payload.len(), out),
            Outcome::Forged => return Err(Error::BadRecordMac),
            Outcome::Failed => return Err(Error::OpenFailed),
        }
        self.skip = 0;
        protection.seq = protection.seq.checked_add(1).ok_or(Error::KeyLimit)?;
        payload.trim_front(protection.prefix());
        payload.truncate(payload.len().saturating_sub(TAG_LEN));
        let mut kind = self.kind;
        if protection.version == Version::Tls13 {
            let (length, code) = inner(&payload).ok_or(Error::NoContentType)?;
            kind = ContentType::from_code(code).ok_or(Error::UnknownContentType)?;
            // RFC 8446 section 5: a protected change_cipher_spec MUST abort.
            if kind == ContentType::ChangeCipherSpec {
                return Err(Error::UnexpectedRecord);
            }
            payload.truncate(length);
        }
        self.content(payload, kind).map(Some)
    }

    /// Submits again what the AEAD engine was too busy for.
    pub(crate) fn resume(&mut self, out: &mut Records<'_, M>) -> Result<Option<Record<M::Chain>>, Error> {
        match std::mem::replace(&mut self.opening, Opening::Idle) {
            Opening::Stalled(record) => self.open(record, self.kind, out),
            other => {
                self.opening = other;
                Ok(None)
            }
        }
    }

    /// Replaces the key; the next record is of the new one.
    pub(crate) fn protect(&mut self, protection: Protection, aead: &mut dyn Aead<M>) {
        if let Some(old) = self.protection.replace(protection).and_then(|old| old.session()) {
            aead.close_session(old);
        }
    }

    /// Keeps the transcript up to the server's Finished until secrets are derived of it.
    pub(crate) fn keep_transcript(&mut self, finished: Digest) {
        self.application = Application::Transcript(finished);
    }

    /// The handshake is over: records are of application data from now on.
    pub(crate) fn begin_application(&mut self, algorithm: Algorithm, aead: &mut dyn Aead<M>) {
        let protection = match std::mem::replace(&mut self.application, Application::Nothing) {
            Application::Secret(secret) => Protection::traffic(secret, algorithm),
            application => {
                self.application = application;
                Protection::awaiting(algorithm)
            }
        };
        self.protect(protection, aead);
    }

    /// Whether records under a key that is not derived yet may be here.
    pub(crate) fn awaits_secret(&self) -> bool {
        !self.wire.is_empty() && self.protection.as_ref().is_some_and(Protection::is_awaiting)
    }

    /// Has `divide` derive the secrets of application data, of the transcript that was kept; takes the client's.
    pub(crate) fn divide(&mut self, divide: impl FnOnce(&Digest) -> Option<TrafficSecret>) {
        let Application::Transcript(finished) = &self.application else { return };
        let Some(secret) = divide(finished) else { return };
        self.application = match &mut self.protection {
            Some(protection) if protection.is_awaiting() => {
                *protection = Protection::traffic(secret, protection.algorithm);
                Application::Nothing
            }
            _ => Application::Secret(secret),
        };
    }

    /// Goes on under the next key of a KeyUpdate (RFC 8446 section 4.6.3), if this one has a next.
    pub(crate) fn update(&mut self, aead: &mut dyn Aead<M>) {
        if let Some(next) = self.protection.as_ref().and_then(Protection::next) {
            self.protect(next, aead);
        }
    }

    /// Early data was offered and is not taken.
    pub(crate) const fn skip_early_data(&mut self, yes: bool) {
        self.skip = if yes { MAX_EARLY_DATA } else { 0 };
    }

    /// Whether the peer may still send alerts in plaintext.
    pub(crate) const fn take_plain_alerts(&mut self, yes: bool) {
        self.plain_alerts = yes;
    }

    /// Forgets all bytes: nothing of them will be looked at.
    pub(crate) fn discard(&mut self) {
        self.wire = M::Chain::default();
    }

    pub(crate) fn release(&mut self, aead: &mut dyn Aead<M>) {
        self.discard();
        self.opening = Opening::Idle;
        if let Some(session) = self.protection.take().and_then(|protection| protection.session()) {
            aead.close_session(session);
        }
    }

    /// Type and length of the record in front, once the five bytes of its header are here.
    fn header(&self) -> Result<Option<(ContentType, usize)>, Error> {
        let mut header = [0; HEADER];
        if self.wire.copy_to(0, &mut header) < HEADER {
            return Ok(None);
        }
        let [code, major, _, high, low] = header;
        let kind = ContentType::from_code(code).ok_or(Error::UnknownContentType)?;
        // RFC 8446 section 5.1: legacy_record_version MUST be ignored; what is not 3.x is not TLS.
        if major != 3 {
            return Err(Error::BadRecordVersion);
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let limit = match &self.protection {
            None if self.skip == 0 => MAX_PLAINTEXT,
            _ => MAX_CIPHERTEXT,
        };
        if length > limit {
            return Err(Error::RecordOverflow);
        }
        Ok(Some((kind, length)))
    }

    fn is_protected(&self, kind: ContentType) -> Result<bool, Error> {
        let Some(protection) = &self.protection else { return Ok(false) };
        match (protection.version, kind) {
            (Version::Tls12, _) | (_, ContentType::ApplicationData) => Ok(true),
            // RFC 8446 appendix D.4: change_cipher_spec is never protected.
            (_, ContentType::ChangeCipherSpec) => Ok(false),
            (_, ContentType::Alert) if self.plain_alerts => Ok(false),
            _ => Err(Error::UnprotectedRecord),
        }
    }

    fn plain(
        &mut self,
        mut record: M::Chain,
        kind: ContentType,
        out: &mut Records<'_, M>,
    ) -> Result<Option<Record<M::Chain>>, Error> {
        if self.skip > 0 && kind == ContentType::ApplicationData {
            return self.skip(record.len(), out);
        }
        // RFC 8446 section 4.1.2: the second ClientHello ends the early data, which may not lie inside it.
        if kind == ContentType::Handshake {
            self.skip = 0;
        }
        record.trim_front(HEADER);
        self.content(record, kind).map(Some)
    }

    fn open(
        &mut self,
        mut record: M::Chain,
        kind: ContentType,
        out: &mut Records<'_, M>,
    ) -> Result<Option<Record<M::Chain>>, Error> {
        let Some(protection) = &mut self.protection else { return Err(Error::UnexpectedCompletion) };
        let session = protection.ready(out)?;
        let start = protection.prefix();
        let least = start.saturating_add(protection.inner_type()).saturating_add(TAG_LEN);
        if record.len() < least {
            return if self.skip > 0 { self.skip(record.len(), out) } else { Err(Error::BadRecordMac) };
        }
        if !record.is_exclusive(start..record.len()) {
            record = copy(&record, out)?;
        }
        let mut header = [0; HEADER];
        record.copy_to(0, &mut header);
        let mut explicit = [0; 8];
        let explicit = (protection.explicit_nonce() == explicit.len()).then(|| {
            record.copy_to(HEADER, &mut explicit);
            explicit
        });
        let plaintext = record.len().saturating_sub(start).saturating_sub(TAG_LEN);
        self.kind = kind;
        let (direction, at) = (Direction::Open, start..record.len());
        let (nonce, aad) = (protection.nonce(explicit), protection.aad(kind, header, plaintext));
        let Some(session) = session else {
            let done = protection.by_hand(direction, nonce, aad, &mut record, at);
            let outcome = Outcome::by_hand(direction, done);
            return self.opened(Finished { direction, text: record, outcome }, out);
        };
        let operation = Operation { session, direction, nonce, aad, at, text: record, into: None };
        match out.aead.submit(out.token, operation) {
            Answer::Now(finished) => return self.opened(finished, out),
            Answer::Later => self.opening = Opening::InFlight,
            Answer::Busy(operation) => self.opening = Opening::Stalled(operation.text),
        }
        Ok(None)
    }

    fn skip(&mut self, n: usize, out: &mut Records<'_, M>) -> Result<Option<Record<M::Chain>>, Error> {
        let n = u16::try_from(n).unwrap_or(u16::MAX);
        self.skip = self.skip.checked_sub(n).filter(|&left| left > 0).ok_or(Error::EarlyDataFlood)?;
        out.counters.early_data_skipped = out.counters.early_data_skipped.wrapping_add(1);
        Ok(None)
    }

    /// The rules for content of either protection.
    fn content(&mut self, payload: M::Chain, kind: ContentType) -> Result<Record<M::Chain>, Error> {
        if payload.len() > MAX_PLAINTEXT {
            return Err(Error::RecordOverflow);
        }
        if !payload.is_empty() {
            self.empty = 0;
        } else if kind == ContentType::ApplicationData {
            self.empty = self.empty.saturating_add(1);
        } else {
            // RFC 8446 section 5.1: zero-length fragments of handshake and alert types are forbidden.
            return Err(Error::EmptyFragment);
        }
        if self.empty > MAX_EMPTY {
            return Err(Error::EmptyRecordFlood);
        }
        Ok(Record { kind, payload })
    }
}

/// The length of the content of a TLSInnerPlaintext and its type: the last byte that is not zero.
fn inner(payload: &impl Pieces) -> Option<(usize, u8)> {
    let last = payload.len().checked_sub(1)?;
    let code = *payload.chunk(last).first()?;
    if code != 0 {
        return Some((last, code));
    }
    let (mut at, mut found) = (0_usize, None);
    payload.for_each(0..last, &mut |chunk| {
        if let Some((index, &code)) = chunk.iter().enumerate().rfind(|(_, byte)| **byte != 0) {
            found = Some((at.saturating_add(index), code));
        }
        at = at.saturating_add(chunk.len());
    });
    found
}

/// A copy of `record` in as few segments as can be.
fn copy<M: Memory>(record: &M::Chain, out: &mut Records<'_, M>) -> Result<M::Chain, Error> {
    let mut fresh = out.memory.alloc(record.len().min(MAX_ROOM)).ok_or(Error::MemoryExhausted)?;
    let mut result = Ok(());
    record.for_each(0..record.len(), &mut |bytes| {
        result = result.and_then(|()| out.memory.push(&mut fresh, bytes));
    });
    result?;
    out.counters.copied = out.counters.copied.wrapping_add(1);
    Ok(fresh)
}
