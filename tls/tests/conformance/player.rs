//! Plays a case: leads a connection to its state, sends its steps, and holds what comes of it against the outcome.

use levee_buf::{Chain, Heap, Pieces};
use levee_crypto::{Group, Hash};
use levee_tls::{Connection, Error, Version};

use super::names;
use super::script::{Case, code, number};
use super::sending::Sending;
use super::support::Rig;
use super::support::client::{Client12, Client13, ServerHello, split};
use super::support::hello::{ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Hello, codes, message, record};

/// How the bytes of a case come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// In one segment.
    Whole,
    /// A segment a byte, or a few pieces when there are many.
    Bytes,
    /// In pieces that do not wait until the server has worked on the one before.
    Ahead,
    /// As `Ahead`, and the client is gone some turns later, whatever is under way.
    Left(usize),
}

/// How far the client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Start,
    /// Behind a HelloRetryRequest.
    Retry,
    /// The server's flight is there.
    Flight,
    /// ClientKeyExchange was sent.
    Exchanged,
    /// And change_cipher_spec.
    Changed,
    Open,
}

pub(crate) struct Player<'r> {
    pub(crate) rig: &'r mut Rig,
    server: Connection<Heap>,
    delivery: Delivery,
    pub(crate) tls13: bool,
    pub(crate) place: Place,
    /// The next ClientHello is the one that counts.
    pub(crate) hello_is_due: bool,
    /// The next ClientHello, to be edited.
    pub(crate) hello: Hello,
    pub(crate) client13: Option<Client13>,
    pub(crate) client12: Option<Client12>,
    /// Handshake messages that are due, by their type.
    pub(crate) due: Vec<(u8, Vec<u8>)>,
    /// What the server must have decrypted.
    pub(crate) data: Vec<u8>,
    said: Option<ServerHello>,
    retried: bool,
}

/// Plays `case`; the reason for which the server ended the connection, if it did.
pub(crate) fn play(rig: &mut Rig, case: &Case, delivery: Delivery) -> Option<Error> {
    let mut player = Player::new(rig, &case.state, delivery);
    let mut wire = Vec::new();
    for step in &case.steps {
        wire.extend(Sending::new(&mut player, step).wire());
    }
    let errors = |rig: &Rig| rig.counters.errors.iter().sum::<u64>();
    let before = errors(player.rig);
    player.deliver(&wire);
    if !matches!(delivery, Delivery::Left(_)) {
        player.check(&case.outcome);
    }
    let Player { rig, server, .. } = player;
    let error = server.error();
    assert_eq!(errors(rig) - before, u64::from(error.is_some()), "errors counted");
    rig.finish(server);
    rig.keylog = Vec::new();
    assert_eq!(rig.aead.keys(), 0, "keys leaked");
    error
}

impl<'r> Player<'r> {
    /// In the `state`, which is a version and a place, and what the hello before it had besides: a group, a suite, an
    /// extension.
    fn new(rig: &'r mut Rig, state: &str, delivery: Delivery) -> Self {
        let (version, rest) = state.split_once('.').expect("a version and a place");
        let mut rest = rest.split('/');
        let place = rest.next().unwrap_or_default();
        let tls13 = version == "13";
        let group = rest.clone().find_map(names::group).unwrap_or(Group::X25519);
        let server = rig.connection();
        let (client, mut hello) = Client13::new(&[group]);
        if !tls13 {
            hello = Hello::tls12();
        }
        for word in rest {
            hello = match names::group(word) {
                Some(group) => hello.set(10, codes::<2>(&[group.code()])),
                None if word.len() == 4 => hello.suites(&[code(word)]),
                None => hello.set(names::extension(word), Vec::new()),
            };
        }
        let mut player = Self {
            rig,
            server,
            delivery: Delivery::Whole,
            tls13,
            place: Place::Start,
            hello_is_due: true,
            hello,
            client13: tls13.then_some(client),
            client12: None,
            due: Vec::new(),
            data: Vec::new(),
            said: None,
            retried: false,
        };
        let target = match place {
            "start" => Place::Start,
            "retry" => Place::Retry,
            "flight" => Place::Flight,
            "exchanged" => Place::Exchanged,
            "changed" => Place::Changed,
            "open" => Place::Open,
            other => panic!("a place: {other}"),
        };
        if target == Place::Retry {
            player.ask_for_retry();
        }
        while player.place != target {
            player.go_on();
        }
        player.delivery = delivery;
        player
    }

    /// Sends a ClientHello without shares.
    fn ask_for_retry(&mut self) {
        let first = self.hello.clone().set(51, vec![0, 0]);
        let wire = Sending::hello(self, first).wire();
        self.deliver(&wire);
        self.receive();
        assert_eq!(self.place, Place::Retry);
    }

