//! What fails under Levee: links, its own threads, its start. Peers that fail are in `failures.rs`.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use levee_tests::{
    Certificates, Client, Config, Curl, Network, Place, Site, Tls, binary, pattern, run, wait_for,
};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Switches a link up or down.
fn switch(place: &Place, interface: &str, state: &str) {
    let mut command = place.command("ip");
    command.args(["link", "set", interface, state]);
    let ended = run(command, b"", Duration::from_secs(5));
    assert!(ended.exited(0), "{}", ended.text());
}

/// A link that is down for a while loses nothing that TCP can send again.
#[test]
fn the_clients_link_goes_down_and_up() {
    let site = Site::new();
    let place = site.network().client();
    let mut idle = Client::connect(&site, Tls::default());
    assert_eq!(idle.get("/bytes/1000").unwrap().body, pattern(1000));

    thread::scope(|scope| {
        let transfer = scope.spawn(|| {
            let mut client = Client::connect(&site, Tls::default());
            client.get("/bytes/100000000").unwrap()
        });
        thread::sleep(Duration::from_millis(100));
        switch(&place, "c0", "down");
        thread::sleep(Duration::from_secs(1));
        let while_down = Curl::new(&site).args(["--connect-timeout", "1"]).fetch("/bytes/10");
        assert_ne!(while_down.code, 0);
        switch(&place, "c0", "up");
        let transfer = transfer.join().expect("the transfer ends");
        assert!(transfer.body == pattern(100_000_000), "{} bytes", transfer.body.len());
    });
    assert_eq!(idle.get("/bytes/1000").unwrap().body, pattern(1000), "a connection from before lives");
    let after = Curl::new(&site).fetch("/bytes/1000");
    assert_eq!((after.code, after.status), (0, 200), "{}", after.said);
    drop(idle);
    site.finish();
}

/// Clients hear of it while the backends' link is down, and are served again when it is up.
#[test]
fn the_backends_link_goes_down_and_up() {
    let site = Site::with(|config| {
        config.set("backend.0.connect_timeout_ms", 500).set("backend.0.response_timeout_ms", 1000);
        config.set("backend.0.max_fails", 0);
    });
    let place = site.network().origin();
    let mut client = Client::connect(&site, Tls::default());
    assert_eq!(client.get("/bytes/1000").unwrap().body, pattern(1000));
    switch(&place, "o0", "down");
    for _ in 0..3 {
        let status = client.get("/bytes/1000").unwrap().status;
        assert!(matches!(status, 502 | 504), "{status}");
    }
    switch(&place, "o0", "up");
    wait_for("the origin to be reached again", Duration::from_secs(10), || {
        let response = client.get("/bytes/1000").unwrap();
        (response.status == 200).then(|| assert_eq!(response.body, pattern(1000)))
    });
    drop(client);
    site.finish();
}

/// A server's machine ends without a word and comes back: what the pool still has of it costs no request, even where none
/// is tried again.
#[test]
fn a_server_comes_back_that_went_unheard() {
    let mut site = Site::with(|config| {
        config.set("workers.lcores", vec![0]).set("backend.0.retries", 0);
    });
    let place = site.network().origin();
    let command = |program: &str, arguments: &[&str]| {
        let mut command = place.command(program);
        command.args(arguments);
        let ended = run(command, b"", Duration::from_secs(5));
        assert!(ended.exited(0), "{}", ended.text());
        ended.text()
    };
    command("sysctl", &["-w", "net.ipv4.tcp_orphan_retries=1"]);
    let mut client = Client::connect(&site, Tls::default());
    assert_eq!(client.get("/bytes/1000").unwrap().body, pattern(1000));

    switch(&place, "o0", "down");
    site.origin().signal(Signal::SIGKILL);
    wait_for("the server's connections to be forgotten", Duration::from_secs(30), || {
        command("ss", &["-Htan", "dst", "10.9.2.1"]).trim().is_empty().then_some(())
    });
    switch(&place, "o0", "up");
    site.restart_origin();
    let response = client.get("/bytes/1000").unwrap();
    assert_eq!((response.status, response.body), (200, pattern(1000)));
    drop(client);
    let end = site.finish();
    assert_eq!(end.counter("upstream_reused"), 1);
    assert_eq!(end.counter("upstream_retries"), 1);
}

