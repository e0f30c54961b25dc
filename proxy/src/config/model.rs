//! What a checked configuration says: `Config` and its parts, plain values with nothing left to look up.
//!
//! Names are resolved to indices, paths are relative to the working directory, defaults are filled in,
//! numbers lie within the bounds that `etc/levee.toml` documents. A value here cannot be wrong in itself;
//! whether memory and virtual devices are there is for the launch to find out.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use levee_crypto::{Group, PrivateKey};
use levee_tls::{Suite, Version};

/// The whole configuration.
#[derive(Debug)]
pub struct Config {
    /// `[eal]`.
    pub eal: Eal,
    /// `[workers]`.
    pub workers: Workers,
    /// `[[port]]`, at least one; a TCP interface has the index of its port.
    pub ports: Vec<Port>,
    /// `[[listener]]`, at least one.
    pub listeners: Vec<Listener>,
    /// `[tls]`.
    pub tls: Tls,
    /// `[[certificate]]`; an engine's `KeyId` is the index here.
    pub certificates: Vec<Certificate>,
    /// `[[backend]]`, at least one unless every listener redirects.
    pub backends: Vec<Backend>,
    /// `[[route]]`, most specific first: the first that matches decides. Exact hosts come before
    /// wildcards, longer wildcards before shorter ones, `*` last; of one host, longer paths come first.
    pub routes: Vec<Route>,
    /// `[cache]`; `None` when no route caches.
    pub cache: Option<Cache>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[timeouts]`.
    pub timeouts: Timeouts,
    /// `[process]`.
    pub process: Process,
    /// `[log]`.
    pub log: Log,
    /// `[status]`.
    pub status: Status,
    /// `[diagnostics]`.
    pub diagnostics: Diagnostics,
}

/// How DPDK's environment abstraction layer is started.
#[derive(Clone, Debug)]
pub struct Eal {
    /// Arguments added behind those that the launch derives from the other keys. None of them is about
    /// cores, devices, memory size, file prefix or log level.
    pub args: Vec<String>,
    /// Where packet memory comes from.
    pub hugepages: Hugepages,
    /// Packet memory of the process, in MiB: what was asked for, or what the pools of all workers need.
    pub memory_mib: u32,
    /// The same where ordinary pages stand in for hugepages: larger, since no buffer crosses a page there.
    pub ordinary_mib: u32,
    /// Sets apart the run-time files of several DPDK processes.
    pub file_prefix: String,
    /// EAL's own log.
    pub log_level: EalLogLevel,
}

/// Where packet memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hugepages {
    /// Hugepages when there are enough, else ordinary pages, with a warning.
    Auto,
    /// Hugepages, or the launch fails.
    Required,
    /// Ordinary pages (`--no-huge`).
    Off,
}

/// Level of EAL's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EalLogLevel {
    /// Errors.
    Error,
    /// And warnings.
    Warning,
    /// And notices.
    Notice,
    /// And information.
    Info,
    /// Everything.
    Debug,
}

impl EalLogLevel {
    /// As `--log-level` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// The workers: one a CPU, each with connections and packet memory of its own.
#[derive(Clone, Debug)]
pub struct Workers {
    /// CPUs, distinct, at least one, each of them allowed to this process.
    pub lcores: Vec<u16>,
    /// Connections of one worker, to clients and backends together.
    pub connections: usize,
    /// Packet buffers of `levee_buf::ROOM` bytes of one worker.
    pub segments: usize,
    /// Packet buffers of `levee_buf::MAX_ROOM` bytes of one worker.
    pub records: usize,
    /// Packet buffers without room, that refer to bytes of others, of one worker.
    pub references: usize,
    /// What becomes of a worker that panics.
    pub on_panic: OnPanic,
    /// How long a turn of a worker may take before the process is given up; `None`: for ever.
    pub stuck: Option<Duration>,
}

/// What becomes of a worker that panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPanic {
    /// It loses its connections, and serves on.
    Restart,
    /// The process ends, once the other workers have finished what is under way.
    Stop,
}

/// A network port.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name in this file, in logs and in metrics.
    pub name: String,
    /// The DPDK device.
    pub device: Device,
    /// Its IPv4 addresses with their prefix lengths, at least one; no subnet is on two ports.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Next hop to what is not in a subnet of `addresses`; lies in one of them.
    pub gateway: Option<IpAddr>,
    /// Largest IP packet in bytes.
    pub mtu: u16,
    /// Receive descriptors of a queue.
    pub rx_descriptors: u16,
    /// Transmit descriptors of a queue.
    pub tx_descriptors: u16,
    /// Receive queues; `None`: one a worker where the device can steer, else one.
    pub queues: Option<u16>,
    /// What is asked of the device; it may grant less.
    pub offloads: Offloads,
}

/// Work asked of a port's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offloads {
    /// IPv4 and TCP checksums, both ways.
    pub checksum: bool,
    /// TCP segmentation; never without `checksum`.
    pub tso: bool,
}

/// A DPDK device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A virtual device, as `--vdev` takes it: `net_af_packet0,iface=lv-client`.
    Virtual(String),
    /// A PCI address with its domain, lower case, as `--allow` takes it: `0000:3b:00.0`.
    Pci(String),
}

impl Device {
    /// The name under which DPDK knows the device once it is probed: without a virtual device's arguments.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Virtual(text) => text.split_once(',').map_or(text, |(name, _)| name),
            Self::Pci(address) => address,
        }
    }

    /// As in the file.
    #[must_use]
    pub fn text(&self) -> &str {
        let (Self::Virtual(text) | Self::Pci(text)) = self;
        text
    }
}

/// Where clients connect.
#[derive(Clone, Debug)]
pub struct Listener {
    /// An address of `ports[port]`, and a TCP port; no two listeners are alike.
    pub address: SocketAddr,
    /// Index in [`Config::ports`].
    pub port: usize,
    /// What is spoken there.
    pub service: Service,
}

/// What a listener speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// HTTPS.
    Https {
        /// Indices in [`Config::certificates`], in order, at least one: the first serves clients that
        /// name no host, or one that no certificate has.
        certificates: Vec<usize>,
        /// ALPN protocols in order of preference.
        alpn: Vec<Vec<u8>>,
    },
    /// HTTP, by the same routes.
    Http,
    /// HTTP, where each request is redirected to `https://` at this TCP port.
    Redirect {
        /// TCP port of the HTTPS listener.
        port: u16,
    },
}

