//! Checks key sets. A selected key must be a public key of the algorithm's type, and the host must get only the key's
//! public members.

use super::assert_presentable;
use rules::Code;
use rules::codec::json::Value;
use rules::oauth::jwks::{Algorithm, Jwks, MAX_KEYS, MAX_LEN, SelectError};

/// All members of a public key (RFC 7518 6.2.1, 6.3.1; RFC 8037 2).
const PUBLIC: &[&str] = &["kty", "crv", "x", "y", "n", "e"];

pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let keys = match Jwks::parse(text) {
        Ok(keys) => keys,
        Err(error) => {
            assert_eq!(error.code(), Code::MetadataInvalid);
            return assert_presentable(error.message());
        }
    };
    assert!(text.len() <= MAX_LEN);
    let value = Value::parse(text).unwrap();
    let published = value
        .as_object()
        .unwrap()
        .get("keys")
        .unwrap()
        .as_array()
        .unwrap();
    assert!(published.len() <= MAX_KEYS);
    let kids = published
        .iter()
        .filter_map(|key| key.as_object()?.str("kid"));
    let kids: Vec<Option<&str>> = kids
        .map(Some)
        .chain([None, Some(""), Some("../x")])
        .collect();
    for algorithm in Algorithm::ALL {
        for kid in &kids {
            match keys.select(algorithm, *kid) {
                Ok(key) => is_public_and_fits(key.public_json(), algorithm, *kid, published),
                Err(SelectError::Unknown | SelectError::Ambiguous) => {}
            }
        }
    }
}

fn is_public_and_fits(json: &str, algorithm: Algorithm, kid: Option<&str>, published: &[Value]) {
    let key = Value::parse(json).unwrap();
    let key = key.as_object().unwrap();
    assert!(
        key.iter()
            .all(|(name, value)| PUBLIC.contains(&name) && value.as_str().is_some()),
        "{json}"
    );
    let expected = match algorithm.name() {
        "RS256" | "PS256" | "RS384" | "PS384" | "RS512" | "PS512" => ("RSA", None),
        "ES256" => ("EC", Some("P-256")),
        "ES384" => ("EC", Some("P-384")),
        "ES512" => ("EC", Some("P-521")),
        "EdDSA" | "Ed25519" => ("OKP", Some("Ed25519")),
        other => panic!("no such algorithm: {other}"),
    };
    assert_eq!((key.str("kty").unwrap(), key.str("crv")), expected);
    // The key was published for signatures, with this `kid`, and without a private part.
    let is_it = |one: &&Value| {
        let Some(one) = one.as_object() else {
            return false;
        };
        key.iter().all(|(name, value)| one.get(name) == Some(value))
            && (kid.is_none() || one.str("kid") == kid)
            && one.get("d").is_none()
            && one
                .get("use")
                .is_none_or(|usage| usage.as_str() == Some("sig"))
            && one
                .get("alg")
                .is_none_or(|alg| Algorithm::from_name(alg.as_str().unwrap()) == Some(algorithm))
    };
    assert!(
        published.iter().any(|one| is_it(&one)),
        "{json} under {kid:?}"
    );
    // A key set that contains only the selected key gives the same key.
    let alone = Jwks::parse(&format!(r#"{{"keys":[{json}]}}"#)).unwrap();
    assert_eq!(alone.select(algorithm, None).unwrap().public_json(), json);
}
