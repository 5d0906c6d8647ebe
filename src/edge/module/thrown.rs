//! Errors that are thrown to JavaScript.

use rules::codec::json::Writer;
use wasm_bindgen::JsValue;

/// Builds an object with `code` and `message`.
pub(crate) fn object(error: &rules::Error) -> JsValue {
    let json = Writer::object()
        .text("code", error.code().as_str())
        .text("message", error.message())
        .finish();
    js_sys::JSON::parse(&json).unwrap_or_default()
}
