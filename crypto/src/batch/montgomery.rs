//! Montgomery arithmetic on eight long numbers at once: `Modulus`.
//!
//! R is 2^(260 B), at least 2^16 times a modulus; factors whose product is below R times the modulus give
//! a result below twice the modulus (almost Montgomery multiplication: Gueron, "Efficient software
//! implementations of modular exponentiation", 2012). A column sums at most 20 B halves of products, each
//! below 2^52, and a carry: it stays below 2^61 for the longest modulus, B = 16.
//!
//! Five quotient digits depend on each other, 9 cycles a digit; between them and the row of the modulus
//! that they multiply stands a row of the product that does not wait for them.
#![allow(
    clippy::needless_range_loop,
    reason = "limbs and columns meet by index, and adaptors of iterators are calls without LTO"
)]

use core::arch::x86_64::*;
use core::hint::black_box;

use zeroize::Zeroize;

use super::lanes::{Lanes, MASK, array, lanes, madd_hi, madd_lo, splat};
use super::number::{Block, Number, WIDTH, low_bits, sum};
use super::rows::{band_below, band_here, diagonal, doubled, half_row, quotient_row, row, triangle};

/// Bits of an exponent that one multiplication takes; a limb holds 13 such digits.
const WINDOW: usize = 4;

/// Eight moduli, odd, each at least 2^16 times below R.
#[derive(Zeroize)]
pub(super) struct Modulus<const B: usize> {
    limbs: Number<B>,
    /// -1/m mod 2^52.
    negated_inverse: Lanes,
    /// R, its square and its cube, mod m.
    powers: [Number<B>; 3],
}

/// Columns of products; holds secrets between calls until it is wiped.
#[derive(Zeroize)]
pub(super) struct Scratch<const B: usize> {
    products: [[Block; B]; 2],
    quotients: [[Block; B]; 2],
}

/// The powers of a base; holds secrets between calls until it is wiped.
#[derive(Zeroize)]
pub(super) struct Table<const B: usize>([Number<B>; 1 << WINDOW]);

impl<const B: usize> Modulus<B> {
    /// The moduli `limbs`; `square` is that of R, reduced.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new(limbs: Number<B>, square: Number<B>) -> Self {
        let negated_inverse = lanes(array(limbs.0[0][0]).map(|limb| {
            // Newton's iteration: right bits double from three on.
            let inverse = (0..5).fold(limb, |inverse, _| {
                inverse.wrapping_mul(2_u64.wrapping_sub(limb.wrapping_mul(inverse)))
            });
            inverse.wrapping_neg() & MASK
        }));
        let mut modulus = Self { limbs, negated_inverse, powers: [square; 3] };
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

    /// The moduli themselves.
    pub(super) const fn number(&self) -> &Number<B> {
        &self.limbs
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
        one.0[0][0] = splat(1);
        self.multiply(x, &one, scratch);
    }

