//! A thief who has a copy of a bound session's cookie, and tries more than calls: logouts, registrations and other
//! addresses.

use edge::{Effect, Request};
use serde_json::json;

use crate::bound_renewal::logout_token;
use crate::browser::{Browser, Source};
use crate::device::{
    BOUND, CALL, Device, IN_FLIGHT, Offer, UNBOUND, binding, bound, by_browser, call_as, ends,
    sign_in,
};
use crate::host::{COOKIE, Host, location};

/// Lets the thief, who has a copy of the session's cookie alone, use the host. Returns the user's browser.
fn steal(host: &mut Host) -> Browser {
    let user = host.browser.clone();
    host.browser.0.retain(|cookie| cookie.name == COOKIE);
    user
}

/// Lets a registration fail. Returns the cookie that the browser then gets.
fn failed_registration(host: &mut Host, offer: &Offer) -> String {
    host.failing = vec!["Read", "Swap"];
    assert_eq!(Device::new().register(host, offer).status, 503);
    host.failing.clear();
    host.pass(2);
    host.browser.get(UNBOUND).unwrap().value.clone()
}

// claim: handler-63
#[test]
fn logout_of_an_ended_session_gives_no_id_token_without_the_bound_cookie() {
    for is_thief in [true, false] {
        let mut host = Host::with(&binding("if-supported"));
        bound(&mut host);
        // From now on the session's cookie says that the session is bound.
        host.call("GET", CALL);
        host.pass(IN_FLIGHT + 1);
        let copy = host.browser.clone();
        host.call("POST", "/auth/logout");
        host.browser = copy;
        if is_thief {
            steal(&mut host);
        }
        assert_eq!(host.call("POST", "/auth/logout").status(), 200);
        let response = host.go("/auth/logout/provider", Source::App).own();
        let has_token = location(&response).contains("id_token_hint=ey");
        assert_eq!(has_token, !is_thief, "{response:?}");
    }
}

// claim: handler-64
#[test]
fn copied_cookie_gets_no_offer_by_pretending_a_failure() {
    let mut host = Host::with(&binding("if-supported"));
    let own = sign_in(&mut host).unwrap();
    let of_other_session = failed_registration(&mut host, &own);
    host.browser = Browser::default();
    let mut device = bound(&mut host);
    device.renew(&mut host);
    let other_values = [
        "1".to_owned(),
        String::new(),
        of_other_session,
        device.challenge.clone(),
        host.browser.get(BOUND).unwrap().value.clone(),
    ];
    host.browser = Browser::default();
    let offer = sign_in(&mut host).unwrap();
    let user = steal(&mut host);
    for value in other_values {
        host.browser
            .set(&format!("{UNBOUND}={value}; Path=/; Secure"));
        let response = host.call("GET", "/auth/session").own();
        assert!(Offer::of(&response).is_none(), "{value}");
    }
    host.browser = user;
    failed_registration(&mut host, &offer);
    let response = host.call("GET", "/auth/session").own();
    assert!(Offer::of(&response).is_some(), "a control");
}

// claim: handler-63
#[test]
fn binding_returns_after_the_store_has_lost_it() {
    let mut host = Host::with(&binding("if-supported"));
    let offer = sign_in(&mut host).unwrap();
    let copy = host.browser.clone();
    let mut device = Device::new();
    device.register(&mut host, &offer);
    host.call("GET", CALL);
    host.pass(IN_FLIGHT + 1);
    // A process that restarts loses its own store.
    host.store.clear();
    host.restart(&json!({}));
    assert_eq!(call_as(&mut host, &copy).status(), 200);
    assert_eq!(host.call("GET", CALL).status(), 200);
    assert_eq!(call_as(&mut host, &copy).code(), "bound_cookie_missing");
    host.pass(IN_FLIGHT + 1);
    host.call("GET", CALL);
    host.restart(&json!({}));
    assert_eq!(call_as(&mut host, &copy).code(), "bound_cookie_missing");
}

// claim: handler-63
#[test]
fn refresh_of_a_copy_does_not_release_the_session() {
    let mut host = Host::with(&binding("if-supported"));
    let offer = sign_in(&mut host).unwrap();
    let copy = host.browser.clone();
    let mut device = Device::new();
    device.register(&mut host, &offer);
    host.call("GET", CALL);
    host.pass(590);
    device.renew(&mut host);
    device.renew(&mut host);
    host.store.clear();
    host.restart(&json!({}));
    // The copy is from before the binding, and refreshes the session.
    assert_eq!(call_as(&mut host, &copy).status(), 200);
    assert_eq!(host.provider.sent_to("/token").len(), 2);
    assert_eq!(host.call("GET", CALL).status(), 200);
    let mut later = host.browser.clone();
    later.lose(BOUND);
    assert_eq!(call_as(&mut host, &later).code(), "bound_cookie_missing");
    host.restart(&json!({}));
    assert_eq!(call_as(&mut host, &later).code(), "bound_cookie_missing");
}

