#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    aims_fuzz_targets::authorization_grant(data);
});
