//! The operations of the coordinator in docs/edge-sessions.md, and the bytes of cookies in docs/performance.md, by
//! counting.

use kit::table::check;
use serde_json::{Value, json};

use crate::browser::Source;
use crate::host::Host;

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
    check(
        "edge-sessions.md",
        "UPDATE_DOCS=1 cargo test -p strongroom-edge costs",
        &table,
    );
}

/// Returns the length of the header `Cookie` during a login, afterwards, and after a logout.
fn cookie_bytes(storage: &str, more: &str) -> [usize; 3] {
    let mut host = Host::with(&json!({ "session": { "storage": storage } }));
    if !more.is_empty() {
        host.browser.set(more);
    }
    // With the provider's own part, access tokens have 1000 bytes.
    host.provider.padding = "x".repeat(963);
    host.provider.ending = String::new();
    let bytes = |host: &Host| host.browser.header(Source::App).map_or(0, |it| it.len());
    let back = host.come_back("/auth/login");
    let during = bytes(&host);
    host.come_in(&back);
    let signed_in = bytes(&host);
    assert_eq!(host.provider.access_tokens()[0].len(), 1000);
    host.call("POST", "/auth/logout");
    [during, signed_in, bytes(&host)]
}

#[test]
fn bytes_of_cookies_are_as_documented() {
    let [in_cookie, in_store] = ["sealed-in-cookie", "in-store"].map(|it| cookie_bytes(it, ""));
    let mut table = String::from("| | `'sealed-in-cookie'` | `'in-store'` |\n|---|---|---|\n");
    let rows = ["during a login", "of a signed-in user", "after a logout"];
    for (i, what) in rows.into_iter().enumerate() {
        table += &format!("| {what} | {} | {} |\n", in_cookie[i], in_store[i]);
    }
    check("performance.md", "cookies of the handler", &table);
    let more = cookie_bytes("in-store", "a=b; Secure");
    assert_eq!(
        more,
        in_store.map(|bytes| bytes + "a=b; ".len()),
        "a control"
    );
}
