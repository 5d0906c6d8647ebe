//! The files of a release: the package, its checksums, how it was built, what it contains, and its notes.

use crate::install::{self, NPM};
use crate::paths::{self, at};
use crate::process::{Process, program};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// The version of cargo-cyclonedx, which lists the crates of the modules.
const CYCLONEDX_VERSION: &str = "0.5.9";

/// The name of a bill of materials that cargo-cyclonedx writes.
const BOM: &str = "strongroom-bom";

/// Writes the files of this release into `target/release-files`, and returns the folder.
pub(super) fn write(version: &str) -> Result<PathBuf> {
    let folder = paths::target("release-files");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(&folder)?;
    let save = |name: &str, text: String| {
        fs::write(folder.join(name), text).with_context(|| name.to_owned())
    };
    save("SHA256SUMS", checksums(&folder)?)?;
    save("BUILD.json", lines(&build(version)?))?;
    save("npm.cdx.json", npm_parts()?)?;
    let [vault, edge] = crates()?;
    save("crates-vault.cdx.json", vault)?;
    save("crates-edge.cdx.json", edge)?;
    save("NOTES.md", notes(&super::read("CHANGELOG.md")?))?;
    Ok(folder)
}

/// Packs the package into this folder. Returns the checksum of the tarball and of each file in it, in the form that
/// `sha256sum --check` reads.
fn checksums(folder: &Path) -> Result<String> {
    let packed = npm(["pack", "./pkg", "--json", "--ignore-scripts"])
        .args([Path::new("--pack-destination"), folder])
        .read()?;
    let packed = serde_json::from_str::<Value>(&packed).context("npm pack --json")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tarball = text(&packed[0]["filename"]);
    let mut sums = sum(&folder.join(&tarball), &tarball)?;
    for file in packed[0]["files"].as_array().into_iter().flatten() {
        let path = text(&file["path"]);
        sums += &sum(&at("pkg").join(&path), &["package/", &path].concat())?;
    }
    Ok(sums)
}

fn sum(file: &Path, name: &str) -> Result<String> {
    let content = fs::read(file).with_context(|| file.display().to_string())?;
    let hash = Sha256::digest(content);
    let hex = hash.iter().map(|byte| format!("{byte:02x}"));
    Ok(format!("{}  {name}\n", hex.collect::<String>()))
}

/// Returns the commit, and the version of each program that shapes the package's bytes.
fn build(version: &str) -> Result<Value> {
    let says = |name: &str, option: &str| program(name).args([option]).read();
    let locked = serde_json::from_str::<Value>(&super::read("package-lock.json")?)?;
    let tool = |name: &str| &locked["packages"][["node_modules/", name].concat()]["version"];
    Ok(json!({
        "version": version,
        "commit": program("git").args(["rev-parse", "HEAD"]).read()?,
        "rustc": says("rustc", "-vV")?.lines().collect::<Vec<_>>(),
        "cargo": says("cargo", "--version")?,
        "node": says("node", "--version")?,
        "npm": says(NPM, "--version")?,
        "esbuild": tool("esbuild"),
        "typescript": tool("typescript"),
        "binaryen": tool("binaryen"),
        "terser": tool("terser"),
    }))
}

/// Returns the bill of materials of the npm package, which has no dependency.
fn npm_parts() -> Result<String> {
    npm(["sbom", "--sbom-format", "cyclonedx", "--prefix", "pkg"]).read()
}

/// Returns the bills of materials of the vault's module and of the token handler's.
fn crates() -> Result<[String; 2]> {
    const NAME: &str = "cargo-cyclonedx";
    let is_it = |path: &PathBuf| program(path).args(["cyclonedx", "--version"]).succeeds();
    let tool = install::find_tool(NAME, is_it)
        .map_or_else(|| install::tool(NAME, CYCLONEDX_VERSION), Ok)?;
    // The tool writes a file beside each manifest of the workspace.
    program(tool)
        .args([
            "cyclonedx",
            "--quiet",
            "--format",
            "json",
            "--override-filename",
            BOM,
        ])
        .args(["--target", install::WASM_TARGET])
        .run_quietly()?;
    let file = |folder: &str| format!("{folder}/{BOM}.json");
    let bills = ["src/browser", "src/edge/module"].map(|folder| super::read(&file(folder)));
    for manifest in paths::files_below(paths::root(), "")? {
        if let Some(folder) = manifest.strip_suffix("/Cargo.toml") {
            let _absent = fs::remove_file(at(&file(folder)));
        }
    }
    let [vault, edge] = bills;
    Ok([vault?, edge?])
}

/// Returns the newest section of the changelog, without its heading.
fn notes(changelog: &str) -> String {
    let mut sections = changelog.split("\n## ").skip(1);
    let newest = sections.next().unwrap_or_default();
    let (_, text) = newest.split_once('\n').unwrap_or_default();
    [text.trim(), "\n"].concat()
}

fn npm<const N: usize>(arguments: [&str; N]) -> Process {
    program(NPM).args(arguments)
}

fn lines(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::{notes, sum};

    #[test]
    fn notes_are_the_newest_section() {
        let changelog = "# Changelog\n\nText.\n\n## 0.2.0 - 2026-12-01\n\n### Fixed\n\n- A\n\n## 0.1.0\n\n- B\n";
        assert_eq!(notes(changelog), "### Fixed\n\n- A\n");
        assert_eq!(notes("# Changelog\n"), "\n");
    }

    #[test]
    fn checksums_are_those_of_sha256sum() {
        let empty = std::env::temp_dir().join("strongroom-empty-file");
        std::fs::write(&empty, "").unwrap();
        let sum = sum(&empty, "package/x").unwrap();
        assert_eq!(
            sum,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  package/x\n"
        );
    }
}
