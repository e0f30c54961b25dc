//! Values taken out of queues so that no secret stays behind in their slots: `pop_job`, `pop_done`, `take_job`.
//!
//! A queue that gives a value away leaves its bytes where they were until the slot is used again. Here the
//! slot gets another value first, of the same shape, whose secret is zeros.

use std::collections::VecDeque;
use std::mem::replace;

use crate::{Done, Group, Job, PrivateShare, Secret, Token};

/// The oldest job.
pub(crate) fn pop_job(queue: &mut VecDeque<(Token, Job)>) -> Option<(Token, Job)> {
    match queue.front_mut() {
        Some(slot @ (_, Job::Agree { .. })) => {
            let job = take_job(slot);
            queue.pop_front();
            Some(job)
        }
        _ => queue.pop_front(),
    }
}

/// The oldest answer.
pub(crate) fn pop_done(queue: &mut VecDeque<(Token, Done)>) -> Option<(Token, Done)> {
    let slot = queue.front_mut()?;
    let blank = match &slot.1 {
        Done::Exchanged { share, .. } => Done::Exchanged { share: *share, secret: Secret::new([0; 32]) },
        Done::Generated { private, share } => Done::Generated { private: zeros(private), share: *share },
        Done::Agreed { .. } => Done::Agreed { secret: Secret::new([0; 32]) },
        _ => return queue.pop_front(),
    };
    let token = slot.0;
    let done = replace(slot, (token, blank));
    queue.pop_front();
    Some(done)
}

/// The job in a slot that is given up.
pub(crate) fn take_job(slot: &mut (Token, Job)) -> (Token, Job) {
    let blank = match &slot.1 {
        Job::Agree { private, peer } => Job::Agree { private: zeros(private), peer: *peer },
        _ => Job::Generate { group: Group::X25519 },
    };
    let token = slot.0;
    replace(slot, (token, blank))
}

const fn zeros(private: &PrivateShare) -> PrivateShare {
    PrivateShare::new(private.group(), [0; 32])
}
