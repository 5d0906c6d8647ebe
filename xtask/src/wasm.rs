//! Builds `pkg/glue` from the Rust core: runs cargo, then wasm-bindgen, and then wasm-opt for each module.
//!
//! There are two modules: the vault's, which runs in browsers, and the token handler's. rustc and wasm-opt keep little
//! more than one core busy each, so both modules are compiled, or optimized, at the same time.
//!
//! A module is compiled again only if the content of its sources has changed, and its outputs are kept in `target`. A
//! clone to which `target` was copied therefore does not compile the modules again.

use crate::at_once::each;
use crate::install::{self, WASM_TARGET};
use crate::names;
use crate::paths::{at, target};
use crate::process::{cargo, node, program};
use crate::progress::{Output, step, unchanged};
use crate::stamp::Stamp;
use crate::{closures, messages};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use walrus::ModuleConfig;
use wasm_bindgen_cli_support::{Bindgen, EncodeInto};

/// A module that is compiled from the core.
struct Module {
    /// The module's name in progress lines.
    label: &'static str,
    /// The crate that has the module's bindings.
    package: &'static str,
    /// The name of the crate's library, and so of the file that cargo writes.
    library: &'static str,
    /// The Cargo features of the crate, separated by commas.
    features: &'static str,
    /// The name of the module's files: see pkg/build.mjs.
    name: &'static str,
    /// True if the module can be instantiated again, after a trap.
    restarts: bool,
}

const MODULES: [Module; 2] = [
    Module {
        label: "vault",
        package: "strongroom-browser",
        library: "browser",
        features: "interned-messages",
        name: "strongroom",
        restarts: false,
    },
    Module {
        label: "edge",
        package: "strongroom-edge-module",
        library: "edge_module",
        features: "",
        name: "strongroom_edge",
        restarts: true,
    },
];

/// Binaryen's passes for the smallest module. Flattening and rebuilding the control flow lets `-Oz` save more.
///
/// `--low-memory-unused` lets Binaryen move constants into the offsets of loads and stores. This changes behavior only
/// if the sum of base and constant wraps around to an address below 1024, so there must be no data below 1024. The
/// linker places only the stack there, with its low end at address 0. If the stack were elsewhere, statics would begin
/// at 1024. A stack overflow that would otherwise go unnoticed may trap.
///
/// Functions of up to five instructions are always inlined, and longer functions never: LLVM has already inlined
/// functions that are called once. `--dealign` removes alignment hints, which engines ignore. Without these hints,
/// equal instructions are equal bytes. The last round knows the effects of each function on its callers.
const SMALLEST: [&str; 16] = [
    "--flatten",
    "--rereloop",
    "-Oz",
    "-Oz",
    "--flatten",
    "--dfo",
    "-Oz",
    "--low-memory-unused",
    "--one-caller-inline-max-function-size",
    "0",
    "--always-inline-max-function-size",
    "5",
    "--dealign",
    "--strip-target-features",
    "--generate-global-effects",
    "-Oz",
];

/// An export that is removed. Without this export, the glue encodes each string with one call instead of character by
/// character. One call takes less code, and is faster for long strings, because workerd runs a loop over the characters
/// slowly.
const REALLOC: &str = "__wbindgen_realloc";

/// Returns the package of each module.
#[cfg(test)]
pub(crate) fn packages() -> [&'static str; 2] {
    MODULES.each_ref().map(|module| module.package)
}

