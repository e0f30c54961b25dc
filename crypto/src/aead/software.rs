//! The CPU as an AEAD engine: `SoftwareAead`, over any chain, always answering at once.
//!
//! Bytes in one piece go through aws-lc (16 KiB of AES-128-GCM: 1.2 us); bytes in several
//! pieces through the keystream and hash of `streaming.rs`, in place (6.8 us). When sealing, a few bytes
//! at the end, and the tag, may lie apart and still count as one piece. Out of place the plaintext is
//! gathered into the one destination and sealed there.
//!
//! Both libraries are constant time by design, with AES instructions and without. A tag is compared in
//! constant time, and before the first byte is decrypted (in one piece: aws-lc wipes what it decrypted).
//!
//! Bound: the session table. A session is its key and an aws-lc context, which lies in memory of
//! aws-lc's own allocator (about 600 bytes, wiped when freed), not of Rust's.

use std::collections::VecDeque;
use std::ops::Range;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use levee_buf::{Chain, Memory};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::streaming::start;
use super::{
    Aad, Aead, AeadKey, Algorithm, Answer, Direction, Finished, Operation, Outcome, SessionId, TAG_LEN,
};
use crate::Token;

/// The most sessions a table can have: the rest of a [`SessionId`] tells its uses of a slot apart.
const MAX_SESSIONS: usize = 1 << 24;

/// The most bytes behind the first piece that are sealed with it as one: a content type, and a little.
const SHORT: usize = 32;

/// An AEAD engine on this core.
pub struct SoftwareAead {
    slots: Vec<Slot>,
    /// Slots without a key, the longest unused first, so that an id comes back as late as can be.
    free: VecDeque<u32>,
    /// Low bits of an id that name the slot; the others are its generation.
    slot_bits: u32,
}

struct Slot {
    generation: u32,
    key: Option<Key>,
}

impl SoftwareAead {
    /// An engine for `sessions` keys at a time, at most 2^24.
    #[must_use]
    pub fn new(sessions: usize) -> Self {
        let sessions = u32::try_from(sessions.min(MAX_SESSIONS)).unwrap_or(u32::MAX);
        Self {
            slots: (0..sessions).map(|_| Slot { generation: 0, key: None }).collect(),
            free: (0..sessions).collect(),
            slot_bits: u32::BITS - sessions.saturating_sub(1).leading_zeros(),
        }
    }

    /// Keys installed.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn split(&self, session: SessionId) -> (usize, u32) {
        let slot = session.0 & ((1 << self.slot_bits) - 1);
        (slot as usize, session.0 >> self.slot_bits)
    }

    fn key(&self, session: SessionId) -> Option<&Key> {
        let (slot, generation) = self.split(session);
        self.slots.get(slot).filter(|slot| slot.generation == generation)?.key.as_ref()
    }
}

impl<M: Memory> Aead<M> for SoftwareAead {
    fn open_session(&mut self, key: &AeadKey) -> Option<SessionId> {
        let key = Key::new(key)?;
        let index = self.free.pop_front()?;
        let slot = self.slots.get_mut(index as usize)?;
        slot.key = Some(key);
        Some(SessionId(slot.generation << self.slot_bits | index))
    }

    fn close_session(&mut self, session: SessionId) {
        let (index, generation) = self.split(session);
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.generation != generation || slot.key.take().is_none() {
            return;
        }
        slot.generation = generation.wrapping_add(1) & (u32::MAX >> self.slot_bits);
        self.free.push_back(session.0 & ((1 << self.slot_bits) - 1));
    }

    fn submit(&mut self, _token: Token, operation: Operation<M::Chain>) -> Answer<M::Chain> {
        let Operation { session, direction, nonce, aad, mut text, at, into } = operation;
        let key = self.key(session);
        let (text, done) = match (direction, into) {
            (Direction::Seal, None) => {
                let done = key.and_then(|key| key.seal(nonce, aad, &mut text, at));
                (text, done)
            }
            (Direction::Open, None) => {
                let done = key.and_then(|key| key.open(nonce, aad, &mut text, at));
                (text, done)
            }
            (Direction::Seal, Some(mut into)) => {
                let done = key.and_then(|key| key.seal_into(nonce, aad, &text, &mut into));
                (into, done)
            }
            (Direction::Open, Some(into)) => (into, None),
        };
        Answer::Now(Finished { direction, text, outcome: Outcome::by_hand(direction, done.is_some()) })
    }

    fn flush(&mut self) {}

    fn keys(&self) -> usize {
        self.sessions()
    }

    fn completed(&mut self) -> Option<(Token, Finished<M::Chain>)> {
        None
    }
}

/// See [`AeadKey::once`].
pub(super) fn once(
    key: &AeadKey,
    direction: Direction,
    nonce: [u8; 12],
    aad: Aad,
    text: &mut impl Chain,
    at: Range<usize>,
) -> Option<()> {
    let key = Key::new(key)?;
    match direction {
        Direction::Seal => key.seal(nonce, aad, text, at),
        Direction::Open => key.open(nonce, aad, text, at),
    }
}

