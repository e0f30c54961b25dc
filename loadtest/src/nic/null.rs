//! The rows without a client: frames out of and into `net_null`, a device that costs next to nothing.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use levee_buf::{Chain as _, Memory as _};
use levee_dpdk::{Clock, Eal, Frame, Pool, TxOffload};
use miette::{IntoDiagnostic, miette};

use super::row::stages;
use super::server;
use super::{Measured, Options};
use crate::device::{self, Started};
use crate::handshake::command::nanoseconds;
use crate::report::Machine;

const RECEIVE: &str = "frame received and dropped (net_null)";
const TRANSMIT: &str = "frame sent (net_null)";

/// The names of the rows.
pub(super) const NAMES: [&str; 2] = [RECEIVE, TRANSMIT];

/// Bytes of a frame of `net_null`.
const FRAME: usize = 64;

/// Measures one row in this process.
///
/// # Errors
/// Anything that could not be started.
pub(super) fn measure(name: &str, options: &Options) -> miette::Result<Measured> {
    let device = format!("net_null0,size={FRAME}");
    let eal = device::start(&options.memory(), &[&device], options.cpu)?;
    if name == RECEIVE { receive(&eal, options) } else { transmit(&eal, &device, options) }
}

/// A worker whose port has a frame of zeros at any time: received, looked at, dropped with a reason.
fn receive(eal: &Eal, options: &Options) -> miette::Result<Measured> {
    let server = server::start(eal, &["net_null0"], options.server_cpu, options.memory / 2)?;
    thread::sleep(Duration::from_secs_f64(options.seconds));
    let report = server.stop()?.report;
    let cycles = report.cycles.ok_or_else(|| miette!("the worker counted no cycles"))?;
    let frames = report.counters.get("frames_received").copied().unwrap_or_default() as f64;
    let dropped = report.counters.get("tcp.frames_in").copied().unwrap_or_default() as f64;
    if dropped < frames {
        return Err(miette!("{frames} frames were received and {dropped} looked at"));
    }
    let (busy, seconds) = (cycles.busy as f64, cycles.total as f64 / cycles.hz as f64);
    let server_busy = cycles.busy as f64 / cycles.total.max(1) as f64;
    Ok(Measured {
        row: RECEIVE.to_owned(),
        unit: "frames".to_owned(),
        per_second: frames / seconds,
        cycles_per_unit: busy / frames.max(1.0),
        cycles_per_frame: busy / frames.max(1.0),
        cycles_per_byte: busy / frames.max(1.0) / FRAME as f64,
        generator_cycles_per_unit: 0.0,
        stages: stages(&cycles),
        server_busy,
        generator_busy: 0.0,
        limited_by: Measured::limit(server_busy, 0.0),
        hz: cycles.hz,
        machine: Machine::here(),
    })
}

/// Frames of packet memory taken, filled, given to the device and back in memory: what sending costs at
/// the least.
fn transmit(eal: &Eal, device: &str, options: &Options) -> miette::Result<Measured> {
    let pool = device::pool(eal, "null", options.memory / 2)?;
    let Started { port, mut queues, .. } = device::open(eal, device, 1500, &pool, false)?;
    let mut tx = queues.tx.remove(0);
    let clock = Clock::new(eal);
    let lasts_ns = nanoseconds(options.seconds);
    let body = move || {
        let mut frames = VecDeque::new();
        let (start, mut sent) = (clock.cycles(), 0_u64);
        while clock.nanoseconds(clock.cycles() - start) < lasts_ns {
            frames.extend(std::iter::repeat_with(|| frame(&pool)).take(64).flatten());
            while !frames.is_empty() {
                match tx.burst(&mut frames) {
                    0 => break,
                    taken => sent += taken as u64,
                }
            }
        }
        (clock.cycles() - start, sent)
    };
    let lane = eal.launch(options.server_cpu, "null", body).into_diagnostic()?;
    let (busy, sent) = lane.join().map_err(|_| miette!("the run panicked"))?;
    drop((queues, port));
    if sent == 0 {
        return Err(miette!("no frame was sent"));
    }
    let each = busy as f64 / sent as f64;
    Ok(Measured {
        row: TRANSMIT.to_owned(),
        unit: "frames".to_owned(),
        per_second: clock.hz() as f64 / each,
        cycles_per_unit: each,
        cycles_per_frame: each,
        cycles_per_byte: each / FRAME as f64,
        generator_cycles_per_unit: 0.0,
        stages: Vec::new(),
        server_busy: 1.0,
        generator_busy: 0.0,
        limited_by: Measured::limit(1.0, 0.0),
        hz: clock.hz(),
        machine: Machine::here(),
    })
}

fn frame(pool: &Pool) -> Option<Frame> {
    let mut chain = pool.alloc(FRAME)?;
    chain.extend(FRAME)?.fill(0);
    Some(Frame { chain, offload: TxOffload::default() })
}
