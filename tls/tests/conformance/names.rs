//! The names that the tables use, which are those of the RFCs.

use levee_crypto::Group;
use levee_tls::Alert;

use super::script::code;

/// The code point of an extension, by its name or in hexadecimal digits.
pub(crate) fn extension(name: &str) -> u16 {
    match name {
        "server_name" => 0,
        "supported_groups" => 10,
        "ec_point_formats" => 11,
        "signature_algorithms" => 13,
        "alpn" => 16,
        "padding" => 21,
        "extended_master_secret" => 23,
        "record_size_limit" => 28,
        "session_ticket" => 35,
        "pre_shared_key" => 41,
        "early_data" => 42,
        "supported_versions" => 43,
        "cookie" => 44,
        "psk_key_exchange_modes" => 45,
        "certificate_authorities" => 47,
        "oid_filters" => 48,
        "post_handshake_auth" => 49,
        "signature_algorithms_cert" => 50,
        "key_share" => 51,
        "renegotiation_info" => 0xff01,
        digits => code(digits),
    }
}

/// The type of a handshake message, by its name or as a number.
pub(crate) fn message(name: &str) -> u8 {
    match name {
        "hello_request" => 0,
        "client_hello" => 1,
        "server_hello" => 2,
        "new_session_ticket" => 4,
        "end_of_early_data" => 5,
        "encrypted_extensions" => 8,
        "certificate" => 11,
        "server_key_exchange" => 12,
        "certificate_request" => 13,
        "server_hello_done" => 14,
        "certificate_verify" => 15,
        "client_key_exchange" => 16,
        "finished" => 20,
        "certificate_url" => 21,
        "certificate_status" => 22,
        "key_update" => 24,
        "compressed_certificate" => 25,
        "message_hash" => 254,
        number => super::script::number(number),
    }
}

pub(crate) fn group(name: &str) -> Option<Group> {
    match name {
        "x25519" => Some(Group::X25519),
        "p256" => Some(Group::Secp256r1),
        "p384" => Some(Group::Secp384r1),
        "mlkem" => Some(Group::X25519MlKem768),
        _ => None,
    }
}

/// The alert of a name; none when the word is none.
pub(crate) fn alert(name: &str) -> Option<Alert> {
    use Alert as A;
    Some(match name {
        "close_notify" => A::CloseNotify,
        "unexpected_message" => A::UnexpectedMessage,
        "bad_record_mac" => A::BadRecordMac,
        "record_overflow" => A::RecordOverflow,
        "handshake_failure" => A::HandshakeFailure,
        "illegal_parameter" => A::IllegalParameter,
        "decode_error" => A::DecodeError,
        "decrypt_error" => A::DecryptError,
        "protocol_version" => A::ProtocolVersion,
        "internal_error" => A::InternalError,
        "inappropriate_fallback" => A::InappropriateFallback,
        "no_renegotiation" => A::NoRenegotiation,
        "missing_extension" => A::MissingExtension,
        "no_application_protocol" => A::NoApplicationProtocol,
        _ => return None,
    })
}
