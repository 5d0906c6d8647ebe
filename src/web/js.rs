//! Shapes of JavaScript that the other modules need.

use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{IdbRequest, WorkerGlobalScope};

/// The worker's global scope.
pub(super) fn scope() -> WorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// An object literal. Members that are `undefined` are left out.
pub(super) fn object(members: &[(&str, &JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in members.iter().filter(|(_, value)| !value.is_undefined()) {
        // A plain object takes any member.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object
}

/// The member `name` of `value`, or `undefined`.
pub(super) fn get(value: &JsValue, name: &str) -> JsValue {
    Reflect::get(value, &JsValue::from_str(name)).unwrap_or_default()
}

/// A fresh array of octets.
pub(super) fn octets(bytes: &[u8]) -> Uint8Array {
    Uint8Array::from(bytes)
}

/// A message to a page: `[text]`.
pub(super) fn control(text: &str) -> JsValue {
    Array::of1(&JsValue::from_str(text)).into()
}

/// Resolves when an IndexedDB request is done; its result is then in the request.
pub(super) fn done(request: &IdbRequest) -> Promise {
    Promise::new(&mut |resolve, reject| {
        request.set_onsuccess(Some(&resolve));
        request.set_onerror(Some(&reject));
    })
}
