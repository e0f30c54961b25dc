//! Key shares, what pairs of them keep, and what they agree on: `Share`, `SharePool`, `PrivateShare`, `Secret`.
//!
//! A share of a curve lies in its value. One of X25519MLKEM768 takes 1,216 bytes, which no job carries through
//! queues: it lies in a room of its worker's [`SharePool`], made at the start, which goes back by itself when
//! whoever has the share drops it. Bound: the rooms of the pool.

use std::cell::RefCell;
use std::rc::Rc;

use zeroize::{ZeroizeOnDrop, optimization_barrier};

use crate::Group;

/// Bytes of the longest share that lies in its value: an uncompressed point on P-384.
const MAX_SHORT: usize = 97;

/// Bytes of the longest share of all: what a client sends for X25519MLKEM768.
const MAX_LONG: usize = 1216;

/// A public key share as it stands on the wire; of either side.
pub struct Share(Form);

enum Form {
    Short { bytes: [u8; MAX_SHORT], len: u8 },
    Long(Long),
}

impl Share {
    /// The share in `bytes`; `None` when its length is not the group's, and for a group of long shares, which
    /// [`SharePool::share`] makes.
    #[must_use]
    pub fn new(group: Group, bytes: &[u8]) -> Option<Self> {
        let mut place = [0; MAX_SHORT];
        if bytes.len() != group.share_len() {
            return None;
        }
        place.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self(Form::Short { bytes: place, len: u8::try_from(bytes.len()).ok()? }))
    }

    /// A share of no bytes.
    pub(crate) const fn none() -> Self {
        Self(Form::Short { bytes: [0; MAX_SHORT], len: 0 })
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Short { bytes, len } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Form::Long(long) => long.bytes(),
        }
    }

    /// The bytes on the wire if they have the form of what a client sends for `group`; engines look no further
    /// at others.
    #[must_use]
    pub fn of(&self, group: Group) -> Option<&[u8]> {
        let bytes = self.bytes();
        // RFC 8446 section 4.2.8.2: `uint8 legacy_form = 4;`.
        let form = match group {
            Group::X25519 | Group::X25519MlKem768 => true,
            Group::Secp256r1 | Group::Secp384r1 => bytes.first() == Some(&4),
        };
        (form && bytes.len() == group.share_len()).then_some(bytes)
    }

    /// Another share of the same bytes; `None` when it is a long one and its pool has no room.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            Form::Short { bytes, len } => Some(Self(Form::Short { bytes: *bytes, len: *len })),
            Form::Long(long) => long.pool.long(long.bytes()).map(|long| Self(Form::Long(long))),
        }
    }

    /// The answer of `parts` to this share, in its room: this one is empty from then on. `None` when it has no
    /// room of a pool, or one too small.
    pub(crate) fn answer(&mut self, parts: &[&[u8]]) -> Option<Self> {
        let Form::Long(long) = &mut self.0 else { return None };
        let mut answer = Long { room: long.room.take(), len: 0, pool: long.pool.clone() };
        let room = answer.room.as_mut()?;
        let mut len = 0;
        for part in parts {
            room.get_mut(len..len + part.len())?.copy_from_slice(part);
            len += part.len();
        }
        answer.len = u16::try_from(len).ok()?;
        Some(Self(Form::Long(answer)))
    }
}

/// Room for the long shares of one worker.
#[derive(Clone)]
pub struct SharePool(Rc<RefCell<Vec<Room>>>);

type Room = Box<[u8; MAX_LONG]>;

/// Why a pool makes no share of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareError {
    /// Their length is not the group's.
    Length,
    /// All rooms are taken.
    Exhausted,
}

impl SharePool {
    /// A pool of `rooms` rooms of 1,216 bytes.
    #[must_use]
    pub fn new(rooms: usize) -> Self {
        Self(Rc::new(RefCell::new((0..rooms).map(|_| Box::new([0; MAX_LONG])).collect())))
    }

    /// What a client sent for `group`; in a room if it is long.
    ///
    /// # Errors
    /// [`ShareError`].
    pub fn share(&self, group: Group, bytes: &[u8]) -> Result<Share, ShareError> {
        if bytes.len() != group.share_len() {
            return Err(ShareError::Length);
        }
        if bytes.len() > MAX_SHORT {
            let long = self.long(bytes).ok_or(ShareError::Exhausted)?;
            return Ok(Share(Form::Long(long)));
        }
        Share::new(group, bytes).ok_or(ShareError::Length)
    }

    /// Rooms that are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.borrow().len()
    }

    fn long(&self, bytes: &[u8]) -> Option<Long> {
        let mut long = Long { room: self.0.borrow_mut().pop(), len: 0, pool: self.clone() };
        long.room.as_mut()?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        long.len = u16::try_from(bytes.len()).ok()?;
        Some(long)
    }
}

/// A share in a room of a pool.
struct Long {
    /// None in a share that was answered.
    room: Option<Room>,
    len: u16,
    pool: SharePool,
}

impl Long {
    fn bytes(&self) -> &[u8] {
        self.room.as_ref().and_then(|room| room.get(..usize::from(self.len))).unwrap_or_default()
    }
}

