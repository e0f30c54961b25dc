//! A real device: it has fewer places than there are jobs, then it goes away with what it has, and comes back.

use std::fs;

use levee_dpdk::crypto::interrupt;

use super::*;
use crate::lent::Home;
use crate::testing::{eal, in_a_process};

const DEVICE: &str = "crypto_openssl0";

/// Operations that the device takes.
const QUEUE: usize = 8;

#[test]
fn no_job_is_lost_with_its_device() {
    in_a_process("public_key::tests::on_a_device::no_job_is_lost_with_its_device", || {
        let eal = eal("public-key");
        eal.attach(DEVICE).expect("the driver is there");
        let mut scene = Scene::new();
        let mut devices = PublicKeyDevices::open(&eal, &config(), &scene.keys).expect("it opens");
        let home = Home::new(devices.pairs_of(0));
        let pairs = home.lend(|_| true).into_iter().map(|pair| Box::new(pair) as Box<dyn Device>);
        // By the clock of the test the device costs nothing: it would get all, had it room.
        let mut engine = scene.engine_over(5000 * US, pairs.collect());
        scene.keep_busy(&mut engine, 40, 400);
        let by_device = sum(&engine, DEVICE);
        assert!(by_device > 200 && sum(&engine, "cpu") == 400 - by_device, "{by_device}");
        assert!(sum(&engine, "full") > 0, "jobs found no place");

        interrupt(&eal, DEVICE, true).expect("it stops");
        scene.keep_busy(&mut engine, 40, 200);
        assert_eq!(sum(&engine, DEVICE), by_device);
        let late = usize::try_from(sum(&engine, "late")).expect("few");
        assert!((MOST_FAULTS as usize..=QUEUE).contains(&late), "{late}");
        assert_eq!(sum(&engine, "left_out"), 1);

        interrupt(&eal, DEVICE, false).expect("it starts");
        scene.wait(LEFT_OUT_NS);
        scene.keep_busy(&mut engine, 40, 400);
        let again = sum(&engine, DEVICE) - by_device;
        assert!(
            again > 200,
            "it is as good as new: {again} after {by_device}, left out {}",
            sum(&engine, "left_out")
        );
        assert_eq!((sum(&engine, "wrong"), sum(&engine, "failed")), (0, 0));
    });
}

fn config() -> crate::config::Config {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("levee.toml");
    let text = format!(
        "[workers]\nlcores = [0]\n\
         [[port]]\nname = \"client\"\ndevice = \"net_null0\"\naddress = \"10.9.1.1/24\"\n\
         [[listener]]\naddress = \"10.9.1.1:80\"\ntls = false\nredirect_to_https = true\nredirect_port = 443\n\
         [tls]\npublic_key = \"{DEVICE}\"\ndevice_queue = {QUEUE}\n"
    );
    fs::write(&path, text).expect("the file can be written");
    crate::config::load(&path).expect("a good configuration").0
}
