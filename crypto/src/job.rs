//! Public-key work as values: `Job` in, `Done` out, and the `Engine` between them.

use crate::{PrivateShare, Secret, Share};

use crate::Signature;

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
    /// NIST P-384.
    Secp384r1,
    /// ML-KEM-768 (FIPS 203) and X25519 together (draft-ietf-tls-ecdhe-mlkem section 4); of TLS 1.3 only.
    ///
    /// The client's share is an encapsulation key and its X25519 share, the answer a ciphertext and the
    /// server's X25519 share, the secret that of ML-KEM and that of X25519.
    X25519MlKem768,
}

impl Group {
    /// All of them, in the order of our default preference: that of today's browsers.
    pub const ALL: &[Self] = &[Self::X25519MlKem768, Self::X25519, Self::Secp256r1, Self::Secp384r1];

    /// Whether it is the hybrid, which TLS 1.2 has not, and whose shares are long.
    #[must_use]
    pub const fn is_hybrid(self) -> bool {
        matches!(self, Self::X25519MlKem768)
    }

    /// The IANA code point.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::X25519 => 0x001d,
            Self::Secp256r1 => 0x0017,
            Self::Secp384r1 => 0x0018,
            Self::X25519MlKem768 => 0x11ec,
        }
    }

    /// The group of an IANA code point, if it is one of ours.
    #[must_use]
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            0x001d => Some(Self::X25519),
            0x0017 => Some(Self::Secp256r1),
            0x0018 => Some(Self::Secp384r1),
            0x11ec => Some(Self::X25519MlKem768),
            _ => None,
        }
    }

    /// Bytes of what a client sends: a u-coordinate, an uncompressed point, or an encapsulation key and a
    /// u-coordinate.
    #[must_use]
    pub const fn share_len(self) -> usize {
        match self {
            Self::X25519 => 32,
            Self::Secp256r1 => 65,
            Self::Secp384r1 => 97,
            Self::X25519MlKem768 => ENCAPSULATION_KEY + 32,
        }
    }

    /// Bytes of what a server answers: of the hybrid, a ciphertext and a u-coordinate.
    #[must_use]
    pub const fn answer_len(self) -> usize {
        match self {
            Self::X25519MlKem768 => CIPHERTEXT + 32,
            _ => self.share_len(),
        }
    }

    /// Bytes of the private half of a pair; the hybrid has none, since servers encapsulate.
    pub(crate) const fn scalar_len(self) -> usize {
        match self {
            Self::X25519 | Self::Secp256r1 => 32,
            Self::Secp384r1 => 48,
            Self::X25519MlKem768 => 0,
        }
    }
}

/// Bytes of an encapsulation key of ML-KEM-768 (FIPS 203 section 8, table 3).
pub(crate) const ENCAPSULATION_KEY: usize = 1184;

/// Bytes of a ciphertext of ML-KEM-768.
pub(crate) const CIPHERTEXT: usize = 1088;

/// How a handshake is signed (RFC 8446 section 4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureScheme {
    /// ECDSA on P-256 over SHA-256; the signature is DER.
    EcdsaSecp256r1Sha256,
    /// ECDSA on P-384 over SHA-384; the signature is DER.
    EcdsaSecp384r1Sha384,
    /// Ed25519 (RFC 8032).
    Ed25519,
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
            Self::EcdsaSecp384r1Sha384 => 0x0503,
            Self::Ed25519 => 0x0807,
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

/// What is signed, before hashing: at most the 146 bytes of a TLS 1.3 CertificateVerify input or the
/// 165 bytes of TLS 1.2 key exchange parameters.
#[derive(Clone, Copy)]
pub struct Message {
    bytes: [u8; 168],
    len: u8,
}

impl Message {
    /// The concatenation of `parts`; `None` when it is over 168 bytes.
    #[must_use]
    pub fn new(parts: &[&[u8]]) -> Option<Self> {
        let mut bytes = [0; 168];
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

/// One piece of public-key work.
pub enum Job {
    /// A fresh key pair and its agreement with `peer`, or for the hybrid an encapsulation besides: TLS 1.3.
    Exchange {
        /// The group of both shares.
        group: Group,
        /// The peer's share.
        peer: Share,
    },
    /// A fresh key pair: TLS 1.2, ServerKeyExchange. Not of the hybrid.
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

/// Queues move them: what is longer lies in a room of its own.
const _: () = assert!(size_of::<Job>() <= 184 && size_of::<Done>() <= 184);

/// Why a job has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The peer's share is not a point on the curve, of low order (RFC 8446 sections 4.2.8.2, 7.4.2), or an
    /// encapsulation key that does not stand its check (FIPS 203 section 7.2).
    InvalidShare,
    /// The group has no such work: no pair of the hybrid is made here.
    UnsuitableGroup,
    /// The key cannot sign with this scheme, or is not in the table.
    UnsuitableKey,
    /// The engine itself failed.
    Internal,
}

/// A point in time of a machine, by which a copy of it is told from itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// A clock that does not go back: that of the CPU.
    pub monotonic_ns: u64,
    /// Another, which the system keeps.
    pub wall_ns: u64,
    /// Another number in each boot, and after each reload.
    pub generation: u64,
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

    /// From now on, makes nonces of ECDSA in such turns too. Their risk stands in `SECURITY.md`.
    fn keep_nonces(&mut self) {}

    /// What clocks say: of use when nonces are kept, before each [`Engine::run`] and [`Engine::work_ahead`].
    fn witness(&mut self, moment: Moment) {
        let _ = moment;
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
