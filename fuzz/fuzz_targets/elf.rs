#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| asgi_abi::fuzzing::elf(data));
