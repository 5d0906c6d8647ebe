//! Runs `tests/hostile/targets/socket.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(socket);
