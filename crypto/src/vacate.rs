//! Values taken out of queues so that no secret stays behind in their slots: `pop_job`, `pop_done`.
//!
//! A queue that gives a value away leaves its bytes where they were until the slot is used again. Here the
//! slot gets another value first, of the same shape, whose secret is zeros.

use std::collections::VecDeque;
use std::mem::{forget, replace};

use crate::{Done, Failure, Group, Job, Secret, Share, Token};

/// The oldest job.
pub(crate) fn pop_job(queue: &mut VecDeque<(Token, Job)>) -> Option<(Token, Job)> {
    let (token, job) = queue.front_mut()?;
    let blank = match job {
        Job::Agree { private, .. } => Job::Agree { private: private.blank(), peer: Share::none() },
        _ => Job::Generate { group: Group::X25519 },
    };
    let popped = (*token, replace(job, blank));
    forget_first(queue);
    Some(popped)
}

/// The oldest answer of an engine's queue.
pub fn pop_done(queue: &mut VecDeque<(Token, Done)>) -> Option<(Token, Done)> {
    let (token, done) = queue.front_mut()?;
    let (share, secret) = (Share::none(), Secret::blank());
    let blank = match done {
        Done::Exchanged { .. } => Done::Exchanged { share, secret },
        Done::Generated { private, .. } => Done::Generated { private: private.blank(), share },
        Done::Agreed { .. } => Done::Agreed { secret },
        Done::Signed(_) | Done::Failed(_) => Done::Failed(Failure::Internal),
    };
    let popped = (*token, replace(done, blank));
    forget_first(queue);
    Some(popped)
}

/// Removes the first of `queue`, which is blank and has nothing to drop. A queue that runs empty begins anew at its
/// start, in memory that is still in the cache, where it would otherwise walk through all its room.
fn forget_first<T>(queue: &mut VecDeque<T>) {
    if let Some(first) = queue.pop_front() {
        forget(first);
    }
    if queue.is_empty() {
        queue.clear();
    }
}
