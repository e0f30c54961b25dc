//! The sections of the file: every key with its kind, bounds and default, in the order of
//! `etc/levee.toml`.
//!
//! What other sections refer to, or what refers to them, keeps its place in the file for [`check`](super::check).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use levee_buf::MAX_ROOM;
use levee_crypto::Group;
use levee_http::MAX_FIELDS;
use levee_tls::{Suite, Version};
use toml::Spanned;

use super::kind::{boolean, choice, number, text, word_or};
use super::model::{
    AeadChoice, Balance, Cache, Device, Diagnostics, EalLogLevel, EngineChoice, Host, Hugepages, Limits, Log,
    LogFormat, LogLevel, Offloads, OnPanic, Status, Timeouts,
};
use super::reader::{Findings, Table};
use super::values::{
    Subnet, address, crypto_device, file, host, millis, name, network_device, path_prefix, public_key_device,
    socket, subnet,
};

/// The file, read and not yet checked across sections.
pub(super) struct Document {
    pub(super) eal: Eal,
    pub(super) workers: Workers,
    pub(super) ports: Vec<Port>,
    pub(super) listeners: Vec<Listener>,
    pub(super) tls: Tls,
    pub(super) certificates: Vec<Certificate>,
    pub(super) backends: Vec<Backend>,
    pub(super) routes: Vec<Route>,
    pub(super) cache: Cache,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
    pub(super) process: Process,
    pub(super) log: Log,
    pub(super) status: Status,
    pub(super) diagnostics: Diagnostics,
}

impl Document {
    /// Reads all sections; paths are relative to `directory`.
    pub(super) fn read(root: &Table<'_>, directory: &Path, findings: &Findings) -> Self {
        let eal = Eal::read(&root.section("eal", "eal"));
        let workers = Workers::read(&root.section("workers", "workers"));
        let ports = root.sections("port", MAX_PORTS).iter().map(Port::read).collect();
        let listeners: Vec<_> = root.sections("listener", MAX_TABLES).iter().map(Listener::read).collect();
        let needed = [
            ("port", true, "a name, a device and an address"),
            ("listener", true, "the address and port where clients connect"),
            ("route", !listeners.iter().all(Listener::redirects), "the name of a backend"),
        ];
        for (section, _, with) in needed.iter().filter(|(section, needed, _)| *needed && !root.has(section)) {
            let help = format!("add one, with {with}");
            findings.error(format!("there is no `[[{section}]]`"), |error| error.help(help));
        }
        Self {
            eal,
            ports,
            listeners,
            tls: Tls::read(&root.section("tls", "tls"), directory),
            certificates: root
                .sections("certificate", MAX_TABLES)
                .iter()
                .map(|t| Certificate::read(t, directory))
                .collect(),
            backends: root.sections("backend", MAX_TABLES).iter().map(Backend::read).collect(),
            routes: root.sections("route", MAX_ROUTES).iter().map(Route::read).collect(),
            cache: cache(&root.section("cache", "cache")),
            limits: limits(&root.section("limits", "limits"), workers.connections),
            timeouts: timeouts(&root.section("timeouts", "timeouts")),
            process: Process::read(&root.section("process", "process")),
            log: log(&root.section("log", "log"), directory),
            status: status(&root.section("status", "status")),
            diagnostics: diagnostics(&root.section("diagnostics", "diagnostics")),
            workers,
        }
    }
}

/// `[eal]`.
pub(super) struct Eal {
    pub(super) args: Vec<Spanned<String>>,
    pub(super) hugepages: Hugepages,
    pub(super) memory_mib: Option<Spanned<u32>>,
    pub(super) file_prefix: String,
    pub(super) log_level: EalLogLevel,
}

