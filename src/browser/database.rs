//! The object stores of the vault's database in IndexedDB, and their records. pkg/src/worker/database.ts opens the database
//! and creates the stores.

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{IdbObjectStore, IdbRequest};

use crate::platform::{self, Awaited, Database, Record};

/// The object store for the key that encrypts sessions.
pub(super) const KEYS: &str = "keys";
/// The object store for the records of logins and sessions. The key path is `name`.
pub(super) const LOGINS: &str = "logins";

/// Largest number of records that are checked for their expiry when a record is stored.
const MAX_RECORDS: u32 = 100;

/// Returns an object store in a transaction of its own.
pub(super) fn open_store(
    database: &Database,
    store: &str,
    mode: &str,
) -> Result<IdbObjectStore, JsValue> {
    database
        .transaction(&store.into(), mode)?
        .object_store(store)
}

/// Returns the stores of records and of the key, in a transaction that only reads.
pub(super) fn open_both(database: &Database) -> Result<[IdbObjectStore; 2], JsValue> {
    let names = Array::of2(&LOGINS.into(), &KEYS.into());
    let transaction = database.transaction(&names, "readonly")?;
    Ok([
        transaction.object_store(LOGINS)?,
        transaction.object_store(KEYS)?,
    ])
}

/// Begins to read the value that is stored under `name`.
pub(super) fn read(store: &IdbObjectStore, name: &str) -> Result<IdbRequest, JsValue> {
    store.get(&name.into())
}

/// Begins to read the first [`MAX_RECORDS`] records, so that the expired ones can be deleted.
pub(super) fn read_all(store: &IdbObjectStore) -> Result<Awaited, JsValue> {
    let all = store.get_all_with_key_and_limit(&JsValue::UNDEFINED, MAX_RECORDS)?;
    Ok(all.into())
}

/// Deletes those of `records` that have expired.
pub(super) fn discard_expired(store: &IdbObjectStore, records: &Array) -> Result<(), JsValue> {
    let mut i = 0;
    loop {
        let record = records.get(i);
        if record.is_undefined() {
            return Ok(());
        }
        i += 1;
        // The vault stores only objects, so any other value means that the database is damaged. The operation then
        // fails and is repeated with a new database.
        let record = as_record(record).ok_or(JsValue::UNDEFINED)?;
        let expires_at = record.expires_at().as_f64().unwrap_or_default();
        if expires_at < platform::wall_clock() {
            store.delete(&record.name())?;
        }
    }
}

/// Returns the record that was read, or `None` if it is not an object. A script of this origin may have stored `null`,
/// and reading a member of `null` throws.
pub(super) fn as_record(value: JsValue) -> Option<Record> {
    value.is_object().then(|| value.unchecked_into())
}

/// Returns a record without content.
pub(super) fn record(name: &str, expires_at: f64) -> Record {
    let record: Record = platform::dictionary("{}");
    record.set_name(name);
    record.set_expires_at(expires_at);
    record
}
