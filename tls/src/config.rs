//! What a server offers: `ServerConfig` with its certificates.
//!
//! Built by the control plane and read-only from then on. It holds no private key: those lie in the
//! engine's table, under their `KeyId`.

use levee_crypto::{Group, KeyId};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::messages::certificate;
use crate::names::Names;
use crate::suite::{Suite, Version};

/// The most bytes of a Certificate message: with the rest of its flight it fits one segment.
pub const MAX_CERTIFICATE_MESSAGE: usize = 14_000;

/// The records that one key of TLS protects before it is replaced (1.3) or the connection closed (1.2):
/// below the 2^24.5 full records of RFC 8446 section 5.5.
pub const DEFAULT_KEY_LIMIT: u64 = 1 << 24;

/// A certificate as the control plane read it.
#[derive(Clone, Debug)]
pub struct CertificateEntry {
    /// DER, leaf first. The leaf's key is on P-256 or P-384, of Ed25519, or RSA of 2048 to 4096 bits; its names
    /// are those of subjectAltName.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's private key in the engine's table.
    pub key: KeyId,
}

/// What is offered besides certificates.
#[derive(Clone, Debug)]
pub struct Options {
    /// Versions, in any order.
    pub versions: Vec<Version>,
    /// Cipher suites of all versions, most preferred first. The server's preference decides.
    pub suites: Vec<Suite>,
    /// Groups, most preferred first; a group that the client sent a share for goes before another. TLS 1.2
    /// passes over the hybrid.
    pub groups: Vec<Group>,
    /// Application protocols, most preferred first; empty ignores the client's offer.
    pub alpn: Vec<Vec<u8>>,
    /// Records sealed under one key: [`DEFAULT_KEY_LIMIT`] or less.
    pub key_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            versions: vec![Version::Tls13, Version::Tls12],
            suites: Suite::ALL.to_vec(),
            groups: Group::ALL.to_vec(),
            alpn: Vec::new(),
            key_limit: DEFAULT_KEY_LIMIT,
        }
    }
}

/// Why a configuration is refused. `usize` is the index of the certificate entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// No certificate at all.
    NoCertificate,
    /// Over 65,535 certificate entries.
    TooManyCertificates,
    /// The chain is empty, or its leaf is not a certificate.
    BadCertificate(usize),
    /// The leaf's key is of no kind that signs here.
    UnsupportedKey(usize),
    /// The chain does not fit [`MAX_CERTIFICATE_MESSAGE`].
    ChainTooLong(usize),
    /// No version, or no suite for one of the versions.
    NoSuite,
    /// No group for one of the versions.
    NoGroup,
    /// An application protocol of no byte or over 255, or over 255 of them, or more than a client's hello holds.
    BadProtocol,
    /// No signature scheme, of a client.
    NoScheme,
    /// A server name of no byte or over 253, of a client.
    BadServerName,
    /// A key limit of zero or over [`DEFAULT_KEY_LIMIT`].
    BadKeyLimit,
}

/// A server's offer, shared read-only by all workers.
#[derive(Debug)]
pub struct ServerConfig {
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) names: Names,
    pub(crate) options: Options,
}

/// The kind of a certificate's key, most preferred first: what is cheapest to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    EcdsaP256,
    Ed25519,
    EcdsaP384,
    Rsa,
}

/// A certificate with its messages, encoded once.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) key: KeyId,
    pub(crate) kind: Kind,
    /// The Certificate message of TLS 1.3, with its header.
    pub(crate) message13: Vec<u8>,
    /// The Certificate message of TLS 1.2, with its header.
    pub(crate) message12: Vec<u8>,
}

impl ServerConfig {
    /// Checks and encodes. The first entry is the default: it answers clients that name no server, or
    /// one that no certificate has.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(entries: Vec<CertificateEntry>, options: Options) -> Result<Self, ConfigError> {
        check(&options)?;
        if entries.is_empty() {
            return Err(ConfigError::NoCertificate);
        }
        let mut names = Names::default();
        let mut certificates = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let at = u16::try_from(index).map_err(|_| ConfigError::TooManyCertificates)?;
            let leaf = entry.chain.first().ok_or(ConfigError::BadCertificate(index))?;
            let (_, leaf) =
                X509Certificate::from_der(leaf).map_err(|_| ConfigError::BadCertificate(index))?;
            let kind = kind_of(&leaf).ok_or(ConfigError::UnsupportedKey(index))?;
            for name in names_of(&leaf) {
                names.add(name, at);
            }
            let message13 = certificate::encode(&entry.chain, Version::Tls13);
            let message12 = certificate::encode(&entry.chain, Version::Tls12);
            let (Some(message13), Some(message12)) = (message13, message12) else {
                return Err(ConfigError::ChainTooLong(index));
            };
            certificates.push(Certificate { key: entry.key, kind, message13, message12 });
        }
        names.order(|at| certificates.get(usize::from(at)).map(|it| it.kind));
        Ok(Self { certificates, names, options })
    }

    pub(crate) fn enables(&self, version: Version) -> bool {
        self.options.versions.contains(&version)
    }

    /// Whether clients may send shares that need room of a pool.
    pub(crate) fn takes_long_shares(&self) -> bool {
        self.enables(Version::Tls13) && self.options.groups.contains(&Group::X25519MlKem768)
    }
}

fn check(options: &Options) -> Result<(), ConfigError> {
    let suite_for = |version: &Version| options.suites.iter().any(|suite| suite.version() == *version);
    if options.versions.is_empty() || !options.versions.iter().all(suite_for) {
        return Err(ConfigError::NoSuite);
    }
    let group_for = |version: &Version| match version {
        Version::Tls13 => !options.groups.is_empty(),
        Version::Tls12 => options.groups.iter().any(|group| !group.is_hybrid()),
    };
    if !options.versions.iter().all(group_for) {
        return Err(ConfigError::NoGroup);
    }
    let fits = |protocol: &Vec<u8>| (1..=255).contains(&protocol.len());
    if options.alpn.len() > 255 || !options.alpn.iter().all(fits) {
        return Err(ConfigError::BadProtocol);
    }
    if !(1..=DEFAULT_KEY_LIMIT).contains(&options.key_limit) {
        return Err(ConfigError::BadKeyLimit);
    }
    Ok(())
}

fn kind_of(leaf: &X509Certificate<'_>) -> Option<Kind> {
    let key = leaf.public_key();
    // RFC 8410 section 3; x509-parser has no name for it.
    if key.algorithm.algorithm.to_id_string() == "1.3.101.112" {
        return (key.subject_public_key.data.len() == 32).then_some(Kind::Ed25519);
    }
    match key.parsed().ok()? {
        // An uncompressed point; the curve is named in the parameters (RFC 5480 section 2.1.1).
        PublicKey::EC(point) => {
            let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?.to_id_string();
            match (curve.as_str(), point.data().len()) {
                ("1.2.840.10045.3.1.7", 65) => Some(Kind::EcdsaP256),
                ("1.3.132.0.34", 97) => Some(Kind::EcdsaP384),
                _ => None,
            }
        }
        PublicKey::RSA(key) if (2048..=4096).contains(&key.key_size()) => Some(Kind::Rsa),
        _ => None,
    }
}

fn names_of<'a>(leaf: &'a X509Certificate<'_>) -> impl Iterator<Item = &'a str> {
    let names = leaf.subject_alternative_name().ok().flatten().map(|names| &names.value.general_names);
    names.into_iter().flatten().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    })
}
