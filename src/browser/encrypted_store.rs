//! Pending logins and sessions in IndexedDB, sealed with AES-256-GCM. A stored login survives the redirect to the
//! provider, and a stored session survives the end of its worker.
//!
//! The key of a login is derived from the login's `state`. This key is not stored: the provider's response contains the
//! state, from which the vault derives the key again. A derived key also works in shared workers of `WebKit`, which
//! cannot store keys. A script of this origin that saw the URL of the login can decrypt the record. The record is
//! useful for at most ten minutes, and only together with the authorization code.
//!
//! A session is stored only if the configuration asks for it. The key that encrypts sessions is not extractable, so
//! script cannot take it away. Scripts of the same origin can ask the browser to use the key, and a copy of the browser's
//! profile has the key: browsers store such keys in plain form. The key may be in escrow instead: see `escrow`.

use core::cell::RefCell;
use core::ops::Deref;
use js_sys::Array;
use rules::codec::base64url;
use rules::oauth::pkce;
use rules::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::CryptoKey;

use crate::database::{self, LOGINS};
use crate::dpop::PrivateKey;
use crate::escrow::Escrow;
use crate::operation::Task;
use crate::platform::{Awaited, Database, Lease, Record};
use crate::sealing;
use crate::session_key::{self, Need};
use rules::Secret;
use rules::base::clock::UnixMillis;
use vault::{Loaded, Taken};

/// The name of a record, and the place of the key that encrypts it.
pub(super) struct Place {
    name: String,
    /// The key of a login's record. `None` for a session, whose key is in the store or in escrow.
    secret: Option<[u8; sealing::KEY_LEN]>,
}

impl Place {
    /// Returns the place of a login, or of the mark that a session has ended (`src/vault/persistence/tombstone.rs`). Name
    /// and encryption key are derived from `key`. The name does not reveal the encryption key.
    pub(super) fn of_login(key: &str) -> Self {
        let name = base64url::encode(&pkce::sha256(key.as_bytes()));
        let secret = pkce::sha256([&name, key].concat().as_bytes());
        Self {
            name,
            secret: Some(secret),
        }
    }

    pub(super) const fn of_session(name: String) -> Self {
        Self { name, secret: None }
    }

    /// Returns the escrow that has the key of this record, if it is in escrow.
    fn escrow<'a>(&self, task: &'a Task) -> Option<&'a RefCell<Escrow>> {
        task.escrow.as_ref().filter(|_| self.secret.is_none())
    }

    /// Returns the key. Only a key in escrow can be missing.
    async fn key(
        &self,
        task: &Task,
        database: &OpenDatabase,
        need: Need,
    ) -> Result<Option<CryptoKey>, JsValue> {
        if let Some(secret) = &self.secret {
            let importing = sealing::import_key(&task.scope, secret)?;
            return Ok(Some(task.wait(importing).await?.unchecked_into()));
        }
        match self.escrow(task) {
            Some(escrow) => session_key::in_escrow(task, escrow, need).await,
            None => session_key::in_store(task, database).await.map(Some),
        }
    }
}

/// The open database, which an operation uses. Meanwhile it cannot be deleted.
struct OpenDatabase {
    database: Database,
    _lease: EndingLease,
}

impl OpenDatabase {
    async fn open(task: &Task) -> Result<Self, JsValue> {
        let lease = EndingLease(task.database.lease());
        let opened = task.wait(lease.0.opened()).await?;
        Ok(Self {
            database: opened.unchecked_into(),
            _lease: lease,
        })
    }
}

