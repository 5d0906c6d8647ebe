//! Code that several test targets share: random numbers from a seed, responses, proofs, lists of request headers, and
//! the worlds in which the core runs in virtual time.
//!
//! [`world`] holds vaults with their pages, provider, APIs and store. `isolates` (feature `isolates`) holds isolates of the token handler
//! with their coordinator, provider and browsers. Both modules check their invariants at each step. `bindings` (wasm32
//! only) exports a world to the test double of apps, `strongroom/testing`.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]
#![allow(
    missing_docs,
    clippy::new_without_default,
    reason = "only tests use this library"
)]

#[cfg(target_arch = "wasm32")]
pub mod bindings;
pub mod dice;
pub mod flaws;
#[cfg(feature = "isolates")]
pub mod isolates;
pub mod proof;
pub mod reply;
pub mod request_headers;
mod rules;
#[cfg_attr(target_arch = "wasm32", path = "signer/p256.rs")]
mod signer;
pub mod world;
