//! How servers read requests: by the letter of RFC 9112, or with the habits that servers have been found to
//! have. What a proxy sends must be the same requests to all of them.

/// The habits of a server; by the letter without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manners(u16);

/// A request as a server reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The head, as it came.
    pub head: Vec<u8>,
    /// The request line.
    pub line: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
    /// The content, out of its chunks.
    pub body: Vec<u8>,
}

/// What a server makes of the bytes of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The requests that are complete.
    pub requests: Vec<Request>,
    /// Where each of them ends.
    pub ends: Vec<usize>,
    /// Bytes behind them.
    pub rest: Vec<u8>,
    /// The rest is a head that waits for leave to send its content.
    pub expects: bool,
    /// No request, whatever follows.
    pub nonsense: bool,
    /// A request said that it is the last.
    pub closed: bool,
}

impl Manners {
    /// LF ends a line without CR before it.
    pub const BARE_LF: Self = Self(1);
    /// CR ends a line without LF behind it.
    pub const BARE_CR: Self = Self(1 << 1);
    /// A line that starts with white space continues the one before.
    pub const FOLDING: Self = Self(1 << 2);
    /// Names end where a space or control character is, and `_` is `-` in them, as in CGI.
    pub const LOOSE_NAMES: Self = Self(1 << 3);
    /// Numbers may have a sign, `0x` and anything behind them, as by `strtol`.
    pub const LOOSE_NUMBERS: Self = Self(1 << 4);
    /// Of several lengths the last counts, not the first.
    pub const LAST_WINS: Self = Self(1 << 5);
    /// A length counts more than a transfer coding.
    pub const LENGTH_WINS: Self = Self(1 << 6);
    /// A transfer coding that has `chunked` in it somewhere is chunked.
    pub const LOOSE_CODINGS: Self = Self(1 << 7);
    /// GET and its like have no content, whatever they say.
    pub const BODILESS_GET: Self = Self(1 << 8);
    /// The line end behind the data of a chunk is two bytes, whichever.
    pub const LOOSE_CHUNKS: Self = Self(1 << 9);

    const ALL: u16 = (1 << 10) - 1;

    /// All habits of which none excludes another.
    #[must_use]
    pub const fn sloppiest() -> Self {
        Self(Self::ALL & !Self::LENGTH_WINS.0 & !Self::BODILESS_GET.0)
    }

