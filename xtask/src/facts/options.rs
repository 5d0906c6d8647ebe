//! The names of the vault's options: for the page, whose message about an unknown option suggests where it belongs, and
//! for the generators of headers, which run where the core is not.

use crate::facts::text;
use crate::paths::{at, write_if_changed};
use anyhow::{Context, Result, ensure};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::fmt::Write as _;
use std::fs;

pub(super) const SOURCE: &str = "src/vault/config/options.rs";
pub(super) const FILE: &str = "pkg/src/generated/options.ts";

pub(super) fn write() -> Result<()> {
    let source = fs::read_to_string(at(SOURCE))?;
    let mut script =
        String::from("/** The names of the vault's options, separated by spaces. */\n");
    for (name, path) in [("VAULT", ""), ("SESSION", "session."), ("RULE", "apis[].")] {
        let names = names(&source, path)?.join(" ");
        writeln!(script, "export const {name}_OPTIONS = '{names}'")?;
    }
    write_if_changed(&at(FILE), &script)
}

/// Returns the options in the list that begins with `path`, each with this path.
fn names(source: &str, path: &str) -> Result<Vec<String>> {
    let tokens: TokenStream = source.parse().ok().context("not Rust")?;
    let tokens: Vec<_> = tokens.into_iter().collect();
    let body = tokens.windows(3).find_map(|three| match three {
        [
            TokenTree::Ident(called),
            TokenTree::Punct(_),
            TokenTree::Group(body),
        ] if called == "options" => Some(body.stream()),
        _ => None,
    });
    let mut here = String::new();
    let mut found = Vec::new();
    for token in body.context("there is no options!")? {
        match token {
            TokenTree::Literal(literal) => here = text(&literal)?,
            TokenTree::Group(list) if list.delimiter() == Delimiter::Brace && here == path => {
                found.extend(first_literals(list.stream())?);
            }
            _ => {}
        }
    }
    ensure!(!found.is_empty(), "{SOURCE} lists no option of {path}");
    Ok(found.iter().map(|name| [path, name].concat()).collect())
}

/// Returns the first literal of each entry. Entries are separated by semicolons.
fn first_literals(list: TokenStream) -> Result<Vec<String>> {
    let tokens: Vec<_> = list.into_iter().collect();
    let is_end =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
    let literals = tokens.split(is_end).filter_map(|entry| {
        entry.iter().find_map(|token| match token {
            TokenTree::Literal(literal) => Some(text(literal)),
            _ => None,
        })
    });
    literals.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_one_list_are_found() {
        let source = r#"
                macro_rules! options { () => { "x": Not; } }
                options! {
                    /// About the list.
                    VAULT "" {
                        "scope";
                    }
                    SESSION "session." {
                        "idle";
                        /// how sessions are kept
                        "persist" "memory";
                    }
                }
            "#;
        let found = names(source, "session.").unwrap();
        assert_eq!(found, ["session.idle", "session.persist"]);
        assert!(names(source, "apis[].").is_err());
    }
}
