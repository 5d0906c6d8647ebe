//! Enums of Rust with a name for each variant, which become unions of strings in TypeScript.
//!
//! Macros define these enums: `/** description */ Variant = "name"`, followed by other values.

use crate::facts::{described, text};
use crate::paths::{at, write_if_changed};
use anyhow::{Context, Result, ensure};
use proc_macro2::{TokenStream, TokenTree};
use std::fmt::Write;
use std::fs;

/// An enum, and the union that is written from it.
struct Union {
    /// The file that defines the enum.
    source: &'static str,
    file: &'static str,
    name: &'static str,
    /// The description of the type.
    about: &'static str,
}

/// The file with the reasons, which are values too, and its source.
pub(super) const END_REASONS: (&str, &str) = (
    "pkg/src/generated/end-reasons.ts",
    "src/rules/session/end_reason.rs",
);

const UNIONS: [Union; 2] = [
    Union {
        source: "src/rules/base/error.rs",
        file: "pkg/src/generated/codes.ts",
        name: "Code",
        about: "The stable identifier of an error. A released code is never renamed or reused.",
    },
    Union {
        source: END_REASONS.1,
        file: END_REASONS.0,
        name: "EndReason",
        about: "The reason why a session ended.",
    },
];

/// A variant: its name in TypeScript, its description, and what follows the name.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    /// The section that begins with this variant: `section "Title";` is before it.
    section: Option<String>,
    name: String,
    description: String,
    /// The string that follows the name.
    advice: Option<String>,
    /// True if `is_final: true` follows the name.
    is_final: bool,
}

/// The document that describes the errors.
const ERRORS: &str = "docs/errors.md";

/// The beginning and the end of the part of [`ERRORS`] that is written.
const CODES: (&str, &str) = ("<!-- src/rules/base/error.rs: Code -->\n", "<!-- end -->");

/// Writes the codes in `docs/errors.md`.
pub(super) fn write_codes() -> Result<()> {
    write_if_changed(&at(ERRORS), &with_codes(&fs::read_to_string(at(ERRORS))?)?)
}

/// Returns the document with the present codes: links to all of them, and a heading for each, so that it has an anchor.
fn with_codes(document: &str) -> Result<String> {
    let (start, end) = CODES;
    let (before, rest) = document.split_once(start).context("no codes")?;
    let (_, after) = rest.split_once(end).context("no end of the codes")?;
    let source = UNIONS[0].source;
    let codes = variants(&fs::read_to_string(at(source))?)?;
    let (mut links, mut sections) = (String::new(), String::new());
    for Named {
        section,
        name,
        description,
        advice,
        ..
    } in codes
    {
        let advice = advice.with_context(|| format!("{name} has no advice"))?;
        if let Some(title) = section {
            write!(links, "\n- {title}: [`{name}`](#{name})")?;
            write!(sections, "\n\n## {title}")?;
        } else {
            write!(links, ", [`{name}`](#{name})")?;
        }
        let advice = with_links(&advice);
        write!(
            sections,
            "\n\n### `{name}`\n\n{description}\n\n**What to do:** {advice}"
        )?;
    }
    ensure!(links.starts_with('\n'), "{source}: no section at first");
    Ok(format!("{before}{start}{links}{sections}\n\n{end}{after}"))
}

/// Makes a link of each name of a document, such as `docs/errors.md#limits`.
fn with_links(advice: &str) -> String {
    let mut words = advice.split(' ').map(|word| {
        let Some(target) = word.strip_prefix("docs/") else {
            return word.to_owned();
        };
        let bare = target.trim_end_matches(['.', ',', ';']);
        let point = target.get(bare.len()..).unwrap_or_default();
        let (name, anchor) = bare
            .find('#')
            .map_or((bare, ""), |place| bare.split_at(place));
        if at(ERRORS).ends_with(name) {
            format!("[the end of this page]({anchor}){point}")
        } else {
            format!("[{name}]({bare}){point}")
        }
    });
    let first = words.next().unwrap_or_default();
    words.fold(first, |text, word| text + " " + &word)
}

/// Writes the unions.
pub(super) fn write() -> Result<()> {
    for Union {
        source,
        file,
        name,
        about,
    } in UNIONS
    {
        let mut script = format!("/** {about} */\nexport type {name} =\n");
        let variants = variants(&fs::read_to_string(at(source))?).context(source)?;
        ensure!(!variants.is_empty(), "{source} defines no variant");
        let mut finals = Vec::new();
        for Named {
            name,
            description,
            is_final,
            ..
        } in variants
        {
            let description = without_links(&description);
            writeln!(script, "  /** {description} */\n  | '{name}'")?;
            finals.extend(is_final.then(|| format!("'{name}'")));
        }
        if !finals.is_empty() {
            let finals = finals.join(", ");
            writeln!(
                script,
                "\n/** The reasons after which only the user may begin a login. */\n\
                 export const FINAL: readonly {name}[] = [{finals}]"
            )?;
        }
        write_if_changed(&at(file), &script)?;
    }
    Ok(())
}

