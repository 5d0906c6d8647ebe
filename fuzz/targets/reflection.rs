//! Runs `tests/hostile/targets/reflection.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(reflection);
