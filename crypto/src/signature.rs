//! Signatures as they stand on the wire: `Signature`.
//!
//! Those of curves lie in the value itself. One of RSA takes up to 512 bytes, which answers do not carry through
//! queues: it lies in a room of its thread, which goes back by itself when the signature is dropped. Bound:
//! [`ROOMS`] are kept for each thread that has an engine, made with it; an allocation stands in for one more.

use std::cell::RefCell;

/// Bytes of the longest signature that lies in its value: the DER of one by ECDSA on P-384.
const MAX_SHORT: usize = 104;

/// Bytes of the longest signature of all, that of RSA-4096.
const MAX_LONG: usize = 512;

/// Long signatures that a turn of an engine makes, and more.
const ROOMS: usize = 64;

/// A signature of at most 512 bytes (RSA-4096).
pub struct Signature(Form);

enum Form {
    Short { bytes: [u8; MAX_SHORT], len: u8 },
    Long(Long),
}

/// A signature in a room, which is none only while it is dropped.
struct Long {
    room: Option<Room>,
    len: u16,
}

type Room = Box<[u8; MAX_LONG]>;

thread_local! {
    static SPARE: RefCell<Vec<Room>> = const { RefCell::new(Vec::new()) };
}

impl Signature {
    /// The signature in `bytes`; `None` when it is over 512 bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() <= MAX_SHORT {
            let mut place = [0; MAX_SHORT];
            place.get_mut(..bytes.len())?.copy_from_slice(bytes);
            return Some(Self(Form::Short { bytes: place, len: u8::try_from(bytes.len()).ok()? }));
        }
        if bytes.len() > MAX_LONG {
            return None;
        }
        let mut room = SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Box::new([0; MAX_LONG]));
        room.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self(Form::Long(Long { room: Some(room), len: u16::try_from(bytes.len()).ok()? })))
    }

    /// Makes the rooms of this thread.
    pub(crate) fn reserve() {
        SPARE.with_borrow_mut(|spare| {
            spare.reserve_exact(ROOMS.saturating_sub(spare.len()));
            while spare.len() < ROOMS {
                spare.push(Box::new([0; MAX_LONG]));
            }
        });
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let bytes = match &self.0 {
            Form::Short { bytes, len } => bytes.get(..usize::from(*len)),
            Form::Long(Long { room, len }) => room.as_ref().and_then(|room| room.get(..usize::from(*len))),
        };
        bytes.unwrap_or_default()
    }
}

/// Rooms go back as far as there is space for them, so that this does not allocate.
impl Drop for Long {
    fn drop(&mut self) {
        let room = self.room.take();
        // At the end of a thread there is nothing to go back to.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < spare.capacity() {
                spare.extend(room);
            }
        });
    }
}

const _: () = assert!(size_of::<Signature>() <= 112);

#[cfg(test)]
mod tests {
    use super::*;

    fn spare() -> usize {
        SPARE.with_borrow(Vec::len)
    }

    #[test]
    fn a_signature_of_any_length_is_kept() {
        for len in [0, 1, 64, 72, MAX_SHORT, MAX_SHORT + 1, 256, 384, MAX_LONG] {
            let bytes: Vec<u8> = (0..=255).cycle().take(len).collect();
            assert_eq!(Signature::new(&bytes).unwrap().bytes(), bytes);
        }
        assert!(Signature::new(&[0; MAX_LONG + 1]).is_none());
    }

    #[test]
    fn rooms_are_made_once_and_go_back() {
        let early = Signature::new(&[1; 256]).unwrap();
        drop(early);
        assert_eq!(spare(), 0, "a thread without an engine keeps none");
        Signature::reserve();
        Signature::reserve();
        assert_eq!(spare(), ROOMS);
        let mut all: Vec<_> = (0..ROOMS + 1).map(|_| Signature::new(&[2; 256]).unwrap()).collect();
        assert_eq!(spare(), 0);
        all.truncate(ROOMS - 1);
        assert_eq!(spare(), 2);
        drop(all);
        assert_eq!(spare(), ROOMS, "and no more");
    }
}
