//! Configurations that are refused, and what certificates say about themselves.

mod support;

use levee_crypto::{Group, KeyId};
use levee_tls::{
    CertificateEntry, ConfigError, DEFAULT_KEY_LIMIT, MAX_CERTIFICATE_MESSAGE, Options, ServerConfig, Suite,
    Version,
};
use support::{entries, identities};

#[track_caller]
fn refuses(entries: Vec<CertificateEntry>, options: Options, expected: ConfigError) {
    assert_eq!(ServerConfig::new(entries, options).err(), Some(expected));
}

fn good() -> Vec<CertificateEntry> {
    entries(&[&identities().ecdsa, &identities().rsa]).0
}

#[test]
fn options_are_checked() {
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        options
    };
    refuses(good(), with(&|options| options.versions.clear()), ConfigError::NoSuite);
    refuses(good(), with(&|options| options.suites.clear()), ConfigError::NoSuite);
    refuses(good(), with(&|options| options.suites = vec![Suite::Aes128GcmSha256]), ConfigError::NoSuite);
    refuses(good(), with(&|options| options.groups.clear()), ConfigError::NoGroup);
    let hybrid = vec![Group::X25519MlKem768];
    refuses(good(), with(&|options| options.groups = hybrid.clone()), ConfigError::NoGroup);
    let tls13 = Options { versions: vec![Version::Tls13], groups: hybrid, ..Options::default() };
    assert!(ServerConfig::new(good(), tls13).is_ok());
    refuses(good(), with(&|options| options.alpn = vec![vec![]]), ConfigError::BadProtocol);
    refuses(good(), with(&|options| options.alpn = vec![vec![0; 256]]), ConfigError::BadProtocol);
    refuses(good(), with(&|options| options.alpn = vec![vec![0]; 256]), ConfigError::BadProtocol);
    refuses(good(), with(&|options| options.key_limit = 0), ConfigError::BadKeyLimit);
    let over = DEFAULT_KEY_LIMIT + 1;
    refuses(good(), with(&|options| options.key_limit = over), ConfigError::BadKeyLimit);
    let one = Options {
        versions: vec![Version::Tls13],
        suites: vec![Suite::ChaCha20Poly1305Sha256],
        ..Options::default()
    };
    assert!(ServerConfig::new(good(), one).is_ok());
}

#[test]
fn certificates_are_checked() {
    refuses(Vec::new(), Options::default(), ConfigError::NoCertificate);
    let mut empty = good();
    empty[1].chain.clear();
    refuses(empty, Options::default(), ConfigError::BadCertificate(1));
    let mut broken = good();
    broken[1].chain[0].truncate(100);
    refuses(broken, Options::default(), ConfigError::BadCertificate(1));
    let mut long = good();
    long[0].chain.push(vec![0; MAX_CERTIFICATE_MESSAGE]);
    refuses(long, Options::default(), ConfigError::ChainTooLong(0));
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let params = rcgen::CertificateParams::new(vec!["levee.test".to_owned()]).unwrap();
    let chain = vec![params.self_signed(&key).unwrap().der().to_vec()];
    let other = vec![CertificateEntry { chain, key: KeyId(0) }];
    refuses(other, Options::default(), ConfigError::UnsupportedKey(0));
}
