//! A client by rustls, for what curl cannot be made to send.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::{
    ClientConfig, ClientConnection, SignatureScheme, StreamOwned, SupportedProtocolVersion, version,
};
use rustls_pki_types::ServerName;

use crate::certificates::{Certificates, Kind, NAME};
use crate::network::Place;
use crate::site::Site;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// What the client offers.
#[derive(Clone, Copy, Debug)]
pub struct Tls {
    /// Its only version.
    pub version: Version,
    /// The only kind of certificate that it can verify.
    pub kind: Kind,
    /// Whether it prefers X25519MLKEM768; its ClientHello then takes two segments.
    pub hybrid: bool,
}

/// An HTTPS connection.
pub struct Client {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its head, as it came.
    pub head: String,
    /// Its body, taken out of its chunks.
    pub body: Vec<u8>,
}

/// How long the client waits for the other side.
const PATIENCE: Duration = Duration::from_secs(20);

impl Version {
    /// As curl takes it.
    #[must_use]
    pub const fn number(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }

    fn protocol(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::Tls12 => &version::TLS12,
            Self::Tls13 => &version::TLS13,
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self { version: Version::Tls13, kind: Kind::Ecdsa, hybrid: false }
    }
}

impl Client {
    /// Connects from the client's namespace, and completes the handshake.
    #[must_use]
    pub fn connect(site: &Site, tls: Tls) -> Self {
        Self::connect_from(&site.network().client(), site.address(), site.certificates(), tls)
    }

    /// Connects from `place` to Levee at `address`, and completes the handshake.
    ///
    /// # Panics
    /// When either fails.
    #[must_use]
    pub fn connect_from(place: &Place, address: SocketAddr, certificates: &Certificates, tls: Tls) -> Self {
        let tcp = place.connect(address).expect("levee accepts a connection");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        tcp.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        tcp.set_nodelay(true).expect("the socket is TCP");
        let name = ServerName::try_from(NAME).expect("it is a host name");
        let connection =
            ClientConnection::new(Arc::new(config(certificates, tls)), name).expect("the offer makes sense");
        let mut stream = StreamOwned::new(connection, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).expect("the handshake succeeds");
        }
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the other side has gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Sends a request without a body, with further field lines.
    ///
    /// # Errors
    /// When the other side has gone.
    pub fn request(&mut self, method: &str, path: &str, fields: &str) -> io::Result<()> {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: {NAME}\r\n{fields}\r\n").as_bytes())
    }

    /// Reads a response; one to HEAD has no body.
    ///
    /// # Errors
    /// When it breaks off, or nothing comes in time.
    pub fn response(&mut self, to_head: bool) -> io::Result<Response> {
        read_response(&mut self.stream, to_head)
    }

    /// Sends GET and reads the response.
    ///
    /// # Errors
    /// When it breaks off, or nothing comes in time.
    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.request("GET", path, "")?;
        self.response(false)
    }

    /// Reads to the end of the connection.
    ///
    /// # Errors
    /// When there is no close_notify before it, or nothing comes in time.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// The group that the key exchange was of.
    ///
    /// # Panics
    /// Before the handshake is complete, which it is.
    #[must_use]
    pub fn group(&self) -> rustls::NamedGroup {
        self.stream.get_ref().conn.negotiated_key_exchange_group().expect("the handshake is complete").name()
    }

    /// The connection under TLS.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        &self.stream.get_ref().sock
    }

    /// Sends close_notify.
    ///
    /// # Errors
    /// When the other side has gone.
    pub fn close(&mut self) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.conn.send_close_notify();
        stream.flush()
    }
}

impl Read for Client {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.stream.read(out)
    }
}

impl Response {
    /// The first field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// The value of a head's first field of that name.
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Reads a response; one to HEAD has no body.
///
/// # Errors
/// When it breaks off or makes no sense.
pub fn read_response(input: &mut impl BufRead, to_head: bool) -> io::Result<Response> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = head.get(9..12).and_then(|digits| digits.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status in {head:?}")))?;
    let mut body = Vec::new();
    // RFC 9112 section 6.3: in this order.
    if to_head || matches!(status, 100..=199 | 204 | 304) {
    } else if field(&head, "transfer-encoding").is_some() {
        read_chunks(input, &mut body)?;
    } else if let Some(length) = field(&head, "content-length") {
        let length: u64 = length.parse().map_err(|_| io::Error::other("Content-Length is no number"))?;
        if input.take(length).read_to_end(&mut body)? as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    } else {
        input.read_to_end(&mut body)?;
    }
    Ok(Response { status, head, body })
}

fn read_chunks(input: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim_end(), 16);
        let size = size.map_err(|_| io::Error::other(format!("a chunk's size is {line:?}")))?;
        let start = body.len();
        body.resize(start + size, 0);
        input.read_exact(&mut body[start..])?;
        let mut end = [0; 2];
        input.read_exact(&mut end)?;
        if end != *b"\r\n" {
            return Err(io::Error::other("a chunk does not end where it says"));
        }
        if size == 0 {
            return Ok(());
        }
    }
}

fn config(certificates: &Certificates, tls: Tls) -> ClientConfig {
    let provider = CryptoProvider {
        kx_groups: if tls.hybrid { vec![X25519MLKEM768, X25519] } else { vec![X25519, SECP256R1, SECP384R1] },
        signature_verification_algorithms: verifies(tls.kind),
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[tls.version.protocol()])
        .expect("the provider has suites for it")
        .with_root_certificates(certificates.roots())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if tls.hybrid {
        // More than a segment holds, however few other extensions rustls sends.
        config.alpn_protocols.push(vec![b'x'; 255]);
    }
    config
}

/// The signature schemes of one kind of key.
fn verifies(kind: Kind) -> WebPkiSupportedAlgorithms {
    let schemes: &[SignatureScheme] = match kind {
        Kind::Ecdsa => &[SignatureScheme::ECDSA_NISTP256_SHA256],
        Kind::Rsa => &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256],
        Kind::P384 => &[SignatureScheme::ECDSA_NISTP384_SHA384],
        Kind::Ed25519 => &[SignatureScheme::ED25519],
    };
    let all = aws_lc_rs::default_provider().signature_verification_algorithms;
    let mapping = all.mapping.iter().filter(|(scheme, _)| schemes.contains(scheme)).copied();
    // rustls wants it to live for ever, and a test process does not live long.
    let mapping: &'static [_] = Vec::leak(mapping.collect());
    WebPkiSupportedAlgorithms { mapping, ..all }
}
