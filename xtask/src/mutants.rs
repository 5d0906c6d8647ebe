//! `cargo xtask mutants`: checks that the native tests notice small changes of the core.
//!
//! cargo-mutants lists the mutants. cargo-mutants could also build and test each mutant separately, which takes 8 s for
//! each mutant, and hours for the whole core. This command compiles all mutants into one copy of the package, and an
//! environment variable chooses a mutant. For each mutant, only the tests that reach the changed function run, until
//! one of them fails. A mutant that does not compile together with the others is built alone.
//!
//! docs/testing.md has the scores and the accepted survivors, each with its reason.

mod accepted;
mod build;
mod list;
mod splice;
mod tests;

use crate::at_once;
use crate::paths::{at, files_below, root, target};
use crate::progress::{Output, seconds, step};
use accepted::Accepted;
use anyhow::{Context, Result, bail};
use build::Tree;
use list::Mutant;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tests::{Suite, Verdict};

/// The document with the scores and the accepted survivors.
const DOCUMENT: &str = "docs/testing.md";

/// The file with the verdicts of the last run, below Cargo's target directory.
const VERDICTS: &str = "mutants/verdicts.txt";

/// The minimum share of mutants that the tests must notice, in percent.
const GOAL: usize = 90;

/// The arguments of the command.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Files to mutate, such as src/rules/oauth/jwt.rs or jwt.rs. A folder stands for all files below it. Default: all files.
    files: Vec<String>,
    /// Only mutants whose names contain this text.
    #[arg(long)]
    only: Option<String>,
    /// Print the mutants instead of testing them.
    #[arg(long)]
    list: bool,
    /// Number of mutants to test at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Test only the mutants that the last run did not catch. The mutated files must not have changed, except for unit
    /// tests at their end.
    #[arg(long)]
    again: bool,
    /// Skip the mutants that must be built alone, which take a minute each.
    #[arg(long)]
    quick: bool,
    /// Write the scores of the tested files to docs/testing.md.
    #[arg(long, conflicts_with = "only")]
    save: bool,
}

/// Tests the mutants of the chosen files.
pub(crate) fn run(options: &Options) -> Result<()> {
    let tool = list::tool()?;
    let files = chosen_files(&options.files)?;
    let mut mutants = list::mutants(&tool, &files)?;
    if let Some(text) = &options.only {
        mutants.retain(|mutant| mutant.name.contains(text.as_str()));
    }
    if mutants.is_empty() {
        bail!("cargo-mutants finds no mutant in {}", files.join(", "));
    }
    if options.list {
        for mutant in &mutants {
            println!("{}", mutant.shown());
        }
        println!("{} mutants", mutants.len());
        return Ok(());
    }
    let accepted = Accepted::read()?;
    let verdicts = if options.again {
        test_again(&mut mutants, options)?
    } else {
        test(&mutants, options, &[])?
    };
    report(&mutants, &verdicts, &accepted, options.save)
}

/// Returns the files below `src` that match `names`.
fn chosen_files(names: &[String]) -> Result<Vec<String>> {
    let mut known = files_below(root(), "src")?;
    known.sort();
    if names.is_empty() {
        return Ok(known);
    }
    let mut chosen = Vec::new();
    for name in names {
        let wanted = name.trim_end_matches('/');
        let wanted = format!("/{}", wanted.strip_prefix("src/").unwrap_or(wanted));
        let below = format!("{wanted}/");
        let found = known
            .iter()
            .filter(|path| path.ends_with(&wanted) || path.contains(&below));
        let before = chosen.len();
        chosen.extend(found.cloned());
        if chosen.len() == before {
            bail!("no file or folder {wanted} below src");
        }
    }
    Ok(chosen)
}

/// Tests the mutants that the last run has not caught. Sorts `mutants` so that the caught ones come first, and returns
/// the verdicts of all mutants in this order.
fn test_again(mutants: &mut Vec<Mutant>, options: &Options) -> Result<Vec<Verdict>> {
    let before = fs::read_to_string(target(VERDICTS)).context("there is no earlier run")?;
    let caught: BTreeSet<&str> = before
        .lines()
        .filter_map(|line| line.strip_prefix("Caught\t"))
        .collect();
    let (mut known, mut open): (Vec<_>, Vec<_>) = mutants
        .drain(..)
        .partition(|mutant| caught.contains(mutant.shown().as_str()));
    list::group(&mut open);
    let mut verdicts = vec![Verdict::Caught; known.len()];
    verdicts.extend(test(&open, options, &known)?);
    known.append(&mut open);
    *mutants = known;
    Ok(verdicts)
}

