//! The loop over the kernel's sockets: epoll, read, parties, write.
//!
//! For machines where no port can be given away, and to see what the kernel costs the load side. Bytes are
//! copied in and out; memory is the heap's.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use levee_buf::{Chain, Heap, HeapChain, Pieces};
use levee_tcp::Fill;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket, sockopt};
use nix::time::{ClockId, clock_gettime};

use super::{Event, Net, Party};
use crate::report::{Generator, Part};

/// A run over sockets, on the thread that calls [`SocketLane::run`].
pub struct SocketLane {
    net: SocketNet,
    stop: Arc<AtomicBool>,
}

/// Bytes read from a socket at a time.
const READ: usize = 64 << 10;
/// Bytes taken from a party before the socket has taken those before.
const WRITE: usize = 64 << 10;
/// Events taken in one turn.
const EVENTS: usize = 256;

impl SocketLane {
    /// A run with at most `connections` at a time, over memory of the heap.
    ///
    /// # Errors
    /// No epoll.
    pub fn new(connections: usize, memory: Heap, stop: Arc<AtomicBool>) -> io::Result<Self> {
        let net = SocketNet {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            sockets: (0..connections).map(|_| None).collect(),
            free: (0..connections).rev().collect(),
            woken: VecDeque::with_capacity(connections),
            memory,
            party: 0,
            began: Instant::now(),
            now_ns: 0,
        };
        Ok(Self { net, stop })
    }

    /// Runs until every party is done, or the run is stopped; `each_turn` is called with the time and the
    /// parties.
    ///
    /// # Errors
    /// What epoll says.
    pub fn run(
        mut self,
        parties: &mut [Box<dyn Party<Heap>>],
        mut each_turn: impl FnMut(u64, &[Box<dyn Party<Heap>>]),
    ) -> io::Result<(Vec<Part>, Generator)> {
        let mut events = vec![EpollEvent::empty(); EVENTS];
        let mut scratch = vec![0; READ];
        let cpu = cpu_seconds();
        loop {
            let ready = match self.net.epoll.wait(&mut events, EpollTimeout::from(1_u8)) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            self.net.now_ns = u64::try_from(self.net.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            for event in &events[..ready] {
                let slot = usize::try_from(event.data()).unwrap_or(usize::MAX);
                self.net.on_ready(slot, event.events(), &mut scratch, parties);
            }
            for (number, party) in parties.iter_mut().enumerate() {
                self.net.party = u8::try_from(number).unwrap_or_default();
                party.turn(&mut self.net);
            }
            self.net.flush(parties);
            each_turn(self.net.now_ns, parties);
            let now_ns = self.net.now_ns;
            if parties.iter().all(|party| party.is_done(now_ns)) || self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        let busy = (cpu_seconds() - cpu) / self.net.began.elapsed().as_secs_f64();
        let parts = parties.iter().filter_map(|party| party.part(self.net.now_ns)).collect();
        Ok((parts, Generator { busy, ..Generator::default() }))
    }
}

/// The kernel's sockets as a [`Net`].
struct SocketNet {
    epoll: Epoll,
    sockets: Vec<Option<Socket>>,
    free: Vec<usize>,
    /// Slots whose party has something to say.
    woken: VecDeque<usize>,
    memory: Heap,
    party: u8,
    began: Instant,
    now_ns: u64,
}

struct Socket {
    stream: TcpStream,
    party: u8,
    state: State,
    received: HeapChain,
    /// Taken from the party and not yet by the kernel.
    unsent: HeapChain,
    is_woken: bool,
    /// Nothing follows behind `unsent`.
    is_finished: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    Open,
    /// The party has left; what is unsent still goes.
    Left,
}

impl SocketNet {
    fn on_ready(
        &mut self,
        slot: usize,
        flags: EpollFlags,
        scratch: &mut [u8],
        parties: &mut [Box<dyn Party<Heap>>],
    ) {
        let Some(socket) = self.sockets.get_mut(slot).and_then(Option::as_mut) else { return };
        let mut event = Event::default();
        if socket.state == State::Connecting {
            match socket.stream.take_error() {
                Ok(None) => {
                    socket.state = State::Open;
                    event.connected = true;
                }
                Ok(Some(error)) => event.closed = Some(reason(&error)),
                Err(error) => event.closed = Some(reason(&error)),
            }
        }
        if event.closed.is_none()
            && flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR)
        {
            read(socket, scratch, &self.memory, &mut event);
        }
        if flags.contains(EpollFlags::EPOLLOUT) && !std::mem::replace(&mut socket.is_woken, true) {
            self.woken.push_back(slot);
        }
        let (owner, has_left) = (socket.party, socket.state == State::Left);
        // What came before the end is offered before the end is told.
        if event.readable && event.closed.is_some() && !has_left {
            let before = Event { closed: None, ..event };
            event = Event { closed: event.closed, ..Event::default() };
            if let Some(party) = parties.get_mut(usize::from(owner)) {
                self.party = owner;
                party.on_event(slot, before, self);
            }
            if self.sockets[slot].is_none() {
                return;
            }
        }
        if event.closed.is_some() || has_left && event.fin {
            self.close(slot);
        }
        if !has_left
            && event != Event::default()
            && let Some(party) = parties.get_mut(usize::from(owner))
        {
            self.party = owner;
            party.on_event(slot, event, self);
        }
    }

    /// Asks who was woken for bytes, and gives them to the kernel.
    fn flush(&mut self, parties: &mut [Box<dyn Party<Heap>>]) {
        for _ in 0..self.woken.len() {
            let Some(slot) = self.woken.pop_front() else { return };
            let Some(socket) = self.sockets.get_mut(slot).and_then(Option::as_mut) else { continue };
            socket.is_woken = false;
            if socket.state == State::Connecting {
                continue;
            }
            loop {
                while socket.state == State::Open && !socket.is_finished && socket.unsent.len() < WRITE {
                    let Some(party) = parties.get_mut(usize::from(socket.party)) else { break };
                    match party.fill(slot, WRITE - socket.unsent.len(), self.now_ns) {
                        Fill::Data(bytes) if !bytes.is_empty() => socket.unsent.append(bytes),
                        Fill::Data(_) | Fill::Nothing => break,
                        Fill::Finished => socket.is_finished = true,
                    }
                }
                if socket.unsent.is_empty() || !write(socket) {
                    break;
                }
            }
            if socket.unsent.is_empty() && socket.state == State::Left {
                self.close(slot);
            } else if socket.unsent.is_empty() && socket.is_finished {
                // A peer that is gone already is reported by epoll.
                let _ = socket.stream.shutdown(std::net::Shutdown::Write);
            }
        }
    }

    fn close(&mut self, slot: usize) {
        if self.sockets[slot].take().is_some() {
            self.free.push(slot);
        }
    }

    fn connect(&self, to: SocketAddrV4, slot: usize) -> Result<TcpStream, Errno> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd: OwnedFd = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
        match connect(std::os::fd::AsRawFd::as_raw_fd(&fd), &SockaddrIn::from(to)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        self.epoll.add(fd.as_fd(), EpollEvent::new(interest, slot as u64))?;
        Ok(TcpStream::from(fd))
    }
}

impl Net<Heap> for SocketNet {
    fn now_ns(&self) -> u64 {
        self.now_ns
    }

