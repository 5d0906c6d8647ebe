//! Signatures are verified by WebCrypto.

use crate::prelude::*;
use wasm_bindgen::JsValue;

use crate::Secret;
use crate::browser::operation::Next;
use crate::browser::platform;
use crate::oauth::jwks::Algorithm;
use crate::vault::{Input, OpId};

/// Whether a signature is by a public key.
pub(super) struct Verification {
    parameters: JsValue,
    jwk: String,
    signing_input: Secret,
    signature: Vec<u8>,
    stage: Stage,
}

enum Stage {
    Begun,
    Imported,
    Verified,
}

impl Verification {
    /// Whether `signature` over `signing_input` is by the public key `jwk`.
    pub(super) fn new(
        algorithm: Algorithm,
        jwk: String,
        signing_input: Secret,
        signature: Vec<u8>,
    ) -> Self {
        Self {
            parameters: parameters(algorithm),
            jwk,
            signing_input,
            signature,
            stage: Stage::Begun,
        }
    }

    pub(super) fn advance(
        &mut self,
        op: OpId,
        scope: &JsValue,
        value: &JsValue,
    ) -> Result<Next, JsValue> {
        let promise = match self.stage {
            Stage::Begun => {
                self.stage = Stage::Imported;
                let jwk = platform::parse(&self.jwk)?;
                let usages = platform::array_of_1(&platform::text("verify"));
                let (format, extractable) = (platform::text("jwk"), JsValue::FALSE);
                let args = [&format, &jwk, &self.parameters, &extractable, &usages];
                platform::call(&platform::subtle(scope), "importKey", &args)?
            }
            Stage::Imported => {
                self.stage = Stage::Verified;
                let signature = platform::octets(&self.signature);
                let input = platform::octets(self.signing_input.expose().as_bytes());
                let args = [&self.parameters, value, &signature, &input];
                platform::call(&platform::subtle(scope), "verify", &args)?
            }
            Stage::Verified => {
                let valid = value.is_truthy();
                return Ok(Next::Done(Input::Verified { op, valid }));
            }
        };
        Ok(Next::When(promise))
    }
}

/// The parameters for importing a key and for verifying with it. Each algorithm reads those members
/// that concern it (Web Cryptography API 20-25).
fn parameters(algorithm: Algorithm) -> JsValue {
    let (name, sizes) = names(algorithm);
    let parameters = platform::literal(sizes);
    platform::set(&parameters, "name", &platform::text(name));
    parameters
}

/// The same in JSON.
#[cfg(feature = "edge")]
pub(crate) fn parameters_json(algorithm: Algorithm) -> String {
    let (name, sizes) = names(algorithm);
    let sizes = sizes.strip_prefix('{').unwrap_or_default();
    [r#"{"name":""#, name, r#"","#, sizes].concat()
}

#[inline]
fn names(algorithm: Algorithm) -> (&'static str, &'static str) {
    let name = match algorithm {
        Algorithm::Es256 => "ECDSA",
        Algorithm::Rs256 => "RSASSA-PKCS1-v1_5",
        Algorithm::Ps256 => "RSA-PSS",
        #[cfg(feature = "extended")]
        Algorithm::EdDsa => "Ed25519",
        #[cfg(feature = "extended")]
        Algorithm::Es384 | Algorithm::Es512 => "ECDSA",
        #[cfg(feature = "extended")]
        Algorithm::Rs384 | Algorithm::Rs512 => "RSASSA-PKCS1-v1_5",
        #[cfg(feature = "extended")]
        Algorithm::Ps384 | Algorithm::Ps512 => "RSA-PSS",
    };
    let sizes = match algorithm {
        #[cfg(feature = "extended")]
        Algorithm::Es384 | Algorithm::Rs384 | Algorithm::Ps384 => {
            r#"{"hash":"SHA-384","namedCurve":"P-384","saltLength":48}"#
        }
        #[cfg(feature = "extended")]
        Algorithm::Es512 | Algorithm::Rs512 | Algorithm::Ps512 => {
            r#"{"hash":"SHA-512","namedCurve":"P-521","saltLength":64}"#
        }
        _ => r#"{"hash":"SHA-256","namedCurve":"P-256","saltLength":32}"#,
    };
    (name, sizes)
}
