//! Public-key work as values: `Job` in, `Done` out, and the `Engine` between them.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Names the connection (and within it the operation) that asked; the engine returns it untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

/// A key agreement group of TLS (RFC 8446 section 4.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Curve25519 (RFC 7748).
    X25519,
    /// NIST P-256.
    Secp256r1,
}

impl Group {
    /// The IANA code point.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::X25519 => 0x001d,
            Self::Secp256r1 => 0x0017,
        }
    }

    /// The group of an IANA code point, if it is one of ours.
    #[must_use]
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            0x001d => Some(Self::X25519),
            0x0017 => Some(Self::Secp256r1),
            _ => None,
        }
    }

    /// Bytes of a public share on the wire: a u-coordinate, or an uncompressed point.
    #[must_use]
    pub const fn share_len(self) -> usize {
        match self {
            Self::X25519 => 32,
            Self::Secp256r1 => 65,
        }
    }
}

/// How a handshake is signed (RFC 8446 section 4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureScheme {
    /// ECDSA on P-256 over SHA-256; the signature is DER.
    EcdsaSecp256r1Sha256,
    /// RSASSA-PSS with SHA-256, MGF1 of the same hash, salt as long as the hash.
    RsaPssRsaeSha256,
    /// RSASSA-PSS with SHA-384.
    RsaPssRsaeSha384,
    /// RSASSA-PSS with SHA-512.
    RsaPssRsaeSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (TLS 1.2 only).
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384 (TLS 1.2 only).
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512 (TLS 1.2 only).
    RsaPkcs1Sha512,
}

impl SignatureScheme {
    /// The IANA code point.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::EcdsaSecp256r1Sha256 => 0x0403,
            Self::RsaPssRsaeSha256 => 0x0804,
            Self::RsaPssRsaeSha384 => 0x0805,
            Self::RsaPssRsaeSha512 => 0x0806,
            Self::RsaPkcs1Sha256 => 0x0401,
            Self::RsaPkcs1Sha384 => 0x0501,
            Self::RsaPkcs1Sha512 => 0x0601,
        }
    }
}

/// A private key in the engine's table, in the order in which the engine was given them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub u16);

/// A public key share as it stands on the wire; of either side.
#[derive(Clone, Copy)]
pub struct Share {
    bytes: [u8; 65],
    len: u8,
}

impl Share {
    /// The share in `bytes`; `None` when its length is not the group's.
    #[must_use]
    pub fn new(group: Group, bytes: &[u8]) -> Option<Self> {
        let mut share = Self { bytes: [0; 65], len: u8::try_from(bytes.len()).ok()? };
        if bytes.len() != group.share_len() {
            return None;
        }
        share.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(share)
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The bytes on the wire if they have the form of `group`; engines look no further at others.
    #[must_use]
    pub fn of(&self, group: Group) -> Option<&[u8]> {
        let bytes = self.bytes();
        // RFC 8446 section 4.2.8.2: `uint8 legacy_form = 4;`.
        let form = match group {
            Group::X25519 => true,
            Group::Secp256r1 => bytes.first() == Some(&4),
        };
        (form && bytes.len() == group.share_len()).then_some(bytes)
    }
}

/// The private half of an ephemeral key pair; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PrivateShare {
    #[zeroize(skip)]
    group: Group,
    bytes: [u8; 32],
}

impl PrivateShare {
    /// The scalar `bytes` of `group`, in the group's own byte order.
    #[must_use]
    pub const fn new(group: Group, bytes: [u8; 32]) -> Self {
        Self { group, bytes }
    }

    /// The group it belongs to.
    #[must_use]
    pub const fn group(&self) -> Group {
        self.group
    }

    /// The scalar.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// An agreed secret; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret {
    bytes: [u8; 32],
}

impl Secret {
    /// The secret in `bytes`.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self { bytes }
    }

    /// The secret.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What is signed, before hashing: at most the 146 bytes of a TLS 1.3 CertificateVerify input or the
