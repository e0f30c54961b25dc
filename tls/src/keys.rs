//! Key schedules: TLS 1.3's as a chain of types (RFC 8446 section 7.1), TLS 1.2's key block.
//!
//! Each type is one box of the drawing in section 7.1, made from the one above and consumed by the one
//! below. All secrets are wiped when dropped.

use std::sync::LazyLock;

use levee_crypto::{
    AeadKey, Algorithm, Digest, Hash, HmacKey, Label, SecretDigest, hkdf_extract, hmac, prf_tls12,
};
use zeroize::Zeroize;

use crate::suite::Suite;

/// A key and the nonce base of one direction.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) key: AeadKey,
    pub(crate) iv: [u8; 12],
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.iv.zeroize();
    }
}

/// A pre-shared key of an earlier connection, as far as it can be worked on without the new one.
pub(crate) struct PreSharedKey {
    hash: Hash,
    /// The finished_key of the binder key.
    binder: SecretDigest,
    /// Derive-Secret(Early Secret, "derived", "").
    derived: SecretDigest,
}

impl PreSharedKey {
    fn new(hash: Hash, psk: &[u8]) -> Self {
        let (early, empty) = (HmacKey::new(hash, &hkdf_extract(hash, &[], psk)), hash.digest(&[]));
        let binder = TrafficSecret::derive(&early, &Label::new(b"res binder"), &empty);
        let derived = TrafficSecret::derive(&early, &DERIVED, &empty);
        Self { hash, binder: binder.finished_key(), derived: derived.secret }
    }

    pub(crate) const fn hash(&self) -> Hash {
        self.hash
    }

    /// The binder over the `transcript` up to the truncated ClientHello (RFC 8446 section 4.2.11.2).
    pub(crate) fn binder(&self, transcript: &[u8]) -> Digest {
        hmac(self.hash, &self.binder, &[transcript])
    }

    /// The Handshake Secret with the agreed secret of the new connection.
    pub(crate) fn handshake(&self, shared: &[u8]) -> HandshakeSecret {
        HandshakeSecret { hash: self.hash, secret: hkdf_extract(self.hash, &self.derived, shared) }
    }
}

/// The Handshake Secret, between the two it gives.
pub(crate) struct HandshakeSecret {
    hash: Hash,
    secret: SecretDigest,
}

impl HandshakeSecret {
    /// From the agreed secret of a handshake without a pre-shared key.
    pub(crate) fn new(hash: Hash, shared: &[u8]) -> Self {
        let derived = match hash {
            Hash::Sha256 => &DERIVED_EARLY[0],
            Hash::Sha384 => &DERIVED_EARLY[1],
        };
        Self { hash, secret: derived.code(&[shared]) }
    }

    /// The handshake traffic secrets of client and server, of the transcript up to ServerHello.
    pub(crate) fn traffic(&self, server_hello: &[u8]) -> [TrafficSecret; 2] {
        self.key().traffic(server_hello)
    }

    /// The Master Secret.
    pub(crate) fn master(self) -> MasterSecret {
        self.key().master()
    }

    /// The secret as a key, for who wants both.
    pub(crate) fn key(&self) -> HandshakeKey {
        HandshakeKey(HmacKey::new(self.hash, &self.secret))
    }
}

/// The Handshake Secret as a key.
pub(crate) struct HandshakeKey(HmacKey);

impl HandshakeKey {
    /// As [`HandshakeSecret::traffic`].
    pub(crate) fn traffic(&self, server_hello: &[u8]) -> [TrafficSecret; 2] {
        const CLIENT: Label = Label::new(b"c hs traffic");
        const SERVER: Label = Label::new(b"s hs traffic");
        TrafficSecret::both(&self.0, [&CLIENT, &SERVER], server_hello)
    }

    /// As [`HandshakeSecret::master`].
    pub(crate) fn master(self) -> MasterSecret {
        let hash = self.0.hash();
        let derived = TrafficSecret::derive(&self.0, &DERIVED, empty_digest(hash));
        let zeros = [0; 48];
        let zeros = zeros.get(..hash.len()).unwrap_or_default();
        MasterSecret { hash, secret: hkdf_extract(hash, &derived.secret, zeros) }
    }
}

/// The Master Secret.
pub(crate) struct MasterSecret {
    hash: Hash,
    secret: SecretDigest,
}

impl MasterSecret {
    /// The first application traffic secrets of client and server, of the transcript up to the server's
    /// Finished.
    pub(crate) fn traffic(&self, finished: &[u8]) -> [TrafficSecret; 2] {
        const CLIENT: Label = Label::new(b"c ap traffic");
        const SERVER: Label = Label::new(b"s ap traffic");
        let key = HmacKey::new(self.hash, &self.secret);
        TrafficSecret::both(&key, [&CLIENT, &SERVER], finished)
    }

