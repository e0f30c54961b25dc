//! The handshake as a program: messages that are right and wrong, in any order, changed, cut, with alerts and
//! application data between them. No panic, bounded memory, nothing after the one alert, and no application
//! data before the Finished that the keys prove.

use arbitrary::{Arbitrary, Result, Unstructured};
use levee_buf::Heap;
use levee_crypto::Group;
use levee_tls::Connection;

use crate::rig;
use crate::tls::Rig;
use crate::tls::client::{Client12, Client13};
use crate::tls::hello::{ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Hello, message, record};

#[derive(Arbitrary, Debug)]
enum Step {
    /// The ClientHello; in records of that many bytes.
    Hello {
        size: u16,
    },
    KeyExchange,
    ChangeCipherSpec,
    Finished,
    /// Application data under the keys there are, or in the clear.
    Data {
        sealed: bool,
        length: u16,
    },
    Alert {
        level: u8,
        description: u8,
        sealed: bool,
    },
    /// A handshake message of any type and body.
    Message {
        kind: u8,
        body: Vec<u8>,
        sealed: bool,
    },
    Record {
        kind: u8,
        payload: Vec<u8>,
    },
    Raw(Vec<u8>),
    /// What was last sent, again.
    Again,
}

/// Bytes that only sealed application data has, and that only data in the clear has.
const SEALED: u8 = b'S';
const CLEAR: u8 = b'C';

/// Runs `input` as a program.
pub fn run(input: &[u8]) {
    let _ = program(&mut Unstructured::new(input));
}

enum Client {
    Tls12(Box<Client12>),
    Tls13(Box<Client13>, Hello),
}

/// A server, and a client that knows what it was told.
struct Scene {
    rig: Rig,
    server: Connection<Heap>,
    client: Client,
    /// Nothing but the right messages went to the server so far.
    clean: bool,
    said_hello: bool,
    /// The rest of the client's flight, once the server's came.
    flight: Option<Flight>,
    finished: bool,
    alerts: usize,
}

struct Flight {
    key_exchange: Vec<u8>,
    finished: Vec<u8>,
}

fn program(input: &mut Unstructured<'_>) -> Result<()> {
    let rig = rig();
    let server = rig.connection();
    let client = if input.arbitrary()? {
        let (mut client, hello) = Client13::new(&[Group::X25519]);
        client.transcript = hello.encode();
        Client::Tls13(Box::new(client), hello)
    } else {
        Client::Tls12(Box::new(Client12::new(Hello::tls12())))
    };
    let mut scene = Scene {
        rig,
        server,
        client,
        clean: true,
        said_hello: false,
        flight: None,
        finished: false,
        alerts: 0,
    };
    let mut last = Vec::new();
    while !input.is_empty() {
        let (mut wire, right) = scene.bytes(input.arbitrary()?, &last);
        let mut right = right;
        if let Some((at, with)) = input.arbitrary::<Option<(u16, u8)>>()?.filter(|_| !wire.is_empty()) {
            let at = usize::from(at) % wire.len();
            right &= with == 0;
            wire[at] ^= with;
        }
        scene.clean &= right;
        let cut = usize::from(input.arbitrary::<u8>()?).min(wire.len());
        scene.send(&wire[..cut]);
        scene.send(&wire[cut..]);
        last = wire;
    }
    scene.rig.finish(scene.server);
    Ok(())
}

impl Scene {
    /// The bytes of a step, and whether they are the right ones to come next.
    fn bytes(&mut self, step: Step, last: &[u8]) -> (Vec<u8>, bool) {
        match step {
            Step::Hello { size } => {
                let message = match &self.client {
                    Client::Tls12(client) => client.hello.encode(),
                    Client::Tls13(_, hello) => hello.encode(),
                };
                let right = !std::mem::replace(&mut self.said_hello, true);
                (crate::tls::hello::records(HANDSHAKE, &message, usize::from(size).max(1)), right)
            }
            Step::KeyExchange => match &self.flight {
                Some(flight) => (record(HANDSHAKE, &flight.key_exchange), true),
                None => (record(HANDSHAKE, &message(16, &[32; 33])), false),
            },
            Step::ChangeCipherSpec => (record(CHANGE_CIPHER_SPEC, &[1]), true),
            Step::Finished => match self.flight.take() {
                Some(flight) => {
                    self.finished = true;
                    let wire = self.seal(HANDSHAKE, &flight.finished);
                    if let Client::Tls13(client, _) = &mut self.client {
                        client.application_keys();
                    }
                    (wire, true)
                }
                None => (record(HANDSHAKE, &message(20, &[0; 12])), false),
            },
            Step::Data { sealed: true, length } => {
                let wire = self.seal(DATA, &vec![SEALED; usize::from(length) % 17_000]);
                (wire, self.finished)
            }
            Step::Data { sealed: false, length } => {
                (record(DATA, &vec![CLEAR; usize::from(length) % 17_000]), false)
            }
            Step::Alert { level, description, sealed } => self.maybe(ALERT, &[level, description], sealed),
            Step::Message { kind, body, sealed } => self.maybe(HANDSHAKE, &message(kind, &body), sealed),
            Step::Record { kind, payload } => (record(kind, &payload), false),
            Step::Raw(bytes) => (bytes, false),
            Step::Again => (last.to_vec(), false),
        }
    }

    fn maybe(&mut self, kind: u8, content: &[u8], sealed: bool) -> (Vec<u8>, bool) {
        (if sealed { self.seal(kind, content) } else { record(kind, content) }, false)
    }

    /// Under the client's keys, if it has any.
    fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let keys = match &mut self.client {
            Client::Tls12(client) => client.write.as_mut(),
            Client::Tls13(client, _) => client.write.as_mut(),
        };
        keys.map_or_else(|| record(kind, content), |keys| keys.seal(kind, content, 0))
    }

    /// Gives the server `wire`, and looks at everything that it does.
    fn send(&mut self, wire: &[u8]) {
        if wire.is_empty() {
            return;
        }
        let (before, over) = (self.server.buffered(), self.server.error().is_some());
        let failed = self.rig.input(&mut self.server, wire).is_err();
        assert!(!failed || self.server.error().is_some());
        assert!(self.server.buffered() <= before + wire.len(), "more is held than came");
        let sent = self.rig.output(&mut self.server);
        assert!(!over || sent.is_empty(), "it speaks after its alert");
        let plain = self.rig.read(&mut self.server);
        assert!(plain.iter().all(|&byte| byte == SEALED), "data in the clear is read");
        assert!(plain.is_empty() || self.server.is_established() || self.server.error().is_some());
        assert!(!self.server.is_established() || self.finished, "established without Finished");
        for one in crate::tls::client::split(&sent) {
            self.alerts += usize::from(one[0] == ALERT && one.len() == 7 && one[5] == 2);
        }
        assert!(self.alerts <= 1, "two fatal alerts");
        if self.server.error().is_some() {
            assert!(self.server.send_closed(), "an error without its end");
        }
        if self.clean && self.said_hello && !self.finished && self.flight.is_none() && sent.len() > 100 {
            self.flight = Some(match &mut self.client {
                Client::Tls12(client) => {
                    let (key_exchange, finished) = client.server_flight(&sent);
                    Flight { key_exchange, finished }
                }
                Client::Tls13(client, _) => {
                    Flight { key_exchange: Vec::new(), finished: client.server_flight(&sent) }
                }
            });
        }
    }
}
