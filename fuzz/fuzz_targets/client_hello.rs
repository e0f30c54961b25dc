//! `levee_fuzz::client_hello` as a program of libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| levee_fuzz::client_hello::run(input));
