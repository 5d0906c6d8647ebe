//! Logins and sessions that must survive a full-page redirect, or their worker: in IndexedDB, sealed with AES-256-GCM.
//!
//! The key of a login is derived from its `state`, and stored nowhere: the provider returns the state. A derived key
//! also works in shared workers of `WebKit`, which cannot store keys. Script of this origin that saw the URL of the
//! login can open the record, which is good for ten minutes and only together with the authorization code.
//!
//! A session is kept only if the configuration asks for it. The session's key is not extractable, which protects disks
//! and backups, but not against scripts of the same origin, which can ask the browser to use the key. The key may be in
//! escrow instead: see `escrow`.

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
use crate::browser::dpop::StoredKey;
use crate::browser::platform::{Awaited, Database, Record};
use crate::browser::sealing;
use crate::browser::session_key::{KeyProgress, SessionKey, SessionKeyStage};
use crate::config::HAS_PERSISTENCE;
use crate::vault::{Input, Loaded, OpId, Taken};

/// An operation on the store: a login or a session on its way in or out.
///
/// The database is open during the operation only, because an open database cannot be deleted.
pub(super) struct StoreOp {
    /// The record's name.
    name: String,
    /// The key of a login.
    secret: [u8; sealing::KEY_LEN],
    /// The place where the key of a persisted session is stored.
    session_key: SessionKey,
    work: Work,
    stage: StoreStage,
    database: Option<Database>,
    key: Option<CryptoKey>,
    is_second_try: bool,
    /// The key for DPoP that is, or was, stored with the record.
    key_pair: Option<StoredKey>,
}

enum Work {
    /// Seals and stores this, and deletes expired records.
    Put(Secret, UnixMillis),
    /// Takes a record's content out, and leaves a mark that it was there.
    Take,
    /// Reads a record.
    Load,
}

/// The last step, and what has to be kept of it.
enum StoreStage {
    Begun,
    Opened,
    KeyImported,
    /// A step to the key of sessions, with the record that the key is for, if it was read.
    SessionKey(SessionKeyStage, Option<Record>),
    /// With the record, which still lacks the ciphertext.
    Sealed(Record),
    /// With the object store and the record.
    RecordsRead(IdbObjectStore, Record),
    RecordStored,
    /// With the object store.
    RecordRead(IdbObjectStore),
    /// The mark was written, in place of this record.
    Marked(Record),
    Unsealed,
}

/// A promise or request, and the stage that it completes.
type Step = (Awaited, StoreStage);

impl StoreOp {
    /// Stores a login, or anything else with a `key` that only its readers know.
    pub(super) fn put(
        key: &str,
        value: Secret,
        expires_at: UnixMillis,
        key_pair: Option<StoredKey>,
    ) -> Self {
        Self::of_login(key, Work::Put(value, expires_at), key_pair)
    }

    pub(super) fn take(key: &str) -> Self {
        Self::of_login(key, Work::Take, None)
    }

    /// Creates the operation for a login. The record's name does not reveal its key.
    fn of_login(key: &str, work: Work, key_pair: Option<StoredKey>) -> Self {
        let name = base64url::encode(&pkce::sha256(key.as_bytes()));
        let secret = pkce::sha256([&name, key].concat().as_bytes());
        Self::new(name, secret, SessionKey::None, work, key_pair)
    }

    pub(super) fn put_session(
        name: String,
        key: SessionKey,
        value: Secret,
        expires_at: UnixMillis,
        key_pair: Option<StoredKey>,
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
        key_pair: Option<StoredKey>,
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

    /// Returns true if the operation loads the session. Without persistence the result is constant, so the compiler
    /// removes the code for loading.
    const fn is_load(&self) -> bool {
        HAS_PERSISTENCE && matches!(self.work, Work::Load)
    }

    /// Closes the database when its transactions are done.
    pub(super) fn end(&self) {
        if let Some(database) = &self.database {
            database.close();
        }
    }

    /// Returns the report of an operation that has failed.
    pub(super) fn failed(&self, op: OpId) -> Input<'static> {
        let is_unsealed = matches!(self.stage, StoreStage::Unsealed);
        match self.work {
            Work::Put(..) => Input::Stored { op, ok: false },
            Work::Take => {
                // A record that cannot be decrypted was sealed with a key that is gone, and no vault can use it.
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

    /// Begins again after `error`: deletes a database in which nothing can be stored.
    pub(super) fn retry(&mut self, context: &Context, error: JsValue) -> Result<Progress, JsValue> {
        if self.session_key.is_escrowed() {
            return self.retry_with_another_key(context, error);
        }
        // A database that is only full or busy stays: other vaults have their sessions there.
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

    /// Begins again after `error`: a record that does not open may have been sealed by another vault, whose key is in
    /// escrow by now.
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
                // After the request's success, its transaction may still fail to commit.
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

    /// Begins to look for the key of the record; with `record`, for one that was read already.
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

    /// Continues with the state of the search for the key of sessions.
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
                // A failure from here on may be another vault's key.
                self.stage = StoreStage::Unsealed;
                self.key = Some(key);
                self.unseal(context, &record)?
            }
            (KeyProgress::Found(key), None) => self.with_key(context, key)?,
            // A record that nobody can open counts as missing. The record may still be valid: another vault may have
            // its key.
            (KeyProgress::NotFound, Some(_)) if !self.is_second_try => {
                return Ok(loaded(op, Loaded::Nothing));
            }
            (KeyProgress::NotFound, _) => return Err(JsValue::UNDEFINED),
        };
        self.stage = stage;
        Ok(Progress::Wait(awaited))
    }

    /// Continues with the record that was read, if there is one.
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
            // In the same transaction, so that of two operations that take the record, one gets it.
            let expires_at = record.expires_at().as_f64().unwrap_or_default();
            let marked = logins.put(&database::record(&self.name, expires_at))?;
            (marked.into(), StoreStage::Marked(record))
        };
        self.stage = stage;
        Ok(Progress::Wait(awaited))
    }

    /// Returns the result of an operation that found no content.
    fn empty(&self, op: OpId, taken: Taken) -> Progress {
        if self.is_load() {
            loaded(op, Loaded::Nothing)
        } else {
            Progress::Done(Input::Taken { op, taken })
        }
    }

    /// Handles a record that was decrypted, and returns the result of the operation.
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
        // Reads block nobody, and are possible on a full disk.
        let mode = if self.is_load() {
            "readonly"
        } else {
            "readwrite"
        };
        let database = self.database.as_ref().ok_or(JsValue::UNDEFINED)?;
        database::open_store(database, LOGINS, mode)
    }

    /// Begins to seal, or to read what the key is for.
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

    /// Remembers the key for DPoP that a record has. Returns true if the record names a key that it does not have.
    fn lacks_key_pair(&mut self, record: &Record) -> bool {
        match StoredKey::of(record) {
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
