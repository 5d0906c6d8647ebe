//! Adds all mutants of a file to its source, with a switch between them.
//!
//! At its start, each function with mutants asks for the chosen mutant. If the chosen mutant changes this function, a
//! changed copy of the function's body runs instead of the original body.

use super::list::Mutant;
use crate::simulation::rules_in;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A file with mutants.
pub(crate) struct Spliced {
    pub(crate) text: String,
    /// The lines of the body's copy for each mutant, counted from 1, by the number of the mutant.
    pub(crate) lines: BTreeMap<usize, Range<usize>>,
}

/// Adds `mutants`, with their numbers, to `source`. The `const` functions that `constant` names stay unchanged, because
/// the compiler evaluates them.
pub(crate) fn splice(
    source: &str,
    mutants: &[(usize, &Mutant)],
    constant: &BTreeSet<String>,
) -> Result<Spliced> {
    let mut functions: BTreeMap<(usize, usize), Vec<(usize, &Mutant)>> = BTreeMap::new();
    for (number, mutant) in mutants {
        let of = functions.entry(mutant.function).or_default();
        of.push((*number, *mutant));
    }
    let mut text = String::new();
    let mut lines = BTreeMap::new();
    let mut copied = 0;
    for (function, mutants) in functions {
        let head = Head::of(source, function)
            .with_context(|| format!("a function of {}", mutants[0].1.file))?;
        if !head.constant.is_empty() && constant.contains(&source[head.name.clone()]) {
            continue;
        }
        let body = head.body..function.1 - 1;
        text.push_str(&source[copied..head.constant.start]);
        text.push_str(&source[head.constant.end..body.start]);
        copied = body.start;
        let group = mutants[0].1.group;
        let rules = rules_in(&mutants[0].1.file);
        text.push_str(&format!("\nmatch {rules}::mutant::chosen({group}) {{\n"));
        for (number, mutant) in mutants {
            let first = text.matches('\n').count() + 1;
            let (start, end) = mutant.range;
            text.push_str(&format!(
                "{number} => return {{ {}{}{} }},\n",
                &source[body.start..start],
                mutant.replacement,
                &source[end..body.end]
            ));
            lines.insert(number, first..text.matches('\n').count() + 1);
        }
        text.push_str("_ => {}\n}\n");
    }
    text.push_str(&source[copied..]);
    Ok(Spliced { text, lines })
}

/// Returns the source with only this mutant.
pub(crate) fn replaced(source: &str, mutant: &Mutant) -> String {
    let (start, end) = mutant.range;
    format!(
        "{}{}{}",
        &source[..start],
        mutant.replacement,
        &source[end..]
    )
}

/// Positions of a function's parts.
struct Head {
    /// The word `const` before `fn`, if present.
    constant: Range<usize>,
    name: Range<usize>,
    /// The byte after the body's opening brace.
    body: usize,
}

impl Head {
    fn of(source: &str, (start, end): (usize, usize)) -> Option<Self> {
        let mut scan = Scanner {
            source,
            at: start,
            end,
        };
        let mut constant = None;
        loop {
            match scan.next()? {
                Token::Word(range) if &source[range.clone()] == "const" => {
                    constant = Some(range.start..range.end + 1);
                }
                Token::Word(range) if &source[range.clone()] == "fn" => break,
                _ => {}
            }
        }
        let Token::Word(name) = scan.next()? else {
            return None;
        };
        let mut depth = 0_u32;
        loop {
            match scan.next()? {
                Token::Other(_, b'(' | b'[') => depth += 1,
                Token::Other(_, b')' | b']') => depth -= 1,
                Token::Other(at, b'{') if depth == 0 => {
                    let constant = constant.unwrap_or(name.start..name.start);
                    return Some(Self {
                        constant,
                        name,
                        body: at + 1,
                    });
                }
                _ => {}
            }
        }
    }
}

enum Token {
    Word(Range<usize>),
    Other(usize, u8),
}

/// Reads the code before a function's body: words, brackets, attributes and comments.
struct Scanner<'a> {
    source: &'a str,
    at: usize,
    end: usize,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<Token> {
        let bytes = &self.source.as_bytes()[..self.end];
        loop {
            let byte = *bytes.get(self.at)?;
            if bytes[self.at..].starts_with(b"//") {
                self.at += self.source[self.at..].find('\n')?;
            } else if byte == b'#' {
                self.skip_attribute(bytes)?;
            } else if byte.is_ascii_alphanumeric() || byte == b'_' {
                let start = self.at;
                let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
                self.at += bytes[start..].iter().take_while(|b| is_word(b)).count();
                return Some(Token::Word(start..self.at));
            } else if byte.is_ascii_whitespace() || !byte.is_ascii() {
                self.at += 1;
            } else {
                self.at += 1;
                return Some(Token::Other(self.at - 1, byte));
            }
        }
    }

    fn skip_attribute(&mut self, bytes: &[u8]) -> Option<()> {
        let mut depth = 0_u32;
        let mut in_text = false;
        loop {
            match bytes.get(self.at)? {
                b'"' => in_text = !in_text,
                b'[' if !in_text => depth += 1,
                b']' if !in_text => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return Some(());
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn mutant(source: &str, find: &str, replacement: &str) -> Mutant {
        let start = source.find(find).unwrap();
        Mutant {
            file: "src/a.rs".to_owned(),
            name: String::new(),
            at: (1, 1),
            line: String::new(),
            range: (start, start + find.len()),
            replacement: replacement.to_owned(),
            function: (0, source.len()),
            group: 4,
            replaces_body: false,
            is_opaque: false,
        }
    }

    #[test]
    fn each_mutant_gets_a_body_copy() {
        let source = "/// A `{` in a comment.\n#[must_use = \"]{\"]\npub const fn f(a: [u8; 2]) -> bool {\n    a == b\n}";
        let (one, other) = (mutant(source, "==", "!="), mutant(source, "a == b", "true"));
        let spliced = splice(source, &[(4, &one), (5, &other)], &BTreeSet::new()).unwrap();
        let expected = "/// A `{` in a comment.\n#[must_use = \"]{\"]\npub fn f(a: [u8; 2]) -> bool {\n\
            match rules::mutant::chosen(4) {\n\
            4 => return { \n    a != b\n },\n\
            5 => return { \n    true\n },\n\
            _ => {}\n}\n\n    a == b\n}";
        assert_eq!(spliced.text, expected);
        assert_eq!(spliced.lines[&4], 5..8);
        assert_eq!(spliced.lines[&5], 8..11);
    }

    #[test]
    fn functions_the_compiler_calls_stay_unchanged() {
        let source = "const fn f() -> bool { a == b }";
        let one = mutant(source, "==", "!=");
        let constant = BTreeSet::from(["f".to_owned()]);
        assert_eq!(
            splice(source, &[(1, &one)], &constant).unwrap().text,
            source
        );
        assert_eq!(replaced(source, &one), "const fn f() -> bool { a != b }");
    }
}
