//! Runs `tests/hostile/targets/vault.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(vault);
