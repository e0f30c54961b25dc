//! No secret decides on a branch, an address, or what takes longer for some numbers than for others: one
//! operation under different secrets is one sequence of instructions and addresses, to the last.
//!
//! A test starts itself once for each secret, and compares while these processes run; see `stepper`. All of
//! them make the same secrets, and one choice of the same length between them is all in which they differ.

mod block;
mod stepper;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::env;
use std::hint::black_box;

use hex_literal::hex;
use nix::sys::ptrace::traceme;
use nix::sys::signal::{Signal, raise};
use p256::elliptic_curve::sec1::ToSec1Point;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};

use self::stepper::{GIVEN, Leak, RUN, Trace, compare};
use crate::batch::curves::Pools;
use crate::batch::jobs::{Signing, Work};
use crate::batch::lanes::{Cpu, LANES};
use crate::batch::lots::Ticket;
use crate::batch::{Batch, ecdsa, mlkem, p256 as lanes_p256};
use crate::{
    AwsLc, Done, Engine, Group, Hash, Job, KeyId, Message, PrivateShare, Share, SharePool, SignatureScheme,
    Token,
};

/// Secrets under which each operation runs; code that is not optimised takes its time.
pub(in super::super) const RUNS: usize = if cfg!(debug_assertions) { 2 } else { 3 };

/// What is traced must be one and the same in all runs of the test of this name. `prepare` makes of the
/// number of the run, and of what is given to all, the operation under the secret of that number.
pub(in super::super) fn assert_same_traces<F: FnOnce()>(
    test: &str,
    given: impl FnOnce() -> String,
    prepare: impl FnOnce(usize, &str) -> F,
) {
    let trace = trace(test, given, prepare).unwrap_or_else(|leak| panic!("{test}: {leak:x?}"));
    println!("{test}: {trace:?} of {RUNS} secrets");
    assert!(trace.instructions > 1000 && trace.addresses > 100, "{trace:?}");
}

fn trace<F: FnOnce()>(
    test: &str,
    given: impl FnOnce() -> String,
    prepare: impl FnOnce(usize, &str) -> F,
) -> Result<Trace, Leak> {
    let Ok(run) = env::var(RUN) else {
        // The heap is not quite the same each time: the first thread of a process is one that allocates too.
        // A secret that shows does so each time.
        let (given, mut trace) = (given(), None);
        for _ in 0..4 {
            let compared = compare(test, RUNS, &given);
            let leaks = compared.is_err();
            trace = Some(compared);
            if !leaks {
                break;
            }
            println!("{test}: {trace:x?}");
        }
        return trace.expect("a comparison");
    };
    let given = env::var(GIVEN).expect("what is given stands beside the number");
    let mark = || raise(Signal::SIGSTOP).expect("a signal");
    traceme().expect("the parent traces");
    mark();
    let operation = prepare(run.parse().expect("a number"), &given);
    mark();
    operation();
    mark();
    unreachable!("the parent ends a process at its third mark");
}

/// Gives out what was chosen.
struct Script(Vec<u8>);

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("the engine asks for bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("the engine asks for bytes")
    }

    fn try_fill_bytes(&mut self, place: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.len() - place.len();
        place.copy_from_slice(&self.0[rest..]);
        self.0.truncate(rest);
        Ok(())
    }
}

impl TryCryptoRng for Script {}

/// For each run the private scalars of eight jobs: of one run the least and the greatest in turn, of others
/// random ones.
fn scalars(group: Group) -> [[[u8; 32]; LANES]; RUNS] {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut scalars = [[[0; 32]; LANES]; RUNS];
    scalars.iter_mut().for_each(|scalars| random.fill_bytes(scalars.as_flattened_mut()));
    let [least, greatest] = match group {
        Group::X25519 => [[0; 32], [0xff; 32]],
        _ => [one(), hex!("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550")],
    };
    scalars[1] = std::array::from_fn(|lane| if lane % 2 == 0 { least } else { greatest });
    scalars
}

fn one() -> [u8; 32] {
    let mut one = [0; 32];
    one[31] = 1;
    one
}

/// What the peer of this lane sends, the same in all runs; that of lane 5 is no share. Not of aws-lc, which
/// allocates as its randomness has it.
fn peer(group: Group, lane: usize) -> Share {
    let mut bytes = [0; 32];
    ChaCha8Rng::seed_from_u64(2 + lane as u64).fill_bytes(&mut bytes);
    match group {
        _ if lane == 5 => Share::new(group, &vec![0; group.share_len()]).unwrap(),
        Group::X25519 => Share::new(group, &bytes).unwrap(),
        _ => {
            let public = p256::SecretKey::from_slice(&bytes).expect("a scalar in range").public_key();
            Share::new(group, public.to_sec1_point(false).as_bytes()).unwrap()
        }
    }
}

