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
#[cfg(feature = "extended")]
use crate::browser::database::KEYS;
use crate::browser::database::{self, LOGINS};
#[cfg(feature = "extended")]
use crate::browser::dpop::StoredKey;
#[cfg(feature = "extended")]
use crate::browser::escrow::{EscrowStage, KeySearch};
use crate::browser::platform::{Awaited, Database, Record};
use crate::browser::sealing;
use crate::vault::{Input, Loaded, OpId, Taken};

/// The name of the key of sessions.
#[cfg(feature = "extended")]
const SEAL: &str = "seal";

/// An operation on the store: a login or a session on its way in or out.
///
/// The database is open during the operation only, because an open database cannot be deleted.
pub(super) struct StoreOp {
    /// The record's name.
    name: String,
    /// The key of a login.
    secret: [u8; sealing::KEY_LEN],
    /// The record is a session's, whose key has to be found.
    #[cfg(feature = "extended")]
    is_session: bool,
    work: Work,
    stage: StoreStage,
    database: Option<Database>,
    key: Option<CryptoKey>,
    is_second_try: bool,
    /// The key is in escrow, not in the store.
    #[cfg(feature = "extended")]
    is_escrowed: bool,
    /// The key for DPoP that is, or was, stored with the record.
    #[cfg(feature = "extended")]
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
    #[cfg(feature = "extended")]
    KeyRead,
    #[cfg(feature = "extended")]
    KeyMade,
    /// With the object store and the key that was made.
    #[cfg(feature = "extended")]
    KeyReadAgain(IdbObjectStore, CryptoKey),
    /// With the key that was made.
    #[cfg(feature = "extended")]
    KeyStored(CryptoKey),
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
    /// A search for the key in escrow, with the record that the key is for, if it was read.
    #[cfg(feature = "extended")]
    EscrowSearch(EscrowStage, Option<Record>),
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
            #[cfg(feature = "extended")]
            is_session: false,
            work,
            stage: StoreStage::Begun,
            database: None,
            key: None,
            is_second_try: false,
            #[cfg(feature = "extended")]
            is_escrowed: false,
            #[cfg(feature = "extended")]
            key_pair: None,
        }
    }

    /// Makes this an operation on a session, whose key may be in escrow.
    #[cfg(feature = "extended")]
    pub(super) fn of_session(mut self, context: &Context) -> Self {
        self.is_session = true;
        self.is_escrowed = context.escrow.is_some();
        self
    }

    /// Stores the key for DPoP of this thumbprint with the record.
    #[cfg(feature = "extended")]
    pub(super) fn with_key_pair(mut self, context: &Context, thumbprint: Option<&str>) -> Self {
        self.key_pair = thumbprint.and_then(|name| context.keys.find(name).cloned());
        self
    }

    /// A constant where sessions are not kept.
    const fn is_load(&self) -> bool {
        cfg!(feature = "extended") && matches!(self.work, Work::Load)
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
        #[cfg(feature = "extended")]
        if self.is_escrowed {
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
        #[cfg(feature = "extended")]
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
                #[cfg(feature = "extended")]
                self.lacks_key_pair(&record);
                self.unseal(context, &record)?
            }
            StoreStage::Unsealed => return Ok(self.unsealed(op, context, &value)),
            #[cfg(feature = "extended")]
            stage => self.make_session_key(context, stage, value)?,
        };
        self.stage = stage;
        Ok(Progress::Wait(awaited))
    }

    fn look_for_key(&self, context: &Context) -> Result<Step, JsValue> {
        #[cfg(feature = "extended")]
        if self.is_session {
            return Ok((
                database::read(&self.open(KEYS)?, SEAL)?,
                StoreStage::KeyRead,
            ));
        }
        let importing = sealing::import_key(&context.scope, &self.secret)?;
        Ok((importing.into(), StoreStage::KeyImported))
    }

    /// The stages of the key of sessions, which is made if it is missing. Of two workers that make a key at once, the
    /// first one's is kept.
    #[cfg(feature = "extended")]
    fn make_session_key(
        &mut self,
        context: &Context,
        stage: StoreStage,
        value: JsValue,
    ) -> Result<Step, JsValue> {
        match stage {
            StoreStage::KeyRead => match sealing::stored_key(value) {
                Some(key) => self.with_key(context, key),
                None => Ok((
                    sealing::make_key(&context.scope)?.into(),
                    StoreStage::KeyMade,
                )),
            },
            StoreStage::KeyMade => {
                let keys = self.open(KEYS)?;
                let reading = database::read(&keys, SEAL)?;
                let made = value.unchecked_into();
                Ok((reading, StoreStage::KeyReadAgain(keys, made)))
            }
            StoreStage::KeyReadAgain(keys, made) => match sealing::stored_key(value) {
                Some(key) => self.with_key(context, key),
                None => Ok((
                    keys.put_with_key(&made, &SEAL.into())?.into(),
                    StoreStage::KeyStored(made),
                )),
            },
            StoreStage::KeyStored(made) => self.with_key(context, made),
            // Only an operation with its key in escrow has another stage.
            _ => Err(JsValue::UNDEFINED),
        }
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
            #[cfg(feature = "extended")]
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
        #[cfg(feature = "extended")]
        if let Some(key) = self.key_pair.take() {
            context.keys.insert(key);
        }
        #[cfg(not(feature = "extended"))]
        let _ = context;
        if self.is_load() {
            return loaded(op, content.map_or(Loaded::Damaged, Loaded::Found));
        }
        let taken = content.map_or(Taken::Absent, Taken::Found);
        Progress::Done(Input::Taken { op, taken })
    }

    /// An object store in a transaction of its own.
    fn open(&self, store: &str) -> Result<IdbObjectStore, JsValue> {
        // Reads block nobody, and are possible on a full disk.
        let mode = match self.work {
            #[cfg(feature = "extended")]
            Work::Load if store == LOGINS => "readonly",
            _ => "readwrite",
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
        #[cfg(feature = "extended")]
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
    #[cfg(feature = "extended")]
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
#[cfg(feature = "extended")]
enum EscrowStep {
    Taken(Progress),
    /// The step does not differ: the stage and value are given back.
    Other(StoreStage, JsValue),
}

#[cfg(feature = "extended")]
impl StoreOp {
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

    /// Takes the steps that differ where the key is in escrow: the record is read first, because without a record
    /// no key is needed.
    fn advance_in_escrow(
        &mut self,
        op: OpId,
        context: &mut Context,
        stage: StoreStage,
        value: JsValue,
    ) -> Result<EscrowStep, JsValue> {
        let Some(escrow) = context.escrow.as_mut().filter(|_| self.is_escrowed) else {
            return Ok(EscrowStep::Other(stage, value));
        };
        let scope = &context.scope;
        let (search, record) = match stage {
            StoreStage::Opened => {
                self.database = Some(value.unchecked_into());
                if self.is_load() {
                    let (awaited, stage) = self.read_record()?;
                    self.stage = stage;
                    return Ok(EscrowStep::Taken(Progress::Wait(awaited)));
                }
                (escrow.find_key(scope, false)?, None)
            }
            StoreStage::RecordRead(logins) => {
                let Some(record) = as_record(value).filter(|record| record.sealed().is_some())
                else {
                    let stage = StoreStage::RecordRead(logins);
                    return Ok(EscrowStep::Other(stage, JsValue::UNDEFINED));
                };
                if self.lacks_key_pair(&record) {
                    return Ok(EscrowStep::Taken(loaded(op, Loaded::Damaged)));
                }
                (escrow.find_key(scope, self.is_second_try)?, Some(record))
            }
            StoreStage::EscrowSearch(stage, record) => {
                let makes = !self.is_load();
                (escrow.advance(scope, &stage, value, makes)?, record)
            }
            stage => return Ok(EscrowStep::Other(stage, value)),
        };
        self.take_search(op, context, search, record)
            .map(EscrowStep::Taken)
    }

    fn take_search(
        &mut self,
        op: OpId,
        context: &Context,
        search: KeySearch,
        record: Option<Record>,
    ) -> Result<Progress, JsValue> {
        let (awaited, stage) = match (search, record) {
            (KeySearch::Wait(promise, stage), record) => {
                (promise.into(), StoreStage::EscrowSearch(stage, record))
            }
            (KeySearch::Found(key), Some(record)) => {
                // A failure from here on may be another vault's key.
                self.stage = StoreStage::Unsealed;
                self.key = Some(key);
                self.unseal(context, &record)?
            }
            (KeySearch::Found(key), None) => self.with_key(context, key)?,
            // A record that nobody can open counts as missing. But this vault may only lack another one's key.
            (KeySearch::NotFound, Some(_)) if !self.is_second_try => {
                return Ok(loaded(op, Loaded::Nothing));
            }
            (KeySearch::NotFound, _) => return Err(JsValue::UNDEFINED),
        };
        self.stage = stage;
        Ok(Progress::Wait(awaited))
    }
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
