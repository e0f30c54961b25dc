//! RSA signatures of up to eight messages under one key: `Key`.
//!
//! RSASP1 by CRT (RFC 8017 section 5.2.1): the two halves of up to four messages share the lanes of one
//! exponentiation, those of more take two. Bases are blinded by r^e and results unblinded by r^-1, for
//! each lane its own r, squared after each use and drawn anew after 32. What leaves was raised to the
//! public exponent, after unblinding, and compared, so that no fault in any of these steps shows
//! (Boneh, DeMillo and Lipton, 1997).
//!
//! Constant time: exponents are read digit by digit at fixed places, tables as a whole, and there is no
//! branch on a number; the public exponent alone decides on steps.

use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BigUint, RsaPrivateKey};
use zeroize::{Zeroize, Zeroizing};

use super::lanes::{Cpu, LANES, MASK};
use super::montgomery::{Modulus, Scratch, Table};
use super::number::{Number, multiply_add};

/// Bytes of the longest modulus.
pub(crate) const MAX_LEN: usize = 512;

/// Signatures of each lane under one r.
const USES: u32 = 32;

/// The expanded form of a private key.
pub(crate) struct Key {
    cpu: Cpu,
    len: usize,
    expanded: Box<dyn Private + Send>,
}

impl Key {
    /// `None` for a key of another shape: a modulus of other than 2048, 3072 or 4096 bits, primes other
    /// than two of half of them, a public exponent of 2^32 or more.
    pub(crate) fn new(cpu: Cpu, key: &RsaPrivateKey) -> Option<Self> {
        let expanded: Box<dyn Private + Send> = match key.n().bits() {
            2048 => Expanded::<4, 8, 16>::new(cpu, key)?,
            3072 => Expanded::<6, 12, 32>::new(cpu, key)?,
            4096 => Expanded::<8, 16, 32>::new(cpu, key)?,
            _ => return None,
        };
        Some(Self { cpu, len: key.size(), expanded })
    }

    /// Bytes of the modulus.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Signs encoded messages, which stand in the first [`Key::len`] bytes as the signatures will, eight
    /// at a time. `valid` is false, and the signature zeros, for a message not below the modulus and for
    /// what a fault has spoilt. `random` fills with fresh bytes.
    pub(crate) fn sign(
        &mut self,
        messages: &[[u8; MAX_LEN]],
        signatures: &mut [[u8; MAX_LEN]],
        valid: &mut [bool],
        random: &mut dyn FnMut(&mut [u8]),
    ) {
        let outputs = signatures.chunks_mut(LANES).zip(valid.chunks_mut(LANES));
        for (messages, (signatures, valid)) in messages.chunks(LANES).zip(outputs) {
            self.expanded.sign(self.cpu, messages, signatures, valid, random);
        }
    }
}

/// [`Expanded`] of any size.
trait Private {
    fn sign(
        &mut self,
        cpu: Cpu,
        messages: &[[u8; MAX_LEN]],
        signatures: &mut [[u8; MAX_LEN]],
        valid: &mut [bool],
        random: &mut dyn FnMut(&mut [u8]),
    );
}

/// A key with primes of `H` blocks and a modulus of `N`, twice as many; powers are taken by tables of `T`.
struct Expanded<const H: usize, const N: usize, const T: usize> {
    public_exponent: u32,
    modulus: Modulus<N>,
    p: Prime<H>,
    q: Prime<H>,
    /// p in lanes 0 to 3, q in lanes 4 to 7.
    both: Prime<H>,
    /// 1/q mod p, in Montgomery's form.
    coefficient: Number<H>,
    /// r^e and 1/r, in Montgomery's form.
    blinding: [Number<N>; 2],
    uses_left: u32,
    work: Work<H, N, T>,
}

#[derive(Zeroize)]
struct Prime<const H: usize> {
    modulus: Modulus<H>,
    /// d mod m - 1.
    private: Number<H>,
    /// m - 2, which inverts (Fermat).
    inverting: Number<H>,
}

/// The exponent of a private operation.
#[derive(Clone, Copy)]
enum Exponent {
    Private,
    Inverting,
}

/// Numbers of one signature, wiped after it.
#[derive(Zeroize)]
struct Work<const H: usize, const N: usize, const T: usize> {
    scratch: Scratch<N>,
    half: Half<H, T>,
    modulo_p: Number<H>,
    modulo_q: Number<H>,
}

#[derive(Zeroize)]
struct Half<const H: usize, const T: usize> {
    scratch: Scratch<H>,
    table: Table<H, T>,
    high: Number<H>,
}

