//! The options of the vault that need a larger module: a list for the worker, which chooses the module, and the table in
//! docs/deployment.md.

use crate::facts::{described, text};
use crate::paths::{at, write_if_changed};
use anyhow::{Context, Result, ensure};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::fs;

const SOURCE: &str = "src/config/options.rs";
const FILE: &str = "pkg/src/generated/options.ts";
const DOCUMENT: &str = "docs/deployment.md";

/// An option that needs a capability.
#[derive(Debug, PartialEq, Eq)]
struct Needing {
    /// The name with its path, such as `apis[].cache`.
    name: String,
    purpose: String,
    capability: String,
    /// The value with which the option needs no capability.
    off: Option<String>,
}

/// Writes the list of the options that need a capability. The default module has no capability.
pub(super) fn write() -> Result<()> {
    let options = options(&fs::read_to_string(at(SOURCE))?)?;
    let names: Vec<_> = options.iter().map(short).collect();
    let script = format!(
        "/**\n * The options that need the larger module, separated by spaces. After `=` is the value with which an option does not\n \
         * need it. No option needs it with a value that counts as false in JavaScript.\n */\n\
         export const EXTENDED_OPTIONS = '{}'\n",
        names.join(" ")
    );
    write_if_changed(&at(FILE), &script)
}

/// Returns an option as in the list for the worker. A value that counts as false in JavaScript is left out.
fn short(option: &Needing) -> String {
    let name = option.name.replace("[]", "");
    match option.off.as_deref() {
        None | Some("false") => name,
        Some(off) => format!("{name}={}", off.trim_matches('"')),
    }
}

/// Writes the table of `docs/deployment.md`.
pub(super) fn write_table() -> Result<()> {
    write_if_changed(
        &at(DOCUMENT),
        &with_table(&fs::read_to_string(at(DOCUMENT))?)?,
    )
}

/// Returns the document with the present options in its table.
fn with_table(document: &str) -> Result<String> {
    const BEGIN: &str = "<!-- options of the larger module -->";
    const END: &str = "<!-- end -->";
    let (before, rest) = document.split_once(BEGIN).context("no table")?;
    let (_, after) = rest.split_once(END).context("no end of the table")?;
    let mut table = "| option | purpose |\n|---|---|\n".to_owned();
    for option in options(&fs::read_to_string(at(SOURCE))?)? {
        table += &format!("| `{}` | {} |\n", option.name, option.purpose);
    }
    Ok(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

/// Returns the options that need a capability.
fn options(source: &str) -> Result<Vec<Needing>> {
    let mut found = Vec::new();
    let mut path = String::new();
    for token in body(source, "options")? {
        match token {
            TokenTree::Literal(literal) => path = text(&literal)?,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                for entry in entries(group.stream(), ';') {
                    found.extend(needing(&path, &entry)?);
                }
            }
            _ => {}
        }
    }
    ensure!(!found.is_empty(), "no option needs a capability");
    Ok(found)
}

/// Reads one option. Returns `None` if it needs no capability.
fn needing(path: &str, entry: &[TokenTree]) -> Result<Option<Needing>> {
    let mut purpose = Vec::new();
    let mut rest = entry;
    while let [TokenTree::Punct(_), TokenTree::Group(attribute), after @ ..] = rest {
        purpose.extend(described(attribute.stream()));
        rest = after;
    }
    let [
        TokenTree::Literal(name),
        TokenTree::Punct(_),
        TokenTree::Ident(capability),
        rest @ ..,
    ] = rest
    else {
        return Ok(None);
    };
    let name = [path, &text(name)?].concat();
    ensure!(!purpose.is_empty(), "{name} has no purpose");
    Ok(Some(Needing {
        name,
        purpose: purpose.join(" "),
        capability: capability.to_string(),
        off: rest.get(1).map(ToString::to_string),
    }))
}

/// Returns the tokens in the braces of a macro's call.
fn body(source: &str, name: &str) -> Result<TokenStream> {
    let tokens: TokenStream = source.parse().ok().context("not Rust")?;
    let tokens: Vec<_> = tokens.into_iter().collect();
    let body = tokens.windows(3).find_map(|three| match three {
        [
            TokenTree::Ident(called),
            TokenTree::Punct(_),
            TokenTree::Group(body),
        ] if called == name => Some(body.stream()),
        _ => None,
    });
    body.with_context(|| format!("there is no {name}!"))
}

/// Splits tokens at a separator.
fn entries(tokens: TokenStream, separator: char) -> Vec<Vec<TokenTree>> {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == separator);
    tokens.split(is_end).map(<[_]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_with_a_capability_are_found() {
        let source = r#"
            macro_rules! options { () => { "x": Not; } }
            options! {
                /// About the list.
                VAULT "" {
                    "scope";
                    /// keys
                    "dpop": Dpop unless false;
                }
                RULE "apis[]." {
                    /// audiences,
                    /// of APIs
                    "audience": Tokens;
                    /// storage
                    "store": Store unless "memory";
                }
            }
        "#;
        let found = options(source).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|one| format!("{}: {} ({})", short(one), one.purpose, one.capability))
            .collect();
        assert_eq!(
            shown,
            [
                "dpop: keys (Dpop)",
                "apis.audience: audiences, of APIs (Tokens)",
                "apis.store=memory: storage (Store)"
            ]
        );
        assert!(
            options(r#"options! { VAULT "" { "a": A; } }"#).is_err(),
            "no purpose"
        );
    }

    #[test]
    fn table_of_larger_modules_options_is_up_to_date() {
        let document = fs::read_to_string(at(DOCUMENT)).unwrap();
        let written = with_table(&document).unwrap();
        assert!(
            document == written,
            "`cargo xtask options` writes the table"
        );
        let other = document.replacen("| `dpop` |", "| `dpap` |", 1);
        assert_ne!(other, document);
        assert_eq!(with_table(&other).unwrap(), written);
    }
}
