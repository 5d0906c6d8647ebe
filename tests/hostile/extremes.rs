//! Tests input at and beyond the greatest permitted length and depth, in forms that make parsers slow. Each input must
//! be accepted or rejected. A parser with quadratic time would not finish a megabyte. libFuzzer, which builds such
//! input by itself, has a timeout of ten seconds.

use rules::base::http::MAX_BODY;
use rules::codec::base64url;
use rules::codec::json::{MAX_DEPTH, MAX_MEMBERS, Value};
use rules::oauth::jwks::{self, Jwks};
use rules::oauth::jwt::{self, Jwt, Malformed};
use rules::oauth::metadata;
use targets::ALL;

/// The strings from which the inputs are built by repetition.
const PIECES: &[&str] = &[
    "[",
    "]",
    "{\"a\":",
    "{}",
    "[],",
    "\"",
    "\\",
    "\\\\",
    "\\\"",
    "\\u0000",
    "\\ud83d\\ude00",
    "\\ud83d",
    "0",
    "1,",
    "-",
    "1e",
    ",",
    ":",
    " ",
    "\n",
    "\0",
    "é",
    "\u{10ffff}",
    ".",
    "..",
    "a.",
    "/",
    "//",
    "/../",
    "%2e",
    "%25",
    "%",
    "&",
    "a=b&",
    "=",
    ";",
    "@",
    "#",
    "{\"t\":\"fetch\"}\n",
    "<200 application/json {}\n",
    "*401\n",
    "~1\n",
    "\n\n",
];

#[test]
fn repetitive_64_kib_input_is_handled() {
    for piece in PIECES {
        let long = piece.repeat(jwt::MAX_LEN / piece.len());
        for target in ALL {
            (target.check)(long.as_bytes());
        }
    }
}

#[test]
fn reads_a_megabyte_of_json() {
    let list = |element: &str| {
        let elements = vec![element; (MAX_BODY - 2) / (element.len() + 1)];
        format!("[{}]", elements.join(","))
    };
    let names: Vec<String> = (0..MAX_MEMBERS).map(|i| format!("\"{i:03}\":0")).collect();
    let full = format!("{{{}}}", names.join(","));
    for text in [
        list("0"),
        list("\"\""),
        list("[]"),
        list(&full),
        list(&("[".repeat(MAX_DEPTH - 1) + &"]".repeat(MAX_DEPTH - 1))),
        format!("\"{}\"", "\\u0000".repeat(MAX_BODY / 6)),
        "9".repeat(MAX_BODY),
    ] {
        let value = Value::parse(&text).unwrap();
        let mut written = String::new();
        value.write(&mut written);
        assert_eq!(written.len(), text.len());
    }
}

#[test]
fn deep_nesting_is_refused_at_the_limit() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [MAX_DEPTH + 1, 1000, 100_000] {
            let text = [&open.repeat(depth), "0", &close.repeat(depth)].concat();
            let error = Value::parse(&text).unwrap_err();
            assert_eq!(error.at, open.len() * MAX_DEPTH);
        }
    }
}

// claim: provider-1
#[test]
fn length_limits_are_exact() {
    let padded = |length: usize, frame: &dyn Fn(&str) -> String| {
        let text = frame(&"x".repeat(length - frame("").len()));
        assert_eq!(text.len(), length);
        text
    };
    let set = |padding: &str| format!(r#"{{"keys":[],"x":"{padding}"}}"#);
    assert!(Jwks::parse(&padded(jwks::MAX_LEN, &set)).is_ok());
    assert!(Jwks::parse(&padded(jwks::MAX_LEN + 1, &set)).is_err());

    let document = |padding: &str| {
        format!(
            r#"{{"issuer":"https://a.test","authorization_endpoint":"https://a.test/a",
                "token_endpoint":"https://a.test/t","jwks_uri":"https://a.test/k","x":"{padding}"}}"#
        )
    };
    let read = |text: &str| metadata::Metadata::parse(text, "https://a.test").is_ok();
    assert!(read(&padded(metadata::MAX_LEN, &document)));
    assert!(!read(&padded(metadata::MAX_LEN + 1, &document)));

    let header = base64url::encode(br#"{"alg":"ES256"}"#);
    let token = |padding: &str| [&header, ".e30.AAA", padding].concat();
    let signature = |length: usize| token(&"A".repeat(length - token("").len()));
    assert!(Jwt::parse(&signature(jwt::MAX_LEN - 1)).is_ok());
    let longer = signature(jwt::MAX_LEN + 1);
    assert_eq!(Jwt::parse(&longer).unwrap_err(), Malformed::TooLong);
}
