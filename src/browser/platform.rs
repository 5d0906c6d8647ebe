//! The JavaScript imports that `web_sys` and `js_sys` lack, and helper functions for values of the platform.
//!
//! Each import costs about 17 bytes of the download, so the types below have only the members that the host uses.

use js_sys::{Array, Function, JSON, JsString, Object, Promise, Uint8Array};
use rules::prelude::*;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    Event, EventTarget, Headers, IdbDatabase, IdbRequest, IdbTransaction,
    ReadableStreamDefaultReader, RequestInit, Response, SubtleCrypto, WorkerGlobalScope,
};

// pkg/src/worker/worker.ts saves the original `fetch` in the global object before any code of the app runs.
#[wasm_bindgen]
extern "C" {
    /// The worker's global object.
    #[wasm_bindgen(extends = WorkerGlobalScope, extends = EventTarget, extends = Object, typescript_type = "any")]
    pub type WorkerScope;

    /// Calls the original `fetch`, which was saved before the app could replace it.
    #[wasm_bindgen(method, catch, js_name = strongroom)]
    pub(super) fn saved_fetch(
        this: &WorkerScope,
        url: &str,
        init: &FetchInit,
    ) -> Result<Promise, JsValue>;

    /// Returns `undefined` in a dedicated worker, because only shared workers have `onconnect`.
    #[wasm_bindgen(method, getter, js_name = onconnect)]
    pub(super) fn on_connect(this: &WorkerScope) -> JsValue;
}

// Objects that the package's worker code (pkg/src/worker) creates.
#[wasm_bindgen]
extern "C" {
    /// The function that receives every event: `onEvent(event, id, value)`.
    #[wasm_bindgen(extends = Function, extends = Object, typescript_type = "any")]
    pub type OnEvent;

    /// Returns a function that calls this function with the first two arguments fixed.
    #[wasm_bindgen(method)]
    pub(super) fn bind(this: &OnEvent, this_argument: &JsValue, event: u32, id: u32) -> Function;

    /// `StoreLock` of pkg/src/worker/store-lock.ts: connects the vaults that share a store.
    ///
    /// Methods that use Web Locks or a `BroadcastChannel` throw where the platform lacks them.
    #[wasm_bindgen(extends = Object, typescript_type = "any")]
    pub type StoreLock;

    #[wasm_bindgen(method, catch)]
    pub(super) fn open(
        this: &StoreLock,
        name: &str,
        changed: &Function,
        lost: &Function,
    ) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(super) fn lock(
        this: &StoreLock,
        granted: &Function,
        refused: &Function,
    ) -> Result<(), JsValue>;

    #[wasm_bindgen(method, js_name = giveUp)]
    pub(super) fn give_up(this: &StoreLock);

    #[wasm_bindgen(method, catch, js_name = takeOver)]
    pub(super) fn take_over(this: &StoreLock) -> Result<(), JsValue>;

    #[wasm_bindgen(method)]
    pub(super) fn unlock(this: &StoreLock);

    #[wasm_bindgen(method, catch)]
    pub(super) fn tell(this: &StoreLock) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(super) fn hear(this: &StoreLock, name: &str, hinted: &Function) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(super) fn hint(this: &StoreLock, channel: u32, number: f64) -> Result<(), JsValue>;

    #[wasm_bindgen(method)]
    pub(super) fn stop(this: &StoreLock);

    /// `VaultDatabase` of pkg/src/worker/database.ts: the database, which is open before the vault starts.
    #[wasm_bindgen(extends = Object, typescript_type = "any")]
    pub type VaultDatabase;

    #[wasm_bindgen(method)]
    pub(super) fn lease(this: &VaultDatabase) -> Lease;

    #[wasm_bindgen(method)]
    pub(super) fn forget(this: &VaultDatabase);

    #[wasm_bindgen(method, catch)]
    pub(super) fn remove(this: &VaultDatabase) -> Result<IdbRequest, JsValue>;

    /// The right of an operation to use the database. It must end.
    #[wasm_bindgen(extends = Object, typescript_type = "any")]
    pub type Lease;

    #[wasm_bindgen(method, getter)]
    pub(super) fn opened(this: &Lease) -> Promise;

    #[wasm_bindgen(method)]
    pub(super) fn end(this: &Lease);
}

