//! Checks JSON texts. Another parser must accept each text that the core accepts, and must find the same value. A value
//! must be written as it was read.

use rules::codec::json::Value;
use serde_json::Value as Other;

/// The reasons for rejecting texts that other parsers accept.
const STRICTER: &[&str] = &[
    "a member name is repeated",
    "nested too deeply",
    "too many members",
];

pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let value = match Value::parse(text) {
        Ok(value) => value,
        Err(error) => {
            assert!(error.at <= text.len());
            if let Ok(other) = serde_json::from_str::<Other>(text) {
                let is_known = STRICTER.iter().any(|why| error.reason.contains(why));
                assert!(is_known, "{}: refused, but it is {other}", error.reason);
            }
            return;
        }
    };
    is_json_to_others(text, &value);
    is_written_as_it_is_read(&value);
    depends_on_nothing_around_it(text, &value);
    assert!(!format!("{value:?}").contains(|c: char| c.is_ascii_digit()));
}

fn is_json_to_others(text: &str, value: &Value) {
    match serde_json::from_str::<Other>(text) {
        Ok(other) => assert!(is_same(value, &other), "{other}"),
        // The other parser rejects numbers outside its range, which are valid JSON.
        Err(_) => drop(serde_json::from_str::<serde::de::IgnoredAny>(text).unwrap()),
    }
}

fn is_same(value: &Value, other: &Other) -> bool {
    match (value, other) {
        (Value::Null, Other::Null) => true,
        (Value::Bool(a), Other::Bool(b)) => a == b,
        (Value::Number(a), Other::Number(b)) => match value.as_u64() {
            Some(number) => b.as_u64() == Some(number),
            None => !a.bytes().all(|digit| digit.is_ascii_digit()) || b.as_u64().is_none(),
        },
        (Value::String(a), Other::String(b)) => a == b,
        (Value::Array(a), Other::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Other::Object(b)) => {
            let has_same = |(name, a)| b.get(name).is_some_and(|b| is_same(a, b));
            a.iter().count() == b.len() && a.iter().all(has_same)
        }
        _ => false,
    }
}

fn is_written_as_it_is_read(value: &Value) {
    let mut written = String::new();
    value.write(&mut written);
    let again = Value::parse(&written).unwrap();
    assert!(again == *value, "{written}");
    let mut twice = String::new();
    again.write(&mut twice);
    assert_eq!(written, twice);
}

fn depends_on_nothing_around_it(text: &str, value: &Value) {
    let spaced = format!("\n\t {text}\r ");
    assert!(Value::parse(&spaced).unwrap() == *value);
    for more in ["x", ",", "]", "}", "\"", "\0", "\u{feff}", "{}"] {
        assert!(
            Value::parse(&[text, more].concat()).is_err(),
            "{more:?} after it"
        );
    }
    assert!(Value::parse(&["\u{feff}", text].concat()).is_err());
}
