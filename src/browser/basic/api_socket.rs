//! Stub for WebSocket connections to APIs, which need the Cargo feature `extended`.

use crate::browser::context::{Context, Event};
use crate::vault::CallId;
use wasm_bindgen::JsValue;

#[derive(Default)]
pub(super) struct Sockets;

impl Sockets {
    pub(super) fn on_event(&mut self, _: &mut Context, _: Event, _: CallId, _: JsValue) {}

    pub(super) const fn deliver(&self, _: &Context, _: CallId, _: &str) -> bool {
        false
    }

    pub(super) const fn drop_call(&self, _: CallId) {}
}
