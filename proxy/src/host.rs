//! One lcore's host on the network: its TCP stack and the sessions on it, without devices or a clock.

use levee_buf::Memory;
use levee_tcp::{Checksums, Output, Stack};

use crate::cycles::{Stage, Watch};
use crate::session::{Now, Sessions};

/// A stack, its sessions, and the frames that wait to be sent.
///
/// Call order, each turn: [`Host::receive`] for every frame, [`Host::turn`] once, then take what
/// [`Host::output`] holds.
pub(crate) struct Host<M: Memory> {
    stack: Stack<M>,
    sessions: Sessions<M>,
    output: Output<M>,
    /// Turns that public-key jobs have waited.
    turns_waited: u32,
}

/// Turns after which public-key jobs are worked on though frames keep coming.
const TURNS: u32 = 8;

/// Frames that wait to be sent, at most.
const OUTPUT: usize = 256;

/// Jobs that are worth a batch even though the receive burst has not been read empty.
const JOBS: usize = 32;

impl<M: Memory> Host<M> {
    /// `sessions` on `stack`, whose listeners are open.
    #[must_use]
    pub(crate) fn new(stack: Stack<M>, sessions: Sessions<M>) -> Self {
        Self { stack, sessions, output: Output::new(OUTPUT), turns_waited: 0 }
    }

    /// A frame that `interface` received.
    pub(crate) fn receive(&mut self, interface: u16, frame: M::Chain, checksums: Checksums, now: Now) {
        self.stack.input(interface, frame, checksums, now.instant);
    }

    /// Does what there is to do at `now`. `drained`: the receive bursts were read empty, so that waiting for
    /// more jobs to batch would be waiting for nothing. `may_send`: the devices take frames. `watch` is told
    /// after each stage.
    pub(crate) fn turn(&mut self, now: Now, drained: bool, may_send: bool, watch: &mut dyn Watch) {
        let Self { stack, sessions, output, turns_waited } = self;
        sessions.start_turn(now);
        if stack.deadline().is_some_and(|due| due <= now.instant) {
            stack.on_timeout(now.instant);
        }
        while let Some((id, ready)) = stack.ready() {
            sessions.on_ready(id, ready, stack);
        }
        sessions.run_touched(stack);
        watch.lap(Stage::Sessions);
        *turns_waited = if sessions.jobs() == 0 { 0 } else { *turns_waited + 1 };
        if drained || sessions.jobs() >= JOBS || *turns_waited >= TURNS {
            *turns_waited = 0;
            sessions.run_engine(stack);
        }
        watch.lap(Stage::Engine);
        sessions.run_aead(stack);
        watch.lap(Stage::Aead);
        if sessions.next_deadline_ns().is_some_and(|due| due <= now.instant.0) {
            sessions.run_deadlines(stack);
        }
        sessions.run_cache(stack);
        sessions.make_room(stack);
        sessions.run_touched(stack);
        watch.lap(Stage::Sessions);
        if may_send {
            stack.emit(now.instant, sessions, output);
        }
        watch.lap(Stage::TcpOut);
    }

    /// Spends a turn in which there was nothing to do on what later ones will need.
    pub(crate) fn work_ahead(&mut self, now: Now) {
        self.sessions.work_ahead(now.instant.0);
    }

    /// Frames that wait to be sent.
    pub(crate) const fn output(&mut self) -> &mut Output<M> {
        &mut self.output
    }

    /// Work waits for the next turn whether or not a frame arrives.
    #[must_use]
    pub(crate) fn is_busy(&self) -> bool {
        self.sessions.has_work()
    }

    /// The stack.
    #[must_use]
    pub(crate) const fn stack(&self) -> &Stack<M> {
        &self.stack
    }

    /// The sessions.
    #[must_use]
    pub(crate) const fn sessions(&self) -> &Sessions<M> {
        &self.sessions
    }

    /// What the sessions and the loop around them count.
    pub(crate) const fn counters(&mut self) -> &mut crate::metrics::Counters {
        &mut self.sessions.counters
    }

    /// The sessions, to pass notices between workers.
    pub(crate) const fn sessions_mut(&mut self) -> &mut Sessions<M> {
        &mut self.sessions
    }

    /// Takes no further requests, and ends what is idle.
    pub(crate) fn drain(&mut self) {
        self.sessions.drain(&mut self.stack);
    }

    /// Resets every connection.
    pub(crate) fn abort_all(&mut self) {
        self.sessions.abort_all(&mut self.stack);
    }
}
