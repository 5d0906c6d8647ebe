//! What must survive a full-page redirect, or its worker, in IndexedDB, sealed with AES-256-GCM.
//!
//! A login is sealed by a key that is made of its `state`, and is nowhere: the provider brings the state back. So
//! there is nothing to store it with, which a shared worker of `WebKit` could not do. Script of this origin can open
//! the record if it saw the address that the page was sent to, and would find what is good for ten minutes and only
//! together with the authorization code.
//!
//! A session is kept only where the configuration asks for it, sealed by a key that is not extractable, which keeps it
//! out of disks and backups, though not from scripts of the same origin, which could ask the browser to use the key.
//! It may be elsewhere: see `escrow`.

use crate::base::strings;
use crate::codec::base64url;
use crate::oauth::pkce;
use crate::prelude::*;
use wasm_bindgen::JsValue;

use crate::Secret;
use crate::base::clock::UnixMillis;
#[cfg(feature = "extended")]
use crate::browser::escrow;
use crate::browser::host::{Event, Host};
use crate::browser::operation::Next;
use crate::browser::platform;
use crate::vault::{Input, Loaded, OpId, Taken};

const DATABASE: &str = "strongroom";
const VERSION: f64 = 1.0;
const KEYS: &str = "keys";
pub(super) const LOGINS: &str = "logins";
/// The name of the one key of sessions.
#[cfg(feature = "extended")]
const SEAL: &str = "seal";
/// The member of a record that is its key.
const NAME: &str = "name";

/// How many records are looked through for expired ones.
const RECORDS: f64 = 100.0;
/// What is sealed is a fraction of this.
const MAX_SEALED: usize = 1024 * 1024;

/// A login, or a session, on its way into the store, or out of it.
///
/// The database is open for no longer than that: nobody can delete one that is open.
pub(super) struct Job {
    /// The record's.
    pub(super) name: String,
    /// The key of a login.
    secret: [u8; 32],
    /// It is a session's, whose key has to be found.
    #[cfg(feature = "extended")]
    pub(super) is_session: bool,
    work: Work,
    pub(super) stage: Stage,
    pub(super) database: JsValue,
    pub(super) key: JsValue,
    pub(super) is_second_try: bool,
    /// Its key is in escrow, not in the store.
    #[cfg(feature = "extended")]
    pub(super) is_escrowed: bool,
    /// What is, or was, stored along: see `dpop`.
    #[cfg(feature = "extended")]
    pub(super) key_pair: Option<(String, JsValue)>,
}

enum Work {
    /// Seal and store this, and throw away what has expired.
    Put(Secret, UnixMillis),
    /// Take out what is there, and leave a mark that it was.
    Take,
    /// Read what is there.
    Load,
}

/// What the last step was, and what is to be kept of it.
pub(super) enum Stage {
    Begun,
    Opened,
    KeyImported,
    #[cfg(feature = "extended")]
    KeyRead,
    #[cfg(feature = "extended")]
    KeyMade,
    /// With the object store and the key that was made.
    #[cfg(feature = "extended")]
    KeyReadAgain(JsValue, JsValue),
    /// With that key.
    #[cfg(feature = "extended")]
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
    /// On the way to a key in escrow: with the record that it is for.
    #[cfg(feature = "extended")]
    Key(escrow::Stage, JsValue),
}

