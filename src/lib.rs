//! strongroom

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod prelude;

pub mod allow;
pub mod authorize;
pub mod base64url;
pub mod clock;
pub mod config;
pub mod error;
pub mod form;
pub mod http;
pub mod id_token;
pub mod json;
pub mod jwks;
pub mod jwt;
pub mod metadata;
pub mod pkce;
pub mod refresh;
pub mod secret;
pub mod session;
pub mod token;
pub mod url;
pub mod vault;

#[cfg(target_arch = "wasm32")]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
mod wasm;
#[cfg(target_arch = "wasm32")]
pub mod web;

pub use error::{Code, Error, Result};
pub use secret::Secret;