/// Returns all variants in a file, in its order.
fn variants(source: &str) -> Result<Vec<Named>> {
    let tokens: TokenStream = source.parse().ok().context("not Rust")?;
    let mut found = Vec::new();
    collect(tokens, &mut found)?;
    Ok(found)
}

/// Adds the variants among the tokens and in their groups.
fn collect(tokens: TokenStream, found: &mut Vec<Named>) -> Result<()> {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut description: Vec<String> = Vec::new();
    let mut section = None;
    for (i, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => match described(group.stream()) {
                Some(line) => description.push(line),
                None => collect(group.stream(), found)?,
            },
            TokenTree::Ident(_) => {
                let lines = std::mem::take(&mut description);
                let rest = tokens.get(i + 1..).unwrap_or_default();
                if let [TokenTree::Literal(title), ..] = rest {
                    section = Some(text(title)?);
                }
                if let [TokenTree::Punct(equals), TokenTree::Literal(name), ..] = rest
                    && equals.as_char() == '='
                    && let Ok(name) = text(name)
                    && !lines.is_empty()
                    && !row_of(rest)
                        .iter()
                        .any(|token| matches!(token, TokenTree::Ident(word) if word == "seen_as"))
                {
                    let advice = match rest.get(2..4) {
                        Some([TokenTree::Punct(_), TokenTree::Literal(advice)]) => {
                            text(advice).ok()
                        }
                        _ => None,
                    };
                    found.push(Named {
                        section: section.take(),
                        name,
                        description: lines.join(" "),
                        advice,
                        is_final: has_flag(rest, "is_final"),
                    });
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    Ok(())
}

/// Returns the tokens before the next semicolon.
fn row_of(tokens: &[TokenTree]) -> &[TokenTree] {
    let is_end =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
    tokens.split(is_end).next().unwrap_or_default()
}

/// Returns true if `name: true` is among the tokens before the next semicolon.
fn has_flag(tokens: &[TokenTree], name: &str) -> bool {
    row_of(tokens).windows(3).any(|three| {
        matches!(three, [TokenTree::Ident(flag), _, TokenTree::Ident(value)] if flag == name && value == "true")
    })
}

/// Replaces the links of Markdown, which editors cannot follow, by the names of the documents.
fn without_links(description: &str) -> String {
    let mut out = String::new();
    let mut rest = description;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((label, (target, after))) = link
            .split_once("](")
            .and_then(|(label, link)| Some((label, link.split_once(')')?)))
        else {
            break;
        };
        let document = target.split('#').next().unwrap_or_default();
        let is_name = label == document || document.is_empty();
        out.push_str(before);
        match (is_name, document) {
            (true, "") => out.push_str("docs/errors.md"),
            (true, name) => out.push_str(&format!("docs/{name}")),
            (false, _) => out.push_str(label),
        }
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_have_names_and_descriptions() {
        let source = r#"
            /// About the macro.
            macro_rules! codes { ($($x:tt)*) => {
                /// The enum.
                pub enum Code { $(#[doc = $doc])+ }
            }; }
            codes! {
                section "Title";
                /// One line,
                /// and another.
                First = "first", "Advice.";
                // Not a description.
                /// More.
                Second = "second", revokes: true, is_final: false;
                /// Pages see another name.
                Hidden = "hidden", seen_as: Second, is_final: false;
                /// Last.
                Third = "third", is_final: true;
            }
        "#;
        let found = variants(source).unwrap();
        let named =
            |section: Option<&str>, name: &str, description: &str, advice: Option<&str>| Named {
                section: section.map(str::to_owned),
                name: name.to_owned(),
                description: description.to_owned(),
                advice: advice.map(str::to_owned),
                is_final: name == "third",
            };
        assert_eq!(
            found,
            [
                named(
                    Some("Title"),
                    "first",
                    "One line, and another.",
                    Some("Advice.")
                ),
                named(None, "second", "More.", None),
                named(None, "third", "Last.", None),
            ]
        );
    }

    #[test]
    fn document_has_the_present_codes() {
        let document = fs::read_to_string(at(ERRORS)).unwrap();
        let written = with_codes(&document).unwrap();
        assert!(
            document == written,
            "`cargo xtask options` writes the codes"
        );
        // A document with another description differs.
        let other = document.replacen("There is no session.", "There is one.", 1);
        assert_ne!(other, document);
        assert_eq!(with_codes(&other).unwrap(), written);
    }

    #[test]
    fn names_of_documents_become_links() {
        let advice = "See docs/a.md#b. docs/errors.md#limits has c, or docs/d.md.";
        let linked = "See [a.md](a.md#b). [the end of this page](#limits) has c, or [d.md](d.md).";
        assert_eq!(with_links(advice), linked);
        assert_eq!(with_links("See adocs/a.md."), "See adocs/a.md.");
    }

    #[test]
    fn links_become_names_of_documents() {
        let text = "Gone ([a.md](a.md#b)). The [worker](c.md) failed ([below](#d)).";
        let plain = "Gone (docs/a.md). The worker failed (docs/errors.md).";
        assert_eq!(without_links(text), plain);
        assert_eq!(without_links("a[0] is"), "a[0] is");
    }
}
