//! Samples of a profile, from the text of `perf script`, and the class of each.

use std::collections::{BTreeMap, HashMap};
use std::process::Command;

use super::classes::Class;

/// One frame of a call chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) address: u64,
    /// Without one, the library has no symbol there.
    pub(super) symbol: Option<&'a str>,
    pub(super) library: &'a str,
}

/// Call chains, the innermost frame first, from `perf script -F comm,tid,ip,sym,dso`.
pub(super) fn chains(text: &str) -> impl Iterator<Item = Vec<Frame<'_>>> {
    text.split("\n\n").filter_map(|sample| {
        // The first line names the thread.
        let frames: Vec<_> = sample.trim_start_matches('\n').lines().skip(1).filter_map(frame).collect();
        (!frames.is_empty()).then_some(frames)
    })
}

/// `          17f2fa EVP_PKEY_generate (/usr/lib/x86_64-linux-gnu/libcrypto.so.3)`
fn frame(line: &str) -> Option<Frame<'_>> {
    let (address, rest) = line.trim().split_once(' ')?;
    let (symbol, library) = rest.rsplit_once(" (")?;
    Some(Frame {
        address: u64::from_str_radix(address, 16).ok()?,
        symbol: (symbol != "[unknown]").then_some(symbol),
        library: library.strip_suffix(')')?,
    })
}

/// How the class of a sample was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// By the function that ran, or its library.
    Function,
    /// By the exported functions that the linker put next to it.
    Neighbour,
    /// By a function that called it.
    Caller,
    /// Not at all: it is part of the rest.
    Unknown,
}

/// Finds out what samples were for.
#[derive(Default)]
pub(super) struct Classifier {
    /// Exported functions of libraries, by address.
    exports: HashMap<String, BTreeMap<u64, String>>,
}

impl Classifier {
    /// The class of a sample, from its innermost frame outwards: the first that tells.
    ///
    /// A frame tells by its function's name, or by its library. Where the library was stripped, and the
    /// function is not exported, the exported functions before and behind it tell: a linker keeps the
    /// functions of a source file together.
    pub(super) fn classify(&mut self, chain: &[Frame<'_>]) -> (Class, How) {
        for (depth, frame) in chain.iter().enumerate() {
            let by_name =
                Class::of_library(frame.library).or_else(|| frame.symbol.and_then(Class::of_symbol));
            if let Some(class) = by_name {
                return (class, if depth == 0 { How::Function } else { How::Caller });
            }
            if frame.symbol.is_none()
                && let Some(class) = self.by_neighbour(*frame)
            {
                return (class, if depth == 0 { How::Neighbour } else { How::Caller });
            }
        }
        let named = chain.first().is_some_and(|frame| frame.symbol.is_some());
        (Class::Rest, if named { How::Function } else { How::Unknown })
    }

    fn by_neighbour(&mut self, frame: Frame<'_>) -> Option<Class> {
        let exports =
            self.exports.entry(frame.library.to_owned()).or_insert_with(|| exports_of(frame.library));
        let before = exports.range(..=frame.address).next_back();
        let behind = exports.range(frame.address..).next();
        before
            .and_then(|(_, name)| Class::of_symbol(name))
            .or_else(|| behind.and_then(|(_, name)| Class::of_symbol(name)))
    }

    #[cfg(test)]
    pub(super) fn with_exports(library: &str, exports: &[(u64, &str)]) -> Self {
        let exports = exports.iter().map(|&(address, name)| (address, name.to_owned())).collect();
        Self { exports: HashMap::from([(library.to_owned(), exports)]) }
    }
}

/// The functions that a library exports; none when `nm` is not there, or cannot read it.
fn exports_of(library: &str) -> BTreeMap<u64, String> {
    if !library.starts_with('/') {
        return BTreeMap::new();
    }
    let output = Command::new("nm").args(["--dynamic", "--defined-only", library]).output();
    let Ok(output) = output else { return BTreeMap::new() };
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(export).map(|(address, name)| (address, name.to_owned())).collect()
}

/// `00000000001dd2f0 T EC_GFp_simple_method@@OPENSSL_3.0.0`
fn export(line: &str) -> Option<(u64, &str)> {
    let mut fields = line.split(' ');
    let address = u64::from_str_radix(fields.next()?, 16).ok()?;
    let kind = fields.next()?;
    let name = fields.next()?;
    matches!(kind, "T" | "t" | "W" | "i").then_some((address, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRYPTO: &str = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3";

    fn at(address: u64, symbol: Option<&'static str>, library: &'static str) -> Frame<'static> {
        Frame { address, symbol, library }
    }

    #[test]
    fn the_innermost_frame_that_tells_decides() {
        let mut classifier = Classifier::with_exports(
            CRYPTO,
            &[(0x100, "SHA224_Final"), (0x800, "X509_new"), (0x900, "EC_KEY_new")],
        );
        let nginx = at(0x59a71, Some("ngx_ssl_handshake"), "/usr/sbin/nginx");
        let mut class = |chain: &[Frame<'_>]| classifier.classify(chain);
        let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
        assert_eq!(
            class(&[at(1, Some("malloc"), libc), at(2, Some("BN_new"), CRYPTO), nginx]),
            (Class::Allocation, How::Function)
        );
        assert_eq!(
            class(&[at(1, Some("tcp_sendmsg"), "[kernel.kallsyms]"), at(2, Some("malloc"), libc)]),
            (Class::Io, How::Function)
        );
        assert_eq!(class(&[at(0x200, None, CRYPTO), nginx]), (Class::Hashing, How::Neighbour));
        assert_eq!(class(&[at(0x880, None, CRYPTO), nginx]), (Class::BigNumbers, How::Neighbour));
        assert_eq!(
            class(&[
                at(0x50, Some("OSSL_PARAM_locate"), CRYPTO),
                at(0x60, Some("EVP_DigestInit_ex"), CRYPTO)
            ]),
            (Class::Hashing, How::Caller)
        );
        assert_eq!(class(&[nginx]), (Class::Rest, How::Function));
        assert_eq!(class(&[at(0x70, None, "[unknown]")]), (Class::Rest, How::Unknown));
    }

    #[test]
    fn lines_of_perf_and_nm_are_read() {
        assert_eq!(
            frame("\t          17f2fa <A as B (x)>::f (/usr/lib/a.so)"),
            Some(at(0x17_f2fa, Some("<A as B (x)>::f"), "/usr/lib/a.so"))
        );
        assert_eq!(frame("  1 [unknown] ([unknown])"), Some(at(1, None, "[unknown]")));
        assert_eq!(frame("nginx  1369"), None);
        assert_eq!(
            export("0000000000001ac0 T SSL_new@@OPENSSL_3.0.0"),
            Some((0x1ac0, "SSL_new@@OPENSSL_3.0.0"))
        );
        assert_eq!(export("0000000000001ac0 D data"), None);
        assert_eq!(export("                 U malloc"), None);
    }
}
