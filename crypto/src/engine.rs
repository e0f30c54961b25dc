//! Which public-key engine: `EngineKind` and `engine`.

use crate::{AwsLc, Engine, KeyError, PrivateKey, RustCrypto, SystemRandom};

/// A public-key engine, as the configuration names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// The fastest for this machine.
    #[default]
    Auto,
    /// [`RustCrypto`].
    RustCrypto,
    /// [`AwsLc`].
    AwsLc,
}

impl EngineKind {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Auto, Self::RustCrypto, Self::AwsLc];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::RustCrypto => "rustcrypto",
            Self::AwsLc => "awslc",
        }
    }

    /// The engine of a name in the configuration.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// An engine for one lcore, which signs with `keys` and holds `capacity` jobs. Its randomness is
/// [`SystemRandom`].
///
/// # Errors
/// A [`KeyError`] when the engine refuses a key.
pub fn engine(kind: EngineKind, keys: &[PrivateKey], capacity: usize) -> Result<Box<dyn Engine>, KeyError> {
    Ok(match kind {
        EngineKind::RustCrypto => Box::new(RustCrypto::new(keys, capacity, SystemRandom)),
        EngineKind::Auto | EngineKind::AwsLc => Box::new(AwsLc::new(keys, capacity)?),
    })
}
