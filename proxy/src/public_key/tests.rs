//! The shared engine over devices that do as they are told, by a clock of the test's.

mod on_a_device;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use levee_crypto::{AwsLc, Message, Raw, Share, Signature, SignatureScheme, SystemRandom, Task};
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{NonZeroScalar, PublicKey};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};

use super::side::PATIENCE_NS;
use super::*;
use crate::health::{LEFT_OUT_NS, MOST_FAULTS};

const US: u64 = 1000;
/// Jobs that the engine holds.
const CAPACITY: usize = 64;
/// Operations that a device holds.
const ROOM: usize = 32;
const ECDSA: KeyId = KeyId(0);
const RSA: KeyId = KeyId(1);
/// Distinct messages.
const MESSAGES: u64 = 16;

/// A device that answers right, unevenly matched with the CPU: both get what they can do.
#[test]
fn jobs_are_shared_out_by_what_they_cost_on_each_side() {
    for (device_us, cpu_us, least, most) in [(100, 300, 65, 85), (300, 100, 15, 35), (200, 200, 40, 60)] {
        let mut scene = Scene::new();
        let device = scene.device("one", device_us * US);
        let mut engine = scene.engine(cpu_us * US, &[&device]);
        scene.keep_busy(&mut engine, 40, 3000);
        let percent = 100 * sum(&engine, "one") / 3000;
        assert!((least..=most).contains(&percent), "{device_us} and {cpu_us} us: {percent} %");
        assert_eq!(sum(&engine, "one") + sum(&engine, "cpu"), 3000);
    }
}

#[test]
fn devices_share_with_each_other() {
    let mut scene = Scene::new();
    // Both are looked at once a job of the CPU: the fast one has done all it had by then.
    let (fast, slow) = (scene.device("fast", 50 * US), scene.device("slow", 200 * US));
    let mut engine = scene.engine(1000 * US, &[&slow, &fast]);
    scene.keep_busy(&mut engine, 40, 3000);
    let [fast, slow, cpu] = ["fast", "slow", "cpu"].map(|name| sum(&engine, name));
    assert!(2 * fast > 3 * slow && slow > 2 * cpu && cpu > 0, "{fast}, {slow}, {cpu}");
}

/// A job alone goes to the side that does it faster, however idle the other is.
#[test]
fn one_job_at_a_time_goes_to_the_faster_side() {
    let mut scene = Scene::new();
    let device = scene.device("one", 1000 * US);
    let mut engine = scene.engine(100 * US, &[&device]);
    scene.keep_busy(&mut engine, 40, 500);
    let before = sum(&engine, "one");
    scene.keep_busy(&mut engine, 1, 100);
    assert_eq!(sum(&engine, "one"), before);
}

#[test]
fn faults_are_done_again_and_a_bad_device_is_left_out() {
    /// Few enough that a dead device keeps room.
    const WAITING: usize = 14;
    for (manner, reason) in [(Manner::Fails, "failed"), (Manner::Lies, "wrong"), (Manner::Dead, "late")] {
        let mut scene = Scene::new();
        let device = scene.device("one", 50 * US);
        let mut engine = scene.engine(300 * US, &[&device]);
        scene.keep_busy(&mut engine, WAITING, 400);
        let by_device = sum(&engine, "one");
        assert!(by_device > 200, "{by_device}");

        device.0.borrow_mut().manner = manner;
        let asked = device.0.borrow().submitted;
        scene.keep_busy(&mut engine, WAITING, 400);
        assert_eq!(sum(&engine, "one"), by_device, "{reason}");
        let again = sum(&engine, reason);
        assert!(again >= MOST_FAULTS.into() && again <= WAITING as u64, "{reason}: {again}");
        assert_eq!(again, device.0.borrow().submitted - asked, "each of them, once");
        assert_eq!(sum(&engine, "left_out"), 1, "{reason}");

        // Then it is tried again, and left out again.
        scene.wait(LEFT_OUT_NS);
        scene.keep_busy(&mut engine, WAITING, 400);
        assert_eq!(sum(&engine, "left_out"), 2, "{reason}");
    }
}

/// Answers that come after the job was given up find nobody, and their room comes back.
#[test]
fn late_answers_are_passed_over() {
    let mut scene = Scene::new();
    let device = scene.device("one", 3 * PATIENCE_NS);
    let mut engine = scene.engine(300 * US, &[&device]);
    scene.keep_busy(&mut engine, 8, 100);
    let late = sum(&engine, "late");
    assert!(late > 0 && sum(&engine, "one") == 0, "{late}");
    assert!(device.0.borrow().room() < ROOM, "it still has them");
    scene.wait(40 * PATIENCE_NS);
    engine.run();
    assert!(engine.completed().is_none());
    assert_eq!(device.0.borrow().room(), ROOM);

    device.0.borrow_mut().cost_ns = 50 * US;
    scene.wait(LEFT_OUT_NS);
    scene.keep_busy(&mut engine, 40, 400);
    assert!(sum(&engine, "one") > 200, "it is as good as new");
}

