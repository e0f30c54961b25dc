//! What each target answers.

use std::fmt::Write as _;
use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Shared;
use super::exchange::{Exchange, Framing};
use crate::pattern;

/// Longest wait that `/slow` grants, in milliseconds.
const SLOWEST_MS: u64 = 60_000;

/// Sizes of the chunks that `/chunked` cycles through: below, at and above what segments and records hold.
const CHUNKS: [u64; 7] = [1, 100, 1460, 4096, 16_384, 16_385, 65_536];

const BINARY: &str = "Content-Type: application/octet-stream\r\n";

/// Answers one request.
pub(super) fn answer(exchange: &mut Exchange<'_, '_>, shared: &Shared) -> io::Result<()> {
    let path = exchange.request.path.clone();
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (name, argument) = (parts.next().unwrap_or_default(), parts.next());
    let number = argument.and_then(|text| text.parse::<u64>().ok());
    match (name, argument, number) {
        ("", None, _) => index(exchange),
        ("bytes", _, Some(length)) => bytes(exchange, length, Framing::Length(length)),
        ("chunked", _, Some(length)) => bytes(exchange, length, Framing::Chunked),
        ("close", _, Some(length)) => bytes(exchange, length, Framing::Close),
        ("cached", _, Some(length)) => cached(exchange, length, shared),
        ("status", _, Some(status @ 200..=599)) => {
            self::status(exchange, u16::try_from(status).unwrap_or(500))
        }
        ("drop", _, Some(length)) => truncated(exchange, length),
        ("echo", None, _) => exchange.echo(),
        ("hash", None, _) => hash(exchange),
        ("headers", None, _) => headers(exchange),
        ("slow", None, _) => slow(exchange),
        ("early-hints", None, _) => early_hints(exchange),
        ("ws", None, _) => upgrade(exchange),
        _ => text(exchange, 404, "no such target\n"),
    }
}

fn bytes(exchange: &mut Exchange<'_, '_>, length: u64, framing: Framing) -> io::Result<()> {
    let fields = format!("{BINARY}ETag: \"bytes-{length}\"\r\nCache-Control: no-store\r\n");
    exchange.respond(200, &fields, framing, |out| match framing {
        Framing::Chunked => chunks(out, length),
        _ => pattern::write(out, length),
    })
}

fn chunks(out: &mut dyn io::Write, length: u64) -> io::Result<()> {
    let mut offset = 0;
    for size in CHUNKS.iter().cycle() {
        if offset == length {
            break;
        }
        let piece = pattern::piece(offset, (*size).min(length - offset));
        out.write_all(piece)?;
        offset += piece.len() as u64;
    }
    Ok(())
}

fn cached(exchange: &mut Exchange<'_, '_>, length: u64, shared: &Shared) -> io::Result<()> {
    let requests = shared.cached_requests.fetch_add(1, Ordering::Relaxed) + 1;
    let max_age = query(exchange, "max-age").unwrap_or(60);
    let tag = format!("\"cached-{length}\"");
    let fields = format!(
        "ETag: {tag}\r\nCache-Control: public, max-age={max_age}\r\n\
         Last-Modified: Sat, 01 Nov 2025 00:00:00 GMT\r\nX-Origin-Requests: {requests}\r\n"
    );
    let matches =
        exchange.request.if_none_match.as_deref().is_some_and(|tags| tags == "*" || tags.contains(&tag));
    if matches {
        return exchange.respond(304, &fields, Framing::None, |_| Ok(()));
    }
    let fields = format!("{BINARY}{fields}");
    exchange.respond(200, &fields, Framing::Length(length), |out| pattern::write(out, length))
}

fn status(exchange: &mut Exchange<'_, '_>, status: u16) -> io::Result<()> {
    // RFC 9110 section 6.4.1: 204 and 304 have no content; the others get an empty one.
    let framing = if matches!(status, 204 | 304) { Framing::None } else { Framing::Length(0) };
    exchange.respond(status, "", framing, |_| Ok(()))
}

fn truncated(exchange: &mut Exchange<'_, '_>, length: u64) -> io::Result<()> {
    exchange.close();
    let announced = length.saturating_mul(2).saturating_add(1);
    exchange.respond(200, BINARY, Framing::Length(announced), |out| pattern::write(out, length))
}

fn hash(exchange: &mut Exchange<'_, '_>) -> io::Result<()> {
    let mut hash = Sha256::new();
    exchange.take_body(|piece| hash.update(piece))?;
    let mut page = String::with_capacity(65);
    for byte in hash.finalize() {
        write!(page, "{byte:02x}").expect("writing to a string cannot fail");
    }
    page.push('\n');
    text(exchange, 200, &page)
}

fn headers(exchange: &mut Exchange<'_, '_>) -> io::Result<()> {
    let head = std::mem::take(&mut exchange.request.head);
    exchange.respond(200, "Content-Type: text/plain\r\n", Framing::Length(head.len() as u64), |out| {
        out.write_all(&head)
    })
}

fn slow(exchange: &mut Exchange<'_, '_>) -> io::Result<()> {
    let wait = query(exchange, "ms").unwrap_or(1000).min(SLOWEST_MS);
    thread::sleep(Duration::from_millis(wait));
    text(exchange, 200, &format!("after {wait} ms\n"))
}

fn early_hints(exchange: &mut Exchange<'_, '_>) -> io::Result<()> {
    exchange.interim(103, "Link: </style.css>; rel=preload; as=style\r\n")?;
    text(exchange, 200, "after an early hint\n")
}

fn upgrade(exchange: &mut Exchange<'_, '_>) -> io::Result<()> {
    match exchange.request.upgrade.take() {
        Some(protocol) => exchange.tunnel(&protocol),
        None => text(exchange, 400, "this target wants an Upgrade\n"),
    }
}

fn text(exchange: &mut Exchange<'_, '_>, status: u16, page: &str) -> io::Result<()> {
    let fields = "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n";
    exchange.respond(status, fields, Framing::Length(page.len() as u64), |out| out.write_all(page.as_bytes()))
}

fn index(exchange: &mut Exchange<'_, '_>) -> io::Result<()> {
    let fields = "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n";
    let page = include_bytes!("index.html");
    exchange.respond(200, fields, Framing::Length(page.len() as u64), |out| out.write_all(page))
}

/// The number that the query gives `name`.
fn query(exchange: &Exchange<'_, '_>, name: &str) -> Option<u64> {
    let mut pairs = exchange.request.query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name)?.1.parse().ok()
}
