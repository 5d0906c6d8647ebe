//! Keys for DPoP, made by WebCrypto and not extractable. The host keeps them under their thumbprints; the core knows
//! the thumbprints only.
//!
//! A record takes its key along, because IndexedDB stores keys without showing them to anyone.

use crate::prelude::*;
use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, EcdsaParams};

use crate::browser::platform::{self, Record, WorkerScope};
use crate::oauth::dpop::UnsignedProof;
use crate::vault::{ApiRequest, CallId, Input, Output};

/// Private keys by their thumbprints.
#[derive(Default)]
pub(super) struct Keys(Vec<StoredKey>);

/// A private key and its thumbprint.
#[derive(Clone)]
pub(super) struct StoredKey {
    pub(super) thumbprint: String,
    pub(super) key: CryptoKey,
}

impl Keys {
    pub(super) fn insert(&mut self, key: StoredKey) {
        self.0.retain(|known| known.thumbprint != key.thumbprint);
        self.0.push(key);
    }

    fn find(&self, thumbprint: &str) -> Option<&StoredKey> {
        self.0.iter().find(|key| key.thumbprint == thumbprint)
    }

    /// Forgets all keys but those with these thumbprints.
    pub(super) fn keep(&mut self, thumbprints: &[String]) {
        self.0.retain(|key| thumbprints.contains(&key.thumbprint));
    }

    /// Begins to sign a proof. Returns `None` if its key is gone.
    pub(super) fn sign(
        &self,
        scope: &WorkerScope,
        proof: &UnsignedProof,
    ) -> Option<Result<Promise, JsValue>> {
        let known = self.find(&proof.key)?;
        let algorithm = platform::dictionary::<EcdsaParams>(r#"{"name":"ECDSA","hash":"SHA-256"}"#);
        let input = proof.signing_input.expose().as_bytes();
        Some(
            platform::subtle(scope).and_then(|subtle| {
                subtle.sign_with_object_and_u8_array(&algorithm, &known.key, input)
            }),
        )
    }
}

/// Takes the proof out of a request, if it has one.
pub(super) const fn take_proof(request: &mut ApiRequest) -> Option<UnsignedProof> {
    request.proof.take()
}

/// Reports a call that cannot be sent because the key for its proof is gone.
pub(super) const fn unsigned(call: CallId) -> Input<'static> {
    Input::CallUnsigned { call }
}

/// Returns the key to store with a record.
pub(super) fn key_to_store(keys: &Keys, output: &Output) -> Option<StoredKey> {
    let (Output::Store { key_pair, .. } | Output::Persist { key_pair, .. }) = output else {
        return None;
    };
    keys.find(key_pair.as_deref()?).cloned()
}

/// Returns the bytes of a signature that WebCrypto made: 64 of them (RFC 7518 3.4).
pub(super) fn signature(signed: &JsValue) -> Vec<u8> {
    platform::bytes_of(signed).to_vec()
}

impl StoredKey {
    /// Stores the key with the record.
    pub(super) fn put_into(&self, record: &Record) {
        record.set_jkt(&self.thumbprint);
        record.set_dpop(&self.key);
    }

    /// Returns the key that a record has. Fails if the record names a key that is not stored in the record.
    pub(super) fn of(record: &Record) -> Result<Option<Self>, ()> {
        let Some(thumbprint) = platform::to_string(&record.jkt()) else {
            return Ok(None);
        };
        let key: CryptoKey = record.dpop().dyn_into().map_err(|_| ())?;
        if key.type_() != "private" {
            return Err(());
        }
        Ok(Some(Self { thumbprint, key }))
    }
}
