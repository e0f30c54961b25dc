//! One connection: the handshake, what was expected of it, bytes returned inverted, the end.

use std::fmt;

use levee_buf::{Chain, Heap};
use levee_tls::{Connection, Error, Version};

use crate::hello::Hello;
use crate::settings::{Expected, Settings};
use crate::worker::{Socket, Worker};

/// Why a connection did not go as it should.
pub(crate) enum Failure {
    /// The connection's own error.
    Tls(Error),
    /// An expectation of the test.
    Unexpected(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Tls(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(error) => write!(f, "levee: {}", error.name()),
            Self::Unexpected(what) => write!(f, "unexpected: {what}"),
        }
    }
}

/// Runs one connection to its end.
pub(crate) fn run(settings: &Settings, worker: &mut Worker) -> Result<(), Failure> {
    let socket = Socket::connect(settings)
        .map_err(|error| Failure::Unexpected(format!("no runner to connect to: {error}")))?;
    let connection = Connection::server(&worker.server);
    let mut exchange = Exchange { worker, socket, connection, received: Vec::new(), sent: Vec::new() };
    let result = exchange.whole(settings);
    let Exchange { worker, socket, mut connection, .. } = exchange;
    worker.release(&mut connection);
    drop(connection);
    socket.end();
    if worker.heap.in_use() != 0 || worker.server.free_slots() != 1 {
        return Err(Failure::Unexpected("something of the connection is still held".into()));
    }
    result
}

struct Exchange<'a> {
    worker: &'a mut Worker,
    socket: Socket,
    connection: Connection<Heap>,
    /// The wire bytes of both sides up to the end of the handshake.
    received: Vec<u8>,
    sent: Vec<u8>,
}

impl Exchange<'_> {
    fn whole(&mut self, settings: &Settings) -> Result<(), Failure> {
        while !self.connection.is_established() {
            if !self.receive()? {
                return Err(Failure::Unexpected("the peer is gone before the end of the handshake".into()));
            }
        }
        self.check(&settings.expected)?;
        if settings.writes_all_sizes {
            for length in [0, 1, 255, 256, 257, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769] {
                self.send(&vec![0x42; length]);
            }
        }
        for _ in 0..settings.writes_first {
            self.send(&settings.initial_write);
        }
        if !settings.shuts_down && !settings.writes_all_sizes {
            self.echo()?;
        }
        self.connection.close();
        self.send(&[]);
        while settings.shuts_down && settings.checks_close && !self.connection.peer_closed() {
            if !self.receive()? {
                return Err(Failure::Unexpected("no close_notify of the peer".into()));
            }
        }
        Ok(())
    }

    /// Returns what comes, inverted, until the peer closes or goes.
    fn echo(&mut self) -> Result<(), Failure> {
        loop {
            while let Some(chain) = self.connection.read() {
                let mut bytes = chain.to_vec();
                bytes.iter_mut().for_each(|byte| *byte ^= 0xff);
                self.send(&bytes);
            }
            if self.connection.peer_closed() || !self.receive()? {
                return Ok(());
            }
        }
    }

    /// Takes bytes of the peer and sends what the connection answers; false when the peer is gone.
    fn receive(&mut self) -> Result<bool, Failure> {
        let bytes = self.socket.read();
        if bytes.is_empty() {
            return Ok(false);
        }
        if !self.connection.is_established() {
            self.received.extend(&bytes);
        }
        let result = self.worker.input(&mut self.connection, &bytes);
        self.send(&[]);
        Ok(result.map(|()| true)?)
    }

    fn send(&mut self, plain: &[u8]) {
        let wire = self.worker.output(&mut self.connection, plain);
        if self.received.len() + self.sent.len() < 64 << 10 {
            self.sent.extend(&wire);
        }
        self.socket.write(&wire);
    }

    fn check(&self, expected: &Expected) -> Result<(), Failure> {
        fn is<T: PartialEq>(expected: Option<&T>, found: &T) -> bool {
            expected.is_none_or(|expected| expected == found)
        }
        let Some(terms) = self.connection.handshake() else { return Ok(()) };
        let (asked, said) = (Hello::of_client(&self.received), Hello::of_server(&self.sent));
        let tls13 = terms.version == Version::Tls13;
        let renegotiates = tls13 || said.extension(0xff01).is_some();
        let has_protocol = expected.protocol.as_ref().map(|name| !name.is_empty());
        let checks = [
            ("the handshake is complete", !expected.never_done),
            ("version", is(expected.version.as_ref(), &terms.version.code())),
            ("group", is(expected.group.as_ref(), &terms.group.code())),
            ("suite", is(expected.suite.as_ref(), &terms.suite.code())),
            ("protocol", is(has_protocol.as_ref(), &terms.protocol.is_some())),
            ("protocols of the client", is(expected.offered.as_ref(), &asked.protocols())),
            ("server name", is(expected.name.as_ref(), &asked.server_name())),
            ("HelloRetryRequest", is(expected.retried.as_ref(), &(self.worker.counters.hello_retries > 0))),
            ("credential", is(expected.credential.as_ref(), &usize::from(terms.certificate))),
            (
                "extended master secret",
                !expected.extended_master_secret || tls13 || said.extension(23).is_some(),
            ),
            ("secure renegotiation", is(expected.secure_renegotiation.as_ref(), &renegotiates)),
        ];
        match checks.iter().find(|check| !check.1) {
            Some((what, _)) => Err(Failure::Unexpected(format!("{what} of {terms:?}"))),
            None => Ok(()),
        }
    }
}
