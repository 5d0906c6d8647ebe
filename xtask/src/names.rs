//! Module and glue agree on names that only they see. wasm-bindgen's are made to be read, and tell
//! imports apart by 16 hexadecimal digits that do not compress; letters in their place save 0.6 KB of
//! brotli.
//!
//! The letters follow the order of the names that they replace. The order in which a module has its imports and exports
//! depends on its code. Imports whose glue is the same, such as two setters of one name, share a letter. A module that is loaded by the glue of another takes the letters of that one.

use anyhow::{Context, Result, bail};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use wasm_bindgen_cli_support::Output;

/// What TypeScript asks the module for by its name.
const KEPT: [&str; 1] = ["memory"];

/// What wasm-bindgen's own support for catching panics exports, and a glue without it never asks for.
const DROPPED: &[&str] = &["__abort_handler", "__instance_terminated"];

/// What a glue that was reduced never asks for either.
const DROPPED_IF_REDUCED: &[&str] = &["__wbindgen_free", "__wbindgen_realloc"];

/// What the glue has to call otherwise: from and to.
#[derive(Default)]
pub(crate) struct Names {
    modules: Vec<[String; 2]>,
    imports: Vec<[String; 2]>,
    exports: Vec<[String; 2]>,
}

/// Gives the module's imports and exports short names, and puts them in the order of these. `shared` has the names of the
/// module whose glue loads this one.
///
/// Fails if that glue lacks an import or export of this module.
pub(crate) fn shorten(
    output: &mut Output,
    is_reduced: bool,
    shared: Option<&Names>,
) -> Result<Names> {
    let mut names = Names::default();
    let bodies: HashMap<String, String> = entries(output.js())
        .map(|(name, entry)| (name.to_owned(), entry[name.len() + 8..].to_owned()))
        .collect();
    let mut letters: HashMap<String, String> = HashMap::new();
    let module = output.wasm_mut();
    let mut imports: Vec<_> = module.imports.iter().cloned().collect();
    imports.sort_by(|a, b| a.name.cmp(&b.name));
    for import in imports {
        if !names
            .modules
            .iter()
            .any(|[known, _]| *known == import.module)
        {
            names.modules.push([import.module.clone(), "_".into()]);
        }
        let to = match shared {
            Some(shared) => find(&shared.imports, &import.name)?,
            None => {
                let body = bodies.get(&import.name).unwrap_or(&import.name);
                let next = short(letters.len());
                letters.entry(body.clone()).or_insert(next).clone()
            }
        };
        module.imports.delete(import.id());
        let id = module.imports.add("_", &import.name, import.kind);
        if let Ok(function) = module.imports.get_func("_", &import.name) {
            let function = module.funcs.get_mut(function);
            function.kind.unwrap_import_mut().import = id;
        }
        module.imports.get_mut(id).name.clone_from(&to);
        names.imports.push([import.name, to]);
    }
    let mut exports: Vec<_> = module.exports.iter().cloned().collect();
    exports.sort_by(|a, b| a.name.cmp(&b.name));
    for export in exports {
        let is_in = |list: &[&str]| list.contains(&export.name.as_str());
        if is_in(&KEPT) {
            continue;
        }
        module.exports.delete(export.id());
        if is_in(DROPPED) || is_reduced && is_in(DROPPED_IF_REDUCED) {
            continue;
        }
        let to = match shared {
            Some(shared) => find(&shared.exports, &export.name)?,
            None => short(names.exports.len()),
        };
        module.exports.add(&to, export.item);
        names.exports.push([export.name, to]);
    }
    Ok(names)
}

/// The name that `from` has in the shared glue.
fn find(pairs: &[[String; 2]], from: &str) -> Result<String> {
    let pair = pairs.iter().find(|[name, _]| name == from);
    let [_, to] = pair.with_context(|| format!("the module that has the glue lacks {from}"))?;
    Ok(to.clone())
}

/// The `i`th of a, b, … z, ba, bb, …
fn short(i: usize) -> String {
    let letter = char::from(b'a' + (i % 26) as u8);
    match i / 26 {
        0 => letter.to_string(),
        more => short(more) + letter.encode_utf8(&mut [0]),
    }
}

impl Names {
    /// The names as JSON, for modules that share the glue.
    pub(crate) fn to_json(&self) -> String {
        json!([self.modules, self.imports, self.exports]).to_string()
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    pub(crate) fn from_json(json: &str) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_str(json)?;
        let pairs = |i: usize| {
            let pairs = value[i].as_array().into_iter().flatten();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            pairs.map(|pair| [text(&pair[0]), text(&pair[1])]).collect()
        };
        Ok(Self {
            modules: pairs(0),
            imports: pairs(1),
            exports: pairs(2),
        })
    }

