//! Eight lanes of 64 bits: `Lanes`, and `Cpu`, the proof that the machine has them.
//!
//! Everything above is written in `core::arch`'s safe intrinsics, inside functions with
//! `#[target_feature(enable = "avx512ifma,avx512vbmi")]`. What is not safe stands here: the meeting of
//! vectors and arrays, and at each entry the step from a function without the features into one with them.

use core::arch::x86_64::*;

use zeroize::optimization_barrier;

/// One limb of eight numbers.
pub(super) type Lanes = __m512i;

/// The number of lanes.
pub(super) const LANES: usize = 8;

/// The low 52 bits.
pub(super) const MASK: u64 = (1 << 52) - 1;

/// Proof that AVX-512 F, BW, IFMA and VBMI are there and that the system saves their registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu(());

impl Cpu {
    /// The proof, if it holds.
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512ifma")
            && is_x86_feature_detected!("avx512vbmi");
        has.then_some(Self(()))
    }
}

/// How far below the caller's frame an operation spills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Depth {
    /// Curve25519.
    Shallow,
    /// ECDSA.
    Middle,
    /// Key pairs and agreements on P-256, ML-KEM, RSA.
    Deep,
}

impl Depth {
    /// Of what is made ahead.
    pub(super) const AHEAD: Self = Self::Deep;

    /// Bytes, more than any turn of such operations uses.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Shallow => 28 << 10,
            Self::Middle => 36 << 10,
            Self::Deep => 64 << 10,
        }
    }
}

/// Overwrites what the lanes left in the vector registers, and on the stack below the caller.
pub(super) fn wipe(cpu: Cpu, depth: Depth) {
    match depth {
        Depth::Shallow => wipe_stack::<{ Depth::Shallow.bytes() }>(),
        Depth::Middle => wipe_stack::<{ Depth::Middle.bytes() }>(),
        Depth::Deep => wipe_stack::<{ Depth::Deep.bytes() }>(),
    }
    wipe_registers(cpu);
}

#[inline(never)]
fn wipe_stack<const BYTES: usize>() {
    let spilled = [0_u8; BYTES];
    optimization_barrier(&spilled);
}

#[inline]
fn wipe_registers(cpu: Cpu) {
    let Cpu(()) = cpu;
    // SAFETY: `cpu` is proof that the registers are there; all of them are declared as overwritten.
    unsafe {
        core::arch::asm!(
            "vzeroall",
            "vpxord zmm16, zmm16, zmm16",
            "vpxord zmm17, zmm17, zmm17",
            "vpxord zmm18, zmm18, zmm18",
            "vpxord zmm19, zmm19, zmm19",
            "vpxord zmm20, zmm20, zmm20",
            "vpxord zmm21, zmm21, zmm21",
            "vpxord zmm22, zmm22, zmm22",
            "vpxord zmm23, zmm23, zmm23",
            "vpxord zmm24, zmm24, zmm24",
            "vpxord zmm25, zmm25, zmm25",
            "vpxord zmm26, zmm26, zmm26",
            "vpxord zmm27, zmm27, zmm27",
            "vpxord zmm28, zmm28, zmm28",
            "vpxord zmm29, zmm29, zmm29",
            "vpxord zmm30, zmm30, zmm30",
            "vpxord zmm31, zmm31, zmm31",
            clobber_abi("C"),
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// The eight numbers of `array`, the first in the lowest lane.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn lanes(array: [u64; LANES]) -> Lanes {
    // SAFETY: both are 64 bytes of which every value is valid.
    unsafe { core::mem::transmute::<[u64; LANES], Lanes>(array) }
}

/// The numbers of all lanes.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn array(lanes: Lanes) -> [u64; LANES] {
    // SAFETY: both are 64 bytes of which every value is valid.
    unsafe { core::mem::transmute::<Lanes, [u64; LANES]>(lanes) }
}

/// 64 bytes as they lie.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn load(bytes: &[u8; 64]) -> Lanes {
    // SAFETY: both are 64 bytes of which every value is valid.
    unsafe { core::mem::transmute::<[u8; 64], Lanes>(*bytes) }
}

/// Puts all 64 bytes where they belong.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn store(lanes: Lanes, bytes: &mut [u8; 64]) {
    // SAFETY: both are 64 bytes of which every value is valid.
    *bytes = unsafe { core::mem::transmute::<Lanes, [u8; 64]>(lanes) };
}

/// `number` in all lanes.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn splat(number: u64) -> Lanes {
    _mm512_set1_epi64(number.cast_signed())
}

/// One number in all lanes, or of two the one in the even and the other in the odd lanes.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn spread<const N: usize>(numbers: &[u64; N]) -> Lanes {
    const { assert!(N == 1 || N == 2) };
    let [even, odd] = [numbers[0].cast_signed(), numbers[N - 1].cast_signed()];
    if N == 1 { _mm512_set1_epi64(even) } else { _mm512_broadcast_i32x4(_mm_set_epi64x(odd, even)) }
}

/// `sum` and the low 52 bits of the product of the low 52 bits of `a` and `b`.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn madd_lo(sum: Lanes, a: Lanes, b: Lanes) -> Lanes {
    _mm512_madd52lo_epu64(sum, a, b)
}

/// `sum` and the high 52 bits of that product of 104.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn madd_hi(sum: Lanes, a: Lanes, b: Lanes) -> Lanes {
    _mm512_madd52hi_epu64(sum, a, b)
}
