//! The rows of another implementation: rustls over aws-lc as the server, in memory, in one thread with the
//! client. The cycles are those of its calls alone.

use std::sync::Arc;

use levee_buf::{Chain as _, Heap};
use levee_dpdk::Clock;
use levee_tcp::Fill;
use miette::{IntoDiagnostic, miette};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, ServerConnection};

use super::{Measured, Options};
use crate::channel::{Channel, Security};
use crate::device;
use crate::handshake::command::nanoseconds;
use crate::report::Machine;
use crate::tls_options::{Certificate, TlsGroup, TlsOptions, TlsVersion};

/// A row: its name, the version, the group, and whether the key is RSA.
pub(super) struct Row {
    pub(super) name: &'static str,
    version: TlsVersion,
    group: TlsGroup,
    is_rsa: bool,
}

/// All of them.
pub(super) const ROWS: [Row; 5] = [
    row("handshake 1.3 ecdsa, rustls in memory", TlsVersion::Tls13, TlsGroup::X25519, false),
    row("handshake 1.3 rsa-2048, rustls in memory", TlsVersion::Tls13, TlsGroup::X25519, true),
    row("handshake 1.3 mlkem, rustls in memory", TlsVersion::Tls13, TlsGroup::X25519MlKem768, false),
    row("handshake 1.2 ecdsa, rustls in memory", TlsVersion::Tls12, TlsGroup::X25519, false),
    row("handshake 1.2 rsa-2048, rustls in memory", TlsVersion::Tls12, TlsGroup::X25519, true),
];

const fn row(name: &'static str, version: TlsVersion, group: TlsGroup, is_rsa: bool) -> Row {
    Row { name, version, group, is_rsa }
}

/// Segments of heap memory: a handshake takes a few.
const SEGMENTS: usize = 1024;

/// Measures one row in this process.
///
/// # Errors
/// Anything that could not be started, or a handshake that failed.
pub(super) fn measure(row: &Row, options: &Options) -> miette::Result<Measured> {
    let eal = device::start(&options.memory(), &[], options.cpu)?;
    let clock = Clock::new(&eal);
    let config = config(row.is_rsa)?;
    let certificate = if row.is_rsa { Certificate::Rsa } else { Certificate::Ecdsa };
    let offer = TlsOptions {
        version: row.version,
        suite: None,
        group: row.group,
        certificate: Some(certificate),
        name: None,
        verify: false,
    };
    let lasts_ns = nanoseconds(options.seconds);
    let body = move || -> miette::Result<(u64, u64)> {
        let mut security = Some(Security::new(offer.handle(false, 1)?, 1, Heap::new(SEGMENTS)));
        let (mut handshakes, mut cycles) = (0, 0);
        while clock.nanoseconds(cycles) < lasts_ns {
            cycles += handshake(&config, &mut security, &clock)?;
            handshakes += 1;
        }
        Ok((handshakes, cycles))
    };
    let worker = eal.launch(options.server_cpu, "rustls", body).into_diagnostic()?;
    let (handshakes, cycles) = worker.join().map_err(|_| miette!("rustls panicked"))??;
    let each = cycles as f64 / handshakes as f64;
    Ok(Measured {
        row: row.name.to_owned(),
        unit: "handshakes".to_owned(),
        per_second: clock.hz() as f64 / each,
        cycles_per_unit: each,
        cycles_per_frame: 0.0,
        cycles_per_byte: 0.0,
        generator_cycles_per_unit: 0.0,
        stages: Vec::new(),
        server_busy: 1.0,
        generator_busy: 0.0,
        limited_by: Measured::limit(1.0, 0.0),
        hz: clock.hz(),
        machine: Machine::here(),
    })
}

/// As Levee is configured for the other rows: full handshakes, no tickets.
fn config(is_rsa: bool) -> miette::Result<Arc<ServerConfig>> {
    let key = if is_rsa {
        KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
    } else {
        KeyPair::generate()
    };
    let key = key.into_diagnostic()?;
    let certificate = CertificateParams::new(vec!["levee.test".to_owned()])
        .and_then(|params| params.self_signed(&key))
        .into_diagnostic()?;
    let secret = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| miette!("{error}"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .into_diagnostic()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .into_diagnostic()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A full handshake; returns the cycles of the server's calls.
fn handshake(
    config: &Arc<ServerConfig>,
    security: &mut Option<Security<Heap>>,
    clock: &Clock,
) -> miette::Result<u64> {
    let memory = Heap::new(SEGMENTS);
    let mut client = Channel::new(security.as_ref());
    let began = clock.cycles();
    let mut server = ServerConnection::new(Arc::clone(config)).into_diagnostic()?;
    let mut cycles = clock.cycles() - began;
    let mut back = Vec::with_capacity(8192);
    while server.is_handshaking() || !client.is_open(false) {
        let mut plain = Default::default();
        let Fill::Data(wire) = client.fill(&mut plain, usize::MAX, security, 0) else {
            return Err(miette!("the handshake with rustls does not go on"));
        };
        let wire = wire.to_vec();
        let mut left = &wire[..];
        back.clear();
        let began = clock.cycles();
        while !left.is_empty() {
            server.read_tls(&mut left).into_diagnostic()?;
            server.process_new_packets().into_diagnostic()?;
        }
        while server.wants_write() {
            server.write_tls(&mut back).into_diagnostic()?;
        }
        cycles += clock.cycles() - began;
        if !back.is_empty() {
            let answer = client.input(memory.chain(&back), security, 0);
            answer.map_err(|reason| miette!("the handshake with rustls failed: {reason}"))?;
        }
    }
    if let Some(security) = security {
        client.release(security);
    }
    Ok(cycles)
}
