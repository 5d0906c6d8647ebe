//! Proof Key for Code Exchange (RFC 7636): a stolen authorization code is useless without its verifier.
//!
//! Only `S256` is supported. Each login has its own verifier, from 256 bits of the host's entropy. The verifier is sent
//! to the token endpoint only.

use crate::Secret;
use crate::codec::base64url;
use crate::prelude::*;
use zeroize::Zeroize;

pub use crate::base::digest::sha256;

/// Value of `code_challenge_method` (RFC 7636 section 4.3).
pub const CHALLENGE_METHOD: &str = "S256";

/// A `code_verifier` and its `code_challenge`.
#[derive(Clone, Debug)]
pub struct Pkce {
    /// The `code_verifier` for the token request: 43 characters (RFC 7636 section 4.1).
    pub verifier: Secret,
    /// The `code_challenge` for the authorization request (RFC 7636 section 4.2).
    pub challenge: String,
}

impl Pkce {
    /// Creates a pair from 32 random bytes, as RFC 7636 section 4.1 recommends. The bytes must come from a
    /// cryptographic source and must not be used for anything else. Zeroes the copy of the bytes that is passed in.
    #[must_use]
    pub fn from_entropy(mut entropy: [u8; 32]) -> Self {
        let verifier = base64url::encode(&entropy);
        entropy.zeroize();
        let challenge = base64url::encode(&sha256(verifier.as_bytes()));
        Self {
            verifier: Secret::new(verifier),
            challenge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_is_the_hash_of_the_verifier() {
        let pkce = Pkce::from_entropy([7; 32]);
        assert_eq!(
            base64url::decode(&pkce.challenge).unwrap(),
            sha256(pkce.verifier.expose().as_bytes())
        );
    }

    #[test]
    fn verifier_has_43_unreserved_characters() {
        for entropy in [[0; 32], [0xff; 32], [0x5a; 32]] {
            let verifier = Pkce::from_entropy(entropy).verifier;
            assert_eq!(verifier.expose().len(), 43);
            assert!(
                verifier
                    .expose()
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            );
        }
    }

    #[test]
    fn debug_output_hides_the_verifier() {
        let pkce = Pkce::from_entropy([7; 32]);
        assert!(!format!("{pkce:?}").contains(pkce.verifier.expose()));
    }
}
