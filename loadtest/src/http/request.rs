//! Requests and what their responses must be: `Plan`.

use std::fs;
use std::path::Path;

use levee_http::Method;
use miette::{Context, IntoDiagnostic, miette};

/// The requests of a run, sent in turn.
#[derive(Clone, Debug)]
pub struct Plan {
    requests: Vec<Request>,
}

/// One request, ready to be sent, and what is expected of its response.
#[derive(Clone, Debug)]
pub struct Request {
    /// The head.
    pub head: Vec<u8>,
    /// Bytes of content behind it, of [`crate::pattern`].
    pub upload: u64,
    /// The method, which decides whether the response has content.
    pub method: Method,
    /// What the response must be.
    pub expect: Expect,
}

/// What a response must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// Its status.
    pub status: u16,
    /// Bytes of content.
    pub length: Option<u64>,
    /// SHA-256 of the content.
    pub sha256: Option<[u8; 32]>,
}

impl Plan {
    /// `requests`, of which there is at least one.
    #[must_use]
    pub fn new(requests: Vec<Request>) -> Option<Self> {
        (!requests.is_empty()).then_some(Self { requests })
    }

    /// The request of this number, from the first again after the last.
    #[must_use]
    pub fn request(&self, number: usize) -> &Request {
        &self.requests[number % self.requests.len()]
    }

    /// Requests in a file: one a line, `METHOD TARGET [upload=N] [status=N] [length=N] [sha256=HEX]`;
    /// empty lines and those that begin with `#` are nothing. What a line does not say is as in `expect`.
    ///
    /// # Errors
    /// The file cannot be read, or a line says something else.
    pub fn read(path: &Path, host: &str, close: bool, expect: &Expect) -> miette::Result<Self> {
        let shown = path.display();
        let text =
            fs::read_to_string(path).into_diagnostic().wrap_err_with(|| format!("cannot read {shown}"))?;
        let lines = text.lines().enumerate();
        let requests = lines
            .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
            .map(|(number, line)| {
                parse_line(line, host, close, expect)
                    .map_err(|problem| miette!("{shown}, line {}: {problem}", number + 1))
            })
            .collect::<miette::Result<_>>()?;
        Self::new(requests).ok_or_else(|| miette!("{shown} has no request"))
    }
}

impl Request {
    /// A request for `target` of `host`.
    #[must_use]
    pub fn new(method: &str, target: &str, host: &str, upload: u64, close: bool, expect: Expect) -> Self {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: levee-load\r\n");
        if upload > 0 {
            head.push_str(&format!("Content-Length: {upload}\r\n"));
        }
        if close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        Self { head: head.into_bytes(), upload, method: Method::from_name(method.as_bytes()), expect }
    }
}

fn parse_line(line: &str, host: &str, close: bool, expect: &Expect) -> Result<Request, String> {
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err("must be METHOD TARGET and what is expected, as GET /bytes/100 length=100".into());
    };
    if !method.bytes().all(|byte| byte.is_ascii_uppercase()) || !target.starts_with('/') {
        return Err(format!("`{method} {target}` is not a method and a path"));
    }
    let mut expect = expect.clone();
    let mut upload = 0;
    for word in words {
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{word}` has no number"));
        match word.split_once('=') {
            Some(("upload", text)) => upload = number(text)?,
            Some(("status", text)) => {
                expect.status = u16::try_from(number(text)?).map_err(|_| format!("`{word}` is no status"))?;
            }
            Some(("length", text)) => expect.length = Some(number(text)?),
            Some(("sha256", text)) => expect.sha256 = Some(parse_sha256(text)?),
            _ => return Err(format!("`{word}` is none of upload=, status=, length=, sha256=")),
        }
    }
    Ok(Request::new(method, target, host, upload, close, expect))
}

/// A SHA-256 in hexadecimal.
///
/// # Errors
/// It is not one.
pub fn parse_sha256(text: &str) -> Result<[u8; 32], String> {
    let wrong = || format!("`{text}` is not a SHA-256 of 64 hexadecimal digits");
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect() -> Expect {
        Expect { status: 200, length: None, sha256: None }
    }

    #[test]
    fn a_line_says_what_is_sent_and_what_is_expected() {
        let line = "POST /hash upload=10 status=201 length=65";
        let request = parse_line(line, "demo", true, &expect()).unwrap();
        let head = "POST /hash HTTP/1.1\r\nHost: demo\r\nUser-Agent: levee-load\r\nContent-Length: 10\r\nConnection: close\r\n\r\n";
        assert_eq!(request.head, head.as_bytes());
        assert_eq!(request.expect, Expect { status: 201, length: Some(65), sha256: None });
        assert_eq!(request.method, Method::Post);
    }

    #[test]
    fn a_wrong_line_is_told() {
        for (line, problem) in [
            ("GET", "must be METHOD TARGET"),
            ("GET bytes", "not a method and a path"),
            ("get /", "not a method and a path"),
            ("GET / length=x", "has no number"),
            ("GET / status=70000", "is no status"),
            ("GET / sha256=00", "not a SHA-256"),
            ("GET / size=1", "none of"),
        ] {
            let error = parse_line(line, "demo", false, &expect()).unwrap_err();
            assert!(error.contains(problem), "{line}: {error}");
        }
    }
}
