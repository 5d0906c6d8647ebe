//! `tests/hostile/targets/form.rs`, for libFuzzer.

#![cfg_attr(fuzzing, no_main)]

strongroom_fuzz::target!(form);
