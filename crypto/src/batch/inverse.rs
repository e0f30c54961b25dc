//! Inverses of eight numbers by one inversion of a single number: `across`, `Prime`.
//!
//! Lanes share an inversion by Montgomery's trick, and what is left is one number, for which the scalar unit is
//! faster than a power in all lanes: Bernstein and Yang, "Fast constant-time gcd computation and modular
//! inversion" (2019). Its steps are those with δ from 1/2, of which 590 are enough for 256 bits (Wuille,
//! "The safegcd implementation in libsecp256k1 explained"), done 59 at a time on the lowest bits of f and g. Each
//! step waits for the one before, so that those of two numbers, side by side in lanes, take the time of one.
//!
//! Constant time: the number of steps is fixed, and bits only become masks.

use core::arch::asm;
use core::arch::x86_64::*;

use zeroize::Zeroize;

use super::four::lanes::{array, lanes, splat};
use super::lanes::Lanes;

/// Limbs of eight numbers.
type Limbs = [Lanes; 5];

/// The inverses of the numbers in all lanes, none of them zero, given what multiplies and what inverts a number
/// that is the same in all.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn across(
    x: &Limbs,
    multiply: impl Fn(&Limbs, &Limbs) -> Limbs,
    invert: impl FnOnce(&Limbs) -> Limbs,
) -> Limbs {
    let far = x.map(|limb| _mm512_shuffle_i64x2::<0b01_00_11_10>(limb, limb));
    let two = multiply(x, &far);
    let middle = two.map(|limb| _mm512_permutex_epi64::<0b01_00_11_10>(limb));
    let four = multiply(&two, &middle);
    let near = four.map(|limb| _mm512_permutex_epi64::<0b10_11_00_01>(limb));
    let inverse = invert(&multiply(&four, &near));
    multiply(&multiply(&multiply(&inverse, &near), &middle), &far)
}

/// An odd prime below 2^256.
pub(super) struct Prime {
    limbs: Signed,
    /// 1 / p mod 2^62.
    inverse: u64,
}

/// Limbs of 62 bits, the highest signed.
type Signed = [i64; 5];

/// The transition matrix of a round's steps, times 2^62.
struct Matrix {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

/// Rounds of [`STEPS`] steps.
const ROUNDS: usize = 10;

const STEPS: usize = 59;

const LOW: u64 = u64::MAX >> 2;

/// The inverses of one number or two, each below its own prime; 0 of 0.
#[target_feature(enable = "avx2")]
pub(super) fn invert<const N: usize>(primes: [&Prime; N], numbers: [[u64; 4]; N]) -> [[u64; 4]; N] {
    const { assert!(N == 1 || N == 2) };
    let mut states: [State; N] = core::array::from_fn(|index| State {
        f: primes[index].limbs,
        g: signed(numbers[index]),
        d: [0; 5],
        e: [1, 0, 0, 0, 0],
    });
    let mut zeta = splat(u64::MAX);
    for _ in 0..ROUNDS {
        let [f, g] = lowest(&states);
        let matrices = steps(&mut zeta, f, g);
        for ((state, prime), matrix) in states.iter_mut().zip(primes).zip(&matrices) {
            prime.combine(&mut state.d, &mut state.e, matrix);
            combine(&mut state.f, &mut state.g, matrix);
        }
    }
    // f is the greatest common divisor, 1 or -1, and d with its sign the inverse, from -2 p to p.
    let inverses = core::array::from_fn(|index| {
        let State { f, d, .. } = &mut states[index];
        primes[index].normalize(d, sign(f[4]));
        words(d)
    });
    states.zeroize();
    inverses
}

/// f and g of a number, which become its greatest common divisor with the prime and 0; d and e times the number are
/// f and g mod p.
#[derive(Zeroize)]
struct State {
    f: Signed,
    g: Signed,
    d: Signed,
    e: Signed,
}

/// The lowest bits of f and g of all numbers, each twice.
#[inline]
#[target_feature(enable = "avx2")]
fn lowest<const N: usize>(states: &[State; N]) -> [__m256i; 2] {
    let (first, last) = (&states[0], &states[N - 1]);
    [[first.f[0], last.f[0]], [first.g[0], last.g[0]]].map(|[first, last]| {
        let [first, last] = [first, last].map(i64::cast_unsigned);
        lanes([first, first, last, last])
    })
}

/// The number that the lowest lanes of `words` hold.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
pub(super) fn first_lane(words: &[Lanes; 4]) -> [u64; 4] {
    words.map(|word| super::lanes::array(word)[0])
}

impl Prime {
    /// The prime of four words, the lowest first.
    pub(super) const fn new(words: [u64; 4]) -> Self {
        // Newton's iteration: right bits double from three on.
        let mut inverse = words[0];
        let mut right = 3;
        while right < 62 {
            inverse = inverse.wrapping_mul(2_u64.wrapping_sub(words[0].wrapping_mul(inverse)));
            right *= 2;
        }
        Self { limbs: signed(words), inverse }
    }