impl Eal {
    fn read(table: &Table<'_>) -> Self {
        let argument = text("one argument of EAL, such as \"--iova-mode=va\"", |text| {
            let good = !text.is_empty() && !text.contains('\0');
            good.then(|| text.to_owned()).ok_or("")
        });
        Self {
            args: table.list("args", argument).or(Vec::new()),
            hugepages: table
                .value(
                    "hugepages",
                    choice([
                        ("auto", Hugepages::Auto),
                        ("required", Hugepages::Required),
                        ("off", Hugepages::Off),
                    ]),
                )
                .or(Hugepages::Auto),
            memory_mib: table.value("memory_mib", number(64..=1 << 20)).optional(),
            file_prefix: table.value("file_prefix", name()).or("levee".to_owned()),
            log_level: table
                .value(
                    "log_level",
                    choice([
                        ("error", EalLogLevel::Error),
                        ("warning", EalLogLevel::Warning),
                        ("notice", EalLogLevel::Notice),
                        ("info", EalLogLevel::Info),
                        ("debug", EalLogLevel::Debug),
                    ]),
                )
                .or(EalLogLevel::Warning),
        }
    }
}

/// `[workers]`.
pub(super) struct Workers {
    pub(super) lcores: Option<Vec<Spanned<u16>>>,
    pub(super) connections: usize,
    pub(super) segments: Option<Spanned<usize>>,
    pub(super) records: Option<Spanned<usize>>,
    pub(super) references: Option<Spanned<usize>>,
    pub(super) on_panic: OnPanic,
    pub(super) stuck: Option<Duration>,
}

impl Workers {
    fn read(table: &Table<'_>) -> Self {
        Self {
            lcores: table.list("lcores", number(0..=1023)).required().map(Spanned::into_inner),
            connections: table.value("connections", number(64..=4_000_000)).or(10_000),
            segments: table.value("segments", number(1024..=16_000_000)).optional(),
            records: table.value("records", number(64..=4_000_000)).optional(),
            references: table.value("references", number(1024..=32_000_000)).optional(),
            on_panic: table
                .value("on_panic", choice([("restart", OnPanic::Restart), ("stop", OnPanic::Stop)]))
                .or(OnPanic::Restart),
            stuck: table
                .value("stuck_ms", word_or("off", None, millis(1000, HOUR).map(Some)))
                .or(Some(Duration::from_secs(10))),
        }
    }
}

/// `[[port]]`.
pub(super) struct Port {
    pub(super) name: Option<Spanned<String>>,
    pub(super) device: Option<Spanned<Device>>,
    pub(super) addresses: Option<Vec<Spanned<Subnet>>>,
    pub(super) gateway: Option<Spanned<Ipv4Addr>>,
    pub(super) mtu: u16,
    pub(super) rx_descriptors: u16,
    pub(super) tx_descriptors: u16,
    pub(super) queues: Option<Spanned<Option<u16>>>,
    pub(super) offloads: Offloads,
}

impl Port {
    fn read(table: &Table<'_>) -> Self {
        Self {
            name: table.value("name", name()).required(),
            device: table.value("device", network_device()).required(),
            addresses: table.one_or_more("address", subnet()).required().map(Spanned::into_inner),
            gateway: table.value("gateway", address()).optional(),
            mtu: table.value("mtu", number(576..=9000)).or(1500),
            rx_descriptors: table.value("rx_descriptors", number(64..=32_768)).or(1024),
            tx_descriptors: table.value("tx_descriptors", number(64..=32_768)).or(1024),
            queues: table.value("queues", word_or("auto", None, number(1..=1024).map(Some))).optional(),
            offloads: offloads(&table.section("offloads", "port.offloads")),
        }
    }
}

fn offloads(table: &Table<'_>) -> Offloads {
    let checksum = table.value("checksum", boolean()).or(true);
    let tso = table.value("tso", boolean()).optional();
    if let Some(tso) = tso.as_ref().filter(|tso| *tso.get_ref() && !checksum) {
        table.error("tso", tso.span(), "needs `checksum`", "must be false where `checksum` is");
    }
    Offloads { checksum, tso: tso.map_or(checksum, Spanned::into_inner) }
}

/// `[[listener]]`.
pub(super) struct Listener {
    pub(super) address: Option<Spanned<SocketAddrV4>>,
    pub(super) tls: bool,
    pub(super) certificates: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) alpn: Option<Spanned<Vec<Spanned<&'static str>>>>,
    pub(super) redirect_to_https: Option<Spanned<bool>>,
    pub(super) redirect_port: Option<Spanned<u16>>,
}

