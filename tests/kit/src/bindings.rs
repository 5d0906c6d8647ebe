//! The exports of the module of `strongroom/testing`: a world with one vault, its pages and its provider.
//!
//! Structured values cross by serde-wasm-bindgen. Configuration, claims, and messages between page and vault are JSON
//! strings, because the core parses them itself. A panic, such as a broken invariant, becomes a JavaScript error. The
//! world must not be used after that.

use std::collections::BTreeMap;
use std::sync::Once;
use std::time::Duration;

use rules::Secret;
use rules::codec::json::Value;
use rules::egress::body_delivery;
use rules::egress::token_reflection::{Guard, Scope};
use serde::{Deserialize, Serialize};
use vault::{Body, CallId, PortId, ResponseHead};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsValue, throw_str};

use crate::world::external::Outgoing;
use crate::world::{Fault, REFRESH, World};

/// A world for the tests of an app.
#[wasm_bindgen]
pub struct TestCore {
    world: World,
    /// The search of each call's response for access tokens.
    guards: BTreeMap<CallId, (Guard, Scope)>,
}

#[wasm_bindgen]
impl TestCore {
    /// Creates a world for a vault's configuration. `base` is the worker's URL, and `now` the time.
    ///
    /// # Errors
    /// The message of `config_invalid`.
    #[wasm_bindgen(constructor)]
    pub fn new(config: &str, base: &str, now: f64) -> Result<TestCore, JsValue> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| std::panic::set_hook(Box::new(|panic| throw_str(&panic.to_string()))));
        let world = World::external(config, base, now as u64);
        let world = world.map_err(|error| JsValue::from_str(error.message()))?;
        Ok(Self {
            world,
            guards: BTreeMap::new(),
        })
    }

    /// Connects a page. Returns the number of its port.
    pub fn connect(&mut self) -> u32 {
        self.world.connect().0
    }

    /// Delivers a page's message. Returns the number of the message, which is also the number of its call.
    pub fn say(&mut self, port: u32, text: &str, has_stream: bool) -> u32 {
        let body = if has_stream {
            Body::OneShot
        } else {
            Body::Replayable
        };
        self.world.page_says(PortId(port), text, body).0
    }

    /// Takes the output for pages and APIs, as an array.
    ///
    /// # Errors
    /// A number that JavaScript cannot represent.
    pub fn outgoing(&mut self) -> Result<JsValue, JsValue> {
        let outgoing = self.world.take_outgoing();
        let outgoing: Vec<Sent> = outgoing
            .into_iter()
            .filter_map(|out| self.sent(out))
            .collect();
        Ok(serde_wasm_bindgen::to_value(&outgoing)?)
    }

    /// Returns true if the head of a response contains an access token.
    #[wasm_bindgen(js_name = isInHead)]
    pub fn is_in_head(&mut self, call: u32, head: &str) -> bool {
        let guard = self.guards.get(&CallId(call));
        let is_found = guard.is_some_and(|(guard, _)| guard.is_in(head.as_bytes()));
        if guard.is_some_and(|(_, scope)| *scope != Scope::All) {
            self.guards.remove(&CallId(call));
        }
        is_found
    }

    /// Returns the bytes that may go to the page after this chunk of a body, or after its end. Returns `undefined` if
    /// the body contains an access token.
    #[wasm_bindgen(js_name = passChunk)]
    pub fn pass_chunk(&mut self, call: u32, chunk: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let Some((guard, _)) = self.guards.get_mut(&CallId(call)) else {
            return Some(chunk.unwrap_or_default());
        };
        if let Some(chunk) = &chunk {
            guard.take(chunk.len()).copy_from_slice(chunk);
        }
        let mut free = guard.free()?;
        if chunk.is_none() {
            free = guard.bytes().len();
        }
        let passed = guard.bytes()[..free].to_vec();
        guard.forget(free);
        Some(passed)
    }

    /// Returns the bytes that may go to the page although they may be the beginning of a token, because no more bytes
    /// have arrived for a while.
    #[wasm_bindgen(js_name = passAfterPause)]
    pub fn pass_after_pause(&mut self, call: u32) -> Vec<u8> {
        let Some((guard, _)) = self.guards.get_mut(&CallId(call)) else {
            return Vec::new();
        };
        let passed = guard.bytes()[..guard.free_after_pause()].to_vec();
        if !passed.is_empty() {
            guard.release();
        }
        passed
    }

    /// Returns true if the body of a call's response is searched for access tokens.
    #[wasm_bindgen(js_name = searchesBody)]
    pub fn searches_body(&self, call: u32) -> bool {
        matches!(self.guards.get(&CallId(call)), Some((_, Scope::All)))
    }

    /// Returns the length of the longest body that crosses together with its head. Returns `undefined` if the head of a
    /// response with this `Content-Type` does not wait for its body.
    #[wasm_bindgen(js_name = longestWhole)]
    pub fn longest_whole(&self, call: u32, content_type: Option<String>) -> Option<u32> {
        let may_wait = self.searches_body(call)
            && content_type.is_none_or(|it| body_delivery::may_wait(Some(&it)));
        may_wait.then_some(body_delivery::MAX_WHOLE as u32)
    }

    /// Reports the head of the API's response, or `undefined` if the request failed.
    ///
    /// # Errors
    /// A member of the head is missing or has another type.
    pub fn respond(&mut self, call: u32, head: JsValue) -> Result<(), JsValue> {
        let head: Option<Head> = serde_wasm_bindgen::from_value(head)?;
        self.world
            .api_responds(CallId(call), head.map(ResponseHead::from));
        Ok(())
    }

    /// Reports that the response to a call contains an access token.
    pub fn reflect(&mut self, call: u32) {
        self.world.api_reflects(CallId(call));
    }

    /// Reports that the body of a call has ended.
    #[wasm_bindgen(js_name = endBody)]
    pub fn end_body(&mut self, call: u32) {
        self.guards.remove(&CallId(call));
        self.world.body_ends(CallId(call));
    }

    /// Reports that a socket is open with this sub-protocol, or, without one, that its handshake failed.
    #[wasm_bindgen(js_name = respondSocket)]
    pub fn respond_socket(&mut self, call: u32, protocol: Option<String>) {
        self.world.socket_responds(CallId(call), protocol);
    }

    /// Returns true if a message or close reason of a socket contains an access token.
    #[wasm_bindgen(js_name = containsToken)]
    pub fn contains_token(&self, call: u32, message: &[u8]) -> bool {
        let guard = self.guards.get(&CallId(call));
        guard.is_some_and(|(guard, _)| guard.is_in(message))
    }

    /// Reports that an open socket is closed.
    #[wasm_bindgen(js_name = endSocket)]
    pub fn end_socket(&mut self, call: u32) {
        self.guards.remove(&CallId(call));
        self.world.socket_ends(CallId(call));
    }

    /// Lets time pass until the next timer, but at most this many milliseconds. Returns the time that has passed.
    pub fn step(&mut self, limit: f64) -> f64 {
        let passed = self.world.step(Duration::from_millis(limit as u64));
        passed.as_millis() as f64
    }

    /// Returns the time in milliseconds since the Unix epoch.
    pub fn now(&self) -> f64 {
        self.world.now.wall as f64
    }

    /// Sets the user who signs in from now on, by the claims of the ID token.
    #[wasm_bindgen(js_name = setUser)]
    pub fn set_user(&mut self, claims: &str) {
        if let Ok(Value::Object(claims)) = Value::parse(claims).as_ref() {
            self.world.provider.set_user(claims);
        }
    }

    /// Signs the user in from another page. Returns the code of the error with which that failed.
    #[wasm_bindgen(js_name = signIn)]
    pub fn sign_in(&mut self) -> Option<String> {
        self.world.sign_in_elsewhere().err()
    }

    /// Signs the user out from another page.
    #[wasm_bindgen(js_name = signOut)]
    pub fn sign_out(&mut self) {
        self.world.sign_out_elsewhere();
    }

    /// Signs the user in at the URL of an authorization request, or refuses the request with an error code. Returns the
    /// URL of the redirect back.
    #[wasm_bindgen(js_name = authorize)]
    pub fn authorize(&mut self, url: &str, error: Option<String>) -> String {
        match error {
            Some(error) => self.world.provider.deny(url, &error),
            None => self.world.provider.sign_in(url),
        }
    }

    /// Signs in the user who has entered this code on another device, or refuses with an error code. Returns false if
    /// no login waits for this code.
    #[wasm_bindgen(js_name = enterCode)]
    pub fn enter_code(&mut self, user_code: &str, error: Option<String>) -> bool {
        self.world.provider.enter_code(user_code, error)
    }

    /// Ends all sessions at the provider.
    pub fn revoke(&mut self) {
        self.world.provider.revoke_all();
    }

    /// Lets all requests to the provider fail, with this status or, for 0, with a network error. `undefined` ends this.
    pub fn fail(&mut self, status: Option<u16>) {
        self.world.knows_offline = status == Some(0);
        self.world.provider_fails(status.map(|status| match status {
            0 => Fault::LostBefore,
            status => Fault::Status(status),
        }));
    }

    /// Lets the pages report that the device is online again.
    pub fn wake(&mut self) {
        self.world.wake();
    }

    /// Sets the lifetime of access tokens, in seconds.
    #[wasm_bindgen(js_name = setLifetime)]
    pub fn set_lifetime(&mut self, seconds: f64) {
        self.world.provider.lifetime = Duration::from_secs(seconds as u64);
    }

    /// Replaces the worker by a new one, which has only what the old one has stored.
    pub fn crash(&mut self) {
        self.guards.clear();
        self.world.restart();
    }

    /// Returns the number of refreshes that were sent.
    pub fn refreshes(&self) -> u32 {
        self.world.count(REFRESH) as u32
    }

    /// Returns output for JavaScript, if there is any.
    fn sent(&mut self, outgoing: Outgoing) -> Option<Sent> {
        Some(match outgoing {
            Outgoing::Search(tokens) => {
                for (guard, _) in self.guards.values_mut() {
                    guard.renew(&tokens);
                }
                return None;
            }
            Outgoing::Post { port, text } => Sent::Post { port: port.0, text },
            Outgoing::Close(port) => Sent::Close { port: port.0 },
            Outgoing::Deliver { call, text } => Sent::Deliver { call: call.0, text },
            Outgoing::Drop(call) => {
                self.guards.remove(&call);
                Sent::Drop { call: call.0 }
            }
            Outgoing::OpenSocket {
                call,
                page,
                handshake,
                is_accepted,
            } => {
                self.search(call, Scope::All, &handshake.searched);
                Sent::Socket {
                    call: call.0,
                    port: page.port.0,
                    id: page.id.0,
                    url: handshake.url.expose().to_owned(),
                    protocols: handshake.protocols.expose().to_owned(),
                    accepted: is_accepted,
                }
            }
            Outgoing::SendFirst { call, text } => Sent::First { call: call.0, text },
            Outgoing::CloseSocket { call, code, reason } => {
                let call = call.0;
                Sent::CloseSocket { call, code, reason }
            }
            Outgoing::Call {
                call,
                page,
                request,
                proof,
                is_accepted,
            } => {
                self.search(call, request.allowed.reflection(), &request.searched);
                Sent::Call {
                    call: call.0,
                    port: page.port.0,
                    id: page.id.0,
                    url: request.allowed.url().to_owned(),
                    method: request.allowed.method().to_owned(),
                    authorization: request.authorization.expose().to_owned(),
                    proof,
                    init: request.init,
                    accepted: is_accepted,
                }
            }
        })
    }

    /// Prepares the search of a response or socket for access tokens.
    fn search(&mut self, call: CallId, scope: Scope, tokens: &[Secret]) {
        let tokens: Vec<&str> = tokens.iter().map(Secret::expose).collect();
        self.guards.remove(&call);
        if scope != Scope::Nothing
            && let Some(guard) = Guard::search_for(&tokens)
        {
            self.guards.insert(call, (guard, scope));
        }
    }
}

