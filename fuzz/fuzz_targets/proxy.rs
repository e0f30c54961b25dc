//! `levee_fuzz::proxy` as a program of libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| levee_fuzz::proxy::run(input));
