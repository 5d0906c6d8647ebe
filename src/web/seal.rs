//! What must survive a full-page redirect, in IndexedDB, sealed with AES-256-GCM by a key that is
//! not extractable.
//!
//! The seal keeps a login's secrets out of disks and backups. It does not keep them from scripts of
//! the same origin, which could ask the browser to use the key; what they would find is good for ten
//! minutes, for one login, and only together with its authorization code.

use crate::prelude::*;
use wasm_bindgen::JsValue;

use super::flow::{Flow, Next};
use super::host::{Event, Host};
use super::js;
use crate::Secret;
use crate::clock::UnixMillis;
use crate::vault::{Input, OpId, Taken};

const DATABASE: &str = "strongroom";
const VERSION: f64 = 1.0;
const KEYS: &str = "keys";
const LOGINS: &str = "logins";
/// The name of the one key.
const SEAL: &str = "seal";
/// The member of a record that is its key.
const NAME: &str = "name";

/// The store, opened when first used.
#[derive(Default)]
pub(super) struct Store {
    database: JsValue,
    key: JsValue,
}

/// A login on its way into the store, or out of it.
pub(super) struct Job {
    name: String,
    work: Work,
    stage: Stage,
}

enum Work {
    /// Seal and store this, and throw away what has expired.
    Put(Secret, UnixMillis),
    /// Take out what is there, and leave a mark that it was.
    Take,
}

/// What the last step was, and what is to be kept of it.
enum Stage {
    Begun,
    Opened,
    KeyRead,
    KeyMade,
    /// With the object store and the key that was made.
    KeyReadAgain(JsValue, JsValue),
    /// With that key.
    KeyStored(JsValue),
    /// With the record, which still lacks what was sealed.
    Sealed(JsValue),
    /// With the object store and the record.
    RecordsRead(JsValue, JsValue),
    RecordStored,
    /// With the object store.
    RecordRead(JsValue),
    /// With the record that was there.
    Marked(JsValue),
    Unsealed,
}

impl Store {
    /// Fills a new database.
    pub(super) fn create(database: &JsValue) {
        let named = js::literal(r#"{"keyPath":"name"}"#);
        // Where this fails, so will the first use.
        let _ = js::call(database, "createObjectStore", &[&js::text(KEYS)]);
        let _ = js::call(database, "createObjectStore", &[&js::text(LOGINS), &named]);
    }

    /// An object store in a transaction of its own.
    fn open(&self, name: &str) -> Result<JsValue, JsValue> {
        let name = js::text(name);
        let transaction = js::call(
            &self.database,
            "transaction",
            &[&name, &js::text("readwrite")],
        )?;
        js::call(&transaction, "objectStore", &[&name])
    }
}

impl Job {
    pub(super) fn put(name: String, value: Secret, expires_at: UnixMillis) -> Self {
        Self::new(name, Work::Put(value, expires_at))
    }

    pub(super) fn take(name: String) -> Self {
        Self::new(name, Work::Take)
    }

    fn new(name: String, work: Work) -> Self {
        Self {
            name,
            work,
            stage: Stage::Begun,
        }
    }

    /// What to report when a step fails.
    pub(super) fn failed(&self, op: OpId) -> Input<'static> {
        match self.work {
            Work::Put(..) => Input::Stored { op, ok: false },
            Work::Take => {
                // What does not open was sealed with a key that is gone: it is of no use to anyone.
                let is_lost = matches!(self.stage, Stage::Unsealed);
                let taken = if is_lost {
                    Taken::Absent
                } else {
                    Taken::Unavailable
                };
                Input::Taken { op, taken }
            }
        }
    }

    pub(super) fn advance(
        mut self,
        op: OpId,
        host: &mut Host,
        value: JsValue,
    ) -> Result<Next, JsValue> {
        let (thing, stage) = match core::mem::replace(&mut self.stage, Stage::Begun) {
            Stage::Begun if host.store.database.is_undefined() => {
                (open_database(host)?, Stage::Opened)
            }
            Stage::Begun => self.with_database(host)?,
            Stage::Opened => {
                host.store.database = value;
                self.with_database(host)?
            }
            Stage::KeyRead if value.is_truthy() => self.with_key(host, value)?,
            Stage::KeyRead => (make_key(&host.scope)?, Stage::KeyMade),
            Stage::KeyMade => {
                let keys = host.store.open(KEYS)?;
                (read(&keys, SEAL)?, Stage::KeyReadAgain(keys, value))
            }
            // Of two workers that make a key at once, the first keeps its own.
            Stage::KeyReadAgain(..) if value.is_truthy() => self.with_key(host, value)?,
            Stage::KeyReadAgain(keys, made) => (
                js::call(&keys, "put", &[&made, &js::text(SEAL)])?,
                Stage::KeyStored(made),
            ),
            Stage::KeyStored(made) => self.with_key(host, made)?,
            Stage::Sealed(record) => {
                js::set(&record, "sealed", &value);
                let logins = host.store.open(LOGINS)?;
                let records = js::call(&logins, "getAll", &[])?;
                (records, Stage::RecordsRead(logins, record))
            }
            Stage::RecordsRead(logins, record) => {
                discard_expired(&logins, &value)?;
                let written = js::call(&logins, "put", &[&record])?;
                (written, Stage::RecordStored)
            }
            Stage::RecordStored => return Ok(Next::Done(Input::Stored { op, ok: true })),
            Stage::RecordRead(_) if value.is_undefined() => return Ok(taken(op, Taken::Absent)),
            Stage::RecordRead(_) if js::get(&value, "sealed").is_undefined() => {
                return Ok(taken(op, Taken::Used));
            }
            // In the same transaction, so that of two takers one gets it.
            Stage::RecordRead(logins) => {
                let mark = record(&self.name, &js::get(&value, "expiresAt"));
                let marked = js::call(&logins, "put", &[&mark])?;
                (marked, Stage::Marked(value))
            }
            Stage::Marked(record) => {
                let parameters = self.parameters(&js::get(&record, "iv"));
                let args = [&parameters, &host.store.key, &js::get(&record, "sealed")];
                let opening = js::call(&js::subtle(&host.scope), "decrypt", &args)?;
                (opening, Stage::Unsealed)
            }
            Stage::Unsealed => return Ok(taken(op, unsealed(&value))),
        };
        Ok(Next::When(thing, Flow::Seal(Self { stage, ..self })))
    }