/// The name of a test of this module, as the executable knows it.
fn name(test: &str) -> String {
    let (_, module) = module_path!().split_once("::").expect("a crate and a module");
    format!("{module}::{test}")
}

/// Asks an engine, whose randomness is `script`, for eight jobs.
fn ask(script: Vec<u8>, mut job: impl FnMut(usize) -> Job) -> Box<dyn FnOnce()> {
    let mut batch = Batch::with_random(&[], LANES, Script(script), Some(1)).expect("AVX-512 IFMA");
    for lane in 0..LANES {
        assert!(batch.submit(Token(lane as u64), job(lane)).is_ok());
    }
    Box::new(move || {
        batch.run();
        while let Some((_, done)) = batch.completed() {
            black_box(matches!(done, Done::Failed(_)));
        }
    })
}

fn generate(test: &str, group: Group) {
    assert_same_traces(&name(test), String::new, |run, _| {
        ask(scalars(group)[run].concat(), |_| Job::Generate { group })
    });
}

fn agree(test: &str, group: Group) {
    assert_same_traces(&name(test), String::new, |run, _| {
        let scalars = scalars(group);
        ask(Vec::new(), |lane| Job::Agree {
            private: PrivateShare::new(group, scalars[run][lane]),
            peer: peer(group, lane),
        })
    });
}

fn exchange(test: &str, group: Group) {
    assert_same_traces(&name(test), String::new, |run, _| {
        ask(scalars(group)[run].concat(), |lane| Job::Exchange { group, peer: peer(group, lane) })
    });
}

#[test]
fn x25519_generate() {
    generate("x25519_generate", Group::X25519);
}

#[test]
fn x25519_agree() {
    agree("x25519_agree", Group::X25519);
}

#[test]
fn x25519_exchange() {
    exchange("x25519_exchange", Group::X25519);
}

#[test]
fn p256_generate() {
    generate("p256_generate", Group::Secp256r1);
}

#[test]
fn p256_agree() {
    agree("p256_agree", Group::Secp256r1);
}

#[test]
fn p256_exchange() {
    exchange("p256_exchange", Group::Secp256r1);
}

/// The halves of X25519 and the messages that ML-KEM carries differ; keys of peers, of which one is none, do not.
#[test]
fn hybrid_exchange() {
    let group = Group::X25519MlKem768;
    assert_same_traces(&name("hybrid_exchange"), String::new, |run, _| {
        let pool = SharePool::new(LANES);
        let script = scalars(Group::X25519).map(|scalars| [scalars.concat(), scalars.concat()].concat());
        ask(script[run].clone(), |lane| {
            let mut key = [0; _];
            mlkem::generate(
                Cpu::detect().expect("AVX-512 IFMA"),
                &[[u8::try_from(lane).unwrap(); 64]],
                &mut [&mut key],
            );
            let mut bytes = mlkem::encapsulation_key(&key).to_vec();
            if lane == 3 {
                bytes[..2].fill(0xff);
            }
            bytes.extend(peer(Group::X25519, lane).bytes());
            Job::Exchange { group, peer: pool.share(group, &bytes).unwrap() }
        })
    });
}

/// Keys, randomness and messages differ. The DER of a signature shows how long its numbers are, which is no
/// secret: those compared have numbers of 32 bytes. Not through the whole engine: aws-lc, which it gives the
/// keys too, allocates as its randomness has it.
#[test]
fn ecdsa_sign() {
    assert_same_traces(&name("ecdsa_sign"), String::new, |run, _| {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let keys = scalars(Group::Secp256r1).map(|scalars| scalars[0]);
        let texts: [[u8; 100]; RUNS] = std::array::from_fn(|_| {
            let mut text = [0; 100];
            random.fill_bytes(&mut text);
            text
        });
        // Every run finds the noise of all, so that all have allocated the same.
        let noise: [Vec<u8>; RUNS] = std::array::from_fn(|run| {
            (0..LANES).flat_map(|_| noise(&keys[run], &texts[run], &mut random)).collect()
        });
        let (key, mut script) = (keys[run], Script(noise[run].clone()));
        let message = Message::new(&[&texts[run]]).unwrap();
        let (tickets, signings) = eight(SignatureScheme::EcdsaSecp256r1Sha256, message);
        let (scalar, mut ahead) = (AwsLc::new(&[], 1).unwrap(), Pools::new());
        let mut done = VecDeque::with_capacity(LANES);
        move || {
            let cpu = Cpu::detect().expect("AVX-512 IFMA");
            let (random, ahead, done) = (&mut script, &mut ahead, &mut done);
            Work { cpu, random, ahead, done, scalar: &scalar }.sign_ecdsa(&tickets, &signings, |_| &key);
            assert!(done.iter().all(|(_, done)| matches!(done, Done::Signed(_))));
        }
    });
}

