//! What a worker has to say to people: `Event`, and `Log`, its end of the bounded queue to the control
//! plane, which does the writing.
//!
//! An event is a value of fixed size: saying it costs a copy, and nothing when nobody listens. A full queue
//! drops it (lines of requests are counted): people who cannot keep up with a flood do not slow it down.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

/// Something for people.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A request was answered.
    Access(Access),
    /// A secret of a TLS connection, for debugging with a packet dump.
    Secret(Secret),
}

/// A request and its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// When it was answered, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Who asked.
    pub peer: SocketAddr,
    /// The method.
    pub method: Text<16>,
    /// The host it was for.
    pub authority: Text<80>,
    /// The path.
    pub path: Text<160>,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// From the head of the request to the end of the answer, in microseconds.
    pub duration_us: u64,
    /// Whether the answer came out of the cache.
    pub cached: bool,
}

/// A line for a key log file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secret {
    /// Which secret.
    pub label: Text<40>,
    /// Names the connection.
    pub client_random: [u8; 32],
    secret: [u8; 64],
    len: u8,
}

impl Secret {
    /// The line for `secret`, at most 64 bytes of it.
    #[must_use]
    pub(crate) fn new(label: &str, client_random: [u8; 32], secret: &[u8]) -> Self {
        let mut line = Self { label: Text::new(label.as_bytes()), client_random, secret: [0; 64], len: 0 };
        for (place, byte) in line.secret.iter_mut().zip(secret) {
            *place = *byte;
            line.len += 1;
        }
        line
    }
}

impl fmt::Display for Secret {
    /// As `SSLKEYLOGFILE` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.label)?;
        self.client_random.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(" ")?;
        self.secret.iter().take(usize::from(self.len)).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first bytes of a text from a peer, at most `N` (and 255); shown with everything else than printable
/// ASCII escaped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
    cut: bool,
}

impl<const N: usize> Text<N> {
    /// The first bytes of `text`.
    #[must_use]
    pub(crate) fn new(text: &[u8]) -> Self {
        const { assert!(N <= 255) };
        let mut bytes = [0; N];
        let mut len = 0;
        for (place, byte) in bytes.iter_mut().zip(text) {
            *place = *byte;
            len += 1;
        }
        Self { bytes, len, cut: text.len() > N }
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        write!(f, "{}{}", text.escape_ascii(), if self.cut { "..." } else { "" })
    }
}

/// A worker's end of the queue.
#[derive(Clone, Default)]
pub(crate) struct Log {
    queue: Option<Arc<ArrayQueue<Event>>>,
}

impl Log {
    /// Events go to `queue`.
    #[must_use]
    pub(crate) const fn to(queue: Arc<ArrayQueue<Event>>) -> Self {
        Self { queue: Some(queue) }
    }

    /// Says it; false when the queue is full.
    pub(crate) fn say(&self, event: Event) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.push(event).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_text_cannot_forge_a_line() {
        let text = Text::<8>::new(b"a\"b\r\nGET /x");
        assert_eq!(text.to_string(), "a\\\"b\\r\\nGET...");
    }

    #[test]
    fn a_secret_is_a_line_of_the_key_log() {
        let secret = Secret::new("CLIENT_RANDOM", [0xab; 32], &[1; 48]);
        assert_eq!(secret.to_string(), format!("CLIENT_RANDOM {} {}", "ab".repeat(32), "01".repeat(48)));
    }

    #[test]
    fn a_full_queue_drops() {
        let log = Log::to(Arc::new(ArrayQueue::new(1)));
        let event = Event::Secret(Secret::new("x", [0; 32], &[]));
        assert!(log.say(event) && !log.say(event));
        assert!(Log::default().say(event));
    }
}
