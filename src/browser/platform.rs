//! What the vault needs of the platform.
//!
//! Every function that is bound costs a name in the module and a piece of glue. So only what is used
//! in many places, or passes octets, is bound; the rest is reached by name, through [`call`].

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = Reflect, js_name = get, catch)]
    fn reflect_get(target: &JsValue, name: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_namespace = Reflect, js_name = set)]
    fn reflect_set(target: &JsValue, name: &str, value: &JsValue);

    #[wasm_bindgen(js_namespace = Function, js_name = "prototype.call.call", catch)]
    fn invoke(
        function: &JsValue,
        this: &JsValue,
        a: &JsValue,
        b: &JsValue,
        c: &JsValue,
        d: &JsValue,
        e: &JsValue,
    ) -> Result<JsValue, JsValue>;

    /// `function`, with its first two arguments given.
    #[wasm_bindgen(js_namespace = Function, js_name = "prototype.bind.call")]
    pub(super) fn bind(function: &JsValue, this: &JsValue, first: u32, second: u32) -> JsValue;

    /// What is `from` one place `to` another in a text.
    #[wasm_bindgen(js_namespace = String, js_name = "prototype.slice.call")]
    fn slice(text: &JsValue, from: u32, to: u32) -> String;

    /// A value from its JSON.
    #[wasm_bindgen(js_namespace = JSON, js_name = parse, catch)]
    pub(super) fn parse(json: &str) -> Result<JsValue, JsValue>;

    /// `[item]`
    #[wasm_bindgen(js_namespace = Array, js_name = of)]
    pub(super) fn array_of_1(item: &JsValue) -> JsValue;

    /// `[first, second]`
    #[wasm_bindgen(js_namespace = Array, js_name = of)]
    pub(super) fn array_of_2(first: &JsValue, second: &JsValue) -> JsValue;

    /// `Date.now()`: milliseconds since the Unix epoch.
    #[wasm_bindgen(js_namespace = Date, js_name = now)]
    pub(super) fn wall_clock() -> f64;

    /// A date's milliseconds since the Unix epoch, or `NaN`.
    #[wasm_bindgen(js_namespace = Date, js_name = parse)]
    pub(super) fn parse_date(date: &str) -> f64;

    /// `performance.now()`: milliseconds.
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    pub(super) fn monotonic_clock() -> f64;

    /// Fills `octets` from the platform's cryptographic source. It throws rather than leave them as
    /// they are, and what throws here ends the vault: without random numbers nothing in it is safe.
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    pub(crate) fn fill_random(octets: &mut [u8]);

    #[wasm_bindgen(js_namespace = Uint8Array, js_name = "prototype.set.call")]
    fn copy(to: &mut [u8], from: &JsValue);

    #[wasm_bindgen(js_namespace = Uint8Array, js_name = "prototype.set.call")]
    fn set_all(to: &JsValue, from: &[u8]);

    #[wasm_bindgen(js_namespace = Uint8Array, js_name = "prototype.fill.call")]
    fn fill(octets: &JsValue, with: u32);

    #[wasm_bindgen(js_namespace = Uint8Array, js_name = "prototype.subarray.call")]
    fn subarray(octets: &JsValue, from: u32, to: u32) -> JsValue;

    #[wasm_bindgen(constructor, js_class = "Uint8Array")]
    fn from_slice(octets: &[u8]) -> Octets;

    /// A `Uint8Array`.
    pub(super) type Octets;

    #[wasm_bindgen(constructor, js_class = "Uint8Array")]
    fn over(buffer: &JsValue) -> Octets;

    /// `new AbortController()`
    pub(super) type AbortController;

    #[wasm_bindgen(constructor)]
    pub(super) fn new() -> AbortController;

    /// `new Headers(list)`
    pub(super) type Headers;

    #[wasm_bindgen(constructor, catch)]
    pub(super) fn new(list: &JsValue) -> Result<Headers, JsValue>;

    /// A platform's `URL`.
    pub(crate) type URL;

    #[wasm_bindgen(constructor, catch)]
    pub(crate) fn new(text: &str, base: Option<&str>) -> Result<URL, JsValue>;
}

/// What the worker's global object has `fetch` as it was under, before anything that is imported later could put another
/// function in its place: pkg/src/worker/worker.ts.
pub(super) const FETCH: &str = "strongroom";

/// What is copied of a text, in UTF-16 code units. Who wrote it may have written any amount; the core
/// refuses far less, and no URL is that long that comes of a text it reads.
const MAX_TEXT: u32 = 512 * 1024;

/// The member `name` of `value`, or `undefined`.
pub(crate) fn get(value: &JsValue, name: &str) -> JsValue {
    reflect_get(value, name).unwrap_or_default()
}

/// The member `name` of `value`, if it is a text.
pub(crate) fn get_text(value: &JsValue, name: &str) -> Option<String> {
    to_text(&get(value, name))
}

