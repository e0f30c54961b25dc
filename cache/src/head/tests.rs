//! Heads written, read and merged.

use super::*;
use crate::testing::response;

fn text(status: u16, fields: &[&str], update: Option<&[&str]>) -> String {
    let head = response(status, fields);
    let source = Source {
        status,
        reason: head.reason,
        fields: head.fields,
        update: update.map(|fields| response(304, fields).fields),
        received_s: 1_700_000_000,
        keep_cookies: false,
    };
    let mut room = vec![0; source.measure().unwrap()];
    let mut out = Writer::new(&mut room);
    source.write(&mut out).unwrap();
    assert_eq!(out.len(), room.len(), "measured as written");
    let mut table = FieldTable::new();
    assert_eq!(parse(&room, &mut table).map(|head| head.status), Some(status));
    String::from_utf8(room).unwrap()
}

#[test]
fn a_head_is_stored_as_its_text() {
    let date = "date: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n";
    assert_eq!(text(200, &[], None), format!("HTTP/1.1 200 Reason\r\n{date}"));
    assert_eq!(text(404, &["X: y", "Age: 3"], None), format!("HTTP/1.1 404 Reason\r\nX: y\r\n{date}"));
    assert_eq!(text(200, &["Date: then"], None), "HTTP/1.1 200 Reason\r\nDate: then\r\n\r\n");
    // A Date that belongs to the connection is none of the response.
    assert_eq!(text(200, &["Date: x", "Connection: date"], None), format!("HTTP/1.1 200 Reason\r\n{date}"));
}

#[test]
fn newer_fields_replace_all_lines_of_their_name() {
    let date = "Date: now\r\n\r\n";
    for (fields, update, wanted) in [
        (&["A: 1", "B: 1", "a: 2"][..], &["A: 3", "C: 1"][..], "B: 1\r\nA: 3\r\nC: 1\r\n"),
        (&["A: 1"], &["A: 2", "A: 3"], "A: 2\r\nA: 3\r\n"),
        (&["Date: then"], &[], ""),
        // What is not stored replaces nothing.
        (&["Content-Length: 1", "A: 1"], &["Connection: a", "A: 2", "Content-Length: 3"], "A: 1\r\n"),
    ] {
        let update = [update, &["Date: now"]].concat();
        assert_eq!(text(200, fields, Some(&update)), format!("HTTP/1.1 200 Reason\r\n{wanted}{date}"));
    }
}

#[test]
fn cookies_are_kept_by_leave_and_never_taken_from_a_304() {
    let (head, update) =
        (response(200, &["Set-Cookie: a", "Date: x"]), response(304, &["Set-Cookie: b", "Date: y"]));
    for (keep_cookies, update, wanted) in [
        (false, None, "Date: x\r\n"),
        (true, None, "Set-Cookie: a\r\nDate: x\r\n"),
        (true, Some(update.fields), "Set-Cookie: a\r\nDate: y\r\n"),
    ] {
        let source =
            Source { status: 200, reason: b"", fields: head.fields, update, received_s: 0, keep_cookies };
        let mut room = vec![0; source.measure().unwrap()];
        source.write(&mut Writer::new(&mut room)).unwrap();
        assert_eq!(String::from_utf8(room).unwrap(), format!("HTTP/1.1 200 \r\n{wanted}\r\n"));
    }
}

#[test]
fn values_are_found_in_the_text() {
    let text = b"HTTP/1.1 200 etag: no\r\nX-ETag: \"0\"\r\nETag: \"1\"\r\netag: \"2\"\r\nEmpty: \r\n\r\n";
    assert_eq!(value(text, b"etag"), Some(&b"\"1\""[..]));
    assert_eq!(value(text, b"empty"), Some(&b""[..]));
    for missing in [&b"date"[..], b"x", b"etag: \"1\"\r\netag"] {
        assert_eq!(value(text, missing), None);
    }
}
