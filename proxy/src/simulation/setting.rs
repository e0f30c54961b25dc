//! What a world is like: `Setting`, and the configuration of its proxy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use levee_crypto::Group;
use levee_tls::{Suite, Version};

use super::client::plan::Doors;
use super::dice::Dice;
use super::engines::Mood;
use super::identity;
use super::ledger::HTTPS;
use super::link::Weather;
use super::origin;
use crate::config::{self, Backend, Config, Host, Limits, Listener, Route, Server, Service, Timeouts};

/// A world's temper.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Everything is there in plenty, and nothing fails but origins and the clients who mean it: every good client
    /// gets its answers.
    pub(crate) is_calm: bool,
    pub(crate) mtu: u16,
    /// Packet memory of the proxy, in segments.
    pub(crate) segments: usize,
    pub(crate) connections: usize,
    pub(crate) handshakes: usize,
    /// Connections whose handshake of TCP is not complete; SYN cookies answer the others.
    pub(crate) half_open: usize,
    pub(crate) buffer: usize,
    pub(crate) people: usize,
    /// Answers of a thousand that are no good.
    pub(crate) faults: u32,
    /// Servers close idle connections after this; zero: they do not.
    pub(crate) idle_ns: u64,
    pub(crate) retries: u32,
    pub(crate) caches: bool,
    pub(crate) mood: Mood,
    pub(crate) front: Weather,
    pub(crate) back: Weather,
    /// Frames that a device takes in a turn, and that wait for it before it counts as full.
    pub(crate) takes: usize,
    pub(crate) pending: usize,
}

/// Addresses: the clients' side, and the servers'.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const FRONT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const BACK: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
pub(crate) const SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 1, 10), Ipv4Addr::new(10, 0, 1, 11)];
/// Nobody listens at this port of a server, and nobody is at this address.
const CLOSED: u16 = 81;
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 99);

pub(crate) const DOORS: Doors = Doors {
    https: SocketAddrV4::new(FRONT, HTTPS),
    http: SocketAddrV4::new(FRONT, 8000),
    redirect: SocketAddrV4::new(FRONT, 80),
};

impl Setting {
    /// One of any kind.
    pub(crate) fn any(dice: &mut Dice) -> Self {
        if dice.chance(500) { Self::rough(dice) } else { Self::calm(dice) }
    }

    pub(crate) fn calm(dice: &mut Dice) -> Self {
        let mood =
            Mood { turns: dice.pick(&[0, 0, 1, 8]), refuses: dice.pick(&[0, 0, 100]), ..Mood::default() };
        Self {
            is_calm: true,
            mtu: dice.pick(&[1500, 1500, 1500, 576, 9000]),
            segments: 50_000,
            connections: 256,
            handshakes: 256,
            half_open: 256,
            buffer: dice.pick(&[1 << 18, 1 << 16, 1 << 15]),
            people: 1 + dice.below(12),
            faults: dice.pick(&[0, 100, 300]),
            idle_ns: 0,
            retries: dice.pick(&[1, 2]),
            caches: dice.chance(700),
            mood,
            front: Weather::mild(dice),
            back: Weather::mild(dice),
            takes: 256,
            pending: 256,
        }
    }

    fn rough(dice: &mut Dice) -> Self {
        let chance = |dice: &mut Dice| dice.pick(&[0, 0, 10, 100]);
        let mood = Mood {
            refuses: chance(dice),
            fails: chance(dice),
            turns: dice.pick(&[0, 3, 30]),
            is_parked: false,
        };
        let connections = dice.pick(&[256, 4, 10, 30]);
        let weather =
            |dice: &mut Dice| if dice.chance(500) { Weather::rough(dice) } else { Weather::mild(dice) };
        Self {
            is_calm: false,
            segments: dice.pick(&[50_000, 60, 150, 400, 1000]),
            connections,
            handshakes: dice.pick(&[connections, 1, 2, 4]).min(connections),
            half_open: dice.pick(&[256, 2, 0]),
            buffer: dice.pick(&[1 << 18, 1 << 16, 1 << 14, 1 << 12]),
            people: 1 + dice.below(20),
            faults: dice.pick(&[0, 100, 500]),
            idle_ns: dice.pick(&[0, 1_000_000, 50_000_000, 1_000_000_000]),
            retries: dice.pick(&[0, 1, 2]),
            mood,
            front: weather(dice),
            back: weather(dice),
            takes: dice.pick(&[256, 1, 16]),
            pending: dice.pick(&[256, 4]),
            ..Self::calm(dice)
        }
    }

