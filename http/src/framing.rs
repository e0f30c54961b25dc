//! Where a message's content ends and what becomes of its connection: `request` and `response`.
//!
//! The only place that decides either. In the numbered order of RFC 9112 section 6.3, and where that
//! lets a recipient choose between repair and refusal, it refuses.

use crate::chars::{decimal, is_token};
use crate::error::{Reason, Rejection};
use crate::field::Fields;
use crate::head::{Length, Method, RequestHead, ResponseHead, Version};
use crate::hop::{CONNECTION_OPTIONS, is_plain_option};

/// What a request's head says about its content and its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFraming {
    /// The content: never [`Length::UntilClose`].
    pub length: Length,
    /// Whether the client's connection lives on after the answer.
    pub keep_alive: bool,
    /// Whether the client waits for a 100 (Continue) before it sends its content.
    pub expect_continue: bool,
    /// Whether the client asks to switch to a protocol that may be tunnelled (RFC 9110 section 7.8).
    pub upgrade: bool,
    /// Whether that is the WebSocket protocol and no other.
    pub websocket: bool,
    /// Whether Max-Forwards ended here: an OPTIONS that is answered, not forwarded.
    pub last_hop: bool,
    /// Whether the request is to be the last on its connection to the backend: it has content that a backend
    /// might take for the next request.
    pub alone: bool,
}

/// What a response's head says about its content and its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFraming {
    /// The content that follows.
    pub length: Length,
    /// Content-Length as sent; where no content follows (HEAD, 304), what it would have been.
    pub content_length: Option<u64>,
    /// Whether the backend's connection lives on after the content.
    pub keep_alive: bool,
    /// Whether the connection is a tunnel from here on (101).
    pub upgrade: bool,
    /// Whether another response to the same request follows (1xx other than 101).
    ///
    /// RFC 9110 section 15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client."
    pub interim: bool,
}

/// Decides a request.
///
/// # Errors
/// The reason for which the request is refused and its connection closed.
pub fn request(head: &RequestHead<'_>) -> Result<RequestFraming, Rejection> {
    let fields = &head.fields;
    let options = Options::of(fields)?;
    // RFC 9112 section 6.3, items 1 and 2 are about responses.
    let length = match declared(fields, head.version)? {
        Declared::Chunked => Length::Chunked,
        Declared::Exact(length) => Length::Exact(length),
        // Item 7: "If this is a request message and none of the above are true, then the message body
        // length is zero (no message body is present)."
        Declared::Nothing => Length::None,
    };
    let has_content = !matches!(length, Length::None | Length::Exact(0));
    let expect_continue = expectation(head)? && has_content;
    let (upgrade, websocket) = match length {
        Length::None => upgrade(head, options),
        _ => (false, false),
    };
    Ok(RequestFraming {
        length,
        keep_alive: options.keep_alive(head.version),
        expect_continue,
        upgrade,
        websocket,
        last_hop: head.method == Method::Options && fields.get(b"max-forwards").and_then(decimal) == Some(0),
        alone: has_content && !expects_content(head.method),
    })
}

/// Decides a response to a request of `method` that asked for an upgrade or not.
///
/// # Errors
/// The reason for which the response is refused (502) and the backend's connection closed.
pub fn response(
    head: &ResponseHead<'_>,
    method: Method,
    upgrade_asked: bool,
) -> Result<ResponseFraming, Rejection> {
    let faulty = |reason| Rejection::from(reason).of_upstream();
    let options = Options::of(&head.fields).map_err(faulty)?;
    let declared = declared(&head.fields, head.version).map_err(faulty)?;
    let keep_alive = options.keep_alive(head.version);
    let (content_length, declares) = match declared {
        Declared::Exact(length) => (Some(length), length != 0),
        Declared::Chunked => (None, true),
        Declared::Nothing => (None, false),
    };
    let none =
        ResponseFraming { length: Length::None, content_length, keep_alive, upgrade: false, interim: false };
    // RFC 9112 section 6.3, item 1: "Any response to a HEAD request and any response with a 1xx
    // (Informational), 204 (No Content), or 304 (Not Modified) status code is always terminated by the
    // first empty line after the header fields". A backend that nevertheless declares content where
    // none can be may send it too: its connection is not used again.
    match head.status {
        101 if !upgrade_asked || switch(&head.fields).is_none() => {
            return Err(Rejection::from(Reason::SwitchUnasked));
        }
        101 => return Ok(ResponseFraming { content_length: None, keep_alive: false, upgrade: true, ..none }),
        100..=199 => {
            return Ok(ResponseFraming {
                content_length: None,
                keep_alive: keep_alive && !declares,
                interim: true,
                ..none
            });
        }
        204 => {
            return Ok(ResponseFraming { content_length: None, keep_alive: keep_alive && !declares, ..none });
        }
        304 => return Ok(none),
        _ if method == Method::Head => return Ok(none),
        _ => {}
    }
    // Item 2 is about CONNECT, which is never forwarded.
    Ok(match declared {
        Declared::Chunked => ResponseFraming { length: Length::Chunked, ..none },
        Declared::Exact(length) => ResponseFraming { length: Length::Exact(length), ..none },
        // Item 8: "Otherwise, this is a response message without a declared message body length, so the
        // message body length is determined by the number of octets received prior to the server
        // closing the connection."
        Declared::Nothing => ResponseFraming { length: Length::UntilClose, keep_alive: false, ..none },
    })
}

