//! What an origin says to a request, and when: `answer`.

use super::content::Content;
use super::dice::Dice;
use super::ledger::{ANSWER, Answer, AskId, Fault, Ledger, tag};
use super::text::{Framing, Head};

/// A step of what is said on a connection.
#[derive(Debug)]
pub(crate) enum Say {
    /// Nothing until this time.
    Wait(u64),
    Bytes(Vec<u8>),
    /// All of the answer to this request was said.
    Answered(AskId),
    /// The last.
    End {
        by_reset: bool,
    },
}

/// Another answer than was asked for: no client may ever see it.
const DOUBLE: &[u8] = b"HTTP/1.1 200 OK\r\nX-Answer: another\r\nContent-Length: 7\r\n\r\nanother";

/// Says to `head`, which is of request `id`, what the ledger has for it.
pub(crate) fn answer(id: AskId, head: &Head, ledger: &mut Ledger, dice: &mut Dice, now_ns: u64) -> Vec<Say> {
    let answer = ledger.asks[id].answer;
    let mut said = vec![Say::Wait(now_ns + answer.delay_ns)];
    match answer.fault {
        Fault::Silent => return Vec::new(),
        Fault::Gone { by_reset } => {
            said.push(Say::End { by_reset });
            return said;
        }
        Fault::Garbage(text) => {
            said.extend([Say::Bytes(text.into()), Say::Wait(now_ns + 2 * answer.delay_ns)]);
            said.push(Say::End { by_reset: false });
            return said;
        }
        _ => {}
    }
    for _ in 0..answer.interim {
        said.push(Say::Bytes(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n".to_vec()));
    }
    let mut message = Message::new(id, head, &answer, ledger);
    let mut bytes = std::mem::take(&mut message.head).into_bytes();
    message.content(&mut bytes, dice);
    if answer.fault == Fault::Doubled {
        bytes.extend_from_slice(DOUBLE);
    }
    let whole = bytes.len();
    let mut end = message.is_last.then_some(Say::End { by_reset: false });
    if let Fault::Cut { per_mille, by_reset } = answer.fault {
        bytes.truncate(whole * per_mille / 1000);
        // Without other framing, an end in good order is the end of the content.
        end = Some(Say::End { by_reset: by_reset || message.framing == Framing::UntilClose });
    }
    let is_spoilt = answer.fault == Fault::Spoilt && message.framing == Framing::Chunked;
    if is_spoilt {
        end = Some(Say::End { by_reset: true });
    }
    let is_whole = bytes.len() == whole && !is_spoilt;
    for (number, piece) in (0..).zip(bytes.chunks(answer.piece.max(1))) {
        said.push(Say::Wait(now_ns + answer.delay_ns + number * answer.pause_ns));
        said.push(Say::Bytes(piece.to_vec()));
    }
    if is_whole {
        said.push(Say::Answered(id));
    }
    said.extend(end);
    said
}

/// A response.
struct Message {
    head: String,
    content: Content,
    framing: Framing,
    fault: Fault,
    /// The connection ends behind it.
    is_last: bool,
}

impl Message {
    fn new(id: AskId, request: &Head, answer: &Answer, ledger: &mut Ledger) -> Self {
        let (name, version, mut content) = ledger.represent(id);
        content.length -= u64::from(answer.fault == Fault::Short && content.length > 0);
        let ask = &ledger.asks[id];
        let framing = answer.framing;
        let is_last = framing == Framing::UntilClose || answer.fault == Fault::Closes;
        let mut status = answer.status;
        let mut head = String::new();
        if let Some(kept) = ask.kept {
            let resource = &ledger.resources[kept];
            let tag = tag(kept, version);
            head += &format!("Cache-Control: max-age={}\r\n", resource.max_age_s);
            if resource.has_validator {
                head += &format!("ETag: {tag}\r\n");
            }
            let known = request.field("if-none-match").ok().flatten() == Some(&tag);
            if known && ask.method == "GET" {
                status = 304;
            }
        }
        let has_content = ask.method != "HEAD" && !matches!(status, 204 | 304);
        match framing {
            Framing::Exact(_) if status != 204 => head += &format!("Content-Length: {}\r\n", content.length),
            Framing::Chunked if has_content => head += "Transfer-Encoding: chunked\r\n",
            _ => {}
        }
        if is_last {
            head += "Connection: close\r\n";
        }
        Self {
            head: format!("HTTP/1.1 {status} Fine\r\n{ANSWER}: {name}\r\n{head}\r\n"),
            content: if has_content { content } else { Content { length: 0, ..content } },
            framing: if has_content { framing } else { Framing::Exact(0) },
            fault: answer.fault,
            is_last,
        }
    }

    fn content(&self, bytes: &mut Vec<u8>, dice: &mut Dice) {
        let mut content = self.content.bytes(0..self.content.length);
        if self.fault == Fault::Lies && !content.is_empty() {
            let at = dice.below(content.len());
            content[at] ^= 1;
        }
        if self.framing != Framing::Chunked {
            bytes.extend(content);
            return;
        }
        let mut rest = content.as_slice();
        while !rest.is_empty() {
            let (chunk, behind) =
                rest.split_at(usize::try_from(dice.any_size(rest.len() as u64)).unwrap_or(1));
            let extension = dice.pick(&["", "", ";a=b", ";a=\"b c\""]);
            bytes.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
            rest = behind;
        }
        let trailers = dice.pick(&["", "", "Digest: none\r\n"]);
        let end = if self.fault == Fault::Spoilt {
            "no length\r\n".to_owned()
        } else {
            format!("0\r\n{trailers}\r\n")
        };
        bytes.extend(end.bytes());
    }
}
