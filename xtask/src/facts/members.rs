//! The kinds of messages between Rust and TypeScript, with the members of each kind, as interfaces.
//!
//! These interfaces are read from the functions that write and read the messages. `pkg/src/protocol/messages.ts` and
//! `pkg/src/edge/host.ts` describe the same messages with their meaning, and do not compile if a description differs.

mod reader;
mod writer;

use crate::paths::{at, files_below, root, write_if_changed};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

/// The file that reads the messages of pages. The vault's messages are created in the folder of this file.
const PAGE_READER: &str = "src/vault/message.rs";

/// The file that writes the steps and events of the token handler, and reads the replies to its steps.
const EDGE: &str = "src/edge/module/lib.rs";

const FILE: &str = "pkg/src/generated/members.ts";

/// The type that compares a description with the interfaces below.
const HEAD: &str = "\
/** The members of a message that are not always undefined. */
type Names<Message> = {
  [Name in keyof Message]-?: [Exclude<Message[Name], undefined>] extends [never] ? never : Name
}[keyof Message]

/** The members of the message `T`, without those that every message has. */
type MembersOf<Message, T, Common> = Message extends { t: T } ? Omit<Message, Common & keyof Message> : never

type IsDescribed<Message, Members> = [Message] extends [never]
  ? false
  : [Names<Message>, keyof Members, Message] extends [keyof Members, Names<Message>, Members]
    ? true
    : false

/**
 * The kinds of messages whose members in TypeScript (`Message`) differ from their members in Rust (`Members`). `never`
 * if there is no difference. `Common`: members that Rust reads or writes in every message.
 */
export type Differing<Message extends { t: string }, Members, Common = 't'> =
  | Exclude<Message['t'], keyof Members>
  | {
      [T in keyof Members]: IsDescribed<MembersOf<Message, T, Common>, Members[T]> extends true ? never : T
    }[keyof Members]

/** The members that a message need not have. */
type Optional<Message> = {
  [Name in keyof Message]-?: {} extends Pick<Message, Name> ? Name : never
}[keyof Message]

/** As `Differing`, for messages that Rust writes: also the kinds with a member that Rust writes only sometimes. */
export type DifferingWritten<Message extends { t: string }, Members, Common = 't'> =
  | Differing<Message, Members, Common>
  | {
      [T in keyof Members]: [Optional<Members[T]>] extends [Optional<MembersOf<Message, T, Common>>] ? never : T
    }[keyof Members]

/** Compiles only if there is no difference. */
export type Same<Difference extends never> = Difference
";

/// A member of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    name: String,
    /// The type in TypeScript.
    typed: &'static str,
    is_optional: bool,
}

/// The members of each kind of message.
type Kinds = BTreeMap<String, Vec<Member>>;

/// Writes the interfaces.
pub(super) fn write() -> Result<()> {
    let mut vault = Vec::new();
    let files = files_below(root(), "src/vault")?;
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        vault.push(fs::read_to_string(at(file))?);
    }
    let edge = fs::read_to_string(at(EDGE))?;
    let events = writer::kinds(&[&edge], |function| function == "event")?;
    let steps = writer::kinds(&[&edge], |function| function != "event")?;
    let vault: Vec<_> = vault.iter().map(String::as_str).collect();
    let page = reader::kinds(&fs::read_to_string(at(PAGE_READER))?, "request")?;
    let mut script = HEAD.to_owned();
    for (name, about, kinds) in [
        ("PageMembers", "messages that the vault reads", page),
        (
            "VaultMembers",
            "messages that the vault writes",
            writer::kinds(&vault, |_| true)?,
        ),
        ("StepMembers", "steps of the token handler", steps),
        ("EventMembers", "events of the token handler", events),
        (
            "ReplyMembers",
            "replies to the token handler's steps, if the reply is JSON",
            reader::kinds(&edge, "read_reply")?
                .into_iter()
                .filter(|(_, members)| !members.is_empty())
                .collect(),
        ),
    ] {
        ensure!(!kinds.is_empty(), "the sources have no {name}");
        script += &interface(name, about, &kinds)?;
    }
    write_if_changed(&at(FILE), &script)
}

/// Returns an interface with a member for each kind.
fn interface(name: &str, about: &str, kinds: &Kinds) -> Result<String> {
    let mut out = format!("\n/** The members of the {about}. */\nexport interface {name} {{\n");
    for (kind, members) in kinds {
        let members = members.iter().map(|member| {
            let mark = if member.is_optional { "?" } else { "" };
            format!("{}{mark}: {}", member.name, member.typed)
        });
        let members = members.collect::<Vec<_>>().join("; ");
        writeln!(out, "  {kind}: {{ {members} }}")?;
    }
    Ok(out + "}\n")
}

/// Returns the value of an expression that is a string literal.
fn literal(expression: Option<&syn::Expr>) -> Option<String> {
    match expression? {
        syn::Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
fn shown(kinds: &Kinds) -> String {
    let text = interface("Shown", "test", kinds).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("  "));
    lines.map(str::trim).collect::<Vec<_>>().join("\n")
}
