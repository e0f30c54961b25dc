//! Sent records: sealed in place when the bytes are ours alone, out of place when they are shared.
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

use levee_buf::{Chain, Memory, Pieces};
use levee_crypto::{Aead, Answer, Digest, Direction, Finished, Operation, Outcome, SessionId, TAG_LEN};

use super::{ContentType, HEADER, MAX_OVERHEAD, MAX_PLAINTEXT, Protection, Records, Source, header};
use crate::error::Error;
use crate::keys::TrafficSecret;

/// The least plaintext of a record when there is as much to send: a small window gets a record that
/// waits in the send buffer rather than many small ones.
const MIN_RECORD: usize = 512;

/// The sending half of the record layer. One record at most is with the AEAD engine.
pub(crate) struct Outgoing<M: Memory> {
    ready: M::Chain,
    protection: Option<Protection>,
    sealing: Sealing<M::Chain>,
    /// The session of a stalled operation whose key has been replaced.
    retired: Option<SessionId>,
}

enum Sealing<C> {
    Idle,
    InFlight,
    Stalled(Operation<C>),
}

impl<M: Memory> Default for Outgoing<M> {
    fn default() -> Self {
        let ready = M::Chain::default();
        Self { ready, protection: None, sealing: Sealing::Idle, retired: None }
    }
}

