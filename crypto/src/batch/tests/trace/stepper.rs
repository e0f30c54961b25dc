//! Runs of one operation under several secrets, in step: `compare`.
//!
//! Each run is a process of its own, started without address-space randomisation so that all of them have
//! everything in the same places. Where the code is straight a process runs freely to the end of a block;
//! branches are stepped over one by one. So the whole path is seen, and the address of every operand in
//! memory, and neither a Valgrind that knew AVX-512 nor a CPU that counts is needed.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::libc::user_regs_struct;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::sys::personality::{self, Persona};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::block::{Block, Shown};

/// Names the run to a process that is one.
pub(super) const RUN: &str = "LEVEE_TRACE_RUN";

/// Names what is given to all runs.
pub(super) const GIVEN: &str = "LEVEE_TRACE_GIVEN";

/// What the traces have in common: all of it.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) instructions: u64,
    /// Operands of which the address was compared.
    pub(super) addresses: u64,
}

/// The first step at which the runs part; addresses are those within the executable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leak {
    /// After the instruction at this address they go on at different ones.
    Branch(u64),
    /// The instruction at this address takes an operand from different places.
    Address(u64),
    /// The instruction at this address divides different numbers, or strings of different lengths.
    Operand(u64),
    /// The instruction at this address gathers, or takes the longer the more bits there are.
    Forbidden(u64),
}

/// Runs `test` of this executable `runs` times. It finds its number in [`RUN`], and `given` in [`GIVEN`].
pub(super) fn compare(test: &str, runs: usize, given: &str) -> Result<Trace, Leak> {
    let compare = || Runs::start(test, runs, given).compare();
    thread::scope(|scope| scope.spawn(compare).join().expect("a comparison"))
}

struct Runs {
    runs: Vec<Run>,
    memory: File,
    /// Where the executable begins.
    base: u64,
    /// By address, each with the code behind it.
    blocks: HashMap<u64, (Block, i64)>,
}

struct Run {
    process: Child,
    pid: Pid,
    registers: user_regs_struct,
}

impl Runs {
    /// Brings all runs to their second mark. A tracer is a thread, and all this is its own: personality and CPU.
    fn start(test: &str, runs: usize, given: &str) -> Self {
        let persona = personality::get().expect("a personality");
        personality::set(persona | Persona::ADDR_NO_RANDOMIZE).expect("addresses are not randomised");
        // A process that wakes on another CPU than the one that waits for it costs both a sleep.
        let mut cpu = CpuSet::new();
        cpu.set(sched_getcpu().expect("a CPU")).expect("one of those there are");
        sched_setaffinity(Pid::from_raw(0), &cpu).expect("one CPU is allowed");

        let runs: Vec<Run> = (0..runs).map(|number| Run::start(test, number, given)).collect();
        let pid = runs[0].pid;
        let memory = File::open(format!("/proc/{pid}/mem")).expect("a traced process's memory");
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("a traced process's maps");
        let base = maps.split('-').next().and_then(|base| u64::from_str_radix(base, 16).ok());
        Self { runs, memory, base: base.expect("a map has an address"), blocks: HashMap::new() }
    }

    /// Goes on until all runs reach their third mark.
    fn compare(mut self) -> Result<Trace, Leak> {
        let mut trace = Trace { instructions: 0, addresses: 0 };
        let mut last = 0;
        loop {
            let ip = self.runs[0].registers.rip;
            if self.runs.iter().any(|run| run.registers.rip != ip) {
                return Err(Leak::Branch(last - self.base));
            }
            let memory = &self.memory;
            let pid = self.runs[0].pid;
            let (block, behind) = self.blocks.entry(ip).or_insert_with(|| {
                let mut code = [0; 4096];
                let len = memory.read_at(&mut code, ip).expect("code is readable");
                let block = Block::new(ip, &code[..len]);
                let behind = ptrace::read(pid, block.end as ptrace::AddressType).expect("code is readable");
                (block, behind)
            });
            if let Some(at) = block.forbidden {
                return Err(Leak::Forbidden(at - self.base));
            }
            for (at, shown) in &block.shown {
                let number = shown.number(&self.runs[0].registers);
                if self.runs.iter().any(|run| shown.number(&run.registers) != number) {
                    return Err(match shown {
                        Shown::Address(_) => Leak::Address(at - self.base),
                        Shown::Operand(_) => Leak::Operand(at - self.base),
                    });
                }
            }
            trace.instructions += block.instructions;
            trace.addresses += block.shown.len() as u64;
            let marked = self.runs.iter_mut().map(|run| match block.is_branch || block.is_step {
                true => run.step(),
                false => run.go_to(block.end, *behind),
            });
            let marked = marked.filter(|&marked| marked).count();
            match marked {
                0 if block.is_branch => last = ip,
                0 => {}
                all if all == self.runs.len() => return Ok(trace),
                _ => return Err(Leak::Branch(last - self.base)),
            }
        }
    }
}

