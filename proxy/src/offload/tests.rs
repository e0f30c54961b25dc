//! The AEAD engine over a real device, when it is given more than it takes, and when it goes away; every answer is
//! opened again by other code. What a driver in software does not do, to fail an operation, is the test of `condition`.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use levee_buf::{Chain as _, Memory, Pieces};
use levee_crypto::{Aad, TAG_LEN};
use levee_dpdk::Sizes;

use super::condition::PATIENCE_NS;
use super::*;
use crate::health::LEFT_OUT_NS;
use crate::lent::Home;
use crate::testing::{eal, in_a_process};

const DEVICE: &str = "crypto_aesni_mb0";
/// Operations that the device takes.
const QUEUE: u16 = 8;
const SESSIONS: u32 = 64;
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Aes128Gcm, Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305];
const HEADER: [u8; 5] = [23, 3, 3, 0, 0];

#[test]
fn what_a_queue_does_not_take_waits() {
    in_a_process("offload::tests::what_a_queue_does_not_take_waits", || {
        let mut scene = Scene::new();
        let keys: Vec<_> = (0..24).map(|number| scene.open(number)).collect();
        let mut waiting: VecDeque<_> =
            (0..20).flat_map(|round| keys.iter().map(move |key| (*key, round))).collect();
        let mut done = 0;
        while done < 20 * keys.len() {
            // As connections do: each gives its record again after a turn.
            for _ in 0..waiting.len() {
                let Some((key, round)) = waiting.pop_front() else { break };
                match scene.seal(key, 100 * round + 1) {
                    Answer::Later => {}
                    Answer::Busy(_) => waiting.push_back((key, round)),
                    Answer::Now(_) => panic!("the device answers later"),
                }
            }
            done += scene.turn();
        }
        assert!(scene.sum("busy") > 100, "{}", scene.sum("busy"));
        assert_eq!((scene.sum(DEVICE), scene.sum("software")), (20 * keys.len() as u64, 0));
        scene.finish(keys);
    });
}

#[test]
fn a_device_that_goes_away_and_comes_back() {
    in_a_process("offload::tests::a_device_that_goes_away_and_comes_back", || {
        let mut scene = Scene::new();
        let mut keys: Vec<_> = (0..6).map(|number| scene.open(number)).collect();
        let before = keys.clone();
        for key in &before {
            assert!(matches!(scene.seal(*key, 1000), Answer::Later));
        }
        assert_eq!(scene.turn(), before.len());

        crypto::interrupt(&scene.eal, DEVICE, true).expect("it stops");
        for key in &before {
            assert!(matches!(scene.seal(*key, 1000), Answer::Later));
        }
        assert_eq!(scene.turn(), 0);
        // Who waits for it hears of it after a while. What it has stays with it: it may still write there.
        let held = scene.pool.in_use();
        scene.wait(PATIENCE_NS);
        assert_eq!(scene.faults(), before.len());
        assert_eq!((scene.sum("left_out"), scene.pool.in_use()), (1, held));

        // Whose keys it has hears of it at once; others do not meet it.
        for key in &before {
            assert!(matches!(scene.seal(*key, 1000), Answer::Now(Finished { outcome: Outcome::Failed, .. })));
        }
        let other = scene.open(100);
        keys.push(other);
        assert!(matches!(scene.seal(other, 1000), Answer::Now(Finished { outcome: Outcome::Done, .. })));
        assert_eq!((scene.sum("refused"), scene.sum("software")), (before.len() as u64, 1));
        // One of them ends, while the device has its record.
        scene.offload().close_session(keys.remove(0).session);

        crypto::interrupt(&scene.eal, DEVICE, false).expect("it starts");
        assert_eq!((scene.turn(), scene.turn()), (0, 0), "nobody is told twice");
        assert!(scene.pool.in_use() < held);
        for key in &keys {
            assert!(!matches!(scene.seal(*key, 1000), Answer::Busy(_)));
        }
        assert_eq!(scene.turn(), keys.len() - 1);
        // It gets keys again after a while.
        let soon = scene.open(101);
        assert!(matches!(scene.seal(soon, 10), Answer::Now(Finished { outcome: Outcome::Done, .. })));
        scene.wait(LEFT_OUT_NS);
        let later = scene.open(102);
        assert!(matches!(scene.seal(later, 10), Answer::Later));
        assert_eq!(scene.turn(), 1);
        assert_eq!((scene.sum("left_out"), scene.sum("failed")), (1, before.len() as u64));
        keys.extend([soon, later]);
        scene.finish(keys);
    });
}

/// The engine over one device, and what it was given.
struct Scene {
    eal: Eal,
    pool: Pool,
    clock: Rc<Cell<u64>>,
    offload: Option<Offload>,
    /// What is under way, by token.
    records: BTreeMap<u64, (u8, Vec<u8>)>,
    next: u64,
    _home: Home<QueuePair>,
    _device: Device,
}

