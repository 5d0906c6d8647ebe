//! Code that several test targets share: random numbers from a seed, responses, proofs, lists of request headers, and
//! the worlds in which the core runs in virtual time.
//!
//! [`world`] holds vaults with their pages, provider, APIs and store. [`isolates`] holds isolates of the token handler
//! with their coordinator, provider and browsers. Both modules check their invariants at each step.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]
#![allow(
    missing_docs,
    clippy::new_without_default,
    reason = "only tests use this library"
)]

pub mod dice;
pub mod isolates;
pub mod proof;
pub mod reply;
pub mod request_headers;
mod rules;
pub mod world;
