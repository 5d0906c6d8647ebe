//! Tests of `POST <base>/logout`, and of the redirect to the provider's own logout.

use edge::OwnResponse;
use rules::Code;
use rules::codec::base64url;
use rules::session::EndReason;
use serde_json::{Value, json};

use crate::browser::Source;
use crate::host::{COOKIE, Host, header, json_of, location};
use crate::provider;

const LEAVING: &str = "__Host-strongroom-login-logout";

/// The cookie that says that the user is signed out in this browser.
const LEFT: &str = "__Host-strongroom-left";

#[test]
fn logout_ends_the_session_everywhere() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let mut host = Host::signed_in_with(&json!({ "session": { "storage": storage } }));
        let copy = host.browser.clone();
        let response = host.call("POST", "/auth/logout").own();
        assert_eq!(
            json_of(&response),
            json!({ "url": "/auth/logout/provider", "ended": true, "revoked": true })
        );
        assert_eq!(host.browser.names(), [LEFT, LEAVING]);
        let [revoked] = host.provider.sent_to("/revoke")[..] else {
            panic!("not one revocation");
        };
        let token = host.provider.latest_refresh_token();
        assert_eq!(revoked.params["token"], token);
        assert_eq!(host.ends(), [(EndReason::LoggedOut, "ann".to_owned())]);
        // A copy of the cookie is useless in this isolate and in another one.
        for _ in 0..2 {
            host.browser = copy.clone();
            let answered = host.call("GET", "/api/orders");
            assert_eq!(
                (answered.status(), &*answered.code()),
                (401, "session_ended"),
                "{storage}"
            );
            assert!(host.upstream.is_empty());
            host.restart(&json!({}));
        }
    }
}

#[test]
fn logout_of_a_session_that_has_ended_says_so() {
    let mut host = Host::signed_in();
    let copy = host.browser.clone();
    host.call("POST", "/auth/logout");
    host.browser = copy;
    let response = host.call("POST", "/auth/logout").own();
    assert_eq!(
        json_of(&response),
        json!({ "url": "/auth/logout/provider", "ended": true, "revoked": false })
    );
    assert_eq!(host.browser.names(), [LEFT, LEAVING]);
    assert_eq!(host.provider.sent_to("/revoke").len(), 1);
}

/// Sends a logout for the session that began at this time.
fn log_out_of(host: &mut Host, started_at: &Value, query: &str) -> OwnResponse {
    let mut request = host.by_script("POST", &["/auth/logout", query].concat());
    request.marker = Some(format!("1 {started_at}"));
    host.request(request).own()
}

// claim: handler-20
#[test]
fn logout_for_another_session_changes_nothing() {
    for storage in ["sealed-in-cookie", "in-store"] {
        for query in ["", "?provider"] {
            let mut host = Host::signed_in_with(&json!({ "session": { "storage": storage } }));
            let first = host.session()["startedAt"].clone();
            host.pass(60);
            host.sign_in();
            let second = host.session()["startedAt"].clone();
            let before = host.provider.sent_to("/revoke").len();
            for other in [&first, &json!(""), &json!(0)] {
                let response = log_out_of(&mut host, other, query);
                assert_eq!(
                    json_of(&response),
                    json!({
                        "url": "/auth/logout/provider",
                        "ended": false,
                        "revoked": false,
                        "other": true,
                    })
                );
                assert!(response.cookies.is_empty(), "{:?}", response.cookies);
            }
            assert_eq!(host.session()["startedAt"], second);
            assert_eq!(host.provider.sent_to("/revoke").len(), before);
            // The browser keeps its session at the provider.
            let response = host.go("/auth/logout/provider", Source::App).own();
            assert_eq!(location(&response), "/");
            let response = log_out_of(&mut host, &second, query);
            assert_eq!(json_of(&response)["ended"], true);
            assert!(host.session().is_null());
            assert_eq!(host.provider.sent_to("/revoke").len(), before + 1);
        }
    }
}

