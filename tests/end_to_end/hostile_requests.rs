//! Requests that two parsers could read differently, and all else that a hostile client sends, from
//! `tests/corpus/http`: each alone, behind and before a good request, and cut at every byte. Whatever Levee
//! lets pass is the same to every origin, whatever its manners.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use levee_tests::{
    CLIENT, Case, Client, Config, Manners, Origin, Place, Request, Site, Tls, answer, cases, read_response,
    unescape,
};

/// The files, and what their cases stand behind.
const FILES: [(&str, &str); 5] = [
    (include_str!("../corpus/http/framing.txt"), ""),
    (include_str!("../corpus/http/chunks.txt"), CHUNKED),
    (include_str!("../corpus/http/lines.txt"), ""),
    (include_str!("../corpus/http/hops.txt"), ""),
    (include_str!("../corpus/http/limits.txt"), ""),
];

/// The head that stands before the cases of `chunks.txt`.
const CHUNKED: &str = "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The good requests before and behind a case.
const BEFORE: &str = "GET /before HTTP/1.1\r\nHost: a\r\n\r\n";
const BEHIND: &str = "GET /behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Cases longer than this are not cut at every byte.
const SHORT: usize = 400;

/// The port of the listener without TLS.
const PLAIN: u16 = 8000;

#[test]
fn a_strict_origin_sees_exactly_what_is_right() {
    check_all(Manners::default());
}

#[test]
fn a_sloppy_origin_sees_the_same() {
    check_all(Manners::sloppiest());
}

/// Cut in two at every byte, without TLS, so that the cuts are those of segments.
#[test]
fn requests_in_two_segments_are_what_they_are_in_one() {
    let site = Site::with(in_front_of_origins);
    let origin = Origin::start(&site, Manners::default());
    let mut report = Report::default();
    for hostile in all().filter(|hostile| hostile.bytes.len() < SHORT) {
        report.note(&hostile.name, check_cuts(&site, &origin, &hostile));
    }
    report.finish(&origin);
    site.finish();
}

/// The answer is longer than a packet buffer.
#[test]
fn long_addresses_are_redirected() {
    let site = Site::new();
    let (path, host) = ("p".repeat(8000), "h".repeat(8000));
    let mut stream = site.network().client().connect((levee_tests::PROXY_CLIENT_SIDE, 80)).unwrap();
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
    let response = read_response(&mut io::BufReader::new(&mut stream), false).unwrap();
    let location = format!("https://{host}/{path}");
    assert_eq!((response.status, response.field("Location")), (301, Some(location.as_str())));
    drop(stream);
    site.finish();
}

fn check_all(manners: Manners) {
    let site = Site::with(in_front_of_origins);
    let origin = Origin::start(&site, manners);
    let mut report = Report::default();
    for hostile in all() {
        report.note(&hostile.name, check(&site, &origin, &hostile));
        report.note(
            &format!("{}, behind another", hostile.name),
            check_plain(&site, &origin, &hostile, BEFORE, 1),
        );
        report.note(&format!("{}, in three", hostile.name), check_plain(&site, &origin, &hostile, "", 3));
    }
    report.beginnings = all().flat_map(|hostile| hostile.begins).collect();
    report.finish(&origin);
    site.finish();
}

/// Everything goes to the scripted backend, over TLS and without.
fn in_front_of_origins(config: &mut Config) {
    config.set("route.0.backend", "scripted");
    config.push("listener", &format!("address = \"10.9.1.1:{PLAIN}\"\ntls = false"));
}

/// A case, and what must come of it.
struct Hostile {
    name: String,
    bytes: Vec<u8>,
    /// It is no whole request, and the client ends the connection.
    partial: bool,
    statuses: Vec<u16>,
    end: End,
    /// What the origin sees.
    sees: Vec<Request>,
    /// Heads of which the origin sees at most an unfinished request.
    begins: Vec<Vec<u8>>,
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It takes another request.
    Keep,
    /// It ends in good order.
    Close,
    /// It ends in a way that shows that something is missing.
    Cut,
}