/// Returns the arguments with which Cargo selects each module.
pub(crate) fn selections() -> [[&'static str; 6]; 2] {
    MODULES.each_ref().map(Module::selection)
}

/// Writes `pkg/glue`.
pub(crate) fn build() -> Result<()> {
    with_messages(&MODULES.each_ref())
}

/// Writes the vault's part of `pkg/glue`.
pub(crate) fn vault() -> Result<()> {
    with_messages(&[&MODULES[0]])
}

/// Writes modules, the vault's among them, and the file of messages, which come from the vault's module alone.
fn with_messages(modules: &[&Module]) -> Result<()> {
    install::wasm_target()?;
    let texts = messages::all()?;
    build_modules(modules, &messages::hashes(&texts))?;
    let interned = messages::of(&fs::read(MODULES[0].compiled())?)?;
    messages::write(&texts, &interned)
}

/// Writes the modules to `pkg/glue`, without the file of messages. With `only`, writes only the module of this name.
pub(crate) fn modules() -> Result<()> {
    let hashes = messages::hashes(&messages::all()?);
    build_modules(&MODULES.iter().collect::<Vec<_>>(), &hashes)
}

fn build_modules(modules: &[&Module], hashes: &str) -> Result<()> {
    let build = |module: &&Module| {
        module.compile(hashes)?;
        module.bind()
    };
    each(2, modules, build)
        .into_iter()
        .collect::<Result<()>>()?;
    let outputs = modules
        .iter()
        .flat_map(|module| OUTPUTS.map(|end| module.output(end)));
    publish(outputs)
}

/// Returns the stamp of a module that is compiled from the folders `sources`. `options` are all other values that affect
/// the compiled module.
pub(crate) fn compiler_stamp(label: &str, sources: &[&str], options: &[&str]) -> Result<Stamp> {
    let settings = ["Cargo.toml", "Cargo.lock", ".cargo/config.toml"];
    let inputs = [sources, &settings].concat();
    let inputs: Vec<_> = inputs.iter().map(|input| at(input)).collect();
    let compiler = program("rustc").args(["--version", "--verbose"]).read()?;
    let environment = compiler_environment();
    Stamp::of(
        &format!("compiled-{label}"),
        &inputs,
        &[options, &[&*compiler, &*environment]].concat(),
    )
}

/// Returns the environment variables that can change the result of a compilation, with their values, and the user's own
/// configuration of cargo.
fn compiler_environment() -> String {
    const NAMES: [&str; 4] = [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC",
        "RUSTC_WRAPPER",
    ];
    const BEGINNINGS: [&str; 3] = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_WASM32_"];
    let mut found: Vec<_> = std::env::vars()
        .filter(|(name, _)| {
            NAMES.contains(&&**name) || BEGINNINGS.iter().any(|start| name.starts_with(start))
        })
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    found.sort();
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        let own = Path::new(&home).join("config.toml");
        found.extend(fs::read_to_string(own));
    }
    found.join("\n")
}

/// Returns true if a compiled module contains the allocator of the standard library. Names of functions are in the module
/// until wasm-bindgen removes them.
pub(crate) fn has_std(module: &[u8]) -> bool {
    const ALLOCATOR: &[u8] = b"dlmalloc";
    module
        .windows(ALLOCATOR.len())
        .any(|part| part == ALLOCATOR)
}

/// Copies a file. Creates its folder.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).with_context(|| format!("{} could not be copied", from.display()))?;
    Ok(())
}

/// Copies files to `pkg/glue`, except those that are there with the same content.
pub(crate) fn publish(files: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    for file in files {
        let to = at("pkg/glue").join(file.file_name().unwrap_or_default());
        if fs::read(&file).ok() != fs::read(&to).ok() {
            copy(&file, &to)?;
        }
    }
    Ok(())
}

/// The ends of the names of a module's files in `pkg/glue`.
pub(crate) const OUTPUTS: [&str; 3] = [".js", ".d.ts", "_bg.wasm"];

/// Returns the names of the modules, each with its file.
pub(crate) fn files() -> impl Iterator<Item = (&'static str, String)> {
    MODULES
        .iter()
        .map(|module| (module.label, format!("pkg/glue/{}_bg.wasm", module.name)))
}

impl Module {
    /// Returns the arguments with which Cargo selects the module.
    fn selection(&self) -> [&'static str; 6] {
        [
            "--package",
            self.package,
            "--features",
            self.features,
            "--target",
            WASM_TARGET,
        ]
    }

