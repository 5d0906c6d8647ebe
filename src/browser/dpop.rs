//! Keys for DPoP: made by WebCrypto, not extractable, and held here under their thumbprints. The core knows the
//! names, and nobody knows the private halves.
//!
//! What is stored takes its key along, in the same record: IndexedDB holds keys without showing them to anyone.

use crate::prelude::*;
use wasm_bindgen::JsValue;

use crate::browser::encrypted_store::Job;
use crate::browser::host::{Host, Step};
use crate::browser::operation::Next;
use crate::browser::platform;
use crate::oauth::dpop::{PublicKey, UnsignedProof};
use crate::vault::{ApiRequest, CallId, Input, OpId};

/// The member of a record that is the key for its tokens.
const KEY: &str = "dpop";
/// The member that is the key's name.
const NAME: &str = "jkt";

/// Private keys, by their thumbprints.
#[derive(Default)]
pub(super) struct Keys(Vec<(String, JsValue)>);

impl Keys {
    fn insert(&mut self, name: String, key: JsValue) {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, key));
    }

    fn find(&self, name: &str) -> Option<&JsValue> {
        let (_, key) = self.0.iter().find(|(known, _)| known == name)?;
        Some(key)
    }

    /// Forgets all but these.
    pub(super) fn keep(&mut self, names: &[String]) {
        self.0.retain(|(known, _)| names.contains(known));
    }

    /// Begins to sign a proof. `None` if its key is gone.
    pub(super) fn sign(
        &self,
        scope: &JsValue,
        proof: &UnsignedProof,
    ) -> Option<Result<JsValue, JsValue>> {
        let algorithm = platform::literal(r#"{"name":"ECDSA","hash":"SHA-256"}"#);
        let input = platform::octets(proof.signing_input.expose().as_bytes());
        let args = [&algorithm, self.find(&proof.key)?, &input];
        Some(platform::call(&platform::subtle(scope), "sign", &args))
    }
}

/// What WebCrypto signed, as octets: 64 of them (RFC 7518 3.4).
pub(super) fn signature(signed: &JsValue) -> Vec<u8> {
    let mut octets = vec![0; platform::byte_length(signed)];
    platform::copy_octets(&mut octets, &platform::view(signed));
    octets
}

/// A key pair that is being made.
#[derive(Default)]
pub(super) struct Making {
    stage: Stage,
}

#[derive(Default)]
enum Stage {
    #[default]
    Begun,
    Made,
    /// The public half is known; this is the private one.
    Exported(JsValue),
}

impl Making {
    pub(super) fn advance(
        &mut self,
        op: OpId,
        host: &mut Host,
        value: &JsValue,
    ) -> Result<Next, JsValue> {
        let subtle = platform::subtle(&host.scope);
        let (promise, stage) = match core::mem::take(&mut self.stage) {
            Stage::Begun => {
                let algorithm = platform::literal(r#"{"name":"ECDSA","namedCurve":"P-256"}"#);
                let usages = platform::literal(r#"["sign","verify"]"#);
                let args = [&algorithm, &JsValue::FALSE, &usages];
                (platform::call(&subtle, "generateKey", &args)?, Stage::Made)
            }
            Stage::Made => {
                let args = [&platform::text("jwk"), &platform::get(value, "publicKey")];
                let private = platform::get(value, "privateKey");
                (
                    platform::call(&subtle, "exportKey", &args)?,
                    Stage::Exported(private),
                )
            }
            Stage::Exported(private) => {
                let coordinate = |name| platform::get_text(value, name).unwrap_or_default();
                let key = PublicKey::new(&coordinate("x"), &coordinate("y"));
                if let Some(key) = &key {
                    host.keys.insert(key.thumbprint().to_owned(), private);
                }
                return Ok(Next::Done(Input::KeyMade { op, key }));
            }
        };
        self.stage = stage;
        Ok(Next::When(promise))
    }
}

impl Host {
    /// Begins to sign the proof of a call.
    pub(super) fn sign_first(&mut self, call: CallId, request: Box<ApiRequest>) {
        let proof = request.proof.as_ref();
        match proof.and_then(|proof| self.keys.sign(&self.scope, proof)) {
            Some(Ok(promise)) => self.when(&promise, Step::Sign(call, request)),
            Some(Err(_)) => self.report(Input::CallFailed { call }),
            None => self.report(Input::CallUnsigned { call }),
        }
    }

    /// The proof of a call is signed, or could not be.
    pub(super) fn signed(
        &mut self,
        call: CallId,
        request: &ApiRequest,
        signed: Result<JsValue, JsValue>,
    ) {
        let (Ok(signed), Some(proof)) = (signed, &request.proof) else {
            return self.report(Input::CallFailed { call });
        };
        let proof = proof.signed(&signature(&signed));
        self.send_proven(call, request, proof.expose());
    }
}

impl Job {
    /// Stores the key of this name along with what is stored.
    pub(super) fn with_key_pair(mut self, name: Option<String>, keys: &Keys) -> Self {
        self.key_pair = name.and_then(|name| {
            let key = keys.find(&name)?.clone();
            Some((name, key))
        });
        self
    }

    /// Puts the key into the record that is about to be stored.
    pub(super) fn put_key_pair(&self, record: &JsValue) {
        if let Some((name, key)) = &self.key_pair {
            platform::set(record, NAME, &platform::text(name));
            platform::set(record, KEY, key);
        }
    }

    /// Remembers the key that a record has. Whether there is none to be had though there was one.
    pub(super) fn lacks_key_pair(&mut self, record: &JsValue) -> bool {
        let Some(name) = platform::get_text(record, NAME) else {
            return false;
        };
        let key = platform::get(record, KEY);
        let is_key = platform::get_text(&key, "type").is_some_and(|of| of == "private");
        self.key_pair = is_key.then_some((name, key));
        !is_key
    }

    /// What was read is about to be handed to the core, and its key is there for it.
    pub(super) fn hand_over_key_pair(&mut self, keys: &mut Keys) {
        if let Some((name, key)) = self.key_pair.take() {
            keys.insert(name, key);
        }
    }
}