impl Listener {
    fn read(table: &Table<'_>) -> Self {
        let tls = table.value("tls", boolean()).or(true);
        if tls && !table.has("certificates") {
            let label = "needs `certificates`, a list of names, or `tls = false`";
            table.error("certificates", table.at(), "is missing", label);
        }
        Self {
            address: table.value("address", socket()).required(),
            tls,
            certificates: table.list("certificates", name()).optional(),
            alpn: table.list("alpn", choice([("http/1.1", "http/1.1")])).optional(),
            redirect_to_https: table.value("redirect_to_https", boolean()).optional(),
            redirect_port: table.value("redirect_port", number(1..=u16::MAX)).optional(),
        }
    }
}

impl Listener {
    /// Whether it sends every request elsewhere.
    pub(super) fn redirects(&self) -> bool {
        !self.tls && self.redirect_to_https.as_ref().is_some_and(|redirect| *redirect.get_ref())
    }
}

/// `[tls]`.
pub(super) struct Tls {
    pub(super) versions: Vec<Version>,
    pub(super) suites: Option<Spanned<Vec<Spanned<Suite>>>>,
    pub(super) groups: Option<Spanned<Vec<Spanned<Group>>>>,
    pub(super) engine: EngineChoice,
    pub(super) nonces_ahead: bool,
    pub(super) public_key: Vec<Spanned<Device>>,
    pub(super) aead: Vec<Spanned<AeadChoice>>,
    pub(super) device_queue: Option<u16>,
    pub(super) keylog: Option<Spanned<PathBuf>>,
}

impl Tls {
    fn read(table: &Table<'_>, directory: &Path) -> Self {
        let versions = [("1.3", Version::Tls13), ("1.2", Version::Tls12)];
        let suites: Vec<_> = Suite::ALL.iter().map(|&suite| (suite.name(), suite)).collect();
        let groups = [
            ("x25519mlkem768", Group::X25519MlKem768),
            ("x25519", Group::X25519),
            ("secp256r1", Group::Secp256r1),
            ("secp384r1", Group::Secp384r1),
        ];
        let engines = [
            ("auto", EngineChoice::Auto),
            ("batch", EngineChoice::Batch),
            ("batch4", EngineChoice::Batch4),
            ("awslc", EngineChoice::AwsLc),
            ("rustcrypto", EngineChoice::RustCrypto),
        ];
        let device = crypto_device().map(|device| AeadChoice::Devices(vec![device]));
        let aead = word_or("auto", AeadChoice::Auto, word_or("software", AeadChoice::Software, device));
        Self {
            versions: table.list("versions", choice(versions)).plain_or(versions.map(|(_, v)| v).into()),
            suites: table.list("suites", choice(suites)).optional(),
            groups: table.list("groups", choice(groups)).optional(),
            engine: table.value("engine", choice(engines)).or(EngineChoice::Auto),
            nonces_ahead: table.value("nonces_ahead", boolean()).or(false),
            public_key: table.one_or_more("public_key", public_key_device()).or(Vec::new()),
            aead: table.one_or_more("aead", aead).or(Vec::new()),
            device_queue: table.value("device_queue", number(8..=32_768)).optional().map(Spanned::into_inner),
            keylog: keylog(table, directory),
        }
    }
}

fn keylog(table: &Table<'_>, directory: &Path) -> Option<Spanned<PathBuf>> {
    let path = table.value("keylog", file(directory)).optional()?;
    if lacks_directory(path.get_ref()) {
        table.error("keylog", path.span(), "lies in a directory that does not exist", MAKE_DIRECTORY);
    }
    Some(path)
}

/// `[[certificate]]`.
pub(super) struct Certificate {
    pub(super) name: Option<Spanned<String>>,
    pub(super) chain: Option<Spanned<PathBuf>>,
    pub(super) key: Option<Spanned<PathBuf>>,
}

impl Certificate {
    fn read(table: &Table<'_>, directory: &Path) -> Self {
        Self {
            name: table.value("name", name()).required(),
            chain: table.value("chain", file(directory)).required(),
            key: table.value("key", file(directory)).required(),
        }
    }
}

/// `[[backend]]`.
pub(super) struct Backend {
    pub(super) name: Option<Spanned<String>>,
    pub(super) servers: Vec<Spanned<SocketAddrV4>>,
    pub(super) source: Option<Spanned<Ipv4Addr>>,
    pub(super) balance: Balance,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
    pub(super) keepalive: usize,
    pub(super) max_connections: usize,
    pub(super) max_fails: u32,
    pub(super) fail_timeout: Duration,
    pub(super) retries: u32,
}

