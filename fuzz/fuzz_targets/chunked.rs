//! `levee_fuzz::chunked` as a program of libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| levee_fuzz::chunked::run(input));
