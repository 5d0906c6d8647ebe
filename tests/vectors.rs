//! Tests with the examples of the specifications, which are in `tests/vectors/`. In place of the host's WebCrypto,
//! `ring` verifies signatures with the signing input and the key that the core returns. The signer of the test double
//! is compared with `ring` too.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use ring::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use rules::Code;
use rules::codec::base64url;
use rules::codec::json::{Object, Value};
use rules::oauth::dpop;
use rules::oauth::id_token::Unverified;
use rules::oauth::jwks::{Algorithm, Jwks};
use rules::oauth::jwt::{self, Jwt, Malformed};
use rules::oauth::pkce::{self, Pkce};

/// The signer of `strongroom/testing`, which native builds replace by `ring`.
#[path = "kit/src/signer/p256.rs"]
pub mod test_double_signer;

use test_double_signer::SigningKey;

const RFC_7515: &str = include_str!("vectors/rfc7515.json");
const RFC_7519: &str = include_str!("vectors/rfc7519.json");
const RFC_7636: &str = include_str!("vectors/rfc7636.json");
const RFC_7638: &str = include_str!("vectors/rfc7638.json");
const RFC_8037: &str = include_str!("vectors/rfc8037.json");
const RFC_9449: &str = include_str!("vectors/rfc9449.json");
const OPENID_CONNECT_CORE: &str = include_str!("vectors/openid-connect-core.json");

/// The `exp` of the examples in RFC 7515.
const EXP: u64 = 1_300_819_380;

fn object(json: &str) -> Object {
    Value::parse(json).unwrap().as_object().unwrap().clone()
}

fn example(file: &str, name: &str) -> Object {
    object(file).get(name).unwrap().as_object().unwrap().clone()
}

