//! `cargo xtask supply`: checks that dependencies are what they claim to be, and that builds depend only on the
//! sources. A part of these checks also runs with the tests.
//!
//! A check that cannot run, because a registry or a database is unreachable, is reported and fails the command.

use crate::paths;
use crate::process::program;
use crate::progress::{Output, step};
use crate::stamp::Stamp;
use crate::{install, package, wasm};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The version of cargo-deny that deny.toml was written for.
const DENY_VERSION: &str = "0.20.2";

/// Runs the checks that need neither an installation nor a network nor minutes, as a part of the tests.
pub(crate) fn what_is_there() -> Result<()> {
    match deny() {
        Some(deny) => check_with(&deny)?,
        None => println!(
            "  not checked: licenses, sources and duplicates of the crates, because cargo-deny is missing; `cargo xtask supply` installs it"
        ),
    }
    Ok(())
}

/// Runs all checks.
pub(crate) fn run() -> Result<()> {
    package::build()?;
    let deny = deny().map_or_else(|| install::tool("cargo-deny", DENY_VERSION), Ok)?;
    check_with(&deny)?;
    let mut unchecked = Vec::new();
    if !program(&deny).args(["check", "advisories"]).succeeds() {
        unchecked.push("known vulnerabilities of the crates: `cargo deny check advisories` failed, or its database is unreachable");
    }
    for what in [["audit"].as_slice(), &["audit", "signatures"]] {
        // Limits the wait for a registry that does not respond.
        let npm = program(install::NPM).args(["--fetch-timeout=30000", "--fetch-retries=0"]);
        if !npm.args(what).succeeds() {
            unchecked.push(match what {
                [_] => "known vulnerabilities of the npm packages: `npm audit` failed, or the registry does not respond",
                _ => "signatures of the npm packages: `npm audit signatures` failed, or the registry does not respond",
            });
        }
    }
    same_twice()?;
    if unchecked.is_empty() {
        return Ok(());
    }
    bail!("these checks failed:\n  {}", unchecked.join("\n  "))
}

/// Returns the path of cargo-deny if it is on PATH or was installed by this program.
fn deny() -> Option<PathBuf> {
    install::find_tool("cargo-deny", |path| {
        program(path).args(["--version"]).succeeds()
    })
}

fn check_with(deny: &Path) -> Result<()> {
    step("cargo deny", Output::Quiet, || {
        program(deny)
            .args(["--offline", "check", "licenses", "bans", "sources"])
            .run_quietly()
    })
    .context("deny.toml lists what a crate may be")
}

/// Builds the modules a second time: from a copy of the sources in another folder, with another cargo home. Fails if the
/// bytes differ. After a success this build is not repeated until its inputs change.
pub(crate) fn same_twice() -> Result<()> {
    let files: Vec<String> = wasm::files().map(|(_, file)| file).collect();
    let sources = sources()?;
    let inputs: Vec<PathBuf> = sources.iter().map(|path| paths::at(path)).collect();
    let rustc = program("rustc").args(["--version", "--verbose"]).read()?;
    let stamp = Stamp::of("twice-all", &inputs, &[&rustc])?;
    let built: Vec<PathBuf> = files.iter().map(|file| paths::at(file)).collect();
    if stamp.is_fresh(&built) {
        println!(
            "  ✓ all modules: same bytes from another folder, when their sources last changed"
        );
        return Ok(());
    }
    // The copy's path has another length, so that a path that a module contains would move the bytes after it.
    let copy = paths::target("twice/in/another/place");
    fs::remove_dir_all(&copy).ok();
    for path in &sources {
        let to = copy.join(path);
        fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        fs::copy(paths::at(path), to)?;
    }
    link(&paths::at("node_modules"), &copy.join("node_modules"))?;
    let title = "all modules: built a second time, in another folder";
    step(title, Output::Quiet, || {
        let itself = std::env::current_exe()?;
        program(itself)
            .args(["modules"])
            .env(paths::ROOT, &copy)
            .env("CARGO_TARGET_DIR", copy.join("target"))
            .env("CARGO_HOME", other_home(&copy)?)
            .run_quietly()
    })?;
    for file in files {
        let [one, other] = [paths::at(&file), copy.join(&file)].map(fs::read);
        if let Some(at) = first_difference(&one?, &other?) {
            bail!(
                "{file} is another one when it is built in {}: from byte {at} on; or the sources changed meanwhile",
                copy.display()
            );
        }
    }
    fs::remove_dir_all(&copy).ok();
    stamp.write(&built)
}

