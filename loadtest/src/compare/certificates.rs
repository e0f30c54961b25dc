//! Certificates for a comparison, made by `openssl` when it begins: every server has the same.

use std::path::{Path, PathBuf};

use miette::IntoDiagnostic;

use super::process::run;

/// The host that the certificates name.
pub(super) const HOST: &str = "bench.levee.test";

/// A kind of certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certificate {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
}

impl Certificate {
    const ALL: [Self; 3] = [Self::Ecdsa, Self::Rsa2048, Self::Rsa3072];

    /// What its files are called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
        }
    }

    /// The kind of its key, as `levee-load handshake --certificate` calls it.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::Rsa2048 | Self::Rsa3072 => "rsa",
        }
    }

    const fn key(self) -> &'static [&'static str] {
        match self {
            Self::Ecdsa => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Self::Rsa2048 => &["-newkey", "rsa:2048"],
            Self::Rsa3072 => &["-newkey", "rsa:3072"],
        }
    }
}

/// A directory with a certificate of each kind.
pub(super) struct Certificates(PathBuf);

impl Certificates {
    /// Makes them: each is signed by a root of its own that has the same kind of key.
    pub(super) fn make(directory: &Path) -> miette::Result<Self> {
        std::fs::create_dir_all(directory).into_diagnostic()?;
        let made = Self(directory.to_owned());
        for certificate in Certificate::ALL {
            made.issue(certificate)?;
        }
        Ok(made)
    }

    /// The certificate, in PEM.
    pub(super) fn chain(&self, certificate: Certificate) -> PathBuf {
        self.0.join(format!("{}.crt", certificate.name()))
    }

    /// Its key, in PEM.
    pub(super) fn key(&self, certificate: Certificate) -> PathBuf {
        self.0.join(format!("{}.key", certificate.name()))
    }

    fn issue(&self, certificate: Certificate) -> miette::Result<()> {
        let [chain, key] =
            [self.chain(certificate), self.key(certificate)].map(|path| path.display().to_string());
        let [root, root_key] =
            ["crt", "key"].map(|end| format!("{}/root-{}.{end}", self.0.display(), certificate.name()));
        let common = ["openssl", "req", "-x509", "-noenc", "-days", "3650"];
        let subject = format!("/CN=Levee bench root ({})", certificate.name());
        let of_root = [
            "-subj",
            &subject,
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-out",
            &root,
            "-keyout",
            &root_key,
        ];
        run(&[&common, certificate.key(), &of_root].concat())?;
        let subject = format!("/CN={HOST}");
        let names = format!("subjectAltName=DNS:{HOST},IP:{}", super::network::SERVER);
        let of_leaf = [
            "-subj",
            &subject,
            "-addext",
            &names,
            "-addext",
            "basicConstraints=critical,CA:false",
            "-addext",
            "keyUsage=critical,digitalSignature",
            "-addext",
            "extendedKeyUsage=serverAuth",
            "-CA",
            &root,
            "-CAkey",
            &root_key,
            "-out",
            &chain,
            "-keyout",
            &key,
        ];
        run(&[&common, certificate.key(), &of_leaf].concat()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_made_and_signed_by_its_root() {
        let directory = tempfile::tempdir().unwrap();
        let made = Certificates::make(directory.path()).unwrap();
        for (certificate, key) in [
            (Certificate::Ecdsa, "ASN1 OID: prime256v1"),
            (Certificate::Rsa2048, "Public-Key: (2048 bit)"),
            (Certificate::Rsa3072, "Public-Key: (3072 bit)"),
        ] {
            let chain = made.chain(certificate).display().to_string();
            let root = format!("{}/root-{}.crt", directory.path().display(), certificate.name());
            run(&[
                "openssl",
                "verify",
                "-x509_strict",
                "-CAfile",
                &root,
                "-purpose",
                "sslserver",
                "-verify_hostname",
                HOST,
                &chain,
            ])
            .unwrap();
            let text = run(&["openssl", "x509", "-in", &chain, "-noout", "-text"]).unwrap();
            assert!(text.contains(key), "{text}");
            let private =
                run(&["openssl", "pkey", "-in", made.key(certificate).to_str().unwrap(), "-pubout"]).unwrap();
            let public = run(&["openssl", "x509", "-in", &chain, "-noout", "-pubkey"]).unwrap();
            assert_eq!(private, public);
        }
    }
}
