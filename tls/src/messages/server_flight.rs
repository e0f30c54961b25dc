//! Writers of what the server sends, one function a message, each with its handshake header.

use levee_buf::{Full, Writer};
use levee_crypto::{Group, Share, SignatureScheme};

use crate::messages::{extension, kind};
use crate::suite::{Suite, Version};

/// The most bytes of a ServerHello of either version: 82 fixed and extensions of at most 300
/// (application protocol included), besides a key share.
pub(crate) const MAX_SERVER_HELLO: usize = 384;

/// The most bytes of EncryptedExtensions.
pub(crate) const MAX_ENCRYPTED_EXTENSIONS: usize = 288;

/// The random of a HelloRetryRequest: SHA-256 of "HelloRetryRequest" (RFC 8446 section 4.1.3).
pub(crate) const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

pub(crate) type Written = Result<(), Full>;

pub(crate) fn message(
    out: &mut Writer<'_>,
    kind: u8,
    body: impl FnOnce(&mut Writer<'_>) -> Written,
) -> Written {
    out.u8(kind)?;
    out.vector::<3>(body)
}

pub(crate) fn extension(
    out: &mut Writer<'_>,
    code: u16,
    body: impl FnOnce(&mut Writer<'_>) -> Written,
) -> Written {
    out.u16(code)?;
    out.vector::<2>(body)
}

/// ServerHello of TLS 1.3 (RFC 8446 section 4.1.3).
pub(crate) fn server_hello13(
    out: &mut Writer<'_>,
    random: &[u8; 32],
    session_id: &[u8],
    suite: Suite,
    group: Group,
    share: &Share,
) -> Written {
    hello13(out, random, session_id, suite, |out| {
        out.u16(group.code())?;
        out.vector::<2>(|out| out.bytes(share.bytes()))
    })
}

/// HelloRetryRequest (RFC 8446 section 4.1.4).
pub(crate) fn hello_retry_request(
    out: &mut Writer<'_>,
    session_id: &[u8],
    suite: Suite,
    group: Group,
) -> Written {
    hello13(out, &RETRY_RANDOM, session_id, suite, |out| out.u16(group.code()))
}

fn hello13(
    out: &mut Writer<'_>,
    random: &[u8; 32],
    session_id: &[u8],
    suite: Suite,
    key_share: impl FnOnce(&mut Writer<'_>) -> Written,
) -> Written {
    message(out, kind::SERVER_HELLO, |out| {
        out.u16(Version::Tls12.code())?;
        out.bytes(random)?;
        out.vector::<1>(|out| out.bytes(session_id))?;
        out.u16(suite.code())?;
        out.u8(0)?;
        out.vector::<2>(|out| {
            extension(out, extension::SUPPORTED_VERSIONS, |out| out.u16(Version::Tls13.code()))?;
            extension(out, extension::KEY_SHARE, key_share)
        })
    })
}

/// EncryptedExtensions (RFC 8446 section 4.3.1).
pub(crate) fn encrypted_extensions(out: &mut Writer<'_>, named: bool, protocol: Option<&[u8]>) -> Written {
    message(out, kind::ENCRYPTED_EXTENSIONS, |out| {
        out.vector::<2>(|out| {
            server_name(out, named)?;
            alpn(out, protocol)
        })
    })
}

/// RFC 6066 section 3: a server that used the name includes the extension, empty.
fn server_name(out: &mut Writer<'_>, named: bool) -> Written {
    if named { extension(out, extension::SERVER_NAME, |_| Ok(())) } else { Ok(()) }
}

/// RFC 7301 section 3.1: exactly one protocol name.
fn alpn(out: &mut Writer<'_>, protocol: Option<&[u8]>) -> Written {
    let Some(protocol) = protocol else { return Ok(()) };
    extension(out, extension::ALPN, |out| out.vector::<2>(|out| out.vector::<1>(|out| out.bytes(protocol))))
}

/// CertificateVerify (RFC 8446 section 4.4.3).
pub(crate) fn certificate_verify(out: &mut Writer<'_>, scheme: SignatureScheme, signature: &[u8]) -> Written {
    message(out, kind::CERTIFICATE_VERIFY, |out| {
        out.u16(scheme.code())?;
        out.vector::<2>(|out| out.bytes(signature))
    })
}

/// Finished of either version.
pub(crate) fn finished(out: &mut Writer<'_>, verify_data: &[u8]) -> Written {
    message(out, kind::FINISHED, |out| out.bytes(verify_data))
}

/// KeyUpdate (RFC 8446 section 4.6.3).
pub(crate) fn key_update(out: &mut Writer<'_>, request: bool) -> Written {
    message(out, kind::KEY_UPDATE, |out| out.u8(u8::from(request)))
}

/// What the ServerHello of TLS 1.2 answers to.
pub(crate) struct Answers<'a> {
    pub(crate) secure_renegotiation: bool,
    pub(crate) extended_master_secret: bool,
    pub(crate) point_formats: bool,
    pub(crate) named: bool,
    pub(crate) protocol: Option<&'a [u8]>,
}

/// ServerHello of TLS 1.2 (RFC 5246 section 7.4.1.3), without a session to resume.
pub(crate) fn server_hello12(
    out: &mut Writer<'_>,
    random: &[u8; 32],
    suite: Suite,
    answers: &Answers<'_>,
) -> Written {
    message(out, kind::SERVER_HELLO, |out| {
        out.u16(Version::Tls12.code())?;
        out.bytes(random)?;
        out.u8(0)?;
        out.u16(suite.code())?;
        out.u8(0)?;
        let any = answers.secure_renegotiation
            || answers.extended_master_secret
            || answers.point_formats
            || answers.named
            || answers.protocol.is_some();
        if !any {
            return Ok(());
        }
        out.vector::<2>(|out| {
            if answers.secure_renegotiation {
                // RFC 5746 section 3.6: an empty renegotiated_connection.
                extension(out, extension::RENEGOTIATION_INFO, |out| out.u8(0))?;
            }
            if answers.extended_master_secret {
                extension(out, extension::EXTENDED_MASTER_SECRET, |_| Ok(()))?;
            }
            if answers.point_formats {
                extension(out, extension::EC_POINT_FORMATS, |out| out.bytes(&[1, 0]))?;
            }
            server_name(out, answers.named)?;
            alpn(out, answers.protocol)
        })
    })
}

/// The parameters of an ephemeral key (RFC 8422 section 5.4): what ServerKeyExchange signs.
pub(crate) fn key_exchange_parameters(out: &mut Writer<'_>, group: Group, share: &Share) -> Written {
    // ECCurveType named_curve.
    out.u8(3)?;
    out.u16(group.code())?;
    out.vector::<1>(|out| out.bytes(share.bytes()))
}

/// ServerKeyExchange and ServerHelloDone of TLS 1.2.
pub(crate) fn server_key_exchange(
    out: &mut Writer<'_>,
    parameters: &[u8],
    scheme: SignatureScheme,
    signature: &[u8],
) -> Written {
    message(out, kind::SERVER_KEY_EXCHANGE, |out| {
        out.bytes(parameters)?;
        out.u16(scheme.code())?;
        out.vector::<2>(|out| out.bytes(signature))
    })
}

/// ServerHelloDone of TLS 1.2.
pub(crate) fn server_hello_done(out: &mut Writer<'_>) -> Written {
    message(out, kind::SERVER_HELLO_DONE, |_| Ok(()))
}
