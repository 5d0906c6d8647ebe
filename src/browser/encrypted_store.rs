//! Logins and sessions that must survive a full-page redirect, or their worker: in IndexedDB, sealed with AES-256-GCM.
//!
//! The key of a login is derived from its `state`, and stored nowhere: the provider returns the state. This also works
//! where a shared worker of `WebKit` could not store a key. Script of this origin that saw the URL of the login can open
//! the record, which is good for ten minutes and only together with the authorization code.
//!
//! A session is kept only if the configuration asks for it. Its key is not extractable, which protects disks and
//! backups, but not against scripts of the same origin, which can ask the browser to use the key. The key may be in
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
use crate::vault::{Input, Loaded, OpId, Taken};

#[cfg_attr(not(feature = "extended"), path = "basic/session_key.rs")]
mod session_key;

pub(super) use session_key::KEEPS_SESSIONS;
use session_key::{SessionKey, SessionKeyStage};

/// An operation on the store: a login or a session on its way in or out.
///
/// The database is open during the operation only, because an open database cannot be deleted.
pub(super) struct StoreOp {
    /// The record's name.
    name: String,
    /// The key of a login.
    secret: [u8; sealing::KEY_LEN],
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
#[cfg_attr(
    not(feature = "extended"),
    expect(dead_code, reason = "sessions are not kept")
)]
enum StoreStage {
    Begun,
    Opened,
    KeyImported,
    /// A step to the key of sessions.
    SessionKey(SessionKeyStage),
    /// With the record, which still lacks the ciphertext.
    Sealed(Record),
    /// With the object store and the record.
    RecordsRead(IdbObjectStore, Record),
    RecordStored,
    /// With the object store.
    RecordRead(IdbObjectStore),
    /// With the record that was there.
    Marked(Record),
    Unsealed,
}

/// A promise or request, and the stage that it completes.
type Step = (Awaited, StoreStage);

impl StoreOp {
    /// Stores a login, or anything else with a `key` that only its readers know.
    pub(super) fn put(key: &str, value: Secret, expires_at: UnixMillis) -> Self {
        Self::of_login(key, Work::Put(value, expires_at))
    }

    pub(super) fn take(key: &str) -> Self {
        Self::of_login(key, Work::Take)
    }

    /// The record's name does not reveal its key.
    fn of_login(key: &str, work: Work) -> Self {
        let name = base64url::encode(&pkce::sha256(key.as_bytes()));
        let secret = pkce::sha256([&name, key].concat().as_bytes());
        Self::new(name, secret, work)
    }

    pub(super) const fn put_session(name: String, value: Secret, expires_at: UnixMillis) -> Self {
        Self::new(name, [0; sealing::KEY_LEN], Work::Put(value, expires_at))
    }

    pub(super) const fn load_session(name: String) -> Self {
        Self::new(name, [0; sealing::KEY_LEN], Work::Load)
    }

    const fn new(name: String, secret: [u8; sealing::KEY_LEN], work: Work) -> Self {
        Self {
            name,
            secret,
            session_key: SessionKey::None,
            work,
            stage: StoreStage::Begun,
            database: None,
            key: None,
            is_second_try: false,
            key_pair: None,
        }
    }

    /// Stores this key for DPoP with the record.
    pub(super) fn with_key_pair(mut self, key: Option<StoredKey>) -> Self {
        self.key_pair = key;
        self
    }

    /// A constant where sessions are not kept.
    const fn is_load(&self) -> bool {
        KEEPS_SESSIONS && matches!(self.work, Work::Load)
    }

    /// Closes the database when its transactions are done.
    pub(super) fn end(&self) {
        if let Some(database) = &self.database {
            database.close();
        }
    }

    /// The report of an operation that has failed.
    pub(super) fn failed(&self, op: OpId) -> Input<'static> {
        let is_unsealed = matches!(self.stage, StoreStage::Unsealed);
        match self.work {
            Work::Put(..) => Input::Stored { op, ok: false },
            Work::Take => {
                // A record that does not open was sealed with a key that is gone, and is of no use to anyone.
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

    /// Takes the result of the last step and begins the next one.
    pub(super) fn advance(
        &mut self,
        op: OpId,
        context: &mut Context,
        value: JsValue,
    ) -> Result<Progress, JsValue> {
        let stage = core::mem::replace(&mut self.stage, StoreStage::Begun);
        let (stage, value) = match self.advance_in_escrow(op, context, stage, value)? {
            EscrowStep::Taken(progress) => return Ok(progress),
            EscrowStep::Other(stage, value) => (stage, value),
        };
        let (awaited, stage) = match stage {
            StoreStage::Begun => (database::open(context)?, StoreStage::Opened),
            StoreStage::Opened => {
                self.database = Some(value.unchecked_into());
                self.look_for_key(context)?
            }
            StoreStage::KeyImported => self.with_key(context, value.unchecked_into())?,
            StoreStage::Sealed(record) => {
                record.set_sealed(&value.unchecked_into());
                let logins = self.open(LOGINS)?;
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
            StoreStage::SessionKey(stage) => self.find_session_key(context, stage, value)?,
        };
        self.stage = stage;
        Ok(Progress::Wait(awaited))
    }

    fn look_for_key(&self, context: &Context) -> Result<Step, JsValue> {
        if self.session_key.is_stored() {
            return self.read_session_key();
        }
        let importing = sealing::import_key(&context.scope, &self.secret)?;
        Ok((importing.into(), StoreStage::KeyImported))
    }

    /// Continues with the record that was read, if there is one.
    fn take_record(
        &mut self,
        op: OpId,
        context: &Context,
        logins: &IdbObjectStore,
        value: JsValue,
    ) -> Result<Progress, JsValue> {
        let Some(record) = as_record(value) else {
            return Ok(self.empty(op, Taken::Absent));
        };
        if record.sealed().is_none() {
            return Ok(self.empty(op, Taken::Used));
        }
        let (awaited, stage) = if self.is_load() {
            if self.lacks_key_pair(&record) {
                return Ok(loaded(op, Loaded::Damaged));
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

    /// The result of an operation that found no content.
    fn empty(&self, op: OpId, taken: Taken) -> Progress {
        if self.is_load() {
            loaded(op, Loaded::Nothing)
        } else {
            Progress::Done(Input::Taken { op, taken })
        }
    }

    /// The result of an operation whose record was opened.
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

    /// An object store in a transaction of its own.
    fn open(&self, store: &str) -> Result<IdbObjectStore, JsValue> {
        // Reads block nobody, and are possible on a full disk.
        let mode = if self.is_load() && store == LOGINS {
            "readonly"
        } else {
            "readwrite"
        };
        let database = self.database.as_ref().ok_or(JsValue::UNDEFINED)?;
        database.transaction(store, mode)?.object_store(store)
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
        let logins = self.open(LOGINS)?;
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

/// A step that may differ for a key in escrow.
#[cfg_attr(
    not(feature = "extended"),
    expect(dead_code, reason = "nothing is in escrow")
)]
enum EscrowStep {
    Taken(Progress),
    /// The step does not differ: the stage and value are given back.
    Other(StoreStage, JsValue),
}

/// The record that was read, if there is one.
fn as_record(value: JsValue) -> Option<Record> {
    (!value.is_undefined()).then(|| value.unchecked_into())
}

fn stored(op: OpId) -> Progress {
    Progress::Done(Input::Stored { op, ok: true })
}

const fn loaded(op: OpId, loaded: Loaded) -> Progress {
    Progress::Done(Input::Loaded { op, loaded })
}
