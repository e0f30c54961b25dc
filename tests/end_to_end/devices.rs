//! Other devices than `net_af_packet`: each starts and stops; those with a peer carry traffic.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use levee_tests::{
    CLIENT, Certificates, Client, Config, KINDS, Kind, Levee, Network, ORIGIN_PORT, PROXY_CLIENT_SIDE, Place,
    Site, Tls, Version, pattern, run, start_origin,
};

/// The kernel's end of the tap device.
const TAP: &str = "lt-tap";

/// Two Levees, one behind the other, on a link of their own.
const FRONT: Ipv4Addr = Ipv4Addr::new(10, 9, 3, 1);
const BACK: Ipv4Addr = Ipv4Addr::new(10, 9, 3, 2);

/// A configuration with these ports, as name, device and address, and one backend.
fn config(
    network: &Network,
    certificates: &Certificates,
    ports: &[(&str, &str)],
    backend: SocketAddr,
) -> Config {
    let mut config = Config::standard(network.prefix());
    certificates.locate(&mut config);
    config.remove("port").remove("backend").remove("route");
    for (index, (device, address)) in ports.iter().enumerate() {
        let mut port = String::new();
        write!(port, "name = \"port-{index}\"\ndevice = \"{device}\"\naddress = \"{address}\"")
            .expect("a string");
        config.push("port", &port);
    }
    config.push("backend", &format!("name = \"origin\"\nservers = [\"{backend}\"]"));
    config.push("route", "backend = \"origin\"");
    config
}

/// Bodies of some lengths through Levee, from `place`.
fn expect_bodies(place: &Place, certificates: &Certificates) {
    let address = (PROXY_CLIENT_SIDE, 443).into();
    for version in [Version::Tls13, Version::Tls12] {
        let mut client =
            Client::connect_from(place, address, certificates, Tls { version, ..Tls::default() });
        for length in [0, 1, 16_385, 1 << 20, 20 << 20] {
            let response = client.get(&format!("/bytes/{length}")).unwrap();
            assert!(response.body == pattern(length), "{version:?}, {length} bytes");
        }
        client.close().unwrap();
    }
}

/// `net_null` swallows everything, `net_ring` talks to itself, and nobody is at the other end of `net_memif`.
#[test]
fn devices_without_a_peer_start_and_stop() {
    let network = Network::new();
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(&directory.path().join("certificates"));
    for device in ["net_null0", "net_ring0", &memif("server", &network)] {
        let backend = (CLIENT, ORIGIN_PORT).into();
        let config = config(&network, &certificates, &[(device, "10.9.1.1/24")], backend);
        let mut levee = Levee::start(&network.proxy(), &config, "levee", directory.path());
        levee.wait_until_ready();
        std::thread::sleep(Duration::from_millis(200));
        levee.stop().expect_clean();
    }
}

/// The kernel at the other end of `net_tap` is the client and the host of the origin.
#[test]
fn tap() {
    let network = Network::new();
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(&directory.path().join("certificates"));
    let here = network.proxy();
    let device = format!("net_tap0,iface={TAP}");
    let backend = (CLIENT, ORIGIN_PORT).into();
    let mut config = config(&network, &certificates, &[(&device, "10.9.1.1/24")], backend);
    // net_tap adds up the segments of a packet as if each began at an even byte.
    config.set("port.0.offloads.checksum", false);
    let mut levee = Levee::start(&here, &config, "levee", directory.path());
    levee.wait_until_ready();
    for words in [
        format!("sysctl -qw net.ipv6.conf.{TAP}.disable_ipv6=1"),
        format!("ethtool -K {TAP} tx off rx off tso off gso off gro off"),
        format!("ip address add {CLIENT}/24 dev {TAP}"),
        format!("ip link set {TAP} up"),
    ] {
        let mut words = words.split(' ');
        let mut command = here.command(words.next().expect("a program"));
        command.args(words);
        let ended = run(command, b"", Duration::from_secs(5));
        assert!(ended.exited(0), "{}", ended.text());
    }
    let origin = start_origin(&here, (CLIENT, ORIGIN_PORT), directory.path());
    expect_bodies(&here, &certificates);
    levee.stop().expect_clean();
    drop(origin);
}

/// `net_af_xdp` takes no packets in pieces, and keeps what lies in its fill queue when it is closed: its
/// account is not clean.
#[test]
fn af_xdp() {
    let network = Network::new();
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(&directory.path().join("certificates"));
    let origin = start_origin(&network.origin(), (levee_tests::ORIGIN, ORIGIN_PORT), directory.path());
    let ports =
        [("net_af_xdp0,iface=lv-client", "10.9.1.1/24"), ("net_af_xdp1,iface=lv-origin", "10.9.2.1/24")];
    let config = config(&network, &certificates, &ports, (levee_tests::ORIGIN, ORIGIN_PORT).into());
    let mut levee = Levee::start(&network.proxy(), &config, "levee", directory.path());
    levee.wait_until_ready();
    expect_bodies(&network.client(), &certificates);
    let _ = levee.process().stop();
    // Without root's identity, too, a driver takes off what it put on an interface.
    for interface in ["lv-client", "lv-origin"] {
        let mut command = network.proxy().command("ip");
        command.args(["link", "show", interface]);
        let shown = run(command, b"", Duration::from_secs(5)).text();
        assert!(shown.contains("mtu") && !shown.contains("xdp"), "{shown}");
    }
    drop(origin);
}

/// Packet memory in ordinary pages, for machines that have no others.
#[test]
fn without_hugepages() {
    let site = Site::with(|config| {
        config.set("eal.hugepages", "off");
    });
    expect_bodies(&site.network().client(), site.certificates());
    site.finish();
}

