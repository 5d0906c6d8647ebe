//! Runs the test files of a folder, each in its own process.

use crate::at_once::each;
use crate::paths::{files_below, root};
use crate::process::{Process, node};
use crate::progress::{seconds, with_minutes};
use crate::times;
use anyhow::{Context, Result, bail};
use std::cmp::Reverse;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// The test files that take the longest. These files start first, so that the last files to run are short. Other files
/// need not be listed.
const LONG: [&str; 20] = [
    "webkit.test.mjs",
    "chromium.test.mjs",
    "worker_failure.all.test.mjs",
    "frameworks.test.mjs",
    "pwa.test.mjs",
    "media.test.mjs",
    "uploads.test.mjs",
    "large_bodies.test.mjs",
    "bindings.test.mjs",
    "servers.all.test.mjs",
    "leak.test.mjs",
    "callback_attacks.test.mjs",
    "vault_origin_frame.test.mjs",
    "browser.node.all.test.mjs",
    "escrow.test.mjs",
    "process_death.test.mjs",
    "clocks.test.mjs",
    "callback_page.test.mjs",
    "theft.test.mjs",
    "service_worker.test.mjs",
];

/// Node ends a file after 20 minutes, because a test that timed out may leave a server that keeps its process alive. The
/// longest files, of the engines, take five minutes on two cores.
const LIMIT: &str = "--test-timeout=1200000";

/// Hides the warning that a test uses Node's mock timers.
const QUIET: &str = "--disable-warning=ExperimentalWarning";

/// The number of files that run at the same time.
#[derive(Clone, Copy)]
pub(crate) enum AtOnce {
    /// Files without a browser use a core each.
    Two = 2,
    /// Files share nothing: each has its own browser, profile, servers and ports. Three browsers occupy two cores: with
    /// four or five at the same time, each file takes longer, and all files together take as long as with three.
    Three = 3,
}

/// A part of the files of a kind, as in `1/2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    number: usize,
    of: usize,
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text
            .split_once('/')
            .map(|(number, of)| (number.parse(), of.parse()));
        match numbers {
            Some((Ok(number), Ok(of))) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(format!("a part is written as 1/2, not {text}")),
        }
    }
}

/// The end of the names of files that the usual run leaves out. They run with `--all`, and if a change concerns them.
pub(crate) const LEFT_OUT: &str = ".all.test.mjs";

/// The environment variable that tells test files to run all rows of their tables: see tests/support/combinations.mjs.
const ROWS: &str = "TEST_ROWS";

/// The test files of a folder.
pub(crate) struct Suite {
    files: Vec<String>,
    has_all_rows: bool,
}

impl Suite {
    /// Returns all `*.test.mjs` files in `folder` and in its own folders. Fails if there are no such files, because Node's
    /// test runner would pass silently.
    pub(crate) fn of(folder: &str) -> Result<Self> {
        let mut files = files_below(root(), folder)?;
        files.retain(|file| file.ends_with(".test.mjs"));
        if files.is_empty() {
            bail!("{folder} has no *.test.mjs, so there is nothing to run");
        }
        Ok(Self::new(files, false))
    }

    /// Returns a suite of these files, each with all rows of its tables.
    pub(crate) fn files(files: &[String]) -> Self {
        Self::new(files.to_vec(), true)
    }

    fn new(mut files: Vec<String>, has_all_rows: bool) -> Self {
        files.sort_by_key(|file| place(file));
        Self {
            files,
            has_all_rows,
        }
    }

    /// Leaves out the files that run only with `--all`, unless `all` is true.
    pub(crate) fn usual(mut self, all: bool) -> Self {
        self.files.retain(|file| all || !file.ends_with(LEFT_OUT));
        self
    }

    /// Adds the files of another suite.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        Self::new(self.files, self.has_all_rows)
    }

    /// Keeps only the files with these names.
    pub(crate) fn only(mut self, names: &[String]) -> Result<Self> {
        let named = |file: &String| names.iter().any(|name| is_named(file, name));
        self.files.retain(named);
        if self.files.len() != names.len() {
            bail!("no test files for {}", names.join(", "));
        }
        Ok(self)
    }

    /// Keeps only a part of the files. All parts together are all files, and each part has its share of the long ones.
    pub(crate) fn part(self, Part { number, of }: Part) -> Self {
        let files = self.files.into_iter().skip(number - 1).step_by(of);
        Self {
            files: files.collect(),
            ..self
        }
    }

    /// Leaves out the file with this name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.files.retain(|file| !is_named(file, name));
        self
    }

    /// Runs all files, even if one fails. `prepare` sets each process up.
    pub(crate) fn run(
        self,
        at_once: AtOnce,
        prepare: impl Fn(Process) -> Result<Process> + Sync,
    ) -> Result<()> {
        let all = self.files.len();
        let passes = |file: &str| run_file(file, self.has_all_rows, &prepare).is_ok();
        verdict(all, &failed(&outcomes(at_once, self.files, passes)))
    }

    /// Runs files that each start a browser, and prints which took longest. Failed files may run a second time, because a
    /// browser fails now and then on a busy machine.
    pub(crate) fn run_in_browsers(
        self,
        at_once: AtOnce,
        prepare: impl Fn(Process) -> Result<Process> + Sync,
    ) -> Result<()> {
        let all = self.files.len();
        let passes = |file: &str| run_file(file, self.has_all_rows, &prepare).is_ok();
        let outcomes = outcomes(at_once, self.files, passes);
        let failed = once_more(failed(&outcomes), passes);
        if all > SLOWEST {
            println!("{}", slowest(outcomes, at_once));
        }
        verdict(all, &failed)
    }
}

