//! Handshake messages: borrowed views of what peers send, writers of what the server sends.

mod assembly;
pub(crate) mod certificate;
pub(crate) mod client_hello;
pub(crate) mod server_flight;
pub(crate) mod server_hello;

pub(crate) use assembly::Assembly;

/// Bytes of a handshake message's type and length.
pub(crate) const HEADER: usize = 4;

/// The longest ClientHello that is taken.
pub(crate) const MAX_CLIENT_HELLO: usize = 16_384;

/// The longest other message that is taken: a ClientKeyExchange of 102 bytes, with room to spare.
pub(crate) const MAX_OTHER: usize = 256;

/// A session id of at most 32 bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct SessionId {
    bytes: [u8; 32],
    len: u8,
}

impl SessionId {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut id = Self { bytes: [0; 32], len: u8::try_from(bytes.len().min(32)).unwrap_or_default() };
        id.bytes.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        id
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Handshake types (RFC 8446 section 4, RFC 5246 section 7.4).
pub(crate) mod kind {
    pub(crate) const HELLO_REQUEST: u8 = 0;
    pub(crate) const CLIENT_HELLO: u8 = 1;
    pub(crate) const SERVER_HELLO: u8 = 2;
    pub(crate) const NEW_SESSION_TICKET: u8 = 4;
    pub(crate) const ENCRYPTED_EXTENSIONS: u8 = 8;
    pub(crate) const CERTIFICATE: u8 = 11;
    pub(crate) const SERVER_KEY_EXCHANGE: u8 = 12;
    pub(crate) const SERVER_HELLO_DONE: u8 = 14;
    pub(crate) const CERTIFICATE_VERIFY: u8 = 15;
    pub(crate) const CLIENT_KEY_EXCHANGE: u8 = 16;
    pub(crate) const FINISHED: u8 = 20;
    pub(crate) const KEY_UPDATE: u8 = 24;
    pub(crate) const MESSAGE_HASH: u8 = 254;
}

/// Extension types (RFC 8446 section 4.2 and the RFCs named).
pub(crate) mod extension {
    pub(crate) const SERVER_NAME: u16 = 0;
    pub(crate) const SUPPORTED_GROUPS: u16 = 10;
    /// RFC 8422 section 5.1.2.
    pub(crate) const EC_POINT_FORMATS: u16 = 11;
    pub(crate) const SIGNATURE_ALGORITHMS: u16 = 13;
    /// RFC 7301.
    pub(crate) const ALPN: u16 = 16;
    /// RFC 7685.
    pub(crate) const PADDING: u16 = 21;
    /// RFC 7627.
    pub(crate) const EXTENDED_MASTER_SECRET: u16 = 23;
    /// RFC 5077.
    pub(crate) const SESSION_TICKET: u16 = 35;
    pub(crate) const PRE_SHARED_KEY: u16 = 41;
    pub(crate) const EARLY_DATA: u16 = 42;
    pub(crate) const SUPPORTED_VERSIONS: u16 = 43;
    pub(crate) const COOKIE: u16 = 44;
    pub(crate) const PSK_KEY_EXCHANGE_MODES: u16 = 45;
    pub(crate) const KEY_SHARE: u16 = 51;
    /// RFC 5746.
    pub(crate) const RENEGOTIATION_INFO: u16 = 0xff01;
}
