//! Shortens the names by which a wasm module and its glue refer to imports and exports. wasm-bindgen's names are made
//! to be read, and contain 16 hexadecimal digits, which do not compress. Names of one or two letters save 0.6 KB after
//! compression with brotli.
//!
//! The letters follow the order of the names that they replace, because the original order of a module's imports and
//! exports depends on the module's code. A module that is loaded by the glue of another module uses that glue's
//! letters.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use wasm_bindgen_cli_support::Output;

/// Short names by the names that they replace. pkg/shorten-glue.mjs applies them to the glue.
pub(crate) type Names = BTreeMap<String, String>;

/// Exports that only wasm-bindgen's support for catching panics needs.
const UNUSED: [&str; 2] = ["__abort_handler", "__instance_terminated"];

/// Gives the module's imports and exports short names, and sorts them by their former names. If the glue of another
/// module loads this module, `shared` contains the short names of that glue. Exports that the crate itself names keep
/// their names.
///
/// Fails if `shared` lacks an import or export of this module.
pub(crate) fn shorten(output: &mut Output, shared: Option<&Names>) -> Result<Names> {
    let mut names = Names::new();
    let module = output.wasm_mut();
    let mut imports: Vec<_> = module.imports.iter().cloned().collect();
    imports.sort_by(|a, b| a.name.cmp(&b.name));
    for (i, import) in imports.into_iter().enumerate() {
        let to = new_name(shared, &import.name, i)?;
        module.imports.delete(import.id());
        let id = module.imports.add("_", &to, import.kind);
        if let Ok(function) = module.imports.get_func("_", &to) {
            let function = module.funcs.get_mut(function);
            function.kind.unwrap_import_mut().import = id;
        }
        names.insert(import.module, "_".to_owned());
        names.insert(import.name, to);
    }
    let mut exports: Vec<_> = module.exports.iter().cloned().collect();
    exports.sort_by(|a, b| a.name.cmp(&b.name));
    let mut count = 0;
    for export in exports {
        if UNUSED.contains(&export.name.as_str()) {
            module.exports.delete(export.id());
        } else if export.name.starts_with("__") {
            module.exports.delete(export.id());
            let to = new_name(shared, &export.name, count)?;
            module.exports.add(&to, export.item);
            names.insert(export.name, to);
            count += 1;
        }
    }
    Ok(names)
}

/// Returns the name that `from` has in the shared glue, or the `i`th name.
fn new_name(shared: Option<&Names>, from: &str, i: usize) -> Result<String> {
    let Some(shared) = shared else {
        return Ok(short(i));
    };
    let to = shared.get(from);
    to.cloned()
        .with_context(|| format!("the module that has the glue lacks {from}"))
}

/// Returns the `i`th of a, b, … z, ba, bb, …
fn short(i: usize) -> String {
    let letter = char::from(b'a' + (i % 26) as u8);
    match i / 26 {
        0 => letter.to_string(),
        more => short(more) + letter.encode_utf8(&mut [0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_letters() {
        let names: Vec<_> = (0..800).map(short).collect();
        assert_eq!(
            [&names[0], &names[25], &names[26], &names[27]],
            ["a", "z", "ba", "bb"]
        );
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn shared_names_are_found_or_missing() {
        let shared = Names::from([("c".to_owned(), "d".to_owned())]);
        assert_eq!(new_name(Some(&shared), "c", 0).unwrap(), "d");
        assert!(new_name(Some(&shared), "d", 0).is_err());
        assert_eq!(new_name(None, "d", 1).unwrap(), "b");
    }
}
