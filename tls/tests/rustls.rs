//! Interoperability in one process: rustls as the client.

mod support;

use std::io::{Read, Write};
use std::sync::Arc;

use levee_crypto::Group;
use levee_tls::{Connection, Established, Options, Suite, Version};
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use support::{Identities, Rig, identities};

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

/// All groups, as rustls has them and as we do.
const GROUPS: [(&'static dyn SupportedKxGroup, Group); 4] = [
    (X25519MLKEM768, Group::X25519MlKem768),
    (X25519, Group::X25519),
    (SECP256R1, Group::Secp256r1),
    (SECP384R1, Group::Secp384r1),
];

#[test]
fn every_suite_and_group() {
    for suite in aws_lc_rs::ALL_CIPHER_SUITES {
        for (group, ours) in GROUPS {
            if ours.is_hybrid() && suite.version() != &rustls::version::TLS13 {
                continue;
            }
            // The second is for the certificate's key (RFC 8422 section 5.3).
            let groups = if ours == Group::Secp256r1 { vec![group] } else { vec![group, SECP256R1] };
            let config = client(vec![*suite], groups, &[suite.version()]);
            let options = Options { groups: vec![ours, Group::Secp256r1], ..support::options() };
            let rig = Rig::with(&[&identities().ecdsa, &identities().rsa], options);
            let mut pair = Pair::new(rig, config, "levee.test");
            pair.settle();
            let established = pair.established();
            assert_eq!(established.suite.code(), u16::from(suite.suite()), "{suite:?}");
            assert_eq!(established.group, ours);
            assert_eq!(ours.code(), u16::from(group.name()));
            assert_eq!(pair.client.alpn_protocol(), Some(&b"http/1.1"[..]));
            for n in [0, 1, 16_383, 16_384, 16_385, 100_000] {
                pair.transfer(n);
            }
            pair.rig.finish(pair.server);
        }
    }
}

/// As today's browsers have it: shares of the hybrid and of X25519, in a ClientHello of two segments.
#[test]
fn prefers_the_hybrid() {
    let provider = aws_lc_rs::default_provider();
    let config = client(provider.cipher_suites, GROUPS.map(|(group, _)| group).to_vec(), BOTH);
    let mut pair = Pair::new(Rig::new(), config, "levee.test");
    pair.settle();
    assert_eq!(pair.established().group, Group::X25519MlKem768);
    assert_eq!(pair.client.handshake_kind(), Some(rustls::HandshakeKind::Full));
    pair.transfer(1000);
    pair.rig.finish(pair.server);
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

/// rustls verifies the chain of each kind, in both versions, by the name it asked for.
#[test]
fn certificates_of_all_kinds() {
    let Identities { ecdsa, p384, ed25519, rsa, .. } = identities();
    for version in BOTH {
        for identity in [ecdsa, p384, ed25519, rsa] {
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

/// A client whose first group is none of ours, for each group there is.
#[test]
fn hello_retry_request() {
    for (group, ours) in GROUPS {
        let provider = aws_lc_rs::default_provider();
        let other = if ours == Group::X25519 { SECP256R1 } else { X25519 };
        let config = client(provider.cipher_suites, vec![other, group], &[&rustls::version::TLS13]);
        let options = Options { versions: vec![Version::Tls13], groups: vec![ours], ..support::options() };
        let mut pair = Pair::new(Rig::with(&[&identities().ecdsa], options), config, "levee.test");
        pair.settle();
        assert_eq!(pair.established().group, ours);
        assert_eq!(pair.client.handshake_kind(), Some(rustls::HandshakeKind::FullWithHelloRetryRequest));
        assert_eq!(pair.rig.counters.hello_retries, 1);
        pair.transfer(20_000);
        pair.rig.finish(pair.server);
    }
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
