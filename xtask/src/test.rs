//! The kinds of tests, in the order in which a mistake shows soonest.

use crate::paths::at;
use crate::process::{cargo, node};
use crate::progress::seconds;
use crate::{browser, install, package, simulation, supply, wasm};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::fs;
use std::time::Instant;

/// One kind of tests.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Formatting, lints and types: rustfmt, clippy, rustdoc, tsc, prettier.
    Lint,
    /// The Rust core in virtual time, with its vectors: cargo test.
    Native,
    /// Thousands of short lives of the core in which everything fails that can (`simulate`), and that
    /// a broken rule is noticed in them.
    Simulation,
    /// The download budget, and that its gate can fail.
    Size,
    /// What comes from elsewhere: lockfiles, crates, licences; and that the same sources give the same module.
    Supply,
    /// The packed tarball in projects of its users, built and run in a real browser.
    Packaging,
    /// Worker, page, a certified OpenID provider and a real browser.
    Browser,
    /// The demo, driven in a real browser.
    Demo,
}

/// Runs one kind, or all of them until one fails.
pub(crate) fn run(kind: Option<Kind>) -> Result<()> {
    let kinds = kind
        .as_ref()
        .map_or(Kind::value_variants(), std::slice::from_ref);
    let start = Instant::now();
    kinds.iter().try_for_each(|kind| run_kind(*kind))?;
    if kinds.len() > 1 {
        println!("all tests passed in {}", seconds(start.elapsed()));
    }
    Ok(())
}

fn run_kind(kind: Kind) -> Result<()> {
    let name = format!("{kind:?}").to_lowercase();
    println!("test {name}");
    let start = Instant::now();
    let result = match kind {
        Kind::Lint => lint(),
        Kind::Native => cargo().args(["test", "--quiet", "--workspace"]).run(),
        Kind::Simulation => simulation::run(None, None).and_then(|()| simulation::controls()),
        Kind::Size => size(),
        Kind::Supply => supply(),
        Kind::Packaging => in_browser("tests/packaging"),
        Kind::Browser => in_browser("tests/browser"),
        Kind::Demo => [false, true]
            .into_iter()
            .try_for_each(|vault_origin| crate::demo_check(crate::demo_options(vault_origin))),
    };
    let verdict = if result.is_ok() { "passed" } else { "FAILED" };
    println!("test {name} {verdict} in {}\n", seconds(start.elapsed()));
    result.with_context(|| format!("`cargo xtask test {name}`"))
}

fn lint() -> Result<()> {
    let deny = ["--", "--deny", "warnings"];
    cargo()
        .args(["fmt", "--all", "--check"])
        .run()
        .context("the format of Rust; `cargo fmt --all` mends it")?;
    cargo()
        .args(["clippy", "--quiet", "--workspace", "--all-targets"])
        .args(deny)
        .run()?;
    // It is none of the targets that `cargo test` runs by itself.
    cargo()
        .args(["clippy", "--quiet", "--test", "simulation"])
        .args(deny)
        .run()?;
    install::wasm_target()?;
    for feature in wasm::features() {
        cargo()
            .args(["clippy", "--quiet", "--package", "strongroom", "--lib"])
            .args(["--no-default-features", "--features", feature])
            .args(["--target", install::WASM_TARGET])
            .args(deny)
            .run()?;
    }
    cargo()
        .args([
            "doc",
            "--quiet",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ])
        .env("RUSTDOCFLAGS", "--deny warnings")
        .run()?;
    // The wrapper's types include those of the generated glue, so tsc is part of the build.
    package::build()?;
    node(&[
        "node_modules/prettier/bin/prettier.cjs",
        "--check",
        "--log-level=warn",
        ".",
    ])
    .run()
    .context("the format of all else; `npx prettier --write .` mends it")
}

fn size() -> Result<()> {
    package::build()?;
    node_tests("tests/size")?.run()?;
    crate::size(&[])
}

fn supply() -> Result<()> {
    package::build()?;
    node_tests("tests/supply")?.run()?;
    supply::what_is_there()
}

fn in_browser(folder: &str) -> Result<()> {
    let tests = node_tests(folder)?.env(browser::VARIABLE, browser::find_or_install()?);
    package::build()?;
    tests.run()
}

/// Node's runner on all `*.test.mjs` of `folder`. It would pass without a word if there were none.
fn node_tests(folder: &str) -> Result<crate::process::Process> {
    let mut files = fs::read_dir(at(folder))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".test.mjs"))
        .map(|name| format!("{folder}/{name}"))
        .collect::<Vec<_>>();
    if files.is_empty() {
        bail!(
            "{folder} has no *.test.mjs: there is nothing to run, which is not the same as passing"
        );
    }
    files.sort();
    // One file at a time: they share the machine's browser and measure time.
    Ok(node(&["--test", "--test-concurrency=1", "--test-reporter=spec"]).args(files))
}
