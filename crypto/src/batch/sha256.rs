//! SHA-256's compression function (FIPS 180-4 section 6.2.2) by SHA-NI, of one message or two side by side.
//!
//! `sha256rnds2` takes four cycles and can begin every second: two messages take hardly longer than one.

use core::arch::x86_64::*;

/// Proof that SHA-NI, SSSE3 and SSE4.1 are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShaNi(());

impl ShaNi {
    /// The proof, if it holds.
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        has.then_some(Self(()))
    }

    /// Takes `blocks` into `state`.
    #[inline]
    pub(crate) fn compress(self, state: &mut [u32; 8], blocks: &[[u8; 64]]) {
        // SAFETY: `self` is proof that the CPU has the features.
        unsafe { compress([state], [blocks]) }
    }

    /// Takes a block into each of two states.
    #[inline]
    pub(crate) fn compress_both(self, states: [&mut [u32; 8]; 2], blocks: [&[u8; 64]; 2]) {
        // SAFETY: `self` is proof that the CPU has the features.
        unsafe { compress(states, blocks.map(std::slice::from_ref)) }
    }
}

/// The round constants (FIPS 180-4 section 4.2.2).
static K: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// Takes as many blocks into each of the `states` as the first has.
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress<const N: usize>(states: [&mut [u32; 8]; N], blocks: [&[[u8; 64]]; N]) {
    let zero = _mm_setzero_si128();
    // The halves that the instructions take: a, b, e, f and c, d, g, h, from the highest word down.
    let (mut abef, mut cdgh) = ([zero; N], [zero; N]);
    for message in 0..N {
        let ([low, high], _) = states[message].as_chunks() else {
            unreachable!("eight words are two of four")
        };
        let (low, high) = (load(low), load(high));
        let (badc, hgfe) = (_mm_shuffle_epi32::<0xb1>(low), _mm_shuffle_epi32::<0x1b>(high));
        abef[message] = _mm_alignr_epi8::<8>(badc, hgfe);
        cdgh[message] = _mm_blend_epi16::<0xf0>(hgfe, badc);
    }
    for block in 0..blocks[0].len() {
        (abef, cdgh) = rounds(abef, cdgh, blocks.map(|blocks| &blocks[block]));
    }
    for (message, state) in states.into_iter().enumerate() {
        let (abef, cdgh) = (abef[message], cdgh[message]);
        let (feba, dchg) = (_mm_shuffle_epi32::<0x1b>(abef), _mm_shuffle_epi32::<0xb1>(cdgh));
        let low = words_of(_mm_blend_epi16::<0xf0>(feba, dchg));
        let high = words_of(_mm_alignr_epi8::<8>(dchg, feba));
        state.as_chunks_mut().0.copy_from_slice(&[low, high]);
    }
}

/// A block of each message.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn rounds<const N: usize>(
    mut abef: [__m128i; N],
    mut cdgh: [__m128i; N],
    blocks: [&[u8; 64]; N],
) -> ([__m128i; N], [__m128i; N]) {
    let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [[_mm_setzero_si128(); 4]; N];
    for message in 0..N {
        for (word, bytes) in words[message].iter_mut().zip(blocks[message].as_chunks::<16>().0) {
            *word = _mm_shuffle_epi8(from_bytes(*bytes), big_endian);
        }
    }
    let (before_abef, before_cdgh) = (abef, cdgh);
    let (four, _) = K.as_chunks::<4>();
    for constants in &four[..3] {
        sixteen_rounds(&mut abef, &mut cdgh, &mut words, constants, true);
    }
    sixteen_rounds(&mut abef, &mut cdgh, &mut words, &four[3], false);
    for message in 0..N {
        abef[message] = _mm_add_epi32(abef[message], before_abef[message]);
        cdgh[message] = _mm_add_epi32(cdgh[message], before_cdgh[message]);
    }
    (abef, cdgh)
}

/// Sixteen rounds of each message. `more`: each word makes way for the one of sixteen rounds on.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn sixteen_rounds<const N: usize>(
    abef: &mut [__m128i; N],
    cdgh: &mut [__m128i; N],
    words: &mut [[__m128i; 4]; N],
    constants: &[[u32; 4]; 4],
    more: bool,
) {
    let [k0, k1, k2, k3] = constants;
    group::<N, 0>(abef, cdgh, words, k0, more);
    group::<N, 1>(abef, cdgh, words, k1, more);
    group::<N, 2>(abef, cdgh, words, k2, more);
    group::<N, 3>(abef, cdgh, words, k3, more);
}

/// Four rounds of each message, with the words at `AT`.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn group<const N: usize, const AT: usize>(
    abef: &mut [__m128i; N],
    cdgh: &mut [__m128i; N],
    words: &mut [[__m128i; 4]; N],
    constants: &[u32; 4],
    more: bool,
) {
    let constants = load(constants);
    for message in 0..N {
        let w = &mut words[message];
        let (now, next, third, last) = (w[AT], w[(AT + 1) % 4], w[(AT + 2) % 4], w[(AT + 3) % 4]);
        let sums = _mm_add_epi32(now, constants);
        cdgh[message] = _mm_sha256rnds2_epu32(cdgh[message], abef[message], sums);
        let sums = _mm_shuffle_epi32::<0x0e>(sums);
        abef[message] = _mm_sha256rnds2_epu32(abef[message], cdgh[message], sums);
        if more {
            let begun = _mm_add_epi32(_mm_sha256msg1_epu32(now, next), _mm_alignr_epi8::<4>(last, third));
            w[AT] = _mm_sha256msg2_epu32(begun, last);
        }
    }
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load(words: &[u32; 4]) -> __m128i {
    // SAFETY: both are 16 bytes of which every value is valid.
    unsafe { core::mem::transmute::<[u32; 4], __m128i>(*words) }
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn from_bytes(bytes: [u8; 16]) -> __m128i {
    // SAFETY: both are 16 bytes of which every value is valid.
    unsafe { core::mem::transmute::<[u8; 16], __m128i>(bytes) }
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn words_of(vector: __m128i) -> [u32; 4] {
    // SAFETY: both are 16 bytes of which every value is valid.
    unsafe { core::mem::transmute::<__m128i, [u32; 4]>(vector) }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};
    use sha2::block_api::compress256;

    use super::*;

    #[test]
    fn one_and_two_messages_are_compressed_as_by_sha2() {
        let cpu = ShaNi::detect().expect("SHA-NI");
        let mut random = ChaCha20Rng::seed_from_u64(256);
        for _ in 0..2000 {
            let mut states = [[0_u32; 8]; 2];
            states.as_flattened_mut().iter_mut().for_each(|word| *word = random.next_u32());
            let mut blocks = [[0; 64]; 3];
            random.fill_bytes(blocks.as_flattened_mut());
            let mut expected = states;
            for (state, block) in expected.iter_mut().zip(&blocks) {
                compress256(state, &[*block]);
            }
            let (mut alone, mut run) = (states[0], states[0]);
            cpu.compress(&mut alone, &blocks[..1]);
            assert_eq!(alone, expected[0]);
            cpu.compress(&mut run, &blocks);
            compress256(&mut alone, &blocks[1..]);
            assert_eq!(run, alone);
            let [first, second] = &mut states;
            cpu.compress_both([first, second], [&blocks[0], &blocks[1]]);
            assert_eq!(states, expected);
        }
    }
}
