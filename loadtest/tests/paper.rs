//! The papers' tables on a small scale, in namespaces of their own: needs root.

use std::process::{Command, Stdio};

use levee_loadtest::device::{Hugepages, Memory};
use levee_loadtest::paper::breakdown::{Class, breakdown};
use levee_loadtest::paper::transfer::{self, Plan, Way};

/// Each byte that a way sends is looked at by the receiver: a measurement that is there is one of work done.
#[test]
fn all_ways_transfer_what_they_were_given() {
    let plan = Plan {
        bytes: 1_000_000,
        sizes: vec![4096, 8192, 16_384],
        rounds: 1,
        cpu: 0,
        memory: Memory { memory: 160, hugepages: Hugepages::Off },
    };
    let transfer = transfer::measure(&plan).expect("a laboratory, and bytes that are right");
    for way in Way::ALL {
        let rows = transfer.rows.iter().filter(|row| row.way == way);
        let failure = transfer.failures.iter().find(|failure| failure.way == way);
        match (way, failure) {
            // Kernels may be built without it, and say so.
            (Way::KernelApi | Way::KernelSplice, Some(failure)) => {
                assert!(failure.why.starts_with("AF_ALG gcm(aes): "), "{failure:?}");
            }
            (_, Some(failure)) => panic!("{failure:?}"),
            (_, None) => assert_eq!(rows.count(), 6, "three sizes with offloads and without: {way:?}"),
        }
    }
    for row in &transfer.rows {
        let (copies, calls) = match row.way {
            Way::UserSpace => (1.0, 1.0..=1.0),
            Way::KernelApi => (3.0, 3.0..=3.0),
            Way::KernelSplice => (1.0, 5.0..=8.0),
            // A burst of 64 frames carries more than five records of 16 KiB.
            Way::LeveeSoftware | Way::LeveeDevice => (2.0, 0.01..=20.0),
        };
        assert!((row.copies - copies).abs() < 1e-9, "{row:?}");
        assert!(calls.contains(&row.calls_per_buffer), "{row:?}");
        assert!(row.seconds.min > 0.0 && row.megabytes_per_second > 0.0, "{row:?}");
        assert!(row.busy_seconds <= row.cpu_seconds, "{row:?}");
    }
}

/// A process that does nothing but hash is seen to hash. Needs `perf`, of the package linux-perf.
#[test]
fn a_profile_shows_what_a_process_does() {
    let mut hashing = Command::new("openssl")
        .args(["speed", "-seconds", "30", "-bytes", "16384", "sha256"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl runs");
    let shares = breakdown(hashing.id(), 2);
    hashing.kill().expect("it still hashes");
    hashing.wait().expect("it ends");
    let shares = shares.expect("a busy process is sampled");
    assert!(shares.samples > 100, "{shares:?}");
    assert!(shares.shares[&Class::Hashing] > 0.9, "{shares:?}");
}
