//! Engines for tests: the portable one with a seed, and wrappers that answer late or are busy.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use levee_buf::{Heap, HeapChain};
use levee_crypto::{
    Aead, AeadKey, Answer, Done, Engine, Finished, Job, Operation, PrivateKey, RustCrypto, SessionId,
    SoftwareAead, Token,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub fn seeded(keys: &[PrivateKey]) -> RustCrypto<ChaCha20Rng> {
    RustCrypto::new(keys, 64, ChaCha20Rng::seed_from_u64(2))
}

/// Answers a job `turns` turns late, and refuses the first `busy` submissions of each job.
pub struct LateEngine<E> {
    pub inner: E,
    pub turns: usize,
    pub busy: usize,
    pub refused: usize,
    pub waiting: VecDeque<(usize, Token, Done)>,
}

impl<E: Engine> LateEngine<E> {
    pub fn new(inner: E, turns: usize, busy: usize) -> Self {
        Self { inner, turns, busy, refused: 0, waiting: VecDeque::new() }
    }
}

impl<E: Engine> Engine for LateEngine<E> {
    fn name(&self) -> &'static str {
        "late"
    }

    fn submit(&mut self, token: Token, job: Job) -> Result<(), Job> {
        if self.refused < self.busy {
            self.refused += 1;
            return Err(job);
        }
        self.refused = 0;
        self.inner.submit(token, job)
    }

    fn run(&mut self) {
        self.inner.run();
        while let Some((token, done)) = self.inner.completed() {
            self.waiting.push_back((self.turns, token, done));
        }
        for waiting in &mut self.waiting {
            waiting.0 = waiting.0.saturating_sub(1);
        }
    }

    fn completed(&mut self) -> Option<(Token, Done)> {
        if self.waiting.front()?.0 > 0 {
            return None;
        }
        self.waiting.pop_front().map(|(_, token, done)| (token, done))
    }

    fn in_flight(&self) -> usize {
        self.inner.in_flight() + self.waiting.len()
    }
}

/// Answers an operation `turns` turns late, and refuses the first `busy` submissions of each.
pub struct LateAead {
    pub inner: SoftwareAead,
    pub turns: usize,
    pub busy: usize,
    pub refused: usize,
    pub waiting: VecDeque<(usize, Token, Operation<HeapChain>)>,
    pub closing: Vec<SessionId>,
    /// Sessions opened and not closed by the connection.
    pub open: Rc<Cell<usize>>,
}

impl LateAead {
    pub fn new(turns: usize, busy: usize) -> Self {
        let (inner, waiting) = (SoftwareAead::new(64), VecDeque::new());
        Self { inner, turns, busy, refused: 0, waiting, closing: Vec::new(), open: Rc::default() }
    }
}

impl Aead<Heap> for LateAead {
    fn open_session(&mut self, key: &AeadKey) -> Option<SessionId> {
        self.open.set(self.open.get() + 1);
        Aead::<Heap>::open_session(&mut self.inner, key)
    }

    fn close_session(&mut self, session: SessionId) {
        self.open.set(self.open.get() - 1);
        if self.waiting.iter().any(|waiting| waiting.2.session == session) {
            self.closing.push(session);
        } else {
            Aead::<Heap>::close_session(&mut self.inner, session);
        }
    }

    fn submit(&mut self, token: Token, operation: Operation<HeapChain>) -> Answer<HeapChain> {
        if self.refused < self.busy {
            self.refused += 1;
            return Answer::Busy(operation);
        }
        self.refused = 0;
        if self.turns == 0 {
            return Aead::<Heap>::submit(&mut self.inner, token, operation);
        }
        self.waiting.push_back((self.turns, token, operation));
        Answer::Later
    }

    fn keys(&self) -> usize {
        self.inner.sessions()
    }

    fn flush(&mut self) {
        for waiting in &mut self.waiting {
            waiting.0 = waiting.0.saturating_sub(1);
        }
    }

    fn completed(&mut self) -> Option<(Token, Finished<HeapChain>)> {
        if self.waiting.front()?.0 > 0 {
            return None;
        }
        let (_, token, operation) = self.waiting.pop_front()?;
        let session = operation.session;
        let Answer::Now(finished) = Aead::<Heap>::submit(&mut self.inner, token, operation) else {
            panic!("it answers at once")
        };
        if let Some(at) = self.closing.iter().position(|&closing| closing == session)
            && !self.waiting.iter().any(|waiting| waiting.2.session == session)
        {
            Aead::<Heap>::close_session(&mut self.inner, self.closing.swap_remove(at));
        }
        Some((token, finished))
    }
}