#[test]
fn repeated_logout_ends_the_session_once() {
    let mut host = Host::signed_in();
    let started_at = host.session()["startedAt"].clone();
    let before = host.browser.clone();
    let response = log_out_of(&mut host, &started_at, "");
    assert_eq!(json_of(&response)["revoked"], true);
    // The response was lost.
    host.browser = before;
    let response = log_out_of(&mut host, &started_at, "?provider");
    assert_eq!(json_of(&response)["ended"], true);
    assert_eq!(host.browser.names(), [LEFT, LEAVING]);
    assert_eq!(host.provider.sent_to("/revoke").len(), 1);
    let response = host.go("/auth/logout/provider", Source::App).own();
    assert!(location(&response).starts_with("https://id.example.com/logout?"));
}

#[test]
fn header_that_names_a_session_in_another_way_is_refused() {
    let mut host = Host::signed_in();
    let started_at = host.session()["startedAt"].clone();
    for header in [format!("1{started_at}"), format!("background {started_at}")] {
        let mut request = host.by_script("POST", "/auth/logout");
        request.marker = Some(header);
        assert_eq!(host.request(request).code(), "cross_site_request");
    }
    assert_eq!(host.session()["startedAt"], started_at);
}

// claim: handler-1
#[test]
fn id_token_is_not_readable_by_scripts() {
    let mut host = Host::signed_in();
    let response = host.call("POST", "/auth/logout").own();
    let (_, text) = response.body.unwrap();
    assert!(!text.contains("eyJ") && !text.contains("hint"), "{text}");
    assert!(response.headers.is_empty());
    let cookie = host.browser.get(LEAVING).unwrap();
    assert!(cookie.attributes.contains(&"HttpOnly".to_owned()));
    assert!(cookie.attributes.contains(&"Max-Age=120".to_owned()));
    assert!(!cookie.value.contains("eyJhbGci"));
    // Script cannot read the URL of the redirect to the provider either.
    let response = host.call("GET", "/auth/logout/provider").own();
    assert_eq!(
        (response.status, header(&response, "location")),
        (403, None)
    );
}

#[test]
fn redirect_to_provider_logout_works_once() {
    let mut host = Host::signed_in_with(&json!({ "postLogoutRedirectUri": "/bye?a=b" }));
    host.call("POST", "/auth/logout");
    let response = host.go("/auth/logout/provider", Source::App).own();
    let (endpoint, query) = location(&response).split_once('?').unwrap();
    assert_eq!(endpoint, "https://id.example.com/logout");
    let sent = provider::params(query);
    assert_eq!(sent["client_id"], "web");
    assert_eq!(
        sent["post_logout_redirect_uri"],
        "https://app.example.com/bye?a=b"
    );
    assert!(sent["id_token_hint"].starts_with("eyJhbGci"));
    assert_eq!(host.browser.names(), [LEFT]);
    let again = host.go("/auth/logout/provider", Source::App).own();
    assert_eq!(location(&again), "/bye?a=b");
}

#[test]
fn logout_without_provider_endpoint_leads_home() {
    let mut host = Host::with(&json!({ "metadata": {
        "issuer": "https://id.example.com",
        "authorization_endpoint": "https://id.example.com/authorize",
        "token_endpoint": "https://id.example.com/token",
        "jwks_uri": "https://id.example.com/jwks",
        "id_token_signing_alg_values_supported": ["ES256"],
    } }));
    host.sign_in();
    let response = host.call("POST", "/auth/logout").own();
    // The metadata has no revocation endpoint either. The response tells this to the page, and the operator gets a
    // fault.
    assert_eq!(json_of(&response)["revoked"], false);
    assert!(host.provider.sent_to("/revoke").is_empty());
    assert_eq!(host.faults(), [Code::Unsupported]);
    let response = host.go("/auth/logout/provider", Source::App).own();
    assert_eq!(location(&response), "/");
}

