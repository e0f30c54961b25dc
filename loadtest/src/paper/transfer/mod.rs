//! Encrypt and transfer 100 MB in writes of 4, 8 and 16 KiB, by five ways to the same receiver.
//!
//! The paper let user space, `/dev/crypto` and the socket layer encrypt. The ways here:
//!
//! | way | who seals | copies of a payload byte | system calls a buffer |
//! |---|---|---|---|
//! | user space | aws-lc-rs, into the record | into the socket | `send` |
//! | kernel API | `AF_ALG` | into the kernel, to where it is sealed, into the socket | `sendmsg`, `read`, `send` |
//! | kernel API, splice | `AF_ALG` | to where it is sealed | `sendmsg`, `vmsplice`, 3 `splice` |
//! | Levee, software | `levee_crypto`, in packet memory | into packet memory, into the driver's ring | see below |
//! | Levee, `aesni_gcm` | DPDK's device, in packet memory | the same | see below |
//!
//! A copy counts from the payload in the application's memory to what the link takes: sealing is none, and
//! neither is what the receiver does. A veth hands the kernel's buffers over as they are. Of Levee's two
//! copies, the first is a device's work in production, which receives the payload into packet memory, and the
//! second is `net_af_packet`'s, which a network card does not need: between them, where Levee's own counters
//! look, there is none. The driver calls `sendto` for a burst of up to 64 frames, so the calls a buffer are
//! counted as they happen; `strace -f -e trace=sendto,poll` counts the same ones, and those that connect.
//!
//! The sender runs on one CPU and the receiver on another, each with the kernel's receive work for its side.
//! Levee polls: its CPU time is the time of the run, of which `busy` was not spent waiting.

mod kernel;
mod lab;
mod receiver;
mod record;
mod stack;
mod userspace;

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use miette::{Context, IntoDiagnostic, miette};
use nix::sched::CpuSet;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde::Serialize;

use super::pin;
use super::spread::Spread;
use crate::device::Memory;
use crate::pattern;
use kernel::KernelApi;
use receiver::Receiver;
use stack::{Levee, Sealer};
use userspace::UserSpace;

/// What to transfer.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Bytes of payload.
    pub bytes: usize,
    /// Bytes of a write, each at most 2^14.
    pub sizes: Vec<usize>,
    /// How often; the ways take turns.
    pub rounds: usize,
    /// The sender's CPU; the receiver takes another one.
    pub cpu: usize,
    /// Packet memory.
    pub memory: Memory,
}

/// Who encrypts and who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A library in user space, and a socket.
    UserSpace,
    /// The kernel's crypto API, and a socket.
    KernelApi,
    /// The same without copies between user space and the kernel.
    KernelSplice,
    /// Levee's stack and its own AEAD.
    LeveeSoftware,
    /// Levee's stack and DPDK's `crypto_aesni_gcm`.
    LeveeDevice,
}

/// The table: a row for each way, setting and size.
#[derive(Clone, Debug, Serialize)]
pub struct Transfer {
    /// Bytes of payload of each run.
    pub bytes: usize,
    /// Runs behind each row.
    pub rounds: usize,
    /// What was measured.
    pub rows: Vec<Row>,
    /// What could not be.
    pub failures: Vec<Failure>,
}

/// One way, setting and size. All numbers but the spread are means of the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Who encrypts and who sends.
    pub way: Way,
    /// The kernel cuts, joins and checksums segments as veth lets it.
    pub offloads: bool,
    /// Bytes of a write.
    pub size: usize,
    /// From the connection to the last byte at the receiver.
    pub seconds: Spread,
    /// 10^6 bytes of payload a second, of the median.
    pub megabytes_per_second: f64,
    /// Copies of each byte of payload.
    pub copies: f64,
    /// System calls for each write's worth of payload.
    pub calls_per_buffer: f64,
    /// Segments sent again: what a queue of the links had no room for.
    pub resent: f64,
    /// CPU seconds of the sending thread.
    pub cpu_seconds: f64,
    /// Of these, with something to do: all, but for who polls.
    pub busy_seconds: f64,
    /// Seconds in which the sender's CPU was not idle, the kernel's interrupt work included; in hundredths.
    pub core_seconds: f64,
}

/// A way that does not work here.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Which one.
    pub way: Way,
    /// Why, in the words of who refused.
    pub why: String,
}

