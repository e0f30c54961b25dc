//! What a worker counts: `Counter`, `Counters`, and `Published`, the copy that other threads may read.
//!
//! Counting is an addition to the worker's own memory. Every few thousand turns the worker stores the sums
//! where the control plane reads them; nothing on the packet path is shared.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)+) => {
        /// Something that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Counter { $($(#[$doc])* $name,)+ }

        impl Counter {
            /// All of them, in the order of their numbers.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in metrics and logs.
            #[must_use]
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
    };
}

counters! {
    /// Turns of the loop.
    Turns = "turns",
    /// Turns in which no port had a frame: the spare time of the lcore.
    IdleTurns = "idle_turns",
    /// Times that the worker panicked and was started again.
    Restarts = "restarts",
    /// Frames received.
    FramesReceived = "frames_received",
    /// Frames sent.
    FramesSent = "frames_sent",
    /// Bytes of frames received.
    BytesReceived = "bytes_received",
    /// Bytes of frames sent.
    BytesSent = "bytes_sent",
    /// Frames handed to the worker that owns their flow.
    FramesSteered = "frames_steered",
    /// Frames dropped since the owner's ring was full.
    SteeringOverflow = "steering_overflow",
    /// Frames given up for a device that took none for a while.
    FramesStuck = "frames_stuck",
    /// Client connections accepted.
    Accepted = "accepted",
    /// Client connections that could not be kept: the table is full.
    ShedClientTable = "shed_client_table",
    /// Client connections refused: too many handshakes under way.
    ShedHandshakes = "shed_handshakes",
    /// Requests given up for want of packet memory.
    ShedMemory = "shed_memory",
    /// TLS handshakes completed.
    Handshakes = "handshakes",
    /// TLS connections that ended by an error.
    TlsErrors = "tls_errors",
    /// Client connections gone before their time: reset, or timed out by TCP.
    ClientsLost = "clients_lost",
    /// Handshakes that took too long.
    TimeoutHandshake = "timeout_handshake",
    /// Request heads that took too long.
    TimeoutRequestHead = "timeout_request_head",
    /// Request bodies that took too long.
    TimeoutRequestBody = "timeout_request_body",
    /// Clients that took nothing of what was there for them.
    TimeoutResponseTaken = "timeout_response_taken",
    /// Connections closed since no further request came.
    TimeoutKeepalive = "timeout_keepalive",
    /// Tunnels in which nobody said anything.
    TimeoutTunnel = "timeout_tunnel",
    /// Clients that did not close after our end.
    TimeoutLinger = "timeout_linger",
    /// Waits for another's fetch into the cache that took too long.
    TimeoutFetch = "timeout_fetch",
    /// Requests read.
    Requests = "requests",
    /// Responses begun.
    Responses = "responses",
    /// Of these: status 1xx.
    Responses1xx = "responses_1xx",
    /// Of these: status 2xx.
    Responses2xx = "responses_2xx",
    /// Of these: status 3xx.
    Responses3xx = "responses_3xx",
    /// Of these: status 4xx.
    Responses4xx = "responses_4xx",
    /// Of these: status 5xx.
    Responses5xx = "responses_5xx",
    /// Requests refused for their head or framing.
    Rejected = "rejected",
    /// Requests that no route matched.
    NoRoute = "no_route",
    /// Request bodies over the limit.
    BodyTooLarge = "body_too_large",
    /// Requests redirected to HTTPS.
    Redirected = "redirected",
    /// Heads copied since they crossed a segment.
    HeadsGathered = "heads_gathered",
    /// Copies of payload between receive and transmit: frames for a device without segments, records that
    /// a device or TLS could not take as they lay. Counted when the worker ends.
    PayloadCopies = "payload_copies",
    /// Times that bytes in very many small segments were copied together.
    Thickened = "thickened",
    /// Connections to backends opened.
    UpstreamConnects = "upstream_connects",
    /// Requests sent over a kept connection.
    UpstreamReused = "upstream_reused",
    /// Connections to backends that were not established.
    UpstreamConnectFailed = "upstream_connect_failed",
    /// Connections to backends lost before a response.
    UpstreamLost = "upstream_lost",
    /// Connections to backends that said something before the request reached them.
    UpstreamUnasked = "upstream_unasked",
    /// Responses cut off by the backend.
    UpstreamTruncated = "upstream_truncated",
    /// Responses that made no sense.
    UpstreamInvalid = "upstream_invalid",
    /// Backends that took too long to connect or to answer.
    UpstreamTimeout = "upstream_timeout",
    /// Requests for which every server had its limit of connections.
    UpstreamFull = "upstream_full",
    /// Requests sent again after a server failed, or after a kept connection was found gone.
    UpstreamRetries = "upstream_retries",
    /// Connections upgraded to a tunnel.
    Tunnels = "tunnels",
    /// Invalidations of cached responses that other workers were not told of.
    NoticesLost = "notices_lost",
    /// Log lines dropped since the control plane was behind.
    LogOverflow = "log_overflow",
}

impl Counter {
    /// The counter of a response's status class.
    #[must_use]
    pub(crate) const fn of_status(status: u16) -> Self {
        match status {
            0..200 => Self::Responses1xx,
            200..300 => Self::Responses2xx,
            300..400 => Self::Responses3xx,
            400..500 => Self::Responses4xx,
            _ => Self::Responses5xx,
        }
    }
}

/// A worker's sums.
pub(crate) struct Counters([u64; Counter::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Counter::ALL.len()])
    }
}

impl Counters {
    /// Counts one.
    pub(crate) const fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts `n`.
    pub(crate) const fn add(&mut self, counter: Counter, n: u64) {
        self.0[counter as usize] = self.0[counter as usize].wrapping_add(n);
    }

    /// The sum.
    #[must_use]
    pub(crate) const fn sum(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }
}

/// The sums of a worker as of a moment ago, with its gauges.
pub(crate) struct Published {
    counters: [AtomicU64; Counter::ALL.len()],
    /// TCP connections alive.
    pub connections: AtomicU64,
    /// Dropped frames of all reasons.
    pub drops: AtomicU64,
    /// Turns, always up to date: whether the worker goes on.
    pub turn: AtomicU64,
}

impl Default for Published {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self { counters: std::array::from_fn(|_| zero()), connections: zero(), drops: zero(), turn: zero() }
    }
}

impl Published {
    /// Stores the worker's sums. Called by the worker alone.
    pub(crate) fn store(&self, counters: &Counters) {
        for (place, sum) in self.counters.iter().zip(&counters.0) {
            place.store(*sum, Ordering::Relaxed);
        }
    }

    /// The sum as of a moment ago.
    #[must_use]
    pub(crate) fn sum(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }
}
