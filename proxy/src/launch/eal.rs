//! What EAL is started with: devices, memory, log level.

use std::fs;

use miette::miette;

use crate::config::{AeadChoice, Config, Device, Hugepages};

/// The arguments of EAL, without a program name.
///
/// # Errors
/// Hugepages are required and there are too few.
pub(super) fn arguments(config: &Config) -> miette::Result<Vec<String>> {
    let mut args = vec![format!("--file-prefix={}", config.eal.file_prefix)];
    let mib = if wants_hugepages(config)? {
        args.push("--in-memory".into());
        config.eal.memory_mib
    } else {
        // EAL refuses --in-memory with it.
        args.extend(["--no-huge".into(), "--no-shconf".into()]);
        config.eal.ordinary_mib
    };
    let first = config.workers.lcores.first().copied().unwrap_or_default();
    args.push(format!("--lcores=0@{first}"));
    args.push(format!("--log-level={}", config.eal.log_level.name()));
    args.extend(["-m".into(), mib.to_string()]);
    let crypto: &[Device] = match &config.tls.aead {
        AeadChoice::Auto | AeadChoice::Software => &[],
        AeadChoice::Devices(devices) => devices,
    };
    let public_key = &config.tls.public_key;
    let ports = config.ports.iter().map(|port| &port.device);
    let mut devices: Vec<_> = ports.chain(crypto).collect();
    // QAT does both kinds of work at one address.
    devices.extend(public_key.iter().filter(|device| !crypto.contains(device)));
    if !devices.iter().any(|device| matches!(device, Device::Pci(_))) {
        args.push("--no-pci".into());
    }
    for device in devices {
        match device {
            Device::Virtual(arguments) => args.push(format!("--vdev={arguments}")),
            Device::Pci(address) => args.push(format!("--allow={address}")),
        }
    }
    args.extend(config.eal.args.iter().cloned());
    Ok(args)
}

fn wants_hugepages(config: &Config) -> miette::Result<bool> {
    let free = free_hugepages_mib();
    let enough = free >= u64::from(config.eal.memory_mib);
    match config.eal.hugepages {
        Hugepages::Off => Ok(false),
        Hugepages::Auto if enough => Ok(true),
        Hugepages::Auto => {
            tracing::warn!(
                free_mib = free,
                needed_mib = config.eal.memory_mib,
                "too few hugepages: using ordinary pages"
            );
            Ok(false)
        }
        Hugepages::Required if enough => Ok(true),
        Hugepages::Required => Err(miette!(
            help = "reserve them (`sysctl -w vm.nr_hugepages=N`), or set eal.hugepages = \"auto\"",
            "{} MiB of hugepages are needed and {free} MiB are free",
            config.eal.memory_mib,
        )),
    }
}

/// Free hugepages of all sizes.
fn free_hugepages_mib() -> u64 {
    let Ok(sizes) = fs::read_dir("/sys/kernel/mm/hugepages") else { return 0 };
    let mib = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let free: u64 = fs::read_to_string(entry.path().join("free_hugepages")).ok()?.trim().parse().ok()?;
        Some(kib * free / 1024)
    };
    sizes.flatten().filter_map(mib).sum()
}