#[test]
fn no_job_waits_for_a_dead_device_longer_than_patience() {
    let mut scene = Scene::new();
    let device = scene.device("one", 50 * US);
    device.0.borrow_mut().manner = Manner::Dead;
    let mut engine = scene.engine(300 * US, &[&device]);
    scene.keep_busy(&mut engine, 40, 40);
    assert!(scene.clock.get() < PATIENCE_NS + 40 * 300 * US + 10_000 * US, "{}", scene.clock.get());
}

#[test]
fn a_device_that_takes_nothing_costs_nothing() {
    let mut scene = Scene::new();
    let device = scene.device("one", 50 * US);
    device.0.borrow_mut().manner = Manner::Closed;
    let mut engine = scene.engine(300 * US, &[&device]);
    scene.keep_busy(&mut engine, 40, 400);
    assert_eq!((sum(&engine, "cpu"), sum(&engine, "failed")), (400, 0));
}

#[test]
fn the_engine_is_full_with_all_sides_together() {
    let scene = Scene::new();
    let device = scene.device("one", 50 * US);
    let mut engine = scene.engine(300 * US, &[&device]);
    for number in 0..CAPACITY as u64 {
        assert!(engine.submit(Token(number), sign(number)).is_ok());
    }
    assert!(device.0.borrow().submitted > 10 && engine.in_flight() == CAPACITY);
    let back = engine.submit(Token(99), sign(99)).unwrap_err();
    assert!(matches!(back, Job::Sign { key: RSA, .. }));
    device.0.borrow_mut().manner = Manner::Dead;
    let mut answers = 0;
    while engine.in_flight() > 0 {
        engine.run();
        scene.wait(100 * US);
        while engine.completed().is_some() {
            answers += 1;
            assert!(engine.submit(Token(100), sign(answers)).is_ok(), "an answer taken makes room");
            assert!(engine.submit(Token(101), sign(1)).is_err());
            if answers > 200 {
                return;
            }
        }
    }
    panic!("jobs were lost");
}

#[test]
fn p256_takes_a_device_one_or_two_steps() {
    let scene = Scene::new();
    let group = Group::Secp256r1;
    let device = scene.device("one", 10 * US);
    let mut engine = scene.engine(10_000 * US, &[&device]);
    let Done::Generated { private, share } = scene.one(&mut engine, Job::Generate { group }) else {
        panic!("a pair")
    };
    let Done::Exchanged { share: peer, secret } =
        scene.one(&mut engine, Job::Exchange { group, peer: share.try_clone().unwrap() })
    else {
        panic!("an exchange")
    };
    let Done::Agreed { secret: same } = scene.one(&mut engine, Job::Agree { private, peer }) else {
        panic!("agreement")
    };
    assert_eq!(secret.bytes(), same.bytes());
    assert_eq!((sum(&engine, "one"), device.0.borrow().submitted), (3, 4));

    // The second step fails: the CPU does the whole.
    device.0.borrow_mut().most = 5;
    let done = scene.one(&mut engine, Job::Exchange { group, peer: share.try_clone().unwrap() });
    assert!(matches!(done, Done::Exchanged { .. }));
    assert_eq!((sum(&engine, "cpu"), sum(&engine, "failed")), (1, 1));
}

#[test]
fn what_no_device_does_goes_to_the_cpu() {
    let scene = Scene::new();
    let device = scene.device("one", 10 * US);
    device.0.borrow_mut().multiplies = false;
    let mut engine = scene.engine(10_000 * US, &[&device]);
    let message = Message::new(&[b"text"]).unwrap();
    let scheme = SignatureScheme::EcdsaSecp256r1Sha256;
    let off_the_curve = Share::new(Group::Secp256r1, &[4; 65]).unwrap();
    for (job, fails) in [
        (Job::Sign { key: ECDSA, scheme, message }, None),
        (Job::Sign { key: RSA, scheme, message }, Some(Failure::UnsuitableKey)),
        (Job::Sign { key: KeyId(7), scheme, message }, Some(Failure::UnsuitableKey)),
        (Job::Generate { group: Group::X25519 }, None),
        (Job::Generate { group: Group::Secp256r1 }, None),
        (Job::Exchange { group: Group::Secp256r1, peer: off_the_curve }, Some(Failure::InvalidShare)),
    ] {
        let failure = match scene.one(&mut engine, job) {
            Done::Failed(failure) => Some(failure),
            _ => None,
        };
        assert_eq!(failure, fails);
    }
    assert_eq!(device.0.borrow().submitted, 0);
}