    fn with_database(&self, host: &mut Host) -> Result<(JsValue, Stage), JsValue> {
        if host.store.key.is_undefined() {
            let keys = host.store.open(KEYS)?;
            return Ok((read(&keys, SEAL)?, Stage::KeyRead));
        }
        self.work(host)
    }

    fn with_key(&self, host: &mut Host, key: JsValue) -> Result<(JsValue, Stage), JsValue> {
        host.store.key = key;
        self.work(host)
    }

    fn work(&self, host: &Host) -> Result<(JsValue, Stage), JsValue> {
        let Work::Put(value, expires_at) = &self.work else {
            let logins = host.store.open(LOGINS)?;
            return Ok((read(&logins, &self.name)?, Stage::RecordRead(logins)));
        };
        let mut iv = [0; 12];
        js::fill_random(&mut iv);
        let iv = js::octets(&iv);
        let record = record(&self.name, &JsValue::from_f64(*expires_at as f64));
        js::set(&record, "iv", &iv);
        let plain = js::octets(value.expose().as_bytes());
        let args = [&self.parameters(&iv), &host.store.key, &plain];
        let sealing = js::call(&js::subtle(&host.scope), "encrypt", &args);
        // It has a copy (Web Cryptography API 14.3.1).
        js::wipe(&plain);
        Ok((sealing?, Stage::Sealed(record)))
    }

    /// The name is authenticated along with the text: a record under another name does not open.
    fn parameters(&self, iv: &JsValue) -> JsValue {
        let parameters = js::literal(r#"{"name":"AES-GCM"}"#);
        js::set(&parameters, "iv", iv);
        let name = js::octets(self.name.as_bytes());
        js::set(&parameters, "additionalData", &name);
        parameters
    }
}

fn taken(op: OpId, taken: Taken) -> Next {
    Next::Done(Input::Taken { op, taken })
}

fn open_database(host: &Host) -> Result<JsValue, JsValue> {
    let factory = js::get(&host.scope, "indexedDB");
    let args = [&js::text(DATABASE), &JsValue::from_f64(VERSION)];
    let request = js::call(&factory, "open", &args)?;
    let on_upgrade = host.listener(Event::Upgrade, 0);
    js::set(&request, "onupgradeneeded", &on_upgrade);
    Ok(request)
}

fn make_key(scope: &JsValue) -> Result<JsValue, JsValue> {
    let algorithm = js::literal(r#"{"name":"AES-GCM","length":256}"#);
    let usages = js::literal(r#"["encrypt","decrypt"]"#);
    let args = [&algorithm, &JsValue::FALSE, &usages];
    js::call(&js::subtle(scope), "generateKey", &args)
}

fn read(store: &JsValue, name: &str) -> Result<JsValue, JsValue> {
    js::call(store, "get", &[&js::text(name)])
}

/// A record that holds nothing yet.
fn record(name: &str, expires_at: &JsValue) -> JsValue {
    let record = js::literal("{}");
    js::set(&record, NAME, &js::text(name));
    js::set(&record, "expiresAt", expires_at);
    record
}

fn discard_expired(logins: &JsValue, records: &JsValue) -> Result<(), JsValue> {
    loop {
        let record = js::call(records, "pop", &[])?;
        if record.is_undefined() {
            return Ok(());
        }
        let expires_at = js::get(&record, "expiresAt").as_f64().unwrap_or_default();
        if expires_at < js::wall_clock() {
            js::call(logins, "delete", &[&js::get(&record, NAME)])?;
        }
    }
}

fn unsealed(plain: &JsValue) -> Taken {
    let view = js::view(plain);
    let mut octets = vec![0; js::byte_length(plain)];
    js::copy_octets(&mut octets, &view);
    js::wipe(&view);
    match String::from_utf8(octets) {
        Ok(text) => Taken::Found(Secret::new(text)),
        Err(_) => Taken::Absent,
    }
}
