//! `levee_fuzz::http_head` as a program of libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| levee_fuzz::http_head::run(input));
