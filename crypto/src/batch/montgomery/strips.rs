//! Products of long numbers, five columns at a time: `Strip`.
//!
//! A number is its low limb and blocks of five; strip `s` is the columns 5 s + 1 to 5 s + 5. There fall, of the products of
//! block `a` with block `s - a`, those of limbs whose indices in their blocks add up to 3 at most, and of block `a` with the
//! block below that one, those that add up to 4 at least. Both slide past the five columns, which stay in registers, low and
//! high halves apart: two halves weigh 2^52, limbs 2^51.
//!
//! All but the smallest steps are macros. As functions they would be called, and the columns would lie in memory: stores
//! take the time of vpmadd52, and `inline(always)` does not go with CPU features.

use core::arch::x86_64::*;

use super::super::lanes::{Lanes, madd_hi, madd_lo};
use super::super::number::{Block, WIDTH};

/// Sums of low and of high halves of products, by columns; a high half weighs 2^52 times its column.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    pub(super) low: Block,
    pub(super) high: Block,
}

/// Two factors, each below 2^52.
pub(super) type Factors = (Lanes, Lanes);

impl Strip {
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn zero() -> Self {
        let zero = [_mm512_setzero_si512(); WIDTH];
        Self { low: zero, high: zero }
    }

    /// Adds a product to a column.
    #[inline]
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    pub(super) fn add(&mut self, column: usize, (a, b): Factors) {
        self.low[column] = madd_lo(self.low[column], a, b);
        self.high[column] = madd_hi(self.high[column], a, b);
    }
}

/// `$body` for each of five columns, written out: a loop of that length would stay one, and its strip lie in memory.
macro_rules! five {
    ($k:ident => $body:block) => {{
        five!($k, 0, $body);
        five!($k, 1, $body);
        five!($k, 2, $body);
        five!($k, 3, $body);
        five!($k, 4, $body);
    }};
    ($k:ident, $value:literal, $body:block) => {{
        let $k: usize = $value;
        $body
    }};
}

/// Adds products of `$limb` with the five of `$block`, a column each.
macro_rules! add_row {
    ($strip:ident, $limb:expr, $block:expr) => {
        for column in 0..WIDTH {
            $strip.add(column, ($limb, $block[column]));
        }
    };
}

/// Adds products of limb `$i` of a block with limbs `$j` of the block below and of the one here.
macro_rules! add_band_row {
    ($strip:ident, $i:ident, $j:ident => below $below:expr, here $here:expr) => {
        for column in 0..$i + 1 {
            let $j = column + WIDTH - 1 - $i;
            $strip.add(column, $below);
        }
        for column in $i + 1..WIDTH {
            let $j = column - 1 - $i;
            $strip.add(column, $here);
        }
    };
}

/// Adds products of limbs `$i` of a block with limbs `$j` of the block below.
macro_rules! add_below {
    ($strip:ident, $i:ident, $j:ident => $factors:expr) => {
        for $i in 0..WIDTH {
            for column in 0..$i + 1 {
                let $j = column + WIDTH - 1 - $i;
                $strip.add(column, $factors);
            }
        }
    };
}

/// Adds products of limbs `$i` of a block with limbs `$j` of the block here.
macro_rules! add_here {
    ($strip:ident, $i:ident, $j:ident => $factors:expr) => {
        for $i in 0..WIDTH {
            for column in $i + 1..WIDTH {
                let $j = column - 1 - $i;
                $strip.add(column, $factors);
            }
        }
    };
}

/// Adds what falls on strip `$s` of the products of blocks from `$first` on, of `$count`: of two limbs once, and of each
/// limb with itself. `$factors(a, b, i, j)` are those of limb `i` of block `a` and limb `j` of block `b`, which is above it,
/// `$same(a, i)` those of a limb with itself.
macro_rules! add_blocks {
    ($strip:ident, $s:expr, $count:expr, $first:expr, $factors:ident, $same:ident) => {{
        let (s, first): (usize, usize) = ($s, $first);
        let mut a = first;
        if s >= $count {
            a = s - $count;
            if 2 * a + 1 < s {
                let b = s.wrapping_sub(1 + a);
                add_below!($strip, i, j => $factors(a, b, i, j));
                a += 1;
            }
        }
        while 2 * a + 1 < s {
            let b = s - a;
            for i in 0..WIDTH {
                add_band_row!($strip, i, j => below $factors(a, b - 1, i, j), here $factors(a, b, i, j));
            }
            a += 1;
        }
        let a = s / 2;
        if s.is_multiple_of(2) {
            for i in 0..WIDTH {
                for j in i..WIDTH {
                    if i + j < WIDTH - 1 {
                        $strip.add(i + j + 1, if i == j { $same(a, i) } else { $factors(a, a, i, j) });
                    }
                }
            }
        } else {
            if a >= first && a + 1 < $count {
                add_here!($strip, i, j => $factors(a, a + 1, i, j));
            }
            for i in 0..WIDTH {
                for j in i..WIDTH {
                    if i + j >= WIDTH - 1 {
                        $strip.add(i + j + 1 - WIDTH, if i == j { $same(a, i) } else { $factors(a, a, i, j) });
                    }
                }
            }
        }
    }};
}

pub(super) use {add_band_row, add_below, add_blocks, add_here, add_row, five};