fn key_set(jwk: &Object) -> Jwks {
    let mut json = String::from(r#"{"keys":["#);
    jwk.write(&mut json);
    json.push_str("]}");
    Jwks::parse(&json).unwrap()
}

fn verify(jwk_json: &str, input: &str, signature: &[u8]) -> bool {
    let jwk = object(jwk_json);
    let member = |name| base64url::decode(jwk.str(name).unwrap()).unwrap();
    let verified = match jwk.str("kty") {
        Some("RSA") => RsaPublicKeyComponents {
            n: member("n"),
            e: member("e"),
        }
        .verify(&RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), signature),
        Some("EC") => {
            let point = [vec![4], member("x"), member("y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(input.as_bytes(), signature)
        }
        Some("OKP") => {
            UnparsedPublicKey::new(&ED25519, member("x")).verify(input.as_bytes(), signature)
        }
        kty => panic!("unexpected key type {kty:?}"),
    };
    verified.is_ok()
}

/// Returns the JWK thumbprint: a hash of the required members, ordered by name, without white space (RFC 7638 section
/// 3).
fn thumbprint(jwk: &Object) -> String {
    let required: &[&str] = match jwk.str("kty") {
        Some("RSA") => &["e", "kty", "n"],
        Some("EC") => &["crv", "kty", "x", "y"],
        _ => &["crv", "kty", "x"],
    };
    let members = required
        .iter()
        .map(|name| format!("\"{name}\":\"{}\"", jwk.str(name).unwrap()));
    let canonical = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    base64url::encode(&pkce::sha256(canonical.as_bytes()))
}

#[test]
fn every_file_names_its_source() {
    for file in [
        RFC_7515,
        RFC_7519,
        RFC_7636,
        RFC_7638,
        RFC_8037,
        RFC_9449,
        OPENID_CONNECT_CORE,
    ] {
        let source = object(file).str("source").unwrap().to_owned();
        let is_known = source.starts_with("RFC ") || source.starts_with("OpenID Connect Core");
        assert!(is_known && source.contains(", "), "{source}");
    }
}

#[test]
fn rfc_7515_examples_verify_and_variants_do_not() {
    for name in ["A.2", "A.3"] {
        let example = example(RFC_7515, name);
        let jws = example.str("jws").unwrap();
        let unverified = Unverified::parse(jws, &Algorithm::ALL).unwrap();
        assert_eq!(Some(unverified.algorithm().name()), example.str("alg"));

        let keys = key_set(example.get("jwk").unwrap().as_object().unwrap());
        let key = keys
            .select(unverified.algorithm(), unverified.kid())
            .unwrap()
            .public_json();
        let (input, signature) = (unverified.signing_input(), unverified.signature());
        assert!(verify(key, input, signature), "{name}");

        let mut flipped = signature.to_vec();
        flipped[0] ^= 1;
        assert!(!verify(key, input, &flipped), "{name}");
        assert!(!verify(key, input, &vec![0; signature.len()]), "{name}");
        assert!(!verify(key, &input[1..], signature), "{name}");
    }
}

#[test]
fn rfc_7515_examples_have_iss_and_exp() {
    for name in ["A.1", "A.2", "A.3"] {
        let example = example(RFC_7515, name);
        let jws = example.str("jws").unwrap();
        let jwt = Jwt::parse(jws).unwrap();
        assert_eq!(jwt::seconds(jwt.claims(), "exp"), Some(EXP));
        assert_eq!(jwt.claims().str("iss"), Some("joe"));
    }
}

#[test]
fn rfc_7515_hmac_example_is_rejected() {
    let example = example(RFC_7515, "A.1");
    let error = Unverified::parse(example.str("jws").unwrap(), &Algorithm::ALL).unwrap_err();
    assert_eq!(error.code(), Code::IdTokenInvalid);
}

#[test]
fn rfc_7519_unsecured_example_is_rejected() {
    let examples = object(RFC_7519);
    let claims = Jwt::parse(examples.str("3.1").unwrap()).unwrap();
    let is_root = claims.claims().get("http://example.com/is_root").unwrap();
    assert_eq!(is_root.as_bool(), Some(true));
    let unsecured = examples.str("6.1").unwrap();
    assert_eq!(Jwt::parse(unsecured).unwrap_err(), Malformed::Unsigned);
    assert!(Unverified::parse(unsecured, &Algorithm::ALL).is_err());
}

#[test]
fn rfc_7638_thumbprints() {
    let examples = [
        (object(RFC_7638), "thumbprint"),
        (object(RFC_8037), "thumbprint"),
        (object(RFC_9449), "jkt"),
    ];
    for (example, name) in examples {
        let jwk = example.get("jwk").unwrap().as_object().unwrap();
        assert_eq!(Some(thumbprint(jwk).as_str()), example.str(name));
    }
}

#[test]
fn rfc_8037_signature_verifies_with_selected_key() {
    let example = object(RFC_8037);
    let jws = example.str("jws").unwrap();
    let not_json = Malformed::NotJson("payload", "not a JSON value".to_owned());
    assert_eq!(Jwt::parse(jws).unwrap_err(), not_json);
    let (input, signature) = jws.rsplit_once('.').unwrap();
    let signature = base64url::decode(signature).unwrap();
    let keys = key_set(example.get("jwk").unwrap().as_object().unwrap());
    let key = keys.select(Algorithm::EdDsa, None).unwrap().public_json();
    assert!(verify(key, input, &signature));
    assert!(!verify(key, &input[1..], &signature));
}

#[test]
fn rfc_7636_appendix_b() {
    let example = object(RFC_7636);
    let bytes = example.get("octets").unwrap().as_array().unwrap();
    let bytes: Vec<u8> = bytes
        .iter()
        .map(|byte| byte.as_u64().unwrap().try_into().unwrap())
        .collect();
    let pkce = Pkce::from_entropy(bytes.try_into().unwrap());
    assert_eq!(Some(pkce.verifier.expose()), example.str("code_verifier"));
    assert_eq!(Some(pkce.challenge.as_str()), example.str("code_challenge"));
}

// claim: provider-4
#[test]
fn rfc_9449_proofs_are_not_accepted_as_id_tokens() {
    let example = object(RFC_9449);
    let keys = key_set(example.get("jwk").unwrap().as_object().unwrap());
    let key = keys.select(Algorithm::Es256, None).unwrap().public_json();
    for name in ["proof", "proof_at_refresh", "proof_at_resource"] {
        let proof = example.str(name).unwrap();
        let error = Unverified::parse(proof, &Algorithm::ALL).unwrap_err();
        assert!(error.message().contains("'dpop+jwt'"), "{error}");
        let proof = Jwt::parse(proof).unwrap();
        assert!(verify(key, proof.signing_input(), proof.signature()));
    }
}

#[test]
fn rfc_9449_access_token_hash() {
    let example = object(RFC_9449);
    let token = example.str("opaque_access_token").unwrap();
    let hash = base64url::encode(&pkce::sha256(token.as_bytes()));
    assert_eq!(Some(hash.as_str()), example.str("ath"));
    let proof = Jwt::parse(example.str("proof_at_resource").unwrap()).unwrap();
    assert_eq!(proof.claims().str("ath"), Some(hash.as_str()));
    let cnf = Jwt::parse(example.str("access_token").unwrap()).unwrap();
    let cnf = cnf.claims().get("cnf").unwrap().as_object().unwrap();
    assert_eq!(cnf.str("jkt"), example.str("jkt"));
}

#[test]
fn rfc_9449_key_thumbprint() {
    let example = object(RFC_9449);
    let key = dpop::PublicKey::from_jwk(example.get("jwk").unwrap().as_object().unwrap());
    assert_eq!(Some(key.unwrap().thumbprint()), example.str("jkt"));
}

#[test]
fn rfc_9449_resource_proof_contains_token_hash() {
    let example = object(RFC_9449);
    let key = dpop::PublicKey::from_jwk(example.get("jwk").unwrap().as_object().unwrap()).unwrap();
    let access_token = rules::Secret::from(example.str("opaque_access_token").unwrap());
    let purpose = dpop::ProofParams {
        method: "GET",
        url: "https://resource.example.org/protectedresource",
        access_token: Some(&access_token),
        nonce: None,
        issued_at: 1_562_262_618,
        jti: [0; dpop::JTI],
    };
    let proof = dpop::UnsignedProof::new(&key, &purpose).signed(&[0; 64]);
    let proof = Jwt::parse(proof.expose()).unwrap();
    assert_eq!(proof.claims().str("ath"), example.str("ath"));
}

#[test]
fn rfc_9449_nonces_are_accepted() {
    let example = object(RFC_9449);
    for nonce in example.get("nonces").unwrap().as_array().unwrap() {
        assert!(dpop::is_nonce(nonce.as_str().unwrap()));
    }
}

#[test]
fn rfc_9449_access_token_has_nbf_and_exp() {
    let example = object(RFC_9449);
    let token = Jwt::parse(example.str("access_token").unwrap()).unwrap();
    let time = |name| jwt::seconds(token.claims(), name);
    assert_eq!(time("nbf"), Some(1_562_262_611));
    assert_eq!(time("exp"), Some(1_562_266_216));
}

#[test]
fn openid_connect_core_hashes() {
    let example = object(OPENID_CONNECT_CORE);
    for (of, is) in [("access_token", "at_hash"), ("code", "c_hash")] {
        let hash = pkce::sha256(example.str(of).unwrap().as_bytes());
        let left = base64url::encode(&hash[..16]);
        assert_eq!(Some(left.as_str()), example.str(is));
    }
}

/// Returns copies of these bytes, each with one changed bit.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).map(|i| {
        let mut copy = bytes.to_vec();
        copy[i] ^= 1;
        copy
    })
}

