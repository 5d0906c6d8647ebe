//! `cargo xtask fuzz`: runs libFuzzer on the targets of `tests/hostile`.
//!
//! The command needs a C++ compiler for libFuzzer's own code. `cargo fuzz` uses the same compiler options to count
//! covered code. The options work with a stable compiler as long as no sanitizer is used. The targets run no unsafe
//! code of the core, so sanitizers would find nothing in it.
//!
//! Inputs that reach new code stay in `target/fuzz/corpus`, and the next run starts with them. An input that fails is
//! stored in `target/fuzz/failed`. Add it to the target's seeds once the fault is fixed.

use crate::paths;
use crate::process::{cargo, program};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Compiler options that tell libFuzzer which code an input reaches, and with which values the code compares the input.
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

/// Fuzzes `target` for `seconds`. Without `target`, fuzzes each target in turn, for `seconds` each.
pub(crate) fn run(target: Option<&str>, seconds: u32) -> Result<()> {
    let known = targets()?;
    let chosen: Vec<&String> = match target {
        None => known.iter().collect(),
        Some(name) => known.iter().filter(|known| *known == name).collect(),
    };
    if chosen.is_empty() {
        bail!("unknown target; the targets are {}", known.join(", "));
    }
    let built = build()?;
    // If a target fails, the other targets still run.
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

/// Returns the names of the targets, which are the names of the files with their seeds.
fn targets() -> Result<Vec<String>> {
    let files =
        fs::read_dir(paths::at(SEEDS)).with_context(|| format!("{SEEDS} cannot be read"))?;
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Builds the binaries of all targets. Returns the folder with these binaries.
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
        // Without `--target`, build scripts would be compiled with these flags too.
        .args(["--target", &host])
        .args(["--config", "profile.release.debug-assertions=true"])
        .args(["--config", "profile.release.overflow-checks=true"])
        .args(["--config", "profile.release.opt-level=3"])
        .args(["--config", "profile.release.lto=false"])
        // libFuzzer catches the abort after a panic, and shows the input that caused it.
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
            // An input that takes this much time or memory counts as a fault.
            "-timeout=10".to_owned(),
            "-rss_limit_mb=1024".to_owned(),
            "-max_len=70000".to_owned(),
            "-len_control=20".to_owned(),
            "-print_final_stats=1".to_owned(),
            "-verbosity=1".to_owned(),
        ])
        .run()
        .with_context(|| format!("{name}: the failing input is in {}", failed.display()))
}