    /// Every set of habits.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=Self::ALL).map(Self)
    }

    /// How many habits these are.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether a habit is among them.
    #[must_use]
    pub const fn has(self, habit: Self) -> bool {
        self.0 & habit.0 != 0
    }

    const fn strict(self) -> bool {
        self.0 == 0
    }

    /// Reads the bytes of a connection.
    #[must_use]
    pub fn read(self, bytes: &[u8]) -> Reading {
        let mut reading = Reading::default();
        let mut rest = bytes;
        while !rest.is_empty() && !reading.closed {
            let Some(head) = self.head(rest) else { break };
            let (request, content) = match head {
                Ok(head) => head,
                Err(Nonsense) => {
                    reading.nonsense = true;
                    break;
                }
            };
            let options = request.list("connection");
            match self.content(&request, content) {
                Ok(Some((body, length))) => {
                    rest = &content[length..];
                    reading.closed = options.contains("close");
                    reading.requests.push(Request { body, ..request });
                    reading.ends.push(bytes.len() - rest.len());
                }
                Ok(None) => {
                    reading.expects = request.list("expect").contains("100-continue");
                    break;
                }
                Err(Nonsense) => {
                    reading.nonsense = true;
                    break;
                }
            }
        }
        reading.rest = rest.to_vec();
        reading
    }

    /// A head and the bytes behind it; `None` when it is not all there.
    fn head(self, bytes: &[u8]) -> Option<Result<(Request, &[u8]), Nonsense>> {
        let mut lines: Vec<String> = Vec::new();
        let mut at = 0;
        loop {
            let (end, next) = self.line_end(&bytes[at..])?;
            let line = text(&bytes[at..at + end]);
            at += next;
            match (lines.last_mut(), line.starts_with([' ', '\t'])) {
                (None, _) if line.is_empty() => continue,
                (Some(before), true) if self.has(Self::FOLDING) => before.push_str(&line),
                (Some(_), _) if line.is_empty() => break,
                _ => lines.push(line),
            }
        }
        let line = lines.remove(0);
        let words = line.split(' ').count();
        let good = words == 3 && line.ends_with(" HTTP/1.1") && !line.contains(char::is_control);
        let mut fields = Vec::new();
        for line in &lines {
            match line.split_once(':') {
                Some((name, value)) if !self.strict() || is_field(name, value) => {
                    fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
                }
                _ if self.strict() => return Some(Err(Nonsense)),
                _ => {}
            }
        }
        if (self.strict() && !good) || words < 2 {
            return Some(Err(Nonsense));
        }
        let head = bytes[..at].to_vec();
        Some(Ok((Request { head, line, fields, body: Vec::new() }, &bytes[at..])))
    }

    /// Length of a line, without and with its end.
    fn line_end(self, bytes: &[u8]) -> Option<(usize, usize)> {
        bytes.iter().enumerate().find_map(|(at, byte)| match (byte, bytes.get(at + 1)) {
            (b'\r', Some(b'\n')) => Some((at, at + 2)),
            (b'\r', Some(_)) if self.has(Self::BARE_CR) => Some((at, at + 1)),
            (b'\n', _) if self.has(Self::BARE_LF) => Some((at, at + 1)),
            _ => None,
        })
    }

    /// The content of a request, and the bytes that it takes; `None` when it is not all there.
    fn content(self, request: &Request, bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Nonsense> {
        if self.has(Self::BODILESS_GET) && !["POST", "PUT", "PATCH"].contains(&request.method()) {
            return Ok(Some((Vec::new(), 0)));
        }
        let all = |name: &str| -> Vec<&str> {
            let named = request.fields.iter().filter(|(each, _)| self.same_name(each, name));
            named.map(|(_, value)| value.as_str()).collect()
        };
        let (codings, lengths) = (all("transfer-encoding"), all("content-length"));
        let twice = codings.len() + lengths.len() > 1;
        if self.strict() && (twice || codings.iter().any(|coding| *coding != "chunked")) {
            return Err(Nonsense);
        }
        let chunked = codings.iter().any(|coding| {
            let coding = coding.to_ascii_lowercase();
            coding == "chunked" || self.has(Self::LOOSE_CODINGS) && coding.contains("chunked")
        });
        let length = if self.has(Self::LAST_WINS) { lengths.last() } else { lengths.first() };
        if chunked && !(self.has(Self::LENGTH_WINS) && length.is_some()) {
            return self.chunks(bytes);
        }
        let length = length.map_or(Ok(0), |length| self.number(length, 10))?;
        Ok(bytes.get(..length).map(|body| (body.to_vec(), length)))
    }

    /// Content in chunks, and the bytes that it takes.
    fn chunks(self, bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Nonsense> {
        let (mut body, mut at) = (Vec::new(), 0);
        loop {
            let Some((end, next)) = self.line_end(&bytes[at..]) else { return Ok(None) };
            let line = text(&bytes[at..at + end]);
            let size = self.number(line.split(';').next().unwrap_or_default(), 16)?;
            at += next;
            if size == 0 {
                break;
            }
            let Some(data) = bytes.get(at..).and_then(|rest| rest.get(..size)) else { return Ok(None) };
            body.extend_from_slice(data);
            at += size;
            match bytes.get(at..at + 2) {
                None => return Ok(None),
                Some(end) if end == b"\r\n" || self.has(Self::LOOSE_CHUNKS) => at += 2,
                Some(_) => return Err(Nonsense),
            }
        }
        loop {
            let Some((end, next)) = self.line_end(&bytes[at..]) else { return Ok(None) };
            at += next;
            if end == 0 {
                return Ok(Some((body, at)));
            }
        }
    }

    fn same_name(self, name: &str, other: &str) -> bool {
        let name = match self.has(Self::LOOSE_NAMES) {
            false => name.to_owned(),
            true => name
                .split(|c: char| c.is_control() || c == ' ')
                .find(|part| !part.is_empty())
                .map_or_else(String::new, |part| part.replace('_', "-")),
        };
        name.eq_ignore_ascii_case(other)
    }

    fn number(self, text: &str, radix: u32) -> Result<usize, Nonsense> {
        if !self.has(Self::LOOSE_NUMBERS) {
            let digits = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
            return usize::from_str_radix(text, radix).ok().filter(|_| digits).ok_or(Nonsense);
        }
        let text = text.trim_start().trim_start_matches(['+', '-']);
        let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let (text, radix) = hexadecimal.map_or((text, radix), |text| (text, 16));
        let digits = text.find(|c: char| !c.is_digit(radix)).unwrap_or(text.len());
        Ok(usize::from_str_radix(&text[..digits], radix).unwrap_or(0))
    }
}

impl Request {
    /// The word that the request line starts with.
    #[must_use]
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// All values of a field in one line, in lower case.
    fn list(&self, name: &str) -> String {
        let named = self.fields.iter().filter(|(each, _)| each.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.to_ascii_lowercase()).collect::<Vec<_>>().join(",")
    }
}

struct Nonsense;

fn is_field(name: &str, value: &str) -> bool {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty()
        && name.chars().all(token)
        && !value.contains(|c: char| c != '\t' && (c < ' ' || c == '\u{7f}'))
}

/// Text in which each byte is one character.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many requests servers of these manners find in `bytes`.
    fn count(bytes: &str, manners: Manners) -> Option<usize> {
        let reading = manners.read(bytes.as_bytes());
        (!reading.nonsense).then_some(reading.requests.len())
    }

    #[test]
    fn each_habit_is_fooled_by_its_trick() {
        let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
        for (habit, head) in [
            (Manners::BARE_LF, "A: b\nContent-Length: 4"),
            (Manners::BARE_CR, "A: b\rContent-Length: 4"),
            (Manners::FOLDING, "Content-Length: 4\r\n 0"),
            (Manners::LOOSE_NAMES, "Content_Length: 4"),
            (Manners::LOOSE_NUMBERS, "Content-Length: +4"),
            (Manners::LAST_WINS, "Content-Length: 0\r\nContent-Length: 4"),
            (Manners::LENGTH_WINS, "Transfer-Encoding: chunked\r\nContent-Length: 4"),
            (Manners::LOOSE_CODINGS, "Transfer-Encoding: xchunked"),
        ] {
            let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n0\r\n\r\n{hidden}");
            let plain = Manners::BODILESS_GET.read(text.as_bytes());
            assert_ne!(habit.read(text.as_bytes()).requests, plain.requests, "{habit:?}");
            assert_eq!(count(&text, Manners::default()), None, "{habit:?}");
        }
        let get = format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len());
        assert_eq!((count(&get, Manners::BODILESS_GET), count(&get, Manners::default())), (Some(2), Some(1)));
        let chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc0\r\n\r\n";
        assert_eq!(
            (count(chunks, Manners::LOOSE_CHUNKS), count(chunks, Manners::default())),
            (Some(1), None)
        );
    }

    #[test]
    fn a_good_request_is_one_to_all() {
        let text = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
                    PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nde!";
        let strict = Manners::default().read(text.as_bytes());
        assert_eq!((strict.requests.len(), strict.closed, strict.rest.as_slice()), (2, true, &b"!"[..]));
        assert_eq!(strict.requests[0].body, b"abc");
        for manners in Manners::all() {
            assert_eq!(manners.read(text.as_bytes()), strict, "{manners:?}");
        }
    }
}
