//! Measurements of two papers, done again: `levee-load paper`.

mod align;
mod spread;
pub mod transfer;

pub use spread::Spread;
