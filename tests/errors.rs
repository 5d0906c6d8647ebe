//! Compares end reasons with the documents.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]

use std::collections::BTreeSet;

use rules::session::EndReason;

const SESSIONS: &str = include_str!("../docs/sessions.md");

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
    let all = EndReason::ALL.iter().map(|reason| reason.seen_as());
    assert_eq!(documented, all.collect());
}
