//! What a handshake costs in segments, counted on the client's link.

use levee_tests::{Capture, Client, KINDS, Segment, Site, Tls, Version};

/// Largest IPv4 packet of the link less the headers of IPv4 and of TCP without options.
const PAYLOAD: usize = 1500 - 20 - 20;

/// Content type of handshake records (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

#[test]
fn flight_leaves_in_the_fewest_segments() {
    let site = Site::new();
    for version in [Version::Tls13, Version::Tls12] {
        for kind in KINDS {
            let capture = Capture::start(&site);
            let mut client = Client::connect(&site, Tls { version, kind, ..Tls::default() });
            let port = client.tcp().local_addr().unwrap().port();
            assert_eq!(client.get("/bytes/100").unwrap().status, 200);
            let flight = first_flight(&capture.stop(), port);
            let what = format!("{version:?} {kind:?}: {:?}", lengths(&flight));

            let first = flight.first().expect("the flight was captured");
            assert_eq!(first.payload.first(), Some(&HANDSHAKE), "{what}");
            let segment = PAYLOAD - (first.header - 20);
            let bytes: usize = lengths(&flight).iter().sum();
            assert_eq!(flight.len(), bytes.div_ceil(segment), "{what}");
        }
    }
    site.finish();
}

/// What Levee sent between the client's hello and the client's second flight.
fn first_flight(segments: &[Segment], port: u16) -> Vec<Segment> {
    let payloads =
        segments.iter().filter(|segment| segment.client_port == port && !segment.payload.is_empty());
    let answer = payloads.skip_while(|segment| !segment.from_levee);
    answer.take_while(|segment| segment.from_levee).cloned().collect()
}

fn lengths(segments: &[Segment]) -> Vec<usize> {
    segments.iter().map(|segment| segment.payload.len()).collect()
}
