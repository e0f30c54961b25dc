//! Engines for tests: the portable one with a seed.

use levee_crypto::{PrivateKey, RustCrypto};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub fn seeded(keys: &[PrivateKey]) -> RustCrypto<ChaCha20Rng> {
    RustCrypto::new(keys, 64, ChaCha20Rng::seed_from_u64(2))
}