// claim: handler-63
#[test]
fn renewal_restores_the_binding_of_a_stored_session() {
    let config = json!({ "session": { "bind": "if-supported", "storage": "in-store" } });
    let mut host = Host::with(&config);
    let offer = sign_in(&mut host).unwrap();
    let before = host.store.clone();
    let mut device = Device::new();
    device.register(&mut host, &offer);
    host.pass(IN_FLIGHT + 1);
    // The store fails over to a copy from before the binding, and the process restarts.
    host.store = before;
    host.restart(&json!({}));
    let mut copy = host.browser.clone();
    copy.lose(BOUND);
    assert_eq!(call_as(&mut host, &copy).status(), 200);
    assert_eq!(device.renew(&mut host).status, 403);
    assert_eq!(call_as(&mut host, &copy).code(), "bound_cookie_missing");
    host.pass(IN_FLIGHT + 1);
    assert_eq!(device.renew(&mut host).status, 200);
    host.restart(&json!({}));
    assert_eq!(call_as(&mut host, &copy).code(), "bound_cookie_missing");
}

// claim: handler-63
#[test]
fn required_lets_no_unbound_copy_end_the_session_during_an_outage() {
    let mut host = Host::with(&binding("required"));
    let offer = sign_in(&mut host).unwrap();
    let copy = host.browser.clone();
    Device::new().register(&mut host, &offer);
    host.call("GET", CALL);
    host.pass(71);
    host.restart(&json!({}));
    host.failing = vec!["Read", "Swap"];
    let user = core::mem::replace(&mut host.browser, copy);
    assert_eq!(host.call("POST", "/auth/logout").status(), 503);
    assert!(host.provider.sent_to("/revoke").is_empty());
    host.browser = user;
    assert_eq!(host.call("GET", CALL).status(), 200);
}

// claim: handler-64
#[test]
fn repeated_registration_opens_no_second_window() {
    let mut host = Host::with(&binding("if-supported"));
    let offer = sign_in(&mut host).unwrap();
    let mut device = Device::new();
    device.register(&mut host, &offer);
    host.pass(100);
    assert_eq!(device.register(&mut host, &offer).status, 200);
    steal(&mut host);
    assert_eq!(host.call("GET", CALL).code(), "bound_cookie_missing");
}

/// Returns the request that registers this key.
fn registration(device: &Device, offer: &Offer) -> Request {
    Request {
        bound_response: Some(device.signed(&offer.challenge, true)),
        ..by_browser(&offer.path)
    }
}

const fn is_write(effect: &Effect) -> bool {
    matches!(effect, Effect::Swap { .. })
}

// claim: handler-64
#[test]
fn parallel_registrations_of_two_keys_end_the_session() {
    let mut host = Host::with(&binding("if-supported"));
    let offer = sign_in(&mut host).unwrap();
    let both = [Device::new(), Device::new()].map(|device| {
        let request = registration(&device, &offer);
        host.run_until(request, is_write)
    });
    let [first, second] = both.map(|task| host.finish(task));
    assert!(!ends(&first) && ends(&second));
    host.pass(IN_FLIGHT + 1);
    assert_eq!(host.call("GET", CALL).code(), "session_ended");
}

// claim: handler-64
#[test]
fn session_ends_although_it_is_bound_during_the_logout() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let config = json!({ "session": { "bind": "if-supported", "storage": storage } });
        for is_bound_first in [true, false] {
            let mut host = Host::with(&config);
            let offer = sign_in(&mut host).unwrap();
            let user = host.browser.clone();
            let binding = registration(&Device::new(), &offer);
            let binding = host.run_until(binding, is_write);
            let logout = host.by_script("POST", "/auth/logout");
            let logout = host.run_until(logout, is_write);
            if is_bound_first {
                host.finish(binding);
                host.finish(logout);
            } else {
                host.finish(logout);
                assert!(ends(&host.finish(binding)));
            }
            host.browser = user;
            host.restart(&json!({}));
            assert_eq!(host.call("GET", CALL).code(), "session_ended");
        }
    }
}

