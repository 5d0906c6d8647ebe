//! The private keys for DPoP. WebCrypto creates them, and they are not extractable. The host finds a key by the
//! thumbprint of its public key; the core never sees a private key.
//!
//! The record of a login or session also stores its private key, because IndexedDB can store a key that is not
//! extractable.

use js_sys::Promise;
use rules::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, EcdsaParams};

use crate::platform::{self, Record, WorkerScope};
use rules::oauth::dpop::UnsignedProof;
use vault::Output;

/// Private keys by their thumbprints.
#[derive(Default)]
pub(super) struct Keys(Vec<PrivateKey>);

/// The private DPoP key of tokens, and its thumbprint.
#[derive(Clone)]
pub(super) struct PrivateKey {
    pub(super) thumbprint: String,
    pub(super) key: CryptoKey,
}

impl Keys {
    pub(super) fn insert(&mut self, key: PrivateKey) {
        self.0.retain(|known| known.thumbprint != key.thumbprint);
        self.0.push(key);
    }

    fn find(&self, thumbprint: &str) -> Option<&PrivateKey> {
        self.0.iter().find(|key| key.thumbprint == thumbprint)
    }

    /// Forgets all keys except those with these thumbprints.
    pub(super) fn keep(&mut self, thumbprints: &[String]) {
        self.0.retain(|key| thumbprints.contains(&key.thumbprint));
    }

    /// Begins to sign a proof. Returns `None` if the host does not have the proof's key.
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

/// Returns the private key to store together with the record that `output` stores, if any.
pub(super) fn key_to_store(keys: &Keys, output: &Output) -> Option<PrivateKey> {
    let (Output::Store { key_pair, .. } | Output::Persist { key_pair, .. }) = output else {
        return None;
    };
    keys.find(key_pair.as_ref()?.thumbprint()).cloned()
}

/// Returns the 64 bytes of a signature that WebCrypto made (RFC 7518 3.4).
pub(super) fn signature(signed: &JsValue) -> Vec<u8> {
    platform::bytes_of(signed).to_vec()
}

impl PrivateKey {
    /// Puts the key and its thumbprint into the record.
    pub(super) fn put_into(&self, record: &Record) {
        record.set_jkt(&self.thumbprint);
        record.set_dpop(&self.key);
    }

    /// Returns the key in a record, if the record names one. Fails if the record names a key but does not contain a
    /// private key.
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
