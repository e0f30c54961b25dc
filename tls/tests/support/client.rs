//! A client that does what a test says, right or wrong: key schedule, records, transcript.
//!
//! It checks Finished, not certificates; that is rustls's part.

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, ML_KEM_768};
use levee_buf::{Chain, Heap};
use levee_crypto::{
    Aad, Aead, AeadKey, Algorithm, Answer, Direction, Done, Engine, Group, Hash, HmacKey, Job, Operation,
    PrivateShare, RustCrypto, Share, SoftwareAead, Token, hkdf_expand, hkdf_extract, hmac, prf_tls12,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::hello::{CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Hello, message, record, vector};

/// The suites, as the client knows them.
pub fn suite_of(code: u16) -> (Algorithm, Hash) {
    match code {
        0x1301 | 0xc02b | 0xc02f => (Algorithm::Aes128Gcm, Hash::Sha256),
        0x1302 | 0xc02c | 0xc030 => (Algorithm::Aes256Gcm, Hash::Sha384),
        _ => (Algorithm::ChaCha20Poly1305, Hash::Sha256),
    }
}

fn job(job: Job) -> Done {
    let mut engine = RustCrypto::new(&[], 1, ChaCha20Rng::seed_from_u64(3));
    assert!(engine.submit(Token(0), job).is_ok());
    engine.run();
    engine.completed().unwrap().1
}

pub fn generate(group: Group) -> (PrivateShare, Share) {
    match job(Job::Generate { group }) {
        Done::Generated { private, share } => (private, share),
        _ => panic!("no key pair"),
    }
}

/// What a client keeps of a key share.
pub enum Private {
    Pair(PrivateShare),
    /// Of X25519MLKEM768: the key of its first half, and the pair of its second.
    Hybrid(DecapsulationKey, PrivateShare),
}

/// A key share of any group, and what is kept of it.
pub fn offer(group: Group) -> (Private, Vec<u8>) {
    if !group.is_hybrid() {
        let (private, share) = generate(group);
        return (Private::Pair(private), share.bytes().to_vec());
    }
    let key = DecapsulationKey::generate(&ML_KEM_768).unwrap();
    let first = key.encapsulation_key().unwrap().key_bytes().unwrap();
    let (private, second) = generate(Group::X25519);
    let share = [first.as_ref(), second.bytes()].concat();
    (Private::Hybrid(key, private), share)
}

impl Private {
    fn group(&self) -> Group {
        match self {
            Self::Pair(private) => private.group(),
            Self::Hybrid(..) => Group::X25519MlKem768,
        }
    }

    fn agree(&self, peer: &[u8]) -> Vec<u8> {
        match self {
            Self::Pair(private) => agree(private, peer),
            Self::Hybrid(key, private) => {
                let (ciphertext, point) = peer.split_at(1088);
                let first = key.decapsulate(Ciphertext::from(ciphertext)).unwrap();
                [first.as_ref(), &agree(private, point)].concat()
            }
        }
    }
}

fn agree(private: &PrivateShare, peer: &[u8]) -> Vec<u8> {
    let peer = Share::new(private.group(), peer).unwrap();
    match job(Job::Agree { private: private.clone(), peer }) {
        Done::Agreed { secret } => secret.bytes().to_vec(),
        _ => panic!("no agreement"),
    }
}

/// The key of one direction.
pub struct Keys {
    aead: SoftwareAead,
    session: levee_crypto::SessionId,
    algorithm: Algorithm,
    iv: Vec<u8>,
    tls13: bool,
    pub seq: u64,
}

impl Keys {
    fn new(algorithm: Algorithm, key: &[u8], iv: &[u8], tls13: bool) -> Self {
        let mut aead = SoftwareAead::new(1);
        let key = AeadKey::new(algorithm, key).unwrap();
        let session = Aead::<Heap>::open_session(&mut aead, &key).unwrap();
        Self { aead, session, algorithm, iv: iv.to_vec(), tls13, seq: 0 }
    }

    fn from_secret(algorithm: Algorithm, hash: Hash, secret: &[u8]) -> Self {
        let key = expand_label(hash, secret, "key", &[], algorithm.key_len());
        Self::new(algorithm, &key, &expand_label(hash, secret, "iv", &[], 12), true)
    }

    fn explicit(&self) -> bool {
        !self.tls13 && self.algorithm != Algorithm::ChaCha20Poly1305
    }

    fn nonce(&self, explicit: &[u8]) -> [u8; 12] {
        if self.explicit() {
            return [&self.iv[..], explicit].concat().try_into().unwrap();
        }
        let mut nonce: [u8; 12] = self.iv[..].try_into().unwrap();
        nonce[4..].iter_mut().zip(self.seq.to_be_bytes()).for_each(|(a, b)| *a ^= b);
        nonce
    }

    fn aad(&self, kind: u8, header: [u8; 5], length: usize) -> Aad {
        if self.tls13 {
            return Aad::tls13(header);
        }
        let length = u16::try_from(length).unwrap().to_be_bytes();
        Aad::tls12([&self.seq.to_be_bytes()[..], &[kind, 3, 3], &length].concat().try_into().unwrap())
    }

    fn run(&mut self, direction: Direction, nonce: [u8; 12], aad: Aad, text: &[u8]) -> Option<Vec<u8>> {
        let text = Heap::new(1).chain(text);
        let at = 0..levee_buf::Pieces::len(&text);
        let operation = Operation { session: self.session, direction, nonce, aad, text, at, into: None };
        let Answer::Now(finished) = Aead::<Heap>::submit(&mut self.aead, Token(0), operation) else {
            panic!()
        };
        self.seq += 1;
        finished.is_done().then(|| finished.text.to_vec())
    }

    /// A protected record of `content`, with `padding` zeros in TLS 1.3.
    pub fn seal(&mut self, kind: u8, content: &[u8], padding: usize) -> Vec<u8> {
        let explicit = self.seq.to_be_bytes();
        let prefix: &[u8] = if self.explicit() { &explicit } else { &[] };
        let mut text = content.to_vec();
        if self.tls13 {
            text.push(kind);
            text.extend(vec![0; padding]);
        }
        let length = text.len();
        let outer = if self.tls13 { DATA } else { kind };
        let wire_length = u16::try_from(prefix.len() + length + 16).unwrap();
        let mut header = [outer, 3, 3, 0, 0];
        header[3..].copy_from_slice(&wire_length.to_be_bytes());
        text.extend([0; 16]);
        let (nonce, aad) = (self.nonce(prefix), self.aad(kind, header, length));
        let sealed = self.run(Direction::Seal, nonce, aad, &text).unwrap();
        [&header[..], prefix, &sealed].concat()
    }

    /// The type and content of a protected record.
    pub fn open(&mut self, record: &[u8]) -> Option<(u8, Vec<u8>)> {
        let (header, body) = record.split_first_chunk::<5>().unwrap();
        let (explicit, text) = body.split_at(if self.explicit() { 8 } else { 0 });
        let (nonce, aad) = (self.nonce(explicit), self.aad(header[0], *header, text.len() - 16));
        let mut content = self.run(Direction::Open, nonce, aad, text)?;
        content.truncate(content.len() - 16);
        if !self.tls13 {
            return Some((header[0], content));
        }
        while content.last() == Some(&0) {
            content.pop();
        }
        Some((content.pop()?, content))
    }
}

fn expand_label(hash: Hash, secret: &[u8], label: &str, context: &[u8], length: usize) -> Vec<u8> {
    let label = [b"tls13 ", label.as_bytes()].concat();
    let length_bytes = u16::try_from(length).unwrap().to_be_bytes();
    let mut out = vec![0; length];
    hkdf_expand(hash, secret, &[&length_bytes, &vector::<1>(&label), &vector::<1>(context)], &mut out);
    out
}

/// The records of `wire`, headers included.
pub fn split(wire: &[u8]) -> Vec<Vec<u8>> {
    let (mut records, mut rest) = (Vec::new(), wire);
    while !rest.is_empty() {
        let length = 5 + usize::from(u16::from_be_bytes([rest[3], rest[4]]));
        records.push(rest[..length].to_vec());
        rest = &rest[length..];
    }
    records
}

/// The handshake messages of `bytes`, headers included.
pub fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut messages, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let length = 4 + usize::from(rest[1]) * 65536 + usize::from(rest[2]) * 256 + usize::from(rest[3]);
        messages.push(rest[..length].to_vec());
        rest = &rest[length..];
    }
    messages
}

