//! Parsing a contiguous head: `parse_request` and `parse_response`.
//!
//! `httparse` reads; what it lets pass and RFC 9112 does not is checked here. Not here: the meaning of
//! fields other than Host.

use core::mem::MaybeUninit;

use httparse::{Header, Status};

use crate::chars::{is_tchar, is_token, is_value};
use crate::error::{Reason, Rejection};
use crate::field::{FieldTable, MAX_FIELDS, Span};
use crate::head::{Limits, Method, RequestHead, ResponseHead, Version};
use crate::target;

/// The longest method name; none of the registered ones has more than 17 bytes.
const METHOD_NAME: usize = 32;

/// Reads the request head that is all of `head`, as [`super::HeadScanner`] measured it.
///
/// # Errors
/// The reason for which the request is refused and its connection closed.
pub fn parse_request<'a>(
    head: &'a [u8],
    fields: &'a mut FieldTable,
    limits: &Limits,
) -> Result<RequestHead<'a>, Rejection> {
    check_lines(head, limits)?;
    let line = request_line(head);
    if line.len() > limits.request_line {
        return Err(Reason::RequestLineTooLong.into());
    }
    let mut lines = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(head, &mut lines);
    let (Ok(Status::Complete(end)), Some(name), Some(path), Some(minor)) =
        (parsed, request.method, request.path, request.version)
    else {
        return Err(request_fault(line, head, parsed.err()).into());
    };
    index(head, end, request.headers, fields, limits)?;

    let method_name = name.as_bytes();
    let method = Method::from_name(method_name);
    match method {
        // RFC 9110 section 9.1: an origin server "that receives a request method that is unrecognized or
        // not implemented SHOULD respond with the 501 (Not Implemented) status code."
        Method::Connect => return Err(Reason::MethodConnect.into()),
        Method::Trace => return Err(Reason::MethodTrace.into()),
        _ if method_name.len() > METHOD_NAME => return Err(Reason::MethodTooLong.into()),
        _ => {}
    }
    let (target, authority) = target::parse(path.as_bytes(), method)?;
    let version = version(minor);
    let fields = fields.fields(head);
    let authority = target::authority(authority, &fields, version)?;
    Ok(RequestHead { method, method_name, target, authority, version, fields })
}

/// Reads the response head that is all of `head`, as [`super::HeadScanner`] measured it.
///
/// # Errors
/// The reason, with status 502, for which the response is refused and the backend's connection closed.
pub fn parse_response<'a>(
    head: &'a [u8],
    fields: &'a mut FieldTable,
    limits: &Limits,
) -> Result<ResponseHead<'a>, Rejection> {
    response(head, fields, limits).map_err(|reason| Rejection::from(reason).of_upstream())
}

fn response<'a>(
    head: &'a [u8],
    fields: &'a mut FieldTable,
    limits: &Limits,
) -> Result<ResponseHead<'a>, Reason> {
    check_lines(head, limits)?;
    let mut lines = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, head, &mut lines);
    let (Ok(Status::Complete(end)), Some(status), Some(minor)) = (parsed, response.code, response.version)
    else {
        return Err(response_fault(head, parsed.err()));
    };
    // Empty lines in front are ignored before requests only.
    if !head.starts_with(b"HTTP/") {
        return Err(Reason::StatusLine);
    }
    if !(100..=599).contains(&status) {
        return Err(Reason::StatusCode);
    }
    index(head, end, response.headers, fields, limits)?;
    let reason = response.reason.unwrap_or_default().as_bytes();
    Ok(ResponseHead { status, reason, version: version(minor), fields: fields.fields(head) })
}

const fn version(minor: u8) -> Version {
    if minor == 0 { Version::Http10 } else { Version::Http11 }
}

/// Every CR is followed by LF and every LF follows a CR.
///
/// RFC 9112 section 2.2: a recipient "MAY recognize a single LF as a line terminator", and of a bare CR
/// it "MUST consider that element to be invalid". Neither is taken here, so that no hop can see
/// different lines.
fn check_lines(head: &[u8], limits: &Limits) -> Result<(), Reason> {
    if head.len() > limits.head_bytes.min(levee_buf::MAX_ROOM) {
        return Err(Reason::HeadTooLong);
    }
    // Two slices, not one iterator that skips: compilers turn this into vector code.
    let pairs = head.iter().zip(head.get(1..).unwrap_or_default());
    let odd = pairs.fold(0, |odd, (&one, &two)| odd | u8::from((one == b'\r') != (two == b'\n'))) != 0;
    if !odd && head.first() != Some(&b'\n') && head.last() != Some(&b'\r') {
        return Ok(());
    }
    let bare_lf = head
        .iter()
        .enumerate()
        .find(|&(at, &byte)| byte == b'\n' && at.checked_sub(1).and_then(|at| head.get(at)) != Some(&b'\r'));
    Err(if bare_lf.is_some() { Reason::BareLf } else { Reason::BareCr })
}

