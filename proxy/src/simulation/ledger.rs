//! What is asked in a world, what comes of it, and what must never: `Ledger`.
//!
//! Each request has a number, which it carries through the proxy in a field, as its answer does. So both ends know
//! what they look at, whatever lies between them, and the bytes of all bodies are known (`content`).

use std::collections::BTreeMap;

use super::content::Content;
use super::dice::Dice;
use super::text::{Error, Framing, Head};

/// A request: its number.
pub(crate) type AskId = usize;

/// A request, the answer that its origin gives, and what became of it.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    /// The resource it is about, of those that may be cached; `None`: one of its own.
    pub(crate) kept: Option<usize>,
    /// By TLS.
    pub(crate) is_secure: bool,
    /// Of HTTP/1.0.
    pub(crate) is_old: bool,
    pub(crate) upload: Option<Upload>,
    /// Condition of the client: it has this version.
    pub(crate) has_version: Option<u64>,
    pub(crate) answer: Answer,
    /// It goes to where all is redirected.
    pub(crate) is_redirected: bool,
    /// Times that its head was sent, and when that was last.
    pub(crate) sent: u32,
    pub(crate) sent_ns: u64,
    /// Times that a head of it came to an origin.
    pub(crate) seen: u32,
    /// Times that an origin gave all of the answer.
    pub(crate) answered: u32,
    /// No older version may be the answer.
    pub(crate) least_version: u64,
    pub(crate) fate: Fate,
}

/// The content of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upload {
    pub(crate) length: u64,
    pub(crate) is_chunked: bool,
}

/// What an origin answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Bytes of its content.
    pub(crate) length: u64,
    pub(crate) framing: Framing,
    /// Interim responses before it.
    pub(crate) interim: usize,
    pub(crate) delay_ns: u64,
    /// Bytes at a time, and the pause between them.
    pub(crate) piece: usize,
    pub(crate) pause_ns: u64,
    pub(crate) fault: Fault,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It is the last one on its connection, and says so.
    Closes,
    /// The content of the request is not waited for.
    Hasty,
    /// Another answer, that nobody asked for, comes right behind.
    Doubled,
    /// None comes.
    Silent,
    /// The connection ends before it, in good order or by a reset.
    Gone {
        by_reset: bool,
    },
    /// The connection ends after so many thousandths of it.
    Cut {
        per_mille: usize,
        by_reset: bool,
    },
    /// Instead of the last chunk, where there are chunks, comes something else.
    Spoilt,
    /// This instead of a head.
    Garbage(&'static str),
    /// A byte of it is another. This and the next are for tests alone, since no proxy could tell.
    Lies,
    /// It says of itself that it is shorter than it is, and is.
    Short,
}

impl Fault {
    /// Whether the client gets the answer all the same.
    pub(crate) const fn is_harmless(self) -> bool {
        matches!(self, Self::None | Self::Closes | Self::Hasty | Self::Doubled)
    }
}

/// What became of a request, as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing yet.
    Open,
    /// The answer came, whole and as it should be.
    Exact,
    /// The proxy answered by itself.
    Page(u16),
    /// The connection ended before that.
    Lost,
}

/// A resource that may be cached.
#[derive(Debug)]
pub(crate) struct Resource {
    /// It changes with each POST.
    version: u64,
    /// Who asks now, in plain or by TLS, must not be given an older one: the answer to the POST that made it is known.
    least_version: [u64; 2],
    pub(crate) max_age_s: u64,
    pub(crate) has_validator: bool,
    length: u64,
    /// When a server gave each version, or said that it holds, last.
    given_ns: BTreeMap<u64, u64>,
}

/// All of them.
pub(crate) struct Ledger {
    /// The world's time.
    pub(crate) now_ns: u64,
    pub(crate) asks: Vec<Ask>,
    pub(crate) resources: Vec<Resource>,
    /// Further tries that the proxy may make.
    retries: u32,
}

