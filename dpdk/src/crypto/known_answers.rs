//! Tries a device against known answers: what it claims is not always so.
//!
//! The bytes were computed by an independent implementation. Plaintext byte `n` is `7 n + 3`, the key is
//! 0x80, 0x81, ..., the nonce 0x40, 0x41, ..., the additional data 0, 1, ...

use std::time::{Duration, Instant};

use hex_literal::hex;
use levee_buf::{Chain as _, MAX_ROOM, Memory, Pieces};

use crate::chain::Chain;
use crate::crypto::device::Support;
use crate::crypto::{
    Algorithm, Answer, Direction, Finished, NONCE_LEN, Operation, Path, QueuePair, SessionId, TAG_LEN,
};
use crate::mempool::Pool;

/// What of `algorithm` the device of `pair` gets right, by the fastest path that does.
pub(super) fn try_out(pair: &mut QueuePair, pool: &Pool, algorithm: Algorithm, can_now: bool) -> Support {
    let before = pair.support;
    let paths = [Path::Now, Path::Later].into_iter().filter(|path| can_now || *path == Path::Later);
    let mut found = Support::NONE;
    for path in paths.clone() {
        pair.support[algorithm as usize] = Support { in_place: Some(path), out_of_place: None };
        if in_place_is_right(pair, pool, algorithm).is_some() {
            found.in_place = Some(path);
            break;
        }
    }
    for path in paths.filter(|_| found.in_place.is_some()) {
        pair.support[algorithm as usize] = Support { out_of_place: Some(path), ..found };
        if out_of_place_is_right(pair, pool, algorithm).is_some() {
            found.out_of_place = Some(path);
            break;
        }
    }
    // In place behind out of place on one key: what is done at once must then wait, and go the same way.
    if (found.in_place, found.out_of_place) == (Some(Path::Now), Some(Path::Later)) {
        pair.support[algorithm as usize] = Support { in_place: Some(Path::Later), out_of_place: None };
        if in_place_is_right(pair, pool, algorithm).is_none() {
            found.out_of_place = None;
        }
    }
    pair.support = before;
    found
}

const LENGTH: usize = 100;

/// Bytes before and behind the operation that must stay as they are.
const AROUND: usize = 5;

struct Answers {
    ciphertext: [u8; LENGTH],
    /// With 5 and with 13 bytes of additional data.
    tags: [[u8; TAG_LEN]; 2],
}

const fn answers(algorithm: Algorithm) -> Answers {
    match algorithm {
        Algorithm::Aes128Gcm => Answers {
            ciphertext: hex!(
                "92f91c81a06875aad47941e0907367eccddabc4ac61e164b24efdfa1177892c2b1dbe28a9602aae3f702c0c822be0753"
                "d270bc8ed75675ce1c3bd13df617f61a6773a272fc51bbf39db88ee48ba44d10777ea26642f6b33a4d2c0cff4e6c326a"
                "930a57cd"
            ),
            tags: [hex!("210cc240d10b999059777908647b9844"), hex!("b2d9eb4eafdc57d549316daf345f59d6")],
        },
        Algorithm::Aes256Gcm => Answers {
            ciphertext: hex!(
                "dac0105e2cc3935e43b3982968f07e51031996b665d7500d99f90393a927ef57ce5fd34d6699b025ce81d4fdc2d502bf"
                "010be57a1952b44cd5dd6df7400295664cd0493a96ab084f54e22dd24a4e171445538711520522e5d5a0fdb982f480bd"
                "739be047"
            ),
            tags: [hex!("274f383e8e814841bb06ebaf339f9508"), hex!("5e862df94d0376548acc9653e8533cae")],
        },
        Algorithm::ChaCha20Poly1305 => Answers {
            ciphertext: hex!(
                "5e8a4322813f16c112ed52219387620964620fca51425f2e7015ac38ec425d1cdbf443c2994c17b04c19e3ebb52c77bc"
                "1c8e4a5d383133739bcb70ad42afee0cafb1c0ca031332288ea6667ff3ce200d356b57833755a0a0b022ee7f264ebde4"
                "8a242804"
            ),
            tags: [hex!("ed893d44205109811828fe1cecaba78b"), hex!("f20e78df2a441f1b7cf6ad1943c4305e")],
        },
    }
}

fn plaintext() -> [u8; LENGTH] {
    let mut text = [3_u8; LENGTH];
    for at in 1..LENGTH {
        text[at] = text[at - 1].wrapping_add(7);
    }
    text
}

