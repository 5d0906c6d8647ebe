//! The vault's host in a browser's worker: carries out what the core decides.
//!
//! - `host`: the loop between the core and everything below.
//! - `api_call`: requests to APIs, and their bodies, which go to the page piece by piece.
//! - `api_socket`: sockets, and what goes through them.
//! - `operation`: operations of the core's that take several steps:
//!   - `provider`: requests to the provider.
//!   - `seal`: the store of pending logins and of sessions, and the key it is sealed with.
//!   - `escrow`: the key of sessions, when a service worker has it.
//!   - `signature`: verification by WebCrypto.
//! - `dpop`: the keys that tokens are bound to, and signatures with them.
//! - `platform`: what all of them need of the platform.

mod api_call;
#[cfg(feature = "extended")]
mod api_socket;
#[cfg(feature = "extended")]
mod dpop;
mod encrypted_store;
#[cfg(feature = "extended")]
mod escrow;
mod host;
mod operation;
pub(crate) mod platform;
mod provider_request;
pub(crate) mod signature;

pub use host::Host;
