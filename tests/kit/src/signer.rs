//! Keys and signatures of the provider and of workers: ES256, by `ring`.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};

pub struct SigningKey(EcdsaKeyPair);

impl SigningKey {
    pub(crate) fn generate() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
    }

    /// Returns the public key as an uncompressed point: a byte 4 and two coordinates of 32 bytes.
    pub(crate) fn point(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    pub(crate) fn sign(&self, input: &[u8]) -> Vec<u8> {
        let signature = self.0.sign(&SystemRandom::new(), input).unwrap();
        signature.as_ref().to_vec()
    }
}

pub(crate) fn verify(point: &[u8], input: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(input, signature)
        .is_ok()
}
