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

use crate::codec::base64url;
use crate::oauth::pkce;
use crate::prelude::*;
use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, IdbObjectStore};

use crate::Secret;
use crate::base::clock::UnixMillis;
use crate::browser::context::{Context, Progress};
use crate::browser::database::{self, LOGINS};
use crate::browser::dpop::PrivateKey;
use crate::browser::platform::{Awaited, Database, Record};
use crate::browser::sealing;
use crate::browser::session_key::{KeyProgress, SessionKey, SessionKeyStage};
use crate::vault::{Input, Loaded, OpId, Taken};

/// An operation that stores or reads a login or a session.
///
/// The database is open only during the operation, because an open database cannot be deleted.
pub(super) struct StoreOp {
    /// The record's name.
    name: String,
    /// The key of a login's record; zeros for a session.
    secret: [u8; sealing::KEY_LEN],
    /// The place of the key of a session's record.
    session_key: SessionKey,
    work: Work,
    stage: StoreStage,
    database: Option<Database>,
    key: Option<CryptoKey>,
    is_second_try: bool,
    /// The private key for DPoP that is to be stored with the record, or that was read with it.
    key_pair: Option<PrivateKey>,
}

enum Work {
    /// Seals and stores the secret until the given time, and deletes expired records.
    Put(Secret, UnixMillis),
    /// Reads a record, and replaces it by a record without content. The replacement shows that the login was used.
    Take,
    /// Reads a record.
    Load,
}

/// The last step of the operation, with the values that the next step needs.
enum StoreStage {
    Begun,
    Opened,
    KeyImported,
    /// A step of the search for the key of sessions. The second value is the record to decrypt, if the record was read
    /// before the key.
    SessionKey(SessionKeyStage, Option<Record>),
    /// The content was encrypted. The value is the record, which still lacks the ciphertext.
    Sealed(Record),
    /// The existing records were read, to delete the expired ones. The values are the object store and the record to
    /// store.
    RecordsRead(IdbObjectStore, Record),
    RecordStored,
    /// The record was read. The value is the object store that the record was read from.
    RecordRead(IdbObjectStore),
    /// This record was replaced by a record without content.
    Marked(Record),
    Unsealed,
}

/// A promise, request or transaction, and the stage at which the operation continues with its result.
type Step = (Awaited, StoreStage);

impl StoreOp {
    /// Stores a login, or the mark that a session has ended (`src/vault/persistence/tombstone.rs`). The record's name
    /// and its encryption key are derived from `key`.
    pub(super) fn put(
        key: &str,
        value: Secret,
        expires_at: UnixMillis,
        key_pair: Option<PrivateKey>,
    ) -> Self {
        Self::of_login(key, Work::Put(value, expires_at), key_pair)
    }

    pub(super) fn take(key: &str) -> Self {
        Self::of_login(key, Work::Take, None)
    }

    /// Creates the operation for a login. The record's name does not reveal the key that encrypts the record.
    fn of_login(key: &str, work: Work, key_pair: Option<PrivateKey>) -> Self {
        let name = base64url::encode(&pkce::sha256(key.as_bytes()));
        let secret = pkce::sha256([&name, key].concat().as_bytes());
        Self::new(name, secret, SessionKey::None, work, key_pair)
    }

    pub(super) fn put_session(
        name: String,
        key: SessionKey,
        value: Secret,
        expires_at: UnixMillis,
        key_pair: Option<PrivateKey>,
    ) -> Self {
        let work = Work::Put(value, expires_at);
        Self::new(name, [0; sealing::KEY_LEN], key, work, key_pair)
    }

    pub(super) fn load_session(name: String, key: SessionKey) -> Self {
        Self::new(name, [0; sealing::KEY_LEN], key, Work::Load, None)
    }

    fn new(
        name: String,
        secret: [u8; sealing::KEY_LEN],
        session_key: SessionKey,
        work: Work,
        key_pair: Option<PrivateKey>,
    ) -> Self {
        Self {
            name,
            secret,
            session_key,
            work,
            stage: StoreStage::Begun,
            database: None,
            key: None,
            is_second_try: false,
            key_pair,
        }
    }

    /// Returns true if the operation loads the session.
    const fn is_load(&self) -> bool {
        matches!(self.work, Work::Load)
    }

    /// Closes the database. The browser lets its transactions finish first.
    pub(super) fn end(&self) {
        if let Some(database) = &self.database {
            database.close();
        }
    }