    /// `x - y`, both below twice the modulus, as a number below four times the modulus.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn subtract(&self, x: &mut Number<B>, y: &Number<B>) {
        let mut carry = _mm512_setzero_si512();
        let others = y.0.as_flattened().iter().zip(self.limbs.0.as_flattened());
        for (limb, (other, modulus)) in x.0.as_flattened_mut().iter_mut().zip(others) {
            let twice = sum(*modulus, *modulus);
            let difference = _mm512_sub_epi64(sum(low_bits(*limb), twice), low_bits(*other));
            *limb = sum(difference, carry);
            carry = _mm512_srai_epi64::<52>(*limb);
        }
    }

    /// The lanes in which `x` is below the modulus.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn exceeds(&self, x: &Number<B>) -> u8 {
        let mut borrow = _mm512_setzero_si512();
        for (limb, modulus) in x.0.as_flattened().iter().zip(self.limbs.0.as_flattened()) {
            let difference = _mm512_sub_epi64(low_bits(*limb), *modulus);
            borrow = _mm512_srai_epi64::<52>(sum(difference, borrow));
        }
        _mm512_cmplt_epi64_mask(borrow, _mm512_setzero_si512())
    }

    /// Brings `x`, below twice the modulus, below the modulus, and its limbs below 2^52.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn reduce(&self, x: &mut Number<B>) {
        let below = self.exceeds(x);
        let mut borrow = _mm512_setzero_si512();
        for (limb, modulus) in x.0.as_flattened_mut().iter_mut().zip(self.limbs.0.as_flattened()) {
            let subtrahend = _mm512_mask_blend_epi64(below, *modulus, _mm512_setzero_si512());
            let difference = sum(_mm512_sub_epi64(low_bits(*limb), subtrahend), borrow);
            borrow = _mm512_srai_epi64::<52>(difference);
            *limb = low_bits(difference);
        }
    }

    /// `x y / R`, in `x`.
    #[inline(never)]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn multiply(&self, x: &mut Number<B>, y: &Number<B>, scratch: &mut Scratch<B>) {
        let columns = scratch.products.as_flattened_mut();
        row::<B, true>(columns, &x.0, &y.0[0]);
        for index in 0..B - 1 {
            // What is read anew in each round would otherwise be kept, by the hundred, on the stack.
            let (x, modulus) = (black_box(&*x), black_box(&self.limbs));
            let (digits, carry) = self.digits(columns[index]);
            columns[index + 1][0] = sum(columns[index + 1][0], carry);
            row::<B, false>(&mut columns[index + 1..], &x.0, &y.0[index + 1]);
            quotient_row(&mut columns[index + 1..], modulus, &digits);
        }
        let (digits, carry) = self.digits(columns[B - 1]);
        self.finish(&columns[B..], None, &digits, carry, x);
    }

    /// `x^2 / R`, in `x`: products of different limbs are computed once and doubled.
    #[inline(never)]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn square(&self, x: &mut Number<B>, scratch: &mut Scratch<B>) {
        let products = scratch.products.as_flattened_mut();
        let sums = scratch.quotients.as_flattened_mut();
        for index in 0..B {
            [sums[2 * index], sums[2 * index + 1]] = diagonal(&x.0[index]);
        }
        let zero = [_mm512_setzero_si512(); WIDTH];
        (products[0], products[1]) = triangle(zero, zero, &x.0[0]);
        for index in 0..B - 1 {
            let (x, modulus) = (black_box(&*x), black_box(&self.limbs));
            let (digits, carry) = self.digits(doubled(&products[index], &sums[index]));
            sums[index + 1][0] = sum(sums[index + 1][0], carry);
            if index == 0 {
                half_row::<B, true>(products, &x.0, index);
            } else {
                half_row::<B, false>(products, &x.0, index);
            }
            quotient_row(&mut sums[index + 1..], modulus, &digits);
        }
        let (digits, carry) = self.digits(doubled(&products[B - 1], &sums[B - 1]));
        (products[2 * B - 2], products[2 * B - 1]) = triangle(products[2 * B - 2], zero, &x.0[B - 1]);
        self.finish(&sums[B..], Some(&products[B..]), &digits, carry, x);
    }

    /// `x` to the power of the low `bits` bits of `exponent`, a multiple of [`WINDOW`]; `x` in
    /// Montgomery's form, before and after. Fixed windows; each reads the whole table.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn power(
        &self,
        x: &mut Number<B>,
        exponent: &Number<B>,
        bits: usize,
        table: &mut Table<B>,
        scratch: &mut Scratch<B>,
    ) {
        let entries = &mut table.0;
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
        let mut factor = Number::zero();
        let digits = bits / WINDOW;
        table.select(exponent, digits - 1, x);
        for digit in (0..digits - 1).rev() {
            for _ in 0..WINDOW {
                self.square(x, scratch);
            }
            table.select(exponent, digit, &mut factor);
            self.multiply(x, &factor, scratch);
        }
        factor.zeroize();
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

    /// The quotient digits of five columns, for which the sum and their multiple of the modulus is zero
    /// there, and what that sum carries beyond them.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn digits(&self, mut columns: Block) -> (Block, Lanes) {
        let modulus = &self.limbs.0[0];
        let zero = _mm512_setzero_si512();
        let mut digits = [zero; WIDTH];
        let mut carry = zero;
        for index in 0..WIDTH {
            let column = sum(columns[index], carry);
            let digit = madd_lo(zero, column, self.negated_inverse);
            // With the digit's product the low limb is 0, if it was, or else 2^52.
            carry = _mm512_srli_epi64::<52>(sum(column, splat(MASK)));
            if index + 1 < WIDTH {
                carry = madd_hi(carry, modulus[0], digit);
            }
            for above in index + 1..WIDTH {
                columns[above] = madd_lo(columns[above], modulus[above - index], digit);
            }
            for above in index + 2..WIDTH {
                columns[above] = madd_hi(columns[above], modulus[above - index - 1], digit);
            }
            digits[index] = digit;
        }
        (digits, carry)
    }

    /// `sums`, twice `products` and what the last `digits` bring, with `carry` and others moved up.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn finish(
        &self,
        sums: &[Block],
        products: Option<&[Block]>,
        digits: &Block,
        mut carry: Lanes,
        x: &mut Number<B>,
    ) {
        let modulus = &self.limbs.0;
        for index in 0..B {
            let mut columns = band_below(sums[index], &modulus[index], digits);
            if index + 1 < B {
                columns = band_here(columns, &modulus[index + 1], digits);
            }
            if let Some(products) = products {
                columns = doubled(&products[index], &columns);
            }
            for column in &mut columns {
                *column = sum(*column, carry);
                carry = _mm512_srli_epi64::<52>(*column);
            }
            x.0[index] = columns;
        }
    }
}

impl<const B: usize> Scratch<B> {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new() -> Self {
        let zero = [[[_mm512_setzero_si512(); WIDTH]; B]; 2];
        Self { products: zero, quotients: zero }
    }
}

impl<const B: usize> Table<B> {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new() -> Self {
        Self([Number::zero(); 1 << WINDOW])
    }

    /// The entry that digit number `digit` of `exponent` names, in each lane its own; all are read.
    #[inline(never)]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn select(&self, exponent: &Number<B>, digit: usize, entry: &mut Number<B>) {
        let shift = splat((digit % 13 * WINDOW) as u64);
        let limb = exponent.0[digit / 13 / WIDTH][digit / 13 % WIDTH];
        let digit = _mm512_and_si512(_mm512_srlv_epi64(limb, shift), splat((1 << WINDOW) - 1));
        for pair in 0..B / 2 {
            let mut found = [[_mm512_setzero_si512(); WIDTH]; 2];
            for value in 0..self.0.len() {
                let mask = _mm512_cmpeq_epi64_mask(digit, splat(value as u64));
                for half in 0..2 {
                    let block = &self.0[value].0[2 * pair + half];
                    for index in 0..WIDTH {
                        found[half][index] = _mm512_mask_mov_epi64(found[half][index], mask, block[index]);
                    }
                }
            }
            [entry.0[2 * pair], entry.0[2 * pair + 1]] = found;
        }
    }
}

#[cfg(test)]
mod tests;