/// What a ServerHello says.
pub struct ServerHello {
    pub random: Vec<u8>,
    pub session_id: Vec<u8>,
    pub suite: u16,
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl ServerHello {
    pub fn decode(message: &[u8]) -> Self {
        use levee_buf::Reader;
        assert_eq!(message[0], 2, "a ServerHello");
        let mut input = Reader::new(&message[4..]);
        assert_eq!(input.u16(), Ok(0x0303));
        let random = input.bytes(32).unwrap().to_vec();
        let session_id = input.vec8().unwrap().rest().to_vec();
        let suite = input.u16().unwrap();
        assert_eq!(input.u8(), Ok(0));
        let mut extensions = Vec::new();
        if !input.is_empty() {
            let mut list = input.vec16().unwrap();
            while !list.is_empty() {
                extensions.push((list.u16().unwrap(), list.vec16().unwrap().rest().to_vec()));
            }
        }
        Self { random, session_id, suite, extensions }
    }

    pub fn extension(&self, code: u16) -> Option<&[u8]> {
        self.extensions.iter().find(|extension| extension.0 == code).map(|extension| &extension.1[..])
    }
}

/// A client of TLS 1.3.
pub struct Client13 {
    private: Vec<Private>,
    pub transcript: Vec<u8>,
    pub hash: Hash,
    pub algorithm: Algorithm,
    pub read: Option<Keys>,
    pub write: Option<Keys>,
    client_secret: Vec<u8>,
    server_secret: Vec<u8>,
    /// Messages of the server's protected flight.
    pub flight: Vec<Vec<u8>>,
    next: Option<(Vec<u8>, Vec<u8>)>,
}

impl Client13 {
    /// A client with shares for `groups`, and its ClientHello.
    pub fn new(groups: &[Group]) -> (Self, Hello) {
        let pairs: Vec<_> = groups.iter().map(|&group| offer(group)).collect();
        let shares: Vec<_> = pairs.iter().map(|(private, share)| (private.group(), share.clone())).collect();
        let client = Self {
            private: pairs.into_iter().map(|pair| pair.0).collect(),
            transcript: Vec::new(),
            hash: Hash::Sha256,
            algorithm: Algorithm::Aes128Gcm,
            read: None,
            write: None,
            client_secret: Vec::new(),
            server_secret: Vec::new(),
            flight: Vec::new(),
            next: None,
        };
        (client, Hello::tls13(&shares))
    }