/// Builds and tests all of `mutants`. Returns their verdicts in the same order. The mutants in `caught` are not tested,
/// but their verdicts are recorded.
fn test(mutants: &[Mutant], options: &Options, caught: &[Mutant]) -> Result<Vec<Verdict>> {
    let jobs = options.jobs;
    let tree = Tree::new("together")?;
    let start = Instant::now();
    let build = step("build with all mutants", Output::Loud, || {
        tree.build(mutants)
    })?;
    let suite = step(
        "find the functions that each test reaches",
        Output::Quiet,
        || Suite::trace(&build, jobs),
    )?;
    let mut verdicts: Vec<Verdict> = vec![Verdict::Unviable; mutants.len()];
    let done = AtomicUsize::new(0);
    let log = Log::new()?;
    for mutant in caught {
        log.note(mutant, Verdict::Caught);
    }
    let together: Vec<usize> = build.together.iter().copied().collect();
    println!("  … {} mutants, {} at the same time", together.len(), jobs);
    let results = at_once::each(jobs, together.iter().copied(), |i| {
        let verdict = suite.test(mutants, i);
        if let Ok(verdict) = verdict {
            log.note(&mutants[i], verdict);
        }
        show_progress(
            done.fetch_add(1, Ordering::Relaxed) + 1,
            together.len(),
            start,
        );
        (i, verdict)
    });
    for (i, verdict) in results {
        verdicts[i] = verdict?;
    }
    let mut alone = build.alone;
    if options.quick {
        println!("  {} mutants would be built alone", alone.len());
        alone.clear();
    }
    let single = Tree::new("alone")?;
    for (n, i) in alone.iter().copied().enumerate() {
        let label = format!(
            "alone, {} of {}: {}",
            n + 1,
            alone.len(),
            mutants[i].shown()
        );
        verdicts[i] = step(&label, Output::Quiet, || {
            let binaries = single.build_alone(&mutants[i])?;
            binaries.map_or(Ok(Verdict::Unviable), |binaries| {
                tests::test_alone(&binaries)
            })
        })?;
    }
    println!("  tested in {}", seconds(start.elapsed()));
    Ok(verdicts)
}

/// Records verdicts immediately, because a run may be stopped before its report.
struct Log(Mutex<File>);

impl Log {
    fn new() -> Result<Self> {
        Ok(Self(Mutex::new(File::create(target(VERDICTS))?)))
    }

    fn note(&self, mutant: &Mutant, verdict: Verdict) {
        if let Verdict::Missed { .. } = verdict {
            println!("    survives: {}", mutant.shown());
        }
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(file, "{verdict:?}\t{}", mutant.shown()).ok();
    }
}

fn show_progress(done: usize, of: usize, start: Instant) {
    if done.is_multiple_of(25) || done == of {
        println!("    {done} of {of} mutants, {}", seconds(start.elapsed()));
        std::io::stdout().flush().ok();
    }
}

/// The results of the mutants of one file.
#[derive(Default)]
struct Score {
    caught: usize,
    missed: usize,
    accepted: usize,
}

impl Score {
    /// Returns the percentage of caught mutants, rounded down. Accepted survivors do not count.
    fn percent(&self) -> usize {
        let counted = self.caught + self.missed;
        (100 * self.caught).checked_div(counted).unwrap_or(100)
    }

    fn row(&self, file: &str) -> String {
        let Self {
            caught,
            missed,
            accepted,
        } = self;
        let mutants = caught + missed + accepted;
        format!(
            "| `{file}` | {mutants} | {caught} | {accepted} | {missed} | {} % |",
            self.percent()
        )
    }
}

