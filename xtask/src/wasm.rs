//! Builds `pkg/glue` from the Rust core: runs cargo, then wasm-bindgen, and then wasm-opt for each module.
//!
//! rustc and wasm-opt keep little more than one core busy each, so two modules are compiled, or optimized, at the same
//! time. wasm-bindgen handles one module after the other, in the order of `MODULES`: the default module has no glue of
//! its own, so the extended module must come first. The glue of the extended module has all bindings of the default
//! module, and more.

use crate::at_once::each;
use crate::install::{self, WASM_TARGET};
use crate::names;
use crate::paths::{at, target};
use crate::process::{cargo, node};
use crate::progress::{Output, step, unchanged};
use crate::stamp::Stamp;
use crate::{closures, messages, order};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use walrus::ModuleConfig;
use wasm_bindgen_cli_support::{Bindgen, EncodeInto};

const PACKAGE: &str = "strongroom";

/// A module that is compiled from the core.
struct Module {
    /// The module's name in progress lines.
    label: &'static str,
    /// The Cargo features: they select the bindings, interned messages, and the capabilities.
    features: &'static str,
    /// The Cargo profile. Each module has its own profile, since a build replaces the previous build of the same
    /// profile.
    profile: &'static str,
    /// The name of the module's file, without `_bg.wasm`: see pkg/build.mjs.
    name: &'static str,
    /// The name of the glue that loads the module.
    glue: &'static str,
    /// The label of the earlier module whose glue loads this module, or `None` if this module has its own glue.
    glue_of: Option<&'static str>,
    /// The format in which the module's download is counted: `brotli` or `gzip`.
    counted: &'static str,
    /// True if the module can be instantiated again, after a trap.
    restarts: bool,
}

const MODULES: [Module; 4] = [
    Module {
        label: "extended",
        features: "vault,interned-messages,extended",
        profile: "extended",
        name: "strongroom_extended",
        glue: "strongroom",
        glue_of: None,
        counted: "brotli",
        restarts: false,
    },
    Module {
        label: "stored",
        features: "vault,interned-messages,plain-oauth,stored-sessions",
        profile: "stored",
        name: "strongroom_stored",
        glue: "strongroom",
        glue_of: Some("extended"),
        counted: "brotli",
        restarts: false,
    },
    Module {
        label: "vault",
        features: "vault,interned-messages",
        profile: "release",
        name: "strongroom",
        glue: "strongroom",
        glue_of: Some("extended"),
        counted: "brotli",
        restarts: false,
    },
    Module {
        label: "edge",
        features: "edge",
        profile: "edge",
        name: "strongroom_edge",
        glue: "strongroom_edge",
        glue_of: None,
        counted: "gzip",
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

/// The numbers of bytes in a run, by which functions are compared: see `order`. Which number gives the smallest download
/// changes with the code, so all are tried, each several times: the order by a number depends on the order before.
const SIMILAR_RUNS: [usize; 3] = [2, 3, 4];

/// Returns the Cargo features of each module.
pub(crate) fn features() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|module| module.features)
}

/// Returns the Cargo features of each module that has not all capabilities, for native builds, which intern no messages.
pub(crate) fn smaller_sets() -> impl Iterator<Item = String> {
    let smaller = MODULES.iter().filter(|module| module.glue_of.is_some());
    smaller.map(|module| module.features.replace(",interned-messages", ""))
}

