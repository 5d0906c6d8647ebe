//! Stub for the key that encrypts stored sessions, which need the Cargo feature `extended`.

use wasm_bindgen::JsValue;
use web_sys::CryptoKey;

use crate::browser::context::Context;
use crate::browser::platform::{Awaited, Database};

pub(super) enum SessionKey {
    None,
}

#[derive(Clone, Copy)]
pub(super) enum SessionKeyStage {}

#[expect(dead_code, reason = "no key is looked for")]
pub(super) enum KeyProgress {
    Wait(Awaited, SessionKeyStage),
    Found(CryptoKey),
    NotFound,
}

impl SessionKey {
    pub(super) const fn of_session(context: &Context) -> Self {
        match &context.escrow {
            None => Self::None,
            Some(escrow) => match *escrow {},
        }
    }

    pub(super) const fn is_escrowed(&self) -> bool {
        false
    }

    pub(super) const fn find(
        &self,
        _: &Context,
        _: &Database,
        _: bool,
    ) -> Result<Option<KeyProgress>, JsValue> {
        Ok(None)
    }
}

impl SessionKeyStage {
    pub(super) const fn advance(
        self,
        _: &Context,
        _: &Database,
        _: JsValue,
        _: bool,
    ) -> Result<KeyProgress, JsValue> {
        match self {}
    }
}
