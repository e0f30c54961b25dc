//! An origin that reads with given manners, answers each request by telling its request line, and keeps
//! what it saw.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::Backend;
use crate::manners::{Manners, Request};
use crate::site::Site;

/// The origin, as long as it is not dropped.
pub struct Origin {
    seen: Arc<Mutex<Seen>>,
    _backend: Backend,
}

/// What an origin was sent.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Complete requests since they were last asked for.
    pub requests: Vec<Request>,
    /// What connections ended with that was no complete request.
    pub fragments: Vec<Vec<u8>>,
    /// What was no request at all, and read as none.
    pub nonsense: Vec<Vec<u8>>,
    /// All bytes of each connection.
    pub connections: Vec<Vec<u8>>,
}

impl Origin {
    /// Starts it as the scripted backend of `site`.
    #[must_use]
    pub fn start(site: &Site, manners: Manners) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let log = Arc::clone(&seen);
        let backend = site.scripted(move |stream| serve(stream, manners, &log));
        Self { seen, _backend: backend }
    }

    /// The requests that came since the last call.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner).requests)
    }

    /// All it has seen, but for requests that were asked for before.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the origin answers to a request.
#[must_use]
pub fn answer(request: &Request) -> String {
    let told = &request.line;
    let body = if request.method() == "HEAD" { "" } else { told };
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", told.len())
}

fn serve(mut stream: TcpStream, manners: Manners, seen: &Mutex<Seen>) {
    let lock = || seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut index = None;
    let mut unread = Vec::new();
    let mut buffer = [0; 1 << 14];
    let mut told = false;
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let bytes = &buffer[..length];
        unread.extend_from_slice(bytes);
        let reading = manners.read(&unread);
        {
            let mut seen = lock();
            let index = *index.get_or_insert_with(|| {
                seen.connections.push(Vec::new());
                seen.connections.len() - 1
            });
            seen.connections[index].extend_from_slice(bytes);
            seen.requests.extend(reading.requests.iter().cloned());
        }
        told &= reading.requests.is_empty();
        let mut answers: String = reading.requests.iter().map(answer).collect();
        if reading.expects && !std::mem::replace(&mut told, true) {
            answers.push_str("HTTP/1.1 100 Continue\r\n\r\n");
        }
        unread = reading.rest;
        let sent = stream.write_all(answers.as_bytes());
        if reading.nonsense {
            lock().nonsense.push(unread);
            let _ = stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
        if sent.is_err() || reading.closed {
            break;
        }
    }
    if !unread.is_empty() {
        lock().fragments.push(unread);
    }
}
