//! Runs `tests/hostile/targets/callback.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(callback);
