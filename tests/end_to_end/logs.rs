//! What Levee writes for people: secrets for debugging, and a line for each request.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use levee_tests::{Client, NAME, Site, Tls, wait_for};

const SOON: Duration = Duration::from_secs(5);

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// The secrets are those that the other side has.
#[test]
fn key_log() {
    for (version, count) in [("-tls1_3", 4), ("-tls1_2", 1)] {
        let site = Site::with(|config| {
            config.set("tls.keylog", "keys.log");
        });
        let theirs = site.directory().join("their-keys.log");
        let mut command = site.network().client().command("openssl");
        command.args(["s_client", version, "-connect", &site.address().to_string(), "-servername", NAME]);
        command.arg("-keylogfile").arg(&theirs).stdin(Stdio::null());
        assert!(command.output().unwrap().status.success(), "{version}");
        let ours = site.directory().join("keys.log");
        let ours = wait_for("the secrets", SOON, || Some(lines(&ours)).filter(|lines| lines.len() == count));
        let theirs = lines(&theirs);
        for line in ours {
            assert!(theirs.iter().any(|their| their.eq_ignore_ascii_case(&line)), "{version}: {line}");
        }
        site.finish();
    }
}

#[test]
fn access_log() {
    for (format, expected) in
        [("text", " GET demo.levee.test /bytes/5 200 5 "), ("json", r#""path":"/bytes/5""#)]
    {
        let site = Site::with(|config| {
            config.set("log.access", "access.log").set("log.format", format);
        });
        let mut client = Client::connect(&site, Tls::default());
        client.get("/bytes/5").unwrap();
        client.get("/status/404").unwrap();
        let path = site.directory().join("access.log");
        let lines = wait_for("two lines", SOON, || Some(lines(&path)).filter(|lines| lines.len() == 2));
        assert!(lines[0].contains(expected), "{}", lines[0]);
        assert!(lines[1].contains("404"), "{}", lines[1]);
        drop(client);
        site.finish();
    }
}
