//! The bounded queue before and behind a scalar engine: `Queue`.
//!
//! Bound: `capacity` jobs, from submission until the caller takes the answer, about 400 bytes each; all
//! room is taken when the queue is made.

use std::collections::VecDeque;

use crate::vacate::{pop_done, pop_job};
use crate::{Done, Group, Job, SignatureScheme, Token};

/// Microseconds of work after which a turn takes no further job: a packet loop waits behind it.
const TURN: u32 = 2000;

pub(crate) struct Queue {
    waiting: VecDeque<(Token, Job)>,
    done: VecDeque<(Token, Done)>,
    capacity: usize,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { waiting: VecDeque::with_capacity(capacity), done: VecDeque::with_capacity(capacity), capacity }
    }

    #[expect(clippy::result_large_err, reason = "as `Engine::submit`")]
    pub(crate) fn submit(&mut self, token: Token, job: Job) -> Result<(), Job> {
        if self.in_flight() >= self.capacity {
            return Err(job);
        }
        self.waiting.push_back((token, job));
        Ok(())
    }

    /// The oldest job that waits.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn take_back(&mut self) -> Option<(Token, Job)> {
        pop_job(&mut self.waiting)
    }

    /// Does the oldest jobs by `work`, at least one, until a turn's worth is done.
    pub(crate) fn run(&mut self, mut work: impl FnMut(&mut Job) -> Done) {
        let mut spent = 0;
        while spent < TURN
            && let Some((token, mut job)) = pop_job(&mut self.waiting)
        {
            spent += cost(&job);
            self.done.push_back((token, work(&mut job)));
        }
    }

    pub(crate) fn completed(&mut self) -> Option<(Token, Done)> {
        pop_done(&mut self.done)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.waiting.len() + self.done.len()
    }
}

/// Microseconds that a job takes, to the order of magnitude.
const fn cost(job: &Job) -> u32 {
    match job {
        Job::Generate { group: Group::Secp384r1 } => 60,
        Job::Generate { .. } => 15,
        Job::Exchange { group: Group::Secp384r1, .. } => 250,
        Job::Exchange { .. } | Job::Agree { .. } => 60,
        Job::Sign { scheme, .. } => match scheme {
            SignatureScheme::EcdsaSecp256r1Sha256 | SignatureScheme::Ed25519 => 25,
            SignatureScheme::EcdsaSecp384r1Sha384 => 100,
            _ => 500,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, KeyId, Message};

    fn generate() -> Job {
        Job::Generate { group: Group::X25519 }
    }

    #[test]
    fn a_full_queue_gives_the_job_back_until_an_answer_is_taken() {
        let mut queue = Queue::new(2);
        assert!(queue.submit(Token(1), generate()).is_ok());
        assert!(queue.submit(Token(2), generate()).is_ok());
        let again = Job::Generate { group: Group::Secp256r1 };
        let back = queue.submit(Token(3), again).unwrap_err();
        assert!(matches!(back, Job::Generate { group: Group::Secp256r1 }));

        queue.run(|_| Done::Failed(Failure::Internal));
        assert_eq!(queue.in_flight(), 2);
        assert!(queue.submit(Token(3), generate()).is_err(), "an answer not taken holds its place");
        assert!(matches!(queue.completed(), Some((Token(1), Done::Failed(Failure::Internal)))));
        assert!(queue.submit(Token(3), generate()).is_ok());
        assert!(matches!(queue.completed(), Some((Token(2), _))));
        assert!(queue.completed().is_none());
        assert_eq!(queue.in_flight(), 1);
    }

    #[test]
    fn a_turn_is_bounded_and_the_next_goes_on() {
        let sign = || Job::Sign {
            key: KeyId(0),
            scheme: SignatureScheme::RsaPssRsaeSha256,
            message: Message::new(&[b"text"]).unwrap(),
        };
        let mut queue = Queue::new(10);
        for token in 0..10 {
            assert!(queue.submit(Token(token), sign()).is_ok());
        }
        let mut worked = 0;
        let mut turns = 0;
        while worked < 10 {
            let before = worked;
            queue.run(|_| {
                worked += 1;
                Done::Failed(Failure::Internal)
            });
            assert!(worked > before);
            turns += 1;
        }
        assert_eq!(turns, 3);
        let order: Vec<u64> = std::iter::from_fn(|| queue.completed()).map(|(token, _)| token.0).collect();
        assert_eq!(order, (0..10).collect::<Vec<_>>());
    }
}
