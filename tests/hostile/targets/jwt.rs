//! Checks signed tokens in compact form. An accepted token must be the only encoding of its content. Two parsers that
//! share little code must agree about each token.

use base64ct::{Base64UrlUnpadded, Encoding};
use strongroom::oauth::jwt::{self, Jwt, Malformed, Status, StatusReader};

pub fn check(input: &[u8]) {
    let now = 1_800_000_000;
    let mut reader = StatusReader::default();
    let status = reader.status(input, now, 30);
    // Reading one token must not affect the result for another token.
    let other = b"eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjF9.AA";
    assert_eq!(reader.status(other, now, 30), Status::ExpiredSince(1));
    assert_eq!(reader.status(input, now, 30), status);
    let Ok(token) = core::str::from_utf8(input) else {
        assert!(matches!(status, Status::Malformed(_)));
        return;
    };
    assert_eq!(jwt::status(token, now, 30), status);
    match (Jwt::parse(token), status) {
        (Err(why), Status::Malformed(same)) => assert_eq!(why, same),
        (Err(why), _) => panic!("{why}, and in its time"),
        (Ok(jwt), status) => {
            is_the_one_way_to_write_it(token, &jwt);
            is_in_its_time(&jwt, now, status);
        }
    }
}

fn is_the_one_way_to_write_it(token: &str, jwt: &Jwt) {
    assert!(token.len() <= jwt::MAX_LEN);
    let signature = Base64UrlUnpadded::encode_string(jwt.signature());
    assert_eq!([jwt.signing_input(), ".", &signature].concat(), token);
    let (header, payload) = jwt.signing_input().split_once('.').unwrap();
    let header = text_of(header);
    let header = header.as_object().unwrap();
    assert_eq!(header["alg"], jwt.alg());
    assert!(!jwt.alg().eq_ignore_ascii_case("none"));
    assert!(!header.contains_key("crit") && !header.contains_key("b64"));
    assert_eq!(
        header.get("kid").map(|kid| kid.as_str().unwrap()),
        jwt.kid()
    );
    assert_eq!(
        text_of(payload).as_object().unwrap().len(),
        jwt.claims().iter().count()
    );
    assert_eq!(format!("{jwt:?}"), "Jwt(…)");
    for more in ["=", ".", "\n", " ", "A.", "\0"] {
        assert!(
            Jwt::parse(&[token, more].concat()).is_err(),
            "{more:?} after it"
        );
    }
    for before in [" ", "\u{feff}", "."] {
        assert!(
            Jwt::parse(&[before, token].concat()).is_err(),
            "{before:?} before it"
        );
    }
}

/// Returns the JSON object in a part of a token, read by another parser.
fn text_of(part: &str) -> serde_json::Value {
    let bytes = Base64UrlUnpadded::decode_vec(part).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| {
        let _: serde::de::IgnoredAny = serde_json::from_str(&text).unwrap();
        let names: std::collections::HashMap<String, serde::de::IgnoredAny> =
            serde_json::from_str(&text).unwrap();
        let ours = strongroom::codec::json::Value::parse(&text).unwrap();
        let ours = ours.as_object().unwrap();
        let members = names
            .keys()
            .map(|name| (name.clone(), ours.str(name).into()));
        serde_json::Value::Object(members.collect())
    })
}

/// Checks a token's status against its `exp` and `nbf`. A token without a readable `exp` must be malformed.
fn is_in_its_time(jwt: &Jwt, now: u64, status: Status) {
    let time = |name| jwt::seconds(jwt.claims(), name);
    let has_unsound = |name| jwt.claims().get(name).is_some() && time(name).is_none();
    let expected = match (time("exp"), time("nbf")) {
        (None, _) => Status::Malformed(Malformed::NoExpiry),
        _ if has_unsound("nbf") => Status::Malformed(Malformed::WrongNotBefore),
        (Some(exp), _) if now >= exp + 30 => Status::ExpiredSince(exp),
        (Some(_), Some(nbf)) if nbf > now + 30 => Status::NotYetValid(nbf),
        (Some(exp), _) => Status::ValidUntil(exp),
    };
    assert_eq!(status, expected);
}
