//! The vault's database in IndexedDB.

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{IdbFactory, IdbObjectStore, IdbObjectStoreParameters, IdbRequest};

use crate::browser::context::{Context, Event};
use crate::browser::platform::{self, Awaited, Database, Record, WorkerScope};

const NAME: &str = "strongroom";
const VERSION: u32 = 1;

/// The object store of the key that sessions are sealed with.
pub(super) const KEYS: &str = "keys";
/// The object store of logins and sessions, by their `name`.
pub(super) const LOGINS: &str = "logins";

/// Records that are searched for expired ones at a time.
const MAX_RECORDS: u32 = 100;

/// Begins to open the database.
pub(super) fn open(context: &Context) -> Result<Awaited, JsValue> {
    let request = factory(&context.scope)?.open_with_u32(NAME, VERSION)?;
    let upgrade = context.listener(Event::Upgrade, 0);
    request.set_onupgradeneeded(Some(&upgrade));
    Ok(IdbRequest::from(request).into())
}

/// Begins to delete the database.
pub(super) fn delete(scope: &WorkerScope) -> Result<Awaited, JsValue> {
    let request = factory(scope)?.delete_database(NAME)?;
    Ok(IdbRequest::from(request).into())
}

/// Creates the object stores of a new database, in response to its event.
pub(super) fn create_stores(event: &JsValue) {
    let database: Database = platform::result_of(event).unchecked_into();
    // If creating the object store fails, its first use also fails.
    for (name, parameters) in [(KEYS, "{}"), (LOGINS, r#"{"keyPath":"name"}"#)] {
        let parameters: IdbObjectStoreParameters = platform::dictionary(parameters);
        let _ = database.create_object_store_with_optional_parameters(name, &parameters);
    }
}

fn factory(scope: &WorkerScope) -> Result<IdbFactory, JsValue> {
    scope.indexed_db()?.ok_or(JsValue::UNDEFINED)
}

/// Returns an object store in a transaction of its own.
pub(super) fn open_store(
    database: &Database,
    store: &str,
    mode: &str,
) -> Result<IdbObjectStore, JsValue> {
    database.transaction(store, mode)?.object_store(store)
}

/// Begins to read what is stored under `name`.
pub(super) fn read(store: &IdbObjectStore, name: &str) -> Result<Awaited, JsValue> {
    Ok(store.get(&name.into())?.into())
}

/// Begins to read the records among which expired ones are searched for.
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
        // The operation fails, and replaces a database that is not the vault's.
        let record = as_record(record).ok_or(JsValue::UNDEFINED)?;
        let expires_at = record.expires_at().as_f64().unwrap_or_default();
        if expires_at < platform::wall_clock() {
            store.delete(&record.name())?;
        }
    }
}

/// Returns the record that was read, if there is one. Script of this origin may have stored `null`, whose members
/// throw.
pub(super) fn as_record(value: JsValue) -> Option<Record> {
    value.is_object().then(|| value.unchecked_into())
}

/// Returns a record that holds nothing yet.
pub(super) fn record(name: &str, expires_at: f64) -> Record {
    let record: Record = platform::dictionary("{}");
    record.set_name(name);
    record.set_expires_at(expires_at);
    record
}
