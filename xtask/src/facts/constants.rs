//! The values of constants, for `pkg/glue/constants.js`.

use crate::paths::{at, write_if_changed};
use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::fs;
use syn::{BinOp, Expr, ForeignItem, Ident, Item, Lit};

/// The names of the constants in each file of `src`.
pub(crate) const SHARED: [(&str, &[&str]); 27] = [
    ("src/rules/base/http.rs", &["MAX_BODY"]),
    (
        "src/edge/module/lib.rs",
        &[
            "REQUEST_PARTS",
            "REQUEST_HEADERS",
            "FAILED",
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
            "NOTICED",
            "APPENDED",
            "CONNECTED",
        ],
    ),
    ("src/browser/api_call.rs", &["BATCH"]),
    ("src/browser/api_socket.rs", &["REFLECTED"]),
    ("src/browser/escrow.rs", &["ESCROW_HEADER", "ESCROW_SUFFIX"]),
    ("src/browser/database.rs", &["KEYS", "LOGINS"]),
    ("src/browser/platform.rs", &["SAVED_FETCH"]),
    ("src/browser/sealing.rs", &["KEY_LEN"]),
    ("src/rules/config.rs", &["MAX_CONFIG"]),
    (
        "src/rules/config/flow.rs",
        &["DEFAULT_TOLERANCE", "MOST_TOLERANCE"],
    ),
    ("src/edge/config.rs", &["DEFAULT_BASE", "DEFAULT_SCOPE"]),
    ("src/edge/csrf.rs", &["DESTINATION_TYPES"]),
    (
        "src/edge/marker.rs",
        &["BACKGROUND", "HANDLER_HEADER", "USER"],
    ),
    (
        "src/edge/endpoints/back_channel_logout.rs",
        &["MAX_LOGOUT_BODY"],
    ),
    ("src/edge/io.rs", &["BEAT", "NONCE_LEN"]),
    ("src/edge/proxy/headers.rs", &["FOR_CACHES"]),
    ("src/edge/request.rs", &["QUICK"]),
    ("src/edge/router.rs", &["FOR_WINDOWS"]),
    ("src/edge/session/cookies.rs", &["MOST_PIECES", "PIECE"]),
    ("src/edge/store/coordinator.rs", &["COORDINATOR_TIME"]),
    ("src/edge/store/record_store.rs", &["LONGEST_VALUE"]),
    ("src/rules/egress/body_delivery.rs", &["PAUSE_MS"]),
    (
        "src/rules/login/authorization_request.rs",
        &["MAX_RETURN_TO", "POPUP_MARK"],
    ),
    ("src/rules/session.rs", &["REPORT_INTERVAL"]),
    ("src/vault/lib.rs", &["MAX_PORTS"]),
    ("src/vault/api_sockets.rs", &["UNAUTHORIZED"]),
    ("src/vault/message.rs", &["PROTOCOL"]),
];

/// Writes the constants and their types.
pub(super) fn write() -> Result<()> {
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
    write_if_changed(&at("pkg/glue/constants.js"), &script)?;
    write_if_changed(&at("pkg/glue/constants.d.ts"), &types)
}

/// Returns the value of a constant as a JavaScript literal. A duration is in milliseconds. If there is no constant with
/// this name, looks for an imported function whose name is `name` in lower case, and returns its JavaScript name.
fn value_in(source: &str, name: &str) -> Result<String> {
    let items = syn::parse_file(source)?.items;
    let constant = items.iter().find_map(|item| match item {
        Item::Const(constant) if constant.ident == name => Some(&*constant.expr),
        _ => None,
    });
    match constant {
        Some(Expr::Lit(literal)) => match &literal.lit {
            Lit::Str(text) => Ok(serde_json::to_string(&text.value())?),
            Lit::Float(number) => Ok(number.base10_digits().to_owned()),
            _ => Ok(number(&Expr::Lit(literal.clone()))?.to_string()),
        },
        Some(expression) => Ok(number(expression)?.to_string()),
        None => {
            let name = js_name(&items, &name.to_lowercase())?;
            Ok(serde_json::to_string(&name)?)
        }
    }
}

/// Returns the JavaScript name (`js_name`) of an imported function.
fn js_name(items: &[Item], name: &str) -> Result<String> {
    let imported = items.iter().flat_map(|item| match item {
        Item::ForeignMod(block) => block.items.as_slice(),
        _ => &[],
    });
    let mut functions = imported.filter_map(|item| match item {
        ForeignItem::Fn(function) => Some(function),
        _ => None,
    });
    let function = functions
        .find(|function| function.sig.ident == name)
        .context("there is no such constant or imported function")?;
    let mut found = None;
    for attribute in &function.attrs {
        if !attribute.path().is_ident("wasm_bindgen") {
            continue;
        }
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("js_name") {
                found = Some(meta.value()?.parse::<Ident>()?.to_string());
            }
            Ok(())
        })?;
    }
    found.context("the imported function has no js_name")
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
            const F: f64 = 1e12;
            extern "C" {
                #[wasm_bindgen(method, catch, js_name = strongroom)]
                fn saved_fetch(this: &WorkerScope);
            }
        "#;
        let value = |name| value_in(source, name).ok();
        assert_eq!(value("A").as_deref(), Some("2048"));
        assert_eq!(value("B").as_deref(), Some("\"a b\""));
        assert_eq!(value("C").as_deref(), Some("2000"));
        assert_eq!(value("D"), None);
        assert_eq!(value("E"), None);
        assert_eq!(value("F").as_deref(), Some("1e12"));
        assert_eq!(value("SAVED_FETCH").as_deref(), Some("\"strongroom\""));
    }
}