    /// Returns the input that reports to the core that the operation has failed.
    pub(super) fn failed(&self, op: OpId) -> Input<'static> {
        let is_unsealed = matches!(self.stage, StoreStage::Unsealed);
        match self.work {
            Work::Put(..) => Input::Stored { op, ok: false },
            Work::Take => {
                // A record that cannot be decrypted counts as missing, because no vault can use it.
                let taken = if is_unsealed {
                    Taken::Absent
                } else {
                    Taken::Unavailable
                };
                Input::Taken { op, taken }
            }
            Work::Load => {
                let loaded = if is_unsealed {
                    Loaded::Damaged
                } else {
                    Loaded::Unavailable
                };
                Input::Loaded { op, loaded }
            }
        }
    }

    /// Repeats an operation that failed with `error`, at most once. If the key is in escrow, see
    /// [`Self::retry_with_another_key`]. Otherwise, repeats only an operation that stores a record, and deletes the
    /// database first. Returns the error if the operation must not be repeated.
    pub(super) fn retry(&mut self, context: &Context, error: JsValue) -> Result<Progress, JsValue> {
        if self.session_key.is_escrowed() {
            return self.retry_with_another_key(context, error);
        }
        // A database that is only full or busy is not deleted, because other vaults have their sessions in it.
        let is_broken = !matches!(
            self.stage,
            StoreStage::RecordsRead(..) | StoreStage::RecordStored
        );
        if self.is_second_try || !is_broken || !matches!(self.work, Work::Put(..)) {
            return Err(error);
        }
        self.is_second_try = true;
        self.stage = StoreStage::Begun;
        self.end();
        database::delete(&context.scope).map(Progress::Wait)
    }

    /// Repeats an operation whose record could not be decrypted, at most once. Another vault may have sealed the record
    /// with a key that is in escrow now.
    fn retry_with_another_key(
        &mut self,
        context: &Context,
        error: JsValue,
    ) -> Result<Progress, JsValue> {
        if self.is_second_try || !matches!(self.stage, StoreStage::Unsealed) {
            return Err(error);
        }
        self.is_second_try = true;
        self.end();
        self.stage = StoreStage::Opened;
        database::open(context).map(Progress::Wait)
    }

    /// Takes the result of the last step and begins the next one.
    pub(super) fn advance(
        &mut self,
        op: OpId,
        context: &mut Context,
        value: JsValue,
    ) -> Result<Progress, JsValue> {
        let stage = core::mem::replace(&mut self.stage, StoreStage::Begun);
        let (awaited, stage) = match stage {
            StoreStage::Begun => (database::open(context)?, StoreStage::Opened),
            StoreStage::Opened => {
                self.database = Some(value.unchecked_into());
                if !(self.is_load() && self.session_key.is_escrowed()) {
                    return self.look_for_key(op, context, None);
                }
                // The record is read first, because without a record no key is needed.
                self.read_record()?
            }
            StoreStage::KeyImported => self.with_key(context, value.unchecked_into())?,
            StoreStage::Sealed(record) => {
                record.set_sealed(&value.unchecked_into());
                let logins = self.open()?;
                let records = database::read_all(&logins)?;
                (records, StoreStage::RecordsRead(logins, record))
            }
            StoreStage::RecordsRead(logins, record) => {
                let records: Array = value.unchecked_into();
                database::discard_expired(&logins, &records)?;
                logins.put(&record)?;
                // The operation waits for the transaction, which may fail to commit even if the request has succeeded.
                let transaction = Awaited::Transaction(logins.transaction());
                (transaction, StoreStage::RecordStored)
            }
            StoreStage::RecordStored => return Ok(stored(op)),
            StoreStage::RecordRead(logins) => {
                return self.take_record(op, context, &logins, value);
            }
            StoreStage::Marked(record) => {
                self.lacks_key_pair(&record);
                self.unseal(context, &record)?
            }
            StoreStage::Unsealed => return Ok(self.unsealed(op, context, &value)),
            StoreStage::SessionKey(stage, record) => {
                let database = self.database.as_ref().ok_or(JsValue::UNDEFINED)?;
                let progress = stage.advance(context, database, value, !self.is_load())?;
                return self.take_key(op, context, progress, record);
            }
        };
        self.stage = stage;
        Ok(Progress::Wait(awaited))
    }

    /// Begins to look for the key that encrypts the record. `record` is the record to decrypt, if it was already read.
    fn look_for_key(
        &mut self,
        op: OpId,
        context: &Context,
        record: Option<Record>,
    ) -> Result<Progress, JsValue> {
        let database = self.database.as_ref().ok_or(JsValue::UNDEFINED)?;
        let another = record.is_some() && self.is_second_try;
        if let Some(progress) = self.session_key.find(context, database, another)? {
            return self.take_key(op, context, progress, record);
        }
        let importing = sealing::import_key(&context.scope, &self.secret)?;
        self.stage = StoreStage::KeyImported;
        Ok(Progress::Wait(importing.into()))
    }

    /// Continues the operation after a step of the search for the key of sessions.
    fn take_key(
        &mut self,
        op: OpId,
        context: &Context,
        progress: KeyProgress,
        record: Option<Record>,
    ) -> Result<Progress, JsValue> {
        let (awaited, stage) = match (progress, record) {
            (KeyProgress::Wait(awaited, stage), record) => {
                (awaited, StoreStage::SessionKey(stage, record))
            }
            (KeyProgress::Found(key), Some(record)) => {
                // If decryption fails from here on, another vault may have sealed the record with its own key.
                self.stage = StoreStage::Unsealed;
                self.key = Some(key);
                self.unseal(context, &record)?
            }
            (KeyProgress::Found(key), None) => self.with_key(context, key)?,
            // Without its key, a record counts as missing. It is not reported as damaged, because another vault may
            // have the key.
            (KeyProgress::NotFound, Some(_)) if !self.is_second_try => {
                return Ok(loaded(op, Loaded::Nothing));
            }
            (KeyProgress::NotFound, _) => return Err(JsValue::UNDEFINED),
        };
        self.stage = stage;
        Ok(Progress::Wait(awaited))
    }

    /// Continues the operation with the record that was read, if there is one.
    fn take_record(
        &mut self,
        op: OpId,
        context: &Context,
        logins: &IdbObjectStore,
        value: JsValue,
    ) -> Result<Progress, JsValue> {
        let Some(record) = database::as_record(value) else {
            return Ok(self.empty(op, Taken::Absent));
        };
        if record.sealed().is_none() {
            return Ok(self.empty(op, Taken::Used));
        }
        let (awaited, stage) = if self.is_load() {
            if self.lacks_key_pair(&record) {
                return Ok(loaded(op, Loaded::Damaged));
            }
            if self.session_key.is_escrowed() {
                return self.look_for_key(op, context, Some(record));
            }
            self.unseal(context, &record)?
        } else {
            // The record is replaced in the transaction that read it, so that only one of two concurrent operations
            // gets the content.
            let expires_at = record.expires_at().as_f64().unwrap_or_default();
            let marked = logins.put(&database::record(&self.name, expires_at))?;
            (marked.into(), StoreStage::Marked(record))
        };
        self.stage = stage;
        Ok(Progress::Wait(awaited))
    }

    /// Returns the result of an operation that found no record, or a record without content.
    fn empty(&self, op: OpId, taken: Taken) -> Progress {
        if self.is_load() {
            loaded(op, Loaded::Nothing)
        } else {
            Progress::Done(Input::Taken { op, taken })
        }
    }

    /// Returns the result of an operation that has decrypted a record.
    fn unsealed(&mut self, op: OpId, context: &mut Context, value: &JsValue) -> Progress {
        let content = sealing::opened(value);
        if let Some(key) = self.key_pair.take() {
            context.keys.insert(key);
        }
        if self.is_load() {
            return loaded(op, content.map_or(Loaded::Damaged, Loaded::Found));
        }
        let taken = content.map_or(Taken::Absent, Taken::Found);
        Progress::Done(Input::Taken { op, taken })
    }

    /// Returns the object store of the records, in a transaction of its own.
    fn open(&self) -> Result<IdbObjectStore, JsValue> {
        // A read-only transaction does not block other transactions that read, and works on a full disk.
        let mode = if self.is_load() {
            "readonly"
        } else {
            "readwrite"
        };
        let database = self.database.as_ref().ok_or(JsValue::UNDEFINED)?;
        database::open_store(database, LOGINS, mode)
    }

    /// Begins to seal the record to store with `key`, or to read the record to decrypt with `key`.
    fn with_key(&mut self, context: &Context, key: CryptoKey) -> Result<Step, JsValue> {
        let Work::Put(value, expires_at) = &self.work else {
            self.key = Some(key);
            return self.read_record();
        };
        let record = database::record(&self.name, *expires_at as f64);
        if let Some(key) = &self.key_pair {
            key.put_into(&record);
        }
        let sealing = sealing::seal(&context.scope, &key, &self.name, &record, value)?;
        Ok((sealing.into(), StoreStage::Sealed(record)))
    }

    fn read_record(&self) -> Result<Step, JsValue> {
        let logins = self.open()?;
        let reading = database::read(&logins, &self.name)?;
        Ok((reading, StoreStage::RecordRead(logins)))
    }

    fn unseal(&self, context: &Context, record: &Record) -> Result<Step, JsValue> {
        let key = self.key.as_ref().ok_or(JsValue::UNDEFINED)?;
        let opening = sealing::open(&context.scope, key, &self.name, record)?;
        Ok((opening.into(), StoreStage::Unsealed))
    }

    /// Remembers the private key for DPoP that a record contains. Returns true if the record names a key but does not
    /// contain it.
    fn lacks_key_pair(&mut self, record: &Record) -> bool {
        match PrivateKey::of(record) {
            Ok(key) => {
                self.key_pair = key;
                false
            }
            Err(()) => true,
        }
    }
}

fn stored(op: OpId) -> Progress {
    Progress::Done(Input::Stored { op, ok: true })
}

const fn loaded(op: OpId, loaded: Loaded) -> Progress {
    Progress::Done(Input::Loaded { op, loaded })
}
