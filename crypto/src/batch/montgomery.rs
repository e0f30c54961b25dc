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
use super::rows::{band_below, band_here, half_row, quotient_row, row, squared, triangle};

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
    sums: [[Block; B]; 2],
}

/// The first `T` powers of a base, as many as a digit of an exponent has values; holds secrets between calls
/// until it is wiped.
#[derive(Zeroize)]
pub(super) struct Table<const B: usize, const T: usize>([Number<B>; T]);

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
        self.multiply_by(x, y.0[0], scratch, |block, index, _| {
            if index < B {
                *block = y.0[index];
            }
        });
    }

    /// The same, for y the entry of `table` that the first of `digits` names. `lowest` is its lowest block, and
    /// then that of the entry which the second names.
    #[inline(never)]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn multiply_entry<const T: usize>(
        &self,
        x: &mut Number<B>,
        table: &Table<B, T>,
        lowest: &mut Block,
        digits: &[Lanes; 2],
        scratch: &mut Scratch<B>,
    ) {
        *lowest = self.multiply_by(x, *lowest, scratch, |block, index, part| {
            let (digit, index) = if index < B { (digits[0], index) } else { (digits[1], 0) };
            table.read(block, digit, index, part);
        });
    }

    /// `x y / R`, in `x`. `block` is the lowest of y; `read` makes those of the numbers 1 to `B`, each in `B` parts,
    /// so that it costs no time of its own. Returns what it made last, which is not of y.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn multiply_by(
        &self,
        x: &mut Number<B>,
        mut block: Block,
        scratch: &mut Scratch<B>,
        read: impl Fn(&mut Block, usize, usize),
    ) -> Block {
        let columns = scratch.products.as_flattened_mut();
        let y = block;
        row::<B, true>(columns, &x.0, &y, |part| read(&mut block, 1, part));
        for index in 0..B - 1 {
            // What is read anew in each round would otherwise be kept, by the hundred, on the stack.
            let (x, modulus) = (black_box(&*x), black_box(&self.limbs));
            let (digits, carry) = self.digits(columns[index]);
            columns[index + 1][0] = sum(columns[index + 1][0], carry);
            row::<B, false>(&mut columns[index + 1..], &x.0, &block, |_| {});
            quotient_row::<B, 0>(&mut columns[index + 1..], modulus, &digits, |part| {
                read(&mut block, index + 2, part);
            });
        }
        let (digits, carry) = self.digits(columns[B - 1]);
        self.finish(&columns[B..], None, &digits, carry, x);
        block
    }

    /// `x^2 / R`, in `x`: products of different limbs are computed once and doubled.
    #[inline(never)]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn square(&self, x: &mut Number<B>, scratch: &mut Scratch<B>) {
        let products = scratch.products.as_flattened_mut();
        let sums = scratch.sums.as_flattened_mut();
        let zero = [_mm512_setzero_si512(); WIDTH];
        (products[0], products[1]) = triangle(zero, zero, &x.0[0]);
        let (digits, carry) = self.digits(squared(&products[0], &zero, &x.0, 0));
        half_row::<B, true>(products, &x.0, 0);
        quotient_row::<B, B>(&mut sums[1..], &self.limbs, &digits, |_| {});
        sums[1][0] = sum(sums[1][0], carry);
        for index in 1..B - 1 {
            let (x, modulus) = (black_box(&*x), black_box(&self.limbs));
            let (digits, carry) = self.digits(squared(&products[index], &sums[index], &x.0, index));
            sums[index + 1][0] = sum(sums[index + 1][0], carry);
            half_row::<B, false>(products, &x.0, index);
            quotient_row::<B, 1>(&mut sums[index + 1..], modulus, &digits, |_| {});
        }
        let (digits, carry) = self.digits(squared(&products[B - 1], &sums[B - 1], &x.0, B - 1));
        (products[2 * B - 2], products[2 * B - 1]) = triangle(products[2 * B - 2], zero, &x.0[B - 1]);
        self.finish(&sums[B..], Some(&products[B..]), &digits, carry, x);
    }

    /// `x` to the power of the low `bits` bits of `exponent`, above which it has none; `x` in Montgomery's form,
    /// before and after. Fixed windows; each reads the whole table.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn power<const T: usize>(
        &self,
        x: &mut Number<B>,
        exponent: &Number<B>,
        bits: usize,
        table: &mut Table<B, T>,
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
        let count = bits.div_ceil(Table::<B, T>::WINDOW);
        let digit = |index| Table::<B, T>::digit(exponent, index);
        let highest = digit(count - 1);
        for index in 0..B {
            x.0[index] = table.block(highest, index);
        }
        let mut digits = [digit(count - 2); 2];
        let mut lowest = table.block(digits[0], 0);
        for index in (0..count - 1).rev() {
            for _ in 0..Table::<B, T>::WINDOW {
                self.square(x, scratch);
            }
            digits = [digits[1], digit(index.saturating_sub(1))];
            self.multiply_entry(x, table, &mut lowest, &digits, scratch);
        }
        digits.zeroize();
        lowest.zeroize();
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

    /// `sums`, what the last `digits` bring and, if there are `products`, twice these and the squares of limbs of
    /// `x`, with `carry` and others moved up.
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
                columns = squared(&products[index], &columns, &x.0, B + index);
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
        Self { products: zero, sums: zero }
    }
}

impl<const B: usize, const T: usize> Table<B, T> {
    /// Bits of a digit.
    const WINDOW: usize = T.ilog2() as usize;

    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn new() -> Self {
        const { assert!(T.is_power_of_two()) };
        Self([Number::zero(); T])
    }

    /// Digit number `index` of `exponent`, whose limbs have nothing above bit 52.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn digit(exponent: &Number<B>, index: usize) -> Lanes {
        let (limb, shift) = (Self::WINDOW * index / 52, Self::WINDOW * index % 52);
        let limbs = exponent.0.as_flattened();
        let low = _mm512_srlv_epi64(limbs[limb], splat(shift as u64));
        let high = match limbs.get(limb + 1) {
            Some(limb) => _mm512_sllv_epi64(*limb, splat(52 - shift as u64)),
            None => _mm512_setzero_si512(),
        };
        _mm512_and_si512(_mm512_or_si512(low, high), splat(T as u64 - 1))
    }

    /// Block `index` of the entry that `digit` names, in each lane its own; all are read.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn block(&self, digit: Lanes, index: usize) -> Block {
        let mut block = [_mm512_setzero_si512(); WIDTH];
        for part in 0..B {
            self.read(&mut block, digit, index, part);
        }
        block
    }

    /// One of `B` parts of [`Table::block`]: reads as many of the entries.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn read(&self, block: &mut Block, digit: Lanes, index: usize, part: usize) {
        let share = T.div_ceil(B);
        for value in part * share..((part + 1) * share).min(T) {
            let mask = _mm512_cmpeq_epi64_mask(digit, splat(value as u64));
            let entry = &self.0[value].0[index];
            for limb in 0..WIDTH {
                block[limb] = _mm512_mask_mov_epi64(block[limb], mask, entry[limb]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
