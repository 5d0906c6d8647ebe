//! Shortens wasm-bindgen's glue for the vault's worker.
//!
//! wasm-bindgen writes glue for old browsers, for several ways to load a module, and for speed with long strings. The
//! module's imports stay as they are. The support functions below them are rewritten, which takes a third of the
//! bytes. The build fails if the glue has a form that this program does not know.

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
let wasm, view, decoder, decoded, length;

const memory = () => (view?.length ? view : (view = new Uint8Array(wasm.memory.buffer)));
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
    text = new TextEncoder().encode(text);
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

/// The same glue for servers.
///
/// - A module counts as one whatever its prototype is: the Edge Runtime hands over one of another realm.
/// - Each call of `initSync` makes an instance: the one before may have trapped. Who calls it sees to it that there is
///   one at a time.
/// - Nothing is freed by the garbage collector: what an instance before had is no address in this one.
/// - Texts go in at once, and not letter by letter.
pub(crate) fn for_servers(glue: &str) -> Result<String> {
    let mut glue = glue.to_owned();
    for (from, to) in [
        (
            "function initSync(module) {\n    if (wasm !== undefined) return wasm;\n",
            "function initSync(module) {\n",
        ),
        (
            "    if (!(module instanceof WebAssembly.Module)) {\n        module = new WebAssembly.Module(module);\n    }\n    const instance",
            "    const instance",
        ),
        ("typeof FinalizationRegistry === 'undefined'", "true"),
        (LETTER_BY_LETTER, AT_ONCE),
    ] {
        if !glue.contains(from) {
            bail!(
                "the glue for servers is written otherwise than this program knows: it lacks {from:?}"
            );
        }
        glue = glue.replace(from, to);
    }
    Ok(glue)
}

/// How a text is copied into the module, as far as it is ASCII.
const LETTER_BY_LETTER: &str = "    const mem = getUint8ArrayMemory0();

    let offset = 0;

    for (; offset < len; offset++) {
        const code = arg.charCodeAt(offset);
        if (code > 0x7F) break;
        mem[ptr + offset] = code;
    }
";

/// Encodes a string with the platform's encoder, since a request has cookies of a kilobyte and more. If `encodeInto`
/// has read the whole string into `len` bytes, the string is ASCII.
const AT_ONCE: &str = "    const place = getUint8ArrayMemory0().subarray(ptr, ptr + len);
    let offset = cachedTextEncoder.encodeInto(arg, place).read === len ? len : 0;
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
    let kept: Vec<_> = kept.lines().map(|line| method(&arrow(line))).collect();
    let kept = kept
        .join("\n")
        .replace(
            "wasm.__wbindgen_malloc, wasm.__wbindgen_realloc",
            "wasm.__wbindgen_malloc",
        )
        .replace("WASM_VECTOR_LEN", "length")
        // Each import is there under its own name.
        .replace("        __proto__: null,\n", "")
        .replace("isLikeNone(ret)", "(ret == null)")
        // Nobody reads what is not there.
        .replace(", (ret == null) ? 0 : ret", ", ret")
        .replace(" + 4 * 0,", ",")
        .replace("            const len1 = length;\n", "")
        .replace("            var len1 = length;\n", "")
        .replace("len1", "length")
        // A module's own table has nothing else in it to begin with.
        .replace("            table.set(1025, null);\n", "");
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

/// What is called as the prototype's is called as the value's own, which is shorter: those values are the platform's.
/// But `call` itself is not, since it is given what may be no function.
fn method(line: &str) -> String {
    let whole = || {
        let (before, rest) = line.split_once(".prototype.")?;
        let (name, arguments) = rest.split_once(".call(")?;
        let start = before.rfind(|c: char| !c.is_alphanumeric())? + 1;
        let mut depth = 0;
        let end = arguments.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ',' && depth == 0
        })?;
        let (first, others) = arguments.split_at(end);
        // No length and no number of these is near 2^31.
        let others = others.trim_start_matches(", ").replace(" >>> 0", "");
        (name != "call").then(|| format!("{}{first}.{name}({others}", &before[..start]))
    };
    whole().unwrap_or_else(|| line.to_owned())
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
    fn functions_of_prototypes_become_methods_but_for_call() {
        for (line, shorter) in [
            ("  B.prototype.set.call(f(a, b), c);", "  f(a, b).set(c);"),
            (
                "  const ret = S.prototype.slice.call(a, b >>> 0, c >>> 0);",
                "  const ret = a.slice(b, c);",
            ),
            (
                "  F.prototype.call.call(a, b);",
                "  F.prototype.call.call(a, b);",
            ),
            ("  const ret = a.of(b);", "  const ret = a.of(b);"),
        ] {
            assert_eq!(method(line), shorter);
        }
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
