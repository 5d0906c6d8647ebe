//! A DPoP proof (RFC 9449) without its signature. `oauth/dpop.rs` has the rules of proofs.

use crate::Secret;
use crate::prelude::*;

/// A proof without its signature (RFC 9449 4).
#[derive(Clone, Debug)]
pub struct UnsignedProof {
    /// The thumbprint of the key to sign with.
    pub key: String,
    /// The JWS signing input (RFC 7515 5.1).
    pub signing_input: Secret,
}
