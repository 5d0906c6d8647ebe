//! Structs that Rust serializes for pages, which become interfaces in TypeScript.

use crate::paths::{at, write_if_changed};
use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::fs;
use syn::{Attribute, Expr, Fields, GenericArgument, Item, Lit, Meta, PathArguments, Type};

/// The file that defines the view of a session.
const SOURCE: &str = "src/rules/session/view.rs";

const HEAD: &str = "\
import type { DefaultClaims } from '../protocol/messages.js'

/**
 * The page's view of a session. Times are in milliseconds since the Unix epoch.
 *
 * @typeParam Claims The claims that the configuration's `claims` names. The vault does not check their types.
 */
export interface Session<Claims = DefaultClaims> {
";

/// Writes the interface.
pub(super) fn write() -> Result<()> {
    let source = fs::read_to_string(at(SOURCE))?;
    let members = members(&source, "SessionView").context(SOURCE)?;
    write_if_changed(
        &at("pkg/src/generated/session.ts"),
        &[HEAD, &members, "}\n"].concat(),
    )
}

/// Returns the lines of an interface with the fields of the struct `name`.
fn members(source: &str, name: &str) -> Result<String> {
    let items = syn::parse_file(source)?.items;
    let fields = items.iter().find_map(|item| match item {
        Item::Struct(found) if found.ident == name => Some(&found.fields),
        _ => None,
    });
    let Some(Fields::Named(fields)) = fields else {
        bail!("there is no struct {name} with named fields");
    };
    let mut out = String::new();
    for field in &fields.named {
        let name = field.ident.as_ref().context("a field without a name")?;
        let (mark, typed) = match optional(&field.ty) {
            Some(inner) => ("?", typescript(inner, &items)?),
            None => ("", typescript(&field.ty, &items)?),
        };
        let name = camel_case(&name.to_string());
        let description = description(&field.attrs);
        writeln!(out, "  /** {description} */\n  {name}{mark}: {typed}")?;
    }
    Ok(out)
}

/// Returns the type in an `Option`.
fn optional(of: &Type) -> Option<&Type> {
    let Type::Path(path) = of else { return None };
    let last = path.path.segments.last()?;
    match &last.arguments {
        PathArguments::AngleBracketed(inner) if last.ident == "Option" => {
            inner.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(inner) => Some(inner),
                _ => None,
            })
        }
        _ => None,
    }
}

/// Returns the type in TypeScript. An enum of the same file is a union of its names in snake case.
fn typescript(of: &Type, items: &[Item]) -> Result<String> {
    let path = match of {
        Type::Path(path) => path,
        Type::Reference(reference) => return typescript(&reference.elem, items),
        _ => bail!("a type that this program does not know"),
    };
    let name = path
        .path
        .segments
        .last()
        .context("an empty path")?
        .ident
        .to_string();
    let known = match name.as_str() {
        "UnixMillis" => "number",
        "bool" => "boolean",
        "str" => "string",
        "Scopes" => "string[]",
        "VisibleClaims" => "Claims & { sub: string }",
        _ => {
            let variants = items.iter().find_map(|item| match item {
                Item::Enum(found) if found.ident == name => Some(&found.variants),
                _ => None,
            });
            let variants = variants.with_context(|| format!("unknown type {name}"))?;
            let names = variants
                .iter()
                .map(|variant| format!("'{}'", snake_case(&variant.ident.to_string())));
            return Ok(names.collect::<Vec<_>>().join(" | "));
        }
    };
    Ok(known.to_owned())
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        out.push_str(&first.to_uppercase());
        out.push_str(rest);
    }
    out
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// Returns a documentation comment in one line.
fn description(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let Meta::NameValue(named) = &attribute.meta else {
            return None;
        };
        match &named.value {
            Expr::Lit(literal) if named.path.is_ident("doc") => match &literal.lit {
                Lit::Str(line) => Some(line.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        }
    });
    lines.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_members() {
        let source = "
            struct View<'a> {
                /// One,
                /// two.
                started_at: UnixMillis,
                /// Three.
                needs: Option<&'a str>,
                /// Four.
                state: State,
            }
            enum State { Active, InteractionRequired }
        ";
        assert_eq!(
            members(source, "View").unwrap(),
            "  /** One, two. */\n  startedAt: number\n  \
             /** Three. */\n  needs?: string\n  \
             /** Four. */\n  state: 'active' | 'interaction_required'\n"
        );
        assert!(members(source, "Other").is_err());
        assert!(members("struct View { a: Unknown }", "View").is_err());
    }
}
