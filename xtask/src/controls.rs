//! Breaks the rules that comments mark in a source file. The built program chooses the broken rule when it runs, so one
//! build contains all broken rules.
//!
//! Marked code is found in the syntax tree, so line breaks and names in the marked code may change.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The start of a marker. The name of the rule follows on the same line.
const MARKER: &str = "// control: ";

/// A change to the statement, match arm or struct member below a marker.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Break {
    /// The condition of the marked `if` becomes true.
    Always,
    /// The condition of the marked `if` becomes false.
    Never,
    /// This expression replaces the condition of the marked `if`, or the value of the marked `match`.
    Condition(&'static str),
    /// The statement does not run.
    Skip,
    /// This code replaces the value of a `let`, the body of an arm, the value of a member, or any other statement as a
    /// whole.
    Instead(&'static str),
    /// This code runs before the statement.
    Before(&'static str),
    /// This code runs after the statement.
    After(&'static str),
}

/// Byte ranges of marked code.
#[derive(Clone, Debug)]
struct Marked {
    /// A whole statement, the body of an arm, or the value of a member.
    whole: Range<usize>,
    /// The value of a `let`; otherwise the same as `whole`.
    value: Range<usize>,
    /// The condition of an `if`, or the value of a `match`.
    condition: Option<Range<usize>>,
    /// True if the condition is a chain of `&&`, or a `let`.
    is_chain: bool,
}

/// Returns the names in the markers of a file.
pub(crate) fn names(text: &str) -> impl Iterator<Item = &str> {
    markers(text).map(|(_, name)| name)
}

/// Returns the line number of each marker, counted from 1, with its name.
fn markers(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines.filter_map(|(i, line)| Some((i + 1, line.trim_start().strip_prefix(MARKER)?)))
}

/// Returns `text` with a switch at each marker. For the name of a rule, `switch` returns the condition under which the
/// rule is broken, and `breaks` returns the change that breaks the rule.
pub(crate) fn broken(
    text: &str,
    switch: impl Fn(&str) -> String,
    breaks: impl Fn(&str) -> Option<Break>,
) -> Result<String> {
    let mut finder = Finder {
        marked: markers(text)
            .map(|(line, _)| (below(text, line), None))
            .collect(),
    };
    if finder.marked.is_empty() {
        return Ok(text.to_owned());
    }
    finder.visit_file(&syn::parse_file(text)?);
    let mut insertions = Vec::new();
    for (line, name) in markers(text) {
        let found = finder.marked[&below(text, line)].as_ref();
        let found = found.with_context(|| format!("nothing to break at '{name}', line {line}"))?;
        let rule = breaks(name).with_context(|| format!("no broken variant for '{name}'"))?;
        let (place, before, after) = change(rule, found, &switch(name))
            .with_context(|| format!("no condition at '{name}', line {line}"))?;
        // At the same position, the end of a change comes before the start of another change, and the end of an inner
        // change comes before the end of an outer change.
        insertions.push(((place.end, 0, usize::MAX - place.start), after));
        insertions.push(((place.start, 1, place.start), before));
    }
    insertions.sort();
    let mut result = text.to_owned();
    for ((at, ..), insertion) in insertions.iter().rev() {
        result.insert_str(*at, insertion);
    }
    Ok(result)
}

/// Checks that each name has exactly one marker, and that each marker has a name in `names`.
pub(crate) fn check<'a>(
    markers: impl Iterator<Item = &'a str>,
    names: impl Iterator<Item = &'a str>,
) -> Result<()> {
    let mut count: BTreeMap<&str, i32> = names.map(|name| (name, 0)).collect();
    for marker in markers {
        match count.get_mut(marker) {
            Some(count) => *count += 1,
            None => bail!("xtask/src/variants.rs has no change for '{marker}', which src marks"),
        }
    }
    match count.iter().find(|(_, count)| **count != 1) {
        Some((name, count)) => bail!("src has {count} comments '{MARKER}{name}', not one"),
        None => Ok(()),
    }
}

/// Returns the number of the first line of code below a comment line.
fn below(text: &str, line: usize) -> usize {
    let rest = text.lines().skip(line);
    line + 1
        + rest
            .take_while(|line| line.trim_start().starts_with("//"))
            .count()
}

/// Returns the place of a change, and the code to insert before and after this place. Returns `None` if the change
/// needs a condition and the marked code has none.
fn change(rule: Break, found: &Marked, is_on: &str) -> Option<(Range<usize>, String, String)> {
    let (whole, value) = (|| found.whole.clone(), || found.value.clone());
    Some(match rule {
        Break::Always => (
            found.condition.clone()?,
            format!("{is_on} || ("),
            ")".into(),
        ),
        // `let` cannot be in parentheses, so the chain is not enclosed in them.
        Break::Never if found.is_chain => (
            found.condition.clone()?,
            format!("!{is_on} && "),
            String::new(),
        ),
        Break::Never => (
            found.condition.clone()?,
            format!("!{is_on} && ("),
            ")".into(),
        ),
        Break::Condition(code) => {
            let before = format!("(if {is_on} {{ {code} }} else {{ ");
            (found.condition.clone()?, before, " })".into())
        }
        Break::Skip => (whole(), format!("if !{is_on} {{ "), " }".into()),
        // Rust does not allow the value of a `let` with an `else` to end in a brace, so the value is in parentheses.
        Break::Instead(code) if found.value != found.whole => {
            let before = format!("(if {is_on} {{ {code} }} else {{ ");
            (value(), before, " })".into())
        }
        Break::Instead(code) => {
            let before = format!("if {is_on} {{ {code} }} else {{ ");
            (value(), before, " }".into())
        }
        Break::Before(code) => (whole(), format!("if {is_on} {{ {code} }} "), String::new()),
        Break::After(code) => {
            let after = format!("; if {is_on} {{ {code} }} }}");
            (whole(), "{ ".into(), after)
        }
    })
}

/// Finds the syntax nodes that begin on the marked lines. If several nodes begin on a line, the outermost one counts,
/// because it is visited first.
struct Finder {
    marked: BTreeMap<usize, Option<Marked>>,
}

impl Finder {
    fn meet(&mut self, node: &impl Spanned, whole: Range<usize>, expression: &syn::Expr) {
        let line = node.span().start().line;
        if let Some(marked @ None) = self.marked.get_mut(&line) {
            let value = expression.span().byte_range();
            let condition = match expression {
                syn::Expr::If(found) => Some(found.cond.span().byte_range()),
                syn::Expr::Match(found) => Some(found.expr.span().byte_range()),
                _ => None,
            };
            *marked = Some(Marked {
                whole,
                value,
                condition,
                is_chain: matches!(expression, syn::Expr::If(found) if is_chain(&found.cond)),
            });
        }
    }
}

fn is_chain(condition: &syn::Expr) -> bool {
    match condition {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(both) => matches!(both.op, syn::BinOp::And(_)),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_stmt(&mut self, node: &'ast syn::Stmt) {
        let whole = node.span().byte_range();
        match node {
            syn::Stmt::Local(local) => {
                if let Some(init) = &local.init {
                    self.meet(node, whole, &init.expr);
                }
            }
            syn::Stmt::Expr(expression, _) => {
                self.meet(node, whole.clone(), expression);
                // For a statement without `let`, the value is the whole statement with its semicolon.
                let line = node.span().start().line;
                if let Some(Some(marked)) = self.marked.get_mut(&line)
                    && marked.whole == whole
                {
                    marked.value = whole;
                }
            }
            _ => {}
        }
        visit::visit_stmt(self, node);
    }

    fn visit_arm(&mut self, node: &'ast syn::Arm) {
        self.meet(node, node.body.span().byte_range(), &node.body);
        visit::visit_arm(self, node);
    }

    fn visit_field_value(&mut self, node: &'ast syn::FieldValue) {
        self.meet(node, node.expr.span().byte_range(), &node.expr);
        visit::visit_field_value(self, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaking(text: &str, rule: Break) -> String {
        let text = format!("fn f() {{\n// control: it\n{text}\n}}\n");
        let broken = broken(&text, |_| "ON".to_owned(), |_| Some(rule)).unwrap();
        syn::parse_file(&broken).unwrap();
        let (_, code) = broken.split_once("it\n").unwrap();
        code.strip_suffix("\n}\n").unwrap().to_owned()
    }

    #[test]
    fn conditions_become_true_or_false() {
        let code = "if a || b { c() }";
        assert_eq!(breaking(code, Break::Always), "if ON || (a || b) { c() }");
        assert_eq!(
            breaking("if a && let Some(b) = c {}", Break::Never),
            "if !ON && a && let Some(b) = c {}"
        );
        assert_eq!(
            breaking("if a || b {}", Break::Never),
            "if !ON && (a || b) {}"
        );
        assert_eq!(
            breaking("match a { _ => {} }", Break::Condition("b")),
            "match (if ON { b } else { a }) { _ => {} }"
        );
    }

    #[test]
    fn statements_are_skipped_and_replaced() {
        assert_eq!(breaking("a();", Break::Skip), "if !ON { a(); }");
        assert_eq!(
            breaking("let a = b\n.c();", Break::Instead("d")),
            "let a = (if ON { d } else { b\n.c() });"
        );
        assert_eq!(
            breaking("return a;", Break::Instead("b")),
            "if ON { b } else { return a; }"
        );
        assert_eq!(breaking("a();", Break::After("b")), "{ a();; if ON { b } }");
        assert_eq!(breaking("a();", Break::Before("b")), "if ON { b } a();");
    }

    #[test]
    fn arms_and_members_keep_their_names() {
        let text = "fn f() {\nmatch a {\n// control: it\nB => c,\n_ => d,\n}\n}";
        let broken = |text| broken(text, |_| "ON".to_owned(), |_| Some(Break::Instead("x")));
        assert!(
            broken(text)
                .unwrap()
                .contains("B => if ON { x } else { c },")
        );
        let text = "fn f() {\nA {\n// control: it\nb: c,\n}\n}";
        assert!(broken(text).unwrap().contains("b: if ON { x } else { c },"));
    }

    #[test]
    fn markers_and_variants_match() {
        let check = |markers: &[&'static str], names: &[&'static str]| {
            check(markers.iter().copied(), names.iter().copied())
        };
        assert!(check(&["a", "b"], &["b", "a"]).is_ok());
        assert!(check(&["a"], &["b", "a"]).is_err());
        assert!(check(&["a", "b"], &["a"]).is_err());
        assert!(check(&["a", "a"], &["a"]).is_err());
    }
}
