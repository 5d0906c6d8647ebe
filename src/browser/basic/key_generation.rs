//! Stub for the creation of key pairs, which needs the Cargo feature `extended`.

use crate::browser::context::{Context, Progress};
use crate::vault::{Input, OpId};
use wasm_bindgen::JsValue;

pub(super) enum KeyGeneration {}

impl KeyGeneration {
    pub(super) const fn failed(&self, _: OpId) -> Input<'static> {
        match *self {}
    }

    pub(super) const fn advance(
        &mut self,
        _: OpId,
        _: &Context,
        _: JsValue,
    ) -> Result<Progress, JsValue> {
        match *self {}
    }
}