/// Returns the paths of all files from which the modules are built, as git lists them.
fn sources() -> Result<Vec<String>> {
    let known = program("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .args([
            "--",
            "Cargo.*",
            ".cargo",
            "rust-toolchain.toml",
            "package*.json",
        ])
        .args(["pkg/shorten-glue.mjs"])
        // The manifests name binaries, whose files must exist.
        .args(["src", "xtask", "fuzz", "benches/native.rs"])
        .args(["tests/*.rs", "tests/*/Cargo.toml", "tests/Cargo.toml"])
        .read()
        .context("git lists the source files")?;
    let known: Vec<String> = known.lines().map(str::to_owned).collect();
    if !known.iter().any(|path| path == "src/rules/lib.rs") {
        bail!("git does not list src/rules/lib.rs");
    }
    // A deleted file stays listed until the deletion is committed.
    let there = known.into_iter().filter(|path| paths::at(path).is_file());
    Ok(there.collect())
}

/// Returns a cargo home at another path with the same crates and settings.
fn other_home(copy: &Path) -> Result<PathBuf> {
    let home = copy.join("home-of-cargo");
    fs::create_dir_all(&home)?;
    let usual = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = usual.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let usual = usual.context("cargo has a home")?;
    for name in ["registry", "config.toml", "config"] {
        if usual.join(name).exists() {
            link(&usual.join(name), &home.join(name))?;
        }
    }
    Ok(home)
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> Result<()> {
    Ok(std::os::unix::fs::symlink(from, to)?)
}

#[cfg(windows)]
fn link(from: &Path, to: &Path) -> Result<()> {
    Ok(if from.is_dir() {
        std::os::windows::fs::symlink_dir(from, to)?
    } else {
        std::os::windows::fs::symlink_file(from, to)?
    })
}

fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    if one == other {
        return None;
    }
    let same = one.iter().zip(other).take_while(|(a, b)| a == b);
    Some(same.count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::WASM_TARGET;
    use crate::process::cargo;
    use crate::wasm;
    use std::collections::BTreeSet;

    /// The crates that only the token handler's module has.
    const OF_THE_HANDLER: [&str; 3] = ["cmov", "ctutils", "hmac"];

    /// Returns the crates in the module of a package, without our own.
    fn crates_in(package: &str) -> BTreeSet<String> {
        let tree = cargo()
            .args(["tree", "--target", WASM_TARGET, "--package", package])
            .args(["--edges", "normal,no-proc-macro", "--prefix", "none"])
            .args(["--format", "{p}"]);
        let tree = tree.read().unwrap();
        let names = tree.lines().filter_map(|line| line.split(' ').next());
        names
            .filter(|name| !name.starts_with("strongroom"))
            .map(str::to_owned)
            .collect()
    }

    // claim: package-4
    #[test]
    fn different_module_is_noticed() {
        assert_eq!(first_difference(b"abc", b"abc"), None);
        assert_eq!(first_difference(b"abc", b"abd"), Some(2));
        assert_eq!(first_difference(b"abc", b"abcd"), Some(3));
        assert_eq!(first_difference(b"", b"a"), Some(0));
    }

    // claim: package-2
    #[test]
    fn docs_list_exactly_the_crates_in_modules() {
        let document = fs::read_to_string(paths::at("docs/supply-chain.md")).unwrap();
        let rows = document
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let mut listed: BTreeSet<String> = rows.map(str::to_owned).collect();
        assert!(listed.len() > 3);
        let [vault, edge] = wasm::packages().map(crates_in);
        assert_eq!(listed, edge);
        listed.retain(|name| !OF_THE_HANDLER.contains(&name.as_str()));
        assert_eq!(listed, vault);
    }
}
