//! `tests/hostile/targets/id_token.rs`, for libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(id_token);
