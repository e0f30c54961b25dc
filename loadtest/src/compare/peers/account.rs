//! What the kernel knows of a server: its CPU's time, its memory.

use std::fs;
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic, miette};

use crate::compare::network::SERVER_CPU;

/// Ticks of `/proc/stat` in a second (`USER_HZ`, which is 100 on every Linux that this runs on).
const TICKS: f64 = 100.0;

/// The server's CPU since a moment.
pub(in crate::compare) struct Meter {
    since: Instant,
    idle: f64,
}

impl Meter {
    /// From now on.
    pub(in crate::compare) fn start() -> miette::Result<Self> {
        Ok(Self { since: Instant::now(), idle: idle_seconds()? })
    }

    /// Seconds in which the CPU was not idle. Idle time is what the kernel knows exactly: the parts of the other
    /// are guessed by a tick.
    pub(in crate::compare) fn busy(&self) -> miette::Result<f64> {
        let elapsed = self.since.elapsed().as_secs_f64();
        Ok((elapsed - (idle_seconds()? - self.idle)).max(0.0))
    }
}

fn idle_seconds() -> miette::Result<f64> {
    let table = fs::read_to_string("/proc/stat").into_diagnostic()?;
    idle_ticks(&table, SERVER_CPU)
        .map(|ticks| ticks / TICKS)
        .ok_or_else(|| miette!("/proc/stat is not as expected"))
}

/// Idle, waiting for a disk, or taken by another machine of the host.
fn idle_ticks(table: &str, cpu: usize) -> Option<f64> {
    let name = format!("cpu{cpu}");
    let line = table.lines().find(|line| line.split(' ').next() == Some(&name))?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
    Some(ticks.get(3)? + ticks.get(4)? + ticks.get(7)?)
}

/// Bytes of memory of the processes of a group: their share of pages, hugepages, page tables.
pub(in crate::compare) fn memory_of_group(group: u32) -> miette::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir("/proc").into_diagnostic()?.flatten() {
        let path = entry.path();
        let Ok(stat) = fs::read_to_string(path.join("stat")) else { continue };
        if group_of(&stat) != Some(group) {
            continue;
        }
        // One that has just ended has no memory to ask for.
        let Ok(rollup) = fs::read_to_string(path.join("smaps_rollup")) else { continue };
        let Ok(status) = fs::read_to_string(path.join("status")) else { continue };
        let keys = ["Pss", "Private_Hugetlb", "Shared_Hugetlb"];
        let kib: u64 = keys.iter().filter_map(|key| field(&rollup, key)).sum();
        bytes += (kib + field(&status, "VmPTE").unwrap_or(0)) << 10;
    }
    match bytes {
        0 => Err(miette!("a server's processes are gone")),
        bytes => Ok(bytes),
    }
}

/// The process group in `/proc/ID/stat`: its fifth field, the second being a name in brackets.
fn group_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

/// Bytes of the kernel's own objects: sockets, files. What it keeps for possible later use is dropped first.
pub(in crate::compare) fn kernel_memory() -> miette::Result<u64> {
    const OBJECTS: &str = "2";
    fs::write("/proc/sys/vm/drop_caches", OBJECTS).into_diagnostic()?;
    std::thread::sleep(Duration::from_millis(200));
    let table = fs::read_to_string("/proc/meminfo").into_diagnostic()?;
    field(&table, "Slab").map(|kib| kib << 10).ok_or_else(|| miette!("/proc/meminfo has no Slab"))
}

/// The number behind `key:`.
pub(in crate::compare) fn field(table: &str, key: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn idle_time_is_found() {
        let table = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu1 10 20 30 400 50 6 7 8 9 10\ncpu10 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(idle_ticks(table, 1), Some(458.0));
        assert_eq!(idle_ticks(table, 2), None);
    }

    #[test]
    fn numbers_are_found_by_their_key() {
        let table = "Pss_Anon:  1 kB\nPss:     22 kB\nHugePages_Free:     640\n";
        assert_eq!(field(table, "Pss"), Some(22));
        assert_eq!(field(table, "HugePages_Free"), Some(640));
        assert_eq!(field(table, "Slab"), None);
    }

    #[test]
    fn a_group_is_found_behind_any_name() {
        assert_eq!(group_of("12 (a) b (c) S 1 77 12 0"), Some(77));
    }

    #[test]
    fn memory_is_that_of_a_whole_group() {
        let script = "sleep 60 & sleep 60 & echo started; wait";
        let mut shell =
            Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        shell.stdout.as_mut().unwrap().read_exact(&mut [0; 7]).unwrap();
        let of_three = memory_of_group(shell.id()).unwrap();
        killpg(Pid::from_raw(shell.id().cast_signed()), Signal::SIGKILL).unwrap();
        shell.wait().unwrap();
        assert!(of_three > 3 * (64 << 10), "{of_three}");
        assert!(memory_of_group(u32::MAX).is_err());
    }
}
