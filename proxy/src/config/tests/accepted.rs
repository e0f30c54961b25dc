//! What a good configuration becomes.

use std::fs;
use std::net::IpAddr;

use levee_crypto::{Group, KeyKind};

use super::fixture::{GOOD, config, directory, set};
use crate::config::{AeadChoice, Balance, Config, Device, Host, Service, Suite, Version, load};

/// [`GOOD`] with settings, `section: key = value` a line, and more behind its end.
fn good_with(settings: &str, more: &str) -> Config {
    let set_line = |text: String, line: &str| {
        let (section, line) = line.trim().split_once(": ").expect("a section and a line for it");
        set(&text, section, line)
    };
    config(&(settings.lines().fold(GOOD.to_owned(), set_line) + more))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn references_become_indices() {
    let config = config(GOOD);
    assert_eq!(config.workers.lcores, [1]);
    assert_eq!(config.ports[0].addresses, [(ip("10.9.1.1"), 24)]);
    assert_eq!(config.listeners[0].address.to_string(), "10.9.1.1:443");
    assert_eq!(config.listeners[0].port, 0);
    let service = Service::Https { certificates: vec![0, 1], alpn: vec![b"http/1.1".to_vec()] };
    assert_eq!(config.listeners[0].service, service);
    let server = config.backends[0].servers[0];
    assert_eq!(
        (server.address.to_string().as_str(), server.source, server.port),
        ("10.9.2.2:8080", ip("10.9.2.1"), 1)
    );
    assert_eq!((config.routes[0].backend, &config.routes[0].host), (0, &Host::Any));
    assert!(config.cache.is_none(), "no route caches");
}

#[test]
fn certificates_are_read_with_their_keys() {
    let config = config(GOOD);
    assert_eq!(config.certificates[0].key.kind(), KeyKind::EcdsaP256);
    assert_eq!(config.certificates[1].key.kind(), KeyKind::Rsa { bits: 2048 });
    for certificate in &config.certificates {
        assert_eq!(certificate.names, ["example.test", "*.wild.test"]);
        assert_eq!(certificate.chain.len(), 1);
    }
}

#[test]
fn certificates_of_other_kinds() {
    for (name, kind) in [("p384", KeyKind::EcdsaP384), ("ed25519", KeyKind::Ed25519)] {
        let more = format!("certificate: chain = \"{name}.crt\"\ncertificate: key = \"{name}.key\"");
        assert_eq!(good_with(&more, "").certificates[0].key.kind(), kind);
    }
}

#[test]
fn routes_are_sorted_most_specific_first() {
    let route = |host: &str, path: &str| {
        format!("[[route]]\nhost = {host:?}\npath = {path:?}\nbackend = \"origin\"\n")
    };
    let more = [
        route("*.wild.test", "/"),
        route("*", "/long/path"),
        route("example.test", "/a"),
        route("EXAMPLE.test", "/a/b"),
        route("x.wild.test", "/"),
        route("*.wild.test", "/z"),
    ];
    let config = good_with("route: cache = true", &more.concat());
    let order: Vec<_> = config.routes.iter().map(|route| (route.host.clone(), route.path.as_str())).collect();
    let exact = |name: &str| Host::Exact(name.to_owned());
    let wild = || Host::Suffix(".wild.test".to_owned());
    let expected = [
        (exact("example.test"), "/a/b"),
        (exact("example.test"), "/a"),
        (exact("x.wild.test"), "/"),
        (wild(), "/z"),
        (wild(), "/"),
        (Host::Any, "/long/path"),
        (Host::Any, "/"),
    ];
    assert_eq!(order, expected);
    assert_eq!(config.cache.map(|cache| cache.bytes), Some(64 << 20), "a route caches");
}

#[test]
fn a_redirect_finds_its_https_listener() {
    let redirect = "[[listener]]\naddress = \"10.9.1.1:80\"\ntls = false\nredirect_to_https = true\n";
    let other = "[[listener]]\naddress = \"10.9.1.1:8443\"\ncertificates = [\"rsa\"]\n";
    for (settings, more, port) in [
        ("workers: lcores = [1]", redirect.to_owned(), 443),
        ("listener: address = \"10.9.1.1:9443\"", redirect.to_owned(), 9443),
        ("listener: address = \"10.9.2.1:9443\"", redirect.to_owned(), 9443),
        ("workers: lcores = [1]", format!("{redirect}{other}"), 443),
        ("workers: lcores = [1]", format!("{redirect}redirect_port = 4443\n{other}"), 4443),
    ] {
        let config = good_with(settings, &more);
        assert_eq!(config.listeners[1].service, Service::Redirect { port }, "{settings}\n{more}");
    }
}

#[test]
fn a_plain_listener_serves_and_redirects_alone_need_no_route() {
    let plain = "[[listener]]\naddress = \"10.9.1.1:80\"\ntls = false\n";
    assert_eq!(good_with("port: mtu = 1500", plain).listeners[1].service, Service::Http);
    let alone = "
        [workers]
        lcores = [0]
        [[port]]
        name = \"client\"
        device = \"net_null0\"
        address = \"10.9.1.1/24\"
        [[listener]]
        address = \"10.9.1.1:80\"
        tls = false
        redirect_to_https = true
        redirect_port = 443
    ";
    let config = config(alone);
    assert!(config.routes.is_empty() && config.backends.is_empty());
}

#[test]
fn servers_are_reached_by_subnet_gateway_or_source() {
    let far = |more: &str| {
        format!(
            "[[backend]]\nname = \"far\"\nservers = [\"192.0.2.1:80\"]\n{more}\n\
             [[route]]\npath = \"/far\"\nbackend = \"far\"\n"
        )
    };
    let server = |config: &Config| (config.backends[1].servers[0].source, config.backends[1].servers[0].port);
    let by_gateway = good_with("port: gateway = \"10.9.1.254\"", &far(""));
    assert_eq!(server(&by_gateway), (ip("10.9.1.1"), 0));
    assert_eq!(by_gateway.ports[0].gateway, Some(ip("10.9.1.254")));

    let third = "[[port]]\nname = \"third\"\ndevice = \"net_null2\"\naddress = [\"10.9.3.1/24\", \"10.9.4.1/24\"]\n\
                 gateway = \"10.9.4.254\"\n";
    let by_source = format!("{third}{}", far("source = \"10.9.3.1\""));
    assert_eq!(server(&good_with("port: gateway = \"10.9.1.254\"", &by_source)), (ip("10.9.3.1"), 2));
    // Without a source: our address beside the gateway.
    assert_eq!(server(&good_with("port: mtu = 1500", &format!("{third}{}", far("")))), (ip("10.9.4.1"), 2));
}

#[test]
fn values_are_what_they_say() {
    let config = good_with(
        "port: device = \"3B:00.0\"
         port: queues = 1
         port: offloads = { checksum = false }
         tls: versions = [\"1.3\"]
         tls: suites = [\"TLS_CHACHA20_POLY1305_SHA256\"]
         tls: groups = [\"secp256r1\"]
         tls: aead = [\"crypto_aesni_gcm0\", \"0000:3b:00.0\"]
         tls: public_key = [\"crypto_openssl0\", \"3b:00.0\"]
         backend: balance = \"least_connections\"
         backend: connect_timeout_ms = 1_500
         limits: request_body_bytes = 0x10
         status: interval_ms = 250
         log: access = \"access.log\"
         eal: args = [\"--iova-mode=va\"]",
        "",
    );
    let pci = || Device::Pci("0000:3b:00.0".to_owned());
    assert_eq!(config.ports[0].device, pci());
    assert_eq!(config.ports[0].queues, Some(1));
    assert!(!config.ports[0].offloads.checksum && !config.ports[0].offloads.tso);
    assert_eq!(config.tls.versions, [Version::Tls13]);
    assert_eq!(config.tls.suites, [Suite::ChaCha20Poly1305Sha256]);
    assert_eq!(config.tls.groups, [Group::Secp256r1]);
    let gcm = Device::Virtual("crypto_aesni_gcm0".to_owned());
    assert_eq!(config.tls.aead, AeadChoice::Devices(vec![gcm, pci()]));
    let openssl = Device::Virtual("crypto_openssl0".to_owned());
    assert_eq!(config.tls.public_key, [openssl, pci()]);
    assert_eq!(config.backends[0].balance, Balance::LeastConnections);
    assert_eq!(config.backends[0].connect_timeout.as_millis(), 1500);
    assert_eq!(config.limits.request_body_bytes, 16);
    assert_eq!(config.status.interval.map(|interval| interval.as_millis()), Some(250));
    assert_eq!(config.log.access, Some(directory().join("access.log")));
    assert_eq!(config.eal.args, ["--iova-mode=va"]);
}

#[test]
fn pools_grow_with_connections_and_cache() {
    let workers = |settings: &str| good_with(settings, "").workers;
    let (small, large) = (workers("workers: connections = 4096"), workers("workers: connections = 100000"));
    assert!(large.segments > small.segments && large.records > small.records);
    assert!(workers("route: cache = true").segments > 10_000 + (64 << 20) / 1448);
    let asked = workers("workers: segments = 20000\nworkers: records = 300\nworkers: references = 4000");
    assert_eq!((asked.segments, asked.records, asked.references), (20_000, 300, 4000));
    let mib = |settings: &str| good_with(settings, "").eal.memory_mib;
    assert!(mib("workers: lcores = [0, 1]") > mib("workers: lcores = [0]"));
    assert_eq!(mib("eal: memory_mib = 4096"), 4096);
    let eal = good_with("workers: segments = 80000", "").eal;
    assert!(eal.ordinary_mib > eal.memory_mib && eal.ordinary_mib > 80_000 / 256, "a segment a page");
    assert_eq!(mib("workers: segments = 80000\neal: hugepages = \"off\""), eal.ordinary_mib);
}

#[test]
fn a_file_is_loaded_with_paths_beside_it() -> Result<(), Box<dyn std::error::Error>> {
    // CPU numbers and dates are this machine's here.
    let cpu = crate::config::surroundings::Surroundings::of_this_process().cpus.into_iter().next();
    let path = directory().join("levee.toml");
    fs::write(&path, set(GOOD, "workers", &format!("lcores = [{}]", cpu.unwrap_or_default())))?;
    let (config, warnings) = load(&path)?;
    assert_eq!((config.certificates.len(), warnings.len()), (2, 0));

    let missing = directory().join("no.toml");
    let report = load(&missing).err().map(|report| report.to_string()).unwrap_or_default();
    assert!(
        report.starts_with(&format!("cannot read the configuration {}: No such file", missing.display()))
    );
    Ok(())
}

#[test]
fn root_becomes_somebody() {
    let user = |text: &str| good_with(text, "").process.user.map(|user| (user.name, user.uid));
    assert_eq!(user(""), Some(("levee".to_owned(), 998)));
    assert_eq!(user("process: user = \"nobody\""), Some(("nobody".to_owned(), 65534)));
    assert_eq!(user("process: user = \"root\""), None);
}
