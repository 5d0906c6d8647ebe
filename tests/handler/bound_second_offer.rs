//! The second offer to register a key, for a browser that did not send the first registration: Chromium sends none after
//! too many signatures for a site.

use edge::{Outer, OwnResponse};
use rules::Code;
use serde_json::json;

use crate::browser::Browser;
use crate::device::{
    CALL, Device, IN_FLIGHT, Offer, SECOND_OFFER, UNBOUND, binding, bound,
    call_without_bound_cookie, host, sign_in, storages,
};
use crate::host::{COOKIE, Host};

/// Asks for the session, and returns the offer in the response.
fn ask(host: &mut Host) -> Option<Offer> {
    Offer::of(&host.call("GET", "/auth/session").own())
}

/// Signs in, and returns the offer that the browser gets ten minutes later.
fn second_offer(host: &mut Host) -> Offer {
    sign_in(host).unwrap();
    host.pass(SECOND_OFFER);
    ask(host).unwrap()
}

const fn is_refused(response: &OwnResponse) -> bool {
    response.status == 403 && response.cookies.is_empty()
}

// claim: handler-64
#[test]
fn unbound_session_gets_one_second_offer_ten_minutes_later() {
    for config in storages() {
        let mut host = Host::with(&config);
        sign_in(&mut host).unwrap();
        host.pass(SECOND_OFFER - 1);
        assert!(ask(&mut host).is_none());
        host.pass(1);
        let offer = ask(&mut host).unwrap();
        assert!(ask(&mut host).is_none(), "once");
        let mut device = Device::new();
        assert_eq!(device.register_with_cookies(&mut host, &offer).status, 200);
        host.pass(IN_FLIGHT + 1);
        assert_eq!(host.call("GET", CALL).status(), 200);
        let copied = call_without_bound_cookie(&mut host);
        assert_eq!(copied.code(), "bound_cookie_missing");
    }
}

#[test]
fn server_code_of_a_page_does_not_use_up_the_second_offer() {
    let mut host = host();
    sign_in(&mut host).unwrap();
    host.pass(SECOND_OFFER);
    let mut request = host.by_script("GET", "/auth/session");
    request.outer = Some(Outer {
        method: "GET".to_owned(),
        ..Outer::default()
    });
    let response = host.request(request).own();
    assert!(Offer::of(&response).is_none());
    assert!(!response.cookies.concat().contains(UNBOUND));
    assert!(ask(&mut host).is_some());
}

#[test]
fn refreshed_session_gets_the_second_offer() {
    let mut host = host();
    host.provider.set_lifetime(60);
    sign_in(&mut host).unwrap();
    host.pass(100);
    assert_eq!(host.call("GET", CALL).status(), 200);
    assert_eq!(host.provider.sent_to("/token").len(), 2, "a refresh");
    host.pass(SECOND_OFFER - 100);
    let offer = ask(&mut host).unwrap();
    let mut device = Device::new();
    assert_eq!(device.register_with_cookies(&mut host, &offer).status, 200);
    host.pass(IN_FLIGHT + 1);
    let copied = call_without_bound_cookie(&mut host);
    assert_eq!(copied.code(), "bound_cookie_missing");
}

// claim: handler-64
#[test]
fn second_offer_ends_with_its_cookie() {
    for (idle, seconds, is_offered) in [
        (7200, 3599, true),
        (7200, 3601, false),
        // A session that nobody uses has ended then.
        (1800, 1799, true),
        (1800, 1801, false),
    ] {
        let mut host = Host::with(&json!({ "session": { "bind": "if-supported", "idle": idle } }));
        host.provider.set_lifetime(7200);
        sign_in(&mut host).unwrap();
        let browser = host.browser.clone();
        // The user is active in between.
        for part in [seconds / 2, seconds - seconds / 2] {
            host.pass(part);
            host.call("GET", CALL);
        }
        // A thief keeps the cookie for longer than browsers do.
        host.browser = browser;
        assert_eq!(ask(&mut host).is_some(), is_offered, "{seconds}");
    }
}

// claim: handler-64
#[test]
fn second_offer_is_for_the_cookie_of_its_own_login_only() {
    let mut host = host();
    sign_in(&mut host).unwrap();
    let other = host.browser.get(UNBOUND).unwrap().value.clone();
    host.browser = Browser::default();
    sign_in(&mut host).unwrap();
    host.pass(SECOND_OFFER);
    let user = host.browser.clone();
    for value in [Some(other), Some("1".to_owned()), None] {
        host.browser.0.retain(|cookie| cookie.name == COOKIE);
        if let Some(value) = value {
            host.browser
                .set(&format!("{UNBOUND}={value}; Path=/; Secure"));
        }
        assert!(ask(&mut host).is_none());
    }
    host.browser = user;
    assert!(ask(&mut host).is_some(), "a control");
}

// claim: handler-64
#[test]
fn second_offer_that_script_has_read_is_useless_without_the_cookie() {
    let mut host = host();
    let offer = second_offer(&mut host);
    let thief = Device::new().register(&mut host, &offer);
    assert!(is_refused(&thief), "{thief:?}");
    // The thief's own session in place of the user's.
    let user = core::mem::take(&mut host.browser);
    sign_in(&mut host).unwrap();
    let thief = Device::new().register_with_cookies(&mut host, &offer);
    assert!(is_refused(&thief), "{thief:?}");
    host.browser = user;
    let mut device = Device::new();
    assert_eq!(device.register_with_cookies(&mut host, &offer).status, 200);
}

