//! For tests that change their process for good: a process of their own.

use std::process::Command;

use levee_dpdk::Eal;

/// DPDK in a process of the test's own, on ordinary memory.
///
/// # Panics
/// It does not start.
pub(crate) fn eal(name: &str) -> Eal {
    let prefix = format!("--file-prefix=levee-{name}-{}", std::process::id());
    let args = ["--no-huge", "-m", "512", "--no-shconf", "--no-pci", "--lcores=0@0", &prefix];
    Eal::init(&args.map(str::to_owned)).expect("DPDK starts")
}

/// Set in the process of the test's own.
const INSIDE: &str = "LEVEE_TEST_ALONE";

/// Runs `body` in a process of its own, as the test `path` of this crate.
///
/// # Panics
/// When the test fails there.
pub(crate) fn in_a_process(path: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let mut command = Command::new(std::env::current_exe().expect("this test has a file"));
    let output = command.args(["--exact", path, "--nocapture"]).env(INSIDE, "1").output();
    let output = output.expect("it can be run again");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
