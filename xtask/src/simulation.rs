//! Runs the deterministic simulation of `tests/simulation`, and its controls. The controls run a copy of the package in
//! which one rule of the core at a time can be broken. One build of this copy contains all broken rules.

use crate::controls;
use crate::paths::{TESTED, at, files_below, files_of_tests, root, target, write_if_changed};
use crate::process::{Process, cargo, executables, program};
use crate::progress::{Output, step};
use crate::variants::{PLANTED, VARIANTS, Variant};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The number of lives within which the simulation must notice a broken rule.
const SESSIONS: &str = "20000";

/// The folder of the copy with the broken rules, below `target`.
pub(crate) const COPY: &str = "simulation-broken";

/// The document with the numbers of orders, which the search compares.
const ORDERS: &str = "docs/security-claims.md";

/// The environment variable that names the broken rule.
pub(crate) const VARIABLE: &str = "STRONGROOM_BROKEN";

/// The source of a module that only the copy has. Its function returns true for the name of the broken rule.
const SWITCH: &str = r#"
//! The rule that is broken.
static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
/// Returns true if it is this one.
pub fn is(name: &str) -> bool {
    CHOSEN.get_or_init(|| std::env::var("VARIABLE").ok()).as_deref() == Some(name)
}
"#;

/// Kinds of lives.
#[derive(Clone, Copy)]
pub(crate) enum Lives {
    /// Vaults in browsers.
    Vaults,
    /// Isolates of the token handler.
    Isolates,
}

impl Lives {
    const fn option(self) -> &'static [&'static str] {
        match self {
            Self::Vaults => &[],
            Self::Isolates => &["--isolates"],
        }
    }
}

/// Builds the simulation, and runs `sessions` lives. The first life has the seed `seed`, and each further life the next
/// seed.
pub(crate) fn run(lives: Lives, sessions: Option<u64>, seed: Option<u64>) -> Result<()> {
    step("simulation: build", Output::Quiet, || {
        simulation().args(["--no-run"]).run_quietly()
    })?;
    let mut options = Vec::new();
    for (name, value) in [("--sessions", sessions), ("--seed", seed)] {
        if let Some(value) = value {
            options.extend([name.to_owned(), value.to_string()]);
        }
    }
    simulation()
        .args(["--"])
        .args(lives.option())
        .args(options)
        .run()
}

/// The rules without which `wakes` also counts.
const PROTECTING: [&str; 2] = ["refresh_token_waits_for_a_proof", "refresh_waits_for_quiet"];

/// Counts the sessions that a laptop loses in this number of days, with all rules and without some of them.
pub(crate) fn wakes(days: u64) -> Result<()> {
    let copy = target(COPY);
    write_copy(&copy)?;
    let built = step("simulation: build", Output::Quiet, || {
        executable(broken(&copy, simulation()))
    })?;
    let count = |label: &str, control: &str| {
        println!("\n{label}");
        program(&built)
            .args(["--wakes", "--sessions", &days.to_string()])
            .env(VARIABLE, control)
            .run()
    };
    count("with all rules", "")?;
    for control in PROTECTING {
        let variant = VARIANTS.iter().find(|variant| variant.control == control);
        let variant = variant.context("the rule can be broken")?;
        count(&format!("if {}", variant.fault), control)?;
    }
    Ok(())
}

/// Runs the simulation with all rules, and then with each broken rule, until the simulation notices it. With `writes`,
/// writes the lowest seed that notices each broken rule to xtask/src/variants.rs.
pub(crate) fn controls(writes: bool) -> Result<()> {
    check_markers()?;
    let copy = target(COPY);
    write_copy(&copy)?;
    let broken = step(
        "simulation: build the broken variants",
        Output::Quiet,
        || executable(broken(&copy, simulation())),
    )?;
    check_invariants(&program(&broken).args(["--invariants"]).read()?)?;
    // With all rules, nothing is noticed. That is the simulation itself, so a run of all tests builds only this copy.
    for (lives, sessions) in [(Lives::Vaults, "7000"), (Lives::Isolates, "2000")] {
        let all = program(&broken).args(lives.option());
        all.args(["--sessions", sessions]).run()?;
    }
    let mut seeds = Vec::new();
    let mut missed = Vec::new();
    for variant in VARIANTS {
        let label = format!("noticed: {}", variant.fault);
        let noticed = step(&label, Output::Quiet, || {
            let is_known = !writes && notices(&broken, variant, variant.seed, "1").is_ok();
            match is_known {
                true => Ok(variant.seed),
                false => notices(&broken, variant, 1, SESSIONS),
            }
        });
        match noticed {
            Ok(seed) => seeds.push((variant, seed)),
            // All controls run, so that one run shows every rule that nothing notices any more.
            Err(error) => {
                eprintln!("{error:#}");
                missed.push(variant.control);
            }
        }
    }
    if writes {
        write_seeds(&seeds)?;
    }
    if !missed.is_empty() {
        bail!("the simulation no longer notices: {}", missed.join(", "));
    }
    let moved = seeds.iter().filter(|(variant, seed)| *seed != variant.seed);
    match moved.count() {
        0 => {}
        _ if writes => println!("  wrote the seeds to {WHERE}"),
        moved => println!(
            "  {moved} seeds in {WHERE} notice nothing any more, so others were searched; `cargo xtask simulate --controls --write` writes them"
        ),
    }
    Ok(())
}

