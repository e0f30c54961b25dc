//! `levee-load wire`: joins two links, and does to what passes what bad networks do.
//!
//! | file | job |
//! |---|---|
//! | `impair` | what becomes of a frame, one direction each |
//! | `icmp` | what the sender of a packet over the MTU is told |
//! | `quantity` | shares, rates and durations of the command line |
//! | `account` | what came of it, for people and programs |
//!
//! It looks at nothing but the length of a frame, and at the IPv4 header of one that is too long. It does
//! not fragment, and says nothing to the sender of an IPv6 packet over the MTU.

mod account;
mod icmp;
mod impair;
mod quantity;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use levee_dpdk::{Chain, Clock, Frame, MAX_BURST, Pool, Port, Received, RxQueue, TxOffload, TxQueue};
use miette::{IntoDiagnostic, WrapErr, miette};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::device::{self, Memory};
pub use account::{Account, Way};
pub use impair::{Counters, Impairment, Settings};
pub use quantity::{BurstLoss, QuantityError, Rate, Share};

/// What to join, and what to do to it.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// The DPDK device of one link, as net_af_packet0,iface=x.
    #[arg(long, value_name = "DEVICE")]
    pub a: String,
    /// The DPDK device of the other link, of another name.
    #[arg(long, value_name = "DEVICE")]
    pub b: String,
    /// Share of frames lost, each by itself: 0.02 or 2%.
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub loss: Share,
    /// Loss in bursts: chances of a frame to enter a burst and to leave it.
    #[arg(long, value_name = "ENTER,LEAVE")]
    pub burst_loss: Option<BurstLoss>,
    /// Time that frames are under way, as 20ms.
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    pub delay: Option<Duration>,
    /// So much more or less delay; frames keep their order.
    #[arg(long, value_name = "TIME", value_parser = quantity::duration, requires = "delay")]
    pub jitter: Option<Duration>,
    /// Share of frames without delay, which overtake those under way.
    #[arg(long, value_name = "SHARE", requires = "delay")]
    pub reorder: Option<Share>,
    /// Share of frames that arrive twice.
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub duplicate: Share,
    /// Share of frames with one bit turned behind the Ethernet header.
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub corrupt: Share,
    /// How fast the line is, as 100mbit; frames count from their Ethernet header on.
    #[arg(long, value_name = "RATE")]
    pub rate: Option<Rate>,
    /// Frames that wait for the line at most.
    #[arg(long, value_name = "FRAMES", default_value_t = 256, value_parser = parse_queue)]
    pub queue: usize,
    /// The longest packet that passes; ICMP tells senders that set DF (RFC 1191).
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(68..))]
    pub mtu: Option<u16>,
    /// What all chances follow from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The direction that is impaired.
    #[arg(long, value_enum, default_value_t = Direction::Both)]
    pub direction: Direction,
    /// Seconds until the end; else SIGINT or SIGTERM.
    #[arg(long, value_name = "SECONDS")]
    pub duration: Option<u64>,
    /// Write the account to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The CPU to run on.
    #[arg(long, default_value_t = 0)]
    pub cpu: usize,
    /// Packet memory.
    #[command(flatten)]
    pub memory: Memory,
}

/// A direction through the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// Both directions, each with chances of its own.
    Both,
    /// What comes from a.
    AToB,
    /// What comes from b.
    BToA,
}

/// The largest packet of the links themselves.
const LINK_MTU: u16 = 1500;
/// Frames that wait for a device at most; the others stay under way.
const PENDING: usize = 256;
/// Turns without a frame after which the CPU is offered to others.
const YIELD_AFTER: u64 = 256;
/// Share of packet memory that one direction may hold: the rings of the devices need some too.
const HELD: u32 = 4;
/// Between lines of status.
const STATUS_NS: u64 = 1_000_000_000;

const EXAMPLES: &str = "\
Examples:
  levee-load wire --a net_af_packet0,iface=w-client --b net_af_packet1,iface=w-proxy --loss 2% --delay 10ms
      two in a hundred frames are lost each way, the others come ten milliseconds later
  levee-load wire --a net_af_packet0,iface=a --b net_af_packet1,iface=b --rate 10mbit --queue 64 --duration 60
      a slow line with a short queue, for a minute";

