//! What a function is for, by its name: the classes of the paper's profile, and the table `classes.txt`.

use std::sync::LazyLock;

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

    /// Its name in the table of patterns, and in JSON.
    const fn key(self) -> &'static str {
        match self {
            Self::Allocation => "allocation",
            Self::Copying => "copying",
            Self::BigNumbers => "big_numbers",
            Self::Hashing => "hashing",
            Self::Symmetric => "symmetric",
            Self::Io => "io",
            Self::Rest => "rest",
        }
    }

    /// The class of a function called `symbol`, if the name says.
    pub(super) fn of_symbol(symbol: &str) -> Option<Self> {
        let symbol = bare(symbol);
        lookup(&TABLE.symbols, symbol)
    }

    /// The class of all that a library does, if it is for one thing.
    pub(super) fn of_library(path: &str) -> Option<Self> {
        lookup(&TABLE.libraries, path.rsplit('/').next().unwrap_or(path))
    }
}

/// The table, read.
struct Table {
    symbols: Vec<(Class, &'static str)>,
    libraries: Vec<(Class, &'static str)>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { symbols: Vec::new(), libraries: Vec::new() };
    for line in include_str!("classes.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(class), Some(kind)) = (words.next(), words.next()) else { continue };
        let class = Class::ALL.into_iter().find(|known| known.key() == class).expect("a class of the table");
        let rows = if kind == "libraries" { &mut table.libraries } else { &mut table.symbols };
        rows.extend(words.map(|pattern| (class, pattern)));
    }
    table
});

fn lookup(rows: &[(Class, &str)], name: &str) -> Option<Class> {
    rows.iter().find(|(_, pattern)| matches(pattern, name)).map(|(class, _)| *class)
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
        for class in Class::ALL {
            let has_rows = TABLE.symbols.iter().any(|(known, _)| *known == class);
            assert_eq!(has_rows, class != Class::Rest, "{class:?}");
            assert_eq!(serde_json::to_value(class).unwrap(), class.key());
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
