//! Facts that Rust and TypeScript share. Rust defines them, and `cargo xtask build` writes TypeScript: constants to
//! `pkg/glue`, and types to `pkg/src/generated`, from where they get into the package's types.

pub(crate) mod constants;
mod enums;
mod events;
mod members;
mod metadata;
mod options;
mod views;

use crate::measure::floors;
use anyhow::Result;
use proc_macro2::{Delimiter, Literal, TokenStream, TokenTree};

/// The written files that have values, each with its source. The others have only types, which the build checks.
pub(crate) const VALUES: [(&str, &str); 3] = [
    enums::END_REASONS,
    (metadata::FILE, metadata::SOURCE),
    (options::FILE, options::SOURCE),
];

/// Writes everything.
pub(crate) fn write() -> Result<()> {
    constants::write()?;
    enums::write()?;
    events::write()?;
    members::write()?;
    metadata::write()?;
    options::write()?;
    views::write()
}

/// Writes the parts of documents that repeat facts: the codes of errors, and the picture of the folders of `src`.
pub(crate) fn write_documents() -> Result<()> {
    enums::write_codes()?;
    floors::write()
}

/// Returns the line of a documentation comment: the tokens are the attribute `doc = "line"`.
fn described(attribute: TokenStream) -> Option<String> {
    let tokens: Vec<_> = attribute.into_iter().collect();
    let [
        TokenTree::Ident(doc),
        TokenTree::Punct(_),
        TokenTree::Literal(line),
    ] = &*tokens
    else {
        return None;
    };
    let line = text(line).ok()?;
    (doc == "doc").then(|| line.trim().to_owned())
}

/// Returns the value of a string literal.
fn text(literal: &Literal) -> Result<String> {
    let literal: syn::LitStr = syn::parse_str(&literal.to_string())?;
    Ok(literal.value())
}

/// Returns the rows in the calls of a macro. `separator` ends each row.
fn rows(tokens: &[TokenTree], name: &str, separator: char) -> Vec<Vec<TokenTree>> {
    let bodies = tokens.windows(3).filter_map(|three| match three {
        [
            TokenTree::Ident(called),
            TokenTree::Punct(_),
            TokenTree::Group(body),
        ] if called == name && body.delimiter() == Delimiter::Brace => Some(body.stream()),
        _ => None,
    });
    bodies.flat_map(|body| split(body, separator)).collect()
}

/// Returns the tokens between separators, without empty rows.
fn split(tokens: TokenStream, separator: char) -> Vec<Vec<TokenTree>> {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == separator);
    let rows = tokens.split(is_end).filter(|row| !row.is_empty());
    rows.map(<[_]>::to_vec).collect()
}