    /// resumption_master_secret, of the transcript up to the client's Finished.
    pub(crate) fn resumption(&self, finished: &[u8]) -> ResumptionSecret {
        let key = HmacKey::new(self.hash, &self.secret);
        ResumptionSecret(TrafficSecret::derive(&key, &Label::new(b"res master"), finished))
    }
}

/// The resumption master secret: what the keys of tickets come from.
pub(crate) struct ResumptionSecret(TrafficSecret);

impl ResumptionSecret {
    /// The key of the ticket with `nonce` (RFC 8446 section 4.6.1).
    pub(crate) fn ticket(&self, nonce: &[u8]) -> PreSharedKey {
        PreSharedKey::new(
            self.0.hash,
            &TrafficSecret::derive(&self.0.key(), &Label::new(b"resumption"), nonce).secret,
        )
    }
}

/// A traffic secret of one direction.
pub(crate) struct TrafficSecret {
    hash: Hash,
    secret: SecretDigest,
}

impl TrafficSecret {
    fn derive(key: &HmacKey, label: &Label, context: &[u8]) -> Self {
        let mut secret = SecretDigest::zero(key.hash());
        key.expand_label(label, context, secret.as_mut());
        Self { hash: key.hash(), secret }
    }

    /// Those of both directions.
    fn both(key: &HmacKey, labels: [&Label; 2], context: &[u8]) -> [Self; 2] {
        let hash = key.hash();
        let (mut client, mut server) = (SecretDigest::zero(hash), SecretDigest::zero(hash));
        HmacKey::expand_labels([key; 2], labels, context, [client.as_mut(), server.as_mut()]);
        [client, server].map(|secret| Self { hash, secret })
    }

    fn key(&self) -> HmacKey {
        HmacKey::new(self.hash, &self.secret)
    }

    /// The bytes, for the key log.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.secret
    }

    /// The keys of records (RFC 8446 section 7.3).
    pub(crate) fn keys(&self, algorithm: Algorithm) -> Option<Keys> {
        record_keys(&self.key(), algorithm)
    }

    /// Of both directions of a handshake: the keys of records, and the finished_key (RFC 8446 section 4.4.4).
    pub(crate) fn handshake_keys(both: [&Self; 2], algorithm: Algorithm) -> Option<[(Keys, FinishedKey); 2]> {
        let [client, server] = both.map(Self::key);
        let [client_finished, server_finished] = FinishedKey::both([&client, &server]);
        let client = (record_keys(&client, algorithm)?, client_finished);
        Some([client, (record_keys(&server, algorithm)?, server_finished)])
    }

    /// The verify_data of a Finished over `transcript` (RFC 8446 section 4.4.4).
    pub(crate) fn finished(&self, transcript: &[u8]) -> Digest {
        FinishedKey::new(&self.key()).verify_data(transcript)
    }

    fn finished_key(&self) -> SecretDigest {
        FinishedKey::new(&self.key()).0
    }

    /// The secret after a KeyUpdate (RFC 8446 section 7.2).
    pub(crate) fn next(&self) -> Self {
        Self::derive(&self.key(), &Label::new(b"traffic upd"), &[])
    }
}

fn record_keys(secret: &HmacKey, algorithm: Algorithm) -> Option<Keys> {
    const KEY: Label = Label::new(b"key");
    const IV: Label = Label::new(b"iv");
    let (mut bytes, mut iv) = ([0; 32], [0; 12]);
    let key = bytes.get_mut(..algorithm.key_len())?;
    HmacKey::expand_labels([secret; 2], [&KEY, &IV], &[], [&mut *key, &mut iv]);
    let key = AeadKey::new(algorithm, key);
    bytes.zeroize();
    Some(Keys { key: key?, iv })
}

/// The finished_key of one side.
pub(crate) struct FinishedKey(SecretDigest);

impl FinishedKey {
    fn new(secret: &HmacKey) -> Self {
        let mut key = SecretDigest::zero(secret.hash());
        secret.expand_label(&FINISHED, &[], key.as_mut());
        Self(key)
    }

    fn both(secrets: [&HmacKey; 2]) -> [Self; 2] {
        let [mut client, mut server] = secrets.map(|secret| SecretDigest::zero(secret.hash()));
        HmacKey::expand_labels(secrets, [&FINISHED; 2], &[], [client.as_mut(), server.as_mut()]);
        [Self(client), Self(server)]
    }

    /// The verify_data of a Finished over `transcript`.
    pub(crate) fn verify_data(&self, transcript: &[u8]) -> Digest {
        hmac(self.0.hash(), &self.0, &[transcript])
    }
}

const FINISHED: Label = Label::new(b"finished");

const DERIVED: Label = Label::new(b"derived");

/// Transcript-Hash("").
const fn empty_digest(hash: Hash) -> &'static [u8] {
    match hash {
        Hash::Sha256 => &EMPTY_SHA256,
        Hash::Sha384 => &EMPTY_SHA384,
    }
}

const EMPTY_SHA256: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

