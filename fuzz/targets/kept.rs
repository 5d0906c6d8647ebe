//! Runs `tests/hostile/targets/kept.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(kept);
