//! One connection of somebody: what is said on it, and what comes back: `Conn`.

use std::collections::VecDeque;

use levee_buf::{Chain, Heap, HeapChain, Memory, Pieces};
use levee_tcp::{ConnId, Fill};
use levee_tls::load::{Client, Stage};
use levee_tls::{Error, Filled};

use super::Tools;
use super::plan::{Manner, Plan};
use crate::simulation::content::Content;
use crate::simulation::ledger::{AskId, Fate, Fault, Ledger};
use crate::simulation::text::{Head, Reading};

/// A connection to the proxy.
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) port: u16,
    /// TCP is established.
    pub(super) is_open: bool,
    tls: Option<Client<Heap>>,
    /// To be said, plain; and what of it TLS has not taken.
    out: VecDeque<u8>,
    plain: HeapChain,
    /// Requests begun here.
    begun: Vec<AskId>,
    /// Those of them that wait for their answers, in order.
    asked: VecDeque<AskId>,
    inbound: Vec<u8>,
    answer: Option<Coming>,
    /// Bytes that may be said now.
    allowed: usize,
    /// Bytes received whose room TCP has not got back.
    unread: usize,
    sent: usize,
    received: usize,
    /// The last answer on this connection came.
    is_last: bool,
    /// Our end follows what is to be said.
    finishing: bool,
    /// It came before all was said.
    is_cut: bool,
    finished: bool,
    closed: bool,
    failed: bool,
    has_begun: bool,
}

/// An answer on its way in.
struct Coming {
    ask: AskId,
    head: Head,
    reading: Reading,
    /// `None`: a page of the proxy.
    content: Option<Content>,
}

/// How far a connection is from its end.
pub(super) enum End {
    Not,
    /// It goes on at its pace.
    Pace,
    /// By FIN, and no more is heard.
    Leave,
    Reset,
    /// Without a word.
    Vanish,
    Over,
}

impl Conn {
    pub(super) fn new(id: ConnId, port: u16, plan: &Plan) -> Self {
        let allowed = if plan.write_piece > 0 { plan.write_piece } else { usize::MAX };
        Self {
            id,
            port,
            is_open: false,
            tls: plan.tls.as_ref().map(Client::new),
            out: VecDeque::new(),
            plain: HeapChain::default(),
            begun: Vec::new(),
            asked: VecDeque::new(),
            inbound: Vec::new(),
            answer: None,
            allowed,
            unread: 0,
            sent: 0,
            received: 0,
            is_last: false,
            finishing: false,
            is_cut: false,
            finished: false,
            closed: false,
            failed: false,
            has_begun: false,
        }
    }

    /// Bytes from TCP.
    pub(super) fn receive(&mut self, bytes: HeapChain, plan: &Plan, tools: &mut Tools, ledger: &mut Ledger) {
        self.unread += bytes.len();
        self.received += bytes.len();
        let id = self.id;
        let Some(tls) = &mut self.tls else {
            self.inbound.extend(bytes.to_vec());
            return self.read(plan, ledger);
        };
        if let Err(error) = tls.input(bytes, &mut tools.lend(id)) {
            let is_told = error == Error::AlertReceived;
            assert!(is_told || plan.manner.breaks_tls(), "a client of {:?} meets {error:?}", plan.manner);
            self.failed = true;
        }
        self.take_plain();
        self.read(plan, ledger);
        if self.tls.as_ref().is_some_and(Client::peer_closed) {
            self.on_end(true, plan, ledger);
        }
    }

    fn take_plain(&mut self) {
        while let Some(plain) = self.tls.as_mut().and_then(Client::read) {
            self.inbound.extend(plain.to_vec());
        }
    }

    /// The peer's end of TCP.
    pub(super) fn on_fin(&mut self, plan: &Plan, ledger: &mut Ledger) {
        let is_clean = self.tls.as_ref().is_none_or(Client::peer_closed);
        self.on_end(is_clean, plan, ledger);
    }

    /// No more will come: of content without other framing, that is the end, if it is one in good order.
    fn on_end(&mut self, is_clean: bool, plan: &Plan, ledger: &mut Ledger) {
        self.read(plan, ledger);
        if is_clean && let Some(coming) = self.answer.take_if(|coming| coming.reading.is_whole_at_end()) {
            self.complete(&coming, ledger);
        }
        (self.finishing, self.is_last) = (plan.manner != Manner::Stays, true);
        self.out.clear();
    }

