//! Where DPDK's log lines go.
//!
//! To a function of ours instead of standard error and syslog. What is logged while a call is refused
//! becomes part of its [`Error`].

use std::ffi::{c_char, c_int};
use std::sync::Mutex;

use crate::error::Error;

/// How much a line matters, most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warning,
    /// Something happened that is normal but worth knowing.
    Notice,
    /// Informational.
    Info,
    /// For people who debug DPDK.
    Debug,
}

/// Takes one line, without its end, from whichever thread logged it.
pub type Sink = fn(Level, &str);

/// Gives lines to `sink`. Until this is called, warnings and errors go to standard error.
pub fn set_sink(sink: Sink) {
    with(|state| state.sink = sink);
}

/// Lets lines of `level` and more important ones through; at first [`Level::Notice`].
pub fn set_level(level: Level) {
    let level = match level {
        Level::Error => dpdk_sys::RTE_LOG_ERR,
        Level::Warning => dpdk_sys::RTE_LOG_WARNING,
        Level::Notice => dpdk_sys::RTE_LOG_NOTICE,
        Level::Info => dpdk_sys::RTE_LOG_INFO,
        Level::Debug => dpdk_sys::RTE_LOG_DEBUG,
    };
    // SAFETY: sets a number.
    unsafe { dpdk_sys::rte_log_set_global_level(level) };
}

/// Makes DPDK log to us. Before `rte_eal_init`, which would otherwise open its own stream.
pub(crate) fn install() -> Result<(), Error> {
    // SAFETY: `line` may be called from any thread at any time: it is a function, and locks its state.
    match unsafe { dpdk_sys::levee_log_to(Some(line)) } {
        0 => Ok(()),
        _ => Err(Error::new("redirect the log of DPDK", "fopencookie failed")),
    }
}

/// Calls `call` and holds back what is logged meanwhile: part of the error if it fails, passed on if it
/// does not. A negative answer is a negative `errno`, or -1 with `rte_errno` set.
pub(crate) fn checked(asked: impl FnOnce() -> String, call: impl FnOnce() -> c_int) -> Result<c_int, Error> {
    captured(|| {
        let answer = call();
        if answer >= 0 { Ok(answer) } else { Err(if answer == -1 { code_of_one() } else { answer }) }
    })
    .map_err(|(code, logged)| Error::code(asked(), code, &logged))
}

/// As [`checked`] for calls that answer with a pointer, null when refused, and set `rte_errno`.
pub(crate) fn checked_pointer<T>(
    asked: impl FnOnce() -> String,
    call: impl FnOnce() -> *mut T,
) -> Result<std::ptr::NonNull<T>, Error> {
    captured(|| std::ptr::NonNull::new(call()).ok_or_else(crate::error::last_code))
        .map_err(|(code, logged)| Error::code(asked(), code, &logged))
}

/// -1 is both `-EPERM` and "see `rte_errno`".
fn code_of_one() -> c_int {
    match crate::error::last_code() {
        0 => -1,
        code => code,
    }
}

fn captured<T>(call: impl FnOnce() -> Result<T, c_int>) -> Result<T, (c_int, String)> {
    with(|state| state.depth += 1);
    let answer = call();
    let (held, sink) = with(|state| {
        state.depth -= 1;
        (std::mem::take(&mut state.held), state.sink)
    });
    match answer {
        Ok(value) => {
            for (level, text) in held {
                sink(level, &text);
            }
            Ok(value)
        }
        Err(code) => {
            let mut logged = String::new();
            for (_, text) in held.iter().filter(|(level, _)| *level <= Level::Warning) {
                if !logged.is_empty() {
                    logged.push_str("; ");
                }
                logged.push_str(text);
            }
            Err((code, logged))
        }
    }
}

struct State {
    sink: Sink,
    depth: usize,
    held: Vec<(Level, String)>,
}

static STATE: Mutex<State> = Mutex::new(State { sink: to_stderr, depth: 0, held: Vec::new() });

/// Lines held back during one call: more are passed on at once.
const HELD: usize = 64;

fn with<T>(f: impl FnOnce(&mut State) -> T) -> T {
    f(&mut STATE.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn to_stderr(level: Level, text: &str) {
    if level <= Level::Warning {
        eprintln!("dpdk: {text}");
    }
}

/// Logged as errors by every process like ours, and harmless.
const NOISE: [&str; 2] = [
    "TELEMETRY: No legacy callbacks, legacy socket not created",
    "Failed to register mp action callback: Operation not supported",
];

extern "C" fn line(level: u32, text: *const c_char, length: usize) {
    // SAFETY: the shim hands over what the C library gave it: `length` bytes that live for the call.
    let text = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
    let text = String::from_utf8_lossy(text);
    let level = match level {
        0..=dpdk_sys::RTE_LOG_ERR => Level::Error,
        dpdk_sys::RTE_LOG_WARNING => Level::Warning,
        dpdk_sys::RTE_LOG_NOTICE => Level::Notice,
        dpdk_sys::RTE_LOG_INFO => Level::Info,
        _ => Level::Debug,
    };
    let is_noise = |text: &&str| text.is_empty() || NOISE.iter().any(|noise| text.contains(noise));
    for text in text.lines().map(str::trim_end).filter(|text| !is_noise(text)) {
        let sink = with(|state| {
            if state.depth > 0 && state.held.len() < HELD {
                state.held.push((level, text.to_owned()));
                return None;
            }
            Some(state.sink)
        });
        if let Some(sink) = sink {
            sink(level, text);
        }
    }
}
