//! Copying and clearing of 8 bytes to 64 KiB, and what encryption costs beside them.
//!
//! The paper set SIMD code against the kernel's `memcpy` and `memset`, which do without. In user space there
//! is nothing to set against them: `copy_from_slice` and `fill(0)` of a length that the compiler does not
//! know *are* jumps to the C library's `memcpy` and `memset` (`objdump -dr` of [`Operation::Copy`] and
//! [`Operation::Clear`] shows a compare and the jump), which chose AVX-512, AVX2 or `rep movsb` when the
//! program was loaded; of a small length that it knows they are a move or two. `rte_memcpy` is code in a C
//! header, which Levee does not use: it copies no payload, and its headers have known lengths.
//!
//! So two questions are left. What does it cost to clear a secret, [`Operation::Wipe`] against
//! [`Operation::Clear`]? `zeroize` makes one volatile store of one byte after the other: as fast for a key,
//! some ten times slower for a record. And what does copying cost beside encryption when the cipher does not
//! do it on the way, [`Operation::CopyThenSeal`] against [`Operation::SealAcross`]?

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use miette::{IntoDiagnostic, miette};
use serde::Serialize;
use zeroize::Zeroize;

use super::pin;
use super::spread::Spread;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `copy_from_slice`: `memcpy`.
    Copy,
    /// `fill(0)`: `memset`.
    Clear,
    /// `Zeroize::zeroize`: volatile stores.
    Wipe,
    /// AES-128-GCM in place.
    Seal,
    /// The same, of bytes that are copied first.
    CopyThenSeal,
    /// The same from one place to another: the cipher copies.
    SealAcross,
}

/// The table: rows by size, the last one over more memory than caches of a core hold.
#[derive(Clone, Debug, Serialize)]
pub struct Costs {
    /// Samples behind each cost.
    pub rounds: usize,
    /// What was measured.
    pub costs: Vec<Cost>,
}

/// An operation on so many bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Which.
    pub operation: Operation,
    /// Bytes.
    pub size: usize,
    /// Each time at another place of 64 MiB, instead of in cache.
    pub scattered: bool,
    /// Nanoseconds a call.
    pub nanoseconds: Spread,
    /// 10^9 bytes a second, of the least: what else the machine does can only add to it.
    pub gigabytes_per_second: f64,
}

/// The largest size, and the one that is measured over much memory too.
const LARGEST: usize = 64 << 10;
const SMALLEST: usize = 8;
const SPACE: usize = 64 << 20;
const TAG: usize = 16;

/// Measures all operations at all sizes on `cpu`, `rounds` samples of `sample` each.
///
/// # Errors
/// There is no such CPU for us.
pub fn measure(rounds: usize, sample: Duration, cpu: usize) -> miette::Result<Costs> {
    let worker = thread::Builder::new().name("lvpaper-memory".into()).spawn(move || {
        pin(cpu)?;
        Ok(costs(rounds, sample))
    });
    worker.into_diagnostic()?.join().map_err(|_| miette!("the measurement panicked"))?
}

fn costs(rounds: usize, sample: Duration) -> Costs {
    let mut from = vec![0x5a; SPACE];
    let mut to = vec![0xa5; SPACE + TAG];
    let key = key();
    let mut costs = Vec::new();
    let sizes =
        std::iter::successors(Some(SMALLEST), |size| Some(2 * size)).take_while(|&size| size <= LARGEST);
    for (size, scattered) in sizes.map(|size| (size, false)).chain([(LARGEST, true)]) {
        for operation in Operation::ALL {
            let places = if scattered { SPACE / LARGEST } else { 1 };
            let mut turn = 0;
            let nanoseconds = nanoseconds(rounds, sample, || {
                // A prime number of places further each time: no prefetcher follows.
                turn = (turn + 617) % places;
                let at = turn * LARGEST;
                let (from, to) = (&mut from[at..at + size], &mut to[at..at + size + TAG]);
                operation.apply(&key, black_box(from), black_box(to));
            });
            let gigabytes_per_second = size as f64 / nanoseconds.min;
            costs.push(Cost { operation, size, scattered, nanoseconds, gigabytes_per_second });
        }
    }
    Costs { rounds, costs }
}

