//! Arbitrary frames into a stack with a listener, a connection of each kind, and neighbours: whatever comes, what
//! leaves is well formed, what is held stays bounded, and at the end all of it comes back.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use levee_buf::{Heap, HeapChain};
use levee_tcp::{ConnId, Fill, Room, Seal};

use crate::link::{ACK, Host, OURS, PEER, PEER_PORT, PORT, SYN, Segment, datagram};

/// Frames of one program.
const FRAMES: usize = 64;
/// Segments that this stack may hold: what it holds for four connections, answers and waiting frames.
const HELD: usize = 1500;

/// Feeds a program of frames.
pub fn run(input: &[u8]) {
    let mut program = Unstructured::new(input);
    let mut scene = Scene::new();
    for _ in 0..FRAMES {
        if program.is_empty() || scene.step(&mut program).is_err() {
            break;
        }
    }
    scene.settle();
}

/// An upper layer that has a little to say on each connection.
struct Chatty {
    memory: Heap,
    left: usize,
}

impl Seal<Heap> for Chatty {
    fn fill(&mut self, _: ConnId, room: Room) -> Fill<HeapChain> {
        let n = room.window.min(self.left);
        self.left -= n;
        if n == 0 { Fill::Nothing } else { Fill::Data(self.memory.chain(&vec![7; n])) }
    }
}

struct Scene {
    host: Host,
    chatty: Chatty,
    ids: Vec<ConnId>,
    /// The last segment of each kind that the stack sent to the peer: what frames can be aimed at.
    last: [Segment; 2],
}

impl Scene {
    fn new() -> Self {
        let mut host = Host::new(|config| {
            (config.syn_entries, config.time_wait_entries, config.out_of_order) = (2, 2, 16);
        });
        host.stack.listen(SocketAddr::from((OURS, PORT)), 1, 2).expect("a free port");
        let chatty = Chatty { memory: host.memory.clone(), left: 0 };
        let mut scene = Self { host, chatty, ids: Vec::new(), last: Default::default() };
        let remote = SocketAddr::from((PEER, PEER_PORT));
        let id = scene.host.stack.connect(IpAddr::V4(OURS), remote, scene.host.now, &mut |_| true);
        scene.ids.push(id.expect("a free connection"));
        scene.turn();
        scene.say(1, SYN | ACK);
        let syn = Segment { port: PORT, seq: 5000, flags: SYN, window: 9000, ..Segment::default() };
        scene.host.input(&syn.frame(), usize::MAX);
        scene.turn();
        scene.say(0, ACK);
        assert_eq!(scene.ids.len(), 2);
        scene
    }

    /// The peer answers the last segment of a kind.
    fn say(&mut self, kind: usize, flags: u8) {
        let Segment { port, seq, ack, .. } = self.last[kind];
        let answer = Segment { port, seq: ack, ack: seq + 1, flags, window: 9000, ..Segment::default() };
        self.host.input(&answer.frame(), usize::MAX);
        self.turn();
    }

    fn step(&mut self, program: &mut Unstructured<'_>) -> Result<()> {
        let kind: u8 = program.arbitrary()?;
        match kind % 8 {
            0 => {
                self.host.now = self.host.now + Duration::from_millis(u64::from(program.arbitrary::<u16>()?))
            }
            1 => {
                self.chatty.left = usize::from(program.arbitrary::<u16>()?);
                self.ids.iter().for_each(|&id| self.host.stack.wake(id));
            }
            2 => self.close(program.arbitrary()?),
            kind => {
                let frame = self.frame(kind, program)?;
                let cut = usize::from(program.arbitrary::<u8>()?);
                self.host.input(&frame, if cut < 128 { usize::MAX } else { cut - 128 });
            }
        }
        self.turn();
        Ok(())
    }

    /// A frame that gets as far as `kind` says before bytes are arbitrary.
    fn frame(&self, kind: u8, program: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let length = usize::from(program.arbitrary::<u8>()?).min(program.len());
        let bytes = program.bytes(length)?;
        Ok(match kind {
            3 => bytes.to_vec(),
            4 => {
                let arp = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0];
                [&arp[..], bytes].concat()
            }
            5 => datagram(bytes.first().map_or(6, |first| if first % 2 == 0 { 6 } else { 1 }), bytes),
            _ => {
                let aimed = &self.last[usize::from(kind % 2)];
                let seq = aimed.ack.wrapping_add_signed(i32::from(program.arbitrary::<i16>()?));
                let ack = aimed.seq.wrapping_add_signed(i32::from(program.arbitrary::<i16>()?));
                let (flags, window) = (program.arbitrary()?, program.arbitrary()?);
                let options = usize::from(program.arbitrary::<u8>()? % 11) * 4;
                let (options, payload) = bytes.split_at(options.min(bytes.len() / 4 * 4));
                let (options, payload) = (options.to_vec(), payload.to_vec());
                Segment { port: aimed.port, seq, ack, flags, window, options, payload }.frame()
            }
        })
    }

    fn close(&mut self, how: u8) {
        let Some(&id) = self.ids.get(usize::from(how / 4)) else { return };
        match how % 4 {
            0 => self.host.stack.release(id),
            1 => self.host.stack.abort(id),
            _ => {
                let bytes = self.host.stack.recv(id);
                self.host.stack.consumed(id, levee_buf::Pieces::len(&bytes));
                return;
            }
        }
        self.ids.retain(|other| *other != id);
    }

    fn turn(&mut self) {
        self.host.stack.on_timeout(self.host.now);
        while let Some((id, ready)) = self.host.stack.ready() {
            if ready.accepted.is_some() {
                self.ids.push(id);
            }
            assert!(self.ids.contains(&id), "told of {id:?}, which is gone");
            if ready.closed.is_some() {
                self.ids.retain(|other| *other != id);
            }
        }
        for segment in self.host.emit(&mut self.chatty) {
            let kind = usize::from(segment.port != PORT);
            self.last[kind] = segment;
        }
        let (stack, held) = (&self.host.stack, self.host.memory.in_use());
        assert!(held <= HELD, "{held} segments");
        assert!(stack.connections() <= 4 && stack.half_open() <= 2 && stack.time_wait() <= 2);
        assert!(stack.counters().segments_in <= stack.counters().frames_in);
    }

    /// Everybody leaves; ten minutes later nothing is left.
    fn settle(&mut self) {
        for id in std::mem::take(&mut self.ids) {
            self.host.stack.abort(id);
        }
        self.turn();
        let end = self.host.now + Duration::from_secs(600);
        for _ in 0..10_000 {
            if !self.host.next_timer(end) {
                break;
            }
            self.turn();
        }
        self.host.assert_empty();
    }
}
