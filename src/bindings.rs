//! What JavaScript sees: the one file with `#[wasm_bindgen]`.
//!
//! It translates and decides nothing. Errors cross as an `Error` with a `code`.

use crate::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::MessagePort;

use crate::config::Config;
use crate::jwt::{self, Status};
use crate::pkce::Pkce;
use crate::web::Host;

/// A running vault.
#[wasm_bindgen]
pub struct Vault(Host);

#[wasm_bindgen]
impl Vault {
    /// Starts a vault with a configuration in JSON; `base_url` is the worker's address.
    ///
    /// # Errors
    /// An `Error` whose `code` is `config_invalid`.
    #[wasm_bindgen(constructor)]
    pub fn new(config_json: &str, base_url: &str) -> Result<Vault, JsValue> {
        match Config::parse(config_json, base_url) {
            Ok(config) => Ok(Self(Host::new(config))),
            Err(error) => Err(to_js(&error)),
        }
    }

    /// Serves a page.
    pub fn connect(&self, port: MessagePort) {
        self.0.connect(port);
    }
}

fn to_js(error: &crate::Error) -> JsValue {
    let message = [error.message(), ". ", error.code().advice()].concat();
    let js_error = js_sys::Error::new(&message);
    let code = error.code().as_str();
    // A fresh object takes any member.
    let _ = js_sys::Reflect::set(&js_error, &"code".into(), &code.into());
    js_error.into()
}

/// A PKCE pair: the verifier's 43 characters, then the challenge's 43. One text, because each that
/// crosses costs as much as the hashing.
#[wasm_bindgen]
#[must_use]
pub fn generate_pkce() -> String {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).expect("the platform has random numbers");
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
