//! The three namespaces that `etc/network.sh` makes, under names of this test's own.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

/// Address of the clients.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 2);
/// Levee's address towards the clients.
pub const PROXY_CLIENT_SIDE: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 1);
/// Levee's address towards the backends.
pub const PROXY_ORIGIN_SIDE: Ipv4Addr = Ipv4Addr::new(10, 9, 2, 1);
/// Address of the backends.
pub const ORIGIN: Ipv4Addr = Ipv4Addr::new(10, 9, 2, 2);

/// Namespaces and links; they go when this does.
///
/// There is one at a time in a process: the machine has too few cores for two polling proxies.
pub struct Network {
    prefix: String,
    _alone: MutexGuard<'static, ()>,
}

/// A namespace.
#[derive(Clone, Debug)]
pub struct Place {
    namespace: String,
}

static ALONE: Mutex<()> = Mutex::new(());
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Names of all namespaces of tests start with this; the id of the process follows.
const PREFIX: &str = "lt-";

impl Network {
    /// Makes the namespaces and links.
    ///
    /// # Panics
    /// When `etc/network.sh` fails: without root, for one.
    #[must_use]
    pub fn new() -> Self {
        Self::make(&[])
    }

    /// With a gap between the clients and Levee, for a [`Wire`](crate::Wire) to close.
    ///
    /// # Panics
    /// As [`Network::new`].
    #[must_use]
    pub fn with_gap() -> Self {
        Self::make(&["wire"])
    }

    fn make(options: &[&str]) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        sweep();
        let prefix = format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        script("up", &prefix, options);
        Self { prefix, _alone: alone }
    }

    /// Where the clients are: `c0`, 10.9.1.2/24.
    #[must_use]
    pub fn client(&self) -> Place {
        self.place("client")
    }

    /// Where Levee is: `lv-client` and `lv-origin`, without addresses.
    #[must_use]
    pub fn proxy(&self) -> Place {
        self.place("proxy")
    }

    /// Where the backends are: `o0`, 10.9.2.2/24.
    #[must_use]
    pub fn origin(&self) -> Place {
        self.place("origin")
    }

    /// Where the gap is: `w-client` and `w-proxy`, without addresses.
    #[must_use]
    pub fn gap(&self) -> Place {
        self.place("wire")
    }

    /// A name that no other network has, for what must be unique on the machine.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn place(&self, name: &str) -> Place {
        Place { namespace: format!("{}-{name}", self.prefix) }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        script("down", &self.prefix, &[]);
    }
}

impl Place {
    /// A command that runs here, and ends when the thread that spawned it does.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, "setpriv", "--pdeathsig", "KILL"]);
        command.arg(program.as_ref());
        command
    }

    /// Connects from here.
    ///
    /// # Errors
    /// What the kernel says, within five seconds.
    pub fn connect(&self, address: impl Into<SocketAddr>) -> io::Result<TcpStream> {
        let address = address.into();
        self.within(|| TcpStream::connect_timeout(&address, Duration::from_secs(5)))
    }

    /// Listens here.
    ///
    /// # Panics
    /// When the kernel does not let us.
    #[must_use]
    pub fn listen(&self, address: impl Into<SocketAddr>) -> TcpListener {
        let address = address.into();
        self.within(|| TcpListener::bind(address)).expect("binding a listener")
    }

    /// Whether something accepts connections at `address`.
    #[must_use]
    pub fn reaches(&self, address: impl Into<SocketAddr>) -> bool {
        let address = address.into();
        self.within(|| TcpStream::connect_timeout(&address, Duration::from_millis(300))).is_ok()
    }

    /// Has the kernel take little of what nobody reads: a slow reader leaves it to the sender.
    ///
    /// # Panics
    /// When the kernel does not let us.
    pub fn limit_receive_buffers(&self) {
        let limits = || std::fs::write("/proc/sys/net/ipv4/tcp_rmem", "4096 16384 16384");
        self.within(limits).expect("a namespace has limits of its own");
    }

    /// Runs `action` in this namespace; sockets it makes belong here for good.
    ///
    /// # Panics
    /// Without root, or when the action does.
    pub fn within<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        let namespace =
            File::open(Path::new("/run/netns").join(&self.namespace)).expect("the namespace is there");
        let enter = move || {
            setns(&namespace, CloneFlags::CLONE_NEWNET).expect("entering a namespace needs root");
            action()
        };
        thread::scope(|scope| scope.spawn(enter).join()).expect("the thread within the namespace ends well")
    }
}

/// Removes what test processes left that were killed.
fn sweep() {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
        let Some((process, rest)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')) else {
            continue;
        };
        let Some((count, _)) = rest.split_once('-') else { continue };
        if !Path::new("/proc").join(process).exists() {
            script("down", &format!("{PREFIX}{process}-{count}"), &[]);
        }
    }
}

fn script(verb: &str, prefix: &str, options: &[&str]) {
    let path = repository().join("etc/network.sh");
    let output =
        Command::new(path).args([verb, prefix]).args(options).output().expect("etc/network.sh can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    // A panic in a drop while panicking would hide the first one.
    if !output.status.success() && !thread::panicking() {
        panic!("network.sh {verb}: {said}");
    }
}

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}
