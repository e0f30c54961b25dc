//! Peers that fail: the other side hears of it, and Levee goes on.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use levee_tests::{Backend, Client, Curl, Fetched, NAME, Process, Site, Tls, Version, pattern, wait_for};
use nix::libc::linger;
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};

/// Whether curl's exit code says that a response was not whole: CURLE_PARTIAL_FILE or CURLE_RECV_ERROR
/// (curl(1), EXIT CODES).
fn broke_off(fetched: &Fetched) -> bool {
    matches!(fetched.code, 18 | 56)
}

fn alive(site: &Site) {
    let fetched = Curl::new(site).fetch("/bytes/1000");
    assert_eq!((fetched.code, fetched.status), (0, 200), "{}", fetched.said);
    assert_eq!(fetched.body, pattern(1000));
}

/// Closes with a reset.
fn reset(stream: &TcpStream) {
    let now = linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&stream.as_fd(), sockopt::Linger, &now).expect("the socket is TCP");
}

/// Each way to break off a body, in each framing that has an end of its own.
#[test]
fn backend_breaks_off_a_response() {
    let heads = ["Content-Length: 1000000", "Transfer-Encoding: chunked"];
    let site = Site::new();
    let turn = Arc::new(AtomicUsize::new(0));
    let _backend = site.scripted({
        let turn = Arc::clone(&turn);
        move |mut stream| {
            if Backend::read_head(&mut stream).is_none() {
                return;
            }
            let turn = turn.load(Ordering::Relaxed);
            let head = heads[turn % 2];
            let body = if turn.is_multiple_of(2) {
                "x".repeat(5000)
            } else {
                format!("1388\r\n{}\r\n", "x".repeat(5000))
            };
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").as_bytes());
            if turn >= 2 {
                // What was sent must arrive before the reset does, or there is no response to break off.
                std::thread::sleep(Duration::from_millis(300));
                reset(&stream);
            }
        }
    });
    for index in 0..4 {
        turn.store(index, Ordering::Relaxed);
        let fetched = Curl::new(&site).fetch("/scripted/x");
        assert!(broke_off(&fetched), "{index}: exit code {}, {} bytes", fetched.code, fetched.body.len());
        alive(&site);
    }
    // The demo origin does the same by itself.
    assert!(broke_off(&Curl::new(&site).fetch("/drop/100000")));
    alive(&site);
    site.finish();
}

#[test]
fn backend_is_killed_in_the_middle_of_a_response() {
    let mut site = Site::with(|config| {
        config.set("backend.0.max_fails", 0).set("backend.0.connect_timeout_ms", 500);
    });
    let mut client = Client::connect(&site, Tls::default());
    client.request("GET", "/bytes/104857600", "").unwrap();
    let mut some = vec![0; 1 << 20];
    client.read_exact(&mut some).unwrap();
    site.origin().signal(Signal::SIGKILL);
    let mut rest = Vec::new();
    let end = client.read_to_end(&mut rest);
    assert!(rest.len() < 100 << 20, "{end:?}, {} bytes", rest.len());

    wait_for("the origin to end", Duration::from_secs(5), || (!site.origin().is_running()).then_some(()));
    let fetched = Curl::new(&site).fetch("/bytes/1");
    assert_eq!(fetched.status, 502, "{}", fetched.said);
    assert!(!fetched.body.is_empty(), "there is a page for people");

    site.restart_origin();
    alive(&site);
    site.finish();
}

#[test]
fn backend_does_not_answer() {
    let site = Site::new();
    assert_eq!(Curl::new(&site).fetch("/scripted/x").status, 502, "nobody listens");
    let _backend = site.scripted(|mut stream| {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
    });
    assert_eq!(Curl::new(&site).fetch("/scripted/x").status, 504, "somebody listens and says nothing");
    alive(&site);
    site.finish();
}

/// RFC 9110 section 9.2.2: an idempotent request that got no byte of a response may be sent again.
#[test]
fn idempotent_requests_are_tried_elsewhere() {
    let site = Site::with(|config| {
        // The first does not listen.
        config.set("backend.2.servers", vec!["10.9.2.2:9001", "10.9.2.2:9000"]).set("backend.2.retries", 1);
    });
    let _backend = site.scripted(answer_forever);
    for turn in 0..6 {
        let fetched = Curl::new(&site).fetch("/scripted/x");
        assert_eq!(fetched.status, 200, "{turn}: {}", fetched.said);
    }
    site.finish();
}

