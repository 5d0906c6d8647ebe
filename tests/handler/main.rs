//! The token handler in virtual time, as one isolate: real AES-GCM and real signatures, a provider that remembers its
//! requests, and a browser that stores cookies as browsers do.
//!
//! Each file is a behavior; all share `host`. `tests/isolates` covers the agreement of several isolates.

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