/// `crypto_openssl` makes RSA signatures beside the CPU, in TLS 1.3 by PSS and in TLS 1.2 by what the client likes.
#[test]
fn public_key_work_on_a_device() {
    let site = Site::with(|config| {
        // The slowest engine: the device is the faster side on every CPU.
        config.set("tls.engine", "rustcrypto").set("tls.public_key", "crypto_openssl0");
    });
    let connect = |kind| {
        for version in [Version::Tls13, Version::Tls12].into_iter().cycle().take(12) {
            let mut client = Client::connect(&site, Tls { version, kind, hybrid: false });
            assert_eq!(client.get("/bytes/1000").unwrap().body, pattern(1000), "{version:?}, {kind:?}");
            client.close().unwrap();
        }
    };
    std::thread::scope(|scope| {
        for kind in KINDS.into_iter().cycle().take(8) {
            scope.spawn(move || connect(kind));
        }
    });
    let end = site.finish();
    let rsa = 12 * 8 / 2;
    let sum = |name: &str| end.counter(&format!("public_key.{name}"));
    assert_eq!(end.counter("handshakes"), 2 * rsa);
    let by_device = sum("crypto_openssl0");
    assert!(by_device > 0 && by_device <= rsa, "{by_device} of {rsa}");
    assert!(sum("cpu") >= 2 * rsa, "key exchange, and signatures by ECDSA");
    assert_eq!([sum("failed"), sum("wrong"), sum("left_out")], [0; 3]);
}

/// The second worker has no queue pair of the device, and does without.
#[test]
fn a_public_key_device_with_fewer_queue_pairs_than_workers() {
    let mut site = Site::with(|config| {
        config.set("workers.lcores", vec![0, 1]).set("tls.engine", "rustcrypto");
        config.set("tls.public_key", "crypto_openssl0,max_nb_queue_pairs=1");
    });
    site.levee().wait_for_output("the others have the CPU alone", Duration::from_secs(1));
    for version in [Version::Tls13, Version::Tls12].into_iter().cycle().take(16) {
        let mut client = Client::connect(&site, Tls { version, kind: Kind::Rsa, hybrid: false });
        assert_eq!(client.get("/bytes/1000").unwrap().body, pattern(1000), "{version:?}");
        client.close().unwrap();
    }
    let end = site.finish();
    assert_eq!(end.counter("handshakes"), 16);
    assert!(end.counter("public_key.crypto_openssl0") > 0);
}

/// More records at a time than the queue of a crypto device takes: those beyond wait for their turn, and all arrive.
#[test]
fn more_records_than_a_device_takes() {
    let site = Site::with(|config| {
        config.set("tls.aead", "crypto_aesni_mb0").set("tls.device_queue", 8);
    });
    // What is cached is sealed elsewhere than it lies, which this driver does by its queue.
    let fetch = |version| {
        let mut client = Client::connect(&site, Tls { version, ..Tls::default() });
        for length in [300_000, 300_001, 1] {
            let response = client.get(&format!("/cached/{length}")).unwrap();
            assert!(response.body == pattern(length), "{version:?}, {length} bytes");
        }
        client.close().unwrap();
    };
    std::thread::scope(|scope| {
        for version in [Version::Tls13, Version::Tls12].into_iter().cycle().take(48) {
            scope.spawn(move || fetch(version));
        }
    });
    fetch(Version::Tls13);
    let end = site.finish_with_copies();
    let sum = |name: &str| end.counter(&format!("aead.{name}"));
    assert!(sum("busy") > 0, "the queue was full");
    assert!(sum("crypto_aesni_mb0") > 49 * 37, "{}", sum("crypto_aesni_mb0"));
    assert_eq!(["software", "failed", "refused", "left_out"].map(sum), [0; 4]);
    assert_eq!(end.counter("tls_errors") + end.counter("shed_memory"), 0);
}

/// Clients talk TLS to a Levee that talks HTTP over `net_memif` to another, which talks to the origin.
#[test]
fn memif_between_two_levees() {
    let network = Network::new();
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(&directory.path().join("certificates"));
    let origin = start_origin(&network.origin(), (levee_tests::ORIGIN, ORIGIN_PORT), directory.path());

    let ports = [
        ("net_af_packet0,iface=lv-client", "10.9.1.1/24"),
        (&memif("server", &network), &format!("{FRONT}/24")),
    ];
    let front = config(&network, &certificates, &ports, (BACK, 80).into());

    let ports = [
        (&*memif("client", &network), &*format!("{BACK}/24")),
        ("net_af_packet0,iface=lv-origin", "10.9.2.1/24"),
    ];
    let mut back = config(&network, &certificates, &ports, (levee_tests::ORIGIN, ORIGIN_PORT).into());
    back.set("eal.file_prefix", format!("{}-back", network.prefix())).set("workers.lcores", vec![1]);
    back.remove("listener").remove("certificate");
    back.push("listener", &format!("address = \"{BACK}:80\"\ntls = false"));

    // A memif client gives up when there is no server yet.
    let levees = [("front", front), ("back", back)].map(|(name, config)| {
        let mut levee = Levee::start(&network.proxy(), &config, name, directory.path());
        levee.wait_until_ready();
        levee
    });
    expect_bodies(&network.client(), &certificates);
    for levee in levees {
        levee.stop().expect_clean();
    }
    drop(origin);
}

fn memif(role: &str, network: &Network) -> String {
    format!("net_memif0,role={role},socket-abstract=yes,socket={}", network.prefix())
}
