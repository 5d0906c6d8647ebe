//! Runs `tests/hostile/targets/jwks.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(jwks);
