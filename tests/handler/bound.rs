//! Requests of sessions that are bound to a key of the browser (Device Bound Session Credentials): a copy of the session's
//! cookie is useless without the bound cookie, and changes nothing.

use edge::Request;
use rules::Code;
use serde_json::json;

use crate::browser::{Browser, Source};
use crate::device::{
    BOUND, CALL, Device, IN_FLIGHT, VALID, assert_refused, bound, call_as,
    call_without_bound_cookie, host, sign_in, storages,
};
use crate::host::{COOKIE, Host, json_of};

// claim: handler-63
#[test]
fn copied_session_cookie_is_useless() {
    for config in storages() {
        let mut host = Host::with(&config);
        bound(&mut host);
        host.pass(IN_FLIGHT + 1);
        assert_refused(&call_without_bound_cookie(&mut host));
        assert_eq!(host.call("GET", CALL).status(), 200);
        assert_eq!(host.upstream.len(), 1);
    }
}

// claim: handler-72
#[test]
fn copy_cannot_list_or_end_sessions() {
    for mut config in storages() {
        config["session"]["admin"] = true.into();
        let mut host = Host::with(&config);
        bound(&mut host);
        host.pass(IN_FLIGHT + 1);
        let own = host.browser.clone();
        for method in ["GET", "DELETE"] {
            host.browser.lose(BOUND);
            let copied = host.call(method, "/auth/sessions");
            assert_eq!(copied.code(), "bound_cookie_missing");
            host.browser = own.clone();
            assert_eq!(host.call(method, "/auth/sessions").status(), 200);
        }
    }
}

#[test]
fn refused_copies_are_one_line_a_minute() {
    let mut host = host();
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    host.faults();
    for _ in 0..300 {
        assert_refused(&call_without_bound_cookie(&mut host));
    }
    let first = host.fault_messages();
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(first[0].contains("its cookie is a copy"), "{first:?}");
    host.pass(60);
    assert_refused(&call_without_bound_cookie(&mut host));
    let second = host.fault_messages().split_off(1);
    assert!(
        second[0].ends_with("more since the last report: 299"),
        "{second:?}"
    );
}

#[test]
fn failed_renewals_are_a_line_of_their_own() {
    let mut host = host();
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    host.faults();
    host.browser.lose(BOUND);
    let mut request = host.by_script("GET", CALL);
    request.bound_skipped = Some("server_error".to_owned());
    assert_eq!(host.request(request).status(), 503);
    assert_eq!(host.faults(), [Code::RenewalFailed]);
}

#[test]
fn control_unbound_session_accepts_a_copy() {
    let mut host = host();
    sign_in(&mut host);
    host.pass(IN_FLIGHT + 1);
    assert_eq!(call_without_bound_cookie(&mut host).status(), 200);
}

// claim: handler-63
#[test]
fn copy_of_both_cookies_is_useless_after_their_life() {
    for config in storages() {
        let mut host = Host::with(&config);
        bound(&mut host);
        let copy = host.browser.clone();
        host.pass(VALID - 1);
        assert_eq!(call_as(&mut host, &copy).status(), 200);
        host.pass(1);
        assert_refused(&call_as(&mut host, &copy));
    }
}

// claim: handler-63
#[test]
fn copy_from_before_the_binding_is_refused() {
    for config in storages() {
        let mut host = Host::with(&config);
        let offer = sign_in(&mut host).unwrap();
        let copy = host.browser.clone();
        Device::new().register(&mut host, &offer);
        host.pass(IN_FLIGHT + 1);
        let request = Request {
            cookie: copy.header(Source::App),
            ..host.by_script("GET", CALL)
        };
        let answered = host.request_to_other_isolate(request);
        assert_refused(&answered);
    }
}

// claim: handler-63
#[test]
fn requests_in_flight_pass_for_ten_seconds() {
    let mut host = host();
    bound(&mut host);
    host.pass(IN_FLIGHT);
    assert_eq!(call_without_bound_cookie(&mut host).status(), 200);
    host.pass(1);
    assert_refused(&call_without_bound_cookie(&mut host));
}

// claim: handler-63
#[test]
fn logout_without_the_bound_cookie_clears_only_cookies() {
    for config in storages() {
        let mut host = Host::with(&config);
        bound(&mut host);
        host.pass(IN_FLIGHT + 1);
        let owner = host.browser.clone();
        host.browser.lose(BOUND);
        let response = host.call("POST", "/auth/logout").own();
        assert_eq!(json_of(&response)["ended"], json!(false));
        assert!(host.browser.get(COOKIE).is_none());
        assert_eq!(host.faults(), [Code::BoundCookieMissing]);
        assert_eq!(call_as(&mut host, &owner).status(), 200);
    }
}

#[test]
fn login_ends_the_previous_session_without_its_bound_cookie() {
    let mut host = host();
    bound(&mut host);
    let mut owner = host.browser.clone();
    host.browser.lose(BOUND);
    host.pass(IN_FLIGHT + 1);
    let back = host.come_back("/auth/login?prompt=login");
    host.go(&back, Source::CrossSite).own();
    owner.0.retain(|cookie| cookie.name.starts_with(COOKIE));
    assert_eq!(call_as(&mut host, &owner).code(), "session_ended");
}

