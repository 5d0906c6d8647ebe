//! The vault's host in a browser's worker: carries out what the core decides.
//!
//! - `host`: the loop between the core and the parts below.
//! - `api_call`: requests to APIs, and their bodies, which go to the page in chunks.
//! - `api_socket`: sockets to APIs, and their messages.
//! - `operation`: operations of the core that take several steps:
//!   - `provider_request`: requests to the provider.
//!   - `encrypted_store`: pending logins and kept sessions, by `database`, `sealing` and `session_key`.
//!   - `signature`: verification by WebCrypto.
//!   - `key_generation`: key pairs for DPoP.
//! - `basic`: stand-ins for what only the extended module has.
//! - `context`: what all parts share, and the events.
//! - `dpop`: the keys that tokens are bound to, and signatures with them.
//! - `escrow`: the key of sessions, if a service worker has it.
//! - `platform`: the imports that `web_sys` and `js_sys` lack.

mod api_call;
#[cfg_attr(not(feature = "extended"), path = "browser/basic/api_socket.rs")]
mod api_socket;
mod context;
mod database;
#[cfg_attr(not(feature = "extended"), path = "browser/basic/dpop.rs")]
mod dpop;
mod encrypted_store;
#[cfg_attr(not(feature = "extended"), path = "browser/basic/escrow.rs")]
mod escrow;
mod host;
#[cfg_attr(not(feature = "extended"), path = "browser/basic/key_generation.rs")]
mod key_generation;
mod operation;
pub(crate) mod platform;
mod provider_request;
mod sealing;
#[cfg_attr(not(feature = "extended"), path = "browser/basic/session_key.rs")]
mod session_key;
mod signature;

pub use host::Host;
