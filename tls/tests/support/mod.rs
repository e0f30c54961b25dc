//! What the tests of this room share: certificates, a server with its engines, and its turn of the loop.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod client;
pub mod engines;
pub mod hello;
pub mod load;

use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use levee_buf::{Chain, Heap, HeapChain};
use levee_crypto::{Aead, Engine, Group, KeyId, PrivateKey, Token};
use levee_tls::{CertificateEntry, Connection, Counters, Error, Filled, Options, Out, Server, ServerConfig};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    pub chain: Vec<Vec<u8>>,
    pub key: Vec<u8>,
}

pub struct Identities {
    pub root: Vec<u8>,
    pub ecdsa: Identity,
    /// ECDSA on P-384.
    pub p384: Identity,
    pub ed25519: Identity,
    pub rsa: Identity,
    /// ECDSA for `*.wild.test`.
    pub wild: Identity,
}

/// Made once a test binary: a root, and leaves under it.
pub fn identities() -> &'static Identities {
    static MADE: OnceLock<Identities> = OnceLock::new();
    MADE.get_or_init(|| {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let root_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&root_key).unwrap();
        let issuer = Issuer::new(params, root_key);
        let leaf = |names: &[&str], key: KeyPair| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let params = CertificateParams::new(names).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            Identity { chain: vec![certificate.der().to_vec()], key: key.serialize_der() }
        };
        let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        Identities {
            root: root.der().to_vec(),
            ecdsa: leaf(&["levee.test", "localhost"], KeyPair::generate().unwrap()),
            p384: leaf(&["levee.test"], KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap()),
            ed25519: leaf(&["levee.test"], KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()),
            rsa: leaf(&["levee.test"], rsa),
            wild: leaf(&["*.wild.test"], KeyPair::generate().unwrap()),
        }
    })
}

/// A worker: engines, memory, and the server's offer.
pub struct Rig {
    pub heap: Heap,
    pub engine: Box<dyn Engine>,
    pub aead: Box<dyn Aead<Heap>>,
    pub random: ChaCha20Rng,
    pub counters: Counters,
    pub server: Rc<Server<Heap>>,
    pub keylog: Vec<(String, [u8; 32], Vec<u8>)>,
}

pub fn entries(identities: &[&Identity]) -> (Vec<CertificateEntry>, Vec<PrivateKey>) {
    let entries = identities.iter().enumerate().map(|(index, identity)| CertificateEntry {
        chain: identity.chain.clone(),
        key: KeyId(u16::try_from(index).unwrap()),
    });
    let keys = identities.iter().map(|identity| PrivateKey::from_der(&identity.key).unwrap());
    (entries.collect(), keys.collect())
}

impl Rig {
    /// Both kinds of certificate, all versions, `http/1.1`.
    pub fn new() -> Self {
        Self::with(&[&identities().ecdsa, &identities().rsa, &identities().wild], options())
    }

    /// Every kind of certificate for one name.
    pub fn with_all_kinds() -> Self {
        let Identities { ecdsa, p384, ed25519, rsa, .. } = identities();
        Self::with(&[rsa, p384, ed25519, ecdsa], options())
    }

    pub fn with(identities: &[&Identity], options: Options) -> Self {
        let (entries, keys) = entries(identities);
        let config = Arc::new(ServerConfig::new(entries, options).unwrap());
        let random = ChaCha20Rng::seed_from_u64(1);
        Self {
            heap: Heap::new(10_000),
            engine: Box::new(engines::seeded(&keys)),
            aead: Box::new(levee_crypto::SoftwareAead::new(64)),
            random,
            counters: Counters::default(),
            server: Server::new(config, 16),
            keylog: Vec::new(),
        }
    }

    pub fn connection(&self) -> Connection<Heap> {
        Connection::server(&self.server)
    }

