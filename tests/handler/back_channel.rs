//! `POST <base>/backchannel-logout` checks logout tokens against every clause of OpenID Connect Back-Channel Logout 1.0
//! sections 2.4 to 2.6.

use edge::{Effect, Reply, Request, Step};
use rules::Code;
use rules::base::clock::Millis;
use rules::codec::base64url;
use serde_json::{Value, json};

use crate::crypto::Pair;
use crate::host::{APP, Host, json_of};
use crate::provider::{ISSUER, json as json_reply};

const HEADER: &str = r#"{"alg":"ES256","kid":"key-0","typ":"logout+jwt"}"#;
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Returns the usual claims of a logout token with these changes. Null removes a claim.
fn claims(host: &Host, changes: &Value) -> String {
    let now = host.now.wall / 1000;
    let mut claims = json!({
        "iss": ISSUER, "aud": "web", "iat": now, "exp": now + 120, "jti": "j-1",
        "sub": "ann", "sid": "op-session-ann", "events": { EVENT: {} },
    });
    let members = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
    }
    members.retain(|_, value| !value.is_null());
    claims.to_string()
}

/// Returns a time in seconds that is not an integer.
fn fractional(seconds: u64) -> Value {
    serde_json::from_str(&format!("{seconds}.923858")).unwrap()
}

/// Returns a logout token with the usual claims and these changes. Null removes a claim.
pub(crate) fn token(host: &Host, changes: &Value) -> String {
    host.provider.jwt(HEADER, &claims(host, changes))
}

#[track_caller]
fn assert_refused(host: &mut Host, token: &str, what: &str) {
    let response = host.post_logout_token(token);
    assert_eq!(response.status, 400, "{what}");
    let body = json_of(&response);
    assert_eq!(body["error"], "invalid_request", "{what}");
    let why = body["error_description"].as_str().unwrap();
    assert!(!token.is_empty() && !why.contains(token), "{what}");
    assert_eq!(host.faults(), [Code::LogoutTokenInvalid], "{what}: {why}");
}

#[test]
fn logout_token_ends_sessions_by_sid_or_sub() {
    let now = Host::signed_in().now.wall / 1000;
    for (what, changes) in [
        ("both", json!({})),
        ("sid", json!({ "sub": null })),
        ("sub", json!({ "sid": null })),
        ("a list of one audience", json!({ "aud": ["web"] })),
        (
            "another event besides",
            json!({ "events": { EVENT: { "x": 1 }, "https://x.test": 1 } }),
        ),
        ("no exp, as in the first version", json!({ "exp": null })),
        (
            "fractions of a second",
            json!({ "iat": fractional(now - 1), "exp": fractional(now + 60) }),
        ),
        (
            "claims that nobody knows",
            json!({ "x": [1, { "y": null }] }),
        ),
    ] {
        let mut host = Host::signed_in();
        let token = token(&host, &changes);
        let response = host.post_logout_token(&token);
        assert_eq!((response.status, response.body), (200, None), "{what}");
        let response = host.call("GET", "/auth/session").own();
        assert_eq!(json_of(&response)["reason"], "provider_ended", "{what}");
        assert!(host.faults().is_empty());
    }
}

#[test]
fn logout_token_with_sub_signs_out_all_browsers() {
    let mut host = Host::signed_in();
    let first = std::mem::take(&mut host.browser);
    host.pass(5);
    host.sign_in();
    let second = host.browser.clone();
    let token = token(&host, &json!({ "sid": null }));
    assert_eq!(host.post_logout_token(&token).status, 200);
    for browser in [first, second] {
        host.browser = browser;
        let response = host.call("GET", "/auth/session").own();
        assert_eq!(json_of(&response)["reason"], "provider_ended");
    }
    // The user may sign in again.
    host.pass(5);
    host.sign_in();
    assert!(host.session().is_object());
}

