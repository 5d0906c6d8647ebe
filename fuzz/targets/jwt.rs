//! Runs `tests/hostile/targets/jwt.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(jwt);
