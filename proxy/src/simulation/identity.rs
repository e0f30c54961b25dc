//! The proxy's certificates, the same ones in every world and every process: `certificates`.
//!
//! Made once a process, from keys that are numbers; signed by Ed25519, whose signatures hold no randomness.

use std::sync::LazyLock;

use levee_crypto::PrivateKey;
use p256::pkcs8::EncodePrivateKey;
use rcgen::{CertificateParams, Issuer, KeyPair};

use crate::config::Certificate;

/// Certificate and key, DER.
type Identity = (Vec<u8>, Vec<u8>);

static IDENTITIES: LazyLock<[Identity; 2]> = LazyLock::new(|| [p256_key(), ed25519_key(2)].map(certified));

/// One on P-256, and one of Ed25519.
pub(crate) fn certificates() -> Vec<Certificate> {
    let load = |(certificate, key): &Identity| Certificate {
        name: NAME.into(),
        chain: vec![certificate.clone()],
        key: PrivateKey::from_der(key).expect("a good key"),
        names: vec![NAME.into()],
    };
    IDENTITIES.iter().map(load).collect()
}

const NAME: &str = "a.test";

fn certified(key: Vec<u8>) -> Identity {
    let pair = KeyPair::try_from(key.as_slice()).expect("a good key");
    let issuer_key = KeyPair::try_from(ed25519_key(3).as_slice()).expect("a good key");
    let names = CertificateParams::new([NAME.to_owned()]).expect("a good name");
    let issuer = Issuer::new(CertificateParams::default(), issuer_key);
    let certificate = names.signed_by(&pair, &issuer).expect("a certificate can be made");
    (certificate.der().to_vec(), key)
}

fn p256_key() -> Vec<u8> {
    let key = p256::SecretKey::from_slice(&[1; 32]).expect("a scalar below the order");
    key.to_pkcs8_der().expect("a key can be written").as_bytes().to_vec()
}

/// RFC 8410 section 7: version, algorithm, and the seed in an octet string in another.
fn ed25519_key(seed: u8) -> Vec<u8> {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    [&head[..], &[seed; 32]].concat()
}