impl Backend {
    fn read(table: &Table<'_>) -> Self {
        Self {
            name: table.value("name", name()).required(),
            servers: table.list("servers", socket()).required().map_or_else(Vec::new, Spanned::into_inner),
            source: table.value("source", address()).optional(),
            balance: table
                .value(
                    "balance",
                    choice([
                        ("round_robin", Balance::RoundRobin),
                        ("least_connections", Balance::LeastConnections),
                    ]),
                )
                .or(Balance::RoundRobin),
            connect_timeout: table
                .value("connect_timeout_ms", millis(10, 600_000))
                .or(Duration::from_secs(2)),
            response_timeout: table.value("response_timeout_ms", millis(10, DAY)).or(Duration::from_secs(60)),
            keepalive: table.value("keepalive", number(0..=1_000_000)).or(256),
            max_connections: table.value("max_connections", number(1..=1_000_000)).or(1024),
            max_fails: table.value("max_fails", number(0..=1000)).or(3),
            fail_timeout: table.value("fail_timeout_ms", millis(100, 3_600_000)).or(Duration::from_secs(10)),
            retries: table.value("retries", number(0..=10)).or(1),
        }
    }
}

/// `[[route]]`.
pub(super) struct Route {
    pub(super) at: Range<usize>,
    pub(super) host: Option<Host>,
    pub(super) path: Option<String>,
    pub(super) backend: Option<Spanned<String>>,
    pub(super) cache: bool,
}

impl Route {
    fn read(table: &Table<'_>) -> Self {
        Self {
            at: table.at(),
            host: table.value("host", host()).or_wrong(Host::Any),
            path: table.value("path", path_prefix()).or_wrong("/".to_owned()),
            backend: table.value("backend", name()).required(),
            cache: table.value("cache", boolean()).or(false),
        }
    }
}

/// `[cache]`.
fn cache(table: &Table<'_>) -> Cache {
    let memory_mib: u64 = table.value("memory_mib", number(1..=65_536)).or(64);
    let entry = table.value("max_entry_mib", number(1..=4096)).optional();
    if let Some(entry) = entry.as_ref().filter(|entry| *entry.get_ref() > memory_mib) {
        let label = format!("must be at most `memory_mib`, {memory_mib}");
        table.error("max_entry_mib", entry.span(), &format!("is {}", entry.get_ref()), label);
    }
    let entry_mib = entry.map_or(memory_mib.min(8), Spanned::into_inner);
    Cache {
        bytes: memory_mib << 20,
        entry_bytes: entry_mib << 20,
        entries: table.value("entries", number(16..=10_000_000)).or(10_000),
        fills: table.value("fills", number(1..=100_000)).or(256),
        waiters: table.value("waiters", number(1..=1_000_000)).or(4096),
    }
}

/// `[limits]` of a worker with so many `connections`.
fn limits(table: &Table<'_>, connections: usize) -> Limits {
    let header_bytes = table.value("header_bytes", number(1024..=HEADER_BYTES)).or(HEADER_BYTES);
    let line = table.value("request_line_bytes", number(256..=HEADER_BYTES)).optional();
    if let Some(line) = line.as_ref().filter(|line| *line.get_ref() > header_bytes) {
        let label = format!("must be at most `header_bytes`, {header_bytes}");
        table.error("request_line_bytes", line.span(), &format!("is {}", line.get_ref()), label);
    }
    let handshakes = table.value("handshakes", number(1..=4_000_000)).optional();
    if let Some(most) = handshakes.as_ref().filter(|most| *most.get_ref() > connections) {
        let label = format!("must be at most `workers.connections`, {connections}");
        table.error("handshakes", most.span(), &format!("is {}", most.get_ref()), label);
    }
    Limits {
        header_bytes,
        request_line_bytes: line.map_or(header_bytes.min(8192), Spanned::into_inner),
        header_fields: table.value("header_fields", number(8..=MAX_FIELDS)).or(MAX_FIELDS),
        request_body_bytes: table.value("request_body_bytes", number(0..=1 << 40)).or(1 << 30),
        requests_per_connection: table
            .value("requests_per_connection", number(1..=1_000_000_000))
            .or(1_000_000),
        receive_buffer_bytes: table.value("receive_buffer_bytes", number(16_384..=1 << 30)).or(256 << 10),
        send_buffer_bytes: table.value("send_buffer_bytes", number(16_384..=1 << 30)).or(1 << 20),
        half_open: table.value("half_open", number(64..=4_000_000)).or(connections.clamp(64, 1 << 16)),
        handshakes: handshakes.map_or(connections.min(4096), Spanned::into_inner),
        time_wait: table.value("time_wait", number(64..=4_000_000)).or(connections.clamp(64, 1 << 16)),
    }
}