fn all() -> impl Iterator<Item = Hostile> {
    FILES.into_iter().flat_map(|(file, front)| cases(file).into_iter().map(|case| Hostile::new(case, front)))
}

impl Hostile {
    fn new(case: Case, front: &str) -> Self {
        let outcome = case.all("->").next().unwrap_or_else(|| panic!("{} has no outcome", case.name));
        let mut words: Vec<&str> = outcome.split(' ').collect();
        let end = match words.pop() {
            Some("keep") => End::Keep,
            Some("close") => End::Close,
            Some("cut") => End::Cut,
            _ => panic!("{}: {outcome}", case.name),
        };
        let sees = case.all("=>").map(|text| {
            let reading = Manners::default().read(&forwarded(text));
            let [request] = reading.requests.as_slice() else { panic!("{}: {text}", case.name) };
            request.clone()
        });
        let head = |bytes: Vec<u8>| match bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(end) => bytes[..end + 4].to_vec(),
            None => bytes,
        };
        Self {
            bytes: [front.as_bytes(), &case.bytes].concat(),
            partial: case.is("partial"),
            statuses: words.iter().map(|word| word.parse().expect("a status")).collect(),
            end,
            sees: sees.collect(),
            begins: case.all("~>").map(|text| head(forwarded(text))).collect(),
            name: case.name,
        }
    }

    /// What the client says in all, with `front` before the case.
    fn said(&self, front: &str) -> Vec<u8> {
        let behind = if self.partial { "" } else { BEHIND };
        [front.as_bytes(), &self.bytes, behind.as_bytes()].concat()
    }

    /// What the origin then sees, with the scheme that the client came by.
    fn seen(&self, front: &str, scheme: &str) -> Vec<Request> {
        let good = |target: &str| {
            let text = format!("GET {target} HTTP/1.1\\r\\nHost: a\\r\\n{{hop}}\\r\\n");
            Manners::default().read(&forwarded(&text)).requests
        };
        let before = if front.is_empty() { Vec::new() } else { good("/before") };
        let behind = if self.end == End::Keep { good("/behind") } else { Vec::new() };
        let mut seen = [before, self.sees.clone(), behind].concat();
        for request in &mut seen {
            for (_, value) in request.fields.iter_mut().filter(|(name, _)| name == "X-Forwarded-Proto") {
                scheme.clone_into(value);
            }
            if let Some(at) = request.head.windows(SCHEME.len()).position(|window| window == SCHEME) {
                request.head.splice(at..at + SCHEME.len() - 2, [b"Proto: ", scheme.as_bytes()].concat());
            }
        }
        seen
    }

    /// Whether `answers` are those of an origin that sees `seen`.
    fn judge(&self, front: &str, answers: &Answers, seen: &[Request]) -> Result<(), String> {
        let mut statuses = vec![200; usize::from(!front.is_empty())];
        statuses.extend(&self.statuses);
        statuses.extend(vec![200; usize::from(self.end == End::Keep)]);
        let got: Vec<u16> = answers.responses.iter().map(|(status, _)| *status).collect();
        let end = if self.end == End::Cut { End::Cut } else { End::Close };
        if (&got, answers.end) != (&statuses, end) {
            return Err(format!("answers {got:?} and {:?}, not {statuses:?} and {end:?}", answers.end));
        }
        let told = answers.responses.iter().filter(|(status, _)| *status == 200).map(|(_, body)| body);
        for (told, request) in told.zip(seen) {
            let whole = answer(request);
            let body = whole.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            if told != body {
                return Err(format!("the answer to {:?} says {told:?}", request.line));
            }
        }
        Ok(())
    }
}

/// What the expected heads say of the scheme.
const SCHEME: &[u8] = b"Proto: https\r\n";

