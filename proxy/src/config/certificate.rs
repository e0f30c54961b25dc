//! Certificates: reading a chain and its key, and whether they belong together.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;

use levee_crypto::PrivateKey;
use levee_tls::MAX_CERTIFICATE_MESSAGE;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use toml::Spanned;
use x509_parser::prelude::{FromDer, GeneralName, SubjectPublicKeyInfo, X509Certificate};
use zeroize::Zeroizing;

use super::model::Certificate;
use super::reader::Findings;
use super::sections;

/// Reads chain and key of a `[[certificate]]`. `None` when it cannot be used, which has been noted.
pub(super) fn load(section: &sections::Certificate, now: i64, findings: &Findings) -> Option<Certificate> {
    let place =
        |path: &Spanned<PathBuf>, key| Place { findings, key, path: path.get_ref().clone(), at: path.span() };
    let chain = section.chain.as_ref().map(|path| place(path, "certificate.chain"));
    let key = section.key.as_ref().map(|path| place(path, "certificate.key"));
    // Both files are read before either is given up, so that one run shows what is wrong with both.
    let certificates = chain.as_ref().and_then(read_chain);
    let private = key.as_ref().and_then(read_key);
    let (chain, certificates) = (chain?, certificates?);
    let parsed = parse(&chain, &certificates)?;
    let leaf = parsed.first()?;
    dates(&chain, leaf, now);
    usage(&chain, leaf);
    order(&chain, &parsed);
    let names = names(&chain, leaf);
    let (key, private) = (key?, private?);
    belongs(&key, &chain, &private, &parsed)?;
    let name = section.name.as_ref()?.get_ref().clone();
    drop(parsed);
    Some(Certificate { name, chain: certificates, key: private, names })
}

/// Where a file is named, for what is to be said about it.
struct Place<'f> {
    findings: &'f Findings,
    key: &'static str,
    path: PathBuf,
    at: Range<usize>,
}

impl Place<'_> {
    fn error<T>(&self, wrong: &str, label: &str) -> Option<T> {
        let title = format!("`{}`: {} {wrong}", self.key, self.path.display());
        self.findings.error(title, |error| error.at(self.at.clone(), label));
        None
    }

    fn warning(&self, wrong: &str, label: &str) {
        let title = format!("`{}`: {} {wrong}", self.key, self.path.display());
        self.findings.warning(title, |warning| warning.at(self.at.clone(), label));
    }

    fn read(&self, holds: &str) -> Option<Zeroizing<Vec<u8>>> {
        let must = format!("must be a PEM file with {holds}");
        let mut bytes = Zeroizing::new(Vec::new());
        // One byte more than the limit shows that there is more.
        let file = File::open(&self.path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
        match file {
            Ok(length) if length as u64 > MAX_FILE => self.error("is larger than 1 MiB", &must),
            Ok(_) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.error("does not exist", &must),
            Err(error) => self.error(&format!("cannot be read: {error}"), &must),
        }
    }
}

/// The certificates of a chain, in DER.
fn read_chain(place: &Place<'_>) -> Option<Vec<Vec<u8>>> {
    const HOLDS: &str = "the certificate, and behind it those that lead to the root";
    let must = format!("must be a PEM file with {HOLDS}");
    let bytes = place.read(HOLDS)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain: Vec<Vec<u8>> = match chain {
        Ok(chain) => chain.into_iter().map(|certificate| certificate.to_vec()).collect(),
        Err(_) => return place.error("is damaged: it is not PEM", &must),
    };
    if chain.is_empty() {
        let has_key = bytes.windows(12).any(|window| window == b"PRIVATE KEY-");
        return place
            .error(if has_key { "holds a key, and no certificate" } else { "holds no certificate" }, &must);
    }
    // RFC 8446 section 4.4.2: three bytes of length and two of extensions with each, eight around all.
    let message = chain.iter().map(|certificate| certificate.len() + 5).sum::<usize>() + 8;
    if message > MAX_CERTIFICATE_MESSAGE {
        let is = format!("is too long for a handshake: {} certificates", chain.len());
        return place
            .error(&is, &format!("must be at most {MAX_CERTIFICATE_MESSAGE} bytes; leave out the root"));
    }
    Some(chain)
}

/// The key.
fn read_key(place: &Place<'_>) -> Option<PrivateKey> {
    const HOLDS: &str = "an ECDSA key on P-256 or P-384, an Ed25519 key, or an RSA key of 2048 to 4096 bits";
    let must = format!("must be a PEM file with {HOLDS}");
    let bytes = place.read(HOLDS)?;
    match PrivateKey::from_pem(&bytes) {
        Ok(key) => {
            warn_if_open(place);
            Some(key)
        }
        Err(error) => place.error(&format!("is of no use: {error}"), &must),
    }
}

