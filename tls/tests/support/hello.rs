//! ClientHello by the piece, and what is written around it.

use levee_crypto::Group;

/// A length of `N` bytes in front of `body`.
pub fn vector<const N: usize>(body: &[u8]) -> Vec<u8> {
    let length = body.len().to_be_bytes();
    [&length[length.len() - N..], body].concat()
}

/// A handshake message.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &vector::<3>(body)].concat()
}

/// A record in plaintext.
pub fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &vector::<2>(payload)].concat()
}

/// `messages` cut into records of at most `n` bytes.
pub fn records(kind: u8, messages: &[u8], n: usize) -> Vec<u8> {
    messages.chunks(n).flat_map(|piece| record(kind, piece)).collect()
}

pub const CHANGE_CIPHER_SPEC: u8 = 20;
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const DATA: u8 = 23;

/// A ClientHello, to be bent.
#[derive(Clone)]
pub struct Hello {
    pub legacy_version: u16,
    pub random: [u8; 32],
    pub session_id: Vec<u8>,
    pub suites: Vec<u16>,
    pub compression: Vec<u8>,
    pub extensions: Vec<(u16, Vec<u8>)>,
}

pub fn codes<const N: usize>(codes: &[u16]) -> Vec<u8> {
    vector::<N>(&codes.iter().flat_map(|code| code.to_be_bytes()).collect::<Vec<_>>())
}

pub fn server_name(name: &str) -> Vec<u8> {
    vector::<2>(&[&[0][..], &vector::<2>(name.as_bytes())].concat())
}

pub fn protocols(names: &[&str]) -> Vec<u8> {
    vector::<2>(&names.iter().flat_map(|name| vector::<1>(name.as_bytes())).collect::<Vec<_>>())
}

pub fn key_shares(shares: &[(Group, Vec<u8>)]) -> Vec<u8> {
    let one =
        |(group, share): &(Group, Vec<u8>)| [&group.code().to_be_bytes()[..], &vector::<2>(share)].concat();
    vector::<2>(&shares.iter().flat_map(one).collect::<Vec<_>>())
}

pub const ECDSA: u16 = 0x0403;
pub const P384: u16 = 0x0503;
pub const ED25519: u16 = 0x0807;
pub const PSS: [u16; 3] = [0x0804, 0x0805, 0x0806];
pub const PKCS1: [u16; 3] = [0x0401, 0x0501, 0x0601];

impl Hello {
    /// TLS 1.3 with `shares`, their groups, X25519 and P-256, all suites and schemes, for `levee.test`.
    pub fn tls13(shares: &[(Group, Vec<u8>)]) -> Self {
        let others =
            shares.iter().map(|(group, _)| group.code()).filter(|code| ![0x001d, 0x0017].contains(code));
        let groups: Vec<u16> = [0x001d, 0x0017].into_iter().chain(others).collect();
        Self {
            legacy_version: 0x0303,
            random: [0x11; 32],
            session_id: vec![0x22; 32],
            suites: vec![0x1301, 0x1302, 0x1303],
            compression: vec![0],
            extensions: vec![
                (0, server_name("levee.test")),
                (10, codes::<2>(&groups)),
                (13, codes::<2>(&[ECDSA, PSS[0], PSS[1], PSS[2]])),
                (16, protocols(&["h2", "http/1.1"])),
                (43, codes::<1>(&[0x0304])),
                (51, key_shares(shares)),
            ],
        }
    }

    /// TLS 1.2 with all suites and schemes, EMS and secure renegotiation.
    pub fn tls12() -> Self {
        Self {
            session_id: Vec::new(),
            suites: vec![0xc02b, 0xc02c, 0xcca9, 0xc02f, 0xc030, 0xcca8],
            extensions: vec![
                (0, server_name("levee.test")),
                (10, codes::<2>(&[0x001d, 0x0017])),
                (11, vec![1, 0]),
                (13, codes::<2>(&[ECDSA, PSS[0], PKCS1[0]])),
                (16, protocols(&["http/1.1"])),
                (23, vec![]),
                (0xff01, vec![0]),
            ],
            ..Self::tls13(&[])
        }
    }

    /// Replaces an extension, or adds it.
    pub fn set(mut self, code: u16, body: Vec<u8>) -> Self {
        match self.extensions.iter_mut().find(|extension| extension.0 == code) {
            Some(extension) => extension.1 = body,
            None => self.extensions.push((code, body)),
        }
        self
    }

    pub fn without(mut self, code: u16) -> Self {
        self.extensions.retain(|extension| extension.0 != code);
        self
    }

    pub fn suites(mut self, suites: &[u16]) -> Self {
        self.suites = suites.to_vec();
        self
    }

    /// The handshake message.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.legacy_version.to_be_bytes().to_vec();
        body.extend(self.random);
        body.extend(vector::<1>(&self.session_id));
        body.extend(codes::<2>(&self.suites));
        body.extend(vector::<1>(&self.compression));
        if !self.extensions.is_empty() {
            let one = |(code, body): &(u16, Vec<u8>)| [&code.to_be_bytes()[..], &vector::<2>(body)].concat();
            body.extend(vector::<2>(&self.extensions.iter().flat_map(one).collect::<Vec<_>>()));
        }
        message(1, &body)
    }
}
