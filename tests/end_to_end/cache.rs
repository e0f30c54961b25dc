//! The cache as clients see it (RFC 9111). `/cached/N` counts the requests that reached the origin.

use std::thread;
use std::time::Duration;

use levee_tests::{Client, Response, Site, Tls, pattern};

fn count(response: &Response) -> u64 {
    response.field("X-Origin-Requests").expect("the origin counts").parse().expect("a number")
}

#[test]
fn hits_do_not_reach_the_origin() {
    let site = Site::new();
    let mut client = Client::connect(&site, Tls::default());
    let first = client.get("/cached/100000").unwrap();
    assert_eq!(first.body, pattern(100_000));
    for _ in 0..20 {
        let hit = client.get("/cached/100000").unwrap();
        assert_eq!((hit.status, count(&hit)), (200, count(&first)));
        assert_eq!(hit.body, pattern(100_000));
        // RFC 9111 section 5.1: a response from a cache says how old it is.
        assert!(hit.field("Age").is_some(), "{}", hit.head);
        // RFC 9110 section 6.6.1: whoever passes on a response without a Date adds one.
        assert!(hit.field("Date").is_some(), "{}", hit.head);
    }
    let mut other = Client::connect(&site, Tls::default());
    assert_eq!(count(&other.get("/cached/100000").unwrap()), count(&first), "one cache for all connections");
    let more = other.get("/cached/100001").unwrap();
    assert_eq!((count(&more), more.body.len()), (count(&first) + 1, 100_001));
    other.request("HEAD", "/cached/100000", "").unwrap();
    let head = other.response(true).unwrap();
    assert_eq!((count(&head), head.field("Content-Length")), (count(&first), Some("100000")));
    drop((client, other));
    site.finish();
}

/// RFC 9110 section 13: the cache answers conditions from what it holds.
#[test]
fn conditions() {
    let site = Site::new();
    let mut client = Client::connect(&site, Tls::default());
    let first = client.get("/cached/5000").unwrap();
    for (fields, status) in [
        ("If-None-Match: \"cached-5000\"\r\n", 304),
        ("If-None-Match: \"other\", W/\"cached-5000\"\r\n", 304),
        ("If-None-Match: *\r\n", 304),
        ("If-None-Match: \"other\"\r\n", 200),
        ("If-Modified-Since: Sat, 01 Nov 2025 00:00:00 GMT\r\n", 304),
        ("If-Modified-Since: Fri, 31 Oct 2025 00:00:00 GMT\r\n", 200),
    ] {
        client.request("GET", "/cached/5000", fields).unwrap();
        let response = client.response(false).unwrap();
        assert_eq!(response.status, status, "{fields}");
        // RFC 9110 section 15.4.5: a 304 has few fields, and the count is none of them.
        assert_eq!(response.field("X-Origin-Requests").is_some(), status == 200, "{fields}");
    }
    let last = client.get("/cached/5000").unwrap();
    assert_eq!(count(&last), count(&first), "the origin was not asked");
    drop(client);
    site.finish();
}

/// RFC 9111 section 4.3: a stale response is revalidated, and a 304 makes it fresh again.
#[test]
fn stale_responses_are_revalidated() {
    let site = Site::new();
    let mut client = Client::connect(&site, Tls::default());
    let first = client.get("/cached/7000?max-age=3").unwrap();
    assert_eq!(count(&client.get("/cached/7000?max-age=3").unwrap()), count(&first));
    thread::sleep(Duration::from_millis(4200));
    let second = client.get("/cached/7000?max-age=3").unwrap();
    assert_eq!((second.status, second.body), (200, pattern(7000)));
    let second = client.get("/cached/7000?max-age=3").unwrap();
    assert_eq!(count(&second), count(&first) + 1, "one question to the origin, and the entry is fresh again");
    drop(client);
    site.finish();
}

#[test]
fn requests_that_want_the_origin_reach_it() {
    let site = Site::new();
    let mut client = Client::connect(&site, Tls::default());
    let mut last = count(&client.get("/cached/300").unwrap());
    for fields in ["Cache-Control: no-cache\r\n", "Cache-Control: max-age=0\r\n"] {
        // Ages are whole seconds: until one has passed, what is there is as young as max-age=0 wants it.
        thread::sleep(Duration::from_millis(1200));
        client.request("GET", "/cached/300", fields).unwrap();
        let response = client.response(false).unwrap();
        assert!(count(&response) > last, "{fields}: {}", response.head);
        last = count(&response);
    }
    // RFC 9111 section 5.2.1.7.
    client.request("GET", "/cached/301", "Cache-Control: only-if-cached\r\n").unwrap();
    assert_eq!(client.response(false).unwrap().status, 504);
    drop(client);
    site.finish();
}

