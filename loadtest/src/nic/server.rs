//! The Levee of a row: its certificates, its configuration, its start.

use std::fs;
use std::path::Path;

use levee_dpdk::Eal;
use levee_proxy::launch::Running;
use miette::{Context, IntoDiagnostic};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};

/// Levee's address on the side of the clients, and the network around it.
pub(super) const CLIENT_SIDE: &str = "10.9.1.1";
/// The first address of the load.
pub(super) const SOURCE: &str = "10.9.1.100/24";
/// The origin.
pub(super) const ORIGIN: &str = "10.9.2.2";

/// Starts Levee on `ports` (of the clients and, where there is one, of the origin), on `cpu`.
///
/// # Errors
/// What Levee says.
pub(super) fn start(eal: &Eal, ports: &[&str], cpu: usize, memory_mib: u32) -> miette::Result<Running> {
    let directory = tempfile::tempdir().into_diagnostic()?;
    write_certificates(directory.path()).wrap_err("cannot make certificates")?;
    let path = directory.path().join("levee.toml");
    fs::write(&path, config(ports, cpu, memory_mib)).into_diagnostic()?;
    let (config, _) = levee_proxy::config::load(&path)?;
    Running::start(eal, config)
}

fn write_certificates(directory: &Path) -> miette::Result<()> {
    let ecdsa = KeyPair::generate().into_diagnostic()?;
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).into_diagnostic()?;
    for (name, key) in [("ecdsa", ecdsa), ("rsa", rsa)] {
        let params = CertificateParams::new(vec!["levee.test".to_owned()]).into_diagnostic()?;
        let certificate = params.self_signed(&key).into_diagnostic()?;
        fs::write(directory.join(format!("{name}.crt")), certificate.pem()).into_diagnostic()?;
        fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).into_diagnostic()?;
    }
    Ok(())
}

/// The configuration, as a file of Levee's.
fn config(ports: &[&str], cpu: usize, memory_mib: u32) -> String {
    let addresses = [format!("{CLIENT_SIDE}/24"), "10.9.2.1/24".to_owned()];
    let ports: String = ["client", "origin"]
        .iter()
        .zip(ports)
        .zip(addresses)
        .map(|((name, device), address)| {
            format!("[[port]]\nname = \"{name}\"\ndevice = \"{device}\"\naddress = \"{address}\"\n")
        })
        .collect();
    // Without a port towards it, the origin is a neighbour of the clients that never answers.
    let origin = if ports.contains("\"origin\"") { ORIGIN } else { "10.9.1.200" };
    format!(
        r#"
[eal]
memory_mib = {memory_mib}
[workers]
lcores = [{cpu}]
connections = 16384
[limits]
handshakes = 16384
[log]
level = "error"
[diagnostics]
cycles = true
{ports}
[[listener]]
address = "{CLIENT_SIDE}:443"
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
servers = ["{origin}:8080"]
[[route]]
host = "*"
path = "/"
backend = "origin"
[[route]]
host = "*"
path = "/cached"
backend = "origin"
cache = true
"#
    )
}
