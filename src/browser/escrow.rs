//! The key of sessions that are kept, in escrow: in the memory of a service worker that gives it to nobody but
//! vaults (pkg/src/worker/escrow.ts is the other side), and in the vault's own. So it is nowhere on a disk, and where
//! script of a page cannot use it.
//!
//! It goes there and back by `fetch`, to an address at which nothing is served. Such a request is for the service
//! worker or for nobody: `only-if-cached` keeps it off the network. The answer has to name the question, because
//! script of a page can put one with a key that it knows where a service worker answers out of caches.

use crate::prelude::*;
use wasm_bindgen::JsValue;

use crate::base::strings;
use crate::browser::encrypted_store::{self, Job, LOGINS, import_key};
use crate::browser::host::{Event, Host};
use crate::browser::operation;
use crate::browser::platform;
use crate::codec::base64url;
use crate::vault::{Loaded, OpId};

/// AES-256.
const KEY: usize = 32;

/// The header by which the answers of an escrow are told from whatever else a worker's file may be answered with: they
/// have that of the request.
const MARK: &str = "strongroom-escrow";

const REQUEST: &str = r#"{"mode":"same-origin","cache":"only-if-cached","keepalive":true,"headers":{"strongroom-escrow":""#;

/// What this vault knows of its escrow.
pub(super) struct Escrow {
    /// Below the worker's own address, which is sure to be in the scope of the service worker in charge of it.
    address: String,
    /// The key, once it was found or made.
    key: Option<[u8; KEY]>,
    /// There is none for this worker: no service worker is in charge of it, or it does not know it.
    is_absent: bool,
}

/// What the last step was.
pub(super) enum Stage {
    /// With what the answer has to name.
    Asked(String),
    Read,
    HandedOver,
    Imported,
}

/// How it goes on.
pub(super) enum Next {
    /// When this is done.
    When(JsValue, Stage),
    /// Here is the key.
    Key(JsValue),
    /// There is no key.
    None,
}

impl Escrow {
    pub(super) fn new(scope: &JsValue) -> Self {
        let href =
            platform::get_text(&platform::get(scope, "location"), "href").unwrap_or_default();
        let address = strings::split_once(&href, b'#').0;
        let (_, query) = strings::split_once(address, b'?');
        let mark = if query.is_some() { "&" } else { "?" };
        Self {
            address: [address, mark, MARK].concat(),
            key: None,
            is_absent: false,
        }
    }

    /// Begins to look for the key. `anew`: for another one than this vault has.
    fn find_key(&self, scope: &JsValue, anew: bool) -> Result<Next, JsValue> {
        match &self.key {
            Some(key) if !anew => import(scope, key),
            _ if self.is_absent => Ok(Next::None),
            _ => {
                let mut nonce = [0; 16];
                platform::fill_random(&mut nonce);
                let nonce = base64url::encode(&nonce);
                let promise = self.ask(scope, "GET", &nonce, None)?;
                Ok(Next::When(promise, Stage::Asked(nonce)))
            }
        }
    }

    /// Goes on with what the last step resulted in. `makes`: a key is made if there is none.
    fn advance(
        &mut self,
        scope: &JsValue,
        stage: &Stage,
        value: &JsValue,
        makes: bool,
    ) -> Result<Next, JsValue> {
        match stage {
            Stage::Asked(nonce) => {
                let is_escrow = platform::header(value, MARK).as_ref() == Some(nonce);
                match platform::status(value) {
                    200 if is_escrow => {
                        let reading = platform::call(value, "arrayBuffer", &[])?;
                        Ok(Next::When(reading, Stage::Read))
                    }
                    204 if is_escrow && makes => self.make_key(scope),
                    204 if is_escrow => Ok(Next::None),
                    _ => {
                        self.is_absent = true;
                        Ok(Next::None)
                    }
                }
            }
            Stage::Read if platform::byte_length(value) == KEY => {
                let view = platform::view(value);
                platform::copy_octets(self.key.insert([0; KEY]), &view);
                platform::wipe(&view);
                self.find_key(scope, false)
            }
            Stage::HandedOver if platform::status(value) == 204 => self.find_key(scope, false),
            Stage::Imported => Ok(Next::Key(value.clone())),
            Stage::HandedOver => {
                self.key = None;
                Ok(Next::None)
            }
            Stage::Read => Ok(Next::None),
        }
    }

    fn make_key(&mut self, scope: &JsValue) -> Result<Next, JsValue> {
        platform::fill_random(self.key.insert([0; KEY]));
        let promise = self.ask(scope, "PUT", "", self.key.as_ref())?;
        Ok(Next::When(promise, Stage::HandedOver))
    }