    /// TCP is over.
    pub(super) const fn on_closed(&mut self) {
        self.closed = true;
    }

    /// Reads answers. What cannot be one is the proxy's fault.
    fn read(&mut self, plan: &Plan, ledger: &mut Ledger) {
        if plan.manner.is_deaf() {
            return self.inbound.clear();
        }
        loop {
            if self.answer.is_none() {
                let head = Head::take(&mut self.inbound).expect("a client gets heads that can be read");
                let Some(head) = head else { return };
                self.answer = self.begin(head, ledger);
                continue;
            }
            let Some(coming) = &mut self.answer else { return };
            let Coming { ask, reading, content, .. } = coming;
            let whole = reading.take(&mut self.inbound, &mut |at, bytes| match content {
                Some(content) if !content.holds(at, bytes) => Err("other bytes than were sent"),
                _ => Ok(()),
            });
            match whole {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => panic!("the answer to request {ask}: {error}"),
            }
            if let Some(coming) = self.answer.take() {
                self.complete(&coming, ledger);
            }
        }
    }

    /// The head of an answer; `None` for those that another follows.
    fn begin(&mut self, head: Head, ledger: &Ledger) -> Option<Coming> {
        let status = head.status().expect("a response has a status");
        if status < 200 {
            assert!(status == 103, "an interim response that nobody sent: {head:?}");
            return None;
        }
        let Some(&ask) = self.asked.front() else { panic!("an answer to nothing: {head:?}") };
        // RFC 9112 section 8: a request that is incomplete may be answered with an error.
        let content = match ledger.answered(ask, &head) {
            Ok(content) => content,
            Err(_) if self.is_cut && status == 400 => None,
            Err(error) => panic!("request {ask}: {error}: {head:?}, to {:?}", ledger.asks[ask]),
        };
        let reading = head.response_content(ledger.asks[ask].method).expect("framing that can be read");
        Some(Coming { ask, head, reading, content })
    }

    /// An answer is whole, by its framing: then it must be by its content.
    fn complete(&mut self, coming: &Coming, ledger: &mut Ledger) {
        let Coming { ask, head, reading, content } = coming;
        self.asked.pop_front();
        let asked = &mut ledger.asks[*ask];
        self.is_last |= asked.is_old
            || asked.answer.fault == Fault::Hasty
            || !head.goes_on().expect("one connection option");
        self.finishing |= self.is_last;
        let status = head.status().unwrap_or_default();
        match content {
            Some(content) => {
                let is_whole = reading.at == content.length || asked.method == "HEAD";
                assert!(is_whole, "request {ask}: a part of the content as the whole");
                ledger.complete(*ask, head);
            }
            None if asked.is_redirected && status < 400 => asked.fate = Fate::Exact,
            None => asked.fate = Fate::Page(status),
        }
    }

    /// Begins what can be begun of `rest`.
    pub(super) fn speak(&mut self, plan: &Plan, rest: &[AskId], ledger: &mut Ledger) {
        self.read(plan, ledger);
        let is_ready = self.tls.as_ref().is_none_or(|tls| tls.stage() == Stage::Established);
        if !is_ready || !self.is_open || self.finishing || self.failed {
            return;
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            match &plan.manner {
                Manner::Babbles(bytes) => self.out.extend(bytes),
                Manner::Mumbles(text) => self.out.extend(text.bytes()),
                Manner::Dawdles => self.out.extend(b"GET / HTTP/1.1\r\nHost: a.test\r\n"),
                Manner::Renegotiates => _ = self.tls.as_mut().is_some_and(Client::renegotiate),
                _ => {}
            }
        }
        for &ask in rest {
            if !self.begun.contains(&ask) && (plan.is_pipelined || self.asked.is_empty()) {
                self.begun.push(ask);
                self.asked.push_back(ask);
                self.say(ask, ledger);
            }
        }
        let is_said = rest.iter().all(|ask| self.begun.contains(ask)) && self.is_silent();
        self.finishing = match plan.manner {
            Manner::HalfCloses => is_said,
            Manner::Truncates { after } => self.sent > after || is_said && self.asked.is_empty(),
            _ => is_said && self.asked.is_empty() && !plan.manner.is_deaf() && plan.manner != Manner::Stays,
        };
        if self.finishing {
            self.is_cut = !is_said;
            self.out.clear();
        }
    }

    /// All is said.
    fn is_silent(&self) -> bool {
        self.out.is_empty() && self.plain.is_empty()
    }

