//! What must survive a full-page redirect, in IndexedDB, sealed with AES-256-GCM by a key that is
//! not extractable.
//!
//! The seal keeps a login's secrets out of disks and backups. It does not keep them from scripts of
//! the same origin, which could ask the browser to use the key; what they would find is good for ten
//! minutes, for one login, and only together with its authorization code.

use crate::prelude::*;
use core::cell::RefCell;

use js_sys::{Array, Date, Object, Reflect, Uint8Array};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    CryptoKey, IdbDatabase, IdbObjectStore, IdbOpenDbRequest, IdbTransactionMode, SubtleCrypto,
};

use super::js;
use crate::Secret;
use crate::clock::UnixMillis;
use crate::vault::Taken;

const DATABASE: &str = "strongroom";
const VERSION: u32 = 1;
const KEYS: &str = "keys";
const LOGINS: &str = "logins";
/// The name of the one key.
const SEAL: &str = "seal";

/// The store, opened when first used.
#[derive(Default)]
pub(super) struct Store {
    database: RefCell<Option<IdbDatabase>>,
}

impl Store {
    /// Seals and stores `value`, and throws away what has expired.
    pub(super) async fn put(
        &self,
        name: &str,
        value: &Secret,
        expires_at: UnixMillis,
    ) -> Result<(), JsValue> {
        let database = self.database().await?;
        let key = seal_key(&database).await?;
        let mut iv = [0; 12];
        getrandom::fill(&mut iv).map_err(|_| JsValue::UNDEFINED)?;
        let iv = js::octets(&iv);
        let plain = js::octets(value.expose().as_bytes());
        let sealing =
            subtle()?.encrypt_with_object_and_js_u8_array(&parameters(&iv, name), &key, &plain)?;
        let sealed = JsFuture::from(sealing).await?;
        plain.fill(0, 0, plain.length());
        let record = js::object(&[
            ("expiresAt", &(expires_at as f64).into()),
            ("iv", &iv),
            ("sealed", &sealed),
        ]);
        let store = open(&database, LOGINS, IdbTransactionMode::Readwrite)?;
        discard_expired(&store).await?;
        let request = store.put_with_key(&record, &JsValue::from_str(name))?;
        JsFuture::from(js::done(&request)).await?;
        Ok(())
    }

    /// Takes out what is stored under `name`, and leaves a mark that it was there.
    pub(super) async fn take(&self, name: &str) -> Taken {
        self.try_take(name).await.unwrap_or(Taken::Unavailable)
    }

    async fn try_take(&self, name: &str) -> Result<Taken, JsValue> {
        let database = self.database().await?;
        let store = open(&database, LOGINS, IdbTransactionMode::Readwrite)?;
        let request = store.get(&JsValue::from_str(name))?;
        JsFuture::from(js::done(&request)).await?;
        let record = request.result()?;
        if record.is_undefined() {
            return Ok(Taken::Absent);
        }
        let sealed = js::get(&record, "sealed");
        if sealed.is_undefined() {
            return Ok(Taken::Used);
        }
        // In the same transaction, so that of two takers one gets it.
        let mark = js::object(&[("expiresAt", &js::get(&record, "expiresAt"))]);
        let request = store.put_with_key(&mark, &JsValue::from_str(name))?;
        JsFuture::from(js::done(&request)).await?;
        let key = seal_key(&database).await?;
        let iv: Uint8Array = js::get(&record, "iv").unchecked_into();
        let sealed = Uint8Array::new(&sealed);
        let opening =
            subtle()?.decrypt_with_object_and_js_u8_array(&parameters(&iv, name), &key, &sealed)?;
        // What does not open was sealed with a key that is gone: it is of no use to anyone.
        let Ok(plain) = JsFuture::from(opening).await else {
            return Ok(Taken::Absent);
        };
        let plain = Uint8Array::new(&plain);
        let text = String::from_utf8(plain.to_vec());
        plain.fill(0, 0, plain.length());
        Ok(text.map_or(Taken::Absent, |text| Taken::Found(Secret::new(text))))
    }

    async fn database(&self) -> Result<IdbDatabase, JsValue> {
        if let Some(database) = &*self.database.borrow() {
            return Ok(database.clone());
        }
        let factory = js::get(&js_sys::global(), "indexedDB");
        if factory.is_undefined() {
            return Err(JsValue::UNDEFINED);
        }
        let factory: web_sys::IdbFactory = factory.unchecked_into();
        let request: IdbOpenDbRequest = factory.open_with_u32(DATABASE, VERSION)?;
        let upgrading = request.clone();
        let on_upgrade = Closure::once(move || -> Result<(), JsValue> {
            let database: IdbDatabase = upgrading.result()?.unchecked_into();
            database.create_object_store(KEYS)?;
            database.create_object_store(LOGINS)?;
            Ok(())
        });
        request.set_onupgradeneeded(Some(on_upgrade.as_ref().unchecked_ref()));
        JsFuture::from(js::done(&request)).await?;
        let database: IdbDatabase = request.result()?.unchecked_into();
        *self.database.borrow_mut() = Some(database.clone());
        Ok(database)
    }
}

fn subtle() -> Result<SubtleCrypto, JsValue> {
    Ok(js::scope().crypto()?.subtle())
}

/// The name is authenticated along with the text: a record under another name does not open.
fn parameters(iv: &Uint8Array, name: &str) -> Object {
    js::object(&[
        ("name", &"AES-GCM".into()),
        ("iv", iv),
        ("additionalData", &js::octets(name.as_bytes())),
    ])
}

fn open(
    database: &IdbDatabase,
    name: &str,
    mode: IdbTransactionMode,
) -> Result<IdbObjectStore, JsValue> {
    let transaction = database.transaction_with_str_and_mode(name, mode)?;
    transaction.object_store(name)
}

/// The key, made when first needed. Of two workers that make one at once, the first keeps its own.
async fn seal_key(database: &IdbDatabase) -> Result<CryptoKey, JsValue> {
    let store = open(database, KEYS, IdbTransactionMode::Readonly)?;
    if let Some(key) = stored_key(&store).await? {
        return Ok(key);
    }
    let algorithm = js::object(&[("name", &"AES-GCM".into()), ("length", &256.into())]);
    let usages = Array::of2(&"encrypt".into(), &"decrypt".into());
    let making = subtle()?.generate_key_with_object(&algorithm, false, &usages)?;
    let made = JsFuture::from(making).await?;
    let store = open(database, KEYS, IdbTransactionMode::Readwrite)?;
    if let Some(key) = stored_key(&store).await? {
        return Ok(key);
    }
    let request = store.put_with_key(&made, &SEAL.into())?;
    JsFuture::from(js::done(&request)).await?;
    Ok(made.unchecked_into())
}

async fn stored_key(store: &IdbObjectStore) -> Result<Option<CryptoKey>, JsValue> {
    let request = store.get(&SEAL.into())?;
    JsFuture::from(js::done(&request)).await?;
    Ok(request.result()?.dyn_into().ok())
}

async fn discard_expired(store: &IdbObjectStore) -> Result<(), JsValue> {
    let (names, records) = (store.get_all_keys()?, store.get_all()?);
    JsFuture::from(js::done(&records)).await?;
    let (names, records) = (names.result()?, records.result()?);
    let count = js::get(&names, "length").as_f64().unwrap_or_default() as u32;
    for i in 0..count {
        let record = Reflect::get_u32(&records, i)?;
        let expires_at = js::get(&record, "expiresAt").as_f64().unwrap_or_default();
        if expires_at < Date::now() {
            store.delete(&Reflect::get_u32(&names, i)?)?;
        }
    }
    Ok(())
}
