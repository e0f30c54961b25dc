//! The Certificate message of both versions, encoded once per configuration.

use crate::config::MAX_CERTIFICATE_MESSAGE;
use crate::messages::kind;
use crate::suite::Version;

/// The message with its header; `None` when it is over [`MAX_CERTIFICATE_MESSAGE`].
pub(crate) fn encode(chain: &[Vec<u8>], version: Version) -> Option<Vec<u8>> {
    let mut list = Vec::new();
    for certificate in chain {
        list.extend(u24(certificate.len())?);
        list.extend(certificate);
        // RFC 8446 section 4.4.2: each entry has its extensions; we have none.
        if version == Version::Tls13 {
            list.extend([0, 0]);
        }
    }
    let mut body = Vec::new();
    // RFC 8446 section 4.4.2: certificate_request_context is of zero length in server authentication.
    if version == Version::Tls13 {
        body.push(0);
    }
    body.extend(u24(list.len())?);
    body.extend(list);
    let mut message = vec![kind::CERTIFICATE];
    message.extend(u24(body.len())?);
    message.extend(body);
    (message.len() <= MAX_CERTIFICATE_MESSAGE).then_some(message)
}

fn u24(n: usize) -> Option<[u8; 3]> {
    let [0, rest @ ..] = u32::try_from(n).ok()?.to_be_bytes() else { return None };
    Some(rest)
}
