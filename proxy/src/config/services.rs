//! Listeners, backends and routes, checked against each other.

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use levee_crypto::KeyKind;
use levee_tls::Version;
use toml::Spanned;

use super::certificate::covers;
use super::model::{Backend, Certificate, Host, Listener, Port, Route, Service, Tls};
use super::names::{Names, list, twice};
use super::network::{self, port_of};
use super::reader::Findings;
use super::sections;

/// The listeners, with certificates by their index in the file.
pub(super) fn listeners(
    sections: &[sections::Listener],
    ports: Option<&[Port]>,
    certificates: &Names<'_>,
    findings: &Findings,
) -> Vec<Listener> {
    let mut first = HashMap::new();
    for address in sections.iter().filter_map(|section| section.address.as_ref()) {
        if let Some(first) = first.insert(*address.get_ref(), address.span()) {
            twice("listener.address", &address.get_ref().to_string(), address.span(), first, findings);
        }
    }
    let listener = |section: &sections::Listener| {
        let service = match section.tls {
            true => https(section, certificates, findings),
            false => http(section, sections, findings),
        };
        let address = section.address.as_ref()?;
        let ip = Spanned::new(address.span(), *address.get_ref().ip());
        let port = port_of(&ip, "listener.address", ports, findings)?;
        Some(Listener { address: SocketAddr::V4(*address.get_ref()), port, service: service? })
    };
    sections.iter().filter_map(listener).collect()
}

fn https(section: &sections::Listener, names: &Names<'_>, findings: &Findings) -> Option<Service> {
    let redirect = section.redirect_to_https.as_ref().filter(|redirect| *redirect.get_ref());
    let settings = [
        ("redirect_to_https", redirect.map(Spanned::span)),
        ("redirect_port", section.redirect_port.as_ref().map(Spanned::span)),
    ];
    for (key, at) in settings.into_iter().filter_map(|(key, at)| Some((key, at?))) {
        misplaced(key, at, "`tls` is true, as it is by itself", findings);
    }
    let resolve = |name| names.resolve(name, "listener.certificates", findings);
    // All are looked up before one that is missing ends the matter.
    let found: Vec<_> = section.certificates.as_ref()?.get_ref().iter().map(resolve).collect();
    let certificates: Option<Vec<_>> = found.into_iter().collect();
    let alpn = section
        .alpn
        .as_ref()
        .map_or(vec!["http/1.1"], |list| list.get_ref().iter().map(|name| *name.get_ref()).collect());
    Some(Service::Https {
        certificates: certificates?,
        alpn: alpn.into_iter().map(|name| name.as_bytes().to_vec()).collect(),
    })
}

/// Notes that a key of a listener has no meaning beside another.
fn misplaced(key: &str, at: Range<usize>, beside: &str, findings: &Findings) {
    let title = format!("`listener.{key}` is set where {beside}");
    findings.error(title, |error| error.at(at, "must be left out"));
}

fn http(section: &sections::Listener, all: &[sections::Listener], findings: &Findings) -> Option<Service> {
    let settings = [
        ("certificates", section.certificates.as_ref().map(Spanned::span)),
        ("alpn", section.alpn.as_ref().map(Spanned::span)),
    ];
    for (key, at) in settings.into_iter().filter_map(|(key, at)| Some((key, at?))) {
        misplaced(key, at, "`tls` is false", findings);
    }
    let Some(redirect) = section.redirect_to_https.as_ref().filter(|redirect| *redirect.get_ref()) else {
        if let Some(port) = &section.redirect_port {
            misplaced("redirect_port", port.span(), "`redirect_to_https` is not", findings);
        }
        return Some(Service::Http);
    };
    if let Some(port) = &section.redirect_port {
        return Some(Service::Redirect { port: *port.get_ref() });
    }
    match redirect_port(section, all) {
        Ok(port) => Some(Service::Redirect { port }),
        Err(label) => {
            let title = "`listener.redirect_to_https` does not say where to";
            findings.error(title, |error| error.at(redirect.span(), label));
            None
        }
    }
}

/// The port of the HTTPS listener that is meant: among those of the same address, if there are any,
/// 443 or the only one.
fn redirect_port(section: &sections::Listener, all: &[sections::Listener]) -> Result<u16, &'static str> {
    let https =
        || all.iter().filter(|listener| listener.tls).filter_map(|listener| listener.address.as_ref());
    let ours = section.address.as_ref().map(|address| *address.get_ref().ip());
    let mut ports: Vec<u16> =
        https().filter(|address| Some(*address.get_ref().ip()) == ours).map(|a| a.get_ref().port()).collect();
    if ports.is_empty() {
        ports = https().map(|address| address.get_ref().port()).collect();
        ports.sort_unstable();
        ports.dedup();
    }
    match ports.as_slice() {
        [] => Err("needs a listener with `tls = true`, or `redirect_port`"),
        [port] => Ok(*port),
        several if several.contains(&443) => Ok(443),
        _ => Err("needs `redirect_port`: there are several listeners with `tls = true`"),
    }
}

