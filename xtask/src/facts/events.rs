//! The TypeScript interfaces of the token handler's events, from the rows of `events!` and the enums of `named!`.

use crate::facts::{described, rows, split, text};
use crate::paths::{at, write_if_changed};
use anyhow::{Context, Result, bail, ensure};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

const SOURCE: &str = "src/edge/event.rs";
const FILE: &str = "pkg/src/generated/events.ts";

/// The strings of each enum, with their meanings.
type Names = BTreeMap<String, Vec<(String, String)>>;

const HEAD: &str = "\
/** The members that every event has. */
interface OfIsolate {
  /** Milliseconds since the Unix epoch. */
  time: number
}

/** The members of events about a request. */
interface OfRequest extends OfIsolate {
  /** The ID of the request, as in a line of the log. */
  requestId?: string
  /** The public ID of the session, which gives no access to it. */
  session?: string
}
";

pub(super) fn write() -> Result<()> {
    let source = fs::read_to_string(at(SOURCE))?;
    write_if_changed(&at(FILE), &[HEAD, &interfaces(&source)?].concat())
}

/// Returns an interface for each row of `events!`, and the union of all.
fn interfaces(source: &str) -> Result<String> {
    let tokens: TokenStream = source.parse().ok().context("not Rust")?;
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut names = Names::new();
    for row in rows(&tokens, "named", ';') {
        let (name, strings) = named(&row)?;
        names.insert(name, strings);
    }
    let mut script = String::new();
    let mut union = "\n/** An event for `observe`: a flat object, distinguished by `type`. It contains no secret and no personal data. */\n\
        export type HandlerEvent =\n"
        .to_owned();
    for row in rows(&tokens, "events", ';') {
        let (description, row) = documented(&row)?;
        let (name, members, kind, subject) = match row {
            [
                TokenTree::Ident(name),
                TokenTree::Group(members),
                _,
                TokenTree::Literal(kind),
                _,
                subject,
            ] => (name, members.stream(), kind, subject),
            [
                TokenTree::Ident(name),
                _,
                TokenTree::Literal(kind),
                _,
                subject,
            ] => (name, TokenStream::new(), kind, subject),
            _ => bail!("a row of events! that this program does not know"),
        };
        writeln!(
            script,
            "\n/** {description} */\nexport interface {name}Event extends Of{subject} {{\n  type: '{}'",
            text(kind)?
        )?;
        for member in split(members, ',') {
            writeln!(script, "{}", member_of(&member, &names)?)?;
        }
        script.push_str("}\n");
        writeln!(union, "  | {name}Event")?;
    }
    ensure!(!script.is_empty(), "there is no events!");
    Ok(script + &union)
}

/// Returns the lines of a member: its description, its name and its type.
fn member_of(member: &[TokenTree], names: &Names) -> Result<String> {
    let (mut description, rest) = documented(member)?;
    let [TokenTree::Ident(name), _, typed @ ..] = rest else {
        bail!("a member that this program does not know");
    };
    let (typed, narrower) = match typed {
        [
            typed @ ..,
            TokenTree::Ident(word),
            TokenTree::Literal(narrower),
        ] if word == "as" => (typed, Some(text(narrower)?)),
        typed => (typed, None),
    };
    let typed: String = typed.iter().map(ToString::to_string).collect();
    let inner = typed
        .strip_prefix("Option<")
        .and_then(|rest| rest.strip_suffix('>'));
    let plain = match inner.unwrap_or(&typed) {
        "Code" | "EndReason" | "String" | "&'staticstr" => "string".to_owned(),
        "u16" | "u64" => "number".to_owned(),
        "Millis" => {
            description += " In seconds.";
            "number".to_owned()
        }
        other => {
            let strings = names
                .get(other)
                .with_context(|| format!("unknown type {other}"))?;
            let mut union = Vec::new();
            for (string, meaning) in strings {
                write!(description, " `{string}`: {meaning}")?;
                union.push(format!("'{string}'"));
            }
            union.join(" | ")
        }
    };
    // An empty string is no value.
    let mark = if inner.is_some() || typed == "String" {
        "?"
    } else {
        ""
    };
    let typed = narrower.unwrap_or(plain);
    Ok(format!("  /** {description} */\n  {name}{mark}: {typed}"))
}

/// Returns the name of an enum of `named!`, and its strings with their meanings.
fn named(body: &[TokenTree]) -> Result<(String, Vec<(String, String)>)> {
    let (_, rest) = documented(body)?;
    let [TokenTree::Ident(name), TokenTree::Group(variants)] = rest else {
        bail!("an enum of named! that this program does not know");
    };
    let mut strings = Vec::new();
    for variant in split(variants.stream(), ',') {
        let (meaning, [_, _, TokenTree::Literal(string)]) = documented(&variant)? else {
            bail!("a variant of {name} without a string");
        };
        strings.push((text(string)?, meaning));
    }
    Ok((name.to_string(), strings))
}

/// Returns the text of a row's documentation comment, and the tokens after it.
fn documented(row: &[TokenTree]) -> Result<(String, &[TokenTree])> {
    let mut lines = Vec::new();
    let mut rest = row;
    while let [TokenTree::Punct(_), TokenTree::Group(attribute), after @ ..] = rest {
        lines.extend(described(attribute.stream()));
        rest = after;
    }
    ensure!(!lines.is_empty(), "a row of {SOURCE} without a description");
    Ok((lines.join(" "), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_interfaces() {
        let source = r#"
            macro_rules! events { ($x:tt) => {}; }
            named! {
                /// A result.
                Outcome {
                    /// One.
                    Done = "done",
                    /// Two.
                    Failed = "failed",
                }
            }
            events! {
                /// A call
                /// has ended.
                Ended {
                    /// The code.
                    code: Option<Code>,
                    /// The name.
                    cause: String,
                    /// The time.
                    duration: Millis,
                    /// How.
                    outcome: Outcome,
                } = "ended" of Request;
                /// Left.
                Left(
                    /// Why.
                    code: Code as "'a' | 'b'"
                ) = "left" of Isolate;
                /// Begun.
                Began = "began" of Request;
            }
        "#;
        let written = "
/** A call has ended. */
export interface EndedEvent extends OfRequest {
  type: 'ended'
  /** The code. */
  code?: string
  /** The name. */
  cause?: string
  /** The time. In seconds. */
  duration: number
  /** How. `done`: One. `failed`: Two. */
  outcome: 'done' | 'failed'
}

/** Left. */
export interface LeftEvent extends OfIsolate {
  type: 'left'
  /** Why. */
  code: 'a' | 'b'
}

/** Begun. */
export interface BeganEvent extends OfRequest {
  type: 'began'
}

/** An event for `observe`: a flat object, distinguished by `type`. It contains no secret and no personal data. */
export type HandlerEvent =
  | EndedEvent
  | LeftEvent
  | BeganEvent
";
        assert_eq!(interfaces(source).unwrap(), written);
        assert!(interfaces("").is_err());
        assert!(interfaces(&source.replace("Millis", "Other")).is_err());
    }
}
