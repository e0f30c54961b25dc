use hex_literal::hex;
use sha2::{Sha256, Sha384};

use super::*;

/// Key, data, HMAC-SHA-256 and HMAC-SHA-384.
type HmacVector = (&'static [u8], &'static [u8], [u8; 32], [u8; 48]);

/// RFC 4231 sections 4.2, 4.3, 4.7 and 4.8.
const HMAC_VECTORS: [HmacVector; 4] = [
    (
        &[0x0b; 20],
        b"Hi There",
        hex!("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        hex!(
            "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
            "faea9ea9076ede7f4af152e8b2fa9cb6"
        ),
    ),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        hex!("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        hex!(
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
            "8e2240ca5e69e2c78b3239ecfab21649"
        ),
    ),
    (
        &[0xaa; 131],
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        hex!("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        hex!(
            "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6"
            "0c2ef6ab4030fe8296248df163f44952"
        ),
    ),
    (
        &[0xaa; 131],
        b"This is a test using a larger than block-size key and a larger than block-size data. \
          The key needs to be hashed before being used by the HMAC algorithm.",
        hex!("9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
        hex!(
            "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5"
            "a678cc31e799176d3860e6110c46523e"
        ),
    ),
];

#[test]
fn hmac_of_rfc_4231() {
    for (key, data, sha256, sha384) in HMAC_VECTORS {
        assert!(hmac(Hash::Sha256, key, &[data]).matches(&sha256));
        assert!(hmac(Hash::Sha384, key, &[data]).matches(&sha384));
        let (head, tail) = data.split_at(3);
        assert!(hmac(Hash::Sha256, key, &[head, &[], tail]).matches(&sha256));
    }
}

#[test]
fn hkdf_of_rfc_5869() {
    let prk = hkdf_extract(Hash::Sha256, &hex!("000102030405060708090a0b0c"), &[0x0b; 22]);
    assert_eq!(*prk, hex!("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"));
    let mut okm = [0; 42];
    hkdf_expand(Hash::Sha256, &prk, &[&hex!("f0f1f2f3"), &hex!("f4f5f6f7f8f9")], &mut okm);
    assert_eq!(
        okm,
        hex!(
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
            "34007208d5b887185865"
        )
    );

    let range = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    let prk = hkdf_extract(Hash::Sha256, &range(0x60, 0xaf), &range(0x00, 0x4f));
    assert_eq!(*prk, hex!("06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244"));
    let mut okm = [0; 82];
    hkdf_expand(Hash::Sha256, &prk, &[&range(0xb0, 0xff)], &mut okm);
    assert_eq!(
        okm,
        hex!(
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
            "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
            "cc30c58179ec3e87c14c01d5c1f3434f1d87"
        )
    );

    let prk = hkdf_extract(Hash::Sha256, &[], &[0x0b; 22]);
    assert_eq!(*prk, hex!("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"));
}

/// RFC 8448 section 3: the simple 1-RTT handshake, from the early secret to the server's Finished key.
#[test]
fn key_schedule_of_rfc_8448() {
    let early = hkdf_extract(Hash::Sha256, &[], &[0; 32]);
    assert_eq!(*early, hex!("33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a"));

    let empty = Hash::Sha256.digest(&[]);
    let mut derived = SecretDigest::zero(Hash::Sha256);
    let label = [&[0, 32, 13][..], b"tls13 derived", &[32], &empty];
    hkdf_expand(Hash::Sha256, &early, &label, derived.as_mut());
    assert_eq!(*derived, hex!("6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"));

    let shared = hex!("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");
    let handshake = hkdf_extract(Hash::Sha256, &derived, &shared);
    assert_eq!(*handshake, hex!("1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac"));

    let hello_hash = hex!("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8");
    let mut traffic = SecretDigest::zero(Hash::Sha256);
    let label = [&[0, 32, 18][..], b"tls13 s hs traffic", &[32], &hello_hash];
    hkdf_expand(Hash::Sha256, &handshake, &label, traffic.as_mut());
    assert_eq!(*traffic, hex!("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38"));

    let mut key = [0; 16];
    hkdf_expand(Hash::Sha256, &traffic, &[&[0, 16, 9], b"tls13 key", &[0]], &mut key);
    assert_eq!(key, hex!("3fce516009c21727d0f2e4e86ee403bc"));
    let mut iv = [0; 12];
    hkdf_expand(Hash::Sha256, &traffic, &[&[0, 12, 8], b"tls13 iv", &[0]], &mut iv);
    assert_eq!(iv, hex!("5d313eb2671276ee13000b30"));
}