/// Output for pages and APIs. `t` names the kind.
#[derive(Serialize)]
#[serde(tag = "t", rename_all = "camelCase")]
enum Sent {
    Post {
        port: u32,
        text: String,
    },
    Close {
        port: u32,
    },
    Deliver {
        call: u32,
        text: String,
    },
    Drop {
        call: u32,
    },
    Call {
        call: u32,
        port: u32,
        id: u64,
        url: String,
        method: String,
        authorization: String,
        /// The DPoP proof, if the token is bound to a key.
        proof: Option<String>,
        /// The request's `RequestInit`, as JSON.
        init: String,
        /// False if the access token has expired or is revoked.
        accepted: bool,
    },
    Socket {
        call: u32,
        port: u32,
        id: u64,
        url: String,
        /// The sub-protocols, as a JSON array.
        protocols: String,
        accepted: bool,
    },
    First {
        call: u32,
        text: String,
    },
    CloseSocket {
        call: u32,
        code: u16,
        reason: String,
    },
}

/// The head of an API's response.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    status: u16,
    status_text: String,
    url: String,
    redirected: bool,
    has_body: bool,
    www_authenticate: Option<String>,
    dpop_nonce: Option<String>,
    has_range: bool,
}

impl From<Head> for ResponseHead {
    fn from(head: Head) -> Self {
        Self {
            status: head.status,
            status_text: head.status_text,
            url: head.url,
            redirected: head.redirected,
            has_body: head.has_body,
            www_authenticate: head.www_authenticate,
            dpop_nonce: head.dpop_nonce,
            has_range: head.has_range,
        }
    }
}