impl<const H: usize, const N: usize, const T: usize> Private for Expanded<H, N, T> {
    fn sign(
        &mut self,
        _cpu: Cpu,
        messages: &[[u8; MAX_LEN]],
        signatures: &mut [[u8; MAX_LEN]],
        valid: &mut [bool],
        random: &mut dyn FnMut(&mut [u8]),
    ) {
        // SAFETY: `_cpu` is the proof that the CPU has the features.
        unsafe { self.sign_lanes(messages, signatures, valid, random) }
    }
}

impl<const H: usize, const N: usize, const T: usize> Expanded<H, N, T> {
    fn new(_cpu: Cpu, key: &RsaPrivateKey) -> Option<Box<Self>> {
        let [p, q] = key.primes() else { return None };
        let exponent = key.e().to_bytes_be();
        let public_exponent = exponent.iter().fold(0, |number, &byte| number << 8 | u32::from(byte));
        let fits = exponent.len() <= 4
            && public_exponent % 2 == 1
            && public_exponent > 2
            && p.bits() == prime_bits(H)
            && q.bits() == prime_bits(H)
            && p != q
            && p * q == *key.n();
        if !fits {
            return None;
        }
        // SAFETY: `_cpu` is the proof that the CPU has the features.
        Some(unsafe { Self::expand(key.n(), public_exponent, key.d(), p, q) })
    }

    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn expand(n: &BigUint, public_exponent: u32, d: &BigUint, p: &BigUint, q: &BigUint) -> Box<Self> {
        let bytes = |number: BigUint| Zeroizing::new(Zeroizing::new(number).to_bytes_be());
        let inverting = |m: &BigUint| m - 2_u32;
        let residue = |m: &BigUint| d % (m - 1_u32);
        // Of R, the R of both sizes being a power of two.
        let square = |bits: usize, m: &BigUint| (BigUint::from(1_u32) << (2 * bits)) % m;

        let prime = |low: &BigUint, high: &BigUint| {
            let read = |of: &dyn Fn(&BigUint) -> BigUint| {
                Number::<H>::read_halves(&bytes(of(low)), &bytes(of(high)))
            };
            let modulus = Modulus::new(read(&BigUint::clone), read(&|m| square(Number::<H>::BITS, m)));
            Prime { modulus, private: read(&residue), inverting: read(&inverting) }
        };
        let whole = |number: BigUint| {
            let bytes = bytes(number);
            Number::<N>::read_halves(&bytes, &bytes)
        };
        let coefficient = (q.modpow(&inverting(p), p) << Number::<H>::BITS) % p;
        let coefficient = bytes(coefficient);
        Box::new(Self {
            public_exponent,
            modulus: Modulus::new(whole(n.clone()), whole(square(Number::<N>::BITS, n))),
            p: prime(p, p),
            q: prime(q, q),
            both: prime(p, q),
            coefficient: Number::read_halves(&coefficient, &coefficient),
            blinding: [Number::zero(); 2],
            uses_left: 0,
            work: Work {
                scratch: Scratch::new(),
                half: Half { scratch: Scratch::new(), table: Table::new(), high: Number::zero() },
                modulo_p: Number::zero(),
                modulo_q: Number::zero(),
            },
        })
    }

