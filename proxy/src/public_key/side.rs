//! One device as the engine sees it: the jobs it has, how long they may take, and when it is left out.

use levee_crypto::{Done, Job, KeyId, Raw, RawKeys, SystemRandom, Taken, Task, Token};

use super::load::{Kind, Load};
use crate::health::Health;

/// A device's queue pair, with the keys that were installed in it.
pub(crate) trait Device {
    /// The name in the configuration.
    fn name(&self) -> &str;

    /// Operations that can be submitted.
    fn room(&self) -> usize;

    /// Whether it signs with `key`.
    fn signs(&self, key: KeyId) -> bool;

    /// Whether it multiplies points of P-256.
    fn multiplies(&self) -> bool;

    /// Starts an operation. False: it could not.
    fn submit(&mut self, token: u64, raw: &Raw) -> bool;

    /// Hands over what was submitted.
    fn flush(&mut self);

    /// Calls `take` with the next operation that is finished and its answer, `None` if the device failed. False
    /// when there is none.
    fn completed(&mut self, take: &mut dyn FnMut(u64, Option<&[u8]>)) -> bool;
}

/// Why a device's job is done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The device said so.
    Failed,
    /// It did not answer in time.
    Late,
    /// Its answer was wrong.
    Wrong,
}

impl Fault {
    pub(super) const ALL: [Self; 3] = [Self::Failed, Self::Late, Self::Wrong];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Wrong => "wrong",
        }
    }
}

/// A job that has left a device.
pub(super) enum Left {
    Done(Token, Done),
    /// To be done again.
    Fault(Fault, Token, Job, Kind),
}

/// A device and its jobs.
pub(super) struct Side {
    device: Box<dyn Device>,
    load: Load,
    /// By the token that the device has.
    flights: Vec<Flight>,
    free: Vec<u32>,
    /// Since when the jobs that come next from it have been its work.
    busy_since_ns: u64,
    /// It had none before those that were submitted last.
    begins_anew: bool,
    /// When it is looked at for jobs that are late.
    look_at_ns: u64,
    pub(super) health: Health,
    /// Jobs for which it had no room.
    pub(super) full: u64,
}

#[expect(clippy::large_enum_variant, reason = "the table is what makes jobs cost no allocation")]
enum Flight {
    Free,
    Job {
        token: Token,
        job: Job,
        task: Task,
        kind: Kind,
        since_ns: u64,
    },
    /// Given up; the device still has it.
    Lost,
}

/// A device that has not answered after this long will not.
pub(super) const PATIENCE_NS: u64 = 100_000_000;
/// Between looks for jobs that are late.
const LOOK_NS: u64 = 5_000_000;

