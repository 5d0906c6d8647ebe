//! Runs `tests/hostile/targets/challenge.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(challenge);