/// The vectors that circulate for the PRF of TLS 1.2: label "test label".
#[test]
fn prf_of_tls12() {
    let mut out = [0; 100];
    let seed = hex!("a0ba9f936cda311827a6f796ffd5198c");
    let secret = hex!("9bbe436ba940f017b17652849a71db35");
    prf_tls12(&HmacKey::new(Hash::Sha256, &secret), b"test label", &[&seed[..7], &seed[7..]], &mut out);
    assert_eq!(
        out,
        hex!(
            "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a"
            "6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab"
            "4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"
            "87347b66"
        )
    );

    let mut out = [0; 148];
    let seed = hex!("cd665cf6a8447dd6ff8b27555edb7465");
    let secret = hex!("b80b733d6ceefcdc71566ea48e5567df");
    prf_tls12(&HmacKey::new(Hash::Sha384, &secret), b"test label", &[&seed], &mut out);
    assert_eq!(
        out,
        hex!(
            "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cd"
            "e9ca0faa60be9fe34f82b1233c9146a0e534cb400fed2700884f9dc236f80edd"
            "8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d918425"
            "9b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236a3e52655c9e9aee6"
            "91c8f3a26854308d5eaa3be85e0990703d73e56f"
        )
    );
}

/// Out of the way of our own code: the same through the `hmac` and `hkdf` crates, at all lengths.
#[test]
fn agrees_with_the_hkdf_crate() {
    let ikm: Vec<u8> = (0..200).collect();
    for len in [0, 1, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 200] {
        let (salt, ikm) = (&ikm[..len], &ikm[..200 - len]);
        let mut expected = vec![0; 3 * len];
        let mut out = vec![0; 3 * len];

        let (prk, kdf) = hkdf::Hkdf::<Sha256>::extract(Some(salt), ikm);
        assert_eq!(*hkdf_extract(Hash::Sha256, salt, ikm), *prk);
        kdf.expand(salt, &mut expected).unwrap();
        hkdf_expand(Hash::Sha256, &prk, &[salt], &mut out);
        assert_eq!(out, expected);

        let (prk, kdf) = hkdf::Hkdf::<Sha384>::extract(Some(salt), ikm);
        assert_eq!(*hkdf_extract(Hash::Sha384, salt, ikm), *prk);
        kdf.expand(salt, &mut expected).unwrap();
        hkdf_expand(Hash::Sha384, &prk, &[salt], &mut out);
        assert_eq!(out, expected);
    }
}

/// One label, and two side by side, against HKDF-Expand of what RFC 8446 section 7.1 writes out.
#[test]
fn labels_expand_as_their_written_form() {
    let names: [&[u8]; 5] = [b"key", b"iv", b"finished", b"derived", b"c hs traffic"];
    for hash in [Hash::Sha256, Hash::Sha384] {
        let secrets = [vec![7; hash.len()], vec![9; hash.len()]];
        let keys = [0, 1].map(|index| HmacKey::new(hash, &secrets[index]));
        for (name, context_len, out_len) in names
            .iter()
            .flat_map(|name| [0, 8, hash.len()].map(|context_len| (name, context_len)))
            .flat_map(|(name, context_len)| [0, 12, 16, hash.len()].map(|out| (name, context_len, out)))
        {
            let context = &vec![0xab; context_len][..];
            let whole = [&b"tls13 "[..], name].concat();
            let byte = |number: usize| u8::try_from(number).unwrap();
            let head = [0, byte(out_len), byte(whole.len())];
            let expected = secrets.each_ref().map(|secret| {
                let mut expected = vec![0; out_len];
                hkdf_expand(hash, secret, &[&head, &whole, &[byte(context_len)], context], &mut expected);
                expected
            });
            let label = Label::new(name);
            let (mut first, mut second) = (vec![0; out_len], vec![0; out_len]);
            keys[0].expand_label(&label, context, &mut first);
            assert_eq!(first, expected[0]);
            first.fill(0);
            HmacKey::expand_labels([&keys[0], &keys[1]], [&label; 2], context, [&mut first, &mut second]);
            assert_eq!([first, second], expected);
        }
    }
}

#[test]
fn a_transcript_may_be_looked_at_and_go_on() {
    for hash in [Hash::Sha256, Hash::Sha384] {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mut running = Running::new(hash);
        for (at, byte) in bytes.iter().enumerate() {
            if at % 97 == 0 {
                assert_eq!(*running.peek(), *hash.digest(&[&bytes[..at]]));
            }
            running.update(&[*byte]);
        }
        assert_eq!(running.hash(), hash);
        assert_eq!(running.peek().len(), hash.len());
    }
    let abc = hex!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(*Hash::Sha256.digest(&[b"a", b"bc"]), abc);
}

#[test]
fn a_different_digest_does_not_match() {
    let digest = Hash::Sha256.digest(&[b"abc"]);
    let mut other = digest.to_vec();
    assert!(digest.matches(&other));
    other[31] ^= 1;
    assert!(!digest.matches(&other));
    assert!(!digest.matches(&digest[..31]));
    assert!(!digest.matches(&[]));
}
