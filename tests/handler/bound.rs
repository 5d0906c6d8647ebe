//! Sessions that are bound to a key of the browser (Device Bound Session Credentials): a copy of the session's cookie is
//! useless without the bound cookie, and changes nothing.

use serde_json::{Value, json};
use strongroom::Code;
use strongroom::edge::Request;

use crate::browser::{Browser, Source};
use crate::callback::refreshed_to;
use crate::device::{
    BOUND, Device, Offer, binding, bound, by_browser, challenge_in, ends, sign_in,
};
use crate::host::{Answered, COOKIE, Host, KEYS, header, json_of, location};
use crate::mark::MARK;
use crate::provider::ISSUER;

const CALL: &str = "/api/orders";

/// The life of a bound cookie with its margin, in seconds.
const VALID: u64 = 660;

/// The time within which requests in flight pass, in seconds.
const IN_FLIGHT: u64 = 10;

/// Both places in which a session can be stored.
fn storages() -> [Value; 2] {
    ["sealed-in-cookie", "in-store"]
        .map(|storage| json!({ "session": { "bind": "if-supported", "storage": storage } }))
}

fn host() -> Host {
    Host::with(&binding("if-supported"))
}

/// Sends a call without the bound cookie, like a thief who has only a copy of the session's cookie.
fn call_unproven(host: &mut Host) -> Answered {
    let mut browser = host.browser.clone();
    browser.lose(BOUND);
    call_as(host, &browser)
}

/// Sends a call with the cookies of another browser.
fn call_as(host: &mut Host, thief: &Browser) -> Answered {
    let request = Request {
        cookie: thief.header(Source::App),
        ..host.by_script("GET", CALL)
    };
    host.request_elsewhere(request)
}

#[track_caller]
fn assert_refused(answered: &Answered) {
    assert_eq!(answered.status(), 401, "{answered:?}");
    assert_eq!(answered.code(), "bound_cookie_missing");
    assert!(answered.cookies().is_empty(), "no cookie is cleared");
}

#[test]
fn copied_session_cookie_is_useless() {
    for config in storages() {
        let mut host = Host::with(&config);
        bound(&mut host);
        host.pass(IN_FLIGHT + 1);
        assert_refused(&call_unproven(&mut host));
        assert_eq!(host.call("GET", CALL).status(), 200);
        assert_eq!(host.upstream.len(), 1);
    }
}

#[test]
fn control_unbound_session_accepts_a_copy() {
    let mut host = host();
    sign_in(&mut host);
    host.pass(IN_FLIGHT + 1);
    assert_eq!(call_unproven(&mut host).status(), 200);
}

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

#[test]
fn requests_in_flight_pass_for_ten_seconds() {
    let mut host = host();
    bound(&mut host);
    host.pass(IN_FLIGHT);
    assert_eq!(call_unproven(&mut host).status(), 200);
    host.pass(1);
    assert_refused(&call_unproven(&mut host));
}

#[test]
fn second_renewal_needs_one_round_trip() {
    let mut host = host();
    let mut device = bound(&mut host);
    host.pass(590);
    assert_eq!(device.renew(&mut host).status, 403);
    assert_eq!(device.renew(&mut host).status, 200);
    host.pass(590);
    assert_eq!(device.renew(&mut host).status, 200);
    assert_eq!(host.call("GET", CALL).status(), 200);
}

#[test]
fn late_renewal_gets_a_challenge_first() {
    let mut host = host();
    let mut device = bound(&mut host);
    host.pass(VALID);
    let response = device.renew(&mut host);
    assert_eq!(response.status, 403);
    assert_eq!(device.renew(&mut host).status, 200);
    assert_eq!(host.call("GET", CALL).status(), 200);
}

/// Asks for a challenge of a bound session.
fn challenge_of(host: &mut Host, device: &Device) -> String {
    let request = Request {
        bound_response: None,
        ..device.renewal("")
    };
    let response = host.request(request).own();
    assert_eq!(response.status, 403);
    challenge_in(&response)
}

#[test]
fn renewal_without_a_signed_challenge_gets_one_to_sign() {
    let mut host = host();
    let device = bound(&mut host);
    assert!(!challenge_of(&mut host, &device).is_empty());
}