/// What a device does with what it is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Right,
    Fails,
    Lies,
    /// Takes what it is given, and says no more of it.
    Dead,
    /// Takes nothing.
    Closed,
}

/// A device: one operation after the other, each in `cost_ns`.
struct Fake {
    name: &'static str,
    manner: Manner,
    cost_ns: u64,
    multiplies: bool,
    /// Operations that it takes in its life.
    most: u64,
    submitted: u64,
    gathered: Vec<(u64, Vec<u8>)>,
    /// By the time when they are done.
    working: VecDeque<(u64, u64, Vec<u8>)>,
}

impl Fake {
    fn room(&self) -> usize {
        ROOM - self.gathered.len() - self.working.len()
    }
}

struct Handle(Rc<RefCell<Fake>>, Scene);

impl Device for Handle {
    fn name(&self) -> &str {
        self.0.borrow().name
    }

    fn room(&self) -> usize {
        self.0.borrow().room()
    }

    fn signs(&self, key: KeyId) -> bool {
        key == RSA
    }

    fn multiplies(&self) -> bool {
        self.0.borrow().multiplies
    }

    fn submit(&mut self, token: u64, raw: &Raw) -> bool {
        let mut fake = self.0.borrow_mut();
        if fake.manner == Manner::Closed || fake.room() == 0 || fake.submitted == fake.most {
            return false;
        }
        let answer = self.1.compute(raw);
        fake.submitted += 1;
        fake.gathered.push((token, answer));
        true
    }

    fn flush(&mut self) {
        let fake = &mut *self.0.borrow_mut();
        for (token, answer) in fake.gathered.drain(..) {
            let begins_ns = fake.working.back().map_or(0, |(due_ns, ..)| *due_ns).max(self.1.clock.get());
            fake.working.push_back((begins_ns + fake.cost_ns, token, answer));
        }
    }

    fn completed(&mut self, take: &mut dyn FnMut(u64, Option<&[u8]>)) -> bool {
        let mut fake = self.0.borrow_mut();
        let is_due = fake.working.front().is_some_and(|(due_ns, ..)| *due_ns <= self.1.clock.get());
        if !is_due || fake.manner == Manner::Dead {
            return false;
        }
        let Some((_, token, mut answer)) = fake.working.pop_front() else { return false };
        if fake.manner == Manner::Lies {
            answer[9] ^= 1;
        }
        take(token, (fake.manner != Manner::Fails).then_some(&answer));
        true
    }
}

/// The CPU: one job a turn, in `cost_ns`.
struct SlowCpu {
    inner: AwsLc,
    clock: Rc<Cell<u64>>,
    cost_ns: u64,
    waiting: VecDeque<(Token, Job)>,
    done: VecDeque<(Token, Done)>,
}

impl Engine for SlowCpu {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn submit(&mut self, token: Token, job: Job) -> Result<(), Job> {
        if self.in_flight() == CAPACITY {
            return Err(job);
        }
        self.waiting.push_back((token, job));
        Ok(())
    }

    fn run(&mut self) {
        let Some((token, job)) = self.waiting.pop_front() else { return };
        self.clock.set(self.clock.get() + self.cost_ns);
        self.done.push_back((token, once(&mut self.inner, job)));
    }

    fn completed(&mut self) -> Option<(Token, Done)> {
        self.done.pop_front()
    }

    fn in_flight(&self) -> usize {
        self.waiting.len() + self.done.len()
    }
}

/// The clock, the keys, and what is right.
#[derive(Clone)]
struct Scene {
    clock: Rc<Cell<u64>>,
    keys: Rc<Vec<PrivateKey>>,
    /// RSA signatures by encoded message.
    answers: Rc<BTreeMap<Vec<u8>, Vec<u8>>>,
    /// By number.
    signatures: Rc<Vec<Signature>>,
    next: u64,
}