// Members that `js_sys` and `web_sys` lack, or that take an enum there. The conversion of an enum costs more than a
// string.
#[wasm_bindgen]
extern "C" {
    /// A JavaScript string. A page's string may be very long, so only a part is copied at a time.
    #[wasm_bindgen(extends = JsString, is_type_of = JsValue::is_string, typescript_type = "string")]
    pub type Text;

    /// Returns the UTF-16 code units from `from` up to `to`, without the one at `to`.
    #[wasm_bindgen(method)]
    pub(super) fn slice(this: &Text, from: u32, to: u32) -> String;

    /// A promise whose listeners are JavaScript functions, not Rust closures.
    #[wasm_bindgen(extends = Promise)]
    type Thenable;

    #[wasm_bindgen(method)]
    fn then(this: &Thenable, fulfilled: &Function, rejected: &Function);

    /// The options of `fetch`.
    #[wasm_bindgen(extends = RequestInit, extends = Object)]
    pub(super) type FetchInit;

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_duplex(this: &FetchInit, value: &str);

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_redirect(this: &FetchInit, value: &str);

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_keepalive(this: &FetchInit, value: bool);

    /// The result of `ReadableStreamDefaultReader.read()` for a stream of bytes.
    #[wasm_bindgen(extends = Object)]
    pub(super) type ReadResult;

    /// Returns the chunk, or `None` at the end of the stream.
    #[wasm_bindgen(method, getter)]
    pub(super) fn value(this: &ReadResult) -> Option<Uint8Array>;

    /// The parameters of AES-GCM.
    #[wasm_bindgen(extends = Object)]
    pub(super) type AesGcm;

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_iv(this: &AesGcm, value: &Object);

    #[wasm_bindgen(method, setter, js_name = additionalData)]
    pub(super) fn set_additional_data(this: &AesGcm, value: &Uint8Array);

    /// An IndexedDB database. `transaction` takes the mode as a string.
    #[wasm_bindgen(extends = IdbDatabase, extends = Object)]
    pub(super) type Database;

    #[wasm_bindgen(method, catch)]
    pub(super) fn transaction(
        this: &Database,
        stores: &JsValue,
        mode: &str,
    ) -> Result<IdbTransaction, JsValue>;

    /// A record in IndexedDB. A script of this origin may have written the record, so its members can have any type.
    #[wasm_bindgen(extends = Object)]
    pub(super) type Record;

    #[wasm_bindgen(method, getter)]
    pub(super) fn name(this: &Record) -> JsValue;

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_name(this: &Record, value: &str);

    #[wasm_bindgen(method, getter, js_name = expiresAt)]
    pub(super) fn expires_at(this: &Record) -> JsValue;

    #[wasm_bindgen(method, setter, js_name = expiresAt)]
    pub(super) fn set_expires_at(this: &Record, value: f64);

    #[wasm_bindgen(method, getter)]
    pub(super) fn version(this: &Record) -> JsValue;

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_version(this: &Record, value: f64);

    #[wasm_bindgen(method, getter)]
    pub(super) fn iv(this: &Record) -> Object;

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_iv(this: &Record, value: &Uint8Array);

    #[wasm_bindgen(method, getter)]
    pub(super) fn sealed(this: &Record) -> Option<Object>;

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_sealed(this: &Record, value: &Object);
}

// The members for a DPoP key.
#[wasm_bindgen]
extern "C" {
    /// Returns the thumbprint of the public key that belongs to the private key in `dpop`.
    #[wasm_bindgen(method, getter)]
    pub(super) fn jkt(this: &Record) -> JsValue;

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_jkt(this: &Record, value: &str);

    /// Returns the private DPoP key of the sealed tokens.
    #[wasm_bindgen(method, getter)]
    pub(super) fn dpop(this: &Record) -> JsValue;

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_dpop(this: &Record, value: &web_sys::CryptoKey);

    /// A `WebSocket` that can send any value that a page has posted, and receives bytes as an `ArrayBuffer`.
    #[wasm_bindgen(extends = web_sys::WebSocket, extends = Object)]
    pub(super) type Socket;

    #[wasm_bindgen(method, catch)]
    pub(super) fn send(this: &Socket, data: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = close)]
    pub(super) fn close_with(
        this: &Socket,
        code: &JsValue,
        reason: &JsValue,
    ) -> Result<(), JsValue>;

    #[wasm_bindgen(method, setter, js_name = binaryType)]
    pub(super) fn set_binary_type(this: &Socket, value: &str);

    /// The code and reason of a socket's close. A page gets this object after the close, or sends it to close the
    /// socket.
    #[wasm_bindgen(extends = Object)]
    pub(super) type Closure;

    #[wasm_bindgen(method, getter)]
    pub(super) fn code(this: &Closure) -> JsValue;

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_code(this: &Closure, value: u16);

    #[wasm_bindgen(method, getter)]
    pub(super) fn reason(this: &Closure) -> JsValue;

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_reason(this: &Closure, value: &str);

    #[wasm_bindgen(method, setter, js_name = wasClean)]
    pub(super) fn set_was_clean(this: &Closure, value: bool);
}

/// The largest number of UTF-16 code units of a string that are copied at a time. A page may send a string of any
/// length. No valid message is cut off, because the core's own limit for messages is far lower.
const MAX_STRING: u32 = 512 * 1024;

impl Text {
    /// Copies the string, or its first `MAX_STRING` code units if the string is longer.
    pub(crate) fn copy(&self) -> String {
        self.slice(0, MAX_STRING)
    }
}

