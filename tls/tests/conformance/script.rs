//! Reads the tables: one line a case, or several by braces.

/// One line of a table, written out.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// File, line and text, to be found again.
    pub(crate) title: String,
    /// What the server offers.
    pub(crate) server: String,
    /// Where the conversation stands before the first step: version, place, and what the hello before it had.
    pub(crate) state: String,
    /// What is sent, each as words.
    pub(crate) steps: Vec<Vec<String>>,
    pub(crate) outcome: Vec<String>,
}

/// The cases of a table in the order of its lines.
pub(crate) fn read(file: &str, text: &str) -> Vec<Case> {
    let (mut cases, mut server) = (Vec::new(), "all".to_owned());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(offer) = line.strip_prefix("server ") {
            offer.trim().clone_into(&mut server);
        } else if !line.is_empty() {
            for line in expand(line) {
                let title = format!("{file}:{number}: {line}");
                let (sent, outcome) =
                    line.split_once("->").unwrap_or_else(|| panic!("{title}: it has no outcome"));
                let (state, steps) = sent.trim().split_once(' ').unwrap_or((sent.trim(), ""));
                cases.push(Case {
                    server: server.clone(),
                    state: state.to_owned(),
                    steps: steps.split(';').map(words).filter(|step| !step.is_empty()).collect(),
                    outcome: words(outcome),
                    title,
                });
            }
        }
    }
    cases
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A line for each choice of its braces: `{a,b}` is either, `{1..9}` each number, `{0..90/10}` every tenth.
fn expand(line: &str) -> Vec<String> {
    let Some((before, rest)) = line.split_once('{') else { return vec![line.to_owned()] };
    let (choices, after) = rest.split_once('}').unwrap_or_else(|| panic!("an open brace: {line}"));
    choices
        .split(',')
        .flat_map(range)
        .flat_map(|choice| expand(&format!("{before}{choice}{after}")))
        .collect()
}

fn range(choice: &str) -> Vec<String> {
    let Some((first, rest)) = choice.split_once("..") else { return vec![choice.to_owned()] };
    let (last, step) = rest.split_once('/').unwrap_or((rest, "1"));
    let number = |text: &str| text.parse::<usize>().unwrap_or_else(|_| panic!("a number: {choice}"));
    (number(first)..=number(last)).step_by(number(step)).map(|n| n.to_string()).collect()
}

/// Bytes: `good`, or hexadecimal digits in parts joined by `.`, each of which may be repeated (`00*32`); then, in any
/// order, `@2:ff` in place of what lies at 2, `-1` without the last byte, `+00` with more behind it.
pub(crate) fn bytes(text: &str, good: &[u8]) -> Vec<u8> {
    let end = text.find(['@', '-', '+']).unwrap_or(text.len());
    let (base, mut changes) = text.split_at(end);
    let mut bytes = if base == "good" { good.to_vec() } else { parts(base) };
    while let Some(kind) = changes.chars().next() {
        let rest = &changes[1..];
        let end = rest.find(['@', '-', '+']).unwrap_or(rest.len());
        let (change, others) = rest.split_at(end);
        match kind {
            '-' => bytes.truncate(bytes.len() - number::<usize>(change)),
            '+' => bytes.extend(parts(change)),
            _ => {
                let (at, new) = change.split_once(':').unwrap_or_else(|| panic!("a place and bytes: {text}"));
                let (at, new) = (number(at), parts(new));
                bytes[at..at + new.len()].copy_from_slice(&new);
            }
        }
        changes = others;
    }
    bytes
}

fn parts(text: &str) -> Vec<u8> {
    text.split('.').filter(|part| !part.is_empty()).flat_map(part).collect()
}

fn part(text: &str) -> Vec<u8> {
    let (digits, times) = text.split_once('*').unwrap_or((text, "1"));
    assert!(digits.is_ascii() && digits.len() % 2 == 0, "whole bytes: {text}");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or_else(|_| panic!("bytes: {text}"));
    (0..digits.len()).step_by(2).map(byte).collect::<Vec<_>>().repeat(number(times))
}

/// A decimal number.
pub(crate) fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("a number: {text}"))
}

/// A code point in four hexadecimal digits.
pub(crate) fn code(text: &str) -> u16 {
    u16::from_str_radix(text, 16).unwrap_or_else(|_| panic!("a code point: {text}"))
}
