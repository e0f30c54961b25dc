//! What the lanes worked on is gone when they are done: from the stack, and from the engine's queues.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use rand_core::Rng;

use crate::batch::Batch;
use crate::batch::curves::MOST;
use crate::batch::lanes::{Cpu, Depth};
use crate::batch::mlkem::{self, EncapsulationKey};
use crate::test_keys::{P256_PKCS8, RSA_4096_PKCS8};
use crate::{
    AwsLc, Done, Engine, Group, Job, KeyId, Message, Moment, PrivateKey, PrivateShare, Share, SharePool,
    SignatureScheme, SystemRandom, Token,
};

/// Bytes of stack that are looked at.
const PAINTED: usize = 2 * Depth::Deep.bytes();

const PAINT: u8 = 0xa5;

/// Fills the stack below the caller's frame, and says from where.
#[inline(never)]
fn paint() -> usize {
    let mut stack = [0_u8; PAINTED];
    stack.fill(PAINT);
    std::hint::black_box(&mut stack).as_ptr() as usize
}

/// Bytes down to the lowest that is not as it was painted from `start`.
fn depth(start: usize) -> usize {
    let place = |at: usize| std::ptr::with_exposed_provenance::<u8>(start + at);
    // SAFETY: this is the stack of this thread below its frame, which `paint` has written.
    let unchanged = |at: &usize| unsafe { place(*at).read_volatile() == PAINT };
    PAINTED - (0..PAINTED).take_while(unchanged).count()
}

fn depth_of(operation: impl FnOnce()) -> usize {
    let start = paint();
    operation();
    depth(start)
}

/// The depth of each kind holds all that a turn of its jobs leaves on the stack.
#[test]
fn nothing_is_spilled_below_what_is_wiped() {
    let keys = [&P256_PKCS8, &RSA_4096_PKCS8].map(|text| PrivateKey::from_pem(text).unwrap());
    let mut batch = Batch::with_random(&keys, MOST, SystemRandom, Some(1)).expect("AVX-512 IFMA");
    let pool = SharePool::new(MOST);
    let sign =
        |key, scheme| Job::Sign { key: KeyId(key), scheme, message: Message::new(&[b"text"]).unwrap() };
    let ecdsa = || sign(0, SignatureScheme::EcdsaSecp256r1Sha256);
    for group in [Group::X25519, Group::Secp256r1] {
        let private = || PrivateShare::new(group, [7; 32]);
        assert_wiped(&mut batch, &format!("exchange {group:?}"), || Job::Exchange {
            group,
            peer: peer(group),
        });
        assert_wiped(&mut batch, &format!("generate {group:?}"), || Job::Generate { group });
        assert_wiped(&mut batch, &format!("agree {group:?}"), || Job::Agree {
            private: private(),
            peer: peer(group),
        });
    }
    assert_wiped(&mut batch, "hybrid", || {
        let share = [&encapsulation_key()[..], peer(Group::X25519).bytes()].concat();
        let group = Group::X25519MlKem768;
        Job::Exchange { group, peer: pool.share(group, &share).unwrap() }
    });
    assert_wiped(&mut batch, "ecdsa", ecdsa);
    for scheme in [SignatureScheme::RsaPssRsaeSha512, SignatureScheme::RsaPkcs1Sha512] {
        assert_wiped(&mut batch, &format!("{scheme:?}"), || sign(1, scheme));
    }

    let moment = Moment { monotonic_ns: 1, wall_ns: 1, generation: 1 };
    batch.keep_nonces();
    // All that is kept of both, so that there is a pair and a nonce for each job.
    for _ in 0..MOST {
        batch.witness(moment);
        let mut is_made = false;
        let spilled = depth_of(|| is_made = batch.make_ahead(1));
        if is_made {
            assert_holds("ahead", Depth::AHEAD, spilled);
        }
    }
    batch.witness(moment);
    assert_wiped(&mut batch, "ecdsa ahead", ecdsa);
    for group in [Group::X25519, Group::Secp256r1] {
        assert_wiped(&mut batch, &format!("exchange {group:?} ahead"), || Job::Exchange {
            group,
            peer: peer(group),
        });
    }
}

/// Does as many jobs as go together.
fn assert_wiped(batch: &mut Batch, name: &str, job: impl Fn() -> Job) {
    for number in 0..MOST {
        assert!(batch.submit(Token(number as u64), job()).is_ok());
    }
    let mut wiped = None;
    let spilled = depth_of(|| wiped = batch.turn());
    assert_holds(name, wiped.expect("lanes were used"), spilled);
    while batch.in_flight() > 0 {
        batch.run();
        while let Some((_, done)) = batch.completed() {
            assert!(!matches!(done, Done::Failed(_)), "{name}");
        }
    }
}