/// How content of `length` leaves to a client of `version`, and whether its connection can live on.
///
/// RFC 9112 section 6.1: "A server MUST NOT send a response containing Transfer-Encoding unless the
/// corresponding request indicates HTTP/1.1 (or later minor revisions)."
#[must_use]
pub const fn to_client(length: Length, version: Version) -> (Length, bool) {
    match (length, version) {
        (Length::Chunked | Length::UntilClose, Version::Http11) => (Length::Chunked, true),
        (Length::Chunked | Length::UntilClose, Version::Http10) => (Length::UntilClose, false),
        (Length::None | Length::Exact(_), _) => (length, true),
    }
}

/// Whether every backend reads the content of such a request.
///
/// RFC 9110 section 9.3.1, and the like for HEAD, DELETE and CONNECT: "content received in a GET request has no
/// generally defined semantics, cannot alter the meaning or target of the request, and might lead some
/// implementations to reject the request and close the connection because of its potential as a request
/// smuggling attack".
const fn expects_content(method: Method) -> bool {
    matches!(method, Method::Post | Method::Put | Method::Patch)
}

/// What the framing fields say, items 3 to 6 of RFC 9112 section 6.3.
enum Declared {
    Nothing,
    Exact(u64),
    Chunked,
}

fn declared(fields: &Fields<'_>, version: Version) -> Result<Declared, Reason> {
    let mut codings = fields.all(b"transfer-encoding");
    let mut lengths = fields.all(b"content-length");
    let (coding, length) = (codings.next(), lengths.next());
    // Item 3: such a message "might indicate an attempt to perform request smuggling (Section 11.2) or
    // response splitting (Section 11.1) and ought to be handled as an error."
    if coding.is_some() && length.is_some() {
        return Err(Reason::BothFramings);
    }
    if let Some(coding) = coding {
        // RFC 9112 section 6.1: a recipient of "an HTTP/1.0 message containing a Transfer-Encoding
        // header field MUST treat the message as if the framing is faulty, even if a Content-Length is
        // present, and close the connection after processing the message."
        if version == Version::Http10 {
            return Err(Reason::TransferEncodingVersion);
        }
        return transfer_coding(coding, codings).map(|()| Declared::Chunked);
    }
    let Some(length) = length else { return Ok(Declared::Nothing) };
    // Item 5: "If a message is received without Transfer-Encoding and with an invalid Content-Length
    // header field, then the message framing is invalid and the recipient MUST treat it as an
    // unrecoverable error". It may repair a list of equal values; it need not.
    if lengths.next().is_some() || length.contains(&b',') {
        return Err(Reason::ContentLengthRepeated);
    }
    decimal(length).map(Declared::Exact).ok_or(Reason::ContentLength)
}

