//! wasm-bindgen's glue for the vault's worker, without what that has no use for.
//!
//! It is written for browsers of all ages, for modules that are loaded in many ways, and for speed with long texts.
//! What the module imports is left as it is; what that rests on is written anew, for a third of the bytes. It fails
//! where the glue is written otherwise than this program knows.

use anyhow::{Context, Result, bail};

/// What stands before the functions that the imports rest on.
const IMPORTS: &str = "function __wbg_get_imports() {";
const END_OF_FUNCTION: &str = "\n}\n";

/// The functions that the imports rest on, and those that load the module.
const KNOWN: &str = "addToExternrefTable0 getArrayU8FromWasm0 getDataViewMemory0 getStringFromWasm0 \
    getUint8ArrayMemory0 handleError isLikeNone passStringToWasm0 takeFromExternrefTable0 decodeText \
    __wbg_finalize_init __wbg_load initSync __wbg_init __wbg_init_once";

/// In their place: texts are encoded at once, whether they are ASCII or not; views of the memory are made when they
/// are needed, since it grows; and there is one way to load a module.
const SUPPORT: &str = "
let wasm, octets, decoder, decoded, length;
const encoder = new TextEncoder();

const memory = () => (octets?.length ? octets : (octets = new Uint8Array(wasm.memory.buffer)));
const getDataViewMemory0 = () => new DataView(wasm.memory.buffer);
const getArrayU8FromWasm0 = (ptr, len) => memory().subarray((ptr >>>= 0), ptr + len);

const getStringFromWasm0 = (ptr, len) => {
    // WebKit's decoders end after 2 GB.
    if (!(decoded < 2e9)) {
        decoder = new TextDecoder('utf-8', { ignoreBOM: true });
        decoded = 0;
    }
    decoded += len;
    return decoder.decode(getArrayU8FromWasm0(ptr, len));
};

const passStringToWasm0 = (text, malloc) => {
    text = encoder.encode(text);
    const ptr = malloc((length = text.length), 1) >>> 0;
    memory().set(text, ptr);
    return ptr;
};

const addToExternrefTable0 = (value) => {
    const i = wasm.__externref_table_alloc();
    wasm.__wbindgen_externrefs.set(i, value);
    return i;
};

const takeFromExternrefTable0 = (i) => {
    const value = wasm.__wbindgen_externrefs.get(i);
    wasm.__externref_table_dealloc(i);
    return value;
};

const catching = (f) => (...args) => {
    try {
        return f(...args);
    } catch (e) {
        wasm.__wbindgen_exn_store(addToExternrefTable0(e));
    }
};

export const initSync = ({ module }) => {
    wasm = new WebAssembly.Instance(module, __wbg_get_imports()).exports;
    wasm.__wbindgen_start();
    return wasm;
};
";

/// The same glue, smaller.
pub(crate) fn reduce(glue: &str) -> Result<String> {
    let (head, rest) = split_after(glue, IMPORTS)?;
    let (imports, rest) = split_after(rest, END_OF_FUNCTION)?;
    for line in rest.lines() {
        let name = line.trim_start_matches("async ").strip_prefix("function ");
        let name = name
            .and_then(|name| name.split_once('('))
            .map(|(name, _)| name);
        if let Some(name) = name.filter(|name| !KNOWN.split(' ').any(|known| known == *name)) {
            bail!("the glue has {name}, which xtask/src/glue.rs does not know");
        }
    }
    let kept = [head, imports].concat();
    let kept: Vec<_> = kept.lines().map(arrow).collect();
    let kept = kept
        .join("\n")
        .replace(
            "wasm.__wbindgen_malloc, wasm.__wbindgen_realloc",
            "wasm.__wbindgen_malloc",
        )
        .replace("WASM_VECTOR_LEN", "length")
        .replace("isLikeNone(ret)", "(ret === undefined)");
    if let Some(at) = [", arguments)", "isLikeNone(", "__wbindgen_realloc"]
        .iter()
        .find(|word| kept.contains(*word))
    {
        bail!("the glue's imports have {at} where xtask/src/glue.rs does not expect it");
    }
    Ok([&kept, "\n", SUPPORT].concat())
}

fn split_after<'a>(text: &'a str, end: &str) -> Result<(&'a str, &'a str)> {
    let at = text
        .find(end)
        .with_context(|| format!("{end:?} is not in the glue"))?;
    Ok(text.split_at(at + end.len()))
}

/// An import as an arrow function, which needs no `function`, `return` and `arguments`.
fn arrow(line: &str) -> String {
    const CATCHING: &str = ": function() { return handleError(function (";
    if line.contains(CATCHING) {
        return line
            .replace(CATCHING, ": catching((")
            .replace(") {", ") => {");
    }
    match line {
        "        }, arguments); }," => "        }),".to_owned(),
        _ if line.starts_with("        ") && line.contains(": function(") => {
            line.replace(": function(", ": (").replace(") {", ") => {")
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLUE: &str = "export function connect(port) {
    wasm.connect(port);
}
function __wbg_get_imports() {
    const import0 = {
        a: function(arg0) {
            const ret = !arg0;
            return ret;
        },
        b: function() { return handleError(function (arg0) {
            const ret = new Headers(arg0);
            return ret;
        }, arguments); },
    };
}

function handleError(f, args) {
}
let wasm;
async function __wbg_load(module, imports) {
}
export { initSync, __wbg_init as default };
";

    #[test]
    fn imports_become_arrow_functions_and_the_rest_is_replaced() {
        let reduced = reduce(GLUE).unwrap();
        let (kept, support) = reduced.split_at(reduced.len() - SUPPORT.len());
        assert!(kept.contains("a: (arg0) => {\n"));
        assert!(kept.contains("b: catching((arg0) => {\n"));
        assert!(kept.contains("        }),\n    };\n}"));
        assert!(!kept.contains("handleError"));
        assert_eq!(support, SUPPORT);
    }

    #[test]
    fn a_function_that_nobody_has_looked_at_is_an_error() {
        let more = GLUE.replace("async function __wbg_load", "function debugString");
        assert!(
            reduce(&more)
                .unwrap_err()
                .to_string()
                .contains("debugString")
        );
        assert!(reduce("").is_err());
    }
}
