//! Proof Key for Code Exchange (RFC 7636): an authorization code is of no use to whoever stole it.
//!
//! Only `S256` exists here. A verifier is made for one login, from 256 bits of the host's entropy,
//! and goes nowhere but to the token endpoint.

use crate::prelude::*;
use crate::{Secret, base64url, secret};
use zeroize::Zeroize;

/// The value of `code_challenge_method` (RFC 7636 section 4.3).
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
    /// A pair from 32 octets, as RFC 7636 section 4.1 recommends. They must come from a
    /// cryptographic source and be used for nothing else; the copy passed in is wiped.
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

/// The SHA-256 digest of `bytes` (FIPS 180-4).
///
/// The compression function is `sha2`'s; what it has for messages that come in pieces is left out, since
/// every message here is short and whole.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    // 5.3.3
    let mut state = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    // 5.1.1: a one bit, zeros, and the length in bits, up to the end of a block.
    let mut padded = Vec::with_capacity(bytes.len() + 72);
    padded.extend_from_slice(bytes);
    padded.push(0x80);
    padded.resize((bytes.len() + 8) / 64 * 64 + 56, 0);
    padded.extend_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    let (blocks, _) = padded.as_chunks();
    sha2::block_api::compress256(&mut state, blocks);
    secret::wipe(&mut padded);
    let mut digest = [0; 32];
    for (octets, word) in digest.chunks_exact_mut(4).zip(state) {
        octets.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_the_hash_of_the_verifier_text() {
        let pkce = Pkce::from_entropy([7; 32]);
        assert_eq!(
            base64url::decode(&pkce.challenge).unwrap(),
            sha256(pkce.verifier.expose().as_bytes())
        );
    }

    #[test]
    fn digests_are_those_of_another_implementation_at_every_length() {
        let bytes: Vec<u8> = (0..300).map(|i| (i * 7) as u8).collect();
        for length in 0..bytes.len() {
            let theirs = ring::digest::digest(&ring::digest::SHA256, &bytes[..length]);
            assert_eq!(sha256(&bytes[..length]), theirs.as_ref(), "{length} bytes");
        }
    }

    #[test]
    fn a_verifier_has_43_unreserved_characters_whatever_the_entropy() {
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
