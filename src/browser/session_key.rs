//! The key that encrypts persisted sessions: in the store, where the first session creates it, or in escrow.

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AesKeyGenParams, CryptoKey, IdbObjectStore};

use crate::browser::context::Context;
use crate::browser::database::{self, KEYS};
use crate::browser::escrow::{Escrow, EscrowStage, KeySearch};
use crate::browser::platform::{self, Awaited, Database, WorkerScope};

/// The name of the key in the store.
const SEAL: &str = "seal";

/// The place of the key that a record is sealed with.
pub(super) enum SessionKey {
    /// Nowhere: the record is a login's, and its key is derived.
    None,
    Stored,
    Escrowed,
}

/// The last step of a search for the key, and what has to be kept of it.
pub(super) enum SessionKeyStage {
    Read,
    Made,
    /// With the object store and the key that was made.
    ReadAgain(IdbObjectStore, CryptoKey),
    /// With the key that was made.
    Stored(CryptoKey),
    Escrow(EscrowStage),
}

/// The state of a search for the key.
pub(super) enum KeyProgress {
    /// Continues when this has ended.
    Wait(Awaited, SessionKeyStage),
    Found(CryptoKey),
    NotFound,
}

impl SessionKey {
    pub(super) const fn of_session(context: &Context) -> Self {
        match context.escrow {
            Some(_) => Self::Escrowed,
            None => Self::Stored,
        }
    }

    pub(super) const fn is_escrowed(&self) -> bool {
        matches!(self, Self::Escrowed)
    }

    /// Begins to look for the key. With `another`, looks for another key than the one that this vault has from the escrow.
    /// Returns `None` for a login's.
    pub(super) fn find(
        &self,
        context: &Context,
        database: &Database,
        another: bool,
    ) -> Result<Option<KeyProgress>, JsValue> {
        Ok(Some(match self {
            Self::None => return Ok(None),
            Self::Stored => {
                let keys = database::open_store(database, KEYS, "readwrite")?;
                let reading = database::read(&keys, SEAL)?;
                KeyProgress::Wait(reading, SessionKeyStage::Read)
            }
            Self::Escrowed => {
                let escrow = context.escrow.as_ref().ok_or(JsValue::UNDEFINED)?;
                in_escrow(escrow.find_key(&context.scope, another)?)
            }
        }))
    }
}

impl SessionKeyStage {
    /// Continues with the result of the last step. If `makes` is true, creates the key if the escrow does not have it.
    /// A key that is missing in the store is always made. Of two workers that make one at once, the first one's is
    /// kept.
    pub(super) fn advance(
        self,
        context: &mut Context,
        database: &Database,
        value: JsValue,
        makes: bool,
    ) -> Result<KeyProgress, JsValue> {
        let scope = &context.scope;
        let (awaited, stage) = match self {
            Self::Read => match stored_key(value) {
                Some(key) => return Ok(KeyProgress::Found(key)),
                None => (make_key(scope)?.into(), Self::Made),
            },
            Self::Made => {
                let keys = database::open_store(database, KEYS, "readwrite")?;
                let reading = database::read(&keys, SEAL)?;
                (reading, Self::ReadAgain(keys, value.unchecked_into()))
            }
            Self::ReadAgain(keys, made) => match stored_key(value) {
                Some(key) => return Ok(KeyProgress::Found(key)),
                None => (
                    keys.put_with_key(&made, &SEAL.into())?.into(),
                    Self::Stored(made),
                ),
            },
            Self::Stored(made) => return Ok(KeyProgress::Found(made)),
            Self::Escrow(stage) => {
                let escrow: Option<&mut Escrow> = context.escrow.as_mut();
                let escrow = escrow.ok_or(JsValue::UNDEFINED)?;
                return escrow.advance(scope, &stage, value, makes).map(in_escrow);
            }
        };
        Ok(KeyProgress::Wait(awaited, stage))
    }
}

/// Begins to make a key that is not extractable.
fn make_key(scope: &WorkerScope) -> Result<Promise, JsValue> {
    let algorithm: AesKeyGenParams = platform::dictionary(r#"{"name":"AES-GCM","length":256}"#);
    let usages = platform::usages("encrypt", "decrypt");
    platform::subtle(scope)?.generate_key_with_object(&algorithm, false, &usages)
}

/// Returns the key that was read from the store, if the key can decrypt. A key that cannot encrypt fails on its first
/// use.
fn stored_key(value: JsValue) -> Option<CryptoKey> {
    let key: CryptoKey = value.dyn_into().ok()?;
    key.usages().includes(&"decrypt".into(), 0).then_some(key)
}

fn in_escrow(search: KeySearch) -> KeyProgress {
    match search {
        KeySearch::Wait(promise, stage) => {
            KeyProgress::Wait(promise.into(), SessionKeyStage::Escrow(stage))
        }
        KeySearch::Found(key) => KeyProgress::Found(key),
        KeySearch::NotFound => KeyProgress::NotFound,
    }
}
