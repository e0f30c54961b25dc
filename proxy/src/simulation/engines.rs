//! Engines that answer late, in another order, not at all or wrongly: stand-ins for devices, over real cryptography.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use levee_buf::{Heap, HeapChain};
use levee_crypto::{
    Aead, AeadKey, Answer, Done, Engine, Failure, Finished, Job, Operation, Outcome, RustCrypto, SessionId,
    SoftwareAead, Token,
};
use rand_chacha::ChaCha8Rng;

use super::dice::Dice;

/// How engines behave: chances in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mood {
    /// Of being too busy to take more.
    pub(crate) refuses: u32,
    /// Of a failure.
    pub(crate) fails: u32,
    /// Turns until an answer, at most.
    pub(crate) turns: usize,
    /// Nothing is done at all.
    pub(crate) is_parked: bool,
}

/// What the engines share with the world around them.
#[derive(Default)]
pub(crate) struct Shop {
    /// To be changed while they work.
    pub(crate) mood: Cell<Mood>,
    /// Operations of AEAD that wait.
    pub(crate) waiting: Cell<usize>,
}

/// A public-key engine.
pub(crate) struct MoodyEngine {
    inner: RustCrypto<ChaCha8Rng>,
    shop: Rc<Shop>,
    dice: Dice,
    turn: usize,
    /// Done, to be told from this turn on.
    done: Vec<(usize, Token, Done)>,
}

impl MoodyEngine {
    pub(crate) const fn new(inner: RustCrypto<ChaCha8Rng>, shop: Rc<Shop>, dice: Dice) -> Self {
        Self { inner, shop, dice, turn: 0, done: Vec::new() }
    }
}

impl Engine for MoodyEngine {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn submit(&mut self, token: Token, job: Job) -> Result<(), Job> {
        if self.dice.chance(self.shop.mood.get().refuses) {
            return Err(job);
        }
        self.inner.submit(token, job)
    }

    fn run(&mut self) {
        let mood = self.shop.mood.get();
        if mood.is_parked {
            return;
        }
        self.turn += 1;
        self.inner.run();
        while let Some((token, done)) = self.inner.completed() {
            let failed = self.dice.chance(mood.fails);
            let done = if failed { Done::Failed(Failure::Internal) } else { done };
            self.done.push((self.turn + self.dice.below(mood.turns + 1), token, done));
        }
    }

    fn completed(&mut self) -> Option<(Token, Done)> {
        let at = self.done.iter().position(|(turn, ..)| *turn <= self.turn)?;
        let (_, token, done) = self.done.swap_remove(at);
        Some((token, done))
    }

    fn in_flight(&self) -> usize {
        self.inner.in_flight() + self.done.len()
    }
}

/// An AEAD engine, which answers in the order of submission within a session, and in any other.
pub(crate) struct MoodyAead {
    inner: SoftwareAead,
    shop: Rc<Shop>,
    dice: Dice,
    turn: usize,
    waiting: VecDeque<Waiting>,
    /// To be closed with the last operation under it.
    closing: Vec<SessionId>,
}

struct Waiting {
    turn: usize,
    token: Token,
    operation: Operation<HeapChain>,
}

impl MoodyAead {
    pub(crate) fn new(sessions: usize, shop: Rc<Shop>, dice: Dice) -> Self {
        let (inner, waiting, closing) = (SoftwareAead::new(sessions), VecDeque::new(), Vec::new());
        Self { inner, shop, dice, turn: 0, waiting, closing }
    }

    fn is_used(&self, session: SessionId) -> bool {
        self.waiting.iter().any(|waiting| waiting.operation.session == session)
    }

    fn work(&mut self, token: Token, operation: Operation<HeapChain>) -> Finished<HeapChain> {
        let answer = <SoftwareAead as Aead<Heap>>::submit(&mut self.inner, token, operation);
        let Answer::Now(mut finished) = answer else { unreachable!("our own code answers at once") };
        if self.dice.chance(self.shop.mood.get().fails) {
            finished.outcome = Outcome::Failed;
        }
        finished
    }
}

impl Aead<Heap> for MoodyAead {
    fn open_session(&mut self, key: &AeadKey) -> Option<SessionId> {
        <SoftwareAead as Aead<Heap>>::open_session(&mut self.inner, key)
    }

    fn close_session(&mut self, session: SessionId) {
        if self.is_used(session) {
            self.closing.push(session);
        } else {
            <SoftwareAead as Aead<Heap>>::close_session(&mut self.inner, session);
        }
    }

    fn submit(&mut self, token: Token, operation: Operation<HeapChain>) -> Answer<HeapChain> {
        let mood = self.shop.mood.get();
        if self.dice.chance(mood.refuses) {
            return Answer::Busy(operation);
        }
        let turns = self.dice.below(mood.turns + 1);
        if turns == 0 && !mood.is_parked && !self.is_used(operation.session) {
            return Answer::Now(self.work(token, operation));
        }
        self.waiting.push_back(Waiting { turn: self.turn + turns, token, operation });
        self.shop.waiting.set(self.waiting.len());
        Answer::Later
    }

    fn flush(&mut self) {
        self.turn += usize::from(!self.shop.mood.get().is_parked);
    }

    fn completed(&mut self) -> Option<(Token, Finished<HeapChain>)> {
        if self.shop.mood.get().is_parked {
            return None;
        }
        let first = |at: &usize| {
            let session = self.waiting[*at].operation.session;
            !self.waiting.range(..*at).any(|earlier| earlier.operation.session == session)
        };
        let due = |at: &usize| self.waiting[*at].turn <= self.turn;
        let at = (0..self.waiting.len()).filter(due).find(first)?;
        let Waiting { token, operation, .. } = self.waiting.remove(at)?;
        self.shop.waiting.set(self.waiting.len());
        let session = operation.session;
        let finished = self.work(token, operation);
        if let Some(at) = self.closing.iter().position(|&closing| closing == session)
            && !self.is_used(session)
        {
            self.closing.swap_remove(at);
            <SoftwareAead as Aead<Heap>>::close_session(&mut self.inner, session);
        }
        Some((token, finished))
    }

    fn keys(&self) -> usize {
        self.inner.sessions()
    }
}