    /// Does what is right at this place.
    fn go_on(&mut self) {
        let steps: &[&str] = match (self.place, self.tls13) {
            (Place::Start | Place::Retry, _) => &["hello"],
            (Place::Flight, true) | (Place::Changed, _) => &["finished"],
            (Place::Flight, false) => &["exchange"],
            (Place::Exchanged, _) => &["ccs"],
            (Place::Open, _) => panic!("there is nothing behind the handshake"),
        };
        let words: Vec<String> = steps.iter().map(|&word| word.to_owned()).collect();
        let before = self.place;
        let wire = Sending::new(self, &words).wire();
        self.deliver(&wire);
        let unread = self.receive();
        assert_eq!(unread, [], "the server says more than it should");
        assert_ne!(self.place, before, "the handshake does not go on: {:?}", self.server.error());
    }

    fn deliver(&mut self, wire: &[u8]) {
        let piece = match self.delivery {
            Delivery::Whole => wire.len(),
            Delivery::Bytes if wire.len() < 3000 => 1,
            Delivery::Bytes | Delivery::Ahead | Delivery::Left(_) => wire.len() / 3,
        };
        for piece in wire.chunks(piece.max(1)) {
            let (rig, server) = (&mut *self.rig, &mut self.server);
            if matches!(self.delivery, Delivery::Ahead | Delivery::Left(_)) {
                let chain = rig.heap.chain(piece);
                let _ = rig.call(|out| server.input(chain, out));
            } else {
                let _ = rig.input(server, piece);
            }
            assert!(server.buffered() <= wire.len() + self.data.len());
        }
        if let Delivery::Left(turns) = self.delivery {
            (0..turns).for_each(|_| _ = self.rig.turn(&mut self.server));
        } else {
            let _ = self.rig.settle(&mut self.server);
        }
    }

    /// What the server sent besides the messages that a client waits for: types and contents of records.
    fn receive(&mut self) -> Vec<(u8, Vec<u8>)> {
        let wire = self.rig.output(&mut self.server);
        let mut records = split(&wire);
        let flight = records.first().is_some_and(|record| record[0] == HANDSHAKE);
        if matches!(self.place, Place::Start | Place::Retry) && flight {
            let said = ServerHello::decode(&records[0][5..]);
            if !self.tls13 {
                let client = self.client12.as_mut().expect("a hello was sent");
                let (exchange, finished) = client.server_flight(&records.remove(0));
                self.due = vec![(16, exchange), (20, finished)];
                self.place = Place::Flight;
            } else if said.random[..4] == [0xcf, 0x21, 0xad, 0x74] {
                self.retry(&records.remove(0)[5..]);
            } else {
                let length = 1 + records.iter().position(|record| record[0] == DATA).expect("the flight");
                let flight: Vec<u8> = records.drain(..length).flatten().collect();
                let finished = self.client13.as_mut().expect("TLS 1.3").server_flight(&flight);
                self.due = vec![(20, finished)];
                self.place = Place::Flight;
            }
            self.said = Some(said);
            if records.first().is_some_and(|record| record[0] == CHANGE_CIPHER_SPEC) {
                records.remove(0);
            }
        } else if !self.tls13
            && self.place == Place::Open
            && records.first().is_some_and(|record| record[0] == CHANGE_CIPHER_SPEC)
        {
            let flight: Vec<u8> = records.drain(..2).flatten().collect();
            self.client12.as_mut().expect("TLS 1.2").server_finished(&flight);
        }
        if !records.is_empty() && self.place == Place::Flight && self.tls13 {
            // The server goes on under the application keys at once.
            self.client13.as_mut().expect("TLS 1.3").application_keys();
            self.place = Place::Open;
        }
        records.iter().flat_map(|record| self.open(record)).collect()
    }

    fn open(&mut self, record: &[u8]) -> Vec<(u8, Vec<u8>)> {
        match (self.place, &mut self.client13, &mut self.client12) {
            (Place::Open, Some(client), _) => {
                let content = client.open(record);
                // A KeyUpdate is the last record of its key.
                if content.first().is_some_and(|(kind, bytes)| *kind == HANDSHAKE && bytes[0] == 24) {
                    client.update_read();
                    return Vec::new();
                }
                content
            }
            (Place::Open, _, Some(client)) if record[1] == 3 && record[5..].len() > 2 => client.open(record),
            _ => vec![(record[0], record[5..].to_vec())],
        }
    }

    /// Takes a HelloRetryRequest (RFC 8446 section 4.4.1).
    fn retry(&mut self, request: &[u8]) {
        let client = self.client13.as_mut().expect("TLS 1.3");
        let digest = Hash::Sha256.digest(&[&client.transcript]);
        client.transcript = message(254, &digest);
        client.transcript.extend(request);
        (self.place, self.retried, self.hello_is_due) = (Place::Retry, true, true);
    }

