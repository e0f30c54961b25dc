//! What the control plane is told when DPDK refuses something.

use std::ffi::{CStr, c_int};
use std::fmt;

/// What was asked of DPDK, and why it was refused.
///
/// Of the control plane only: nothing on the packet path makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    asked: String,
    why: String,
}

impl Error {
    /// An error of our own, with the reason in words.
    pub(crate) fn new(asked: impl Into<String>, why: impl Into<String>) -> Self {
        Self { asked: asked.into(), why: why.into() }
    }

    /// The reason is a number of DPDK's, positive or negative, and what DPDK logged meanwhile.
    pub(crate) fn code(asked: impl Into<String>, code: c_int, logged: &str) -> Self {
        let text = strerror(code.saturating_abs());
        let why = if logged.is_empty() { text } else { format!("{text} ({})", logged.trim_end()) };
        Self { asked: asked.into(), why }
    }

    /// What was asked.
    #[must_use]
    pub fn asked(&self) -> &str {
        &self.asked
    }

    /// Why it was refused: the text of `rte_errno` and what DPDK logged about it.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.asked, self.why)
    }
}

impl std::error::Error for Error {}

/// The calling thread's `rte_errno`.
pub(crate) fn last_code() -> c_int {
    // SAFETY: it only reads a thread-local variable.
    unsafe { dpdk_sys::levee_errno() }
}

fn strerror(code: c_int) -> String {
    // SAFETY: it takes any number and returns a pointer to text that lives as long as the thread.
    let text = unsafe { dpdk_sys::rte_strerror(code) };
    // SAFETY: `text` is NUL-terminated, and copied before the next call on this thread.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
