//! The functions that the module exports to `strongroom/worker`. The functions that it imports from JavaScript are in
//! `platform`. Each worker has one vault.

use core::cell::Cell;
use rules::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::MessagePort;

use crate::host::Host;
use crate::platform::{OnEvent, StoreLock, Text, VaultDatabase, WorkerScope};
use vault::config::Config;

/// The host of the worker's vault. The cell is empty before the start, and while the host handles an event. The host
/// lives as long as its worker, so it is never dropped.
struct HostCell(Cell<Option<&'static mut Host>>);

#[expect(unsafe_code, reason = "a static has to be `Sync`")]
// SAFETY: this module is built without threads, and no two workers share its memory.
unsafe impl Sync for HostCell {}

static VAULT: HostCell = HostCell(Cell::new(None));

/// Starts the vault with a configuration in JSON. `base_url` is the worker's URL, and `scope` is the worker's global
/// object. The platform calls the JavaScript function `on_event` for each event. This function has to pass its
/// arguments to the exported function [`on_event()`]. `store_lock` connects the vaults that share a store, and `database` is
/// their store.
///
/// Returns `undefined`, or the message of an error with the code `config_invalid`.
// The function copies the strings itself, because the JavaScript glue for arguments of type `String` is larger.
#[expect(clippy::needless_pass_by_value, reason = "wasm-bindgen passes them so")]
#[wasm_bindgen]
pub fn start(
    config_json: Text,
    base_url: Text,
    name: Text,
    scope: WorkerScope,
    on_event: OnEvent,
    store_lock: StoreLock,
    database: VaultDatabase,
) -> JsValue {
    let config = Config::parse(&config_json.copy(), &base_url.copy());
    match config.and_then(|config| config.with_account(&name.copy())) {
        Ok(config) => {
            let mut host = Host::new(config, scope, on_event, store_lock, database);
            host.load();
            VAULT.0.set(Some(Box::leak(Box::new(host))));
            JsValue::UNDEFINED
        }
        Err(error) => JsValue::from_str(error.message()),
    }
}

/// Serves the page at the other end of `port`. `is_framed` is true for a page of another origin, which uses the vault
/// through a frame. Does nothing before [`start`].
#[wasm_bindgen]
pub fn connect(port: MessagePort, is_framed: bool) {
    with(|host| host.connect(port, is_framed));
}

/// Handles an event. The arguments are those of a call to the function `on_event` that [`start`] was given.
#[wasm_bindgen(js_name = onEvent)]
pub fn on_event(event: u32, id: u32, value: JsValue) {
    with(|host| host.on_event(event, id, value));
}

/// Lends the host to `act`. The host calls no function that could call `with` again before `act` returns, so after the
/// start the cell is never empty here.
fn with(act: impl FnOnce(&mut Host)) {
    if let Some(host) = VAULT.0.take() {
        act(host);
        VAULT.0.set(Some(host));
    }
}
