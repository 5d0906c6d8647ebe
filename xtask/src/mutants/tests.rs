//! Runs the tests that reach a mutant, until one of them fails.

use super::build::Build;
use super::list::Mutant;
use crate::at_once;
use crate::paths::target;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The result of testing a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The mutant does not compile.
    Unviable,
    /// A test failed, or did not end within the time limit.
    Caught,
    /// All tests passed.
    Missed {
        /// True if a test calls the function that the mutant changes.
        is_reached: bool,
    },
}

/// A test that ran once without a mutant.
struct Test {
    binary: usize,
    name: String,
    /// True if the test expects panics, so a panic must not end the process.
    is_patient: bool,
    took: Duration,
    /// The numbers of the functions with mutants that the test calls.
    reached: BTreeSet<usize>,
}

/// The tests of a build.
pub(crate) struct Suite {
    binaries: Vec<PathBuf>,
    tests: Vec<Test>,
    /// The time within which three quarters of the tests end. These faster tests run first, because one failure is
    /// enough to notice a mutant.
    usual: Duration,
}

/// The largest `usize`. No mutant has this number.
const NO_MUTANT: &str = "18446744073709551615";

/// The maximum time for the tests of a mutant in one binary. Without a mutant, each binary needs a few seconds for all
/// of its tests.
const LONGEST: Duration = Duration::from_secs(30);

/// A time limit that only a test without an end exceeds.
const LONG: Duration = Duration::from_secs(600);

impl Suite {
    /// Runs each test once, and records the functions that it reaches.
    pub(crate) fn trace(build: &Build, jobs: usize) -> Result<Self> {
        let mut names = Vec::new();
        for (binary, path) in build.binaries.iter().enumerate() {
            let listed = crate::process::program(path)
                .args(["--list", "--format", "terse"])
                .read()?;
            let tests = listed
                .lines()
                .filter_map(|line| line.strip_suffix(": test"));
            names.extend(tests.map(|name| (binary, name.to_owned())));
        }
        let folder = target("mutants/traces");
        fs::create_dir_all(&folder)?;
        let traced = at_once::each(
            jobs,
            names.into_iter().enumerate(),
            |(i, (binary, name))| {
                let trace = folder.join(i.to_string());
                trace_one(&build.binaries[binary], binary, name, &trace)
            },
        );
        let mut tests = traced.into_iter().collect::<Result<Vec<_>>>()?;
        tests.sort_by_key(|test| test.took);
        let usual = tests.get(tests.len() * 3 / 4).map(|test| test.took);
        Ok(Self {
            binaries: build.binaries.clone(),
            tests,
            usual: usual.unwrap_or_default(),
        })
    }

    /// Tests one mutant of the build.
    pub(crate) fn test(&self, mutants: &[Mutant], number: usize) -> Result<Verdict> {
        let group = mutants[number].group;
        let reaching = self
            .tests
            .iter()
            .filter(|test| test.reached.contains(&group));
        let mut batches: BTreeMap<_, Vec<&Test>> = BTreeMap::new();
        for test in reaching {
            let is_slow = test.took > self.usual;
            let batch = (is_slow, test.is_patient, test.binary);
            batches.entry(batch).or_default().push(test);
        }
        let is_reached = !batches.is_empty();
        for ((_, is_patient, binary), tests) in batches {
            let took: Duration = tests.iter().map(|test| test.took).sum();
            let time = (took * 3 + Duration::from_secs(5)).min(LONGEST);
            let mut command = limited(&self.binaries[binary], time);
            command.arg("--exact");
            command.args(tests.iter().map(|test| test.name.as_str()));
            command.env("STRONGROOM_MUTANT", number.to_string());
            if is_patient {
                command.env("STRONGROOM_PATIENT", "1");
            }
            if !succeeds(command)? {
                return Ok(Verdict::Caught);
            }
        }
        Ok(Verdict::Missed { is_reached })
    }
}

/// Runs all tests of binaries that contain one mutant.
pub(crate) fn test_alone(binaries: &[PathBuf]) -> Result<Verdict> {
    for path in binaries {
        if !succeeds(limited(path, LONG))? {
            return Ok(Verdict::Caught);
        }
    }
    Ok(Verdict::Missed { is_reached: true })
}

fn trace_one(path: &Path, binary: usize, name: String, trace: &Path) -> Result<Test> {
    let run = |is_patient: bool| -> Result<bool> {
        fs::remove_file(trace).ok();
        let mut command = limited(path, LONG);
        command.args(["--exact", &name]);
        command.env("STRONGROOM_MUTANT", NO_MUTANT);
        command.env("STRONGROOM_TRACE", trace);
        if is_patient {
            command.env("STRONGROOM_PATIENT", "1");
        }
        succeeds(command)
    };
    let start = Instant::now();
    let is_patient = !run(false)?;
    if is_patient && !run(true)? {
        bail!("the test {name} fails without any mutant");
    }
    let took = start.elapsed();
    let reached = fs::read_to_string(trace).unwrap_or_default();
    Ok(Test {
        binary,
        name,
        is_patient,
        took,
        reached: reached
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect(),
    })
}

/// Returns a command with limits for processor time and memory (4 GB), because a mutant may loop forever. Processor
/// time does not depend on other load on the machine.
#[cfg(unix)]
fn limited(path: &Path, time: Duration) -> Command {
    let script = r#"ulimit -t "$1" && ulimit -v 4194304 && shift && exec "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", &time.as_secs().to_string()]);
    command.arg(path);
    command
}

#[cfg(not(unix))]
fn limited(path: &Path, _: Duration) -> Command {
    Command::new(path)
}

fn succeeds(mut command: Command) -> Result<bool> {
    // Mutants are tested in parallel, each with one thread.
    let status = command
        .env("RUST_TEST_THREADS", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("a test could not be started")?;
    Ok(status.success())
}