/// The pool has space for every room it was made with, so that this does not allocate.
impl Drop for Long {
    fn drop(&mut self) {
        self.pool.0.borrow_mut().extend(self.room.take());
    }
}

/// The private half of an ephemeral key pair; wiped when dropped.
#[derive(Clone)]
pub struct PrivateShare {
    bytes: [u8; 48],
    group: Group,
}

impl PrivateShare {
    /// The scalar `bytes` of `group`, in the group's own byte order.
    #[must_use]
    pub fn new<const N: usize>(group: Group, bytes: [u8; N]) -> Self {
        Self { bytes: padded(bytes), group }
    }

    /// Zeros in place of one of the same group.
    pub(crate) const fn blank(&self) -> Self {
        Self { bytes: [0; 48], group: self.group }
    }

    /// The group it belongs to.
    #[must_use]
    pub const fn group(&self) -> Group {
        self.group
    }

    /// The scalar.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.group.scalar_len()).unwrap_or_default()
    }
}

impl Drop for PrivateShare {
    fn drop(&mut self) {
        self.bytes = [0; 48];
        optimization_barrier(&self.bytes);
    }
}

impl ZeroizeOnDrop for PrivateShare {}

/// An agreed secret; wiped when dropped.
#[derive(Clone)]
pub struct Secret {
    bytes: [u8; 64],
    len: u8,
}

impl Secret {
    /// The secret in `bytes`.
    #[must_use]
    pub fn new<const N: usize>(bytes: [u8; N]) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "at most 64, which `padded` holds it to")]
        Self { bytes: padded(bytes), len: N as u8 }
    }

    /// Zeros in place of one.
    pub(crate) const fn blank() -> Self {
        Self { bytes: [0; 64], len: 0 }
    }

    /// The secret in `bytes` if there are `N` of them.
    pub(crate) fn of<const N: usize>(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::new::<N>)
    }

    /// The secret of the hybrid: that of ML-KEM, then that of X25519.
    pub(crate) fn hybrid(encapsulated: &[u8], agreed: &[u8]) -> Option<Self> {
        let mut secret = Self { bytes: [0; 64], len: 64 };
        let (first, second) = secret.bytes.split_at_mut(32);
        first.copy_from_slice(encapsulated.get(..32)?);
        second.copy_from_slice(agreed.get(..32)?);
        Some(secret)
    }

    /// The secret.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// At once, where `Zeroize` would write byte after byte.
impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes = [0; 64];
        optimization_barrier(&self.bytes);
    }
}

impl ZeroizeOnDrop for Secret {}

fn padded<const N: usize, const ROOM: usize>(mut bytes: [u8; N]) -> [u8; ROOM] {
    const { assert!(N <= ROOM) };
    let mut padded = [0; ROOM];
    padded[..N].copy_from_slice(&bytes);
    bytes = [0; N];
    optimization_barrier(&bytes);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_goes_back_when_its_share_is_dropped() {
        let pool = SharePool::new(2);
        let group = Group::X25519MlKem768;
        let one = pool.share(group, &[1; MAX_LONG]).unwrap();
        let mut other = one.try_clone().unwrap();
        assert_eq!(one.of(group), Some(&[1; MAX_LONG][..]));
        assert!(one.try_clone().is_none());
        assert_eq!(pool.share(group, &[2; MAX_LONG]).err(), Some(ShareError::Exhausted));
        assert!(pool.share(Group::X25519, &[3; 32]).is_ok(), "a short one takes no room");

        let answer = other.answer(&[&[4; 1088], &[5; 32]]).unwrap();
        assert_eq!(answer.bytes(), [[4; 1088].as_slice(), &[5; 32]].concat());
        assert_eq!((answer.of(group), other.bytes()), (None, &[][..]));
        assert_eq!(pool.free(), 0);
        drop(other);
        assert_eq!(pool.free(), 0, "the answer has the room");
        drop(answer);
        drop(one);
        assert_eq!(pool.free(), 2);
        assert_eq!(pool.0.borrow().capacity(), 2);
    }

    #[test]
    fn a_share_has_the_length_of_its_group() {
        let pool = SharePool::new(1);
        for group in [Group::X25519, Group::Secp256r1, Group::Secp384r1, Group::X25519MlKem768] {
            for len in [0, group.share_len() - 1, group.share_len() + 1, 2 * group.share_len()] {
                assert_eq!(pool.share(group, &vec![4; len]).err(), Some(ShareError::Length));
                assert!(Share::new(group, &vec![4; len]).is_none());
            }
            assert!(pool.share(group, &vec![4; group.share_len()]).unwrap().of(group).is_some());
        }
        assert!(Share::new(Group::X25519MlKem768, &[4; MAX_LONG]).is_none());
        assert!(Share::new(Group::X25519, &[4; 32]).unwrap().answer(&[&[0; 32]]).is_none());
        let mut long = pool.share(Group::X25519MlKem768, &[4; MAX_LONG]).unwrap();
        assert!(long.answer(&[&[0; MAX_LONG], &[0]]).is_none());
        assert_eq!(pool.free(), 1);
    }
}
