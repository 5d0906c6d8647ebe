//! The functions that the core exports to JavaScript. The functions that the core imports from JavaScript are in
//! `src/browser/platform.rs`.
//!
//! Bindings only convert values. Errors become objects with `code` and `message`, or only a message where the
//! code is always the same.
//!
//! `edge` and `vault` are built as separate wasm modules, each with the Cargo feature of the same name.

#[cfg(feature = "edge")]
pub mod edge;
#[cfg(any(feature = "edge", feature = "vault"))]
mod no_std;
#[cfg(feature = "vault")]
pub mod vault;

/// Builds the `{code, message}` object thrown to JavaScript.
#[cfg(feature = "edge")]
fn thrown(error: &crate::Error) -> wasm_bindgen::JsValue {
    let json = crate::codec::json::Writer::object()
        .text("code", error.code().as_str())
        .text("message", error.message())
        .finish();
    js_sys::JSON::parse(&json).unwrap_or_default()
}
