//! The key that encrypts stored sessions. The key is either in the store or in escrow. A vault that finds no key in the
//! store always creates one. A vault that finds no key in escrow creates one only to store a session.

use core::cell::RefCell;
use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AesKeyGenParams, CryptoKey, Response};

use crate::database::{self, KEYS};
use crate::escrow::{Escrow, is_of_escrow};
use crate::operation::Task;
use crate::platform::{self, Database, WorkerScope};
use rules::codec::base64url;

/// The name of the key in the store.
pub(super) const NAME: &str = "seal";

/// Returns the key in the store. A key that is missing is created. If two workers create the key at the same time, the
/// store keeps the first key.
pub(super) async fn in_store(task: &Task, database: &Database) -> Result<CryptoKey, JsValue> {
    let keys = database::open_store(database, KEYS, "readwrite")?;
    if let Some(key) = usable(task.wait(database::read(&keys, NAME)?).await?) {
        return Ok(key);
    }
    let made: CryptoKey = task.wait(make_key(&task.scope)?).await?.unchecked_into();
    // The first transaction has ended meanwhile, and another vault may have stored a key.
    let keys = database::open_store(database, KEYS, "readwrite")?;
    if let Some(key) = usable(task.wait(database::read(&keys, NAME)?).await?) {
        return Ok(key);
    }
    let storing = keys.put_with_key(&made, &NAME.into())?;
    task.wait(storing).await?;
    Ok(made)
}

/// Begins to make a key that is not extractable.
fn make_key(scope: &WorkerScope) -> Result<Promise, JsValue> {
    let algorithm: AesKeyGenParams = platform::dictionary(r#"{"name":"AES-GCM","length":256}"#);
    let usages = platform::usages("encrypt", "decrypt");
    platform::subtle(scope)?.generate_key_with_object(&algorithm, false, &usages)
}

/// Returns the key that was read from the store, if the key can decrypt. The key's ability to encrypt need not be
/// checked, because encryption with an unsuitable key fails.
pub(super) fn usable(value: JsValue) -> Option<CryptoKey> {
    let key: CryptoKey = value.dyn_into().ok()?;
    key.usages().includes(&"decrypt".into(), 0).then_some(key)
}

/// The reason why a key is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// A record is to be sealed. A key that is missing in escrow is created.
    Seal,
    /// A record is to be opened.
    Open,
    /// The key that this vault has did not open the record. The escrow may have another one now.
    OpenAgain,
}

/// Returns the key in escrow, or `None` if the escrow has no key.
pub(super) async fn in_escrow(
    task: &Task,
    escrow: &RefCell<Escrow>,
    need: Need,
) -> Result<Option<CryptoKey>, JsValue> {
    let is_known = need != Need::OpenAgain && escrow.borrow().has_key();
    if !is_known && !request_key(task, escrow, need == Need::Seal).await? {
        return Ok(None);
    }
    let Some(importing) = escrow.borrow().import(&task.scope) else {
        return Ok(None);
    };
    Ok(Some(task.wait(importing?).await?.unchecked_into()))
}

/// Requests the key from the escrow. If the escrow has none and `makes` is true, creates a key and sends it. Returns false
/// if there is no key.
async fn request_key(task: &Task, escrow: &RefCell<Escrow>, makes: bool) -> Result<bool, JsValue> {
    if escrow.borrow().is_absent() {
        return Ok(false);
    }
    let mut nonce = [0; 16];
    wasm::fill_random(&mut nonce);
    let nonce = base64url::encode(&nonce);
    let asking = escrow.borrow().ask(&task.scope, &nonce)?;
    let response: Response = task.wait(asking).await?.unchecked_into();
    let is_of_escrow = is_of_escrow(&response, &nonce);
    match response.status() {
        200 if is_of_escrow => {
            let bytes = platform::bytes_of(&task.wait(response.array_buffer()?).await?);
            Ok(escrow.borrow_mut().receive(&bytes))
        }
        204 if is_of_escrow && makes => {
            escrow.borrow_mut().make_key();
            let handing = escrow.borrow().hand_over(&task.scope);
            let handed = task.wait(handing.ok_or(JsValue::UNDEFINED)?).await?;
            let response: Response = handed.unchecked_into();
            let is_accepted = response.status() == 204;
            if !is_accepted {
                escrow.borrow_mut().forget();
            }
            Ok(is_accepted)
        }
        204 if is_of_escrow => Ok(false),
        _ => {
            escrow.borrow_mut().note_absence();
            Ok(false)
        }
    }
}
