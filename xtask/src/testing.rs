//! Builds the module of `strongroom/testing` from `tests/kit`.

use crate::install::WASM_TARGET;
use crate::paths::{at, target};
use crate::process::{cargo, node};
use crate::progress::{Output, step, unchanged};
use crate::stamp::Stamp;
use crate::wasm::{OUTPUTS, compiler_stamp, copy, has_std, publish};
use anyhow::{Result, ensure};
use std::fs;
use std::path::Path;
use wasm_bindgen_cli_support::{Bindgen, EncodeInto};

const PACKAGE: &str = "strongroom-test-kit";
/// The name of the module and of its glue in `pkg/glue`.
const NAME: &str = "strongroom_testing";
const PROFILE: &str = "testing";

/// The passes of wasm-opt: those of the modules for apps (`SMALLEST` in wasm.rs) that save much in little time.
const SMALL: [&str; 7] = [
    "--flatten",
    "--rereloop",
    "-Oz",
    "--low-memory-unused",
    "-Oz",
    "--dealign",
    "--strip-target-features",
];

/// Returns the arguments with which Cargo selects the library.
pub(crate) const SELECTION: [&str; 5] = ["--package", PACKAGE, "--lib", "--target", WASM_TARGET];

/// Writes the module and its glue to `pkg/glue`.
pub(crate) fn build() -> Result<()> {
    let compiled = target("xtask/compiled/strongroom_testing.wasm");
    let label = "testing: cargo rustc";
    let built = compiler_stamp(
        "testing",
        &[
            "src",
            "tests/kit/Cargo.toml",
            "tests/kit/src",
            "xtask/src/testing.rs",
        ],
        &SELECTION,
    )?;
    let module = [compiled.clone()];
    if built.is_fresh(&module) {
        unchanged(label);
    } else {
        step(label, Output::Loud, || {
            cargo()
                .args(["rustc", "--quiet"])
                .args(SELECTION)
                .args(["--crate-type", "cdylib", "--profile", PROFILE])
                .run()
        })?;
        let from = target(&format!("{WASM_TARGET}/{PROFILE}/kit.wasm"));
        // Control: the standard library is found where it is.
        ensure!(
            has_std(&fs::read(&from)?),
            "the search for the standard library finds nothing"
        );
        copy(&from, &compiled)?;
        built.write(&module)?;
    }
    let glue = target("xtask/glue");
    let outputs = OUTPUTS.map(|end| glue.join(format!("{NAME}{end}")));
    let inputs = ["Cargo.lock", "xtask/src/testing.rs"].map(at);
    let inputs = [vec![compiled.clone()], inputs.to_vec()].concat();
    let stamp = Stamp::of("glue-testing", &inputs, &SMALL)?;
    if stamp.is_fresh(&outputs) {
        unchanged("testing: wasm-bindgen, wasm-opt");
        return publish(outputs);
    }
    step("testing: wasm-bindgen", Output::Quiet, || {
        let module = fs::read(&compiled)?;
        fs::create_dir_all(&glue)?;
        Bindgen::new()
            .input_bytes(NAME, module)
            .web(true)?
            .typescript(true)
            .encode_into(EncodeInto::Always)
            .omit_default_module_path(true)
            .remove_producers_section(true)
            .generate_output()?
            .emit(&glue)
    })?;
    step("testing: wasm-opt", Output::Quiet, || {
        let module = glue.join(format!("{NAME}_bg.wasm"));
        node(&["node_modules/binaryen/bin/wasm-opt"])
            .args(SMALL)
            .args([module.as_path(), Path::new("-o"), module.as_path()])
            .run_quietly()
    })?;
    stamp.write(&outputs)?;
    publish(outputs)
}
