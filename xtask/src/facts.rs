//! Facts that Rust and TypeScript share. Rust defines them, and `cargo xtask build` writes TypeScript: constants to
//! `pkg/glue`, and types to `pkg/src/generated`, from where they get into the package's types.

mod constants;
mod enums;
mod members;
mod options;
mod views;

use crate::measure::floors;
use anyhow::Result;
use proc_macro2::{Literal, TokenStream, TokenTree};

/// Writes everything.
pub(crate) fn write() -> Result<()> {
    constants::write()?;
    enums::write()?;
    members::write()?;
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
