//! Reads DPoP proofs as a server does (RFC 9449 section 4.3).

use rules::codec::base64url;
use rules::codec::json::{Object, Value};
use rules::oauth::dpop::PublicKey;

use crate::signer;

/// The claims of a proof whose signature and type have been checked.
#[derive(Clone, Debug)]
pub struct Proof {
    pub jkt: String,
    pub jti: String,
    pub htm: String,
    pub htu: String,
    pub iat: u64,
    pub ath: Option<String>,
    pub nonce: Option<String>,
}

pub fn read(proof: &str) -> Proof {
    let (input, signature) = proof.rsplit_once('.').unwrap();
    let (header, claims) = input.split_once('.').unwrap();
    let part = |part: &str| -> Object {
        let text = String::from_utf8(base64url::decode(part).unwrap()).unwrap();
        Value::parse(&text).unwrap().as_object().unwrap().clone()
    };
    let (header, claims) = (part(header), part(claims));
    assert_eq!(header.str("typ"), Some("dpop+jwt"));
    assert_eq!(header.str("alg"), Some("ES256"));
    let jwk = header.get("jwk").unwrap().as_object().unwrap();
    let names: Vec<&str> = jwk.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["crv", "kty", "x", "y"], "only the public key");
    let member = |name| base64url::decode(jwk.str(name).unwrap()).unwrap();
    let point = [vec![4], member("x"), member("y")].concat();
    let signature = base64url::decode(signature).unwrap();
    let is_its = signer::verify(&point, input.as_bytes(), &signature);
    assert!(is_its, "the proof is signed by the key in its header");
    let text = |name| claims.str(name).map(str::to_owned);
    Proof {
        jkt: PublicKey::from_jwk(jwk).unwrap().thumbprint().to_owned(),
        jti: text("jti").unwrap(),
        htm: text("htm").unwrap(),
        htu: text("htu").unwrap(),
        iat: claims.get("iat").unwrap().as_u64().unwrap(),
        ath: text("ath"),
        nonce: text("nonce"),
    }
}
