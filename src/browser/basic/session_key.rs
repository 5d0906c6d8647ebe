//! Stand-in for the key of kept sessions, which need the Cargo feature `extended`.

use super::{EscrowStep, Step, StoreOp, StoreStage};
use crate::browser::context::{Context, Progress};
use crate::vault::OpId;
use wasm_bindgen::JsValue;

pub(in crate::browser) const KEEPS_SESSIONS: bool = false;

pub(super) enum SessionKey {
    None,
}

impl SessionKey {
    pub(super) const fn is_stored(&self) -> bool {
        false
    }

    pub(super) const fn is_escrowed(&self) -> bool {
        false
    }
}

#[derive(Clone, Copy)]
pub(super) enum SessionKeyStage {}

impl StoreOp {
    pub(in crate::browser) const fn of_session(self, context: &Context) -> Self {
        match &context.escrow {
            None => self,
            Some(escrow) => match *escrow {},
        }
    }

    /// Is not called: no key is stored.
    pub(super) const fn read_session_key(&self) -> Result<Step, JsValue> {
        Err(JsValue::UNDEFINED)
    }

    pub(super) const fn find_session_key(
        &self,
        _: &Context,
        stage: SessionKeyStage,
        _: JsValue,
    ) -> Result<Step, JsValue> {
        match stage {}
    }

    /// Is not called: no key is in escrow.
    pub(super) const fn retry_with_another_key(
        &self,
        _: &Context,
        error: JsValue,
    ) -> Result<Progress, JsValue> {
        Err(error)
    }

    pub(super) const fn advance_in_escrow(
        &self,
        _: OpId,
        _: &Context,
        stage: StoreStage,
        value: JsValue,
    ) -> Result<EscrowStep, JsValue> {
        Ok(EscrowStep::Other(stage, value))
    }
}
