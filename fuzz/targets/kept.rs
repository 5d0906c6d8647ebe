//! `tests/hostile/targets/kept.rs`, for libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(kept);
