//! nginx: its configuration, as one who knows it would write it for these rows.

use std::fs;

use miette::{Context, IntoDiagnostic};

use crate::compare::lab::Lab;
use crate::compare::network::{ORIGIN, SERVER, SERVER_CPU};
use crate::compare::rows::Setup;

/// Files a worker has open besides its clients: listeners, logs, the cache, connections to the origin.
const OTHER_FILES: u64 = 2_500;

/// A worker may get this part more of the clients than its even share: the kernel spreads them by a hash.
const UNEVEN: u64 = 14;

/// Its configuration, with directories that are empty.
pub(super) fn config(lab: &Lab, setup: Setup) -> miette::Result<String> {
    let state = lab.file("nginx");
    if state.exists() {
        fs::remove_dir_all(&state).into_diagnostic().wrap_err("cannot empty nginx's cache")?;
    }
    fs::create_dir(&state).into_diagnostic()?;
    Ok(text(lab, setup))
}

fn text(lab: &Lab, setup: Setup) -> String {
    let workers = workers(setup.connections, lab.open_files);
    let each = spread(setup.connections, workers) + OTHER_FILES;
    let resumption = match setup.resumption {
        true => "ssl_session_cache shared:tls:32m;\n  ssl_session_tickets on;",
        false => "ssl_session_cache off;\n  ssl_session_tickets off;",
    };
    let certificate = setup.certificate;
    format!(
        r"daemon off;
user root;
worker_processes {workers};
worker_cpu_affinity {cpus:b};
worker_rlimit_nofile {files};
pid {pid};
error_log {log};
events {{
  worker_connections {each};
}}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  keepalive_timeout {patience}s;
  client_header_timeout {patience}s;
  client_body_temp_path {state}/body;
  open_file_cache max=1000 inactive=600s;
  proxy_cache_path {state}/cache keys_zone=cache:16m inactive=600s use_temp_path=off;
  proxy_temp_path {state}/proxy;
  proxy_http_version 1.1;
  proxy_set_header Connection '';
  proxy_buffer_size 16k;
  proxy_buffers 16 32k;
  proxy_busy_buffers_size 128k;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_ecdh_curve X25519:prime256v1;
  ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;
  ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256;
  ssl_prefer_server_ciphers off;
  ssl_buffer_size 16k;
  {resumption}
  upstream origin {{
    server {ORIGIN}:8080;
    keepalive 512;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }}
  server {{
    listen {SERVER}:443 ssl reuseport backlog=65535;
    ssl_certificate {chain};
    ssl_certificate_key {key};
    location / {{
      proxy_pass http://origin;
      proxy_max_temp_file_size 0;
    }}
    location /cached {{
      proxy_pass http://origin;
      proxy_cache cache;
      proxy_cache_lock on;
    }}
  }}
}}
",
        patience = setup.patience,
        cpus = 1 << SERVER_CPU,
        files = lab.open_files,
        pid = lab.file("nginx.pid").display(),
        log = lab.file("nginx-errors.log").display(),
        state = lab.file("nginx").display(),
        chain = lab.certificates.chain(certificate).display(),
        key = lab.certificates.key(certificate).display(),
    )
}

/// Workers for so many clients, all on the one CPU: more than one only where a process may not have enough
/// files open.
fn workers(connections: u32, open_files: u64) -> u64 {
    let room = open_files.saturating_sub(OTHER_FILES).max(1);
    (1..).find(|&workers| spread(connections, workers) <= room).unwrap_or(1)
}

/// Clients of one of so many workers, at most.
fn spread(connections: u32, workers: u64) -> u64 {
    let even = u64::from(connections).div_ceil(workers);
    if workers == 1 { even } else { even + even / UNEVEN }
}

#[cfg(test)]
mod tests {
    use super::workers;

    #[test]
    fn one_worker_unless_its_files_are_too_few() {
        assert_eq!(workers(64, 20_000), 1);
        assert_eq!(workers(10_000, 20_000), 1);
        assert_eq!(workers(17_500, 20_000), 1);
        assert_eq!(workers(17_501, 20_000), 2);
        assert_eq!(workers(100_000, 20_000), 7);
        assert_eq!(workers(100_000, 1_048_576), 1);
    }
}
