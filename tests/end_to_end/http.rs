//! HTTP/1.1 as RFC 9110 and RFC 9112 have it, through Levee.

use std::io::{Read, Write};

use levee_tests::{CLIENT, Client, Curl, NAME, Site, Tls, pattern, sha256};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::new();
    let mut client = Client::connect(&site, Tls::default());
    let lengths = [0, 1, 40_000, 7, 1460, 16_385, 3, 200_000, 0, 9];
    let one = |length: &u64| format!("GET /bytes/{length} HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
    client.send(lengths.iter().map(one).collect::<String>().as_bytes()).unwrap();
    for length in lengths {
        let response = client.response(false).unwrap();
        assert_eq!((response.status, response.body.len() as u64), (200, length));
        assert_eq!(response.body, pattern(length));
    }
    drop(client);
    site.finish();
}

/// RFC 9112 section 6.3: these have no body whatever their fields say, and the connection goes on.
#[test]
fn responses_without_a_body() {
    let site = Site::new();
    let mut client = Client::connect(&site, Tls::default());
    for (method, path, status) in [
        ("HEAD", "/bytes/1000", 200),
        ("HEAD", "/chunked/1000", 200),
        ("GET", "/status/204", 204),
        ("GET", "/status/304", 304),
        ("GET", "/status/500", 500),
    ] {
        client.request(method, path, "").unwrap();
        let response = client.response(method == "HEAD").unwrap();
        assert_eq!((response.status, response.body.len()), (status, 0), "{method} {path}");
        assert_eq!(client.get("/bytes/10").unwrap().body, pattern(10), "after {method} {path}");
    }
    client.request("HEAD", "/bytes/1000", "").unwrap();
    assert_eq!(client.response(true).unwrap().field("Content-Length"), Some("1000"));
    drop(client);
    site.finish();
}

/// RFC 9110 section 10.1.1: the client waits for 100 before it sends the body.
#[test]
fn expectation_of_100_continue() {
    let site = Site::new();
    let mut client = Client::connect(&site, Tls::default());
    let body = pattern(50_000);
    let fields = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
    client.request("POST", "/hash", &fields).unwrap();
    assert_eq!(client.response(false).unwrap().status, 100);
    client.send(&body).unwrap();
    let response = client.response(false).unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.body.trim_ascii_end(), sha256(&body).as_bytes());
    drop(client);
    site.finish();
}

/// RFC 9110 section 15.2: a proxy forwards 1xx responses.
#[test]
fn early_hints_come_before_the_response() {
    let site = Site::new();
    let mut client = Client::connect(&site, Tls::default());
    client.request("GET", "/early-hints", "").unwrap();
    let hint = client.response(false).unwrap();
    assert_eq!(hint.status, 103);
    assert!(hint.field("Link").is_some_and(|link| link.contains("/style.css")), "{}", hint.head);
    assert_eq!(client.response(false).unwrap().status, 200);
    assert_eq!(client.get("/bytes/5").unwrap().body, pattern(5));
    drop(client);
    site.finish();
}

