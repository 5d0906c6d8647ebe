//! Constants that Rust and TypeScript share. Rust defines them, and `cargo xtask build` writes `pkg/glue/constants.js`
//! with their values.

use crate::paths::at;
use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::fs;
use syn::{BinOp, Expr, Item, Lit};

/// The names of the constants in each file of `src`.
const SHARED: [(&str, &[&str]); 9] = [
    ("src/base/http.rs", &["MAX_BODY"]),
    (
        "src/bindings/edge.rs",
        &[
            "OPENED",
            "SEALED",
            "SIGNED",
            "NOT_OPENED",
            "ENTRIES",
            "SWAPPED",
            "WAITED",
            "SENT",
            "VERIFIED",
            "BODY",
            "HEAD",
            "KEY",
            "PENDING",
        ],
    ),
    ("src/browser/api_call.rs", &["BATCH"]),
    ("src/browser/escrow.rs", &["MARK"]),
    ("src/browser/sealing.rs", &["KEY_LEN"]),
    (
        "src/config/extended.rs",
        &["EXTENDED_OPTIONS", "EXTENDED_RULE_OPTIONS"],
    ),
    ("src/edge/io.rs", &["BEAT"]),
    ("src/vault.rs", &["MAX_PORTS"]),
    ("src/vault/message.rs", &["PROTOCOL"]),
];

/// Writes the constants and their types.
pub(crate) fn write() -> Result<()> {
    let mut script = String::new();
    let mut types = String::new();
    for (file, names) in SHARED {
        let source = fs::read_to_string(at(file)).with_context(|| file)?;
        for name in names {
            let value = value_in(&source, name).with_context(|| format!("{name} in {file}"))?;
            writeln!(
                script,
                "/** Defined in {file}. */\nexport const {name} = {value}"
            )?;
            writeln!(
                types,
                "/** Defined in {file}. */\nexport declare const {name} = {value}"
            )?;
        }
    }
    fs::create_dir_all(at("pkg/glue"))?;
    for (file, content) in [("constants.js", script), ("constants.d.ts", types)] {
        let file = at("pkg/glue").join(file);
        // An unchanged file keeps its date.
        if fs::read_to_string(&file).ok().as_ref() != Some(&content) {
            fs::write(file, content)?;
        }
    }
    Ok(())
}

/// The value of a constant as a literal of JavaScript. A duration is in milliseconds.
fn value_in(source: &str, name: &str) -> Result<String> {
    let items = syn::parse_file(source)?.items;
    let mut constants = items.into_iter().filter_map(|item| match item {
        Item::Const(constant) => Some(constant),
        _ => None,
    });
    let constant = constants.find(|constant| constant.ident == name);
    let expression = *constant.context("there is no such constant")?.expr;
    if let Expr::Lit(literal) = &expression
        && let Lit::Str(text) = &literal.lit
    {
        return Ok(serde_json::to_string(&text.value())?);
    }
    Ok(number(&expression)?.to_string())
}

fn number(expression: &Expr) -> Result<u64> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => Ok(number.base10_parse()?),
            _ => bail!("neither a number nor a string"),
        },
        Expr::Binary(product) if matches!(product.op, BinOp::Mul(_)) => {
            Ok(number(&product.left)? * number(&product.right)?)
        }
        Expr::Call(call) => {
            let Expr::Path(path) = &*call.func else {
                bail!("a call that this program does not know");
            };
            let function = path.path.segments.last().map(|last| last.ident.to_string());
            let argument = call.args.first().context("a call without arguments")?;
            match function.as_deref() {
                Some("from_secs") => Ok(number(argument)? * 1000),
                Some("Millis") => number(argument),
                _ => bail!("a call that this program does not know"),
            }
        }
        _ => bail!("an expression that this program does not know"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_literals_of_javascript() {
        let source = r#"
            pub const A: usize = 2 * 1024;
            const B: &str = "a \
                b";
            const C: Millis = Millis::from_secs(2);
            const D: Millis = later();
        "#;
        let value = |name| value_in(source, name).ok();
        assert_eq!(value("A").as_deref(), Some("2048"));
        assert_eq!(value("B").as_deref(), Some("\"a b\""));
        assert_eq!(value("C").as_deref(), Some("2000"));
        assert_eq!(value("D"), None);
        assert_eq!(value("E"), None);
    }
}
