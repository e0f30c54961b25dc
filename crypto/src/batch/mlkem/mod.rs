//! ML-KEM-768 (FIPS 203) of up to eight connections: `encapsulate`, `generate` and `decapsulate`.
//!
//! | file | what |
//! |---|---|
//! | `keccak` | eight sponges |
//! | `sample` | the matrix and the noise |
//! | `poly`, `ntt` | polynomials and their transforms |
//! | `pack` | polynomials as bytes |
//!
//! Hashing has a lane for each sponge; whose it is follows from what there is to do, so that few connections
//! fill lanes too: with entries of one matrix, or with what one seed's noise is made of. Polynomials have the
//! vectors for themselves. Only the matrix decides branches, and it is public.

use core::arch::x86_64::*;

use subtle::{Choice, ConditionallySelectable};
use zeroize::optimization_barrier;

use self::keccak::{HASH, SHA3_512, SHAKE256, Sponges, XOF, four_words, transposed, words};
use self::pack::{KEY_POLY, NARROW_POLY, WIDE_POLY};
use self::poly::{Multiplier, Sum, times_r};
use self::sample::{Matrices, Noises, Order, noise};
use super::lanes::{Cpu, LANES, Lanes, load, splat, store};

mod keccak;
mod ntt;
mod pack;
mod poly;
mod sample;

/// The rank of the module (FIPS 203 section 8).
const K: usize = 3;

type Seed = [u8; 32];

/// A key to encapsulate to: three transforms, and the seed of the matrix.
pub(super) type EncapsulationKey = [u8; K * KEY_POLY + 32];

/// A key to decapsulate with: three transforms, the encapsulation key, its hash, and the seed of what a
/// ciphertext that is none decapsulates to.
pub(super) type DecapsulationKey = [u8; 2 * K * KEY_POLY + 96];

/// What carries a shared secret.
pub(super) type Ciphertext = [u8; K * WIDE_POLY + NARROW_POLY];

/// Shared secrets and what carries them to the owners of `keys` (FIPS 203 algorithm 17). Each message is 32
/// bytes of randomness. `valid` is false where a key fails the modulus check (section 7.2).
pub(super) fn encapsulate(
    _: Cpu,
    keys: &[&EncapsulationKey],
    messages: &[[u8; 32]],
    ciphertexts: &mut [&mut Ciphertext],
    secrets: &mut [[u8; 32]],
    valid: &mut [bool],
) {
    debug_assert!(keys.len() <= LANES && keys.len() == messages.len() && keys.len() == ciphertexts.len());
    debug_assert!(keys.len() == secrets.len() && keys.len() == valid.len());
    // SAFETY: a `Cpu` is the proof that it has the features.
    unsafe { encapsulate_lanes(keys, messages, ciphertexts, secrets, valid) }
}

/// The key pair of each seed, which is 64 bytes of randomness (FIPS 203 algorithm 16).
pub(super) fn generate(_: Cpu, seeds: &[[u8; 64]], keys: &mut [&mut DecapsulationKey]) {
    debug_assert!(seeds.len() <= LANES && seeds.len() == keys.len());
    // SAFETY: a `Cpu` is the proof that it has the features.
    unsafe { generate_lanes(seeds, keys) }
}

/// The shared secrets in `ciphertexts`, by keys of [`generate`] (FIPS 203 algorithm 18).
pub(super) fn decapsulate(
    _: Cpu,
    keys: &[&DecapsulationKey],
    ciphertexts: &[&Ciphertext],
    secrets: &mut [[u8; 32]],
) {
    debug_assert!(keys.len() <= LANES && keys.len() == ciphertexts.len() && keys.len() == secrets.len());
    // SAFETY: a `Cpu` is the proof that it has the features.
    unsafe { decapsulate_lanes(keys, ciphertexts, secrets) }
}

