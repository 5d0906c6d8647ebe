//! The key that encrypts stored sessions. The key is either in the store or in escrow. A vault that finds no key in the
//! store always creates one. A vault that finds no key in escrow creates one only to store a session.

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AesKeyGenParams, CryptoKey, IdbObjectStore};

use crate::browser::context::Context;
use crate::browser::database::{self, KEYS};
use crate::browser::escrow::{EscrowStage, KeySearch};
use crate::browser::platform::{self, Awaited, Database, WorkerScope};

/// The name of the key in the store.
const SEAL: &str = "seal";

/// The place of the key that a record is encrypted with.
pub(super) enum SessionKey {
    /// The key is not stored: the record is that of a login, and its key is derived from the login's `state`.
    None,
    Stored,
    Escrowed,
}

/// The last step of a search for the key, with the values that the next step needs.
pub(super) enum SessionKeyStage {
    Read,
    Made,
    /// Reads the store again, to see if another vault has stored a key. The values are the object store and the key
    /// that was made.
    ReadAgain(IdbObjectStore, CryptoKey),
    /// Stores the key that was made.
    Stored(CryptoKey),
    Escrow(EscrowStage),
}

/// The state of a search for the key.
pub(super) enum KeyProgress {
    /// The search waits for the promise or request. The stage says how the search continues.
    Wait(Awaited, SessionKeyStage),
    Found(CryptoKey),
    NotFound,
}

impl SessionKey {
    pub(super) const fn of_session(context: &Context) -> Self {
        match &context.escrow {
            Some(_) => Self::Escrowed,
            None => Self::Stored,
        }
    }

    pub(super) const fn is_escrowed(&self) -> bool {
        matches!(self, Self::Escrowed)
    }

    /// Begins to look for the key. If `another` is true, asks the escrow again, because the escrow may now have another
    /// key than this vault. Returns `None` for the record of a login.
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
    /// Continues the search with the result of the last step. A key that is missing in the store is always created. A
    /// key that is missing in escrow is created only if `makes` is true. If two workers create the key at the same
    /// time, the store keeps the first key.
    pub(super) fn advance(
        self,
        context: &mut Context,
        database: &Database,
        value: JsValue,
        makes: bool,
    ) -> Result<KeyProgress, JsValue> {
        let scope = &context.scope;
        let (awaited, stage) = match self {
            SessionKeyStage::Read => match stored_key(value) {
                Some(key) => return Ok(KeyProgress::Found(key)),
                None => (make_key(scope)?.into(), SessionKeyStage::Made),
            },
            SessionKeyStage::Made => {
                let keys = database::open_store(database, KEYS, "readwrite")?;
                let reading = database::read(&keys, SEAL)?;
                (
                    reading,
                    SessionKeyStage::ReadAgain(keys, value.unchecked_into()),
                )
            }
            SessionKeyStage::ReadAgain(keys, made) => match stored_key(value) {
                Some(key) => return Ok(KeyProgress::Found(key)),
                None => (
                    keys.put_with_key(&made, &SEAL.into())?.into(),
                    SessionKeyStage::Stored(made),
                ),
            },
            SessionKeyStage::Stored(made) => return Ok(KeyProgress::Found(made)),
            SessionKeyStage::Escrow(stage) => {
                let escrow = context.escrow.as_mut();
                let escrow = escrow.ok_or(JsValue::UNDEFINED)?;
                let search = escrow.advance(scope, &stage, value, makes)?;
                return Ok(in_escrow(search));
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

/// Returns the key that was read from the store, if the key can decrypt. The key's ability to encrypt need not be
/// checked, because encryption with an unsuitable key fails.
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
