//! HTTP/1.1 on the wire (RFC 9112).

mod body;
mod chunked;
mod gather;
mod parse;
mod scan;

pub mod encode;

pub use body::{Body, BodyRead};
pub use gather::{compact, gather};
pub use parse::{parse_request, parse_response};
pub use scan::HeadScanner;