fn report(mutants: &[Mutant], verdicts: &[Verdict], accepted: &Accepted, save: bool) -> Result<()> {
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    let mut survivors = Vec::new();
    let mut caught_though_accepted = Vec::new();
    for (mutant, verdict) in mutants.iter().zip(verdicts) {
        let score = scores.entry(&mutant.file).or_default();
        let is_accepted = accepted.has(mutant);
        match verdict {
            Verdict::Unviable => {}
            Verdict::Caught => {
                score.caught += 1;
                if is_accepted {
                    caught_though_accepted.push(mutant);
                }
            }
            Verdict::Missed { .. } if is_accepted => score.accepted += 1,
            Verdict::Missed { is_reached } => {
                score.missed += 1;
                survivors.push((mutant, *is_reached));
            }
        }
    }
    println!("\nsurvivors:");
    for (mutant, is_reached) in &survivors {
        let note = if *is_reached {
            ""
        } else {
            "  (no test reaches it)"
        };
        println!("  {}{note}\n      {}", mutant.shown(), mutant.line);
    }
    for mutant in caught_though_accepted {
        println!("  accepted in {DOCUMENT}, but caught: {}", mutant.shown());
    }
    println!("\n{HEADER}");
    for (file, score) in &scores {
        println!("{}", score.row(file));
    }
    if save {
        write_scores(&scores)?;
    }
    let short: Vec<&str> = scores
        .iter()
        .filter(|(_, score)| score.percent() < GOAL)
        .map(|(file, _)| *file)
        .collect();
    if !short.is_empty() {
        bail!(
            "the tests notice less than {GOAL} % of the mutants of {}",
            short.join(", ")
        );
    }
    Ok(())
}

const HEADER: &str =
    "| file | mutants | caught | accepted | survive | score |\n|---|---|---|---|---|---|";

/// Replaces the rows of these files in the table of docs/testing.md.
fn write_scores(scores: &BTreeMap<&str, Score>) -> Result<()> {
    let text =
        fs::read_to_string(at(DOCUMENT)).with_context(|| format!("{DOCUMENT} cannot be read"))?;
    let rows: BTreeMap<String, String> = scores
        .iter()
        .map(|(file, score)| ((*file).to_owned(), score.row(file)))
        .collect();
    fs::write(at(DOCUMENT), with_rows(&text, rows)?)?;
    Ok(())
}

fn with_rows(text: &str, mut rows: BTreeMap<String, String>) -> Result<String> {
    let Some((before, rest)) = text.split_once(HEADER) else {
        bail!("{DOCUMENT} has no table with the columns {HEADER}");
    };
    let rest = rest.trim_start_matches('\n');
    let end = rest
        .match_indices('\n')
        .find(|(i, _)| !rest[i + 1..].starts_with('|'))
        .map_or(rest.len(), |(i, _)| i);
    let (table, after) = rest.split_at(end);
    for row in table.lines().filter(|row| row.starts_with('|')) {
        let file = row.split('`').nth(1).context("a row without a file")?;
        rows.entry(file.to_owned())
            .or_insert_with(|| row.to_owned());
    }
    let table: Vec<&str> = rows.values().map(String::as_str).collect();
    Ok(format!("{before}{HEADER}\n{}{after}", table.join("\n")))
}

#[cfg(test)]
mod unit_tests {
    use super::{HEADER, Score, with_rows};
    use std::collections::BTreeMap;

    #[test]
    fn score_leaves_accepted_survivors_out() {
        let score = Score {
            caught: 9,
            missed: 1,
            accepted: 5,
        };
        assert_eq!(score.percent(), 90);
        assert_eq!(
            score.row("src/a.rs"),
            "| `src/a.rs` | 15 | 9 | 5 | 1 | 90 % |"
        );
        assert_eq!(Score::default().percent(), 100);
    }

    #[test]
    fn saved_rows_replace_rows_of_same_file() {
        let text =
            format!("# Title\n\n{HEADER}\n| `src/a.rs` | old |\n| `src/c.rs` | kept |\n\nAfter.\n");
        let new = |file: &str| (file.to_owned(), format!("| `{file}` | new |"));
        let rows = BTreeMap::from([new("src/a.rs"), new("src/b.rs")]);
        let table = "| `src/a.rs` | new |\n| `src/b.rs` | new |\n| `src/c.rs` | kept |";
        let expected = format!("# Title\n\n{HEADER}\n{table}\n\nAfter.\n");
        assert_eq!(with_rows(&text, rows).unwrap(), expected);
    }
}
