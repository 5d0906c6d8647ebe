//! Compares codes, advice and end reasons with the documents and with the TypeScript unions.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]

use std::collections::BTreeSet;

use strongroom::Code;
use strongroom::session::EndReason;

const LIST: &str = include_str!("../docs/errors.md");
const SESSIONS: &str = include_str!("../docs/sessions.md");
const CODES: &str = include_str!("../pkg/src/protocol/codes.ts");
const MESSAGES: &str = include_str!("../pkg/src/protocol/messages.ts");

/// Returns the error code and the advice of each row in the table of errors: its first and last cells.
fn rows() -> Vec<(&'static str, &'static str)> {
    let table = LIST.split("\n## ").next().unwrap();
    table
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let (code, rest) = row.split_once("` | ").unwrap();
            let advice = rest.rsplit_once(" | ").unwrap().1;
            (code, advice.strip_suffix(" |").unwrap())
        })
        .collect()
}

#[test]
fn every_code_is_documented_in_order() {
    let listed = rows();
    let codes: Vec<_> = Code::ALL
        .iter()
        .map(|code| (code.as_str(), code.advice()))
        .collect();
    assert_eq!(listed, codes);
}

/// Returns the names in the first column of the tables of end reasons.
fn end_reasons() -> BTreeSet<&'static str> {
    let tables = SESSIONS.split("\n| `endReason` |").skip(1);
    tables
        .flat_map(|table| {
            table
                .lines()
                .skip(1)
                .take_while(|line| line.starts_with('|'))
        })
        .filter_map(|row| Some(row.strip_prefix("| `")?.split_once('`')?.0))
        .collect()
}

#[test]
fn every_end_reason_is_documented() {
    let documented = end_reasons();
    let all = EndReason::ALL.iter().map(|reason| reason.as_str());
    assert_eq!(documented, all.collect());
}

/// Returns the members of a union of strings in TypeScript.
fn union(source: &'static str, name: &str) -> Vec<&'static str> {
    let (_, rest) = source
        .split_once(&format!("export type {name} =\n"))
        .unwrap();
    let lines = rest.lines().take_while(|line| line.starts_with("  "));
    lines
        .filter_map(|line| line.strip_prefix("  | '")?.strip_suffix('\''))
        .collect()
}

#[test]
fn type_of_codes_has_every_code() {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    assert_eq!(union(CODES, "Code"), codes.collect::<Vec<_>>());
}

#[test]
fn type_of_end_reasons_has_every_reason() {
    let typed = union(MESSAGES, "EndReason").into_iter();
    let all = EndReason::ALL.iter().map(|reason| reason.as_str());
    assert_eq!(typed.collect::<BTreeSet<_>>(), all.collect());
}
