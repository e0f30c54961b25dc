//! curl in the client's namespace.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::certificates::{Kind, NAME};
use crate::client::Version;
use crate::network::PROXY_CLIENT_SIDE;
use crate::process::run;
use crate::site::Site;

/// A call of curl in the making.
pub struct Curl<'a> {
    site: &'a Site,
    command: Command,
    heads: PathBuf,
}

/// What curl got.
#[derive(Debug)]
pub struct Fetched {
    /// Its exit code: 0 when the response was whole; see EXIT CODES in curl(1).
    pub code: i32,
    /// Status of the last response, 0 if there was none.
    pub status: u16,
    /// All heads, interim ones too.
    pub heads: String,
    /// The body.
    pub body: Vec<u8>,
    /// What it said about the connection.
    pub said: String,
}

/// Longest that a call may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl<'a> Curl<'a> {
    /// A call that trusts the site's CAs.
    #[must_use]
    pub fn new(site: &'a Site) -> Self {
        let heads = site.directory().join("curl.heads");
        let mut command = site.network().client().command("curl");
        command.args(["--silent", "--show-error", "--verbose", "--max-time", "50"]);
        for port in [80, 443] {
            command.args(["--resolve", &format!("{NAME}:{port}:{PROXY_CLIENT_SIDE}")]);
        }
        command.arg("--cacert").arg(site.certificates().authorities()).arg("--dump-header").arg(&heads);
        Self { site, command, heads }
    }

    /// More arguments.
    #[must_use]
    pub fn args<'s>(mut self, args: impl IntoIterator<Item = &'s str>) -> Self {
        self.command.args(args);
        self
    }

    /// This version alone.
    #[must_use]
    pub fn version(self, version: Version) -> Self {
        let number = version.number();
        self.args([&format!("--tlsv{number}"), "--tls-max", number])
    }

    /// As a client that can verify this kind of certificate alone.
    ///
    /// # Panics
    /// When the file that says so to OpenSSL cannot be written.
    #[must_use]
    pub fn only(mut self, kind: Kind) -> Self {
        let schemes = match kind {
            Kind::Ecdsa => "ECDSA+SHA256",
            Kind::Rsa => "rsa_pss_rsae_sha256:RSA+SHA256",
            Kind::P384 => "ECDSA+SHA384",
            Kind::Ed25519 => "ed25519",
        };
        let path = self.site.directory().join(format!("openssl-{}.cnf", kind.name()));
        let text = format!(
            "openssl_conf = top\n[top]\nssl_conf = ssl\n[ssl]\nsystem_default = verifies\n\
             [verifies]\nSignatureAlgorithms = {schemes}\n"
        );
        fs::write(&path, text).expect("the file can be written");
        self.command.env("OPENSSL_CONF", path);
        self
    }

    /// Fetches `path` by HTTPS.
    #[must_use]
    pub fn fetch(self, path: &str) -> Fetched {
        self.fetch_url(&format!("https://{NAME}{path}"))
    }

    /// Fetches a URL.
    ///
    /// # Panics
    /// When curl does not end in time.
    #[must_use]
    pub fn fetch_url(mut self, url: &str) -> Fetched {
        // What an earlier call left must not pass for this one's.
        let _ = fs::remove_file(&self.heads);
        self.command.arg(url);
        let ended = run(self.command, b"", PATIENCE);
        let heads = String::from_utf8_lossy(&fs::read(&self.heads).unwrap_or_default()).into_owned();
        let lines = heads.lines().rev().filter_map(|line| line.strip_prefix("HTTP/1.1 "));
        let status = lines.filter_map(|rest| rest.get(..3)?.parse().ok()).next().unwrap_or(0);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        Fetched { code: ended.status.code().unwrap_or(-1), status, heads, body: ended.stdout, said }
    }
}

impl Fetched {
    /// A field of the last head.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        crate::client::field(self.heads.trim_end().rsplit("\r\n\r\n").next()?, name)
    }
}
