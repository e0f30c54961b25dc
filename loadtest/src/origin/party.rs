//! The origin as a party of a run: `/bytes/N` and `/cached/N` on our own stack, for load that must not
//! cost the kernel's share of the load side's CPU.

use std::collections::VecDeque;

use levee_buf::{Chain, Exhausted, Memory, Pieces};
use levee_http::h1::{Body, BodyRead, HeadScanner, gather, parse_request};
use levee_http::{FieldTable, Limits, Method, RequestHead, framing};
use levee_tcp::Fill;

use crate::net::{Event, Net, Party};
use crate::pattern;
use crate::report::Part;

/// An origin that answers on every connection its net accepts for it.
pub struct OriginParty<M: Memory> {
    memory: M,
    /// [`pattern`], once through.
    blocks: Vec<M::Chain>,
    fields: FieldTable,
    connections: Vec<Option<Connection<M>>>,
    /// Connections that have said all.
    finished: Vec<usize>,
    /// The run is for it: there is no load beside it that could be done.
    is_alone: bool,
}

struct Connection<M: Memory> {
    inbound: M::Chain,
    scanner: HeadScanner,
    /// Content of the request under way.
    content: Option<Body>,
    answers: VecDeque<Answer>,
    close: bool,
}

/// What is still to be sent of a response.
struct Answer {
    head: Option<String>,
    offset: u64,
    length: u64,
}

/// Bytes of a block.
const BLOCK: usize = levee_buf::ROOM;

impl<M: Memory> OriginParty<M> {
    /// An origin for connections in `slots` slots.
    ///
    /// # Errors
    /// No memory for its bytes.
    pub fn new(memory: M, slots: usize) -> Result<Self, Exhausted> {
        let blocks = pattern::piece(0, pattern::PERIOD as u64)
            .chunks(BLOCK)
            .map(|bytes| {
                let mut block = M::Chain::default();
                memory.push(&mut block, bytes).map(|()| block)
            })
            .collect::<Result<_, _>>()?;
        let connections = (0..slots).map(|_| None).collect();
        Ok(Self {
            memory,
            blocks,
            fields: FieldTable::new(),
            connections,
            finished: Vec::new(),
            is_alone: false,
        })
    }

    /// An origin that serves until the run is stopped.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { is_alone: true, ..self }
    }

    /// Reads requests and queues their answers; false when there is nothing to be understood.
    fn read(&mut self, slot: usize) -> bool {
        let Some(connection) = self.connections[slot].as_mut() else { return true };
        let limits = Limits::default();
        loop {
            if let Some(content) = &mut connection.content {
                match content.read(&self.memory, &mut connection.inbound) {
                    Ok(BodyRead::Data(_)) => continue,
                    Ok(BodyRead::More) => return true,
                    Ok(BodyRead::End) => connection.content = None,
                    Err(_) => return false,
                }
            }
            let Ok(end) = connection.scanner.scan(&connection.inbound, &limits) else { return false };
            let Some(end) = end else { return true };
            connection.scanner = HeadScanner::default();
            if gather(&self.memory, &mut connection.inbound, end).is_err() {
                return false;
            }
            let head = connection.inbound.chunk(0).get(..end).unwrap_or_default();
            let Ok(request) = parse_request(head, &mut self.fields, &limits) else { return false };
            let Ok(framing) = framing::request(&request) else { return false };
            connection.answers.push_back(answer(&request, framing.keep_alive));
            connection.close |= !framing.keep_alive;
            connection.content = Some(Body::new(framing.length));
            connection.inbound.trim_front(end);
        }
    }
}

/// The answer to a request.
fn answer(request: &RequestHead<'_>, keep_alive: bool) -> Answer {
    let path = request.target.path();
    let path = std::str::from_utf8(path).unwrap_or_default();
    let (is_cached, length) = match path.strip_prefix("/cached/") {
        Some(length) => (true, Some(length)),
        None => (false, path.strip_prefix("/bytes/")),
    };
    let length = length.and_then(|length| length.parse::<u64>().ok());
    let (status, length) = length.map_or(("404 Not Found", 0), |length| ("200 OK", length));
    let caching = if is_cached { "public, max-age=3600" } else { "no-store" };
    let connection = if keep_alive { "" } else { "Connection: close\r\n" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\
         Cache-Control: {caching}\r\n{connection}\r\n"
    );
    let length = if request.method == Method::Head { 0 } else { length };
    Answer { head: Some(head), offset: 0, length }
}

impl<M: Memory> Party<M> for OriginParty<M> {
    fn on_event(&mut self, slot: usize, event: Event, net: &mut dyn Net<M>) {
        if event.connected {
            self.connections[slot] = Some(Connection {
                inbound: M::Chain::default(),
                scanner: HeadScanner::default(),
                content: None,
                answers: VecDeque::new(),
                close: false,
            });
        }
        if event.readable {
            let bytes = net.recv(slot);
            if let Some(connection) = self.connections[slot].as_mut() {
                connection.inbound.append(bytes);
            }
            if !self.read(slot) {
                self.connections[slot] = None;
                return net.abort(slot);
            }
            net.wake(slot);
        }
        if event.closed.is_some() {
            self.connections[slot] = None;
        } else if event.fin
            && let Some(connection) = self.connections[slot].as_mut()
        {
            connection.close = true;
            net.wake(slot);
        }
    }

    fn fill(&mut self, slot: usize, room: usize, _now_ns: u64) -> Fill<M::Chain> {
        let Some(connection) = self.connections[slot].as_mut() else { return Fill::Nothing };
        let mut data = M::Chain::default();
        while data.len() < room
            && let Some(answer) = connection.answers.front_mut()
        {
            if let Some(head) = &answer.head {
                let mut bytes = M::Chain::default();
                // All of it or nothing: TCP asks again.
                if self.memory.push(&mut bytes, head.as_bytes()).is_err() {
                    break;
                }
                data.append(bytes);
                answer.head = None;
            }
            if answer.length == 0 {
                connection.answers.pop_front();
                continue;
            }
            let at = usize::try_from(answer.offset % pattern::PERIOD as u64).unwrap_or_default();
            let block = &mut self.blocks[at / BLOCK];
            let from = at % BLOCK;
            let most =
                usize::try_from(answer.length).unwrap_or(usize::MAX).min(room - data.len().min(room - 1));
            let to = from.saturating_add(most).min(block.len());
            // Without memory the rest goes when there is some: TCP asks again.
            let Some(piece) = self.memory.reference(block, from..to) else { break };
            answer.offset += piece.len() as u64;
            answer.length -= piece.len() as u64;
            data.append(piece);
        }
        match data.is_empty() {
            false => Fill::Data(data),
            true if connection.close && connection.answers.is_empty() => {
                self.finished.push(slot);
                Fill::Finished
            }
            true => Fill::Nothing,
        }
    }

    fn turn(&mut self, net: &mut dyn Net<M>) -> bool {
        let any = !self.finished.is_empty();
        for slot in self.finished.drain(..) {
            if self.connections[slot].take().is_some() {
                net.finish(slot);
            }
        }
        any
    }

    fn is_done(&self, _now_ns: u64) -> bool {
        !self.is_alone
    }

    fn counts(&self) -> (u64, u64) {
        (0, 0)
    }

    fn part(&self, _now_ns: u64) -> Option<Part> {
        None
    }
}
