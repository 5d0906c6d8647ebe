//! Binaries for libFuzzer, one for each kind of hostile input. The fuzz targets are in `tests/hostile/targets`, and
//! `cargo test` runs these targets with their seeds.

#[cfg(fuzzing)]
pub use targets;

#[cfg(fuzzing)]
pub use libfuzzer_sys;

/// Defines the libFuzzer binary of the target with this name.
#[cfg(fuzzing)]
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        use $crate::libfuzzer_sys;
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::targets::$name::check(input));
    };
}

/// Defines the binary of the target with this name in builds without `cfg(fuzzing)`. The binary only prints the command
/// for fuzzing.
#[cfg(not(fuzzing))]
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        fn main() {
            eprintln!("cargo xtask fuzz {}", stringify!($name));
        }
    };
}
