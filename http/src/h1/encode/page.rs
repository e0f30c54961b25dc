//! Our own answers: short pages, redirects, 100 (Continue).

use levee_buf::{Full, Writer};

use super::response::connection;
use super::{PAGE_ROOM, display, field, number, number_field};
use crate::head::{Method, RequestHead, Version};

/// What our own answers depend on.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The client's version; [`Version::Http11`] when none was read.
    pub client: Version,
    /// Whether the client's connection lives on.
    pub keep_alive: bool,
    /// Whether the request was HEAD: the same fields, no content.
    pub head_only: bool,
    /// The present as an HTTP date.
    pub date: &'a [u8; 29],
}

/// Writes the interim response that a client waits for before it sends its content.
///
/// # Errors
/// [`Full`] when `out` has less than 25 bytes.
pub fn interim_continue(out: &mut Writer<'_>) -> Result<(), Full> {
    out.bytes(b"HTTP/1.1 100 Continue\r\n\r\n")
}

/// Writes a short page that says what `status` means.
///
/// # Errors
/// [`Full`] when `out` has less than [`PAGE_ROOM`].
pub fn status_page(status: u16, page: &Page<'_>, out: &mut Writer<'_>) -> Result<(), Full> {
    let (reason, text) = describe(status);
    status_line(out, status, reason)?;
    content(out, status, reason, text, page)
}

/// Bytes that [`redirect`] writes at most.
#[must_use]
pub fn redirect_room(head: &RequestHead<'_>) -> usize {
    [head.authority.as_bytes().len(), head.target.path().len(), head.target.query().map_or(0, <[u8]>::len)]
        .into_iter()
        .fold(PAGE_ROOM, usize::saturating_add)
}

/// Writes the redirect of a plain HTTP request to the same resource over HTTPS at `port`.
///
/// 301 (Moved Permanently) to GET and HEAD; 308 (Permanent Redirect) to others, since clients repeat
/// those with their method (RFC 9110 sections 15.4.2 and 15.4.9). A request without an authority cannot
/// be redirected and is answered 400.
///
/// # Errors
/// [`Full`] when `out` has less than [`redirect_room`].
pub fn redirect(
    head: &RequestHead<'_>,
    port: u16,
    page: &Page<'_>,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    if head.authority.is_empty() {
        return status_page(400, page, out);
    }
    let status = if matches!(head.method, Method::Get | Method::Head) { 301 } else { 308 };
    let (reason, text) = describe(status);
    status_line(out, status, reason)?;
    out.bytes(b"Location: https://")?;
    out.bytes(head.authority.host())?;
    if port != 443 {
        display(out, format_args!(":{port}"))?;
    }
    let path = head.target.path();
    out.bytes(if path == b"*" { b"/" } else { path })?;
    if let Some(query) = head.target.query() {
        out.bytes(b"?")?;
        out.bytes(query)?;
    }
    out.bytes(b"\r\n")?;
    content(out, status, reason, text, page)
}

/// Writes the answer to an OPTIONS whose Max-Forwards ended here.
///
/// RFC 9110 section 7.6.2: the intermediary "MUST NOT forward the request; instead, the intermediary
/// MUST respond as the final recipient."
///
/// # Errors
/// [`Full`] when `out` has less than [`PAGE_ROOM`].
pub fn options(page: &Page<'_>, out: &mut Writer<'_>) -> Result<(), Full> {
    status_line(out, 204, "No Content")?;
    field(out, b"Allow", b"GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH")?;
    field(out, b"Date", page.date)?;
    connection(out, page.client, page.keep_alive)?;
    out.bytes(b"\r\n")
}

fn status_line(out: &mut Writer<'_>, status: u16, reason: &str) -> Result<(), Full> {
    display(out, format_args!("HTTP/1.1 {status} {reason}\r\n"))
}

const HTML: [&str; 5] = ["<!doctype html>\n<title>", "</title>\n<h1>", "</h1>\n<p>", "</p>\n", " "];

/// The fields that all pages share, and the page.
fn content(out: &mut Writer<'_>, status: u16, reason: &str, text: &str, page: &Page<'_>) -> Result<(), Full> {
    let [title, heading, paragraph, end, space] = HTML;
    // The status is three digits, twice.
    let words = reason.len().saturating_add(3).saturating_add(space.len()).saturating_mul(2);
    let tags = title.len().saturating_add(heading.len()).saturating_add(paragraph.len());
    let length = words.saturating_add(tags).saturating_add(end.len()).saturating_add(text.len());
    field(out, b"Date", page.date)?;
    field(out, b"Content-Type", b"text/html; charset=utf-8")?;
    number_field(out, b"Content-Length", u64::try_from(length).map_err(|_| Full)?)?;
    field(out, b"Cache-Control", b"no-store")?;
    connection(out, page.client, page.keep_alive)?;
    out.bytes(b"\r\n")?;
    if page.head_only {
        return Ok(());
    }
    for tag in [title, heading] {
        out.bytes(tag.as_bytes())?;
        number(out, u64::from(status))?;
        out.bytes(space.as_bytes())?;
        out.bytes(reason.as_bytes())?;
    }
    for part in [paragraph, text, end] {
        out.bytes(part.as_bytes())?;
    }
    Ok(())
}

/// Reason phrase and one sentence for a person.
const fn describe(status: u16) -> (&'static str, &'static str) {
    match status {
        301 => ("Moved Permanently", "This page is served over HTTPS."),
        308 => ("Permanent Redirect", "This page is served over HTTPS."),
        400 => ("Bad Request", "The request could not be understood."),
        403 => ("Forbidden", "This request is not allowed."),
        404 => ("Not Found", "There is nothing here."),
        405 => ("Method Not Allowed", "This method is not allowed here."),
        408 => ("Request Timeout", "The request took too long to arrive."),
        413 => ("Content Too Large", "The request has more content than is accepted."),
        414 => ("URI Too Long", "The address is longer than is accepted."),
        417 => ("Expectation Failed", "The expectation of the request cannot be met."),
        421 => ("Misdirected Request", "This name is not served on this connection."),
        429 => ("Too Many Requests", "Too many requests came from your address."),
        431 => ("Request Header Fields Too Large", "The header of the request is larger than is accepted."),
        501 => ("Not Implemented", "The request needs something that is not supported."),
        502 => ("Bad Gateway", "The server behind this proxy gave no valid answer."),
        503 => ("Service Unavailable", "The service is not available at the moment."),
        504 => ("Gateway Timeout", "The server behind this proxy did not answer in time."),
        505 => ("HTTP Version Not Supported", "This version of HTTP is not supported here."),
        _ => ("Internal Server Error", "The request could not be answered."),
    }
}
