//! The escrow for the key that encrypts stored sessions. The key is in the memory of the vault and of a service worker,
//! which gives the key only to vaults (pkg/src/worker/escrow.ts). The key is never on a disk, and scripts of a page
//! cannot use it.
//!
//! The vault sends and requests the key by `fetch`. Only a service worker or a cache can respond to these requests,
//! because `only-if-cached` keeps them off the network. The response must repeat the request's nonce: a script of a
//! page could otherwise put a response with a key of its own into a cache from which a service worker responds.

use crate::prelude::*;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, Headers, Response};

use crate::base::entropy;
use crate::base::strings;
use crate::browser::platform::{self, FetchInit, WorkerScope};
use crate::browser::sealing::{self, KEY_LEN};
use crate::codec::base64url;

/// The suffix that requests to the escrow add to the worker's URL, and the name of a header. A request for the key has
/// a nonce in this header, and the escrow's response repeats the nonce. A response from elsewhere, such as a cache,
/// lacks the nonce.
const MARK: &str = "strongroom-escrow";

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

/// The last step of a search for the key, with the values that the next step needs.
pub(super) enum EscrowStage {
    /// The key was requested. The string is the nonce that the response must repeat.
    Asked(String),
    Read,
    HandedOver,
    Imported,
}

/// The state of a search for the key.
pub(super) enum KeySearch {
    /// The search waits for the promise. The stage says how the search continues.
    Wait(Promise, EscrowStage),
    Found(CryptoKey),
    NotFound,
}

impl Escrow {
    pub(super) fn new(scope: &WorkerScope) -> Self {
        let href = scope.location().href();
        let url = strings::split_once(&href, b'#').0;
        let (_, query) = strings::split_once(url, b'?');
        let separator = if query.is_some() { "&" } else { "?" };
        Self {
            url: [url, separator, MARK].concat(),
            key: None,
            is_absent: false,
        }
    }

    /// Begins to look for the key. If `another` is true, requests the key from the escrow even if this vault has a key.
    pub(super) fn find_key(
        &self,
        scope: &WorkerScope,
        another: bool,
    ) -> Result<KeySearch, JsValue> {
        match &self.key {
            Some(key) if !another => {
                let importing = sealing::import_key(scope, key)?;
                Ok(KeySearch::Wait(importing, EscrowStage::Imported))
            }
            _ if self.is_absent => Ok(KeySearch::NotFound),
            _ => {
                let mut nonce = [0; 16];
                entropy::fill(&mut nonce);
                let nonce = base64url::encode(&nonce);
                let promise = self.request(scope, "GET", &nonce, None)?;
                Ok(KeySearch::Wait(promise, EscrowStage::Asked(nonce)))
            }
        }
    }

    /// Continues the search with the result of the last step. If `makes` is true and the escrow has no key, creates a
    /// key and sends it to the escrow.
    pub(super) fn advance(
        &mut self,
        scope: &WorkerScope,
        stage: &EscrowStage,
        value: JsValue,
        makes: bool,
    ) -> Result<KeySearch, JsValue> {
        match stage {
            EscrowStage::Asked(nonce) => {
                self.take_response(scope, &value.unchecked_into(), nonce, makes)
            }
            EscrowStage::Read => {
                let bytes = platform::bytes_of(&value);
                if bytes.length() as usize != KEY_LEN {
                    return Ok(KeySearch::NotFound);
                }
                bytes.copy_to(self.key.insert([0; KEY_LEN]));
                platform::wipe(&bytes);
                self.find_key(scope, false)
            }
            EscrowStage::HandedOver => {
                let response: Response = value.unchecked_into();
                if response.status() == 204 {
                    return self.find_key(scope, false);
                }
                self.key = None;
                Ok(KeySearch::NotFound)
            }
            EscrowStage::Imported => Ok(KeySearch::Found(value.unchecked_into())),
        }
    }

    fn take_response(
        &mut self,
        scope: &WorkerScope,
        response: &Response,
        nonce: &String,
        makes: bool,
    ) -> Result<KeySearch, JsValue> {
        let is_escrow = platform::header(response, MARK).as_ref() == Some(nonce);
        match response.status() {
            200 if is_escrow => Ok(KeySearch::Wait(response.array_buffer()?, EscrowStage::Read)),
            204 if is_escrow && makes => {
                entropy::fill(self.key.insert([0; KEY_LEN]));
                let promise = self.request(scope, "PUT", "", self.key.as_ref())?;
                Ok(KeySearch::Wait(promise, EscrowStage::HandedOver))
            }
            204 if is_escrow => Ok(KeySearch::NotFound),
            _ => {
                self.is_absent = true;
                Ok(KeySearch::NotFound)
            }
        }
    }

    /// Begins to send the key to the escrow again. Returns `None` if this vault has no key, or the request cannot be
    /// made.
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
        headers.set(MARK, nonce)?;
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
