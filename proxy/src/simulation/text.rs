//! HTTP/1.1 as the peers of a world read it: strictly, plainly, and by no code of the proxy's.
//!
//! What the proxy sends has one form; anything else is an [`Error`], and in a world that is a failure of the proxy.

/// Sees bytes with their place, and may refuse them.
pub(crate) type Look<'a> = dyn FnMut(u64, &[u8]) -> Result<(), Error> + 'a;

/// What cannot be read, and why.
pub(crate) type Error = &'static str;

/// The head of a message.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The words of the start line; the third has all that follows.
    pub(crate) start: [String; 3],
    fields: Vec<(String, String)>,
}

impl Head {
    /// Takes the head in front of `bytes`, if it is whole.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Result<Option<Self>, Error> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if bytes.len() > 65_536 { Err("a head without an end") } else { Ok(None) };
        };
        let text: Vec<u8> = bytes.drain(..end + 4).take(end).collect();
        let text = String::from_utf8(text).map_err(|_| "a head that is no text")?;
        if text.split("\r\n").any(|line| line.contains(['\r', '\n', '\0'])) {
            return Err("a bare control character in a head");
        }
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().splitn(3, ' ').map(str::to_owned);
        let (Some(first), Some(second), Some(third)) = (words.next(), words.next(), words.next()) else {
            return Err("a start line of less than three words");
        };
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").ok_or("a field without a value")?;
            let token =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if token {
                Ok((name.to_ascii_lowercase(), value.to_owned()))
            } else {
                Err("a field without a name")
            }
        };
        let fields = lines.map(field).collect::<Result<_, _>>()?;
        Ok(Some(Self { start: [first, second, third], fields }))
    }

    /// The value of the one field of this name.
    pub(crate) fn field(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut found = self.fields.iter().filter(|(its, _)| its == name).map(|(_, value)| value.as_str());
        let first = found.next();
        if found.next().is_some() { Err("a field that is there twice") } else { Ok(first) }
    }

    /// The number in the one field of this name.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Error> {
        self.field(name)?.map(|value| decimal(value).ok_or("a field that is no number")).transpose()
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> Result<u16, Error> {
        if self.start[0] != "HTTP/1.1" {
            return Err("a response of another version");
        }
        self.start[1].parse().ok().filter(|status| (100..600).contains(status)).ok_or("a status that is none")
    }

    /// How the content of a message ends, by its fields: of RFC 9112 section 6.3, what both kinds of messages share.
    fn framing(&self) -> Result<Option<Framing>, Error> {
        match (self.field("transfer-encoding")?, self.number("content-length")?) {
            (Some("chunked"), None) => Ok(Some(Framing::Chunked)),
            (None, Some(length)) => Ok(Some(Framing::Exact(length))),
            (None, None) => Ok(None),
            _ => Err("framing of both kinds, or of none that there is"),
        }
    }

    /// The content that follows a request.
    pub(crate) fn request_content(&self) -> Result<Reading, Error> {
        Ok(Reading::new(self.framing()?.unwrap_or(Framing::Exact(0))))
    }

    /// The content that follows a response to a request of `method`.
    pub(crate) fn response_content(&self, method: &str) -> Result<Reading, Error> {
        let status = self.status()?;
        let framing = self.framing()?;
        let none = method == "HEAD" || status < 200 || status == 204 || status == 304;
        if (status < 200 || status == 204) && framing.is_some() {
            return Err("framing of content that cannot be");
        }
        Ok(Reading::new(if none { Framing::Exact(0) } else { framing.unwrap_or(Framing::UntilClose) }))
    }

    /// Whether the connection goes on after the message.
    pub(crate) fn goes_on(&self) -> Result<bool, Error> {
        Ok(self.field("connection")?.is_none_or(|option| !option.eq_ignore_ascii_case("close")))
    }
}

/// How content ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes.
    Exact(u64),
    /// By the last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// Content on its way in.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    framing: Framing,
    place: Place,
    /// Bytes taken.
    pub(crate) at: u64,
}

/// Where in its framing content is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the bytes: so many follow, and in chunks the end of a line.
    Data(u64),
    /// Before the length of a chunk.
    Size,
    /// Behind the last chunk, which has none.
    Last,
    Over,
}

