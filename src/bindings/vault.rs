//! The vault, for `strongroom/worker`: one in each worker.

use crate::prelude::*;
use core::cell::Cell;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::MessagePort;

use crate::bindings::thrown;
use crate::browser::Host;
use crate::browser::platform::{OnEvent, StoreLock, Text, WorkerScope};
use crate::config::Config;

/// The worker's vault, except while it handles an event. The vault lives as long as its worker, so it is never dropped.
struct HostCell(Cell<Option<&'static mut Host>>);

#[expect(unsafe_code, reason = "a static has to be `Sync`")]
// SAFETY: this module is built without threads, and no two workers share its memory.
unsafe impl Sync for HostCell {}

static VAULT: HostCell = HostCell(Cell::new(None));

/// Starts the vault with a configuration in JSON. `base_url` is the worker's URL and `scope` its global object.
/// `on_event` gets every event, and has to pass its arguments to [`on_event()`]. `store_lock` connects the vaults that
/// share a store.
///
/// # Errors
/// An object with `code`, which is `config_invalid`, and `message`.
// The strings are copied here, because the glue for arguments of type `String` is larger.
#[expect(clippy::needless_pass_by_value, reason = "wasm-bindgen passes them so")]
#[wasm_bindgen]
pub fn start(
    config_json: Text,
    base_url: Text,
    scope: WorkerScope,
    on_event: OnEvent,
    store_lock: StoreLock,
) -> Result<(), JsValue> {
    match Config::parse(&config_json.copy(), &base_url.copy()) {
        Ok(config) => {
            let host = Host::new(config, scope, on_event, store_lock);
            VAULT.0.set(Some(Box::leak(Box::new(host))));
            Ok(())
        }
        Err(error) => Err(thrown(&error)),
    }
}

/// Serves a page. Does nothing before the start.
#[wasm_bindgen]
pub fn connect(port: MessagePort) {
    with(|host| host.connect(port));
}

/// Takes an event: the arguments that the function given to [`start`] gets.
#[wasm_bindgen(js_name = onEvent)]
pub fn on_event(event: u32, id: u32, value: JsValue) {
    with(|host| host.on_event(event, id, value));
}

/// Lends the host to `act`. The host calls nothing that calls back before it returns, so the cell is never empty here.
fn with(act: impl FnOnce(&mut Host)) {
    if let Some(host) = VAULT.0.take() {
        act(host);
        VAULT.0.set(Some(host));
    }
}