    fn open(&mut self, to: SocketAddrV4) -> Result<usize, &'static str> {
        let slot = self.free.pop().ok_or("no_free_connection")?;
        match self.connect(to, slot) {
            Ok(stream) => {
                self.sockets[slot] = Some(Socket {
                    stream,
                    party: self.party,
                    state: State::Connecting,
                    received: HeapChain::default(),
                    unsent: HeapChain::default(),
                    is_woken: false,
                    is_finished: false,
                });
                Ok(slot)
            }
            Err(error) => {
                self.free.push(slot);
                Err(match error {
                    Errno::EMFILE | Errno::ENFILE => "no_free_descriptor",
                    Errno::EADDRNOTAVAIL => "no_free_port",
                    Errno::ENETUNREACH | Errno::EHOSTUNREACH => "no_route",
                    _ => "connect_failed",
                })
            }
        }
    }

    fn recv(&mut self, slot: usize) -> HeapChain {
        self.sockets[slot].as_mut().map(|socket| socket.received.take()).unwrap_or_default()
    }

    fn wake(&mut self, slot: usize) {
        if let Some(socket) = &mut self.sockets[slot]
            && !std::mem::replace(&mut socket.is_woken, true)
        {
            self.woken.push_back(slot);
        }
    }

    fn abort(&mut self, slot: usize) {
        if let Some(socket) = &self.sockets[slot] {
            // Without it the close is in good order, which is all the harm there is.
            let _ = setsockopt(&socket.stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
        }
        self.close(slot);
    }

    fn finish(&mut self, slot: usize) {
        match &mut self.sockets[slot] {
            Some(socket) if !socket.unsent.is_empty() => socket.state = State::Left,
            _ => self.close(slot),
        }
    }
}

/// Reads all there is, and says what happened.
fn read(socket: &mut Socket, scratch: &mut [u8], memory: &Heap, event: &mut Event) {
    loop {
        match socket.stream.read(scratch) {
            Ok(0) => {
                event.fin = true;
                return;
            }
            Ok(length) => {
                event.readable = true;
                if socket.state != State::Left {
                    socket.received.append(memory.chain(&scratch[..length]));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                event.closed = Some(reason(&error));
                return;
            }
        }
    }
}

/// Writes as much as the kernel takes; whether it took all.
fn write(socket: &mut Socket) -> bool {
    while !socket.unsent.is_empty() {
        match socket.stream.write(socket.unsent.chunk(0)) {
            Ok(length) => socket.unsent.trim_front(length),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What else is wrong is reported by epoll.
            Err(_) => return false,
        }
    }
    true
}

fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset",
        io::ErrorKind::TimedOut => "timed_out",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable",
        _ => "socket_error",
    }
}

/// CPU time of this thread.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(0.0, |time| time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}
