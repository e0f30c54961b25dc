//! Which backend a request goes to: `Routes`.

use crate::config::{Host, Route};

/// The routes of the configuration, most specific first.
pub(crate) struct Routes {
    routes: Vec<Route>,
}

impl Routes {
    pub(crate) const fn new(routes: Vec<Route>) -> Self {
        Self { routes }
    }

    /// The first route that matches `authority` (host, perhaps with a port) and `path` (perhaps with a
    /// query).
    pub(crate) fn find(&self, authority: &[u8], path: &[u8]) -> Option<&Route> {
        let host = without_port(authority);
        let path = match path.split(|&byte| byte == b'?').next().unwrap_or_default() {
            // RFC 9110 section 9.3.7: it asks about the server as a whole.
            b"*" => b"/",
            path => path,
        };
        self.routes.iter().find(|route| host_matches(&route.host, host) && path_matches(&route.path, path))
    }
}

fn without_port(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|&byte| byte == b':') {
        Some(colon) if authority.get(colon + 1..).is_some_and(|port| port.iter().all(u8::is_ascii_digit)) => {
            authority.get(..colon).unwrap_or_default()
        }
        _ => authority,
    }
}

fn host_matches(pattern: &Host, host: &[u8]) -> bool {
    match pattern {
        Host::Exact(name) => host.eq_ignore_ascii_case(name.as_bytes()),
        Host::Suffix(suffix) => {
            host.len() > suffix.len()
                && host
                    .get(host.len() - suffix.len()..)
                    .is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
        }
        Host::Any => true,
    }
}

/// By whole segments: `/a` matches `/a` and `/a/b`, not `/ab`.
fn path_matches(prefix: &str, path: &[u8]) -> bool {
    let prefix = prefix.as_bytes();
    path.starts_with(prefix)
        && (prefix.ends_with(b"/") || matches!(path.get(prefix.len()), None | Some(b'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_decides() {
        let route = |host, path: &str, backend| Route { host, path: path.into(), backend, cache: false };
        let routes = Routes::new(vec![
            route(Host::Exact("a.test".into()), "/deep/er", 0),
            route(Host::Exact("a.test".into()), "/deep", 1),
            route(Host::Suffix(".a.test".into()), "/", 2),
            route(Host::Any, "/static/", 3),
        ]);
        for (authority, path, backend) in [
            ("a.test", "/deep/er/x", Some(0)),
            ("A.Test:8443", "/deep?x=/er", Some(1)),
            ("a.test", "/deeper", None),
            ("b.a.test", "/anything", Some(2)),
            (".a.test", "/", None),
            ("b.a.test", "*", Some(2)),
            ("a.test", "*", None),
            ("other", "/static/x", Some(3)),
            ("other", "/static", None),
            ("[::1]:80", "/static/", Some(3)),
        ] {
            let found = routes.find(authority.as_bytes(), path.as_bytes()).map(|route| route.backend);
            assert_eq!(found, backend, "{authority} {path}");
        }
    }
}