const EMPTY_SHA384: [u8; 48] = [
    0x38, 0xb0, 0x60, 0xa7, 0x51, 0xac, 0x96, 0x38, 0x4c, 0xd9, 0x32, 0x7e, 0xb1, 0xb1, 0xe3, 0x6a, 0x21,
    0xfd, 0xb7, 0x11, 0x14, 0xbe, 0x07, 0x43, 0x4c, 0x0c, 0xc7, 0xbf, 0x63, 0xf6, 0xe1, 0xda, 0x27, 0x4e,
    0xde, 0xbf, 0xe7, 0x6f, 0x65, 0xfb, 0xd5, 0x1a, 0xd2, 0xf1, 0x48, 0x98, 0xb9, 0x5b,
];

/// As keys, by hash: Derive-Secret(Early Secret, "derived", "") without a pre-shared key.
static DERIVED_EARLY: LazyLock<[HmacKey; 2]> = LazyLock::new(|| {
    [Hash::Sha256, Hash::Sha384].map(|hash| {
        let zeros = [0; 48];
        let early = hkdf_extract(hash, &[], zeros.get(..hash.len()).unwrap_or_default());
        let early = HmacKey::new(hash, &early);
        HmacKey::new(hash, &TrafficSecret::derive(&early, &DERIVED, empty_digest(hash)).secret)
    })
});

/// The master secret of TLS 1.2 (RFC 5246 section 8.1); wiped when dropped.
#[derive(Clone)]
pub(crate) struct MasterSecret12 {
    hash: Hash,
    bytes: [u8; 48],
}

impl Drop for MasterSecret12 {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl MasterSecret12 {
    /// RFC 7627 section 4: from the hash of the messages up to ClientKeyExchange.
    pub(crate) fn extended(hash: Hash, premaster: &[u8], session_hash: &Digest) -> Self {
        Self::derive(hash, premaster, b"extended master secret", &[session_hash])
    }

    /// RFC 5246 section 8.1: from the randoms, for a client that does not offer the extension.
    pub(crate) fn plain(hash: Hash, premaster: &[u8], client: &[u8; 32], server: &[u8; 32]) -> Self {
        Self::derive(hash, premaster, b"master secret", &[client, server])
    }

    fn derive(hash: Hash, premaster: &[u8], label: &[u8], seed: &[&[u8]]) -> Self {
        let mut bytes = [0; 48];
        prf_tls12(&HmacKey::new(hash, premaster), label, seed, &mut bytes);
        Self { hash, bytes }
    }

    /// The bytes, for the key log.
    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The secret as a key of the PRF.
    pub(crate) fn prf(&self) -> Prf12 {
        Prf12(HmacKey::new(self.hash, &self.bytes))
    }
}

/// The PRF of TLS 1.2 under a master secret.
pub(crate) struct Prf12(HmacKey);

impl Prf12 {
    /// The keys of client and server (RFC 5246 section 6.3; RFC 5288 section 3; RFC 7905 section 2).
    pub(crate) fn keys(&self, suite: Suite, client: &[u8; 32], server: &[u8; 32]) -> Option<[Keys; 2]> {
        let algorithm = suite.algorithm();
        let (key_len, iv_len) = (algorithm.key_len(), fixed_iv_len(algorithm));
        let mut block = [0; 2 * (32 + 12)];
        let wanted = block.get_mut(..2 * (key_len + iv_len))?;
        prf_tls12(&self.0, b"key expansion", &[server, client], wanted);
        let (keys, ivs) = wanted.split_at(2 * key_len);
        let ((key_c, key_s), (iv_c, iv_s)) = (keys.split_at(key_len), ivs.split_at(iv_len));
        let side = |key: &[u8], fixed: &[u8]| {
            let mut iv = [0; 12];
            iv.get_mut(..fixed.len())?.copy_from_slice(fixed);
            Some(Keys { key: AeadKey::new(algorithm, key)?, iv })
        };
        let both = side(key_c, iv_c).zip(side(key_s, iv_s));
        block.zeroize();
        both.map(|(client, server)| [client, server])
    }

    /// The client's verify_data (RFC 5246 section 7.4.9).
    pub(crate) fn client_finished(&self, transcript: &Digest) -> [u8; 12] {
        self.verify_data(b"client finished", transcript)
    }

    /// The server's verify_data.
    pub(crate) fn server_finished(&self, transcript: &Digest) -> [u8; 12] {
        self.verify_data(b"server finished", transcript)
    }

    fn verify_data(&self, label: &[u8], transcript: &Digest) -> [u8; 12] {
        let mut data = [0; 12];
        prf_tls12(&self.0, label, &[transcript], &mut data);
        data
    }
}

const fn fixed_iv_len(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Aes128Gcm | Algorithm::Aes256Gcm => 4,
        Algorithm::ChaCha20Poly1305 => 12,
    }
}

#[cfg(test)]
mod tests;
