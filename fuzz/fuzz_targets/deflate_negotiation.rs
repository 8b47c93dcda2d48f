#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ferricorn::fuzzing::deflate_negotiation(data));
