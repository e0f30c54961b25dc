//! Every way a connection can end other than by close_notify: `Error`, whose fault it is, and the one
//! table from errors to alerts.

/// Whose fault an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The peer broke a rule of the protocol.
    Misbehaved,
    /// The peer keeps the rules, but we have nothing in common.
    Incompatible,
    /// The peer ended the connection by an alert.
    Ended,
    /// We could not go on: memory, sessions, an engine.
    Local,
}

/// An alert of TLS (RFC 8446 section 6): the ones that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of RFC 8446 section 6")]
pub enum Alert {
    CloseNotify = 0,
    UnexpectedMessage = 10,
    BadRecordMac = 20,
    RecordOverflow = 22,
    HandshakeFailure = 40,
    BadCertificate = 42,
    IllegalParameter = 47,
    DecodeError = 50,
    DecryptError = 51,
    ProtocolVersion = 70,
    InternalError = 80,
    InappropriateFallback = 86,
    NoRenegotiation = 100,
    MissingExtension = 109,
    UnsupportedExtension = 110,
    NoApplicationProtocol = 120,
}

impl Alert {
    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

macro_rules! errors {
    ($($name:ident $text:literal $blame:ident $alert:ident, $doc:literal;)*) => {
        /// Why a connection ended: one value for each place that ends it. Usable as a metric label
        /// ([`Error::name`]) and as an index (`error as usize`, below `Error::ALL.len()`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Error {
            $(#[doc = $doc] $name,)*
        }

        impl Error {
            /// All of them, in the order of their indices.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name as a metric label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whose fault it is.
            #[must_use]
            pub const fn blame(self) -> Blame {
                match self { $(Self::$name => Blame::$blame,)* }
            }

            /// The alert the peer is told, if any.
            #[must_use]
            pub const fn alert(self) -> Option<Alert> {
                match self { $(Self::$name => errors!(@alert $alert),)* }
            }
        }
    };
    (@alert None) => { None };
    (@alert $alert:ident) => { Some(Alert::$alert) };
}

errors! {
    // The record layer: RFC 8446 section 5, RFC 5246 section 6.2.
    UnknownContentType "unknown_content_type" Misbehaved UnexpectedMessage, "A record of no known type.";
    BadRecordVersion "bad_record_version" Misbehaved ProtocolVersion, "A record version that is not 3.x.";
    RecordOverflow "record_overflow" Misbehaved RecordOverflow, "A record longer than its limit.";
    EmptyRecordFlood "empty_record_flood" Misbehaved UnexpectedMessage, "Too many records in a row that carry nothing.";
    EmptyFragment "empty_fragment" Misbehaved UnexpectedMessage, "A handshake or alert record without content.";
    NoContentType "no_content_type" Misbehaved UnexpectedMessage, "A TLS 1.3 record of padding alone.";
    BadRecordMac "bad_record_mac" Misbehaved BadRecordMac, "A record that does not decrypt.";
    UnprotectedRecord "unprotected_record" Misbehaved UnexpectedMessage, "Plaintext where protection is due.";
    UnexpectedRecord "unexpected_record" Misbehaved UnexpectedMessage, "A record type that is not due.";
    BadChangeCipherSpec "bad_change_cipher_spec" Misbehaved UnexpectedMessage, "A change_cipher_spec other than one byte of 1.";
    InterleavedMessage "interleaved_message" Misbehaved UnexpectedMessage, "Another record inside a handshake message.";
    MessageAcrossKeyChange "message_across_key_change" Misbehaved UnexpectedMessage, "Handshake bytes behind a key change in its record.";
    EarlyMessage "early_message" Misbehaved UnexpectedMessage, "Handshake bytes behind the ClientHello of TLS 1.2, before the server's flight.";
    BadAlert "bad_alert" Misbehaved DecodeError, "An alert that is not two bytes.";
    WarningFlood "warning_flood" Misbehaved UnexpectedMessage, "Too many warning alerts.";
    EarlyDataFlood "early_data_flood" Misbehaved UnexpectedMessage, "More rejected early data than is skipped.";
    // Handshake messages.
    MessageTooLong "message_too_long" Misbehaved IllegalParameter, "A handshake message over its limit.";
    UnexpectedMessage "unexpected_message" Misbehaved UnexpectedMessage, "A handshake message that is not due.";
    Malformed "malformed" Misbehaved DecodeError, "A handshake message that cannot be decoded.";
    DuplicateExtension "duplicate_extension" Misbehaved IllegalParameter, "An extension that occurs twice.";
    TooManyExtensions "too_many_extensions" Misbehaved IllegalParameter, "More extensions than are looked at.";
    BadCompression "bad_compression" Misbehaved IllegalParameter, "Compression methods other than null.";
    BadPointFormats "bad_point_formats" Misbehaved IllegalParameter, "No uncompressed points.";
    BadRenegotiationInfo "bad_renegotiation_info" Misbehaved HandshakeFailure, "Renegotiation data that is not that of the handshake before.";
    BadPreSharedKey "bad_pre_shared_key" Misbehaved IllegalParameter, "A pre_shared_key that is not the last extension.";
    MissingExtension "missing_extension" Misbehaved MissingExtension, "TLS 1.3 without an extension that it needs.";
    BadKeyShare "bad_key_share" Misbehaved IllegalParameter, "A key share that is not one, or for a group not offered.";
    SecondHelloDiffers "second_hello_differs" Misbehaved IllegalParameter, "A second ClientHello that changed what it may not.";
    InappropriateFallback "inappropriate_fallback" Misbehaved InappropriateFallback, "A fallback below what both can do.";
    BadFinished "bad_finished" Misbehaved DecryptError, "A Finished that does not verify.";
    BadKeyUpdate "bad_key_update" Misbehaved IllegalParameter, "A KeyUpdate of no known kind.";
    KeyUpdateFlood "key_update_flood" Misbehaved UnexpectedMessage, "Too many KeyUpdates without data between them.";
    RenegotiationFlood "renegotiation_flood" Misbehaved HandshakeFailure, "A renegotiation that was refused before.";
    // What servers send.
    BadServerHello "bad_server_hello" Misbehaved IllegalParameter, "A ServerHello that takes what was not offered.";
    BadRetryRequest "bad_retry_request" Misbehaved IllegalParameter, "A HelloRetryRequest that would change nothing, or the second one.";
    UnsolicitedExtension "unsolicited_extension" Misbehaved UnsupportedExtension, "An extension that was not asked for.";
    BadCertificate "bad_certificate" Misbehaved BadCertificate, "A certificate whose key cannot be read.";
    BadSignature "bad_signature" Misbehaved DecryptError, "A signature that does not verify, or of a scheme that was not offered.";
    // Nothing in common.
    NoCommonVersion "no_common_version" Incompatible ProtocolVersion, "No version of ours.";
    NoCommonSuite "no_common_suite" Incompatible HandshakeFailure, "No cipher suite of ours.";
    NoCommonGroup "no_common_group" Incompatible HandshakeFailure, "No group of ours.";
    NoCommonSignature "no_common_signature" Incompatible HandshakeFailure, "No certificate of ours that the client can verify.";
    NoCommonProtocol "no_common_protocol" Incompatible NoApplicationProtocol, "No application protocol of ours.";
    // The peer's word.
    AlertReceived "alert_received" Ended None, "A fatal alert, or one that TLS 1.3 treats so.";
    // Ours.
    MemoryExhausted "memory_exhausted" Local InternalError, "Packet memory ran out.";
    HandshakesFull "handshakes_full" Local InternalError, "All handshake slots are taken.";
    SharesFull "shares_full" Local InternalError, "All rooms for long key shares are taken, and there is no other group.";
    SessionsFull "sessions_full" Local InternalError, "The AEAD engine has no session left.";
    EngineFailed "engine_failed" Local InternalError, "The public-key engine failed.";
    OpenFailed "open_failed" Local InternalError, "The AEAD engine failed at a received record.";
    // Its record took a sequence number, and what was in it with it: an alert behind it could not be opened.
    SealFailed "seal_failed" Local None, "The AEAD engine failed at a record of ours.";
    FlightTooLong "flight_too_long" Local InternalError, "A flight over the room of a segment.";
    KeyLimit "key_limit" Local CloseNotify, "TLS 1.2 keys protected as many records as they may.";
    UnexpectedCompletion "unexpected_completion" Local InternalError, "A completion that nothing waits for.";
}

impl From<levee_buf::Truncated> for Error {
    fn from(_: levee_buf::Truncated) -> Self {
        Self::Malformed
    }
}

impl From<levee_buf::Full> for Error {
    fn from(_: levee_buf::Full) -> Self {
        Self::FlightTooLong
    }
}

impl From<levee_buf::Exhausted> for Error {
    fn from(_: levee_buf::Exhausted) -> Self {
        Self::MemoryExhausted
    }
}