/// Joins the links until the time is over or a signal comes, and says what came of it.
///
/// # Errors
/// A device does not start, or the account cannot be written.
pub fn run(options: &Options) -> miette::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).into_diagnostic()?;
    }
    let name = |device: &str| device.split(',').next().map(str::to_owned);
    if name(&options.a) == name(&options.b) {
        return Err(miette!("a and b are one device: give them names of their own, as net_af_packet0 and 1"));
    }
    let eal = device::start(&options.memory, &[&options.a, &options.b], options.cpu)?;
    let pool = device::pool(&eal, "wire", options.memory.memory)?;
    let open = |device: &str| {
        let started = device::open(&eal, device, LINK_MTU, &pool, true);
        started.and_then(End::new).wrap_err_with(|| format!("cannot use {device}"))
    };
    let capacity = usize::try_from(options.memory.memory * (1024 / 2) / 3 / HELD).into_diagnostic()?;
    let mut wire = Wire {
        a: open(&options.a)?,
        b: open(&options.b)?,
        a_to_b: options.impairment(Direction::AToB, capacity, &pool),
        b_to_a: options.impairment(Direction::BToA, capacity, &pool),
        burst: Vec::with_capacity(MAX_BURST),
    };
    eprintln!("levee-load: the wire is ready");
    let account = wire.run(&Clock::new(&eal), options.duration, &stop);
    println!("{account}");
    if let Some(path) = &options.json {
        let json = serde_json::to_vec(&account).into_diagnostic()?;
        let written = std::fs::write(path, json).into_diagnostic();
        written.wrap_err_with(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

impl Options {
    fn impairment(&self, direction: Direction, capacity: usize, pool: &Pool) -> Impairment<Pool> {
        let is_impaired = [Direction::Both, direction].contains(&self.direction);
        let settings = if is_impaired { self.settings() } else { Settings::default() };
        let stream = u64::from(direction == Direction::BToA);
        Impairment::new(Settings { capacity, ..settings }, self.seed, stream, pool.clone())
    }

    fn settings(&self) -> Settings {
        let nanoseconds =
            |time: Option<Duration>| u64::try_from(time.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
        Settings {
            loss: self.loss,
            burst_loss: self.burst_loss,
            delay_ns: nanoseconds(self.delay),
            jitter_ns: nanoseconds(self.jitter),
            reorder: self.reorder.unwrap_or_default(),
            duplicate: self.duplicate,
            corrupt: self.corrupt,
            rate: self.rate,
            queue: self.queue,
            mtu: self.mtu,
            ..Settings::default()
        }
    }
}

/// The two ends and what is between them.
struct Wire {
    a: End,
    b: End,
    a_to_b: Impairment<Pool>,
    b_to_a: Impairment<Pool>,
    burst: Vec<Received>,
}

impl Wire {
    fn run(&mut self, clock: &Clock, seconds: Option<u64>, stop: &AtomicBool) -> Account {
        let start = clock.now();
        let end = seconds.map_or(u64::MAX, |seconds| start.saturating_add(seconds.saturating_mul(STATUS_NS)));
        let is_watched = io::stderr().is_terminal();
        let mut status_at = start + STATUS_NS;
        let mut idle = 0_u64;
        let mut now = start;
        while !stop.load(Ordering::Relaxed) && now < end {
            now = clock.now();
            idle = if self.turn(now) { 0 } else { idle + 1 };
            if idle > YIELD_AFTER {
                std::thread::yield_now();
            }
            if is_watched && now >= status_at {
                status_at = now + STATUS_NS;
                eprint!("\r{}\x1b[K", self.account(now - start).status());
                // A status that cannot be shown is no reason to end.
                let _ = io::stderr().flush();
            }
        }
        if is_watched {
            eprintln!();
        }
        self.account(now - start)
    }

    /// Receives and sends once on both links; whether a frame moved.
    fn turn(&mut self, now_ns: u64) -> bool {
        let there = cross(&mut self.a, &mut self.b, &mut self.a_to_b, &mut self.burst, now_ns);
        let back = cross(&mut self.b, &mut self.a, &mut self.b_to_a, &mut self.burst, now_ns);
        self.a.send() + self.b.send() + there + back > 0
    }

    fn account(&self, ns: u64) -> Account {
        let way = |impairment: &Impairment<Pool>, to: &End| Way {
            counters: impairment.counters(),
            held: impairment.held() + to.pending.len(),
            refused: to.tx.counters().refused,
        };
        Account {
            seconds: Duration::from_nanos(ns).as_secs_f64(),
            a_to_b: way(&self.a_to_b, &self.b),
            b_to_a: way(&self.b_to_a, &self.a),
        }
    }
}

/// One direction's part of a turn; returns how many frames came.
fn cross(
    from: &mut End,
    to: &mut End,
    impairment: &mut Impairment<Pool>,
    burst: &mut Vec<Received>,
    now_ns: u64,
) -> usize {
    let received = from.rx.burst(burst);
    for received in burst.drain(..) {
        if let Some(answer) = impairment.offer(received.chain, now_ns)
            && from.pending.len() < PENDING
        {
            from.put(answer);
        }
    }
    while to.pending.len() < PENDING
        && let Some(chain) = impairment.due(now_ns)
    {
        to.put(chain);
    }
    received
}

/// A port with one queue each way.
struct End {
    // Queues go before their port.
    rx: RxQueue,
    tx: TxQueue,
    /// Frames that the device has not taken yet.
    pending: VecDeque<Frame>,
    _port: Port,
}

impl End {
    fn new(started: device::Started) -> miette::Result<Self> {
        let device::Started { port, mut queues, .. } = started;
        let rx = queues.rx.pop().ok_or_else(|| miette!("it has no receive queue"))?;
        let tx = queues.tx.pop().ok_or_else(|| miette!("it has no transmit queue"))?;
        Ok(Self { rx, tx, pending: VecDeque::with_capacity(PENDING), _port: port })
    }

    fn put(&mut self, chain: Chain) {
        self.pending.push_back(Frame { chain, offload: TxOffload::default() });
    }

    fn send(&mut self) -> usize {
        if self.pending.is_empty() { 0 } else { self.tx.burst(&mut self.pending) }
    }
}

fn parse_queue(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(queue @ 1..=1_000_000) => Ok(queue),
        _ => Err(format!("`{text}` is no number of frames from 1 to 1000000")),
    }
}