    /// Signs one to eight messages.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn sign_lanes(
        &mut self,
        messages: &[[u8; MAX_LEN]],
        signatures: &mut [[u8; MAX_LEN]],
        valid: &mut [bool],
        random: &mut dyn FnMut(&mut [u8]),
    ) {
        let Some(first) = messages.first() else { return };
        let len = prime_bits(H) / 4;
        let texts = std::array::from_fn(|lane| messages.get(lane).unwrap_or(first).split_at(len).0);
        let message = Number::read(texts);

        self.renew_blinding(random);
        let mut number = message;
        self.modulus.multiply(&mut number, &self.blinding[0], &mut self.work.scratch);
        self.raise(&mut number, Exponent::Private, messages.len() <= LANES / 2);
        self.modulus.multiply(&mut number, &self.blinding[1], &mut self.work.scratch);
        self.modulus.reduce(&mut number);

        let below = self.modulus.exceeds(&message);
        let good = below & self.opens(&number, &message);
        let used = 0xff >> (LANES - messages.len().min(LANES));
        if good & used != below & used {
            // The fault may lie in the blinding.
            self.uses_left = 0;
        }
        let outputs = signatures.iter_mut().zip(valid.iter_mut());
        for (lane, (signature, valid)) in outputs.take(messages.len()).enumerate() {
            signature.fill(0);
            *valid = good >> lane & 1 == 1;
            if *valid {
                number.write(lane, signature.split_at_mut(len).0);
            }
        }
        // A faulty signature betrays a prime.
        number.zeroize();
        self.work.zeroize();
    }

    /// The lanes in which `signature`, below the modulus, is that of `message`.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn opens(&mut self, signature: &Number<N>, message: &Number<N>) -> u8 {
        let scratch = &mut self.work.scratch;
        let mut number = *signature;
        self.modulus.enter(&mut number, scratch);
        self.modulus.public_power(&mut number, signature, self.public_exponent, scratch);
        self.modulus.reduce(&mut number);
        let equal = number.equal(message);
        number.zeroize();
        equal
    }

    /// Raises `x`, below twice the modulus, to a private exponent; if `packed`, in lanes 0 to 3 alone.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn raise(&mut self, x: &mut Number<N>, exponent: Exponent, packed: bool) {
        let Work { half, modulo_p, modulo_q, .. } = &mut self.work;
        if packed {
            x.spread();
            self.both.raise(modulo_p, x, exponent, half);
            *modulo_q = *modulo_p;
            modulo_q.swap();
        } else {
            self.p.raise(modulo_p, x, exponent, half);
            self.q.raise(modulo_q, x, exponent, half);
        }
        // RFC 8017 section 5.2.1, step 2.b: "Let h = (s_1 - s_2) * qInv mod p", "s = s_2 + q * h".
        self.p.modulus.subtract(modulo_p, modulo_q);
        self.p.modulus.multiply(modulo_p, &self.coefficient, &mut half.scratch);
        multiply_add(x, modulo_q, self.q.modulus.number(), modulo_p);
    }

    /// Blinding for one more signature of each lane.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn renew_blinding(&mut self, random: &mut dyn FnMut(&mut [u8])) {
        if self.uses_left > 0 {
            self.uses_left -= 1;
            for factor in &mut self.blinding {
                self.modulus.square(factor, &mut self.work.scratch);
            }
            return;
        }
        self.uses_left = USES - 1;
        // Below R, which is at least 2^32 times the modulus: as good as even when reduced.
        let mut bytes = [[0; 8]; LANES];
        let mut r = Number::from_fn(|| {
            random(bytes.as_flattened_mut());
            bytes.map(|bytes| u64::from_ne_bytes(bytes) & MASK)
        });
        bytes.zeroize();
        self.modulus.enter(&mut r, &mut self.work.scratch);

        let mut plain = r;
        self.modulus.leave(&mut plain, &mut self.work.scratch);
        let mut factor = r;
        self.modulus.public_power(&mut factor, &plain, self.public_exponent, &mut self.work.scratch);
        self.modulus.enter(&mut factor, &mut self.work.scratch);

        // One inversion serves the lanes `l` and `l + 4`: 1/r is that of the product times the other.
        let mut other = r;
        other.swap();
        let mut inverse = r;
        self.modulus.multiply(&mut inverse, &other, &mut self.work.scratch);
        self.raise(&mut inverse, Exponent::Inverting, true);
        inverse.spread();
        self.modulus.enter_inverse(&mut inverse, &mut self.work.scratch);
        self.modulus.multiply(&mut inverse, &other, &mut self.work.scratch);

        self.blinding = [factor, inverse];
        for number in [&mut r, &mut plain, &mut factor, &mut other, &mut inverse] {
            number.zeroize();
        }
    }
}

impl<const H: usize> Prime<H> {
    /// `x` to the power of an exponent: at most the modulus.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn raise<const N: usize, const T: usize>(
        &self,
        result: &mut Number<H>,
        x: &Number<N>,
        exponent: Exponent,
        half: &mut Half<H, T>,
    ) {
        let exponent = match exponent {
            Exponent::Private => &self.private,
            Exponent::Inverting => &self.inverting,
        };
        let Half { scratch, table, high } = half;
        Number::split(x, result, high);
        self.modulus.enter_long(result, high, scratch);
        self.modulus.power(result, exponent, prime_bits(H), table, scratch);
        self.modulus.leave(result, scratch);
    }
}

/// Bits of a prime that takes `blocks` blocks, of 260 bits.
const fn prime_bits(blocks: usize) -> usize {
    256 * blocks
}

impl<const H: usize, const N: usize, const T: usize> Drop for Expanded<H, N, T> {
    fn drop(&mut self) {
        for prime in [&mut self.p, &mut self.q, &mut self.both] {
            prime.zeroize();
        }
        self.coefficient.zeroize();
        self.blinding.zeroize();
        self.work.zeroize();
    }
}

#[cfg(test)]
mod tests;
