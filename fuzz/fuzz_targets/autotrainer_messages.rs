#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodewire_fuzz_oracles::autotrainer_messages(data));
