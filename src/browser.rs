//! The vault's host in a browser's worker. The host performs the outputs of the core.
//!
//! - `host`: the main loop, which passes events to the core and the core's outputs to the modules below.
//! - `api_call`: requests to APIs, and the responses' bodies, which go to the page in chunks.
//! - `api_socket`: WebSocket connections to APIs, and the messages on these sockets.
//! - `operation`: operations that the core requests and that take several asynchronous steps:
//!   - `provider_request`: requests to the provider.
//!   - `encrypted_store`: stored logins and sessions. This module uses `database`, `sealing` and `session_key`.
//!   - `signature`: verification of signatures by WebCrypto.
//!   - `key_generation`: key pairs for DPoP.
//! - `context`: the state that all parts share, and the events.
//! - `dpop`: the DPoP keys of tokens, and signatures with these keys.
//! - `escrow`: the key that encrypts stored sessions, if a service worker holds that key.
//! - `platform`: the JavaScript imports that `web_sys` and `js_sys` lack.

mod api_call;
mod api_socket;
mod context;
mod database;
mod dpop;
mod encrypted_store;
mod escrow;
mod host;
mod key_generation;
mod operation;
pub(crate) mod platform;
mod provider_request;
mod sealing;
mod session_key;
mod signature;

pub use host::Host;
