//! The ClientHello: version, suite, group, certificate and protocol are chosen here.

use levee_buf::Memory;
use levee_crypto::{Digest, Group, Share, ShareError, SignatureScheme};

use super::{Context, Established, Message, State, tls12, tls13};
use crate::config::{Kind, ServerConfig};
use crate::error::Error;
use crate::messages::client_hello::ClientHello;
use crate::suite::{Authentication, Suite, Version};
use crate::transcript::Transcript;

/// Change_cipher_spec records that are dropped for middlebox compatibility.
pub(super) const MAX_CHANGE_CIPHER_SPECS: u8 = 2;

/// TLS_FALLBACK_SCSV (RFC 7507).
const FALLBACK_SCSV: u16 = 0x5600;

/// TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746 section 3.3).
const RENEGOTIATION_SCSV: u16 = 0x00ff;

/// Waiting for a ClientHello: the first one, or the one after a HelloRetryRequest.
#[derive(Default)]
pub(crate) struct Hello {
    retry: Option<Retry>,
}

/// What a HelloRetryRequest asked for.
pub(super) struct Retry {
    pub(super) group: Group,
    pub(super) transcript: Transcript,
    pub(super) constant_part: Digest,
    pub(super) change_cipher_specs: u8,
}

impl Hello {
    pub(super) const fn retry(retry: Retry) -> Self {
        Self { retry: Some(retry) }
    }

    /// Whether it waits for the one after a HelloRetryRequest.
    pub(super) const fn is_second(&self) -> bool {
        self.retry.is_some()
    }

    pub(super) fn change_cipher_spec(mut self) -> Result<Self, Error> {
        let retry = self.retry.as_mut().ok_or(Error::UnexpectedRecord)?;
        retry.change_cipher_specs += 1;
        if retry.change_cipher_specs > MAX_CHANGE_CIPHER_SPECS {
            return Err(Error::EmptyRecordFlood);
        }
        Ok(self)
    }

    pub(super) fn client_hello<M: Memory>(
        self,
        message: &Message<'_>,
        cx: &mut Context<'_, '_, M>,
    ) -> Result<State<M::Chain>, Error> {
        let hello = ClientHello::decode(message.body())?;
        let version = version(cx.config, &hello)?;
        if version == Version::Tls12 {
            check_tls12(&hello)?;
            // RFC 5246 section 7.3: nothing follows before the server's flight.
            if !message.last {
                return Err(Error::EarlyMessage);
            }
            // RFC 8446 section 4.1.4: a version other than that of the HelloRetryRequest.
            if self.retry.is_some() {
                return Err(Error::SecondHelloDiffers);
            }
            let terms = terms12(cx.config, &hello)?;
            return tls12::start(&hello, message, terms, cx);
        }
        check_tls13(&hello)?;
        message.expect_last()?;
        let (Some(groups), Some(shares)) = (hello.groups, hello.key_shares) else {
            return Err(Error::MissingExtension);
        };
        if let Some(retry) = self.retry {
            // RFC 8446 section 4.2.8: the one share of the group that was asked for.
            let Some((code, share)) = shares.only() else { return Err(Error::SecondHelloDiffers) };
            let same = retry.constant_part.matches(&hello.constant_part()) && !hello.early_data;
            if code != retry.group.code() || !same {
                return Err(Error::SecondHelloDiffers);
            }
            let terms = terms13(cx.config, &hello, retry.group)?;
            let peer = peer(retry.group, share, cx)?.ok_or(Error::SharesFull)?;
            return Ok(tls13::start(&hello, message, terms, peer, Some(retry.transcript), cx));
        }
        // A share of a group that we like less is taken as it is: to be asked again would cost the client a round
        // trip, and both sides more than the better group is worth to one that did not send it.
        let mut short_of_room = false;
        for &group in &cx.config.options.groups {
            if let Some(share) = shares.find(group, groups)? {
                let terms = terms13(cx.config, &hello, group)?;
                match peer(group, share, cx)? {
                    Some(peer) => return Ok(tls13::start(&hello, message, terms, peer, None, cx)),
                    None => short_of_room = true,
                }
                cx.out.counters.shares_passed_over = cx.out.counters.shares_passed_over.wrapping_add(1);
            }
        }
        let mut ours = cx.config.options.groups.iter();
        let may = |group: Group| groups.contains(group.code()) && !(short_of_room && group.is_hybrid());
        let Some(&group) = ours.find(|&&group| may(group)) else {
            return Err(if short_of_room { Error::SharesFull } else { Error::NoCommonGroup });
        };
        let terms = terms13(cx.config, &hello, group)?;
        tls13::retry(&hello, message, terms, cx)
    }
}

