//! `x y / R` and `x^2 / R`, strip by strip.
//!
//! Two products of one column cost one: a b' + a' b = (a + a') (b + b') - a b - a' b' (Karatsuba and Ofman, 1962; limb by limb:
//! Weimerskirch and Paar, "Generalizations of the Karatsuba algorithm for efficient implementations", 2006). What
//! such a pair has too much are products of limbs of the same index, and for the next column the same but for one limb: a
//! running sum. Where the two limbs of a pair are the same, it stands for twice their product, of which one is too much, too.
//! Low limbs are in no pair, since a column's own digit meets the lowest limb of the modulus, and in the first strip there
//! are none.
//!
//! A column is the low halves of its products, twice the high halves of the column below, and what that carries, less
//! the excess: below 2^61 for the longest modulus, B = 16, whatever its sign.
//!
//! Five quotient digits depend on each other, 13 cycles a digit; between them stand rows of the next strip's products, which
//! do not wait for them.
#![allow(
    clippy::needless_range_loop,
    reason = "limbs and columns meet by index, and adaptors of iterators are calls without LTO"
)]

use core::arch::x86_64::*;
use core::hint::black_box;

use zeroize::Zeroize;

use super::super::lanes::{Lanes, madd_hi, madd_lo, splat, spread};
use super::super::number::{Block, MASK, Number, WIDTH, high_bits, low_bits, sum};
use super::Modulus;
use super::strips::{Factors, Strip, add_band_row, add_below, add_blocks, add_here, add_row, five};

/// What a product needs room for; holds secrets between calls until it is wiped.
#[derive(Zeroize)]
pub(in super::super) struct Scratch<const B: usize> {
    digits: [Block; B],
    /// What the pairs of a column up to those of the digits have too much.
    excess: [Block; B],
}

