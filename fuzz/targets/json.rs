//! Runs `tests/hostile/targets/json.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(json);
