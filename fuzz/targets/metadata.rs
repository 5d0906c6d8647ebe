//! `tests/hostile/targets/metadata.rs`, for libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(metadata);