#[test]
fn upgraded_connections_are_tunnels() {
    let site = Site::new();
    let mut client = Client::connect(&site, Tls::default());
    client
        .request("GET", "/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
        .unwrap();
    let response = client.response(false).unwrap();
    assert_eq!(response.status, 101, "{}", response.head);
    assert_eq!(response.field("Upgrade"), Some("websocket"));
    for length in [1, 100, 16_384, 100_000] {
        let bytes = pattern(length);
        client.send(&bytes).unwrap();
        let mut back = vec![0; bytes.len()];
        client.read_exact(&mut back).unwrap();
        assert_eq!(sha256(&back), sha256(&bytes), "{length}");
    }
    client.close().unwrap();
    assert_eq!(client.rest().unwrap(), b"");
    site.finish();
}

/// RFC 9110 section 7.6.1, and what a backend needs to know about the client.
#[test]
fn fields_of_one_hop_stop_here() {
    let site = Site::new();
    let mut client = Client::connect(&site, Tls::default());
    let fields = "Connection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n\
                  Proxy-Connection: keep-alive\r\nX-Kept: yes\r\nUser-Agent: test\r\n";
    client.request("GET", "/headers?a=b", fields).unwrap();
    let response = client.response(false).unwrap();
    let seen = String::from_utf8(response.body).unwrap();
    let mut lines = seen.lines();
    assert_eq!(lines.next(), Some("GET /headers?a=b HTTP/1.1"));
    let lines: Vec<String> = lines.map(str::to_ascii_lowercase).collect();
    for name in ["x-secret:", "keep-alive:", "proxy-connection:"] {
        assert!(!lines.iter().any(|line| line.starts_with(name)), "{name} in {seen}");
    }
    let forwarded = format!("x-forwarded-for: {CLIENT}");
    let host = format!("host: {NAME}");
    for line in ["x-kept: yes", "user-agent: test", "x-forwarded-proto: https", &forwarded, &host] {
        assert!(lines.iter().any(|found| found == line), "no {line} in {seen}");
    }
    assert!(lines.iter().any(|line| line.starts_with("via: 1.1 ")), "{seen}");
    drop(client);
    site.finish();
}

/// RFC 9112 section 9.3: whether the connection goes on.
#[test]
fn persistence() {
    let site = Site::new();

    let mut client = Client::connect(&site, Tls::default());
    client.request("GET", "/bytes/3", "Connection: close\r\n").unwrap();
    let response = client.response(false).unwrap();
    assert_eq!(
        (response.body, response.head.to_ascii_lowercase().contains("connection: close")),
        (pattern(3), true)
    );
    assert_eq!(client.rest().unwrap(), b"", "close_notify ends it");

    let mut client = Client::connect(&site, Tls::default());
    client.send(format!("GET /chunked/5000 HTTP/1.0\r\nHost: {NAME}\r\n\r\n").as_bytes()).unwrap();
    let response = client.response(false).unwrap();
    // RFC 9112 section 6.1: no transfer coding for HTTP/1.0.
    assert_eq!(response.field("Transfer-Encoding"), None, "{}", response.head);
    assert_eq!(response.body, pattern(5000));

    // An empty line before a request is no request (RFC 9112 section 2.2).
    let mut client = Client::connect(&site, Tls::default());
    client.send(b"\r\n").unwrap();
    assert_eq!(client.get("/bytes/3").unwrap().body, pattern(3));
    drop(client);
    site.finish();
}

/// A head arrives whole whatever pieces TLS and TCP make of it.
#[test]
fn heads_in_pieces() {
    let site = Site::new();
    let mut client = Client::connect(&site, Tls::default());
    let padding = "x".repeat(3000);
    let request = format!("GET /bytes/11 HTTP/1.1\r\nHost: {NAME}\r\nX-Padding: {padding}\r\n\r\n");
    for piece in request.as_bytes().chunks(997) {
        client.send(piece).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(client.response(false).unwrap().body, pattern(11));
    for byte in format!("GET /bytes/12 HTTP/1.1\r\nHost: {NAME}\r\n\r\n").as_bytes() {
        client.send(&[*byte]).unwrap();
    }
    assert_eq!(client.response(false).unwrap().body, pattern(12));
    drop(client);
    site.finish();
}

#[test]
fn plain_http_is_redirected() {
    let site = Site::new();
    let fetched = Curl::new(&site).fetch_url(&format!("http://{NAME}/bytes/1?a=b"));
    assert!(matches!(fetched.status, 301 | 308), "{}", fetched.said);
    assert_eq!(fetched.field("Location"), Some(format!("https://{NAME}/bytes/1?a=b").as_str()));
    let followed = Curl::new(&site).args(["--location"]).fetch_url(&format!("http://{NAME}/bytes/100"));
    assert_eq!((followed.status, followed.body), (200, pattern(100)));

    // TLS to the plain port is nonsense, and gets an end.
    let mut plain = site.network().client().connect((levee_tests::PROXY_CLIENT_SIDE, 80)).unwrap();
    plain.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    plain.write_all(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 3, 13, 10, 13, 10]).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{answer:?}");
    site.finish();
}

/// RFC 9110 section 15.5.15 and RFC 6585 section 5.
#[test]
fn heads_that_are_too_long() {
    let site = Site::with(|config| {
        config.set("limits.header_bytes", 8192).set("limits.request_line_bytes", 4096);
        config.set("limits.request_body_bytes", 1000);
    });
    let (long, longer) = ("a".repeat(5000), "a".repeat(9000));
    for (request, status) in [
        (format!("GET /bytes/1 HTTP/1.1\r\nHost: {NAME}\r\nX-Long: {longer}\r\n\r\n"), 431),
        (format!("GET /{long} HTTP/1.1\r\nHost: {NAME}\r\n\r\n"), 414),
        (format!("POST /hash HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1001\r\n\r\n"), 413),
    ] {
        let mut client = Client::connect(&site, Tls::default());
        client.send(request.as_bytes()).unwrap();
        assert_eq!(client.response(false).unwrap().status, status, "{}", &request[..40]);
    }
    site.finish();
}