fn verdict(all: usize, failed: &[String]) -> Result<()> {
    if !failed.is_empty() {
        bail!(
            "{} of {all} files failed: {}",
            failed.len(),
            failed.join(", ")
        );
    }
    Ok(())
}

/// The run of a file.
struct Outcome {
    file: String,
    has_passed: bool,
    took: Duration,
}

/// Runs all files.
fn outcomes(
    at_once: AtOnce,
    files: Vec<String>,
    passes: impl Fn(&str) -> bool + Sync,
) -> Vec<Outcome> {
    each(at_once as usize, files, |file| {
        let start = Instant::now();
        let has_passed = passes(&file);
        Outcome {
            file,
            has_passed,
            took: start.elapsed(),
        }
    })
}

/// Returns the files that failed.
fn failed(outcomes: &[Outcome]) -> Vec<String> {
    let failed = outcomes.iter().filter(|outcome| !outcome.has_passed);
    failed.map(|outcome| outcome.file.clone()).collect()
}

/// The number of files in the table of the slowest files.
const SLOWEST: usize = 10;

/// Returns a table of the files that took longest. Files that run at the same time delay each other.
fn slowest(mut outcomes: Vec<Outcome>, at_once: AtOnce) -> String {
    outcomes.sort_by_key(|outcome| Reverse(outcome.took));
    let sum: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
    let rows = outcomes
        .iter()
        .take(SLOWEST)
        .map(|Outcome { file, took, .. }| {
            let share = 100.0 * took.as_secs_f64() / sum.as_secs_f64();
            format!("\n  {:>8}  {share:>4.1} %  {file}", seconds(*took))
        });
    format!(
        "  the slowest of {} files, which took {} together, {} at a time:{}",
        outcomes.len(),
        seconds(sum),
        at_once as usize,
        rows.collect::<String>()
    )
}

/// The maximum number of failed files that are run again.
const FEW: usize = 4;

/// Runs failed files a second time, one after the other, and returns the files that fail again. A file that passes the
/// second time is reported as unsteady. If more than [`FEW`] files failed, they are not repeated, because so many
/// failures are not chance.
fn once_more(failed: Vec<String>, passes: impl Fn(&str) -> bool) -> Vec<String> {
    if failed.len() > FEW {
        return failed;
    }
    let fails_again = |file: &String| {
        println!("  repeating {file} alone");
        let is_unsteady = passes(file);
        if is_unsteady {
            println!("  UNSTEADY: {file} failed, and passed the second time");
        }
        !is_unsteady
    };
    failed.into_iter().filter(fails_again).collect()
}

fn is_named(file: &str, name: &str) -> bool {
    file.ends_with(&format!("/{name}"))
}

fn place(file: &str) -> usize {
    LONG.iter()
        .position(|name| is_named(file, name))
        .unwrap_or(LONG.len())
}

/// Runs a file. Prints a line each minute, and then a line if it passes, or its whole output if it fails.
fn run_file(
    file: &str,
    has_all_rows: bool,
    prepare: &impl Fn(Process) -> Result<Process>,
) -> Result<()> {
    let start = Instant::now();
    let process = node(&["--test", "--test-reporter=spec", LIMIT, QUIET]).args([file]);
    let process = match has_all_rows {
        true => process.env(ROWS, "1"),
        false => process,
    };
    let process = prepare(process).with_context(|| file.to_owned());
    let result = process.and_then(|process| with_minutes(file, || process.read()));
    times::note(file, start.elapsed());
    let took = seconds(start.elapsed());
    match &result {
        Ok(said) => {
            println!("  ✓ {file}  {}  {took}", counts(said));
            for line in remarks(said) {
                println!("      {line}");
            }
        }
        Err(error) => println!("  ✗ {file}  {took}\n{error:#}"),
    }
    result.map(drop)
}

