//! Any bytes taken as a connection of a syslog client.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::syslog(data));
