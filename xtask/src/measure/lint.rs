//! The measures that `cargo xtask test lint` enforces: plain English, and the length of commit subjects.

use super::english;
use super::{Text, doc_texts, first_line, forbidden, read_texts, tracked_files};
use crate::paths::root;
use anyhow::{Result, bail};
use std::process::Command;

/// The first commit to check. Its subject and the subjects of all later commits have at most [`LONGEST_SUBJECT`]
/// characters.
const FIRST_COMMIT: &str = "8c997e6";

/// The maximum number of characters in the subject of a commit.
const LONGEST_SUBJECT: usize = 72;

/// The largest share of doc comments that may start with a question word, in percent.
const MOST_OPENINGS: usize = 5;

/// Fails if a rule is broken.
pub(crate) fn check() -> Result<()> {
    let mut faults = english_faults(&read_texts(&tracked_files()?)?);
    match subjects()? {
        Some(subjects) => faults.extend(long_subjects(&subjects)),
        None => println!("  no history: the subjects of commits are not checked"),
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// Returns the places with forbidden phrases. If too many doc comments open with a question word, the places of these
/// doc comments follow.
fn english_faults(texts: &[Text]) -> Vec<String> {
    let (_, _, mut faults) = forbidden(texts);
    let total = doc_texts(texts).count();
    let opened: Vec<_> = doc_texts(texts)
        .filter(|(_, piece)| english::opens_with_question(&piece.text))
        .collect();
    if opened.len() * 100 > total * MOST_OPENINGS {
        faults.extend(opened.iter().map(|(path, piece)| {
            format!(
                "{path}:{}: a doc comment starts with a noun or a verb: {}",
                piece.line,
                first_line(piece)
            )
        }));
    }
    faults
}

/// Returns the abbreviated hashes and subjects of the commits since [`FIRST_COMMIT`], or `None` if the repository does
/// not have that commit.
fn subjects() -> Result<Option<String>> {
    let range = format!("{FIRST_COMMIT}^..HEAD");
    let output = Command::new("git")
        .args(["log", "--format=%h %s", &range])
        .current_dir(root())
        .output()?;
    Ok(if output.status.success() {
        Some(String::from_utf8(output.stdout)?)
    } else {
        None
    })
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

    /// Control: the check fails above the limit for question words, and not at it.
    #[test]
    fn reports_too_many_question_openings() {
        let is_phrase = |opening: &str| english::PHRASES.contains(&&*opening.to_lowercase());
        for opening in english::OPENINGS.iter().filter(|one| !is_phrase(one)) {
            for (language, path) in [
                (Language::Rust, "src/a.rs"),
                (Language::Script, "pkg/src/a.ts"),
            ] {
                let comments = |others: usize| {
                    let good = "/** The length. */\nconst A: u8 = 1;\n".repeat(others);
                    let source = format!("/** {opening} it is so. */\nconst B: u8 = 1;\n{good}");
                    english_faults(&[text(path, language, &source)]).len()
                };
                assert_eq!((comments(19), comments(18)), (0, 1), "{opening} {path}");
            }
        }
    }

    #[test]
    fn reports_commit_subjects_over_72_characters() {
        let log = |len| format!("1234567 {}", "é".repeat(len));
        assert_eq!(long_subjects(&log(72)), [""; 0]);
        assert_eq!(long_subjects(&log(73)).len(), 1);
    }
}
