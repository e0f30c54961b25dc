//! Rows of products of long numbers: blocks of five limbs of one factor against the whole other.
//!
//! Five limbs of one factor and five columns stay in registers while the other factor passes by. A column
//! sums halves of products, each below 2^52: 10 for each row that crosses it.
#![allow(
    clippy::needless_range_loop,
    reason = "limbs and columns meet by index, and adaptors of iterators are calls without LTO"
)]

use core::arch::x86_64::*;

use super::lanes::{madd_hi, madd_lo};
use super::number::{Block, Number, WIDTH, sum};

/// Adds the product of `x` and the block `y` to the first `B` blocks of `columns`, to nothing if they are
/// `FRESH`, and sets the block above them. Calls `beside` between blocks, with 0 to `B - 1`.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn row<const B: usize, const FRESH: bool>(
    columns: &mut [Block],
    x: &[Block; B],
    y: &Block,
    mut beside: impl FnMut(usize),
) {
    let zero = [_mm512_setzero_si512(); WIDTH];
    let columns = &mut columns[..=B];
    columns[0] = band_here(if FRESH { zero } else { columns[0] }, &x[0], y);
    for index in 1..B {
        let before = if FRESH { zero } else { columns[index] };
        columns[index] = band(before, &x[index - 1], &x[index], y);
        beside(index - 1);
    }
    columns[B] = band_below(zero, &x[B - 1], y);
    beside(B - 1);
}

/// The part of [`row`] for the modulus and `digits` that lies above the digits' own columns. To the highest
/// `FRESH` blocks of columns nothing was added before.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn quotient_row<const B: usize, const FRESH: usize>(
    columns: &mut [Block],
    modulus: &Number<B>,
    digits: &Block,
    mut beside: impl FnMut(usize),
) {
    let zero = [_mm512_setzero_si512(); WIDTH];
    let columns = &mut columns[..B];
    for index in 1..B {
        let before = if index + FRESH > B { zero } else { columns[index - 1] };
        columns[index - 1] = band(before, &modulus.0[index - 1], &modulus.0[index], digits);
        beside(index - 1);
    }
    let before = if FRESH > 0 { zero } else { columns[B - 1] };
    columns[B - 1] = band_below(before, &modulus.0[B - 1], digits);
    beside(B - 1);
}

/// Adds the products of block `index` of `x`, not the last, with itself and the blocks above it, of two
/// different limbs each once, and sets the highest block that they reach. If all is `FRESH`, in the first
/// row, that block's own products are there already.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn half_row<const B: usize, const FRESH: bool>(
    products: &mut [Block],
    x: &[Block; B],
    index: usize,
) {
    let zero = [_mm512_setzero_si512(); WIDTH];
    let columns = &mut products[2 * index..=B + index];
    let y = x[index];
    if !FRESH {
        (columns[0], columns[1]) = triangle(columns[0], columns[1], &y);
    }
    columns[1] = band_here(columns[1], &x[index + 1], &y);
    for other in index + 2..B {
        let column = other - index;
        let before = if FRESH { zero } else { columns[column] };
        columns[column] = band(before, &x[other - 1], &x[other], &y);
    }
    columns[B - index] = band_below(zero, &x[B - 1], &y);
}

/// Adds to five columns what falls on them of the products of five limbs `y` with limbs of x: those of
/// the block `here`, whose columns they are with the lowest limb of y, and those of the block `below` it.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn band(columns: Block, below: &Block, here: &Block, y: &Block) -> Block {
    band_here(band_below(columns, below, y), here, y)
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn band_below(mut columns: Block, below: &Block, y: &Block) -> Block {
    for index in 0..WIDTH {
        for column in 0..index {
            columns[column] = madd_lo(columns[column], below[WIDTH + column - index], y[index]);
        }
        for column in 0..index + 1 {
            columns[column] = madd_hi(columns[column], below[WIDTH - 1 + column - index], y[index]);
        }
    }
    columns
}

#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn band_here(mut columns: Block, here: &Block, y: &Block) -> Block {
    for index in 0..WIDTH {
        for column in index..WIDTH {
            columns[column] = madd_lo(columns[column], here[column - index], y[index]);
        }
        for column in index + 1..WIDTH {
            columns[column] = madd_hi(columns[column], here[column - index - 1], y[index]);
        }
    }
    columns
}

/// Adds the products of different limbs of one block, each once.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn triangle(mut low: Block, mut high: Block, y: &Block) -> (Block, Block) {
    for index in 0..WIDTH {
        for other in index + 1..WIDTH {
            let column = index + other;
            let place = if column < WIDTH { &mut low[column] } else { &mut high[column - WIDTH] };
            *place = madd_lo(*place, y[index], y[other]);
            let column = column + 1;
            let place = if column < WIDTH { &mut low[column] } else { &mut high[column - WIDTH] };
            *place = madd_hi(*place, y[index], y[other]);
        }
    }
    (low, high)
}

/// `2 products + sums`, and the squares of limbs of `x` that fall on the columns of block `index`.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn squared<const B: usize>(products: &Block, sums: &Block, x: &[Block; B], index: usize) -> Block {
    let mut columns = *sums;
    for column in 0..WIDTH {
        columns[column] = sum(columns[column], sum(products[column], products[column]));
    }
    let x = &x[index / 2];
    if index.is_multiple_of(2) { squares::<0>(columns, x) } else { squares::<WIDTH>(columns, x) }
}

/// Adds to five columns, of which the lowest is number `FIRST` of the square of a block, those squares of its
/// limbs that fall there.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn squares<const FIRST: usize>(mut columns: Block, block: &Block) -> Block {
    for column in 0..WIDTH {
        let limb = block[(FIRST + column) / 2];
        columns[column] = if (FIRST + column).is_multiple_of(2) {
            madd_lo(columns[column], limb, limb)
        } else {
            madd_hi(columns[column], limb, limb)
        };
    }
    columns
}
