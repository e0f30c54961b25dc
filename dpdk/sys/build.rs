//! Generates the bindings against the installed libdpdk and compiles what C has to compile: the static
//! inline functions that bindgen wraps, `asym.c` and `shim.c`.

use std::env;
use std::path::PathBuf;

/// The libraries that the allowed functions live in. Drivers are plug-ins, loaded at run time, but for the
/// one that makes ports of rings by a call of its own.
const LIBRARIES: [&str; 9] =
    ["eal", "mbuf", "mempool", "ethdev", "cryptodev", "ring", "kvargs", "net", "net_ring"];

/// What `levee-dpdk` calls, as regular expressions. No more: some static inlines of the headers do not
/// compile on their own.
const FUNCTIONS: [&str; 15] = [
    "levee_.*",
    "rte_crypto_op_(bulk_alloc|pool_create)",
    "rte_cryptodev_asym_(get_header_session_size|get_private_session_size|session_(free|pool_create))",
    "rte_cryptodev_(close|configure|start|stop|info_get|is_valid_dev|name_get|socket_id)",
    "rte_cryptodev_(queue_pair_setup|enqueue_burst|dequeue_burst)",
    "rte_cryptodev_sym_(get_private_session_size|session_(create|free|pool_create))",
    "rte_(dev_probe|eal_init|get_main_lcore|get_tsc_hz|rdtsc|strerror|thread_(un)?register)",
    "rte_eth_dev_(adjust_nb_rx_tx_desc|close|configure|get_mtu|get_name_by_port|get_port_by_name|info_get)",
    "rte_eth_dev_(rss_hash_conf_get|rss_reta_query|rss_reta_update|socket_id|start|stop)",
    "rte_eth_(find_next|from_rings|link_get_nowait|macaddr_get|promiscuous_enable|stats_get)",
    "rte_eth_(rx_burst|rx_queue_setup|tx_burst|tx_prepare|tx_queue_setup)",
    "rte_log_set_global_level",
    "rte_(mbuf_dynflag_register_bitnum|mempool_in_use_count)",
    "rte_pktmbuf_(alloc|attach|attach_extbuf|ext_shinfo_init_helper|free|free_bulk|pool_create)",
    "rte_ring_(create_elem|free|sc_dequeue_elem|sp_enqueue_elem)",
];

fn main() {
    for input in ["build.rs", "asym.c", "shim.c", "shim.h", "wrapper.h"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let dpdk = pkg_config::Config::new()
        .atleast_version("22.11")
        .cargo_metadata(false)
        .probe("libdpdk")
        .expect("libdpdk 22.11 or newer, found by pkg-config (Debian: apt install libdpdk-dev)");
    for path in &dpdk.link_paths {
        println!("cargo::rustc-link-search=native={}", path.display());
    }
    for library in LIBRARIES {
        println!("cargo::rustc-link-lib=rte_{library}");
    }

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let wrappers = out.join("wrappers.c");
    let mut flags = vec!["-include".to_owned(), "rte_config.h".to_owned()];
    flags.extend(dpdk.include_paths.iter().map(|path| format!("-I{}", path.display())));
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        // The headers use SSE 4 intrinsics; DPDK's own floor is the same level.
        flags.push("-march=x86-64-v2".to_owned());
    }

    bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(&flags)
        .allowlist_function(FUNCTIONS.join("|"))
        .allowlist_var("(RTE|LEVEE)_.*")
        .wrap_static_fns(true)
        .wrap_static_fns_path(&wrappers)
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        // Packed GTP headers cannot have it.
        .derive_debug(false)
        .layout_tests(false)
        .generate_comments(false)
        .generate()
        .expect("bindgen understands the DPDK headers")
        .write_to_file(out.join("bindings.rs"))
        .expect("OUT_DIR is writable");

    let mut c = cc::Build::new();
    for flag in &flags {
        c.flag(flag);
    }
    c.include(".").file(&wrappers).file("asym.c").file("shim.c").opt_level(2).warnings(false);
    c.compile("levee_dpdk_shim");
}