/// The file with the variants and their seeds.
const WHERE: &str = "xtask/src/variants.rs";

/// Runs lives with a broken rule. Returns the lowest seed that notices it.
fn notices(broken: &Path, variant: &Variant, first: u64, lives: &str) -> Result<u64> {
    let of = match variant.is_of_isolates() {
        true => Lives::Isolates,
        false => Lives::Vaults,
    };
    let said = program(broken)
        .args(of.option())
        .args(["--expect", variant.noticed_by, "--sessions", lives])
        .args(["--seed", &first.to_string()])
        .env(VARIABLE, variant.control)
        .read()?;
    let seed = said.rsplit(' ').next().and_then(|seed| seed.parse().ok());
    seed.with_context(|| format!("the simulation names no seed: {said}"))
}

/// Writes the seeds of these variants.
fn write_seeds(seeds: &[(&Variant, u64)]) -> Result<()> {
    let mut text = fs::read_to_string(at(WHERE))?;
    for (variant, seed) in seeds {
        let name = format!("control: {:?},", variant.control);
        let start = text.find(&name).context("each variant has its name")?;
        let (before, after) = text.split_at(start);
        let old = format!("seed: {},", variant.seed);
        text = format!(
            "{before}{}",
            after.replacen(&old, &format!("seed: {seed},"), 1)
        );
    }
    write_if_changed(&at(WHERE), &text)
}

/// Checks that some broken rule is noticed by each of the simulation's invariants.
fn check_invariants(invariants: &str) -> Result<()> {
    for invariant in invariants.lines() {
        if !VARIANTS.iter().any(|v| v.noticed_by == invariant) {
            bail!("no broken variant in xtask/src/variants.rs is noticed by {invariant}");
        }
    }
    Ok(())
}

/// Checks that `src` marks exactly the rules that the variants break, each once.
fn check_markers() -> Result<()> {
    let texts: Vec<String> = files_below(root(), "src")?
        .iter()
        .map(|file| fs::read_to_string(at(file)))
        .collect::<std::io::Result<_>>()?;
    let markers = texts.iter().flat_map(|text| controls::names(text));
    let variants = VARIANTS.iter().map(|variant| variant.control);
    let planted = PLANTED.iter().map(|planted| planted.control);
    controls::check(markers, variants.chain(planted))
}

fn simulation() -> Process {
    built("strongroom-tests", "simulation")
}

/// Returns the command that builds and runs a test target with the optimizations of the simulation.
pub(crate) fn built(package: &str, target: &str) -> Process {
    tests(package, target).args(["--profile", "simulation"])
}

/// Returns the command that builds and runs a test target as the kind `native` does, which takes a quarter of the time.
pub(crate) fn tests(package: &str, target: &str) -> Process {
    cargo().args(["test", "--quiet", "--package", package, "--test", target])
}

/// Builds a simulation, and returns the path of the program.
pub(crate) fn executable(simulation: Process) -> Result<PathBuf> {
    let messages = simulation
        .args(["--no-run", "--message-format=json-render-diagnostics"])
        .read()?;
    let (_, program) = executables(&messages)
        .pop()
        .context("cargo names the program that it built")?;
    Ok(program)
}

/// Returns the command of a test target in the copy. The builds of the package and of the copy share their
/// compiled dependencies.
pub(crate) fn broken(copy: &Path, command: Process) -> Process {
    let manifest = copy.join("Cargo.toml");
    command
        .args(["--manifest-path".as_ref(), manifest.as_os_str()])
        .args(["--target-dir".as_ref(), target("").as_os_str()])
}