impl Side {
    pub(super) fn new(device: Box<dyn Device>) -> Self {
        let room = device.room();
        Self {
            load: Load::new(),
            flights: (0..room).map(|_| Flight::Free).collect(),
            free: (0..u32::try_from(room).unwrap_or(u32::MAX)).rev().collect(),
            device,
            busy_since_ns: 0,
            begins_anew: false,
            look_at_ns: 0,
            health: Health::default(),
            full: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.device.name()
    }

    /// How long it will take until one more job is done here. `None`: it does no such job, has no room, or is
    /// left out.
    pub(super) fn until_done_ns(&mut self, kind: Kind, job: &Job, now_ns: u64) -> Option<u64> {
        let able = match job {
            Job::Sign { key, .. } => self.device.signs(*key),
            _ => kind != Kind::Other && self.device.multiplies(),
        };
        if !able || self.health.is_left_out(|| now_ns) {
            return None;
        }
        let has_room = !self.free.is_empty() && self.device.room() > 0;
        self.full += u64::from(!has_room);
        has_room.then(|| self.load.until_done_ns(kind))
    }

    /// Takes a job.
    ///
    /// # Errors
    /// Gives it back when a device has nothing to do for it.
    #[expect(clippy::result_large_err, reason = "as `Engine::submit`")]
    pub(super) fn submit(
        &mut self,
        token: Token,
        job: Job,
        kind: Kind,
        keys: &RawKeys,
        now_ns: u64,
    ) -> Result<(), Job> {
        let Some((task, raw)) = Task::begin(&job, keys, &mut SystemRandom) else { return Err(job) };
        let Some(slot) = self.free.pop() else { return Err(job) };
        if !self.device.submit(slot.into(), &raw) {
            self.free.push(slot);
            return Err(job);
        }
        self.begins_anew |= self.load.is_idle();
        self.load.comes(kind);
        self.flights[slot as usize] = Flight::Job { token, job, task, kind, since_ns: now_ns };
        Ok(())
    }

    /// Hands over what was submitted; `now_ns` is the time before that. A device in software works meanwhile.
    pub(super) fn flush(&mut self, now_ns: u64) {
        // Jobs that were given up may not have left the queue: their room comes back when they do.
        if self.free.len() == self.flights.len() {
            return;
        }
        if std::mem::take(&mut self.begins_anew) {
            self.busy_since_ns = now_ns;
        }
        self.device.flush();
    }

    /// Takes back what the device has finished. `flushed`: directly after [`Side::flush`], when it gives up what is
    /// late too.
    pub(super) fn collect(&mut self, keys: &RawKeys, now_ns: u64, flushed: bool, mut left: impl FnMut(Left)) {
        let mut any = false;
        while let Some(next) = self.next(keys) {
            any = true;
            self.leaves(next, now_ns, &mut left);
        }
        if any {
            let ran_empty = self.load.is_idle();
            self.load.measure(now_ns.saturating_sub(self.busy_since_ns), ran_empty && !flushed);
            self.busy_since_ns = now_ns;
        }
        if flushed && now_ns >= self.look_at_ns && !self.load.is_idle() {
            self.look_at_ns = now_ns + LOOK_NS;
            self.give_up_late_ones(now_ns, &mut left);
        }
    }

    /// The next answer: the flight it is of, and what became of that.
    fn next(&mut self, keys: &RawKeys) -> Option<(usize, Taken, Fault)> {
        let Self { device, flights, .. } = self;
        let mut next = None;
        let any = device.completed(&mut |token, answer| {
            let slot = usize::try_from(token).unwrap_or(usize::MAX);
            let taken = match (flights.get_mut(slot), answer) {
                (Some(Flight::Job { job, task, .. }), Some(answer)) => task.take(job, keys, answer),
                _ => Taken::Wrong,
            };
            let fault = if answer.is_some() { Fault::Wrong } else { Fault::Failed };
            next = Some((slot, taken, fault));
        });
        next.filter(|_| any)
    }

    fn leaves(
        &mut self,
        (slot, taken, mut fault): (usize, Taken, Fault),
        now_ns: u64,
        left: &mut impl FnMut(Left),
    ) {
        let Some(flight) = self.flights.get_mut(slot) else { return };
        if let (Flight::Job { .. }, Taken::Next(raw)) = (&*flight, &taken) {
            if self.device.submit(slot as u64, raw) {
                return;
            }
            fault = Fault::Failed;
        }
        let was = std::mem::replace(flight, Flight::Free);
        if !matches!(was, Flight::Free) {
            self.free.push(u32::try_from(slot).unwrap_or(u32::MAX));
        }
        let Flight::Job { token, job, kind, .. } = was else { return };
        if let Taken::Done(done) = taken {
            self.load.goes(kind, true);
            self.health.does();
            left(Left::Done(token, done));
        } else {
            self.load.goes(kind, false);
            self.health.fails(now_ns);
            left(Left::Fault(fault, token, job, kind));
        }
    }

    fn give_up_late_ones(&mut self, now_ns: u64, left: &mut impl FnMut(Left)) {
        for slot in 0..self.flights.len() {
            let Some(flight) = self.flights.get_mut(slot) else { return };
            if !matches!(flight, Flight::Job { since_ns, .. } if now_ns >= *since_ns + PATIENCE_NS) {
                continue;
            }
            if let Flight::Job { token, job, kind, .. } = std::mem::replace(flight, Flight::Lost) {
                self.load.goes(kind, false);
                self.health.fails(now_ns);
                left(Left::Fault(Fault::Late, token, job, kind));
            }
        }
    }
}
