//! Creates the key pairs for DPoP.

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKeyPair, EcKeyGenParams, JsonWebKey};

use crate::dpop::PrivateKey;
use crate::operation::Task;
use crate::platform;
use rules::oauth::dpop::PublicKey;
use rules::prelude::*;

/// Creates a key pair, and keeps its private key. Returns the public key, or `None` if the platform's key is unusable.
pub(super) async fn make_key(task: &Task) -> Result<Option<PublicKey>, JsValue> {
    let subtle = platform::subtle(&task.scope)?;
    let algorithm: EcKeyGenParams =
        platform::dictionary(r#"{"name":"ECDSA","namedCurve":"P-256"}"#);
    let usages = platform::usages("sign", "verify");
    let generating = subtle.generate_key_with_object(&algorithm, false, &usages)?;
    let pair: CryptoKeyPair = task.wait(generating).await?.unchecked_into();
    let exporting = subtle.export_key("jwk", &pair.get_public_key())?;
    let jwk: JsonWebKey = task.wait(exporting).await?.unchecked_into();
    let coordinate = |coordinate: Option<String>| coordinate.unwrap_or_default();
    let key = PublicKey::new(&coordinate(jwk.get_x()), &coordinate(jwk.get_y()));
    if let Some(key) = &key {
        task.keys.borrow_mut().insert(PrivateKey {
            thumbprint: key.thumbprint().to_owned(),
            key: pair.get_private_key(),
        });
    }
    Ok(key)
}