impl<const B: usize, const M: usize> Modulus<B, M> {
    /// `x y / R`, in `x`; if `SQUARE`, `x^2 / R`, whatever y. Calls `beside` with the number of each block: there is time for
    /// loads.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn product<const SQUARE: bool>(
        &self,
        x: &mut Number<B>,
        y: &Number<B>,
        scratch: &mut Scratch<B>,
        mut beside: impl FnMut(usize),
    ) {
        let zero = _mm512_setzero_si512();
        // A vector in memory makes the compiler align the stack, with what it keeps there.
        black_box(&zero);
        let Scratch { digits, excess } = scratch;

        let low = if SQUARE { x.low } else { y.low };
        let (low_digit, mut carry) = self.digit(madd_lo(zero, x.low, low));
        let mut high_before = madd_hi(zero, x.low, low);

        // Sums of the products of limbs of the same index up to one, of low halves and of high ones.
        let (mut same_low, mut same_high) = (zero, zero);
        let (mut wrong, mut next) = (zero, Strip::zero());
        macro_rules! low_strip {
            ($s:expr, is_first: $is_first:literal, is_last: $is_last:literal) => {{
                let s: usize = $s;
                let mut strip = next;
                let x = &*x;
                let factors = |a, b, i, j| shared::<B, SQUARE>(x, y, (a, i), (b, j));
                let same = |a, i| squared::<B, SQUARE>(x, y, (a, i));
                let pairs = |a, b, i, j| self.pairs(digits, (a, i), (b, j));
                let alone = |a, i| self.alone(digits, (a, i));

                add_row!(strip, if SQUARE { sum(x.low, x.low) } else { y.low }, x.blocks[s]);
                if !SQUARE {
                    add_row!(strip, x.low, y.blocks[s]);
                }
                if SQUARE || !$is_first {
                    add_blocks!(strip, s, B, usize::from(s > 1), factors, same);
                } else {
                    add_here!(strip, i, j => (x.blocks[0][i], y.blocks[0][j]));
                }
                add_row!(strip, low_digit, self.number.blocks[s]);
                if !$is_first {
                    if s > 1 {
                        add_below!(strip, i, j => pairs(0, s - 1, i, j));
                    }
                    add_blocks!(strip, s, B, 1, pairs, alone);
                }

                // What is read anew would otherwise be kept on the stack.
                let (x, y, modulus) = (black_box(x), black_box(y), black_box(&self.number.blocks));
                next = Strip::zero();
                let (mut block, mut same_high_before) = ([zero; WIDTH], [zero; WIDTH]);
                five!(k => {
                    excess[s][k] = wrong;
                    let mut column = sum(sum(strip.low[k], carry), sum(high_before, high_before));
                    if !$is_first {
                        column = _mm512_sub_epi64(column, wrong);
                    }
                    let digit;
                    (digit, carry) = self.digit(column);
                    block[k] = digit;
                    if !$is_first && !$is_last {
                        add_band_row!(next, k, j =>
                            below shared::<B, SQUARE>(x, y, (0, k), (s, j)),
                            here shared::<B, SQUARE>(x, y, (0, k), (s + 1, j)));
                    }
                    same_high_before[k] = same_high;
                    same_low = madd_lo(same_low, digit, modulus[s][k]);
                    same_high = madd_hi(same_high, digit, modulus[s][k]);
                    if !SQUARE {
                        same_low = madd_lo(same_low, x.blocks[s][k], y.blocks[s][k]);
                        same_high = madd_hi(same_high, x.blocks[s][k], y.blocks[s][k]);
                    }
                    wrong = sum(same_low, sum(same_high_before[k], same_high_before[k]));
                    for i in 0..WIDTH - 1 - k {
                        strip.add(k + 1 + i, if $is_first {
                            (digit, modulus[0][i])
                        } else {
                            (sum(digits[0][i], digit), spread(&self.sums[0][s][i][k]))
                        });
                    }
                    high_before = strip.high[k];
                });
                digits[s] = block;
                same_high_before[WIDTH - 1]
            }};
        }
        // There was no pair whose high halves are too much in the next column.
        let same_high_before = low_strip!(0, is_first: true, is_last: false);
        high_before = sum(high_before, same_high_before);
        for s in 1..B - 1 {
            low_strip!(s, is_first: false, is_last: false);
        }
        let same_high_before = low_strip!(B - 1, is_first: false, is_last: true);

        let total = sum(same_low, sum(same_high, same_high));
        for s in B..2 * B {
            let (at, mut strip) = (s - B, Strip::zero());
            let factors = |a, b, i, j| shared::<B, SQUARE>(x, y, (a, i), (b, j));
            let same = |a, i| squared::<B, SQUARE>(x, y, (a, i));
            let pairs = |a, b, i, j| self.pairs(digits, (a, i), (b, j));
            let alone = |a, i| self.alone(digits, (a, i));

            add_blocks!(strip, s, B, 0, factors, same);
            beside(at);
            add_blocks!(strip, s, B, 0, pairs, alone);

            let mut block = [zero; WIDTH];
            five!(k => {
                let wrong = if s == B && k == 0 { wrong } else { _mm512_sub_epi64(total, excess[at][k]) };
                let column = sum(_mm512_sub_epi64(strip.low[k], wrong), sum(carry, sum(high_before, high_before)));
                carry = high_bits(column);
                high_before = strip.high[k];
                block[k] = low_bits(column);
            });
            *(if s == B { &mut x.low } else { &mut x.blocks[at - 1][WIDTH - 1] }) = block[0];
            x.blocks[at][..WIDTH - 1].copy_from_slice(&block[1..]);
        }
        let last = _mm512_sub_epi64(high_before, _mm512_sub_epi64(same_high, same_high_before));
        x.blocks[B - 1][WIDTH - 1] = sum(carry, sum(last, last));
    }

    /// The quotient digit of a column, and what the column then carries.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn digit(&self, column: Lanes) -> (Lanes, Lanes) {
        let digit = low_bits(madd_lo(_mm512_setzero_si512(), column, self.negated_inverse));
        // With the digit's product the low limb is 0, if it was, or else 2^51.
        (digit, madd_hi(high_bits(sum(column, splat(MASK))), digit, self.twice_low))
    }

    /// A pair of digits of the quotient and of limbs of the modulus.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn pairs(&self, digits: &[Block; B], (a, i): Place, (b, j): Place) -> Factors {
        (sum(digits[a][i], digits[b][j]), spread(&self.sums[a][b][i][j]))
    }

    /// The pair of a digit and a limb of the same index.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn alone(&self, digits: &[Block; B], (a, i): Place) -> Factors {
        (digits[a][i], spread(&self.sums[a][a][i][i]))
    }
}

/// A block of a number, and a limb of the block.
type Place = (usize, usize);

/// Two products of one column: in a square they are the same, doubled.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn shared<const B: usize, const SQUARE: bool>(
    x: &Number<B>,
    y: &Number<B>,
    (a, i): Place,
    (b, j): Place,
) -> Factors {
    if SQUARE {
        (sum(x.blocks[a][i], x.blocks[a][i]), x.blocks[b][j])
    } else {
        (sum(x.blocks[a][i], x.blocks[b][j]), sum(y.blocks[a][i], y.blocks[b][j]))
    }
}

/// The product of limbs of the same index, doubled where there is an excess.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn squared<const B: usize, const SQUARE: bool>(x: &Number<B>, y: &Number<B>, (a, i): Place) -> Factors {
    let (x, y) = (x.blocks[a][i], y.blocks[a][i]);
    (x, if SQUARE { x } else { sum(y, y) })
}

impl<const B: usize> Scratch<B> {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(in super::super) fn new() -> Self {
        let zero = [[_mm512_setzero_si512(); WIDTH]; B];
        Self { digits: zero, excess: zero }
    }
}
