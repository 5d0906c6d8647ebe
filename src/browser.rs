//! The vault's host in a browser's worker: carries out what the core decides.
//!
//! - `host`: the loop between the core and everything below.
//! - `call`: requests to APIs, and their bodies, which go to the page piece by piece.
//! - `socket`: sockets, and what goes through them.
//! - `flow`: operations of the core's that take several steps:
//!   - `provider`: requests to the provider.
//!   - `seal`: the store of pending logins and of sessions, and the key it is sealed with.
//!   - `escrow`: the key of sessions, when a service worker has it.
//!   - `signature`: verification by WebCrypto.
//! - `dpop`: the keys that tokens are bound to, and signatures with them.
//! - `js`: what all of them need of the platform.

mod call;
#[cfg(feature = "full")]
mod dpop;
#[cfg(feature = "full")]
mod escrow;
mod flow;
mod host;
pub(crate) mod js;
mod provider;
mod seal;
pub(crate) mod signature;
#[cfg(feature = "full")]
mod socket;

pub use host::Host;
