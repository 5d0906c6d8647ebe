//! The key of kept sessions in escrow: in the memory of a service worker, which gives it to vaults only
//! (pkg/src/worker/escrow.ts), and in the vault's own. The key is never on a disk, and script of a page cannot use it.
//!
//! The key travels by `fetch`, to a URL at which nothing is served. Only a service worker can respond to such a request,
//! because `only-if-cached` keeps it off the network. The response must repeat the request's nonce, because script of a
//! page can put a response with a key that it knows into a cache from which a service worker responds.

use crate::prelude::*;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, Headers, Response};

use crate::base::entropy;
use crate::base::strings;
use crate::browser::platform::{self, FetchInit, WorkerScope};
use crate::browser::sealing::{self, KEY_LEN};
use crate::codec::base64url;

/// The suffix of the worker's URL in requests to the escrow, and the header of these requests and of the responses,
/// with the same value in both. Other responses at that URL, such as a cached response, lack this identifier.
const MARK: &str = "strongroom-escrow";

/// The state of the escrow, as far as this vault knows.
pub(super) struct Escrow {
    /// A URL below the worker's own, which is in the scope of the service worker that controls the worker.
    url: String,
    /// The key, once it was found or made.
    key: Option<[u8; KEY_LEN]>,
    /// No service worker controls this worker, or it has no escrow.
    is_absent: bool,
}

/// The last step of a search for the key.
pub(super) enum EscrowStage {
    /// With the nonce that the response must repeat.
    Asked(String),
    Read,
    HandedOver,
    Imported,
}

/// The state of a search for the key.
pub(super) enum KeySearch {
    /// Continues when this is fulfilled.
    Wait(Promise, EscrowStage),
    Found(CryptoKey),
    NotFound,
}

impl Escrow {
    /// Returns `None` if the key is not in escrow.
    pub(super) fn new(scope: &WorkerScope, is_escrowed: bool) -> Option<Self> {
        if !is_escrowed {
            return None;
        }
        let href = scope.location().href();
        let url = strings::split_once(&href, b'#').0;
        let (_, query) = strings::split_once(url, b'?');
        let separator = if query.is_some() { "&" } else { "?" };
        Some(Self {
            url: [url, separator, MARK].concat(),
            key: None,
            is_absent: false,
        })
    }

    /// Begins to look for the key; with `another`, for a different one than this vault has.
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

    /// Continues with the result of the last step; with `makes`, makes a missing key.
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

    /// Begins to hand the key over once more. Returns `None` if there is no key, or no way.
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
