//! Cases in text files: `cases`.
//!
//! ```text
//! == name
//! ? eof HEAD            (words about the case)
//! GET / HTTP/1.1\r\n    (its bytes; line ends of the file do not count)
//! -> 400                (what follows from them, each line with its two-character mark)
//! ```
//! Escapes: `\r \n \t \0 \\ \xNN`, `\s` a space at the end of a line, `\*N(text)` repeats; a line that
//! starts with `#` is a comment.

/// A case of a file.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// Unique in its file.
    pub name: String,
    /// The words behind `?`.
    pub words: Vec<String>,
    /// The bytes that the case is about.
    pub bytes: Vec<u8>,
    /// What follows: marks such as `->`, and the text behind each.
    pub follows: Vec<(String, String)>,
}

/// The marks of lines that say what follows from a case.
const MARKS: [&str; 3] = ["->", "=>", "~>"];

/// All cases of a file.
///
/// # Panics
/// When it is none of this form, or two cases have one name.
#[must_use]
pub fn cases(file: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            assert!(cases.iter().all(|case| case.name != name), "{name} is there twice");
            cases.push(Case { name: name.to_owned(), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().expect("a case starts with ==");
        match line.split_once(' ') {
            Some(("?", words)) => case.words.extend(words.split(' ').map(str::to_owned)),
            Some((mark, text)) if MARKS.contains(&mark) => {
                case.follows.push((mark.to_owned(), text.to_owned()));
            }
            _ => {
                assert!(case.follows.is_empty(), "bytes behind what follows from them in {}", case.name);
                unescape(line.as_bytes(), &mut case.bytes);
            }
        }
    }
    cases
}

impl Case {
    /// Whether a word is said about it.
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        self.words.iter().any(|each| each == word)
    }

    /// The texts behind a mark.
    pub fn all<'c>(&'c self, mark: &'c str) -> impl Iterator<Item = &'c str> {
        self.follows.iter().filter(move |(each, _)| each == mark).map(|(_, text)| text.as_str())
    }
}

/// Appends what `text` stands for.
///
/// # Panics
/// When it has an escape that is none.
pub fn unescape(mut text: &[u8], into: &mut Vec<u8>) {
    while let Some((&byte, rest)) = text.split_first() {
        text = rest;
        if byte != b'\\' {
            into.push(byte);
            continue;
        }
        let (&kind, rest) = text.split_first().expect("an escape");
        text = rest;
        match kind {
            b'r' => into.push(b'\r'),
            b'n' => into.push(b'\n'),
            b't' => into.push(b'\t'),
            b's' => into.push(b' '),
            b'0' => into.push(0),
            b'\\' => into.push(b'\\'),
            b'x' => {
                let (digits, rest) = text.split_at(2);
                let digits = str::from_utf8(digits).expect("two digits");
                into.push(u8::from_str_radix(digits, 16).expect("two digits"));
                text = rest;
            }
            b'*' => {
                let open = text.iter().position(|&byte| byte == b'(').expect("an opening parenthesis");
                let mut depth = 0;
                let close = text.iter().position(|byte| {
                    depth += i32::from(*byte == b'(') - i32::from(*byte == b')');
                    *byte == b')' && depth == 0
                });
                let close = close.expect("a closing parenthesis");
                let times = str::from_utf8(&text[..open]).ok().and_then(|times| times.parse().ok());
                let mut part = Vec::new();
                unescape(&text[open + 1..close], &mut part);
                into.extend(part.repeat(times.expect("how often")));
                text = &text[close + 1..];
            }
            _ => panic!("escape {}", char::from(kind)),
        }
    }
}
