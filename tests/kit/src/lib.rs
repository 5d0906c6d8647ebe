//! Code that several test targets share: random numbers from a seed, responses, proofs, lists of request headers, and
//! the vault's world in virtual time.
//!
//! [`world`] has vaults with their pages, provider, APIs and store, and checks its invariants at each step. `bindings`
//! (wasm32 only) exports a world to the test double of apps, `strongroom/testing`. The world of the token handler is in
//! `tests/kit/isolates`.

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
mod invariant;
pub mod proof;
pub mod reply;
pub mod request_headers;
#[cfg_attr(target_arch = "wasm32", path = "signer/p256.rs")]
mod signer;
pub mod world;