impl Reading {
    const fn new(framing: Framing) -> Self {
        let place = match framing {
            Framing::Exact(length) => Place::Data(length),
            Framing::UntilClose => Place::Data(u64::MAX),
            Framing::Chunked => Place::Size,
        };
        Self { framing, place, at: 0 }
    }

    /// Takes the content in front of `bytes`, as much as there is; `each` sees it with its place. Whether it is whole.
    pub(crate) fn take(&mut self, bytes: &mut Vec<u8>, each: &mut Look<'_>) -> Result<bool, Error> {
        let chunked = self.framing == Framing::Chunked;
        loop {
            self.place = match self.place {
                Place::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    each(self.at, &bytes[..here])?;
                    bytes.drain(..here);
                    self.at += here as u64;
                    self.place = Place::Data(left - here as u64);
                    if left > here as u64 || chunked && !end_of_line(bytes)? {
                        return Ok(false);
                    }
                    if chunked { Place::Size } else { Place::Over }
                }
                Place::Size => {
                    let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") else {
                        return if bytes.len() > 20 { Err("a chunk without a length") } else { Ok(false) };
                    };
                    let line: Vec<u8> = bytes.drain(..end + 2).take(end).collect();
                    match hexadecimal(&line).ok_or("a length of a chunk that is none")? {
                        0 => Place::Last,
                        length => Place::Data(length),
                    }
                }
                Place::Last if end_of_line(bytes)? => Place::Over,
                Place::Last => return Ok(false),
                Place::Over => return Ok(true),
            }
        }
    }

    /// Whether the content is whole, when its connection ends in good order.
    pub(crate) fn is_whole_at_end(&self) -> bool {
        matches!(self.place, Place::Over) || self.framing == Framing::UntilClose
    }
}

/// Takes the end of a line in front of `bytes`; false when it is not there yet.
fn end_of_line(bytes: &mut Vec<u8>) -> Result<bool, Error> {
    match bytes.as_slice() {
        [b'\r', b'\n', ..] => {
            bytes.drain(..2);
            Ok(true)
        }
        [] | [b'\r'] => Ok(false),
        _ => Err("more than a chunk has"),
    }
}

fn decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn hexadecimal(text: &[u8]) -> Option<u64> {
    let plain = !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(text).ok().filter(|_| plain)?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content of a response that comes in pieces, and what is left behind it.
    fn read(response: &[u8], piece: usize) -> Result<(Vec<u8>, bool, Vec<u8>), Error> {
        let (mut bytes, mut head, mut content, mut over) = (Vec::new(), None, Vec::new(), false);
        for piece in response.chunks(piece) {
            bytes.extend_from_slice(piece);
            if head.is_none() {
                head = Head::take(&mut bytes)?.map(|head| head.response_content("GET")).transpose()?;
            }
            if let Some(reading) = &mut head {
                over = reading.take(&mut bytes, &mut |at, bytes| {
                    assert_eq!(at, content.len() as u64);
                    content.extend_from_slice(bytes);
                    Ok(())
                })?;
            }
        }
        Ok((content, over || head.is_some_and(|reading| reading.is_whole_at_end()), bytes))
    }

    #[test]
    fn content_is_read_at_any_split() {
        for piece in 1..90 {
            let all = |text: &str| read(text.as_bytes(), piece).unwrap();
            let chunked = all("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1f\r\n\
                               0123456789012345678901234567890\r\n0\r\n\r\nX");
            assert_eq!((chunked.0.len(), chunked.1, &chunked.2[..]), (34, true, &b"X"[..]), "{piece}");
            let exact = all("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcX");
            assert_eq!(exact, (b"abc".to_vec(), true, b"X".to_vec()), "{piece}");
            assert!(!all("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").1);
            assert!(!all("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n").1);
            assert!(all("HTTP/1.1 200 OK\r\n\r\nab").1 && all("HTTP/1.1 204 No Content\r\n\r\n").1);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "HTTP/1.1 200\r\nA: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 204 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
        ] {
            assert!(read(text.as_bytes(), 1000).is_err(), "{text:?}");
        }
    }
}
