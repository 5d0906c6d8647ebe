//! Code that several test targets share: random numbers from a seed, responses, proofs, lists of request headers, and
//! the vault's world in virtual time.
//!
//! Nothing of the token handler may enter this crate: its world is in `tests/kit/isolates`.
//!
//! [`world`] has vaults with their pages, provider, APIs and store, and checks their invariants at each step. `bindings`
//! (wasm32 only) exports a world to the test double of apps, `strongroom/testing`.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]
#![allow(
    missing_docs,
    clippy::new_without_default,
    reason = "only tests and the test double use this library"
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
#[cfg(not(target_arch = "wasm32"))]
pub mod table;
pub mod world;