impl Run {
    fn start(test: &str, number: usize, given: &str) -> Self {
        let process = Command::new("/proc/self/exe")
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env_clear()
            .env(RUN, number.to_string())
            .env(GIVEN, given)
            .stdout(Stdio::null())
            .spawn()
            .expect("this executable runs again");
        // It is a thread of the process that runs the test and is traced.
        let stopped = waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD));
        let Ok(WaitStatus::Stopped(pid, Signal::SIGSTOP)) = stopped else {
            panic!("{test} has not come to its first mark: {stopped:?}")
        };
        ptrace::setoptions(pid, ptrace::Options::PTRACE_O_EXITKILL).expect("a traced process");
        // The first thread has started this one, and may still free what it took for that. It sleeps when it
        // has done so, and from then on the heap of each run is the same.
        let first = format!("/proc/{}/stat", process.id());
        while !fs::read_to_string(&first).expect("a process's state").contains(") S ") {
            thread::yield_now();
        }
        ptrace::cont(pid, None).expect("a traced process");
        let (registers, marked) = wait(pid);
        assert!(marked, "{test} comes to its second mark");
        Self { process, pid, registers }
    }

    /// One instruction; whether there was a mark before the next.
    fn step(&mut self) -> bool {
        ptrace::step(self.pid, None).expect("a traced process");
        self.wait()
    }

    /// Up to `address`, where `code` stands and which the process reaches without a branch; whether there was a mark
    /// before.
    fn go_to(&mut self, address: u64, code: i64) -> bool {
        const BREAKPOINT: i64 = 0xcc;
        let place = address as ptrace::AddressType;
        ptrace::write(self.pid, place, code & !0xff | BREAKPOINT).expect("a tracer writes to code");
        ptrace::cont(self.pid, None).expect("a traced process");
        let marked = self.wait();
        ptrace::write(self.pid, place, code).expect("a tracer writes to code");
        if !marked {
            let (found, wanted) = (self.registers.rip, address + 1);
            assert_eq!(found, wanted, "a block of {address:#x} ends there");
            self.registers.rip = address;
            ptrace::setregs(self.pid, self.registers).expect("a traced process");
        }
        marked
    }

    fn wait(&mut self) -> bool {
        let marked;
        (self.registers, marked) = wait(self.pid);
        marked
    }
}

/// Waits for the process to stop; its registers, and whether it stopped itself, as it does at its marks.
fn wait(pid: Pid) -> (user_regs_struct, bool) {
    let marked = match waitpid(pid, Some(WaitPidFlag::__WALL)) {
        Ok(WaitStatus::Stopped(_, Signal::SIGTRAP)) => false,
        Ok(WaitStatus::Stopped(_, Signal::SIGSTOP)) => true,
        other => panic!("a traced process ended: {other:?}"),
    };
    (ptrace::getregs(pid).expect("a traced process"), marked)
}

impl Drop for Run {
    fn drop(&mut self) {
        // It may have ended. A process ends after its threads, and a traced one of these for its tracer.
        let _ = self.process.kill();
        let _ = waitpid(self.pid, Some(WaitPidFlag::__WALL));
        let _ = self.process.wait();
    }
}
