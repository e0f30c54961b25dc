//! A small configuration that is good, its certificates, and ways to spoil it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::OnceLock;

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256,
    date_time_ymd,
};
use tempfile::TempDir;

use crate::config::examine::{FILE, machine};
use crate::config::reader::Key;
use crate::config::{Config, Outcome, Problem, read};

/// The smallest configuration of use.
pub(super) const GOOD: &str = r#"[workers]
lcores = [1]

[[port]]
name = "client"
device = "net_null0"
address = "10.9.1.1/24"

[[port]]
name = "origin"
device = "net_null1"
address = "10.9.2.1/24"

[[listener]]
address = "10.9.1.1:443"
certificates = ["ecdsa", "rsa"]

[[certificate]]
name = "ecdsa"
chain = "ecdsa.crt"
key = "ecdsa.key"

[[certificate]]
name = "rsa"
chain = "rsa.crt"
key = "rsa.key"

[[backend]]
name = "origin"
servers = ["10.9.2.2:8080"]

[[route]]
backend = "origin"
"#;

/// What comes of `text` on the machine of [`machine`], and the keys looked for.
pub(super) fn check(text: &str) -> (Outcome, Vec<Key>) {
    read(FILE, text, directory(), &machine())
}

/// The configuration that `text` gives, which must be good and warn of nothing.
pub(super) fn config(text: &str) -> Config {
    match check(text).0 {
        Ok((config, warnings)) => {
            assert_eq!(lines(&warnings), Vec::<String>::new());
            config
        }
        Err(rejected) => panic!("{:#?}", lines(rejected.problems())),
    }
}

/// What is wrong with `text`, a line each.
pub(super) fn errors(text: &str) -> Vec<String> {
    check(text).0.map_or_else(|rejected| lines(rejected.problems()), |_| Vec::new())
}

/// What is wrong with `text`, a line each, or what it is warned of.
pub(super) fn said(text: &str) -> Vec<String> {
    check(text).0.map_or_else(|rejected| lines(rejected.problems()), |(_, warnings)| lines(&warnings))
}

fn lines(problems: &[Problem]) -> Vec<String> {
    let directory = format!("{}/", directory().display());
    let line = |problem: &Problem| problem.line().replace(&directory, "").replace("levee.toml:", "");
    problems.iter().map(line).collect()
}

/// `text` with `line`, `key = value`, in the first table of `section`; made when there is none.
pub(super) fn set(text: &str, section: &str, line: &str) -> String {
    let (section, line) = match section.split_once('.') {
        Some((section, inner)) => (section, format!("{inner}.{line}")),
        None => (section, line.to_owned()),
    };
    let mut lines: Vec<&str> = text.lines().collect();
    let headers = [format!("[{section}]"), format!("[[{section}]]")];
    let Some(header) = lines.iter().position(|line| headers.iter().any(|header| header == line)) else {
        return format!("{text}\n[{section}]\n{line}\n");
    };
    let key = line.split(' ').next().unwrap_or_default();
    let end = lines.iter().skip(header + 1).position(|line| line.starts_with('['));
    let end = end.map_or(lines.len(), |end| header + 1 + end);
    lines.splice(header + 1..end, {
        let kept = lines[header + 1..end].iter().copied().filter(|old| old.split(' ').next() != Some(key));
        kept.collect::<Vec<_>>()
    });
    lines.insert(header + 1, &line);
    lines.join("\n") + "\n"
}

/// Where the certificates are; made once.
pub(super) fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    DIRECTORY.get_or_init(|| make().expect("certificates can be made")).path()
}

fn make() -> Result<TempDir, Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let put = |name: &str, text: &str, mode: u32| {
        let path = directory.path().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
    };
    let params = || -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(["example.test".to_owned(), "*.wild.test".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "Levee test");
        Ok(params)
    };
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let good = params()?.self_signed(&key)?.pem();
    put("ecdsa.crt", &good, 0o644)?;
    put("ecdsa.key", &key.serialize_pem(), 0o600)?;
    put("open.key", &key.serialize_pem(), 0o644)?;
    put("other.key", &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.serialize_pem(), 0o600)?;

    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
    put("rsa.crt", &params()?.self_signed(&rsa)?.pem(), 0o644)?;
    put("rsa.key", &rsa.serialize_pem(), 0o600)?;

    for (name, algorithm) in
        [("p384", &PKCS_ECDSA_P384_SHA384), ("ed25519", &PKCS_ED25519), ("p521", &PKCS_ECDSA_P521_SHA512)]
    {
        let key = KeyPair::generate_for(algorithm)?;
        put(&format!("{name}.crt"), &params()?.self_signed(&key)?.pem(), 0o644)?;
        put(&format!("{name}.key"), &key.serialize_pem(), 0o600)?;
    }
    put("encrypted.key", ENCRYPTED, 0o600)?;

    let mut authority = params()?;
    authority.distinguished_name.push(DnType::CommonName, "Levee test authority");
    let authority_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let root = authority.self_signed(&authority_key)?.pem();
    let leaf = params()?.signed_by(&key, &Issuer::new(authority, authority_key))?.pem();
    put("chain.crt", &format!("{leaf}{root}"), 0o644)?;
    put("reversed.crt", &format!("{root}{leaf}"), 0o644)?;
    put("broken.crt", &format!("{leaf}{good}"), 0o644)?;
    put("long.crt", &good.repeat(60), 0o644)?;

    let dated = |from, to| -> Result<String, rcgen::Error> {
        let mut params = params()?;
        (params.not_before, params.not_after) = (from, to);
        Ok(params.self_signed(&key)?.pem())
    };
    put("expired.crt", &dated(date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1))?, 0o644)?;
    put("future.crt", &dated(date_time_ymd(2030, 1, 1), date_time_ymd(2031, 1, 1))?, 0o644)?;
    put("soon.crt", &dated(date_time_ymd(2026, 1, 1), date_time_ymd(2027, 1, 20))?, 0o644)?;
    put("nameless.crt", &CertificateParams::default().self_signed(&key)?.pem(), 0o644)?;
    let mut client = params()?;
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    put("client.crt", &client.self_signed(&key)?.pem(), 0o644)?;
    let mut signer = params()?;
    signer.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    put("signer.crt", &signer.self_signed(&key)?.pem(), 0o644)?;
    put("damaged.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o644)?;
    put("unfinished.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n", 0o644)?;
    put("empty.crt", "", 0o644)?;
    put("large.crt", &" ".repeat((1 << 20) + 1), 0o644)?;
    Ok(directory)
}

/// The frame of an encrypted key is enough to know it by.
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
