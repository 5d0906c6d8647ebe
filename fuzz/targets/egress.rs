//! Runs `tests/hostile/targets/egress.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(egress);
