//! Checks hostile URLs and methods against the table in `tests/vectors/egress.json`.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]

use rules::codec::json::{Object, Value};
use rules::codec::url::Url;
use rules::egress::policy::{EgressPolicy, Rule};

fn table() -> Value {
    Value::parse(include_str!("vectors/egress.json")).unwrap()
}

fn rules(table: &Object) -> EgressPolicy {
    let rule = table.get("rule").and_then(Value::as_object).unwrap();
    let methods: Vec<String> = strings(rule.get("methods").unwrap());
    let prefix = Url::parse(rule.str("prefix").unwrap()).unwrap();
    EgressPolicy::new(vec![Rule::new(prefix, methods).unwrap()])
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().unwrap().iter();
    items
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

fn rows<'a>(table: &'a Object, list: &str, key: &str) -> Vec<(&'a str, bool)> {
    let rows = table.get(list).and_then(Value::as_array).unwrap().iter();
    rows.map(|row| {
        let row = row.as_object().unwrap();
        (row.str(key).unwrap(), row.str("expect") == Some("allow"))
    })
    .collect()
}

// claim: script-7, url-7
#[test]
fn urls() {
    let table = table();
    let table = table.as_object().unwrap();
    let rules = rules(table);
    let rows = rows(table, "urls", "url");
    assert_eq!(rows.len(), 73);
    for (url, allowed) in rows {
        assert_eq!(rules.authorize(url, "GET").is_ok(), allowed, "{url:?}");
    }
}

// claim: script-7
#[test]
fn methods() {
    let table = table();
    let table = table.as_object().unwrap();
    let rules = rules(table);
    for (method, allowed) in rows(table, "methods", "method") {
        let decision = rules.authorize("https://api.example.com/v1/a", method);
        assert_eq!(decision.is_ok(), allowed, "{method:?}");
    }
}