impl Operation {
    /// All, in the order of the table.
    pub const ALL: [Self; 6] =
        [Self::Copy, Self::Clear, Self::Wipe, Self::Seal, Self::CopyThenSeal, Self::SealAcross];

    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Clear => "clear",
            Self::Wipe => "wipe",
            Self::Seal => "seal",
            Self::CopyThenSeal => "copy, seal",
            Self::SealAcross => "seal across",
        }
    }

    /// Once: `to` has room for a tag behind the bytes of `from`.
    fn apply(self, key: &LessSafeKey, from: &[u8], to: &mut [u8]) {
        let (body, tag) = to.split_at_mut(from.len());
        match self {
            Self::Copy => copy(from, body),
            Self::Clear => clear(body),
            Self::Wipe => wipe(body),
            Self::Seal => seal(key, body, tag),
            Self::CopyThenSeal => {
                copy(from, body);
                seal(key, body, tag);
            }
            Self::SealAcross => key
                .seal_out_of_place_scatter(nonce(), Aad::empty(), from, body, &[], tag)
                .expect("aws-lc seals what fits"),
        }
    }
}

#[inline(never)]
fn copy(from: &[u8], to: &mut [u8]) {
    to.copy_from_slice(from);
}

#[inline(never)]
fn clear(bytes: &mut [u8]) {
    bytes.fill(0);
}

#[inline(never)]
fn wipe(bytes: &mut [u8]) {
    bytes.zeroize();
}

fn seal(key: &LessSafeKey, body: &mut [u8], tag: &mut [u8]) {
    let sealed = key.seal_in_place_separate_tag(nonce(), Aad::empty(), body);
    tag.copy_from_slice(sealed.expect("aws-lc seals what fits").as_ref());
}

/// One for all: what is sealed here is seen by nobody.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([7; 12])
}

fn key() -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[1; 16]).expect("16 bytes are a key of AES-128"))
}

/// What a call of `work` takes, by samples of about `sample`.
fn nanoseconds(rounds: usize, sample: Duration, mut work: impl FnMut()) -> Spread {
    let mut timed = |calls: u64| {
        let start = Instant::now();
        for _ in 0..calls {
            work();
        }
        start.elapsed()
    };
    let mut calls = 1;
    while timed(calls) < sample && calls < 1 << 40 {
        calls *= 2;
    }
    Spread::of((0..rounds.max(1)).map(|_| timed(calls).as_nanos() as f64 / calls as f64))
}

impl Costs {
    /// The table as lines of cells, its head first: least nanoseconds and GB/s of each operation.
    #[must_use]
    pub fn cells(&self) -> Vec<Vec<String>> {
        let names = Operation::ALL.iter().flat_map(|operation| [operation.name().to_owned(), "GB/s".into()]);
        let mut lines = vec![std::iter::once("bytes".to_owned()).chain(names).collect::<Vec<_>>()];
        for row in self.costs.chunks(Operation::ALL.len()) {
            let Some(first) = row.first() else { continue };
            let size = format!("{}{}", first.size, if first.scattered { " of 64 MiB" } else { "" });
            let cells = row.iter().flat_map(|cost| {
                [format!("{:.1}", cost.nanoseconds.min), format!("{:.1}", cost.gigabytes_per_second)]
            });
            lines.push(std::iter::once(size).chain(cells).collect());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operations_do_what_they_are_called() {
        let key = key();
        for size in [8, 100, 4096, 65_536] {
            let from: Vec<u8> = (0..size).map(|at: usize| at.to_le_bytes()[0] | 1).collect();
            let after = |operation: Operation, start: &[u8]| {
                let mut to = [start, &[9; TAG]].concat();
                operation.apply(&key, &from, &mut to);
                to
            };
            let blank = vec![3; size];
            assert_eq!(after(Operation::Copy, &blank), [&from[..], &[9; TAG]].concat());
            assert_eq!(after(Operation::Clear, &blank), [&vec![0; size][..], &[9; TAG]].concat());
            assert_eq!(after(Operation::Wipe, &blank), [&vec![0; size][..], &[9; TAG]].concat());
            let sealed = after(Operation::Seal, &from);
            assert_ne!(sealed[..size], from);
            assert_eq!(after(Operation::CopyThenSeal, &blank), sealed);
            assert_eq!(after(Operation::SealAcross, &blank), sealed);
            let mut opened = sealed;
            assert_eq!(*key.open_in_place(nonce(), Aad::empty(), &mut opened).unwrap(), from);
        }
    }

    #[test]
    fn a_table_has_all_sizes_and_one_scattered() {
        let costs = measure(1, Duration::from_micros(1), 0).unwrap();
        assert_eq!(costs.costs.len(), (14 + 1) * Operation::ALL.len());
        assert!(costs.costs.iter().all(|cost| cost.nanoseconds.min > 0.0));
        let lines = costs.cells();
        assert_eq!(lines.len(), 16);
        assert!(lines.iter().all(|line| line.len() == 13));
        assert_eq!((lines[1][0].as_str(), lines[15][0].as_str()), ("8", "65536 of 64 MiB"));
    }
}