/// Warns of a key that all users of the machine can read.
fn warn_if_open(place: &Place<'_>) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(&place.path).map_or(0, |about| about.permissions().mode());
    if mode & 0o004 != 0 {
        place.warning("can be read by every user", "should be readable by its owner alone: `chmod 600`");
    }
}

/// The chain as X.509.
fn parse<'c>(place: &Place<'_>, chain: &'c [Vec<u8>]) -> Option<Vec<X509Certificate<'c>>> {
    let mut parsed = Vec::with_capacity(chain.len());
    for (index, der) in chain.iter().enumerate() {
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => parsed.push(certificate),
            _ => {
                let wrong = format!("is damaged: certificate {} is not X.509", index + 1);
                return place.error(&wrong, "must be made anew from its source");
            }
        }
    }
    Some(parsed)
}

fn dates(place: &Place<'_>, leaf: &X509Certificate<'_>, now: i64) {
    let validity = leaf.validity();
    let (from, to) = (validity.not_before, validity.not_after);
    if now < from.timestamp() {
        place.warning(&format!("is not valid before {from}"), "clients will refuse it until then");
    } else if now > to.timestamp() {
        place.warning(&format!("expired on {to}"), "clients will refuse it: renew it");
    } else if to.timestamp() - now < SOON {
        place.warning(&format!("expires on {to}"), "renew it soon");
    }
}

/// Warns of a certificate that was not made for TLS servers (RFC 5280 sections 4.2.1.3 and 4.2.1.12).
fn usage(place: &Place<'_>, leaf: &X509Certificate<'_>) {
    let signs = leaf.key_usage().ok().flatten().is_none_or(|usage| usage.value.digital_signature());
    let serves = leaf
        .extended_key_usage()
        .ok()
        .flatten()
        .is_none_or(|usage| usage.value.server_auth || usage.value.any);
    if !signs || !serves {
        let what = if signs {
            "extendedKeyUsage is without serverAuth"
        } else {
            "keyUsage is without digitalSignature"
        };
        place.warning(&format!("is not for TLS servers: {what}"), "clients will refuse it");
    }
}

/// Warns when a certificate of the chain was not issued by the one behind it: clients may give up there.
fn order(place: &Place<'_>, chain: &[X509Certificate<'_>]) {
    let broken = chain.windows(2).position(|pair| match pair {
        [one, next] => one.issuer().as_raw() != next.subject().as_raw(),
        _ => false,
    });
    if let Some(index) = broken {
        let wrong = format!("is out of order: certificate {} was not issued by the next", index + 1);
        place.warning(&wrong, "each certificate should be followed by its issuer's");
    }
}

/// The DNS names of the leaf.
fn names(place: &Place<'_>, leaf: &X509Certificate<'_>) -> Vec<String> {
    let extension = leaf.subject_alternative_name().ok().flatten();
    let all = extension.iter().flat_map(|extension| &extension.value.general_names);
    let names: Vec<String> = all
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        place.warning("names no host (no DNS name in subjectAltName)", "browsers will refuse it");
    }
    names
}

/// Whether `key` is the key of the first certificate.
fn belongs(
    key: &Place<'_>,
    chain: &Place<'_>,
    private: &PrivateKey,
    parsed: &[X509Certificate<'_>],
) -> Option<()> {
    let ours = SubjectPublicKeyInfo::from_der(private.public_key_der()).map(|(_, ours)| ours);
    // The key bits alone: algorithm parameters may be written as NULL or left out.
    let same = |certificate: &X509Certificate<'_>| {
        let theirs = certificate.public_key();
        ours.as_ref().is_ok_and(|ours| {
            theirs.algorithm.algorithm == ours.algorithm.algorithm
                && theirs.subject_public_key.data == ours.subject_public_key.data
        })
    };
    match parsed.iter().position(same) {
        Some(0) => Some(()),
        Some(index) => chain.error(
            &format!("is out of order: the key belongs to certificate {}", index + 1),
            "must start with that certificate",
        ),
        None => {
            let title = format!("`{}`: {} does not match its certificate", key.key, key.path.display());
            key.findings.error(title, |error| {
                error
                    .at(key.at.clone(), "must be the key of the first certificate in `chain`")
                    .at(chain.at.clone(), "which is another's")
                    .help("`openssl x509 -pubkey -noout -in CHAIN` and `openssl pkey -pubout -in KEY` show both halves")
            });
            None
        }
    }
}

/// Whether a certificate with `names` is good for `host` (RFC 9525 section 6.3).
pub(super) fn covers(names: &[String], host: &str) -> bool {
    names.iter().any(|name| match name.strip_prefix('*') {
        Some(suffix) => host.split_once('.').is_some_and(|(_, rest)| suffix.strip_prefix('.') == Some(rest)),
        None => name == host,
    })
}

/// Bytes of a PEM file: far more than a chain that fits a handshake.
const MAX_FILE: u64 = 1 << 20;

/// Seconds before the end of validity from which there is a warning: two weeks.
const SOON: i64 = 14 * 24 * 3600;