/// Transfers, and looks at every byte that arrived.
///
/// # Errors
/// The laboratory could not be built, or what arrived was not what was sent. A way that the machine cannot
/// go is no error, but a [`Failure`].
pub fn measure(plan: &Plan) -> miette::Result<Transfer> {
    if let Some(size) = plan.sizes.iter().find(|size| !(1 << 10..=record::MOST).contains(*size)) {
        return Err(miette!("a write of {size} bytes: records have 1024 to {} here", record::MOST));
    }
    let plan = plan.clone();
    // Not the calling thread, which would be left in another namespace.
    let sender = thread::Builder::new()
        .name("lvpaper-send".into())
        .spawn(move || Bench::build(plan)?.measure())
        .into_diagnostic()?;
    sender.join().map_err(|_| miette!("the sender panicked"))?
}

/// What one transfer took from the sender.
struct Sent {
    /// When the connection was there.
    started: Instant,
    calls: u64,
    copied: u64,
    /// Segments that Levee's TCP sent again; the kernel counts its own.
    resent: u64,
    /// Of a thread that polls: how long it found nothing to do.
    idle: Duration,
}

impl Sent {
    const fn since(started: Instant) -> Self {
        Self { started, calls: 0, copied: 0, resent: 0, idle: Duration::ZERO }
    }
}

/// The laboratory and the ways through it.
struct Bench {
    plan: Plan,
    payload: Arc<[u8]>,
    receiver: Receiver,
    user: UserSpace,
    kernel: Result<KernelApi, String>,
    levee: Levee,
}

/// A way and its setting.
type Case = (Way, bool, usize);

/// One run of a [`Case`].
#[derive(Clone, Copy)]
struct Run {
    seconds: f64,
    copies: f64,
    calls: f64,
    resent: f64,
    cpu: f64,
    busy: f64,
    core: f64,
}

impl Bench {
    fn build(plan: Plan) -> miette::Result<Self> {
        let mut payload = Vec::with_capacity(plan.bytes);
        pattern::write(&mut payload, plan.bytes as u64).into_diagnostic()?;
        let payload: Arc<[u8]> = payload.into();
        let other = other_cpu(plan.cpu)?;
        pin(plan.cpu)?;
        lab::leave()?;
        let receiver = Receiver::start(Arc::clone(&payload), other)?;
        lab::link_to(receiver.thread(), plan.cpu)?;
        receiver.accept_links()?;
        let levee = Levee::open(&plan.memory, plan.cpu)?;
        let kernel = KernelApi::open().map_err(|error| format!("AF_ALG gcm(aes): {error}"));
        Ok(Self { plan, payload, receiver, user: UserSpace::new(), kernel, levee })
    }

    fn measure(mut self) -> miette::Result<Transfer> {
        let mut runs: Vec<(Case, Vec<Run>)> = Vec::new();
        let mut failures: Vec<Failure> = Vec::new();
        for _ in 0..self.plan.rounds {
            for offloads in [false, true] {
                lab::offload_near(offloads)?;
                self.receiver.offload(offloads)?;
                for size in self.plan.sizes.clone() {
                    for way in Way::ALL {
                        if failures.iter().any(|failure| failure.way == way) {
                            continue;
                        }
                        match self.run(way, size)? {
                            Ok(run) => note(&mut runs, (way, offloads, size), run),
                            Err(why) => failures.push(Failure { way, why }),
                        }
                    }
                }
            }
        }
        runs.sort_by_key(|((way, offloads, size), _)| (*offloads, *size, *way as usize));
        let rows = runs.into_iter().map(|(case, runs)| Row::of(case, &runs, self.plan.bytes)).collect();
        Ok(Transfer { bytes: self.plan.bytes, rounds: self.plan.rounds, rows, failures })
    }

    /// One run, or why this way cannot be gone.
    fn run(&mut self, way: Way, size: usize) -> miette::Result<Result<Run, String>> {
        if let (Way::KernelApi | Way::KernelSplice, Err(why)) = (way, &self.kernel) {
            return Ok(Err(why.clone()));
        }
        let to = self.receiver.expect(way.link(), size)?;
        let (cpu, core) = (thread_seconds()?, core_seconds(self.plan.cpu)?);
        let resent = kernel_resent()?;
        let sent = self.send(way, to, size);
        let ended = self.receiver.ended();
        let (cpu, core) = (thread_seconds()? - cpu, core_seconds(self.plan.cpu)? - core);
        let sent = match sent {
            Ok(sent) => sent,
            Err(error) if ended.is_err() => return Ok(Err(error.to_string())),
            Err(error) => {
                self.receiver.verified()?;
                return Ok(Err(error.to_string()));
            }
        };
        let ended = ended?;
        self.receiver.verified().wrap_err_with(|| format!("what came by {} is wrong", way.name()))?;
        let buffers = self.payload.len().div_ceil(size);
        Ok(Ok(Run {
            seconds: ended.saturating_duration_since(sent.started).as_secs_f64(),
            copies: ratio(sent.copied, self.payload.len()),
            calls: ratio(sent.calls, buffers),
            resent: (sent.resent + kernel_resent()? - resent) as f64,
            cpu,
            busy: (cpu - sent.idle.as_secs_f64()).max(0.0),
            core,
        }))
    }

