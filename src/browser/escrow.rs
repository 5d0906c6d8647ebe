//! The escrow for the key that encrypts stored sessions. The key is in the memory of the vault and of a service worker,
//! which gives the key only to vaults (pkg/src/worker/escrow.ts). The key is never on a disk, and scripts of a page
//! cannot use it.
//!
//! The vault sends and requests the key by `fetch`. Only a service worker or a cache can respond to these requests,
//! because `only-if-cached` keeps them off the network. The response must repeat the request's nonce: a script of a
//! page could otherwise put a response with a key of its own into a cache from which a service worker responds.

use js_sys::{Promise, Uint8Array};
use rules::prelude::*;
use wasm_bindgen::JsValue;
use web_sys::{Headers, Response};

use crate::platform::{self, FetchInit, WorkerScope};
use crate::sealing::{self, KEY_LEN};
use rules::base::strings;

/// The name of a header. A request for the key has a nonce in this header, and the escrow's response repeats the nonce. A
/// response from elsewhere, such as a cache, lacks the nonce.
const ESCROW_HEADER: &str = "strongroom-escrow";

/// The suffix that requests to the escrow add to the worker's URL, with the version of the protocol between vault and service
/// worker. A service worker of another version does not respond, so the vault starts without a session.
const ESCROW_SUFFIX: &str = "strongroom-escrow=1";

/// The escrow, as far as this vault knows its state.
pub(super) struct Escrow {
    /// The worker's own URL with the suffix in its query. The service worker that controls the worker receives requests
    /// to this URL.
    url: String,
    /// The key, after this vault has received or created it.
    key: Option<[u8; KEY_LEN]>,
    /// True if no service worker controls this worker, or the service worker does not use `escrow()`.
    is_absent: bool,
}

impl Escrow {
    pub(super) fn new(scope: &WorkerScope) -> Self {
        let href = scope.location().href();
        let url = strings::split_once(&href, b'#').0;
        let (_, query) = strings::split_once(url, b'?');
        let separator = if query.is_some() { "&" } else { "?" };
        Self {
            url: [url, separator, ESCROW_SUFFIX].concat(),
            key: None,
            is_absent: false,
        }
    }

    pub(super) const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub(super) const fn is_absent(&self) -> bool {
        self.is_absent
    }

    /// Records that no service worker with `escrow()` has responded.
    pub(super) const fn note_absence(&mut self) {
        self.is_absent = true;
    }

    /// Creates a key.
    pub(super) fn make_key(&mut self) {
        wasm::fill_random(self.key.insert([0; KEY_LEN]));
    }

    /// Takes the key over that the escrow has sent, and wipes `bytes`. Returns false if they are no key.
    pub(super) fn receive(&mut self, bytes: &Uint8Array) -> bool {
        let is_key = bytes.length() as usize == KEY_LEN;
        if is_key {
            bytes.copy_to(self.key.insert([0; KEY_LEN]));
            platform::wipe(bytes);
        }
        is_key
    }

    /// Forgets a key that the escrow has refused.
    pub(super) const fn forget(&mut self) {
        self.key = None;
    }

    /// Begins to import the key, if this vault has one.
    pub(super) fn import(&self, scope: &WorkerScope) -> Option<Result<Promise, JsValue>> {
        Some(sealing::import_key(scope, self.key.as_ref()?))
    }

    /// Begins to request the key. The escrow's response repeats the nonce.
    pub(super) fn ask(&self, scope: &WorkerScope, nonce: &str) -> Result<Promise, JsValue> {
        self.request(scope, "GET", nonce, None)
    }

    /// Begins to send the key to the escrow. Returns `None` if this vault has no key, or the request cannot be made.
    pub(super) fn hand_over(&self, scope: &WorkerScope) -> Option<Promise> {
        let key = self.key.as_ref()?;
        self.request(scope, "PUT", "", Some(key)).ok()
    }

    fn request(
        &self,
        scope: &WorkerScope,
        method: &str,
        nonce: &str,
        key: Option<&[u8; KEY_LEN]>,
    ) -> Result<Promise, JsValue> {
        let headers = Headers::new_with_str_sequence_sequence(&JsValue::UNDEFINED)?;
        headers.set(ESCROW_HEADER, nonce)?;
        let init: FetchInit = platform::dictionary(
            r#"{"mode":"same-origin","cache":"only-if-cached","keepalive":true}"#,
        );
        init.set_headers(&headers);
        init.set_method(method);
        if let Some(key) = key {
            init.set_body(&Uint8Array::new_from_slice(key));
        }
        scope.saved_fetch(&self.url, &init)
    }
}

/// Returns true if the escrow itself has sent the response to a request with this nonce.
pub(super) fn is_of_escrow(response: &Response, nonce: &String) -> bool {
    platform::header(response, ESCROW_HEADER).as_ref() == Some(nonce)
}
