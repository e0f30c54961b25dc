//! What a step sends: a message or another content, what is done to it, and the records around it.

use super::names;
use super::player::{Place, Player};
use super::script::{bytes, code, number};
use super::support::client::Client12;
use super::support::hello::{
    ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Hello, codes, key_shares, message, record, server_name,
    vector,
};

/// The words of a step, one after the other.
type Words<'w> = std::iter::Peekable<std::slice::Iter<'w, String>>;

pub(crate) struct Sending<'p, 'r> {
    player: &'p mut Player<'r>,
    kind: u8,
    content: Vec<u8>,
    protected: bool,
    padding: usize,
    /// The most bytes of content in a record.
    fragment: usize,
    times: usize,
    /// Changes to the bytes of each record, by their place.
    patches: Vec<(usize, u8)>,
    broken: Option<usize>,
    cut: Option<usize>,
    /// No record is made around the content.
    bare: bool,
    updates: bool,
    /// The server gives it out.
    is_data: bool,
}

impl<'p, 'r> Sending<'p, 'r> {
    /// The first word says what is sent, the others what is done to it.
    pub(crate) fn new(player: &'p mut Player<'r>, step: &[String]) -> Self {
        let mut words = step.iter().peekable();
        let mut sending = Self::content(player, HANDSHAKE, Vec::new());
        sending.source(&mut words);
        while let Some(word) = words.next() {
            sending.change(word, &mut words);
        }
        sending
    }

    /// A ClientHello.
    pub(crate) fn hello(player: &'p mut Player<'r>, hello: Hello) -> Self {
        let content = hello.encode();
        let mut sending = Self::content(player, HANDSHAKE, content);
        sending.note_hello(hello);
        sending
    }

    fn content(player: &'p mut Player<'r>, kind: u8, content: Vec<u8>) -> Self {
        let protected = match player.place {
            Place::Start | Place::Retry | Place::Exchanged => false,
            Place::Flight => player.tls13,
            Place::Changed | Place::Open => true,
        };
        Self {
            player,
            kind,
            content,
            protected,
            padding: 0,
            fragment: usize::MAX,
            times: 1,
            patches: Vec::new(),
            broken: None,
            cut: None,
            bare: false,
            updates: false,
            is_data: false,
        }
    }

    fn source(&mut self, words: &mut Words<'_>) {
        let mut value = || words.next().expect("a value").as_str();
        match value() {
            "hello" => {
                let hello = edit(self.player, words);
                self.content = hello.encode();
                self.note_hello(hello);
            }
            "finished" => {
                self.content = self.due(20);
                match (self.player.place, &mut self.player.client13) {
                    // What follows is under the application keys, but not the Finished itself.
                    (Place::Flight, Some(_)) | (Place::Changed, None) => self.updates = true,
                    _ => {}
                }
            }
            "exchange" => {
                self.content = self.due(16);
                if self.player.place == Place::Flight {
                    self.player.place = Place::Exchanged;
                }
            }
            // ClientKeyExchange with other bytes as the point.
            "point" => {
                let good = self.due(16)[5..].to_vec();
                self.content = message(16, &vector::<1>(&bytes(value(), &good)));
            }
            "ccs" => {
                (self.kind, self.content) = (CHANGE_CIPHER_SPEC, vec![1]);
                self.protected &= !self.player.tls13;
                if self.player.place == Place::Exchanged {
                    self.player.place = Place::Changed;
                }
            }
            "alert" => (self.kind, self.content) = (ALERT, vec![number(value()), number(value())]),
            "key_update" => {
                self.content = message(24, &[number(value())]);
                self.updates = self.player.place == Place::Open;
            }
            "message" => self.content = message(names::message(value()), &bytes(value(), &[])),
            "data" => {
                (self.kind, self.content) = (DATA, bytes(value(), &[]));
                self.player.data.extend(&self.content);
                self.is_data = true;
            }
            "record" => (self.kind, self.content) = (number(value()), bytes(value(), &[])),
            "raw" => (self.bare, self.content) = (true, bytes(value(), &[])),
            other => panic!("nothing to send: {other}"),
        }
    }

    /// The right message of a type at this place, or its like where none is due.
    fn due(&self, kind: u8) -> Vec<u8> {
        let found = self.player.due.iter().find(|due| due.0 == kind);
        found.map_or_else(|| message(kind, &[32; 33]), |due| due.1.clone())
    }

    /// The client counts on the hello being taken.
    fn note_hello(&mut self, hello: Hello) {
        let player = &mut *self.player;
        match &mut player.client13 {
            Some(client) if player.hello_is_due => {
                client.transcript.extend(&self.content);
                player.hello_is_due = false;
            }
            None if player.client12.is_none() => player.client12 = Some(Client12::new(hello)),
            _ => {}
        }
    }

