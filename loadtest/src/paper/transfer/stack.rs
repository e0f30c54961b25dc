//! Levee's path: TCP asks for bytes when they may leave, and gets a record sealed in place, in packet memory.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use levee_buf::{Chain as _, Memory, Pieces};
use levee_crypto::{Aad, Aead, AeadKey, Algorithm, Answer, SessionId, SoftwareAead, Token};
use levee_dpdk::crypto::{self, Device, DeviceConfig, QueuePair};
use levee_dpdk::{Chain, Clock, Eal, Frame, MAX_BURST, Pool, RxQueue, Sizes, TxOffload, TxQueue};
use levee_tcp::{Checksums, Config, ConnId, Fill, InterfaceConfig, Output, Room, Seal, Stack};
use miette::{IntoDiagnostic, miette};

use super::record::{self, HEADER, KEY, TAG};
use super::{Sent, lab};
use crate::device::{self, Memory as MemoryOptions};

/// A stack over a port, in the calling thread.
pub(super) struct Levee {
    stack: Stack<Pool>,
    rx: RxQueue,
    tx: TxQueue,
    pool: Pool,
    clock: Clock,
    output: Output<Pool>,
    pending: VecDeque<Frame>,
    software: Engine,
    device: Result<Engine, String>,
}

/// Who seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sealer {
    /// Levee's own code.
    Software,
    /// DPDK's software device for AES-GCM.
    Device,
}

enum Engine {
    Software(SoftwareAead, SessionId),
    // The device is closed behind its queue pair.
    Device(Box<QueuePair>, crypto::SessionId, #[expect(dead_code, reason = "it lives as long")] Device),
}

/// The device that seals.
const DEVICE: &str = "crypto_aesni_gcm0";
/// Frames that wait for the port, beyond which TCP is not asked for more.
const PENDING: usize = 256;
/// Bytes under way, as many as a socket of the kernel may have by default.
const SEND_BUFFER: usize = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

impl Levee {
    /// Starts DPDK with a port on its link; the calling thread is its lcore.
    ///
    /// # Errors
    /// What DPDK says.
    pub(super) fn open(memory: &MemoryOptions, cpu: usize) -> miette::Result<Self> {
        let vdev =
            format!("net_af_packet0,iface={},blocksz=65536,framesz=2048,framecnt=2048", lab::PORT.near);
        let eal = device::start(memory, &[&vdev], cpu)?;
        // Records of 4 KiB lie in segments for the largest.
        let records = u32::try_from(SEND_BUFFER / 4096).into_diagnostic()? + 512;
        let sizes = Sizes { segments: 16_384, records, references: 16_384, cache: 256 };
        let pool = Pool::create(&eal, "paper", sizes, None).into_diagnostic()?;
        let device::Started { port: _port, mac, queues } = device::open(&eal, &vdev, 1500, &pool, false)?;
        let offloads = queues.granted.offloads;
        let interface = InterfaceConfig {
            mac,
            mtu: queues.granted.mtu,
            addresses: vec![(lab::PORT.sender.into(), lab::PREFIX)],
            gateway: None,
            tx_checksum: offloads.tx_checksum,
            rx_checksum: offloads.rx_checksum,
            tso: None,
        };
        let config = Config { send_buffer: SEND_BUFFER, ..Config::new(vec![interface], 16, KEYS) };
        let stack = Stack::new(config, pool.clone()).map_err(|error| miette!("no stack: {error:?}"))?;
        let (mut rx, mut tx) = (queues.rx, queues.tx);
        Ok(Self {
            stack,
            rx: rx.remove(0),
            tx: tx.remove(0),
            clock: Clock::new(&eal),
            output: Output::new(PENDING),
            pending: VecDeque::with_capacity(2 * PENDING),
            software: Engine::software()?,
            device: Engine::device(&eal, &pool).map_err(|error| error.to_string()),
            pool,
        })
    }

    /// Sends `payload` in records of `size`.
    pub(super) fn send(
        &mut self,
        sealer: Sealer,
        to: SocketAddr,
        payload: &[u8],
        size: usize,
    ) -> miette::Result<Sent> {
        let engine = match (sealer, &mut self.device) {
            (Sealer::Software, _) => &mut self.software,
            (Sealer::Device, Ok(engine)) => engine,
            (Sealer::Device, Err(why)) => return Err(miette!("{why}")),
        };
        let before = Copies::of(engine, &self.tx);
        let resent = self.stack.counters().retransmits;
        let mut outgoing = Outgoing {
            pool: self.pool.clone(),
            engine,
            payload,
            at: 0,
            size,
            sequence: 0,
            filled: 0,
            starved: false,
            broken: false,
        };
        let link = &mut Link {
            stack: &mut self.stack,
            rx: &mut self.rx,
            tx: &mut self.tx,
            clock: self.clock,
            output: &mut self.output,
            pending: &mut self.pending,
        };
        let mut sent = link.run(to, &mut outgoing)?;
        let filled = outgoing.filled;
        let after = Copies::of(outgoing.engine, &self.tx);
        // The driver copies each frame into the ring that it shares with the kernel.
        let driver = payload.len() as u64;
        sent.resent = self.stack.counters().retransmits - resent;
        sent.copied = filled + driver + before.to(&after, payload.len() as u64);
        Ok(sent)
    }
}

/// The port and the stack over it, while they send.
struct Link<'a> {
    stack: &'a mut Stack<Pool>,
    rx: &'a mut RxQueue,
    tx: &'a mut TxQueue,
    clock: Clock,
    output: &'a mut Output<Pool>,
    pending: &'a mut VecDeque<Frame>,
}