/// What TLS offers.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Versions, at least one; each has a suite among `suites`.
    pub versions: Vec<Version>,
    /// Suites of all versions, in order of preference.
    pub suites: Vec<Suite>,
    /// Groups, at least one, in order of preference.
    pub groups: Vec<Group>,
    /// Who does public-key work.
    pub engine: EngineChoice,
    /// Whether nonces of ECDSA are made ahead.
    pub nonces_ahead: bool,
    /// Devices that help with public-key work.
    pub public_key: Vec<Device>,
    /// Who does AEAD.
    pub aead: AeadChoice,
    /// Operations that each device of either kind may have at a time, of each worker; a power of two.
    pub device_queue: Option<u16>,
    /// Where secrets are logged in the format of `SSLKEYLOGFILE`; for debugging.
    pub keylog: Option<PathBuf>,
}

/// Who does public-key work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// The fastest that this CPU has.
    Auto,
    /// Eight connections at a time in the lanes of AVX-512 IFMA.
    Batch,
    /// X25519 of four connections at a time in the lanes of AVX2, else aws-lc.
    Batch4,
    /// `aws-lc-rs`.
    AwsLc,
    /// The RustCrypto crates.
    RustCrypto,
}

/// Who does AEAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AeadChoice {
    /// `crypto_aesni_gcm`, else our own code.
    Auto,
    /// Our own code.
    Software,
    /// These devices, at least one; our own code for suites that none of them offers.
    Devices(Vec<Device>),
}

/// A certificate chain and its key, read and found to match.
#[derive(Debug)]
pub struct Certificate {
    /// Its name in this file.
    pub name: String,
    /// DER, leaf first, at least one.
    pub chain: Vec<Vec<u8>>,
    /// The key of the leaf.
    pub key: PrivateKey,
    /// DNS names of the leaf's subjectAltName, lower case.
    pub names: Vec<String>,
}

/// A group of servers that answer alike.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Its name in this file, in logs and in metrics.
    pub name: String,
    /// The servers, distinct, at least one.
    pub servers: Vec<Server>,
    /// How a server is chosen.
    pub balance: Balance,
    /// From SYN to an established connection.
    pub connect_timeout: Duration,
    /// From the end of the request to the head of the response, and between parts of its body.
    pub response_timeout: Duration,
    /// Idle connections kept by one worker, to all servers together.
    pub keepalive: usize,
    /// Connections of one worker to one server; requests beyond get 503.
    pub max_connections: usize,
    /// Failures in a row after which a server is left out; 0: never.
    pub max_fails: u32,
    /// How long it is left out.
    pub fail_timeout: Duration,
    /// Further servers tried for an idempotent request that got no byte of a response. Another one over a new
    /// connection, where a kept one was gone, does not count.
    pub retries: u32,
}

