//! Keys and signatures for the test double (`strongroom/testing`): ES256 in Rust, because `ring` needs a C compiler for
//! wasm. Signatures are deterministic (RFC 6979).
//!
//! Private keys are hashes of a counter, so anyone can compute them. Only worlds in memory trust these keys.

use std::sync::atomic::{AtomicU8, Ordering};

use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, VerifyingKey};
use rules::oauth::pkce;

/// A private key, with its public key.
pub struct SigningKey {
    key: p256::ecdsa::SigningKey,
    point: Vec<u8>,
}

impl SigningKey {
    pub(crate) fn generate() -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        let seed = pkce::sha256(&[COUNT.fetch_add(1, Ordering::Relaxed)]);
        let key = p256::ecdsa::SigningKey::from_slice(&seed).unwrap();
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Self { key, point }
    }

    /// Returns the public key as an uncompressed point: a byte 4 and two coordinates of 32 bytes.
    pub(crate) fn point(&self) -> &[u8] {
        &self.point
    }

    pub(crate) fn sign(&self, input: &[u8]) -> Vec<u8> {
        let signature: Signature = self.key.sign(input);
        signature.to_bytes().to_vec()
    }
}

pub(crate) fn verify(point: &[u8], input: &[u8], signature: &[u8]) -> bool {
    let key = VerifyingKey::from_sec1_bytes(point);
    let signature = Signature::from_slice(signature);
    key.and_then(|key| key.verify(input, &signature?)).is_ok()
}
