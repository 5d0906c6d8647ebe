//! A session is judged by all that its request has read: a rule that reads the record again does not forget the others.

use edge::{Effect, Head};
use rules::session::EndReason;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::device::{BOUND, CALL, Device, assert_refused, call_as, sign_in, storages};
use crate::host::{Host, json_of};

/// The lifetime of the tokens in seconds.
const LIFETIME: u64 = 40;

/// The grace period of a replaced cookie in seconds.
const GRACE: u64 = 60;

/// Lets a user sign in, and returns the copy of a cookie that is older than the binding of the session. With `is_replaced`,
/// the cookie was replaced after a refresh, longer ago than the grace period. The host's isolate has read the record before
/// the binding.
fn copy_from_before_the_binding(mut config: Value, is_replaced: bool) -> (Host, Browser) {
    config["session"]["recheck"] = 120.into();
    let mut host = Host::with(&config);
    host.provider.set_lifetime(LIFETIME);
    let offer = sign_in(&mut host).unwrap();
    let mut copy = host.browser.clone();
    let mut other = host.new_isolate();
    host.pass(LIFETIME);
    host.provider
        .set_lifetime(if is_replaced { 600 } else { LIFETIME });
    assert_eq!(host.call("GET", CALL).status(), 200);
    if !is_replaced {
        copy = host.browser.clone();
    }
    host.swap_isolate(&mut other);
    assert_eq!(host.call("GET", CALL).status(), 200);
    host.swap_isolate(&mut other);
    Device::new().register(&mut host, &offer);
    assert!(host.browser.get(BOUND).is_some());
    host.swap_isolate(&mut other);
    host.pass(if is_replaced { GRACE + 5 } else { LIFETIME });
    (host, copy)
}

// claim: handler-63
#[test]
fn replaced_copy_gets_no_successor_of_a_bound_session() {
    // The cookie of a stored session has no generation, so no later one replaces it.
    let [sealed, _] = storages();
    let (mut host, copy) = copy_from_before_the_binding(sealed, true);
    let before = host.upstream.len();
    assert_refused(&call_as(&mut host, &copy));
    assert_eq!(host.upstream.len(), before);
    assert_eq!(host.call("GET", CALL).status(), 200, "the user");
}

// claim: handler-63
#[test]
fn copy_refreshes_no_bound_session() {
    for config in storages() {
        let (mut host, copy) = copy_from_before_the_binding(config, false);
        let before = host.provider.sent_to("/token").len();
        assert_refused(&call_as(&mut host, &copy));
        assert_eq!(host.provider.sent_to("/token").len(), before);
        assert_eq!(host.call("GET", CALL).status(), 200, "the user");
    }
}

/// A long upload waits for its response, which refuses the token.
#[test]
fn binding_during_a_long_request_does_not_refuse_it() {
    for config in storages() {
        let mut host = Host::with(&config);
        let offer = sign_in(&mut host).unwrap();
        host.pass(5);
        let request = host.by_script("GET", CALL);
        let (id, forward) = host.run_until(request, |it| matches!(it, Effect::Forward(_)));
        host.pass(30);
        Device::new().register(&mut host, &offer);
        host.pass(120);
        let refused = Head {
            status: 401,
            ..Head::default()
        };
        host.heads.push_back(refused);
        let before = host.provider.sent_to("/token").len();
        let answered = host.go_on((id, forward));
        assert_eq!(answered.status(), 200, "{answered:?}");
        assert_eq!(host.provider.sent_to("/token").len(), before + 1);
        assert_eq!(host.upstream.len(), 2);
    }
}

/// Ends a session in one isolate, and lets `seconds` pass. Returns the reason of the end that another isolate then gives
/// to a page with a copy of the cookie.
fn reason_after_logout(host: &mut Host, seconds: u64) -> Value {
    let mut other = host.new_isolate();
    let copy = host.browser.clone();
    host.swap_isolate(&mut other);
    assert_eq!(host.call("GET", CALL).status(), 200);
    host.swap_isolate(&mut other);
    host.call("POST", "/auth/logout");
    host.swap_isolate(&mut other);
    host.pass(seconds);
    host.browser = copy;
    let response = host.call("GET", "/auth/session").own();
    json_of(&response)["reason"].clone()
}

#[test]
fn earlier_end_wins_over_a_limit() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let config = json!({ "session": { "storage": storage, "absolute": 600 } });
        let mut host = Host::signed_in_with(&config);
        let reason = reason_after_logout(&mut host, 601);
        assert_eq!(reason, "logged_out", "{storage}");
        assert_eq!(host.ends(), [(EndReason::LoggedOut, "ann".to_owned())]);
    }
}

#[test]
fn earlier_end_wins_over_the_expiry_of_a_token() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let config = json!({ "session": { "storage": storage } });
        let mut host = Host::with(&config);
        host.provider.set_lifetime(LIFETIME);
        host.provider.issues_refresh_tokens = false;
        host.sign_in();
        host.pass(LIFETIME - 5);
        let reason = reason_after_logout(&mut host, 5);
        assert_eq!(reason, "logged_out", "{storage}");
        assert_eq!(host.ends(), [(EndReason::LoggedOut, "ann".to_owned())]);
    }
}

#[test]
fn limit_without_the_store_ends_a_session_once() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let config = json!({ "session": { "storage": storage, "absolute": 600 } });
        let mut host = Host::signed_in_with(&config);
        let copy = host.browser.clone();
        host.call("GET", CALL);
        host.pass(601);
        host.failing = vec!["Read", "Swap"];
        for _ in 0..3 {
            call_as(&mut host, &copy);
            host.pass(1);
        }
        assert!(host.ends().len() <= 1, "{storage}");
        assert!(host.provider.sent_to("/revoke").len() <= 1, "{storage}");
    }
}
