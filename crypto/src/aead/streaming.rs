//! One AEAD operation over bytes that come in pieces of any length: `Keystream` and `Authenticator`.
//!
//! AES-CTR with GHASH (NIST SP 800-38D) and ChaCha20 with Poly1305 (RFC 8439 section 2.8), composed from
//! the RustCrypto primitives, which take AES-NI, VAES, PCLMULQDQ and AVX2 where the CPU has them and are
//! constant time with and without. States are wiped when dropped.

use aes::{Aes128, Aes256};
use chacha20::ChaCha20;
use ctr::cipher::consts::U16;
use ctr::cipher::{
    BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, KeyIvInit, StreamCipher, StreamCipherCoreWrapper,
};
use ctr::flavors::Ctr32BE;
use ctr::{Ctr32BE as Ctr, CtrCore};
use ghash::GHash;
use poly1305::Poly1305;
use universal_hash::UniversalHash;
use zeroize::Zeroize;

use super::{AeadKey, Algorithm, TAG_LEN};

/// A block of AES, GHASH and Poly1305 alike.
type Block = universal_hash::Block<GHash>;

/// Both halves of an operation under `key`, at the first byte of the text. `None` never, since the
/// lengths are those of the algorithm.
pub(super) fn start(key: &AeadKey, nonce: [u8; 12], aad: &[u8]) -> Option<(Keystream, Authenticator)> {
    let (keystream, hash, mask) = match key.algorithm() {
        Algorithm::Aes128Gcm => {
            let (stream, hash, mask) = gcm::<Aes128>(key.bytes(), nonce)?;
            (Keystream::Aes128(stream), hash, mask)
        }
        Algorithm::Aes256Gcm => {
            let (stream, hash, mask) = gcm::<Aes256>(key.bytes(), nonce)?;
            (Keystream::Aes256(stream), hash, mask)
        }
        Algorithm::ChaCha20Poly1305 => {
            let (stream, hash) = chacha20_poly1305(key.bytes(), nonce)?;
            (Keystream::ChaCha20(stream), hash, Block::default())
        }
    };
    let mut authenticator = Authenticator { hash, mask, aad_len: 0, text_len: 0, partial: Block::default() };
    authenticator.update(aad);
    authenticator.pad();
    authenticator.aad_len = std::mem::take(&mut authenticator.text_len);
    Some((keystream, authenticator))
}

/// The keystream from the next byte on.
pub(super) enum Keystream {
    Aes128(Ctr<Aes128>),
    Aes256(Ctr<Aes256>),
    ChaCha20(ChaCha20),
}

impl Keystream {
    /// Encrypts or decrypts the next bytes.
    pub(super) fn apply(&mut self, piece: &mut [u8]) {
        match self {
            Self::Aes128(stream) => stream.apply_keystream(piece),
            Self::Aes256(stream) => stream.apply_keystream(piece),
            Self::ChaCha20(stream) => stream.apply_keystream(piece),
        }
    }
}

/// The hash of additional data and of the ciphertext so far.
pub(super) struct Authenticator {
    hash: Hash,
    /// Added to the hash to make the tag (GCM: the first block of keystream).
    mask: Block,
    aad_len: usize,
    text_len: usize,
    /// The bytes behind the last whole block, as many as `text_len` leaves.
    partial: Block,
}

#[expect(clippy::large_enum_variant, reason = "lives on the stack for one operation")]
enum Hash {
    Ghash(GHash),
    Poly1305(Poly1305),
}

impl Authenticator {
    /// Takes the next bytes of ciphertext.
    pub(super) fn update(&mut self, mut piece: &[u8]) {
        let held = self.held();
        self.text_len += piece.len();
        if held > 0 {
            let (head, rest) = piece.split_at(piece.len().min(TAG_LEN - held));
            self.partial[held..held + head.len()].copy_from_slice(head);
            if held + head.len() < TAG_LEN {
                return;
            }
            piece = rest;
            self.hash.update(&[self.partial]);
        }
        let (blocks, rest) = Block::slice_as_chunks(piece);
        self.hash.update(blocks);
        self.partial[..rest.len()].copy_from_slice(rest);
    }

    /// The tag of all that was taken.
    pub(super) fn tag(mut self) -> [u8; TAG_LEN] {
        self.pad();
        let mut lengths = Block::default();
        let (first, second) = lengths.split_at_mut(8);
        let (aad_len, text_len) = (self.aad_len as u64, self.text_len as u64);
        let tag = match self.hash {
            Hash::Ghash(mut hash) => {
                // SP 800-38D section 7.1: the lengths are in bits, big-endian.
                first.copy_from_slice(&(aad_len * 8).to_be_bytes());
                second.copy_from_slice(&(text_len * 8).to_be_bytes());
                hash.update(&[lengths]);
                hash.finalize()
            }
            Hash::Poly1305(mut hash) => {
                // RFC 8439 section 2.8: the lengths are in octets, little-endian.
                first.copy_from_slice(&aad_len.to_le_bytes());
                second.copy_from_slice(&text_len.to_le_bytes());
                hash.update(&[lengths]);
                hash.finalize()
            }
        };
        let masked = std::array::from_fn(|at| tag[at] ^ self.mask[at]);
        self.mask.zeroize();
        masked
    }

    /// Bytes of `partial` in use.
    const fn held(&self) -> usize {
        self.text_len % TAG_LEN
    }

    /// Both constructions fill up additional data and text with zeros to whole blocks.
    fn pad(&mut self) {
        let held = self.held();
        if held > 0 {
            self.partial[held..].fill(0);
            self.hash.update(&[self.partial]);
        }
    }
}

impl Hash {
    fn update(&mut self, blocks: &[Block]) {
        match self {
            Self::Ghash(hash) => hash.update(blocks),
            Self::Poly1305(hash) => hash.update(blocks),
        }
    }
}

/// SP 800-38D section 7.1 with a nonce of 12 bytes: H = E(0), J0 = nonce | 1, the text begins at J0 + 1
/// and the tag is masked by E(J0).
fn gcm<A>(key: &[u8], nonce: [u8; 12]) -> Option<(Ctr<A>, Hash, Block)>
where
    A: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
{
    let aes = A::new_from_slice(key).ok()?;
    let mut h = Block::default();
    aes.encrypt_block(&mut h);
    let hash = GHash::new(&h);
    h.zeroize();
    let mut first = Block::default();
    first[..12].copy_from_slice(&nonce);
    first[15] = 1;
    let core = CtrCore::<A, Ctr32BE>::inner_iv_init(aes, &first);
    let mut stream = StreamCipherCoreWrapper::from_core(core);
    let mut mask = Block::default();
    stream.apply_keystream(&mut mask);
    Some((stream, Hash::Ghash(hash), mask))
}

/// RFC 8439 section 2.6: the one-time key is the first half of block 0; the text begins at block 1.
fn chacha20_poly1305(key: &[u8], nonce: [u8; 12]) -> Option<(ChaCha20, Hash)> {
    let mut stream = ChaCha20::new_from_slices(key, &nonce).ok()?;
    let mut block = [0; 64];
    stream.apply_keystream(&mut block);
    let hash = Poly1305::new_from_slice(&block[..32]).ok()?;
    block.zeroize();
    Some((stream, Hash::Poly1305(hash)))
}
