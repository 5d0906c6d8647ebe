//! Stubs for the keys for DPoP, which need the Cargo feature `extended`.
//!
//! `StoredKey` has no values, so an `Option<StoredKey>` takes no space, and the compiler removes the code that handles
//! keys.

use crate::browser::platform::{Record, WorkerScope};
use crate::oauth::dpop::UnsignedProof;
use crate::prelude::*;
use crate::vault::{ApiRequest, CallId, Input, Output};
use js_sys::Promise;
use wasm_bindgen::JsValue;

#[derive(Default)]
pub(super) struct Keys;

#[derive(Clone, Copy)]
pub(super) enum StoredKey {}

impl Keys {
    pub(super) const fn insert(&self, key: StoredKey) {
        match key {}
    }

    pub(super) const fn sign(
        &self,
        _: &WorkerScope,
        _: &UnsignedProof,
    ) -> Option<Result<Promise, JsValue>> {
        None
    }
}

impl StoredKey {
    pub(super) const fn put_into(&self, _: &Record) {
        match *self {}
    }

    pub(super) const fn of(_: &Record) -> Result<Option<Self>, ()> {
        Ok(None)
    }
}

pub(super) const fn take_proof(_: &mut ApiRequest) -> Option<UnsignedProof> {
    None
}

/// Is never called, because this build makes no proofs.
pub(super) const fn unsigned(call: CallId) -> Input<'static> {
    Input::CallFailed { call }
}

pub(super) const fn key_to_store(_: &Keys, _: &Output) -> Option<StoredKey> {
    None
}

pub(super) const fn signature(_: &JsValue) -> Vec<u8> {
    Vec::new()
}
