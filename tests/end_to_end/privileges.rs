//! What Levee may still do once it serves: next to nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use levee_tests::{Client, Site, Tls, Version, pattern};
use nix::libc::{self, user_regs_struct};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, User};

/// The fields of `status` of each thread.
fn threads(pid: Pid) -> Vec<BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let status = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("status")).expect("the thread is there");
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
        };
        text.lines().filter_map(field).collect()
    };
    tasks.map(|task| status(task.expect("a thread"))).collect()
}

/// The user that Levee becomes by itself here.
fn user() -> User {
    let named = |name| User::from_name(name).expect("users can be looked up");
    named("levee").or_else(|| named("nobody")).expect("every Debian has nobody")
}

fn serves(site: &Site) {
    for version in [Version::Tls13, Version::Tls12] {
        let mut client = Client::connect(site, Tls { version, ..Tls::default() });
        assert_eq!(client.get("/bytes/100000").unwrap().body, pattern(100_000));
        client.close().unwrap();
    }
}

/// By itself, and each thread: EAL's too.
#[test]
fn rights_are_given_up() {
    let mut site = Site::with(|config| {
        config.set("workers.lcores", vec![0, 1]);
    });
    serves(&site);
    let pid = site.levee().id();
    let user = user();
    let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
    let threads = threads(pid);
    assert!(threads.len() >= 4, "the main thread, two workers, EAL's: {}", threads.len());
    for thread in threads {
        let four = |id: &str| [id; 4].join(" ");
        assert_eq!((&thread["Uid"], &thread["Gid"]), (&four(&uid), &four(&gid)), "{}", thread["Name"]);
        assert_eq!(thread["Groups"], gid, "{}", thread["Name"]);
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(u64::from_str_radix(&thread[set], 16), Ok(0), "{set} of {}", thread["Name"]);
        }
        assert_eq!((&*thread["NoNewPrivs"], &*thread["Seccomp"]), ("1", "2"), "{}", thread["Name"]);
        let kib = thread["VmLck"].strip_suffix(" kB").and_then(|text| text.parse::<u64>().ok());
        assert!(kib.is_some_and(|kib| kib > 10_000), "locked: {}", thread["VmLck"]);
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("the process runs");
    let core =
        limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit is there");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    // Who cannot be dumped belongs to root there (proc(5)).
    let owner = fs::metadata(format!("/proc/{pid}/environ")).expect("the process runs").uid();
    assert_eq!(owner, 0);
    site.finish();
}

/// What the configuration leaves stays.
#[test]
fn rights_are_kept() {
    let mut site = Site::with(|config| {
        config.set("process.user", "root").set("process.filter_system_calls", false);
        config.set("process.lock_memory", false).set("process.core_dumps", true);
    });
    serves(&site);
    for thread in threads(site.levee().id()) {
        assert_eq!((&*thread["Uid"], &*thread["Seccomp"]), ("0 0 0 0", "0"), "{}", thread["Name"]);
    }
    site.finish();
}

/// What is written while serving goes to files that were opened before.
#[test]
fn logs_are_written_all_the_same() {
    let site = Site::with(|config| {
        config.set("log.access", "access.log");
    });
    serves(&site);
    let path = site.directory().join("access.log");
    let metadata = fs::metadata(&path).expect("the log is there");
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o600));
    site.finish();
}

/// Memory that can be written never becomes code, whichever thread asks: a debugger has each ask the kernel.
#[test]
fn no_memory_becomes_code() {
    const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;
    const REFUSED: i64 = -libc::EPERM as i64;
    let mut site = Site::with(|config| {
        config.set("workers.lcores", vec![0, 1]);
    });
    serves(&site);
    let pid = site.levee().id();
    let memory = || fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process runs");
    let is_both = |line: &str| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rwx"));
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let threads: Vec<Pid> = tasks
        .filter_map(|task| task.expect("a thread").file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .collect();
    assert!(threads.len() >= 4, "the main thread, two workers, EAL's: {}", threads.len());
    let instruction = threads.iter().find_map(|&thread| Stopped::new(thread).instruction());
    let instruction = instruction.expect("a thread waits in a system call");
    for thread in threads {
        let stopped = Stopped::new(thread);
        let call = |number, arguments| stopped.call(instruction, number, arguments);
        let map = |rights: i32| {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            call(libc::SYS_mmap, [0, 4096, rights.into(), flags.into(), -1, 0])
        };
        assert_eq!(map(RW | libc::PROT_EXEC), REFUSED);
        assert_eq!(map(libc::PROT_READ | libc::PROT_EXEC), REFUSED);
        let page = map(RW);
        assert!(page > 0, "memory without code is there: {page}");
        let protect = |rights: i32| call(libc::SYS_mprotect, [page, 4096, rights.into(), 0, 0, 0]);
        assert_eq!(protect(libc::PROT_READ | libc::PROT_EXEC), REFUSED);
        assert_eq!(protect(libc::PROT_EXEC), REFUSED);
        assert_eq!(protect(libc::PROT_READ), 0);
        let executable = libc::PROT_EXEC.into();
        assert_eq!(call(libc::SYS_pkey_mprotect, [page, 4096, executable, -1, 0, 0]), REFUSED);
        // With it, what can be read could be run.
        assert_eq!(call(libc::SYS_personality, [libc::READ_IMPLIES_EXEC.into(), 0, 0, 0, 0, 0]), REFUSED);
        assert_eq!(protect(RW), 0);
        assert!(!memory().lines().any(is_both), "{}", memory());
        assert_eq!(call(libc::SYS_munmap, [page, 4096, 0, 0, 0, 0]), 0);
    }
    serves(&site);
    site.finish();
}

/// A thread that a debugger has stopped; it goes on when this is dropped.
struct Stopped {
    thread: Pid,
    registers: user_regs_struct,
}

impl Stopped {
    fn new(thread: Pid) -> Self {
        ptrace::attach(thread).expect("root may trace");
        waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it stops");
        Self { thread, registers: ptrace::getregs(thread).expect("it has stopped") }
    }

    /// Where the instruction is by which the thread called the kernel, if it is waiting for that.
    fn instruction(&self) -> Option<u64> {
        const SYSCALL: [u8; 2] = [0x0f, 0x05];
        let at = self.registers.rip - 2;
        let word = ptrace::read(self.thread, at as ptrace::AddressType).ok()?;
        word.to_le_bytes().starts_with(&SYSCALL).then_some(at)
    }

    /// Has the thread call the kernel by the instruction at `at`.
    fn call(&self, at: u64, number: i64, arguments: [i64; 6]) -> i64 {
        let [rdi, rsi, rdx, r10, r8, r9] = arguments.map(i64::cast_unsigned);
        let rax = number.cast_unsigned();
        // Not in a call that would have to be begun again.
        let orig_rax = u64::MAX;
        let registers =
            user_regs_struct { rip: at, rax, orig_rax, rdi, rsi, rdx, r10, r8, r9, ..self.registers };
        ptrace::setregs(self.thread, registers).expect("it has stopped");
        ptrace::step(self.thread, None).expect("it has stopped");
        let status = waitpid(self.thread, Some(WaitPidFlag::__WALL)).expect("it is traced");
        assert_eq!(status, WaitStatus::Stopped(self.thread, Signal::SIGTRAP));
        ptrace::getregs(self.thread).expect("it has stopped").rax.cast_signed()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = ptrace::setregs(self.thread, self.registers);
        let _ = ptrace::detach(self.thread, None);
    }
}
