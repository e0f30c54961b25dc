//! Responses that make no sense, or two senses, from `tests/corpus/http/responses.txt`: what the client gets
//! of them, what becomes of the backend's connection, and that no other client gets a byte of them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use levee_tests::{
    Backend, Case, Client, NAME, PROXY_CLIENT_SIDE, Site, Tls, cases, read_response, unescape,
};

const FILE: &str = include_str!("../corpus/http/responses.txt");

/// What the backend says later stands behind this.
const LATER: &[u8] = b"{later}";

/// The port of the listener without TLS.
const PLAIN: u16 = 8000;

/// Responses longer than this are not cut at every byte.
const SHORT: usize = 300;

#[test]
fn hostile_responses_are_what_they_are_and_nobody_elses() {
    let cases: Arc<[Hostile]> = cases(FILE).into_iter().map(Hostile::new).collect();
    let site = Site::new();
    let _backend = backend(&site, &cases);
    let mut wrong = Vec::new();
    for (index, hostile) in cases.iter().enumerate() {
        if let Err(why) = hostile.check(&site, index) {
            wrong.push(format!("{}: {why}", hostile.case.name));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    site.finish();
}

/// Cut in two at every byte, without TLS, many at once over as few connections to the backend.
#[test]
fn responses_in_two_segments_are_what_they_are_in_one() {
    let cases: Arc<[Hostile]> = cases(FILE).into_iter().map(Hostile::new).collect();
    let site = Site::with(|config| {
        config.push("listener", &format!("address = \"10.9.1.1:{PLAIN}\"\ntls = false"));
    });
    let _backend = backend(&site, &cases);
    let short = cases
        .iter()
        .enumerate()
        .filter(|(_, hostile)| hostile.case.bytes.len() < SHORT && !hostile.says_more_later());
    let cuts = short.flat_map(|(index, hostile)| hostile.cuts().map(move |cut| (index, cut)));
    let cuts = Mutex::new(cuts);
    let wrong = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some((index, cut)) = cuts.lock().unwrap().next() else { return };
            if let Err(why) = cases[index].check_cut(index, cut) {
                wrong.lock().unwrap().push(format!("{}, cut at {cut}: {why}", cases[index].case.name));
            }
        }
    };
    site.network().client().within(|| {
        thread::scope(|scope| (0..CLIENTS).for_each(|_| drop(scope.spawn(work))));
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    site.finish();
}

/// A backend speaks on a kept connection while the next request is on its way to it: that is no answer. The
/// request is kept from the backend by a filter, and the next connection gets it.
#[test]
fn what_crosses_a_request_on_its_way_is_no_answer() {
    let site = Site::new();
    let (told, ports) = mpsc::channel();
    let (speak, wait) = mpsc::channel();
    let first = Mutex::new(Some((told, wait)));
    let _backend = site.scripted(move |mut stream| {
        let first = first.lock().unwrap().take();
        let answer = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        while Backend::read_head(&mut stream).is_some() {
            let _ = stream.write_all(answer("right").as_bytes());
            if let Some((told, wait)) = &first {
                let _ = told.send(stream.peer_addr().unwrap().port());
                let _ = wait.recv();
                let _ = stream.write_all(answer("poison").as_bytes());
            }
        }
    });
    let mut one = Client::connect(&site, Tls::default());
    assert_eq!(one.get("/scripted/one").unwrap().body, b"right");
    let port = ports.recv().unwrap();
    for line in [
        "add table inet filter",
        "add chain inet filter input { type filter hook input priority 0; }",
        &format!("add rule inet filter input tcp sport {port} counter drop"),
    ] {
        assert!(site.network().origin().command("nft").args(line.split(' ')).status().unwrap().success());
    }
    let mut other = Client::connect(&site, Tls::default());
    other.request("GET", "/scripted/other", "").unwrap();
    thread::sleep(Duration::from_millis(100));
    speak.send(()).unwrap();
    assert_eq!(other.response(false).unwrap().body, b"right");
    drop((one, other));
    assert_eq!(site.finish().counter("upstream_unasked"), 1);
}

/// Clients at the same time.
const CLIENTS: usize = 16;

/// A case, and what must come of it.
struct Hostile {
    case: Case,
    statuses: Vec<u16>,
    keeps: bool,
    cut: bool,
    reused: bool,
    responses: Vec<String>,
}

impl Hostile {
    fn new(case: Case) -> Self {
        let outcome = case.all("->").next().unwrap_or_else(|| panic!("{} has no outcome", case.name));
        let (numbers, words): (Vec<&str>, Vec<&str>) =
            outcome.split(' ').partition(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let [end @ ("keep" | "close" | "cut"), then @ ("reused" | "dropped")] = words.as_slice() else {
            panic!("{}: {outcome}", case.name)
        };
        let to_head = case.is("HEAD");
        let responses = case.all("=>").map(|text| {
            let mut bytes = Vec::new();
            unescape(text.as_bytes(), &mut bytes);
            let response =
                read_response(&mut bytes.as_slice(), to_head).expect("an expected response is one");
            shown(&response.head, &response.body)
        });
        Self {
            statuses: numbers.iter().map(|number| number.parse().expect("a status")).collect(),
            keeps: *end == "keep",
            cut: *end == "cut",
            reused: *then == "reused",
            responses: responses.collect(),
            case,
        }
    }

    /// Where to cut: before the response is complete. Behind that a cut is a pause in which the next request
    /// may be sent, and nobody can tell any more to which of them the rest is the answer.
    fn cuts(&self) -> impl Iterator<Item = usize> {
        (1..self.case.bytes.len()).filter(|&cut| {
            let (responses, whole) = self.read(&self.case.bytes[..cut]);
            self.case.is("ends") || !whole || responses.last().is_none_or(|(status, _)| *status < 200)
        })
    }

    fn says_more_later(&self) -> bool {
        self.case.bytes.windows(LATER.len()).any(|window| window == LATER)
    }

    /// The request, and on a connection that lives on a second one.
    fn request(&self, index: usize, cut: usize) -> [String; 2] {
        let method = if self.case.is("HEAD") { "HEAD" } else { "GET" };
        let version = if self.case.is("1.0") { "1.0" } else { "1.1" };
        let upgrade =
            if self.case.is("upgrade") { "Connection: upgrade\r\nUpgrade: websocket\r\n" } else { "" };
        let next = format!("GET /scripted/again HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        let next = if self.keeps { next } else { String::new() };
        [format!("{method} /scripted/{index}/{cut} HTTP/{version}\r\nHost: {NAME}\r\n{upgrade}\r\n"), next]
    }

    /// Over TLS; then another client asks for something else.
    fn check(&self, site: &Site, index: usize) -> Result<(), String> {
        let mut client = Client::connect(site, Tls::default());
        let [request, next] = self.request(index, 0);
        if self.says_more_later() {
            client.send(request.as_bytes()).map_err(|error| error.to_string())?;
            thread::sleep(PAUSE * 2);
            client.send(next.as_bytes()).map_err(|error| error.to_string())?;
        } else {
            client.send([request, next].concat().as_bytes()).map_err(|error| error.to_string())?;
        }
        let mut bytes = Vec::new();
        let clean = client.read_to_end(&mut bytes).is_ok();
        self.judge(&bytes, clean)?;
        let mut other = Client::connect(site, Tls::default());
        let next = other.get("/scripted/next").map_err(|error| format!("the next client: {error}"))?;
        let told = String::from_utf8_lossy(&next.body).into_owned();
        let wanted = if self.keeps { "/scripted/again" } else { "another" };
        // Where the first client asked again, that request went over the connection in question.
        let behind = format!("behind {index}");
        let reused = if self.keeps { self.again(&bytes) == behind } else { told == behind };
        if next.status != 200 || !(told.starts_with("behind") || told == "first") {
            return Err(format!("the next client gets {} {told:?}, not {wanted}", next.status));
        }
        if reused != self.reused {
            return Err(format!("the backend's connection is {}", if reused { "reused" } else { "dropped" }));
        }
        Ok(())
    }

    /// Without TLS.
    fn check_cut(&self, index: usize, cut: usize) -> Result<(), String> {
        let address = (PROXY_CLIENT_SIDE, PLAIN);
        let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(|error| error.to_string())?;
        stream.write_all(self.request(index, cut).concat().as_bytes()).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        let clean = stream.read_to_end(&mut bytes).is_ok();
        self.judge(&bytes, clean)
    }

    /// Whether `bytes` are what the client is to get; `clean` if it could not tell that something is missing.
    fn judge(&self, bytes: &[u8], clean: bool) -> Result<(), String> {
        let (responses, whole) = self.read(bytes);
        let mut wanted = self.statuses.clone();
        wanted.extend(vec![200; usize::from(self.keeps)]);
        let statuses: Vec<u16> = responses.iter().map(|(status, _)| *status).collect();
        // A reset takes away what the client has not read.
        let same = statuses == wanted || self.cut && !clean && wanted.starts_with(&statuses);
        if !same || (clean && whole) == self.cut {
            let text = bytes.escape_ascii();
            return Err(format!(
                "gets {statuses:?}, not {wanted:?}, clean {clean}, whole {whole}: {text:.500}"
            ));
        }
        for ((_, got), wanted) in responses.iter().zip(&self.responses) {
            if got != wanted {
                return Err(format!("gets {got:?}\n not {wanted:?}"));
            }
        }
        if self.keeps && !self.again(bytes).starts_with("behind") && self.again(bytes) != "first" {
            return Err(format!("asks again and gets {:?}", self.again(bytes)));
        }
        Ok(())
    }

    /// The responses in `bytes`, and whether the last is whole.
    fn read(&self, bytes: &[u8]) -> (Vec<(u16, String)>, bool) {
        let mut rest = bytes;
        let mut responses = Vec::new();
        while !rest.is_empty() {
            let at = rest;
            let to_head = self.case.is("HEAD") && responses.iter().all(|(status, _)| *status < 200);
            match read_response(&mut rest, to_head) {
                Ok(response) => responses.push((response.status, shown(&response.head, &response.body))),
                Err(_) => {
                    let status = at.get(9..12).and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
                    responses.push((status.unwrap_or(0), String::new()));
                    return (responses, false);
                }
            }
        }
        (responses, true)
    }

    /// What the backend told the client that asked again.
    fn again(&self, bytes: &[u8]) -> String {
        let (responses, _) = self.read(bytes);
        let last = responses.last().map(|(_, shown)| shown.as_str()).unwrap_or_default();
        last.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned()
    }
}

/// A response without its Date.
fn shown(head: &str, body: &[u8]) -> String {
    let lines = head.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: "));
    lines.chain([String::from_utf8_lossy(body).as_ref()]).collect()
}

/// How long the backend waits before it says what it says later.
const PAUSE: Duration = Duration::from_millis(15);

/// A backend that answers `/scripted/INDEX/CUT` with a case, cut in two, and anything else with what the
/// connection was last asked for.
fn backend(site: &Site, cases: &Arc<[Hostile]>) -> Backend {
    let cases = Arc::clone(cases);
    site.scripted(move |mut stream| {
        let mut told = "first".to_owned();
        while let Some(head) = Backend::read_head(&mut stream) {
            let path = head.split(' ').nth(1).unwrap_or_default();
            let mut parts = path.trim_start_matches("/scripted/").split('/');
            let numbers = (parts.next().map(str::parse), parts.next().map(str::parse));
            let (Some(Ok(index)), Some(Ok(cut))) = numbers else {
                let length = told.len();
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{told}");
                "behind another".clone_into(&mut told);
                continue;
            };
            let index: usize = index;
            told = format!("behind {index}");
            let hostile = &cases[index];
            say(&mut stream, &hostile.case.bytes, cut);
            if hostile.case.is("ends") {
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
    })
}

fn say(stream: &mut TcpStream, bytes: &[u8], cut: usize) {
    let (now, later) = match bytes.windows(LATER.len()).position(|window| window == LATER) {
        Some(at) => (&bytes[..at], Some(&bytes[at + LATER.len()..])),
        None => (bytes, None),
    };
    let (front, back) = now.split_at(cut.min(now.len()));
    let _ = stream.write_all(front);
    if !front.is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    let _ = stream.write_all(back);
    if let Some(later) = later {
        thread::sleep(PAUSE);
        let _ = stream.write_all(later);
    }
}
