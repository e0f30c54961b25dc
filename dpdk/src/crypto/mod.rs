//! Cryptodev.
