//! The measures that `cargo xtask test lint` enforces: plain English, no dependency cycles, and the length of commit
//! subjects.

use super::code::{self, Source};
use super::{Text, WITHOUT_CYCLES, cycles, doc_openings, forbidden, read_texts};
use crate::paths::{files_below, root};
use crate::process::program;
use anyhow::{Result, bail};

/// The number of commits whose subjects are checked: the newest ones.
const COMMITS: &str = "-100";

/// The maximum number of characters in the subject of a commit.
const LONGEST_SUBJECT: usize = 72;

/// Fails if a rule is broken.
pub(crate) fn check() -> Result<()> {
    let files = files_below(root(), "")?;
    let mut faults = english_faults(&read_texts(&files)?);
    faults.extend(cycle_faults(&code::read_all(root(), &files)?));
    let log = program("git").args(["log", COMMITS, "--format=%h %s"]);
    match log.read() {
        Ok(log) => faults.extend(long_subjects(&log)),
        Err(_) => println!("  no history: the subjects of commits are not checked"),
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// Returns the places with forbidden phrases, and the doc comments that open with a question word.
fn english_faults(texts: &[Text]) -> Vec<String> {
    let ((_, _, mut faults), (_, _, opened)) = (forbidden(texts), doc_openings(texts));
    let message = |place| format!("{place}: a doc comment starts with a noun or a verb");
    faults.extend(opened.into_iter().map(message));
    faults
}

/// Returns the files that depend on each other in a cycle, each with its dependencies in the cycle.
fn cycle_faults(sources: &[Source]) -> Vec<String> {
    let sources: Vec<_> = sources.iter().collect();
    let rows = WITHOUT_CYCLES.map(|folder| cycles(&sources, folder));
    let places = rows.into_iter().flatten().map(|(name, _, places)| {
        let message = |place| format!("{name}: {place}");
        places.into_iter().map(message).collect::<Vec<_>>()
    });
    places.flatten().collect()
}

fn long_subjects(log: &str) -> Vec<String> {
    let is_long = |line: &&str| {
        let (_, subject) = line.split_once(' ').unwrap_or_default();
        subject.chars().count() > LONGEST_SUBJECT
    };
    let message = |line: &str| {
        format!("the subject of a commit has more than {LONGEST_SUBJECT} characters: {line}")
    };
    log.lines().filter(is_long).map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::english;
    use crate::measure::scan::{Language, pieces};

    fn text(path: &str, language: Language, source: &str) -> Text {
        Text {
            path: path.to_owned(),
            pieces: pieces(language, source),
        }
    }

    /// Control: the check reports each phrase, in each kind of place.
    #[test]
    fn reports_each_forbidden_phrase() {
        for phrase in english::PHRASES {
            for (path, language, source) in [
                (
                    "src/a.rs",
                    Language::Rust,
                    format!("/// A list, {phrase} in it.\nfn a() {{}}"),
                ),
                (
                    "xtask/src/a.rs",
                    Language::Rust,
                    format!("fn a() {{ // It has {phrase} here.\n}}"),
                ),
                (
                    "src/a.rs",
                    Language::Rust,
                    format!("fn a() {{ msg!(\"this is {phrase} now\") }}"),
                ),
                (
                    "pkg/src/a.ts",
                    Language::Script,
                    format!("/** A list, {phrase} in it. */\nconst a = 1;"),
                ),
                (
                    "tests/a.mjs",
                    Language::Script,
                    format!("// It has {phrase} here.\nconst a = 1;"),
                ),
                (
                    "pkg/src/a.ts",
                    Language::Script,
                    format!("const a = 'this is {phrase} now';"),
                ),
            ] {
                let faults = english_faults(&[text(path, language, &source)]);
                assert_eq!(faults.len(), 1, "{source}: {faults:?}");
                assert!(
                    faults[0].starts_with(&format!("{path}:1: \"{phrase}\"")),
                    "{faults:?}"
                );
            }
        }
    }

    /// Control: the check reports each question word, and no other opening.
    #[test]
    fn reports_each_question_opening() {
        let is_phrase = |opening: &str| english::PHRASES.contains(&&*opening.to_lowercase());
        for opening in english::OPENINGS.iter().filter(|one| !is_phrase(one)) {
            for (language, path) in [
                (Language::Rust, "src/a.rs"),
                (Language::Script, "pkg/src/a.ts"),
            ] {
                let faults = |opening: &str| {
                    let source = format!("/** {opening} it is so. */\nconst B: u8 = 1;\n");
                    english_faults(&[text(path, language, &source)]).len()
                };
                assert_eq!(
                    (faults("True if"), faults(opening)),
                    (0, 1),
                    "{opening} {path}"
                );
            }
        }
    }

    /// Control: the check reports a cycle in each folder, but no cycle that only tests close.
    #[test]
    fn reports_each_cycle_of_files() {
        let faults = |folder: &str, end: &str| {
            let file = |name: &str, text: &str| code::read(&format!("{folder}/{name}.rs"), text);
            let files = [
                file("a", "use crate::b::B;"),
                file("b", "fn f(it: crate::c::C) {}"),
                file("c", end),
            ];
            cycle_faults(&files.map(|file| file.unwrap()))
        };
        for folder in WITHOUT_CYCLES {
            let found = faults(folder, "use crate::a::A;");
            assert_eq!(found.len(), 4, "{found:?}");
            let edge = format!("{folder}/c.rs → {folder}/a.rs");
            assert!(
                found.iter().any(|fault| fault.ends_with(&edge)),
                "{found:?}"
            );
            let test = "#[cfg(test)] mod tests { use crate::a::A; }";
            assert_eq!(faults(folder, test), [""; 0]);
        }
    }

    #[test]
    fn reports_commit_subjects_over_72_characters() {
        let log = |len| format!("1234567 {}", "é".repeat(len));
        assert_eq!(long_subjects(&log(72)), [""; 0]);
        assert_eq!(long_subjects(&log(73)).len(), 1);
    }
}
