//! Removes the functions from a wasm module by which JavaScript would call closures of Rust.
//!
//! `js_sys` describes the types of closures to wasm-bindgen by the addresses of these functions, so each of them is in
//! the module's function table, although the core passes no closure to JavaScript. If the core did, wasm-bindgen would
//! also export the function, and the glue would call the export. The table is therefore needed only until wasm-bindgen
//! has run.

use walrus::{ElementItems, FunctionBuilder, Module};

/// A part of the names of these functions.
const INVOKE: &str = "wasm_bindgen::convert::closures::_::invoke";

/// Puts a function that traps in the place of each of these functions in the table. wasm-opt removes the functions that
/// nothing refers to any more.
pub(crate) fn remove(module: &mut Module) {
    let is_invoke = |name: Option<&str>| name.is_some_and(|name| name.contains(INVOKE));
    let unused: Vec<_> = module
        .funcs
        .iter()
        .filter(|function| is_invoke(function.name.as_deref()))
        .map(walrus::Function::id)
        .collect();
    let mut trap = FunctionBuilder::new(&mut module.types, &[], &[]);
    trap.func_body().unreachable();
    let trap = trap.finish(Vec::new(), &mut module.funcs);
    for element in module.elements.iter_mut() {
        if let ElementItems::Functions(items) = &mut element.items {
            for item in items.iter_mut().filter(|item| unused.contains(item)) {
                *item = trap;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use walrus::{ConstExpr, ElementKind, FunctionId, RefType, ir::Value};

    #[test]
    fn only_closures_leave_the_table() {
        let mut module = Module::default();
        let mut function = |name: &str| {
            let body = FunctionBuilder::new(&mut module.types, &[], &[]);
            let id = body.finish(Vec::new(), &mut module.funcs);
            module.funcs.get_mut(id).name = Some(name.to_owned());
            id
        };
        let closure = function("wasm_bindgen::convert::closures::_::invoke::h0123");
        let other = function("vault::fill");
        let table = module.tables.add_local(false, 2, None, RefType::FUNCREF);
        let offset = ConstExpr::Value(Value::I32(0));
        let element = module.elements.add(
            ElementKind::Active { table, offset },
            ElementItems::Functions(vec![closure, other]),
        );
        remove(&mut module);
        let ElementItems::Functions(items) = &module.elements.get(element).items else {
            panic!("the table has functions");
        };
        let name = |id: &FunctionId| module.funcs.get(*id).name.clone();
        let names: Vec<_> = items.iter().map(name).collect();
        assert_eq!(names, [None, Some("vault::fill".to_owned())]);
    }
}