/// Fills a new database.
pub(super) fn create(database: &JsValue) {
    let named = platform::literal(r#"{"keyPath":"name"}"#);
    // Where this fails, so will the first use.
    let _ = platform::call(database, "createObjectStore", &[&platform::text(KEYS)]);
    let _ = platform::call(
        database,
        "createObjectStore",
        &[&platform::text(LOGINS), &named],
    );
}

impl Job {
    /// Keeps a login, or whatever else has a `key` that is known to those only who may read it.
    pub(super) fn put(key: &str, value: Secret, expires_at: UnixMillis) -> Self {
        Self::of_login(key, Work::Put(value, expires_at))
    }

    pub(super) fn take(key: &str) -> Self {
        Self::of_login(key, Work::Take)
    }

    /// The record's name does not tell what opens it.
    fn of_login(key: &str, work: Work) -> Self {
        let name = base64url::encode(&pkce::sha256(key.as_bytes()));
        let secret = pkce::sha256([&name, key].concat().as_bytes());
        Self::new(name, secret, work)
    }

    /// Keeps a session, which the host says it is.
    pub(super) const fn put_session(name: String, value: Secret, expires_at: UnixMillis) -> Self {
        Self::new(name, [0; 32], Work::Put(value, expires_at))
    }

    pub(super) const fn load_session(name: String) -> Self {
        Self::new(name, [0; 32], Work::Load)
    }

    /// Where sessions are not kept, this is a constant.
    pub(super) const fn is_load(&self) -> bool {
        cfg!(feature = "extended") && matches!(self.work, Work::Load)
    }

    const fn new(name: String, secret: [u8; 32], work: Work) -> Self {
        Self {
            name,
            secret,
            #[cfg(feature = "extended")]
            is_session: false,
            work,
            stage: Stage::Begun,
            database: JsValue::UNDEFINED,
            key: JsValue::UNDEFINED,
            is_second_try: false,
            #[cfg(feature = "extended")]
            is_escrowed: false,
            #[cfg(feature = "extended")]
            key_pair: None,
        }
    }

    /// Closes the database: when its transactions are done.
    pub(super) fn end(&self) {
        // There may be none.
        let _ = platform::call(&self.database, "close", &[]);
    }

    /// After `error`: where nothing can be stored, the database is thrown away, and another one made.
    pub(super) fn begin_anew(&mut self, host: &mut Host, error: JsValue) -> Result<Next, JsValue> {
        #[cfg(feature = "extended")]
        if self.is_escrowed {
            return self.look_for_another_key(host, error);
        }
        // Not where it is merely full, or busy: other vaults have their session there.
        let is_broken = !matches!(self.stage, Stage::RecordsRead(..) | Stage::RecordStored);
        if self.is_second_try || !is_broken || !matches!(self.work, Work::Put(..)) {
            return Err(error);
        }
        self.is_second_try = true;
        self.stage = Stage::Begun;
        self.end();
        request(&host.scope, "deleteDatabase").map(Next::When)
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
            Work::Load => loaded(
                op,
                match self.stage {
                    Stage::Unsealed => Loaded::Damaged,
                    _ => Loaded::Unavailable,
                },
            ),
        }
    }

    pub(super) fn advance(
        &mut self,
        op: OpId,
        host: &mut Host,
        value: JsValue,
    ) -> Result<Next, JsValue> {
        #[cfg(feature = "extended")]
        if self.is_escrowed
            && let Some(next) = self.advance_to_key(op, host, &value)?
        {
            return Ok(next);
        }
        let scope = &host.scope;
        let (thing, stage) = match core::mem::replace(&mut self.stage, Stage::Begun) {
            Stage::Begun => (open_database(host)?, Stage::Opened),
            #[cfg(feature = "extended")]
            Stage::Opened if self.is_session => {
                self.database = value;
                (read(&self.open(KEYS)?, SEAL)?, Stage::KeyRead)
            }
            Stage::Opened => {
                self.database = value;
                (import_key(scope, &self.secret)?, Stage::KeyImported)
            }
            Stage::KeyImported => self.with_key(scope, value)?,
            // Of jobs whose key is in escrow.
            #[cfg(feature = "extended")]
            Stage::Key(..) => return Err(JsValue::UNDEFINED),
            // Of two workers that make a key at once, the first keeps its own.
            #[cfg(feature = "extended")]
            Stage::KeyRead | Stage::KeyReadAgain(..) if can_open(&value) => {
                self.with_key(scope, value)?
            }
            #[cfg(feature = "extended")]
            Stage::KeyRead => (make_key(scope)?, Stage::KeyMade),
            #[cfg(feature = "extended")]
            Stage::KeyMade => {
                let keys = self.open(KEYS)?;
                (read(&keys, SEAL)?, Stage::KeyReadAgain(keys, value))
            }
            #[cfg(feature = "extended")]
            Stage::KeyReadAgain(keys, made) => (
                platform::call(&keys, "put", &[&made, &platform::text(SEAL)])?,
                Stage::KeyStored(made),
            ),
            #[cfg(feature = "extended")]
            Stage::KeyStored(made) => self.with_key(scope, made)?,
            Stage::Sealed(record) => {
                platform::set(&record, "sealed", &value);
                let logins = self.open(LOGINS)?;
                let args = [&JsValue::UNDEFINED, &JsValue::from_f64(RECORDS)];
                let records = platform::call(&logins, "getAll", &args)?;
                (records, Stage::RecordsRead(logins, record))
            }
            Stage::RecordsRead(logins, record) => {
                discard_expired(&logins, &value)?;
                platform::call(&logins, "put", &[&record])?;
                // A request that succeeded is not stored yet: its transaction may still fail to commit.
                (platform::get(&logins, "transaction"), Stage::RecordStored)
            }
            Stage::RecordStored => return Ok(Next::Done(Input::Stored { op, ok: true })),
            Stage::RecordRead(_) if self.is_load() => {
                if platform::get(&value, "sealed").is_undefined() {
                    return Ok(Next::Done(loaded(op, Loaded::Nothing)));
                }
                #[cfg(feature = "extended")]
                if self.lacks_key_pair(&value) {
                    return Ok(Next::Done(loaded(op, Loaded::Damaged)));
                }
                (self.unseal(scope, &value)?, Stage::Unsealed)
            }
            Stage::RecordRead(_) if value.is_undefined() => return Ok(taken(op, Taken::Absent)),
            Stage::RecordRead(_) if platform::get(&value, "sealed").is_undefined() => {
                return Ok(taken(op, Taken::Used));
            }
            // In the same transaction, so that of two takers one gets it.
            Stage::RecordRead(logins) => {
                let mark = record(&self.name, &platform::get(&value, "expiresAt"));
                let marked = platform::call(&logins, "put", &[&mark])?;
                (marked, Stage::Marked(value))
            }
            Stage::Marked(record) => {
                #[cfg(feature = "extended")]
                self.lacks_key_pair(&record);
                (self.unseal(scope, &record)?, Stage::Unsealed)
            }
            Stage::Unsealed => {
                let text = unsealed(&value);
                #[cfg(feature = "extended")]
                self.hand_over_key_pair(&mut host.keys);
                return Ok(if self.is_load() {
                    Next::Done(loaded(op, text.map_or(Loaded::Damaged, Loaded::Found)))
                } else {
                    taken(op, text.map_or(Taken::Absent, Taken::Found))
                });
            }
        };
        self.stage = stage;
        Ok(Next::When(thing))
    }

    /// An object store in a transaction of its own.
    pub(super) fn open(&self, name: &str) -> Result<JsValue, JsValue> {
        // A look at what is kept keeps nobody waiting, and is possible where a disk is full.
        let mode = match self.work {
            #[cfg(feature = "extended")]
            Work::Load if name == LOGINS => "readonly",
            _ => "readwrite",
        };
        let name = platform::text(name);
        let args = [&name, &platform::text(mode)];
        let transaction = platform::call(&self.database, "transaction", &args)?;
        platform::call(&transaction, "objectStore", &[&name])
    }

    pub(super) fn with_key(
        &mut self,
        scope: &JsValue,
        key: JsValue,
    ) -> Result<(JsValue, Stage), JsValue> {
        self.key = key;
        let Work::Put(value, expires_at) = &self.work else {
            let logins = self.open(LOGINS)?;
            return Ok((read(&logins, &self.name)?, Stage::RecordRead(logins)));
        };
        let mut iv = [0; 12];
        platform::fill_random(&mut iv);
        let iv = platform::octets(&iv);
        let record = record(&self.name, &JsValue::from_f64(*expires_at as f64));
        platform::set(&record, "iv", &iv);
        #[cfg(feature = "extended")]
        self.put_key_pair(&record);
        let plain = platform::octets(value.expose().as_bytes());
        let args = [&self.parameters(&iv), &self.key, &plain];
        let sealing = platform::call(&platform::subtle(scope), "encrypt", &args);
        // It has a copy (Web Cryptography API 14.3.1).
        platform::wipe(&plain);
        Ok((sealing?, Stage::Sealed(record)))
    }

    pub(super) fn unseal(&self, scope: &JsValue, record: &JsValue) -> Result<JsValue, JsValue> {
        let parameters = self.parameters(&platform::get(record, "iv"));
        let args = [&parameters, &self.key, &platform::get(record, "sealed")];
        platform::call(&platform::subtle(scope), "decrypt", &args)
    }

    /// The name is authenticated along with the text: a record under another name does not open.
    fn parameters(&self, iv: &JsValue) -> JsValue {
        let parameters = platform::literal(r#"{"name":"AES-GCM"}"#);
        platform::set(&parameters, "iv", iv);
        let name = platform::octets(self.name.as_bytes());
        platform::set(&parameters, "additionalData", &name);
        parameters
    }
}

pub(super) const fn loaded(op: OpId, loaded: Loaded) -> Input<'static> {
    Input::Loaded { op, loaded }
}