/// The field by which a request is known.
pub(crate) const ASK: &str = "X-Ask";
/// The field by which an answer is known: what it answers, or a resource and its version.
pub(crate) const ANSWER: &str = "X-Answer";
/// Where the proxy listens for TLS.
pub(crate) const HTTPS: u16 = 8443;
/// No request has this in its target but one that was hidden in another.
pub(crate) const HIDDEN: &str = "/hidden";

impl Ledger {
    pub(crate) fn new(dice: &mut Dice, retries: u32) -> Self {
        let resource = |_| Resource {
            version: 1,
            least_version: [1; 2],
            max_age_s: dice.pick(&[0, 1, 10, 3600]),
            has_validator: dice.chance(500),
            length: dice.any_size(50_000),
            given_ns: BTreeMap::new(),
        };
        Self { now_ns: 0, asks: Vec::new(), resources: (0..3).map(resource).collect(), retries }
    }

    pub(crate) fn add(&mut self, ask: Ask) -> AskId {
        self.asks.push(ask);
        self.asks.len() - 1
    }

    /// The head of a request, which leaves now.
    pub(crate) fn head_of(&mut self, id: AskId) -> String {
        let ask = &mut self.asks[id];
        let least = ask.kept.map(|kept| self.resources[kept].least_version[usize::from(ask.is_secure)]);
        ask.sent += 1;
        ask.sent_ns = self.now_ns;
        ask.least_version = least.unwrap_or_default();
        let version = if ask.is_old { "1.0" } else { "1.1" };
        let mut head =
            format!("{} {} HTTP/{version}\r\nHost: a.test\r\n{ASK}: {id}\r\n", ask.method, ask.target(id));
        match ask.upload {
            Some(Upload { is_chunked: true, .. }) => head += "Transfer-Encoding: chunked\r\n",
            Some(Upload { length, .. }) => head += &format!("Content-Length: {length}\r\n"),
            None => {}
        }
        if let (Some(kept), Some(version)) = (ask.kept, ask.has_version) {
            head += &format!("If-None-Match: {}\r\n", tag(kept, version));
        }
        head + "\r\n"
    }

    /// An origin got this head: it must be one that was sent, and not more often than it may be.
    pub(crate) fn arrived(&mut self, head: &Head) -> AskId {
        let number = head.number("x-ask");
        let id = number.ok().flatten().and_then(|number| AskId::try_from(number).ok());
        let Some((id, ask)) = id.and_then(|id| Some((id, self.asks.get_mut(id)?))) else {
            panic!("an origin got a request that nobody sent: {head:?}");
        };
        assert!(!head.start[1].contains(HIDDEN), "an origin got a hidden request: {head:?}");
        let start = [ask.method.to_owned(), ask.target(id), "HTTP/1.1".to_owned()];
        assert_eq!(head.start, start, "an origin got another request than was sent");
        assert_eq!(head.field("host"), Ok(Some("a.test")), "an origin got another host");
        ask.seen += 1;
        let repeatable = !matches!(ask.method, "POST" | "PATCH");
        // Each try may find a kept connection that ends before it answers, and then takes a new one.
        let tries = if repeatable { 2 * (1 + self.retries) } else { 1 };
        assert!(ask.seen <= ask.sent * tries, "request {id} came too often: {ask:?}");
        id
    }

    /// What is uploaded with a request.
    pub(crate) fn upload(&self, id: AskId) -> Content {
        let length = self.asks[id].upload.map_or(0, |upload| upload.length);
        Content { number: 1 << 32 | id as u64, length }
    }

    /// The resource that request `id` is about, as it is when the origin answers: what identifies it, its version
    /// and its bytes.
    pub(crate) fn represent(&mut self, id: AskId) -> (String, u64, Content) {
        let Some(kept) = self.asks[id].kept else { return (id.to_string(), 0, self.own(id)) };
        if self.asks[id].method == "POST" {
            self.resources[kept].version += 1;
        }
        let version = self.resources[kept].version;
        self.resources[kept].given_ns.insert(version, self.now_ns);
        (format!("r{kept} {version}"), version, self.kept(kept, version))
    }

