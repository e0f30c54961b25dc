use aes_gcm::aead::{Aead as _, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use hex_literal::hex;
use levee_buf::{Chain, Heap, HeapChain, Pieces};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Aes128Gcm, Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305];

/// An engine with one session, the memory of its operations, and a seeded source of cases.
struct Bench {
    aead: SoftwareAead,
    memory: Heap,
    rng: ChaCha8Rng,
}

impl Bench {
    fn new(seed: u64) -> Self {
        Self { aead: SoftwareAead::new(2), memory: Heap::new(10_000), rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.rng.next_u32() as usize % limit
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// `bytes` cut at random places into one to twelve pieces, some of them tiny.
    fn scatter(&mut self, bytes: &[u8]) -> HeapChain {
        let mut chain = HeapChain::default();
        let mut rest = bytes;
        for _ in 0..self.below(12) {
            let limit = if self.below(2) == 0 { 20 } else { rest.len() };
            let (head, tail) = rest.split_at(self.below(limit + 1).min(rest.len()));
            if !head.is_empty() {
                chain.append(self.memory.chain(head));
            }
            rest = tail;
        }
        chain.append(self.memory.chain(rest));
        chain
    }

    fn session(&mut self, key: &AeadKey) -> SessionId {
        Aead::<Heap>::open_session(&mut self.aead, key).unwrap()
    }

    fn run(&mut self, operation: Operation<HeapChain>) -> Finished<HeapChain> {
        match Aead::<Heap>::submit(&mut self.aead, Token(1), operation) {
            Answer::Now(finished) => finished,
            _ => panic!("software answers at once"),
        }
    }
}

/// What the whole-message crates say, ciphertext and tag.
fn oracle(key: &AeadKey, nonce: [u8; 12], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: plain, aad };
    let nonce = &nonce.into();
    match key.algorithm() {
        Algorithm::Aes128Gcm => {
            Aes128Gcm::new_from_slice(key.bytes()).unwrap().encrypt(nonce, payload).unwrap()
        }
        Algorithm::Aes256Gcm => {
            Aes256Gcm::new_from_slice(key.bytes()).unwrap().encrypt(nonce, payload).unwrap()
        }
        Algorithm::ChaCha20Poly1305 => {
            ChaCha20Poly1305::new_from_slice(key.bytes()).unwrap().encrypt(nonce, payload).unwrap()
        }
    }
}

/// Seals `plain` by the streaming composition alone, in pieces of `step`.
fn stream(
    algorithm: Algorithm,
    key: &[u8],
    nonce: [u8; 12],
    aad: &[u8],
    plain: &[u8],
    step: usize,
) -> Vec<u8> {
    let key = AeadKey::new(algorithm, key).unwrap();
    let (mut keystream, mut authenticator) = streaming::start(&key, nonce, aad).unwrap();
    let mut sealed = plain.to_vec();
    for piece in sealed.chunks_mut(step) {
        keystream.apply(piece);
        authenticator.update(piece);
    }
    sealed.extend(authenticator.tag());
    sealed
}

/// Test cases 1 to 4 (AES-128) and 13 to 16 (AES-256) of the GCM specification, with 96-bit nonces.
#[test]
fn gcm_of_the_specification() {
    let key = hex!("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    let nonce = hex!("cafebabefacedbaddecaf888");
    let aad = hex!("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let plain = hex!(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
    );
    let aes128 = hex!(
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
        "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985"
    );
    let aes256 = hex!(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
    );
    for step in [1, 7, 15, 16, 17, 33, 64] {
        let check = |algorithm, key: &[u8], nonce, aad: &[u8], plain: &[u8], cipher: &[u8], tag: [u8; 16]| {
            assert_eq!(stream(algorithm, key, nonce, aad, plain, step), [cipher, &tag].concat());
        };
        use Algorithm::{Aes128Gcm, Aes256Gcm};
        let (zero, iv) = ([0; 32], [0; 12]);
        check(Aes128Gcm, &zero[..16], iv, &[], &[], &[], hex!("58e2fccefa7e3061367f1d57a4e7455a"));
        let cipher = hex!("0388dace60b6a392f328c2b971b2fe78");
        let tag = hex!("ab6e47d42cec13bdf53a67b21257bddf");
        check(Aes128Gcm, &zero[..16], iv, &[], &[0; 16], &cipher, tag);
        let tag = hex!("4d5c2af327cd64a62cf35abd2ba6fab4");
        check(Aes128Gcm, &key[..16], nonce, &[], &plain, &aes128, tag);
        let tag = hex!("5bc94fbc3221a5db94fae95ae7121a47");
        check(Aes128Gcm, &key[..16], nonce, &aad, &plain[..60], &aes128[..60], tag);

        check(Aes256Gcm, &zero, iv, &[], &[], &[], hex!("530f8afbc74536b9a963b4f1c4cb738b"));
        let cipher = hex!("cea7403d4d606b6e074ec5d3baf39d18");
        let tag = hex!("d0d1c8a799996bf0265b98b5d48ab919");
        check(Aes256Gcm, &zero, iv, &[], &[0; 16], &cipher, tag);
        let tag = hex!("b094dac5d93471bdec1a502270e3cc6c");
        check(Aes256Gcm, &key, nonce, &[], &plain, &aes256, tag);
        let tag = hex!("76fc6ece0f4e1768cddf8853bb2d551b");
        check(Aes256Gcm, &key, nonce, &aad, &plain[..60], &aes256[..60], tag);
    }
}

#[test]
fn chacha20_poly1305_of_rfc_8439() {
    let key: Vec<u8> = (0x80..=0x9f).collect();
    let nonce = hex!("070000004041424344454647");
    let aad = hex!("50515253c0c1c2c3c4c5c6c7");
    let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
        future, sunscreen would be it.";
    let sealed = hex!(
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
        "3ff4def08e4b7a9de576d26586cec64b6116"
        "1ae10b594f09e26a7e902ecbd0600691"
    );
    for step in [1, 7, 15, 16, 17, 33, 63, 64, 65, 114] {
        assert_eq!(stream(Algorithm::ChaCha20Poly1305, &key, nonce, &aad, plain, step), sealed);
    }
}

/// In place and out of place, whole and in pieces, all the same bytes as the oracle; and back.
#[test]
fn every_split_gives_the_bytes_of_the_oracle() {
    let mut bench = Bench::new(1);
    let lengths = [0, 1, 15, 16, 17, 63, 64, 65, 255, 1000, 1460, 2048, 5000, 16_384];
    for case in 0..600 {
        let algorithm = ALGORITHMS[case % 3];
        let key = AeadKey::new(algorithm, &bench.bytes(algorithm.key_len())).unwrap();
        let session = bench.session(&key);
        let len = match lengths.get(case / 3) {
            Some(&len) => len,
            None => bench.below(3000),
        };
        let plain = bench.bytes(len);
        let mut nonce = [0; 12];
        bench.rng.fill_bytes(&mut nonce);
        let aad = if case % 2 == 0 { Aad::tls13([23, 3, 3, 0, 9]) } else { Aad::tls12([7; 13]) };
        let sealed = oracle(&key, nonce, aad.bytes(), &plain);

        let before = bench.below(40);
        let after = bench.below(40);
        let at = before..before + len + TAG_LEN;
        let framed = |middle: &[u8]| [&vec![0xbe; before][..], middle, &vec![0xaf; after][..]].concat();

        let text = bench.scatter(&framed(&[&plain[..], &[0; TAG_LEN]].concat()));
        let operation =
            Operation { session, direction: Direction::Seal, nonce, aad, text, at: at.clone(), into: None };
        let finished = bench.run(operation);
        assert!(finished.is_done() && finished.direction == Direction::Seal);
        assert_eq!(finished.text.to_vec(), framed(&sealed), "in place, case {case}");

        let text = bench.scatter(&framed(&sealed));
        let operation = Operation { session, direction: Direction::Open, nonce, aad, text, at, into: None };
        let finished = bench.run(operation);
        assert!(finished.is_done() && finished.direction == Direction::Open);
        let opened = finished.text.to_vec();
        assert_eq!(opened[before..before + len], plain, "opened, case {case}");
        assert!(opened[..before].iter().all(|&byte| byte == 0xbe));
        assert!(opened[before + len + TAG_LEN..].iter().all(|&byte| byte == 0xaf));

        let text = bench.scatter(&plain);
        let mut into = bench.memory.alloc(5 + len + TAG_LEN).unwrap();
        into.extend(5).unwrap().copy_from_slice(b"heads");
        let operation =
            Operation { session, direction: Direction::Seal, nonce, aad, text, at: 0..0, into: Some(into) };
        let finished = bench.run(operation);
        assert!(finished.is_done());
        assert_eq!(finished.text.to_vec(), [b"heads", &sealed[..]].concat(), "out of place, case {case}");
        assert_eq!(finished.text.segments(), 1);

        Aead::<Heap>::close_session(&mut bench.aead, session);
    }
    assert_eq!(bench.memory.in_use(), 0);
}

/// Without a session: the bytes of the oracle, whatever the split, and back; not when a bit is turned.
#[test]
fn a_key_in_hand_gives_the_bytes_of_the_oracle() {
    let mut bench = Bench::new(8);
    for case in 0..300 {
        let algorithm = ALGORITHMS[case % 3];
        let key = AeadKey::new(algorithm, &bench.bytes(algorithm.key_len())).unwrap();
        let (nonce, aad) = ([case.to_le_bytes()[0]; 12], Aad::tls13([22, 3, 3, 1, 0]));
        let len = bench.below(1200);
        let plain = bench.bytes(len);
        let sealed = oracle(&key, nonce, aad.bytes(), &plain);
        let whole = |middle: &[u8]| [b"before", middle, b"after"].concat();
        let at = 6..6 + len + TAG_LEN;

        let mut text = bench.scatter(&whole(&[&plain[..], &[0; TAG_LEN]].concat()));
        assert!(key.once(Direction::Seal, nonce, aad, &mut text, at.clone()));
        assert_eq!(text.to_vec(), whole(&sealed));
        assert!(key.once(Direction::Open, nonce, aad, &mut text, at.clone()));
        assert_eq!(text.to_vec()[6..6 + len], plain);

        let mut forged = sealed;
        let turned = bench.below(forged.len());
        forged[turned] ^= 1 << bench.below(8);
        let mut text = bench.scatter(&whole(&forged));
        assert!(!key.once(Direction::Open, nonce, aad, &mut text, at));
    }
    assert_eq!(bench.aead.sessions(), 0);
}

/// The end of the plaintext and the tag in segments of their own: what a record's tail looks like when
/// the plaintext has no tailroom.
#[test]
fn a_tail_apart_is_sealed_with_the_rest() {
    let mut bench = Bench::new(5);
    for algorithm in ALGORITHMS {
        let key = AeadKey::new(algorithm, &bench.bytes(algorithm.key_len())).unwrap();
        let session = bench.session(&key);
        let plain = bench.bytes(1000);
        let (nonce, aad) = ([3; 12], Aad::tls13([23, 3, 3, 4, 0]));
        let sealed = oracle(&key, nonce, aad.bytes(), &plain);
        for tail in (0..50).chain([999, 1000]) {
            let (head, end) = plain.split_at(plain.len() - tail);
            for tag_pieces in [[16, 0], [1, 15], [7, 9]] {
                let last = [end, &vec![0; tag_pieces[0]]].concat();
                let text = bench.memory.chain_of(&[head, &last, &vec![0; tag_pieces[1]]]);
                let direction = Direction::Seal;
                let at = 0..plain.len() + TAG_LEN;
                let operation = Operation { session, direction, nonce, aad, text, at, into: None };
                let finished = bench.run(operation);
                assert!(finished.is_done());
                assert_eq!(finished.text.to_vec(), sealed, "tail {tail}");
            }
        }
        Aead::<Heap>::close_session(&mut bench.aead, session);
    }
}

/// Any bit turned in ciphertext, tag, nonce or additional data, in one piece and in several.
#[test]
fn a_forgery_is_refused() {
    let mut bench = Bench::new(2);
    for case in 0..600 {
        let algorithm = ALGORITHMS[case % 3];
        let key = AeadKey::new(algorithm, &bench.bytes(algorithm.key_len())).unwrap();
        let session = bench.session(&key);
        let len = bench.below(200);
        let plain = bench.bytes(len);
        let (mut nonce, mut header) = ([9; 12], [23, 3, 3, 0, 200]);
        let mut sealed = oracle(&key, nonce, &header, &plain);
        let flip = 1 << bench.below(8);
        match bench.below(4) {
            0 => nonce[bench.below(12)] ^= flip,
            1 => header[bench.below(5)] ^= flip,
            2 => sealed[len + bench.below(TAG_LEN)] ^= flip,
            _ => sealed[bench.below(len + TAG_LEN)] ^= flip,
        }
        let text = if case % 2 == 0 { bench.memory.chain(&sealed) } else { bench.scatter(&sealed) };
        let at = 0..sealed.len();
        let aad = Aad::tls13(header);
        let streamed = text.chunk(0).len() < len;
        let finished =
            bench.run(Operation { session, direction: Direction::Open, nonce, aad, text, at, into: None });
        assert!(!finished.is_done(), "case {case}");
        let left = finished.text.to_vec();
        assert!(len < 8 || left[..len] != plain[..], "no plaintext, case {case}");
        if streamed {
            assert_eq!(left, sealed, "pieces stay as they were, case {case}");
        }
        Aead::<Heap>::close_session(&mut bench.aead, session);
    }
}

#[test]
fn what_cannot_be_done_is_not_ok() {
    let mut bench = Bench::new(3);
    let key = AeadKey::new(Algorithm::Aes128Gcm, &[1; 16]).unwrap();
    let session = bench.session(&key);
    let aad = Aad::tls13([0; 5]);
    let operation = |session, direction, text, at| Operation {
        session,
        direction,
        nonce: [0; 12],
        aad,
        text,
        at,
        into: None,
    };
    for direction in [Direction::Seal, Direction::Open] {
        for at in [0..15, 30..45, 80..101, 0..101, 90..101, 100..130, 200..230, 100..100] {
            let text = bench.memory.chain(&[0; 100]);
            assert!(!bench.run(operation(session, direction, text, at)).is_done());
        }
        let mut text = bench.memory.chain_of(&[&[0; 50], &[0; 50]]);
        let second = bench.memory.reference(&mut text, 60..70).unwrap();
        let finished = bench.run(operation(session, direction, text, 0..100));
        assert!(!finished.is_done(), "shared bytes are not written");
        assert_eq!(finished.text.to_vec(), [0; 100], "nor those before them");
        assert_eq!(second.to_vec(), [0; 10]);

        let text = bench.memory.chain(&[0; 100]);
        assert!(!bench.run(operation(SessionId(77), direction, text, 0..100)).is_done());
    }

    let into = bench.memory.chain(&[0; 100]);
    let text = bench.memory.chain(&[0; 100]);
    let mut without_room = operation(session, Direction::Seal, text, 0..0);
    without_room.into = Some(into);
    assert!(!bench.run(without_room).is_done());
}

#[test]
fn a_closed_session_stays_closed() {
    let mut bench = Bench::new(4);
    let key = AeadKey::new(Algorithm::Aes256Gcm, &[1; 32]).unwrap();
    let seal = |bench: &mut Bench, session| {
        let text = bench.memory.chain(&[0; 40]);
        let aad = Aad::tls13([0; 5]);
        let nonce = [0; 12];
        let operation =
            Operation { session, direction: Direction::Seal, nonce, aad, text, at: 0..40, into: None };
        bench.run(operation).is_done()
    };
    let old = bench.session(&key);
    let other = bench.session(&key);
    assert_eq!(bench.aead.sessions(), 2);
    assert_eq!(Aead::<Heap>::open_session(&mut bench.aead, &key), None, "table full");

    Aead::<Heap>::close_session(&mut bench.aead, old);
    assert!(!seal(&mut bench, old));
    let fresh = bench.session(&key);
    assert_ne!(old, fresh);
    assert!(seal(&mut bench, fresh) && seal(&mut bench, other) && !seal(&mut bench, old));

    Aead::<Heap>::close_session(&mut bench.aead, old);
    assert!(seal(&mut bench, fresh), "closing a stale id does not touch its successor");
    Aead::<Heap>::close_session(&mut bench.aead, fresh);
    Aead::<Heap>::close_session(&mut bench.aead, fresh);
    assert_eq!(bench.aead.sessions(), 1, "closing twice frees once");
}

#[test]
fn an_id_does_not_come_back_soon() {
    for sessions in [1, 2, 3, 100] {
        let mut aead = SoftwareAead::new(sessions);
        let key = AeadKey::new(Algorithm::Aes128Gcm, &[1; 16]).unwrap();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let session = Aead::<Heap>::open_session(&mut aead, &key).unwrap();
            assert!(seen.insert(session));
            Aead::<Heap>::close_session(&mut aead, session);
        }
    }
    let mut none = SoftwareAead::new(0);
    let key = AeadKey::new(Algorithm::Aes128Gcm, &[1; 16]).unwrap();
    assert_eq!(Aead::<Heap>::open_session(&mut none, &key), None);
    Aead::<Heap>::close_session(&mut none, SessionId(0));
}

#[test]
fn a_key_has_the_length_of_its_algorithm() {
    for algorithm in ALGORITHMS {
        for len in [0, 15, 16, 17, 31, 32, 33] {
            let key = AeadKey::new(algorithm, &vec![7; len]);
            assert_eq!(key.is_some(), len == algorithm.key_len());
        }
    }
}