// claim: handler-63
#[test]
fn isolate_keeps_a_binding_that_a_later_record_does_not_have() {
    let mut host = Host::with(&binding("if-supported"));
    let offer = sign_in(&mut host).unwrap();
    let mut thief = host.browser.clone();
    Device::new().register(&mut host, &offer);
    host.pass(590);
    host.store.clear();
    // Another isolate does not know of the binding, and refreshes the session.
    let request = Request {
        cookie: thief.header(Source::App),
        ..host.by_script("GET", CALL)
    };
    let answered = host.request_to_other_isolate(request);
    assert_eq!(answered.status(), 200);
    for cookie in answered.cookies() {
        thief.set(cookie);
    }
    for _ in 0..2 {
        assert_eq!(call_as(&mut host, &thief).code(), "bound_cookie_missing");
        host.pass(IN_FLIGHT + 1);
    }
    let request = Request {
        cookie: thief.header(Source::App),
        ..host.by_script("GET", CALL)
    };
    let answered = host.request_to_other_isolate(request);
    assert_eq!(answered.code(), "bound_cookie_missing");
}

// claim: handler-63
#[test]
fn uncommitted_refresh_keeps_the_binding() {
    let mut host = Host::with(&binding("if-supported"));
    host.provider.set_lifetime(60);
    let offer = sign_in(&mut host).unwrap();
    let copy = host.browser.clone();
    // The session is bound during the refresh, just before the coordinator fails.
    host.body = Device::new().signed(&offer.challenge, true).into();
    host.pass(58);
    host.before_write = Some(|host| {
        host.before_write = Some(|host| {
            let request = Request {
                bound_response: host.body.take(),
                ..by_browser("/auth/bind")
            };
            assert_eq!(host.request(request).status(), 200);
            host.failing = vec!["Read", "Swap"];
        });
    });
    assert_eq!(host.call("GET", CALL).status(), 200);
    assert_eq!(host.provider.sent_to("/token").len(), 2);
    host.pass(IN_FLIGHT + 1);
    assert_eq!(call_as(&mut host, &copy).code(), "bound_cookie_missing");
    assert_eq!(host.call("GET", CALL).status(), 200);
}

/// Logs out with the cookies of the host's browser. Returns true if the redirect to the provider has the ID token.
fn logout_gives_id_token(host: &mut Host) -> bool {
    assert_eq!(host.call("POST", "/auth/logout").status(), 200);
    let response = host.go("/auth/logout/provider", Source::App).own();
    location(&response).contains("id_token_hint=ey")
}

// claim: handler-63
#[test]
fn copy_from_before_the_binding_gets_no_id_token_after_the_end() {
    for is_bound in [true, false] {
        for (is_restarted, later) in [(false, 60), (true, 60), (true, 3 * 86_400)] {
            let mut host = Host::with(&binding("if-supported"));
            let offer = sign_in(&mut host).unwrap();
            let copy = host.browser.clone();
            if is_bound {
                Device::new().register(&mut host, &offer);
            }
            host.call("GET", CALL);
            host.pass(IN_FLIGHT + 1);
            assert!(logout_gives_id_token(&mut host), "the user's own logout");
            host.pass(later);
            if is_restarted {
                host.restart(&json!({}));
            }
            if later > 86_400 {
                // The record has expired.
                host.store.clear();
            }
            host.browser = copy;
            steal(&mut host);
            let has_token = logout_gives_id_token(&mut host);
            assert_eq!(has_token, !is_bound && later == 60, "{is_bound} {later}");
        }
    }
}

// claim: handler-63
#[test]
fn copy_from_before_the_binding_gets_no_id_token_after_a_back_channel_logout() {
    let mut host = Host::with(&binding("if-supported"));
    let offer = sign_in(&mut host).unwrap();
    let copy = host.browser.clone();
    Device::new().register(&mut host, &offer);
    host.call("GET", CALL);
    host.pass(IN_FLIGHT + 1);
    let token = logout_token(&host);
    assert_eq!(host.post_logout_token(&token).status, 200);
    host.restart(&json!({}));
    host.browser = copy;
    assert!(!logout_gives_id_token(&mut host));
}

// claim: handler-63
#[test]
fn required_tells_an_unbound_copy_no_user() {
    for is_late in [true, false] {
        let mut host = Host::with(&binding("required"));
        let offer = sign_in(&mut host).unwrap();
        let copy = host.browser.clone();
        Device::new().register(&mut host, &offer);
        host.pass(if is_late { 71 } else { 20 });
        host.store.clear();
        host.restart(&json!({}));
        host.browser = copy;
        assert_eq!(logout_gives_id_token(&mut host), !is_late);
    }
}

