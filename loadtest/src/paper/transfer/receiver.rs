//! The receiver of all ways: the kernel's TCP on another CPU and in another namespace, and what it received.
//!
//! It keeps all bytes, and looks at them when the clock has stopped.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver as Inbox, Sender as Outbox};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic, WrapErr, miette};
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::TimeVal;

use super::{lab, record};
use crate::paper::pin;

/// A thread that receives one stream after the other.
pub(super) struct Receiver {
    orders: Option<Outbox<Order>>,
    answers: Inbox<Answer>,
    thread: Option<JoinHandle<()>>,
    id: i32,
}

enum Order {
    AcceptLinks,
    Offload(bool),
    Stream { link: lab::Link, size: usize },
}

enum Answer {
    Thread(i32),
    Ready(miette::Result<()>),
    Listening(io::Result<SocketAddr>),
    Ended(io::Result<Instant>),
    Verified(miette::Result<()>),
}

/// A peer that is silent for so long has failed.
const SILENCE_SECONDS: i64 = 20;
const PATIENCE: Duration = Duration::from_secs(60);

impl Receiver {
    /// A receiver of `payload` on `cpu`, in a namespace of its own.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn start(payload: Arc<[u8]>, cpu: usize) -> miette::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let (outbox, answers) = mpsc::channel();
        let body = move || serve(&payload, cpu, &inbox, &outbox);
        let thread = thread::Builder::new().name("lvpaper-receive".into()).spawn(body).into_diagnostic()?;
        let mut receiver = Self { orders: Some(orders), answers, thread: Some(thread), id: 0 };
        receiver.id = match receiver.answer()? {
            Answer::Thread(id) => id,
            other => return Err(other.unexpected()),
        };
        match receiver.answer()? {
            Answer::Ready(done) => done.map(|()| receiver),
            other => Err(other.unexpected()),
        }
    }

    /// The thread as Linux numbers it.
    pub(super) const fn thread(&self) -> i32 {
        self.id
    }

    /// Sets its ends of the links up.
    pub(super) fn accept_links(&self) -> miette::Result<()> {
        self.order(Order::AcceptLinks)?;
        self.ready()
    }

    /// Switches what the kernel does for it on or off.
    pub(super) fn offload(&self, on: bool) -> miette::Result<()> {
        self.order(Order::Offload(on))?;
        self.ready()
    }

    /// Listens on `link` for the payload in records of `size`; says where.
    pub(super) fn expect(&self, link: lab::Link, size: usize) -> miette::Result<SocketAddr> {
        self.order(Order::Stream { link, size })?;
        match self.answer()? {
            Answer::Listening(address) => address.into_diagnostic().wrap_err("the receiver cannot listen"),
            other => Err(other.unexpected()),
        }
    }

    /// Waits for the last byte; says when it came.
    pub(super) fn ended(&self) -> miette::Result<Instant> {
        match self.answer()? {
            Answer::Ended(at) => at.into_diagnostic().wrap_err("the receiver got no whole stream"),
            other => Err(other.unexpected()),
        }
    }

    /// Waits for the bytes to be looked at.
    pub(super) fn verified(&self) -> miette::Result<()> {
        match self.answer()? {
            Answer::Verified(verified) => verified,
            other => Err(other.unexpected()),
        }
    }

    fn ready(&self) -> miette::Result<()> {
        match self.answer()? {
            Answer::Ready(done) => done,
            other => Err(other.unexpected()),
        }
    }

    fn order(&self, order: Order) -> miette::Result<()> {
        let orders = self.orders.as_ref().ok_or_else(|| miette!("the receiver is stopped"))?;
        orders.send(order).map_err(|_| miette!("the receiver has ended"))
    }

    fn answer(&self) -> miette::Result<Answer> {
        self.answers.recv_timeout(PATIENCE).into_diagnostic().wrap_err("the receiver does not answer")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was printed.
            let _ = thread.join();
        }
    }
}

impl Answer {
    fn unexpected(self) -> miette::Report {
        match self {
            Self::Ready(Err(error)) | Self::Verified(Err(error)) => error,
            Self::Listening(Err(error)) | Self::Ended(Err(error)) => miette!("the receiver failed: {error}"),
            _ => miette!("the receiver answered out of turn"),
        }
    }
}

/// The thread: ends when nobody is left to order or to be answered.
fn serve(payload: &[u8], cpu: usize, orders: &Inbox<Order>, answers: &Outbox<Answer>) {
    let mut tell = |answer| answers.send(answer).is_ok();
    let id = nix::unistd::gettid().as_raw();
    if !tell(Answer::Thread(id)) || !tell(Answer::Ready(pin(cpu).and_then(|()| lab::leave()))) {
        return;
    }
    // Touched once, so that no page is faulted in while the clock runs.
    let mut stream = vec![1; record::stream_len(payload.len(), 1 << 10)];
    while let Ok(order) = orders.recv() {
        let alive = match order {
            Order::AcceptLinks => tell(Answer::Ready(lab::accept_links(cpu))),
            Order::Offload(on) => tell(Answer::Ready(lab::offload_far(on))),
            Order::Stream { link, size } => receive(payload, link, size, &mut stream, &mut tell),
        };
        if !alive {
            return;
        }
    }
}

fn receive(
    payload: &[u8],
    link: lab::Link,
    size: usize,
    stream: &mut [u8],
    tell: &mut dyn FnMut(Answer) -> bool,
) -> bool {
    let listener = match listen(link) {
        Ok(listener) => listener,
        Err(error) => return tell(Answer::Listening(Err(error))),
    };
    if !tell(Answer::Listening(listener.local_addr())) {
        return false;
    }
    let Some(stream) = stream.get_mut(..record::stream_len(payload.len(), size)) else {
        return tell(Answer::Ended(Err(io::Error::other("records this small have too many headers"))));
    };
    let ended = drain(&listener, stream);
    let whole = ended.is_ok();
    tell(Answer::Ended(ended)) && (!whole || tell(Answer::Verified(record::verify(stream, payload, size))))
}

fn listen(link: lab::Link) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((link.receiver, 0))?;
    // Of accept, and of what is accepted.
    setsockopt(&listener, ReceiveTimeout, &TimeVal::new(SILENCE_SECONDS, 0))?;
    Ok(listener)
}

/// Fills `stream`, then waits for the end; says when `stream` was full.
fn drain(listener: &TcpListener, stream: &mut [u8]) -> io::Result<Instant> {
    let (mut peer, _) = listener.accept()?;
    peer.set_read_timeout(Some(Duration::from_secs(SILENCE_SECONDS.unsigned_abs())))?;
    peer.read_exact(stream)?;
    let full = Instant::now();
    match peer.read(&mut [0; 1])? {
        0 => Ok(full),
        _ => Err(io::Error::other("more bytes came than were expected")),
    }
}
