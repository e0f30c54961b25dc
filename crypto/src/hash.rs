//! What a TLS key schedule hashes with: `Running`, `HmacKey`, `hmac`, `hkdf_extract`, `hkdf_expand`, `prf_tls12`.
//!
//! SHA-256 is compressed by SHA-NI where the CPU has it, two messages side by side where there are two; otherwise, and
//! for SHA-384, the compression functions are those of the `sha2` crate. None has a branch or index that
//! depends on data. Everything lies on the stack. States and secrets are wiped when dropped; a `Digest` is public.

use std::fmt;
use std::ops::Deref;

use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, optimization_barrier};

mod compression;
mod hmac;
mod running;

use compression::Compression;
pub use hmac::{HmacKey, Label, hkdf_expand, hkdf_extract, hmac, prf_tls12};
pub use running::Running;

/// Bytes of the longest hash.
pub const MAX_HASH_LEN: usize = 48;

/// The hash of a cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl Hash {
    /// Bytes of a digest.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a length of the algorithm, not of a collection")]
    pub const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    /// The digest of the concatenation of `parts`.
    #[must_use]
    pub fn digest(self, parts: &[&[u8]]) -> Digest {
        let mut running = Running::new(self);
        parts.iter().for_each(|part| running.update(part));
        running.peek()
    }
}

/// A digest, or a message authentication code, of 32 or 48 bytes; public.
#[derive(Clone, Copy)]
pub struct Digest {
    bytes: [u8; MAX_HASH_LEN],
    len: u8,
}

impl Digest {
    const fn zero(hash: Hash) -> Self {
        let len = match hash {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
        };
        Self { bytes: [0; MAX_HASH_LEN], len }
    }

    fn of<C: Compression>(state: &C::State) -> Self {
        let mut digest = Self::zero(C::HASH);
        if let Some(bytes) = C::digest(state).as_ref().first_chunk() {
            digest.bytes = *bytes;
        }
        digest
    }

    fn place(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.len)]
    }

    /// Whether `other` is the same, in time that depends on lengths alone.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        bool::from(self.ct_eq(other))
    }
}

impl Deref for Digest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A secret as long as a hash; wiped when dropped.
#[derive(Clone)]
pub struct SecretDigest(Digest);

impl SecretDigest {
    /// The algorithm.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        if self.0.len == 48 { Hash::Sha384 } else { Hash::Sha256 }
    }

    /// `hash.len()` zero bytes, to be written through [`SecretDigest::as_mut`].
    #[must_use]
    pub const fn zero(hash: Hash) -> Self {
        Self(Digest::zero(hash))
    }
}

impl AsMut<[u8]> for SecretDigest {
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.place()
    }
}

impl Deref for SecretDigest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for SecretDigest {
    fn drop(&mut self) {
        self.0.bytes = [0; MAX_HASH_LEN];
        optimization_barrier(&self.0.bytes);
    }
}

impl ZeroizeOnDrop for SecretDigest {}

#[cfg(test)]
mod tests;
