//! What connections may be resumed by: `Ticket`s of TLS 1.3, tickets and session ids of TLS 1.2, and the
//! newest of them in `Tickets`.
//!
//! Bounded: sixteen of at most 4 KiB. Their memory is used again, so that a run that resumes with each
//! handshake comes to rest without allocations.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::keys::{MasterSecret12, PreSharedKey};
use crate::messages::SessionId;
use crate::suite::Suite;

/// The longest ticket that is kept.
const MAX_TICKET: usize = 4096;

/// Tickets that are kept.
const MAX_TICKETS: usize = 16;

/// The end of a connection that another may begin with.
pub(super) struct Ticket {
    /// What the server knows it by; empty for a session id.
    pub(super) bytes: Vec<u8>,
    pub(super) session_id: SessionId,
    pub(super) suite: Suite,
    pub(super) age_add: u32,
    pub(super) secret: Secret,
}

/// What the keys come from.
pub(super) enum Secret {
    Tls12 { master: MasterSecret12, extended_master_secret: bool },
    Tls13(PreSharedKey),
}

/// The newest tickets.
#[derive(Default)]
pub(super) struct Tickets {
    kept: VecDeque<Rc<Ticket>>,
    /// Memory of tickets that are gone, and of their bytes.
    spare: Vec<Rc<Ticket>>,
    spare_bytes: Vec<Vec<u8>>,
}

impl Tickets {
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The newest one. RFC 8446 appendix C.4: a ticket is best used once; but the last one stays, so
    /// that there is one for every handshake.
    pub(super) fn offer(&mut self) -> Option<Rc<Ticket>> {
        if self.kept.len() > 1 { self.kept.pop_back() } else { self.kept.back().cloned() }
    }

    /// A copy of what the server sent, empty when it is too long to be kept.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut copy = self.spare_bytes.pop().unwrap_or_default();
        copy.clear();
        if bytes.len() <= MAX_TICKET {
            copy.extend_from_slice(bytes);
        }
        copy
    }

    /// Keeps a ticket, for the oldest one when there are too many.
    pub(super) fn keep(&mut self, ticket: Ticket) {
        let mut spare = self.spare.pop();
        match spare.as_mut().and_then(Rc::get_mut) {
            Some(place) => *place = ticket,
            None => spare = Some(Rc::new(ticket)),
        }
        self.kept.extend(spare);
        if self.kept.len() > MAX_TICKETS
            && let Some(oldest) = self.kept.pop_front()
        {
            self.recycle(oldest);
        }
    }

    /// A session that the server took and keeps.
    pub(super) fn again(&mut self, ticket: Rc<Ticket>) {
        if self.kept.len() < MAX_TICKETS && !self.kept.iter().any(|kept| Rc::ptr_eq(kept, &ticket)) {
            self.kept.push_front(ticket);
        }
    }

    /// The server did not take it: it is not offered again.
    pub(super) fn refused(&mut self, ticket: Rc<Ticket>) {
        self.kept.retain(|kept| !Rc::ptr_eq(kept, &ticket));
        self.recycle(ticket);
    }

    /// A ticket has served.
    pub(super) fn recycle(&mut self, mut ticket: Rc<Ticket>) {
        if self.spare.len() < MAX_TICKETS
            && let Some(unused) = Rc::get_mut(&mut ticket)
        {
            let bytes = std::mem::take(&mut unused.bytes);
            // Sessions by id alone have none, and take none back out.
            if bytes.capacity() > 0 && self.spare_bytes.len() < MAX_TICKETS {
                self.spare_bytes.push(bytes);
            }
            self.spare.push(ticket);
        }
    }
}