    fn change(&mut self, word: &str, words: &mut Words<'_>) {
        let mut value = || words.next().expect("a value").as_str();
        let length = self.content.len();
        match word {
            // The message.
            "short" => {
                self.content.truncate(length - number::<usize>(value()));
                self.set_length(self.content.len() - 4);
            }
            "long" => {
                self.content.extend(bytes(value(), &[]));
                self.set_length(self.content.len() - 4);
            }
            "claims" => self.set_length(number(value())),
            "flip" => self.content[number::<usize>(value())] ^= 1,
            "then" => self.content.extend(bytes(value(), &[])),
            "then_finished" => self.content.extend(self.due(20)),
            "twice" => self.content.extend_from_within(..),
            "only" => {
                self.content.truncate(number(value()));
                self.updates = false;
            }
            // The record.
            "plain" => self.protected = false,
            "as" => self.kind = number(value()),
            "padded" => self.padding = number(value()),
            "split" => self.fragment = number(value()),
            "times" => {
                self.times = number(value());
                if self.is_data {
                    self.player.data.extend(self.content.repeat(self.times - 1));
                }
            }
            "version" => self.patches.extend([1, 2].into_iter().zip(code(value()).to_be_bytes())),
            "sized" => self.patches.extend([3, 4].into_iter().zip(number::<u16>(value()).to_be_bytes())),
            "broken" => self.broken = Some(number(value())),
            "cut" => self.cut = Some(number(value())),
            "skipping" => {
                let n: u64 = number(value());
                let player = &mut *self.player;
                match (&mut player.client13, &mut player.client12) {
                    (Some(client), _) => client.write.as_mut().expect("keys").seq += n,
                    (_, Some(client)) => client.write.as_mut().expect("keys").seq += n,
                    _ => panic!("no keys"),
                }
            }
            other => panic!("nothing to do to it: {other}"),
        }
    }

    fn set_length(&mut self, length: usize) {
        self.content[1..4].copy_from_slice(&u32::try_from(length).expect("a length").to_be_bytes()[1..]);
    }

    /// The bytes on the wire.
    pub(crate) fn wire(mut self) -> Vec<u8> {
        if self.bare {
            return self.content;
        }
        let mut wire = Vec::new();
        let fragments: Vec<Vec<u8>> = match self.content.len() {
            0 => vec![Vec::new()],
            length => self.content.chunks(self.fragment.min(length)).map(<[u8]>::to_vec).collect(),
        };
        for _ in 0..self.times {
            for fragment in &fragments {
                wire.extend(self.record(fragment));
            }
            self.note_update();
        }
        if let Some(length) = self.cut {
            wire.truncate(length);
        }
        wire
    }

    fn record(&mut self, content: &[u8]) -> Vec<u8> {
        let player = &mut *self.player;
        let mut wire = match (self.protected, &mut player.client13, &mut player.client12) {
            (true, Some(client), _) => client.seal(self.kind, content, self.padding),
            (true, _, Some(client)) => client.seal(self.kind, content),
            _ => record(self.kind, content),
        };
        for &(at, byte) in &self.patches {
            wire[at] = byte;
        }
        if let Some(back) = self.broken {
            let at = wire.len() - 1 - back;
            wire[at] ^= 1;
        }
        wire
    }

    /// The client's next record is under other keys.
    fn note_update(&mut self) {
        if !self.updates {
            return;
        }
        let player = &mut *self.player;
        match (player.place, &mut player.client13) {
            (Place::Flight, Some(client)) => client.application_keys(),
            (Place::Open, Some(client)) => return client.update_write(),
            _ => {}
        }
        player.place = Place::Open;
        self.updates = false;
    }
}

/// The ClientHello of the place, with edits.
fn edit(player: &Player<'_>, words: &mut Words<'_>) -> Hello {
    let mut hello = player.hello.clone();
    let known = |word: &&String| EDITS.contains(&word.as_str());
    while let Some(edit) = words.next_if(|word| known(word)) {
        let mut value = || words.next().expect("a value").as_str();
        let body = |hello: &Hello, code: u16| {
            hello.extensions.iter().find(|one| one.0 == code).map(|one| one.1.clone()).unwrap_or_default()
        };
        match edit.as_str() {
            "legacy_version" => hello.legacy_version = code(value()),
            "random" => hello.random.fill(number(value())),
            "session_id" => hello.session_id = bytes(value(), &hello.session_id),
            "suites" => hello.suites = list(value()),
            "also_suites" => hello.suites.extend(list(value())),
            "compression" => hello.compression = bytes(value(), &hello.compression),
            "no" => hello = hello.without(names::extension(value())),
            "bare" => hello.extensions.clear(),
            "ext" => {
                let code = names::extension(value());
                let body = bytes(value(), &body(&hello, code));
                hello = hello.set(code, body);
            }
            "empty" => hello = hello.set(names::extension(value()), Vec::new()),
            "dup" => {
                let code = names::extension(value());
                let body = body(&hello, code);
                hello.extensions.push((code, body));
            }
            "groups" => hello = hello.set(10, codes::<2>(&list(value()))),
            "schemes" => hello = hello.set(13, codes::<2>(&list(value()))),
            "versions" => hello = hello.set(43, codes::<1>(&list(value()))),
            "name" => hello = hello.set(0, server_name(value())),
            "share" => {
                let group = names::group(value()).expect("a group");
                let good = body(&hello, 51);
                let share = bytes(value(), good.get(6..).unwrap_or_default());
                hello = hello.set(51, key_shares(&[(group, share)]));
            }
            "many_extensions" => {
                hello.extensions.extend((0..number(value())).map(|n: u16| (0x2000 + n, Vec::new())));
            }
            "psk" => {
                let identity = vector::<2>(&[vector::<2>(b"ticket"), vec![0; 4]].concat());
                let binder = vector::<2>(&vector::<1>(&[0; 32]));
                hello = hello.set(41, [identity, binder].concat());
            }
            _ => unreachable!("it is among the edits"),
        }
    }
    hello
}

const EDITS: [&str; 18] = [
    "legacy_version",
    "random",
    "session_id",
    "suites",
    "also_suites",
    "compression",
    "no",
    "bare",
    "ext",
    "empty",
    "dup",
    "groups",
    "schemes",
    "versions",
    "name",
    "share",
    "many_extensions",
    "psk",
];

fn list(text: &str) -> Vec<u16> {
    text.split('/').filter(|code| !code.is_empty()).map(code).collect()
}
