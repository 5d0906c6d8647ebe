//! The renewal of the bound cookie.

use edge::Request;
use serde_json::json;

use crate::browser::Browser;
use crate::device::{
    BOUND, CALL, Device, IN_FLIGHT, VALID, assert_refused, bound, challenge_of, ends, host, others,
    storages,
};
use crate::host::{Host, header, json_of};
use crate::provider::ISSUER;

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

#[test]
fn renewal_without_a_signed_challenge_gets_one_to_sign() {
    let mut host = host();
    let device = bound(&mut host);
    assert!(!challenge_of(&mut host, &device).is_empty());
}

// claim: handler-65
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

// claim: handler-65
#[test]
fn renewal_with_another_key_is_refused() {
    let mut host = host();
    let mut device = bound(&mut host);
    device.key = Device::new().key;
    let before = host.browser.get(BOUND).cloned();
    assert_eq!(device.renew(&mut host).status, 403);
    assert_eq!(host.browser.get(BOUND).cloned(), before);
}

// claim: handler-65
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

// claim: handler-65
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

// claim: handler-65
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

/// The responses of the provider's back channel name this user.
pub(crate) fn logout_token(host: &Host) -> String {
    let now = host.now.wall / 1000;
    let claims = json!({
        "iss": ISSUER, "aud": "web", "iat": now, "exp": now + 120, "jti": "j-1",
        "sub": "ann", "sid": "op-session-ann",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let head = r#"{"alg":"ES256","kid":"key-0","typ":"logout+jwt"}"#;
    host.provider.jwt(head, &claims.to_string())
}

// claim: handler-63
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

// claim: handler-65
#[test]
fn renewals_end_at_the_absolute_limit() {
    let mut host = host();
    let mut device = bound(&mut host);
    host.pass(43_200);
    host.store.clear();
    host.restart(&json!({}));
    assert!(ends(&device.renew(&mut host)));
}

// Browsers renew ahead of time while the user is away.
#[test]
fn renewals_are_no_activity_of_the_user() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let bind = json!({ "bind": "if-supported", "storage": storage, "idle": 1200 });
        let mut host = Host::with(&json!({ "session": bind }));
        let mut device = bound(&mut host);
        // Only the first renewal needs two requests.
        device.renew(&mut host);
        device.renew(&mut host);
        for _ in 0..3 {
            host.pass(500);
            assert_eq!(device.renew(&mut host).status, 200);
        }
        let answered = host.call("GET", CALL);
        assert_eq!(answered.code(), "session_ended", "{answered:?}");
    }
}

#[test]
fn session_of_another_handler_is_not_renewed() {
    for other in others() {
        let mut host = host();
        let mut device = bound(&mut host);
        host.restart(&other);
        assert!(ends(&device.renew(&mut host)));
    }
}
