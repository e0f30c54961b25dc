//! The field against arithmetic bit by bit.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::super::lanes::{Cpu, LANES, array, lanes};
use super::*;

/// Below p.
type Number = [u64; 4];

/// One number of an `Element`.
type Limbs = [u64; 5];

const P: Number = [0xffff_ffff_ffff_ffed, u64::MAX, u64::MAX, u64::MAX >> 1];

fn less(a: &Number, b: &Number) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

fn subtracted(a: &Number, b: &Number) -> Number {
    let mut borrow = false;
    std::array::from_fn(|i| {
        let (word, first) = a[i].overflowing_sub(b[i]);
        let (word, second) = word.overflowing_sub(u64::from(borrow));
        borrow = first || second;
        word
    })
}

fn reduced(mut a: Number) -> Number {
    while !less(&a, &P) {
        a = subtracted(&a, &P);
    }
    a
}

fn add(a: &Number, b: &Number) -> Number {
    let mut carry = false;
    let sum = std::array::from_fn(|i| {
        let (word, first) = a[i].overflowing_add(b[i]);
        let (word, second) = word.overflowing_add(u64::from(carry));
        carry = first || second;
        word
    });
    reduced(sum)
}

fn sub(a: &Number, b: &Number) -> Number {
    add(a, &subtracted(&P, b))
}

fn mul(a: &Number, b: &Number) -> Number {
    let mut product = [0; 4];
    for bit in (0..256).rev() {
        product = add(&product, &product);
        if b[bit / 64] >> (bit % 64) & 1 == 1 {
            product = add(&product, a);
        }
    }
    product
}

fn number(limbs: &Limbs) -> Number {
    let radix = [1 << 52, 0, 0, 0];
    limbs.iter().rev().fold([0; 4], |sum, &limb| add(&mul(&sum, &radix), &[limb, 0, 0, 0]))
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn element(numbers: &[Limbs; LANES]) -> Element {
    let mut limbs = [splat(0); 5];
    for (i, limb) in limbs.iter_mut().enumerate() {
        let mut column = [0; LANES];
        for (column, number) in column.iter_mut().zip(numbers) {
            *column = number[i];
        }
        *limb = lanes(column);
    }
    Element(limbs)
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn numbers(element: &Element) -> [Number; LANES] {
    let [w0, w1, w2, w3] = element.words();
    let words = [array(w0), array(w1), array(w2), array(w3)];
    let mut numbers = [[0; 4]; LANES];
    for (lane, number) in numbers.iter_mut().enumerate() {
        *number = [words[0][lane], words[1][lane], words[2][lane], words[3][lane]];
    }
    numbers
}

/// Factors at the edges: of the numbers, of the limbs after a carry, and of what `vpmadd52` reads.
fn edges(rng: &mut ChaCha8Rng) -> Vec<Limbs> {
    let most = TOP + (1 << 11);
    let mut edges = vec![
        [0; 5],
        [1, 0, 0, 0, 0],
        [MASK - 19, MASK, MASK, MASK, TOP],
        [MASK - 18, MASK, MASK, MASK, TOP],
        [MASK - 17, MASK, MASK, MASK, TOP],
        [MASK, MASK, MASK, MASK, TOP],
        [0, 0, 0, 0, 1 << 47],
        [0, 0, 0, 0, most],
        [MASK, 0, MASK, 0, most],
        [MASK, MASK, MASK, MASK, most],
    ];
    edges.extend((0..4).map(|i| std::array::from_fn(|k| if i == k { MASK } else { 0 })));
    edges.extend((0..40).map(|_| std::array::from_fn(|k| rng.next_u64() >> if k == 4 { 17 } else { 12 })));
    edges
}

/// Runs `check` with the features.
fn with_features(check: unsafe fn()) {
    Cpu::detect().expect("AVX-512 IFMA");
    // SAFETY: detected.
    unsafe { check() }
}

#[test]
fn products_and_sums() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let edges = edges(&mut rng);
        let pairs: Vec<_> = edges.iter().flat_map(|&a| edges.iter().map(move |&b| (a, b))).collect();
        for eight in pairs.chunks(LANES) {
            let (mut a, mut b) = ([[0; 5]; LANES], [[0; 5]; LANES]);
            for (i, pair) in eight.iter().enumerate() {
                (a[i], b[i]) = *pair;
            }
            // What stands above the 52 bits of the lower limbs does not count.
            let (mut first, mut second) = (element(&a), element(&b));
            for limb in first.0.iter_mut().zip(&mut second.0).take(4) {
                *limb.0 = _mm512_or_si512(*limb.0, splat(rng.next_u64() << 52));
                *limb.1 = _mm512_or_si512(*limb.1, splat(rng.next_u64() << 52));
            }
            let products = [first.times(&second), first.times_raised(&second)];
            let squares = [first.squared(), first.squared_raised()];
            for (column, limit) in [(products[0], 11), (squares[0], 11), (products[1], 27), (squares[1], 27)]
            {
                assert!(column.0.iter().all(|&column| array(column).iter().all(|&c| c < limit << 52)));
            }
            let sum = numbers(&products[0].plus(&squares[0]).carried());
            let difference = numbers(&products[1].minus(&squares[0]).carried());
            let small = numbers(&first.times_small_onto(&products[1], 121_665).carried());
            for (lane, (a, b)) in eight.iter().enumerate() {
                let (a, b) = (number(a), number(b));
                let (product, square) = (mul(&a, &b), mul(&a, &a));
                assert!(products.iter().all(|wide| numbers(&wide.carried())[lane] == product));
                assert!(squares.iter().all(|wide| numbers(&wide.carried())[lane] == square));
                assert_eq!(sum[lane], add(&product, &square));
                assert_eq!(difference[lane], sub(&product, &square));
                assert_eq!(small[lane], add(&mul(&a, &[121_665, 0, 0, 0]), &product));
            }
            assert!(array(products[0].carried().0[4]).iter().all(|&limb| limb < (1 << 47) + (1 << 11)));
        }
    }
    with_features(check);
}

