//! Runs `tests/hostile/targets/token_reply.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(token_reply);
