//! What is given up is for good: each test does it in a process of its own.

use std::fs;
use std::io::{self, ErrorKind};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Uid, chroot, getppid, setuid};

use super::*;
use crate::testing::in_a_process;

fn refused<T>(result: nix::Result<T>) -> bool {
    result.err() == Some(nix::Error::EPERM)
}

#[test]
fn system_calls_beyond_serving_are_refused() {
    in_a_process("launch::confine::tests::system_calls_beyond_serving_are_refused", || {
        set_no_new_privs(true).unwrap();
        let before = std::thread::spawn(|| {
            std::thread::park();
            Command::new("/bin/true").status().map_err(|error| error.kind())
        });
        system_calls::filter().unwrap();

        // Serving goes on: threads, memory, files, sockets.
        let sum = std::thread::spawn(|| vec![1_u8; 4 << 20].iter().map(|&byte| u64::from(byte)).sum::<u64>());
        assert_eq!(sum.join().unwrap(), 4 << 20);
        assert!(fs::read_to_string("/proc/self/status").unwrap().contains("Seccomp:\t2"));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop((listener.accept().unwrap(), stream));

        // In this thread, and in one that was there before.
        let kind = Command::new("/bin/true").status().map_err(|error| error.kind());
        assert_eq!(kind.unwrap_err(), ErrorKind::PermissionDenied);
        before.thread().unpark();
        assert_eq!(before.join().unwrap().unwrap_err(), ErrorKind::PermissionDenied);

        assert!(refused(ptrace::traceme()));
        assert!(refused(kill(getppid(), Signal::SIGCONT)));
        assert!(refused(unshare(CloneFlags::CLONE_NEWNET)));
        assert!(refused(chroot("/")));
        assert!(refused(setuid(Uid::from_raw(0))));
        assert_eq!(fs::create_dir("/tmp/levee").unwrap_err().kind(), ErrorKind::PermissionDenied);
    });
}

#[test]
fn root_is_gone_for_good() {
    in_a_process("launch::confine::tests::root_is_gone_for_good", || {
        assert!(geteuid().is_root(), "tests are run by root");
        let parked = std::thread::spawn(|| {
            std::thread::park();
            rights()
        });
        become_user(&User { name: "nobody".to_owned(), uid: 65534, gid: 65534 }).unwrap();
        keep(CapabilitySet::NET_ADMIN).unwrap();

        assert_eq!(rights(), (65534, CapabilitySet::NET_ADMIN));
        assert_eq!(
            fs::read("/etc/shadow").map_err(|error: io::Error| error.kind()).unwrap_err(),
            ErrorKind::PermissionDenied
        );
        assert!(refused(setuid(Uid::from_raw(0))));
        parked.thread().unpark();
        assert_eq!(parked.join().unwrap(), (65534, CapabilitySet::empty()), "the other threads keep nothing");
        let worker = std::thread::spawn(|| {
            renounce().unwrap();
            rights()
        });
        assert_eq!(worker.join().unwrap(), (65534, CapabilitySet::empty()));
    });
}

/// Of the calling thread.
fn rights() -> (u32, CapabilitySet) {
    (geteuid().as_raw(), capabilities(None).unwrap().permitted)
}
