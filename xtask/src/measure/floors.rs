//! The picture of the folders of `src` in ARCHITECTURE.md, which is drawn from the imports.

use super::code::{self, Source, cycles, named};
use crate::paths::{at, files_below, root, write_if_changed};
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;

/// The document with the picture.
const DOCUMENT: &str = "ARCHITECTURE.md";

/// The marks around the picture.
const BEGIN: &str = "<!-- floors: written by `cargo xtask options` -->\n";
const END: &str = "<!-- end -->";

/// The folders that each folder uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Writes the picture.
pub(crate) fn write() -> Result<()> {
    let document = fs::read_to_string(at(DOCUMENT))?;
    write_if_changed(&at(DOCUMENT), &with_picture(&document, &uses()?)?)
}

/// Reads the imports of the core.
fn uses() -> Result<Uses> {
    let sources = code::read_all(root(), &files_below(root(), "src")?)?;
    Ok(between_folders(&sources))
}

/// Returns the folders that each folder uses. The file `src/vault.rs` belongs to the folder `src/vault`.
fn between_folders(sources: &[Source]) -> Uses {
    let paths = sources.iter().map(|source| source.path.split('/'));
    let folders: BTreeSet<&str> = paths
        .filter(|path| path.clone().count() > 2)
        .filter_map(|mut path| path.nth(1))
        .collect();
    let folder = |path: &str| {
        let name = path.split('/').nth(1)?.trim_end_matches(".rs");
        folders.contains(name).then(|| name.to_owned())
    };
    let mut uses: Uses = folders
        .iter()
        .map(|name| ((*name).to_owned(), BTreeSet::new()))
        .collect();
    for (file, targets) in named(&sources.iter().collect::<Vec<_>>()) {
        let from = folder(&file);
        let targets = targets.iter().filter_map(|target| folder(target));
        if let Some(used) = from.as_ref().and_then(|from| uses.get_mut(from)) {
            used.extend(targets.filter(|target| Some(target) != from.as_ref()));
        }
    }
    uses
}

/// Returns the document with the present picture between the marks.
fn with_picture(document: &str, uses: &Uses) -> Result<String> {
    let parts = document
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.with_context(|| format!("{DOCUMENT} has no marks"))?;
    let picture = picture(uses)?;
    Ok([before, BEGIN, &picture, END, after].concat())
}

/// Draws an arrow from each folder to each folder that it uses, unless other arrows lead there.
fn picture(uses: &Uses) -> Result<String> {
    ensure!(cycles(uses).is_empty(), "folders of src use each other");
    let mut out = "\n```mermaid\nflowchart TD\n".to_owned();
    for (folder, used) in uses {
        let is_reached = |target| used.iter().any(|other| reaches(uses, other, target));
        for target in used.iter().filter(|target| !is_reached(target)) {
            writeln!(out, "  {folder} --> {target}")?;
        }
    }
    Ok(out + "```\n\n")
}

/// Returns true if one or more arrows lead from one folder to the other.
fn reaches(uses: &Uses, from: &str, to: &str) -> bool {
    let used = uses.get(from).into_iter().flatten();
    used.into_iter()
        .any(|next| next == to || reaches(uses, next, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUSE: [(&str, &str); 6] = [
        ("src/lib.rs", "pub mod base; use crate::vault::Vault;"),
        ("src/base.rs", "pub mod text;"),
        ("src/base/text.rs", "pub struct Text;"),
        ("src/oauth/jwt.rs", "use crate::base::text::Text;"),
        ("src/vault.rs", "mod login; use crate::{base, oauth::jwt};"),
        (
            "src/vault/login.rs",
            "#[cfg(test)] mod tests { use crate::edge; }",
        ),
    ];

    fn drawn(files: &[(&str, &str)]) -> Result<String> {
        let read = |(path, text): &(&str, &str)| code::read(path, text);
        let sources = files.iter().map(read).collect::<Result<Vec<_>>>()?;
        picture(&between_folders(&sources))
    }

    #[test]
    fn picture_has_the_present_imports() {
        let document = fs::read_to_string(at(DOCUMENT)).unwrap();
        let uses = uses().unwrap();
        let written = with_picture(&document, &uses).unwrap();
        assert!(
            document == written,
            "`cargo xtask options` draws the picture"
        );
        // Control: a document with another arrow differs.
        let other = document.replacen("  codec --> base\n", "  base --> codec\n", 1);
        assert_ne!(other, document);
        assert_eq!(with_picture(&other, &uses).unwrap(), written);
    }

    #[test]
    fn arrows_that_other_arrows_imply_are_left_out() {
        let arrows = "  oauth --> base\n  vault --> oauth\n";
        let expected = format!("\n```mermaid\nflowchart TD\n{arrows}```\n\n");
        assert_eq!(drawn(&HOUSE).unwrap(), expected);
    }

    #[test]
    fn cycle_of_folders_is_not_drawn() {
        let mut house = HOUSE;
        house[2].1 = "use crate::vault::Vault;";
        assert!(drawn(&house).is_err());
    }
}
