//! The key of kept sessions: in the store, where the first session makes it, or in escrow.

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, IdbObjectStore};

use super::{EscrowStep, Step, StoreOp, StoreStage, as_record, loaded};
use crate::browser::context::{Context, Progress};
use crate::browser::database::{self, KEYS};
use crate::browser::escrow::{EscrowStage, KeySearch};
use crate::browser::platform::Record;
use crate::browser::sealing;
use crate::vault::{Loaded, OpId};

/// True if this build can keep sessions.
pub(in crate::browser) const KEEPS_SESSIONS: bool = true;

/// The name of the key in the store.
const SEAL: &str = "seal";

/// The place of the key that a record is sealed with.
pub(super) enum SessionKey {
    /// Nowhere: the record is a login's, and its key is derived.
    None,
    Stored,
    Escrowed,
}

impl SessionKey {
    pub(super) const fn is_stored(&self) -> bool {
        matches!(self, Self::Stored)
    }

    pub(super) const fn is_escrowed(&self) -> bool {
        matches!(self, Self::Escrowed)
    }
}

/// A step to the key, and what has to be kept of it.
pub(super) enum SessionKeyStage {
    Read,
    Made,
    /// With the object store and the key that was made.
    ReadAgain(IdbObjectStore, CryptoKey),
    /// With the key that was made.
    Stored(CryptoKey),
    /// A search for the key in escrow, with the record that the key is for, if it was read.
    Escrow(EscrowStage, Option<Record>),
}

impl StoreOp {
    /// Makes this an operation on a session, whose key may be in escrow.
    pub(in crate::browser) fn of_session(mut self, context: &Context) -> Self {
        self.session_key = match context.escrow {
            Some(_) => SessionKey::Escrowed,
            None => SessionKey::Stored,
        };
        self
    }

    pub(super) fn read_session_key(&self) -> Result<Step, JsValue> {
        let reading = database::read(&self.open(KEYS)?, SEAL)?;
        Ok((reading, StoreStage::SessionKey(SessionKeyStage::Read)))
    }

    /// Continues to the key in the store, which is made if it is missing. Of two workers that make a key at once, the
    /// first one's is kept.
    pub(super) fn find_session_key(
        &mut self,
        context: &Context,
        stage: SessionKeyStage,
        value: JsValue,
    ) -> Result<Step, JsValue> {
        let (awaited, stage) = match stage {
            SessionKeyStage::Read => match sealing::stored_key(value) {
                Some(key) => return self.with_key(context, key),
                None => (
                    sealing::make_key(&context.scope)?.into(),
                    SessionKeyStage::Made,
                ),
            },
            SessionKeyStage::Made => {
                let keys = self.open(KEYS)?;
                let reading = database::read(&keys, SEAL)?;
                let made = value.unchecked_into();
                (reading, SessionKeyStage::ReadAgain(keys, made))
            }
            SessionKeyStage::ReadAgain(keys, made) => match sealing::stored_key(value) {
                Some(key) => return self.with_key(context, key),
                None => (
                    keys.put_with_key(&made, &SEAL.into())?.into(),
                    SessionKeyStage::Stored(made),
                ),
            },
            SessionKeyStage::Stored(made) => return self.with_key(context, made),
            // `advance_in_escrow` has taken these.
            SessionKeyStage::Escrow(..) => return Err(JsValue::UNDEFINED),
        };
        Ok((awaited, StoreStage::SessionKey(stage)))
    }

    /// Begins again after `error`: a record that does not open may have been sealed by another vault, whose key is in
    /// escrow by now.
    pub(super) fn retry_with_another_key(
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
    pub(super) fn advance_in_escrow(
        &mut self,
        op: OpId,
        context: &mut Context,
        stage: StoreStage,
        value: JsValue,
    ) -> Result<EscrowStep, JsValue> {
        let Some(escrow) = context
            .escrow
            .as_mut()
            .filter(|_| self.session_key.is_escrowed())
        else {
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
            StoreStage::SessionKey(SessionKeyStage::Escrow(stage, record)) => {
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
                let stage = SessionKeyStage::Escrow(stage, record);
                (promise.into(), StoreStage::SessionKey(stage))
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
