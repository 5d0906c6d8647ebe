//! Tables that tests write into documents.

use std::fs;

use crate::world::Endpoint;

/// Compares a table with the document, in which it follows a comment with the text `marker`. With `UPDATE_DOCS`, writes it
/// there instead. The path is relative to `docs`.
#[track_caller]
pub fn check(document: &str, marker: &str, table: &str) {
    let path = [env!("CARGO_MANIFEST_DIR"), "/../../docs/", document].concat();
    let text = fs::read_to_string(&path).unwrap();
    let (start, rest) = text.split_once(marker).expect(marker);
    let (comment, rest) = rest.split_once("-->\n\n").unwrap();
    let rows = rest.split_inclusive('\n');
    let length: usize = rows
        .take_while(|line| line.starts_with('|'))
        .map(str::len)
        .sum();
    let (written, end) = rest.split_at(length);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = [start, marker, comment, "-->\n\n", table, end].concat();
        fs::write(path, text).unwrap();
        return;
    }
    assert_eq!(written, table, "UPDATE_DOCS=1 writes it");
}

/// Returns a cell that names operations in the order of their first one, each with its number if that is not 1.
pub fn cell(operations: &[&str]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in operations {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let cells =
        names.iter().map(
            |name| match operations.iter().filter(|known| *known == name).count() {
                1 => (*name).to_owned(),
                count => format!("{name} ×{count}"),
            },
        );
    match names.is_empty() {
        true => "–".to_owned(),
        false => cells.collect::<Vec<_>>().join(", "),
    }
}

/// Returns the name of a request to the provider.
pub fn name(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Discovery => "metadata",
        Endpoint::Keys => "keys",
        Endpoint::Exchange => "code",
        Endpoint::Refresh => "refresh",
        Endpoint::Revoke => "revocation",
        Endpoint::Probe => "probe",
        Endpoint::Profile => "profile",
        Endpoint::Push => "push",
        Endpoint::AskDevice | Endpoint::PollDevice => "device",
    }
}