    fn check(&mut self, outcome: &[String]) {
        let mut words = outcome.iter().map(String::as_str);
        match words.next().expect("an outcome") {
            "served" => {
                assert_eq!(self.receive(), [], "an alert, or more");
                self.serve();
                self.check_terms(words);
            }
            "warned" => {
                let alert = words.next().and_then(names::alert).expect("an alert");
                assert_eq!(self.receive(), [(ALERT, vec![1, alert.code()])]);
                self.serve();
            }
            "waits" => {
                assert_eq!(self.server.error(), None);
                assert!(self.receive().is_empty() && !self.server.send_closed());
            }
            "closed" => {
                assert!(self.server.peer_closed());
                assert_eq!(self.server.error(), None);
                self.server.close();
                assert_eq!(self.receive(), [(ALERT, vec![1, 0])]);
                assert!(self.server.send_closed());
            }
            "ended" => {
                assert_eq!(self.server.error(), Some(Error::AlertReceived));
                assert_eq!(self.receive(), []);
                self.check_silence();
            }
            name => {
                let alert = names::alert(name).unwrap_or_else(|| panic!("an outcome: {name}"));
                let error = self.server.error().expect("the connection goes on");
                assert_eq!(error.alert(), Some(alert), "{error:?}");
                assert!(words.next().is_none_or(|reason| reason == error.name()), "{error:?}");
                let mut sent = self.receive();
                assert_eq!(sent.pop(), Some((ALERT, vec![2, alert.code()])), "{error:?}");
                assert!(sent.iter().all(|(kind, _)| *kind != ALERT), "one alert is enough: {sent:?}");
                self.check_silence();
            }
        }
    }

    /// Brings the handshake to its end, and sends and receives data.
    fn serve(&mut self) {
        while self.place != Place::Open {
            self.go_on();
        }
        let ping = self.seal(DATA, b"ping");
        self.data.extend(b"ping");
        self.deliver(&ping);
        assert!(self.server.is_established());
        assert!(self.rig.read(&mut self.server) == self.data, "what was sent is not what came");
        let wire = self.rig.send(&mut self.server, b"pong");
        let mut contents = Vec::new();
        for record in split(&wire) {
            contents.extend(self.open(&record));
        }
        assert_eq!(contents, [(DATA, b"pong".to_vec())]);
    }

    pub(crate) fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        match (&mut self.client13, &mut self.client12) {
            (Some(client), _) => client.seal(kind, content, 0),
            (_, Some(client)) => client.seal(kind, content),
            _ => panic!("nothing to seal with"),
        }
    }

    /// What was agreed on, and what stands in ServerHello.
    fn check_terms<'w>(&self, mut words: impl Iterator<Item = &'w str>) {
        let terms = self.server.handshake().expect("it is established");
        let said = self.said.as_ref();
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("a value");
            match word {
                "version" => {
                    assert_eq!(terms.version, if value() == "1.3" { Version::Tls13 } else { Version::Tls12 })
                }
                "suite" => assert_eq!(terms.suite.code(), code(value())),
                "group" => assert_eq!(Some(terms.group), names::group(value())),
                "scheme" => assert_eq!(terms.scheme.code(), code(value())),
                "certificate" => assert_eq!(terms.certificate, number::<u16>(value())),
                "no_protocol" => assert_eq!(terms.protocol, None),
                "retried" => assert!(self.retried),
                "sentinel" => {
                    assert!(said.expect("a ServerHello").random.ends_with(b"DOWNGRD\x01"));
                }
                "no_sentinel" => {
                    assert!(!said.expect("a ServerHello").random[24..].starts_with(b"DOWNGRD"));
                }
                "answers" => {
                    let code = names::extension(value());
                    assert!(said.expect("a ServerHello").extension(code).is_some(), "{code}");
                }
                "lacks" => {
                    let code = names::extension(value());
                    assert!(said.expect("a ServerHello").extension(code).is_none(), "{code}");
                }
                other => panic!("a term: {other}"),
            }
        }
    }

    /// After a fatal alert nothing is taken, kept or sent, whatever comes.
    fn check_silence(&mut self) {
        assert!(self.server.send_closed() && !self.server.wants_input() && !self.server.is_established());
        let hello = record(HANDSHAKE, &self.hello.encode());
        for more in [&hello[..], &record(ALERT, &[1, 0]), &[0; 100]] {
            let chain = self.rig.heap.chain(more);
            assert_eq!(self.rig.input_chain(&mut self.server, chain), Ok(()));
        }
        let mut plain = self.rig.heap.chain(b"too late");
        assert!(self.rig.output_chains(&mut self.server, &mut plain).is_empty());
        assert_eq!((plain.len(), self.server.buffered()), (8, 0));
        assert!(self.server.read().is_none());
        assert!(plain.to_vec() == b"too late");
    }
}
