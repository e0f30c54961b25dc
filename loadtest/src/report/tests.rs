//! A summary for the tests of this folder.

use std::collections::BTreeMap;

use super::{Generator, Latency, Machine, Part, Summary};

/// A flood of handshakes beside a client that behaves.
pub(super) fn summary() -> Summary {
    Summary {
        kind: "handshake".into(),
        arguments: ["10.9.1.1:443", "--mode", "full"].map(str::to_owned).to_vec(),
        machine: Machine {
            cpu: "Some Processor".into(),
            cpus: 2,
            memory_mib: 7_900,
            kernel: "Linux 6.18.44".into(),
            date: "2026-11-22".into(),
            version: "0.1.0".into(),
        },
        load: Part {
            unit: "handshakes".into(),
            seconds: 10.0,
            started: 123_460,
            completed: 123_400,
            per_second: 12_340.0,
            resumed: 7,
            failures: BTreeMap::from([("timeout".into(), 6), ("reset".into(), 50)]),
            open: 64,
            body_bytes: 0,
            latency: Latency {
                count: 123_400,
                min: 40.0,
                mean: 120.0,
                max: 1_000_000.0,
                p50: 81.2,
                p90: 400.0,
                p99: 1_240.0,
                p999: 9_000.0,
                distribution: vec![
                    (0.0, 40.0),
                    (0.5, 81.2),
                    (0.9, 400.0),
                    (0.99, 1_240.0),
                    (0.999, 9_000.0),
                    (0.9999, 200_000.0),
                ],
            },
            progress: (0..100).map(|tenth| if tenth / 10 == 5 { 0 } else { 1_200 + tenth }).collect(),
        },
        legitimate: Some(Part {
            unit: "requests".into(),
            seconds: 10.0,
            started: 1_000,
            completed: 1_000,
            per_second: 100.0,
            resumed: 0,
            failures: BTreeMap::new(),
            open: 1,
            body_bytes: 1_572_864,
            latency: Latency {
                count: 1_000,
                min: 60.0,
                mean: 300.0,
                max: 3_000.0,
                p50: 150.0,
                p90: 1_000.0,
                p99: 2_000.0,
                p999: 2_500.0,
                distribution: vec![
                    (0.0, 60.0),
                    (0.5, 150.0),
                    (0.9, 1_000.0),
                    (0.99, 2_000.0),
                    (0.999, 2_500.0),
                ],
            },
            progress: vec![10; 100],
        }),
        generator: Generator { busy: 0.93, frames_out: 1_000_000, frames_in: 900_000, retransmits: 3 },
    }
}