// claim: handler-64
#[test]
fn second_offer_is_valid_for_two_minutes() {
    for (seconds, status) in [(119, 200), (120, 403)] {
        let mut host = host();
        let offer = second_offer(&mut host);
        host.pass(seconds);
        let response = Device::new().register_with_cookies(&mut host, &offer);
        assert_eq!(response.status, status, "{seconds}");
    }
}

// claim: handler-64
#[test]
fn two_tabs_that_get_the_second_offer_keep_the_session() {
    let mut host = host();
    sign_in(&mut host).unwrap();
    host.pass(SECOND_OFFER);
    let before = host.browser.clone();
    let first = ask(&mut host).unwrap();
    host.browser = before;
    let second = ask(&mut host).unwrap();
    let mut device = Device::new();
    assert_eq!(device.register_with_cookies(&mut host, &first).status, 200);
    // Chips make keys one after the other, so a registration may take long.
    for pause in [0, IN_FLIGHT + 20] {
        host.pass(pause);
        let twice = Device::new().register_with_cookies(&mut host, &second);
        assert!(is_refused(&twice), "{twice:?}");
        assert_eq!(host.call("GET", CALL).status(), 200);
    }
}

// claim: handler-64
#[test]
fn thief_who_uses_the_second_offer_first_is_found_with_the_next_login() {
    let mut host = host();
    sign_in(&mut host).unwrap();
    host.pass(SECOND_OFFER);
    let copy = host.browser.clone();
    let offer = ask(&mut host).unwrap();
    let user = core::mem::replace(&mut host.browser, copy);
    let theirs = ask(&mut host).unwrap();
    assert_eq!(
        Device::new()
            .register_with_cookies(&mut host, &theirs)
            .status,
        200
    );
    let thief = core::mem::replace(&mut host.browser, user);
    let refused = Device::new().register_with_cookies(&mut host, &offer);
    assert!(is_refused(&refused), "{refused:?}");
    host.pass(IN_FLIGHT + 1);
    assert_eq!(host.call("GET", CALL).status(), 401);
    sign_in(&mut host).unwrap();
    host.browser = thief;
    assert_eq!(host.call("GET", CALL).code(), "session_ended");
}

// claim: handler-64
#[test]
fn bound_session_gets_no_offer_ten_minutes_later() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    Device::new().register(&mut host, &offer);
    host.pass(SECOND_OFFER);
    host.effects.clear();
    assert!(ask(&mut host).is_none());
    assert!(host.browser.get(UNBOUND).is_none());
}

/// Two tabs sign in, and the registration of the first session arrives after the second login.
// claim: handler-64
#[test]
fn registration_of_another_session_keeps_the_second_offer() {
    for fails in [false, true] {
        let mut host = host();
        let first = sign_in(&mut host).unwrap();
        sign_in(&mut host).unwrap();
        if fails {
            host.failing = vec!["Read", "Swap"];
        }
        let status = Device::new().register(&mut host, &first).status;
        assert_eq!(status, if fails { 503 } else { 200 });
        host.failing.clear();
        host.pass(2);
        assert!(
            ask(&mut host).is_none(),
            "the failure was another session's"
        );
        host.pass(SECOND_OFFER - 2);
        assert!(ask(&mut host).is_some(), "{fails}");
    }
}

#[test]
fn required_waits_for_the_second_offer_without_a_login() {
    let mut host = Host::with(&binding("required"));
    sign_in(&mut host).unwrap();
    for _ in 0..5 {
        host.pass(100);
        let response = host.call("GET", "/auth/session").own();
        assert_eq!(response.status, 503, "no page signs in again");
        assert!(Offer::of(&response).is_none());
    }
    host.pass(100);
    let response = host.call("GET", "/auth/session").own();
    assert_eq!(response.status, 503);
    let offer = Offer::of(&response).unwrap();
    let mut device = Device::new();
    assert_eq!(device.register_with_cookies(&mut host, &offer).status, 200);
    assert_eq!(host.call("GET", CALL).status(), 200);
}

#[test]
fn required_asks_for_a_login_after_the_second_offer() {
    let mut host = Host::with(&binding("required"));
    second_offer(&mut host);
    host.pass(119);
    assert_eq!(host.call("GET", CALL).code(), "renewal_failed");
    host.browser.lose(UNBOUND);
    assert_eq!(host.call("GET", CALL).code(), "bound_cookie_missing");
}

#[test]
fn session_that_stays_unbound_in_a_browser_that_binds_is_one_line_in_the_log() {
    for has_bound in [true, false] {
        let mut host = Host::with(&json!({ "session": { "bind": "if-supported" } }));
        if has_bound {
            bound(&mut host);
        }
        sign_in(&mut host).unwrap();
        host.provider.set_lifetime(7200);
        // The second offer ends with the idle limit of half an hour.
        for part in [1000, 920] {
            host.pass(part);
            host.call("GET", CALL);
        }
        host.faults();
        host.pass(1);
        host.call("GET", CALL);
        host.call("GET", CALL);
        let faults: &[Code] = if has_bound { &[Code::Unsupported] } else { &[] };
        assert_eq!(host.faults(), faults);
    }
}