/// A text.
pub(crate) fn to_text(value: &JsValue) -> Option<String> {
    value.is_string().then(|| slice(value, 0, MAX_TEXT))
}

/// What is `from` one place `to` another in a text, in UTF-16 code units.
#[cfg(feature = "extended")]
pub(super) fn part_of_text(value: &JsValue, from: u32, to: u32) -> Option<String> {
    value.is_string().then(|| slice(value, from, to))
}

/// What is `from` one place `to` another in a `Uint8Array`, as a view of it.
#[cfg(feature = "extended")]
pub(super) fn part_of_octets(octets: &JsValue, from: u32, to: u32) -> JsValue {
    subarray(octets, from, to)
}

/// Whether this is a list, of which the platform would make a text where it wants one. A list of a list of a list, each
/// twice in the next, is a few bytes on its way here, and half a gigabyte of text.
pub(super) fn is_list(value: &JsValue) -> bool {
    // What has none of its own, though it is a list, becomes a short text.
    !get(value, "join").is_undefined()
}

/// Sets the member `name` of an object.
pub(super) fn set(object: &JsValue, name: &str, value: &JsValue) {
    reflect_set(object, name, value);
}

/// Calls the method `name` of `target`.
///
/// It is given five arguments, whatever `args` has: the platform's functions take `undefined` for
/// an argument that is missing. Those with any number of arguments must not be called by this.
pub(super) fn call(target: &JsValue, name: &str, args: &[&JsValue]) -> Result<JsValue, JsValue> {
    let missing = &JsValue::UNDEFINED;
    let arg = |i: usize| args.get(i).copied().unwrap_or(missing);
    let function = get(target, name);
    invoke(&function, target, arg(0), arg(1), arg(2), arg(3), arg(4))
}

/// A constant from its JSON.
pub(super) fn literal(json: &str) -> JsValue {
    parse(json).unwrap_or_default()
}

/// A text.
pub(super) fn text(text: &str) -> JsValue {
    JsValue::from_str(text)
}

/// A fresh `Uint8Array`.
pub(super) fn octets(octets: &[u8]) -> JsValue {
    Octets::from_slice(octets).into()
}

/// Copies a `Uint8Array` to `octets`, which is of its length.
pub(super) fn copy_octets(octets: &mut [u8], from: &JsValue) {
    copy(octets, from);
}

/// What is given, in the memory of a `Uint8Array` that has room for it. Of what was there nothing is left.
pub(super) fn refill(memory: &JsValue, octets: &[u8]) -> JsValue {
    let length = octets.len() as u32;
    wipe(memory);
    let place = subarray(memory, 0, length);
    set_all(&place, octets);
    place
}

/// How many octets an `ArrayBuffer` or a view of one has.
pub(super) fn byte_length(buffer: &JsValue) -> usize {
    get(buffer, "byteLength").as_f64().unwrap_or_default() as usize
}

/// A fresh `AbortController`.
pub(super) fn abort_controller() -> JsValue {
    AbortController::new().into()
}

/// Aborts what an `AbortController` controls.
pub(super) fn abort(controller: &JsValue) {
    // There may be none.
    let _ = call(controller, "abort", &[]);
}

/// `Headers` from a list of pairs.
pub(super) fn headers(list: &JsValue) -> Result<JsValue, JsValue> {
    Ok(Headers::new(list)?.into())
}

/// A response's header, if it is there and readable.
pub(super) fn header(response: &JsValue, name: &str) -> Option<String> {
    let value = call(&get(response, "headers"), "get", &[&text(name)]);
    to_text(&value.ok()?)
}

/// A response's status code.
pub(super) fn status(response: &JsValue) -> u16 {
    get(response, "status").as_f64().unwrap_or_default() as u16
}

/// `crypto.subtle`
pub(super) fn subtle(scope: &JsValue) -> JsValue {
    get(&get(scope, "crypto"), "subtle")
}

/// The octets of an `ArrayBuffer`.
pub(super) fn view(buffer: &JsValue) -> JsValue {
    Octets::over(buffer).into()
}

/// Overwrites a `Uint8Array`.
pub(super) fn wipe(octets: &JsValue) {
    fill(octets, 0);
}

/// What is thrown.
#[cfg(any(feature = "vault", feature = "edge"))]
pub(crate) fn error(code: &str, message: &str) -> JsValue {
    let error = literal("{}");
    set(&error, "code", &text(code));
    set(&error, "message", &text(message));
    error
}

/// A response's body: a stream, or something false. Chromium has an empty stream, too, where Fetch
/// has none: with a null body status.
pub(super) fn body(response: &JsValue) -> JsValue {
    if matches!(status(response), 204 | 205 | 304) {
        return JsValue::NULL;
    }
    get(response, "body")
}