/// The client's share of `group`; none while there is no room for it.
fn peer<M: Memory>(group: Group, share: &[u8], cx: &Context<'_, '_, M>) -> Result<Option<Share>, Error> {
    match cx.shares.share(group, share) {
        Ok(peer) => Ok(Some(peer)),
        Err(ShareError::Length) => Err(Error::BadKeyShare),
        Err(ShareError::Exhausted) => Ok(None),
    }
}

/// RFC 8446 section 4.2.1: with supported_versions that list decides, without it legacy_version.
fn version(config: &ServerConfig, hello: &ClientHello<'_>) -> Result<Version, Error> {
    let offers = |version: Version| match hello.versions {
        Some(versions) => versions.contains(version.code()),
        None => version == Version::Tls12 && hello.legacy_version >= version.code(),
    };
    let ours = [Version::Tls13, Version::Tls12].into_iter().filter(|&version| config.enables(version));
    let highest = ours.clone().next();
    let chosen = ours.clone().find(|&version| offers(version));
    // RFC 7507 section 3: inappropriate_fallback when a version higher than the client's is enabled, which may be below
    // all of ours.
    let fallen = if chosen.is_some() { chosen < highest } else { hello.versions.is_none() };
    if fallen && hello.suites.contains(FALLBACK_SCSV) {
        return Err(Error::InappropriateFallback);
    }
    chosen.ok_or(Error::NoCommonVersion)
}

fn check_tls13(hello: &ClientHello<'_>) -> Result<(), Error> {
    // RFC 8446 section 4.1.2: exactly one byte, set to zero.
    if hello.compression != [0] {
        return Err(Error::BadCompression);
    }
    // RFC 8446 section 9.2.
    if hello.signatures.is_none() || hello.groups.is_none() || hello.key_shares.is_none() {
        return Err(Error::MissingExtension);
    }
    Ok(())
}

fn check_tls12(hello: &ClientHello<'_>) -> Result<(), Error> {
    if !hello.compression.contains(&0) {
        return Err(Error::BadCompression);
    }
    // RFC 8422 section 5.1.2: the list MUST contain uncompressed.
    if hello.point_formats.is_some_and(|formats| !formats.contains(&0)) {
        return Err(Error::BadPointFormats);
    }
    // RFC 5746 section 3.6: renegotiated_connection of non-zero length MUST abort.
    if hello.renegotiation_info.is_some_and(|info| !info.is_empty()) {
        return Err(Error::BadRenegotiationInfo);
    }
    Ok(())
}

/// Whether the client signals secure renegotiation (RFC 5746 section 3.6).
pub(super) fn secure_renegotiation(hello: &ClientHello<'_>) -> bool {
    hello.renegotiation_info.is_some() || hello.suites.contains(RENEGOTIATION_SCSV)
}

fn terms13(config: &ServerConfig, hello: &ClientHello<'_>, group: Group) -> Result<Established, Error> {
    let suites = config.options.suites.iter().filter(|suite| suite.version() == Version::Tls13);
    let suite =
        *suites.clone().find(|suite| hello.suites.contains(suite.code())).ok_or(Error::NoCommonSuite)?;
    let (candidates, named) = config.names.find(hello.server_name);
    for &certificate in candidates {
        if let Some(scheme) = scheme(config, hello, certificate, Version::Tls13) {
            let protocol = protocol(config, hello)?;
            let version = Version::Tls13;
            return Ok(Established { version, suite, group, scheme, protocol, certificate, named });
        }
    }
    Err(Error::NoCommonSignature)
}