/// The public half of a key pair.
pub(super) fn encapsulation_key(key: &DecapsulationKey) -> &EncapsulationKey {
    part(key, K * KEY_POLY)
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn encapsulate_lanes(
    keys: &[&EncapsulationKey],
    messages: &[[u8; 32]],
    ciphertexts: &mut [&mut Ciphertext],
    secrets: &mut [[u8; 32]],
    valid: &mut [bool],
) {
    let count = keys.len();
    if count == 0 {
        return;
    }
    let lane = |lane: usize| if lane < count { lane } else { 0 };
    let hashes = hashes(|at| keys[lane(at)]);
    let mut rows = secrets_and_coins(&four_words(|at| &messages[lane(at)]), &hashes);
    for (secret, row) in secrets.iter_mut().zip(&rows) {
        *secret = *part(row, 0);
    }
    let mut noises = Noises::<{ 2 * K + 1 }>::new();
    noises.fill(|at| part(&rows[lane(at)], 32), count);
    let seeds = core::array::from_fn(|at| part(keys[lane(at)], K * KEY_POLY));
    let mut matrices = Matrices::new(seeds, count, Order::Columns);
    for (index, ciphertext) in ciphertexts.iter_mut().enumerate() {
        let noises = noises.of(index);
        valid[index] = encrypt(keys[index], &messages[index], &mut matrices, noises, ciphertext);
    }
    noises.erase();
    erase(&mut rows, [[0; _]; _]);
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn generate_lanes(seeds: &[[u8; 64]], keys: &mut [&mut DecapsulationKey]) {
    let count = seeds.len();
    if count == 0 {
        return;
    }
    let lane = |lane: usize| if lane < count { lane } else { 0 };
    let mut sponges = Sponges::<SHA3_512>::new();
    sponges.absorb(&four_words(|at| part(&seeds[lane(at)], 0)));
    sponges.finish(splat(K as u64 | HASH << 8));
    let mut rows = rows(sponges.first());
    sponges.erase();
    let mut noises = Noises::<{ 2 * K }>::new();
    noises.fill(|at| part(&rows[lane(at)], 32), count);
    let mut matrices = Matrices::new(core::array::from_fn(|at| part(&rows[lane(at)], 0)), count, Order::Rows);
    for (index, key) in keys.iter_mut().enumerate() {
        generate_one(&mut matrices, noises.of(index), key);
        *part_mut(*key, 2 * K * KEY_POLY) = *part::<32>(&rows[index], 0);
        *part_mut(*key, 2 * K * KEY_POLY + 64) = *part::<32>(&seeds[index], 32);
    }
    let hashes = hashes(|at| encapsulation_key(keys[lane(at)]));
    let [h0, h1, h2, h3] = hashes;
    for (row, key) in transposed(&[h0, h1, h2, h3, h0, h1, h2, h3]).into_iter().zip(keys) {
        let mut hash = [0; 64];
        store(row, &mut hash);
        *part_mut(*key, 2 * K * KEY_POLY + 32) = *part::<32>(&hash, 0);
    }
    noises.erase();
    erase(&mut rows, [[0; _]; _]);
}

#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn decapsulate_lanes(keys: &[&DecapsulationKey], ciphertexts: &[&Ciphertext], secrets: &mut [[u8; 32]]) {
    let count = keys.len();
    if count == 0 {
        return;
    }
    let lane = |lane: usize| if lane < count { lane } else { 0 };
    let mut messages = [[0; 32]; LANES];
    for ((key, ciphertext), message) in keys.iter().zip(ciphertexts).zip(&mut messages) {
        decrypt_one(key, ciphertext, message);
    }
    let hashes = four_words(|at| part(keys[lane(at)], 2 * K * KEY_POLY + 32));
    let mut rows = secrets_and_coins(&four_words(|at| &messages[lane(at)]), &hashes);
    let mut rejections =
        rejections(|at| part(keys[lane(at)], 2 * K * KEY_POLY + 64), |at| ciphertexts[lane(at)]);

    let mut noises = Noises::<{ 2 * K + 1 }>::new();
    noises.fill(|at| part(&rows[lane(at)], 32), count);
    let seeds = core::array::from_fn(|at| part(keys[lane(at)], 2 * K * KEY_POLY));
    let mut matrices = Matrices::new(seeds, count, Order::Columns);
    let mut again = [0; _];
    for (index, secret) in secrets.iter_mut().enumerate() {
        let public = encapsulation_key(keys[index]);
        encrypt(public, &messages[index], &mut matrices, noises.of(index), &mut again);
        let equal = Choice::from(u8::from(!differ(&again, ciphertexts[index])));
        let (shared, rejection) = (part::<32>(&rows[index], 0), part::<32>(&rejections[index], 0));
        for (byte, (shared, rejection)) in secret.iter_mut().zip(shared.iter().zip(rejection)) {
            *byte = u8::conditional_select(rejection, shared, equal);
        }
    }
    noises.erase();
    erase(&mut again, [0; _]);
    erase(&mut messages, [[0; _]; _]);
    erase(&mut rows, [[0; _]; _]);
    erase(&mut rejections, [[0; _]; _]);
}

/// Whether two ciphertexts differ, found in the same time wherever they do.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn differ(one: &Ciphertext, other: &Ciphertext) -> bool {
    let mut difference = splat(0);
    for (one, other) in one.as_chunks().0.iter().zip(other.as_chunks().0) {
        difference = _mm512_or_si512(difference, _mm512_xor_si512(load(one), load(other)));
    }
    _mm512_test_epi64_mask(difference, difference) != 0
}

