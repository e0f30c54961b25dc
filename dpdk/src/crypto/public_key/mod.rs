//! Cryptodev: public-key operations by a device.
//!
//! A [`Device`] is opened by the control plane, its [`QueuePair`]s go to workers. Keys are installed in each
//! queue pair, and only if the device gives a known answer under them; what needs no key, or none of ours,
//! is tried against fixed answers when the device is opened. No answer is checked here afterwards.
//!
//! Operations are raw: padding, hashing and nonces are the caller's, who also sees to it that a point is on
//! the curve. Inputs and answers are wiped behind the device.

mod device;
mod key;
mod known_answers;
mod queue_pair;

pub use device::{Device, DeviceConfig};
pub use key::{KeyId, RsaKey};
pub use queue_pair::QueuePair;

/// Bytes of the longest number: a modulus of RSA-4096.
pub const MAX_LEN: usize = dpdk_sys::LEVEE_ASYM_MAX as usize;

/// What a device may be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RSASP1 of RFC 8017 section 5.2.1.
    Rsa,
    /// ECDSA signatures on P-256.
    EcdsaP256,
    /// A point of P-256 times a scalar.
    MultiplyP256,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rsa, Self::EcdsaP256, Self::MultiplyP256];

    /// The shim's number.
    fn code(self) -> i32 {
        let code = match self {
            Self::Rsa => dpdk_sys::LEVEE_ASYM_RSA,
            Self::EcdsaP256 => dpdk_sys::LEVEE_ASYM_ECDSA_P256,
            Self::MultiplyP256 => dpdk_sys::LEVEE_ASYM_MULTIPLY_P256,
        };
        code.cast_signed()
    }
}

/// An operation; its bytes are copied.
#[derive(Clone, Copy)]
pub enum Operation<'a> {
    /// An RSA signature.
    Rsa {
        /// An RSA key.
        key: KeyId,
        /// The encoded message, as long as the modulus.
        message: &'a [u8],
    },
    /// An ECDSA signature: r and s.
    EcdsaP256 {
        /// An ECDSA key.
        key: KeyId,
        /// What is signed.
        digest: &'a [u8; 32],
        /// The secret k of this signature alone.
        nonce: &'a [u8; 32],
    },
    /// A multiplication: both coordinates.
    MultiplyP256 {
        /// The scalar, not zero and below the order.
        scalar: &'a [u8; 32],
        /// Both coordinates of a point on the curve.
        point: &'a [u8; 64],
    },
}

/// What became of an [`Operation`].
pub struct Finished {
    /// The operation's.
    pub token: u64,
    /// `None`: the device failed.
    pub answer: Option<Answer>,
}

/// What a device answered; wiped when dropped.
pub struct Answer {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Answer {
    /// The numbers one after the other, each with its zeros in front.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

fn wipe(bytes: &mut [u8]) {
    // SAFETY: bytes of ours.
    unsafe { libc::explicit_bzero(bytes.as_mut_ptr().cast(), bytes.len()) };
}
