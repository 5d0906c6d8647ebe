//! Checks that a release can be published, writes its files, and stops before anything is published.

mod files;

use crate::install::NPM;
use crate::paths::{self, at};
use crate::process::{node, program};
use crate::{package, supply};
use anyhow::{Context, Result, bail, ensure};
use std::fs;

type Check = (&'static str, fn() -> Result<()>);

const CHECKS: [Check; 6] = [
    ("all changes are committed", clean_tree),
    ("versions and CHANGELOG.md agree", versions),
    ("the version has no tag, or its tag is this commit", tag),
    ("the compiler is the one of releases", compiler),
    ("the packed doctor finds no fault in the demo", doctor),
    ("npm publish --dry-run", npm),
];

/// Runs all checks, even if one fails. Everything is built again, with tools that npm has just installed: a package must
/// not contain what an earlier build, or a folder from another clone, has left.
pub(crate) fn check() -> Result<()> {
    for built in [
        paths::target("xtask"),
        at("pkg/glue"),
        at("pkg/dist"),
        at("node_modules"),
    ] {
        if built.exists() {
            fs::remove_dir_all(&built).with_context(|| built.display().to_string())?;
        }
    }
    package::build()?;
    supply::same_twice()?;
    let mut failed = 0;
    for (name, check) in CHECKS {
        match check() {
            Ok(()) => println!("  ✓ {name}"),
            Err(error) => {
                failed += 1;
                println!("  ✗ {name}: {error:#}");
            }
        }
    }
    if failed > 0 {
        bail!(
            "{failed} of {} checks failed. Nothing was published",
            CHECKS.len()
        );
    }
    let version = version()?;
    let folder = files::write(&version)?;
    println!(
        "\n{} has the files of the release. Nothing was published. After `cargo xtask test` and `cargo xtask supply`, \
         this command publishes:\n\n  git tag v{version} && git push origin v{version}",
        folder.display()
    );
    Ok(())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(at(path)).with_context(|| path.to_owned())
}

/// Returns the workspace's version.
fn version() -> Result<String> {
    let manifest = read("Cargo.toml")?;
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    Ok(version.context("Cargo.toml has no version")?.to_owned())
}

fn clean_tree() -> Result<()> {
    let changed = program("git").args(["status", "--porcelain"]).read()?;
    ensure!(
        changed.is_empty(),
        "commit or remove these files:\n{changed}"
    );
    Ok(())
}

fn versions() -> Result<()> {
    let version = version()?;
    let package = serde_json::from_str::<serde_json::Value>(&read("pkg/package.json")?)?;
    let npm = package["version"].as_str().unwrap_or_default();
    ensure!(
        npm == version,
        "Cargo.toml has {version}, and pkg/package.json has {npm}"
    );
    check_changelog(&read("CHANGELOG.md")?, &version)
}

/// Checks that the newest release in the changelog is this version, with a date, and that no change is unreleased.
fn check_changelog(changelog: &str, version: &str) -> Result<()> {
    let newest = changelog
        .lines()
        .find_map(|line| line.strip_prefix("## "))
        .context("CHANGELOG.md has no sections")?;
    let date = newest
        .strip_prefix(version)
        .map(|rest| rest.trim_matches([' ', '-']));
    let is_date = |date: &str| {
        let parts = date
            .split('-')
            .map(|part| (part.len(), part.parse::<u16>().is_ok()));
        parts.eq([(4, true), (2, true), (2, true)])
    };
    ensure!(
        date.is_some_and(is_date),
        "the first section of CHANGELOG.md is `{newest}`; write `## {version} - <year>-<month>-<day>`"
    );
    Ok(())
}

fn tag() -> Result<()> {
    let tag = format!("v{}", version()?);
    let found = program("git").args(["tag", "--list", &tag]).read()?;
    if found.is_empty() {
        return Ok(());
    }
    let of = |name: &str| program("git").args(["rev-list", "-1", name]).read();
    ensure!(of(&tag)? == of("HEAD")?, "the tag {tag} is another commit");
    Ok(())
}

fn compiler() -> Result<()> {
    let manifest = read("Cargo.toml")?;
    let wanted = manifest
        .split_once("[workspace.metadata.release]")
        .and_then(|(_, rest)| rest.split('"').nth(1))
        .context("Cargo.toml has no workspace.metadata.release.rust")?;
    let found = program("rustc").args(["--version"]).read()?;
    ensure!(
        found.split(' ').nth(1) == Some(wanted),
        "releases are built by rustc {wanted}, and this is {found}: set RUSTUP_TOOLCHAIN={wanted}"
    );
    Ok(())
}

fn doctor() -> Result<()> {
    node(&["--test", "tests/packaging/doctor.test.mjs"]).run_quietly()
}

fn npm() -> Result<()> {
    program(NPM)
        .args(["publish", "./pkg", "--dry-run", "--ignore-scripts"])
        .run_quietly()
}

#[cfg(test)]
mod tests {
    use super::check_changelog;

    #[test]
    fn changelog_begins_with_the_dated_version() {
        let passes = |section: &str| {
            check_changelog(&format!("# Changelog\n\n## {section}\n"), "0.2.0").is_ok()
        };
        assert!(passes("0.2.0 - 2026-12-01"));
        assert!(!passes("0.2.0"));
        assert!(!passes("0.2.0 - soon"));
        assert!(!passes("0.2.1 - 2026-12-01"));
        assert!(!passes("0.2.01 - 2026-12-01"));
        assert!(!passes("Unreleased"));
        assert!(check_changelog("# Changelog\n", "0.2.0").is_err());
    }
}
