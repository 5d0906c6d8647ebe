//! A proof as a server reads it (RFC 9449 4.3).

use strongroom::base64url;
use strongroom::dpop::PublicKey;

use crate::crypto::{self, object};

/// What a proof says, its signature and type having been checked.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) jkt: String,
    pub(crate) jti: String,
    pub(crate) htm: String,
    pub(crate) htu: String,
    pub(crate) iat: u64,
    pub(crate) ath: Option<String>,
    pub(crate) nonce: Option<String>,
}

pub(crate) fn read(proof: &str) -> Proof {
    let (input, signature) = proof.rsplit_once('.').unwrap();
    let (header, claims) = input.split_once('.').unwrap();
    let [header, claims] = [header, claims]
        .map(|part| object(&String::from_utf8(base64url::decode(part).unwrap()).unwrap()));
    assert_eq!(header.str("typ"), Some("dpop+jwt"));
    assert_eq!(header.str("alg"), Some("ES256"));
    let jwk = header.get("jwk").unwrap().as_object().unwrap();
    let names: Vec<&str> = jwk.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["crv", "kty", "x", "y"], "only the public half");
    let mut text = String::new();
    jwk.write(&mut text);
    let signature = base64url::decode(signature).unwrap();
    assert!(
        crypto::verify(&text, input, &signature),
        "signed by the key in it"
    );
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