/// Returns the numbers of passed and skipped tests, from the summary of Node's test runner.
fn counts(said: &str) -> String {
    let number = |what: &str| {
        said.lines().find_map(|line| {
            line.strip_prefix("ℹ ")?
                .strip_prefix(what)?
                .trim()
                .parse::<u32>()
                .ok()
        })
    };
    match (number("pass "), number("skipped "), number("todo ")) {
        (Some(passed), Some(0), Some(0)) => format!("{passed} passed"),
        (Some(passed), skipped, todo) => format!(
            "{passed} passed, {} SKIPPED",
            skipped.unwrap_or_default() + todo.unwrap_or_default()
        ),
        _ => "no summary".to_owned(),
    }
}

/// Returns the lines that the tests themselves printed, such as measurements, without the lines of the test runner.
fn remarks(said: &str) -> impl Iterator<Item = &str> {
    said.lines().filter(|line| {
        let word = line.trim_start();
        !word.is_empty() && !word.starts_with(['✔', 'ℹ', '▶', '✖'])
    })
}

#[cfg(test)]
mod tests {
    use super::{
        AtOnce, Outcome, Part, Suite, counts, failed, once_more, outcomes, remarks, slowest,
    };
    use std::sync::Mutex;
    use std::time::Duration;

    const SAID: &str = "✔ one (2.1ms)\n▶ two\n  ✔ three (1ms)\n400 calls, 1 refresh\nℹ tests 3\nℹ pass 3\nℹ fail 0\nℹ skipped 0\nℹ todo 0";

    #[test]
    fn file_line_has_its_number_of_tests() {
        assert_eq!(counts(SAID), "3 passed");
        assert_eq!(
            counts(&SAID.replace("skipped 0", "skipped 2")),
            "3 passed, 2 SKIPPED"
        );
        assert_eq!(counts("not the output of a test runner"), "no summary");
    }

    #[test]
    fn measurements_are_printed() {
        assert_eq!(remarks(SAID).collect::<Vec<_>>(), ["400 calls, 1 refresh"]);
    }

    /// Runs files that each fail as often as their name says. Returns the files that failed and the number of runs.
    fn ran(names: &[&str]) -> (Vec<String>, usize) {
        let runs = Mutex::new(Vec::new());
        let passes = |file: &str| {
            let mut runs = runs.lock().unwrap();
            runs.push(file.to_owned());
            let failures = file[..1].parse::<usize>().unwrap();
            runs.iter().filter(|name| *name == file).count() > failures
        };
        let files = names.iter().map(|name| (*name).to_owned()).collect();
        let failed = once_more(failed(&outcomes(AtOnce::Two, files, passes)), passes);
        (failed, runs.into_inner().unwrap().len())
    }

    #[test]
    fn failed_file_is_repeated_once() {
        assert_eq!(ran(&["0a", "0b"]), (vec![], 2));
        assert_eq!(ran(&["0a", "1b", "1c"]), (vec![], 5));
        assert_eq!(ran(&["0a", "1b", "2c"]), (vec!["2c".to_owned()], 5));
    }

    #[test]
    fn many_failures_are_not_repeated() {
        let many = ["1a", "1b", "1c", "1d", "1e", "0f"];
        assert_eq!(ran(&many).1, many.len());
        assert_eq!(ran(&many).0, many[..5]);
    }

    #[test]
    fn long_files_of_both_suites_come_first() {
        let suite = |files: &[&str]| {
            let files = files.iter().map(|file| (*file).to_owned());
            Suite::new(files.collect(), false)
        };
        let both = suite(&["browser/leak.test.mjs", "browser/a.test.mjs"])
            .and(suite(&["engines/chromium.test.mjs"]));
        let expected = [
            "engines/chromium.test.mjs",
            "browser/leak.test.mjs",
            "browser/a.test.mjs",
        ];
        assert_eq!(both.files, expected);
    }

    #[test]
    fn usual_run_leaves_files_out() {
        let files = ["a.test.mjs", "b.all.test.mjs"].map(str::to_owned);
        let suite = |all| Suite::new(files.to_vec(), false).usual(all).files;
        assert_eq!(suite(false), files[..1]);
        assert_eq!(suite(true), files);
    }

    #[test]
    fn parts_are_all_files() {
        let suite = || Suite::new(["a", "b", "c"].map(str::to_owned).into(), false);
        let part = |text: &str| suite().part(text.parse().unwrap()).files;
        assert_eq!(part("1/2"), ["a", "c"]);
        assert_eq!(part("2/2"), ["b"]);
        for wrong in ["0/2", "3/2", "1", "1/0", "a/2"] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn slowest_files_come_first() {
        let outcomes = (1..=12).map(|n| Outcome {
            file: format!("{n}.test.mjs"),
            has_passed: true,
            took: Duration::from_secs(n),
        });
        let table = slowest(outcomes.collect(), AtOnce::Three);
        let lines: Vec<_> = table.lines().map(str::trim_start).collect();
        assert_eq!(
            lines[0],
            "the slowest of 12 files, which took 78.0 s together, 3 at a time:"
        );
        assert_eq!(lines[1], "12.0 s  15.4 %  12.test.mjs");
        assert_eq!(lines.len(), 11);
    }
}