fn taken(op: OpId, taken: Taken) -> Next {
    Next::Done(Input::Taken { op, taken })
}

/// Asks for the database to be opened or deleted; the version is of no matter to the latter.
fn request(scope: &JsValue, name: &str) -> Result<JsValue, JsValue> {
    let factory = platform::get(scope, "indexedDB");
    let args = [&platform::text(DATABASE), &JsValue::from_f64(VERSION)];
    platform::call(&factory, name, &args)
}

pub(super) fn open_database(host: &Host) -> Result<JsValue, JsValue> {
    let request = request(&host.scope, "open")?;
    let on_upgrade = host.listener(Event::Upgrade, 0);
    platform::set(&request, "onupgradeneeded", &on_upgrade);
    Ok(request)
}

const USAGES: &str = r#"["encrypt","decrypt"]"#;

/// What is made into a key stays here.
pub(super) fn import_key(scope: &JsValue, secret: &[u8; 32]) -> Result<JsValue, JsValue> {
    let octets = platform::octets(secret);
    let algorithm = platform::text("AES-GCM");
    let usages = platform::literal(USAGES);
    let args = [
        &platform::text("raw"),
        &octets,
        &algorithm,
        &JsValue::FALSE,
        &usages,
    ];
    let importing = platform::call(&platform::subtle(scope), "importKey", &args);
    // It has a copy (Web Cryptography API 14.3.9).
    platform::wipe(&octets);
    importing
}

