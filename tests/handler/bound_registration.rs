//! The registration of a browser's key: its offer, its checks, and the response.

use edge::{Effect, Entry, Reply, Request, Step};
use rules::Code;
use serde_json::json;

use crate::browser::Browser;
use crate::device::{
    BOUND, CALL, Device, IN_FLIGHT, Offer, assert_refused, bound, by_browser,
    call_without_bound_cookie, challenge_of, ends, host, others, sign_in, storages,
};
use crate::host::{Host, header, json_of};

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

// claim: handler-64
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
    assert_eq!(
        call_without_bound_cookie(&mut host).status(),
        200,
        "nothing is bound"
    );
}

// claim: handler-64
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

#[test]
fn overlong_registration_costs_no_verification() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    let signed = Device::new().signed(&offer.challenge, true);
    for (length, verified) in [(signed.len(), 1), (3000, 1), (3001, 0)] {
        let padded = format!("{signed}{}", " ".repeat(length - signed.len()));
        host.effects.clear();
        let request = Request {
            bound_response: Some(padded),
            ..by_browser(&offer.path)
        };
        host.request(request);
        assert_eq!(host.count("Verify"), verified, "{length}");
    }
}

/// Lets a registration fail, so that the next question about the session offers it again.
fn fail(host: &mut Host, offer: &Offer) {
    host.failing = vec!["Read", "Swap"];
    assert_eq!(Device::new().register(host, offer).status, 503);
    host.failing.clear();
}

// claim: handler-64
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

// claim: handler-64
#[test]
fn slow_registration_gets_no_second_offer() {
    let mut host = host();
    sign_in(&mut host);
    host.pass(1);
    let response = host.call("GET", "/auth/session").own();
    assert!(Offer::of(&response).is_none());
}

// claim: handler-64
#[test]
fn failed_registration_is_offered_again_once() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    fail(&mut host, &offer);
    host.pass(2);
    let offers = [0, 1].map(|_| {
        let response = host.call("GET", "/auth/session").own();
        Offer::of(&response).is_some()
    });
    assert_eq!(offers, [true, false], "a second key would end the session");
    fail(&mut host, &offer);
    host.pass(2);
    let response = host.call("GET", "/auth/session").own();
    assert!(Offer::of(&response).is_some(), "after another failure");
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

// claim: handler-64
#[test]
fn old_offer_registers_nothing() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    host.pass(120);
    assert_eq!(Device::new().register(&mut host, &offer).status, 403);
}

// claim: handler-64
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

// claim: handler-64
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
    assert_refused(&call_without_bound_cookie(&mut host));
}

// A second offer would let the browser register another key, which ends the session.
// claim: handler-64
#[test]
fn registration_is_found_although_the_response_of_its_write_was_lost() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    let device = Device::new();
    let registration = Request {
        bound_response: Some(device.signed(&offer.challenge, true)),
        ..by_browser(&offer.path)
    };
    let is_write = |effect: &Effect| matches!(effect, Effect::Swap { .. });
    let (id, effect) = host.run_until(registration, is_write);
    let Effect::Swap { key, value, .. } = effect else {
        unreachable!()
    };
    let version = "late".to_owned();
    host.store.insert(key, Entry { value, version });
    let Step::Do(next) = host
        .handler
        .resume(host.now, id, Reply::Failed(String::new()))
    else {
        panic!("the record is not read again")
    };
    let response = host.finish((id, next));
    assert_eq!(response.status, 200);
    assert!(!ends(&response));
}

#[test]
fn registration_during_an_outage_is_offered_again() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    fail(&mut host, &offer);
    host.pass(5);
    let offer = Offer::of(&host.call("GET", "/auth/session").own()).unwrap();
    let mut device = Device::new();
    assert_eq!(device.register_with_cookies(&mut host, &offer).status, 200);
}

/// Only the record says if the failed registration has bound the session. A second key would then end it.
#[test]
fn registration_is_not_offered_again_before_the_record_was_read() {
    let mut host = host();
    let offer = sign_in(&mut host).unwrap();
    fail(&mut host, &offer);
    host.failing = vec!["Read"];
    let response = host.call("GET", "/auth/session").own();
    assert!(Offer::of(&response).is_none());
    host.failing.clear();
    // The coordinator is not asked again at once.
    host.pass(2);
    let response = host.call("GET", "/auth/session").own();
    assert!(Offer::of(&response).is_some(), "the cookie is kept");
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

// claim: handler-64
#[test]
fn ended_session_is_not_bound() {
    for config in storages() {
        let mut host = Host::with(&config);
        let offer = sign_in(&mut host).unwrap();
        host.call("POST", "/auth/logout");
        assert!(ends(&Device::new().register(&mut host, &offer)));
    }
}

// claim: handler-65
#[test]
fn new_session_replaces_the_browsers_former_one() {
    let mut host = host();
    let former = bound(&mut host);
    host.browser = Browser::default();
    let later = bound(&mut host);
    assert_eq!(former.identifier, later.identifier);
    assert_ne!(former.refresh, later.refresh);
}

// claim: handler-65
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
fn offer_of_another_handler_registers_nothing() {
    for other in others() {
        let mut host = host();
        let offer = sign_in(&mut host).unwrap();
        host.restart(&other);
        assert_eq!(Device::new().register(&mut host, &offer).status, 403);
    }
}

#[test]
fn session_that_the_store_has_lost_is_not_bound() {
    let [_, in_store] = storages();
    let mut host = Host::with(&in_store);
    let offer = sign_in(&mut host).unwrap();
    host.store.clear();
    host.restart(&json!({}));
    assert!(ends(&Device::new().register(&mut host, &offer)));
}
