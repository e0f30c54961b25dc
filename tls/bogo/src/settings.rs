//! The runner's flags: `Settings`, one for each connection of a test.

use std::path::PathBuf;

use levee_crypto::Group;
use levee_tls::Version;

/// What one connection offers, does and expects.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) port: u16,
    pub(crate) ipv6: bool,
    pub(crate) shim_id: u64,
    pub(crate) credentials: Vec<Credential>,
    pub(crate) versions: Vec<Version>,
    /// Empty is all.
    pub(crate) groups: Vec<Group>,
    pub(crate) protocol: Option<String>,
    /// Bytes come one at a time.
    pub(crate) slow: bool,
    pub(crate) writes_first: usize,
    pub(crate) initial_write: Vec<u8>,
    pub(crate) writes_all_sizes: bool,
    pub(crate) shuts_down: bool,
    /// After our close_notify the peer's must come.
    pub(crate) checks_close: bool,
    pub(crate) expected: Expected,
}

/// A certificate chain and its key, by their files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credential {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

/// What the handshake must have come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) version: Option<u16>,
    pub(crate) group: Option<u16>,
    pub(crate) suite: Option<u16>,
    /// The empty name is none.
    pub(crate) protocol: Option<String>,
    /// The client's list of protocols, each behind its length.
    pub(crate) offered: Option<String>,
    /// The server name in ClientHello.
    pub(crate) name: Option<String>,
    pub(crate) retried: Option<bool>,
    pub(crate) credential: Option<usize>,
    pub(crate) extended_master_secret: bool,
    pub(crate) secure_renegotiation: Option<bool>,
    pub(crate) never_done: bool,
}

/// What there is not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) String);

/// A flag's name and its value, which some have.
struct Flags<'a>(std::slice::Iter<'a, String>);

impl Settings {
    /// The settings of each connection, the first and those that a client would resume.
    pub(crate) fn parse(arguments: &[String]) -> Result<Vec<Self>, Refused> {
        let (mut first, mut later) = (Self::default(), Self::default());
        let (mut resumptions, mut session_misses) = (0, false);
        if !arguments.iter().any(|flag| flag == "-server") {
            return Err(Refused("a client".into()));
        }
        let mut versions = VersionRange::default();
        let mut flags = Flags(arguments.iter());
        while let Some((scope, name)) = flags.next() {
            match name {
                "-server" => {}
                "-resume-count" => resumptions = flags.number()?,
                "-expect-session-miss" => session_misses = true,
                "-min-version" => versions.least = flags.number()?,
                "-max-version" => versions.most = flags.number()?,
                "-no-tls13" => versions.without.push(Version::Tls13),
                "-no-tls12" => versions.without.push(Version::Tls12),
                "-port" | "-shim-id" | "-ipv6" => {
                    first.address(name, &mut flags)?;
                    (later.port, later.shim_id, later.ipv6) = (first.port, first.shim_id, first.ipv6);
                }
                _ => {
                    let start = flags.0.clone();
                    if scope != Scope::Later {
                        first.flag(name, &mut flags)?;
                    }
                    if scope != Scope::First {
                        // Both read the flag's value.
                        if scope == Scope::Both {
                            flags.0 = start;
                        }
                        later.flag(name, &mut flags)?;
                    }
                }
            }
        }
        if resumptions > 0 && !session_misses {
            return Err(Refused("sessions that are resumed".into()));
        }
        first.versions = versions.ours();
        later.versions.clone_from(&first.versions);
        if first.versions.is_empty() {
            return Err(Refused("versions below TLS 1.2".into()));
        }
        Ok(std::iter::once(first).chain(std::iter::repeat_n(later, resumptions)).collect())
    }

    fn address(&mut self, name: &str, flags: &mut Flags<'_>) -> Result<(), Refused> {
        match name {
            "-port" => self.port = flags.number()?,
            "-shim-id" => self.shim_id = flags.number()?,
            _ => self.ipv6 = true,
        }
        Ok(())
    }