impl Link<'_> {
    /// A connection from its beginning to its end, in turns as a worker of Levee makes them.
    fn run(&mut self, to: SocketAddr, outgoing: &mut Outgoing<'_>) -> miette::Result<Sent> {
        let local = IpAddr::V4(lab::PORT.sender);
        let connection = self
            .stack
            .connect(local, to, self.now(), &mut |_| true)
            .map_err(|error| miette!("cannot connect: {error:?}"))?;
        let deadline = Instant::now() + PATIENCE;
        let mut sent: Option<Sent> = None;
        let mut calls = 0;
        let mut idle_ns = 0;
        let mut burst = Vec::with_capacity(MAX_BURST);
        loop {
            let now = self.now();
            let received = self.receive(&mut burst, now);
            while let Some((id, ready)) = self.stack.ready() {
                if id != connection {
                    continue;
                }
                if ready.connected {
                    sent = Some(Sent::since(Instant::now()));
                    (calls, idle_ns) = (0, 0);
                    self.stack.wake(id);
                }
                match ready.closed {
                    Some(levee_tcp::Reason::Finished) if outgoing.is_done() => {
                        let sent = sent.ok_or_else(|| miette!("a connection ended before it began"))?;
                        return Ok(Sent { calls, idle: Duration::from_nanos(idle_ns), ..sent });
                    }
                    Some(reason) => return Err(miette!("the connection ended: {reason:?}")),
                    None => {}
                }
            }
            if std::mem::take(&mut outgoing.starved) {
                self.stack.wake(connection);
            }
            if self.pending.len() < PENDING {
                self.stack.emit(now, outgoing, self.output);
            }
            let frames = self.transmit(&mut calls);
            if outgoing.broken {
                self.stack.abort(connection);
                return Err(miette!("a record could not be sealed"));
            }
            if received + frames == 0 && self.pending.is_empty() {
                idle_ns += self.now().0 - now.0;
                if Instant::now() > deadline {
                    self.stack.abort(connection);
                    return Err(miette!("the connection made no end in {} seconds", PATIENCE.as_secs()));
                }
            }
        }
    }

    fn receive(&mut self, burst: &mut Vec<levee_dpdk::Received>, now: levee_tcp::Instant) -> usize {
        let received = self.rx.burst(burst);
        for frame in burst.drain(..) {
            let checksums = match frame.checksums {
                levee_dpdk::Checksums::Good => Checksums::Good,
                levee_dpdk::Checksums::Unknown => Checksums::Unknown,
                levee_dpdk::Checksums::Bad => Checksums::Bad,
            };
            self.stack.input(0, frame.chain, checksums, now);
        }
        if self.stack.deadline().is_some_and(|due| due <= now) {
            self.stack.on_timeout(now);
        }
        received
    }

    /// Gives the port what it takes, and adds up the driver's system calls: `sendto` for each burst, and
    /// `poll` before it when its ring was full.
    fn transmit(&mut self, calls: &mut u64) -> usize {
        while let Some(frame) = self.output.pop() {
            let offload = TxOffload {
                l2_len: frame.offload.l2_len.into(),
                l3_len: frame.offload.l3_len.into(),
                l4_len: frame.offload.l4_len.into(),
                checksum: frame.offload.checksum,
                tso_mss: frame.offload.tso_mss,
            };
            self.pending.push_back(Frame { chain: frame.chain, offload });
        }
        let mut frames = 0;
        while !self.pending.is_empty() {
            let offered = self.pending.len().min(MAX_BURST);
            let taken = self.tx.burst(self.pending);
            *calls += 1 + u64::from(taken < offered);
            frames += taken;
            if taken < offered {
                break;
            }
        }
        frames
    }

    fn now(&self) -> levee_tcp::Instant {
        levee_tcp::Instant(self.clock.now())
    }
}

/// What is left to send, one record at a time.
struct Outgoing<'a> {
    pool: Pool,
    engine: &'a mut Engine,
    payload: &'a [u8],
    at: usize,
    size: usize,
    sequence: u64,
    /// Bytes copied into packet memory: in Levee itself a device receives them there.
    filled: u64,
    /// Memory ran out: TCP has to be told to ask again.
    starved: bool,
    broken: bool,
}

