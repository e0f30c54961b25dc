//! Generates the bindings against the installed libdpdk and compiles what C has to compile: the static
//! inline functions that bindgen wraps, and `shim.c`.

use std::env;
use std::path::PathBuf;

/// The libraries that the allowed functions live in; drivers are plug-ins, loaded at run time.
const LIBRARIES: [&str; 8] = ["eal", "mbuf", "mempool", "ethdev", "cryptodev", "ring", "kvargs", "net"];

fn main() {
    for input in ["build.rs", "shim.c", "shim.h", "wrapper.h"] {
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
        .allowlist_function("(rte|levee)_.*")
        .allowlist_type("(rte|levee)_.*")
        .allowlist_var("(RTE|LEVEE)_.*|per_lcore__(lcore_id|rte_errno)")
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
    c.include(".").file(&wrappers).file("shim.c").opt_level(2).warnings(false);
    c.compile("levee_dpdk_shim");
}