// claim: handler-63
#[test]
fn binding_restored_during_the_refresh_of_a_copy_is_kept() {
    let mut host = Host::with(&binding("if-supported"));
    let offer = sign_in(&mut host).unwrap();
    let mut thief = host.browser.clone();
    let mut device = Device::new();
    device.register(&mut host, &offer);
    host.pass(590);
    host.store.clear();
    host.restart(&json!({}));
    host.body = Some(device.refresh);
    host.before_write = Some(|host| {
        // Between the copy's refresh and its commit, the user's browser renews the bound cookie.
        host.before_write = Some(|host| {
            let request = Request {
                bound_session: Some(String::new()),
                ..by_browser(&host.body.take().unwrap())
            };
            assert_eq!(host.request_elsewhere(request).status(), 403);
        });
    });
    let answered = call_as(&mut host, &thief);
    assert_eq!(host.provider.sent_to("/token").len(), 2);
    for cookie in answered.cookies() {
        thief.set(cookie);
    }
    assert_eq!(call_as(&mut host, &thief).code(), "bound_cookie_missing");
    // The next read writes the binding.
    host.pass(IN_FLIGHT + 1);
    assert_eq!(call_as(&mut host, &thief).code(), "bound_cookie_missing");
    host.restart(&json!({}));
    assert_eq!(call_as(&mut host, &thief).code(), "bound_cookie_missing");
}

// claim: handler-63
#[test]
fn copy_at_a_limit_that_a_new_process_sees_first_ends_nothing() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let config =
            json!({ "session": { "bind": "if-supported", "storage": storage, "idle": 900 } });
        let mut host = Host::with(&config);
        let offer = sign_in(&mut host).unwrap();
        let copy = host.browser.clone();
        let mut device = Device::new();
        device.register(&mut host, &offer);
        for _ in 0..2 {
            host.pass(590);
            device.renew(&mut host);
            device.renew(&mut host);
            assert_eq!(host.call("GET", CALL).status(), 200);
        }
        host.restart(&json!({}));
        // The copy's own time of activity is at the limit.
        assert_eq!(call_as(&mut host, &copy).code(), "bound_cookie_missing");
        assert_eq!(host.call("GET", CALL).status(), 200, "{storage}");
    }
}

// claim: handler-63
#[test]
fn end_that_is_cached_during_the_binding_keeps_the_binding() {
    let config = json!({ "session": { "bind": "if-supported", "recheck": 60 } });
    let mut host = Host::with(&config);
    let offer = sign_in(&mut host).unwrap();
    let copy = host.browser.clone();
    // While the binding is being written, the user's logout cannot be written.
    let binding = registration(&Device::new(), &offer);
    let binding = host.run_until(binding, is_write);
    host.failing = vec!["Swap"];
    assert!(logout_gives_id_token(&mut host), "the user's own logout");
    host.failing.clear();
    host.finish(binding);
    host.pass(IN_FLIGHT + 1);
    host.browser = copy;
    assert!(!logout_gives_id_token(&mut host));
}

// claim: handler-63
#[test]
fn cookie_of_a_session_that_is_bound_during_its_refresh_has_the_binding() {
    let mut host = Host::with(&binding("if-supported"));
    host.provider.set_lifetime(60);
    let offer = sign_in(&mut host).unwrap();
    host.body = Device::new().signed(&offer.challenge, true).into();
    host.pass(58);
    host.before_write = Some(|host| {
        host.before_write = Some(|host| {
            let request = Request {
                bound_response: host.body.take(),
                ..by_browser("/auth/bind")
            };
            assert_eq!(host.request(request).status(), 200);
        });
    });
    assert_eq!(host.call("GET", CALL).status(), 200);
    assert_eq!(host.provider.sent_to("/token").len(), 2);
    host.pass(IN_FLIGHT + 1);
    // The copy was made after the binding, so it has the binding even if the store loses it.
    let mut copy = host.browser.clone();
    copy.lose(BOUND);
    host.store.clear();
    host.restart(&json!({}));
    assert_eq!(call_as(&mut host, &copy).code(), "bound_cookie_missing");
}

// claim: handler-63
#[test]
fn copy_with_an_expired_token_gets_no_id_token_during_an_outage() {
    for is_expired in [true, false] {
        let mut host = Host::with(&binding("if-supported"));
        host.provider.set_lifetime(300);
        let offer = sign_in(&mut host).unwrap();
        let copy = host.browser.clone();
        Device::new().register(&mut host, &offer);
        host.pass(if is_expired { 301 } else { 100 });
        host.restart(&json!({}));
        host.failing = vec!["Read", "Swap"];
        let status = call_as(&mut host, &copy).status();
        assert_eq!(status, if is_expired { 503 } else { 200 });
        host.browser = copy;
        assert_eq!(logout_gives_id_token(&mut host), !is_expired);
        assert_eq!(host.provider.sent_to("/revoke").len(), 1);
    }
}
