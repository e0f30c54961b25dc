//! `levee-load http`: its arguments, its run, its results.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use levee_buf::Memory;
use miette::miette;

use super::{Expect, Goal, Plan, Request, Requests, parse_sha256};
use crate::channel::Security;
use crate::handshake::command::{nanoseconds, rate, seconds, show, verdict};
use crate::net::{Party, Place};
use crate::report::Summary;
use crate::run::{self, Cast, Results};
use crate::target::Target;
use crate::tls_options::TlsOptions;

/// Sends requests and verifies every response.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// What to request, as https://10.9.1.1:443/bytes/1024 (loopback, private, link-local and documentation
    /// addresses only).
    pub url: Url,
    /// Connections at a time.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// Requests a second, whatever becomes of them; without it the next begins when one is answered, and where
    /// there are very many connections, of 65,536 at a time.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,
    /// Seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub duration: f64,
    /// Requests in all, if that is reached before the time.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// Seconds after which a request has failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub timeout: f64,
    /// Open a connection for each request; its time counts from the opening.
    #[arg(long)]
    pub per_request: bool,
    /// Requests under way on a connection.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256),
          conflicts_with_all = ["per_request", "upload", "rate"])]
    pub pipeline: u16,
    /// Send so many bytes with each request, as POST.
    #[arg(long, value_name = "BYTES", conflicts_with = "requests")]
    pub upload: Option<u64>,
    /// Requests from a file, one a line: METHOD TARGET [upload=N] [status=N] [length=N] [sha256=HEX].
    #[arg(long, value_name = "FILE", conflicts_with = "pipeline")]
    pub requests: Option<PathBuf>,
    /// The status that every response must have.
    #[arg(long, value_name = "STATUS", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub expect_status: u16,
    /// The bytes of content that every response must have.
    #[arg(long, value_name = "BYTES")]
    pub expect_length: Option<u64>,
    /// The SHA-256 that the content of every response must have.
    #[arg(long, value_name = "HEX", value_parser = parse_sha256)]
    pub expect_sha256: Option<[u8; 32]>,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Where it comes from.
    #[command(flatten)]
    pub place: Place,
    /// What becomes of the results.
    #[command(flatten)]
    pub results: Results,
}

const EXAMPLES: &str = "\
Examples:
  levee-load http https://127.0.0.1:443/bytes/1024 --connections 64 --duration 10
      as many requests as 64 connections can make
  levee-load http https://10.9.1.1:443/cached/1024 --rate 20000 --device net_af_packet0,iface=c0 --address 10.9.1.100/24
      20,000 requests a second whatever the server does, over a port of our own
  levee-load http http://10.9.1.1:80/ --per-request --count 1000 --expect-status 301
      a connection for each of 1000 requests
  levee-load http https://10.9.1.1:443/hash --upload 1000000 --connections 8
      a megabyte with each request";

/// A URL whose host is an address of one's own laboratory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Through TLS.
    pub is_https: bool,
    /// The address.
    pub target: Target,
    /// Path and query.
    pub path: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be as https://10.9.1.1:443/path, with an IPv4 address".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (is_https, port) = match scheme {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return Err(wrong()),
        };
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
        if path.bytes().any(|byte| byte <= b' ' || byte >= 0x7f) {
            return Err("must not have spaces or characters outside ASCII".into());
        }
        let target = host.parse().map_err(|error: crate::target::TargetError| error.to_string())?;
        Ok(Self { is_https, target, path: path.to_owned() })
    }
}

/// Sends requests as `options` say, and shows what came of it.
///
/// # Errors
/// A place or a file that cannot be used; a target that answered nothing, or wrongly.
pub fn command(options: &Options) -> miette::Result<()> {
    let summary = measure(options)?;
    show(&summary, &options.results)?;
    verdict(&summary.load, &options.url.target.to_string())?;
    let is_wrong = |reason: &str| reason.starts_with("wrong_") || reason.starts_with("bad_");
    let wrong: u64 =
        summary.load.failures.iter().filter(|(reason, _)| is_wrong(reason)).map(|(_, count)| count).sum();
    match wrong {
        0 => Ok(()),
        _ => Err(miette!("{wrong} responses were not what was expected")),
    }
}

/// Sends requests as `options` say.
///
/// # Errors
/// A place or a file that cannot be used, TLS that cannot be offered.
pub fn measure(options: &Options) -> miette::Result<Summary> {
    let duration = Duration::from_secs_f64(options.duration);
    run::run("http", &options.place, &cast(options)?, duration, &options.results)
}

/// Who takes part in such a run.
///
/// # Errors
/// A file of requests that cannot be used.
pub fn cast(options: &Options) -> miette::Result<impl Cast + use<>> {
    Ok(Parties { options: options.clone(), plan: plan(options)? })
}

fn plan(options: &Options) -> miette::Result<Plan> {
    let address = options.url.target.address();
    let is_default = address.port() == if options.url.is_https { 443 } else { 80 };
    let name = options.tls.name.clone().unwrap_or_else(|| address.ip().to_string());
    let host = if is_default { name } else { format!("{name}:{}", address.port()) };
    let expect = Expect {
        status: options.expect_status,
        length: options.expect_length,
        sha256: options.expect_sha256,
    };
    match &options.requests {
        Some(path) => Plan::read(path, &host, options.per_request, &expect),
        None => {
            let upload = options.upload.unwrap_or_default();
            let method = if options.upload.is_some() { "POST" } else { "GET" };
            let request = Request::new(method, &options.url.path, &host, upload, options.per_request, expect);
            Plan::new(vec![request]).ok_or_else(|| miette!("there is no request"))
        }
    }
}

/// Who takes part.
#[derive(Clone)]
struct Parties {
    options: Options,
    plan: Plan,
}

impl Cast for Parties {
    fn parties<M: Memory>(&self, memory: &M, slots: usize) -> miette::Result<Vec<Box<dyn Party<M>>>> {
        let options = &self.options;
        let connections = options.connections as usize;
        let goal = Goal {
            target: options.url.target.address(),
            connections,
            rate: options.rate,
            count: options.count.unwrap_or(u64::MAX),
            duration_ns: nanoseconds(options.duration),
            per_request: options.per_request,
            pipeline: options.pipeline.into(),
            timeout_ns: nanoseconds(options.timeout),
        };
        let security = match options.url.is_https {
            true => {
                let handle = options.tls.handle(false, super::OPENING)?;
                Some(Security::new(handle, connections, memory.clone()))
            }
            false => None,
        };
        Ok(vec![Box::new(Requests::new(goal, self.plan.clone(), memory.clone(), security, slots))])
    }

    fn connections(&self) -> usize {
        // Some have ended on one side only when the next ones begin.
        self.options.connections as usize + (self.options.connections as usize).min(4096)
    }

    fn receive_buffer(&self) -> usize {
        1 << 20
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_an_address_of_the_laboratory() {
        let url: Url = "https://10.9.1.1/bytes/1?x=/y".parse().unwrap();
        assert_eq!((url.is_https, url.path.as_str()), (true, "/bytes/1?x=/y"));
        assert_eq!(url.target.to_string(), "10.9.1.1:443");
        let url: Url = "http://127.0.0.1:8080".parse().unwrap();
        assert_eq!((url.is_https, url.path.as_str()), (false, "/"));
        for bad in
            ["10.9.1.1/", "ftp://10.9.1.1/", "https://8.8.8.8/", "https://demo.test/", "http://10.9.1.1/a b"]
        {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }
}
