//! The operations of the coordinator that docs/edge-sessions.md names, by counting.

use std::fs;

use serde_json::{Value, json};

use crate::host::Host;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/edge-sessions.md");

/// Returns the columns: the storages, without and with `session.admin`.
fn columns() -> [Value; 4] {
    [
        ("sealed-in-cookie", false),
        ("sealed-in-cookie", true),
        ("in-store", false),
        ("in-store", true),
    ]
    .map(|(storage, admin)| json!({ "session": { "storage": storage, "admin": admin } }))
}

/// Something that a user or the app's server does.
type Act = fn(&mut Host);

fn call(host: &mut Host) {
    host.call("GET", "/api/orders");
}

fn end_user(host: &mut Host) {
    host.end(&json!({ "user": "ann" }), &json!({})).unwrap();
}

/// The rows: what is counted, what happens before, and what is counted.
const ROWS: [(&str, Act, Act); 10] = [
    ("a request within `session.recheck`", call, call),
    ("a request after that", |host| host.pass(11), call),
    ("a refresh", |host| host.pass(700), call),
    (
        "a login",
        |_| {},
        |host| {
            host.browser = crate::browser::Browser::default();
            host.sign_in();
        },
    ),
    (
        "a logout",
        |_| {},
        |host| {
            host.call("POST", "/auth/logout");
        },
    ),
    (
        "`end({ user })` or `end({ providerSession })`",
        |_| {},
        end_user,
    ),
    (
        "the first request of a session that `end({ user })` has ended",
        |host| {
            end_user(host);
            host.pass(11);
        },
        call,
    ),
    (
        "a recheck of a session that began after `end({ user })`",
        |host| {
            end_user(host);
            host.browser = crate::browser::Browser::default();
            host.sign_in();
            host.pass(11);
        },
        call,
    ),
    (
        "`end({ session })`",
        |_| {},
        |host| {
            let target = json!({ "session": "AAAAAAAAAAAAAAAA" });
            let _ = host.end(&target, &json!({}));
        },
    ),
    (
        "`sessions({ user })` of one session",
        |_| {},
        |host| {
            let _ = host.sessions("ann");
        },
    ),
];

/// Returns the operations of a row, in the order in which they are sent.
fn cost(config: &Value, before: Act, act: Act) -> String {
    let mut host = Host::with(config);
    host.appends = true;
    host.sign_in();
    call(&mut host);
    before(&mut host);
    host.store_calls.clear();
    act(&mut host);
    match host.store_calls.is_empty() {
        true => "–".to_owned(),
        false => host.store_calls.join(" + "),
    }
}

#[test]
fn coordinator_operations_are_as_documented() {
    let mut table = "| | in a cookie | with `admin` | in the store | with `admin` |\n".to_owned();
    table.push_str("|---|---|---|---|---|\n");
    for (what, before, act) in ROWS {
        let costs = columns().map(|config| cost(&config, before, act));
        table.push_str(&format!("| {what} | {} |\n", costs.join(" | ")));
    }
    let text = fs::read_to_string(DOCUMENT).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let marker = "writes this table. -->\n\n";
        let (start, _) = text.split_once(marker).unwrap();
        fs::write(DOCUMENT, [start, marker, &table].concat()).unwrap();
        return;
    }
    assert!(text.contains(&table), "{table}");
}
