//! Which public-key engine: `EngineKind` and `engine`.

use crate::{AwsLc, Engine, KeyError, PrivateKey, RustCrypto, SystemRandom};
#[cfg(target_arch = "x86_64")]
use crate::{Batch, Four};

/// A public-key engine, as the configuration names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// The fastest for this machine.
    #[default]
    Auto,
    /// [`Batch`](crate::Batch).
    Batch,
    /// [`Four`](crate::Four).
    Batch4,
    /// [`RustCrypto`].
    RustCrypto,
    /// [`AwsLc`].
    AwsLc,
}

impl EngineKind {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Auto, Self::Batch, Self::Batch4, Self::RustCrypto, Self::AwsLc];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Batch => "batch",
            Self::Batch4 => "batch4",
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

/// Why there is no such engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It refuses a key.
    #[error("the public-key engine refuses a key: {0}")]
    Key(#[from] KeyError),
    /// The CPU lacks what `batch` is made of.
    #[error(
        "this CPU has no AVX-512 IFMA, which the public-key engine `batch` is made of: `auto` takes another"
    )]
    NoLanes,
    /// The CPU lacks what `batch4` is made of.
    #[error("this CPU has no AVX2, which the public-key engine `batch4` is made of: `auto` takes another")]
    NoFourLanes,
}

/// An engine for one lcore, which signs with `keys` and holds `capacity` jobs. Its randomness is
/// [`SystemRandom`].
///
/// # Errors
/// An [`EngineError`].
pub fn engine(
    kind: EngineKind,
    keys: &[PrivateKey],
    capacity: usize,
) -> Result<Box<dyn Engine>, EngineError> {
    Ok(match kind {
        EngineKind::Auto => match batch(keys, capacity) {
            Err(EngineError::NoLanes) => match batch4(keys, capacity) {
                Err(EngineError::NoFourLanes) => Box::new(AwsLc::new(keys, capacity)?),
                engine => engine?,
            },
            engine => engine?,
        },
        EngineKind::Batch => batch(keys, capacity)?,
        EngineKind::Batch4 => batch4(keys, capacity)?,
        EngineKind::RustCrypto => Box::new(RustCrypto::new(keys, capacity, SystemRandom)),
        EngineKind::AwsLc => Box::new(AwsLc::new(keys, capacity)?),
    })
}

#[cfg(target_arch = "x86_64")]
fn batch(keys: &[PrivateKey], capacity: usize) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(Batch::new(keys, capacity)?))
}

#[cfg(target_arch = "x86_64")]
fn batch4(keys: &[PrivateKey], capacity: usize) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(Four::new(keys, capacity)?))
}

#[cfg(not(target_arch = "x86_64"))]
fn batch4(_: &[PrivateKey], _: usize) -> Result<Box<dyn Engine>, EngineError> {
    Err(EngineError::NoFourLanes)
}

#[cfg(not(target_arch = "x86_64"))]
fn batch(_: &[PrivateKey], _: usize) -> Result<Box<dyn Engine>, EngineError> {
    Err(EngineError::NoLanes)
}