#[test]
fn carries_of_the_widest_columns() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        for column in [(1 << 62) - 1, 1 << 61, MASK, MASK + 1, TOP, TOP + 1] {
            let element = Wide([splat(column); 5]).carried();
            assert!(array(element.0[4]).iter().all(|&limb| limb < (1 << 47) + (1 << 11)));
            assert_eq!(numbers(&element)[3], number(&[column; 5]));
        }
    }
    with_features(check);
}

#[test]
fn words_are_canonical() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        for (limbs, expected) in [
            ([0; 5], [0; 4]),
            ([MASK - 18, MASK, MASK, MASK, TOP], [0; 4]),
            ([MASK - 19, MASK, MASK, MASK, TOP], subtracted(&P, &[1, 0, 0, 0])),
            ([MASK - 17, MASK, MASK, MASK, TOP], [1, 0, 0, 0]),
            ([MASK, MASK, MASK, MASK, TOP], [18, 0, 0, 0]),
        ] {
            let element = element(&[limbs; LANES]);
            assert_eq!(numbers(&element), [expected; LANES]);
            assert_eq!(element.zeros(), if expected == [0; 4] { 0xff } else { 0 });
            assert_eq!(numbers(&element.canonical()), [expected; LANES]);
        }
        // The highest bit of the words is not the number's.
        let ones = splat(u64::MAX);
        assert_eq!(numbers(&Element::from_words(&[ones; 4])), [[18, 0, 0, 0]; LANES]);
        let words: Number =
            [0x0123_4567_89ab_cdef, 0x1122_3344_5566_7788, 0xfedc_ba98_7654_3210, 0x7edc_0123_4567_89ab];
        let [w0, w1, w2, w3] = words;
        let element = Element::from_words(&[splat(w0), splat(w1), splat(w2), splat(w3)]);
        assert_eq!(numbers(&element), [words; LANES]);
    }
    with_features(check);
}

#[test]
fn choices() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut row = || {
            std::array::from_fn(|_| std::array::from_fn(|k| rng.next_u64() >> if k == 4 { 17 } else { 12 }))
        };
        let rows: [[Limbs; LANES]; 4] = [row(), row(), row(), row()];
        let elements = [element(&rows[0]), element(&rows[1]), element(&rows[2]), element(&rows[3])];
        let [r0, r1, r2, r3] = &elements;
        for shift in 0..32 {
            let index: [u64; LANES] = std::array::from_fn(|lane| lane as u64 * 5 + shift);
            let selected = numbers(&Element::select([r0, r1, r2, r3], lanes(index)));
            for (lane, &index) in index.iter().enumerate() {
                let index = usize::try_from(index % 32).unwrap();
                assert_eq!(selected[lane], number(&rows[index / 8][index % 8]));
            }
        }
        let raised = Wide([splat(0); 5]).raised();
        let negated = numbers(&raised.plus(&r0.wide().negated_where(0b1010_0110)).carried());
        let chosen = numbers(&Element::choose(0b1010_0110, r0, r1));
        for lane in 0..LANES {
            let (zero, one) = (number(&rows[0][lane]), number(&rows[1][lane]));
            let set = 0b1010_0110 >> lane & 1 == 1;
            assert_eq!(negated[lane], if set { sub(&[0; 4], &zero) } else { zero });
            assert_eq!(chosen[lane], if set { one } else { zero });
        }
    }
    with_features(check);
}

#[test]
fn quotients_beside_zeros() {
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn check() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let edges = edges(&mut rng);
        for count in 0..=MAX_RATIOS {
            let mut row = || std::array::from_fn(|_| edges[rng.next_u32() as usize % edges.len()]);
            let rows: Vec<([Limbs; LANES], [Limbs; LANES])> = (0..count).map(|_| (row(), row())).collect();
            let mut ratios = Vec::new();
            for (numerator, denominator) in &rows {
                let one = Element::small(1);
                ratios.push(Ratio {
                    numerator: element(numerator),
                    denominator: element(denominator).times(&one).carried(),
                });
            }
            divide(&mut ratios);
            for (ratio, (numerators, denominators)) in ratios.iter().zip(&rows) {
                for (lane, quotient) in numbers(&ratio.numerator).iter().enumerate() {
                    let (numerator, denominator) = (number(&numerators[lane]), number(&denominators[lane]));
                    if denominator == [0; 4] {
                        assert_eq!(*quotient, [0; 4]);
                    } else {
                        assert_eq!(mul(quotient, &denominator), numerator);
                    }
                }
            }
        }
    }
    with_features(check);
}