    /// What the proxy is told.
    pub(crate) fn config(&self, dice: &mut Dice) -> Config {
        let secure = Service::Https { certificates: vec![0, 1], alpn: vec![b"http/1.1".to_vec()] };
        let listener = |address, service| Listener { address: SocketAddr::V4(address), port: 0, service };
        let mut groups = Group::ALL.to_vec();
        let shift = dice.below(groups.len());
        groups.rotate_left(shift);
        let route = |path: &str, backend, cache| Route { host: Host::Any, path: path.into(), backend, cache };
        Config {
            workers: config::Workers {
                lcores: vec![0],
                connections: self.connections,
                segments: self.segments,
                records: 0,
                references: 0,
                on_panic: config::OnPanic::Stop,
                stuck: None,
            },
            listeners: vec![
                listener(DOORS.https, secure),
                listener(DOORS.http, Service::Http),
                listener(DOORS.redirect, Service::Redirect { port: HTTPS }),
            ],
            tls: config::Tls {
                versions: vec![Version::Tls13, Version::Tls12],
                suites: Suite::ALL.to_vec(),
                groups,
                engine: config::EngineChoice::RustCrypto,
                nonces_ahead: false,
                public_key: Vec::new(),
                device_queue: None,
                aead: config::AeadChoice::Software,
                keylog: None,
            },
            certificates: identity::certificates(),
            backends: (0..2).map(|_| self.backend(dice)).collect(),
            routes: vec![route("/own", 0, false), route("/kept", 1, true)],
            cache: self.caches.then(|| self.cache()),
            limits: self.limits(dice),
            timeouts: self.timeouts(),
            // What follows is for devices and people, of whom there are none.
            eal: config::Eal {
                args: Vec::new(),
                hugepages: config::Hugepages::Off,
                memory_mib: 0,
                ordinary_mib: 0,
                file_prefix: String::new(),
                log_level: config::EalLogLevel::Error,
            },
            ports: Vec::new(),
            process: config::Process {
                user: None,
                filter_system_calls: false,
                lock_memory: false,
                core_dumps: false,
            },
            log: config::Log {
                level: config::LogLevel::Error,
                format: config::LogFormat::Text,
                access: None,
            },
            status: config::Status { interval: None },
            diagnostics: config::Diagnostics { cycles: false },
        }
    }

    /// A backend with a server that is there, and perhaps one that is not.
    fn backend(&self, dice: &mut Dice) -> Backend {
        let server = |address, port| Server {
            address: SocketAddr::from((address, port)),
            source: IpAddr::V4(BACK),
            port: 1,
        };
        let mut servers = vec![server(SERVERS[0], origin::PORT), server(SERVERS[1], origin::PORT)];
        match dice.below(4) {
            // Who does not try twice is not to be let down by those who are not there.
            _ if self.retries == 0 => {}
            0 | 1 => {}
            2 => servers.push(server(SERVERS[0], CLOSED)),
            _ => servers.push(server(NOBODY, origin::PORT)),
        }
        let (connect_s, response_s) = if self.is_calm { (20, 30) } else { (2, 3) };
        Backend {
            name: "origin".into(),
            servers,
            balance: dice.pick(&[config::Balance::RoundRobin, config::Balance::LeastConnections]),
            connect_timeout: Duration::from_secs(connect_s),
            response_timeout: Duration::from_secs(response_s),
            keepalive: dice.pick(&[8, 0, 1]),
            max_connections: if self.is_calm { 256 } else { dice.pick(&[256, 1, 4]) },
            max_fails: dice.pick(&[0, 1, 3]),
            fail_timeout: Duration::from_secs(5),
            retries: self.retries,
        }
    }

    fn cache(&self) -> config::Cache {
        let bytes = (self.segments as u64 * 2176 / 4).min(1 << 24);
        config::Cache { bytes, entry_bytes: bytes / 2, entries: 16, fills: 4, waiters: 8 }
    }

    fn limits(&self, dice: &mut Dice) -> Limits {
        Limits {
            header_bytes: 8192,
            request_line_bytes: 4096,
            header_fields: 64,
            request_body_bytes: if self.is_calm { 1 << 30 } else { dice.pick(&[1 << 30, 5000]) },
            requests_per_connection: dice.pick(&[1000, 1, 2]),
            receive_buffer_bytes: self.buffer,
            send_buffer_bytes: dice.pick(&[1 << 20, self.buffer]),
            half_open: self.half_open,
            handshakes: self.handshakes,
            time_wait: if self.is_calm { 256 } else { dice.pick(&[256, 2, 0]) },
        }
    }

    const fn timeouts(&self) -> Timeouts {
        let short = if self.is_calm { 30 } else { 4 };
        Timeouts {
            handshake: Duration::from_secs(short),
            request_head: Duration::from_secs(short),
            request_body_idle: Duration::from_secs(short),
            response_idle: Duration::from_secs(short),
            keepalive: Duration::from_secs(if self.is_calm { 30 } else { 2 }),
            tunnel_idle: Duration::from_secs(short),
            linger: Duration::from_secs(2),
            shutdown: Duration::from_secs(30),
            unacknowledged: Duration::from_secs(if self.is_calm { 60 } else { 10 }),
            time_wait: Duration::from_secs(5),
        }
    }
}