#[test]
fn other_isolate_sees_logout_at_next_recheck() {
    let mut host = Host::signed_in_with(&json!({ "session": { "recheck": 10 } }));
    assert!(host.session().is_object());
    let store_before = host.store.clone();
    let token = token(&host, &json!({}));
    host.post_logout_token(&token);
    assert!(host.store.len() > store_before.len());
    host.restart(&json!({}));
    assert!(host.session().is_null());
}

#[test]
fn logout_token_typ_may_be_jwt_or_absent() {
    for header in [
        r#"{"alg":"ES256","kid":"key-0","typ":"JWT"}"#,
        r#"{"alg":"ES256","kid":"key-0","typ":"Logout+JWT"}"#,
        r#"{"alg":"ES256","kid":"key-0"}"#,
        r#"{"alg":"ES256"}"#,
    ] {
        let mut host = Host::signed_in();
        let token = host.provider.jwt(header, &claims(&host, &json!({})));
        assert_eq!(host.post_logout_token(&token).status, 200, "{header}");
    }
}

// claim: handler-40
#[test]
fn every_claim_of_a_logout_token_is_checked() {
    let now = Host::new().now.wall / 1000;
    let cases = [
        ("no iss", json!({ "iss": null })),
        ("another iss", json!({ "iss": "https://evil.test" })),
        (
            "an iss with a slash",
            json!({ "iss": "https://id.example.com/" }),
        ),
        ("an iss that is not a string", json!({ "iss": [ISSUER] })),
        ("no aud", json!({ "aud": null })),
        ("another aud", json!({ "aud": "other" })),
        ("another aud besides", json!({ "aud": ["web", "other"] })),
        ("no audience in the list", json!({ "aud": [] })),
        (
            "an aud that is not a string",
            json!({ "aud": { "web": true } }),
        ),
        ("an aud in a list of lists", json!({ "aud": [["web"]] })),
        ("no iat", json!({ "iat": null })),
        ("an iat of text", json!({ "iat": "1" })),
        ("an iat in the future", json!({ "iat": now + 61 })),
        ("an exp that is over", json!({ "exp": now - 60 })),
        ("an exp of text", json!({ "exp": "9999999999" })),
        ("a negative exp", json!({ "exp": -1 })),
        (
            "an exp that is over in a fraction",
            json!({ "exp": fractional(now - 60) }),
        ),
        (
            "an exp in milliseconds",
            json!({ "exp": 1_900_000_000_000_u64 }),
        ),
        ("no exp, and old", json!({ "exp": null, "iat": now - 360 })),
        ("neither sub nor sid", json!({ "sub": null, "sid": null })),
        ("a sub that is not a string", json!({ "sub": 1 })),
        ("an empty sub", json!({ "sub": "" })),
        (
            "a sid that is not a string",
            json!({ "sid": ["op-session-ann"] }),
        ),
        ("an empty sid", json!({ "sid": "" })),
        ("a huge sid", json!({ "sid": "x".repeat(513) })),
        ("no events", json!({ "events": null })),
        ("no event", json!({ "events": {} })),
        (
            "another event",
            json!({ "events": { "https://x.test": {} } }),
        ),
        (
            "an event that is not an object",
            json!({ "events": { EVENT: true } }),
        ),
        ("events in a list", json!({ "events": [EVENT] })),
        ("an event by name only", json!({ "events": EVENT })),
        ("a nonce", json!({ "nonce": "n" })),
        ("an empty nonce", json!({ "nonce": "" })),
        ("no jti", json!({ "jti": null })),
        ("a jti that is not a string", json!({ "jti": 1 })),
        ("an empty jti", json!({ "jti": "" })),
        ("a huge jti", json!({ "jti": "x".repeat(513) })),
    ];
    for (what, changes) in cases {
        let mut host = Host::signed_in();
        let token = token(&host, &changes);
        assert_refused(&mut host, &token, what);
        assert!(host.session().is_object(), "{what}");
    }
}