/// The bytes of a head on its way to the origin.
fn forwarded(text: &str) -> Vec<u8> {
    let hop = |version| {
        format!("X-Forwarded-For: {CLIENT}\\r\\nX-Forwarded-Proto: https\\r\\nVia: {version} levee\\r\\n")
    };
    let chunked = "POST /chunked HTTP/1.1\\r\\nHost: a\\r\\n{hop}Transfer-Encoding: chunked\\r\\n\\r\\n";
    let text =
        text.replace("{chunked}", chunked).replace("{hop}", &hop("1.1")).replace("{hop10}", &hop("1.0"));
    let mut bytes = Vec::new();
    unescape(text.as_bytes(), &mut bytes);
    bytes
}

/// What a client got.
struct Answers {
    responses: Vec<(u16, String)>,
    end: End,
}

/// Runs a case over TLS.
fn check(site: &Site, origin: &Origin, hostile: &Hostile) -> Result<(), String> {
    let mut client = Client::connect(site, Tls::default());
    // The other side may have heard enough.
    let _ = client.send(&hostile.said(""));
    if hostile.partial {
        let _ = client.close();
    }
    let seen = hostile.seen("", "https");
    let answers = answers(&mut client, &seen)?;
    hostile.judge("", &answers, &seen)?;
    same(&origin.requests(), &seen)
}

