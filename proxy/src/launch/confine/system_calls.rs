//! The system calls that are left to a process that serves: `filter`.

use std::collections::BTreeMap;

use libc::{CLONE_THREAD, PROT_EXEC};
use miette::{IntoDiagnostic, miette};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Has the kernel refuse (EPERM) all system calls but those in this file, to all threads, for good.
pub(super) fn filter() -> miette::Result<()> {
    // The C library asks for clone3, whose flags a filter cannot see, and takes clone where there is none.
    let clone3 = (libc::SYS_clone3, Vec::new());
    let missing = SeccompAction::Errno(error_number(libc::ENOSYS));
    let hidden = program(BTreeMap::from([clone3]), SeccompAction::Allow, missing)?;
    let allowed = program(allowed()?, SeccompAction::Errno(error_number(libc::EPERM)), SeccompAction::Allow)?;
    for program in [hidden, allowed] {
        seccompiler::apply_filter_all_threads(&program).into_diagnostic()?;
    }
    Ok(())
}

fn program(
    calls: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    then: SeccompAction,
) -> miette::Result<BpfProgram> {
    SeccompFilter::new(calls, otherwise, then, TargetArch::x86_64)
        .and_then(BpfProgram::try_from)
        .map_err(|error| miette!("the filter cannot be built: {error}"))
}

fn error_number(error: i32) -> u32 {
    u32::try_from(error).unwrap_or_default()
}

fn allowed() -> miette::Result<BTreeMap<i64, Vec<SeccompRule>>> {
    let mut calls: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|&call| (call, Vec::new())).collect();
    // Threads, not processes.
    let thread = u64::from(error_number(CLONE_THREAD));
    calls.insert(libc::SYS_clone, only(0, thread, thread)?);
    // Memory, not code.
    let executable = u64::from(error_number(PROT_EXEC));
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        calls.insert(call, only(2, executable, 0)?);
    }
    Ok(calls)
}

/// Where an argument has these bits under a mask.
fn only(argument: u8, mask: u64, bits: u64) -> miette::Result<Vec<SeccompRule>> {
    let condition = SeccompCondition::new(argument, Len::Qword, SeccompCmpOp::MaskedEq(mask), bits);
    let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
    Ok(vec![rule.map_err(|error| miette!("the filter cannot be built: {error}"))?])
}

/// What the Rust runtime, the C library, EAL's threads and the drivers' ways to their devices call.
const ALLOWED: &[i64] = &[
    // Frames.
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_ioctl,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_epoll_create,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    // Sockets: memif connects again, links are asked for their state.
    libc::SYS_socket,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    // Files: logs, what the system says of its devices.
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_getdents64,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_memfd_create,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy,
    libc::SYS_mbind,
    // Threads.
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_getcpu,
    libc::SYS_membarrier,
    libc::SYS_prctl,
    // A thread gives its capabilities up.
    libc::SYS_capget,
    libc::SYS_capset,
    // Signals, to this process alone.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_restart_syscall,
    // Time and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_getrandom,
    // What the system is.
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_prlimit64,
    libc::SYS_geteuid,
    libc::SYS_getuid,
];