    /// d and e after a round, mod p and from -2 p to p.
    #[inline]
    fn combine(&self, d: &mut Signed, e: &mut Signed, matrix: &Matrix) {
        let &Matrix { u, v, q, r } = matrix;
        let (d_sign, e_sign) = (sign(d[4]), sign(e[4]));
        let mut d_times = (u & d_sign) + (v & e_sign);
        let mut e_times = (q & d_sign) + (r & e_sign);
        let mut d_sum = product(u, d[0]) + product(v, e[0]);
        let mut e_sum = product(q, d[0]) + product(r, e[0]);
        // As many times p that the lowest limb vanishes.
        d_times -= self.missing(d_sum, d_times);
        e_times -= self.missing(e_sum, e_times);
        d_sum = (d_sum + product(self.limbs[0], d_times)) >> 62;
        e_sum = (e_sum + product(self.limbs[0], e_times)) >> 62;
        for i in 1..5 {
            d_sum += product(u, d[i]) + product(v, e[i]) + product(self.limbs[i], d_times);
            e_sum += product(q, d[i]) + product(r, e[i]) + product(self.limbs[i], e_times);
            d[i - 1] = low(d_sum);
            e[i - 1] = low(e_sum);
            d_sum >>= 62;
            e_sum >>= 62;
        }
        d[4] = whole(d_sum);
        e[4] = whole(e_sum);
    }

    #[inline]
    fn missing(&self, sum: i128, times: i64) -> i64 {
        let sum = low(sum).cast_unsigned();
        (self.inverse.wrapping_mul(sum).wrapping_add(times.cast_unsigned()) & LOW).cast_signed()
    }

    /// `number`, from -2 p to p, negated where `flip` is all ones, as it is from 0 to p.
    fn normalize(&self, number: &mut Signed, flip: i64) {
        let negative = sign(number[4]);
        for (limb, p) in number.iter_mut().zip(self.limbs) {
            *limb = ((*limb + (p & negative)) ^ flip) - flip;
        }
        carry(number);
        let negative = sign(number[4]);
        for (limb, p) in number.iter_mut().zip(self.limbs) {
            *limb += p & negative;
        }
        carry(number);
    }
}

/// [`STEPS`] division steps on the lowest bits of f and g, of one number in both halves or of two. ζ is -(δ + 1/2),
/// in each 32 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn steps(zeta: &mut __m256i, mut f: __m256i, mut g: __m256i) -> [Matrix; 2] {
    let (zero, one, minus_one) = (splat(0), splat(1), _mm256_set1_epi32(-1));
    // u and v, q and r, of each number.
    let (mut upper, mut lower) = (lanes([8, 0, 8, 0]), lanes([0, 8, 0, 8]));
    for _ in 0..STEPS {
        let negative = _mm256_srai_epi32::<31>(*zeta);
        let odd = _mm256_sub_epi64(zero, _mm256_and_si256(g, one));
        let swap = _mm256_and_si256(negative, odd);
        g = _mm256_add_epi64(g, signed_where(f, negative, odd));
        lower = _mm256_add_epi64(lower, signed_where(upper, negative, odd));
        f = _mm256_add_epi64(f, _mm256_and_si256(g, swap));
        upper = _mm256_add_epi64(upper, _mm256_and_si256(lower, swap));
        upper = _mm256_add_epi64(upper, upper);
        *zeta = _mm256_add_epi32(_mm256_xor_si256(*zeta, swap), minus_one);
        g = _mm256_srli_epi64::<1>(g);
    }
    let ([u, v, u_2, v_2], [q, r, q_2, r_2]) = (signed_lanes(upper), signed_lanes(lower));
    [Matrix { u, v, q, r }, Matrix { u: u_2, v: v_2, q: q_2, r: r_2 }]
}

/// `number`, negated where `negative`, and nothing but where `there`.
#[inline]
#[target_feature(enable = "avx2")]
fn signed_where(number: __m256i, negative: __m256i, there: __m256i) -> __m256i {
    let number = _mm256_sub_epi64(_mm256_xor_si256(number, negative), negative);
    _mm256_and_si256(number, there)
}

#[inline]
#[target_feature(enable = "avx2")]
fn signed_lanes(numbers: __m256i) -> [i64; 4] {
    array(numbers).map(u64::cast_signed)
}

