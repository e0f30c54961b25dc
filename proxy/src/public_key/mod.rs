//! Public-key work by the CPU and by crypto devices together: `Shared`.
//!
//! A job goes to where it will be done first: to the side, among those that can do it, on which the jobs under way
//! and this one take the least time, by what each kind of job has cost there lately (`load`). A device may answer
//! late, wrongly or never: the job is then done again by the CPU, so that no handshake is lost, and a device with
//! several faults in a row is left out for a while (`side`).
//!
//! Bound: `capacity` jobs, all sides together; a device has no more than its descriptors. Nothing is allocated after
//! [`Shared::new`].

mod cpu;
mod devices;
mod load;
mod side;

use std::collections::VecDeque;

use levee_crypto::{
    Done, Engine, Failure, Group, Job, KeyId, KeyKind, Moment, PrivateKey, RawKeys, Token, pop_done,
};

use cpu::Cpu;
pub(crate) use devices::{Pair, PublicKeyDevices};
use load::Kind;
pub(crate) use side::Device;
use side::{Fault, Left, Side};

/// An engine over the CPU's and some devices.
pub(crate) struct Shared {
    cpu: Cpu,
    devices: Vec<Side>,
    keys: RawKeys,
    /// By `KeyId`.
    kinds: Vec<Kind>,
    clock: Box<dyn Fn() -> u64>,
    done: VecDeque<(Token, Done)>,
    in_flight: usize,
    capacity: usize,
    /// Jobs done again, by [`Fault`].
    again: [u64; 3],
}

impl Shared {
    /// An engine that shares jobs out between `cpu`, which holds `capacity` of them and signs with `keys`, and
    /// `devices`. `clock` says nanoseconds and does not go back.
    pub(crate) fn new(
        cpu: Box<dyn Engine>,
        devices: Vec<Box<dyn Device>>,
        keys: &[PrivateKey],
        capacity: usize,
        clock: Box<dyn Fn() -> u64>,
    ) -> Self {
        Self {
            cpu: Cpu::new(cpu, capacity),
            devices: devices.into_iter().map(Side::new).collect(),
            keys: RawKeys::new(keys),
            kinds: keys.iter().map(|key| kind_of(key.kind())).collect(),
            clock,
            done: VecDeque::with_capacity(capacity),
            in_flight: 0,
            capacity,
            again: [0; 3],
        }
    }

    fn kind(&self, job: &Job) -> Kind {
        match job {
            Job::Sign { key: KeyId(key), .. } => {
                self.kinds.get(usize::from(*key)).copied().unwrap_or(Kind::Other)
            }
            Job::Exchange { group: Group::Secp256r1, .. } => Kind::P256Twice,
            Job::Generate { group: Group::Secp256r1 } => Kind::P256,
            Job::Agree { private, .. } if private.group() == Group::Secp256r1 => Kind::P256,
            _ => Kind::Other,
        }
    }

    /// Gives `job` to the device that would be done with it before the others, and no later than the CPU.
    ///
    /// # Errors
    /// Gives it back: there is none.
    #[expect(clippy::result_large_err, reason = "as `Engine::submit`")]
    fn submit_to_device(&mut self, token: Token, job: Job, kind: Kind) -> Result<(), Job> {
        if kind == Kind::Other {
            return Err(job);
        }
        let now_ns = (self.clock)();
        let able = self.devices.iter_mut().filter_map(|side| {
            let until_done_ns = side.until_done_ns(kind, &job, now_ns)?;
            Some((until_done_ns, side))
        });
        match able.min_by_key(|(until_done_ns, _)| *until_done_ns) {
            Some((until_done_ns, side)) if until_done_ns <= self.cpu.until_done_ns(kind) => {
                side.submit(token, job, kind, &self.keys, now_ns)
            }
            _ => Err(job),
        }
    }

    /// Takes what the devices are done with; what went wrong there goes to the CPU. `flushed`: directly after they
    /// were given jobs.
    fn collect(&mut self, flushed: bool) {
        let now_ns = (self.clock)();
        let Self { cpu, devices, keys, done, again, .. } = self;
        for side in devices {
            side.collect(keys, now_ns, flushed, |left| match left {
                Left::Done(token, answer) => done.push_back((token, answer)),
                Left::Fault(fault, token, job, kind) => {
                    again[fault as usize] += 1;
                    // It has room: all sides together have no more jobs than it holds.
                    if cpu.submit(token, job, kind).is_err() {
                        done.push_back((token, Done::Failed(Failure::Internal)));
                    }
                }
            });
        }
    }
}

impl Engine for Shared {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn submit(&mut self, token: Token, job: Job) -> Result<(), Job> {
        if self.in_flight >= self.capacity {
            return Err(job);
        }
        let kind = self.kind(&job);
        if let Err(job) = self.submit_to_device(token, job, kind) {
            self.cpu.submit(token, job, kind)?;
        }
        self.in_flight += 1;
        Ok(())
    }

    fn run(&mut self) {
        self.collect(false);
        let now_ns = (self.clock)();
        for side in &mut self.devices {
            side.flush(now_ns);
        }
        self.collect(true);
        let Self { cpu, clock, done, .. } = self;
        cpu.run(clock, |token, answer| done.push_back((token, answer)));
    }

    fn work_ahead(&mut self, now_ns: u64) {
        self.cpu.work_ahead(now_ns);
    }

    fn witness(&mut self, moment: Moment) {
        self.cpu.witness(moment);
    }

    fn completed(&mut self) -> Option<(Token, Done)> {
        let next = pop_done(&mut self.done)?;
        self.in_flight -= 1;
        Some(next)
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn account(&self, say: &mut dyn FnMut(&str, u64)) {
        say("cpu", self.cpu.done);
        for side in &self.devices {
            say(side.name(), side.health.done);
        }
        for fault in Fault::ALL {
            say(fault.name(), self.again[fault as usize]);
        }
        say("full", self.devices.iter().map(|side| side.full).sum());
        say("left_out", self.devices.iter().map(|side| side.health.left_out).sum());
    }
}

const fn kind_of(key: KeyKind) -> Kind {
    match key {
        KeyKind::EcdsaP256 => Kind::EcdsaP256,
        KeyKind::Rsa { bits } => Kind::rsa(bits),
        KeyKind::EcdsaP384 | KeyKind::Ed25519 => Kind::Other,
    }
}

#[cfg(test)]
mod tests;
