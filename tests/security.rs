//! Checks that each row of `docs/conformance.md` names a claim or a test, that the named tests exist, and that secrets are
//! compared by one function. `tests/supply/claims.test.mjs` checks that each claim has a test.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]

use std::fs;
use std::path::Path;

/// Returns the text of `docs/conformance.md`.
fn conformance() -> String {
    fs::read_to_string(at("docs/conformance.md")).unwrap()
}

/// Returns the place of a file of the repository.
fn at(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Returns the tests that a document names, each as a file and a name: `` `tests/egress.rs: urls, methods` `` names two
/// tests. A name in JavaScript may contain a comma.
fn named(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|quoted| quoted.split_once(": "))
        .filter(|(file, _)| file.ends_with(".rs") || file.ends_with(".mjs"))
        .flat_map(|(file, names)| {
            let separator = if file.ends_with(".rs") { ", " } else { "\n" };
            names.split(separator).map(move |name| (file, name))
        })
        .collect()
}

/// Returns true if a file contains a test of exactly this name. In JavaScript the name may also be that of a case in a
/// table, or of a feature that is tested in each engine. Of a computed name, it is all words before the first `${`.
fn has_test(file: &str, source: &str, name: &str) -> bool {
    if file.ends_with(".mjs") {
        let is_whole = |after: &str, quote: char| {
            let separator: fn(char) -> bool = |c| !c.is_alphanumeric() && c != '$';
            after.starts_with(quote) || after.trim_start_matches(separator).starts_with("${")
        };
        let starts = ['\'', '`', '"'].map(|quote| (quote, format!("{quote}{name}")));
        let mut lines = source.lines();
        return lines.any(|line| {
            let is_test = line.contains("test(")
                || line.contains("test.skip(")
                || file.starts_with("tests/engines/") && line.trim_start().starts_with("name: ");
            let line = line.trim_start();
            starts.iter().any(|(quote, start)| {
                let mut found = line.match_indices(start.as_str());
                (is_test || line.starts_with(start))
                    && found.any(|(at, _)| is_whole(&line[at + start.len()..], *quote))
            })
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
    // A macro generates the tests of hostile input from lines like this.
    let is_made = lines
        .iter()
        .any(|line| line.trim_start().starts_with(&format!("{name}: MUTATIONS")));
    is_written || is_made
}

/// Returns the named tests that do not exist.
fn missing(document: &str) -> Vec<(&str, &str)> {
    let named = named(document).into_iter();
    let is_missing = |(file, name): &(&str, &str)| {
        let source = fs::read_to_string(at(file));
        !source.is_ok_and(|source| has_test(file, &source, name))
    };
    named.filter(is_missing).collect()
}

/// Returns all Rust sources below a folder, with their paths.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources.extend(self::sources(&path));
        } else {
            let text = fs::read_to_string(&path).unwrap();
            sources.push((path.display().to_string(), text));
        }
    }
    sources
}

/// Returns the statements that compare a secret without [`rules::Secret::matches`].
fn loose_comparisons(source: &str) -> Vec<String> {
    let (code, _) = source
        .split_once("#[cfg(test)]\nmod tests {")
        .unwrap_or((source, ""));
    let lines = code.lines().map(str::trim);
    let code: Vec<&str> = lines.filter(|line| !line.starts_with("//")).collect();
    // A statement may span several lines.
    let code = code.join(" ").replace(" .", ".");
    let compares = |statement: &&str| {
        let sides = ["== ", "!= "].map(|sign| statement.split(sign).collect::<Vec<_>>());
        sides.iter().any(|sides| {
            sides.windows(2).any(|pair| {
                let (left, right) = (pair[0].trim_end(), pair[1]);
                let term = right.split([' ', ',', ';', '{', '}']).next().unwrap();
                left.ends_with(".expose()") || term.contains(".expose()")
            })
        }) || [".eq(", ".ne(", ".starts_with(", ".ends_with(", ".cmp("]
            .iter()
            .any(|how| statement.contains(&[".expose()", how].concat()))
    };
    let statements = code.split([';', '{', '}']);
    statements
        .filter(compares)
        .map(|statement| statement.trim().to_owned())
        .collect()
}

/// Returns true if the last cell of a row begins with the identifier of a claim, such as `site-2`.
fn names_claim(row: &str) -> bool {
    let cell = row.rsplit(" | ").next().unwrap();
    let identifier = cell.split([',', ' ']).next().unwrap();
    identifier
        .split_once('-')
        .is_some_and(|(attacker, number)| {
            attacker.chars().all(|c| c.is_ascii_lowercase()) && number.parse::<u32>().is_ok()
        })
}

fn is_carried(claim: &str) -> bool {
    let says_so = ["Not covered", "not covered", "see there"];
    !named(claim).is_empty() || says_so.iter().any(|words| claim.contains(words))
}

#[test]
fn every_conformance_row_has_claim_test_or_reason() {
    let document = conformance();
    assert_eq!(missing(&document), []);
    let lines = document.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<_> = lines
        .filter(|row| !row.starts_with("| section |"))
        .collect();
    let is_bare = |row: &&&str| !is_carried(row) && !names_claim(row);
    let bare: Vec<_> = rows.iter().filter(is_bare).collect();
    assert_eq!(bare, [&""; 0]);
    assert!(rows.len() > 80, "{}", rows.len());
}

// claim: script-14
#[test]
fn secrets_are_compared_by_one_function() {
    let sources = sources(&at("src"));
    assert!(sources.iter().any(|(_, code)| code.contains(".matches(")));
    let found: Vec<_> = sources
        .iter()
        .flat_map(|(file, code)| {
            let found = loose_comparisons(code).into_iter();
            found.map(move |statement| (file.as_str(), statement))
        })
        .collect();
    assert_eq!(found, []);
}

#[test]
fn control_missing_tests_are_detected() {
    let rust = "#[test]\nfn there() {}\n\nfn helper() {}\n    jwt: MUTATIONS,\n";
    assert!(has_test("a.rs", rust, "there"));
    assert!(has_test("a.rs", rust, "jwt"));
    for name in ["ther", "there_not", "helper", "jwk"] {
        assert!(!has_test("a.rs", rust, name), "{name}");
    }
    let script = "test('one thing', () => {\n  // 'another thing'\n  test(`refused: ${name}`, f)\n  'a case': {\n";
    for name in ["one thing", "refused:", "refused", "a case"] {
        assert!(has_test("a.mjs", script, name), "{name}");
    }
    for name in ["another thing", "thing", "no case", "one", "refuse", "a"] {
        assert!(!has_test("a.mjs", script, name), "{name}");
    }
    assert_eq!(
        named("x `a.rs: b, c` and `c.mjs: d: e, f`, `f: g`"),
        [("a.rs", "b"), ("a.rs", "c"), ("c.mjs", "d: e, f")]
    );
    assert!(!is_carried("It is safe."));
    assert!(!is_carried("It is safe, says `SECURITY.md: safe`."));
    assert!(is_carried("It is safe. `tests/a.rs: b`"));
    assert!(names_claim("1 | safe | site-2, site-7 |"));
    assert!(!names_claim("1 | safe | site |"));
    for loose in [
        "if a.expose() == b.expose() { c() }",
        "let x = known != token\n    .expose();",
        "a.expose()\n    .starts_with(b)",
        "b == a.expose().trim()",
    ] {
        assert_eq!(loose_comparisons(loose).len(), 1, "{loose}");
    }
    for fine in [
        "if a.matches(b.expose()) {}",
        "// a.expose() == b",
        "a == b",
    ] {
        assert_eq!(loose_comparisons(fine), [""; 0], "{fine}");
    }
}