/// The backends.
pub(super) fn backends(
    sections: &[sections::Backend],
    ports: Option<&[Port]>,
    findings: &Findings,
) -> Vec<Backend> {
    let backend = |section: &sections::Backend| {
        let source = section.source.as_ref();
        let source = source.map(|ip| Some((*ip.get_ref(), port_of(ip, "backend.source", ports, findings)?)));
        // A wrong source has been noted: where it would have led is not asked.
        if source == Some(None) {
            return None;
        }
        let reach = |server| network::server(server, source.flatten(), ports, findings);
        Some(Backend {
            name: section.name.as_ref().map_or_else(String::new, |name| name.get_ref().clone()),
            servers: section.servers.iter().filter_map(reach).collect(),
            balance: section.balance,
            connect_timeout: section.connect_timeout,
            response_timeout: section.response_timeout,
            keepalive: section.keepalive,
            max_connections: section.max_connections,
            max_fails: section.max_fails,
            fail_timeout: section.fail_timeout,
            retries: section.retries,
        })
    };
    sections.iter().filter_map(backend).collect()
}

/// The routes, most specific first.
pub(super) fn routes(sections: &[sections::Route], backends: &Names<'_>, findings: &Findings) -> Vec<Route> {
    let mut first = HashMap::new();
    let mut routes = Vec::with_capacity(sections.len());
    for section in sections {
        let resolve = |name| backends.resolve(name, "route.backend", findings);
        let backend = section.backend.as_ref().and_then(resolve);
        let (Some(host), Some(path)) = (&section.host, &section.path) else { continue };
        if let Some(first) = first.insert((host, path), section.at.clone()) {
            let what = format!("host {:?} with path {path:?}", host_text(host));
            twice("route", &what, section.at.clone(), first, findings);
        }
        let Some(backend) = backend else { continue };
        routes.push(Route { host: host.clone(), path: path.clone(), backend, cache: section.cache });
    }
    routes.sort_by_key(|route| {
        let (kind, length) = match &route.host {
            Host::Exact(_) => (0, 0),
            Host::Suffix(suffix) => (1, usize::MAX - suffix.len()),
            Host::Any => (2, 0),
        };
        (kind, length, host_text(&route.host), usize::MAX - route.path.len())
    });
    routes
}

/// A host pattern as the file writes it.
fn host_text(host: &Host) -> String {
    match host {
        Host::Exact(name) => name.clone(),
        Host::Suffix(suffix) => format!("*{suffix}"),
        Host::Any => "*".to_owned(),
    }
}

/// Whether a suite of TLS 1.2, if that is offered, works with the certificates of each listener.
pub(super) fn suites_fit(
    listeners: &[Listener],
    certificates: &[Certificate],
    tls: &Tls,
    at: Range<usize>,
    findings: &Findings,
) {
    let tls12 = || tls.suites.iter().filter(|suite| suite.version() == Version::Tls12);
    if !tls.versions.contains(&Version::Tls12) || tls12().next().is_none() {
        return;
    }
    for listener in listeners {
        let Service::Https { certificates: used, .. } = &listener.service else { continue };
        let mut kinds = used.iter().filter_map(|&index| certificates.get(index)).map(|used| used.key.kind());
        let fits = kinds.any(|kind| {
            let with = match kind {
                // RFC 8422 section 5.10: Ed25519 goes with the suites of ECDSA.
                KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::Ed25519 => "TLS_ECDHE_ECDSA_",
                KeyKind::Rsa { .. } => "TLS_ECDHE_RSA_",
            };
            tls12().any(|suite| suite.name().starts_with(with))
        });
        if !fits {
            let title =
                format!("`tls.suites`: none of TLS 1.2 suits the certificates of {}", listener.address);
            let label =
                "needs an ECDSA suite for an ECDSA or Ed25519 certificate, an RSA suite for an RSA one";
            findings.error(title, |error| error.at(at.clone(), label));
        }
    }
}

/// Warns of routes whose host no certificate names.
pub(super) fn hosts_are_named(routes: &[sections::Route], certificates: &[Certificate], findings: &Findings) {
    for route in routes {
        let Some(host) = &route.host else { continue };
        let probe = match host {
            // A client that asks for an address names no host (RFC 6066 section 3).
            Host::Exact(name) if name.parse::<Ipv4Addr>().is_ok() => continue,
            Host::Exact(name) => name.clone(),
            Host::Suffix(suffix) => format!("any{suffix}"),
            Host::Any => continue,
        };
        if !certificates.is_empty()
            && !certificates.iter().any(|certificate| covers(&certificate.names, &probe))
        {
            let title = format!("`route.host`: no certificate names {}", host_text(host));
            let all: BTreeSet<&String> =
                certificates.iter().flat_map(|certificate| &certificate.names).collect();
            let all = list(all.into_iter().cloned());
            let label = format!("browsers will refuse it; the certificates name {all}");
            findings.warning(title, |warning| warning.at(route.at.clone(), label));
        }
    }
}