#[test]
fn ring_verifies_signatures_of_the_test_double() {
    let (key, other) = (SigningKey::generate(), SigningKey::generate());
    let input = b"header.payload";
    let signature = key.sign(input);
    let verify = |point: &[u8], input: &[u8], signature: &[u8]| {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key.verify(input, signature).is_ok()
    };
    assert!(verify(key.point(), input, &signature));
    assert!(!verify(other.point(), input, &signature));
    assert!(damaged(&signature).all(|signature| !verify(key.point(), input, &signature)));
    assert!(damaged(input).all(|input| !verify(key.point(), &input, &signature)));
}

#[test]
fn test_double_verifies_signatures_of_ring() {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref();
    let input = b"header.payload";
    let signature = pair.sign(&random, input).unwrap();
    let verify = test_double_signer::verify;
    assert!(verify(point, input, signature.as_ref()));
    assert!(!verify(
        SigningKey::generate().point(),
        input,
        signature.as_ref()
    ));
    assert!(damaged(signature.as_ref()).all(|signature| !verify(point, input, &signature)));
    assert!(damaged(input).all(|input| !verify(point, &input, signature.as_ref())));
    assert!(damaged(point).all(|point| !verify(&point, input, signature.as_ref())));
    assert!(!verify(point, input, &signature.as_ref()[1..]));
}