/// `[timeouts]`.
fn timeouts(table: &Table<'_>) -> Timeouts {
    let or = |name, least, most, default| {
        table.value(name, millis(least, most)).or(Duration::from_millis(default))
    };
    Timeouts {
        handshake: or("handshake_ms", 100, 600_000, 10_000),
        request_head: or("request_head_ms", 100, 600_000, 10_000),
        request_body_idle: or("request_body_idle_ms", 100, HOUR, 30_000),
        response_idle: or("response_idle_ms", 100, HOUR, 30_000),
        keepalive: or("keepalive_ms", 100, HOUR, 60_000),
        tunnel_idle: or("tunnel_idle_ms", 1000, DAY, 600_000),
        linger: or("linger_ms", 10, 60_000, 2000),
        shutdown: or("shutdown_ms", 0, HOUR, 10_000),
        unacknowledged: or("unacknowledged_ms", 1000, HOUR, 100_000),
        time_wait: or("time_wait_ms", 1000, 240_000, 60_000),
    }
}

/// `[process]`.
pub(super) struct Process {
    pub(super) user: Option<Spanned<String>>,
    pub(super) filter_system_calls: bool,
    pub(super) lock_memory: bool,
    pub(super) core_dumps: bool,
}

impl Process {
    fn read(table: &Table<'_>) -> Self {
        let user = text("the name of a user", |text| (!text.is_empty()).then(|| text.to_owned()).ok_or(""));
        Self {
            user: table.value("user", user).optional(),
            filter_system_calls: table.value("filter_system_calls", boolean()).or(true),
            lock_memory: table.value("lock_memory", boolean()).or(true),
            core_dumps: table.value("core_dumps", boolean()).or(false),
        }
    }
}

/// `[log]`.
fn log(table: &Table<'_>, directory: &Path) -> Log {
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let access = table.value("access", word_or("off", None, file(directory).map(Some))).optional();
    if let Some(at) = access.as_ref().filter(|path| path.get_ref().as_deref().is_some_and(lacks_directory)) {
        table.error("access", at.span(), "lies in a directory that does not exist", MAKE_DIRECTORY);
    }
    Log {
        level: table.value("level", choice(levels)).or(LogLevel::Info),
        format: table.value("format", choice(formats)).or(LogFormat::Text),
        access: access.and_then(Spanned::into_inner),
    }
}

/// `[status]`.
fn status(table: &Table<'_>) -> Status {
    let interval = word_or("off", None, millis(100, HOUR).map(Some));
    Status { interval: table.value("interval_ms", interval).or(None) }
}

/// `[diagnostics]`.
fn diagnostics(table: &Table<'_>) -> Diagnostics {
    Diagnostics { cycles: table.value("cycles", boolean()).or(false) }
}

const MAKE_DIRECTORY: &str = "make the directory, or name another";

/// Whether a file cannot be made at `path` because its directory is missing.
fn lacks_directory(path: &Path) -> bool {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    directory.is_some_and(|directory| !directory.is_dir())
}

/// The largest head: one segment of [`MAX_ROOM`] bytes holds it.
const HEADER_BYTES: usize = 16_384;
const _: () = assert!(HEADER_BYTES <= MAX_ROOM);

/// Ports that DPDK can have (`RTE_MAX_ETHPORTS`).
const MAX_PORTS: usize = 32;

/// Listeners, certificates or backends.
const MAX_TABLES: usize = 1000;

/// Routes, which are looked through one after the other.
const MAX_ROUTES: usize = 10_000;

/// Milliseconds of an hour.
const HOUR: u32 = 3_600_000;

/// Milliseconds of a day.
const DAY: u32 = 24 * HOUR;
