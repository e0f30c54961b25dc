//! HTTP messages without IO.
//!
//! Bytes of a connection come in as chains of packet memory and leave as chains of packet memory; in
//! between stand values that borrow. Nothing here allocates (the crate is built without `std` and
//! `alloc`), reads a clock or waits.
//!
//! # One message, in order
//!
//! 1. [`h1::HeadScanner`] finds where the head ends, at any split, looking at each byte once.
//! 2. [`h1::gather`] makes the head contiguous; it copies only a head that crosses a segment.
//! 3. [`h1::parse_request`] or [`h1::parse_response`] fills the caller's [`FieldTable`] with spans and
//!    returns a [`RequestHead`] or [`ResponseHead`] that borrows head and table. What it returns is
//!    valid in every part: tokens are tokens, values hold no control characters, the target has a form
//!    that we serve, and the authority is settled between target and Host.
//! 4. [`framing::request`] or [`framing::response`] decides the length of the content and what becomes
//!    of the connection. No other place in Levee looks at Content-Length, Transfer-Encoding or
//!    Connection to decide anything.
//! 5. [`h1::Body`] takes the content out of the stream by that [`Length`], splitting, never copying.
//! 6. [`h1::encode`] writes the head for the other side from the parsed one. What was received is never
//!    forwarded raw, so what the next hop reads is what was judged here.
//!
//! # Strictness
//!
//! Where RFC 9112 lets a recipient repair a message, a proxy and its backend may repair it differently,
//! and the difference is a request smuggled past one of them. So every doubt is a [`Rejection`] and the
//! end of the connection: bare CR or LF, line folding, white space before a colon, two framings, two
//! lengths even when equal, transfer codings other than one `chunked`.
//!
//! # Bytes per stranger
//!
//! | while it | a connection holds | bytes |
//! |---|---|---|
//! | sends a head | [`h1::HeadScanner`] | 24 |
//! | | the head's segments, by [`h1::compact`] at most 16 and one | [`Limits::head_bytes`] |
//! | sends content | [`h1::Body`] | 16 |
//! | waits for its answer | [`framing::RequestFraming`] | 24 |
//! | gets its answer | [`framing::ResponseFraming`] | 40 |
//!
//! An lcore holds one [`FieldTable`] (808 bytes) for each direction: heads are parsed, decided and encoded
//! within a turn. A [`RequestHead`] (136 bytes) and a [`ResponseHead`] (56 bytes) borrow from it, and
//! parsing takes 3,200 bytes of stack for a moment.
//!
//! # Choices
//!
//! - [`Target`] has `path()` and `query()`, since the path and query of an absolute-form target
//!   (`http://host?x`) are not always contiguous as an origin-form.
//! - The authority that the request is for is [`RequestHead::authority`], settled by the parser.
//! - [`framing::response`] also takes whether an upgrade was asked for, to refuse an unasked 101.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod date;
pub mod framing;
pub mod h1;

mod chars;
mod error;
mod field;
mod head;
mod hop;
mod target;

pub use date::{format_http_date, parse_http_date};
pub use error::{Reason, Rejection};
pub use field::{FieldTable, Fields, List, MAX_FIELDS};
pub use head::{Length, Limits, Method, RequestHead, ResponseHead, Version};
pub use hop::same_name;
pub use target::{Authority, Form, Target};
