//! The token handler in virtual time, one isolate of it: real AES-GCM and real signatures, a provider that remembers
//! what it was told, a browser that keeps cookies as browsers do.
//!
//! Each file is a behavior; `host` is what they share. What isolates agree on among themselves is tested elsewhere.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]

mod back_channel;
mod browser;
mod callback;
mod client_auth;
mod client_config;
mod config;
mod cookies;
mod cross_site;
mod crypto;
mod discovery;
mod dpop;
mod faults;
mod grants;
mod headers;
mod host;
mod login;
mod logout;
mod navigation;
mod provider;
mod proxy;
mod request_headers;
mod session;
mod store;
