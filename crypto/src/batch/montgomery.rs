//! Montgomery arithmetic on eight long numbers at once: `Modulus`.
//!
//! R is 2^(51 (5 B + 1)), at least 2^32 times a modulus; factors whose product is below R times the modulus give
//! a result below twice the modulus (almost Montgomery multiplication: Gueron, "Efficient software
//! implementations of modular exponentiation", 2012).
#![allow(
    clippy::needless_range_loop,
    reason = "limbs and columns meet by index, and adaptors of iterators are calls without LTO"
)]

mod product;
mod strips;

use core::arch::x86_64::*;

use zeroize::Zeroize;

pub(super) use product::Scratch;

use super::lanes::{Lanes, array, lanes, splat};
use super::number::{MASK, Number, WIDTH, high_bits, low_bits, sum};
use super::table::{Masks, Table, WINDOW};

/// `M` moduli in the lanes, odd and each at least 2^32 times below R: one in all of them, or of two the one in the even and
/// the other in the odd lanes.
#[derive(Zeroize)]
pub(super) struct Modulus<const B: usize, const M: usize> {
    number: Number<B>,
    twice_low: Lanes,
    /// -1/m mod 2^51.
    negated_inverse: Lanes,
    /// Sums of limb i of block a and limb j of block b, where a is not above b: `sums[a][b][i][j]`. As vectors they and a
    /// table would not fit into the nearest cache.
    sums: Box<[[PairSums<M>; B]; B]>,
    /// R, its square and its cube, mod m.
    powers: [Number<B>; 3],
}

/// Of each limb of a block with each of another, of each modulus.
type PairSums<const M: usize> = [[[u64; M]; WIDTH]; WIDTH];