    fn ask(
        &self,
        scope: &JsValue,
        method: &str,
        nonce: &str,
        key: Option<&[u8; KEY]>,
    ) -> Result<JsValue, JsValue> {
        let init = platform::parse(&[REQUEST, nonce, "\"},\"method\":\"", method, "\"}"].concat())?;
        if let Some(key) = key {
            platform::set(&init, "body", &platform::octets(key));
        }
        platform::call(
            scope,
            platform::FETCH,
            &[&platform::text(&self.address), &init],
        )
    }
}

fn import(scope: &JsValue, key: &[u8; KEY]) -> Result<Next, JsValue> {
    let importing = import_key(scope, key)?;
    Ok(Next::When(importing, Stage::Imported))
}

impl Host {
    /// Hands the key over once more, without waiting.
    pub(super) fn hand_key_over(&self) {
        let Some(escrow) = &self.escrow else {
            return;
        };
        if escrow.key.is_some()
            && let Ok(promise) = escrow.ask(&self.scope, "PUT", "", escrow.key.as_ref())
        {
            // Nobody waits for step 0.
            let _ = platform::call(&promise, "catch", &[&self.listener(Event::Failed, 0)]);
        }
    }
}

impl Job {
    /// It is about a session: its key may be in escrow.
    pub(super) fn of_session(mut self, host: &Host) -> Self {
        self.is_session = true;
        self.is_escrowed = host.escrow.is_some();
        self
    }

    /// After `error`: what does not open may have been sealed by another vault with a key of its own, which is in
    /// escrow by now.
    pub(super) fn look_for_another_key(
        &mut self,
        host: &Host,
        error: JsValue,
    ) -> Result<operation::Next, JsValue> {
        if self.is_second_try || !matches!(self.stage, encrypted_store::Stage::Unsealed) {
            return Err(error);
        }
        self.is_second_try = true;
        self.end();
        self.stage = encrypted_store::Stage::Opened;
        encrypted_store::open_database(host).map(operation::Next::When)
    }

    /// The steps that differ where the key is in escrow: the record is read first, since without one there is
    /// nothing to ask for. `None` for those that do not.
    pub(super) fn advance_to_key(
        &mut self,
        op: OpId,
        host: &mut Host,
        value: &JsValue,
    ) -> Result<Option<operation::Next>, JsValue> {
        let scope = &host.scope;
        let Some(escrow) = &mut host.escrow else {
            return Ok(None);
        };
        let (found, record) =
            match core::mem::replace(&mut self.stage, encrypted_store::Stage::Begun) {
                encrypted_store::Stage::Opened if self.is_load() => {
                    self.database = value.clone();
                    let logins = self.open(LOGINS)?;
                    let reading = encrypted_store::read(&logins, &self.name)?;
                    self.stage = encrypted_store::Stage::RecordRead(logins);
                    return Ok(Some(operation::Next::When(reading)));
                }
                encrypted_store::Stage::Opened => {
                    self.database = value.clone();
                    (escrow.find_key(scope, false)?, JsValue::UNDEFINED)
                }
                encrypted_store::Stage::RecordRead(_)
                    if !platform::get(value, "sealed").is_undefined() =>
                {
                    if self.lacks_key_pair(value) {
                        let damaged = encrypted_store::loaded(op, Loaded::Damaged);
                        return Ok(Some(operation::Next::Done(damaged)));
                    }
                    (escrow.find_key(scope, self.is_second_try)?, value.clone())
                }
                encrypted_store::Stage::Key(stage, record) => {
                    let makes = !self.is_load();
                    (escrow.advance(scope, &stage, value, makes)?, record)
                }
                stage => {
                    self.stage = stage;
                    return Ok(None);
                }
            };
        match found {
            Next::When(thing, stage) => {
                self.stage = encrypted_store::Stage::Key(stage, record);
                Ok(Some(operation::Next::When(thing)))
            }
            Next::Key(key) if self.is_load() => {
                self.key = key;
                self.stage = encrypted_store::Stage::Unsealed;
                let opening = self.unseal(scope, &record)?;
                Ok(Some(operation::Next::When(opening)))
            }
            Next::Key(key) => {
                let (sealing, stage) = self.with_key(scope, key)?;
                self.stage = stage;
                Ok(Some(operation::Next::When(sealing)))
            }
            // What nobody can open any more is as good as not there. But this vault may only lack another one's key.
            Next::None if self.is_load() && !self.is_second_try => Ok(Some(operation::Next::Done(
                encrypted_store::loaded(op, Loaded::Nothing),
            ))),
            Next::None => Err(JsValue::UNDEFINED),
        }
    }
}
