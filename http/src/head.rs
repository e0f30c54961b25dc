//! What a parsed head is: `RequestHead`, `ResponseHead` and their parts.

use crate::field::{Fields, MAX_FIELDS};
use crate::target::{Authority, Target};

/// What a head may grow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head with all its line ends; at most [`levee_buf::MAX_ROOM`] count.
    pub head_bytes: usize,
    /// Bytes of a request line without its line end.
    pub request_line: usize,
    /// Field lines; at most [`MAX_FIELDS`] count.
    pub fields: usize,
}

impl Default for Limits {
    /// 16,384 bytes a head, 8,192 a request line, 100 fields. RFC 9112 section 3: "It is RECOMMENDED
    /// that all HTTP senders and recipients support, at a minimum, request-line lengths of 8000 octets."
    fn default() -> Self {
        Self { head_bytes: 16_384, request_line: 8192, fields: MAX_FIELDS }
    }
}

/// A version of HTTP/1 (RFC 9112 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// A method (RFC 9110 section 9; PATCH by RFC 5789). Case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// CONNECT; the parser refuses it.
    Connect,
    /// OPTIONS.
    Options,
    /// TRACE; the parser refuses it.
    Trace,
    /// PATCH.
    Patch,
    /// Any other token; see [`RequestHead::method_name`].
    Other,
}

impl Method {
    /// The method that `name` names.
    #[must_use]
    pub const fn from_name(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"CONNECT" => Self::Connect,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// Whether it asks for nothing but an answer (RFC 9110 section 9.2.1).
    #[must_use]
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }

    /// Whether twice is as good as once (RFC 9110 section 9.2.2).
    #[must_use]
    pub const fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }
}

/// A request's head, valid in every part.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: Method,
    /// Its name as received: a token of at most 32 bytes.
    pub method_name: &'a [u8],
    /// The target as received.
    pub target: Target<'a>,
    /// The host and port that the request is for: the target's when it has one, else Host's.
    ///
    /// RFC 9112 section 3.2.2: "the proxy MUST ignore the received Host header field (if any) and
    /// instead replace it with the host information of the request-target." Empty only in HTTP/1.0
    /// without Host.
    pub authority: Authority<'a>,
    /// The client's version.
    pub version: Version,
    /// The fields, Host and framing fields among them.
    pub fields: Fields<'a>,
}

/// A response's head, valid in every part.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status code, 100 to 599.
    pub status: u16,
    /// The reason phrase; empty when missing or not ASCII.
    pub reason: &'a [u8],
    /// The backend's version.
    pub version: Version,
    /// The fields, framing fields among them.
    pub fields: Fields<'a>,
}

/// How the end of a message's content is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// There is no content and no framing field says so: requests without either, answers to HEAD, and
    /// 1xx, 204 and 304.
    None,
    /// So many bytes.
    Exact(u64),
    /// The chunked transfer coding.
    Chunked,
    /// All until the connection closes; responses only.
    UntilClose,
}
