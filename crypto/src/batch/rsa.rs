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

use super::lanes::{Cpu, LANES};
use super::montgomery::{Modulus, Scratch};
use super::number::{MASK, Number, multiply_add};
use super::table::Table;

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
            2048 => Expanded::<4, 8>::new(cpu, key)?,
            3072 => Expanded::<6, 12>::new(cpu, key)?,
            4096 => Expanded::<8, 16>::new(cpu, key)?,
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

/// A key with primes of `H` blocks and a modulus of `N`, twice as many.
struct Expanded<const H: usize, const N: usize> {
    public_exponent: u32,
    modulus: Modulus<N, 1>,
    p: Prime<H, 1>,
    q: Prime<H, 1>,
    /// p in the even lanes, q in the odd.
    both: Prime<H, 2>,
    /// 1/q mod p, in Montgomery's form.
    coefficient: Number<H>,
    /// r^e and 1/r, in Montgomery's form.
    blinding: [Number<N>; 2],
    uses_left: u32,
    work: Work<H, N>,
}

#[derive(Zeroize)]
struct Prime<const H: usize, const M: usize> {
    modulus: Modulus<H, M>,
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
struct Work<const H: usize, const N: usize> {
    scratch: Scratch<N>,
    half: Half<H>,
    modulo_p: Number<H>,
    modulo_q: Number<H>,
}

#[derive(Zeroize)]
struct Half<const H: usize> {
    scratch: Scratch<H>,
    table: Table<H>,
    high: Number<H>,
}

impl<const H: usize, const N: usize> Private for Expanded<H, N> {
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

impl<const H: usize, const N: usize> Expanded<H, N> {
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
        let whole = |number: BigUint| {
            let bytes = bytes(number);
            Number::<N>::read_pair(&bytes, &bytes)
        };
        let coefficient = (q.modpow(&(p - 2_u32), p) << Number::<H>::BITS) % p;
        let coefficient = bytes(coefficient);
        Box::new(Self {
            public_exponent,
            modulus: Modulus::new(whole(n.clone()), whole(square::<N>(n))),
            p: Prime::new(d, p, p),
            q: Prime::new(d, q, q),
            both: Prime::new(d, p, q),
            coefficient: Number::read_pair(&coefficient, &coefficient),
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
        let packed = messages.len() <= LANES / 2;
        let lanes_each = if packed { 2 } else { 1 };
        let texts =
            std::array::from_fn(|lane| messages.get(lane / lanes_each).unwrap_or(first).split_at(len).0);
        let message = Number::read(texts);

        self.renew_blinding(random);
        let mut number = message;
        self.modulus.multiply(&mut number, &self.blinding[0], &mut self.work.scratch);
        self.raise(&mut number, Exponent::Private, packed);
        self.modulus.multiply(&mut number, &self.blinding[1], &mut self.work.scratch);
        self.modulus.reduce(&mut number);

        let below = self.modulus.exceeds(&message);
        let good = below & self.opens(&number, &message);
        let outputs = signatures.iter_mut().zip(valid.iter_mut());
        for (lane, (signature, valid)) in (0..LANES).step_by(lanes_each).zip(outputs).take(messages.len()) {
            signature.fill(0);
            *valid = good >> lane & 1 == 1;
            if *valid {
                number.write(lane, signature.split_at_mut(len).0);
            } else if below >> lane & 1 == 1 {
                // The fault may lie in the blinding.
                self.uses_left = 0;
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

    /// Raises `x`, below twice the modulus, to a private exponent; if `packed`, in the even lanes alone.
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

        // One inversion serves an even lane and the odd one beside it: 1/r is that of the product times the other.
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

impl<const H: usize, const M: usize> Prime<H, M> {
    /// The prime `even` in the even lanes, `odd` in the odd; `d` is the private exponent.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn new(d: &BigUint, even: &BigUint, odd: &BigUint) -> Self {
        let read =
            |of: &dyn Fn(&BigUint) -> BigUint| Number::<H>::read_pair(&bytes(of(even)), &bytes(of(odd)));
        Self {
            modulus: Modulus::new(read(&BigUint::clone), read(&square::<H>)),
            private: read(&|m| d % (m - 1_u32)),
            inverting: read(&|m| m - 2_u32),
        }
    }

    /// `x` to the power of an exponent: at most the modulus.
    #[target_feature(enable = "avx512ifma,avx512vbmi")]
    fn raise<const N: usize>(
        &self,
        result: &mut Number<H>,
        x: &Number<N>,
        exponent: Exponent,
        half: &mut Half<H>,
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

fn bytes(number: BigUint) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Zeroizing::new(number).to_bytes_be())
}

/// The square of R mod `m`.
fn square<const B: usize>(m: &BigUint) -> BigUint {
    (BigUint::from(1_u32) << (2 * Number::<B>::BITS)) % m
}

/// Bits of a prime that takes `blocks` blocks, of 255 bits, and a limb.
const fn prime_bits(blocks: usize) -> usize {
    256 * blocks
}

impl<const H: usize, const N: usize> Drop for Expanded<H, N> {
    fn drop(&mut self) {
        self.p.zeroize();
        self.q.zeroize();
        self.both.zeroize();
        self.coefficient.zeroize();
        self.blinding.zeroize();
        self.work.zeroize();
    }
}

#[cfg(test)]
mod tests;
