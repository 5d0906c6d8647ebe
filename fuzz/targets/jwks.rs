//! `tests/hostile/targets/jwks.rs`, for libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(jwks);
