#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| esker_fuzz::run("flink_raw_timers", input));