/// Exactly one `chunked` is taken.
///
/// Item 4: if "the chunked transfer coding is not the final encoding, the message body length cannot be
/// determined reliably; the server MUST respond with the 400 (Bad Request) status code and then close
/// the connection." Section 6.1: "A server that receives a request message with a transfer coding it
/// does not understand SHOULD respond with 501 (Not Implemented)."
fn transfer_coding<'a>(first: &'a [u8], mut more: impl Iterator<Item = &'a [u8]>) -> Result<(), Reason> {
    let mut last = first;
    let (mut chunked, mut unknown) = (count_chunked(first)?, members(first) > 1);
    for line in more.by_ref() {
        (last, unknown) = (line, true);
        chunked = chunked.saturating_add(count_chunked(line)?);
    }
    let final_coding = last.rsplit(|&byte| byte == b',').next().map(crate::chars::trim_ows);
    let is_final = final_coding.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    match (is_final, chunked) {
        (true, 1) if unknown => Err(Reason::TransferCodingUnknown),
        (true, 1) => Ok(()),
        _ => Err(Reason::TransferEncoding),
    }
}

fn members(list: &[u8]) -> usize {
    list.split(|&byte| byte == b',').count()
}

/// How often `list` names `chunked`; every member must be a token, with no empty ones between commas.
fn count_chunked(list: &[u8]) -> Result<usize, Reason> {
    let mut chunked = 0_usize;
    for member in list.split(|&byte| byte == b',') {
        let member = crate::chars::trim_ows(member);
        if !crate::chars::is_token(member) {
            return Err(Reason::TransferEncoding);
        }
        chunked = chunked.saturating_add(usize::from(member.eq_ignore_ascii_case(b"chunked")));
    }
    Ok(chunked)
}

/// The connection options that mean something to us (RFC 9110 section 7.6.1).
#[derive(Clone, Copy)]
struct Options {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

impl Options {
    fn of(fields: &Fields<'_>) -> Result<Self, Reason> {
        let mut options = Self { close: false, keep_alive: false, upgrade: false };
        let mut names = 0_usize;
        for option in fields.list(b"connection") {
            names = names.saturating_add(usize::from(!is_plain_option(option)));
            options.close |= option.eq_ignore_ascii_case(b"close");
            options.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            options.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
        if names > CONNECTION_OPTIONS {
            return Err(Reason::ConnectionOptions);
        }
        Ok(options)
    }

    /// RFC 9112 section 9.3, in its order: close wins; 1.1 persists; 1.0 persists when it says so.
    const fn keep_alive(self, version: Version) -> bool {
        match version {
            _ if self.close => false,
            Version::Http11 => true,
            Version::Http10 => self.keep_alive,
        }
    }
}

/// Whether the client expects a 100 (Continue).
///
/// RFC 9110 section 10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0 request
/// MUST ignore that expectation." and one with "a member other than 100-continue MAY respond with a 417
/// (Expectation Failed) status code".
fn expectation(head: &RequestHead<'_>) -> Result<bool, Reason> {
    let mut expected = false;
    for member in head.fields.list(b"expect") {
        if !member.eq_ignore_ascii_case(b"100-continue") {
            return Err(Reason::Expectation);
        }
        expected = true;
    }
    Ok(expected && head.version == Version::Http11)
}

/// Whether a protocol is asked for that may be tunnelled, and whether it is WebSocket alone.
///
/// RFC 9110 section 7.8: "A server that receives an Upgrade header field in an HTTP/1.0 request MUST
/// ignore that Upgrade field." and "A sender of Upgrade MUST also send an "Upgrade" connection option".
fn upgrade(head: &RequestHead<'_>, options: Options) -> (bool, bool) {
    if head.version == Version::Http10 || !options.upgrade {
        return (false, false);
    }
    let websocket = switch(&head.fields);
    (websocket.is_some(), websocket == Some(true))
}

/// Whether the protocols that Upgrade names are WebSocket alone; `None` when there is none, or one that is not
/// switched to.
///
/// Other versions of HTTP and TLS are not switched to: behind them a client could send requests that
/// nobody here has judged. What is no `protocol-name ["/" protocol-version]` could be read as one of them.
fn switch(fields: &Fields<'_>) -> Option<bool> {
    let mut websocket = None;
    for protocol in fields.list(b"upgrade") {
        let mut parts = protocol.splitn(2, |&byte| byte == b'/');
        let name = parts.next().unwrap_or_default();
        let refused = [&b"h2c"[..], b"h2", b"h3", b"http", b"tls"];
        if refused.iter().any(|each| name.eq_ignore_ascii_case(each))
            || !is_token(name)
            || !parts.all(is_token)
        {
            return None;
        }
        websocket = Some(websocket.unwrap_or(true) && protocol.eq_ignore_ascii_case(b"websocket"));
    }
    websocket
}
