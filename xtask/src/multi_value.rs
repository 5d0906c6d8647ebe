//! Compiles the code of a module again, so that a function that returns a pair returns two values.
//!
//! Many functions of the core return a pair, such as the address and length of a string. In the ABI that rustc uses for
//! wasm a function returns one value at most, so a pair goes through memory. `llc`, the compiler of LLVM in the same
//! toolchain, can return both: the downloads are 3 % smaller. All of the module is one piece of bitcode after link-time
//! optimization, so no other code depends on the ABI, except functions of `compiler_builtins` that return a pair. The
//! linker refuses a module that needs one of these.

use crate::install::{WASM_TARGET, llvm_tools};
use crate::process::program;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use wasmparser::{ExternalKind, Parser, Payload};

/// The options of `llc`: rustc's for this target, and the ABI.
pub(crate) const COMPILE: [&str; 5] = [
    "-O2",
    "-filetype=obj",
    "-function-sections",
    "-data-sections",
    "-target-abi=experimental-mv",
];

/// The options of the linker: rustc's for this target, and that of `.cargo/config.toml`.
pub(crate) const LINK: [&str; 12] = [
    "-flavor",
    "wasm",
    "--no-entry",
    "--no-demangle",
    "--allow-undefined",
    "--gc-sections",
    "--strip-debug",
    "--stack-first",
    "-zstack-size=262144",
    "-O2",
    "--fatal-warnings",
    "--export=__heap_base",
];

/// Compiles the bitcode of a module that rustc has also linked to `linked`, and writes the module to `output`.
pub(crate) fn compile(bitcode: &Path, linked: &Path, output: &Path) -> Result<()> {
    let tools = llvm_tools()?;
    let object = output.with_extension("o");
    program(tools.join("llc"))
        .args(COMPILE)
        .args([bitcode, Path::new("-o"), &object])
        .run_quietly()?;
    let exports = exports(&fs::read(linked)?)?;
    program(tools.join("rust-lld"))
        .args(LINK)
        .args(exports.iter().map(|name| format!("--export={name}")))
        .args([&object, &builtins()?])
        .args([Path::new("-o"), output])
        .run_quietly()?;
    Ok(fs::remove_file(object)?)
}

/// Returns the names of the functions that a module exports.
fn exports(wasm: &[u8]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::ExportSection(section) = payload? {
            for export in section {
                let export = export?;
                if export.kind == ExternalKind::Func {
                    names.push(export.name.to_owned());
                }
            }
        }
    }
    Ok(names)
}

/// Returns the library with the functions that LLVM calls for operations that wasm lacks.
fn builtins() -> Result<std::path::PathBuf> {
    let folder = program("rustc")
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .read()?;
    let files = fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
    let is_it = |name: &str| name.starts_with("libcompiler_builtins-") && name.ends_with(".rlib");
    files
        .into_iter()
        .map(|file| file.path())
        .find(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(is_it)
        })
        .with_context(|| format!("{folder} has no libcompiler_builtins"))
}
