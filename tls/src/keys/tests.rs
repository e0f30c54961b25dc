//! RFC 8448 section 3: the key schedule of a simple 1-RTT handshake.

use hex_literal::hex;
use levee_crypto::{Algorithm, Hash};

use super::{HandshakeSecret, empty_digest};

const SHARED: [u8; 32] = hex!("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");

#[test]
fn the_digest_of_nothing_is_what_the_constants_say() {
    for hash in [Hash::Sha256, Hash::Sha384] {
        assert_eq!(*hash.digest(&[]), *empty_digest(hash));
    }
}

#[test]
fn handshake_and_application_secrets() {
    let hello = hex!("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8");
    let finished = hex!("9608102a0f1ccc6db6250b7b7e417b1a000eaada3daae4777a7686c9ff83df13");
    let secret = HandshakeSecret::new(Hash::Sha256, &SHARED);
    let [client, server] = secret.traffic(&hello);
    assert_eq!(client.bytes(), hex!("b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21"));
    assert_eq!(server.bytes(), hex!("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38"));
    let keys = server.keys(Algorithm::Aes128Gcm).unwrap();
    assert_eq!(keys.key.bytes(), hex!("3fce516009c21727d0f2e4e86ee403bc"));
    assert_eq!(keys.iv, hex!("5d313eb2671276ee13000b30"));
    assert_eq!(
        client.finished(&finished)[..],
        hex!("a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61")
    );

    let [client, server] = secret.master().traffic(&finished);
    assert_eq!(client.bytes(), hex!("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"));
    assert_eq!(server.bytes(), hex!("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"));
    let keys = server.keys(Algorithm::Aes128Gcm).unwrap();
    assert_eq!(keys.key.bytes(), hex!("9f02283b6c9c07efc26bb9f2ac92e356"));
    assert_eq!(keys.iv, hex!("cf782b88dd83549aadf1e984"));
}
