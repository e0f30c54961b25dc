//! The certificates that `etc/certificates.sh` makes, once for all tests of a build.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::network::repository;
use crate::{PROXY_CLIENT_SIDE, config::Config};

/// The host that the certificates are for.
pub const NAME: &str = "demo.levee.test";

/// All kinds of key.
pub const KINDS: [Kind; 4] = [Kind::Ecdsa, Kind::Rsa, Kind::P384, Kind::Ed25519];

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA with 2048 bits.
    Rsa,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

/// A directory with `ca.crt`, and of each kind such as `ecdsa` an `ecdsa.crt` and an `ecdsa.key`.
#[derive(Clone, Debug)]
pub struct Certificates {
    directory: PathBuf,
}

impl Kind {
    /// As in the names of the files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::Rsa => "rsa",
            Self::P384 => "p384",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl Certificates {
    /// Makes them in `directory`, unless they are there.
    ///
    /// # Panics
    /// When openssl does not do it.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        let mut command = Command::new(repository().join("etc/certificates.sh"));
        let output = command.arg(directory).arg(NAME).arg(PROXY_CLIENT_SIDE.to_string()).output();
        let output = output.expect("etc/certificates.sh can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { directory: directory.to_owned() }
    }

    /// Where they are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file of all CAs.
    #[must_use]
    pub fn authorities(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// All CAs, as rustls wants them.
    ///
    /// # Panics
    /// When the file is no PEM.
    #[must_use]
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let authorities = CertificateDer::pem_file_iter(self.authorities()).expect("the CAs can be read");
        for authority in authorities {
            roots.add(authority.expect("the file is PEM")).expect("it is a CA");
        }
        roots
    }

    /// Tells a standard configuration where they are.
    pub fn locate(&self, config: &mut Config) {
        for (index, kind) in KINDS.iter().enumerate() {
            for (key, ending) in [("chain", "crt"), ("key", "key")] {
                let path = self.directory.join(format!("{}.{ending}", kind.name()));
                config.set(&format!("certificate.{index}.{key}"), path.display().to_string());
            }
        }
    }
}