impl Outgoing<'_> {
    const fn is_done(&self) -> bool {
        self.at == self.payload.len()
    }

    /// The record of `plaintext`; `None` without memory, or when it could not be sealed.
    fn record(&mut self, plaintext: &[u8]) -> Option<Chain> {
        let length = HEADER + plaintext.len() + TAG;
        let Some(mut chain) = self.pool.alloc(length) else {
            self.starved = true;
            return None;
        };
        let header = record::header(plaintext.len());
        let place = chain.extend(length)?;
        place.get_mut(..HEADER)?.copy_from_slice(&header);
        place.get_mut(HEADER..HEADER + plaintext.len())?.copy_from_slice(plaintext);
        self.filled += plaintext.len() as u64;
        let sealed = self.engine.seal(record::nonce(self.sequence), header, chain);
        self.broken |= sealed.is_none();
        sealed
    }
}

impl Seal<Pool> for Outgoing<'_> {
    fn fill(&mut self, _id: ConnId, _room: Room) -> Fill<Chain> {
        let payload = self.payload;
        let rest = payload.get(self.at..).unwrap_or_default();
        let Some(plaintext) = rest.get(..rest.len().min(self.size)).filter(|bytes| !bytes.is_empty()) else {
            return Fill::Finished;
        };
        let Some(record) = self.record(plaintext) else { return Fill::Nothing };
        self.at += plaintext.len();
        self.sequence += 1;
        Fill::Data(record)
    }
}

impl Engine {
    fn software() -> miette::Result<Self> {
        let key = AeadKey::new(Algorithm::Aes128Gcm, &KEY).ok_or_else(|| miette!("not a key"))?;
        let mut aead = SoftwareAead::new(1);
        let session = <SoftwareAead as Aead<Pool>>::open_session(&mut aead, &key);
        Ok(Self::Software(aead, session.ok_or_else(|| miette!("no room for a key"))?))
    }

    fn device(eal: &Eal, pool: &Pool) -> miette::Result<Self> {
        eal.attach(DEVICE).into_diagnostic()?;
        let config = DeviceConfig { sessions: 16, ..DeviceConfig::default() };
        let (device, mut pairs) =
            Device::open(eal, DEVICE, &config, std::slice::from_ref(pool)).into_diagnostic()?;
        let mut pair = pairs.pop().ok_or_else(|| miette!("{DEVICE} has no queue pair"))?;
        let session = pair.open_session(crypto::Algorithm::Aes128Gcm, &KEY);
        let session = session.ok_or_else(|| miette!("{DEVICE} does not do AES-128-GCM in place"))?;
        Ok(Self::Device(Box::new(pair), session, device))
    }

    /// Seals what lies between header and tag, in place.
    fn seal(&mut self, nonce: [u8; 12], header: [u8; HEADER], text: Chain) -> Option<Chain> {
        let at = HEADER..text.len();
        match self {
            Self::Software(aead, session) => {
                let operation = levee_crypto::Operation {
                    session: *session,
                    direction: levee_crypto::Direction::Seal,
                    nonce,
                    aad: Aad::tls13(header),
                    text,
                    at,
                    into: None,
                };
                match <SoftwareAead as Aead<Pool>>::submit(aead, Token(0), operation) {
                    Answer::Now(finished) => finished.is_done().then_some(finished.text),
                    Answer::Later | Answer::Busy(_) => None,
                }
            }
            Self::Device(pair, session, _) => {
                let operation = crypto::Operation {
                    token: 0,
                    session: *session,
                    direction: crypto::Direction::Seal,
                    nonce,
                    aad: crypto::Operation::aad(&header),
                    text,
                    at,
                    into: None,
                };
                let finished = match pair.submit(operation) {
                    crypto::Answer::Now(finished) => finished,
                    crypto::Answer::Later => loop {
                        pair.flush();
                        if let Some(finished) = pair.completed() {
                            break finished;
                        }
                    },
                    crypto::Answer::Busy(_) => return None,
                };
                finished.is_done().then_some(finished.text)
            }
        }
    }
}

/// Levee's own counters of payload that had to be copied.
struct Copies {
    frames: u64,
    linearised: u64,
    records: u64,
}

impl Copies {
    fn of(engine: &Engine, tx: &TxQueue) -> Self {
        let records = match engine {
            Engine::Software(aead, _) => <SoftwareAead as Aead<Pool>>::copied(aead),
            Engine::Device(pair, ..) => pair.counters().linearised,
        };
        let counters = tx.counters();
        Self { frames: counters.frames, linearised: counters.linearised, records }
    }

    /// Bytes of a payload of `bytes` that were copied between two looks: the share of frames that were, and
    /// all of it for each copied record, of which there are none or all.
    fn to(&self, after: &Self, bytes: u64) -> u64 {
        let frames = (after.frames - self.frames).max(1);
        let linearised = bytes * (after.linearised - self.linearised) / frames;
        linearised + if after.records > self.records { bytes } else { 0 }
    }
}

/// What sequence numbers and ports are drawn from: nobody else is on the link.
const KEYS: [u8; 32] = *b"levee-load paper: not a secret!!";