/// Returns the Cargo features of the capabilities.
pub(crate) fn capabilities() -> Result<Vec<String>> {
    let manifest = fs::read_to_string(at("Cargo.toml"))?;
    let (_, list) = manifest
        .split_once("extended = [")
        .context("Cargo.toml has no feature extended")?;
    let (list, _) = list.split_once(']').context("the list has no end")?;
    let names = list.split(',').map(|name| name.trim().trim_matches('"'));
    Ok(names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// Writes `pkg/glue`.
pub(crate) fn build() -> Result<()> {
    install::wasm_target()?;
    let texts = messages::all()?;
    let hashes = messages::hashes(&texts);
    build_modules(&MODULES.iter().collect::<Vec<_>>(), &hashes)?;
    // All modules share one file of messages, and each module may have messages of its own.
    let mut sections = Vec::new();
    for module in &MODULES {
        sections.extend(messages::of(&fs::read(module.compiled())?)?);
    }
    messages::write(&texts, &sections)
}

/// Writes the modules to `pkg/glue`, without the file of messages. With `only`, writes the module of this name, and the
/// module whose glue loads it.
pub(crate) fn modules(only: Option<&str>) -> Result<()> {
    let hashes = messages::hashes(&messages::all()?);
    let wanted = MODULES.iter().find(|module| only == Some(module.label));
    let owner = wanted.and_then(|module| module.glue_of);
    let modules = MODULES.iter().filter(|module| {
        let label = Some(module.label);
        only.is_none() || label == only || label == owner
    });
    build_modules(&modules.collect::<Vec<_>>(), &hashes)
}

fn build_modules(modules: &[&Module], hashes: &str) -> Result<()> {
    let in_twos = |modules: &[&Module], work: &(dyn Fn(&Module) -> Result<()> + Sync)| {
        each(2, modules, |module| work(module))
            .into_iter()
            .collect::<Result<()>>()
    };
    in_twos(modules, &|module| module.compile(hashes))?;
    let mut bound = Vec::new();
    let mut stamps = Vec::new();
    for module in modules {
        if let Some(stamp) = module.bind()? {
            bound.push(*module);
            stamps.push(stamp);
        }
    }
    // The last module is the largest, so it starts first.
    bound.reverse();
    in_twos(&bound, &Module::optimize)?;
    stamps.iter().try_for_each(Stamp::write)
}

/// Returns the names of the modules, each with its file.
pub(crate) fn files() -> impl Iterator<Item = (&'static str, String)> {
    MODULES
        .iter()
        .map(|module| (module.label, format!("pkg/glue/{}_bg.wasm", module.name)))
}

impl Module {
    /// Runs cargo, which itself detects changes.
    ///
    /// `cargo build` would skip link-time optimization for a library that is also an rlib. `cargo rustc` with a single
    /// crate type does not skip it.
    fn compile(&self, hashes: &str) -> Result<()> {
        step(
            &format!("{}: cargo rustc", self.label),
            Output::Loud,
            || {
                cargo()
                    .args(["rustc", "--quiet", "--package", PACKAGE, "--lib"])
                    .args(["--no-default-features", "--features", self.features])
                    .args(["--crate-type", "cdylib", "--target", WASM_TARGET])
                    .args(["--profile", self.profile])
                    .env(messages::VARIABLE, hashes)
                    .run()
            },
        )
    }

    /// Runs wasm-bindgen, unless the outputs are up to date. Returns the stamp that the caller must write after the
    /// module is optimized, or `None` if nothing has to be done.
    fn bind(&self) -> Result<Option<Stamp>> {
        let label = self.label;
        let inputs = [
            "package-lock.json",
            "pkg/shorten-glue.mjs",
            "pkg/smallest.mjs",
            "pkg/compressed.mjs",
            "xtask/src",
        ]
        .map(at);
        let mut inputs = [vec![self.compiled()], inputs.to_vec()].concat();
        let mut outputs = vec![self.file()];
        let glue = [".js", ".d.ts"].map(|end| at(&format!("pkg/glue/{}{end}", self.glue)));
        let glue = glue.into_iter().chain([self.names_file()]);
        if self.glue_of.is_some() {
            inputs.extend(glue);
        } else {
            outputs.extend(glue);
        }
        let stamp = Stamp::of(&format!("glue-{label}"), &inputs, &SMALLEST)?;
        if stamp.is_fresh(&outputs) {
            unchanged(&format!("{label}: wasm-bindgen, wasm-opt"));
            return Ok(None);
        }
        step(&format!("{label}: wasm-bindgen"), Output::Quiet, || {
            self.write_glue()
        })?;
        Ok(Some(stamp))
    }

    /// Returns the file that cargo writes.
    fn compiled(&self) -> PathBuf {
        target(&format!("{WASM_TARGET}/{}/{PACKAGE}.wasm", self.profile))
    }

    /// Returns the file that wasm-opt writes.
    fn file(&self) -> PathBuf {
        at(&format!("pkg/glue/{}_bg.wasm", self.name))
    }

    /// Returns the file with the glue's names for imports and exports.
    fn names_file(&self) -> PathBuf {
        target(&format!("xtask/{}.names.json", self.glue))
    }

    fn write_glue(&self) -> Result<()> {
        let mut module = ModuleConfig::new()
            .strict_validate(false)
            .generate_name_section(false)
            .generate_producers_section(false)
            .parse_file(self.compiled())?;
        module.customs.remove_raw(messages::SECTION);
        module.exports.remove(REALLOC).ok();
        fs::create_dir_all(bound())?;
        fs::create_dir_all(at("pkg/glue"))?;
        let mut output = Bindgen::new()
            .input_module(self.name, module)
            .web(true)?
            .typescript(true)
            .encode_into(EncodeInto::Always)
            .reset_state_function(self.restarts)
            // pkg/src passes the URL of the wasm file to the glue, so the glue needs no default URL.
            .omit_default_module_path(true)
            .generate_output()?;
        let shared = match self.glue_of {
            Some(_) => Some(serde_json::from_slice(&fs::read(self.names_file())?)?),
            None => None,
        };
        closures::remove(output.wasm_mut());
        let names = names::shorten(&mut output, shared.as_ref())?;
        output.emit(bound())?;
        if let Some(owner) = self.glue_of {
            self.check_shared_glue(owner)?;
        } else {
            fs::write(self.names_file(), serde_json::to_string(&names)?)?;
            let Self { name, glue, .. } = self;
            fs::copy(
                bound().join(format!("{name}.d.ts")),
                at(&format!("pkg/glue/{glue}.d.ts")),
            )?;
            node(&["pkg/shorten-glue.mjs"])
                .args([bound().join(format!("{name}.js")), self.names_file()])
                .args([at(&format!("pkg/glue/{glue}.js"))])
                .run_quietly()?;
        }
        fs::copy(bound().join(format!("{}_bg.wasm", self.name)), self.file())?;
        Ok(())
    }

    /// Fails if the glue of the module `owner` lacks a part of the glue that wasm-bindgen has made for this module.
    fn check_shared_glue(&self, owner: &str) -> Result<()> {
        let owner = MODULES.iter().find(|module| module.label == owner);
        let owner = owner.context("no module has the label in `glue_of`")?.name;
        let [shared, own] =
            [owner, self.name].map(|name| fs::read_to_string(bound().join(format!("{name}.js"))));
        let own = own?.replace(&format!("./{}", self.name), &format!("./{owner}"));
        if let Some(missing) = missing_part(&shared?, &own) {
            bail!(
                "{}_bg.wasm is loaded by the glue of {owner}, which lacks:\n{missing}",
                self.name
            );
        }
        Ok(())
    }

    fn optimize(&self) -> Result<()> {
        let module = &self.file();
        let optimized = module.with_extension("opt");
        step(&format!("{}: wasm-opt", self.label), Output::Loud, || {
            node(&["node_modules/binaryen/bin/wasm-opt"])
                .args(SMALLEST)
                .args([module, Path::new("-o"), &optimized])
                .run_quietly()?;
            Ok(())
        })?;
        fs::copy(self.smallest_order(&optimized)?, module)?;
        Ok(fs::remove_file(optimized)?)
    }

    /// Writes the module in several orders of its functions. Returns the file whose compressed size is smallest.
    fn smallest_order(&self, optimized: &Path) -> Result<PathBuf> {
        let mut files = Vec::new();
        for run in SIMILAR_RUNS {
            let mut wasm = fs::read(optimized)?;
            for time in 1..=16 {
                wasm = order::by_similarity(&wasm, run)?;
                let file = bound().join(format!("{}-{run}-{time}.wasm", self.name));
                fs::write(&file, &wasm)?;
                files.push(file);
            }
        }
        let smallest = node(&["pkg/smallest.mjs", self.counted])
            .args(&files)
            .read()?;
        Ok(PathBuf::from(smallest))
    }
}

/// Returns the folder of wasm-bindgen's output.
fn bound() -> PathBuf {
    target("xtask/bound")
}

/// Returns the first part of `own` that `shared` lacks, if any. A part is an import or a function of the glue.
fn missing_part<'a>(shared: &str, own: &'a str) -> Option<&'a str> {
    let shared: Vec<_> = parts(shared).collect();
    parts(own).find(|part| !shared.contains(part))
}

/// Returns the parts of a glue file. A new part begins at each line that is indented as deep as an import, or less.
fn parts(glue: &str) -> impl Iterator<Item = &str> {
    let mut rest = glue;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let is_start = |line: &str| match line.strip_prefix("        ") {
            Some(line) => line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'),
            None => !line.trim().is_empty(),
        };
        let mut end = 0;
        for line in rest.split_inclusive('\n') {
            if end > 0 && is_start(line) {
                break;
            }
            end += line.len();
        }
        let (part, tail) = rest.split_at(end);
        rest = tail;
        Some(part)
    })
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

    #[test]
    fn shared_glue_must_have_every_part() {
        let shared =
            "function f() {\n        a: () => {\n            now\n        },\n        __b: 1,\n}\n";
        let own = "function f() {\n        __b: 1,\n}\n";
        assert_eq!(missing_part(shared, own), None);
        assert_eq!(
            missing_part(own, shared),
            Some("        a: () => {\n            now\n        },\n")
        );
    }
}