/// A key, by the number it is made of.
#[derive(Clone, Copy)]
struct Open {
    number: u8,
    session: SessionId,
}

impl Scene {
    fn new() -> Self {
        let eal = eal("offload");
        eal.attach(DEVICE).expect("the driver is there");
        let sizes = Sizes { segments: 2047, records: 63, references: 2047, cache: 32 };
        let pool = Pool::create(&eal, "offload", sizes, None).expect("memory for a pool");
        let config = DeviceConfig {
            descriptors: QUEUE,
            sessions: SESSIONS,
            // As a device in hardware.
            now: false,
            ..DeviceConfig::default()
        };
        let (device, pairs) =
            Device::open(&eal, DEVICE, &config, std::slice::from_ref(&pool)).expect("it opens");
        let home = Home::new(pairs);
        let clock = Rc::new(Cell::new(1));
        let read = Rc::clone(&clock);
        let offload = Offload::new(home.lend(|_| true), SESSIONS as usize, Box::new(move || read.get()));
        Self {
            eal,
            pool,
            clock,
            offload: Some(offload),
            records: BTreeMap::new(),
            next: 0,
            _home: home,
            _device: device,
        }
    }

    fn offload(&mut self) -> &mut Offload {
        self.offload.as_mut().expect("it is not finished")
    }

    fn open(&mut self, number: u8) -> Open {
        let session = self.offload().open_session(&key(number)).expect("room");
        Open { number, session }
    }

    /// Seals a record of `length` bytes; what is answered at once is looked at.
    fn seal(&mut self, Open { number, session }: Open, length: usize) -> Answer<Chain> {
        let token = self.next;
        let plain: Vec<u8> = token.to_be_bytes().into_iter().chain(0..=250).cycle().take(length).collect();
        let mut text = Chain::default();
        self.pool.push(&mut text, &[plain.as_slice(), &[0; TAG_LEN]].concat()).expect("memory");
        let operation = Operation {
            session,
            direction: Direction::Seal,
            nonce: nonce(token),
            aad: Aad::tls13(HEADER),
            text,
            at: 0..length + TAG_LEN,
            into: None,
        };
        let answer = self.offload().submit(Token(token), operation);
        match &answer {
            Answer::Later => _ = self.records.insert(token, (number, plain)),
            Answer::Now(finished) if finished.is_done() => expect(number, token, &finished.text, &plain),
            Answer::Now(_) | Answer::Busy(_) => {}
        }
        self.next += 1;
        answer
    }

    /// A turn of the loop; how many answers came, each of which is looked at.
    fn turn(&mut self) -> usize {
        self.offload().flush();
        let mut answers = 0;
        while let Some((Token(token), finished)) = self.offload().completed() {
            let (number, plain) = self.records.remove(&token).expect("it was asked for");
            assert!(finished.is_done());
            expect(number, token, &finished.text, &plain);
            answers += 1;
        }
        answers
    }

    /// A turn of the loop in which the device is given up; how many operations it had.
    fn faults(&mut self) -> usize {
        self.offload().flush();
        let mut faults = 0;
        while let Some((Token(token), finished)) = self.offload().completed() {
            self.records.remove(&token).expect("it was asked for");
            assert!(!finished.is_done() && finished.text.is_empty());
            faults += 1;
        }
        faults
    }

    fn wait(&self, ns: u64) {
        self.clock.set(self.clock.get() + ns);
    }

    fn sum(&self, wanted: &str) -> u64 {
        let mut found = None;
        let offload = self.offload.as_ref().expect("it is not finished");
        offload.account(&mut |name, sum| {
            if name == wanted {
                found = Some(sum);
            }
        });
        found.expect("it is in the account")
    }

    /// Closes what is open; nothing is left.
    fn finish(mut self, keys: Vec<Open>) {
        for Open { session, .. } in keys {
            self.offload().close_session(session);
        }
        assert_eq!((self.records.len(), self.offload().keys()), (0, 0));
        self.offload = None;
        assert_eq!(self.pool.in_use(), 0);
    }
}

fn key(number: u8) -> AeadKey {
    let algorithm = ALGORITHMS[usize::from(number) % ALGORITHMS.len()];
    AeadKey::new(algorithm, &vec![number; algorithm.key_len()]).expect("its length")
}

fn nonce(token: u64) -> [u8; 12] {
    let mut nonce = [7; 12];
    nonce[..8].copy_from_slice(&token.to_be_bytes());
    nonce
}

/// Opens what was sealed by the code that does handshakes.
fn expect(number: u8, token: u64, sealed: &Chain, plain: &[u8]) {
    let mut text = levee_buf::Heap::new(8).chain(&sealed.to_vec());
    let at = 0..text.len();
    assert!(key(number).once(Direction::Open, nonce(token), Aad::tls13(HEADER), &mut text, at));
    assert_eq!(text.to_vec()[..plain.len()], *plain);
}