#[test]
fn wrong_clock_is_told_in_seconds() {
    let now = Host::new().now.wall / 1000;
    for (changes, expected) in [
        (
            json!({ "iat": now + 3600 }),
            "its iat is in the future by 3600 s",
        ),
        (json!({ "exp": now - 61 }), "its exp is in the past by 61 s"),
    ] {
        let mut host = Host::signed_in();
        let token = token(&host, &changes);
        let body = json_of(&host.post_logout_token(&token));
        let why = body["error_description"].as_str().unwrap();
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn clock_tolerance_applies_to_both_limits() {
    let now = Host::new().now.wall / 1000;
    for changes in [
        json!({ "iat": now + 60 }),
        json!({ "exp": now - 59, "iat": now - 100 }),
        json!({ "exp": null, "iat": now - 359 }),
    ] {
        let mut host = Host::signed_in();
        let token = token(&host, &changes);
        assert_eq!(host.post_logout_token(&token).status, 200, "{changes}");
    }
}

// claim: handler-40
#[test]
fn refuses_logout_token_with_wrong_header_or_signature() {
    let mut host = Host::signed_in();
    let usual = claims(&host, &json!({}));
    let key = &host.provider;
    let good = key.jwt(HEADER, &usual);
    let stranger = Pair::generate();
    let (input, signature) = good.rsplit_once('.').unwrap();
    let tokens = [
        (
            "an ID token's type",
            key.jwt(
                r#"{"alg":"ES256","kid":"key-0","typ":"id_token+jwt"}"#,
                &usual,
            ),
        ),
        (
            "an access token's",
            key.jwt(r#"{"alg":"ES256","kid":"key-0","typ":"at+jwt"}"#, &usual),
        ),
        (
            "a proof's",
            key.jwt(r#"{"alg":"ES256","kid":"key-0","typ":"dpop+jwt"}"#, &usual),
        ),
        (
            "an empty type",
            key.jwt(r#"{"alg":"ES256","kid":"key-0","typ":""}"#, &usual),
        ),
        (
            "no algorithm",
            key.jwt(r#"{"alg":"none","kid":"key-0"}"#, &usual),
        ),
        (
            "an HMAC",
            key.jwt(r#"{"alg":"HS256","kid":"key-0"}"#, &usual),
        ),
        (
            "another algorithm",
            key.jwt(r#"{"alg":"RS256","kid":"key-0"}"#, &usual),
        ),
        (
            "another key's name",
            key.jwt(r#"{"alg":"ES256","kid":"2"}"#, &usual),
        ),
        (
            "crit",
            key.jwt(
                r#"{"alg":"ES256","kid":"key-0","crit":["x"],"x":1}"#,
                &usual,
            ),
        ),
        ("a stranger's signature", stranger.jwt(HEADER, &usual)),
        (
            "a key that it brings along",
            stranger.jwt(
                &format!(r#"{{"alg":"ES256","jwk":{}}}"#, stranger.public_jwk("")),
                &usual,
            ),
        ),
        ("no signature", [input, ""].join(".")),
        ("half a signature", [input, &signature[..43]].join(".")),
        ("two parts", input.to_owned()),
        ("five parts", [&good, "a", "b"].join(".")),
        ("no token", "x".to_owned()),
        ("a huge token", "x".repeat(65_000)),
        (
            "claims twice",
            key.jwt(
                HEADER,
                &usual.replacen('{', r#"{"iss":"https://evil.test","#, 1),
            ),
        ),
        ("no object", key.jwt(HEADER, "[]")),
        ("no JSON", key.jwt(HEADER, "x")),
    ];
    for (what, token) in tokens {
        let response = host.post_logout_token(&token);
        assert_eq!(response.status, 400, "{what}");
        assert!(!host.faults().is_empty(), "{what}");
        assert!(host.session().is_object(), "{what}");
        host.pass(60);
    }
    let good = token_of(&host);
    assert_eq!(host.post_logout_token(&good).status, 200, "a control");
}

pub(crate) fn token_of(host: &Host) -> String {
    token(host, &json!({}))
}

// claim: handler-40
#[test]
fn id_token_is_not_a_logout_token() {
    let mut host = Host::new();
    host.sign_in();
    host.call("POST", "/auth/logout");
    let response = host
        .go("/auth/logout/provider", crate::browser::Source::App)
        .own();
    let query = crate::host::location(&response).split_once('?').unwrap().1;
    let id_token = crate::provider::params(query)["id_token_hint"].clone();
    host.faults();
    assert_refused(&mut host, &id_token, "an ID token");
}

#[test]
fn body_must_have_one_logout_token() {
    let mut host = Host::signed_in();
    let token = token_of(&host);
    for (what, body) in [
        ("nothing", String::new()),
        ("another name", format!("token={token}")),
        ("two", format!("logout_token={token}&logout_token={token}")),
        ("JSON", format!(r#"{{"logout_token":"{token}"}}"#)),
        ("no UTF-8", format!("logout_token={token}&x=%ff")),
        (
            "too much",
            format!("logout_token={token}&x={}", "x".repeat(65_536)),
        ),
    ] {
        let response = host.post_back_channel(&body);
        assert_eq!(response.status, 400, "{what}");
        assert_eq!(host.faults(), [Code::LogoutTokenInvalid], "{what}");
        host.pass(60);
    }
    assert!(host.session().is_object());
    let token = token_of(&host);
    let response = host.post_back_channel(&format!("x=y&logout_token={token}"));
    assert_eq!(
        response.status, 200,
        "a control: what is unknown is ignored"
    );
}

// claim: handler-40
#[test]
fn logout_token_is_accepted_once() {
    let mut host = Host::signed_in();
    let first = token_of(&host);
    assert_eq!(host.post_logout_token(&first).status, 200);
    assert!(host.session().is_null());
    host.pass(1);
    host.sign_in();
    assert_refused(&mut host, &first, "the same again");
    // Another isolate also rejects a logout token that was already used.
    host.restart(&json!({}));
    assert_refused(&mut host, &first, "the same again elsewhere");
}

// claim: handler-45
#[test]
fn replayed_logout_token_keeps_later_session() {
    let mut host = Host::signed_in();
    let only_user = token(&host, &json!({ "sid": null }));
    assert_eq!(host.post_logout_token(&only_user).status, 200);
    assert!(host.session().is_null());
    host.pass(5);
    host.sign_in();
    assert!(host.session().is_object());
    assert_refused(&mut host, &only_user, "the same again");
    host.restart(&json!({}));
    assert!(host.session().is_object());
}

#[test]
fn back_channel_logout_ends_sessions_of_same_second() {
    let mut host = Host::signed_in();
    host.now.wall += 400;
    let token = token(&host, &json!({ "sid": null }));
    assert_eq!(host.post_logout_token(&token).status, 200);
    assert!(host.session().is_null());
}

#[test]
fn only_the_times_of_the_provider_order_logins_and_logouts() {
    // The clock of the isolate that receives the logout is ahead or behind. The coordinator has no clock.
    for offset in [-180_000, 0, 180_000] {
        let mut host = Host::signed_in();
        host.store_time = false;
        host.restart(&json!({}));
        let own = host.now.wall;
        let logout = json!({ "sid": null, "iat": own / 1000, "exp": own / 1000 + 600 });
        let token = token(&host, &logout);
        host.now.wall = own.saturating_add_signed(offset);
        host.restart(&json!({ "clockTolerance": 300 }));
        assert_eq!(host.post_logout_token(&token).status, 200, "{offset}");
        host.now.wall = own;
        host.restart(&json!({}));
        assert!(host.session().is_null(), "{offset}");
        host.pass(1);
        host.sign_in();
        assert!(host.session().is_object(), "{offset}: a later login");
    }
}

// claim: handler-40
#[test]
fn sessions_of_other_users_continue() {
    for changes in [
        json!({ "sub": "bob", "sid": null }),
        json!({ "sub": "bob", "sid": "op-session-bob" }),
        json!({ "sid": "another of ann's" }),
    ] {
        let mut host = Host::signed_in();
        let token = token(&host, &changes);
        assert_eq!(host.post_logout_token(&token).status, 200);
        host.restart(&json!({}));
        assert!(host.session().is_object(), "{changes}");
    }
}

/// Returns the change to the configuration that makes the isolate another client's, with the same store.
fn client(id: &str) -> Value {
    let auth = json!({ "method": "client_secret_basic", "secret": "s" });
    json!({ "client": { "id": id, "auth": auth } })
}

// claim: handler-45
#[test]
fn clients_with_one_store_do_not_end_each_others_sessions() {
    for changes in [json!({ "sub": null }), json!({ "sid": null }), json!({})] {
        let mut host = Host::signed_in_with(&client("web"));
        host.restart(&client("other"));
        let mut for_other = changes.clone();
        for_other["aud"] = json!("other");
        let token_for_other = token(&host, &for_other);
        assert_eq!(host.post_logout_token(&token_for_other).status, 200);
        host.restart(&client("web"));
        assert!(host.session().is_object(), "{changes}");
        // Both tokens have the same `jti`.
        let own = token(&host, &changes);
        assert_eq!(host.post_logout_token(&own).status, 200, "{changes}");
        assert!(host.session().is_null(), "{changes}");
    }
}

#[test]
fn handlers_of_one_client_share_its_logouts() {
    let cookie = |name: &str| json!({ "cookie": { "keys": [crate::host::KEYS[0]], "name": name } });
    let mut host = Host::signed_in_with(&cookie("one"));
    host.restart(&cookie("two"));
    host.restart(&json!({ "origin": "https://two.example.com" }));
    let token = token_of(&host);
    assert_eq!(host.post_logout_token(&token).status, 200);
    host.restart(&cookie("one"));
    host.restart(&json!({ "origin": crate::host::APP }));
    assert!(host.session().is_null());
}

// claim: handler-45
#[test]
fn later_session_with_the_same_sid_continues() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let mut host = Host::signed_in_with(&json!({ "session": { "storage": storage } }));
        host.pass(5);
        let by_sid = token(&host, &json!({ "sub": null }));
        assert_eq!(host.post_logout_token(&by_sid).status, 200);
        assert!(host.session().is_null());
        host.pass(1);
        host.sign_in();
        host.restart(&json!({}));
        assert!(host.session().is_object(), "{storage}");
    }
}

/// Another isolate receives a logout token.
fn log_out_elsewhere(host: &mut Host) {
    let token = token(host, &json!({ "sub": null }));
    host.body = Some(format!("logout_token={token}"));
    let request = Request {
        method: "POST".to_owned(),
        url: format!("{APP}/auth/backchannel-logout"),
        has_body: true,
        ..Request::default()
    };
    assert_eq!(host.request_to_other_isolate(request).status(), 200);
}

#[test]
fn logout_token_before_the_first_write_ends_the_session() {
    let mut host = Host::with(&json!({ "session": { "storage": "in-store" } }));
    host.before_write = Some(log_out_elsewhere);
    host.sign_in();
    assert!(host.before_write.is_none());
    host.restart(&json!({}));
    assert!(host.session().is_null());
}

#[test]
fn logout_token_during_a_refresh_ends_the_session() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let mut host = Host::signed_in_with(&json!({ "session": { "storage": storage } }));
        host.pass(600);
        host.before_write = Some(log_out_elsewhere);
        host.call("GET", "/api/orders");
        assert!(host.before_write.is_none());
        host.restart(&json!({}));
        assert!(host.session().is_null(), "{storage}");
    }
}

#[test]
fn unwritten_logout_token_asks_for_retry() {
    for effect in ["Read", "Swap"] {
        let mut host = Host::signed_in();
        let token = token_of(&host);
        host.failing = vec![effect];
        let since = host.now.monotonic;
        let response = host.post_logout_token(&token);
        assert_eq!(response.status, 503, "{effect}");
        assert_eq!(crate::host::header(&response, "retry-after"), Some("2"));
        let passed = host.now.monotonic.saturating_sub(since);
        assert_eq!(passed, Millis(7750), "{effect}: it was repeated");
        host.failing.clear();
        host.pass(2);
        assert_eq!(host.post_logout_token(&token).status, 200, "{effect}");
        assert!(host.session().is_null());
    }
}

#[test]
fn failed_calls_of_a_logout_are_repeated_within_its_request() {
    // The calls: a read of the mark, a read and a write of the end, and a write of the mark.
    for calls in [
        "Read",
        "Swap",
        "Read Read Read",
        "Swap Swap Swap",
        "Read Swap",
    ] {
        let mut host = Host::signed_in();
        let token = token_of(&host);
        for effect in ["Read", "Swap"] {
            let failures = calls.split(' ').filter(|call| *call == effect);
            let failures = failures.map(|_| (effect, Reply::Failed(String::new())));
            host.wrong_replies.extend(failures);
        }
        assert_eq!(host.post_logout_token(&token).status, 200, "{calls}");
        assert!(host.wrong_replies.is_empty(), "{calls}");
        host.restart(&json!({}));
        assert!(host.session().is_null(), "{calls}");
        host.faults();
        assert_refused(&mut host, &token, calls);
    }
}

#[test]
fn slow_logout_is_not_repeated_for_longer() {
    let mut host = Host::signed_in();
    let token = token_of(&host);
    host.restart(&json!({}));
    // The provider's documents take most of the time.
    host.latency = 4;
    host.store_calls.clear();
    host.failing = vec!["Swap"];
    assert_eq!(host.post_logout_token(&token).status, 503);
    assert_eq!(host.store_calls, ["1", "1", "w"]);
}

/// Runs a logout until its second write, which is that of the mark.
fn run_until_mark(host: &mut Host, token: &str) -> (edge::TaskId, Effect) {
    host.body = Some(format!("logout_token={token}"));
    let mut writes = 0;
    let is_mark = |effect: &Effect| {
        writes += u32::from(matches!(effect, Effect::Swap { .. }));
        writes == 2
    };
    host.run_until(crate::host::logout_request(), is_mark)
}

#[test]
fn lost_response_to_the_mark_is_not_a_replay() {
    let mut host = Host::signed_in();
    let token = token_of(&host);
    let (id, mark) = run_until_mark(&mut host, &token);
    host.carry_out(mark);
    let lost = Reply::Failed(String::new());
    let Step::Do(pause) = host.handler.resume(host.now, id, lost) else {
        panic!("not repeated");
    };
    assert_eq!(host.finish((id, pause)).status, 200);
    assert_eq!(host.post_logout_token(&token).status, 400, "a replay");
}

#[test]
fn mark_of_another_isolate_is_a_replay() {
    let mut host = Host::signed_in();
    let token = token_of(&host);
    let stopped = run_until_mark(&mut host, &token);
    host.body = Some(format!("logout_token={token}"));
    let elsewhere = host.request_to_other_isolate(crate::host::logout_request());
    assert_eq!(elsewhere.status(), 200);
    assert_eq!(host.finish(stopped).status, 400);
    assert!(host.session().is_null());
}

#[test]
fn logout_is_finished_without_its_provider() {
    let mut host = Host::signed_in();
    host.body = Some(format!("logout_token={}", token_of(&host)));
    host.wrong_replies
        .push_back(("Swap", Reply::Failed(String::new())));
    host.give_up_during("Sleep", crate::host::logout_request());
    host.restart(&json!({}));
    assert!(host.session().is_null());
}

#[test]
fn logout_token_is_retried_without_provider_keys() {
    let mut host = Host::signed_in();
    let token = token_of(&host);
    host.restart(&json!({}));
    host.provider
        .replies
        .extend([("/jwks", None), ("/jwks", None)]);
    assert_eq!(host.post_logout_token(&token).status, 503);
    assert_eq!(host.post_logout_token(&token).status, 200);
}

#[test]
fn back_channel_logout_can_be_disabled() {
    let mut host = Host::signed_in_with(&json!({ "backChannelLogout": false }));
    let token = token_of(&host);
    assert_eq!(host.post_logout_token(&token).status, 405);
    assert!(host.session().is_object());
}

#[test]
fn unknown_keys_do_not_refetch_key_set_each_time() {
    let mut host = Host::signed_in();
    host.pass(31);
    let header = HEADER.replace(r#""kid":"key-0""#, r#""kid":"9""#);
    let before = host.provider.sent_to("/jwks").len();
    for _ in 0..5 {
        host.provider.replies.push_back(("/jwks", None));
        let token = host.provider.jwt(&header, &claims(&host, &json!({})));
        assert_ne!(host.post_logout_token(&token).status, 200);
    }
    // The request that failed was repeated once.
    assert_eq!(host.provider.sent_to("/jwks").len(), before + 2);
}

#[test]
fn withdrawn_key_is_trusted_for_one_hour_at_most() {
    let mut host = Host::signed_in();
    host.pass(3600);
    let other = Pair::generate().public_jwk(r#","kid":"2""#);
    let reply = crate::provider::json(200, &format!(r#"{{"keys":[{other}]}}"#));
    host.provider.replies.push_back(("/jwks", Some(reply)));
    let token = token(&host, &json!({}));
    assert_eq!(host.post_logout_token(&token).status, 400);
}

#[test]
fn refuses_logout_token_older_than_any_session() {
    let mut host = Host::signed_in();
    let now = host.now.wall / 1000;
    let fresh = token(
        &host,
        &json!({ "iat": now - 43_199, "exp": now + 1_000_000 }),
    );
    assert_eq!(host.post_logout_token(&fresh).status, 200);
    let old = token(
        &host,
        &json!({ "iat": now - 43_200, "exp": now + 1_000_000, "jti": "j-2" }),
    );
    assert_refused(&mut host, &old, "old");
}

#[test]
fn second_token_ends_the_second_session() {
    let mut host = Host::signed_in();
    for jti in ["j-1", "j-2"] {
        host.pass(5);
        host.sign_in();
        assert!(host.session().is_object(), "{jti}");
        let token = token(&host, &json!({ "sid": null, "jti": jti }));
        assert_eq!(host.post_logout_token(&token).status, 200);
        assert!(host.session().is_null(), "{jti}");
    }
}

#[test]
fn ends_outlive_any_session() {
    let mut host = Host::signed_in();
    let token = token_of(&host);
    assert_eq!(host.post_logout_token(&token).status, 200);
    // The store has the end of the user's session and a mark for the token's `jti`. Both outlive a session by two
    // minutes, because the clocks of two isolates may each be wrong by a minute.
    let kept = Millis::from_secs(43_200 + 2 * 60);
    assert_eq!(host.lifetimes.into_values().collect::<Vec<_>>(), [kept; 2]);
}

// claim: handler-41
#[test]
fn configured_algorithm_applies_to_logout_tokens() {
    let with_alg = |alg: &str| json!({ "idTokenSignedResponseAlg": alg });
    let mut host = Host::signed_in_with(&with_alg("ES256"));
    let first = token_of(&host);
    host.restart(&with_alg("PS256"));
    assert_refused(&mut host, &first, "another algorithm");
    host.restart(&with_alg("ES256"));
    assert_eq!(host.post_logout_token(&first).status, 200);
    assert!(host.session().is_null());
}

const ES384: &str = r#"{"alg":"ES384","kid":"2"}"#;

/// Lets the provider's next documents announce these algorithms, with a key for ES384 in addition to the usual one.
fn announce(host: &mut Host, algorithms: &str) {
    let x = base64url::encode(&[7; 48]);
    let more = format!(r#",{{"kty":"EC","crv":"P-384","kid":"2","x":"{x}","y":"{x}"}}]"#);
    let keys = host.provider.key_set().replace(']', &more);
    let document = host.provider.metadata().replace(r#"["ES256"]"#, algorithms);
    host.provider.replies.clear();
    for (path, body) in [
        ("/.well-known/openid-configuration", document),
        ("/jwks", keys),
    ] {
        let reply = (path, Some(json_reply(200, &body)));
        host.provider.replies.push_back(reply);
    }
}

/// Creates a host whose provider announces two algorithms, and signs in with an ID token of ES256.
fn with_two_algorithms() -> Host {
    let mut host = Host::new();
    announce(&mut host, r#"["ES256","ES384"]"#);
    host.sign_in();
    host
}

/// Returns the response's status for a logout token with ES384 and a valid signature.
fn post_es384(host: &mut Host) -> u16 {
    let token = host.provider.jwt(ES384, &claims(host, &json!({})));
    host.wrong_replies.clear();
    host.wrong_replies
        .push_back(("Verify", Reply::Verified(true)));
    host.post_logout_token(&token).status
}

// claim: handler-41
#[test]
fn logout_token_must_have_the_algorithm_of_id_tokens() {
    let mut host = with_two_algorithms();
    assert_eq!(post_es384(&mut host), 400);
    assert_eq!(host.faults(), [Code::LogoutTokenInvalid]);
    assert!(host.session().is_object());
    // An isolate that has verified no ID token accepts each algorithm in the metadata.
    announce(&mut host, r#"["ES256","ES384"]"#);
    host.restart(&json!({}));
    assert_eq!(post_es384(&mut host), 200);
}

// claim: handler-41
#[test]
fn withdrawn_algorithm_does_not_refuse_logouts() {
    let mut host = with_two_algorithms();
    host.pass(60);
    announce(&mut host, r#"["ES384"]"#);
    assert_eq!(post_es384(&mut host), 200);
}

// claim: handler-41
#[test]
fn next_id_token_sets_the_algorithm_of_logouts() {
    let mut host = Host::signed_in();
    host.pass(60);
    announce(&mut host, r#"["ES256","ES384"]"#);
    assert_eq!(post_es384(&mut host), 400);
    // The refused token has made the isolate fetch metadata and keys with which it accepts the next ID token, whose
    // signature counts as valid because `post_es384` has left a reply.
    host.provider.header = Some(ES384);
    host.provider.id_token_on_refresh = true;
    host.pass(600);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert_eq!(host.faults(), [Code::LogoutTokenInvalid]);
    assert_eq!(post_es384(&mut host), 200);
}

// claim: handler-41
#[test]
fn foreign_algorithms_cause_few_requests() {
    let mut host = Host::signed_in();
    let documents = |host: &Host| {
        host.provider
            .sent_to("/.well-known/openid-configuration")
            .len()
    };
    assert_eq!(documents(&host), 1);
    for expected in [1, 2, 3] {
        for _ in 0..20 {
            assert_eq!(post_es384(&mut host), 400);
        }
        assert_eq!(documents(&host), expected);
        host.pass(30);
    }
}

#[test]
fn metadata_of_the_configuration_is_not_fetched() {
    let mut host = Host::new();
    let document: Value = serde_json::from_str(&host.provider.metadata()).unwrap();
    host.restart(&json!({ "metadata": document }));
    host.sign_in();
    host.pass(60);
    assert_eq!(post_es384(&mut host), 400);
    let path = "/.well-known/openid-configuration";
    assert!(host.provider.sent_to(path).is_empty());
}
