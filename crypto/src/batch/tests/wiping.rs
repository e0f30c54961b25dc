//! What the lanes worked on is gone when they are done: from the stack, and from the engine's queues.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use rand_core::Rng;

use crate::batch::lanes::Cpu;
use crate::batch::lanes::SPILLED;
use crate::batch::{Batch, ecdsa, p256, rsa, x25519};
use crate::key::Material;
use crate::test_keys::RSA_4096_PKCS8;
use crate::{AwsLc, Done, Engine, Group, Job, PrivateKey, PrivateShare, Share, SystemRandom, Token};

/// Bytes of stack that are looked at.
const PAINTED: usize = 2 * SPILLED;

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

/// [`SPILLED`] holds all that an operation leaves on the stack, and the frames between it and the engine.
#[test]
fn nothing_is_spilled_below_what_is_wiped() {
    const JOBS: usize = 32;
    let cpu = Cpu::detect().expect("AVX-512 IFMA");
    let secrets = [[7; 32]; JOBS];
    let (mut shared, mut valid) = ([[0; 32]; JOBS], [false; JOBS]);
    let mut x25519_publics = [[0; 32]; JOBS];
    let mut p256_publics = [[0; 65]; JOBS];
    x25519::generate(cpu, &secrets, &mut x25519_publics);
    p256::generate(cpu, &secrets, &mut p256_publics);
    let (x25519_peers, p256_peers) = (x25519_publics, p256_publics);
    let x25519 =
        depth_of(|| x25519::exchange(cpu, &secrets, &x25519_peers, &mut x25519_publics, &mut shared));
    let p256 = depth_of(|| {
        p256::exchange(cpu, &secrets, &p256_peers, &mut p256_publics, &mut shared, &mut valid);
    });
    let mut signatures = [[0; 64]; JOBS];
    let ecdsa = depth_of(|| {
        ecdsa::sign_hedged(cpu, &secrets, &secrets, &secrets, &mut signatures, &mut valid);
    });

    let Material::Rsa { key, .. } = PrivateKey::from_pem(&RSA_4096_PKCS8).unwrap().material else {
        panic!("an RSA key")
    };
    let mut key = rsa::Key::new(cpu, &key).unwrap();
    let messages = [[1; rsa::MAX_LEN]; 8];
    let mut signatures = [[0; rsa::MAX_LEN]; 8];
    let rsa = depth_of(|| {
        let random = &mut |place: &mut [u8]| SystemRandom.fill_bytes(place);
        key.sign(&messages, &mut signatures, &mut valid[..8], random);
    });
    println!("x25519 {x25519}, p256 {p256}, ecdsa {ecdsa}, rsa {rsa} bytes of {SPILLED}");
    for depth in [x25519, p256, ecdsa, rsa] {
        assert!(depth > 1000, "{depth} bytes are not all that is spilled");
        assert!(
            depth < SPILLED - 4096,
            "{depth} bytes, and those of the frames above, are more than is wiped"
        );
    }
}

/// Jobs of a test; two lots and five more.
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

/// The private halves of jobs that were answered are nowhere in memory.
#[test]
fn no_private_share_is_left() {
    for group in [Group::X25519, Group::Secp256r1] {
        let (peer, mut batch) = (peer(group), Batch::new(&[], JOBS).expect("AVX-512 IFMA"));
        let mut masked = HashMap::new();
        submit(&mut batch, group, peer, &mut masked);
        paint();
        assert!(!places(&masked).is_empty(), "what is there is found");
        let mut answers = 0;
        while batch.in_flight() > 0 {
            batch.run();
            while let Some((_, done)) = batch.completed() {
                assert!(matches!(done, Done::Agreed { .. }));
                answers += 1;
            }
        }
        assert_eq!(answers, JOBS);
        let found = places(&masked);
        assert!(found.is_empty(), "{group:?}: {found:#?}");
    }
}

/// Jobs that fill lanes and some that come a turn later; what this leaves on the stack is the caller's to paint over.
#[inline(never)]
fn submit(batch: &mut Batch, group: Group, peer: Share, masked: &mut HashMap<u64, usize>) {
    for number in 0..JOBS {
        let mut secret = [0; 32];
        SystemRandom.fill_bytes(&mut secret);
        secret[0] &= 0x7f;
        for word in secret.as_chunks().0 {
            let word = u64::from_ne_bytes(*word);
            masked.insert(word ^ MASK, number);
            masked.insert(word.swap_bytes() ^ MASK, number);
        }
        let private = PrivateShare::new(group, secret);
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
