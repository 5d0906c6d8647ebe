//! Runs `tests/hostile/targets/edge_session.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(edge_session);
