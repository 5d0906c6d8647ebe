//! Tests of ID tokens from a hostile or broken provider, or from an impostor. The tests change a valid token in one way
//! at a time. The tokens go through the complete validation with real keys and signatures.

use std::sync::LazyLock;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING,
    EcdsaKeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use rules::codec::base64url;
use rules::codec::json::{Object, Value};
use rules::oauth::id_token::{Expected, Occasion, Unverified};
use rules::oauth::jwks::{Algorithm, Jwks};
use rules::{Error, Secret};

const HEADER: &str = r#"{"alg":"ES256","kid":"ec"}"#;
const CLAIMS: &str = r#"{"iss":"https://id.example.com","sub":"joe","aud":"spa","exp":1800000300,"iat":1800000000,"nonce":"n"}"#;

/// The provider's key, which the key set contains with the `kid` `ec`.
static OWN: LazyLock<Key> = LazyLock::new(Key::generate);
/// The key of an attacker.
static OTHER: LazyLock<Key> = LazyLock::new(Key::generate);

struct Key {
    pkcs8: Vec<u8>,
    pair: EcdsaKeyPair,
}

impl Key {
    fn generate() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let pkcs8 = pkcs8.as_ref().to_vec();
        Self { pkcs8, pair }
    }

    fn jwk(&self, kid: &str) -> String {
        let point = self.pair.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(base64url::encode);
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","kid":"{kid}"}}"#)
    }

    fn sign(&self, input: &str) -> Vec<u8> {
        let signature = self.pair.sign(&SystemRandom::new(), input.as_bytes());
        signature.unwrap().as_ref().to_vec()
    }

    /// Signs in ASN.1 format, and not in the format that JOSE requires (RFC 7518 section 3.4).
    fn sign_in_der(&self, input: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, &self.pkcs8, &random).unwrap();
        pair.sign(&random, input.as_bytes())
            .unwrap()
            .as_ref()
            .to_vec()
    }
}

/// Returns the public part of the RSA key in RFC 7515 section A.2. The provider publishes this key too.
fn rsa_jwk() -> Object {
    let vectors = Value::parse(include_str!("../vectors/rfc7515.json")).unwrap();
    let example = vectors.as_object().unwrap().get("A.2").unwrap();
    let jwk = example.as_object().unwrap().get("jwk").unwrap();
    jwk.as_object().unwrap().clone()
}