    fn flag(&mut self, name: &str, flags: &mut Flags<'_>) -> Result<(), Refused> {
        let expected = &mut self.expected;
        match name {
            "-cert-file" => self.credential().chain = flags.value()?.into(),
            "-key-file" => self.credential().key = flags.value()?.into(),
            "-new-x509-credential" => self.credentials.push(Credential::default()),
            "-curves" => {
                let code = flags.number()?;
                let group = Group::from_code(code).ok_or_else(|| Refused(format!("group {code}")))?;
                self.groups.push(group);
            }
            "-select-alpn" => self.protocol = Some(flags.value()?.to_owned()),
            // What no client offers.
            "-reject-alpn" => self.protocol = Some("\0".into()),
            "-async" => self.slow = true,
            "-shim-writes-first" => self.writes_first = self.writes_first.max(1),
            "-repeat-shim-initial-write" => self.writes_first = flags.number()?,
            "-shim-initial-write" => self.initial_write = flags.value()?.as_bytes().to_vec(),
            "-write-different-record-sizes" => self.writes_all_sizes = true,
            "-shim-shuts-down" => self.shuts_down = true,
            "-check-close-notify" => self.checks_close = true,
            "-expect-version" => expected.version = Some(flags.number()?),
            "-expect-curve-id" => expected.group = Some(flags.number()?),
            "-expect-cipher" => expected.suite = Some(flags.number()?),
            "-expect-alpn" => expected.protocol = Some(flags.value()?.to_owned()),
            "-expect-advertised-alpn" => expected.offered = Some(flags.value()?.to_owned()),
            "-expect-server-name" => expected.name = Some(flags.value()?.to_owned()),
            "-expect-hrr" => expected.retried = Some(true),
            "-expect-no-hrr" => expected.retried = Some(false),
            "-expect-selected-credential" => {
                // The default credential, of -1, comes last; it is there when there is no other.
                expected.credential = usize::try_from(flags.number::<i32>()?).ok();
            }
            "-expect-extended-master-secret" => expected.extended_master_secret = true,
            "-expect-secure-renegotiation" => expected.secure_renegotiation = Some(true),
            "-expect-no-secure-renegotiation" => expected.secure_renegotiation = Some(false),
            "-handshake-never-done" => expected.never_done = true,
            _ if IDLE.contains(&name) => {}
            _ if IDLE_WITH_VALUE.contains(&name) => _ = flags.value()?,
            _ => return Err(Refused(name.to_owned())),
        }
        Ok(())
    }

    fn credential(&mut self) -> &mut Credential {
        if self.credentials.is_empty() {
            self.credentials.push(Credential::default());
        }
        let last = self.credentials.len() - 1;
        &mut self.credentials[last]
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 0,
            ipv6: false,
            shim_id: 0,
            credentials: Vec::new(),
            versions: Vec::new(),
            groups: Vec::new(),
            protocol: None,
            slow: false,
            writes_first: 0,
            initial_write: b"hello".to_vec(),
            writes_all_sizes: false,
            shuts_down: false,
            checks_close: false,
            expected: Expected::default(),
        }
    }
}

/// The connections that a flag is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Both,
    First,
    Later,
}

impl<'a> Flags<'a> {
    fn next(&mut self) -> Option<(Scope, &'a str)> {
        let flag = self.0.next()?.as_str();
        let scopes = [
            ("-on-initial", Scope::First),
            ("-on-resume", Scope::Later),
            ("-on-retry", Scope::Later),
            ("-on-shim", Scope::Both),
        ];
        let scoped = scopes.iter().find_map(|(prefix, scope)| Some((*scope, flag.strip_prefix(prefix)?)));
        Some(scoped.unwrap_or((Scope::Both, flag)))
    }

    fn value(&mut self) -> Result<&'a str, Refused> {
        self.0.next().map(String::as_str).ok_or_else(|| Refused("a flag without its value".into()))
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, Refused> {
        let value = self.value()?;
        value.parse().map_err(|_| Refused(format!("the number {value}")))
    }
}

/// The versions that flags leave.
struct VersionRange {
    least: u16,
    most: u16,
    without: Vec<Version>,
}

impl Default for VersionRange {
    fn default() -> Self {
        Self { least: 0, most: u16::MAX, without: Vec::new() }
    }
}

impl VersionRange {
    fn ours(&self) -> Vec<Version> {
        let taken = |version: &Version| {
            (self.least..=self.most).contains(&version.code()) && !self.without.contains(version)
        };
        [Version::Tls13, Version::Tls12].into_iter().filter(taken).collect()
    }
}

/// Flags of what the server does anyway, never does, or has no say in.
const IDLE: &[&str] = &[
    "-cbc-record-splitting",
    "-decline-alpn",
    "-expect-no-session",
    "-forbid-renegotiation-after-handshake",
    "-handshake-twice",
    "-implicit-handshake",
    "-install-ddos-callback",
    "-no-op-extra-handshake",
    "-no-ticket",
    "-no-tls1",
    "-no-tls11",
    "-partial-write",
    "-renegotiate-freely",
    "-renegotiate-ignore",
    "-renegotiate-once",
    "-server-preference",
    "-use-early-callback",
];

/// The same, of flags with a value.
const IDLE_WITH_VALUE: &[&str] = &["-read-size", "-ticket-key", "-trust-cert", "-write-settings"];
