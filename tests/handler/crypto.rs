//! The cryptography that a host provides to the handler.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rules::codec::base64url;
use rules::codec::json::{Object, Value};

pub(crate) use kit::world::provider::verify;

fn aead(key: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap())
}

pub(crate) fn seal(key: &[u8], nonce: [u8; 12], plain: &str, aad: &str) -> Vec<u8> {
    let mut sealed = plain.as_bytes().to_vec();
    let associated = Aad::from(aad.as_bytes());
    aead(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), associated, &mut sealed)
        .unwrap();
    [&nonce[..], &sealed].concat()
}

pub(crate) fn open(key: &[u8], sealed: &[u8], aad: &str) -> Option<String> {
    let (nonce, body) = sealed.split_at_checked(12)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut body = body.to_vec();
    let plain = aead(key).open_in_place(nonce, Aad::from(aad.as_bytes()), &mut body);
    String::from_utf8(plain.ok()?.to_vec()).ok()
}

/// A key pair for ES256.
pub(crate) struct Pair {
    pair: EcdsaKeyPair,
    private: Vec<u8>,
}

impl Pair {
    pub(crate) fn generate() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        // In ring's PKCS #8 document (RFC 5208), the scalar of the private key (RFC 5915) is at a fixed offset.
        let private = document.as_ref()[36..68].to_vec();
        Self { pair, private }
    }

    fn from_jwk(jwk: &str) -> Option<Self> {
        let jwk = object(jwk);
        let member = |name| base64url::decode(jwk.str(name)?);
        let private = member("d")?;
        let point = [vec![4], member("x")?, member("y")?].concat();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let random = SystemRandom::new();
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private, &point, &random);
        Some(Self {
            pair: pair.ok()?,
            private,
        })
    }

    pub(crate) fn public_jwk(&self, more: &str) -> String {
        let point = self.pair.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(base64url::encode);
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"{more}}}"#)
    }

    pub(crate) fn private_jwk(&self, more: &str) -> String {
        let d = base64url::encode(&self.private);
        self.public_jwk(&format!(r#","d":"{d}"{more}"#))
    }

    pub(crate) fn sign(&self, input: &str) -> Vec<u8> {
        let signature = self.pair.sign(&SystemRandom::new(), input.as_bytes());
        signature.unwrap().as_ref().to_vec()
    }

    /// Returns a signed JWT.
    pub(crate) fn jwt(&self, header: &str, claims: &str) -> String {
        let input = [header, claims].map(|part| base64url::encode(part.as_bytes()));
        let input = input.join(".");
        let signature = base64url::encode(&self.sign(&input));
        [input, signature].join(".")
    }
}

pub(crate) fn sign(jwk: &str, input: &str) -> Option<Vec<u8>> {
    Some(Pair::from_jwk(jwk)?.sign(input))
}

pub(crate) fn object(json: &str) -> Object {
    Value::parse(json).unwrap().as_object().unwrap().clone()
}
