//! Runs the deterministic simulation of `tests/simulation`, and its controls. The controls run a copy of the package in
//! which one rule of the core at a time can be broken. One build of this copy contains all broken rules.

use crate::controls;
use crate::paths::{TARGETS_OF_THE_MANIFEST, at, files_below, root, target, write_if_changed};
use crate::process::{Process, cargo};
use crate::progress::{Output, step};
use crate::variants::VARIANTS;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// The number of lives within which the simulation must notice a broken rule.
const SESSIONS: &str = "20000";

/// The environment variable that names the broken rule.
const VARIABLE: &str = "STRONGROOM_BROKEN";

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

/// Runs the simulation once with each broken rule. The simulation must notice each broken rule.
pub(crate) fn controls() -> Result<()> {
    check_markers()?;
    let copy = target("simulation-broken");
    write_copy(&copy)?;
    step(
        "simulation: build the broken variants",
        Output::Quiet,
        || broken(&copy).args(["--no-run"]).run_quietly(),
    )?;
    check_invariants(&broken(&copy).args(["--", "--invariants"]).read()?)?;
    // This step shows that the copy works as long as no rule is broken. Otherwise the steps below could fail because of
    // the switches themselves.
    step(
        "nothing is noticed without a broken rule",
        Output::Quiet,
        || {
            let vaults = ["--", "--sessions", "2000"];
            broken(&copy).args(vaults).run_quietly()?;
            let isolates = ["--", "--isolates", "--sessions", "500"];
            broken(&copy).args(isolates).run_quietly()
        },
    )?;
    let mut missed = Vec::new();
    for variant in VARIANTS {
        let lives = match variant.is_of_isolates() {
            true => Lives::Isolates,
            false => Lives::Vaults,
        };
        let options = ["--sessions", SESSIONS, "--expect", variant.noticed_by];
        let options = [&["--"], lives.option(), &options].concat();
        let label = format!("noticed: {}", variant.fault);
        let noticed = step(&label, Output::Quiet, || {
            let run = broken(&copy).args(options);
            run.env(VARIABLE, variant.control).run_quietly()
        });
        // All controls run, so that one run shows every rule that nothing notices any more.
        if let Err(error) = noticed {
            eprintln!("{error:#}");
            missed.push(variant.control);
        }
    }
    if !missed.is_empty() {
        bail!("the simulation no longer notices: {}", missed.join(", "));
    }
    Ok(())
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
    controls::check(markers, VARIANTS.iter().map(|variant| variant.control))
}

fn simulation() -> Process {
    let target = ["--profile", "simulation", "--test", "simulation"];
    cargo().args(["test", "--quiet"]).args(target)
}

/// Returns the command that runs the simulation of the copy. The builds of the package and of the copy share their
/// compiled dependencies.
fn broken(copy: &Path) -> Process {
    let manifest = copy.join("Cargo.toml");
    simulation()
        .args(["--manifest-path".as_ref(), manifest.as_os_str()])
        .args(["--target-dir".as_ref(), target("").as_os_str()])
}

fn write_copy(copy: &Path) -> Result<()> {
    let mut files = files_below(root(), "src")?;
    files.extend(["Cargo.toml", "Cargo.lock"].map(str::to_owned));
    for target in TARGETS_OF_THE_MANIFEST {
        if at(target).is_dir() {
            files.extend(files_below(root(), target)?);
        } else {
            files.push(target.to_owned());
        }
    }
    for file in &files {
        let text = altered(file, &fs::read_to_string(at(file))?)?;
        write_if_changed(&copy.join(file), &text)?;
    }
    let switch = "src/broken.rs".to_owned();
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

/// Returns the content that the file `name` of the package has in the copy.
fn altered(name: &str, text: &str) -> Result<String> {
    if name == "Cargo.toml" {
        return other_version(name, &alone(text)?);
    }
    if name == "tests/kit/Cargo.toml" {
        return other_version(name, text);
    }
    let Some(file) = name.strip_prefix("src/") else {
        return Ok(text.to_owned());
    };
    let mut text = text.to_owned();
    if file == "lib.rs" {
        let modules = "extern crate alloc;\npub mod broken;";
        text = replaced(name, &text, "extern crate alloc;", modules)?;
    }
    let switch = |control: &str| format!("crate::broken::is({control:?})");
    let breaks = |control: &str| {
        let variant = VARIANTS.iter().find(|variant| variant.control == control);
        variant.map(|variant| variant.breaks)
    };
    controls::broken(&text, switch, breaks).with_context(|| format!("{name} could not be broken"))
}

/// Returns the package's manifest for a copy that has only `tests/kit` as another member of the workspace.
pub(crate) fn alone(manifest: &str) -> Result<String> {
    let members = "members = [\"fuzz\", \"tests/kit\", \"xtask\"]";
    replaced("Cargo.toml", manifest, members, "members = [\"tests/kit\"]")
}

/// Changes the version in a manifest. Cargo would treat two packages of the same name and version as one package, and
/// one build would replace the other build.
fn other_version(file: &str, manifest: &str) -> Result<String> {
    replaced(file, manifest, "\nversion = \"", "\nversion = \"9")
}

/// Replaces `find`, which must occur exactly once, by `replacement`.
pub(crate) fn replaced(file: &str, text: &str, find: &str, replacement: &str) -> Result<String> {
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
        for file in files_below(root(), "src").unwrap() {
            let text = fs::read_to_string(at(&file)).unwrap();
            if let Err(error) = syn::parse_file(&altered(&file, &text).unwrap()) {
                let at = error.span().start().line;
                panic!("{file}, line {at}: {error}");
            }
        }
    }
}
