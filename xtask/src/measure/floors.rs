//! The picture of the floors of `src` in ARCHITECTURE.md, which is drawn from the imports.

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

/// The floors that each floor uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Writes the picture.
pub(crate) fn write() -> Result<()> {
    let document = fs::read_to_string(at(DOCUMENT))?;
    write_if_changed(&at(DOCUMENT), &with_picture(&document, &uses()?)?)
}

/// Reads the imports of the core.
fn uses() -> Result<Uses> {
    let sources = code::read_all(root(), &files_below(root(), "src")?)?;
    Ok(between_floors(&sources))
}

/// Returns the floor of a file: its crate, and in the crate `rules` the top-level module.
pub(crate) fn floor(path: &str) -> Option<&str> {
    let path = path.strip_prefix("src/")?;
    if path.starts_with("edge/module/") {
        return Some("module");
    }
    let (first, rest) = path.split_once('/')?;
    let floor = match first {
        "rules" => rest.split('/').next()?.trim_end_matches(".rs"),
        _ => first,
    };
    // The root of the rules, and the prelude, belong to no floor.
    (!["lib", "prelude"].contains(&floor)).then_some(floor)
}

/// Returns the floors that each floor uses.
fn between_floors(sources: &[Source]) -> Uses {
    let mut uses = Uses::new();
    for (file, targets) in named(&sources.iter().collect::<Vec<_>>()) {
        let Some(from) = floor(&file) else { continue };
        let used = uses.entry(from.to_owned()).or_default();
        let targets = targets.iter().filter_map(|target| floor(target));
        used.extend(targets.filter(|target| *target != from).map(str::to_owned));
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

/// Draws an arrow from each floor to each floor that it uses, unless other arrows lead there.
fn picture(uses: &Uses) -> Result<String> {
    ensure!(cycles(uses).is_empty(), "floors of src use each other");
    let mut out = "\n```mermaid\nflowchart TD\n".to_owned();
    for (floor, used) in uses {
        let is_reached = |target| used.iter().any(|other| reaches(uses, other, target));
        for target in used.iter().filter(|target| !is_reached(target)) {
            writeln!(out, "  {floor} --> {target}")?;
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
        ("src/rules/lib.rs", "pub mod base; pub mod oauth;"),
        ("src/rules/base.rs", "pub mod text;"),
        ("src/rules/base/text.rs", "pub struct Text;"),
        ("src/rules/oauth/jwt.rs", "use crate::base::text::Text;"),
        (
            "src/vault/lib.rs",
            "mod login; use rules::{base, oauth::jwt};",
        ),
        (
            "src/vault/login.rs",
            "#[cfg(test)] mod tests { use edge::Handler; }",
        ),
    ];

    fn drawn(files: &[(&str, &str)]) -> Result<String> {
        let read = |(path, text): &(&str, &str)| code::read(path, text);
        let sources = files.iter().map(read).collect::<Result<Vec<_>>>()?;
        picture(&between_floors(&sources))
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
    fn cycle_of_floors_is_not_drawn() {
        let mut house = HOUSE;
        house[2].1 = "use crate::oauth::jwt;";
        assert!(drawn(&house).is_err());
    }
}
