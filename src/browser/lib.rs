//! The vault's host in a browser's worker, and the bindings of its module. The host performs the vault's outputs.
//!
//! No decision about tokens may enter this crate, because no native test reaches this code.
//!
//! - `bindings`: the functions that the module exports to JavaScript. They only convert values.
//! - `host`: the main loop, which passes events to the vault and the vault's outputs to the modules below.
//! - `api_call`: requests to APIs, and the responses' bodies, which go to the page in chunks.
//! - `api_socket`: WebSocket connections to APIs, and the messages on these sockets.
//! - `operation`: operations that the vault requests and that take several asynchronous steps:
//!   - `provider_request`: requests to the provider.
//!   - `encrypted_store`: stored logins and sessions. This module uses `database`, `sealing` and `session_key`.
//!   - `signature`: verification of signatures by WebCrypto.
//!   - `key_generation`: key pairs for DPoP.
//! - `context`: the state that all parts share, and the events.
//! - `dpop`: the DPoP keys of tokens, and signatures with these keys.
//! - `escrow`: the key that encrypts stored sessions, if a service worker holds that key.
//! - `platform`: the JavaScript imports that `web_sys` and `js_sys` lack.

#![cfg(target_arch = "wasm32")]
#![no_std]

extern crate alloc;

mod api_call;
mod api_socket;
// Without this feature, the module would contain the text of each error.
const _: () = assert!(rules::base::messages::ARE_INTERNED);

pub mod bindings;
mod context;
mod database;
mod dpop;
mod encrypted_store;
mod escrow;
mod host;
mod key_generation;
mod operation;
mod platform;
mod provider_request;
mod sealing;
mod session_key;
mod signature;
