//! Four lanes of 64 bits: `Lanes`, and `Avx2`, the proof that the machine has them.
//!
//! As in `batch::lanes`: what is not safe stands here and at the entries, the rest in functions with
//! `#[target_feature(enable = "avx2")]`.

use core::arch::x86_64::*;

use zeroize::optimization_barrier;

/// One limb of four numbers.
pub(super) type Lanes = __m256i;

/// The number of lanes.
pub(super) const LANES: usize = 4;

/// Proof that AVX2 is there and that the system saves its registers.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Avx2(());

impl Avx2 {
    /// The proof, if it holds.
    pub(in super::super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

/// Bytes below the caller's frame that [`wipe`] overwrites: more than any operation spills.
const SPILLED: usize = 64 << 10;

/// Overwrites what the lanes left in the vector registers, and on the stack below the caller.
#[inline(never)]
pub(super) fn wipe(cpu: Avx2) {
    let spilled = [0_u8; SPILLED];
    optimization_barrier(&spilled);
    let Avx2(()) = cpu;
    // SAFETY: `cpu` is proof that the registers are there; all of them are declared as overwritten.
    unsafe {
        core::arch::asm!("vzeroall", clobber_abi("C"), options(nomem, nostack, preserves_flags));
    }
}

/// The four numbers of `array`, the first in the lowest lane.
#[inline]
#[target_feature(enable = "avx2")]
pub(in super::super) fn lanes(array: [u64; LANES]) -> Lanes {
    // SAFETY: both are 32 bytes of which every value is valid.
    unsafe { core::mem::transmute::<[u64; LANES], Lanes>(array) }
}

/// The numbers of all lanes.
#[inline]
#[target_feature(enable = "avx2")]
pub(in super::super) fn array(lanes: Lanes) -> [u64; LANES] {
    // SAFETY: both are 32 bytes of which every value is valid.
    unsafe { core::mem::transmute::<Lanes, [u64; LANES]>(lanes) }
}

/// Eight numbers of 32 bits as they lie.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(numbers: &[u32; 8]) -> Lanes {
    // SAFETY: both are 32 bytes of which every value is valid.
    unsafe { core::mem::transmute::<[u32; 8], Lanes>(*numbers) }
}

/// `number` in all lanes.
#[inline]
#[target_feature(enable = "avx2")]
pub(in super::super) fn splat(number: u64) -> Lanes {
    _mm256_set1_epi64x(number.cast_signed())
}

/// All ones in the lanes where `word` has bit `bit`, from 0 to 63, else zeros.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn mask(word: Lanes, bit: u64) -> Lanes {
    let highest = _mm256_sll_epi64(word, _mm_cvtsi64_si128((63 - bit).cast_signed()));
    _mm256_cmpgt_epi64(_mm256_setzero_si256(), highest)
}

/// `one` in the lanes of `mask`, `zero` in the others.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn choose(mask: Lanes, zero: Lanes, one: Lanes) -> Lanes {
    _mm256_blendv_epi8(zero, one, mask)
}
