//! A crypto device that goes wrong under traffic, and is well again: Levee goes on without it meanwhile.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use levee_tests::{Client, Fault, Kind, Site, Tls, Version, pattern, wait_for};

/// Visitors that come again and again.
const VISITORS: usize = 8;

/// What a device that is left out may cost: it is tried again each second, with the keys of those who come just then.
const BROKEN_A_SECOND: u64 = 2 * VISITORS as u64;

const LONG: Duration = Duration::from_secs(20);

/// How the visits ended.
#[derive(Default)]
struct Visits {
    are_over: AtomicBool,
    whole: AtomicU64,
    broken: AtomicU64,
}

impl Visits {
    /// Comes again and again: handshake, a few pages, and away.
    fn go_on(&self, site: &Site, kind: Kind) {
        for version in [Version::Tls13, Version::Tls12].into_iter().cycle() {
            if self.are_over.load(Ordering::Relaxed) {
                return;
            }
            let mut client = Client::connect(site, Tls { version, kind, hybrid: false });
            let ended = if visit(&mut client).is_ok() { &self.whole } else { &self.broken };
            ended.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those that ended in `time`: whole, and broken.
    fn in_time(&self, time: Duration) -> (u64, u64) {
        let now = || (self.whole.load(Ordering::Relaxed), self.broken.load(Ordering::Relaxed));
        let before = now();
        thread::sleep(time);
        let after = now();
        (after.0 - before.0, after.1 - before.1)
    }

    fn wait_for_more(&self) {
        let before = self.whole.load(Ordering::Relaxed);
        wait_for("more visits", LONG, || (self.whole.load(Ordering::Relaxed) > before + 50).then_some(()));
    }
}

/// What comes is what was asked for, or an end, never anything else.
fn visit(client: &mut Client) -> io::Result<()> {
    for length in [1, 20_000, 100_000] {
        let response = client.get(&format!("/bytes/{length}"))?;
        assert!(response.body == pattern(length), "{length} bytes");
    }
    client.close()
}

/// Runs `check` while `VISITORS` come and go, with certificates of `kind`.
fn among_visitors(site: &Site, kind: Kind, check: impl FnOnce(&Visits)) -> (u64, u64) {
    struct Over<'v>(&'v Visits);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.are_over.store(true, Ordering::Relaxed);
        }
    }
    let visits = Visits::default();
    thread::scope(|scope| {
        let over = Over(&visits);
        for _ in 0..VISITORS {
            scope.spawn(|| visits.go_on(site, kind));
        }
        check(&visits);
        drop(over);
    });
    (visits.whole.into_inner(), visits.broken.into_inner())
}

/// Connections whose keys a device has break with it; all others go on without it, and it is used again when it is well.
#[test]
fn records_go_on_without_a_device() {
    let site = Site::with_faulty_device(|config| {
        config.set("tls.aead", "crypto_aesni_mb0");
    });
    let device = site.device();
    let is_used = || {
        let before = device.given();
        wait_for("the device to be used", LONG, || (device.given() > before + 500).then_some(()));
    };
    let (_, broken) = among_visitors(&site, Kind::Ecdsa, |visits| {
        visits.wait_for_more();
        is_used();
        for fault in [Fault::Fails, Fault::Hangs] {
            assert_eq!(visits.broken.load(Ordering::Relaxed) > 0, fault == Fault::Hangs);
            device.set(fault);
            // It is found out, and who had to do with it has gone.
            thread::sleep(Duration::from_secs(1));
            let (whole, broken) = visits.in_time(Duration::from_secs(3));
            assert!(whole > 100, "{fault:?}: {whole} visits in three seconds");
            assert!(broken <= 4 * BROKEN_A_SECOND, "{fault:?}: {broken} broken visits in three seconds");
            device.set(Fault::None);
            is_used();
            visits.wait_for_more();
            let (whole, broken) = visits.in_time(Duration::from_secs(1));
            assert!(whole > 30 && broken == 0, "{whole} whole and {broken} broken after {fault:?}");
        }
    });
    let end = site.finish_with_copies();
    let sum = |name: &str| end.counter(&format!("aead.{name}"));
    assert!(broken > 0 && sum("failed") > 0 && sum("left_out") >= 2);
    assert!(sum("software") > 1000 && sum("crypto_aesni_mb0") > 1000);
}

/// No handshake is lost, whatever the device does.
#[test]
fn handshakes_go_on_without_a_device() {
    let site = Site::with_faulty_device(|config| {
        // The slowest engine: the device is the faster side on every CPU.
        config.set("tls.engine", "rustcrypto").set("tls.public_key", "crypto_openssl0");
    });
    let device = site.device();
    let is_used = || {
        let before = device.given();
        wait_for("the device to be used", LONG, || (device.given() > before + 20).then_some(()));
    };
    let started = Instant::now();
    let (whole, broken) = among_visitors(&site, Kind::Rsa, |visits| {
        for fault in [Fault::Fails, Fault::Lies, Fault::Hangs] {
            is_used();
            device.set(fault);
            visits.wait_for_more();
            device.set(Fault::None);
        }
        is_used();
        visits.wait_for_more();
    });
    let end = site.finish();
    let sum = |name: &str| end.counter(&format!("public_key.{name}"));
    assert_eq!((end.counter("handshakes"), broken), (whole, 0), "after {:?}", started.elapsed());
    for fault in ["failed", "wrong", "late"] {
        assert!(sum(fault) > 0, "{fault}");
    }
    assert!(sum("left_out") >= 3 && sum("crypto_openssl0") > 60);
}
