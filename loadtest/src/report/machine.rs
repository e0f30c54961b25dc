//! The machine a run is made on, as Linux describes it under `/proc`.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Machine;

impl Machine {
    /// This machine, today (UTC). What it does not say is `unknown` or zero.
    #[must_use]
    pub fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let kernel = [read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/osrelease")];
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            cpu: field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            memory_mib: memory_mib(&read("/proc/meminfo")).unwrap_or(0),
            kernel: kernel.map(|part| part.trim().to_owned()).join(" "),
            date: date(since_epoch.as_secs()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

fn memory_mib(meminfo: &str) -> Option<u64> {
    let kib: u64 = field(meminfo, "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

/// The value of the first line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// The day of these Unix seconds in the Gregorian calendar, as 2026-11-22. Years are counted from
/// March, so that the day that leap years add is their last.
fn date(unix: u64) -> String {
    let days_since_march_of_0 = unix / 86_400 + 719_468;
    let (era, day_of_era) = (days_since_march_of_0 / 146_097, days_since_march_of_0 % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let days = [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_799, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_800, "2024-02-29"),
            (1_735_689_599, "2024-12-31"),
            (1_795_305_600, "2026-11-22"),
            (4_107_542_400, "2100-03-01"),
        ];
        for (unix, day) in days {
            assert_eq!(date(unix), day);
        }
    }

    #[test]
    fn fields_are_found() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some (R) Processor: fast\n\nprocessor\t: 1\n";
        assert_eq!(field(cpuinfo, "model name"), Some("Some (R) Processor: fast"));
        assert_eq!(field(cpuinfo, "flags"), None);
        assert_eq!(memory_mib("MemTotal:        8150116 kB\nMemFree: 1 kB\n"), Some(7_959));
        assert_eq!(memory_mib("MemTotal: much\n"), None);
    }

    #[test]
    fn here_is_a_machine() {
        let machine = Machine::here();
        assert!(machine.cpus >= 1 && machine.memory_mib > 0, "{machine:?}");
        assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
        assert_eq!(machine.date.len(), "2026-11-22".len());
    }
}
