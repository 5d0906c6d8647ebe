//! The values of `session.bind`.

use edge::Request;
use rules::Code;
use serde_json::json;

use crate::browser::Source;
use crate::device::{
    BOUND, CALL, Device, IN_FLIGHT, Offer, UNBOUND, VALID, assert_refused, binding, bound,
    by_browser, call_as, call_without_bound_cookie, ends, host, sign_in,
};
use crate::host::{Host, KEYS};

#[test]
fn required_refuses_a_session_that_stays_unbound() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let config = json!({ "session": { "bind": "required", "storage": storage } });
        let mut host = Host::with(&config);
        sign_in(&mut host);
        host.pass(70);
        assert_eq!(host.call("GET", CALL).status(), 200);
        host.pass(1);
        let user = host.browser.clone();
        host.browser.lose(UNBOUND);
        assert_refused(&host.call("GET", CALL));
        // The browser of the login may get a second offer, and a login would not help.
        host.browser = user;
        assert_eq!(host.call("GET", CALL).code(), "renewal_failed");
        let mut host = Host::with(&config);
        bound(&mut host);
        host.pass(71);
        assert_eq!(host.call("GET", CALL).status(), 200);
    }
}

#[test]
fn required_refuses_an_ended_session_with_its_reason() {
    let mut host = Host::with(&binding("required"));
    sign_in(&mut host);
    let before = host.browser.clone();
    host.call("POST", "/auth/logout");
    host.pass(71);
    let answered = call_as(&mut host, &before);
    assert_eq!(answered.code(), "session_ended");
}

#[test]
fn report_refuses_nothing() {
    let mut host = Host::with(&binding("report"));
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    assert_eq!(call_without_bound_cookie(&mut host).status(), 200);
    assert_eq!(host.faults(), [Code::BoundCookieMissing]);
    assert_eq!(host.call("GET", CALL).status(), 200);
    assert!(host.faults().is_empty());
}

#[test]
fn report_names_sessions_that_required_would_refuse() {
    for (mode, faults) in [
        ("report", vec![Code::Unsupported]),
        ("if-supported", vec![]),
    ] {
        let mut host = Host::with(&binding(mode));
        sign_in(&mut host);
        host.pass(70);
        assert_eq!(host.call("GET", CALL).status(), 200);
        assert!(host.faults().is_empty(), "{mode}");
        host.pass(1);
        assert_eq!(host.call("GET", CALL).status(), 200);
        assert_eq!(host.faults(), faults, "{mode}");
    }
}

#[test]
fn without_the_option_nothing_is_offered() {
    let mut host = Host::new();
    assert!(sign_in(&mut host).is_none());
    assert!(Offer::of(&host.call("GET", "/auth/session").own()).is_none());
}

#[test]
fn turned_off_bound_sessions_continue_unchecked() {
    let mut host = host();
    let mut device = bound(&mut host);
    host.restart(&json!({ "session": { "bind": false } }));
    host.pass(IN_FLIGHT + 1);
    assert_eq!(call_without_bound_cookie(&mut host).status(), 200);
    assert!(ends(&device.renew(&mut host)));
}

#[test]
fn request_decides_if_the_option_is_a_function() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    let with = |host: &mut Host, request: Request, bind: &str| {
        let bind = Some(bind.to_owned());
        host.request(Request { bind, ..request })
    };
    let arrival = host.navigation(&back, Source::CrossSite);
    let response = with(&mut host, arrival, "\"if-supported\"").own();
    let offer = Offer::of(&response).unwrap();
    let signed = Device::new().signed(&offer.challenge, true);
    let registration = Request {
        bound_response: Some(signed),
        ..by_browser(&offer.path)
    };
    assert_eq!(with(&mut host, registration, "\"required\"").status(), 200);
    host.pass(IN_FLIGHT + 1);
    host.browser.lose(BOUND);
    let call = host.by_script("GET", CALL);
    assert_refused(&with(&mut host, call.clone(), "\"if-supported\""));
    assert_eq!(with(&mut host, call.clone(), "false").status(), 200);
    for _ in 0..2 {
        assert_eq!(with(&mut host, call.clone(), "\"sometimes\"").status(), 500);
    }
    assert_eq!(
        host.faults(),
        [Code::BoundCookieMissing, Code::ConfigInvalid]
    );
}

#[test]
fn function_that_leaves_out_the_callback_is_reported() {
    for (callback, is_reported) in [("false", true), ("\"if-supported\"", false)] {
        let mut host = Host::new();
        let back = host.come_back("/auth/login");
        let with = |host: &mut Host, request: Request, bind: &str| {
            let bind = Some(bind.to_owned());
            host.request(Request { bind, ..request })
        };
        let arrival = host.navigation(&back, Source::CrossSite);
        with(&mut host, arrival, callback);
        host.faults();
        for _ in 0..2 {
            let call = host.by_script("GET", CALL);
            with(&mut host, call, "\"if-supported\"");
        }
        let faults = host.faults();
        assert_eq!(faults == [Code::ConfigInvalid], is_reported, "{faults:?}");
    }
}

#[test]
fn cookies_that_browsers_do_not_bind_get_no_offer() {
    let config = json!({
        "session": { "bind": "if-supported" },
        "cookie": { "keys": [KEYS[0]], "httpPrefix": true },
    });
    let mut host = Host::with(&config);
    assert!(sign_in(&mut host).is_none());
    assert_eq!(host.faults(), [Code::Unsupported]);
}

#[test]
fn report_ends_no_session_for_a_second_key() {
    let mut host = Host::with(&binding("report"));
    let offer = sign_in(&mut host).unwrap();
    Device::new().register(&mut host, &offer);
    Device::new().register(&mut host, &offer);
    assert_eq!(host.call("GET", CALL).status(), 200);
}

#[test]
fn replaced_cookie_ends_a_session_that_is_not_checked() {
    for (mode, is_bound) in [("report", true), ("if-supported", false)] {
        let mut host = Host::with(&binding(mode));
        if is_bound {
            bound(&mut host);
        } else {
            sign_in(&mut host);
        }
        let early = host.browser.clone();
        for pause in [VALID, 120] {
            host.pass(pause);
            // The first of these calls refreshes the session, and the second one presents the new cookie.
            assert_eq!(host.call("GET", CALL).status(), 200);
            assert_eq!(host.call("GET", CALL).status(), 200);
        }
        assert_eq!(call_as(&mut host, &early).code(), "session_ended", "{mode}");
    }
}

#[test]
fn required_lets_no_unbound_copy_call_during_an_outage() {
    let mut host = Host::with(&binding("required"));
    let offer = sign_in(&mut host).unwrap();
    let copy = host.browser.clone();
    Device::new().register(&mut host, &offer);
    host.pass(71);
    host.restart(&json!({}));
    host.failing = vec!["Read", "Swap"];
    assert_eq!(call_as(&mut host, &copy).status(), 503);
}