/// Keys and randomness differ: of nonces made without a message, and of what is signed with them.
#[test]
fn ecdsa_sign_ahead() {
    assert_same_traces(&name("ecdsa_sign_ahead"), String::new, |run, _| {
        let cpu = Cpu::detect().expect("AVX-512 IFMA");
        lanes_p256::prepare(cpu);
        let keys = scalars(Group::Secp256r1)[run];
        let mut random = ChaCha8Rng::seed_from_u64(5 + run as u64);
        let mut noise = [[[0; 32]; LANES]; 2];
        random.fill_bytes(noise.as_flattened_mut().as_flattened_mut());
        move || {
            let (mut inverses, mut rs, mut valid) = ([[0; 32]; LANES], [[0; 32]; LANES], [false; LANES]);
            let [noise, more] = &noise;
            ecdsa::nonces_ahead(cpu, &keys, [noise, more], &mut inverses, &mut rs, &mut valid);
            assert_eq!(valid, [true; LANES]);
            let mut signatures = [[0; 64]; LANES];
            ecdsa::sign_ahead(cpu, &keys, &inverses, &rs, &[[3; 32]; LANES], &mut signatures, &mut valid);
            assert_eq!(valid, [true; LANES]);
        }
    });
}

/// Eight jobs of one message.
pub(in super::super) fn eight(
    scheme: SignatureScheme,
    message: Message,
) -> ([Ticket; LANES], [Signing; LANES]) {
    let ticket = |lane| Ticket { token: Token(lane as u64), number: lane as u64 };
    let signing = |_| Signing { key: KeyId(0), scheme, message };
    (std::array::from_fn(ticket), std::array::from_fn(signing))
}

/// Randomness under which a signature has two numbers of 32 bytes that need no zero before them in DER.
fn noise(key: &[u8; 32], message: &[u8], random: &mut impl Rng) -> [u8; 32] {
    let cpu = Cpu::detect().expect("AVX-512 IFMA");
    let digest = Hash::Sha256.digest(&[message]).as_ref().try_into().unwrap();
    loop {
        let mut noise = [0; 32];
        random.fill_bytes(&mut noise);
        let (mut signature, mut valid) = ([[0; 64]], [false]);
        ecdsa::sign_hedged(cpu, &[*key], &[noise], &[digest], &mut signature, &mut valid);
        if [signature[0][0], signature[0][32]].iter().all(|first| (1..0x80).contains(first)) {
            return noise;
        }
    }
}

/// What leaks is found, and where.
mod controls {
    use super::*;

    fn leak(test: &str, operation: fn(&[u64; 64], u64) -> u64) -> Leak {
        let test = name(&format!("controls::{test}"));
        let leak = trace(&test, String::new, |run, _| {
            let table = black_box(std::array::from_fn(|index| index as u64));
            let secret = black_box(run as u64 + 1);
            move || {
                black_box(operation(&table, secret));
            }
        });
        leak.expect_err("a leak is found")
    }

    #[test]
    fn a_branch_is_found() {
        let leak = leak("a_branch_is_found", |_, secret| {
            (0..64).filter(|bit| secret >> bit & 1 == 1).map(|bit| black_box(bit) * 3).sum()
        });
        assert!(matches!(leak, Leak::Branch(_)), "{leak:x?}");
    }

    #[test]
    fn an_index_is_found() {
        let leak = leak("an_index_is_found", |table, secret| table[secret.to_le_bytes()[0] as usize % 64]);
        assert!(matches!(leak, Leak::Address(_)), "{leak:x?}");
    }

    #[test]
    fn a_division_is_found() {
        let leak = leak("a_division_is_found", |table, secret| (secret << 40) / table[5]);
        assert!(matches!(leak, Leak::Operand(_) | Leak::Forbidden(_)), "{leak:x?}");
    }

    #[test]
    fn a_gather_is_found() {
        let leak = leak("a_gather_is_found", |table, secret| {
            // SAFETY: the features are those of every test here.
            unsafe { gathered(table, secret) }
        });
        assert!(matches!(leak, Leak::Forbidden(_)), "{leak:x?}");
    }

    #[target_feature(enable = "avx512f")]
    fn gathered(table: &[u64; 64], secret: u64) -> u64 {
        use core::arch::x86_64::*;
        let places = _mm512_set1_epi64((secret % 64).cast_signed());
        // SAFETY: the places are within the table.
        let found = unsafe { _mm512_i64gather_epi64::<8>(places, table.as_ptr().cast()) };
        _mm512_reduce_add_epi64(found).cast_unsigned()
    }
}
