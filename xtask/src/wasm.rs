//! The Rust core becomes `pkg/glue`: cargo, then wasm-bindgen, then wasm-opt.

use crate::install::{self, WASM_TARGET};
use crate::paths::{at, target};
use crate::process::{cargo, node};
use crate::progress::{Output, step, unchanged};
use crate::stamp::Stamp;
use anyhow::Result;
use std::fs;
use std::path::Path;
use wasm_bindgen_cli_support::Bindgen;

/// The name of the glue and, with `_bg.wasm`, of the module: see pkg/build.mjs.
const NAME: &str = "strongroom";

/// For size; the features are those that rustc has switched on in its output.
const WASM_OPT: [&str; 1] = ["-Oz"];

/// Writes `pkg/glue`.
pub(crate) fn build() -> Result<()> {
    install::wasm_target()?;
    // Cargo itself knows best whether anything changed.
    step("core: cargo rustc", Output::Loud, compile)?;

    let module = target(&format!("{WASM_TARGET}/release/{NAME}.wasm"));
    let stamp = Stamp::of(
        "glue",
        &[module.clone(), at("package-lock.json")],
        &WASM_OPT,
    )?;
    let glue = at("pkg/glue");
    let outputs =
        ["strongroom.js", "strongroom.d.ts", "strongroom_bg.wasm"].map(|name| glue.join(name));
    if stamp.is_fresh(&outputs) {
        unchanged("core: wasm-bindgen, wasm-opt");
        return Ok(());
    }
    step("core: wasm-bindgen", Output::Quiet, || bind(&module, &glue))?;
    step("core: wasm-opt", Output::Quiet, || {
        optimise(&glue.join("strongroom_bg.wasm"))
    })?;
    stamp.write()
}

/// `cargo build` would skip link-time optimisation for a library that is also an rlib; `cargo rustc`
/// with the one crate type does not.
fn compile() -> Result<()> {
    cargo()
        .args([
            "rustc",
            "--quiet",
            "--package",
            NAME,
            "--lib",
            "--crate-type",
            "cdylib",
        ])
        .args(["--release", "--target", WASM_TARGET])
        .run()
}

fn bind(module: &Path, glue: &Path) -> Result<()> {
    Bindgen::new()
        .input_path(module)
        .out_name(NAME)
        .web(true)?
        .typescript(true)
        // The worker passes the wasm's address, so the glue needs none of its own.
        .omit_default_module_path(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(glue)
}

fn optimise(module: &Path) -> Result<()> {
    let optimised = module.with_extension("opt");
    node(&["node_modules/binaryen/bin/wasm-opt"])
        .args(WASM_OPT)
        .args([module, Path::new("-o"), &optimised])
        .run_quietly()?;
    Ok(fs::rename(optimised, module)?)
}
