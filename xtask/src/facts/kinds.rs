//! The kinds of messages between page and vault (the member `t`), as unions of strings.
//!
//! `pkg/src/protocol/messages.ts` describes a message for each kind, and does not compile with other kinds than these.

use crate::paths::{at, files_below, root, write_if_changed};
use anyhow::{Result, ensure};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

/// The file that reads the messages of pages. The vault's messages are created in the folder of this file.
const READER: &str = "src/vault/message.rs";

const FILE: &str = "pkg/src/generated/kinds.ts";

/// Writes the unions.
pub(super) fn write() -> Result<()> {
    let read = kinds(&fs::read_to_string(at(READER))?, is_read)?;
    let mut sent = BTreeSet::new();
    for file in files_below(root(), "src/vault")? {
        sent.extend(kinds(&fs::read_to_string(at(&file))?, is_sent)?);
    }
    let mut unions = Vec::new();
    for (name, about, kinds) in [
        ("PageKind", "that a page sends to the vault", read),
        ("VaultKind", "that a vault sends to a page", sent),
    ] {
        ensure!(!kinds.is_empty(), "the sources have no {name}");
        let mut union = format!("/** The kinds of messages {about}. */\nexport type {name} =\n");
        for kind in kinds {
            writeln!(union, "  | '{kind}'")?;
        }
        unions.push(union);
    }
    write_if_changed(&at(FILE), &unions.join("\n"))
}

/// Returns the strings for which `is_kind` accepts the tokens before and after the string.
fn kinds(source: &str, is_kind: fn(&str, &str) -> bool) -> Result<BTreeSet<String>> {
    let mut tokens = Vec::new();
    let parsed = source.parse::<TokenStream>();
    flatten(parsed.map_err(|e| anyhow::anyhow!("{e}"))?, &mut tokens);
    let texts: Vec<_> = tokens.iter().map(String::as_str).collect();
    let around = texts.iter().enumerate().filter(|(i, text)| {
        let before = texts[i.saturating_sub(2)..*i].concat();
        let after = texts[i + 1..texts.len().min(i + 4)].concat();
        text.starts_with('"') && is_kind(&before, &after)
    });
    Ok(around
        .map(|(_, text)| text.trim_matches('"').to_owned())
        .collect())
}

/// Returns true for an arm such as `"hello" => Request::Hello`.
fn is_read(_: &str, after: &str) -> bool {
    after == "=>Request"
}

/// Returns true for a call such as `message("ready")`.
fn is_sent(before: &str, _: &str) -> bool {
    before == "message("
}

/// Adds the text of each token. A group adds a bracket before its tokens.
fn flatten(stream: TokenStream, found: &mut Vec<String>) {
    for token in stream {
        match token {
            TokenTree::Group(group) => {
                found.push("(".to_owned());
                flatten(group.stream(), found);
            }
            other => found.push(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_in_both_directions() {
        let source = r#"
            fn request() -> Request {
                match t { "hello" => Request::Hello { id: "id" }, "bye" => Request::Bye, "no" => other() }
            }
            fn ready() { message("ready").text("code", "x"); let m = super::message("done"); messages("c") }
        "#;
        let found = |is_kind| {
            let kinds = kinds(source, is_kind).unwrap();
            kinds.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(found(is_read), ["bye", "hello"]);
        assert_eq!(found(is_sent), ["done", "ready"]);
    }
}
