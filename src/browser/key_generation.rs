//! Creates the key pairs for DPoP.

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, CryptoKeyPair, EcKeyGenParams, JsonWebKey};

use crate::browser::context::{Context, Progress};
use crate::browser::dpop::PrivateKey;
use crate::browser::platform;
use crate::oauth::dpop::PublicKey;
use crate::prelude::*;
use crate::vault::{Input, OpId};

/// The stage of the creation of a key pair.
#[derive(Default)]
pub(super) enum KeyGeneration {
    #[default]
    Begun,
    Made,
    /// The public key is being exported. The value is the private key.
    Exported(CryptoKey),
}

impl KeyGeneration {
    /// Returns the input that reports to the core that the operation has failed.
    pub(super) const fn failed(op: OpId) -> Input<'static> {
        Input::KeyMade { op, key: None }
    }

    pub(super) fn advance(
        &mut self,
        op: OpId,
        context: &mut Context,
        value: JsValue,
    ) -> Result<Progress, JsValue> {
        let subtle = platform::subtle(&context.scope)?;
        let (promise, stage): (Promise, _) = match core::mem::take(self) {
            Self::Begun => {
                let algorithm: EcKeyGenParams =
                    platform::dictionary(r#"{"name":"ECDSA","namedCurve":"P-256"}"#);
                let usages = platform::usages("sign", "verify");
                (
                    subtle.generate_key_with_object(&algorithm, false, &usages)?,
                    Self::Made,
                )
            }
            Self::Made => {
                let pair: CryptoKeyPair = value.unchecked_into();
                (
                    subtle.export_key("jwk", &pair.get_public_key())?,
                    Self::Exported(pair.get_private_key()),
                )
            }
            Self::Exported(private) => {
                let jwk: JsonWebKey = value.unchecked_into();
                let coordinate = |coordinate: Option<String>| coordinate.unwrap_or_default();
                let key = PublicKey::new(&coordinate(jwk.get_x()), &coordinate(jwk.get_y()));
                if let Some(key) = &key {
                    context.keys.insert(PrivateKey {
                        thumbprint: key.thumbprint().to_owned(),
                        key: private,
                    });
                }
                return Ok(Progress::Done(Input::KeyMade { op, key }));
            }
        };
        *self = stage;
        Ok(Progress::Wait(promise.into()))
    }
}
