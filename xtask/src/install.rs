//! Installs what the commands need. If an installation fails, the error names the command that installs the missing
//! part.

use crate::paths;
use crate::process::{cargo, program};
use crate::progress::{Output, step};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

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

/// Installs the npm packages of package-lock.json, unless they are there. They may have been copied from another clone.
pub(crate) fn npm_packages() -> Result<()> {
    node()?;
    // npm writes the second file last, so it is missing after an interrupted installation, which is then repeated.
    let [wanted, installed] =
        ["package-lock.json", "node_modules/.package-lock.json"].map(lockfile);
    if matches!((wanted, installed), (Some(wanted), Some(installed)) if has_all(&installed, &wanted))
    {
        return Ok(());
    }
    let ci = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    step("npm ci", Output::Quiet, || program(NPM).args(ci).run_quietly())
        .context("the tools in package.json are missing; `npm ci --ignore-scripts` needs npm and its registry")
}

/// The packages of a lockfile: for each folder, the version and hash of its content, and whether it is optional.
type Packages = serde_json::Map<String, Value>;

fn lockfile(file: &str) -> Option<Packages> {
    let text = fs::read(paths::at(file)).ok()?;
    match serde_json::from_slice::<Value>(&text)
        .ok()?
        .get_mut("packages")?
        .take()
    {
        Value::Object(packages) => Some(packages),
        _ => None,
    }
}

/// Returns true if exactly the `wanted` packages are `installed`. Optional packages may be missing, because npm skips
/// those for other platforms.
fn has_all(installed: &Packages, wanted: &Packages) -> bool {
    let mut folders = wanted.iter().filter(|(folder, _)| !folder.is_empty());
    let is_there = |(folder, package): (&String, &Value)| match installed.get(folder) {
        Some(there) => ["version", "integrity"]
            .iter()
            .all(|&member| there.get(member) == package.get(member)),
        None => package.get("optional") == Some(&Value::Bool(true)),
    };
    folders.all(is_there) && installed.keys().all(|folder| wanted.contains_key(folder))
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
pub(crate) fn node() -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::{NODE, Packages, has_all, parse_version};
    use serde_json::json;

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

    #[test]
    fn installed_packages_are_compared_by_content() {
        let packages =
            |list: serde_json::Value| -> Packages { serde_json::from_value(list).unwrap() };
        let one = json!({ "version": "1.0.0", "integrity": "sha512-a" });
        let other_platform =
            json!({ "version": "1.0.0", "integrity": "sha512-b", "optional": true });
        let wanted = packages(
            json!({ "": { "name": "root" }, "node_modules/one": one, "node_modules/o": other_platform }),
        );
        let cases = [
            (
                json!({ "node_modules/one": one }),
                true,
                "without the optional one",
            ),
            (
                json!({ "node_modules/one": one, "node_modules/o": other_platform }),
                true,
                "all",
            ),
            (json!({}), false, "none"),
            (
                json!({ "node_modules/one": { "version": "1.0.1", "integrity": "sha512-a" } }),
                false,
                "another version",
            ),
            (
                json!({ "node_modules/one": { "version": "1.0.0", "integrity": "sha512-c" } }),
                false,
                "another content",
            ),
            (
                json!({ "node_modules/one": one, "node_modules/two": one }),
                false,
                "one too many",
            ),
        ];
        for (installed, expected, name) in cases {
            assert_eq!(has_all(&packages(installed), &wanted), expected, "{name}");
        }
    }
}
