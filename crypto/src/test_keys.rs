//! Private keys for the tests, as PEM texts: made when first asked for, once a process, never on disk.
//!
//! `openssl` writes them, as those who will use Levee have it write theirs. A key lives in the memory of
//! one test process; what a test expects must hold for every key of its kind.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};

/// A PEM text.
pub(crate) type Text = LazyLock<Vec<u8>>;

/// A section of EC parameters stands in front of the key.
pub(crate) static P256_SEC1: Text = Text::new(|| openssl("ecparam -name prime256v1 -genkey", b""));
pub(crate) static P256_PKCS8: Text = Text::new(|| openssl("pkey", &P256_SEC1));
pub(crate) static P256_PUBLIC: Text = Text::new(|| openssl("pkey -pubout", &P256_SEC1));
/// PKCS#8, encrypted (RFC 5958 section 3).
pub(crate) static P256_ENCRYPTED: Text =
    Text::new(|| openssl("pkey -aes256 -passout pass:levee", &P256_SEC1));
/// SEC1, encrypted as PEM (RFC 1421 section 4.6.1.1).
pub(crate) static P256_SEC1_ENCRYPTED: Text =
    Text::new(|| openssl("pkey -traditional -aes256 -passout pass:levee", &P256_SEC1));

pub(crate) static P384_PKCS8: Text =
    Text::new(|| openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384", b""));
pub(crate) static P384_SEC1: Text = Text::new(|| openssl("pkey -traditional", &P384_PKCS8));
pub(crate) static P384_PUBLIC: Text = Text::new(|| openssl("pkey -pubout", &P384_PKCS8));
pub(crate) static K256_SEC1: Text = Text::new(|| openssl("ecparam -name secp256k1 -genkey -noout", b""));
pub(crate) static ED25519_PKCS8: Text = Text::new(|| openssl("genpkey -algorithm ED25519", b""));
pub(crate) static ED25519_PUBLIC: Text = Text::new(|| openssl("pkey -pubout", &ED25519_PKCS8));
pub(crate) static ED448_PKCS8: Text = Text::new(|| openssl("genpkey -algorithm ED448", b""));

pub(crate) static RSA_1024_PKCS8: Text = Text::new(|| new_rsa(1024));
pub(crate) static RSA_2048_PKCS8: Text = Text::new(|| new_rsa(2048));
pub(crate) static RSA_2048_PKCS1: Text = Text::new(|| openssl("pkey -traditional", &RSA_2048_PKCS8));
pub(crate) static RSA_2048_PUBLIC: Text = Text::new(|| openssl("pkey -pubout", &RSA_2048_PKCS8));
pub(crate) static RSA_3072_PKCS8: Text = Text::new(|| rsa(RsaKeySize::_3072));
pub(crate) static RSA_4096_PKCS8: Text = Text::new(|| rsa(RsaKeySize::_4096));
/// Not of an even number of bytes.
pub(crate) static RSA_2056_PKCS8: Text =
    Text::new(|| openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2056", b""));
/// Of four primes, which are found in a tenth of the time that two of this length take.
pub(crate) static RSA_4104_PKCS8: Text = Text::new(|| {
    openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4104 -pkeyopt rsa_keygen_primes:4", b"")
});

/// Another one each time.
pub(crate) fn new_rsa(bits: usize) -> Vec<u8> {
    openssl(&format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{bits}"), b"")
}

/// What `openssl` with `arguments`, which are parted by spaces, makes of `input`.
fn openssl(arguments: &str, input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("`openssl` makes the keys of these tests (etc/install-deps.sh test installs it): {error}")
    });
    // An input is shorter than a pipe is deep; the pipe is closed behind it.
    let written = child.stdin.take().expect("a pipe was asked for").write_all(input);
    let output = child.wait_with_output().expect("openssl can be waited for");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {}: {complaint}", output.status);
    written.expect("openssl reads its input");
    output.stdout
}

/// Long keys are found sooner here than by `openssl`.
fn rsa(size: RsaKeySize) -> Vec<u8> {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).expect("an RSA key can be made");
    pair.serialize_pem().into_bytes()
}
