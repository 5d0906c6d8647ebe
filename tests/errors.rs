//! Compares the codes and their advice with `docs/errors.md`.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]

use strongroom::Code;

const LIST: &str = include_str!("../docs/errors.md");

/// The first and last cells of the rows that start with a code.
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

#[test]
fn every_end_reason_is_documented() {
    use strongroom::session::EndReason as R;
    for reason in [
        R::LoggedOut,
        R::ProviderEnded,
        R::Expired,
        R::Idle,
        R::Absolute,
        R::Security,
        R::StorageLost,
    ] {
        let row = ["| `", reason.as_str(), "` |"].concat();
        assert!(LIST.contains(&row), "{row}");
    }
}
