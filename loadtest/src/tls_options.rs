//! What a client offers in TLS, as the command line says.

use clap::ValueEnum;
use levee_crypto::{Group, SignatureScheme};
use levee_tls::load::{ClientHandle, ClientOptions, Verify};
use levee_tls::{Suite, Version};
use miette::miette;
use std::rc::Rc;

/// What the clients of a run offer in TLS.
#[derive(clap::Args, Clone, Debug)]
pub struct TlsOptions {
    /// The version.
    #[arg(long, value_enum, default_value_t = TlsVersion::Tls13, help_heading = "TLS")]
    pub version: TlsVersion,
    /// The cipher suite by its IANA name; all of the version without it.
    #[arg(long, value_name = "NAME", value_parser = suite, help_heading = "TLS")]
    pub suite: Option<Suite>,
    /// The group of the key agreement.
    #[arg(long, value_enum, default_value_t = TlsGroup::X25519, help_heading = "TLS")]
    pub group: TlsGroup,
    /// The kind of certificate that is accepted; any without it.
    #[arg(long, value_enum, help_heading = "TLS")]
    pub certificate: Option<Certificate>,
    /// The server's name (SNI, and Host of requests).
    #[arg(long, value_name = "NAME", help_heading = "TLS")]
    pub name: Option<String>,
    /// Check the server's signature in every handshake (the certificate itself is never verified).
    #[arg(long, help_heading = "TLS")]
    pub verify: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[value(name = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[value(name = "1.3")]
    Tls13,
}

/// A group of the key agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsGroup {
    /// X25519.
    X25519,
    /// P-256.
    Secp256r1,
    /// P-384.
    Secp384r1,
    /// X25519 with ML-KEM-768, of TLS 1.3.
    #[value(name = "x25519mlkem768")]
    X25519MlKem768,
}

/// A kind of certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Certificate {
    /// With a key on P-256.
    Ecdsa,
    /// With an RSA key.
    Rsa,
}

impl TlsOptions {
    /// A handle for `handshakes` at a time; with `resume` it keeps tickets and offers them.
    ///
    /// # Errors
    /// The options contradict each other.
    pub fn handle(&self, resume: bool, handshakes: usize) -> miette::Result<Rc<ClientHandle>> {
        let version = match self.version {
            TlsVersion::Tls12 => Version::Tls12,
            TlsVersion::Tls13 => Version::Tls13,
        };
        let groups = match self.group {
            // RFC 8422 section 5.1: without its curve in the offer, an ECDSA certificate of TLS 1.2 is none.
            TlsGroup::X25519 => vec![Group::X25519, Group::Secp256r1],
            TlsGroup::Secp256r1 => vec![Group::Secp256r1],
            TlsGroup::Secp384r1 if version == Version::Tls12 => vec![Group::Secp384r1, Group::Secp256r1],
            TlsGroup::Secp384r1 => vec![Group::Secp384r1],
            TlsGroup::X25519MlKem768 if version == Version::Tls12 => {
                return Err(miette!("x25519mlkem768 is a group of TLS 1.3 alone"));
            }
            TlsGroup::X25519MlKem768 => vec![Group::X25519MlKem768],
        };
        let ecdsa = [SignatureScheme::EcdsaSecp256r1Sha256];
        let others = [SignatureScheme::EcdsaSecp384r1Sha384, SignatureScheme::Ed25519];
        let rsa = [SignatureScheme::RsaPssRsaeSha256, SignatureScheme::RsaPkcs1Sha256];
        let schemes = match self.certificate {
            Some(Certificate::Ecdsa) => ecdsa.to_vec(),
            Some(Certificate::Rsa) => rsa.to_vec(),
            None => [&ecdsa[..], &others[..], &rsa[..]].concat(),
        };
        if let Some(suite) = self.suite.filter(|suite| suite.version() != version) {
            return Err(miette!("{} is not a suite of {}", suite.name(), version.name()));
        }
        let suites = match self.suite {
            Some(suite) => vec![suite],
            None => Suite::ALL.to_vec(),
        };
        let options = ClientOptions {
            versions: vec![version],
            suites,
            groups,
            schemes,
            server_name: self.name.clone(),
            alpn: vec![b"http/1.1".to_vec()],
            resume,
            verify: if self.verify { Verify::Signature } else { Verify::Nothing },
        };
        ClientHandle::new(options, handshakes)
            .map_err(|error| miette!("this is nothing that a client can offer: {error:?}"))
    }
}

fn suite(name: &str) -> Result<Suite, String> {
    let found = Suite::ALL.iter().copied().find(|suite| suite.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let names: Vec<_> = Suite::ALL.iter().map(|suite| suite.name()).collect();
        format!("must be one of {}", names.join(", "))
    })
}
