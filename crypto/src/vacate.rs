//! Values taken out of queues so that no secret stays behind in their slots: `pop_job`, `pop_done`.
//!
//! A queue that gives a value away leaves its bytes where they were until the slot is used again. Here the
//! slot gets another value first, of the same shape, whose secret is zeros.

use std::collections::VecDeque;
use std::mem::replace;

use crate::{Done, Group, Job, PrivateShare, Secret, Share, Token};

/// The oldest job.
pub(crate) fn pop_job(queue: &mut VecDeque<(Token, Job)>) -> Option<(Token, Job)> {
    let slot = queue.front_mut()?;
    let blank = match &slot.1 {
        Job::Agree { private, .. } => Job::Agree { private: zeros(private), peer: Share::none() },
        _ => Job::Generate { group: Group::X25519 },
    };
    let job = replace(&mut slot.1, blank);
    pop_warm(queue).map(|(token, _)| (token, job))
}

/// The oldest answer of an engine's queue.
pub fn pop_done(queue: &mut VecDeque<(Token, Done)>) -> Option<(Token, Done)> {
    let slot = queue.front_mut()?;
    let (share, secret) = (Share::none(), Secret::new([0; 64]));
    let blank = match &slot.1 {
        Done::Exchanged { .. } => Done::Exchanged { share, secret },
        Done::Generated { private, .. } => Done::Generated { private: zeros(private), share },
        Done::Agreed { .. } => Done::Agreed { secret },
        _ => return pop_warm(queue),
    };
    let done = replace(&mut slot.1, blank);
    pop_warm(queue).map(|(token, _)| (token, done))
}

fn zeros(private: &PrivateShare) -> PrivateShare {
    PrivateShare::new(private.group(), [0; 48])
}

/// The first of `queue`. One that runs empty begins anew at its start, in memory that is still in the cache,
/// where it would otherwise walk through all its room.
fn pop_warm<T>(queue: &mut VecDeque<T>) -> Option<T> {
    let first = queue.pop_front();
    if queue.is_empty() {
        queue.clear();
    }
    first
}
