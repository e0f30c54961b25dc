//! What can be negotiated: `Version` and `Suite`.

use levee_crypto::{Algorithm, Hash};

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl Version {
    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
        }
    }

    /// The name in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

/// The kind of certificate a cipher suite of TLS 1.2 is tied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authentication {
    Any,
    Ecdsa,
    Rsa,
}

macro_rules! suites {
    ($($name:ident $code:literal $text:literal $version:ident $algorithm:ident $hash:ident $auth:ident;)*) => {
        /// A cipher suite, by its IANA name. Usable as an index (`suite as usize`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are IANA's")]
        pub enum Suite {
            $($name,)*
        }

        impl Suite {
            /// All of them, in the order of their indices, which is our default preference.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The IANA code point.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }

            /// The IANA name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The version it belongs to.
            #[must_use]
            pub const fn version(self) -> Version {
                match self { $(Self::$name => Version::$version,)* }
            }

            /// The AEAD.
            #[must_use]
            pub const fn algorithm(self) -> Algorithm {
                match self { $(Self::$name => Algorithm::$algorithm,)* }
            }

            /// The hash of the key schedule.
            #[must_use]
            pub const fn hash(self) -> Hash {
                match self { $(Self::$name => Hash::$hash,)* }
            }

            pub(crate) const fn authentication(self) -> Authentication {
                match self { $(Self::$name => Authentication::$auth,)* }
            }
        }
    };
}

suites! {
    // RFC 8446 appendix B.4.
    Aes128GcmSha256 0x1301 "TLS_AES_128_GCM_SHA256" Tls13 Aes128Gcm Sha256 Any;
    Aes256GcmSha384 0x1302 "TLS_AES_256_GCM_SHA384" Tls13 Aes256Gcm Sha384 Any;
    ChaCha20Poly1305Sha256 0x1303 "TLS_CHACHA20_POLY1305_SHA256" Tls13 ChaCha20Poly1305 Sha256 Any;
    // RFC 5289 section 3.2, RFC 7905 section 2.
    EcdheEcdsaAes128GcmSha256 0xc02b "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" Tls12 Aes128Gcm Sha256 Ecdsa;
    EcdheEcdsaAes256GcmSha384 0xc02c "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" Tls12 Aes256Gcm Sha384 Ecdsa;
    EcdheEcdsaChaCha20Poly1305 0xcca9 "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" Tls12 ChaCha20Poly1305 Sha256 Ecdsa;
    EcdheRsaAes128GcmSha256 0xc02f "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" Tls12 Aes128Gcm Sha256 Rsa;
    EcdheRsaAes256GcmSha384 0xc030 "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" Tls12 Aes256Gcm Sha384 Rsa;
    EcdheRsaChaCha20Poly1305 0xcca8 "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" Tls12 ChaCha20Poly1305 Sha256 Rsa;
}
