//! `tests/hostile/targets/jwt.rs`, for libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(jwt);
