//! Verification of signatures by WebCrypto.

use js_sys::{Array, JSON, Object};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::CryptoKey;

use crate::operation::Task;
use crate::platform;
use rules::Secret;
use rules::oauth::jwks::Algorithm;

/// Returns true if `signature` over `signing_input` was made with the private key of the public key `jwk`.
pub(super) async fn is_valid(
    task: &Task,
    algorithm: Algorithm,
    jwk: &str,
    signing_input: &Secret,
    signature: &[u8],
) -> Result<bool, JsValue> {
    let parameters = || -> Result<Object, JsValue> {
        Ok(JSON::parse(&algorithm.webcrypto_parameters())?.unchecked_into())
    };
    let jwk: Object = JSON::parse(jwk)?.unchecked_into();
    let usages = Array::of1(&"verify".into());
    let subtle = platform::subtle(&task.scope)?;
    let importing = subtle.import_key_with_object("jwk", &jwk, &parameters()?, false, &usages)?;
    let key: CryptoKey = task.wait(importing).await?.unchecked_into();
    let verifying = subtle.verify_with_object_and_u8_array_and_u8_array(
        &parameters()?,
        &key,
        signature,
        signing_input.expose().as_bytes(),
    )?;
    Ok(task.wait(verifying).await?.is_truthy())
}
