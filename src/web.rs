//! The vault's host in a browser's worker: carries out what the core decides, through web-sys.
//!
//! - `host`: the loop between the core and everything below.
//! - `call`: requests to APIs, and their bodies, which go to the page piece by piece.
//! - `provider`: requests to the provider.
//! - `seal`: the store of pending logins, and the key it is sealed with.
//! - `signature`: verification by WebCrypto.
//! - `js`: the few shapes of JavaScript that all of them need.

mod call;
mod host;
mod js;
mod provider;
mod seal;
mod signature;

pub use host::Host;
