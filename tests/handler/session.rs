//! Tests of sessions: the data that `GET <base>/session` returns to a page, the end of a session, rejected refreshes,
//! and changes of the option `session.storage`.

use edge::{Event, Fault};
use rules::Code;
use rules::base::clock::Millis;
use rules::base::http::HttpReply;
use rules::session::EndReason;
use serde_json::{Value, json};

use crate::browser::Source;
use crate::host::{COOKIE, Host, KEYS, header, json_of, location};

#[test]
fn session_endpoint_returns_null_without_session() {
    let mut host = Host::new();
    let response = host.call("GET", "/auth/session").own();
    assert_eq!(
        (response.status, json_of(&response)),
        (200, json!({ "session": null }))
    );
}

// claim: handler-1
#[test]
fn page_sees_claims_and_times_only() {
    let mut host = Host::new();
    host.provider
        .state(r#""name":"Ann","email":"a@example.com","secret":"x""#);
    host.sign_in();
    let began = host.now.wall;
    let response = host.call("GET", "/auth/session").own();
    let session = &json_of(&response)["session"];
    assert_eq!(
        session,
        &json!({
            "claims": { "sub": "ann", "name": "Ann", "email": "a@example.com" },
            "scopes": ["openid", "offline_access"],
            "state": "active",
            "startedAt": began,
            "expiresAt": began + 43_200_000,
            "idleExpiresAt": began + 1_800_000,
            "accessTokenExpiresAt": began + 600_000,
        })
    );
    let (_, text) = response.body.unwrap();
    for secret in ["access-token", "refresh-", "eyJ", "nonce", "op-session"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

// claim: handler-2
#[test]
fn only_configured_claims_are_shown() {
    let mut host = Host::with(&json!({ "claims": ["roles"] }));
    host.provider
        .state(r#""name":"Ann","roles":["a",{"b":1}],"nonce2":"x""#);
    host.sign_in();
    assert_eq!(
        host.session()["claims"],
        json!({ "sub": "ann", "roles": ["a", { "b": 1 }] })
    );
}

#[test]
fn background_requests_do_not_extend_session() {
    for (marker, is_alive) in [("background", false), ("1", true)] {
        let mut host = Host::signed_in();
        host.provider.set_lifetime(3600);
        for _ in 0..4 {
            host.pass(500);
            let mut request = host.by_script("GET", "/auth/session");
            request.marker = Some(marker.to_owned());
            host.request(request);
        }
        assert_eq!(host.session().is_object(), is_alive, "{marker}");
    }
}

// claim: handler-24
#[test]
fn session_limits_are_named_as_reasons() {
    for (step, times, reason) in [(1800, 1, "idle"), (1799, 25, "absolute")] {
        let mut host = Host::signed_in();
        let mut last = Value::Null;
        for _ in 0..times {
            host.pass(step);
            last = json_of(&host.call("GET", "/auth/session").own());
        }
        assert_eq!(last, json!({ "session": null, "reason": reason }));
        assert_eq!(host.browser.count(COOKIE), 0, "{reason}");
        assert!(host.session().is_null());
    }
}

// claim: handler-24
#[test]
fn copied_cookie_fails_at_session_limit() {
    let mut host = Host::signed_in();
    let copy = host.browser.clone();
    host.pass(43_200);
    host.browser = copy.clone();
    assert!(host.session().is_null());
    assert!(
        host.events.iter().any(|event| matches!(
            event,
            Event::Ended {
                reason: EndReason::Idle | EndReason::Absolute,
                ..
            }
        )) || host.browser.count(COOKIE) == 0
    );
    host.browser = copy;
    let answered = host.call("GET", "/api/orders");
    assert_eq!(
        (answered.status(), &*answered.code()),
        (401, "session_ended")
    );
}

#[test]
fn refused_refresh_ends_session() {
    let mut host = Host::signed_in();
    let reply = crate::provider::json(400, r#"{"error":"invalid_grant"}"#);
    host.provider.replies.push_back(("/token", Some(reply)));
    host.pass(600);
    let response = host.call("GET", "/auth/session").own();
    assert_eq!(
        json_of(&response),
        json!({ "session": null, "reason": "provider_ended" })
    );
    // Nothing is left that makes the next login wait for a click.
    assert!(host.browser.names().is_empty());
}

#[test]
fn session_continues_after_provider_interaction() {
    let mut host = Host::signed_in();
    let reply = crate::provider::json(400, r#"{"error":"interaction_required"}"#);
    host.provider.replies.push_back(("/token", Some(reply)));
    host.pass(600);
    let session = host.session();
    assert_eq!(session["state"], "interaction_required");
    assert_eq!(session["claims"]["sub"], "ann");
    // The browser keeps the session cookie, and further requests cause no refresh at the provider.
    let answered = host.call("GET", "/api/orders");
    assert_eq!(
        (answered.status(), &*answered.code()),
        (401, "interaction_required")
    );
    assert_eq!(host.provider.sent_to("/token").len(), 2);
    assert_eq!(host.browser.count(COOKIE), 1);
    // A navigation is redirected to the login.
    let window = host.go("/api/orders", Source::App).own();
    assert!(location(&window).starts_with("/auth/login"));
    host.sign_in();
    assert_eq!(host.session()["state"], "active");
}

#[test]
fn provider_outage_keeps_sessions() {
    let mut host = Host::signed_in();
    for _ in 0..3 {
        host.provider.replies.push_back(("/token", None));
    }
    host.pass(600);
    let response = host.call("GET", "/auth/session").own();
    assert_eq!(
        (response.status, header(&response, "retry-after")),
        (503, Some("1"))
    );
    assert_eq!(host.browser.count(COOKIE), 1);
    assert_eq!(host.faults(), [Code::ProviderUnavailable]);
    host.pass(1);
    assert!(host.session().is_object());
}

#[test]
fn response_to_a_refresh_sets_the_cookie() {
    let mut host = Host::signed_in();
    let before = host.browser.get(COOKIE).cloned();
    host.pass(600);
    let response = host.call("GET", "/auth/session").own();
    assert_eq!(response.cookies.len(), 1);
    assert_ne!(host.browser.get(COOKIE).cloned(), before);
    let until = json_of(&response)["session"]["accessTokenExpiresAt"]
        .as_u64()
        .unwrap();
    assert_eq!(until, host.now.wall + 600_000);
}

#[test]
fn wrong_method_gets_an_allow_header() {
    let mut host = Host::signed_in();
    for (path, allowed) in [
        ("/auth/session", "GET"),
        ("/auth/callback", "GET"),
        ("/auth/logout/provider", "GET"),
        ("/auth/logout", "POST"),
        ("/auth/backchannel-logout", "POST"),
    ] {
        let response = host.call("PATCH", path).own();
        assert_eq!(
            (response.status, header(&response, "allow")),
            (405, Some(allowed)),
            "{path}"
        );
    }
    assert_eq!(host.go("/auth/logout", Source::CrossSite).status(), 405);
    assert!(host.session().is_object());
}

/// Creates a session. The provider responds to the next `times` token requests with `reply`.
fn refusing(reply: &HttpReply, times: usize) -> Host {
    let mut host = Host::signed_in();
    for _ in 0..times {
        let reply = Some(reply.clone());
        host.provider.replies.push_back(("/token", reply));
    }
    host
}

/// A refusal without a usable reason.
fn unexplained() -> HttpReply {
    crate::provider::json(400, r#"{"error":"invalid_request"}"#)
}

/// Responses that are not OAuth errors, such as those of a gateway in front of the provider.
fn gateway_pages() -> [HttpReply; 4] {
    let html = HttpReply {
        content_type: Some("text/html".to_owned()),
        ..crate::provider::json(401, "<html>401</html>")
    };
    [
        html,
        crate::provider::json(400, ""),
        crate::provider::json(400, r#"{"message":"no route"}"#),
        crate::provider::json(401, r#"{"error":{"code":401}}"#),
    ]
}

// claim: end-28
#[test]
fn page_of_a_gateway_that_stays_asks_for_the_user() {
    for (page, pause, refreshes) in [
        // The third refresh is more than 20 seconds after the first one.
        (&gateway_pages()[0], 11, 3),
        (&gateway_pages()[1], 11, 3),
        // The sixth refresh.
        (&gateway_pages()[2], 3, 6),
        (&gateway_pages()[3], 4, 6),
    ] {
        let mut host = refusing(page, 60);
        host.pass(600);
        let mut codes = Vec::new();
        for _ in 0..refreshes {
            let answered = host.call("GET", "/api/orders");
            codes.push(answered.code());
            host.pass(pause);
        }
        let (last, before) = codes.split_last().unwrap();
        assert!(
            before.iter().all(|code| code == "provider_unavailable"),
            "{codes:?}"
        );
        assert_eq!(last, "interaction_required", "{codes:?}");
        assert!(host.faults().contains(&Code::InteractionRequired));
    }
}

#[test]
fn valid_access_token_is_used_while_suspected() {
    let mut host = refusing(&unexplained(), 3);
    host.pass(580);
    for _ in 0..3 {
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
    }
    assert_eq!(host.provider.sent_to("/token").len(), 4);
    assert_eq!(host.session()["state"], "active");
}

// claim: handler-56
#[test]
fn provider_that_asks_to_wait_is_logged() {
    for status in [429, 503] {
        let mut host = Host::signed_in();
        host.faults();
        let mut reply = crate::provider::json(status, "");
        reply.retry_after = Some(Millis::from_secs(7));
        host.provider.replies.push_back(("/token", Some(reply)));
        host.pass(600);
        let response = host.call("GET", "/auth/session").own();
        assert_eq!(header(&response, "retry-after"), Some("7"));
        let told = host.events.iter().find_map(|event| match event {
            Event::Fault(Fault { error, .. }) => Some(error.message().to_owned()),
            _ => None,
        });
        let told = told.expect("a line in the log");
        assert!(told.contains(&format!("status {status}")), "{told}");
        assert!(
            told.contains("wait 7 s") || told.contains("seconds: 7"),
            "{told}"
        );
    }
}

// claim: handler-56
#[test]
fn record_with_unknown_key_is_reported() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let [old, new] = [KEYS[0], KEYS[1]];
        let session = json!({ "storage": storage });
        let mut host = Host::signed_in_with(&json!({
            "session": session, "cookie": { "keys": [old, new] }
        }));
        // The refresh record in the store is sealed with the new key. The browser loses the cookie of this refresh.
        host.pass(600);
        let before = host.browser.clone();
        host.restart(&json!({ "cookie": { "keys": [new, old] } }));
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
        host.browser = before;
        host.restart(&json!({ "cookie": { "keys": [old] } }));
        host.pass(600);
        let answered = host.call("GET", "/api/orders");
        assert_eq!((answered.status(), &*answered.code()), (503, "key_unknown"));
        assert!(host.faults().contains(&Code::KeyUnknown));
        // An isolate that has both keys can open the record and serve the session.
        host.restart(&json!({ "cookie": { "keys": [old, new] } }));
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
    }
}

/// Returns the storage option that `storage` is not.
fn other(storage: &str) -> &'static str {
    match storage {
        "in-store" => "sealed-in-cookie",
        _ => "in-store",
    }
}

fn keeping(storage: &str) -> Value {
    json!({ "session": { "storage": storage } })
}

// claim: handler-54
#[test]
fn storage_change_keeps_sessions() {
    for storage in ["sealed-in-cookie", "in-store"] {
        for has_refreshed in [false, true] {
            let mut host = Host::signed_in_with(&keeping(storage));
            if has_refreshed {
                host.pass(600);
                assert_eq!(host.call("GET", "/api/orders").status(), 200);
            }
            let before = host.browser.get(COOKIE).cloned();
            host.restart(&keeping(other(storage)));
            host.faults();
            host.pass(60);
            assert_eq!(host.call("GET", "/api/orders").status(), 200);
            assert!(host.faults().is_empty());
            // The browser now has a cookie for the new storage.
            assert_ne!(host.browser.get(COOKIE).cloned(), before);
            for _ in 0..3 {
                host.pass(600);
                assert_eq!(host.call("GET", "/api/orders").status(), 200);
            }
            assert_eq!(host.session()["claims"]["sub"], "ann");
            assert_eq!(host.call("POST", "/auth/logout").status(), 200);
            assert_eq!(host.session(), Value::Null);
        }
    }
}

// claim: handler-54
#[test]
fn deployments_of_both_storages_serve_one_session() {
    let mut host = Host::signed_in();
    for round in 0..12 {
        let storage = ["in-store", "sealed-in-cookie"][round % 2];
        host.restart(&keeping(storage));
        host.pass(if round % 3 == 0 { 600 } else { 20 });
        assert_eq!(host.call("GET", "/api/orders").status(), 200, "{round}");
    }
    assert_eq!(host.provider.sent_to("/token").len(), 1 + 4);
}

// claim: handler-54
#[test]
fn old_sealed_cookie_does_not_end_stored_session() {
    let mut host = Host::signed_in();
    let old = host.browser.clone();
    host.restart(&keeping("in-store"));
    for _ in 0..4 {
        host.pass(600);
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
    }
    let current = host.browser.clone();
    // This isolate cannot reach the coordinator, so it uses the sealed cookie. According to that cookie, the user was
    // last active long ago, but this isolate does not know what time it is for the others.
    host.restart(&json!({}));
    host.browser = old;
    host.failing = vec!["Read"];
    assert_eq!(host.call("GET", "/api/orders").status(), 503);
    host.failing.clear();
    host.browser = current;
    host.pass(2);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
}

/// The requests of an open page were sent with the cookie of the session that a second login has ended.
// claim: handler-22
#[test]
fn late_request_of_the_session_before_clears_no_cookie() {
    for storage in ["sealed-in-cookie", "in-store"] {
        for is_other_user in [false, true] {
            for (seconds, clears) in [(1, false), (10, false), (11, true)] {
                for url in ["/api/orders", "/auth/session"] {
                    let config = serde_json::json!({ "session": { "storage": storage } });
                    let mut host = Host::signed_in_with(&config);
                    host.pass(30);
                    let late = host.by_script("GET", url);
                    if is_other_user {
                        "ben".clone_into(&mut host.provider.subject);
                    }
                    host.sign_in();
                    host.pass(seconds);
                    let given = host.request_elsewhere(late);
                    assert_eq!(!given.cookies().is_empty(), clears, "{url}: {given:?}");
                    assert_eq!(host.call("GET", "/api/orders").status(), 200);
                }
            }
        }
    }
}