impl<M: Memory> Outgoing<M> {
    /// Wire bytes that are ready.
    pub(crate) fn take(&mut self) -> M::Chain {
        self.ready.take()
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether the AEAD engine has, or should have, a record.
    pub(crate) const fn is_parked(&self) -> bool {
        !matches!(self.sealing, Sealing::Idle)
    }

    pub(crate) const fn is_stalled(&self) -> bool {
        matches!(self.sealing, Sealing::Stalled(_))
    }

    /// Records sealed under the key.
    pub(crate) fn sealed(&self) -> u64 {
        self.protection.as_ref().map_or(0, |protection| protection.seq)
    }

    /// Bytes in front of the plaintext of the next record.
    pub(crate) fn prefix(&self) -> usize {
        self.protection.as_ref().map_or(HEADER, Protection::prefix)
    }

    /// Whole records in plaintext.
    pub(crate) fn send(&mut self, wire: M::Chain) {
        self.ready.append(wire);
    }

    /// Replaces the key; a record under the old one may be under way.
    pub(crate) fn protect(&mut self, protection: Protection, aead: &mut dyn Aead<M>) {
        if let Some(old) = self.protection.replace(protection).and_then(|old| old.session()) {
            if self.is_stalled() {
                self.retired = Some(old);
            } else {
                aead.close_session(old);
            }
        }
    }

    /// Whether the secrets of application data are still to be derived: before the first record, by
    /// [`Outgoing::divide`].
    pub(crate) fn is_undivided(&self) -> bool {
        matches!(self.protection, Some(Protection { source: Source::Master(_), .. }))
    }

    /// Derives the secrets of application data of the transcript up to Finished, and gives back the client's.
    pub(crate) fn divide(&mut self, finished: &Digest) -> Option<TrafficSecret> {
        let protection = self.protection.as_mut()?;
        let Source::Master(master) = &protection.source else { return None };
        let [client, server] = master.traffic(finished);
        protection.source = Source::Secret(server);
        Some(client)
    }

    /// Goes on under the next key of a KeyUpdate (RFC 8446 section 4.6.3), if this one has a next.
    pub(crate) fn update(&mut self, aead: &mut dyn Aead<M>) {
        if let Some(next) = self.protection.as_ref().and_then(Protection::next) {
            self.protect(next, aead);
        }
    }

    /// A short record of our own: an alert, a KeyUpdate. In plaintext before the first key.
    pub(crate) fn send_short(
        &mut self,
        kind: ContentType,
        content: &[u8],
        out: &mut Records<'_, M>,
    ) -> Result<(), Error> {
        let prefix = self.prefix();
        let length = prefix + content.len();
        let mut record = out.memory.alloc(length + 1 + TAG_LEN).ok_or(Error::MemoryExhausted)?;
        let place = record.extend(length).ok_or(Error::MemoryExhausted)?;
        let (head, body) = place.split_at_mut(prefix);
        body.copy_from_slice(content);
        if self.protection.is_some() {
            return self.seal_in_place(record, 0, kind, out);
        }
        head.copy_from_slice(&header(kind, content.len()));
        self.send(record);
        Ok(())
    }

    /// Seals bytes of `plain` from the front, as a record of at most `room` wire bytes, or somewhat
    /// more when the room is small.
    pub(crate) fn send_data(
        &mut self,
        plain: &mut M::Chain,
        room: usize,
        out: &mut Records<'_, M>,
    ) -> Result<(), Error> {
        let Some(protection) = &self.protection else { return Err(Error::SealFailed) };
        let length = room.saturating_sub(protection.overhead()).clamp(MIN_RECORD, MAX_PLAINTEXT);
        let (prefix, behind) = (protection.prefix(), protection.behind());
        let mut piece = out.memory.split_to(plain, length).ok_or(Error::MemoryExhausted)?;
        let exclusive = piece.is_exclusive(0..piece.len());
        let spare = if exclusive {
            Spare::in_place(&piece, prefix, behind, out.memory)
        } else {
            Spare::out_of_place(&piece, out.memory)
        };
        let Some(spare) = spare else {
            piece.append(plain.take());
            *plain = piece;
            return Err(Error::MemoryExhausted);
        };
        match spare {
            Spare::OutOfPlace { into, code } => self.seal_out_of_place(piece, into, code, out),
            Spare::InPlace { front, back } => {
                if let Some(mut front) = front {
                    front.extend(prefix).ok_or(Error::SealFailed)?;
                    front.append(piece);
                    piece = front;
                } else {
                    piece.prepend(prefix).ok_or(Error::SealFailed)?;
                }
                if let Some(back) = back {
                    piece.append(back);
                }
                self.seal_in_place(piece, 0, ContentType::ApplicationData, out)
            }
        }
    }

    /// Seals the record that begins at `start` of `text`: room for its header (and explicit nonce), then
    /// its plaintext up to the end. What lies before `start` leaves with it.
    pub(crate) fn seal_in_place(
        &mut self,
        mut text: M::Chain,
        start: usize,
        kind: ContentType,
        out: &mut Records<'_, M>,
    ) -> Result<(), Error> {
        let Some(protection) = &mut self.protection else { return Err(Error::SealFailed) };
        let session = protection.ready(out)?;
        let begin = start + protection.prefix();
        let plaintext = text.len().saturating_sub(begin);
        let behind = protection.behind();
        if text.tailroom() < behind {
            text.append(out.memory.alloc(behind).ok_or(Error::MemoryExhausted)?);
        }
        let tail = text.extend(behind).ok_or(Error::MemoryExhausted)?;
        if let [code, _tag @ ..] = tail
            && protection.inner_type() == 1
        {
            *code = kind as u8;
        }
        let head = text.chunk_mut(start).ok_or(Error::SealFailed)?;
        let header = protection.write_head(head, kind, plaintext)?;
        let (direction, at) = (Direction::Seal, begin..text.len());
        let (nonce, aad) = (protection.sealing_nonce(), protection.aad(kind, header, plaintext));
        protection.seq += 1;
        let Some(session) = session else {
            let done = protection.by_hand(direction, nonce, aad, &mut text, at);
            let outcome = Outcome::by_hand(direction, done);
            return self.finished(Finished { direction, text, outcome }, out);
        };
        self.submit(Operation { session, direction, nonce, aad, at, text, into: None }, out)
    }

    fn seal_out_of_place(
        &mut self,
        mut text: M::Chain,
        mut into: M::Chain,
        mut code: M::Chain,
        out: &mut Records<'_, M>,
    ) -> Result<(), Error> {
        let Some(protection) = &mut self.protection else { return Err(Error::SealFailed) };
        let session = protection.ready(out)?.ok_or(Error::SealFailed)?;
        let kind = ContentType::ApplicationData;
        let plaintext = text.len();
        if protection.inner_type() == 1 {
            code.extend(1).ok_or(Error::SealFailed)?.fill(kind as u8);
            text.append(code);
        }
        let head = into.extend(protection.prefix()).ok_or(Error::SealFailed)?;
        let header = protection.write_head(head, kind, plaintext)?;
        let operation = Operation {
            session,
            direction: Direction::Seal,
            nonce: protection.sealing_nonce(),
            aad: protection.aad(kind, header, plaintext),
            at: 0..text.len(),
            text,
            into: Some(into),
        };
        protection.seq += 1;
        self.submit(operation, out)
    }

    /// The answer to a record that was given to the AEAD engine.
    pub(crate) fn finished(
        &mut self,
        finished: Finished<M::Chain>,
        out: &mut Records<'_, M>,
    ) -> Result<(), Error> {
        self.sealing = Sealing::Idle;
        if !finished.is_done() {
            return Err(Error::SealFailed);
        }
        out.counters.records_out = out.counters.records_out.wrapping_add(1);
        self.ready.append(finished.text);
        Ok(())
    }

    /// Submits again what the AEAD engine was too busy for.
    pub(crate) fn resume(&mut self, out: &mut Records<'_, M>) -> Result<(), Error> {
        match std::mem::replace(&mut self.sealing, Sealing::Idle) {
            Sealing::Stalled(operation) => self.submit(operation, out),
            other => {
                self.sealing = other;
                Ok(())
            }
        }
    }

    pub(crate) fn release(&mut self, aead: &mut dyn Aead<M>) {
        self.ready = M::Chain::default();
        self.sealing = Sealing::Idle;
        let session = self.protection.take().and_then(|protection| protection.session());
        for session in session.into_iter().chain(self.retired.take()) {
            aead.close_session(session);
        }
    }

    fn submit(&mut self, operation: Operation<M::Chain>, out: &mut Records<'_, M>) -> Result<(), Error> {
        match out.aead.submit(out.token, operation) {
            Answer::Now(finished) => self.finished(finished, out)?,
            Answer::Later => self.sealing = Sealing::InFlight,
            Answer::Busy(operation) => {
                self.sealing = Sealing::Stalled(operation);
                return Ok(());
            }
        }
        if let Some(session) = self.retired.take() {
            out.aead.close_session(session);
        }
        Ok(())
    }
}

/// Memory that a record of data takes besides its plaintext, at hand before the plaintext is touched.
enum Spare<C> {
    /// Segments for what stands in front and behind, where the plaintext's own have no room.
    InPlace { front: Option<C>, back: Option<C> },
    /// A segment for the record, and one for the content type behind the plaintext.
    OutOfPlace { into: C, code: C },
}

impl<C: Chain> Spare<C> {
    fn in_place<M: Memory<Chain = C>>(piece: &C, prefix: usize, behind: usize, memory: &M) -> Option<Self> {
        let lacks = |has: usize, needs: usize| -> Option<Option<C>> {
            if has < needs { memory.alloc(needs).map(Some) } else { Some(None) }
        };
        let front = lacks(piece.headroom(), prefix)?;
        let back = lacks(piece.tailroom(), behind)?;
        Some(Self::InPlace { front, back })
    }

