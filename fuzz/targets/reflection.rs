//! `tests/hostile/targets/reflection.rs`, for libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(reflection);