#[test]
fn signed_challenge_works_for_a_minute() {
    let mut host = host();
    let device = bound(&mut host);
    let challenge = challenge_of(&mut host, &device);
    let answer = device.renewal(&challenge);
    host.pass(59);
    assert_eq!(host.request(answer.clone()).own().status, 200);
    host.pass(1);
    assert_eq!(host.request(answer).own().status, 403);
}

#[test]
fn renewal_with_another_key_is_refused() {
    let mut host = host();
    let mut device = bound(&mut host);
    device.key = Device::new().key;
    let before = host.browser.get(BOUND).cloned();
    assert_eq!(device.renew(&mut host).status, 403);
    assert_eq!(host.browser.get(BOUND).cloned(), before);
}

#[test]
fn challenge_of_another_session_is_refused() {
    let mut host = host();
    let device = bound(&mut host);
    host.browser = Browser::default();
    let other = bound(&mut host);
    let challenge = challenge_of(&mut host, &other);
    let request = device.renewal(&challenge);
    assert_eq!(host.request(request).own().status, 403);
}

#[test]
fn quotes_around_headers_are_optional() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    let mut device = Device::new();
    let quoted = |text: String| Some(format!("\"{text}\""));
    let request = Request {
        bound_response: quoted(device.signed(&offer.challenge, true)),
        ..by_browser(&offer.path)
    };
    let response = host.request(request).own();
    assert_eq!(response.status, 200);
    device.identifier = json_of(&response)["session_identifier"]
        .as_str()
        .unwrap()
        .to_owned();
    device.refresh = json_of(&response)["refresh_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let challenge = challenge_of(&mut host, &device);
    let renewal = device.renewal(&challenge);
    let request = Request {
        bound_session: renewal.bound_session.clone().and_then(quoted),
        bound_response: renewal.bound_response.clone().and_then(quoted),
        ..renewal
    };
    assert_eq!(host.request(request).own().status, 200);
}