impl Scene {
    fn new() -> Self {
        let pairs = [KeyPair::generate(), KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)];
        let key = |pair: Result<KeyPair, _>| PrivateKey::from_der(&pair.unwrap().serialize_der()).unwrap();
        let keys = pairs.map(key).into_iter().collect::<Vec<_>>();
        let raw_keys = RawKeys::new(&keys);
        let mut cpu = AwsLc::new(&keys, 1).unwrap();
        let (mut answers, mut signatures) = (BTreeMap::new(), Vec::new());
        for number in 0..MESSAGES {
            let (_, raw) = Task::begin(&sign(number), &raw_keys, &mut SystemRandom).unwrap();
            let Raw::Rsa { message, len, .. } = &raw else { panic!("an RSA operation") };
            let Done::Signed(signature) = once(&mut cpu, sign(number)) else { panic!("a signature") };
            answers.insert(message[..*len].to_vec(), signature.bytes().to_vec());
            signatures.push(signature);
        }
        Self {
            clock: Rc::default(),
            keys: Rc::new(keys),
            answers: Rc::new(answers),
            signatures: Rc::new(signatures),
            next: 0,
        }
    }

    fn device(&self, name: &'static str, cost_ns: u64) -> Handle {
        let fake = Fake {
            name,
            manner: Manner::Right,
            cost_ns,
            multiplies: true,
            most: u64::MAX,
            submitted: 0,
            gathered: Vec::new(),
            working: VecDeque::new(),
        };
        Handle(Rc::new(RefCell::new(fake)), self.clone())
    }

    fn engine(&self, cpu_ns: u64, devices: &[&Handle]) -> Shared {
        let device =
            |handle: &&Handle| Box::new(Handle(Rc::clone(&handle.0), self.clone())) as Box<dyn Device>;
        self.engine_over(cpu_ns, devices.iter().map(device).collect())
    }

    fn engine_over(&self, cpu_ns: u64, devices: Vec<Box<dyn Device>>) -> Shared {
        let inner = AwsLc::new(&self.keys, 1).unwrap();
        let (waiting, done) = (VecDeque::new(), VecDeque::new());
        let cpu = SlowCpu { inner, clock: Rc::clone(&self.clock), cost_ns: cpu_ns, waiting, done };
        let clock = Rc::clone(&self.clock);
        Shared::new(Box::new(cpu), devices, &self.keys, CAPACITY, Box::new(move || clock.get()))
    }

    fn wait(&self, ns: u64) {
        self.clock.set(self.clock.get() + ns);
    }

    /// Has `engine` make `total` signatures, `waiting` at a time, and sees to it that each job is answered once, and
    /// right.
    fn keep_busy(&mut self, engine: &mut Shared, waiting: usize, total: u64) {
        let end = self.next + total;
        let mut open = std::collections::BTreeSet::new();
        while self.next < end || !open.is_empty() {
            while self.next < end && open.len() < waiting {
                assert!(engine.submit(Token(self.next), sign(self.next)).is_ok(), "there is room");
                assert!(open.insert(self.next));
                self.next += 1;
            }
            assert_eq!(engine.in_flight(), open.len());
            self.wait(10 * US);
            engine.run();
            while let Some((Token(number), done)) = engine.completed() {
                assert!(open.remove(&number), "{number} is answered once");
                let Done::Signed(signature) = done else { panic!("{number} failed") };
                let at = usize::try_from(number % MESSAGES).unwrap();
                assert_eq!(signature.bytes(), self.signatures[at].bytes());
            }
        }
        assert_eq!(engine.in_flight(), 0);
    }

    fn one(&self, engine: &mut Shared, job: Job) -> Done {
        assert!(engine.submit(Token(5), job).is_ok());
        loop {
            engine.run();
            self.wait(10 * US);
            if let Some((Token(5), done)) = engine.completed() {
                return done;
            }
        }
    }

    fn compute(&self, raw: &Raw) -> Vec<u8> {
        match raw {
            Raw::Rsa { message, len, .. } => self.answers[&message[..*len]].clone(),
            Raw::MultiplyP256 { scalar, point } => {
                let point = PublicKey::from_sec1_bytes(&[&[4], &point[..]].concat()).unwrap();
                let scalar = NonZeroScalar::try_from(&scalar[..]).unwrap();
                let product = (point.to_projective() * *scalar).to_affine();
                product.to_sec1_point(false).as_bytes()[1..].to_vec()
            }
            Raw::EcdsaP256 { .. } => panic!("no device has the key"),
        }
    }
}

/// Signs by PKCS #1 v1.5, which gives the same signature for the same number.
fn sign(number: u64) -> Job {
    let message = Message::new(&[b"text", &(number % MESSAGES).to_be_bytes()]).unwrap();
    Job::Sign { key: RSA, scheme: SignatureScheme::RsaPkcs1Sha256, message }
}

fn once(cpu: &mut AwsLc, job: Job) -> Done {
    assert!(cpu.submit(Token(0), job).is_ok());
    cpu.run();
    cpu.completed().unwrap().1
}

fn sum(engine: &Shared, name: &str) -> u64 {
    let mut found = None;
    engine.account(&mut |its, sum| {
        if its == name {
            found = Some(sum);
        }
    });
    found.unwrap()
}