fn terms12(config: &ServerConfig, hello: &ClientHello<'_>) -> Result<Established, Error> {
    let offered = |suite: &Suite| suite.version() == Version::Tls12 && hello.suites.contains(suite.code());
    let suites = config.options.suites.iter().copied().filter(offered);
    if suites.clone().next().is_none() {
        return Err(Error::NoCommonSuite);
    }
    // RFC 8422 section 4: a client without supported_groups leaves the choice to the server.
    let takes = |group: Group| hello.groups.is_none_or(|groups| groups.contains(group.code()));
    let mut groups = config.options.groups.iter().copied().filter(|group| !group.is_hybrid());
    let group = match hello.groups {
        Some(_) => groups.find(|&group| takes(group)),
        None => groups.find(|&group| group == Group::Secp256r1),
    };
    let group = group.ok_or(Error::NoCommonGroup)?;
    let (candidates, named) = config.names.find(hello.server_name);
    for &certificate in candidates {
        let Some(kind) = config.certificates.get(usize::from(certificate)).map(|it| it.kind) else {
            continue;
        };
        let authentication = match kind {
            // RFC 8422 section 5.3: the certificate's curve is among the client's groups.
            Kind::EcdsaP256 if !takes(Group::Secp256r1) => continue,
            Kind::EcdsaP384 if !takes(Group::Secp384r1) => continue,
            // RFC 8422 section 5.10: Ed25519 goes with the suites of ECDSA; it names no curve in groups.
            Kind::EcdsaP256 | Kind::EcdsaP384 | Kind::Ed25519 => Authentication::Ecdsa,
            Kind::Rsa => Authentication::Rsa,
        };
        let suite = suites.clone().find(|suite| suite.authentication() == authentication);
        let scheme = scheme(config, hello, certificate, Version::Tls12);
        if let (Some(suite), Some(scheme)) = (suite, scheme) {
            let protocol = protocol(config, hello)?;
            let version = Version::Tls12;
            return Ok(Established { version, suite, group, scheme, protocol, certificate, named });
        }
    }
    Err(Error::NoCommonSignature)
}

/// How `certificate` can sign so that the client can verify it.
fn scheme(
    config: &ServerConfig,
    hello: &ClientHello<'_>,
    certificate: u16,
    version: Version,
) -> Option<SignatureScheme> {
    use SignatureScheme as S;
    // RFC 8446 section 4.2.3: RSASSA-PKCS1-v1_5 is not for signed TLS 1.3 handshake messages.
    const RSA13: &[S] = &[S::RsaPssRsaeSha256, S::RsaPssRsaeSha384, S::RsaPssRsaeSha512];
    const RSA12: &[S] = &[
        S::RsaPssRsaeSha256,
        S::RsaPssRsaeSha384,
        S::RsaPssRsaeSha512,
        S::RsaPkcs1Sha256,
        S::RsaPkcs1Sha384,
        S::RsaPkcs1Sha512,
    ];
    let ours: &[S] = match (config.certificates.get(usize::from(certificate))?.kind, version) {
        (Kind::EcdsaP256, _) => &[S::EcdsaSecp256r1Sha256],
        (Kind::EcdsaP384, _) => &[S::EcdsaSecp384r1Sha384],
        (Kind::Ed25519, _) => &[S::Ed25519],
        (Kind::Rsa, Version::Tls13) => RSA13,
        (Kind::Rsa, Version::Tls12) => RSA12,
    };
    // RFC 5246 section 7.4.1.4.1: without the extension SHA-1 would be meant, which we do not sign.
    let theirs = hello.signatures?;
    ours.iter().copied().find(|scheme| theirs.contains(scheme.code()))
}

/// RFC 7301 section 3.2: no overlap is fatal.
fn protocol(config: &ServerConfig, hello: &ClientHello<'_>) -> Result<Option<u8>, Error> {
    let ours = &config.options.alpn;
    if hello.alpn.is_none() || ours.is_empty() {
        return Ok(None);
    }
    let index = ours.iter().position(|protocol| hello.offers_protocol(protocol));
    let index = index.and_then(|index| u8::try_from(index).ok());
    index.map(Some).ok_or(Error::NoCommonProtocol)
}