    fn say(&mut self, ask: AskId, ledger: &mut Ledger) {
        self.out.extend(ledger.head_of(ask).bytes());
        let content = ledger.upload(ask);
        let bytes = content.bytes(0..content.length);
        match ledger.asks[ask].upload {
            Some(upload) if upload.is_chunked => {
                for chunk in bytes.chunks(1 + bytes.len() / 3) {
                    self.out.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    self.out.extend(chunk);
                    self.out.extend(b"\r\n");
                }
                self.out.extend(b"0\r\n\r\n");
            }
            _ => self.out.extend(bytes),
        }
    }

    /// Whether TCP is to ask for bytes.
    pub(super) fn wants_to_be_asked(&self) -> bool {
        let has_plain = !(self.out.is_empty() || self.allowed == 0) || !self.plain.is_empty();
        let has_own = self.tls.as_ref().is_some_and(Client::wants_write);
        self.is_open && (has_plain || has_own || self.finishing && !self.finished)
    }

    /// Up to `window` bytes for TCP.
    pub(super) fn fill(&mut self, window: usize, plan: &Plan, tools: &mut Tools) -> Fill<HeapChain> {
        let stage = self.tls.as_ref().map(Client::stage);
        if matches!((&plan.manner, stage), (Manner::Abandons(at), Some(stage)) if stage >= *at) {
            return Fill::Nothing;
        }
        let take = window.min(self.allowed).min(self.out.len());
        self.allowed -= if self.allowed == usize::MAX { 0 } else { take };
        let bytes: Vec<u8> = self.out.drain(..take).collect();
        tools.memory.push(&mut self.plain, &bytes).expect("a peer has memory");
        let is_end = self.finishing && self.is_silent();
        let Some(tls) = &mut self.tls else {
            let said = self.plain.take();
            self.sent += said.len();
            return if said.is_empty() { self.finish(is_end) } else { Fill::Data(said) };
        };
        let truncates = matches!(plan.manner, Manner::Truncates { .. });
        if is_end && !truncates {
            tls.close();
        }
        let filled = tls.fill(&mut self.plain, window, &mut tools.lend(self.id));
        let is_end = is_end && (truncates || tls.send_closed());
        self.take_plain();
        match filled {
            Filled::Wire(mut wire) => {
                self.spoil(&mut wire, plan);
                self.sent += wire.len();
                Fill::Data(wire)
            }
            _ => self.finish(is_end),
        }
    }

    const fn finish(&mut self, is_end: bool) -> Fill<HeapChain> {
        self.finished |= is_end;
        if is_end { Fill::Finished } else { Fill::Nothing }
    }

    /// Changes a byte past TLS, if that is this one's manner.
    fn spoil(&self, wire: &mut HeapChain, plan: &Plan) {
        let Manner::Corrupts { at } = plan.manner else { return };
        let place = at.checked_sub(self.sent).and_then(|at| wire.chunk_mut(at)?.first_mut());
        if let Some(byte) = place {
            *byte ^= 1;
        }
    }

    /// Time has passed: more may be said, and so many bytes are read.
    pub(super) fn pace(&mut self, plan: &Plan) -> usize {
        if plan.write_piece > 0 {
            self.allowed = plan.write_piece;
        }
        if plan.manner == Manner::Dawdles && self.has_begun && self.is_silent() {
            self.out.extend(b"a: b\r\n");
        }
        let read = if plan.read_piece > 0 { plan.read_piece.min(self.unread) } else { self.unread };
        self.unread -= read;
        read
    }

    /// How far it is from its end.
    pub(super) fn end(&mut self, plan: &Plan, rest: &[AskId]) -> End {
        let moved = self.sent + self.received;
        let is_said = self.has_begun && self.is_silent() && rest.iter().all(|ask| self.begun.contains(ask));
        match plan.manner {
            _ if self.closed => End::Over,
            _ if self.failed => End::Reset,
            Manner::Resets { after } if moved > after => End::Reset,
            Manner::Vanishes { after } if moved > after => End::Vanish,
            Manner::Leaves if is_said => End::Leave,
            Manner::Dawdles => End::Pace,
            _ if self.unread > 0 || self.allowed == 0 && !self.is_silent() => End::Pace,
            _ => End::Not,
        }
    }

    /// Requests that were begun here and not answered.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = AskId> {
        self.asked.iter().copied()
    }

    pub(super) fn release(mut self, tools: &mut Tools) {
        if let Some(tls) = &mut self.tls {
            tls.release(&mut tools.aead);
        }
    }
}
