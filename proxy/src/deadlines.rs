//! Deadlines of a crowd, by kind of waiting: `Deadlines`.
//!
//! All who wait for the same thing wait equally long, so each kind of waiting is a queue in order of
//! its deadlines: setting, moving and clearing one are constant time, and the due ones stand in front.

/// One deadline for each of a fixed number of members, each in at most one queue.
pub(crate) struct Deadlines {
    queues: Vec<Queue>,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Queue {
    wait_ns: u64,
    first: u32,
    last: u32,
}

#[derive(Clone, Copy)]
struct Node {
    due_ns: u64,
    previous: u32,
    next: u32,
    queue: u16,
}

const NONE: u32 = u32::MAX;
const NO_QUEUE: u16 = u16::MAX;

impl Deadlines {
    /// Room for `members`, and a queue for each of `waits_ns`.
    #[must_use]
    pub(crate) fn new(members: usize, waits_ns: &[u64]) -> Self {
        let node = Node { due_ns: 0, previous: NONE, next: NONE, queue: NO_QUEUE };
        let queues = waits_ns.iter().map(|&wait_ns| Queue { wait_ns, first: NONE, last: NONE });
        Self { queues: queues.collect(), nodes: vec![node; members] }
    }

    /// Starts `member`'s wait in `queue` anew, whatever it waited for before.
    pub(crate) fn start(&mut self, member: usize, queue: usize, now_ns: u64) {
        self.clear(member);
        let (Some(waiting), Ok(number), Ok(index)) =
            (self.queues.get_mut(queue), u16::try_from(queue), u32::try_from(member))
        else {
            return;
        };
        let last = std::mem::replace(&mut waiting.last, index);
        let due_ns = now_ns.saturating_add(waiting.wait_ns);
        if last == NONE {
            waiting.first = index;
        } else {
            self.nodes[last as usize].next = index;
        }
        self.nodes[member] = Node { due_ns, previous: last, next: NONE, queue: number };
    }

    /// Starts `member`'s wait in `queue` unless it is in that queue already.
    pub(crate) fn ensure(&mut self, member: usize, queue: usize, now_ns: u64) {
        if self.waiting(member) != Some(queue) {
            self.start(member, queue, now_ns);
        }
    }

    /// Ends `member`'s wait.
    pub(crate) fn clear(&mut self, member: usize) {
        let Node { previous, next, queue, .. } = self.nodes[member];
        if queue == NO_QUEUE {
            return;
        }
        let waiting = &mut self.queues[usize::from(queue)];
        match previous {
            NONE => waiting.first = next,
            previous => self.nodes[previous as usize].next = next,
        }
        match next {
            NONE => waiting.last = previous,
            next => self.nodes[next as usize].previous = previous,
        }
        self.nodes[member].queue = NO_QUEUE;
    }

    /// The queue `member` waits in.
    #[must_use]
    pub(crate) fn waiting(&self, member: usize) -> Option<usize> {
        Some(self.nodes.get(member)?.queue).filter(|&queue| queue != NO_QUEUE).map(usize::from)
    }

    /// A member whose deadline has passed and the queue it waited in; its wait ends with this.
    pub(crate) fn due(&mut self, now_ns: u64) -> Option<(usize, usize)> {
        for (number, queue) in self.queues.iter().enumerate() {
            if queue.first != NONE && self.nodes[queue.first as usize].due_ns <= now_ns {
                let member = queue.first as usize;
                self.clear(member);
                return Some((member, number));
            }
        }
        None
    }

    /// The earliest deadline, in nanoseconds.
    #[must_use]
    pub(crate) fn next_ns(&self) -> Option<u64> {
        let fronts = self.queues.iter().filter(|queue| queue.first != NONE);
        fronts.map(|queue| self.nodes[queue.first as usize].due_ns).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_in_order_and_once() {
        let mut deadlines = Deadlines::new(4, &[100, 10]);
        deadlines.start(0, 0, 0);
        deadlines.start(1, 0, 5);
        deadlines.start(2, 1, 50);
        assert_eq!(deadlines.next_ns(), Some(60));
        assert_eq!(deadlines.due(59), None);
        assert_eq!(deadlines.due(60), Some((2, 1)));
        deadlines.start(0, 0, 20);
        assert_eq!(deadlines.due(200), Some((1, 0)));
        assert_eq!(deadlines.due(200), Some((0, 0)));
        assert_eq!(deadlines.due(1000), None);
    }

    #[test]
    fn leaves_from_anywhere() {
        for gone in 0..3 {
            let mut deadlines = Deadlines::new(3, &[10]);
            for member in 0..3 {
                deadlines.start(member, 0, 0);
            }
            deadlines.clear(gone);
            deadlines.clear(gone);
            let left: Vec<_> = std::iter::from_fn(|| deadlines.due(10)).map(|(member, _)| member).collect();
            assert_eq!(left, (0..3).filter(|&member| member != gone).collect::<Vec<_>>());
        }
    }
}
