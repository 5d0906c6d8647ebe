//! Reads the survivors that docs/testing.md accepts, because they change nothing that a test could observe.
//!
//! Each accepted survivor is an item of a list: `` - `FILE`: `MUTANT` at `LINE`: reason ``. A line is identified by its
//! text, so that the list stays valid when the file grows.

use super::DOCUMENT;
use super::list::Mutant;
use crate::paths::at;
use anyhow::Result;
use std::fs;

/// The accepted survivors.
pub(crate) struct Accepted(Vec<Entry>);

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    file: String,
    mutant: String,
    line: String,
}

impl Accepted {
    /// Reads the list in docs/testing.md. The list is empty if the document does not exist.
    pub(crate) fn read() -> Result<Self> {
        let file = at(DOCUMENT);
        let text = if file.exists() {
            fs::read_to_string(file)?
        } else {
            String::new()
        };
        Ok(Self(text.lines().filter_map(Entry::parse).collect()))
    }

    /// Returns true if this mutant may survive.
    pub(crate) fn has(&self, mutant: &Mutant) -> bool {
        self.0.iter().any(|entry| {
            entry.file == mutant.file && entry.mutant == mutant.name && entry.line == mutant.line
        })
    }
}

impl Entry {
    fn parse(item: &str) -> Option<Self> {
        let (file, rest) = item.strip_prefix("- `")?.split_once("`: `")?;
        let (mutant, rest) = rest.split_once("` at `")?;
        let (line, reason) = rest.split_once("`: ")?;
        (!reason.is_empty()).then(|| Self {
            file: file.to_owned(),
            mutant: mutant.to_owned(),
            line: line.to_owned(),
        })
    }
}

#[cfg(test)]
mod unit_tests {
    use super::{Accepted, Entry};
    use crate::paths::at;
    use std::fs;

    #[test]
    fn accepted_survivor_needs_a_reason() {
        let item =
            "- `src/a.rs`: `replace < with <= in f` at `if a < b {`: equal values cannot occur.";
        let entry = Entry {
            file: "src/a.rs".to_owned(),
            mutant: "replace < with <= in f".to_owned(),
            line: "if a < b {".to_owned(),
        };
        assert_eq!(Entry::parse(item), Some(entry));
        assert_eq!(
            Entry::parse("- `src/a.rs`: `replace < with <= in f` at `if a < b {`: "),
            None
        );
        assert_eq!(Entry::parse("- `src/a.rs`: some text"), None);
    }

    #[test]
    fn accepted_survivors_quote_existing_lines() {
        for entry in Accepted::read().unwrap().0 {
            let text = fs::read_to_string(at(&entry.file)).unwrap();
            let has_line = text.lines().any(|line| line.trim() == entry.line);
            assert!(has_line, "{} has no line {}", entry.file, entry.line);
        }
    }
}
