//! The measures that `cargo xtask test lint` enforces: plain English, and the length of commit subjects.

use super::{Text, doc_openings, forbidden, read_texts};
use crate::paths::{files_below, root};
use crate::process::program;
use anyhow::{Result, bail};

/// The number of commits whose subjects are checked: the newest ones.
const COMMITS: &str = "-100";

/// The maximum number of characters in the subject of a commit.
const LONGEST_SUBJECT: usize = 72;

/// Fails if a rule is broken.
pub(crate) fn check() -> Result<()> {
    let mut faults = english_faults(&read_texts(&files_below(root(), "")?)?);
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

    #[test]
    fn reports_commit_subjects_over_72_characters() {
        let log = |len| format!("1234567 {}", "é".repeat(len));
        assert_eq!(long_subjects(&log(72)), [""; 0]);
        assert_eq!(long_subjects(&log(73)).len(), 1);
    }
}