/// Runs a case without TLS behind `front`, in `pieces` that are sent one after the other.
fn check_plain(
    site: &Site,
    origin: &Origin,
    hostile: &Hostile,
    front: &str,
    pieces: usize,
) -> Result<(), String> {
    let said = hostile.said(front);
    let mut stream = connect(&site.network().client(), 1).remove(0);
    for piece in said.chunks(said.len().div_ceil(pieces).max(1)) {
        let _ = stream.write_all(piece);
        thread::sleep(Duration::from_millis(pieces as u64 - 1));
    }
    if hostile.partial {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let seen = hostile.seen(front, "http");
    let answers = answers(&mut stream, &seen)?;
    hostile.judge(front, &answers, &seen)?;
    same(&origin.requests(), &seen)
}

/// Runs a case without TLS, cut in two at every byte, all at once.
fn check_cuts(site: &Site, origin: &Origin, hostile: &Hostile) -> Result<(), String> {
    let said = hostile.said("");
    let seen = hostile.seen("", "http");
    let cuts = 1..hostile.bytes.len().max(1);
    let mut streams = connect(&site.network().client(), cuts.len());
    for (cut, stream) in cuts.clone().zip(&mut streams) {
        let _ = stream.write_all(&said[..cut]);
    }
    thread::sleep(Duration::from_millis(3));
    for (cut, stream) in cuts.clone().zip(&mut streams) {
        let _ = stream.write_all(&said[cut..]);
        if hostile.partial {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
    for (cut, stream) in cuts.clone().zip(&mut streams) {
        let answers = answers(stream, &seen);
        answers
            .and_then(|answers| hostile.judge("", &answers, &seen))
            .map_err(|why| format!("cut at {cut}: {why}"))?;
    }
    let all = cuts.flat_map(|_| seen.iter().cloned()).collect::<Vec<_>>();
    let mut requests = origin.requests();
    requests.sort_by(|one, other| (&one.line, &one.head).cmp(&(&other.line, &other.head)));
    let mut all = all;
    all.sort_by(|one, other| (&one.line, &one.head).cmp(&(&other.line, &other.head)));
    same(&requests, &all)
}

fn connect(place: &Place, count: usize) -> Vec<TcpStream> {
    let address: SocketAddr = (levee_tests::PROXY_CLIENT_SIDE, PLAIN).into();
    let connect = || {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok::<_, io::Error>(stream)
    };
    place.within(|| (0..count).map(|_| connect().expect("levee accepts a connection")).collect())
}

/// Reads the responses to `requests` and whatever else comes, to the end of the connection.
fn answers(stream: &mut impl Read, requests: &[Request]) -> Result<Answers, String> {
    let mut bytes = Vec::new();
    let end = match stream.read_to_end(&mut bytes) {
        Ok(_) => End::Close,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err("nothing happens".to_owned()),
        Err(_) => End::Cut,
    };
    let mut rest = bytes.as_slice();
    let mut responses = Vec::new();
    while !rest.is_empty() {
        let to_head = requests.get(responses.len()).is_some_and(|request| request.method() == "HEAD");
        let response = read_response(&mut rest, to_head)
            .map_err(|error| format!("{error} in {:?}", bytes.escape_ascii().to_string()))?;
        // Only who sends an expectation gets one, when the origin sees it in time.
        if response.status != 100 {
            responses.push((response.status, String::from_utf8_lossy(&response.body).into_owned()));
        }
    }
    Ok(Answers { responses, end })
}

/// Whether the origin saw what it should, but for the boundaries of chunks.
fn same(seen: &[Request], expected: &[Request]) -> Result<(), String> {
    if seen == expected {
        return Ok(());
    }
    let show = |requests: &[Request]| -> Vec<String> {
        let show = |request: &Request| {
            format!("{} with {:?}", request.head.escape_ascii(), request.body.escape_ascii().to_string())
        };
        requests.iter().take(4).map(show).collect()
    };
    Err(format!(
        "the origin sees {}: {:#?}\n  not {}: {:#?}",
        seen.len(),
        show(seen),
        expected.len(),
        show(expected)
    ))
}

/// What went wrong, of all cases together.
#[derive(Default)]
struct Report {
    wrong: Vec<String>,
    /// Heads that may have reached the origin without the rest of their requests.
    beginnings: Vec<Vec<u8>>,
}

impl Report {
    fn note(&mut self, name: &str, outcome: Result<(), String>) {
        if let Err(why) = outcome {
            self.wrong.push(format!("{name}: {why}"));
        }
    }

    /// What reached the origin beside whole requests is what may have, and every byte of it means the same by
    /// any manners.
    fn finish(mut self, origin: &Origin) {
        // Connections that were reset end at the origin a moment later.
        thread::sleep(Duration::from_millis(200));
        self.note("at the end", same(&origin.requests(), &[]));
        let seen = origin.seen();
        for nonsense in &seen.nonsense {
            self.wrong.push(format!("nonsense reaches the origin: {}", nonsense.escape_ascii()));
        }
        for fragment in seen.fragments.iter().filter(|_| !self.beginnings.is_empty()) {
            let text = String::from_utf8_lossy(fragment).replace("Proto: http\r\n", "Proto: https\r\n");
            let known =
                |head: &Vec<u8>| text.as_bytes().starts_with(head) || head.starts_with(text.as_bytes());
            let known = self.beginnings.iter().any(known);
            if !known {
                self.wrong.push(format!("a fragment reaches the origin: {}", fragment.escape_ascii()));
            }
        }
        let all: BTreeSet<&[u8]> = seen.connections.iter().flat_map(|bytes| requests_of(bytes)).collect();
        self.wrong.extend(all.into_iter().filter_map(ambiguous));
        assert!(self.wrong.is_empty(), "{} are wrong:\n{}", self.wrong.len(), self.wrong.join("\n"));
    }
}

/// The bytes of each request of a connection, by the letter.
fn requests_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = Manners::default().read(bytes).ends;
    let starts = [0].into_iter().chain(ends.clone());
    starts.zip(ends).map(|(start, end)| &bytes[start..end])
}

/// The manners by which `request`, with another behind it, is something else than by the letter.
fn ambiguous(request: &[u8]) -> Option<String> {
    let bytes = [request, BEFORE.as_bytes()].concat();
    let by_the_letter = Manners::default().read(&bytes).requests;
    // Where there is much to read, one or two habits at a time.
    let manners = Manners::all().filter(|manners| request.len() < 1000 || manners.count() <= 2);
    let odd = manners.into_iter().find(|manners| {
        // Who reads no content of GET can still be told where the requests are.
        let bodiless = manners.has(Manners::BODILESS_GET);
        let same = |(one, other): (&Request, &Request)| {
            (&one.head, &one.fields) == (&other.head, &other.fields) && (bodiless || one.body == other.body)
        };
        let requests = manners.read(&bytes).requests;
        requests.len() != by_the_letter.len() || !requests.iter().zip(&by_the_letter).all(same)
    })?;
    Some(format!("{odd:?} find something else in {}", request.escape_ascii()))
}
