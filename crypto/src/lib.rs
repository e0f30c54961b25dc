//! Public-key and AEAD engines.
//!
//! A connection never computes: it hands a [`Job`] to the lcore's [`Engine`] or an [`Operation`] to its
//! [`Aead`], under a [`Token`] of its own, and is called again with the [`Done`] or [`Finished`] that
//! carries the same token. Who answers, and when, is the engine's affair.
//!
//! | trait | implementations |
//! |---|---|
//! | [`Engine`] | `Batch`, eight connections in the lanes of AVX-512; `Four`, four in those of AVX2; [`AwsLc`], the fast scalar one; [`RustCrypto`], portable, and the oracle in tests; with devices, `levee-proxy`'s `public_key`, over [`Task`] |
//! | [`Aead`] | [`SoftwareAead`] here; DPDK cryptodev in `levee-proxy`'s `offload.rs` |
//!
//! [`engine`] makes the engine that the configuration names; [`PrivateKey`] reads what it signs with.
//! [`mod@hash`] is what a TLS key schedule needs: it is cheap enough to be done on the spot.
//!
//! What each library promises about timing, and where it allocates, stands at the head of the file that
//! calls it. Keys, private shares, agreed secrets and hash states are wiped when dropped.

#![deny(unsafe_code)]

mod aead;
mod awslc;
#[cfg(target_arch = "x86_64")]
mod batch;
mod encapsulate;
mod engine;
pub mod hash;
mod job;
mod key;
mod queue;
mod random;
#[cfg(target_arch = "x86_64")]
mod raw;
mod rustcrypto;
mod share;
mod signature;
mod vacate;
mod verify;

pub use aead::{
    Aad, Aead, AeadKey, Algorithm, Answer, Direction, Finished, Operation, Outcome, SessionId, SoftwareAead,
    TAG_LEN,
};
pub use awslc::AwsLc;
#[cfg(target_arch = "x86_64")]
pub use batch::{Batch, Four};
pub use encapsulate::{EncapsulationKey, encapsulate};
pub use engine::{EngineError, EngineKind, engine};
pub use hash::{
    Digest, Hash, HmacKey, Label, Running, SecretDigest, hkdf_expand, hkdf_extract, hmac, prf_tls12,
};
pub use job::{Done, Engine, Failure, Group, Job, KeyId, Message, Moment, SignatureScheme, Token};
pub use key::{KeyError, KeyKind, MAX_RSA_BITS, MIN_RSA_BITS, PrivateKey};
pub use random::{RandomStock, SystemRandom};
#[cfg(target_arch = "x86_64")]
pub use raw::{Parts, Raw, RawKeys, RsaParts, Taken, Task};
pub use rustcrypto::RustCrypto;
pub use share::{PrivateShare, Secret, Share, ShareError, SharePool};
pub use signature::Signature;
pub use vacate::pop_done;
pub use verify::verify;

#[cfg(test)]
mod test_keys;
#[cfg(test)]
mod tests;
