//! What JavaScript sees of the core. What the core sees of JavaScript is in `web/js.rs`.
//!
//! It translates and decides nothing. Errors cross as objects with `code` and `message`.

use crate::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::config::Config;
use crate::jwt::{self, Status};
use crate::pkce::Pkce;
use crate::web::{Host, js};

/// A running vault. It lives as long as its worker, so nothing of it is ever dropped.
#[wasm_bindgen]
pub struct Vault(&'static mut Host);

#[wasm_bindgen]
impl Vault {
    /// Starts a vault with a configuration in JSON; `base_url` is the worker's address, `scope` its
    /// global object. What happens there is reported to `happened`, which has to pass its arguments
    /// to the method of that name.
    ///
    /// # Errors
    /// An object with `code`, which is `config_invalid`, and `message`.
    #[wasm_bindgen(constructor)]
    pub fn new(
        config_json: &str,
        base_url: &str,
        scope: JsValue,
        happened: JsValue,
    ) -> Result<Vault, JsValue> {
        match Config::parse(config_json, base_url) {
            Ok(config) => Ok(Self(Box::leak(Box::new(Host::new(
                config, scope, happened,
            ))))),
            Err(error) => Err(to_js(&error)),
        }
    }

    /// Serves a page.
    pub fn connect(&mut self, port: JsValue) {
        self.0.connect(port);
    }

    /// Something happened.
    pub fn happened(&mut self, event: u32, id: u32, value: &JsValue) {
        self.0.happened(event, id, value);
    }
}

fn to_js(error: &crate::Error) -> JsValue {
    let message = [error.message(), ". ", error.code().advice()].concat();
    js::error(error.code().as_str(), &message)
}

/// A PKCE pair: the verifier's 43 characters, then the challenge's 43. One text, because each that
/// crosses costs as much as the hashing.
#[wasm_bindgen]
#[must_use]
pub fn generate_pkce() -> String {
    let mut entropy = [0; 32];
    js::fill_random(&mut entropy);
    let pkce = Pkce::from_entropy(entropy);
    [pkce.verifier.expose(), &pkce.challenge].concat()
}

/// A token's times as one number, in seconds since the epoch: `until` if it is valid, minus `since`
/// if it has expired, 1e15 plus `from` if it is not valid yet.
///
/// # Errors
/// The reason, as a string, if it is malformed.
#[wasm_bindgen]
pub fn jwt_status(token: &str, now: f64, tolerance: f64) -> Result<f64, JsValue> {
    const NOT_YET_VALID: f64 = 1e15;
    match jwt::status(token, now as u64, tolerance as u64) {
        Status::ValidUntil(until) => Ok(until as f64),
        Status::ExpiredSince(since) => Ok(-(since as f64)),
        Status::NotYetValid(from) => Ok(NOT_YET_VALID + from as f64),
        Status::Malformed(reason) => Err(JsValue::from_str(reason.as_str())),
    }
}
