//! Shortens the names by which a wasm module and its glue refer to imports and exports. wasm-bindgen's names are made
//! to be read, and contain 16 hexadecimal digits, which do not compress. Names of one or two letters save 0.6 KB after
//! compression with brotli.
//!
//! The letters follow the order of the names that they replace, because the original order of a module's imports and
//! exports depends on the module's code.

use std::collections::BTreeMap;
use wasm_bindgen_cli_support::Output;

/// Short names by the names that they replace. pkg/shorten-glue.mjs applies them to the glue.
pub(crate) type Names = BTreeMap<String, String>;

/// Exports that only wasm-bindgen's support for catching panics needs.
const UNUSED: [&str; 2] = ["__abort_handler", "__instance_terminated"];

/// Gives the module's imports and exports short names, and sorts them by their former names. Exports that the crate itself
/// names keep their names.
pub(crate) fn shorten(output: &mut Output) -> Names {
    let mut names = Names::new();
    let module = output.wasm_mut();
    let mut imports: Vec<_> = module.imports.iter().cloned().collect();
    imports.sort_by(|a, b| a.name.cmp(&b.name));
    for (i, import) in imports.into_iter().enumerate() {
        let to = short(i);
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
            let to = short(count);
            module.exports.add(&to, export.item);
            names.insert(export.name, to);
            count += 1;
        }
    }
    names
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
}
