//! `cargo xtask miri`: runs the tests of the crate `wasm` under Miri, which detects undefined behavior in unsafe code.
//!
//! Miri is a part of nightly toolchains only. The project is built with a stable toolchain, so this command is not a
//! part of `cargo xtask test`, and it installs nothing.

use crate::process::program;
use anyhow::{Result, bail};
use std::path::Path;

/// The toolchain that has Miri.
const TOOLCHAIN: &str = "nightly";

/// Runs the tests. Fails if Miri is not installed.
pub(crate) fn run() -> Result<()> {
    let cargo = |arguments: &[&str]| {
        program("rustup")
            .args(["run", TOOLCHAIN, "cargo"])
            .args(arguments)
    };
    // Without the sources of the standard library, Miri would ask the user whether to install them.
    let sysroot = program("rustup").args(["run", TOOLCHAIN, "rustc", "--print", "sysroot"]);
    let sources = Path::new(&sysroot.read().unwrap_or_default()).join("lib/rustlib/src/rust");
    if !sources.is_dir() || !cargo(&["miri", "--version"]).succeeds() {
        bail!(
            "Miri is not installed, so the allocator was NOT tested under it. With rustup (https://rustup.rs) run \
             `rustup toolchain install {TOOLCHAIN} --component miri,rust-src`"
        );
    }
    cargo(&["miri", "test", "--package", "strongroom-wasm", "--lib"]).run()
}
