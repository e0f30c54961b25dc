//! Interoperability in one process: rustls as the client.

mod support;

use std::io::{Read, Write};
use std::sync::Arc;

use levee_tls::{Connection, Established, Suite, Version};
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, X25519};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use support::{Rig, identities};

/// A pair: rustls on one end, ours on the other.
struct Pair {
    rig: Rig,
    server: Connection<levee_buf::Heap>,
    client: ClientConnection,
}

impl Pair {
    fn new(rig: Rig, config: ClientConfig, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let server = rig.connection();
        Self { rig, server, client }
    }

    /// Moves bytes until both sides rest.
    fn settle(&mut self) {
        loop {
            let mut wire = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut wire).unwrap();
            }
            self.rig.input(&mut self.server, &wire).unwrap();
            let back = self.rig.output(&mut self.server);
            if wire.is_empty() && back.is_empty() {
                return;
            }
            self.receive(&back);
        }
    }

    fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).unwrap();
            self.client.process_new_packets().unwrap();
        }
    }

    /// `n` bytes each way.
    fn transfer(&mut self, n: usize) {
        let sent: Vec<u8> = (0..=250).cycle().take(n).collect();
        let mut got = Vec::new();
        for chunk in sent.chunks(30_000) {
            self.client.writer().write_all(chunk).unwrap();
            self.settle();
            got.extend(self.rig.read(&mut self.server));
        }
        assert!(got == sent, "the server got other bytes: {n}");
        let wire = self.rig.send(&mut self.server, &sent);
        let mut got: Vec<u8> = Vec::new();
        for chunk in wire.chunks(4_000) {
            self.receive(chunk);
            let mut room = vec![0; 40_000];
            loop {
                match self.client.reader().read(&mut room) {
                    Ok(0) => break,
                    Ok(n) => got.extend(&room[..n]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        assert!(got == sent, "the client got other bytes: {n}");
    }

    fn established(&self) -> Established {
        *self.server.handshake().expect("the handshake is complete")
    }
}

fn client(
    suites: Vec<rustls::SupportedCipherSuite>,
    groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let provider =
        CryptoProvider { cipher_suites: suites, kx_groups: groups, ..aws_lc_rs::default_provider() };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(identities().root.clone())).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

#[test]
fn every_suite_and_group() {
    for suite in aws_lc_rs::ALL_CIPHER_SUITES {
        for groups in [vec![X25519, SECP256R1], vec![SECP256R1]] {
            let group = groups[0];
            let config = client(vec![*suite], groups, &[suite.version()]);
            let mut pair = Pair::new(Rig::new(), config, "levee.test");
            pair.settle();
            let established = pair.established();
            assert_eq!(established.suite.code(), u16::from(suite.suite()), "{suite:?}");
            assert_eq!(established.group.code(), u16::from(group.name()));
            assert_eq!(pair.client.alpn_protocol(), Some(&b"http/1.1"[..]));
            for n in [0, 1, 16_383, 16_384, 16_385, 100_000] {
                pair.transfer(n);
            }
            pair.rig.finish(pair.server);
        }
    }
}

#[test]
fn prefers_tls13() {
    let provider = aws_lc_rs::default_provider();
    let config = client(provider.cipher_suites, provider.kx_groups, BOTH);
    let mut pair = Pair::new(Rig::new(), config, "levee.test");
    pair.settle();
    assert_eq!(pair.established().version, Version::Tls13);
    assert_eq!(pair.established().suite, Suite::Aes128GcmSha256);
    pair.rig.finish(pair.server);
}

/// rustls verifies the chain of either kind, in both versions, by the name it asked for.
#[test]
fn certificates_of_both_kinds() {
    for version in BOTH {
        for identity in [&identities().ecdsa, &identities().rsa] {
            let provider = aws_lc_rs::default_provider();
            let config = client(provider.cipher_suites, provider.kx_groups, &[version]);
            let mut pair = Pair::new(Rig::with(&[identity], support::options()), config, "levee.test");
            pair.settle();
            let shown = pair.client.peer_certificates().unwrap();
            assert_eq!(shown[0].as_ref(), identity.chain[0]);
            pair.transfer(1000);
            pair.rig.finish(pair.server);
        }
        let provider = aws_lc_rs::default_provider();
        let config = client(provider.cipher_suites, provider.kx_groups, &[version]);
        let mut pair = Pair::new(Rig::new(), config, "host.wild.test");
        pair.settle();
        assert_eq!(pair.established().certificate, 2);
        pair.rig.finish(pair.server);
    }
}

/// A client whose first group is none of ours.
#[test]
fn hello_retry_request() {
    let provider = aws_lc_rs::default_provider();
    let groups = vec![aws_lc_rs::kx_group::SECP384R1, SECP256R1];
    let config = client(provider.cipher_suites, groups, &[&rustls::version::TLS13]);
    let mut pair = Pair::new(Rig::new(), config, "levee.test");
    pair.settle();
    assert_eq!(pair.client.handshake_kind(), Some(rustls::HandshakeKind::FullWithHelloRetryRequest));
    assert_eq!(pair.rig.counters.hello_retries, 1);
    pair.transfer(20_000);
    pair.rig.finish(pair.server);
}

/// rustls closes, we answer, and it takes that for the end.
#[test]
fn closing_both_ways() {
    for version in BOTH {
        let provider = aws_lc_rs::default_provider();
        let config = client(provider.cipher_suites, provider.kx_groups, &[version]);
        let mut pair = Pair::new(Rig::new(), config, "levee.test");
        pair.settle();
        pair.client.send_close_notify();
        pair.settle();
        assert!(pair.server.peer_closed());
        pair.server.close();
        pair.settle();
        assert!(pair.server.send_closed());
        assert_eq!(pair.client.reader().read(&mut [0; 10]).unwrap(), 0);
        pair.rig.finish(pair.server);
    }
}

/// rustls renews its keys and asks for ours.
#[test]
fn key_update() {
    let provider = aws_lc_rs::default_provider();
    let config = client(provider.cipher_suites, provider.kx_groups, &[&rustls::version::TLS13]);
    let mut pair = Pair::new(Rig::new(), config, "levee.test");
    pair.settle();
    for _ in 0..5 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.transfer(5_000);
    }
    assert_eq!((pair.rig.counters.key_updates_in, pair.rig.counters.key_updates_out), (5, 5));
    pair.rig.finish(pair.server);
}