fn key_set() -> Jwks {
    let mut rsa = String::new();
    rsa_jwk().write(&mut rsa);
    Jwks::parse(&format!(r#"{{"keys":[{},{rsa}]}}"#, OWN.jwk("ec"))).unwrap()
}

fn verify(jwk: &str, input: &str, signature: &[u8]) -> bool {
    let jwk = Value::parse(jwk).unwrap();
    let jwk = jwk.as_object().unwrap();
    let member = |name| base64url::decode(jwk.str(name).unwrap()).unwrap();
    if jwk.str("kty") == Some("RSA") {
        let (n, e) = (member("n"), member("e"));
        let key = RsaPublicKeyComponents { n, e };
        return key
            .verify(&RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), signature)
            .is_ok();
    }
    let point = [vec![4], member("x"), member("y")].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(input.as_bytes(), signature)
        .is_ok()
}

/// Validates an ID token from a response to a code exchange.
fn fate(token: &str) -> Result<(), String> {
    let unverified = Unverified::parse(token, &Algorithm::ALL).map_err(|e| e.to_string())?;
    let keys = key_set();
    let key = keys.select(unverified.algorithm(), unverified.kid());
    let key = key.map_err(|why| format!("{why:?}"))?.public_json();
    let valid = verify(key, unverified.signing_input(), unverified.signature());
    let expected = Expected {
        issuer: "https://id.example.com",
        client_id: "spa",
        trusted_audiences: &[],
        same_claims: &[],
        now_seconds: 1_800_000_000,
        tolerance_seconds: 30,
        access_token: &Secret::from("at"),
        occasion: Occasion::CodeExchange {
            nonce: &Secret::from("n"),
            max_age_seconds: None,
        },
    };
    let checked = unverified.signature_checked(valid, &expected);
    checked
        .map(drop)
        .map_err(|why| Error::from(why).to_string())
}

/// Returns a token of these bytes, which the provider has signed.
fn of_bytes(header: &[u8], claims: &[u8]) -> String {
    signed([header, claims].map(base64url::encode).join("."))
}

fn of(header: &str, claims: &str) -> String {
    of_bytes(header.as_bytes(), claims.as_bytes())
}

/// Returns a token with one of the default claims replaced.
fn with(from: &str, to: &str) -> String {
    assert!(CLAIMS.contains(from));
    of(HEADER, &CLAIMS.replacen(from, to, 1))
}

fn signed(input: String) -> String {
    let signature = base64url::encode(&OWN.sign(&input));
    input + "." + &signature
}

#[track_caller]
fn assert_refused(tokens: impl IntoIterator<Item = String>, why: &str) {
    for token in tokens {
        let refused = fate(&token).expect_err(&token);
        assert!(refused.contains(why), "{refused}, and not: {why}\n{token}");
    }
}

#[test]
fn control_valid_token_is_accepted() {
    assert_eq!(fate(&of(HEADER, CLAIMS)), Ok(()));
    // Control: the function `with` really changes a claim.
    assert_eq!(fate(&with(r#""sub":"joe""#, r#""sub":"eve""#)), Ok(()));
}

// claim: provider-2
#[test]
fn alg_none_or_non_string_is_rejected() {
    let header = |alg: &str| of(&HEADER.replace(r#""ES256""#, alg), CLAIMS);
    assert_refused(
        ["none", "None", "NONE"].map(|alg| header(&format!("\"{alg}\""))),
        "not signed",
    );
    assert_refused(["1", "null", "[]", r#"["ES256"]"#].map(header), "no alg");
    assert_refused([of(r#"{"kid":"ec"}"#, CLAIMS)], "no alg");
}

// claim: provider-2
#[test]
fn hmac_with_public_key_is_rejected() {
    let n = base64url::decode(rsa_jwk().str("n").unwrap()).unwrap();
    for secret in [&n[..], OWN.jwk("ec").as_bytes(), b""] {
        for alg in ["HS256", "HS384", "HS512"] {
            let header = format!(r#"{{"alg":"{alg}"}}"#);
            let input = [header.as_str(), CLAIMS]
                .map(|p| base64url::encode(p.as_bytes()))
                .join(".");
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
            let tag = ring::hmac::sign(&key, input.as_bytes());
            let token = [&input, ".", &base64url::encode(tag.as_ref())].concat();
            assert_refused([token], "idTokenSignedResponseAlg");
        }
    }
}

#[test]
fn keys_are_bound_to_their_algorithm() {
    let header = |alg: &str, kid: &str| format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#);
    for alg in Algorithm::ALL
        .into_iter()
        .filter(|alg| *alg != Algorithm::Es256)
    {
        let alg = alg.name();
        assert_refused([of(&header(alg, "ec"), CLAIMS)], "Unknown");
    }
    // The only RSA key has no `kid`, so the validation selects it, but another key made the signature.
    assert_refused(
        [of(r#"{"alg":"RS256"}"#, CLAIMS)],
        "signature does not verify with the issuer's key",
    );
    for alg in [
        "ES257", "ES256K", "RS1", "Es256", "ES256 ", "ECDH-ES", "dir", "A128GCM",
    ] {
        assert_refused([of(&header(alg, "ec"), CLAIMS)], "idTokenSignedResponseAlg");
    }
}

// claim: provider-2
#[test]
fn keys_embedded_in_headers_are_ignored() {
    let brought = |members: &str| format!(r#"{{"alg":"ES256","kid":"ec",{members}}}"#);
    let jwk = OTHER.jwk("ec");
    for members in [
        format!(r#""jwk":{jwk}"#),
        format!(r#""jku":"https://evil.test/jwks","jwk":{jwk}"#),
        r#""x5u":"https://evil.test/","x5c":["AAAA"]"#.to_owned(),
    ] {
        let input = [brought(&members).as_str(), CLAIMS]
            .map(|p| base64url::encode(p.as_bytes()))
            .join(".");
        let by_another = [&input, ".", &base64url::encode(&OTHER.sign(&input))].concat();
        assert_refused(
            [by_another],
            "signature does not verify with the issuer's key",
        );
        assert_eq!(fate(&of(&brought(&members), CLAIMS)), Ok(()));
    }
    for members in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""crit":null"#,
        r#""b64":true,"crit":["b64"]"#,
    ] {
        assert_refused([of(&brought(members), CLAIMS)], "crit");
    }
    assert_refused([of(&brought(r#""b64":false"#), CLAIMS)], "b64");
}

#[test]
fn kid_is_only_compared() {
    for kid in [
        "../x",
        "/etc/passwd",
        "ec\\u0000",
        "EC",
        "",
        "ec' OR '1'='1",
        "https://evil.test",
    ] {
        assert_refused(
            [of(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#), CLAIMS)],
            "Unknown",
        );
    }
    assert_refused([of(r#"{"alg":"ES256","kid":1}"#, CLAIMS)], "kid");
    // Without a `kid`, no key is selected if two keys match.
    let two = format!(r#"{{"keys":[{},{}]}}"#, OWN.jwk("a"), OTHER.jwk("b"));
    let two = Jwks::parse(&two).unwrap();
    assert!(two.select(Algorithm::Es256, None).is_err());
    assert_eq!(fate(&of(r#"{"alg":"ES256"}"#, CLAIMS)), Ok(()));
}

// claim: provider-2
#[test]
fn malformed_exp_is_rejected() {
    for exp in [
        r#""1800000300""#,
        r#""1""#,
        "null",
        "true",
        "-1",
        "1e400",
        "1e20",
        "1.8e9",
        "-1800000300.5",
        "18.5e8",
        "[]",
        "{}",
        "253402300800",
        "99999999999999999999",
    ] {
        assert_refused([with(":1800000300", &[":", exp].concat())], "exp");
    }
    // These numbers are not valid JSON (RFC 8259 6).
    for exp in ["NaN", "Infinity", "0x10", "01", "+1", "1.", ".5"] {
        assert_refused([with(":1800000300", &[":", exp].concat())], "strict JSON");
    }
    assert_refused([with(r#""exp":1800000300,"#, "")], "exp");
    assert_refused([with(":1800000300", ":1799999970")], "exp is in the past");
    assert_refused([with(":1800000300", ":1799999970.9")], "exp is in the past");
    assert_refused([with(":1800000000", ":1800000031")], "iat is in the future");
}

// claim: provider-2
#[test]
fn wrong_audience_issuer_nonce_or_subject_is_rejected() {
    for (aud, why) in [
        ("[]", "aud"),
        ("[1]", "aud"),
        ("{}", "aud"),
        (r#""""#, "aud"),
        (r#""SPA""#, "aud"),
        (r#"["spa","other"]"#, "azp"),
        (r#"["other"],"azp":"spa""#, "aud"),
        (r#""spa","azp":"other""#, "azp"),
        (r#""spa","azp":["spa"]"#, "azp"),
    ] {
        assert_refused([with(r#":"spa""#, &[":", aud].concat())], why);
    }
    for iss in [
        "https://id.example.com/",
        "https://ID.example.com",
        "https://evil.test",
        "",
    ] {
        assert_refused([with("https://id.example.com", iss)], "iss");
    }
    for nonce in ["", r#""nonce":["n"],"#, r#""nonce":"N","#, r#""nonce":"","#] {
        let sub = format!(r#"{nonce}"sub""#);
        let claims = CLAIMS
            .replace(r#","nonce":"n""#, "")
            .replace(r#""sub""#, &sub);
        assert_refused([of(HEADER, &claims)], "nonce");
    }
    let long = format!(r#""{}""#, "a".repeat(256));
    for sub in [r#""""#, "7", "null", "[]", &long] {
        assert_refused([with(r#""joe""#, sub)], "sub");
    }
}

// claim: provider-4
#[test]
fn other_token_types_are_rejected() {
    for typ in [
        "logout+jwt",
        "at+jwt",
        "dpop+jwt",
        "application/at+jwt",
        "secevent+jwt",
        "client-authentication+jwt",
        "",
    ] {
        let header = format!(r#"{{"alg":"ES256","kid":"ec","typ":"{typ}"}}"#);
        assert_refused([of(&header, CLAIMS)], "typ");
    }
}

// claim: provider-1
#[test]
fn duplicate_member_names_are_rejected() {
    for claims in [
        CLAIMS.replace('{', r#"{"iss":"https://evil.test","#),
        CLAIMS.replace('}', r#","sub":"eve"}"#),
        CLAIMS.replace('}', r#","\u0069ss":"https://evil.test"}"#),
        CLAIMS.replace('}', r#","x":{"a":1,"\u0061":2}}"#),
    ] {
        assert_refused([of(HEADER, &claims)], "strict JSON");
    }
    for header in [
        r#"{"alg":"ES256","alg":"none"}"#,
        r#"{"alg":"none","\u0061lg":"ES256"}"#,
    ] {
        assert_refused([of(header, CLAIMS)], "strict JSON");
    }
}

// claim: provider-1
#[test]
fn tokens_have_one_encoding() {
    let token = of(HEADER, CLAIMS);
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("{token}");
    };
    let spelled = [
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}==.{signature}"),
        format!("{header}.{claims}.{signature}="),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token} "),
        format!("{header}.{claims}.{}\n{}", &signature[..4], &signature[4..]),
        format!(
            "{header}.{claims}.{}",
            signature.replace(['-', '_'], "+") + "/"
        ),
        format!("{token}é"),
    ];
    assert_refused(spelled, "base64url");
    // The last character of 64 encoded bytes has four unused bits.
    let (last, rest) = (signature.as_bytes()[85], &signature[..85]);
    assert!(b"AQgw".contains(&last), "{signature}");
    for other in ["B", "R", "h", "x", "/"] {
        assert_refused([format!("{header}.{claims}.{rest}{other}")], "base64url");
    }
    assert_refused(
        [
            token.replace('.', ""),
            format!("{header}.{claims}"),
            format!("{token}."),
            format!("{token}.a.b.c"),
        ],
        "three parts",
    );
    assert_refused([format!("{token}.a.b")], "encrypted");
    assert_refused([format!("{header}.{claims}.")], "not signed");
    assert_refused(
        [
            format!(".{claims}.{signature}"),
            format!("{header}..{signature}"),
        ],
        "strict JSON",
    );
}

// claim: provider-2
#[test]
fn malformed_signatures_are_rejected() {
    let input = [HEADER, CLAIMS]
        .map(|part| base64url::encode(part.as_bytes()))
        .join(".");
    let mut longer = OWN.sign(&input);
    longer.push(0);
    for signature in [
        vec![0; 64],
        vec![0],
        vec![0xff; 64],
        OWN.sign_in_der(&input),
        OWN.sign(&input)[..63].to_vec(),
        longer,
        OTHER.sign(&input),
        OWN.sign(&input.to_ascii_lowercase()),
    ] {
        let token = [&input, ".", &base64url::encode(&signature)].concat();
        assert_refused([token], "signature does not verify with the issuer's key");
    }
}

#[test]
fn rejects_oversized_or_non_strict_tokens() {
    let utf16: Vec<u8> = CLAIMS.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [&b"\xff\xfe{}"[..], b"{\"sub\":\"\xc3\x28\"}", b"\xc0\xae"] {
        assert_refused(
            [
                of_bytes(HEADER.as_bytes(), bytes),
                of_bytes(bytes, CLAIMS.as_bytes()),
            ],
            "UTF-8",
        );
    }
    let deep = CLAIMS.replace(
        '}',
        &format!(r#","x":{}{}}}"#, "[".repeat(1000), "]".repeat(1000)),
    );
    for claims in [
        utf16,
        ["\u{feff}", CLAIMS].concat().into_bytes(),
        [CLAIMS, "x"].concat().into_bytes(),
        [CLAIMS, "{}"].concat().into_bytes(),
        [CLAIMS, "\0"].concat().into_bytes(),
        deep.into_bytes(),
        Vec::new(),
    ] {
        assert_refused([of_bytes(HEADER.as_bytes(), &claims)], "strict JSON");
    }
    for claims in [&b"[]"[..], b"null"] {
        assert_refused([of_bytes(HEADER.as_bytes(), claims)], "not a JSON object");
    }
    let large = CLAIMS.replace('}', &format!(r#","x":"{}"}}"#, "x".repeat(64 * 1024)));
    assert_refused([of(HEADER, &large)], "64 KiB");
}