impl Deref for OpenDatabase {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

/// A lease that ends with its operation, even if the operation is canceled.
struct EndingLease(Lease);

impl Drop for EndingLease {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The reason why a record could not be stored.
pub(super) enum Obstacle {
    /// Another vault has taken the lock over, and has stored the session since.
    Overtaken,
    /// The database is full or busy. It is not deleted, because other vaults have their sessions in it.
    Busy,
    /// Anything else: the database may be damaged.
    Other,
}

impl From<JsValue> for Obstacle {
    fn from(_: JsValue) -> Self {
        Self::Other
    }
}

/// Seals and stores a secret until the given time, and deletes expired records. If that fails, tries again with a new
/// connection to the database. If the database still seems to be damaged, deletes it and tries once more, except with an
/// escrow.
///
/// A session replaces only a record that this vault knows. A vault whose page was frozen may not know yet that another
/// vault has taken the lock over.
///
/// # Errors
/// The reason why the record was not stored.
pub(super) async fn put(
    task: &Task,
    place: &Place,
    value: &Secret,
    expires_at: UnixMillis,
    key_pair: Option<PrivateKey>,
) -> Result<(), Obstacle> {
    let key_pair = key_pair.as_ref();
    // If the vault loses the lock and gets it again, what it then reads must not permit this write.
    let known = task.known_versions.borrow().clone();
    let put_once = async || put_once(task, place, value, (expires_at, key_pair), &known).await;
    let mut stored = put_once().await;
    if matches!(stored, Err(Obstacle::Other)) {
        task.database.forget();
        stored = put_once().await;
    }
    let may_delete = matches!(stored, Err(Obstacle::Other)) && place.escrow(task).is_none();
    if may_delete && delete_database(task).await.is_ok() {
        stored = put_once().await;
    }
    stored
}

async fn delete_database(task: &Task) -> Result<(), JsValue> {
    task.wait(task.database.remove()?).await.map(drop)
}

async fn put_once(
    task: &Task,
    place: &Place,
    value: &Secret,
    (expires_at, key_pair): (UnixMillis, Option<&PrivateKey>),
    known: &[Option<f64>],
) -> Result<(), Obstacle> {
    let database = OpenDatabase::open(task).await?;
    let key = place.key(task, &database, Need::Seal).await?;
    let key = key.ok_or(Obstacle::Other)?;
    let record = database::record(&place.name, expires_at as f64);
    if let Some(key_pair) = key_pair {
        key_pair.put_into(&record);
    }
    let sealing = sealing::seal(&task.scope, &key, &place.name, &record, value)?;
    record.set_sealed(&task.wait(sealing).await?.unchecked_into());
    let logins = database::open_store(&database, LOGINS, "readwrite")?;
    if place.secret.is_none() {
        let reading = task.wait(database::read(&logins, &place.name)?).await;
        let current = database::as_record(reading.map_err(|_| Obstacle::Busy)?);
        let current = current.map(|record| record.version().as_f64());
        if current.is_some_and(|version| !known.contains(&version)) {
            return Err(Obstacle::Overtaken);
        }
        let mut version = [0; 4];
        wasm::fill_random(&mut version);
        let version = f64::from(u32::from_ne_bytes(version));
        task.known_versions.borrow_mut().push(Some(version));
        record.set_version(version);
    }
    let reading = database::read_all(&logins)?;
    let records = task.wait(reading).await.map_err(|_| Obstacle::Busy)?;
    let records: Array = records.unchecked_into();
    database::discard_expired(&logins, &records)?;
    logins.put(&record)?;
    // The operation waits for the transaction, which may fail to commit even if the request has succeeded.
    let transaction = Awaited::Transaction(logins.transaction());
    let committed = task.wait(transaction).await;
    committed.map_err(|_| Obstacle::Busy)?;
    Ok(())
}

/// Reads a login's record, and replaces it by a record without content. The replacement shows that the login was used.
pub(super) async fn take(task: &Task, place: &Place) -> Taken {
    let taken = take_once(task, place).await;
    taken.unwrap_or_else(|_| {
        task.database.forget();
        Taken::Unavailable
    })
}

async fn take_once(task: &Task, place: &Place) -> Result<Taken, JsValue> {
    let database = OpenDatabase::open(task).await?;
    let key = place.key(task, &database, Need::Open).await?;
    let key = key.ok_or(JsValue::UNDEFINED)?;
    let logins = database::open_store(&database, LOGINS, "readwrite")?;
    let read = task.wait(database::read(&logins, &place.name)?).await?;
    let Some(record) = database::as_record(read) else {
        return Ok(Taken::Absent);
    };
    if record.sealed().is_none() {
        return Ok(Taken::Used);
    }
    // The record is replaced in the transaction that read it, so that only one of two concurrent operations gets the
    // content.
    let expires_at = record.expires_at().as_f64().unwrap_or_default();
    let marking = logins.put(&database::record(&place.name, expires_at))?;
    task.wait(marking).await?;
    let opening = sealing::open(&task.scope, &key, &place.name, &record)?;
    // A record that cannot be decrypted counts as missing, because no vault can use it.
    let Ok(opened) = task.wait(opening).await else {
        return Ok(Taken::Absent);
    };
    remember_key(task, PrivateKey::of(&record).unwrap_or_default());
    Ok(sealing::opened(&opened).map_or(Taken::Absent, Taken::Found))
}

/// Reads the record of a session. `is_locked` is true if this vault has the lock, so that its next writes may replace this
/// record. If the session's key is in escrow and does not decrypt the record, tries once more with the key that the escrow
/// has now: another vault may have sealed the record with a newer one.
pub(super) async fn load(task: &Task, place: &Place, is_locked: bool) -> Loaded {
    let mut loaded = load_once(task, place, Need::Open, is_locked).await;
    if place.escrow(task).is_some() && matches!(loaded, Ok(None)) {
        loaded = load_once(task, place, Need::OpenAgain, is_locked).await;
    }
    match loaded {
        Ok(loaded) => loaded.unwrap_or(Loaded::Damaged),
        Err(_) => {
            task.database.forget();
            Loaded::Unavailable
        }
    }
}

/// Returns `None` if the record cannot be decrypted.
async fn load_once(
    task: &Task,
    place: &Place,
    need: Need,
    is_locked: bool,
) -> Result<Option<Loaded>, JsValue> {
    let database = OpenDatabase::open(task).await?;
    let (record, stored_key) = read(task, place, &database).await?;
    if is_locked {
        let version = record.as_ref().map(|record| record.version().as_f64());
        *task.known_versions.borrow_mut() = version.into_iter().collect();
    }
    let Some(record) = record.filter(|record| record.sealed().is_some()) else {
        return Ok(Some(Loaded::Nothing));
    };
    let Ok(key_pair) = PrivateKey::of(&record) else {
        return Ok(Some(Loaded::Damaged));
    };
    // A key in escrow is requested only if there is a record.
    let key = match place.escrow(task) {
        Some(escrow) => session_key::in_escrow(task, escrow, need).await?,
        // No vault can open a record whose key is not in the store.
        None if stored_key.is_none() => return Ok(Some(Loaded::Damaged)),
        None => stored_key,
    };
    let Some(key) = key else {
        // Without its key, a record counts as missing. It is not reported as damaged, because another vault may have
        // the key.
        return match need {
            Need::OpenAgain => Err(JsValue::UNDEFINED),
            _ => Ok(Some(Loaded::Nothing)),
        };
    };
    let opening = sealing::open(&task.scope, &key, &place.name, &record)?;
    let Ok(opened) = task.wait(opening).await else {
        return Ok(None);
    };
    remember_key(task, key_pair);
    let content = sealing::opened(&opened);
    Ok(Some(content.map_or(Loaded::Damaged, Loaded::Found)))
}

/// Reads the record of a session, and the key in the store, in one transaction. It is read-only: such a transaction does not
/// block others that read, and works on a full disk.
async fn read(
    task: &Task,
    place: &Place,
    database: &Database,
) -> Result<(Option<Record>, Option<CryptoKey>), JsValue> {
    let [logins, keys] = database::open_both(database)?;
    // Requests of one transaction end in the order in which they were made, so the second wait is enough for both.
    let reading = database::read(&keys, session_key::NAME)?;
    let record = task.wait(database::read(&logins, &place.name)?).await?;
    let key = session_key::usable(reading.result()?);
    Ok((database::as_record(record), key))
}

/// Keeps the private key for DPoP that was in a record.
fn remember_key(task: &Task, key_pair: Option<PrivateKey>) {
    if let Some(key) = key_pair {
        task.keys.borrow_mut().insert(key);
    }
}