    /// Calls with an `Out`.
    pub fn call<T>(&mut self, call: impl FnOnce(&mut Out<'_, Heap>) -> T) -> T {
        let mut log = |label: &str, random: &[u8; 32], secret: &[u8]| {
            self.keylog.push((label.to_owned(), *random, secret.to_vec()));
        };
        call(&mut Out {
            memory: &self.heap,
            engine: self.engine.as_mut(),
            aead: self.aead.as_mut(),
            random: &mut self.random,
            token: Token(7),
            counters: &mut self.counters,
            keylog: Some(&mut log),
        })
    }

    /// One turn of the worker's loop: engines run, completions are handed over.
    pub fn turn(&mut self, connection: &mut Connection<Heap>) -> Result<bool, Error> {
        let mut moved = false;
        let mut result = Ok(());
        if connection.wants_resume() {
            result = result.and(self.call(|out| connection.resume(out)));
            moved = true;
        }
        self.engine.run();
        while let Some((token, done)) = self.engine.completed() {
            assert_eq!(token, Token(7));
            result = result.and(self.call(|out| connection.on_job(done, out)));
            moved = true;
        }
        self.aead.flush();
        while let Some((token, finished)) = self.aead.completed() {
            assert_eq!(token, Token(7));
            result = result.and(self.call(|out| connection.on_aead(finished, out)));
            moved = true;
        }
        result.map(|()| moved)
    }

    /// Gives `bytes` in one segment and turns until nothing moves.
    pub fn input(&mut self, connection: &mut Connection<Heap>, bytes: &[u8]) -> Result<(), Error> {
        let chain = self.heap.chain(bytes);
        self.input_chain(connection, chain)
    }

    pub fn input_chain(&mut self, connection: &mut Connection<Heap>, chain: HeapChain) -> Result<(), Error> {
        let first = self.call(|out| connection.input(chain, out));
        self.settle(connection).and(first)
    }

    pub fn settle(&mut self, connection: &mut Connection<Heap>) -> Result<(), Error> {
        let mut result = Ok(());
        let mut idle = 0;
        for _ in 0..1000 {
            match self.turn(connection) {
                // Late engines of these tests answer within ten turns.
                Ok(false) if idle == 10 => return result,
                Ok(false) => idle += 1,
                Ok(true) => idle = 0,
                Err(error) => result = result.and(Err(error)),
            }
        }
        panic!("the connection does not come to rest");
    }

    /// All wire bytes there are to send, with records of `plain`; one chain for each fill.
    pub fn output_chains(
        &mut self,
        connection: &mut Connection<Heap>,
        plain: &mut HeapChain,
    ) -> Vec<HeapChain> {
        let mut chains = Vec::new();
        for _ in 0..10_000 {
            match self.call(|out| connection.fill(plain, 20_000, out)) {
                Filled::Wire(chain) => chains.push(chain),
                Filled::Later => _ = self.turn(connection),
                Filled::Nothing => return chains,
            }
        }
        panic!("the connection does not come to an end");
    }

    pub fn output(&mut self, connection: &mut Connection<Heap>) -> Vec<u8> {
        self.send(connection, &[])
    }

    pub fn send(&mut self, connection: &mut Connection<Heap>, bytes: &[u8]) -> Vec<u8> {
        let mut plain = if bytes.is_empty() { HeapChain::default() } else { self.heap.chain(bytes) };
        self.output_chains(connection, &mut plain).iter().flat_map(Chain::to_vec).collect()
    }

    pub fn read(&mut self, connection: &mut Connection<Heap>) -> Vec<u8> {
        connection.read().map_or_else(Vec::new, |chain| chain.to_vec())
    }

    /// The connection gives everything back: no segment, slot or session stays.
    pub fn finish(&mut self, mut connection: Connection<Heap>) {
        connection.release(self.aead.as_mut());
        drop(connection);
        for _ in 0..10 {
            self.aead.flush();
            while self.aead.completed().is_some() {}
            self.engine.run();
            while self.engine.completed().is_some() {}
        }
        assert_eq!(self.heap.in_use(), 0, "segments leaked");
        assert_eq!(self.server.free_slots(), 16, "handshake slots leaked");
        assert!(matches!(self.server.shares().free(), 0 | 16), "rooms of key shares leaked");
    }
}

pub fn options() -> Options {
    Options { alpn: vec![b"http/1.1".to_vec()], ..Options::default() }
}

/// A completed handshake of TLS 1.3.
pub struct Peers13 {
    pub rig: Rig,
    pub server: Connection<Heap>,
    pub client: client::Client13,
}

impl Peers13 {
    pub fn new(rig: Rig) -> Self {
        let (client, hello) = client::Client13::new(&[Group::X25519]);
        Self::with(rig, client, &hello)
    }

    pub fn with(mut rig: Rig, mut client: client::Client13, hello: &hello::Hello) -> Self {
        let mut server = rig.connection();
        let message = hello.encode();
        client.transcript.extend(&message);
        rig.input(&mut server, &hello::record(hello::HANDSHAKE, &message)).unwrap();
        let wire = rig.output(&mut server);
        let finished = client.server_flight(&wire);
        let wire = client.seal(hello::HANDSHAKE, &finished, 0);
        client.application_keys();
        rig.input(&mut server, &wire).unwrap();
        assert!(server.is_established());
        Self { rig, server, client }
    }

    /// Gives the server a protected record.
    pub fn send(&mut self, kind: u8, content: &[u8]) -> Result<(), Error> {
        let wire = self.client.seal(kind, content, 0);
        self.rig.input(&mut self.server, &wire)
    }

    /// What the server sends, decrypted.
    pub fn receive(&mut self) -> Vec<(u8, Vec<u8>)> {
        let wire = self.rig.output(&mut self.server);
        self.client.open(&wire)
    }
}

/// A completed handshake of TLS 1.2.
pub struct Peers12 {
    pub rig: Rig,
    pub server: Connection<Heap>,
    pub client: client::Client12,
}

impl Peers12 {
    pub fn new(rig: Rig) -> Self {
        Self::with(rig, hello::Hello::tls12())
    }

    pub fn with(mut rig: Rig, hello: hello::Hello) -> Self {
        let mut server = rig.connection();
        let mut client = client::Client12::new(hello);
        rig.input(&mut server, &hello::record(hello::HANDSHAKE, &client.transcript)).unwrap();
        let wire = rig.output(&mut server);
        let (key_exchange, finished) = client.server_flight(&wire);
        let mut wire = hello::record(hello::HANDSHAKE, &key_exchange);
        wire.extend(hello::record(hello::CHANGE_CIPHER_SPEC, &[1]));
        wire.extend(client.seal(hello::HANDSHAKE, &finished));
        rig.input(&mut server, &wire).unwrap();
        let wire = rig.output(&mut server);
        client.server_finished(&wire);
        assert!(server.is_established());
        Self { rig, server, client }
    }

    /// Gives the server a protected record.
    pub fn send(&mut self, kind: u8, content: &[u8]) -> Result<(), Error> {
        let wire = self.client.seal(kind, content);
        self.rig.input(&mut self.server, &wire)
    }

    /// What the server sends, decrypted.
    pub fn receive(&mut self) -> Vec<(u8, Vec<u8>)> {
        let wire = self.rig.output(&mut self.server);
        self.client.open(&wire)
    }
}
