//! A second reading of RFC 9112, naive and over whole streams, to hold the real one against.

/// Where the requests of a stream end, and whether it is refused then.
pub(crate) fn requests(stream: &[u8]) -> (Vec<usize>, bool) {
    let mut ends = Vec::new();
    let mut at = 0;
    loop {
        match request(&stream[at..]) {
            Some(Ok((length, lives))) => {
                at += length;
                ends.push(at);
                if !lives {
                    return (ends, false);
                }
            }
            Some(Err(())) => return (ends, true),
            None => return (ends, false),
        }
    }
}

/// Length of the first request with its content, and whether the connection lives on; `None` when more
/// bytes are needed.
fn request(stream: &[u8]) -> Option<Result<(usize, bool), ()>> {
    let mut start = 0;
    while start < 8 && stream[start..].starts_with(b"\r\n") {
        start += 2;
    }
    if stream[start..].starts_with(b"\r\n") {
        return Some(Err(()));
    }
    let end = find(&stream[start..], b"\r\n\r\n").map(|at| start + at + 4);
    let region = &stream[..end.unwrap_or(stream.len())];
    for (at, &byte) in region.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| region[at]);
        if (byte == b'\n' && before != Some(b'\r')) || (byte != b'\n' && before == Some(b'\r')) {
            return Some(Err(()));
        }
    }
    let end = end?;
    let mut lines = split(&stream[start..end - 4]);
    let first = lines.remove(0);
    let Some((http11, target)) = request_line(&first) else { return Some(Err(())) };
    let Some(fields) = lines.iter().map(|line| field(line)).collect::<Option<Vec<_>>>() else {
        return Some(Err(()));
    };
    if !host_is_good(&fields, http11, &target) {
        return Some(Err(()));
    }
    let all = |name: &str| -> Vec<&str> {
        fields.iter().filter(|(each, _)| each == name).map(|(_, value)| value.as_str()).collect()
    };
    let connection = all("connection").join(",").to_ascii_lowercase();
    let options = members(&connection);
    let unknown =
        options.iter().filter(|option| !["close", "keep-alive", "upgrade"].contains(option)).count();
    let expectations = all("expect").join(",").to_ascii_lowercase();
    let bad_expectation = members(&expectations).iter().any(|&member| member != "100-continue");
    if unknown > 16 || bad_expectation {
        return Some(Err(()));
    }
    let lives = !options.contains(&"close") && (http11 || options.contains(&"keep-alive"));
    let (coding, length) = (all("transfer-encoding"), all("content-length"));
    let content = match (coding.as_slice(), length.as_slice()) {
        ([], []) => Some(Ok(0)),
        ([coding], []) if http11 && coding.eq_ignore_ascii_case("chunked") => chunked(&stream[end..]),
        ([], [length]) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            match length.parse::<u64>() {
                Ok(length) if length > (stream.len() - end) as u64 => None,
                Ok(length) => Some(Ok(usize::try_from(length).unwrap())),
                Err(_) => Some(Err(())),
            }
        }
        _ => Some(Err(())),
    };
    Some(content?.map(|content| (end + content, lives)))
}

/// The members of a list, with commas in quoted strings left alone.
fn members(list: &str) -> Vec<&str> {
    let (mut members, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in list.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                members.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members.push(&list[start..]);
    members
        .iter()
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
        .collect()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    (0..bytes.len()).find(|&at| bytes[at..].starts_with(what))
}

/// Lines as text of Latin-1, so that each byte is one character.
fn split(bytes: &[u8]) -> Vec<String> {
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    text.split("\r\n").map(str::to_owned).collect()
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

fn request_line(line: &str) -> Option<(bool, String)> {
    let [method, target, version] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
    let http11 = match version {
        "HTTP/1.0" => false,
        "HTTP/1.1" => true,
        _ => return None,
    };
    let visible = target.chars().all(|c| c.is_ascii_graphic() && c != '#');
    let form = target.starts_with('/')
        || (target == "*" && method == "OPTIONS")
        || target_authority(target).is_some();
    let served = !["CONNECT", "TRACE"].contains(&method) && method.len() <= 32;
    (is_token(method) && served && visible && form && line.len() <= 8192).then(|| (http11, target.to_owned()))
}

fn target_authority(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    let known = ["http", "https"].iter().any(|each| scheme.eq_ignore_ascii_case(each));
    let authority = rest.split(['/', '?']).next()?;
    (known && is_authority(authority)).then_some(authority)
}

fn is_authority(text: &str) -> bool {
    if text.starts_with('[') && !text.contains(']') {
        return false;
    }
    let (host, port) = match text.rfind(']') {
        Some(close) if text.starts_with('[') => {
            let address = text[1..close].parse::<std::net::Ipv6Addr>();
            if address.is_err() {
                return false;
            }
            text.split_at(close + 1)
        }
        _ => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let name = !host.is_empty()
        && (host.starts_with('[') || host.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c)));
    let port = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.is_empty() || (digits.chars().all(|c| c.is_ascii_digit()) && digits.parse::<u16>().is_ok())
        }
    };
    name && port
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let printable = value.chars().all(|c| c == '\t' || (c >= ' ' && c != '\u{7f}'));
    let value = value.trim_matches([' ', '\t']).to_owned();
    (is_token(name) && printable).then(|| (name.to_ascii_lowercase(), value))
}