/// Returns the hint in the redirect to the provider's logout.
fn hint_of_logout(host: &mut Host) -> String {
    host.call("POST", "/auth/logout");
    let response = host.go("/auth/logout/provider", Source::App).own();
    let (_, query) = location(&response).split_once('?').unwrap();
    provider::params(query)["id_token_hint"].clone()
}

fn payload_of(token: &str) -> String {
    let payload = token.split('.').nth(1).unwrap();
    String::from_utf8(base64url::decode(payload).unwrap()).unwrap()
}

#[test]
fn hint_is_the_latest_id_token() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let mut host = Host::with(&json!({ "session": { "storage": storage } }));
        host.provider.id_token_on_refresh = true;
        host.sign_in();
        let first = host.session();
        host.provider.state(r#""jti":"second""#);
        host.pass(700);
        host.call("GET", "/api/orders");
        // The claims are still the login's.
        assert_eq!(host.session()["claims"], first["claims"]);
        let hint = hint_of_logout(&mut host);
        assert!(payload_of(&hint).contains("second"), "{storage}");
    }
}

#[test]
fn session_with_a_stated_end_keeps_the_latest_id_token() {
    let mut host = Host::new();
    host.provider.id_token_on_refresh = true;
    let ends = host.now.wall / 1000 + 7200;
    host.provider.state(&format!(r#""session_expiry":{ends}"#));
    host.sign_in();
    host.provider
        .state(&format!(r#""session_expiry":{ends},"jti":"second""#));
    host.pass(700);
    host.call("GET", "/api/orders");
    let hint = hint_of_logout(&mut host);
    assert!(payload_of(&hint).contains("second"));
}

#[test]
fn refused_id_token_is_no_hint() {
    let mut host = Host::new();
    host.provider.id_token_on_refresh = true;
    host.sign_in();
    host.provider.state(r#""aud":"another","jti":"second""#);
    host.pass(700);
    host.call("GET", "/api/orders");
    let hint = hint_of_logout(&mut host);
    assert!(!payload_of(&hint).contains("second"));
}

#[test]
fn latest_id_token_needs_no_cookie_of_its_own() {
    let mut host = Host::new();
    host.provider.id_token_on_refresh = true;
    host.provider
        .state(&format!(r#""x":"{}""#, "x".repeat(1000)));
    host.sign_in();
    let before = host.browser.count(COOKIE);
    host.pass(700);
    host.call("GET", "/api/orders");
    host.session();
    assert_eq!(host.browser.count(COOKIE), before);
}

#[test]
fn session_of_several_cookies_keeps_the_latest_id_token() {
    let mut host = Host::new();
    host.provider.id_token_on_refresh = true;
    host.provider.padding = "p".repeat(1_400);
    host.sign_in();
    host.provider.state(r#""jti":"second""#);
    host.pass(700);
    host.call("GET", "/api/orders");
    assert!(host.browser.count(COOKIE) > 1);
    let hint = hint_of_logout(&mut host);
    assert!(payload_of(&hint).contains("second"));
}

#[test]
fn long_session_goes_on_without_the_latest_id_token() {
    let mut host = Host::new();
    host.provider.id_token_on_refresh = true;
    // The session fits into its cookies, and would not with another ID token.
    host.provider.padding = "p".repeat(1_200);
    host.provider
        .state(&format!(r#""x":"{}""#, "x".repeat(800)));
    host.sign_in();
    host.provider
        .state(&format!(r#""jti":"second","x":"{}""#, "x".repeat(800)));
    host.pass(700);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert_ne!(host.session(), json!(null));
    // The warning about two cookies.
    assert_eq!(host.faults(), [Code::LimitExceeded]);
}

#[test]
fn omits_id_token_hint_that_exceeds_a_cookie() {
    let mut host = Host::new();
    host.provider
        .state(&format!(r#""padding":"{}""#, "x".repeat(2200)));
    host.sign_in();
    host.call("POST", "/auth/logout");
    let response = host.go("/auth/logout/provider", Source::App).own();
    let query = location(&response).split_once('?').unwrap().1;
    assert_eq!(query, "client_id=web");
}

#[test]
fn form_logout_redirects_afterwards() {
    let mut host = Host::signed_in();
    let mut request = host.by_script("POST", "/auth/logout");
    request.marker = None;
    request.mode = Some("navigate".to_owned());
    request.has_body = true;
    let response = host.request(request).own();
    assert_eq!(location(&response), "/auth/logout/provider");
}

#[test]
fn script_without_header_cannot_log_out() {
    let mut host = Host::signed_in();
    let mut request = host.by_script("POST", "/auth/logout");
    request.marker = None;
    let response = host.request(request).own();
    assert_eq!(response.status, 403);
    assert!(response.cookies.is_empty());
    assert!(host.faults().is_empty());
}

#[test]
fn logout_without_session_still_reaches_provider() {
    let mut host = Host::new();
    let response = host.call("POST", "/auth/logout").own();
    assert_eq!(response.status, 200);
    let response = host.go("/auth/logout/provider", Source::App).own();
    assert_eq!(
        location(&response),
        "https://id.example.com/logout?client_id=web"
    );
    assert!(host.faults().is_empty());
}

#[test]
fn logout_succeeds_despite_failures() {
    for (what, effects) in [
        ("no coordinator", &["Read", "Swap"][..]),
        ("no provider", &["Send"]),
        ("neither", &["Read", "Swap", "Send"]),
        ("no sealing", &["Seal"]),
        ("nothing at all", &["Read", "Swap", "Send", "Seal", "Open"]),
    ] {
        let mut host = Host::signed_in();
        host.failing = effects.to_vec();
        assert_eq!(host.call("POST", "/auth/logout").status(), 200, "{what}");
        assert_eq!(
            host.browser.count(COOKIE),
            host.browser.count(LEAVING),
            "{what}"
        );
        let response = host.go("/auth/logout/provider", Source::App).own();
        assert_eq!(response.status, 303, "{what}");
        assert!(!host.faults().is_empty(), "{what}");
        host.failing.clear();
        assert!(host.session().is_null(), "{what}");
    }
}

#[test]
fn revocation_is_tried_twice() {
    for status in [500, 503] {
        let mut host = Host::signed_in();
        for _ in 0..2 {
            host.provider
                .replies
                .push_back(("/revoke", Some(provider::json(status, ""))));
        }
        host.call("POST", "/auth/logout");
        assert_eq!(host.provider.sent_to("/revoke").len(), 2);
        assert_eq!(host.faults(), [Code::ProviderUnavailable]);
    }
}

#[test]
fn logout_of_unreadable_session_asks_to_retry() {
    let stored = json!({ "session": { "storage": "in-store" } });
    let mut host = Host::signed_in_with(&stored);
    // The new isolate has not read the session from the store yet.
    host.restart(&stored);
    host.failing = vec!["Read"];
    let response = host.call("POST", "/auth/logout").own();
    assert_eq!(response.status, 503);
    assert!(header(&response, "retry-after").is_some());
    assert!(response.cookies.is_empty());
    host.failing.clear();
    host.pass(2);
    assert!(!host.session().is_null());
    assert_eq!(host.call("POST", "/auth/logout").status(), 200);
    assert!(host.session().is_null());
}

// claim: end-24
#[test]
fn unconfirmed_revocation_is_reported_and_logged() {
    let refused = provider::json(400, r#"{"error":"unsupported_token_type"}"#);
    let failed = provider::json(503, "");
    for replies in [vec![refused], vec![failed; 3]] {
        let mut host = Host::signed_in();
        for reply in replies {
            host.provider.replies.push_back(("/revoke", Some(reply)));
        }
        let response = host.call("POST", "/auth/logout").own();
        assert_eq!(json_of(&response)["revoked"], false);
        assert_eq!(host.faults(), [Code::ProviderUnavailable]);
    }
}