/// Enters the fields into the table as spans of the head.
fn index(
    head: &[u8],
    end: usize,
    lines: &[Header<'_>],
    fields: &mut FieldTable,
    limits: &Limits,
) -> Result<(), Reason> {
    if end != head.len() {
        return Err(Reason::HeadEnd);
    }
    if lines.len() > limits.fields {
        return Err(Reason::TooManyFields);
    }
    fields.clear();
    for line in lines {
        let (name_at, name_len) = place(head, line.name.as_bytes()).ok_or(Reason::HeadEnd)?;
        let (value_at, value_len) = place(head, line.value).ok_or(Reason::HeadEnd)?;
        if !fields.push(Span { name_at, name_len, value_at, value_len }) {
            return Err(Reason::TooManyFields);
        }
    }
    Ok(())
}

/// Offset and length of `part` in `head`, which it was cut from.
fn place(head: &[u8], part: &[u8]) -> Option<(u16, u16)> {
    let at = part.as_ptr().addr().checked_sub(head.as_ptr().addr())?;
    let end = at.checked_add(part.len()).filter(|&end| end <= head.len())?;
    debug_assert_eq!(head.get(at..end), Some(part));
    Some((u16::try_from(at).ok()?, u16::try_from(part.len()).ok()?))
}

/// The first line that is not empty, without its end.
fn request_line(head: &[u8]) -> &[u8] {
    let mut rest = head;
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        rest = after;
    }
    first_line(rest).0
}

fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\r').unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
    (line, rest.get(2..).unwrap_or_default())
}

/// Names what `httparse` refused in a request.
fn request_fault(line: &[u8], head: &[u8], error: Option<httparse::Error>) -> Reason {
    match error {
        Some(httparse::Error::Token | httparse::Error::Version | httparse::Error::NewLine) => {
            request_line_fault(line)
        }
        Some(error) => field_fault(head, error),
        None => Reason::HeadEnd,
    }
}

fn request_line_fault(line: &[u8]) -> Reason {
    if line == b"PRI * HTTP/2.0" {
        return Reason::Http2Preface;
    }
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Reason::RequestLine;
    };
    if method.is_empty() || target.is_empty() {
        return Reason::RequestLine;
    }
    if !is_token(method) {
        return Reason::Method;
    }
    match version {
        b"HTTP/1.0" | b"HTTP/1.1" => Reason::Target,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Reason::VersionUnsupported,
        _ => Reason::VersionSyntax,
    }
}

/// Names what `httparse` refused in a response.
fn response_fault(head: &[u8], error: Option<httparse::Error>) -> Reason {
    let (line, _) = first_line(head);
    match (error, line) {
        (None, _) => Reason::HeadEnd,
        (
            Some(httparse::Error::Version),
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9', b' ', ..],
        ) => Reason::VersionUnsupported,
        (Some(httparse::Error::Version), _) => Reason::VersionSyntax,
        (Some(httparse::Error::Status), _) => Reason::StatusLine,
        (Some(error), _) => field_fault(head, error),
    }
}

/// Names what is wrong with the first bad field line.
fn field_fault(head: &[u8], error: httparse::Error) -> Reason {
    if error == httparse::Error::TooManyHeaders {
        return Reason::TooManyFields;
    }
    let mut rest = head;
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        rest = after;
    }
    (_, rest) = first_line(rest);
    while !rest.is_empty() {
        let line;
        (line, rest) = first_line(rest);
        if let Some(reason) = line_fault(line) {
            return reason;
        }
    }
    Reason::HeadEnd
}

fn line_fault(line: &[u8]) -> Option<Reason> {
    // RFC 9112 section 5.2: "A server that receives an obs-fold in a request message that is not within a
    // "message/http" container MUST either reject the message by sending a 400 (Bad Request) ... or
    // replace each received obs-fold with one or more SP octets".
    if matches!(line, [b' ' | b'\t', ..]) {
        return Some(Reason::LineFolding);
    }
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return (!line.is_empty()).then_some(Reason::FieldWithoutColon);
    };
    let (name, value) = line.split_at_checked(colon)?;
    match name {
        [] => Some(Reason::FieldNameEmpty),
        // RFC 9112 section 5.1: "A server MUST reject, with a response status code of 400 (Bad Request),
        // any received request message that contains whitespace between a header field name and colon."
        [.., b' ' | b'\t'] => Some(Reason::SpaceBeforeColon),
        _ if !name.iter().all(|&byte| is_tchar(byte)) => Some(Reason::FieldName),
        // RFC 9110 section 5.5: "Field values containing CR, LF, or NUL characters are invalid and
        // dangerous".
        _ if !value.iter().all(|&byte| is_value(byte)) => Some(Reason::FieldValue),
        _ => None,
    }
}
