//! What a function is for, by its name: the table that shares of a profile are made by.
//!
//! The classes are those of the paper's profile. A pattern is a whole name, or has `*` at its ends for
//! anything. The first class that matches is it; aws-lc's names come without their `aws_lc_0_1_2_`.

use serde::Serialize;

/// What CPU time is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Memory is asked for and given back: the heap, pools, packet memory.
    Allocation,
    /// Memory is copied and cleared.
    Copying,
    /// Elliptic curves, RSA, and the numbers under them.
    BigNumbers,
    /// Hashes, and what is built of them: HMAC, key schedules.
    Hashing,
    /// Ciphers and AEAD, random numbers by AES among them.
    Symmetric,
    /// The kernel, and drivers in user space.
    Io,
    /// All else: protocols, lookups, locks.
    Rest,
}

impl Class {
    /// All, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Allocation,
        Self::Copying,
        Self::BigNumbers,
        Self::Hashing,
        Self::Symmetric,
        Self::Io,
        Self::Rest,
    ];

    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allocation => "allocation",
            Self::Copying => "copying, clearing",
            Self::BigNumbers => "big numbers",
            Self::Hashing => "hashing",
            Self::Symmetric => "symmetric",
            Self::Io => "I/O",
            Self::Rest => "rest",
        }
    }

    /// The class of a function called `symbol`, if the name says.
    pub(super) fn of_symbol(symbol: &str) -> Option<Self> {
        let symbol = bare(symbol);
        lookup(SYMBOLS, symbol)
    }

    /// The class of all that a library does, if it is for one thing.
    pub(super) fn of_library(path: &str) -> Option<Self> {
        lookup(LIBRARIES, path.rsplit('/').next().unwrap_or(path))
    }
}

type Patterns = &'static [(Class, &'static [&'static str])];

const LIBRARIES: Patterns = &[
    (Class::Io, &["[kernel*", "[guest.kernel*", "librte_net_*", "librte_bus_*", "librte_ethdev*"]),
    (Class::Allocation, &["librte_mempool*", "librte_mbuf*"]),
    (Class::Symmetric, &["librte_crypto_*", "librte_cryptodev*", "libIPSec_MB*"]),
];

const SYMBOLS: Patterns = &[
    (
        Class::Allocation,
        &[
            "malloc*",
            "__libc_malloc*",
            "_int_malloc*",
            "_int_free*",
            "_int_realloc*",
            "free",
            "cfree*",
            "calloc*",
            "realloc*",
            "posix_memalign*",
            "aligned_alloc*",
            "unlink_chunk*",
            "sysmalloc*",
            "systrim*",
            "tcache_*",
            "CRYPTO_malloc*",
            "CRYPTO_zalloc*",
            "CRYPTO_realloc*",
            "CRYPTO_free*",
            "CRYPTO_clear_free*",
            "CRYPTO_strdup*",
            "CRYPTO_strndup*",
            "CRYPTO_memdup*",
            "CRYPTO_secure_*alloc*",
            "OPENSSL_malloc*",
            "OPENSSL_zalloc*",
            "OPENSSL_free*",
            "OPENSSL_realloc*",
            "*__rust_alloc*",
            "*__rust_dealloc*",
            "*__rust_realloc*",
            "*__rdl_*",
            "*alloc::alloc::*",
            "ngx_alloc*",
            "ngx_calloc*",
            "ngx_palloc*",
            "ngx_pnalloc*",
            "ngx_pcalloc*",
            "ngx_pmemalign*",
            "ngx_pfree*",
            "ngx_create_pool*",
            "ngx_destroy_pool*",
            "ngx_reset_pool*",
            "ngx_slab_*",
            "rte_pktmbuf_alloc*",
            "rte_pktmbuf_free*",
            "rte_mempool_*",
            "*levee_dpdk::mempool::*",
        ],
    ),
    (
        Class::Copying,
        &[
            "memcpy*",
            "memmove*",
            "memset*",
            "__memcpy*",
            "__memmove*",
            "__memset*",
            "OPENSSL_cleanse*",
            "OPENSSL_memcpy*",
            "OPENSSL_memset*",
            "explicit_bzero*",
            "bzero*",
            "rte_memcpy*",
            "*zeroize::*",
            "*Zeroize*",
            "ngx_copy*",
        ],
    ),
    (
        Class::BigNumbers,
        &[
            "BN_*",
            "bn_*",
            "EC_*",
            "ec_*",
            "ECDSA_*",
            "ecdsa_*",
            "ECDH_*",
            "ecdh_*",
            "ecp_*",
            "__ecp_*",
            "ECPKPARAMETERS_*",
            "X25519*",
            "*x25519*",
            "*curve25519*",
            "ED25519*",
            "fe_*",
            "fe25519*",
            "p256_*",
            "Lp256_*",
            "p384_*",
            "p521_*",
            "bignum_*",
            "rsaz_*",
            "RSA_*",
            "rsa_*",
            "EVP_PKEY_derive*",
            "EVP_PKEY_generate*",
            "EVP_PKEY_keygen*",
            "EVP_PKEY_sign*",
            "EVP_PKEY_verify",
            "EVP_DigestSign",
            "EVP_DigestSignFinal*",
            "EVP_DigestVerify",
            "EVP_DigestVerifyFinal*",
            "*p256::*",
            "*elliptic_curve::*",
            "*primeorder::*",
            "*primefield::*",
            "*crypto_bigint::*",
            "*num_bigint*",
            "*aws_lc_rs::agreement*",
            "*aws_lc_rs::ec::*",
            "*aws_lc_rs::rsa::*",
            "*aws_lc_rs::signature*",
        ],
    ),
    (
        Class::Hashing,
        &[
            "SHA1_*",
            "SHA224*",
            "SHA256*",
            "SHA384*",
            "SHA512*",
            "SHA3_*",
            "sha1_*",
            "sha256_*",
            "sha512_*",
            "MD5_*",
            "KECCAK*",
            "Keccak*",
            "HMAC*",
            "HKDF*",
            "EVP_Digest*",
            "EVP_MAC_*",
            "EVP_Q_mac*",
            "EVP_Q_digest*",
            "EVP_KDF_*",
            "CRYPTO_tls13_hkdf*",
            "CRYPTO_tls1_prf*",
            "*sha2::*",
            "*hkdf::*",
            "*hmac::*",
            "*levee_crypto::hash::*",
        ],
    ),
    (
        Class::Symmetric,
        &[
            "AES_*",
            "aes_*",
            "aesni_*",
            "aes_hw_*",
            "vaes_*",
            "aes_gcm_*",
            "gcm_*",
            "ghash_*",
            "CRYPTO_gcm128*",
            "CRYPTO_ctr128*",
            "ChaCha20*",
            "chacha20*",
            "Poly1305*",
            "poly1305*",
            "EVP_Encrypt*",
            "EVP_Decrypt*",
            "EVP_Cipher*",
            "EVP_AEAD_*",
            "RAND_*",
            "EVP_RAND_*",
            "CTR_DRBG_*",
            "rte_cryptodev_*",
            "*aws_lc_rs::aead*",
            "*aes_gcm::*",
            "*ghash::*",
            "*polyval::*",
            "*chacha20*",
            "*levee_crypto::aead::*",
            "*levee_dpdk::crypto::*",
        ],
    ),
    (
        Class::Io,
        &[
            "read",
            "__read*",
            "__libc_read*",
            "write",
            "__write*",
            "__libc_write*",
            "writev",
            "readv",
            "recv",
            "recvfrom",
            "recvmsg",
            "__libc_recv*",
            "send",
            "sendto",
            "sendmsg",
            "__libc_send*",
            "accept4",
            "close",
            "shutdown",
            "setsockopt",
            "getsockopt",
            "ioctl",
            "epoll_*",
            "poll",
            "__poll",
            "rte_eth_*",
            "eth_af_packet_*",
            "*levee_dpdk::queue::*",
            "*levee_dpdk::port::*",
        ],
    ),
];

fn lookup(table: Patterns, name: &str) -> Option<Class> {
    table.iter().find(|(_, patterns)| patterns.iter().any(|pattern| matches(pattern, name))).map(|row| row.0)
}

fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) if pattern.len() > 1 => name.contains(&pattern[1..pattern.len() - 1]),
        (_, Some(start)) => name.starts_with(start),
        (Some(end), None) => name.ends_with(end),
        (None, None) => name == pattern,
    }
}

