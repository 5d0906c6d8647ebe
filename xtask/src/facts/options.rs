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

/// An option.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    /// The name with its path, such as `apis[].cache`.
    name: String,
    purpose: String,
    /// The capabilities that the option needs, each with the value with which the option does not need it.
    needs: Vec<(String, Option<String>)>,
}

/// The larger modules, the smallest one first, each with its capabilities. The last one has all capabilities.
const MODULES: [(&str, &[&str]); 2] = [
    ("STORED", &["StoredSessions", "PlainOauth"]),
    ("EXTENDED", &[]),
];

/// Writes for each larger module a list of the options that it supports and for which the smaller modules do not suffice.
/// The default module has no capability.
pub(super) fn write() -> Result<()> {
    let options = options(&fs::read_to_string(at(SOURCE))?)?;
    let mut script = String::new();
    let mut smaller: &[&str] = &[];
    for (module, capabilities) in MODULES {
        let mut names: Vec<_> = options
            .iter()
            .filter(|option| {
                let mut needs = option.needs.iter();
                capabilities.is_empty() || needs.any(|(need, _)| capabilities.contains(&&**need))
            })
            .filter_map(|option| short(option, smaller))
            .collect();
        // In alphabetical order the list compresses well.
        names.sort();
        script += &format!(
            "/**\n * The options that need the {} module, separated by spaces. After `=` are the values with which an option does not\n \
             * need it. No option needs it with a value that counts as false in JavaScript.\n */\n\
             export const {module}_OPTIONS = '{}'\n",
            module.to_lowercase(),
            names.join(" ")
        );
        smaller = capabilities;
    }
    let session = options.iter().map(|option| &*option.name);
    let session = session.filter(|name| name.starts_with("session."));
    script += &format!(
        "/** The options in `session`, separated by spaces. */\n\
         export const SESSION_OPTIONS = '{}'\n",
        session.collect::<Vec<_>>().join(" ")
    );
    write_if_changed(&at(FILE), &script)
}

/// Returns an option as in the list for the worker, or `None` if a module with the capabilities `present` suffices. A
/// value that counts as false in JavaScript is left out.
fn short(option: &Listed, present: &[&str]) -> Option<String> {
    let is_absent = |(capability, _): &&(String, Option<String>)| !present.contains(&&**capability);
    option.needs.iter().find(is_absent)?;
    let name = option.name.replace("[]", "");
    // A module with a capability also supports the values that need no capability.
    let mut values = Vec::new();
    for (capability, off) in &option.needs {
        values.extend(off.as_deref().filter(|off| *off != "false"));
        if !present.contains(&&**capability) {
            break;
        }
    }
    Some(match &*values {
        [] => name,
        values => format!("{name}={}", values.join("|").replace('"', "")),
    })
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
    const BEGIN: &str = "<!-- options of the larger modules -->";
    const END: &str = "<!-- end -->";
    let (before, rest) = document.split_once(BEGIN).context("no table")?;
    let (_, after) = rest.split_once(END).context("no end of the table")?;
    let mut table = "| option | purpose | module |\n|---|---|---|\n".to_owned();
    for option in options(&fs::read_to_string(at(SOURCE))?)? {
        if !option.needs.is_empty() {
            table += &format!(
                "| `{}` | {} | {} |\n",
                option.name,
                option.purpose,
                smallest(&option)
            );
        }
    }
    Ok(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

/// Returns the smallest module that supports the option.
fn smallest(option: &Listed) -> String {
    let [(stored, capabilities), _] = MODULES;
    let (needs, value) = match &*option.needs {
        [(first, _), (_, Some(value))] => (first, Some(value)),
        [(first, _), ..] => (first, None),
        [] => return String::new(),
    };
    if !capabilities.contains(&&**needs) {
        return "extended".to_owned();
    }
    let stored = stored.to_lowercase();
    match value {
        Some(value) => format!(
            "{stored} for `{}`, otherwise extended",
            value.replace('"', "'")
        ),
        None => stored,
    }
}

/// Returns all options.
fn options(source: &str) -> Result<Vec<Listed>> {
    let mut found = Vec::new();
    let mut path = String::new();
    for token in body(source, "options")? {
        match token {
            TokenTree::Literal(literal) => path = text(&literal)?,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                for entry in entries(group.stream(), ';') {
                    found.extend(listed(&path, &entry)?);
                }
            }
            _ => {}
        }
    }
    ensure!(!found.is_empty(), "{SOURCE} lists no option");
    Ok(found)
}

/// Reads one option. Returns `None` after the last option.
fn listed(path: &str, entry: &[TokenTree]) -> Result<Option<Listed>> {
    let mut purpose = Vec::new();
    let mut rest = entry;
    while let [TokenTree::Punct(_), TokenTree::Group(attribute), after @ ..] = rest {
        purpose.extend(described(attribute.stream()));
        rest = after;
    }
    let [TokenTree::Literal(name), rest @ ..] = rest else {
        return Ok(None);
    };
    let name = [path, &text(name)?].concat();
    ensure!(
        rest.is_empty() || !purpose.is_empty(),
        "{name} has no purpose"
    );
    let is_comma =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    let needs = rest
        .get(1..)
        .unwrap_or_default()
        .split(is_comma)
        .filter_map(|need| {
            let off = need.get(2).map(ToString::to_string);
            Some((need.first()?.to_string(), off))
        });
    Ok(Some(Listed {
        name,
        purpose: purpose.join(" "),
        needs: needs.collect(),
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
                        "store": Store unless "memory", Escrow unless "sealed";
                    }
                }
            "#;
        let found = options(source).unwrap();
        let shown: Vec<_> = found
            .iter()
            .filter_map(|one| Some(format!("{}: {}", short(one, &[])?, one.purpose)))
            .collect();
        assert_eq!(
            shown,
            [
                "dpop: keys",
                "apis.audience: audiences, of APIs",
                "apis.store=memory: storage"
            ]
        );
        let with_store: Vec<_> = found
            .iter()
            .filter_map(|one| short(one, &["Store", "Dpop"]))
            .collect();
        assert_eq!(with_store, ["apis.audience", "apis.store=memory|sealed"]);
        assert!(
            options(r#"options! { VAULT "" { "a": A; } }"#).is_err(),
            "no purpose"
        );
    }
}