    /// Takes ServerHello: handshake keys.
    pub fn server_hello(&mut self, message: &[u8]) -> ServerHello {
        let hello = ServerHello::decode(message);
        (self.algorithm, self.hash) = suite_of(hello.suite);
        self.transcript.extend(message);
        let share = hello.extension(51).unwrap();
        let code = u16::from_be_bytes([share[0], share[1]]);
        let private = self.private.iter().find(|private| private.group().code() == code).unwrap();
        let shared = private.agree(&share[4..]);
        let hash = self.hash;
        let empty = hash.digest(&[]);
        let early = hkdf_extract(hash, &[], &vec![0; hash.len()]);
        let derived = expand_label(hash, &early, "derived", &empty, hash.len());
        let secret = hkdf_extract(hash, &derived, &shared);
        let digest = hash.digest(&[&self.transcript]);
        self.client_secret = expand_label(hash, &secret, "c hs traffic", &digest, hash.len());
        self.server_secret = expand_label(hash, &secret, "s hs traffic", &digest, hash.len());
        let derived = expand_label(hash, &secret, "derived", &empty, hash.len());
        self.next = Some((hkdf_extract(hash, &derived, &vec![0; hash.len()]).to_vec(), Vec::new()));
        self.read = Some(Keys::from_secret(self.algorithm, hash, &self.server_secret));
        self.write = Some(Keys::from_secret(self.algorithm, hash, &self.client_secret));
        hello
    }