/// 133 bytes of TLS 1.2 key exchange parameters.
#[derive(Clone, Copy)]
pub struct Message {
    bytes: [u8; 160],
    len: u8,
}

impl Message {
    /// The concatenation of `parts`; `None` when it is over 160 bytes.
    #[must_use]
    pub fn new(parts: &[&[u8]]) -> Option<Self> {
        let mut bytes = [0; 160];
        let mut len = 0;
        for part in parts {
            bytes.get_mut(len..len + part.len())?.copy_from_slice(part);
            len += part.len();
        }
        Some(Self { bytes, len: u8::try_from(len).ok()? })
    }

    /// The bytes to be hashed and signed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// A signature of at most 512 bytes (RSA-4096).
#[derive(Clone, Copy)]
pub struct Signature {
    bytes: [u8; 512],
    len: u16,
}

impl Signature {
    /// The signature in `bytes`; `None` when it is over 512 bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut signature = Self { bytes: [0; 512], len: u16::try_from(bytes.len()).ok()? };
        signature.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(signature)
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// One piece of public-key work.
pub enum Job {
    /// A fresh key pair and its agreement with `peer`: TLS 1.3.
    Exchange {
        /// The group of both shares.
        group: Group,
        /// The peer's share.
        peer: Share,
    },
    /// A fresh key pair: TLS 1.2, ServerKeyExchange.
    Generate {
        /// The group.
        group: Group,
    },
    /// Agreement of an earlier pair with `peer`: TLS 1.2, ClientKeyExchange.
    Agree {
        /// Our half of the pair.
        private: PrivateShare,
        /// The peer's share.
        peer: Share,
    },
    /// A signature over `message`.
    Sign {
        /// The key.
        key: KeyId,
        /// How; the engine hashes.
        scheme: SignatureScheme,
        /// What.
        message: Message,
    },
}

/// The answer to a [`Job`].
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation a job; queues preallocate")]
pub enum Done {
    /// To [`Job::Exchange`].
    Exchanged {
        /// Our share.
        share: Share,
        /// The agreed secret.
        secret: Secret,
    },
    /// To [`Job::Generate`].
    Generated {
        /// Our half.
        private: PrivateShare,
        /// Our share.
        share: Share,
    },
    /// To [`Job::Agree`].
    Agreed {
        /// The agreed secret.
        secret: Secret,
    },
    /// To [`Job::Sign`].
    Signed(Signature),
    /// It could not be done.
    Failed(Failure),
}

/// Why a job has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The peer's share is not a point on the curve, or of low order (RFC 8446 sections 4.2.8.2, 7.4.2).
    InvalidShare,
    /// The key cannot sign with this scheme, or is not in the table.
    UnsuitableKey,
    /// The engine itself failed.
    Internal,
}

/// A worker for public-key jobs, bounded, of one lcore.
///
/// Call order: any number of `submit`, then `run` once the receive burst has been read empty, then
/// `completed` until it is `None`.
pub trait Engine {
    /// The name it has in the configuration and in metrics.
    fn name(&self) -> &'static str;

    /// Takes a job.
    ///
    /// # Errors
    /// Gives the job back when the queue is full; submit it again after [`Engine::run`].
    #[expect(clippy::result_large_err, reason = "the job itself comes back, without an allocation")]
    fn submit(&mut self, token: Token, job: Job) -> Result<(), Job>;

    /// Works on what waits, for a few milliseconds at most: call it each turn while jobs are in flight.
    fn run(&mut self);

    /// Spends a turn in which there is nothing to do, some microseconds of it, on what later jobs will need.
    /// `now_ns` is a clock that does not go back.
    fn work_ahead(&mut self, now_ns: u64) {
        let _ = now_ns;
    }

    /// Says what it did: sums by name, if it has any to tell.
    fn account(&self, say: &mut dyn FnMut(&str, u64)) {
        let _ = say;
    }

    /// The next finished job.
    fn completed(&mut self) -> Option<(Token, Done)>;

    /// Jobs submitted and not yet returned by [`Engine::completed`].
    fn in_flight(&self) -> usize;
}