    fn send(&mut self, way: Way, to: std::net::SocketAddr, size: usize) -> miette::Result<Sent> {
        let payload = &self.payload;
        match (way, &mut self.kernel) {
            (Way::UserSpace, _) => self.user.send(to, payload, size).into_diagnostic(),
            (Way::KernelApi, Ok(kernel)) => kernel.send(to, payload, size).into_diagnostic(),
            (Way::KernelSplice, Ok(kernel)) => kernel.splice(to, payload, size).into_diagnostic(),
            (Way::KernelApi | Way::KernelSplice, Err(why)) => Err(miette!("{why}")),
            (Way::LeveeSoftware, _) => self.levee.send(Sealer::Software, to, payload, size),
            (Way::LeveeDevice, _) => self.levee.send(Sealer::Device, to, payload, size),
        }
    }
}

impl Way {
    /// All, in the order of the table.
    pub const ALL: [Self; 5] =
        [Self::UserSpace, Self::KernelApi, Self::KernelSplice, Self::LeveeSoftware, Self::LeveeDevice];

    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserSpace => "user space",
            Self::KernelApi => "kernel API",
            Self::KernelSplice => "kernel API, splice",
            Self::LeveeSoftware => "Levee, software",
            Self::LeveeDevice => "Levee, aesni_gcm",
        }
    }

    const fn link(self) -> lab::Link {
        match self {
            Self::UserSpace | Self::KernelApi | Self::KernelSplice => lab::SOCKETS,
            Self::LeveeSoftware | Self::LeveeDevice => lab::PORT,
        }
    }
}

impl Row {
    fn of((way, offloads, size): Case, runs: &[Run], bytes: usize) -> Self {
        let mean = |of: fn(&Run) -> f64| runs.iter().map(of).sum::<f64>() / runs.len().max(1) as f64;
        let seconds = Spread::of(runs.iter().map(|run| run.seconds));
        Self {
            way,
            offloads,
            size,
            megabytes_per_second: bytes as f64 / 1e6 / seconds.median,
            seconds,
            copies: mean(|run| run.copies),
            calls_per_buffer: mean(|run| run.calls),
            resent: mean(|run| run.resent),
            cpu_seconds: mean(|run| run.cpu),
            busy_seconds: mean(|run| run.busy),
            core_seconds: mean(|run| run.core),
        }
    }
}

impl Transfer {
    /// Of 1: how much of the time of user space, under the same conditions, `row` does without. The paper's
    /// second table.
    #[must_use]
    pub fn saved(&self, row: &Row) -> Option<f64> {
        let same = |user: &&Row| {
            user.way == Way::UserSpace && (user.offloads, user.size) == (row.offloads, row.size)
        };
        let user = self.rows.iter().find(same)?;
        Some(1.0 - row.seconds.median / user.seconds.median)
    }

    /// The table as lines of cells, its head first.
    #[must_use]
    pub fn cells(&self) -> Vec<Vec<String>> {
        let head = [
            "way",
            "offloads",
            "buffer",
            "seconds",
            "least",
            "most",
            "MB/s",
            "saved %",
            "copies",
            "calls/buffer",
            "resent",
            "CPU s",
            "busy s",
            "core s",
        ];
        let mut lines = vec![head.map(str::to_owned).to_vec()];
        lines.extend(self.rows.iter().map(|row| {
            vec![
                row.way.name().to_owned(),
                if row.offloads { "on" } else { "off" }.to_owned(),
                format!("{} KiB", row.size >> 10),
                format!("{:.3}", row.seconds.median),
                format!("{:.3}", row.seconds.min),
                format!("{:.3}", row.seconds.max),
                format!("{:.0}", row.megabytes_per_second),
                self.saved(row).map_or_else(|| "-".into(), |saved| format!("{:.0}", 100.0 * saved)),
                format!("{:.2}", row.copies),
                format!("{:.2}", row.calls_per_buffer),
                format!("{:.0}", row.resent),
                format!("{:.3}", row.cpu_seconds),
                format!("{:.3}", row.busy_seconds),
                format!("{:.2}", row.core_seconds),
            ]
        }));
        lines
    }
}

fn note(runs: &mut Vec<(Case, Vec<Run>)>, case: Case, run: Run) {
    match runs.iter_mut().find(|(known, _)| *known == case) {
        Some((_, runs)) => runs.push(run),
        None => runs.push((case, vec![run])),
    }
}

