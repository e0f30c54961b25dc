//! Where a world's choices come from: `Dice`, a seed or a program.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Choices, the same ones each time: drawn from a seed, or read from a program as long as that goes on.
///
/// A program that has ended chooses the first of everything, which is the tame one throughout.
pub(crate) struct Dice {
    rng: ChaCha8Rng,
    program: Option<VecDeque<u8>>,
}

impl Dice {
    /// Drawn from `seed`.
    #[cfg(test)]
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), program: None }
    }

    /// Read from `program`.
    pub(crate) fn program(program: &[u8]) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(0), program: Some(program.iter().copied().collect()) }
    }

    /// Other dice, for what would use up a program: the noise of a link, the randomness of TLS.
    pub(crate) fn noise(&mut self) -> Self {
        Self { rng: self.rng(), program: None }
    }

    /// A generator of its own.
    pub(crate) fn rng(&mut self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.rng.next_u64())
    }

    /// A number below `count`, which is more than zero.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let Some(program) = &mut self.program else {
            return usize::try_from(self.rng.next_u64() % count as u64).unwrap_or_default();
        };
        let bytes = match count {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 4,
        };
        let number =
            program.drain(..bytes.min(program.len())).fold(0, |number, byte| number << 8 | usize::from(byte));
        number % count
    }

    /// A number of `range`.
    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (from, to) = range.into_inner();
        from + self.below(usize::try_from(to - from + 1).unwrap_or(usize::MAX)) as u64
    }

    /// True so many times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) >= 1000 - per_mille as usize
    }

    /// One of `choices`.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A number of a size of any order between one and `most`: small ones as often as large ones.
    pub(crate) fn any_size(&mut self, most: u64) -> u64 {
        let bits = self.within(0..=u64::from(most.ilog2()));
        self.within(1 << bits..=(2 << bits) - 1).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_read_and_then_tame() {
        let mut dice = Dice::program(&[7, 1, 2, 255, 255]);
        assert_eq!((dice.below(10), dice.below(1000), dice.chance(999)), (7, 258, true));
        assert_eq!((dice.below(10), dice.chance(999), dice.within(3..=9)), (0, false, 3));
        let rolls = |seed| {
            let mut dice = Dice::seeded(seed);
            std::iter::repeat_with(|| dice.any_size(1 << 20)).take(9).collect::<Vec<_>>()
        };
        assert_eq!(rolls(1), rolls(1));
        assert_ne!(rolls(1), rolls(2));
    }
}