fn assert_holds(name: &str, depth: Depth, spilled: usize) {
    let wiped = depth.bytes();
    println!("{name}: {spilled} bytes of {wiped}");
    assert!(spilled > 1000, "{name}: {spilled} bytes are not all that is spilled");
    assert!(spilled < wiped - 2048, "{name}: {spilled} bytes are more than the {wiped} that are wiped");
}

fn encapsulation_key() -> EncapsulationKey {
    let mut key = [0; _];
    mlkem::generate(Cpu::detect().expect("AVX-512 IFMA"), &[[7; 64]], &mut [&mut key]);
    *mlkem::encapsulation_key(&key)
}

/// Jobs of a test: some that fill lanes, and some that come a turn later.
const JOBS: usize = 21;

/// Secrets are kept as other numbers, so that what is found of them is not here.
const MASK: u64 = 0x9e37_79b9_7f4a_7c15;

/// Wherever in this process's memory a word of these secrets stands.
fn places(masked: &HashMap<u64, usize>) -> Vec<String> {
    let memory = File::open("/proc/self/mem").expect("this process's memory");
    let maps = fs::read_to_string("/proc/self/maps").expect("this process's maps");
    let mut buffer = vec![0; 1 << 20];
    let own = buffer.as_ptr() as u64..buffer.as_ptr() as u64 + buffer.len() as u64;
    let mut found = Vec::new();
    for map in maps.lines().filter(|map| map.contains(" rw")) {
        let (start, rest) = map.split_once('-').expect("a range");
        let end = rest.split(' ').next().expect("an end");
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).expect("an address"));
        let mut at = start;
        while at < end {
            let len = buffer.len().min(usize::try_from(end - at).unwrap());
            let Ok(len @ 8..) = memory.read_at(&mut buffer[..len], at) else { break };
            for (offset, word) in buffer[..len].windows(8).enumerate() {
                let word = u64::from_ne_bytes(word.try_into().unwrap());
                let place = at + offset as u64;
                if let Some(secret) = masked.get(&(word ^ MASK))
                    && !own.contains(&place)
                {
                    found.push(format!("secret {secret} at {place:#x} of {map}"));
                }
            }
            at += len as u64;
        }
    }
    buffer.fill(0);
    std::hint::black_box(&buffer);
    found
}

/// The private halves of jobs that were answered are nowhere in memory; nor are those of jobs that came while
/// others waited, and went round the end of their queue.
#[test]
fn no_private_share_is_left() {
    for group in [Group::X25519, Group::Secp256r1, Group::Secp384r1] {
        let (peer, mut batch) = (peer(group), Batch::new(&[], JOBS).expect("AVX-512 IFMA"));
        let mut masked = HashMap::new();
        submit(&mut batch, JOBS, group, &peer, &mut masked);
        paint();
        assert!(!places(&masked).is_empty(), "what is there is found");
        let (mut answers, mut more) = (0, true);
        while batch.in_flight() > 0 {
            batch.run();
            while let Some((_, done)) = batch.completed() {
                assert!(matches!(done, Done::Agreed { .. }));
                answers += 1;
            }
            if std::mem::take(&mut more) {
                submit(&mut batch, answers / 2, group, &peer, &mut masked);
                paint();
            }
        }
        assert!(answers > JOBS);
        let found = places(&masked);
        assert!(found.is_empty(), "{group:?}: {found:#?}");
    }
}

/// What this leaves on the stack is the caller's to paint over.
#[inline(never)]
fn submit(batch: &mut Batch, count: usize, group: Group, peer: &Share, masked: &mut HashMap<u64, usize>) {
    for number in 0..count {
        let mut secret = [0; 32];
        SystemRandom.fill_bytes(&mut secret);
        secret[0] &= 0x7f;
        for word in secret.as_chunks().0 {
            let word = u64::from_ne_bytes(*word);
            masked.insert(word ^ MASK, number);
            masked.insert(word.swap_bytes() ^ MASK, number);
        }
        let private = PrivateShare::new(group, secret);
        let peer = peer.try_clone().unwrap();
        assert!(batch.submit(Token(number as u64), Job::Agree { private, peer }).is_ok());
        std::hint::black_box(&mut secret).fill(0);
    }
}

fn peer(group: Group) -> Share {
    let Done::Generated { share, .. } = AwsLc::new(&[], 1).unwrap().work(&Job::Generate { group }) else {
        panic!("a pair")
    };
    share
}