    /// Sees to it that `head`, which came in answer to request `id`, is what can be; the content that goes with it.
    /// `None`: it is of the proxy itself.
    pub(crate) fn answered(&self, id: AskId, head: &Head) -> Result<Option<Content>, Error> {
        let ask = &self.asks[id];
        let status = head.status()?;
        if ask.is_redirected && matches!(status, 301 | 308) {
            let expected = if matches!(ask.method, "GET" | "HEAD") { 301 } else { 308 };
            let location = format!("https://a.test:{HTTPS}{}", ask.target(id));
            let is_it = status == expected && head.field("location")? == Some(&location);
            return if is_it { Ok(None) } else { Err("a redirect to elsewhere") };
        }
        let by_tag = |tag: &str| Some(tag.strip_prefix('"')?.strip_suffix('"')?.replacen('-', " ", 1));
        let answer = match (head.field("x-answer")?, head.field("etag")?) {
            (None, Some(tag)) if status == 304 => by_tag(tag),
            (answer, _) => answer.map(str::to_owned),
        };
        let Some(answer) = answer else {
            let proper = matches!(status, 502 | 503 | 504 | 408) || status == 413 && ask.upload.is_some();
            return if proper { Ok(None) } else { Err("a page of the proxy for which there is no reason") };
        };
        let Some(kept) = ask.kept else {
            let is_own = answer == id.to_string() && status == ask.answer.status;
            return if is_own { Ok(Some(self.own(id))) } else { Err("the answer to another request") };
        };
        let version =
            answer.strip_prefix(&format!("r{kept} ")).and_then(|version| version.parse::<u64>().ok());
        let version = version.ok_or("the answer to another request")?;
        if version > self.resources[kept].version || version < ask.least_version {
            return Err("a version that is not there yet, or not any more");
        }
        let resource = &self.resources[kept];
        let given_ns = resource.given_ns.get(&version).copied().unwrap_or_default();
        if given_ns + (resource.max_age_s + 1) * 1_000_000_000 < ask.sent_ns {
            return Err("an answer that was stale when it was asked for");
        }
        match status {
            200 => Ok(Some(self.kept(kept, version))),
            304 if ask.has_version == Some(version) => {
                Ok(Some(Content { length: 0, ..self.kept(kept, version) }))
            }
            _ => Err("a status that was not given"),
        }
    }

    /// The whole answer came.
    pub(crate) fn complete(&mut self, id: AskId, head: &Head) {
        let ask = &mut self.asks[id];
        ask.fate = Fate::Exact;
        let version = head.field("x-answer").ok().flatten().and_then(|answer| answer.split_once(' '));
        if let (Some(kept), "POST", Some((_, version))) = (ask.kept, ask.method, version) {
            // RFC 9110 section 4.2.2: what is there by http and what is there by https are not the same resource.
            let least = &mut self.resources[kept].least_version[usize::from(ask.is_secure)];
            *least = (*least).max(version.parse().unwrap_or_default());
        }
    }

    fn own(&self, id: AskId) -> Content {
        Content { number: id as u64, length: self.asks[id].answer.content_length() }
    }

    fn kept(&self, kept: usize, version: u64) -> Content {
        let length = self.resources[kept].length + version * 7 % 64;
        Content { number: 2 << 32 | (kept as u64) << 16 | version, length }
    }
}

/// The entity tag of a version of a resource.
pub(crate) fn tag(kept: usize, version: u64) -> String {
    format!("\"r{kept}-{version}\"")
}

impl Ask {
    fn target(&self, id: AskId) -> String {
        match self.kept {
            Some(kept) => format!("/kept/{kept}"),
            None => format!("/own/{id}?a=b"),
        }
    }
}

impl Answer {
    fn content_length(&self) -> u64 {
        if matches!(self.status, 204 | 304) { 0 } else { self.length }
    }
}