#[test]
fn malformed_signed_challenges_register_nothing() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    let device = Device::new();
    let (key, other) = (device.key.public_jwk(""), Device::new().key.public_jwk(""));
    let private = device.key.private_jwk("");
    let claims = json!({ "jti": offer.challenge }).to_string();
    let head = |head: &str| device.key.jwt(head, &claims);
    let of = |jwk: &str| format!(r#"{{"typ":"dbsc+jwt","alg":"ES256","jwk":{jwk}}}"#);
    let answers = [
        (
            "another type",
            head(&format!(r#"{{"typ":"JWT","alg":"ES256","jwk":{key}}}"#)),
        ),
        (
            "no type",
            head(&format!(r#"{{"alg":"ES256","jwk":{key}}}"#)),
        ),
        (
            "another algorithm",
            head(&format!(
                r#"{{"typ":"dbsc+jwt","alg":"ES384","jwk":{key}}}"#
            )),
        ),
        (
            "the algorithm of another kind of key",
            head(&format!(
                r#"{{"typ":"dbsc+jwt","alg":"RS256","jwk":{key}}}"#
            )),
        ),
        (
            "an extension",
            head(&format!(
                r#"{{"typ":"dbsc+jwt","alg":"ES256","crit":["b64"],"jwk":{key}}}"#
            )),
        ),
        (
            "two keys",
            head(&format!(
                r#"{{"typ":"dbsc+jwt","alg":"ES256","jwk":{other},"jwk":{key}}}"#
            )),
        ),
        ("no key", head(r#"{"typ":"dbsc+jwt","alg":"ES256"}"#)),
        ("another key", head(&of(&other))),
        ("a private key", head(&of(&private))),
        (
            "another challenge",
            device.key.jwt(&of(&key), r#"{"jti":"guessed"}"#),
        ),
        ("no challenge", device.key.jwt(&of(&key), "{}")),
        ("no JWT", "abc".to_owned()),
    ];
    for (what, answer) in answers {
        let request = Request {
            bound_response: Some(answer),
            ..by_browser(&offer.path)
        };
        let response = host.request(request).own();
        assert_eq!(response.status, 403, "{what}");
        assert!(response.cookies.is_empty(), "{what}");
    }
    host.pass(IN_FLIGHT + 1);
    assert_eq!(call_unproven(&mut host).status(), 200, "nothing is bound");
}

#[test]
fn only_the_browser_itself_registers_and_renews() {
    let mut host = host();
    let device = bound(&mut host);
    let challenge = challenge_of(&mut host, &device);
    let renewal = device.renewal(&challenge);
    type Change = fn(&mut Request);
    let senders: [(&str, Change); 5] = [
        ("another origin", |it| {
            it.origin = Some("https://evil.example".to_owned());
        }),
        ("no origin", |it| it.origin = None),
        ("another site", |it| it.site = Some("cross-site".to_owned())),
        ("no metadata", |it| it.site = None),
        ("a script", |it| it.mode = Some("cors".to_owned())),
    ];
    for (what, change) in senders {
        let mut request = renewal.clone();
        change(&mut request);
        let response = host.request(request).own();
        assert_eq!(response.status, 403, "{what}");
        assert!(
            header(&response, "secure-session-challenge").is_none(),
            "{what}"
        );
    }
}

/// Lets a registration fail, so that the next question about the session offers it again.
fn fail(host: &mut Host, offer: &Offer) {
    host.failing = vec!["Read", "Swap"];
    assert_eq!(Device::new().register(host, offer).status, 503);
    host.failing.clear();
}

#[test]
fn offer_ends_a_minute_after_the_login() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    fail(&mut host, &offer);
    host.pass(59);
    let response = host.call("GET", "/auth/session").own();
    assert!(Offer::of(&response).is_some());
    host.pass(1);
    let response = host.call("GET", "/auth/session").own();
    assert!(Offer::of(&response).is_none());
}

#[test]
fn slow_registration_gets_no_second_offer() {
    let mut host = host();
    sign_in(&mut host);
    host.pass(1);
    let response = host.call("GET", "/auth/session").own();
    assert!(Offer::of(&response).is_none());
}

#[test]
fn bound_session_gets_no_second_offer() {
    for config in storages() {
        let mut host = Host::with(&config);
        let offer = sign_in(&mut host).unwrap();
        fail(&mut host, &offer);
        host.pass(2);
        let response = host.call("GET", "/auth/session").own();
        assert!(Offer::of(&response).is_some(), "a control");
        assert_eq!(Device::new().register(&mut host, &offer).status, 200);
        let response = host.call("GET", "/auth/session").own();
        assert!(Offer::of(&response).is_none());
    }
}

#[test]
fn old_offer_registers_nothing() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    host.pass(120);
    assert_eq!(Device::new().register(&mut host, &offer).status, 403);
}

#[test]
fn second_key_ends_the_session() {
    for config in storages() {
        let mut host = Host::with(&config);
        let offer = sign_in(&mut host).unwrap();
        Device::new().register(&mut host, &offer);
        assert!(ends(&Device::new().register(&mut host, &offer)));
        assert_eq!(host.call("GET", CALL).code(), "session_ended");
        assert!(host.faults().contains(&Code::SessionReplayed));
    }
}

#[test]
fn lost_response_of_a_registration_can_be_repeated() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    let mut device = Device::new();
    device.register(&mut host, &offer);
    assert_eq!(device.register(&mut host, &offer).status, 200);
    host.pass(IN_FLIGHT + 1);
    assert_eq!(host.call("GET", CALL).status(), 200);
}

#[test]
fn parallel_write_does_not_lose_the_binding() {
    let mut host =
        Host::with(&json!({ "session": { "bind": "if-supported", "storage": "in-store" } }));
    let offer = sign_in(&mut host).unwrap();
    host.before_write = Some(|host| {
        for entry in host.store.values_mut() {
            entry.version.push('x');
        }
    });
    let mut device = Device::new();
    assert_eq!(device.register(&mut host, &offer).status, 200);
    host.pass(IN_FLIGHT + 1);
    assert_refused(&call_unproven(&mut host));
}

#[test]
fn renewal_after_a_logout_ends_the_browsers_bound_session() {
    for config in storages() {
        let mut host = Host::with(&config);
        let mut device = bound(&mut host);
        let response = host.call("POST", "/auth/logout").own();
        assert_eq!(json_of(&response)["ended"], json!(true));
        assert!(host.browser.get(BOUND).is_none());
        assert!(ends(&device.renew(&mut host)));
    }
}

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

#[test]
fn refused_request_does_not_count_as_activity() {
    let mut host = Host::with(
        &json!({ "session": { "bind": "if-supported", "storage": "in-store", "idle": 100 } }),
    );
    bound(&mut host);
    host.pass(90);
    assert_refused(&call_unproven(&mut host));
    host.pass(10);
    assert_eq!(host.call("GET", CALL).code(), "session_ended");
}

#[test]
fn refused_request_at_a_limit_ends_nothing() {
    let mut host = Host::with(
        &json!({ "session": { "bind": "if-supported", "storage": "in-store", "idle": 100 } }),
    );
    bound(&mut host);
    host.pass(100);
    assert_refused(&call_unproven(&mut host));
}

#[test]
fn failed_renewal_gets_503() {
    let mut host = host();
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    host.browser.lose(BOUND);
    let request = Request {
        bound_skipped: Some("server_error".to_owned()),
        ..host.by_script("GET", CALL)
    };
    let response = host.request(request).own();
    assert_eq!(response.status, 503);
    assert_eq!(header(&response, "retry-after"), Some("2"));
    assert_eq!(header(&response, "x-strongroom"), Some("renewal_failed"));
    assert!(response.cookies.is_empty());
}

#[test]
fn renewal_survives_an_outage_of_the_coordinator() {
    let mut host = host();
    let mut device = bound(&mut host);
    host.failing = vec!["Read", "Swap"];
    host.pass(500);
    assert_eq!(device.renew(&mut host).status, 403);
    assert_eq!(device.renew(&mut host).status, 200);
}

#[test]
fn registration_during_an_outage_is_offered_again() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    fail(&mut host, &offer);
    host.pass(5);
    let offer = Offer::of(&host.call("GET", "/auth/session").own()).unwrap();
    assert_eq!(Device::new().register(&mut host, &offer).status, 200);
}

#[test]
fn required_refuses_a_session_that_stays_unbound() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let config = json!({ "session": { "bind": "required", "storage": storage } });
        let mut host = Host::with(&config);
        sign_in(&mut host);
        host.pass(70);
        assert_eq!(host.call("GET", CALL).status(), 200);
        host.pass(1);
        assert_refused(&host.call("GET", CALL));
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
    assert_eq!(call_unproven(&mut host).status(), 200);
    assert_eq!(host.faults(), [Code::BoundCookieMissing]);
    assert_eq!(host.call("GET", CALL).status(), 200);
    assert!(host.faults().is_empty());
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
    assert_eq!(call_unproven(&mut host).status(), 200);
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
    assert_eq!(with(&mut host, call, "\"sometimes\"").status(), 500);
    assert_eq!(host.faults(), [Code::ConfigInvalid]);
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
fn bound_cookie_is_host_only_lax_and_short() {
    let mut host = host();
    bound(&mut host);
    let cookie = host.browser.get(BOUND).unwrap();
    let expected = [
        "Path=/",
        "HttpOnly",
        "SameSite=Lax",
        "Secure",
        "Max-Age=600",
    ];
    assert_eq!(cookie.attributes, expected);
}

/// Checks that the bound cookie of the host's browser is refused with the cookies of another session.
#[track_caller]
fn assert_bound_cookie_proves_nothing_for(host: &mut Host, mut victim: Browser) {
    victim.lose(BOUND);
    victim.0.push(host.browser.get(BOUND).unwrap().clone());
    assert_refused(&call_as(host, &victim));
}

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
fn navigation_from_another_site_gets_a_link_and_no_token() {
    let mut host = Host::with(&json!({
        "session": { "bind": "if-supported" },
        "routes": [{ "prefix": "/api/", "upstream": "https://api.example.com/v1/", "navigate": true }],
    }));
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    host.browser.lose(BOUND);
    let response = host.go(CALL, Source::CrossSite).own();
    assert_eq!(response.status, 403);
    assert!(response.body.unwrap().1.contains(CALL));
    assert!(host.upstream.is_empty());
    // The key is lost if even the browser's own navigation has no bound cookie.
    let response = host.go(CALL, Source::Click).own();
    assert_eq!(response.status, 303);
}

#[test]
fn scope_excludes_what_must_not_wait() {
    let mut host = Host::with(&json!({
        "session": { "bind": "if-supported", "bindExclude": ["/assets"] },
    }));
    let offer = sign_in(&mut host).unwrap();
    let response = Device::new().register(&mut host, &offer);
    let body = json_of(&response);
    let rules = body["scope"]["scope_specification"].as_array().unwrap();
    let paths: Vec<&str> = rules
        .iter()
        .map(|rule| rule["path"].as_str().unwrap())
        .collect();
    let expected = [
        "/auth/login",
        "/auth/callback",
        "/auth/popup",
        "/auth/backchannel-logout",
        "/assets",
    ];
    assert_eq!(paths, expected);
    let refresh = body["refresh_url"].as_str().unwrap();
    assert!(refresh.starts_with("/auth/bind/refresh?1."), "{refresh}");
    assert_eq!(body["credentials"][0]["name"], json!(BOUND));
    assert_eq!(
        body["credentials"][0]["attributes"],
        json!("Path=/; HttpOnly; SameSite=Lax; Secure")
    );
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
fn challenge_is_not_accepted_as_bound_cookie() {
    let mut host = host();
    let device = bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    let challenge = challenge_of(&mut host, &device);
    host.browser
        .set(&format!("{BOUND}={challenge}; Path=/; Secure"));
    assert_refused(&host.call("GET", CALL));
}

#[test]
fn ended_session_is_not_bound() {
    for config in storages() {
        let mut host = Host::with(&config);
        let offer = sign_in(&mut host).unwrap();
        host.call("POST", "/auth/logout");
        assert!(ends(&Device::new().register(&mut host, &offer)));
    }
}

#[test]
fn page_learns_that_its_browser_has_no_key() {
    let mut host = host();
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    host.browser.lose(BOUND);
    let response = host.call("GET", "/auth/session").own();
    assert_eq!(
        json_of(&response),
        json!({ "session": null, "code": "bound_cookie_missing" })
    );
    assert!(response.cookies.is_empty());
}

#[test]
fn navigation_of_another_site_to_a_page_is_repeated_by_the_app() {
    for config in storages() {
        let mut host = Host::with(&config);
        bound(&mut host);
        host.pass(IN_FLIGHT + 1);
        let own = host.go("/page?a=1", Source::CrossSite);
        assert!(matches!(own, Answered::NotOurs), "with the bound cookie");
        host.browser.lose(BOUND);
        let page = host.go("/page?a=1", Source::CrossSite).own();
        assert_eq!(refreshed_to(&page), "https://app.example.com/page?a=1");
        // Otherwise a page of the app that redirects to a route would open it without a click.
        assert!(host.browser.get(MARK).is_some());
        assert!(matches!(
            host.go("/page?a=1", Source::App),
            Answered::NotOurs
        ));
        let script = host.by_script("GET", "/page?a=1");
        assert!(matches!(host.request(script), Answered::NotOurs));
    }
}

#[test]
fn control_navigation_without_a_bound_session_reaches_the_app() {
    for mode in ["if-supported", "report"] {
        let mut host = Host::with(&binding(mode));
        assert!(matches!(
            host.go("/page", Source::CrossSite),
            Answered::NotOurs
        ));
        sign_in(&mut host);
        host.pass(IN_FLIGHT + 1);
        assert!(matches!(
            host.go("/page", Source::CrossSite),
            Answered::NotOurs
        ));
    }
}

/// The answers of the provider's back channel name this user.
fn logout_token(host: &Host) -> String {
    let now = host.now.wall / 1000;
    let claims = json!({
        "iss": ISSUER, "aud": "web", "iat": now, "exp": now + 120, "jti": "j-1",
        "sub": "ann", "sid": "op-session-ann",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let head = r#"{"alg":"ES256","kid":"1","typ":"logout+jwt"}"#;
    host.provider.key.jwt(head, &claims.to_string())
}

#[test]
fn renewals_do_not_hide_a_back_channel_logout() {
    let mut host = host();
    let mut device = bound(&mut host);
    host.pass(20);
    assert_eq!(host.call("GET", CALL).status(), 200);
    let token = logout_token(&host);
    assert_eq!(host.post_logout_token(&token).status, 200);
    device.renew(&mut host);
    assert_eq!(host.call("GET", CALL).code(), "session_ended");
}

#[test]
fn new_session_replaces_the_browsers_former_one() {
    let mut host = host();
    let former = bound(&mut host);
    host.browser = Browser::default();
    let later = bound(&mut host);
    assert_eq!(former.identifier, later.identifier);
    assert_ne!(former.refresh, later.refresh);
}

#[test]
fn identifier_names_the_apps_host() {
    let mut host = host();
    let device = bound(&mut host);
    // Browsers keep one session for each identifier of a site, which includes all subdomains.
    assert_eq!(device.identifier, "__Host-strongroom app.example.com");
    let challenge = host.request(device.renewal("")).own();
    let header = header(&challenge, "secure-session-challenge").unwrap();
    assert!(
        header.ends_with(&format!(";id=\"{}\"", device.identifier)),
        "{header}"
    );
}

#[test]
fn renewals_end_at_the_absolute_limit() {
    let mut host = host();
    let mut device = bound(&mut host);
    host.pass(43_200);
    host.store.clear();
    host.restart(&json!({}));
    assert!(ends(&device.renew(&mut host)));
}

#[test]
fn another_site_does_not_replace_a_bound_session() {
    let mut host = host();
    bound(&mut host);
    host.pass(VALID);
    host.browser.lose(BOUND);
    let issuer = ISSUER.replace(':', "%3A").replace('/', "%2F");
    let page = host
        .go(&format!("/auth/login?iss={issuer}"), Source::CrossSite)
        .own();
    let response = host.go(&refreshed_to(&page), Source::App).own();
    assert_eq!(location(&response), "/");
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

#[test]
fn report_ends_no_session_for_a_second_key() {
    let mut host = Host::with(&binding("report"));
    let offer = sign_in(&mut host).unwrap();
    Device::new().register(&mut host, &offer);
    Device::new().register(&mut host, &offer);
    assert_eq!(host.call("GET", CALL).status(), 200);
}

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

#[test]
fn page_learns_the_reason_of_an_end_without_the_bound_cookie() {
    for config in storages() {
        let mut host = Host::with(&config);
        let offer = sign_in(&mut host).unwrap();
        Device::new().register(&mut host, &offer);
        host.call("GET", CALL);
        host.pass(IN_FLIGHT + 1);
        Device::new().register(&mut host, &offer);
        host.browser.lose(BOUND);
        let view = json_of(&host.call("GET", "/auth/session").own());
        assert_eq!(view["reason"], json!("security"));
    }
}

#[test]
fn repeated_navigation_stays_on_the_apps_origin() {
    let mut host = host();
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    host.browser.lose(BOUND);
    let url = "https://app.example.com//evil.example/x";
    let page = host.go(url, Source::CrossSite).own();
    assert_eq!(refreshed_to(&page), url);
    // Without Fetch Metadata, the page would repeat itself without end.
    let answered = host.go_without_metadata("/page", Source::App);
    assert!(matches!(answered, Answered::NotOurs));
}

#[test]
fn navigation_is_repeated_once() {
    let mut host = host();
    bound(&mut host);
    host.pass(IN_FLIGHT + 1);
    host.browser.lose(BOUND);
    host.go("/page", Source::CrossSite).own();
    // In a sandboxed window, the repetition also comes from another site.
    let again = host.go("/page", Source::CrossSite);
    assert!(matches!(again, Answered::NotOurs), "{again:?}");
    let other = host.go("/page?other", Source::CrossSite).own();
    assert_eq!(refreshed_to(&other), "https://app.example.com/page?other");
    host.go("/page", Source::CrossSite).own();
}
