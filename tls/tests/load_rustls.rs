//! The load generator's client against rustls: full handshakes, tickets and sessions, HelloRetryRequest.

mod support;

use std::io::{Read, Write};
use std::sync::Arc;

use levee_buf::Heap;
use levee_crypto::{Group, SignatureScheme};
use levee_tls::load::{Client, ClientEstablished, ClientOptions, Verify};
use levee_tls::{Error, Suite, Version};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, SupportedCipherSuite};
use support::load::LoadRig;
use support::{Identity, identities};

/// A pair: ours on one end, rustls on the other.
struct Pair {
    load: LoadRig,
    client: Client<Heap>,
    server: ServerConnection,
    /// Bytes of a segment on the way to the client.
    chunk: usize,
}

impl Pair {
    fn new(load: LoadRig, config: &Arc<ServerConfig>) -> Self {
        let server = ServerConnection::new(Arc::clone(config)).unwrap();
        Self { client: load.client(), load, server, chunk: 1448 }
    }

    /// Moves bytes until both sides rest.
    fn settle(&mut self) -> Result<(), Error> {
        loop {
            let wire = self.load.send(&mut self.client, &[]);
            self.give(&wire);
            let back = self.take();
            if wire.is_empty() && back.is_empty() {
                return Ok(());
            }
            for chunk in back.chunks(self.chunk) {
                self.load.input(&mut self.client, chunk)?;
            }
        }
    }

    fn give(&mut self, mut wire: &[u8]) {
        while !wire.is_empty() {
            self.server.read_tls(&mut wire).unwrap();
            self.server.process_new_packets().unwrap();
        }
    }

    fn take(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut wire).unwrap();
        }
        wire
    }

    /// `n` bytes each way.
    fn transfer(&mut self, n: usize) {
        let sent: Vec<u8> = (0..=250).cycle().take(n).collect();
        let wire = self.load.send(&mut self.client, &sent);
        self.give(&wire);
        let mut got = vec![0; n];
        self.server.reader().read_exact(&mut got).unwrap();
        assert!(got == sent, "the server got other bytes: {n}");
        self.server.writer().write_all(&sent).unwrap();
        self.settle().unwrap();
        assert!(self.load.read(&mut self.client) == sent, "the client got other bytes: {n}");
    }

    /// A whole connection, closed in good order.
    fn run(mut self) -> (LoadRig, ClientEstablished, HandshakeKind) {
        self.settle().unwrap();
        let established = *self.client.handshake().expect("the handshake is complete");
        let kind = self.server.handshake_kind().unwrap();
        self.transfer(20_000);
        self.client.close();
        self.server.send_close_notify();
        self.settle().unwrap();
        assert!(self.client.send_closed() && self.client.peer_closed());
        self.load.finish(self.client);
        (self.load, established, kind)
    }
}

