//! Configurations: the one that most tests run with, and changes to it by path.

use std::fmt;

use toml::{Table, Value};

/// A configuration file in the making.
#[derive(Clone, Debug)]
pub struct Config(Table);

impl Config {
    /// Two `net_af_packet` ports, HTTPS and a redirect, and three backends by path: the demo origin for
    /// all but `/nginx/` (nginx) and `/scripted/` (the test itself); `/cached/` is cached.
    ///
    /// # Panics
    /// Never: the text in this file is TOML.
    #[must_use]
    pub fn standard(prefix: &str) -> Self {
        let mut config = Self(STANDARD.parse().expect("the standard configuration is TOML"));
        config.set("eal.file_prefix", prefix);
        config
    }

    /// Sets the value at a path such as `workers.lcores` or `backend.0.servers`, and makes the sections
    /// on the way.
    ///
    /// # Panics
    /// When the path leads through something that has no parts.
    pub fn set(&mut self, path: &str, value: impl Into<Value>) -> &mut Self {
        let (sections, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut table = &mut self.0;
        let mut parts = sections.split('.').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            let entry = table.entry(part).or_insert_with(|| Table::new().into());
            let found = match parts.peek().and_then(|index| index.parse::<usize>().ok()) {
                Some(index) => {
                    parts.next();
                    entry.get_mut(index).unwrap_or_else(|| panic!("{path}: no such element"))
                }
                None => entry,
            };
            table = found.as_table_mut().unwrap_or_else(|| panic!("{path}: {part} is no section"));
        }
        table.insert(key.to_owned(), value.into());
        self
    }

    /// Removes what is at `key` of the top level.
    pub fn remove(&mut self, key: &str) -> &mut Self {
        self.0.remove(key);
        self
    }

    /// Adds an element, given as TOML, to the list `section`.
    ///
    /// # Panics
    /// When it is no TOML, or the section no list.
    pub fn push(&mut self, section: &str, element: &str) -> &mut Self {
        let element: Table = element.parse().expect("the element is TOML");
        let list = self.0.entry(section).or_insert_with(|| Vec::<Value>::new().into());
        list.as_array_mut().expect("the section is a list").push(element.into());
        self
    }
}

impl fmt::Display for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

const STANDARD: &str = r#"
[workers]
lcores = [0]
connections = 2048

[[port]]
name = "client"
device = "net_af_packet0,iface=lv-client,blocksz=65536,framesz=2048,framecnt=2048"
address = "10.9.1.1/24"

[[port]]
name = "origin"
device = "net_af_packet1,iface=lv-origin,blocksz=65536,framesz=2048,framecnt=2048"
address = "10.9.2.1/24"

[[listener]]
address = "10.9.1.1:443"
certificates = ["ecdsa", "rsa", "p384", "ed25519"]

[[listener]]
address = "10.9.1.1:80"
tls = false
redirect_to_https = true

[[certificate]]
name = "ecdsa"
chain = "ecdsa.crt"
key = "ecdsa.key"

[[certificate]]
name = "rsa"
chain = "rsa.crt"
key = "rsa.key"

[[certificate]]
name = "p384"
chain = "p384.crt"
key = "p384.key"

[[certificate]]
name = "ed25519"
chain = "ed25519.crt"
key = "ed25519.key"

[[backend]]
name = "origin"
servers = ["10.9.2.2:8080"]
keepalive = 300
max_connections = 300

[[backend]]
name = "nginx"
servers = ["10.9.2.2:8081"]
max_connections = 300

[[backend]]
name = "scripted"
servers = ["10.9.2.2:9000"]
max_connections = 300
connect_timeout_ms = 1000
response_timeout_ms = 3000
max_fails = 0

[[route]]
backend = "origin"

[[route]]
path = "/cached"
backend = "origin"
cache = true

[[route]]
path = "/nginx"
backend = "nginx"

[[route]]
path = "/scripted"
backend = "scripted"

[cache]
memory_mib = 16

# A client whose last segments were lost is found out by a retransmission, seconds later.
[timeouts]
shutdown_ms = 10000
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_by_path() {
        let mut config = Config::standard("lt");
        config.set("backend.2.retries", 0).set("tls.engine", "rustcrypto").set("workers.lcores", vec![0, 1]);
        config.push("route", "path = \"/more\"\nbackend = \"origin\"").remove("cache");
        let table: Table = config.to_string().parse().unwrap();
        assert_eq!(table["backend"][2]["retries"].as_integer(), Some(0));
        assert_eq!(table["tls"]["engine"].as_str(), Some("rustcrypto"));
        assert_eq!(table["workers"]["lcores"].as_array().map(Vec::len), Some(2));
        assert_eq!(table["route"].as_array().map(Vec::len), Some(5));
        assert!(!table.contains_key("cache"));
    }
}