fn host_is_good(fields: &[(String, String)], http11: bool, target: &str) -> bool {
    let hosts: Vec<_> = fields.iter().filter(|(name, _)| name == "host").collect();
    let _ = target;
    fields.len() <= 100
        && match hosts[..] {
            [] => !http11,
            [(_, host)] => is_authority(host),
            _ => false,
        }
}

/// Bytes of chunked content.
fn chunked(stream: &[u8]) -> Option<Result<usize, ()>> {
    let mut at = 0;
    loop {
        let rest = &stream[at..];
        let (line, next) = match line(rest)? {
            Ok((line, next)) => (line, next),
            Err(partial) => {
                let complete = partial.strip_suffix('\r');
                let good = complete.map_or_else(|| size_line(&partial, true), |line| size_line(line, false));
                return if good.is_ok() { None } else { Some(Err(())) };
            }
        };
        let Ok(size) = size_line(&line, false) else { return Some(Err(())) };
        at += next;
        if size == 0 {
            return trailers(&stream[at..]).map(|result| result.map(|length| at + length));
        }
        let data = usize::try_from(size).ok().filter(|&size| size <= stream.len() - at)?;
        at += data;
        match &stream[at..] {
            [] | [b'\r'] => return None,
            [b'\r', b'\n', ..] => at += 2,
            _ => return Some(Err(())),
        }
    }
}

/// A line that ends in CR LF and its length with that, or as an error what is there of one.
fn line(bytes: &[u8]) -> Option<Result<(String, usize), String>> {
    let text = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect::<String>();
    match find(bytes, b"\r\n") {
        Some(end) => Some(Ok((text(&bytes[..end]), end + 2))),
        None => Some(Err(text(bytes))),
    }
}

/// The size in a size line; of a partial line, whether it can still become one.
fn size_line(line: &str, partial: bool) -> Result<u64, ()> {
    let digits = line.chars().take_while(char::is_ascii_hexdigit).count();
    let (size, extensions) = line.split_at(digits);
    if size.len() > 16 || (size.is_empty() && !(partial && line.is_empty())) {
        return Err(());
    }
    let well_formed = extensions_are_good(extensions)
        || (partial
            && ["", "x", "=x", "\"", "x\"", ";x", "x\\\""]
                .iter()
                .any(|rest| extensions_are_good(&format!("{extensions}{rest}"))));
    if !well_formed {
        return Err(());
    }
    Ok(u64::from_str_radix(size, 16).unwrap_or(0))
}

/// `*( BWS ";" BWS name [ BWS "=" BWS value ] )` by recursive descent.
fn extensions_are_good(text: &str) -> bool {
    let blank = [' ', '\t'];
    if text.is_empty() {
        return true;
    }
    let Some(rest) = text.trim_start_matches(blank).strip_prefix(';') else { return false };
    let rest = rest.trim_start_matches(blank);
    let name = rest.chars().take_while(|&c| is_token(&c.to_string())).count();
    if name == 0 {
        return false;
    }
    let rest = &rest[name..];
    let Some(value) = rest.trim_start_matches(blank).strip_prefix('=') else {
        return extensions_are_good(rest);
    };
    let value = value.trim_start_matches(blank);
    let Some(quoted) = value.strip_prefix('"') else {
        let length = value.chars().take_while(|&c| is_token(&c.to_string())).count();
        return length > 0 && extensions_are_good(&value[length..]);
    };
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return extensions_are_good(&quoted[at + 1..]),
            '\\' => match characters.next() {
                Some((_, c)) if c == '\t' || (c >= ' ' && c != '\u{7f}') => {}
                _ => return false,
            },
            c if c == '\t' || (c >= ' ' && c != '\u{7f}') => {}
            _ => return false,
        }
    }
    false
}

/// Bytes of a trailer section with its empty line.
fn trailers(stream: &[u8]) -> Option<Result<usize, ()>> {
    let mut at = 0;
    loop {
        match line(&stream[at..])? {
            Ok((line, 2)) if line.is_empty() => return Some(Ok(at + 2)),
            Ok((line, next)) if field(&line).is_some() => at += next,
            Ok(_) => return Some(Err(())),
            Err(partial) => {
                let good = match partial.strip_suffix('\r') {
                    Some(line) => line.is_empty() || field(line).is_some(),
                    None => {
                        partial.is_empty()
                            || field(&format!("{partial}:")).is_some()
                            || field(&partial).is_some()
                    }
                };
                return if good { None } else { Some(Err(())) };
            }
        }
    }
}