/// RFC 9111 section 4: requests for one key that come together ask the origin once.
#[test]
fn one_fetch_for_all_who_wait() {
    let site = Site::new();
    let clients: Vec<_> = (0..8).map(|_| Client::connect(&site, Tls::default())).collect();
    let fetch = |mut client: Client| {
        let response = client.get("/cached/3000000").unwrap();
        assert_eq!(response.body, pattern(3_000_000));
        count(&response)
    };
    let counts: Vec<u64> = thread::scope(|scope| {
        let fetches: Vec<_> = clients.into_iter().map(|client| scope.spawn(|| fetch(client))).collect();
        fetches.into_iter().map(|fetch| fetch.join().unwrap()).collect()
    });
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    site.finish();
}

/// A client that reads nothing does not hold up others who want the same: they get what was fetched for it, and so
/// does it when it reads at last.
#[test]
fn slow_clients_do_not_hold_up_a_fetch() {
    let site = Site::new();
    site.network().client().limit_receive_buffers();
    let mut slow = Client::connect(&site, Tls::default());
    slow.request("GET", "/cached/4000000", "").unwrap();
    thread::sleep(Duration::from_millis(200));
    let mut other = Client::connect(&site, Tls::default());
    let response = other.get("/cached/4000000").unwrap();
    assert_eq!((count(&response), response.body), (1, pattern(4_000_000)));
    let response = slow.response(false).unwrap();
    assert_eq!((count(&response), response.body), (1, pattern(4_000_000)));
    drop((slow, other));
    let end = site.finish();
    assert_eq!((end.counter("cache.stored"), end.counter("timeout_fetch")), (1, 0));
}

/// A response that turns out not to fit when a part of it is stored, and its client reads slowly: it gets all of it
/// nevertheless, and others go on without.
#[test]
fn what_outgrows_its_entry_reaches_a_slow_client() {
    let site = Site::with(|config| {
        config.set("cache.memory_mib", 2).set("cache.max_entry_mib", 1);
        config.set("limits.send_buffer_bytes", 65_536).set("limits.receive_buffer_bytes", 65_536);
    });
    site.network().client().limit_receive_buffers();
    let mut slow = Client::connect(&site, Tls::default());
    // Short enough by what it says; what counts is the packet memory that it lies in.
    slow.request("GET", "/cached/1000000", "").unwrap();
    slow.request("GET", "/bytes/100", "").unwrap();
    thread::sleep(Duration::from_millis(200));
    let mut other = Client::connect(&site, Tls::default());
    assert_eq!(other.get("/cached/1000000").unwrap().body, pattern(1_000_000));
    assert_eq!(slow.response(false).unwrap().body, pattern(1_000_000));
    assert_eq!(slow.response(false).unwrap().body, pattern(100));
    drop((slow, other));
    let end = site.finish();
    assert_eq!((end.counter("cache.not_stored.too_large"), end.counter("timeout_fetch")), (1, 0));
}

/// More than the budget: entries make room for each other, and every answer is right.
#[test]
fn budget() {
    let site = Site::with(|config| {
        config.set("cache.memory_mib", 2).set("cache.max_entry_mib", 1);
    });
    let mut client = Client::connect(&site, Tls::default());
    for round in 0..3 {
        for length in (0..12).map(|index| 400_000 + index) {
            let response = client.get(&format!("/cached/{length}")).unwrap();
            assert_eq!((response.status, response.body), (200, pattern(length)), "round {round}, {length}");
        }
    }
    // Too long to store at all.
    let first = client.get("/cached/1500000").unwrap();
    assert_eq!(count(&client.get("/cached/1500000").unwrap()), count(&first) + 1);
    drop(client);
    site.finish();
}

/// RFC 9111 section 4.4, where each worker has a store of its own.
#[test]
fn a_change_is_known_to_all_workers() {
    let site = Site::with(|config| {
        config.set("workers.lcores", vec![0, 1]);
    });
    let mut clients: Vec<_> = (0..16).map(|_| Client::connect(&site, Tls::default())).collect();
    let before = clients.iter_mut().map(|client| count(&client.get("/cached/900").unwrap())).max().unwrap();
    clients[0].request("POST", "/cached/900", "Content-Length: 0\r\n").unwrap();
    assert_eq!(clients[0].response(false).unwrap().status, 200);
    for client in &mut clients {
        let response = client.get("/cached/900").unwrap();
        assert!(count(&response) > before + 1, "what was stored before the change: {}", count(&response));
    }
    drop(clients);
    site.finish();
}