#[test]
fn replaced_cookie_does_not_end_a_bound_session() {
    let mut host = host();
    let mut device = bound(&mut host);
    let early = host.browser.clone();
    host.pass(200);
    // A refresh replaces the cookie.
    host.pass(VALID);
    assert_eq!(device.renew(&mut host).status, 403);
    assert_eq!(device.renew(&mut host).status, 200);
    assert_eq!(host.call("GET", CALL).status(), 200);
    assert_ne!(host.browser.get(COOKIE), early.get(COOKIE), "refreshed");
    host.call("GET", CALL);
    host.pass(120);
    // A copy of the replaced cookie, without and with a valid bound cookie.
    assert_refused(&call_as(&mut host, &early));
    let mut restored = early;
    restored.set(&format!(
        "{BOUND}={}; Path=/; Secure",
        host.browser.get(BOUND).unwrap().value
    ));
    assert_eq!(call_as(&mut host, &restored).status(), 200);
    assert_eq!(host.call("GET", CALL).status(), 200);
}

// claim: handler-63
#[test]
fn refused_request_does_not_count_as_activity() {
    let mut host = Host::with(
        &json!({ "session": { "bind": "if-supported", "storage": "in-store", "idle": 100 } }),
    );
    bound(&mut host);
    host.pass(90);
    assert_refused(&call_without_bound_cookie(&mut host));
    host.pass(10);
    assert_eq!(host.call("GET", CALL).code(), "session_ended");
}

// claim: handler-63
#[test]
fn refused_request_at_a_limit_ends_nothing() {
    let mut host = Host::with(
        &json!({ "session": { "bind": "if-supported", "storage": "in-store", "idle": 100 } }),
    );
    bound(&mut host);
    host.pass(100);
    assert_refused(&call_without_bound_cookie(&mut host));
}

/// Checks that the bound cookie of the host's browser is refused with the cookies of another session.
#[track_caller]
fn assert_bound_cookie_proves_nothing_for(host: &mut Host, mut victim: Browser) {
    victim.lose(BOUND);
    victim.0.push(host.browser.get(BOUND).unwrap().clone());
    assert_refused(&call_as(host, &victim));
}

// claim: handler-63
#[test]
fn bound_cookie_of_another_session_proves_nothing() {
    let mut host = host();
    bound(&mut host);
    let victim = host.browser.clone();
    host.browser = Browser::default();
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    assert_bound_cookie_proves_nothing_for(&mut host, victim);
}

#[test]
fn bound_cookie_of_another_session_with_the_same_key_proves_nothing() {
    let mut host = host();
    let mut device = bound(&mut host);
    let victim = host.browser.clone();
    host.browser = Browser::default();
    let offer = sign_in(&mut host).unwrap();
    device.register(&mut host, &offer);
    host.pass(IN_FLIGHT + 1);
    assert_bound_cookie_proves_nothing_for(&mut host, victim);
}

#[test]
fn reflection_search_covers_the_replaced_token() {
    let mut host = host();
    let mut device = bound(&mut host);
    host.call("GET", CALL);
    let first = host.upstream[0].authorization.clone();
    host.pass(590);
    device.renew(&mut host);
    device.renew(&mut host);
    assert_eq!(host.call("GET", CALL).status(), 200);
    let last = host.upstream.last().unwrap();
    assert_ne!(last.authorization, first, "refreshed");
    assert_eq!(format!("Bearer {}", last.others), first);
}

// claim: handler-63
#[test]
fn binding_that_a_store_loses_is_written_again() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    let copy = host.browser.clone();
    Device::new().register(&mut host, &offer);
    assert_eq!(host.call("GET", CALL).status(), 200);
    host.store.clear();
    host.pass(20);
    host.call("GET", CALL);
    let request = Request {
        cookie: copy.header(Source::App),
        ..host.by_script("GET", CALL)
    };
    assert_refused(&host.request_to_other_isolate(request));
}

// claim: handler-63
#[test]
fn binding_survives_moves_between_storages() {
    let places = ["sealed-in-cookie", "in-store"];
    let mode = |storage: &str| json!({ "session": { "bind": "if-supported", "storage": storage } });
    for (from, to) in [(places[0], places[1]), (places[1], places[0])] {
        let mut host = Host::with(&mode(from));
        let mut device = bound(&mut host);
        let early = host.browser.clone();
        host.restart(&mode(to));
        for _ in 0..3 {
            host.pass(400);
            device.renew(&mut host);
            device.renew(&mut host);
            assert_eq!(host.call("GET", CALL).status(), 200);
            for mut copy in [early.clone(), host.browser.clone()] {
                copy.lose(BOUND);
                assert_eq!(call_as(&mut host, &copy).code(), "bound_cookie_missing");
            }
        }
    }
}