/// A key twice: as itself for `streaming.rs`, which expands it anew for each operation (cheaper than the
/// 1 to 2 KiB of an expanded key a connection), and expanded in aws-lc.
struct Key {
    key: AeadKey,
    contiguous: LessSafeKey,
}

/// `None` everywhere: a wrong tag, a range outside the chain, or bytes that are shared.
impl Key {
    fn new(key: &AeadKey) -> Option<Self> {
        let algorithm = match key.algorithm() {
            Algorithm::Aes128Gcm => &AES_128_GCM,
            Algorithm::Aes256Gcm => &AES_256_GCM,
            Algorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let contiguous = LessSafeKey::new(UnboundKey::new(algorithm, key.bytes()).ok()?);
        Some(Self { key: key.clone(), contiguous })
    }

    fn seal(&self, nonce: [u8; 12], aad: Aad, text: &mut impl Chain, at: Range<usize>) -> Option<()> {
        let (body, tag_at) = split_tag(text, at)?;
        let first = body.len().min(text.chunk(body.start).len());
        let (rest, rest_len) = (body.start + first, body.len() - first);
        if rest_len > SHORT {
            let (mut keystream, mut authenticator) = start(&self.key, nonce, aad.bytes())?;
            let encrypt = &mut |piece: &mut [u8]| {
                keystream.apply(piece);
                authenticator.update(piece);
            };
            text.for_each_mut(body, encrypt).then_some(())?;
            return write(text, tag_at, &authenticator.tag());
        }
        let (mut plain, mut sealed) = ([0; SHORT], [0; SHORT + TAG_LEN]);
        let (plain, sealed) = (plain.get_mut(..rest_len)?, sealed.get_mut(..rest_len + TAG_LEN)?);
        text.copy_to(rest, plain);
        let body = text.chunk_mut(body.start)?.get_mut(..first)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.contiguous.seal_in_place_scatter(nonce, aws_lc_aad(&aad), body, plain, sealed).ok()?;
        write(text, rest..tag_at.end, sealed)
    }

    fn open(&self, nonce: [u8; 12], aad: Aad, text: &mut impl Chain, at: Range<usize>) -> Option<()> {
        let (body, tag_at) = split_tag(text, at)?;
        let mut tag = [0; TAG_LEN];
        text.copy_to(tag_at.start, &mut tag);
        if let Some(body) = text.chunk_mut(body.start)?.get_mut(..body.len()) {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let aad = aws_lc_aad(&aad);
            return self.contiguous.open_in_place_separate_tag(nonce, aad, &tag, body).ok().map(|_| ());
        }
        // The tag is checked over all pieces before the first is decrypted.
        let (mut keystream, mut authenticator) = start(&self.key, nonce, aad.bytes())?;
        text.for_each(body.clone(), &mut |piece| authenticator.update(piece));
        if !bool::from(authenticator.tag().ct_eq(&tag)) {
            return None;
        }
        text.for_each_mut(body, &mut |piece| keystream.apply(piece)).then_some(())
    }

    fn seal_into(&self, nonce: [u8; 12], aad: Aad, text: &impl Chain, into: &mut impl Chain) -> Option<()> {
        let place = into.extend(text.len() + TAG_LEN)?;
        let (body, tag) = place.split_at_mut_checked(text.len())?;
        let (plain, aad) = (text.chunk(0), aws_lc_aad(&aad));
        let nonce = Nonce::assume_unique_for_key(nonce);
        if plain.len() == body.len() {
            return self.contiguous.seal_out_of_place_scatter(nonce, aad, plain, body, &[], tag).ok();
        }
        text.copy_to(0, body);
        let sealed = self.contiguous.seal_in_place_scatter(nonce, aad, body, &[], tag);
        sealed.map_err(|_| body.zeroize()).ok()
    }
}

fn aws_lc_aad(aad: &Aad) -> aws_lc_rs::aead::Aad<&[u8]> {
    aws_lc_rs::aead::Aad::from(aad.bytes())
}

/// The text and the tag of `at`, if they lie in `text` and may be written.
fn split_tag(text: &impl Chain, at: Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
    let middle = at.end.checked_sub(TAG_LEN).filter(|&middle| middle >= at.start)?;
    (at.end <= text.len() && text.is_exclusive(at.clone())).then_some((at.start..middle, middle..at.end))
}

/// Writes `bytes` over `range` of `text`, which has their length.
fn write(text: &mut impl Chain, range: Range<usize>, bytes: &[u8]) -> Option<()> {
    let mut rest = bytes;
    let copy = &mut |piece: &mut [u8]| {
        let (head, tail) = rest.split_at(piece.len());
        piece.copy_from_slice(head);
        rest = tail;
    };
    text.for_each_mut(range, copy).then_some(())
}