/// H of encapsulation keys, which is SHA3-256 (FIPS 203 section 4.1).
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn hashes<'a>(key: impl Fn(usize) -> &'a EncapsulationKey) -> [Lanes; 4] {
    let mut sponges = Sponges::<SHAKE256>::new();
    for at in 0..size_of::<EncapsulationKey>() / 64 {
        sponges.absorb(&words(|lane| part(key(lane), 64 * at)));
    }
    // The last 32 bytes behind 32 that are taken already.
    let [_, _, _, _, last @ ..] = words(|lane| part(key(lane), size_of::<EncapsulationKey>() - 64));
    sponges.absorb(&last);
    sponges.finish(splat(HASH));
    let [h0, h1, h2, h3, ..] = sponges.first();
    [h0, h1, h2, h3]
}

/// G of messages and hashes of keys, which is SHA3-512: for each lane 32 bytes of shared secret, then 32 of
/// randomness to encrypt with.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn secrets_and_coins(messages: &[Lanes; 4], hashes: &[Lanes; 4]) -> [[u8; 64]; LANES] {
    let mut sponges = Sponges::<SHA3_512>::new();
    sponges.absorb(messages);
    sponges.absorb(hashes);
    sponges.finish(splat(HASH));
    let rows = rows(sponges.first());
    sponges.erase();
    rows
}

/// J, which is SHAKE256, of seeds and ciphertexts.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn rejections<'a>(
    seed: impl Fn(usize) -> &'a Seed,
    ciphertext: impl Fn(usize) -> &'a Ciphertext,
) -> [[u8; 64]; LANES] {
    let mut sponges = Sponges::<SHAKE256>::new();
    sponges.absorb(&four_words(seed));
    for at in 0..size_of::<Ciphertext>() / 64 {
        sponges.absorb(&words(|lane| part(ciphertext(lane), 64 * at)));
    }
    sponges.finish(splat(XOF));
    let rows = rows(sponges.first());
    sponges.erase();
    rows
}

