//! HAProxy: its configuration, as one who knows it would write it for these rows.

use std::fs;

use miette::{Context, IntoDiagnostic};

use crate::compare::lab::Lab;
use crate::compare::network::{ORIGIN, SERVER, SERVER_CPU};
use crate::compare::rows::Setup;

/// Files it has open besides its clients: listeners, pipes, connections to the origin.
pub(super) const OTHER_FILES: u64 = 1_000;

/// Clients at a time that rows with few of them leave room for.
const CLIENTS: u64 = 8_000;

pub(super) fn config(lab: &Lab, setup: Setup) -> miette::Result<String> {
    let pem = lab.file(&format!("haproxy-{}.pem", setup.certificate.name()));
    let (chain, key) = (lab.certificates.chain(setup.certificate), lab.certificates.key(setup.certificate));
    let both = fs::read_to_string(chain).and_then(|chain| Ok(chain + &fs::read_to_string(key)?));
    let written = both.and_then(|both| fs::write(&pem, both));
    written.into_diagnostic().wrap_err("cannot put HAProxy's certificate together")?;
    Ok(text(setup, &pem.display().to_string(), lab.open_files))
}

fn text(setup: Setup, pem: &str, open_files: u64) -> String {
    let (cache, tickets) = match setup.resumption {
        true => (100_000, ""),
        false => (0, " no-tls-tickets"),
    };
    // HAProxy wants two files for each client and does not start without, though a client that sends nothing
    // needs one.
    let clients = CLIENTS.max(u64::from(setup.connections) + 64).min(open_files.saturating_sub(OTHER_FILES));
    let limits = if 2 * clients + OTHER_FILES > open_files { "  no strict-limits\n" } else { "" };
    let patience = setup.patience;
    format!(
        r"global
  nbthread 1
  cpu-map 1/1 {SERVER_CPU}
  maxconn {clients}
{limits}  tune.ssl.cachesize {cache}
  tune.bufsize 32768
  ssl-default-bind-options ssl-min-ver TLSv1.2 prefer-client-ciphers{tickets}
  ssl-default-bind-curves X25519:P-256
  ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256

defaults
  mode http
  maxconn {clients}
  http-reuse always
  timeout connect 5s
  timeout http-request {patience}s
  timeout http-keep-alive {patience}s
  timeout client 600s
  timeout server 600s

cache objects
  total-max-size 256
  max-object-size 8388608
  max-age 600

frontend clients
  bind {SERVER}:443 ssl crt {pem} alpn http/1.1 backlog 65535
  use_backend cached if {{ path_beg /cached }}
  default_backend origin

backend origin
  server origin {ORIGIN}:8080 pool-purge-delay 600s

backend cached
  http-request cache-use objects
  http-response cache-store objects
  server origin {ORIGIN}:8080 pool-purge-delay 600s
"
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::certificates::Certificate;
    use super::*;

    #[test]
    fn files_are_asked_for_as_far_as_there_are_some() {
        let setup =
            Setup { certificate: Certificate::Ecdsa, resumption: false, connections: 64, patience: 10 };
        let few = text(setup, "a.pem", 20_000);
        assert!(few.contains("  maxconn 8000\n") && !few.contains("strict-limits"), "{few}");
        assert!(few.contains("cachesize 0\n") && few.contains("no-tls-tickets\n"), "{few}");
        let many = text(Setup { connections: 10_000, ..setup }, "a.pem", 20_000);
        assert!(many.contains("  maxconn 10064\n  no strict-limits\n"), "{many}");
        let resumed = text(Setup { resumption: true, ..setup }, "a.pem", 20_000);
        assert!(resumed.contains("cachesize 100000\n") && !resumed.contains("no-tls-tickets"), "{resumed}");
    }
}