    /// Runs cargo, unless the compiled module is up to date. Each module has its own target folder, because cargo builds
    /// one thing at a time in a folder.
    fn compile(&self, hashes: &str) -> Result<()> {
        let selection = self.selection();
        let options = [selection.as_slice(), &[hashes]].concat();
        let stamp = compiler_stamp(self.label, &["src", "xtask/src/wasm.rs"], &options)?;
        let compiled = [self.compiled()];
        let label = format!("{}: cargo build", self.label);
        if stamp.is_fresh(&compiled) {
            unchanged(&label);
            return Ok(());
        }
        let folder = target("modules").join(self.label);
        step(&label, Output::Loud, || {
            cargo()
                .args(["build", "--quiet", "--release"])
                .args(selection)
                .args(["--target-dir".as_ref(), folder.as_os_str()])
                .env(messages::VARIABLE, hashes)
                .run()
        })?;
        let from = folder.join(format!("{WASM_TARGET}/release/{}.wasm", self.library));
        ensure!(
            !has_std(&fs::read(&from)?),
            "{} contains the standard library, whose allocator does not wipe freed memory",
            from.display()
        );
        copy(&from, &self.compiled())?;
        stamp.write(&compiled)
    }

    /// Runs wasm-bindgen and wasm-opt, unless the outputs are up to date.
    fn bind(&self) -> Result<()> {
        let label = self.label;
        let inputs = [
            "Cargo.lock",
            "package-lock.json",
            "pkg/shorten-glue.mjs",
            "xtask/src/closures.rs",
            "xtask/src/messages.rs",
            "xtask/src/names.rs",
            "xtask/src/wasm.rs",
        ];
        let inputs = [vec![self.compiled()], inputs.map(at).to_vec()].concat();
        let outputs = OUTPUTS.map(|end| self.output(end));
        let stamp = Stamp::of(&format!("glue-{label}"), &inputs, &SMALLEST)?;
        if stamp.is_fresh(&outputs) {
            unchanged(&format!("{label}: wasm-bindgen, wasm-opt"));
            return Ok(());
        }
        step(&format!("{label}: wasm-bindgen"), Output::Loud, || {
            self.write_glue()
        })?;
        self.optimize()?;
        stamp.write(&outputs)
    }

    /// Returns the compiled module. It is a copy, because another build can replace cargo's own file.
    fn compiled(&self) -> PathBuf {
        target(&format!("xtask/compiled/{}.wasm", self.name))
    }

    /// Returns the module's file that ends with `end`, from which its file in `pkg/glue` is copied.
    fn output(&self, end: &str) -> PathBuf {
        target(&format!("xtask/glue/{}{end}", self.name))
    }

    fn write_glue(&self) -> Result<()> {
        let mut module = ModuleConfig::new()
            .strict_validate(false)
            .generate_name_section(false)
            .generate_producers_section(false)
            .parse_file(self.compiled())?;
        module.customs.remove_raw(messages::SECTION);
        module.exports.remove(REALLOC).ok();
        let mut output = Bindgen::new()
            .input_module(self.name, module)
            .web(true)?
            .typescript(true)
            .encode_into(EncodeInto::Always)
            .reset_state_function(self.restarts)
            // pkg/src passes the URL of the wasm file to the glue, so the glue needs no default URL.
            .omit_default_module_path(true)
            .generate_output()?;
        closures::remove(output.wasm_mut());
        let names = serde_json::to_string(&names::shorten(&mut output))?;
        let bound = target("xtask/bound");
        fs::create_dir_all(&bound)?;
        output.emit(&bound)?;
        let name = self.name;
        let [wasm, types] =
            ["_bg.wasm", ".d.ts"].map(|end| (bound.join(format!("{name}{end}")), self.output(end)));
        for (from, to) in [wasm, types] {
            copy(&from, &to)?;
        }
        let names_file = bound.join(format!("{name}.names.json"));
        fs::write(&names_file, names)?;
        node(&["pkg/shorten-glue.mjs"])
            .args([bound.join(format!("{name}.js")), names_file])
            .args([self.output(".js")])
            .run_quietly()
    }

    fn optimize(&self) -> Result<()> {
        let module = &self.output("_bg.wasm");
        step(&format!("{}: wasm-opt", self.label), Output::Loud, || {
            node(&["node_modules/binaryen/bin/wasm-opt"])
                .args(SMALLEST)
                .args([module, Path::new("-o"), module])
                .run_quietly()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_compile_to_different_files() {
        let mut compiled = MODULES.map(|module| module.compiled()).to_vec();
        compiled.sort();
        compiled.dedup();
        assert_eq!(compiled.len(), MODULES.len());
    }
}