fn ratio(part: u64, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// A CPU for the receiver.
fn other_cpu(cpu: usize) -> miette::Result<usize> {
    let allowed = nix::sched::sched_getaffinity(Pid::from_raw(0)).into_diagnostic()?;
    (0..CpuSet::count())
        .find(|&other| other != cpu && allowed.is_set(other).unwrap_or(false))
        .ok_or_else(|| miette!("the receiver needs a CPU besides the sender's"))
}

fn thread_seconds() -> miette::Result<f64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).into_diagnostic()?;
    Ok(Duration::from(time).as_secs_f64())
}

fn core_seconds(cpu: usize) -> miette::Result<f64> {
    let text = fs::read_to_string("/proc/stat").into_diagnostic()?;
    busy_ticks(&text, cpu)
        .map(|ticks| ticks as f64 / TICKS)
        .ok_or_else(|| miette!("/proc/stat says nothing of CPU {cpu}"))
}

/// Ticks a second of /proc/stat, whatever the kernel's own clock (`USER_HZ` on x86-64 and ARM64).
const TICKS: f64 = 100.0;

/// Ticks in user mode, in the kernel, and in its interrupts: all but idle, waiting for IO, and stolen ones.
fn busy_ticks(stat: &str, cpu: usize) -> Option<u64> {
    let name = format!("cpu{cpu}");
    let mut fields = stat
        .lines()
        .map(str::split_whitespace)
        .find_map(|mut line| (line.next() == Some(name.as_str())).then_some(line))?;
    let mut tick = || fields.next()?.parse::<u64>().ok();
    let (user, nice, system) = (tick()?, tick()?, tick()?);
    let (_idle, _io, interrupt, soft) = (tick()?, tick()?, tick()?, tick()?);
    Some(user + nice + system + interrupt + soft)
}

/// Segments that the kernel of this thread's namespace has sent again.
fn kernel_resent() -> miette::Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/net/snmp").into_diagnostic()?;
    tcp_counter(&text, "RetransSegs").ok_or_else(|| miette!("the kernel counts no segments sent again"))
}

/// A counter of the two lines, names and values, that begin with `Tcp:`.
fn tcp_counter(snmp: &str, name: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let (_, value) = names.split(' ').zip(values.split(' ')).find(|(known, _)| *known == name)?;
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_name() {
        let snmp =
            "Ip: Forwarding\nIp: 2\nTcp: RtoMin MaxConn RetransSegs\nTcp: 200 -1 17\nUdp: InErrors\nUdp: 0\n";
        assert_eq!(tcp_counter(snmp, "RetransSegs"), Some(17));
        assert_eq!(tcp_counter(snmp, "Forwarding"), None);
    }

    #[test]
    fn ticks_are_those_of_one_cpu_without_the_idle_ones() {
        let stat =
            "cpu  9 9 9 9 9 9 9 9 0 0\ncpu1 1 2 4 800 16 32 64 128 0 0\ncpu10 5 0 0 0 0 0 0 0 0 0\nintr 1";
        assert_eq!(busy_ticks(stat, 1), Some(1 + 2 + 4 + 32 + 64));
        assert_eq!(busy_ticks(stat, 10), Some(5));
        assert_eq!(busy_ticks(stat, 0), None);
    }

    #[test]
    fn a_row_is_of_its_runs() {
        let run = |seconds, copies| Run {
            seconds,
            copies,
            calls: 1.0,
            resent: 0.0,
            cpu: 0.5,
            busy: 0.25,
            core: 1.0,
        };
        let mut runs = Vec::new();
        let case = (Way::UserSpace, false, 4096);
        note(&mut runs, case, run(2.0, 2.0));
        note(&mut runs, (Way::KernelApi, false, 4096), run(9.0, 3.0));
        note(&mut runs, case, run(1.0, 4.0));
        note(&mut runs, case, run(4.0, 3.0));
        assert_eq!(runs.len(), 2);
        let row = Row::of(case, &runs[0].1, 100_000_000);
        assert_eq!((row.seconds.min, row.seconds.median, row.seconds.max), (1.0, 2.0, 4.0));
        assert_eq!((row.megabytes_per_second, row.copies), (50.0, 3.0));
        let faster = Row::of((Way::LeveeSoftware, false, 4096), &[run(1.5, 2.0)], 100_000_000);
        let elsewhere = Row::of((Way::LeveeSoftware, true, 4096), &[run(1.5, 2.0)], 100_000_000);
        let table =
            Transfer { bytes: 1, rounds: 1, rows: vec![row, faster, elsewhere], failures: Vec::new() };
        assert_eq!(table.saved(&table.rows[1]), Some(0.25));
        assert_eq!(table.saved(&table.rows[2]), None);
        assert!(table.cells().iter().all(|line| line.len() == table.cells()[0].len()));
    }
}