/// Copies `value` if it is a string. Returns `None` for any other value.
pub(super) fn to_string(value: &JsValue) -> Option<String> {
    value.dyn_ref::<Text>().map(Text::copy)
}

/// Returns the dictionary `T` with the members in the constant `json`. A setter call for each constant member would
/// need more code: see docs/decisions.md.
pub(super) fn dictionary<T: JsCast>(json: &'static str) -> T {
    JSON::parse(json).unwrap_or_default().unchecked_into()
}

/// A promise, request or transaction that the host waits for. The wait ends with one of the events `Fulfilled`,
/// `Succeeded` and `Failed`.
pub(super) enum Awaited {
    Promise(Promise),
    Request(IdbRequest),
    Transaction(IdbTransaction),
}

impl Awaited {
    /// Adds the listeners. `fulfilled` returns the listener for a promise's value, and `succeeded` returns the listener
    /// for the event of a request or transaction.
    pub(super) fn listen(
        &self,
        fulfilled: impl FnOnce() -> Function,
        succeeded: impl FnOnce() -> Function,
        failed: &Function,
    ) {
        match self {
            Self::Promise(promise) => {
                let promise: &Thenable = promise.unchecked_ref();
                promise.then(&fulfilled(), failed);
            }
            Self::Request(request) => {
                request.set_onsuccess(Some(&succeeded()));
                request.set_onerror(Some(failed));
            }
            Self::Transaction(transaction) => {
                transaction.set_oncomplete(Some(&succeeded()));
                // A listener for `abort` is enough, because the error of a request also aborts its transaction.
                transaction.set_onabort(Some(failed));
            }
        }
    }
}

impl From<Promise> for Awaited {
    fn from(promise: Promise) -> Self {
        Self::Promise(promise)
    }
}

impl From<IdbRequest> for Awaited {
    fn from(request: IdbRequest) -> Self {
        Self::Request(request)
    }
}

/// Returns the result of the `IDBRequest` that `event` belongs to, or `undefined` for the event of a transaction.
pub(super) fn result_of(event: &JsValue) -> JsValue {
    let event: &Event = event.unchecked_ref();
    let target = event.target().map(JsCast::unchecked_into::<IdbRequest>);
    target
        .and_then(|request| request.result().ok())
        .unwrap_or_default()
}

/// Returns `crypto.subtle`. Fails if the platform has no WebCrypto.
pub(super) fn subtle(scope: &WorkerScope) -> Result<SubtleCrypto, JsValue> {
    Ok(scope.crypto()?.subtle())
}

/// Returns an array of two usages of a key.
pub(super) fn usages(first: &str, second: &str) -> Array {
    Array::of2(&first.into(), &second.into())
}

/// Returns the bytes of an `ArrayBuffer`, or of a view of one.
pub(super) fn bytes_of(buffer: &JsValue) -> Uint8Array {
    Uint8Array::new(buffer)
}

/// Overwrites `bytes` with zeros.
pub(super) fn wipe(bytes: &Uint8Array) {
    bytes.fill(0, 0, u32::MAX);
}

/// Overwrites `memory` with zeros, copies `bytes` to its start, and returns that part. `bytes` must not be longer than
/// `memory`.
pub(super) fn refill(memory: &Uint8Array, bytes: &[u8]) -> Uint8Array {
    wipe(memory);
    let part = memory.subarray(0, bytes.len() as u32);
    part.copy_from(bytes);
    part
}

/// Returns a response's header, if the header is present and readable.
pub(super) fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).ok()?
}

/// Returns the reader of a response's body, if the response has a body. The status is checked, too: for a status that
/// forbids a body, such as 204, Chromium has an empty stream, although Fetch requires `null`.
pub(super) fn body_reader(response: &Response) -> Option<ReadableStreamDefaultReader> {
    let body = response.body().filter(|_| has_body_status(response))?;
    Some(body.get_reader().unchecked_into())
}

/// Returns true if a body follows the response's head.
pub(super) fn has_body(response: &Response) -> bool {
    has_body_status(response) && response.body().is_some()
}

fn has_body_status(response: &Response) -> bool {
    !matches!(response.status(), 204 | 205 | 304)
}

/// Returns the headers as an array of `[name, value]` pairs.
pub(super) fn entries(headers: &Headers) -> Array {
    Array::from(headers)
}

/// Returns a copy of `entries` without the header `content-length`.
pub(super) fn without_length(entries: &Array) -> Array {
    Headers::new_with_str_sequence_sequence(entries)
        .and_then(|headers| {
            headers
                .delete("content-length")
                .map(|()| self::entries(&headers))
        })
        .unwrap_or_default()
}

/// Returns `Date.now()`, the milliseconds since the Unix epoch.
pub(super) fn wall_clock() -> f64 {
    js_sys::Date::now()
}
