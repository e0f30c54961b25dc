//! The shim as the runner sees it: flags in, a connection to a port, an exit code and an error's name out.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use levee_tls::Error;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

const SHIM_ID: u64 = 0x0102_0304_0506_0708;

/// A runner with one certificate, that waits for its shim.
struct Runner {
    listener: TcpListener,
    folder: TempDir,
    certificate: CertificateDer<'static>,
}

impl Runner {
    fn new() -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["levee.test".into()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("chain.pem"), cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { listener, folder, certificate: cert.der().clone() }
    }

    /// Starts a shim; the caller takes its connections.
    fn start(&self, flags: &[&str]) -> Child {
        shim(flags)
            .args(["-port", &self.listener.local_addr().unwrap().port().to_string()])
            .args(["-shim-id", &SHIM_ID.to_string()])
            .arg("-cert-file")
            .arg(self.folder.path().join("chain.pem"))
            .arg("-key-file")
            .arg(self.folder.path().join("key.pem"))
            .spawn()
            .unwrap()
    }

    /// The next connection of the shim, which says who it is.
    fn accept(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut id = [0; 8];
        stream.read_exact(&mut id).unwrap();
        assert_eq!(u64::from_le_bytes(id), SHIM_ID);
        stream
    }

    fn client(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = vec![b"foo".to_vec()];
        let connection = ClientConnection::new(Arc::new(config), "levee.test".try_into().unwrap()).unwrap();
        StreamOwned::new(connection, self.accept())
    }
}

fn shim(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_levee-bogo"));
    command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn ended(shim: Child, code: i32, says: &str) {
    let Output { status, stderr, .. } = shim.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert_eq!((status.code(), stderr.trim()), (Some(code), says));
}

/// Bytes come back inverted, whole or one at a time, until the client closes.
#[test]
fn it_answers_a_client() {
    let runner = Runner::new();
    for (versions, code) in [(&["-min-version", "772"], "772"), (&["-max-version", "771"], "771")] {
        for slow in [&[][..], &["-async"]] {
            let expected = ["-server", "-select-alpn", "foo", "-expect-alpn", "foo", "-expect-version", code];
            let shim = runner.start(&[&expected, &versions[..], slow].concat());
            let mut client = runner.client();
            client.write_all(b"ping").unwrap();
            let mut answer = [0; 4];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer.map(|byte| byte ^ 0xff), *b"ping");
            client.conn.send_close_notify();
            client.flush().unwrap();
            assert_eq!(client.read(&mut answer).unwrap(), 0, "it closes in turn");
            drop(client);
            ended(shim, 0, "");
        }
    }
}

/// An expectation that does not hold fails the test, and says which.
#[test]
fn it_checks_what_is_expected() {
    let runner = Runner::new();
    for flag in [
        &["-expect-version", "771"][..],
        &["-expect-curve-id", "24"],
        &["-expect-hrr"],
        &["-handshake-never-done"],
    ] {
        let shim = runner.start(&[&["-server", "-curves", "29"], flag].concat());
        let mut client = runner.client();
        // It may be gone before it answers.
        let _ = client.write_all(b"ping").and_then(|()| client.read(&mut [0; 4]));
        drop(client);
        let Output { status, stderr, .. } = shim.wait_with_output().unwrap();
        assert_eq!(status.code(), Some(1), "{flag:?}");
        assert!(String::from_utf8_lossy(&stderr).starts_with("unexpected: "), "{flag:?}");
    }
}

/// What a peer does wrong ends with its alert, 1 and the name of the error.
#[test]
fn it_names_the_error() {
    let runner = Runner::new();
    let shim = runner.start(&["-server"]);
    let mut stream = runner.accept();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.shutdown(Shutdown::Write).unwrap();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 10]);
    ended(shim, 1, "levee: unknown_content_type");
}

/// Sessions are not resumed: a second connection is one like the first.
#[test]
fn it_connects_again() {
    let runner = Runner::new();
    let shim = runner.start(&[
        "-server",
        "-resume-count",
        "1",
        "-expect-session-miss",
        "-on-resume-shim-writes-first",
    ]);
    let mut first = runner.client();
    first.conn.complete_io(&mut first.sock).unwrap();
    first.conn.send_close_notify();
    first.flush().unwrap();
    assert_eq!(first.read(&mut [0; 4]).unwrap(), 0);
    drop(first);
    let mut second = runner.client();
    let mut greeting = [0; 5];
    second.read_exact(&mut greeting).unwrap();
    assert_eq!(greeting, *b"hello");
    drop(second);
    ended(shim, 0, "");
}

/// What there is not is 89, before any connection.
#[test]
fn it_refuses_what_there_is_not() {
    let runner = Runner::new();
    for (flags, says) in [
        (&[][..], "a client"),
        (&["-server", "-dtls"], "-dtls"),
        (&["-server", "-expect-peer-signature-algorithm", "1027"], "-expect-peer-signature-algorithm"),
        (&["-server", "-no-such-flag"], "-no-such-flag"),
        (&["-server", "-resume-count", "1"], "sessions that are resumed"),
        (&["-server", "-max-version", "770"], "versions below TLS 1.2"),
        (&["-server", "-curves", "25"], "group 25"),
    ] {
        ended(runner.start(flags), 89, &format!("unimplemented: {says}"));
    }
    let answer = shim(&["-is-handshaker-supported"]).output().unwrap();
    assert_eq!((answer.status.code(), &answer.stdout[..]), (Some(0), &b"No\n"[..]));
}

/// Each test that is passed over has its reason, and the runner's errors map to errors that there are.
#[test]
fn the_configuration_of_the_runner() {
    let text = include_str!("../config.json");
    let config: Value = serde_json::from_str(text).unwrap();
    let disabled = config["DisabledTests"].as_object().unwrap();
    assert!(disabled.values().all(|reason| reason.as_str().is_some_and(|reason| !reason.is_empty())));
    let names: Vec<&str> = Error::ALL.iter().map(|error| error.name()).collect();
    for (expected, ours) in config["ErrorMap"].as_object().unwrap() {
        assert!(expected.starts_with(':') && expected.ends_with(':'), "{expected}");
        for name in ours.as_array().unwrap() {
            assert!(names.contains(&name.as_str().unwrap()), "{expected}: {name}");
        }
    }
}
