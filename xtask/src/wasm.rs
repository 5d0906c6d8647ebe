//! The Rust core becomes `pkg/glue`: for each module cargo, then wasm-bindgen, then wasm-opt.

use crate::install::{self, WASM_TARGET};
use crate::paths::{at, target};
use crate::process::{cargo, node};
use crate::progress::{Output, step, unchanged};
use crate::stamp::Stamp;
use crate::{names, words};
use anyhow::Result;
use std::fs;
use std::path::Path;
use wasm_bindgen_cli_support::Bindgen;

const PACKAGE: &str = "strongroom";

/// A module that the core is compiled to.
struct Module {
    /// What it is called on the way.
    label: &'static str,
    /// The Cargo features: which bindings it has, and whether the texts for people are left out.
    features: &'static str,
    profile: &'static str,
    /// The name of its glue and, with `_bg.wasm`, of itself: see pkg/build.mjs.
    name: &'static str,
    wasm_opt: &'static [&'static str],
}

const MODULES: [Module; 2] = [
    Module {
        label: "vault",
        features: "vault,coded",
        profile: "release",
        name: "strongroom",
        wasm_opt: &SMALLEST,
    },
    Module {
        label: "core",
        features: "core",
        profile: "speed",
        name: "strongroom_core",
        wasm_opt: &["-O3"],
    },
];

/// The control flow is taken apart and made anew, which leaves more for `-Oz` to find.
///
/// `--low-memory-unused` lets it move constants into the offsets of loads and stores. That changes
/// something only where base and constant together wrap around to an address below 1024, so nothing
/// that is reached in such a way may lie there. Nothing does: the linker puts the stack first, whose
/// low end that is, and then statics and heap; were the stack elsewhere, it would begin with statics
/// at 1024. A stack that has overflowed traps then, where it could have gone on.
const SMALLEST: [&str; 6] = [
    "--flatten",
    "--rereloop",
    "-Oz",
    "-Oz",
    "--low-memory-unused",
    "--strip-target-features",
];

/// The Cargo features of the modules: each is compiled with one of them.
pub(crate) fn features() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|module| module.features)
}

/// Writes `pkg/glue`.
pub(crate) fn build() -> Result<()> {
    install::wasm_target()?;
    MODULES.iter().try_for_each(Module::build)
}

impl Module {
    fn build(&self) -> Result<()> {
        let Self {
            label,
            profile,
            name,
            wasm_opt,
            ..
        } = self;
        // Cargo itself knows best whether anything changed.
        step(&format!("{label}: cargo rustc"), Output::Loud, || {
            self.compile()
        })?;

        let compiled = target(&format!("{WASM_TARGET}/{profile}/{PACKAGE}.wasm"));
        let stamp = Stamp::of(
            &format!("glue-{label}"),
            &[compiled.clone(), at("package-lock.json"), at("xtask/src")],
            wasm_opt,
        )?;
        let outputs = [".js", ".d.ts", "_bg.wasm"].map(|end| at(&format!("pkg/glue/{name}{end}")));
        if stamp.is_fresh(&outputs) {
            unchanged(&format!("{label}: wasm-bindgen, wasm-opt"));
            return Ok(());
        }
        step(&format!("{label}: wasm-bindgen"), Output::Quiet, || {
            self.bind(&compiled)
        })?;
        let [.., module] = outputs;
        step(&format!("{label}: wasm-opt"), Output::Quiet, || {
            self.optimise(&module)
        })?;
        stamp.write()
    }

    /// `cargo build` would skip link-time optimisation for a library that is also an rlib;
    /// `cargo rustc` with the one crate type does not.
    fn compile(&self) -> Result<()> {
        cargo()
            .args(["rustc", "--quiet", "--package", PACKAGE, "--lib"])
            .args(["--no-default-features", "--features", self.features])
            .args(["--crate-type", "cdylib", "--target", WASM_TARGET])
            .args(["--profile", self.profile])
            .run()
    }

    fn bind(&self, compiled: &Path) -> Result<()> {
        let (module, texts) = words::split(&fs::read(compiled)?)?;
        fs::create_dir_all(at("pkg/glue"))?;
        if !texts.is_empty() {
            words::write(&texts)?;
        }
        let mut output = Bindgen::new()
            .input_bytes(self.name, module)
            .web(true)?
            .typescript(true)
            // pkg/src passes the wasm's address, so the glue needs none of its own.
            .omit_default_module_path(true)
            .remove_name_section(true)
            .remove_producers_section(true)
            .generate_output()?;
        let names = names::shorten(&mut output);
        output.emit(at("pkg/glue"))?;
        let glue = at(&format!("pkg/glue/{}.js", self.name));
        let shortened = names.apply(&fs::read_to_string(&glue)?)?;
        Ok(fs::write(glue, shortened)?)
    }

    fn optimise(&self, module: &Path) -> Result<()> {
        let optimised = module.with_extension("opt");
        node(&["node_modules/binaryen/bin/wasm-opt"])
            .args(self.wasm_opt)
            .args([module, Path::new("-o"), &optimised])
            .run_quietly()?;
        Ok(fs::rename(optimised, module)?)
    }
}
