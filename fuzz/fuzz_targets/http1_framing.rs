#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ferricorn::fuzzing::http1_framing(data));
