//! `tests/hostile/targets/token_reply.rs`, for libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(token_reply);