/// A server of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The address of ours that connections to it leave from.
    pub source: IpAddr,
    /// Index in [`Config::ports`] of the port that has `source`.
    pub port: usize,
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn.
    RoundRobin,
    /// The one with the fewest requests of this worker under way.
    LeastConnections,
}

/// Which requests go to which backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Matches the host of the request.
    pub host: Host,
    /// Matches the start of the request's path by whole segments: `/a` matches `/a` and `/a/b`, not
    /// `/ab`; `/a/` matches `/a/b`, not `/a`; `/` matches every path.
    pub path: String,
    /// Index in [`Config::backends`].
    pub backend: usize,
    /// Whether responses may be cached.
    pub cache: bool,
}

/// A pattern for hosts; lower case, without port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// `example.test`: this host.
    Exact(String),
    /// `*.example.test`: every host that ends in this, which starts with a dot.
    Suffix(String),
    /// `*`: every host.
    Any,
}

/// The cache of one worker.
#[derive(Clone, Copy, Debug)]
pub struct Cache {
    /// Bytes of all entries.
    pub bytes: u64,
    /// Bytes of the largest entry.
    pub entry_bytes: u64,
    /// Entries.
    pub entries: usize,
    /// Responses being fetched into the cache at a time.
    pub fills: usize,
    /// Requests waiting for such a fetch, in all.
    pub waiters: usize,
}

/// What a client can make a worker hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the head of a request or response; longer ones get 431 or 502.
    pub header_bytes: usize,
    /// Bytes of a request line; longer ones get 414. At most `header_bytes`.
    pub request_line_bytes: usize,
    /// Fields of a head.
    pub header_fields: usize,
    /// Bytes of a request's body; longer ones get 413.
    pub request_body_bytes: u64,
    /// Requests on one connection; the last answer says `Connection: close`.
    pub requests_per_connection: u64,
    /// Bytes received and not yet consumed, per connection.
    pub receive_buffer_bytes: usize,
    /// Bytes sealed and unsent or unacknowledged, per connection.
    pub send_buffer_bytes: usize,
    /// Connections of a worker whose TCP handshake is not complete; beyond that SYN cookies.
    pub half_open: usize,
    /// TLS handshakes of a worker under way; connections beyond are reset. At most `Workers::connections`.
    pub handshakes: usize,
    /// Connections of a worker in TIME-WAIT, and used SYN cookies that are still believed; beyond that the oldest
    /// is forgotten.
    pub time_wait: usize,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the TCP connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request's head to its last.
    pub request_head: Duration,
    /// Between parts of a request's body.
    pub request_body_idle: Duration,
    /// The client takes nothing of a response.
    pub response_idle: Duration,
    /// Between requests of a connection.
    pub keepalive: Duration,
    /// Neither side of an upgraded connection says anything.
    pub tunnel_idle: Duration,
    /// After our last byte, for the client to close.
    pub linger: Duration,
    /// After a signal to stop, for requests under way.
    pub shutdown: Duration,
    /// Nothing that was sent is acknowledged (RFC 9293 section 3.8.3, R2).
    pub unacknowledged: Duration,
    /// TIME-WAIT (RFC 9293 section 3.4.2: twice the maximum segment lifetime).
    pub time_wait: Duration,
}

/// What the process keeps of its rights once it serves.
#[derive(Clone, Debug)]
pub struct Process {
    /// Whom root becomes; `None`: it stays root.
    pub user: Option<User>,
    /// Whether the kernel refuses system calls that serving does not need.
    pub filter_system_calls: bool,
    /// Whether memory stays out of swap space.
    pub lock_memory: bool,
    /// Whether a crash may leave memory, and the keys in it, in a file.
    pub core_dumps: bool,
}

/// A user of the system, with its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

/// The log.
#[derive(Clone, Debug)]
pub struct Log {
    /// What is logged.
    pub level: LogLevel,
    /// How.
    pub format: LogFormat,
    /// Where a line for each request goes; `None`: nowhere.
    pub access: Option<PathBuf>,
}

/// What is logged: this and what is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Errors.
    Error,
    /// Warnings.
    Warn,
    /// Information.
    Info,
    /// Help for debugging.
    Debug,
    /// Everything.
    Trace,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object a line.
    Json,
}

/// What is measured beyond counters.
#[derive(Clone, Copy, Debug)]
pub struct Diagnostics {
    /// Where workers spend their cycles is summed by stage and said at the end.
    pub cycles: bool,
}

/// The status line.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// How often it is written; `None`: never.
    pub interval: Option<Duration>,
}
