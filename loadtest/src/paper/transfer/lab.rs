//! Two links of the laboratory: pairs of veth between the network namespaces of two threads.
//!
//! The namespaces have no names: they go with their threads, however the process ends. The kernel speaks on
//! one link and DPDK on the other, since a packet socket would copy each frame that the kernel sends.

use std::net::Ipv4Addr;
use std::process::Command;

use miette::{Context, IntoDiagnostic, miette};
use nix::sched::{CloneFlags, unshare};

/// One pair of veth, from the sender's namespace to the receiver's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// The sender's end.
    pub(super) near: &'static str,
    /// The receiver's end.
    pub(super) far: &'static str,
    /// The sender's address.
    pub(super) sender: Ipv4Addr,
    /// The receiver's address.
    pub(super) receiver: Ipv4Addr,
    /// Whether the kernel speaks for the sender.
    is_kernel: bool,
}

/// The link of the kernel's sockets.
pub(super) const SOCKETS: Link = Link {
    near: "lvpaper-tx0",
    far: "lvpaper-rx0",
    sender: Ipv4Addr::new(10, 77, 1, 1),
    receiver: Ipv4Addr::new(10, 77, 1, 2),
    is_kernel: true,
};

/// The link of DPDK's port.
pub(super) const PORT: Link = Link {
    near: "lvpaper-tx1",
    far: "lvpaper-rx1",
    sender: Ipv4Addr::new(10, 77, 2, 1),
    receiver: Ipv4Addr::new(10, 77, 2, 2),
    is_kernel: false,
};

const LINKS: [Link; 2] = [SOCKETS, PORT];

/// Bits of the prefix of each link's addresses.
pub(super) const PREFIX: u8 = 24;

/// Puts the calling thread into a namespace of its own.
///
/// # Errors
/// The kernel's: without root, that it is not permitted.
pub(super) fn leave() -> miette::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)
        .into_diagnostic()
        .wrap_err("cannot make a network namespace (this needs root)")?;
    run("ip", &["link", "set", "lo", "up"])
}

/// Makes both links between the calling thread and the thread `receiver`, as Linux numbers it, and sets the
/// near ends up. Frames from the receiver are seen to on `cpu`, as the sender's own work.
///
/// # Errors
/// What `ip` and `ethtool` say.
pub(super) fn link_to(receiver: i32, cpu: usize) -> miette::Result<()> {
    for link in LINKS {
        let thread = receiver.to_string();
        let pair = ["link", "add", link.near, "type", "veth", "peer", "name", link.far, "netns", &thread];
        run("ip", &pair)?;
        if link.is_kernel {
            set_address(link.near, link.sender)?;
        }
        set_up(link.near, cpu)?;
    }
    Ok(())
}

/// Sets the far ends up, from the receiver's thread, whose CPU sees to the frames of the sender.
///
/// # Errors
/// What `ip` and `ethtool` say.
pub(super) fn accept_links(cpu: usize) -> miette::Result<()> {
    for link in LINKS {
        set_address(link.far, link.receiver)?;
        set_up(link.far, cpu)?;
    }
    Ok(())
}

/// Lets the kernel cut and checksum for the sender's end of a link, or not.
///
/// # Errors
/// What `ethtool` says.
pub(super) fn offload_near(on: bool) -> miette::Result<()> {
    LINKS.iter().try_for_each(|link| offload(link.near, &["tx", "tso", "gso", "gro"], on))
}

/// Lets the kernel join segments at the receiver's end. It always fills in the checksums of what the receiver
/// sends: no device would, and our stack believes none that are missing.
///
/// # Errors
/// What `ethtool` says.
pub(super) fn offload_far(on: bool) -> miette::Result<()> {
    LINKS.iter().try_for_each(|link| offload(link.far, &["gro"], on))
}

fn set_address(device: &str, address: Ipv4Addr) -> miette::Result<()> {
    run("ip", &["address", "add", &format!("{address}/{PREFIX}"), "dev", device])
}

fn set_up(device: &str, cpu: usize) -> miette::Result<()> {
    offload(device, &["tx", "rx", "tso", "gso", "gro"], false)?;
    run("ip", &["link", "set", device, "up"])?;
    // Without it a frame is received on the CPU of its sender. A file of /sys is of the namespace that
    // mounted it.
    let queue = format!("/sys/class/net/{device}/queues/rx-0/rps_cpus");
    let steer = format!("mount -t sysfs lvpaper /sys && echo {:x} >{queue}", 1_u64 << cpu);
    run("unshare", &["--mount", "sh", "-c", &steer])
}

fn offload(device: &str, features: &[&str], on: bool) -> miette::Result<()> {
    let state = if on { "on" } else { "off" };
    let features = features.iter().flat_map(|feature| [*feature, state]);
    let arguments: Vec<&str> = ["-K", device].into_iter().chain(features).collect();
    run("ethtool", &arguments)
}

fn run(program: &str, arguments: &[&str]) -> miette::Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot run {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(miette!("`{program} {}` failed: {}", arguments.join(" "), said.trim()))
}