    /// The glue with the module's new names: `"./module": …`, `import: function`, `wasm.export`.
    ///
    /// Fails where the glue is written otherwise than this program knows.
    pub(crate) fn apply(&self, glue: &str) -> Result<String> {
        let mut glue = glue.to_owned();
        let [_] = self.modules.as_slice() else {
            bail!(
                "the module imports from {:?}, not from one module",
                self.modules
            );
        };
        for [from, to] in &self.modules {
            replace_once(&mut glue, &format!("\"{from}\":"), &format!("\"{to}\":"))?;
        }
        let mut kept = HashSet::new();
        for [from, to] in &self.imports {
            if !kept.insert(to) {
                let entry = entries(&glue).find(|(name, _)| name == from);
                let (_, entry) = entry.with_context(|| format!("the glue lacks {from}"))?;
                glue = glue.replace(&entry.to_owned(), "");
                continue;
            }
            replace_once(&mut glue, &format!(" {from}: "), &format!(" {to}: "))?;
        }
        for [from, to] in &self.exports {
            glue = rename_member(&glue, &format!("wasm.{from}"), &format!("wasm.{to}"));
        }
        if glue.contains("wasm.__") {
            bail!("the glue asks the module for a name that it does not export");
        }
        Ok(glue)
    }
}

/// The imports of a glue: the name and the lines of each.
fn entries(glue: &str) -> impl Iterator<Item = (&str, &str)> {
    const INDENT: &str = "\n        ";
    let starts = glue.match_indices(INDENT).map(|(at, _)| at + 1);
    let names = starts.filter_map(|at| {
        let (name, _) = glue[at + INDENT.len() - 1..].split_once(": ")?;
        let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (is_name && !name.is_empty()).then_some((at, name))
    });
    names.filter_map(|(at, name)| {
        let length = glue[at..].find("\n        }")?;
        let end = at + length + 1 + glue[at + length + 1..].find('\n')? + 1;
        Some((name, &glue[at..end]))
    })
}

fn replace_once(text: &mut String, from: &str, to: &str) -> Result<()> {
    let count = text.matches(from).count();
    if count != 1 {
        bail!("{from:?} is in the glue {count} times instead of once");
    }
    *text = text.replace(from, to);
    Ok(())
}

/// Replaces `from` where it is not the beginning of a longer name.
fn rename_member(text: &str, from: &str, to: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(from) {
        let is_longer = after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        out.push_str(before);
        out.push_str(if is_longer { from } else { to });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_imports_share_one_entry() {
        let glue = "{\n        __a: function(x) {\n            x();\n        },\n        __b: function(x) {\n            x();\n        },\n    };\n\"m\": 1";
        let found: Vec<_> = entries(glue).collect();
        assert_eq!(found[0].0, "__a");
        assert_eq!(found[0].1[11..], found[1].1[11..]);
        let pair = |from: &str, to: &str| [from.to_owned(), to.to_owned()];
        let names = Names {
            modules: vec![pair("m", "_")],
            imports: vec![pair("__a", "a"), pair("__b", "a")],
            exports: Vec::new(),
        };
        let glue = names.apply(glue).unwrap();
        assert!(
            glue.contains(" a: function") && !glue.contains("__b"),
            "{glue}"
        );
    }

    #[test]
    fn names_are_letters_and_never_the_same() {
        let names: Vec<_> = (0..800).map(short).collect();
        assert_eq!(
            [&names[0], &names[25], &names[26], &names[27]],
            ["a", "z", "ba", "bb"]
        );
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn names_are_the_same_after_json() {
        let pair = |from: &str, to: &str| vec![[from.to_owned(), to.to_owned()]];
        let names = Names {
            modules: pair("./a", "_"),
            imports: pair("b", "a"),
            exports: pair("c", "d"),
        };
        let read = Names::from_json(&names.to_json()).unwrap();
        assert_eq!(read.to_json(), names.to_json());
        assert_eq!(find(&read.exports, "c").unwrap(), "d");
        assert!(find(&read.exports, "d").is_err());
    }

    #[test]
    fn a_longer_name_is_left_alone() {
        assert_eq!(
            rename_member("wasm.fr(wasm.free)", "wasm.fr", "wasm.a"),
            "wasm.a(wasm.free)"
        );
    }

    #[test]
    fn a_name_that_the_glue_has_not_is_an_error() {
        assert!(replace_once(&mut "a b".into(), "c", "d").is_err());
        assert!(replace_once(&mut "a a".into(), "a", "d").is_err());
    }
}