impl<const B: usize, const M: usize> Modulus<B, M> {
    /// The moduli `number`; `square` is that of R, reduced.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new(number: Number<B>, square: Number<B>) -> Self {
        let negated_inverse = lanes(array(number.low).map(|limb| {
            // Newton's iteration: right bits double from three on.
            let inverse = (0..5).fold(limb, |inverse, _| {
                inverse.wrapping_mul(2_u64.wrapping_sub(limb.wrapping_mul(inverse)))
            });
            inverse.wrapping_neg() & MASK
        }));
        let mut sums = Box::new([[[[[0; M]; WIDTH]; WIDTH]; B]; B]);
        for a in 0..B {
            for b in a..B {
                for i in 0..WIDTH {
                    for j in 0..WIDTH {
                        let sums_of_lanes = array(sum(number.blocks[a][i], number.blocks[b][j]));
                        sums[a][b][i][j].copy_from_slice(&sums_of_lanes[..M]);
                    }
                }
            }
        }
        let twice_low = sum(number.low, number.low);
        let mut modulus = Self { number, twice_low, negated_inverse, sums, powers: [square; 3] };
        let mut scratch = Scratch::new();
        let mut power = square;
        modulus.leave(&mut power, &mut scratch);
        modulus.powers[0] = power;
        power = square;
        modulus.multiply(&mut power, &square, &mut scratch);
        modulus.powers[2] = power;
        scratch.zeroize();
        modulus
    }

    /// After an exchange with `other`: each has its own memory again, and keeps the numbers.
    #[cfg(all(test, not(debug_assertions)))]
    pub(super) fn settle(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.sums, &mut other.sums);
        std::mem::swap(&mut *self.sums, &mut *other.sums);
    }

    /// The moduli themselves.
    pub(super) const fn number(&self) -> &Number<B> {
        &self.number
    }

    /// Brings `x` into Montgomery's form.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn enter(&self, x: &mut Number<B>, scratch: &mut Scratch<B>) {
        self.multiply(x, &self.powers[1], scratch);
    }

    /// Brings the long number `low + x R` into Montgomery's form, below four times the modulus, in `low`.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn enter_long(&self, low: &mut Number<B>, x: &mut Number<B>, scratch: &mut Scratch<B>) {
        self.multiply(low, &self.powers[1], scratch);
        self.enter_inverse(x, scratch);
        low.add(x);
    }

    /// Multiplies by R^2: brings the inverse of a number in Montgomery's form into that form.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn enter_inverse(&self, x: &mut Number<B>, scratch: &mut Scratch<B>) {
        self.multiply(x, &self.powers[2], scratch);
    }

    /// Brings `x` out of Montgomery's form: at most the modulus.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn leave(&self, x: &mut Number<B>, scratch: &mut Scratch<B>) {
        let mut one = Number::zero();
        one.low = splat(1);
        self.multiply(x, &one, scratch);
    }

    /// `x - y`, both below twice the modulus, as a number below four times the modulus.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn subtract(&self, x: &mut Number<B>, y: &Number<B>) {
        let mut carry = _mm512_setzero_si512();
        for (limb, (other, modulus)) in x.limbs_mut().zip(y.limbs().zip(self.number.limbs())) {
            let twice = sum(*modulus, *modulus);
            let total = sum(_mm512_sub_epi64(sum(*limb, twice), *other), carry);
            (*limb, carry) = (low_bits(total), high_bits(total));
        }
    }

    /// The lanes in which `x` is below the modulus.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn exceeds(&self, x: &Number<B>) -> u8 {
        let mut borrow = _mm512_setzero_si512();
        for (limb, modulus) in x.limbs().zip(self.number.limbs()) {
            borrow = high_bits(sum(_mm512_sub_epi64(*limb, *modulus), borrow));
        }
        _mm512_cmplt_epi64_mask(borrow, _mm512_setzero_si512())
    }

    /// Brings `x`, below twice the modulus, below the modulus.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn reduce(&self, x: &mut Number<B>) {
        let below = self.exceeds(x);
        let mut borrow = _mm512_setzero_si512();
        for (limb, modulus) in x.limbs_mut().zip(self.number.limbs()) {
            let subtrahend = _mm512_mask_blend_epi64(below, *modulus, _mm512_setzero_si512());
            let difference = sum(_mm512_sub_epi64(*limb, subtrahend), borrow);
            (*limb, borrow) = (low_bits(difference), high_bits(difference));
        }
    }

    /// `x y / R`, in `x`.
    #[inline(never)]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn multiply(&self, x: &mut Number<B>, y: &Number<B>, scratch: &mut Scratch<B>) {
        self.product::<false>(x, y, scratch, |_| {});
    }

    /// `x^2 / R`, in `x`: products of different limbs are computed once and doubled.
    #[inline(never)]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn square(&self, x: &mut Number<B>, scratch: &mut Scratch<B>) {
        self.product::<true>(x, &self.number, scratch, |_| {});
    }

    /// The same; meanwhile part `part` of what `masks` name is read from `table`.
    #[inline(never)]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn square_and_read(
        &self,
        x: &mut Number<B>,
        scratch: &mut Scratch<B>,
        table: &mut Table<B>,
        masks: &Masks,
        part: usize,
    ) {
        self.product::<true>(x, &self.number, scratch, |block| {
            for limb in WIDTH * part / WINDOW..WIDTH * (part + 1) / WINDOW {
                table.entry.blocks[block][limb] = table.limb(masks, |entry| entry.blocks[block][limb]);
            }
        });
    }

    /// `x` to the power of the low `bits` bits of `exponent`, above which it has none; `x` in Montgomery's form,
    /// before and after. Fixed windows; each reads the whole table.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn power(
        &self,
        x: &mut Number<B>,
        exponent: &Number<B>,
        bits: usize,
        table: &mut Table<B>,
        scratch: &mut Scratch<B>,
    ) {
        let entries = &mut table.entries;
        entries[0] = self.powers[0];
        entries[1] = *x;
        for index in 2..entries.len() {
            if index % 2 == 0 {
                entries[index] = entries[index / 2];
                self.square(&mut entries[index], scratch);
            } else {
                entries[index] = entries[index - 1];
                self.multiply(&mut entries[index], x, scratch);
            }
        }
        let highest = bits.div_ceil(WINDOW) - 1;
        *x = *table.read_whole(exponent, highest);
        for index in (0..highest).rev() {
            let masks = table.begin(exponent, index);
            for part in 0..WINDOW {
                self.square_and_read(x, scratch, table, &masks, part);
            }
            self.multiply(x, &table.entry, scratch);
        }
    }

    /// `x` to the power of `exponent`, public and odd: `x` in Montgomery's form, `plain` the same number
    /// out of it, and so is the result.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn public_power(
        &self,
        x: &mut Number<B>,
        plain: &Number<B>,
        exponent: u32,
        scratch: &mut Scratch<B>,
    ) {
        let mut base = *x;
        for bit in (0..exponent.ilog2()).rev() {
            self.square(x, scratch);
            if bit == 0 {
                self.multiply(x, plain, scratch);
            } else if exponent >> bit & 1 == 1 {
                self.multiply(x, &base, scratch);
            }
        }
        base.zeroize();
    }
}

#[cfg(test)]
mod tests;
