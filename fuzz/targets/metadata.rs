//! Runs `tests/hostile/targets/metadata.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(metadata);