/// RFC 9110 section 9.2.2: "A proxy MUST NOT automatically retry non-idempotent requests."
#[test]
fn other_requests_are_tried_once() {
    let site = Site::with(|config| {
        config.set("backend.2.retries", 3);
    });
    let (sender, heads) = mpsc::channel();
    let sender = Mutex::new(sender);
    let _backend = site.scripted(move |mut stream| {
        if Backend::read_head(&mut stream).is_some() {
            sender.lock().unwrap().send(()).unwrap();
        }
    });
    let mut client = Client::connect(&site, Tls::default());
    client.request("POST", "/scripted/x", "Content-Length: 0\r\n").unwrap();
    assert_eq!(client.response(false).unwrap().status, 502);
    assert_eq!(heads.try_iter().count(), 1);
    client.request("DELETE", "/scripted/x", "").unwrap();
    assert_eq!(client.response(false).unwrap().status, 502);
    assert_eq!(heads.try_iter().count(), 4, "an idempotent one is tried as often as configured");
    drop(client);
    site.finish();
}

/// Who says nothing, or not enough, is not waited for: in a handshake, in a head, between requests.
#[test]
fn slow_clients_run_out_of_time() {
    let site = Site::with(|config| {
        for key in ["handshake_ms", "request_head_ms", "keepalive_ms"] {
            config.set(&format!("timeouts.{key}"), 700);
        }
    });
    let mut silent = site.network().client().connect(site.address()).unwrap();
    assert_eq!(silent.read(&mut [0; 10]).map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    let mut slow = Client::connect(&site, Tls::default());
    for byte in b"GET / HTTP/1.1" {
        let _ = slow.send(&[*byte]);
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(slow.response(false).unwrap().status, 408);
    let mut idle = Client::connect(&site, Tls::default());
    assert_eq!(idle.get("/bytes/1").unwrap().status, 200);
    assert_eq!(idle.rest().unwrap(), b"", "a close_notify, and the end");
    drop((silent, slow, idle));
    let end = site.finish();
    for counter in ["timeout_handshake", "timeout_request_head", "timeout_keepalive"] {
        assert_eq!(end.counter(counter), 1, "{counter}");
    }
}

/// The table of TCP itself, as the status line counts it while Levee runs.
#[test]
fn no_connection_outlives_its_client() {
    let mut site = Site::with(|config| {
        config.set("status.interval_ms", 200).set("backend.0.keepalive", 0);
    });
    let mut clients: Vec<_> = (0..50).map(|_| Client::connect(&site, Tls::default())).collect();
    for client in &mut clients {
        assert_eq!(client.get("/bytes/100000").unwrap().status, 200);
    }
    let told = |levee: &mut Process, expected: &str| {
        let output = levee.output();
        let last = output.lines().rev().find(|line| line.starts_with("connections "));
        last.is_some_and(|line| line.starts_with(expected)).then_some(())
    };
    wait_for("the clients to be counted", Duration::from_secs(5), || told(site.levee(), "connections 50 "));
    for client in &clients[..25] {
        reset(client.tcp());
    }
    drop(clients);
    wait_for("all to be gone", Duration::from_secs(10), || told(site.levee(), "connections 0 "));
    site.finish();
}

/// RFC 9112 section 9.3.1: a connection that the backend closed while it was idle is no failure.
#[test]
fn backend_closes_idle_connections() {
    let site = Site::new();
    let _backend = site.scripted(|mut stream| {
        if Backend::read_head(&mut stream).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let mut client = Client::connect(&site, Tls::default());
    for turn in 0..20 {
        assert_eq!(client.get("/scripted/x").unwrap().status, 200, "{turn}");
    }
    drop(client);
    site.finish();
}

/// Each way to go away in the middle of an upload: the backend is not left waiting.
#[test]
fn client_vanishes_in_the_middle_of_an_upload() {
    let site = Site::new();
    let (sender, ends) = mpsc::channel();
    let sender = Mutex::new(sender);
    let _backend = site.scripted(move |mut stream| {
        if Backend::read_head(&mut stream).is_some() {
            let mut body = Vec::new();
            let _ = stream.read_to_end(&mut body);
            let _ = sender.lock().unwrap().send(body.len());
        }
    });
    for way in ["reset", "FIN without close_notify", "close_notify"] {
        for framing in ["Content-Length: 10000000", "Transfer-Encoding: chunked"] {
            let mut client = Client::connect(&site, Tls::default());
            let head = format!("POST /scripted/x HTTP/1.1\r\nHost: {NAME}\r\n{framing}\r\n\r\n");
            client.send(head.as_bytes()).unwrap();
            client.send(format!("186a0\r\n{}\r\n", "x".repeat(100_000)).as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            match way {
                "reset" => reset(client.tcp()),
                "close_notify" => client.close().unwrap(),
                _ => client.tcp().shutdown(Shutdown::Both).unwrap(),
            }
            drop(client);
            let received = ends.recv_timeout(Duration::from_secs(10));
            let received = received.unwrap_or_else(|_| panic!("{way}, {framing}: the backend still waits"));
            assert!(received < 10_000_000, "{way}, {framing}: {received} bytes");
            alive(&site);
        }
    }
    site.finish();
}

#[test]
fn client_vanishes_in_the_middle_of_a_download() {
    let site = Site::new();
    for way in [true, false] {
        let mut client = Client::connect(&site, Tls::default());
        client.request("GET", "/bytes/104857600", "").unwrap();
        let mut some = vec![0; 1 << 20];
        client.read_exact(&mut some).unwrap();
        if way {
            reset(client.tcp());
        }
        drop(client);
        alive(&site);
    }
    site.finish();
}

/// A record that does not decrypt ends the connection at once, whatever else was still to be sent.
#[test]
fn client_sends_a_forged_record_in_the_middle_of_a_download() {
    let site = Site::new();
    for version in [Version::Tls13, Version::Tls12].into_iter().cycle().take(10) {
        let mut client = Client::connect(&site, Tls { version, ..Tls::default() });
        client.request("GET", "/bytes/104857600", "").unwrap();
        let mut some = vec![0; 1 << 20];
        client.read_exact(&mut some).unwrap();
        client.tcp().write_all(&[&[23, 3, 3, 0, 100][..], &[0; 100]].concat()).unwrap();
        let start = Instant::now();
        let error = client.rest().expect_err("it breaks off");
        assert!(error.to_string().contains("BadRecordMac"), "{version:?}: {error}");
        let mut nothing = Vec::new();
        client.tcp().read_to_end(&mut nothing).expect("it ends in good order");
        assert!(start.elapsed() < Duration::from_secs(5), "{version:?}: after {:?}", start.elapsed());
        alive(&site);
    }
    let end = site.finish();
    let counters = ["tls_errors", "aead.failed", "aead.left_out"].map(|name| end.counter(name));
    assert_eq!(counters, [10, 0, 0], "the device is not to blame");
}

/// Handshakes that stop half-way, and noise in place of one.
#[test]
fn client_vanishes_in_a_handshake() {
    let site = Site::new();
    let hello = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    for bytes in [b"".as_slice(), &hello, b"GET / HTTP/1.1\r\n\r\n", &[0; 300]] {
        let mut tcp = site.network().client().connect(site.address()).unwrap();
        tcp.write_all(bytes).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        drop(tcp);
    }
    alive(&site);
    site.finish();
}

/// A slow reader holds up the backend, not memory: what the backend could write is bounded by buffers.
#[test]
fn slow_clients_slow_backends_down() {
    const LENGTH: usize = 512 << 20;
    /// Levee's buffers for one connection and the kernels' at both ends, generously.
    const BOUND: u64 = 48 << 20;

    let site = Site::new();
    let written = Arc::new(AtomicU64::new(0));
    let _backend = site.scripted({
        let written = Arc::clone(&written);
        move |mut stream| {
            if Backend::read_head(&mut stream).is_none() {
                return;
            }
            let _ =
                stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes());
            let piece = vec![0; 64 << 10];
            while stream.write_all(&piece).is_ok() {
                written.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        }
    });
    let mut client = Client::connect(&site, Tls::default());
    client.request("GET", "/scripted/x", "").unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let before = written.load(Ordering::Relaxed);
    assert!(before > 0 && before < BOUND, "{before} bytes written for a client that read none");
    let mut some = vec![0; 8 << 20];
    client.read_exact(&mut some).unwrap();
    wait_for("the backend to go on", Duration::from_secs(5), || {
        (written.load(Ordering::Relaxed) > before).then_some(())
    });
    drop(client);
    site.finish();
}

/// And the other way round.
#[test]
fn slow_backends_slow_clients_down() {
    const LENGTH: usize = 512 << 20;
    const BOUND: usize = 48 << 20;

    let site = Site::with(|config| {
        config.set("backend.2.response_timeout_ms", 20_000);
    });
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let _backend = site.scripted(move |mut stream| {
        if Backend::read_head(&mut stream).is_some() {
            let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(15));
            let mut piece = vec![0; 8 << 20];
            let _ = stream.read_exact(&mut piece);
        }
    });
    let mut client = Client::connect(&site, Tls::default());
    client.request("POST", "/scripted/x", &format!("Content-Length: {LENGTH}\r\n")).unwrap();
    // rustls turns to reading when it cannot write.
    client.tcp().set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    client.tcp().set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let piece = vec![0; 64 << 10];
    let mut sent = 0;
    while sent < LENGTH && client.send(&piece).is_ok() {
        sent += piece.len();
    }
    assert!(sent < BOUND, "{sent} bytes sent to a backend that read none");
    go.send(()).unwrap();
    drop(client);
    alive(&site);
    site.finish();
}

/// Answers every request on the connection.
fn answer_forever(mut stream: TcpStream) {
    while Backend::read_head(&mut stream).is_some() {
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}
