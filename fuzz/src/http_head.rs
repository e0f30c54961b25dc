//! Streams of requests and of responses, cut anywhere: a cut changes nothing, a naive reading and `httparse` agree,
//! and what is written for the next hop is read as it was judged here.

use std::net::IpAddr;

use arbitrary::Unstructured;
use levee_buf::Writer;
use levee_http::h1::encode::{self, RequestRewrite, ResponseRewrite};
use levee_http::h1::{parse_request, parse_response};
use levee_http::{FieldTable, Limits, Method, RequestHead, ResponseHead, Version, framing};

use crate::http::{Connection, Side, reference, whole};

/// Bytes of a stream that are worth cutting.
const LONGEST: usize = 2048;

/// The most fields, as `httparse` is given room for.
const FIELDS: usize = levee_http::MAX_FIELDS;

/// Reads `input`'s stream whole, then cut, then beside others.
pub fn run(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let Ok([kind, cuts @ ..]) = input.arbitrary::<[u8; 4]>() else { return };
    let stream = input.take_rest();
    let stream = &stream[..stream.len().min(LONGEST)];
    let method = if kind & 2 == 0 { Method::Get } else { Method::Head };
    let upgrade = kind & 4 != 0;
    let side = if kind & 1 == 0 { Side::Requests } else { Side::Responses(method, upgrade) };
    let eof = kind & 8 != 0;
    let transcript = whole(side, Limits::default(), stream, eof);
    let mut connection = Connection::new(side, Limits::default());
    let mut rest = stream;
    for cut in cuts {
        let (piece, after) = rest.split_at(usize::from(cut).min(rest.len()));
        connection.arrive(&[piece]);
        rest = after;
    }
    connection.arrive(&[rest]);
    assert_eq!(connection.finish(eof), transcript, "cut");
    let mut connection = Connection::new(side, Limits::default());
    stream.chunks(1).for_each(|byte| connection.arrive(&[byte]));
    assert_eq!(connection.finish(eof), transcript, "byte by byte");

    let Some(end) = stream.windows(4).position(|four| four == b"\r\n\r\n") else { return };
    let head = &stream[..end + 4];
    let mut table = FieldTable::new();
    match side {
        Side::Requests => {
            if !eof {
                let read = (transcript.ends, transcript.rejection.is_some());
                assert_eq!(read, reference::requests(stream), "read naively");
            }
            if let Ok(request) = parse_request(head, &mut table, &Limits::default()) {
                beside_httparse(head, &request);
                forwarded(&request);
            }
        }
        Side::Responses(..) => {
            if let Ok(response) = parse_response(head, &mut table, &Limits::default()) {
                answered(&response, method, upgrade);
            }
        }
    }
}

fn beside_httparse(head: &[u8], request: &RequestHead<'_>) {
    let mut room = [httparse::EMPTY_HEADER; FIELDS];
    let mut other = httparse::Request::new(&mut room);
    assert!(other.parse(head).is_ok_and(|status| status.is_complete()), "only we accept it");
    assert_eq!(other.method.map(str::as_bytes), Some(request.method_name));
    assert_eq!(other.headers.len(), request.fields.len());
    for ((name, value), field) in request.fields.iter().zip(other.headers) {
        assert_eq!((name, value), (field.name.as_bytes(), field.value));
    }
}

/// What goes to the backend says what was decided, and going through once more changes nothing but what says so.
fn forwarded(request: &RequestHead<'_>) {
    let Ok(decided) = framing::request(request) else { return };
    let first = rewritten(request, &decided);
    if request.authority.is_empty() {
        return;
    }
    let (mut table, mut again) = (FieldTable::new(), FieldTable::new());
    let limits =
        Limits { head_bytes: levee_buf::MAX_ROOM, request_line: levee_buf::MAX_ROOM, ..Limits::default() };
    // Ours may be one field too many for another proxy.
    let Ok(sent) = parse_request(&first, &mut table, &limits) else {
        assert!(request.fields.len() + 8 > FIELDS, "what we send is refused: {}", first.escape_ascii());
        return;
    };
    let redecided = framing::request(&sent).expect("what we send is framed");
    assert_eq!((redecided.length, redecided.upgrade), (decided.length, decided.upgrade));
    assert_eq!(redecided.keep_alive, !decided.alone || decided.upgrade);
    assert_eq!(sent.method_name, request.method_name);
    assert_eq!((sent.target.path(), sent.target.query()), (request.target.path(), request.target.query()));
    assert_eq!(sent.authority.as_bytes(), request.authority.as_bytes());
    let second = rewritten(&sent, &redecided);
    let Ok(third) = parse_request(&second, &mut again, &limits) else { return };
    let own = |name: &[u8]| {
        name == b"X-Forwarded-For" || name == b"Via" || name.eq_ignore_ascii_case(b"max-forwards")
    };
    let fields = |head: &RequestHead<'_>| -> Vec<(Vec<u8>, Vec<u8>)> {
        let fields = head.fields.iter().filter(|(name, _)| !own(name));
        fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    };
    assert_eq!(fields(&third), fields(&sent), "the second hop changes what the first sent");
}

fn rewritten(request: &RequestHead<'_>, decided: &framing::RequestFraming) -> Vec<u8> {
    let rewrite = RequestRewrite {
        client: IpAddr::from([192, 0, 2, 7]),
        https: true,
        length: decided.length,
        keep_alive: !decided.alone,
        upgrade: decided.upgrade,
        expect_continue: decided.expect_continue,
        host: None,
        fetch: None,
    };
    let mut room = vec![0; encode::request_room(request, &rewrite)];
    let mut out = Writer::new(&mut room);
    encode::request(request, &rewrite, &mut out).expect("the room is enough");
    out.written().to_vec()
}

fn answered(response: &ResponseHead<'_>, method: Method, upgrade: bool) {
    let Ok(decided) = framing::response(response, method, upgrade) else { return };
    for client in [Version::Http11, Version::Http10] {
        let (length, keep_alive) = framing::to_client(decided.length, client);
        let rewrite = ResponseRewrite {
            client,
            length,
            content_length: decided.content_length,
            keep_alive,
            upgrade: decided.upgrade,
            only: None,
            age: None,
            date: b"Sun, 06 Nov 1994 08:49:37 GMT",
        };
        let mut room = vec![0; encode::response_room(response)];
        let mut out = Writer::new(&mut room);
        encode::response(response, &rewrite, &mut out).expect("the room is enough");
        let mut table = FieldTable::new();
        let limits = Limits { head_bytes: levee_buf::MAX_ROOM, ..Limits::default() };
        let Ok(sent) = parse_response(out.written(), &mut table, &limits) else {
            assert!(response.fields.len() + 6 > FIELDS, "what we send is refused");
            return;
        };
        let redecided = framing::response(&sent, method, upgrade).expect("what we send is framed");
        assert_eq!((sent.status, redecided.length), (response.status, length));
        assert_eq!((redecided.interim, redecided.upgrade), (decided.interim, decided.upgrade));
    }
}
