//! The environment abstraction layer: the `Eal` token, and worker threads that DPDK knows.
//!
//! Everything else in this crate is made from an `Eal`. DPDK is never shut down: ports and devices are
//! closed by their owners, the rest ends with the process. (`rte_eal_cleanup` unmaps memory under DPDK's
//! own interrupt thread, which goes on; and a chain may outlive everything.)

use std::collections::BTreeSet;
use std::ffi::{CString, c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use crate::error::Error;
use crate::{log, mbuf};

/// DPDK, initialised: a handle.
#[derive(Clone)]
pub struct Eal(Arc<Inner>);

impl Eal {
    /// Initialises DPDK with EAL arguments as its documentation lists them (`--in-memory`, `--no-huge`,
    /// `-m`, `--vdev`, `-a`, ...), without a program name.
    ///
    /// The calling thread becomes the main lcore; its CPU affinity stays as it was.
    ///
    /// # Errors
    /// What DPDK logged. DPDK can be initialised once in the life of a process, even if that failed.
    pub fn init(args: &[String]) -> Result<Self, Error> {
        static ONCE: AtomicBool = AtomicBool::new(false);
        let asked = || format!("initialise DPDK with `{}`", args.join(" "));
        let mut strings = vec![CString::from(c"levee")];
        for arg in args {
            strings
                .push(CString::new(arg.as_str()).map_err(|_| Error::new(asked(), "a NUL in an argument"))?);
        }
        if ONCE.swap(true, Ordering::SeqCst) {
            return Err(Error::new(asked(), "it was initialised before in this process"));
        }
        log::install()?;
        log::set_level(log::Level::Notice);
        let cpus = affinity()?;
        // DPDK keeps pointers into the arguments: they live as long as the process.
        let mut argv: Vec<*mut c_char> = strings.into_iter().map(CString::into_raw).collect();
        let argc = c_int::try_from(argv.len()).map_err(|_| Error::new(asked(), "too many arguments"))?;
        argv.push(std::ptr::null_mut());
        let argv = argv.leak().as_mut_ptr();
        // SAFETY: `argv` holds `argc` writable strings and a null pointer, and is never freed.
        let started = log::checked(asked, || unsafe { dpdk_sys::rte_eal_init(argc, argv) });
        set_affinity(&cpus)?;
        started?;
        let eal = Self(Arc::new(Inner {
            cpus: (0..libc::CPU_SETSIZE as usize).filter(|&cpu| is_set(cpu, &cpus)).collect(),
            ports: Mutex::default(),
        }));
        mbuf::reserve_flags()?;
        Ok(eal)
    }

    /// Attaches the device that `arguments` name (`net_ring0`, `crypto_aesni_gcm0`,
    /// `0000:01:00.0,key=value`, ...).
    ///
    /// # Errors
    /// What the driver logged.
    pub fn attach(&self, arguments: &str) -> Result<(), Error> {
        let asked = || format!("attach the device {arguments}");
        let c_arguments = CString::new(arguments).map_err(|_| Error::new(asked(), "a NUL in it"))?;
        log::checked(asked, || {
            // SAFETY: a NUL-terminated string, copied.
            unsafe { dpdk_sys::rte_dev_probe(c_arguments.as_ptr()) }
        })?;
        Ok(())
    }

    /// The lcore of the thread that called [`Eal::init`].
    #[must_use]
    pub fn main_lcore(&self) -> u32 {
        // SAFETY: DPDK is initialised.
        unsafe { dpdk_sys::rte_get_main_lcore() }
    }

    /// The CPUs that the process could run on when DPDK was initialised.
    #[must_use]
    pub fn cpus(&self) -> &[usize] {
        &self.0.cpus
    }

    /// Runs `body` on a new thread called `name` that is pinned to `cpu` and known to DPDK, so that it
    /// has mempool caches.
    ///
    /// # Errors
    /// No such CPU, or DPDK has no lcore number left.
    pub fn launch<T: Send + 'static>(
        &self,
        cpu: usize,
        name: &str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Worker<T>, Error> {
        let eal = self.clone();
        let asked = format!("start the worker {name} on CPU {cpu}");
        let (tell, told) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let lcore = match Registered::on(cpu) {
                    Ok(lcore) => lcore,
                    Err(error) => {
                        // The other end waits for exactly this.
                        let _ = tell.send(Err(error));
                        return None;
                    }
                };
                let _ = tell.send(Ok(()));
                let answer = body();
                drop(lcore);
                drop(eal);
                Some(answer)
            })
            .map_err(|error| Error::new(&asked, error.to_string()))?;
        told.recv().unwrap_or_else(|_| Err(Error::new(&asked, "the thread died")))?;
        Ok(Worker(thread))
    }

    /// Ports that somebody holds.
    pub(crate) fn ports(&self) -> MutexGuard<'_, BTreeSet<u16>> {
        lock(&self.0.ports)
    }
}

/// A thread that runs on one CPU, known to DPDK.
pub struct Worker<T>(JoinHandle<Option<T>>);

impl<T> Worker<T> {
    /// Waits for the end of the thread.
    ///
    /// # Errors
    /// The payload of its panic.
    pub fn join(self) -> std::thread::Result<T> {
        self.0.join().map(|answer| answer.expect("a worker that was announced ran its body"))
    }

    /// Whether the thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

struct Inner {
    cpus: Vec<usize>,
    ports: Mutex<BTreeSet<u16>>,
}

/// The calling thread, registered with DPDK until dropped.
struct Registered;

impl Registered {
    fn on(cpu: usize) -> Result<Self, Error> {
        let asked = || format!("pin a thread to CPU {cpu}");
        if cpu >= libc::CPU_SETSIZE as usize {
            return Err(Error::new(asked(), "no such CPU"));
        }
        let mut set = empty_set();
        // SAFETY: `cpu` is below CPU_SETSIZE.
        unsafe { libc::CPU_SET(cpu, &mut set) };
        set_affinity(&set).map_err(|error| Error::new(asked(), error.why()))?;
        log::checked(
            || "register a thread with DPDK".to_owned(),
            // SAFETY: DPDK is initialised; the thread is not registered yet, it has just begun.
            || unsafe { dpdk_sys::rte_thread_register() },
        )?;
        Ok(Self)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: the thread was registered by `on`.
        unsafe { dpdk_sys::rte_thread_unregister() };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn empty_set() -> libc::cpu_set_t {
    // SAFETY: a `cpu_set_t` is an array of numbers: all zeros is the empty set.
    unsafe { std::mem::zeroed() }
}

fn is_set(cpu: usize, set: &libc::cpu_set_t) -> bool {
    // SAFETY: the caller's `cpu` is below CPU_SETSIZE.
    unsafe { libc::CPU_ISSET(cpu, set) }
}

fn affinity() -> Result<libc::cpu_set_t, Error> {
    let mut set = empty_set();
    // SAFETY: `set` is as long as is said; 0 is the calling thread.
    match unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) } {
        0 => Ok(set),
        _ => Err(Error::new("read the CPU affinity", std::io::Error::last_os_error().to_string())),
    }
}

fn set_affinity(set: &libc::cpu_set_t) -> Result<(), Error> {
    // SAFETY: `set` is as long as is said; 0 is the calling thread.
    match unsafe { libc::sched_setaffinity(0, size_of_val(set), set) } {
        0 => Ok(()),
        _ => Err(Error::new("set the CPU affinity", std::io::Error::last_os_error().to_string())),
    }
}
