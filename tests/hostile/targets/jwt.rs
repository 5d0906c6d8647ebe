//! Checks signed tokens in compact form. An accepted token must be the only encoding of its content, and another
//! parser must read the same members and times.

use base64ct::{Base64UrlUnpadded, Encoding};
use rules::oauth::jwt::{self, Jwt};

pub fn check(input: &[u8]) {
    let Ok(token) = core::str::from_utf8(input) else {
        return;
    };
    if let Ok(jwt) = Jwt::parse(token) {
        is_the_one_way_to_write_it(token, &jwt);
        times_are_those_of_another_parser(&jwt);
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
        let ours = rules::codec::json::Value::parse(&text).unwrap();
        let ours = ours.as_object().unwrap();
        let members = names
            .keys()
            .map(|name| (name.clone(), ours.str(name).into()));
        serde_json::Value::Object(members.collect())
    })
}

/// Checks each time against a parser of floating-point numbers.
fn times_are_those_of_another_parser(jwt: &Jwt) {
    let (_, payload) = jwt.signing_input().split_once('.').unwrap();
    let payload = text_of(payload);
    for name in ["exp", "nbf"] {
        let Some(seconds) = jwt::seconds(jwt.claims(), name) else {
            continue;
        };
        assert!(seconds <= jwt::MAX_SECONDS);
        if let Some(other) = payload[name].as_f64() {
            let round = if name == "exp" { f64::floor } else { f64::ceil };
            assert!(
                (round(other) - seconds as f64).abs() <= 1.0,
                "{name}: {other}"
            );
        }
    }
}
