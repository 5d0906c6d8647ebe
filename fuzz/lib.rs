//! Binaries for libFuzzer, one for each kind of hostile input. What is run, and what must hold, is in
//! `tests/hostile/targets`, which the tests run too.

#[cfg(fuzzing)]
#[path = "../tests/hostile/targets/mod.rs"]
#[allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "these are tests, compiled as a library once for all binaries"
)]
pub mod targets;

#[cfg(fuzzing)]
pub use libfuzzer_sys;

/// The binary of the target of this name.
#[cfg(fuzzing)]
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        use $crate::libfuzzer_sys;
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::targets::$name::check(input));
    };
}

/// The binary of the target of this name: it says how to get one that fuzzes.
#[cfg(not(fuzzing))]
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        fn main() {
            eprintln!("cargo xtask fuzz {}", stringify!($name));
        }
    };
}