fn in_place_is_right(pair: &mut QueuePair, pool: &Pool, algorithm: Algorithm) -> Option<()> {
    let answers = answers(algorithm);
    // In one segment; in three; with the tag in two.
    for cuts in [&[][..], &[12, 45], &[12, 45, 110]] {
        for (aad_len, tag) in [5, 13].into_iter().zip(&answers.tags) {
            let plain = framed(&plaintext(), &[0; TAG_LEN]);
            let sealed = framed(&answers.ciphertext, tag);
            let at = AROUND..AROUND + LENGTH + TAG_LEN;
            let case = |direction, bytes: &[u8]| {
                Some(operation(direction, aad_len, in_pieces(pool, bytes, cuts)?, at.clone(), None))
            };
            let done = once(pair, algorithm, case(Direction::Seal, &plain)?)?;
            right(done.is_done() && done.text.to_vec() == sealed)?;
            let done = once(pair, algorithm, case(Direction::Open, &sealed)?)?;
            right(done.is_done() && done.text.to_vec()[..AROUND + LENGTH] == plain[..AROUND + LENGTH])?;
            for spoilt in [AROUND, AROUND + LENGTH - 1, AROUND + LENGTH, AROUND + LENGTH + TAG_LEN - 1] {
                let mut wrong = sealed.clone();
                wrong[spoilt] ^= 0x10;
                right(!once(pair, algorithm, case(Direction::Open, &wrong)?)?.is_done())?;
            }
        }
    }
    a_full_record_is_right(pair, pool, algorithm)
}

/// Sealed over the segments of received packets, opened in one.
fn a_full_record_is_right(pair: &mut QueuePair, pool: &Pool, algorithm: Algorithm) -> Option<()> {
    const RECORD: usize = (1 << 14) + 1;
    let bytes: Vec<u8> = plaintext().into_iter().cycle().take(RECORD).chain([0; TAG_LEN]).collect();
    let cuts: Vec<usize> = (900..RECORD).step_by(1448).collect();
    let text = in_pieces(pool, &bytes, &cuts)?;
    let done = once(pair, algorithm, operation(Direction::Seal, 5, text, 0..RECORD + TAG_LEN, None))?;
    right(done.is_done() && done.text.to_vec() != bytes)?;
    let mut whole = pool.alloc(MAX_ROOM)?;
    done.text.copy_to(0, whole.extend(RECORD + TAG_LEN)?);
    let done = once(pair, algorithm, operation(Direction::Open, 5, whole, 0..RECORD + TAG_LEN, None))?;
    right(done.is_done() && done.text.to_vec()[..RECORD] == bytes[..RECORD])
}

fn out_of_place_is_right(pair: &mut QueuePair, pool: &Pool, algorithm: Algorithm) -> Option<()> {
    let answers = answers(algorithm);
    for cuts in [&[][..], &[7, 40]] {
        for (aad_len, tag) in [5, 13].into_iter().zip(&answers.tags) {
            let mut plain = in_pieces(pool, &plaintext(), cuts)?;
            let text = pool.reference(&mut plain, 0..LENGTH)?;
            let mut into = pool.alloc(LENGTH + TAG_LEN)?;
            into.extend(AROUND)?.fill(0xee);
            let done = once(pair, algorithm, operation(Direction::Seal, aad_len, text, 0..0, Some(into)))?;
            let sealed = framed(&answers.ciphertext, tag);
            right(done.is_done() && done.text.to_vec() == sealed[..sealed.len() - AROUND])?;
            right(plain.to_vec() == plaintext())?;
        }
    }
    Some(())
}

fn right(is: bool) -> Option<()> {
    is.then_some(())
}

/// `text` and `tag` with bytes around that nobody may touch.
fn framed(text: &[u8; LENGTH], tag: &[u8; TAG_LEN]) -> Vec<u8> {
    [&[0xee; AROUND][..], text, tag, &[0xee; AROUND]].concat()
}

/// A chain of `bytes`, cut into segments at `cuts`.
fn in_pieces(pool: &Pool, bytes: &[u8], cuts: &[usize]) -> Option<Chain> {
    let mut chain = Chain::default();
    let mut from = 0;
    for to in cuts.iter().copied().chain([bytes.len()]) {
        let mut piece = pool.alloc(to - from)?;
        piece.extend(to - from)?.copy_from_slice(&bytes[from..to]);
        chain.append(piece);
        from = to;
    }
    Some(chain)
}

fn operation(
    direction: Direction,
    aad_len: u8,
    text: Chain,
    at: std::ops::Range<usize>,
    into: Option<Chain>,
) -> Operation {
    let mut nonce = [0x40; NONCE_LEN];
    for at in 1..NONCE_LEN {
        nonce[at] = nonce[at - 1] + 1;
    }
    let aad: Vec<u8> = (0..aad_len).collect();
    let aad = Operation::aad(&aad);
    Operation { token: 0, session: SessionId(0), direction, nonce, aad, text, at, into }
}

/// Does one operation under a session of its own.
fn once(pair: &mut QueuePair, algorithm: Algorithm, mut operation: Operation) -> Option<Finished> {
    let key: Vec<u8> = (0x80..).take(algorithm.key_len()).collect();
    operation.session = pair.open_session(algorithm, &key)?;
    let session = operation.session;
    let finished = match pair.submit(operation) {
        Answer::Now(finished) => Some(finished),
        Answer::Later => {
            pair.flush();
            let deadline = Instant::now() + Duration::from_millis(200);
            loop {
                let finished = pair.completed();
                if finished.is_some() || Instant::now() > deadline {
                    break finished;
                }
            }
        }
        Answer::Busy(_) => None,
    };
    pair.close_session(session);
    finished
}
