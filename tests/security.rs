//! `SECURITY.md` claims nothing without a test: each claim names some, and each that is named is there.

#![allow(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use std::fs;
use std::path::Path;

/// Words that promise more than a sentence can keep. What has one has to name its test.
const ABSOLUTE: &[&str] = &[
    "always",
    "never",
    "impossible",
    "guarantee",
    "completely",
    "unbreakable",
    "whatever",
    "nobody",
    "no way",
    "cannot",
];

fn document() -> String {
    fs::read_to_string(at("SECURITY.md")).unwrap()
}

fn at(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The tests that a text names, each as a file and a name: `` `tests/egress.rs: urls` ``.
fn named(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|quoted| quoted.split_once(": "))
        .filter(|(file, _)| file.ends_with(".rs") || file.ends_with(".mjs"))
        .collect()
}

/// Whether a file has a test of this name. In JavaScript the name may be the beginning of a longer one, whose
/// rest is filled in, or that of a case in a table, or of a capability that is seen in each engine.
fn has_test(file: &str, source: &str, name: &str) -> bool {
    if file.ends_with(".mjs") {
        let quoted = ['\'', '`', '"'].map(|quote| format!("{quote}{name}"));
        let mut lines = source.lines();
        return lines.any(|line| {
            let is_test = line.contains("test(")
                || line.contains("test.skip(")
                || file.starts_with("tests/engines/") && line.trim_start().starts_with("name: ");
            let line = line.trim_start();
            let names = quoted.iter().any(|quoted| line.contains(quoted.as_str()));
            let is_case = quoted
                .iter()
                .any(|quoted| line.starts_with(quoted.as_str()));
            names && (is_test || is_case)
        });
    }
    let is_it = |line: &str| line.trim_start().starts_with(&format!("fn {name}("));
    let lines: Vec<&str> = source.lines().collect();
    let is_test = |i: usize| {
        let before = lines[..i].iter().rev().map(|line| line.trim());
        let mut attributes = before.take_while(|line| line.starts_with("#["));
        attributes.any(|line| line == "#[test]")
    };
    let is_written = (0..lines.len()).any(|i| is_it(lines[i]) && is_test(i));
    // The targets' tests are made by a macro.
    let is_made = lines
        .iter()
        .any(|line| line.trim_start().starts_with(&format!("{name}: MUTATIONS")));
    is_written || is_made
}

/// The claims: points of lists, and rows of those tables whose last column says what shows them.
fn claims(document: &str) -> Vec<&str> {
    let mut claims = Vec::new();
    let mut shows = false;
    for line in document.lines() {
        if let Some(point) = line.strip_prefix("- ") {
            claims.push(point);
        }
        match line.strip_prefix("| ") {
            Some(_) if line.ends_with("| shown by |") => shows = true,
            Some(row) if shows => claims.push(row),
            None if !line.starts_with('|') => shows = false,
            _ => {}
        }
    }
    claims
}

fn is_carried(claim: &str) -> bool {
    let says_so = ["Not covered", "not covered", "see there"];
    !named(claim).is_empty() || says_so.iter().any(|words| claim.contains(words))
}

#[test]
fn every_test_that_is_named_is_there() {
    let document = document();
    let missing: Vec<_> = named(&document)
        .into_iter()
        .filter(|(file, name)| {
            let source = fs::read_to_string(at(file));
            !source.is_ok_and(|source| has_test(file, &source, name))
        })
        .collect();
    assert_eq!(missing, []);
    assert!(named(&document).len() > 150);
}

#[test]
fn every_claim_names_a_test_or_says_that_it_is_not_covered() {
    let document = document();
    let (claims_part, _) = document.split_once("## Not covered at all").unwrap();
    let claims = claims(claims_part);
    let bare: Vec<_> = claims.iter().filter(|claim| !is_carried(claim)).collect();
    assert_eq!(bare, [&""; 0]);
    assert!(claims.len() > 80, "{}", claims.len());
}

#[test]
fn no_absolute_word_stands_without_a_test() {
    let document = document();
    let without = |line: &&str| named(line).is_empty() && !line.contains("ot covered");
    let absolute = |line: &&str| {
        let line = line.to_lowercase();
        ABSOLUTE.iter().any(|word| line.contains(word))
    };
    // The table of modes says what is described and shown elsewhere.
    let lines = document.lines().filter(|line| !line.starts_with("| `"));
    let found: Vec<&str> = lines.filter(without).filter(absolute).collect();
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_control_what_is_missing_is_found_missing() {
    let rust = "#[test]\nfn there() {}\n\nfn helper() {}\n    jwt: MUTATIONS,\n";
    assert!(has_test("a.rs", rust, "there"));
    assert!(has_test("a.rs", rust, "jwt"));
    for name in ["ther", "there_not", "helper", "jwk"] {
        assert!(!has_test("a.rs", rust, name), "{name}");
    }
    let script = "test('one thing', () => {\n  // 'another thing'\n  test(`refused: ${name}`, f)\n  'a case': {\n";
    for name in ["one thing", "refused:", "a case"] {
        assert!(has_test("a.mjs", script, name), "{name}");
    }
    for name in ["another thing", "thing", "no case"] {
        assert!(!has_test("a.mjs", script, name), "{name}");
    }
    assert_eq!(
        named("x `a.rs: b` and `c.mjs: d: e`, `f: g`"),
        [("a.rs", "b"), ("c.mjs", "d: e")]
    );
    assert!(!is_carried("It is safe."));
    assert!(!is_carried("It is safe, says `SECURITY.md: safe`."));
    assert!(is_carried("It is safe. `tests/a.rs: b`"));
    let table = "| a | shown by |\n|---|---|\n| row | `x.rs: y` |\n\n| b | c |\n|---|---|\n| other | d |\n- point\n";
    assert_eq!(claims(table), ["row | `x.rs: y` |", "point"]);
}