/// A name without the version of its library: `aws_lc_0_1_2_name`, `name@@GLIBC_2.34`, `name@plt`.
fn bare(symbol: &str) -> &str {
    let symbol = symbol.split('@').next().unwrap_or(symbol);
    let mut rest = match symbol.strip_prefix("aws_lc_") {
        Some(rest) => rest,
        None => return symbol,
    };
    for _ in 0..3 {
        let Some((number, behind)) = rest.split_once('_') else { return symbol };
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return rest;
        }
        rest = behind;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_class() {
        for (symbol, class) in [
            ("_int_malloc", Class::Allocation),
            ("cfree@GLIBC_2.2.5", Class::Allocation),
            ("OPENSSL_cleanse", Class::Copying),
            ("__memmove_avx512_unaligned_erms", Class::Copying),
            ("<zeroize::Zeroizing<Z> as core::ops::drop::Drop>::drop", Class::Copying),
            ("__ecp_nistz256_mul_montx", Class::BigNumbers),
            ("EVP_DigestSignFinal", Class::BigNumbers),
            ("EVP_PKEY_generate", Class::BigNumbers),
            ("aws_lc_0_39_0_p256_montjscalarmul", Class::BigNumbers),
            ("Lcurve25519_x25519_scalarloop", Class::BigNumbers),
            ("sha512_block_data_order_avx2", Class::Hashing),
            ("EVP_DigestUpdate", Class::Hashing),
            ("levee_crypto::hash::Running::update", Class::Hashing),
            ("aesni_ecb_encrypt", Class::Symmetric),
            ("aws_lc_0_39_0_EVP_AEAD_CTX_seal_scatter", Class::Symmetric),
            ("epoll_wait", Class::Io),
        ] {
            assert_eq!(Class::of_symbol(symbol), Some(class), "{symbol}");
        }
        for symbol in ["main", "ngx_ssl_handshake", "OPENSSL_LH_retrieve", "freeze", "reader", ""] {
            assert_eq!(Class::of_symbol(symbol), None, "{symbol}");
        }
    }

    #[test]
    fn libraries_of_one_purpose_have_a_class() {
        assert_eq!(Class::of_library("[kernel.kallsyms]"), Some(Class::Io));
        assert_eq!(
            Class::of_library("/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_af_packet.so.23.0"),
            Some(Class::Io)
        );
        assert_eq!(Class::of_library("/usr/lib/libIPSec_MB.so.1"), Some(Class::Symmetric));
        assert_eq!(Class::of_library("/usr/lib/x86_64-linux-gnu/libcrypto.so.3"), None);
    }
}
