//! Runs `tests/hostile/targets/id_token.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(id_token);
