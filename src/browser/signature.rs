//! Verification of signatures by WebCrypto.

use crate::prelude::*;
use js_sys::{Array, JSON, Object};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::CryptoKey;

use crate::Secret;
use crate::browser::context::Progress;
use crate::browser::platform::{self, WorkerScope};
use crate::oauth::jwks::Algorithm;
use crate::vault::{Input, OpId};

/// The verification of a signature by a public key.
pub(super) struct Verification {
    algorithm: Algorithm,
    jwk: String,
    signing_input: Secret,
    signature: Vec<u8>,
    stage: VerificationStage,
}

enum VerificationStage {
    Begun,
    Imported,
    Verified,
}

impl Verification {
    /// Verifies `signature` over `signing_input` with the public key `jwk`.
    pub(super) fn new(
        algorithm: Algorithm,
        jwk: String,
        signing_input: Secret,
        signature: Vec<u8>,
    ) -> Self {
        Self {
            algorithm,
            jwk,
            signing_input,
            signature,
            stage: VerificationStage::Begun,
        }
    }

    pub(super) fn advance(
        &mut self,
        op: OpId,
        scope: &WorkerScope,
        value: JsValue,
    ) -> Result<Progress, JsValue> {
        let promise = match self.stage {
            VerificationStage::Begun => {
                self.stage = VerificationStage::Imported;
                let jwk: Object = JSON::parse(&self.jwk)?.unchecked_into();
                let usages = Array::of1(&"verify".into());
                platform::subtle(scope)?.import_key_with_object(
                    "jwk",
                    &jwk,
                    &self.parameters()?,
                    false,
                    &usages,
                )?
            }
            VerificationStage::Imported => {
                self.stage = VerificationStage::Verified;
                let key: CryptoKey = value.unchecked_into();
                platform::subtle(scope)?.verify_with_object_and_u8_array_and_u8_array(
                    &self.parameters()?,
                    &key,
                    &self.signature,
                    self.signing_input.expose().as_bytes(),
                )?
            }
            VerificationStage::Verified => {
                let valid = value.is_truthy();
                return Ok(Progress::Done(Input::Verified { op, valid }));
            }
        };
        Ok(Progress::Wait(promise.into()))
    }

    fn parameters(&self) -> Result<Object, JsValue> {
        Ok(JSON::parse(&self.algorithm.webcrypto_parameters())?.unchecked_into())
    }
}