/// f and g after a round.
#[inline]
fn combine(f: &mut Signed, g: &mut Signed, matrix: &Matrix) {
    let &Matrix { u, v, q, r } = matrix;
    let mut f_sum = (product(u, f[0]) + product(v, g[0])) >> 62;
    let mut g_sum = (product(q, f[0]) + product(r, g[0])) >> 62;
    for i in 1..5 {
        f_sum += product(u, f[i]) + product(v, g[i]);
        g_sum += product(q, f[i]) + product(r, g[i]);
        f[i - 1] = low(f_sum);
        g[i - 1] = low(g_sum);
        f_sum >>= 62;
        g_sum >>= 62;
    }
    f[4] = whole(f_sum);
    g[4] = whole(g_sum);
}

/// The mask as it is, of which the compiler knows nothing: it would make branches of what it knows to be a bit.
#[inline]
fn hidden(mut mask: u64) -> u64 {
    // SAFETY: no instruction.
    unsafe { asm!("/* {0} */", inout(reg) mask, options(pure, nomem, nostack, preserves_flags)) };
    mask
}

/// All ones for a negative number.
#[inline]
fn sign(number: i64) -> i64 {
    hidden((number >> 63).cast_unsigned()).cast_signed()
}

#[inline]
const fn product(a: i64, b: i64) -> i128 {
    a as i128 * b as i128
}

/// The lowest limb.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
const fn low(sum: i128) -> i64 {
    sum as i64 & LOW.cast_signed()
}

/// All that is left.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "it fits, as the bounds of f, g, d and e have it")]
const fn whole(sum: i128) -> i64 {
    sum as i64
}

/// Carries into limbs from 0 to 2^62, the highest as it comes.
fn carry(number: &mut Signed) {
    for i in 1..5 {
        number[i] += number[i - 1] >> 62;
        number[i - 1] &= LOW.cast_signed();
    }
}

const fn signed([a, b, c, d]: [u64; 4]) -> Signed {
    [
        (a & LOW).cast_signed(),
        ((a >> 62 | b << 2) & LOW).cast_signed(),
        ((b >> 60 | c << 4) & LOW).cast_signed(),
        ((c >> 58 | d << 6) & LOW).cast_signed(),
        (d >> 56).cast_signed(),
    ]
}

fn words(limbs: &Signed) -> [u64; 4] {
    let [a, b, c, d, e] = limbs.map(i64::cast_unsigned);
    [a | b << 62, b >> 2 | c << 60, c >> 4 | d << 58, d >> 6 | e << 56]
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};
    use rsa::BigUint;

    use super::*;

    /// 2^255 - 19, p and n of P-256, and small ones.
    const PRIMES: [[u64; 4]; 5] = [
        [0xffff_ffff_ffff_ffed, u64::MAX, u64::MAX, u64::MAX >> 1],
        [u64::MAX, 0xffff_ffff, 0, 0xffff_ffff_0000_0001],
        [0xf3b9_cac2_fc63_2551, 0xbce6_faad_a717_9e84, u64::MAX, 0xffff_ffff_0000_0000],
        [3, 0, 0, 0],
        [0xffff_ffff_ffff_ffc5, 0, 0, 0],
    ];

    fn big(words: [u64; 4]) -> BigUint {
        BigUint::from_bytes_le(&words.map(u64::to_le_bytes).concat())
    }

    fn of_big(number: &BigUint) -> [u64; 4] {
        let mut bytes = number.to_bytes_le();
        bytes.resize(32, 0);
        std::array::from_fn(|word| u64::from_le_bytes(bytes[8 * word..8 * word + 8].try_into().unwrap()))
    }

    #[test]
    fn a_number_times_its_inverse_is_one() {
        let mut random = ChaCha20Rng::seed_from_u64(5);
        for words in PRIMES {
            let (prime, p) = (Prime::new(words), big(words));
            let edges = (0..256_u32).flat_map(|bit| {
                let power = BigUint::from(1_u32) << bit as usize;
                [power.clone(), &p - &power % &p, power + 1_u32, &p >> bit as usize]
            });
            let mut numbers: Vec<_> = edges.map(|number| number % &p).collect();
            numbers.extend((0..20_000).map(|_| big([(); 4].map(|()| random.next_u64())) % &p));
            for number in numbers {
                // SAFETY: the CPU has the feature.
                let [inverse] = unsafe { invert([&prime], [of_big(&number)]) };
                let one = BigUint::from(u32::from(number != BigUint::from(0_u32)));
                assert!(big(inverse) < p, "{number} mod {p}");
                assert_eq!(big(inverse) * &number % &p, one, "{number} mod {p}");
            }
        }
    }
}
