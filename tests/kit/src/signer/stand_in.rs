//! Keys and signatures for the test double (`strongroom/testing`), which has the form of ES256 and no security.
//!
//! In a browser, WebCrypto verifies signatures. A test double only has to distinguish correct signatures from wrong
//! ones, and every key here is known only in its own process. A signature is a hash of the public key and the input.

use std::sync::atomic::{AtomicU8, Ordering};

use strongroom::oauth::pkce;

pub struct SigningKey([u8; 65]);

impl SigningKey {
    pub(crate) fn generate() -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        let seed = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut point = [4; 65];
        point[1..33].copy_from_slice(&pkce::sha256(&[seed, 0]));
        point[33..].copy_from_slice(&pkce::sha256(&[seed, 1]));
        Self(point)
    }

    /// Returns the public key in the form of an uncompressed point.
    pub(crate) const fn point(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn sign(&self, input: &[u8]) -> Vec<u8> {
        signature(&self.0, input)
    }
}

pub(crate) fn verify(point: &[u8], input: &[u8], made: &[u8]) -> bool {
    signature(point, input) == made
}

fn signature(point: &[u8], input: &[u8]) -> Vec<u8> {
    let first = pkce::sha256(&[point, input].concat());
    [first, pkce::sha256(&first)].concat()
}
