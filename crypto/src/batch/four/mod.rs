//! X25519 of four connections in the lanes of AVX2, for CPUs without AVX-512 IFMA: `Four`.
//!
//! | file | what |
//! |---|---|
//! | `engine` | gathers jobs of X25519 by the lane rule of `batch::engine`, and gives aws-lc the rest |
//! | `x25519`, `f25519` | Curve25519 |
//! | `lanes` | four lanes of AVX2 |

mod engine;
mod f25519;
pub(super) mod lanes;
pub(super) mod x25519;

pub use engine::Four;
pub(super) use lanes::Avx2;
