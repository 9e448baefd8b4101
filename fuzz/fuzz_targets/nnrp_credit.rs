#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodewire_fuzz_oracles::nnrp_credit(data));
