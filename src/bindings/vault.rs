//! The vault, for `strongroom/worker`: one in each worker.

use crate::prelude::*;
use core::cell::Cell;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::browser::Host;
use crate::browser::platform;
use crate::config::Config;

/// The worker's vault, unless something is happening in it. It lives as long as its worker, so nothing
/// of it is ever dropped.
struct Slot(Cell<Option<&'static mut Host>>);

#[expect(unsafe_code, reason = "a static has to be `Sync`")]
// SAFETY: this module is built without threads, and no two workers share its memory.
unsafe impl Sync for Slot {}

static VAULT: Slot = Slot(Cell::new(None));

/// Starts the vault with a configuration in JSON; `base_url` is the worker's address, `scope` its
/// global object. What happens there is reported to `happened`, which has to pass its arguments to the
/// function of that name. `common` is what vaults over one store have in common.
///
/// # Errors
/// An object with `code`, which is `config_invalid`, and `message`.
#[wasm_bindgen]
pub fn start(
    config_json: &JsValue,
    base_url: &JsValue,
    scope: JsValue,
    happened: JsValue,
    common: JsValue,
) -> Result<(), JsValue> {
    // As texts they would need glue of their own.
    let [config_json, base_url] = [config_json, base_url].map(platform::to_text);
    match Config::parse(
        &config_json.unwrap_or_default(),
        &base_url.unwrap_or_default(),
    ) {
        Ok(config) => {
            let host = Host::new(config, scope, happened, common);
            VAULT.0.set(Some(Box::leak(Box::new(host))));
            Ok(())
        }
        Err(error) => Err(platform::error(error.code().as_str(), error.message())),
    }
}

/// Serves a page. Before the start it does nothing.
#[wasm_bindgen]
pub fn connect(port: JsValue) {
    with(|host| host.connect(port));
}

/// Something happened.
#[wasm_bindgen]
pub fn happened(event: u32, id: u32, value: &JsValue) {
    with(|host| host.happened(event, id, value));
}

/// Nothing the host does calls back in before it returns; if something did, it would find nobody.
fn with(act: impl FnOnce(&mut Host)) {
    if let Some(host) = VAULT.0.take() {
        act(host);
        VAULT.0.set(Some(host));
    }
}
