//! `tests/hostile/targets/challenge.rs`, for libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(challenge);
