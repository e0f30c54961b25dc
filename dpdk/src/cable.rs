//! A cable between two ports of one process: `net_ring` over two rings, each the other's other way.

use std::ffi::CString;
use std::ptr::NonNull;

use crate::eal::Eal;
use crate::error::Error;
use crate::log;

/// Makes two ports that are joined: what one sends, the other receives, with room for `frames` each way.
/// Returns their names, which begin with `net_ring_` and `name`, for [`Port::by_name`](crate::Port::by_name).
///
/// The rings live as long as the process.
///
/// # Errors
/// Not enough memory, or the name is taken.
pub fn cable(eal: &Eal, name: &str, frames: u32) -> Result<[String; 2], Error> {
    let there = ring(eal, &format!("{name}_there"), frames)?;
    let back = ring(eal, &format!("{name}_back"), frames)?;
    Ok([end(&format!("{name}_a"), back, there)?, end(&format!("{name}_b"), there, back)?])
}

type Ring = NonNull<dpdk_sys::rte_ring>;

fn ring(_eal: &Eal, name: &str, frames: u32) -> Result<Ring, Error> {
    let asked = || format!("make the ring {name} for {frames} frames");
    let c_name = CString::new(name).map_err(|_| Error::new(asked(), "a NUL in the name"))?;
    let count = frames.saturating_add(1).checked_next_power_of_two();
    let count = count.ok_or_else(|| Error::new(asked(), "too many"))?;
    let size = u32::try_from(size_of::<*mut ()>()).unwrap_or_default();
    let (socket, flags) = (dpdk_sys::LEVEE_SOCKET_ID_ANY, dpdk_sys::LEVEE_RING_SINGLE);
    log::checked_pointer(asked, || {
        // SAFETY: DPDK is initialised; a NUL-terminated name, copied; the numbers are checked by the callee.
        unsafe { dpdk_sys::rte_ring_create_elem(c_name.as_ptr(), size, count, socket, flags) }
    })
}

/// A port that receives from one ring and sends into the other.
fn end(name: &str, receive: Ring, send: Ring) -> Result<String, Error> {
    let asked = || format!("make a port of rings called {name}");
    let c_name = CString::new(name).map_err(|_| Error::new(asked(), "a NUL in the name"))?;
    let (mut receive, mut send) = ([receive.as_ptr()], [send.as_ptr()]);
    log::checked(asked, || {
        // SAFETY: a NUL-terminated name, copied; arrays of one ring each, copied; the rings are never freed.
        unsafe {
            dpdk_sys::rte_eth_from_rings(c_name.as_ptr(), receive.as_mut_ptr(), 1, send.as_mut_ptr(), 1, 0)
        }
    })?;
    Ok(format!("net_ring_{name}"))
}