/// K-PKE.Encrypt (FIPS 203 algorithm 14), and whether the key passes the modulus check.
#[inline(never)]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn encrypt(
    key: &EncapsulationKey,
    message: &[u8; 32],
    matrices: &mut Matrices<'_>,
    noises: &[[Lanes; 2]],
    ciphertext: &mut Ciphertext,
) -> bool {
    let mut multipliers = [Multiplier::zero(); K];
    for (multiplier, bytes) in multipliers.iter_mut().zip(noises) {
        *multiplier = Multiplier::new(&noise(bytes).transform());
    }
    for row in 0..K {
        let mut sum = Sum::new();
        for multiplier in &multipliers {
            sum.add(&matrices.next(), multiplier);
        }
        let u = sum.reduced().inverse_transform().plus(&noise(&noises[K + row]));
        pack::encode_wide(&u.canonical(), ciphertext, WIDE_POLY * row);
    }
    let mut is_valid = true;
    let mut sum = Sum::new();
    for (index, multiplier) in multipliers.iter().enumerate() {
        let transform = pack::decoded(key, KEY_POLY * index);
        is_valid &= transform.is_canonical();
        sum.add(&transform, multiplier);
    }
    let v = sum.reduced().inverse_transform().plus(&noise(&noises[2 * K])).plus(&pack::message(message));
    pack::encode_narrow(&v.canonical(), part_mut(ciphertext, WIDE_POLY * K));
    erase(&mut multipliers, [Multiplier::zero(); _]);
    is_valid
}

/// K-PKE.Decrypt (FIPS 203 algorithm 15).
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn decrypt_one(key: &DecapsulationKey, ciphertext: &Ciphertext, message: &mut [u8; 32]) {
    let mut sum = Sum::new();
    for index in 0..K {
        let u = pack::decode_wide(ciphertext, WIDE_POLY * index).transform();
        sum.add(&pack::decoded(key, KEY_POLY * index), &Multiplier::new(&u));
    }
    let v = pack::decode_narrow(part(ciphertext, WIDE_POLY * K));
    pack::encode_message(&v.minus(&sum.reduced().inverse_transform()).canonical(), message);
}

/// K-PKE.KeyGen (FIPS 203 algorithm 13) without the seed of the matrix.
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn generate_one(matrices: &mut Matrices<'_>, noises: &[[Lanes; 2]], key: &mut DecapsulationKey) {
    let mut multipliers = [Multiplier::zero(); K];
    for (index, multiplier) in multipliers.iter_mut().enumerate() {
        let transform = noise(&noises[index]).transform().reduced();
        *multiplier = Multiplier::new(&transform);
        pack::encode(&transform.canonical(), key, KEY_POLY * index);
    }
    for row in 0..K {
        let mut sum = Sum::new();
        for multiplier in &multipliers {
            sum.add(&matrices.next(), multiplier);
        }
        let product = sum.reduced().scaled(times_r(times_r(1) as i32));
        let transform = product.plus(&noise(&noises[K + row]).transform()).reduced();
        pack::encode(&transform.canonical(), key, KEY_POLY * (K + row));
    }
    erase(&mut multipliers, [Multiplier::zero(); _]);
}

/// Eight words of each lane in a row.
#[inline]
#[target_feature(enable = "avx512ifma,avx512vbmi")]
fn rows(words: [Lanes; LANES]) -> [[u8; 64]; LANES] {
    let mut rows = [[0; 64]; LANES];
    for (row, place) in transposed(&words).into_iter().zip(&mut rows) {
        store(row, place);
    }
    rows
}

/// Puts `zeros` there at once, where `Zeroize` would piece by piece.
#[inline]
fn erase<T: Copy>(place: &mut T, zeros: T) {
    *place = zeros;
    optimization_barrier(place);
}

/// The `N` bytes from `at`.
#[inline]
fn part<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    bytes[at..].first_chunk().expect("lengths are constants")
}

#[inline]
fn part_mut<const N: usize>(bytes: &mut [u8], at: usize) -> &mut [u8; N] {
    bytes[at..].first_chunk_mut().expect("lengths are constants")
}

#[cfg(test)]
mod tests;
