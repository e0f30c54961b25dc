//! What the configuration is checked against: `Surroundings`, the machine as far as it matters.

use std::collections::BTreeSet;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::model::User;

/// The machine, as far as it matters to a configuration.
pub(super) struct Surroundings {
    /// CPUs that this process may run on.
    pub(super) cpus: BTreeSet<u16>,
    /// Addresses of PCI devices: domain, bus, device, function.
    pub(super) pci: BTreeSet<String>,
    /// The user of a name.
    pub(super) user: fn(&str) -> Option<User>,
    /// Seconds since 1970.
    pub(super) now: i64,
}

impl Surroundings {
    /// Of this process, at this moment.
    pub(super) fn of_this_process() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let devices = fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self {
            cpus: cpu_list(allowed.unwrap_or_default()),
            pci: devices.filter_map(|entry| entry.file_name().into_string().ok()).collect(),
            user: user_of_the_system,
            now: i64::try_from(now).unwrap_or(i64::MAX),
        }
    }
}

fn user_of_the_system(name: &str) -> Option<User> {
    let user = nix::unistd::User::from_name(name).ok()??;
    Some(User { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

/// CPUs of a list as the kernel writes it, such as `0-3,8`.
fn cpu_list(text: &str) -> BTreeSet<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernel_s_lists() {
        assert_eq!(cpu_list("\t0-2,8\n"), BTreeSet::from([0, 1, 2, 8]));
        assert_eq!(cpu_list(""), BTreeSet::new());
    }

    #[test]
    fn this_process_runs_somewhere() {
        let here = Surroundings::of_this_process();
        assert!(!here.cpus.is_empty());
        assert!(here.now > 1_700_000_000);
        assert_eq!((here.user)("root").map(|user| user.uid), Some(0));
        assert_eq!((here.user)("no such user"), None);
    }
}
