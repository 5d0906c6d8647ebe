//! The members of a provider's metadata, as lists for the generators of headers and for `npx strongroom metadata`, which run
//! without the core.

use crate::facts::rows;
use crate::paths::{at, write_if_changed};
use anyhow::{Context, Result, bail, ensure};
use proc_macro2::{TokenStream, TokenTree};
use std::fmt::Write as _;
use std::fs;

pub(super) const SOURCE: &str = "src/rules/oauth/metadata.rs";
pub(super) const FILE: &str = "pkg/src/generated/metadata.ts";

/// A row of `members!`.
struct Row {
    name: String,
    /// The method that reads the member.
    read: String,
    is_requested: bool,
}

pub(super) fn write() -> Result<()> {
    let source = fs::read_to_string(at(SOURCE))?;
    write_if_changed(&at(FILE), &lists(&source)?)
}

fn lists(source: &str) -> Result<String> {
    let rows = members(source)?;
    let is_required = |row: &Row| matches!(&*row.read, "endpoint" | "key_set");
    let is_optional =
        |row: &Row| row.read.ends_with("_endpoint") && row.read != "unchecked_endpoint";
    let mut script = String::new();
    let mut list = |about: &str, name: &str, first: &[&str], is_in: &dyn Fn(&Row) -> bool| {
        let names = rows.iter().filter(|row| is_in(row));
        let names = first.iter().copied().chain(names.map(|row| &*row.name));
        let names: Vec<_> = names.map(|name| format!("'{name}'")).collect();
        let names = names.join(", ");
        writeln!(
            script,
            "/** {about} */\nexport const {name} = [{names}] as const"
        )
    };
    list(
        "The members without which no login works. Only a server without OpenID Connect may lack `jwks_uri`.",
        "REQUIRED",
        &["issuer"],
        &is_required,
    )?;
    list(
        "The endpoints that a vault ignores if the provider's own document has no usable address for them.",
        "OPTIONAL",
        &[],
        &is_optional,
    )?;
    list(
        "The members that are true or false.",
        "FLAGS",
        &[],
        &|row| row.read == "flag",
    )?;
    list(
        "The endpoints that the worker requests. The page navigates to all others.",
        "REQUESTED",
        &[],
        &|row| row.is_requested,
    )?;
    Ok(script)
}

/// Returns the rows of `members!`.
fn members(source: &str) -> Result<Vec<Row>> {
    let tokens: TokenStream = source.parse().ok().context("not Rust")?;
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut found = Vec::new();
    for row in rows(&tokens, "members", ';') {
        let is_equals =
            |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '=');
        let (Some(TokenTree::Ident(name)), Some(equals)) = (
            row.iter()
                .find(|token| matches!(token, TokenTree::Ident(_))),
            row.iter().position(is_equals),
        ) else {
            bail!("a row of members! that this program does not know");
        };
        let Some([TokenTree::Ident(read), more @ ..]) = row.get(equals + 1..) else {
            bail!("{name} is read by no method");
        };
        found.push(Row {
            name: name.to_string(),
            read: read.to_string(),
            is_requested: !more.is_empty(),
        });
    }
    ensure!(!found.is_empty(), "{SOURCE} has no members!");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_become_lists() {
        let source = "
            macro_rules! members { ($x:tt) => {}; }
            members! {
                /// A.
                a_endpoint: String = endpoint;
                /// B.
                b_uri: String = key_set, requested;
                /// C.
                c_endpoint: Option<String> = optional_endpoint, requested;
                /// D.
                d: bool = flag;
                /// E.
                e_endpoint: Option<String> = unchecked_endpoint;
            }
        ";
        let lists = lists(source).unwrap();
        let lines: Vec<_> = lists
            .lines()
            .filter(|line| !line.starts_with("/**"))
            .collect();
        let written = [
            "export const REQUIRED = ['issuer', 'a_endpoint', 'b_uri'] as const",
            "export const OPTIONAL = ['c_endpoint'] as const",
            "export const FLAGS = ['d'] as const",
            "export const REQUESTED = ['b_uri', 'c_endpoint'] as const",
        ];
        assert_eq!(lines, written);
        assert!(members("").is_err());
    }
}
