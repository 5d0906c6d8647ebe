//! Runs `tests/hostile/targets/form.rs` with libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(form);
