//! Stand-ins for proofs of possession, which need the Cargo feature `extended`.
//!
//! The types in this module have no values, so an `Option` of such a type takes no space and the compiler removes the
//! code for it.

use crate::Secret;
use crate::prelude::*;

/// True if this build can bind tokens to a key.
pub const IS_SUPPORTED: bool = false;

/// The public key of a key pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {}

impl PublicKey {
    /// Returns the SHA-256 thumbprint.
    #[must_use]
    pub const fn thumbprint(&self) -> &str {
        match *self {}
    }
}

/// A proof without its signature.
#[derive(Clone, Debug)]
pub enum UnsignedProof {}

impl UnsignedProof {
    /// Returns the complete proof.
    #[must_use]
    pub const fn signed(&self, _: &[u8]) -> Secret {
        match *self {}
    }
}

/// The value of a `DPoP-Nonce` header.
#[derive(Clone, Debug)]
pub enum Nonce {}

/// Returns `None`, because this build does not use the `DPoP-Nonce` header.
pub fn nonce_header(_: impl FnOnce(&str) -> Option<String>) -> Option<Nonce> {
    None
}
