//! The vault, for `strongroom/worker`.

use crate::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::config::Config;
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
    js::error(error.code().as_str(), error.message())
}
