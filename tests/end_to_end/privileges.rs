//! What Levee may still do once it serves: next to nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use levee_tests::{Client, Site, Tls, Version, pattern};
use nix::unistd::{Pid, User};

/// The fields of `status` of each thread.
fn threads(pid: Pid) -> Vec<BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let status = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("status")).expect("the thread is there");
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
        };
        text.lines().filter_map(field).collect()
    };
    tasks.map(|task| status(task.expect("a thread"))).collect()
}

/// The user that Levee becomes by itself here.
fn user() -> User {
    let named = |name| User::from_name(name).expect("users can be looked up");
    named("levee").or_else(|| named("nobody")).expect("every Debian has nobody")
}

fn serves(site: &Site) {
    for version in [Version::Tls13, Version::Tls12] {
        let mut client = Client::connect(site, Tls { version, ..Tls::default() });
        assert_eq!(client.get("/bytes/100000").unwrap().body, pattern(100_000));
        client.close().unwrap();
    }
}

/// By itself, and each thread: EAL's too.
#[test]
fn rights_are_given_up() {
    let mut site = Site::with(|config| {
        config.set("workers.lcores", vec![0, 1]);
    });
    serves(&site);
    let pid = site.levee().id();
    let user = user();
    let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
    let threads = threads(pid);
    assert!(threads.len() >= 4, "the main thread, two workers, EAL's: {}", threads.len());
    for thread in threads {
        let four = |id: &str| [id; 4].join(" ");
        assert_eq!((&thread["Uid"], &thread["Gid"]), (&four(&uid), &four(&gid)), "{}", thread["Name"]);
        assert_eq!(thread["Groups"], gid, "{}", thread["Name"]);
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(u64::from_str_radix(&thread[set], 16), Ok(0), "{set} of {}", thread["Name"]);
        }
        assert_eq!((&*thread["NoNewPrivs"], &*thread["Seccomp"]), ("1", "2"), "{}", thread["Name"]);
        let kib = thread["VmLck"].strip_suffix(" kB").and_then(|text| text.parse::<u64>().ok());
        assert!(kib.is_some_and(|kib| kib > 10_000), "locked: {}", thread["VmLck"]);
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("the process runs");
    let core =
        limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit is there");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    // Who cannot be dumped belongs to root there (proc(5)).
    let owner = fs::metadata(format!("/proc/{pid}/environ")).expect("the process runs").uid();
    assert_eq!(owner, 0);
    site.finish();
}

/// What the configuration leaves stays.
#[test]
fn rights_are_kept() {
    let mut site = Site::with(|config| {
        config.set("process.user", "root").set("process.filter_system_calls", false);
        config.set("process.lock_memory", false).set("process.core_dumps", true);
    });
    serves(&site);
    for thread in threads(site.levee().id()) {
        assert_eq!((&*thread["Uid"], &*thread["Seccomp"]), ("0 0 0 0", "0"), "{}", thread["Name"]);
    }
    site.finish();
}

/// What is written while serving goes to files that were opened before.
#[test]
fn logs_are_written_all_the_same() {
    let site = Site::with(|config| {
        config.set("log.access", "access.log");
    });
    serves(&site);
    let path = site.directory().join("access.log");
    let metadata = fs::metadata(&path).expect("the log is there");
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o600));
    site.finish();
}
