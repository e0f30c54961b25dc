//! Key schedules: TLS 1.3's as a chain of types (RFC 8446 section 7.1), TLS 1.2's key block.
//!
//! Each type is one box of the drawing in section 7.1, made from the one above and consumed by the one
//! below. All secrets are wiped when dropped.

use levee_crypto::{AeadKey, Algorithm, Digest, Hash, HmacKey, SecretDigest, hkdf_extract, hmac, prf_tls12};
use zeroize::Zeroize;

use crate::suite::Suite;

/// A key and the nonce base of one direction.
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
        let binder = TrafficSecret::derive(&early, b"res binder", &empty);
        let derived = TrafficSecret::derive(&early, b"derived", &empty);
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
        Self { hash, secret: hkdf_extract(hash, derived_early_secret(hash), shared) }
    }

    /// The handshake traffic secrets of client and server, of the transcript up to ServerHello.
    pub(crate) fn traffic(&self, server_hello: &[u8]) -> [TrafficSecret; 2] {
        let key = HmacKey::new(self.hash, &self.secret);
        [&b"c hs traffic"[..], b"s hs traffic"].map(|label| TrafficSecret::derive(&key, label, server_hello))
    }

    /// The Master Secret.
    pub(crate) fn master(self) -> MasterSecret {
        let key = HmacKey::new(self.hash, &self.secret);
        let derived = TrafficSecret::derive(&key, b"derived", &self.hash.digest(&[]));
        let zeros = [0; 48];
        let zeros = zeros.get(..self.hash.len()).unwrap_or_default();
        MasterSecret { hash: self.hash, secret: hkdf_extract(self.hash, &derived.secret, zeros) }
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
        let key = HmacKey::new(self.hash, &self.secret);
        [&b"c ap traffic"[..], b"s ap traffic"].map(|label| TrafficSecret::derive(&key, label, finished))
    }

    /// resumption_master_secret, of the transcript up to the client's Finished.
    pub(crate) fn resumption(&self, finished: &[u8]) -> ResumptionSecret {
        let key = HmacKey::new(self.hash, &self.secret);
        ResumptionSecret(TrafficSecret::derive(&key, b"res master", finished))
    }
}

/// The resumption master secret: what the keys of tickets come from.
pub(crate) struct ResumptionSecret(TrafficSecret);

impl ResumptionSecret {
    /// The key of the ticket with `nonce` (RFC 8446 section 4.6.1).
    pub(crate) fn ticket(&self, nonce: &[u8]) -> PreSharedKey {
        PreSharedKey::new(self.0.hash, &TrafficSecret::derive(&self.0.key(), b"resumption", nonce).secret)
    }
}

/// A traffic secret of one direction.
pub(crate) struct TrafficSecret {
    hash: Hash,
    secret: SecretDigest,
}

impl TrafficSecret {
    fn derive(key: &HmacKey, label: &[u8], context: &[u8]) -> Self {
        let mut secret = SecretDigest::zero(key.hash());
        expand_label(key, label, context, secret.as_mut());
        Self { hash: key.hash(), secret }
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
        let secret = self.key();
        let mut bytes = [0; 32];
        let key = bytes.get_mut(..algorithm.key_len())?;
        expand_label(&secret, b"key", &[], key);
        let key = AeadKey::new(algorithm, key);
        bytes.zeroize();
        let mut iv = [0; 12];
        expand_label(&secret, b"iv", &[], &mut iv);
        Some(Keys { key: key?, iv })
    }

    /// The verify_data of a Finished over `transcript` (RFC 8446 section 4.4.4).
    pub(crate) fn finished(&self, transcript: &[u8]) -> Digest {
        hmac(self.hash, &self.finished_key(), &[transcript])
    }

    fn finished_key(&self) -> SecretDigest {
        let mut key = SecretDigest::zero(self.hash);
        expand_label(&self.key(), b"finished", &[], key.as_mut());
        key
    }

    /// The secret after a KeyUpdate (RFC 8446 section 7.2).
    pub(crate) fn next(&self) -> Self {
        Self::derive(&self.key(), b"traffic upd", &[])
    }
}

/// HKDF-Expand-Label (RFC 8446 section 7.1).
fn expand_label(secret: &HmacKey, label: &[u8], context: &[u8], out: &mut [u8]) {
    let byte = |n: usize| u8::try_from(n).unwrap_or_default();
    let header = [0, byte(out.len()), byte(PREFIX.len() + label.len())];
    secret.expand(&[&header, PREFIX, label, &[byte(context.len())], context], out);
}

const PREFIX: &[u8] = b"tls13 ";

/// Derive-Secret(Early Secret, "derived", "") without a pre-shared key: a constant of the hash.
const fn derived_early_secret(hash: Hash) -> &'static [u8] {
    match hash {
        Hash::Sha256 => &DERIVED_EARLY_SHA256,
        Hash::Sha384 => &DERIVED_EARLY_SHA384,
    }
}

const DERIVED_EARLY_SHA256: [u8; 32] = [
    0x6f, 0x26, 0x15, 0xa1, 0x08, 0xc7, 0x02, 0xc5, 0x67, 0x8f, 0x54, 0xfc, 0x9d, 0xba, 0xb6, 0x97, 0x16,
    0xc0, 0x76, 0x18, 0x9c, 0x48, 0x25, 0x0c, 0xeb, 0xea, 0xc3, 0x57, 0x6c, 0x36, 0x11, 0xba,
];

const DERIVED_EARLY_SHA384: [u8; 48] = [
    0x15, 0x91, 0xda, 0xc5, 0xcb, 0xbf, 0x03, 0x30, 0xa4, 0xa8, 0x4d, 0xe9, 0xc7, 0x53, 0x33, 0x0e, 0x92,
    0xd0, 0x1f, 0x0a, 0x88, 0x21, 0x4b, 0x44, 0x64, 0x97, 0x2f, 0xd6, 0x68, 0x04, 0x9e, 0x93, 0xe5, 0x2f,
    0x2b, 0x16, 0xfa, 0xd9, 0x22, 0xfd, 0xc0, 0x58, 0x44, 0x78, 0x42, 0x8f, 0x28, 0x2b,
];

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
        let mut bytes = [0; 48];
        prf_tls12(hash, premaster, b"extended master secret", &[session_hash], &mut bytes);
        Self { hash, bytes }
    }

    /// RFC 5246 section 8.1: from the randoms, for a client that does not offer the extension.
    pub(crate) fn plain(hash: Hash, premaster: &[u8], client: &[u8; 32], server: &[u8; 32]) -> Self {
        let mut bytes = [0; 48];
        prf_tls12(hash, premaster, b"master secret", &[client, server], &mut bytes);
        Self { hash, bytes }
    }

    /// The bytes, for the key log.
    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The keys of client and server (RFC 5246 section 6.3; RFC 5288 section 3; RFC 7905 section 2).
    pub(crate) fn keys(&self, suite: Suite, client: &[u8; 32], server: &[u8; 32]) -> Option<[Keys; 2]> {
        let algorithm = suite.algorithm();
        let (key_len, iv_len) = (algorithm.key_len(), fixed_iv_len(algorithm));
        let mut block = [0; 2 * (32 + 12)];
        let wanted = block.get_mut(..2 * (key_len + iv_len))?;
        prf_tls12(self.hash, &self.bytes, b"key expansion", &[server, client], wanted);
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
        prf_tls12(self.hash, &self.bytes, label, &[transcript], &mut data);
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
