//! Other devices than `net_af_packet`: each starts and stops; those with a peer carry traffic.

use std::time::Duration;

use levee_tests::{Certificates, Config, Levee, Network};

/// The standard configuration with one port for clients and backends.
fn one_port(network: &Network, certificates: &Certificates, device: &str) -> Config {
    let mut config = Config::standard(network.prefix());
    certificates.locate(&mut config);
    config.remove("port").remove("backend").remove("route");
    config.push("port", &format!("name = \"only\"\ndevice = \"{device}\"\naddress = \"10.9.1.1/24\""));
    config.push("backend", "name = \"origin\"\nservers = [\"10.9.1.2:8080\"]");
    config.push("route", "backend = \"origin\"");
    config
}

#[test]
fn devices_without_a_peer_start_and_stop() {
    let network = Network::new();
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(&directory.path().join("certificates"));
    let memif = format!("net_memif0,role=server,socket-abstract=yes,socket={}", network.prefix());
    for device in ["net_null0", "net_ring0", &memif] {
        let config = one_port(&network, &certificates, device);
        let mut levee = Levee::start(&network.proxy(), &config, "levee", directory.path());
        levee.process().wait_for_output("ready", Duration::from_secs(20));
        levee.stop().expect_clean();
    }
}