    fn out_of_place<M: Memory<Chain = C>>(piece: &C, memory: &M) -> Option<Self> {
        let into = memory.alloc(piece.len() + MAX_OVERHEAD)?;
        Some(Self::OutOfPlace { into, code: memory.alloc(1)? })
    }
}

impl Protection {
    /// Bytes behind the plaintext.
    const fn behind(&self) -> usize {
        self.inner_type() + TAG_LEN
    }

    /// RFC 5288 section 3: the explicit nonce MAY be the sequence number.
    fn sealing_nonce(&self) -> [u8; 12] {
        self.nonce((self.explicit_nonce() == 8).then(|| self.seq.to_be_bytes()))
    }

    /// Writes what stands in front of the ciphertext and returns the header.
    fn write_head(
        &self,
        place: &mut [u8],
        kind: ContentType,
        plaintext: usize,
    ) -> Result<[u8; HEADER], Error> {
        // RFC 8446 section 5.2: the opaque_type is always application_data.
        let outer = if self.inner_type() == 1 { ContentType::ApplicationData } else { kind };
        let header = header(outer, plaintext + self.overhead() - HEADER);
        let (head, rest) = place.split_first_chunk_mut::<HEADER>().ok_or(Error::SealFailed)?;
        *head = header;
        if self.explicit_nonce() == 8 {
            *rest.first_chunk_mut::<8>().ok_or(Error::SealFailed)? = self.seq.to_be_bytes();
        }
        Ok(header)
    }
}
