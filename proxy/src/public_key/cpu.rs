//! The CPU's engine as the shared one sees it: its jobs by what they are, and what they cost.

use levee_crypto::{Done, Engine, Job, Moment, Token};

use super::load::{Kind, Load};

/// An engine of `levee-crypto` and the jobs it has.
pub(super) struct Cpu {
    engine: Box<dyn Engine>,
    /// By the token that the engine has.
    jobs: Vec<(Token, Kind)>,
    free: Vec<u32>,
    load: Load,
    /// Jobs done by it.
    pub(super) done: u64,
}

impl Cpu {
    /// `engine`, which holds `capacity` jobs.
    pub(super) fn new(engine: Box<dyn Engine>, capacity: usize) -> Self {
        Self {
            engine,
            jobs: vec![(Token(0), Kind::Other); capacity],
            free: (0..u32::try_from(capacity).unwrap_or(u32::MAX)).rev().collect(),
            load: Load::new(),
            done: 0,
        }
    }

    /// How long it will take until one more job is done.
    pub(super) fn until_done_ns(&self, kind: Kind) -> u64 {
        self.load.until_done_ns(kind)
    }

    /// Takes a job.
    ///
    /// # Errors
    /// Gives it back when there is no room.
    #[expect(clippy::result_large_err, reason = "as `Engine::submit`")]
    pub(super) fn submit(&mut self, token: Token, job: Job, kind: Kind) -> Result<(), Job> {
        let Some(slot) = self.free.pop() else { return Err(job) };
        self.engine.submit(Token(slot.into()), job).inspect_err(|_| self.free.push(slot))?;
        self.jobs[slot as usize] = (token, kind);
        self.load.comes(kind);
        Ok(())
    }

    /// Works on what waits, and measures by `clock` what that costs.
    pub(super) fn run(&mut self, clock: &dyn Fn() -> u64, mut done: impl FnMut(Token, Done)) {
        if self.load.is_idle() {
            return;
        }
        let began_ns = clock();
        self.engine.run();
        let spent_ns = clock().saturating_sub(began_ns);
        while let Some((Token(slot), answer)) = self.engine.completed() {
            let Ok(slot) = u32::try_from(slot) else { continue };
            let Some(&(token, kind)) = self.jobs.get(slot as usize) else { continue };
            self.free.push(slot);
            self.load.goes(kind, true);
            self.done += 1;
            done(token, answer);
        }
        self.load.measure(spent_ns, false);
    }

    /// As [`Engine::work_ahead`].
    pub(super) fn work_ahead(&mut self, now_ns: u64) {
        self.engine.work_ahead(now_ns);
    }

    /// As [`Engine::witness`].
    pub(super) fn witness(&mut self, moment: Moment) {
        self.engine.witness(moment);
    }
}
