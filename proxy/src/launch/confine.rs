//! What the process gives up once devices are open, keys are read and workers are grown, before the first byte
//! of a stranger is looked at: root's identity, capabilities, core dumps, swap space, system calls.
//!
//! All of it is the whole process's, but for capabilities, which are a thread's: the calling thread, which closes
//! the devices in the end, keeps what their drivers need for that, and workers [`renounce`] all. EAL's threads lose
//! theirs with root's identity.

mod system_calls;

use miette::{IntoDiagnostic, WrapErr};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities, set_no_new_privs,
};

use crate::config::{Config, User};

/// Gives up what serving does not need, as `config` says.
///
/// # Errors
/// What the kernel refused, after which the process must not serve.
pub(super) fn confine(config: &Config) -> miette::Result<()> {
    let process = &config.process;
    if process.lock_memory {
        lock_memory();
    }
    match &process.user {
        Some(user) if geteuid().is_root() => {
            become_user(user)
                .into_diagnostic()
                .wrap_err_with(|| format!("cannot become user {}", user.name))?;
        }
        Some(user) if geteuid().as_raw() != user.uid => {
            tracing::warn!(user = user.name, uid = geteuid().as_raw(), "not started by root: the user stays");
        }
        _ => {}
    }
    keep(needed_to_close(config)).into_diagnostic().wrap_err("cannot give capabilities up")?;
    set_no_new_privs(true).into_diagnostic()?;
    if !process.core_dumps {
        setrlimit(Resource::RLIMIT_CORE, 0, 0).into_diagnostic().wrap_err("cannot forbid core dumps")?;
    }
    // A change of identity has an effect of its own on it.
    let dumpable =
        if process.core_dumps { DumpableBehavior::Dumpable } else { DumpableBehavior::NotDumpable };
    set_dumpable_behavior(dumpable).into_diagnostic()?;
    if process.filter_system_calls {
        system_calls::filter().wrap_err("cannot filter system calls")?;
    }
    tracing::info!(
        uid = geteuid().as_raw(),
        capabilities = ?needed_to_close(config),
        filter = process.filter_system_calls,
        "confined"
    );
    Ok(())
}

/// Gives up all capabilities of the calling thread.
///
/// # Errors
/// What the kernel refused.
pub(super) fn renounce() -> miette::Result<()> {
    keep(CapabilitySet::empty()).into_diagnostic().wrap_err("cannot give capabilities up")
}

/// Pages stay where they are: those there are, and those to come unless whom root becomes may not lock as much.
/// A machine that does not allow it is told of, and served without.
fn lock_memory() {
    // By faults: a reservation of addresses takes no memory.
    let mut flags = MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT;
    match setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY) {
        Ok(()) => flags |= MlockAllFlags::FUTURE,
        // With it, an allocation beyond the limit would fail.
        Err(error) => tracing::info!(%error, "memory is locked as far as it is there at the start"),
    }
    if let Err(error) = mlockall(flags) {
        tracing::warn!(%error, "cannot lock memory: keys may get to swap space");
    }
}

/// Changes all identities of all threads, for good.
fn become_user(user: &User) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_keep_capabilities(true).map_err(|error| nix::Error::from_raw(error.raw_os_error()))?;
    setgroups(&[gid])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

/// Leaves the calling thread no capability beside `kept`, and of these what it has.
fn keep(kept: CapabilitySet) -> rustix::io::Result<()> {
    let permitted = capabilities(None)?.permitted & kept;
    set_capabilities(
        None,
        CapabilitySets { effective: permitted, permitted, inheritable: CapabilitySet::empty() },
    )?;
    set_keep_capabilities(false)
}

/// What drivers need when their ports are closed.
fn needed_to_close(config: &Config) -> CapabilitySet {
    let mut needed = CapabilitySet::empty();
    for port in &config.ports {
        // They take their programs and rules off the interface again.
        if ["net_af_xdp", "net_tap"].iter().any(|driver| port.device.name().starts_with(driver)) {
            needed |= CapabilitySet::NET_ADMIN;
        }
    }
    needed
}

#[cfg(test)]
mod tests;
