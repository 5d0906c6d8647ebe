//! Runs `tests/hostile/targets/edge_logout.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(edge_logout);
