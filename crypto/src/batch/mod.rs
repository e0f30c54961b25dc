//! Public-key work of eight connections in the lanes of one instruction stream: `Batch`.
//!
//! | file | what |
//! |---|---|
//! | `engine` | gathers jobs, and says which go together and when |
//! | `lots`, `worth` | jobs that wait, by kind; how many are worth lanes |
//! | `jobs`, `curves`, `digest` | what each kind takes out of its jobs, and makes of the lanes' answers |
//! | `ahead`, `tuples` | key pairs and nonces made in idle turns |
//! | `x25519`, `f25519` | Curve25519 |
//! | `p256`, `p256_point`, `p256_field`, `p256_scalar` | P-256 |
//! | `ecdsa`, `nonce`, `sha512` | signatures on P-256, their nonces, and the hash these come from |
//! | `rsa`, `montgomery`, `table`, `number`, `emsa` | RSA signatures |
//! | `sha256` | SHA-256 of two messages side by side, for all who hash |
//! | `mlkem` | ML-KEM-768 |
//! | `hybrid` | X25519 and ML-KEM together |
//! | `inverse` | inversions mod primes, of one number for all lanes |
//! | `lanes` | eight lanes of AVX-512 IFMA |
//! | `four` | the engine of four lanes of AVX2, for CPUs without them: X25519 |
//!
//! No branch and no address depends on a secret, and no time is seen to: `docs/constant-time.md` says what that means, and how
//! `tests` hold it.
#![allow(
    unsafe_code,
    reason = "vectors and arrays meet in `lanes`; entries step into functions with CPU features"
)]

mod ahead;
mod curves;
mod digest;
mod ecdsa;
pub(crate) mod emsa;
mod engine;
mod f25519;
mod four;
mod hybrid;
mod inverse;
mod jobs;
mod lanes;
mod lots;
#[cfg_attr(not(test), expect(dead_code, reason = "a server makes no pair, and opens nothing"))]
mod mlkem;
mod montgomery;
mod nonce;
mod number;
mod p256;
mod p256_field;
mod p256_point;
mod p256_scalar;
mod rsa;
mod sha256;
mod sha512;
mod table;
mod tuples;
mod worth;
mod x25519;

pub use engine::Batch;
pub use four::Four;
pub(crate) use hybrid::encapsulate;
pub(crate) use sha256::ShaNi;

#[cfg(test)]
mod tests;
