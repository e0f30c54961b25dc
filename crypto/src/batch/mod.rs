//! Public-key work of eight connections in the lanes of one instruction stream: `Batch`.
//!
//! | file | what |
//! |---|---|
//! | `engine` | gathers jobs, and says which go together |
//! | `jobs` | what each kind takes out of its jobs, and makes of the lanes' answers |
//! | `ahead` | key pairs made in idle turns |
//! | `x25519`, `f25519` | Curve25519 |
//! | `p256`, `p256_point`, `p256_field`, `p256_scalar` | P-256 |
//! | `ecdsa`, `nonce`, `sha512` | signatures on P-256, their nonces, and the hash these come from |
//! | `rsa`, `montgomery`, `number`, `rows`, `emsa` | RSA signatures |
//! | `lanes` | eight lanes of AVX-512 IFMA |
//!
//! No branch, no address and no time depends on a secret: `docs/constant-time.md` says what that means, and how
//! `tests` hold it.
#![allow(
    unsafe_code,
    reason = "vectors and arrays meet in `lanes`; entries step into functions with CPU features"
)]

mod ahead;
mod ecdsa;
mod emsa;
mod engine;
mod f25519;
mod jobs;
mod lanes;
mod montgomery;
mod nonce;
mod number;
mod p256;
mod p256_field;
mod p256_point;
mod p256_scalar;
mod rows;
mod rsa;
mod sha512;
mod x25519;

pub use engine::Batch;

#[cfg(test)]
mod tests;