    /// Takes the whole flight of the server, checks Finished, and answers with the Finished message.
    pub fn server_flight(&mut self, wire: &[u8]) -> Vec<u8> {
        for record in split(wire) {
            match (record[0], self.read.is_some()) {
                (CHANGE_CIPHER_SPEC, _) => assert_eq!(record[5..], [1]),
                (HANDSHAKE, false) => _ = self.server_hello(&record[5..]),
                (DATA, true) => {
                    let (kind, content) = self.read.as_mut().unwrap().open(&record).expect("it decrypts");
                    assert_eq!(kind, HANDSHAKE, "{content:?}");
                    self.flight.extend(messages(&content));
                }
                other => panic!("a record of type {other:?}: {record:?}"),
            }
        }
        let (finished, others) = self.flight.split_last().unwrap();
        others.iter().for_each(|message| self.transcript.extend(message));
        assert_eq!(finished[4..], self.finished(&self.server_secret)[..], "the server's Finished");
        self.transcript.extend(finished);
        let verify_data = self.finished(&self.client_secret);
        let (hash, digest) = (self.hash, self.hash.digest(&[&self.transcript]));
        let master = self.next.take().unwrap().0;
        let client = expand_label(hash, &master, "c ap traffic", &digest, hash.len());
        let server = expand_label(hash, &master, "s ap traffic", &digest, hash.len());
        self.next = Some((client, server));
        message(20, &verify_data)
    }

    fn finished(&self, secret: &[u8]) -> Vec<u8> {
        let key = expand_label(self.hash, secret, "finished", &[], self.hash.len());
        hmac(self.hash, &key, &[&self.hash.digest(&[&self.transcript])]).to_vec()
    }

    /// Application keys in both directions.
    pub fn application_keys(&mut self) {
        (self.client_secret, self.server_secret) = self.next.take().unwrap();
        self.read = Some(Keys::from_secret(self.algorithm, self.hash, &self.server_secret));
        self.write = Some(Keys::from_secret(self.algorithm, self.hash, &self.client_secret));
    }

    pub fn update_write(&mut self) {
        self.client_secret =
            expand_label(self.hash, &self.client_secret, "traffic upd", &[], self.hash.len());
        self.write = Some(Keys::from_secret(self.algorithm, self.hash, &self.client_secret));
    }

    pub fn update_read(&mut self) {
        self.server_secret =
            expand_label(self.hash, &self.server_secret, "traffic upd", &[], self.hash.len());
        self.read = Some(Keys::from_secret(self.algorithm, self.hash, &self.server_secret));
    }

    pub fn seal(&mut self, kind: u8, content: &[u8], padding: usize) -> Vec<u8> {
        self.write.as_mut().unwrap().seal(kind, content, padding)
    }

