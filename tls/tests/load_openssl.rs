//! The load generator's client against OpenSSL: tickets and sessions of another make, and renegotiation, which
//! OpenSSL does when it is told to.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use levee_buf::Heap;
use levee_tls::load::{Client, ClientEstablished, ClientOptions, Stage, Verify};
use levee_tls::{Suite, Version};
use support::engines::LateAead;
use support::load::LoadRig;
use support::{Identity, identities};

/// `openssl s_server`, which answers each line backwards.
struct Server {
    child: Child,
    port: u16,
    directory: PathBuf,
}

impl Server {
    fn new(name: &str, identity: &Identity, arguments: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!("levee-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = directory.join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "100", "-rev"])
            .args(["-certform", "DER", "-keyform", "DER", "-cert"])
            .arg(file("certificate", &identity.chain[0]))
            .arg("-key")
            .arg(file("key", &identity.key))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned));
        let port = line.expect("it listens").rsplit(':').next().unwrap().parse().unwrap();
        // What else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port, directory }
    }

    fn connect<'a>(&self, load: &'a mut LoadRig) -> Connection<'a> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Connection { client: load.client(), load, stream }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        _ = std::fs::remove_dir_all(&self.directory);
    }
}

struct Connection<'a> {
    load: &'a mut LoadRig,
    client: Client<Heap>,
    stream: TcpStream,
}

impl Connection<'_> {
    /// Sends `bytes` and reads until `done`.
    fn until(&mut self, bytes: &[u8], done: impl Fn(&mut Self) -> bool) {
        let wire = self.load.send(&mut self.client, bytes);
        self.stream.write_all(&wire).unwrap();
        while !done(self) {
            let mut room = [0; 4096];
            let n = self.stream.read(&mut room).expect("the server answers");
            assert!(n > 0, "the server closed");
            self.load.input(&mut self.client, &room[..n]).unwrap();
            let wire = self.load.send(&mut self.client, &[]);
            self.stream.write_all(&wire).unwrap();
        }
    }

    fn handshake(&mut self) -> ClientEstablished {
        self.until(&[], |it| it.client.stage() == Stage::Established);
        *self.client.handshake().unwrap()
    }

    /// A line there, and back.
    fn echo(&mut self) {
        let got = std::cell::RefCell::new(Vec::new());
        self.until(b"levee\n", |it| {
            got.borrow_mut().extend(it.load.read(&mut it.client));
            got.borrow().len() >= 6
        });
        assert_eq!(*got.borrow(), b"eevel\n");
    }

    fn close(mut self) {
        self.client.close();
        let wire = self.load.send(&mut self.client, &[]);
        self.stream.write_all(&wire).unwrap();
        self.load.finish(self.client);
    }
}

fn client(version: Version) -> ClientOptions {
    ClientOptions { versions: vec![version], verify: Verify::Signature, ..ClientOptions::default() }
}

#[test]
fn both_versions_and_resumption() {
    for identity in [&identities().ecdsa, &identities().rsa] {
        for arguments in [&[][..], &["-no_ticket"]] {
            let server = Server::new("resumption", identity, arguments);
            for version in [Version::Tls13, Version::Tls12] {
                let mut load = LoadRig::new(ClientOptions { resume: true, ..client(version) });
                for at in 0..3 {
                    let mut connection = server.connect(&mut load);
                    let established = connection.handshake();
                    assert_eq!(
                        (established.version, established.resumed),
                        (version, at > 0),
                        "{arguments:?}"
                    );
                    connection.echo();
                    connection.close();
                }
            }
        }
    }
}

/// Inside a connection of each suite, also with an engine that answers late. Few, since OpenSSL's server
/// sleeps for a second in each.
#[test]
fn renegotiation() {
    for (identity, suites) in [
        (&identities().ecdsa, [Suite::EcdheEcdsaAes128GcmSha256, Suite::EcdheEcdsaChaCha20Poly1305]),
        (&identities().rsa, [Suite::EcdheRsaAes256GcmSha384, Suite::EcdheRsaChaCha20Poly1305]),
    ] {
        let server = Server::new("renegotiation", identity, &["-client_renegotiation"]);
        for (suite, late) in suites.into_iter().zip([false, true]) {
            let options = ClientOptions { suites: vec![suite], resume: true, ..client(Version::Tls12) };
            let mut load = LoadRig::new(options);
            if late {
                load.aead = Box::new(LateAead::new(3, 1));
            }
            let mut connection = server.connect(&mut load);
            connection.handshake();
            for done in 1..3 {
                assert!(connection.client.renegotiate());
                connection.until(&[], |it| it.client.renegotiations() == (done, 0));
                connection.echo();
            }
            assert_eq!(connection.load.counters.handshakes[suite as usize], 3);
            connection.close();
        }
    }
}

/// Without being told to, OpenSSL refuses.
#[test]
fn renegotiation_is_refused() {
    let server = Server::new("refused", &identities().ecdsa, &[]);
    let mut load = LoadRig::new(client(Version::Tls12));
    let mut connection = server.connect(&mut load);
    connection.handshake();
    assert!(connection.client.renegotiate());
    connection.until(&[], |it| it.client.renegotiations() == (0, 1));
    connection.echo();
    connection.close();
}
