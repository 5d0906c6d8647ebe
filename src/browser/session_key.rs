//! The key that encrypts stored sessions. The key is either in the store or in escrow. A vault that finds no key in the
//! store always creates one. A vault that finds no key in escrow creates one only to store a session.

use core::cell::RefCell;
use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AesKeyGenParams, CryptoKey, Response};

use crate::base::entropy;
use crate::browser::database::{self, KEYS};
use crate::browser::escrow::{self, Escrow};
use crate::browser::operation::Task;
use crate::browser::platform::{self, Database, WorkerScope};
use crate::browser::sealing::{self, KEY_LEN};
use crate::codec::base64url;

/// The name of the key in the store.
const SEAL: &str = "seal";

/// Returns the key in the store. A key that is missing is created. If two workers create the key at the same time, the
/// store keeps the first key.
pub(super) async fn in_store(task: &Task, database: &Database) -> Result<CryptoKey, JsValue> {
    let keys = database::open_store(database, KEYS, "readwrite")?;
    if let Some(key) = usable(task.wait(database::read(&keys, SEAL)?).await?) {
        return Ok(key);
    }
    let made: CryptoKey = task.wait(make_key(&task.scope)?).await?.unchecked_into();
    // The first transaction has ended meanwhile, and another vault may have stored a key.
    let keys = database::open_store(database, KEYS, "readwrite")?;
    if let Some(key) = usable(task.wait(database::read(&keys, SEAL)?).await?) {
        return Ok(key);
    }
    let storing = keys.put_with_key(&made, &SEAL.into())?;
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
fn usable(value: JsValue) -> Option<CryptoKey> {
    let key: CryptoKey = value.dyn_into().ok()?;
    key.usages().includes(&"decrypt".into(), 0).then_some(key)
}

/// Looks for the key. If `another` is true, requests the key from the escrow even if this vault has a key. If `makes` is
/// true and the escrow has no key, creates a key and sends it to the escrow. Returns `None` if there is no key.
pub(super) async fn in_escrow(
    task: &Task,
    escrow: &RefCell<Escrow>,
    another: bool,
    makes: bool,
) -> Result<Option<CryptoKey>, JsValue> {
    let known = escrow.borrow().key.filter(|_| !another);
    let key = match known {
        Some(key) => key,
        None if escrow.borrow().is_absent => return Ok(None),
        None => match request_key(task, escrow, makes).await? {
            Some(key) => key,
            None => return Ok(None),
        },
    };
    let importing = sealing::import_key(&task.scope, &key)?;
    Ok(Some(task.wait(importing).await?.unchecked_into()))
}

/// Requests the key from the escrow.
async fn request_key(
    task: &Task,
    known: &RefCell<Escrow>,
    makes: bool,
) -> Result<Option<[u8; KEY_LEN]>, JsValue> {
    let mut nonce = [0; 16];
    entropy::fill(&mut nonce);
    let nonce = base64url::encode(&nonce);
    let asking = known.borrow().request(&task.scope, "GET", &nonce, None)?;
    let response: Response = task.wait(asking).await?.unchecked_into();
    let is_escrow = escrow::is_of_escrow(&response, &nonce);
    match response.status() {
        200 if is_escrow => {
            let bytes = platform::bytes_of(&task.wait(response.array_buffer()?).await?);
            if bytes.length() as usize != KEY_LEN {
                return Ok(None);
            }
            let mut key = [0; KEY_LEN];
            bytes.copy_to(&mut key);
            platform::wipe(&bytes);
            known.borrow_mut().key = Some(key);
            Ok(Some(key))
        }
        204 if is_escrow && makes => hand_new_key_over(task, known).await,
        204 if is_escrow => Ok(None),
        _ => {
            known.borrow_mut().is_absent = true;
            Ok(None)
        }
    }
}

/// Creates a key, and sends it to the escrow. Returns `None` if the escrow refuses it.
async fn hand_new_key_over(
    task: &Task,
    escrow: &RefCell<Escrow>,
) -> Result<Option<[u8; KEY_LEN]>, JsValue> {
    let mut key = [0; KEY_LEN];
    entropy::fill(&mut key);
    escrow.borrow_mut().key = Some(key);
    let handing = escrow
        .borrow()
        .request(&task.scope, "PUT", "", Some(&key))?;
    let response: Response = task.wait(handing).await?.unchecked_into();
    if response.status() == 204 {
        return Ok(Some(key));
    }
    escrow.borrow_mut().key = None;
    Ok(None)
}