fn server(
    identity: &Identity,
    suites: Vec<SupportedCipherSuite>,
    groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>,
) -> ServerConfig {
    let provider =
        CryptoProvider { cipher_suites: suites, kx_groups: groups, ..aws_lc_rs::default_provider() };
    let chain = identity.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivateKeyDer::try_from(identity.key.clone()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn any(identity: &Identity) -> ServerConfig {
    let provider = aws_lc_rs::default_provider();
    server(identity, provider.cipher_suites, provider.kx_groups)
}

fn client(version: Version) -> ClientOptions {
    ClientOptions {
        versions: vec![version],
        server_name: Some("levee.test".to_owned()),
        alpn: vec![b"http/1.1".to_vec()],
        ..ClientOptions::default()
    }
}

const VERSIONS: [Version; 2] = [Version::Tls13, Version::Tls12];

#[test]
fn every_suite_and_group() {
    for suite in aws_lc_rs::ALL_CIPHER_SUITES {
        for (name, group) in [
            (aws_lc_rs::kx_group::X25519MLKEM768, Group::X25519MlKem768),
            (aws_lc_rs::kx_group::X25519, Group::X25519),
            (aws_lc_rs::kx_group::SECP256R1, Group::Secp256r1),
            (aws_lc_rs::kx_group::SECP384R1, Group::Secp384r1),
        ] {
            let ours = *Suite::ALL.iter().find(|ours| ours.code() == u16::from(suite.suite())).unwrap();
            if group.is_hybrid() && ours.version() == Version::Tls12 {
                continue;
            }
            let rsa = ours.name().contains("ECDHE_RSA");
            let identity = if rsa { &identities().rsa } else { &identities().ecdsa };
            let config = Arc::new(server(identity, vec![*suite], vec![name]));
            let options = ClientOptions { groups: vec![group], ..client(ours.version()) };
            let (_, established, kind) = Pair::new(LoadRig::new(options), &config).run();
            assert_eq!((established.suite, established.group), (ours, Some(group)));
            assert_eq!((established.resumed, established.protocol), (false, Some(0)));
            assert_eq!(kind, HandshakeKind::Full);
        }
    }
}

#[test]
fn hello_retry_request() {
    let suites = aws_lc_rs::default_provider().cipher_suites;
    let config = Arc::new(server(&identities().ecdsa, suites, vec![aws_lc_rs::kx_group::SECP256R1]));
    let options = ClientOptions { resume: true, ..client(Version::Tls13) };
    let (load, established, kind) = Pair::new(LoadRig::new(options), &config).run();
    assert_eq!((established.group, kind), (Some(Group::Secp256r1), HandshakeKind::FullWithHelloRetryRequest));
    // With a binder over both ClientHellos.
    let (_, established, kind) = Pair::new(load, &config).run();
    assert!(established.resumed, "{kind:?}");
}

/// Sessions and tickets, of both versions; with either hash in TLS 1.3.
#[test]
fn resumption() {
    for version in VERSIONS {
        for tickets in [true, false] {
            for suite in aws_lc_rs::ALL_CIPHER_SUITES {
                let code = u16::from(suite.suite());
                let ours = *Suite::ALL.iter().find(|ours| ours.code() == code).unwrap();
                if ours.version() != version || ours.name().contains("ECDHE_RSA") {
                    continue;
                }
                let groups = aws_lc_rs::default_provider().kx_groups;
                let mut config = server(&identities().ecdsa, vec![*suite], groups);
                if tickets {
                    config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
                    config.session_storage = Arc::new(NoServerSessionStorage {});
                } else {
                    config.session_storage = ServerSessionMemoryCache::new(32);
                }
                let config = Arc::new(config);
                // Of both versions, as a client commonly is.
                let options = ClientOptions { versions: VERSIONS.to_vec(), resume: true, ..client(version) };
                let mut load = LoadRig::new(options);
                for at in 0..5 {
                    let (back, established, kind) = Pair::new(load, &config).run();
                    load = back;
                    assert!(load.handle.tickets() > 0);
                    assert_eq!(established.resumed, at > 0, "{ours:?} {tickets} {at} {kind:?}");
                    assert_eq!(kind == HandshakeKind::Resumed, at > 0);
                    assert_eq!(established.scheme.is_none(), at > 0);
                }
                // Another server knows none of them: the handshake is a full one.
                let (load, established, _) = Pair::new(load, &Arc::new(any(&identities().ecdsa))).run();
                assert!(!established.resumed);
                drop(load);
            }
        }
    }
}

/// The newest tickets are kept, and what is offered is bounded.
#[test]
fn tickets_are_bounded() {
    let mut config = any(&identities().ecdsa);
    config.send_tls13_tickets = 10;
    let config = Arc::new(config);
    let mut load = LoadRig::new(ClientOptions { resume: true, ..client(Version::Tls13) });
    for _ in 0..4 {
        load = Pair::new(load, &config).run().0;
        assert!((1..=16).contains(&load.handle.tickets()));
    }
    assert_eq!(load.handle.tickets(), 16);
}

#[test]
fn signatures_are_verified() {
    use SignatureScheme as S;
    for version in VERSIONS {
        for scheme in ClientOptions::default().schemes {
            let pkcs1 = matches!(scheme, S::RsaPkcs1Sha256 | S::RsaPkcs1Sha384 | S::RsaPkcs1Sha512);
            if version == Version::Tls13 && pkcs1 {
                continue;
            }
            let identity = match scheme {
                S::EcdsaSecp256r1Sha256 => &identities().ecdsa,
                S::EcdsaSecp384r1Sha384 => &identities().p384,
                S::Ed25519 => &identities().ed25519,
                _ => &identities().rsa,
            };
            let options =
                ClientOptions { schemes: vec![scheme], verify: Verify::Signature, ..client(version) };
            let (_, established, _) = Pair::new(LoadRig::new(options), &Arc::new(any(identity))).run();
            assert_eq!(established.scheme, Some(scheme));
        }
        // The certificate of another key.
        for (one, other) in [
            (&identities().ecdsa, &identities().wild),
            (&identities().ecdsa, &identities().rsa),
            (&identities().rsa, &identities().ecdsa),
        ] {
            for verify in [Verify::Signature, Verify::Nothing] {
                let resolver = Impostor(one.clone(), other.clone());
                let mut config = any(one);
                config.cert_resolver = Arc::new(resolver);
                let options = ClientOptions { verify, ..client(version) };
                let mut pair = Pair::new(LoadRig::new(options), &Arc::new(config));
                match verify {
                    Verify::Signature => assert_eq!(pair.settle(), Err(Error::BadSignature)),
                    Verify::Nothing => assert_eq!(pair.settle(), Ok(())),
                }
                pair.load.finish(pair.client);
            }
        }
    }
}

/// Signs by one key and shows the certificate of another.
#[derive(Debug)]
struct Impostor(Identity, Identity);

impl rustls::server::ResolvesServerCert for Impostor {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        let chain = self.1.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let key = PrivateKeyDer::try_from(self.0.key.clone()).unwrap();
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Some(Arc::new(rustls::sign::CertifiedKey::new(chain, key)))
    }
}

/// rustls renews its keys, and asks for ours.
#[test]
fn key_update() {
    let config = Arc::new(any(&identities().ecdsa));
    let mut pair = Pair::new(LoadRig::new(client(Version::Tls13)), &config);
    pair.settle().unwrap();
    for _ in 0..5 {
        pair.server.refresh_traffic_keys().unwrap();
        pair.transfer(5_000);
    }
    assert_eq!((pair.load.counters.key_updates_in, pair.load.counters.key_updates_out), (5, 5));
    pair.load.finish(pair.client);
}

/// A chain of certificates that is longer than a segment and a record.
#[test]
fn a_long_chain() {
    for version in VERSIONS {
        for (certificates, fits) in [(100, true), (200, false)] {
            let mut identity = identities().ecdsa.clone();
            identity.chain.extend(std::iter::repeat_n(identities().root.clone(), certificates));
            let bytes: usize = identity.chain.iter().map(Vec::len).sum();
            assert_eq!(bytes < 60_000, fits, "{bytes}");
            for chunk in [100, 1448, 20_000] {
                let options = ClientOptions { verify: Verify::Signature, ..client(version) };
                let mut pair = Pair::new(LoadRig::new(options), &Arc::new(any(&identity)));
                pair.chunk = chunk;
                if fits {
                    pair.run();
                } else {
                    assert_eq!(pair.settle(), Err(Error::MessageTooLong));
                    pair.load.finish(pair.client);
                }
            }
        }
    }
}