/// Levee's own end of a link is switched off by an operator, and on again.
#[test]
fn the_port_goes_down_and_up() {
    let site = Site::new();
    let place = site.network().proxy();
    let mut client = Client::connect(&site, Tls::default());
    assert_eq!(client.get("/bytes/1000").unwrap().body, pattern(1000));
    switch(&place, "lv-client", "down");
    thread::sleep(Duration::from_secs(1));
    switch(&place, "lv-client", "up");
    assert_eq!(client.get("/bytes/1000").unwrap().body, pattern(1000), "a connection from before lives");
    let after = Curl::new(&site).fetch("/bytes/1000");
    assert_eq!((after.code, after.status), (0, 200), "{}", after.said);
    drop(client);
    site.finish();
}

/// A worker that hangs serves nobody, and cannot be ended alone: the process ends, at once, by SIGABRT.
#[test]
fn a_worker_that_hangs() {
    let mut site = Site::with(|config| {
        config.set("workers.stuck_ms", 1000);
    });
    let pid = site.levee().id();
    let worker = fs::read_dir(format!("/proc/{pid}/task"))
        .expect("the process runs")
        .map(|task| task.expect("a thread").path())
        .find(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "levee-worker-0"))
        .expect("the worker is there");
    let worker = worker.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a thread's number");
    // Of the threads, the traced one alone stops.
    let worker = Pid::from_raw(worker);
    ptrace::attach(worker).expect("root may trace");
    let status = wait_for("the process to end", Duration::from_secs(10), || {
        // Who traces a thread has to hear of its end before the process can.
        let _ = waitpid(worker, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL));
        site.levee().ended()
    });
    assert_eq!(status.signal(), Some(nix::libc::SIGABRT), "{status}");
    assert!(site.levee().output().contains("hangs"), "it says why");
}

/// Starts Levee with a changed configuration, which ends with exit code 1; returns what it said.
fn refused(network: &Network, user: Option<&str>, change: impl FnOnce(&mut Config)) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::standard(network.prefix());
    Certificates::new(&directory.path().join("certificates")).locate(&mut config);
    change(&mut config);
    let path = directory.path().join("levee.toml");
    fs::write(&path, config.to_string()).unwrap();
    let mut command = match user {
        None => network.proxy().command(binary("levee")),
        Some(user) => {
            // All that is needed is readable, but for the rights to devices.
            for path in [directory.path().to_owned(), directory.path().join("certificates")] {
                let mut command = Command::new("chown");
                command.args(["-R", user]).arg(path);
                assert!(run(command, b"", Duration::from_secs(5)).exited(0));
            }
            let program = directory.path().join("levee");
            fs::copy(binary("levee"), &program).unwrap();
            let mut command = network.proxy().command("setpriv");
            command.args(["--reuid", user, "--clear-groups"]).arg(program);
            command
        }
    };
    command.arg("run").arg("-c").arg(path);
    let ended = run(command, b"", Duration::from_secs(20));
    let said = ended.text();
    assert!(ended.exited(1), "{:?} {said}", ended.status);
    assert!(!said.contains("panicked") && !said.contains("levee is ready"), "{said}");
    said
}

/// What cannot be started is said with its reason.
#[test]
fn starts_that_fail() {
    let network = Network::new();
    let said = refused(&network, None, |config| {
        config.set("port.0.device", "net_af_packet0,iface=lv-nowhere");
    });
    assert!(said.contains("lv-nowhere"), "{said}");
    let said = refused(&network, None, |config| {
        config.set("port.0.device", "net_no_such_driver0");
    });
    assert!(said.contains("net_no_such_driver0"), "{said}");
    let said = refused(&network, None, |config| {
        config.set("eal.hugepages", "required").set("eal.memory_mib", 1 << 20);
    });
    assert!(said.contains("hugepages are needed") && said.contains("vm.nr_hugepages"), "{said}");
    let said = refused(&network, None, |config| {
        config.set("eal.args", vec!["--no-such-argument"]);
    });
    assert!(said.contains("no-such-argument"), "{said}");
    let said = refused(&network, None, |config| {
        config.set("log.access", "/proc/such.log");
    });
    assert!(said.contains("/proc/such.log"), "{said}");
    let said = refused(&network, Some("nobody"), |config| {
        config.set("eal.hugepages", "off");
    });
    assert!(said.contains("not root") && said.contains("port `client`"), "{said}");
}

/// Two of them at one device: the second says so.
#[test]
fn a_socket_that_is_in_use() {
    let site = Site::with(|config| {
        config.set("port.1.device", "net_memif0,role=server,socket-abstract=yes,socket=levee-in-use");
    });
    let network = site.network();
    let said = refused(network, None, |config| {
        config.set("eal.file_prefix", "levee-second").set("workers.lcores", vec![1]);
        config.set("port.0.device", "net_null0");
        config.set("port.1.device", "net_memif0,role=server,socket-abstract=yes,socket=levee-in-use");
    });
    assert!(said.contains("in use"), "{said}");
    site.finish();
}
