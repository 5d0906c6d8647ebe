//! Signatures are verified by WebCrypto.

use js_sys::{JSON, Object};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{CryptoKey, WorkerGlobalScope};

use super::js;
use crate::Secret;
use crate::jwks::Algorithm;

/// Whether `signature` over `signing_input` is by the public key `jwk`.
pub(super) async fn verify(
    scope: &WorkerGlobalScope,
    algorithm: Algorithm,
    jwk: &str,
    signing_input: &Secret,
    signature: &[u8],
) -> Result<bool, JsValue> {
    let subtle = scope.crypto()?.subtle();
    let algorithm = parameters(algorithm);
    let jwk = JSON::parse(jwk)?.unchecked_into();
    let usages = js_sys::Array::of1(&JsValue::from_str("verify"));
    let key = subtle.import_key_with_object("jwk", &jwk, &algorithm, false, &usages)?;
    let key: CryptoKey = JsFuture::from(key).await?.unchecked_into();
    let verified = subtle.verify_with_object_and_js_u8_array_and_js_u8_array(
        &algorithm,
        &key,
        &js::octets(signature),
        &js::octets(signing_input.expose().as_bytes()),
    )?;
    Ok(JsFuture::from(verified).await?.is_truthy())
}

/// The parameters for importing a key and for verifying with it. Each algorithm reads those members
/// that concern it (Web Cryptography API 20-25).
fn parameters(algorithm: Algorithm) -> Object {
    let name = match algorithm {
        Algorithm::Es256 => "ECDSA",
        Algorithm::Rs256 => "RSASSA-PKCS1-v1_5",
        Algorithm::Ps256 => "RSA-PSS",
        Algorithm::EdDsa => "Ed25519",
    };
    js::object(&[
        ("name", &name.into()),
        ("hash", &"SHA-256".into()),
        ("namedCurve", &"P-256".into()),
        ("saltLength", &32.into()),
    ])
}
