//! What a run found out, and how people and programs read it.
//!
//! | file | job |
//! |---|---|
//! | `summary` | the data |
//! | `latency` | recorders that a running loop fills |
//! | `machine` | where it ran |
//! | `progress` | a line while it runs |
//! | `text`, `table`, `number` | for people |
//! | `file` | JSON, written whole or not at all |
//! | `plot` | SVG |

mod file;
mod latency;
mod machine;
pub mod number;
pub mod plot;
mod progress;
mod summary;
mod table;
mod text;

pub use file::{read_json, write_file, write_json};
pub use latency::{Progress, Recorder};
pub use progress::ProgressLine;
pub use summary::{Generator, Latency, Machine, Part, Summary};
pub use table::Table;
pub use text::print;

#[cfg(test)]
mod tests;
