//! The rules of OAuth 2.0 and OpenID Connect that a vault and a token handler share.
//!
//! No state machine may enter this crate, and nothing that depends on one; some rules have only one of the two as a user.
//! The crate performs no I/O: it does not read a clock, open a connection or wait, and a host passes random numbers
//! ([`base::entropy::Entropy`]).
//!
//! Each module states its rules. `ARCHITECTURE.md` has an index of rules, with the code of each.
//! Start with [`oauth::refresh_policy`] and [`egress::policy`].

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

pub mod prelude;

#[macro_use]
pub mod base;
pub mod codec;
pub mod config;
pub mod egress;
pub mod login;
pub mod oauth;
pub mod session;

pub use base::error::{Code, Error, Result};
pub use base::secret::Secret;
