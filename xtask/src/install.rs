//! Installs what the commands need. If an installation fails, the error names the command that installs the missing
//! part.

use crate::paths;
use crate::process::{cargo, program};
use crate::progress::{Output, step};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The target that the core is compiled to.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// The oldest version of Node on which every tool in package.json runs: major and minor.
const NODE: (u32, u32) = (20, 19);

#[cfg(windows)]
pub(crate) const NPM: &str = "npm.cmd";
#[cfg(not(windows))]
pub(crate) const NPM: &str = "npm";

/// Adds the wasm target to the toolchain if it is missing.
pub(crate) fn wasm_target() -> Result<()> {
    let sysroot = program("rustc").args(["--print", "sysroot"]).read()?;
    if Path::new(&sysroot)
        .join("lib/rustlib")
        .join(WASM_TARGET)
        .is_dir()
    {
        return Ok(());
    }
    let add = || {
        program("rustup")
            .args(["target", "add", WASM_TARGET])
            .run_quietly()
    };
    step(&format!("rustup target add {WASM_TARGET}"), Output::Quiet, add).with_context(|| {
        format!(
            "Rust's standard library for {WASM_TARGET} is missing. With rustup (https://rustup.rs) run \
             `rustup target add {WASM_TARGET}`; for a Rust from elsewhere install that target from the same place"
        )
    })
}

/// Installs the npm packages if they are missing or older than package-lock.json.
pub(crate) fn npm_packages() -> Result<()> {
    node()?;
    // npm writes this file last, so it is missing after an interrupted installation, which is then repeated.
    let installed = modified(&paths::at("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= modified(&paths::at("package-lock.json")) {
        return Ok(());
    }
    let ci = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    step("npm ci", Output::Quiet, || program(NPM).args(ci).run_quietly())
        .context("the tools in package.json are missing; `npm ci --ignore-scripts` needs npm and its registry")
}

/// Returns the path of a tool of Cargo that `is_it` accepts: on PATH, or where [`tool`] installs it.
pub(crate) fn find_tool(name: &str, is_it: impl Fn(&PathBuf) -> bool) -> Option<PathBuf> {
    [name.into(), installed(name)].into_iter().find(is_it)
}

fn installed(name: &str) -> PathBuf {
    paths::target("tools").join("bin").join(name)
}

/// Installs a tool of Cargo below `target`, and returns its path.
pub(crate) fn tool(name: &str, version: &str) -> Result<PathBuf> {
    let title = format!("cargo install {name}, which takes some minutes");
    step(&title, Output::Quiet, || {
        cargo()
            .args(["install", name, "--locked", "--debug"])
            .args(["--version", version, "--root"])
            .args([paths::target("tools")])
            .run_quietly()
    })?;
    Ok(installed(name))
}

/// Checks that Node is installed and new enough.
fn node() -> Result<()> {
    let (major, minor) = NODE;
    let needed = format!("Node {major}.{minor} or newer is needed (https://nodejs.org)");
    let version = program("node")
        .args(["--version"])
        .read()
        .with_context(|| needed.clone())?;
    if parse_version(&version).is_none_or(|found| found < NODE) {
        bail!("{needed}; `node --version` says {version}");
    }
    Ok(())
}

/// Returns the major and minor version, such as `(20, 19)` for `v20.19.5`, or `None` for another kind of string.
fn parse_version(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::{NODE, parse_version};

    #[test]
    fn node_versions_are_compared_as_numbers() {
        let cases = [
            ("v20.19.0", true),
            ("v22.0.0", true),
            ("v100.1.2", true),
            ("v20.9.0", false),
            ("v18.20.4", false),
            ("", false),
            ("node", false),
        ];
        for (version, enough) in cases {
            let found = parse_version(version).is_some_and(|found| found >= NODE);
            assert_eq!(found, enough, "{version}");
        }
    }
}
