//! Every suite, group, version and kind of certificate, with three clients that share no code with us.

use std::process::Command;
use std::time::Duration;

use levee_tests::{Client, Curl, KINDS, Kind, NAME, Site, Tls, Version, pattern, run};
use rustls::NamedGroup;

/// A cipher suite under the names that clients have for it.
struct Suite {
    version: Version,
    /// The kind that the suite names; suites of TLS 1.3 name none.
    kind: Option<Kind>,
    openssl: &'static str,
    gnutls: &'static str,
}

const fn suite(version: Version, kind: Option<Kind>, openssl: &'static str, gnutls: &'static str) -> Suite {
    Suite { version, kind, openssl, gnutls }
}

#[rustfmt::skip]
const SUITES: [Suite; 9] = [
    suite(Version::Tls13, None, "TLS_AES_128_GCM_SHA256", "AES-128-GCM"),
    suite(Version::Tls13, None, "TLS_AES_256_GCM_SHA384", "AES-256-GCM"),
    suite(Version::Tls13, None, "TLS_CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    suite(Version::Tls12, Some(Kind::Ecdsa), "ECDHE-ECDSA-AES128-GCM-SHA256", "AES-128-GCM"),
    suite(Version::Tls12, Some(Kind::Ecdsa), "ECDHE-ECDSA-AES256-GCM-SHA384", "AES-256-GCM"),
    suite(Version::Tls12, Some(Kind::Ecdsa), "ECDHE-ECDSA-CHACHA20-POLY1305", "CHACHA20-POLY1305"),
    suite(Version::Tls12, Some(Kind::Rsa), "ECDHE-RSA-AES128-GCM-SHA256", "AES-128-GCM"),
    suite(Version::Tls12, Some(Kind::Rsa), "ECDHE-RSA-AES256-GCM-SHA384", "AES-256-GCM"),
    suite(Version::Tls12, Some(Kind::Rsa), "ECDHE-RSA-CHACHA20-POLY1305", "CHACHA20-POLY1305"),
];

/// A group, as it is offered.
struct Group {
    /// RFC 8422 section 5.1.1: in TLS 1.2 the groups also say which certificates the client can verify, so that
    /// the curves are among them.
    openssl: &'static str,
    gnutls: &'static str,
    /// What OpenSSL and GnuTLS report.
    reported: [&'static str; 2],
}

const GROUPS: [Group; 3] = [
    Group {
        openssl: "X25519:P-256:P-384",
        gnutls: "+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1",
        reported: ["X25519, 253 bits", "ECDHE-X25519"],
    },
    Group {
        openssl: "P-256:P-384",
        gnutls: "+GROUP-SECP256R1:+GROUP-SECP384R1",
        reported: ["ECDH, prime256v1, 256 bits", "ECDHE-SECP256R1"],
    },
    Group {
        openssl: "P-384",
        gnutls: "+GROUP-SECP384R1",
        reported: ["ECDH, secp384r1, 384 bits", "ECDHE-SECP384R1"],
    },
];

struct Case {
    suite: &'static Suite,
    group: &'static Group,
    kind: Kind,
}

fn cases() -> impl Iterator<Item = Case> {
    let suites = SUITES.iter().flat_map(|suite| GROUPS.iter().map(move |group| (suite, group)));
    let all = suites.flat_map(|(suite, group)| KINDS.map(|kind| Case { suite, group, kind }));
    all.filter(|case| {
        let is_rsa = |kind| kind == Kind::Rsa;
        // RFC 8422 section 5.10: Ed25519 goes with the suites of ECDSA.
        let suits = case.suite.kind.is_none_or(|kind| is_rsa(kind) == is_rsa(case.kind));
        let curve = case.suite.kind.is_none() || case.kind != Kind::Ecdsa || case.group.openssl != "P-384";
        suits && curve
    })
}

/// How many bytes a client fetches: more than a record holds.
const LENGTH: u64 = 20_000;

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs every case, and fails with all that went wrong.
fn check(client: impl Fn(&Site, &Case) -> Result<(), String>) {
    let site = Site::new();
    let mut wrong = Vec::new();
    for case in cases() {
        if let Err(why) = client(&site, &case) {
            wrong.push(format!("{} {:?} {}: {why}", case.suite.openssl, case.kind, case.group.openssl));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    site.finish();
}

/// Runs a client that sends what it reads, and sees to it that it got the bytes and said these words.
fn expect(command: Command, words: &[&str]) -> Result<(), String> {
    let ended = run(command, request().as_bytes(), PATIENCE);
    let text = ended.text();
    let bytes = pattern(LENGTH);
    let got = ended.stdout.windows(bytes.len()).any(|window| window == bytes);
    let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
    match (got, missing.as_slice()) {
        (true, []) => Ok(()),
        _ => {
            let readable: String =
                text.chars().filter(|c| c.is_ascii_graphic() || c.is_whitespace()).take(4000).collect();
            Err(format!("body {got}, did not say {missing:?}, said\n{readable}"))
        }
    }
}

fn request() -> String {
    format!("GET /bytes/{LENGTH} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n")
}

#[test]
fn curl() {
    check(|site, case| {
        let list = if case.suite.version == Version::Tls13 { "--tls13-ciphers" } else { "--ciphers" };
        let fetched = Curl::new(site)
            .version(case.suite.version)
            .only(case.kind)
            .args([list, case.suite.openssl, "--curves", case.group.openssl])
            .fetch(&format!("/bytes/{LENGTH}"));
        let used =
            format!("SSL connection using TLSv{} / {}", case.suite.version.number(), case.suite.openssl);
        let certificate = format!("subject: O=Levee demo ({})", case.kind.name());
        let good = fetched.status == 200
            && fetched.body == pattern(LENGTH)
            && fetched.said.contains(&used)
            && fetched.said.contains(&certificate);
        good.then_some(()).ok_or_else(|| format!("status {}, said\n{}", fetched.status, fetched.said))
    });
}

#[test]
fn openssl() {
    check(|site, case| {
        let version = case.suite.version.number();
        let flag = format!("-tls{}", version.replace('.', "_"));
        let (list, schemes) = match (case.suite.version, case.kind) {
            (Version::Tls13, Kind::Ecdsa) => ("-ciphersuites", "ECDSA+SHA256"),
            (Version::Tls13, Kind::Rsa) => ("-ciphersuites", "rsa_pss_rsae_sha256:RSA+SHA256"),
            (Version::Tls13, Kind::P384) => ("-ciphersuites", "ECDSA+SHA384"),
            (Version::Tls13, Kind::Ed25519) => ("-ciphersuites", "ed25519"),
            (Version::Tls12, Kind::Ecdsa) => ("-cipher", "ECDSA+SHA256"),
            (Version::Tls12, Kind::P384) => ("-cipher", "ECDSA+SHA384"),
            (Version::Tls12, Kind::Ed25519) => ("-cipher", "ed25519"),
            // TLS 1.2 signs by PKCS #1 for clients that know nothing else.
            (Version::Tls12, Kind::Rsa) => ("-cipher", "RSA+SHA256"),
        };
        let mut command = s_client(site);
        command.args([&flag, list, case.suite.openssl, "-groups", case.group.openssl, "-sigalgs", schemes]);
        let cipher = format!("New, TLSv{version}, Cipher is {}", case.suite.openssl);
        let key = format!("Server Temp Key: {}", case.group.reported[0]);
        let subject = format!("subject=O = Levee demo ({})", case.kind.name());
        expect(command, &[&cipher, &key, &subject, "Verification: OK"])
    });
}

#[test]
fn gnutls() {
    check(|site, case| {
        let schemes = match case.kind {
            Kind::Ecdsa => "+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256",
            Kind::Rsa => "+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-SHA256",
            Kind::P384 => "+SIGN-ECDSA-SECP384R1-SHA384:+SIGN-ECDSA-SHA384",
            Kind::Ed25519 => "+SIGN-EDDSA-ED25519",
        };
        let exchange = if case.kind == Kind::Rsa { "ECDHE-RSA" } else { "ECDHE-ECDSA" };
        let version = case.suite.version.number();
        let priority = format!(
            "NORMAL:-VERS-ALL:+VERS-TLS{version}:-CIPHER-ALL:+{}:-KX-ALL:+{exchange}:-GROUP-ALL:{}:-SIGN-ALL:{schemes}",
            case.suite.gnutls, case.group.gnutls
        );
        let mut command = site.network().client().command("gnutls-cli");
        command.arg("--x509cafile").arg(site.certificates().authorities());
        command.args(["--sni-hostname", NAME, "--verify-hostname", NAME, "--priority", &priority]);
        command.args(["--port", "443", &site.address().ip().to_string()]);
        let (version, cipher) = (format!("(TLS{version}"), format!("({})", case.suite.gnutls));
        let subject = format!("O=Levee demo ({})", case.kind.name());
        expect(command, &[&version, &cipher, case.group.reported[1], &subject, "The certificate is trusted"])
    });
}

/// X25519MLKEM768 with rustls, over the kernel's TCP: a ClientHello of two segments, for each kind of certificate.
#[test]
fn hybrid() {
    let site = Site::new();
    for kind in KINDS {
        let mut client = Client::connect(&site, Tls { kind, hybrid: true, ..Tls::default() });
        assert_eq!(client.group(), NamedGroup::X25519MLKEM768, "{kind:?}");
        assert_eq!(client.get(&format!("/bytes/{LENGTH}")).unwrap().body, pattern(LENGTH));
    }
    let end = site.finish();
    assert_eq!(end.counter("tls.gathered"), 4, "each ClientHello came in two segments");
    assert_eq!((end.counter("tls.hello_retries"), end.counter("tls.shares_passed_over")), (0, 0));
}

/// RFC 8446 section 4.1.4: the client shares a key of a group that we lack, and is told which we have.
#[test]
fn hello_retry_request() {
    let site = Site::new();
    for (groups, reported) in [
        ("P-521:X25519", "X25519, 253 bits"),
        ("P-521:P-256", "ECDH, prime256v1, 256 bits"),
        ("P-521:P-384", "ECDH, secp384r1, 384 bits"),
    ] {
        let mut command = s_client(&site);
        command.args(["-tls1_3", "-groups", groups]);
        let key = format!("Server Temp Key: {reported}");
        expect(command, &[&key, "Verification: OK"]).unwrap();
    }
    site.finish();
}

/// The right alert for an offer that we must refuse.
#[test]
fn refusals() {
    let site = Site::new();
    let cases: [(&[&str], &str); 5] = [
        (&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], "alert protocol version"),
        (&["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "alert handshake failure"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], "alert handshake failure"),
        (&["-tls1_3", "-groups", "P-521"], "alert handshake failure"),
        (&["-alpn", "h2"], "no application protocol"),
    ];
    for (arguments, alert) in cases {
        let mut command = s_client(&site);
        command.args(arguments);
        let ended = run(command, b"", PATIENCE);
        assert!(ended.text().contains(alert), "{arguments:?}: {}", ended.text());
    }
    assert_eq!(Curl::new(&site).fetch("/bytes/1").status, 200);
    site.finish();
}

/// Clients that name no host, or one that is not ours, get the first certificate.
#[test]
fn names() {
    let site = Site::new();
    for arguments in [["-noservername"].as_slice(), &["-servername", "elsewhere.test"]] {
        let mut command = site.network().client().command("openssl");
        command.args(["s_client", "-connect", &site.address().to_string()]);
        command.args(arguments).arg("-CAfile").arg(site.certificates().authorities());
        expect(command, &["subject=O = Levee demo (ecdsa)", "Verification: OK"]).unwrap();
    }
    site.finish();
}

fn s_client(site: &Site) -> Command {
    let mut command = site.network().client().command("openssl");
    command.args(["s_client", "-connect", &site.address().to_string(), "-servername", NAME]);
    command.arg("-CAfile").arg(site.certificates().authorities());
    command
}
