//! `cargo xtask fuzz`: libFuzzer on the targets of `tests/hostile`, for as long as one likes.
//!
//! It needs a C++ compiler, for libFuzzer's own code, and nothing else: the options by which rustc
//! counts what is reached are those of `cargo fuzz`, and work in a stable compiler where no sanitizer
//! is asked for. Natively the core has no unsafe code that one could watch.
//!
//! What was found to reach something new stays in `target/fuzz/corpus`, and the next run begins with it.
//! An input that fails is kept in `target/fuzz/failed`, and belongs into the target's seeds once the
//! fault is mended.

use crate::paths;
use crate::process::{cargo, program};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// What rustc is told, so that libFuzzer sees where an input goes and what it is compared with.
const FLAGS: &[&str] = &[
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

const SEEDS: &str = "tests/hostile/seeds";

/// Fuzzes `target`, or each one in turn, for so many seconds each.
pub(crate) fn run(target: Option<&str>, seconds: u32) -> Result<()> {
    let known = targets()?;
    let chosen: Vec<&String> = match target {
        None => known.iter().collect(),
        Some(name) => known.iter().filter(|known| *known == name).collect(),
    };
    if chosen.is_empty() {
        bail!("there is no such target; there are {}", known.join(", "));
    }
    let built = build()?;
    // One that fails does not keep the others from being tried.
    let failures: Vec<String> = chosen
        .into_iter()
        .filter_map(|name| fuzz(&built, name, seconds).err())
        .map(|error| format!("{error:#}"))
        .collect();
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{}", failures.join("\n"))
}

/// The targets are those that have seeds.
fn targets() -> Result<Vec<String>> {
    let files =
        fs::read_dir(paths::at(SEEDS)).with_context(|| format!("{SEEDS} cannot be read"))?;
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Builds all binaries; gives the folder they are in.
fn build() -> Result<PathBuf> {
    let folder = paths::target("fuzz");
    let host = host()?;
    cargo()
        .args([
            "build",
            "--release",
            "--package",
            "strongroom-fuzz",
            "--bins",
        ])
        // With a target of its own, or build scripts would get the flags too.
        .args(["--target", &host])
        .args(["--config", "profile.release.debug-assertions=true"])
        .args(["--config", "profile.release.overflow-checks=true"])
        .args(["--config", "profile.release.opt-level=3"])
        .args(["--config", "profile.release.lto=false"])
        // What libFuzzer catches, and then shows the input of.
        .args(["--config", r#"profile.release.panic="unwind""#])
        .args(["--config", "profile.release.debug=1"])
        .env("CARGO_TARGET_DIR", &folder)
        .env("RUSTFLAGS", FLAGS.join(" "))
        .run()
        .context("libFuzzer needs a C++ compiler (`c++`)")?;
    Ok(folder.join(host).join("release"))
}

fn host() -> Result<String> {
    let version = program("rustc").args(["--version", "--verbose"]).read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not name its host")?.to_owned())
}

fn fuzz(built: &Path, name: &str, seconds: u32) -> Result<()> {
    println!("fuzz {name} for {seconds} s");
    let folder = |kind: &str| -> Result<PathBuf> {
        let folder = paths::target("fuzz").join(kind).join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    };
    let (corpus, seeds, failed) = (folder("corpus")?, folder("seeds")?, folder("failed")?);
    let text = fs::read_to_string(paths::at(SEEDS).join(name).with_extension("txt"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    for (i, seed) in text.split("\n----\n").enumerate() {
        fs::write(seeds.join(i.to_string()), seed)?;
    }
    program(built.join(name))
        .args([&corpus, &seeds])
        .args([
            format!("-max_total_time={seconds}"),
            format!("-artifact_prefix={}/", failed.display()),
            // An input that takes so long is a fault, as is one that takes so much.
            "-timeout=10".to_owned(),
            "-rss_limit_mb=1024".to_owned(),
            "-max_len=70000".to_owned(),
            "-len_control=20".to_owned(),
            "-print_final_stats=1".to_owned(),
            "-verbosity=1".to_owned(),
        ])
        .run()
        .with_context(|| format!("{name}: an input that fails is in {}", failed.display()))
}