#[cfg(feature = "extended")]
fn make_key(scope: &JsValue) -> Result<JsValue, JsValue> {
    let algorithm = platform::literal(r#"{"name":"AES-GCM","length":256}"#);
    let usages = platform::literal(USAGES);
    let args = [&algorithm, &JsValue::FALSE, &usages];
    platform::call(&platform::subtle(scope), "generateKey", &args)
}

/// Whether this is a key that opens what it seals. That it seals is seen when it does.
#[cfg(feature = "extended")]
fn can_open(key: &JsValue) -> bool {
    let opens = platform::call(
        &platform::get(key, "usages"),
        "includes",
        &[&platform::text("decrypt")],
    );
    opens.is_ok_and(|opens| opens.is_truthy())
}

pub(super) fn read(store: &JsValue, name: &str) -> Result<JsValue, JsValue> {
    platform::call(store, "get", &[&platform::text(name)])
}

/// A record that holds nothing yet.
fn record(name: &str, expires_at: &JsValue) -> JsValue {
    let record = platform::literal("{}");
    platform::set(&record, NAME, &platform::text(name));
    platform::set(&record, "expiresAt", expires_at);
    record
}

fn discard_expired(logins: &JsValue, records: &JsValue) -> Result<(), JsValue> {
    loop {
        let record = platform::call(records, "pop", &[])?;
        if record.is_undefined() {
            return Ok(());
        }
        let expires_at = platform::get(&record, "expiresAt")
            .as_f64()
            .unwrap_or_default();
        if expires_at < platform::wall_clock() {
            platform::call(logins, "delete", &[&platform::get(&record, NAME)])?;
        }
    }
}

fn unsealed(plain: &JsValue) -> Option<Secret> {
    if platform::byte_length(plain) > MAX_SEALED {
        return None;
    }
    let view = platform::view(plain);
    let mut octets = vec![0; platform::byte_length(plain)];
    platform::copy_octets(&mut octets, &view);
    platform::wipe(&view);
    strings::from_utf8(octets).map(Secret::new)
}
