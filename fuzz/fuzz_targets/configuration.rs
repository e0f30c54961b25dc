//! `levee_fuzz::configuration` as a program of libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| levee_fuzz::configuration::run(input));
