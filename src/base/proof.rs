//! The data of DPoP in HTTP messages: unsigned proofs and nonces. `oauth/dpop.rs` has their rules.

use crate::Secret;
use crate::base::capability;
use crate::prelude::*;

/// A proof without its signature (RFC 9449 4).
#[derive(Clone, Debug)]
pub struct UnsignedProof(capability::Dpop<ProofToSign>);

/// The parts of an [`UnsignedProof`].
#[derive(Clone, Debug)]
pub struct ProofToSign {
    /// The thumbprint of the key to sign with.
    pub key: String,
    /// The JWS signing input (RFC 7515 5.1).
    pub signing_input: Secret,
}

impl UnsignedProof {
    pub(crate) const fn of(parts: capability::Dpop<ProofToSign>) -> Self {
        Self(parts)
    }

    /// Returns the witness of the capability.
    #[must_use]
    pub const fn witness(&self) -> capability::Dpop {
        self.0.witness()
    }
}

impl core::ops::Deref for UnsignedProof {
    type Target = ProofToSign;

    fn deref(&self) -> &ProofToSign {
        &self.0
    }
}

/// The value of a `DPoP-Nonce` header (RFC 9449 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(capability::Dpop<String>);

impl Nonce {
    /// Creates a nonce. Returns `None` in a build without the capability.
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        Some(Self(capability::Dpop::WITNESS?.with(text)))
    }
}

impl core::ops::Deref for Nonce {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}