    /// The contents of protected records.
    pub fn open(&mut self, wire: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let read = self.read.as_mut().unwrap();
        split(wire).iter().map(|record| read.open(record).expect("it decrypts")).collect()
    }
}

/// A client of TLS 1.2.
pub struct Client12 {
    pub hello: Hello,
    pub transcript: Vec<u8>,
    pub flight: Vec<Vec<u8>>,
    pub server_hello: Option<ServerHello>,
    master: [u8; 48],
    pub read: Option<Keys>,
    pub write: Option<Keys>,
}

impl Client12 {
    pub fn new(hello: Hello) -> Self {
        let transcript = hello.encode();
        let flight = Vec::new();
        Self { hello, transcript, flight, server_hello: None, master: [0; 48], read: None, write: None }
    }

    /// Takes the server's first flight; answers ClientKeyExchange and Finished, both messages.
    pub fn server_flight(&mut self, wire: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let content: Vec<u8> = split(wire)
            .iter()
            .flat_map(|record| {
                assert_eq!(record[0], HANDSHAKE, "{record:?}");
                record[5..].to_vec()
            })
            .collect();
        self.transcript.extend(&content);
        self.flight = messages(&content);
        let kinds: Vec<u8> = self.flight.iter().map(|message| message[0]).collect();
        assert_eq!(kinds, [2, 11, 12, 14]);
        let hello = ServerHello::decode(&self.flight[0]);
        let exchange = &self.flight[2][4..];
        let group = Group::from_code(u16::from_be_bytes([exchange[1], exchange[2]])).unwrap();
        let (private, share) = generate(group);
        let premaster = agree(&private, &exchange[4..4 + usize::from(exchange[3])]);
        let key_exchange = message(16, &vector::<1>(share.bytes()));
        self.transcript.extend(&key_exchange);

        let (algorithm, hash) = suite_of(hello.suite);
        let digest = hash.digest(&[&self.transcript]);
        if hello.extension(23).is_some() {
            prf_tls12(
                &HmacKey::new(hash, &premaster),
                b"extended master secret",
                &[&digest],
                &mut self.master,
            );
        } else {
            let seed = [&self.hello.random[..], &hello.random];
            prf_tls12(&HmacKey::new(hash, &premaster), b"master secret", &seed, &mut self.master);
        }
        let (n, iv) = (algorithm.key_len(), if algorithm == Algorithm::ChaCha20Poly1305 { 12 } else { 4 });
        let mut block = vec![0; 2 * (n + iv)];
        let seed = [&hello.random[..], &self.hello.random];
        prf_tls12(&HmacKey::new(hash, &self.master), b"key expansion", &seed, &mut block);
        let (keys, ivs) = block.split_at(2 * n);
        self.write = Some(Keys::new(algorithm, &keys[..n], &ivs[..iv], false));
        self.read = Some(Keys::new(algorithm, &keys[n..], &ivs[iv..], false));
        let finished = message(20, &self.verify_data(hash, b"client finished"));
        self.transcript.extend(&finished);
        self.server_hello = Some(hello);
        (key_exchange, finished)
    }

    fn verify_data(&self, hash: Hash, label: &[u8]) -> [u8; 12] {
        let mut data = [0; 12];
        prf_tls12(&HmacKey::new(hash, &self.master), label, &[&hash.digest(&[&self.transcript])], &mut data);
        data
    }

    /// Takes the server's change_cipher_spec and Finished.
    pub fn server_finished(&mut self, wire: &[u8]) {
        let records = split(wire);
        assert_eq!(records.len(), 2);
        assert_eq!(records[0], record(CHANGE_CIPHER_SPEC, &[1]));
        let (kind, content) = self.read.as_mut().unwrap().open(&records[1]).expect("it decrypts");
        let hash = suite_of(self.server_hello.as_ref().unwrap().suite).1;
        assert_eq!(kind, HANDSHAKE);
        assert_eq!(content, message(20, &self.verify_data(hash, b"server finished")));
    }

    pub fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        self.write.as_mut().unwrap().seal(kind, content, 0)
    }

    pub fn open(&mut self, wire: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let read = self.read.as_mut().unwrap();
        split(wire).iter().map(|record| read.open(record).expect("it decrypts")).collect()
    }
}