pub(crate) fn write_copy(copy: &Path) -> Result<()> {
    let mut files = files_below(root(), "src")?;
    files.extend(["Cargo.toml", "Cargo.lock", ORDERS].map(str::to_owned));
    files.extend(files_of_tests()?);
    for file in &files {
        let text = altered(file, &fs::read_to_string(at(file))?)?;
        write_if_changed(&copy.join(file), &text)?;
    }
    let switch = "src/rules/broken.rs".to_owned();
    write_if_changed(&copy.join(&switch), &SWITCH.replace("VARIABLE", VARIABLE))?;
    files.push(switch);
    remove_others(copy, &files)
}

/// Removes the files below `src` and `tests` of a copy that the package no longer has.
pub(crate) fn remove_others(copy: &Path, wanted: &[String]) -> Result<()> {
    let folders = ["src", "tests"].into_iter();
    for folder in folders.filter(|folder| copy.join(folder).exists()) {
        let mut there = files_below(copy, folder)?;
        there.retain(|file| !wanted.contains(file));
        there
            .iter()
            .try_for_each(|file| fs::remove_file(copy.join(file)))?;
    }
    Ok(())
}

/// Returns the content that the file `name` of the workspace has in the copy.
fn altered(name: &str, text: &str) -> Result<String> {
    if name == "Cargo.toml" {
        return other_version(name, &for_tests(text)?);
    }
    if !(name.starts_with("src/") && name.ends_with(".rs")) {
        return Ok(text.to_owned());
    }
    let text = with_switch(name, text, "pub mod broken;")?;
    let switch = |control: &str| format!("{}::broken::is({control:?})", rules_in(name));
    let breaks = |control: &str| {
        let variants = VARIANTS.iter().map(|it| (it.control, it.breaks));
        let planted = PLANTED.iter().map(|it| (it.control, it.breaks));
        let mut all = variants.chain(planted);
        all.find(|(name, _)| *name == control)
            .map(|(_, breaks)| breaks)
    };
    controls::broken(&text, switch, breaks).with_context(|| format!("{name} could not be broken"))
}

/// Returns the text of a source file, which declares the module of a switch if it is the root of the crate `rules`.
pub(crate) fn with_switch(name: &str, text: &str, module: &str) -> Result<String> {
    const FIRST: &str = "extern crate alloc;";
    match name {
        "src/rules/lib.rs" => replaced(name, text, FIRST, &[FIRST, "\n", module].concat()),
        _ => Ok(text.to_owned()),
    }
}

/// Returns the name that the crate `rules` has in a source file.
pub(crate) fn rules_in(name: &str) -> &'static str {
    if name.starts_with("src/rules/") {
        "crate"
    } else {
        "rules"
    }
}

/// Returns the workspace's manifest for a copy that has only the members [`TESTED`].
pub(crate) fn for_tests(manifest: &str) -> Result<String> {
    let (before, rest) = manifest
        .split_once("\nmembers = [")
        .context("Cargo.toml names members")?;
    let (_, after) = rest.split_once(']').context("the list of members ends")?;
    Ok(format!("{before}\nmembers = {TESTED:?}{after}"))
}

/// Changes the version in a manifest. Cargo would treat two packages of the same name and version as one package, and
/// one build would replace the other build.
fn other_version(file: &str, manifest: &str) -> Result<String> {
    replaced(file, manifest, "\nversion = \"", "\nversion = \"9")
}

/// Replaces `find`, which must occur exactly once, by `replacement`.
fn replaced(file: &str, text: &str, find: &str, replacement: &str) -> Result<String> {
    match text.matches(find).count() {
        1 => Ok(text.replace(find, replacement)),
        times => bail!("{file} has this {times} times, not once: {find}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_has_its_marker() {
        check_markers().unwrap();
    }

    #[test]
    fn every_marked_rule_can_be_broken() {
        let files = files_below(root(), "src").unwrap();
        for file in files.iter().filter(|file| file.ends_with(".rs")) {
            let text = fs::read_to_string(at(file)).unwrap();
            if let Err(error) = syn::parse_file(&altered(file, &text).unwrap()) {
                let at = error.span().start().line;
                panic!("{file}, line {at}: {error}");
            }
        }
    }
}
