//! Token responses whose members are not exactly what RFC 6749 5.1 shows. The usable tokens in them are used: otherwise
//! the handler would send a refresh token that the provider has already consumed, and the session would end.

use kit::flaws::{Flaw, is_absent, of_optional_members};
use rules::Code;
use serde_json::json;

use crate::host::{COOKIE, Host, json_of};
use crate::provider;

/// The flaws of optional members, and a response with status 201.
fn flaws() -> impl Iterator<Item = Flaw> {
    of_optional_members().chain([("status", "201")])
}

/// Returns the refresh tokens that were sent, in order.
fn sent(host: &Host) -> Vec<String> {
    let requests = host.provider.sent_to("/token").into_iter();
    let tokens = requests.filter_map(|request| request.params.get("refresh_token").cloned());
    tokens.collect()
}

fn has_distinct(tokens: &[String]) -> bool {
    let mut distinct = tokens.to_vec();
    distinct.sort();
    distinct.dedup();
    distinct.len() == tokens.len()
}

#[test]
fn login_survives_every_flaw_of_an_optional_member() {
    for flaw in flaws() {
        let mut host = Host::new();
        let back = host.come_back("/auth/login");
        host.provider.flaws.push_back(flaw);
        host.come_in(&back);
        if flaw.0 == "id_token" {
            assert_eq!(
                host.faults().pop(),
                Some(Code::TokenResponseInvalid),
                "{flaw:?}"
            );
            assert_eq!(host.browser.count(COOKIE), 0, "{flaw:?}");
            continue;
        }
        assert_eq!(host.call("GET", "/api/orders").status(), 200, "{flaw:?}");
        host.pass(601);
        let status = host.call("GET", "/api/orders").status();
        // The session has a refresh token if the response had a usable one.
        let expected = if flaw.0 == "refresh_token" { 401 } else { 200 };
        assert_eq!(status, expected, "{flaw:?}");
    }
}

#[test]
fn refresh_survives_every_flaw_of_an_optional_member() {
    for storage in ["sealed-in-cookie", "in-store"] {
        for flaw in flaws() {
            let mut host = Host::signed_in_with(&json!({ "session": { "storage": storage } }));
            host.pass(601);
            host.provider.flaws.push_back(flaw);
            assert_eq!(host.call("GET", "/api/orders").status(), 200, "{flaw:?}");
            assert_eq!(sent(&host).len(), 1, "{flaw:?}");
            host.pass(601);
            let status = host.call("GET", "/api/orders").status();
            if flaw.0 == "refresh_token" && !is_absent(flaw.1) {
                assert_eq!(status, 401, "{storage} {flaw:?}");
                assert_eq!(sent(&host).len(), 1, "{flaw:?}");
            } else {
                assert_eq!(status, 200, "{storage} {flaw:?}");
                assert_eq!(has_distinct(&sent(&host)), flaw.0 != "refresh_token");
            }
        }
    }
}

/// The flaws that make the access token unusable.
const UNUSABLE: &[Flaw] = &[
    ("access_token", "null"),
    ("access_token", "1"),
    ("access_token", r#""a b""#),
    ("access_token", r#""\ud800""#),
    ("token_type", r#""mac""#),
    ("token_type", "1"),
    ("error", r#""server_error""#),
];

#[test]
fn successor_in_an_unusable_response_is_used() {
    for storage in ["sealed-in-cookie", "in-store"] {
        for &flaw in UNUSABLE {
            let mut host = Host::signed_in_with(&json!({ "session": { "storage": storage } }));
            host.pass(601);
            host.provider.flaws.push_back(flaw);
            assert_eq!(host.call("GET", "/api/orders").status(), 200, "{flaw:?}");
            let sent = sent(&host);
            assert_eq!(sent.len(), 2, "{storage} {flaw:?}");
            assert!(has_distinct(&sent), "{storage} {flaw:?}");
        }
    }
}

#[test]
fn successor_of_another_user_ends_the_session() {
    for storage in ["sealed-in-cookie", "in-store"] {
        for &flaw in UNUSABLE {
            let mut host = Host::signed_in_with(&json!({ "session": { "storage": storage } }));
            host.pass(601);
            host.provider.renews_id_tokens = true;
            host.provider.subject = "mallory".to_owned();
            host.provider.flaws.push_back(flaw);
            let response = host.call("GET", "/api/orders").own();
            let reason = &json_of(&response)["error"]["reason"];
            assert_eq!(reason, "security", "{storage} {flaw:?}");
            assert_eq!(sent(&host).len(), 1, "{storage} {flaw:?}");
            assert_eq!(host.provider.sent_to("/revoke").len(), 1, "{flaw:?}");
        }
    }
}

/// The ID token of a response without a usable access token has the hash of another one.
#[test]
fn id_token_of_an_unusable_response_is_no_fault() {
    for &flaw in UNUSABLE {
        let mut host = Host::signed_in();
        host.pass(601);
        host.events.clear();
        host.provider.renews_id_tokens = true;
        host.provider.claims = r#","at_hash":"77QmUPtjPfzWtF2AnpK9RQ""#.to_owned();
        host.provider.flaws.push_back(flaw);
        host.call("GET", "/api/orders");
        // The second response is exact, except that its ID token has the hash of another access token.
        let expected = [Code::TokenResponseInvalid, Code::IdTokenInvalid];
        assert_eq!(host.faults(), expected, "{flaw:?}");
    }
}

/// While every response is unusable, each request sends at most the latest refresh token, at the usual intervals.
#[test]
fn successors_of_unusable_responses_follow_each_other() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let mut host = Host::signed_in_with(&json!({ "session": { "storage": storage } }));
        host.pass(601);
        host.events.clear();
        let flaw = ("token_type", r#""mac""#);
        host.provider.flaws.extend([flaw; 40]);
        for _ in 0..10 {
            assert_eq!(host.call("GET", "/api/orders").status(), 503, "{storage}");
        }
        let attempts = sent(&host).len();
        assert!((2..=5).contains(&attempts), "{attempts}");
        assert!(has_distinct(&sent(&host)));
        let messages = host.fault_messages();
        let expected = "the token endpoint's response is unusable, except for its refresh token: token_type is not Bearer";
        assert!(messages.contains(&expected.to_owned()), "{messages:?}");
        // Another isolate continues with the latest one.
        host.provider.flaws.clear();
        host.restart(&json!({}));
        assert_eq!(host.call("GET", "/api/orders").status(), 200, "{storage}");
        assert!(has_distinct(&sent(&host)));
    }
}

#[test]
fn access_token_stays_in_use_after_an_unusable_response() {
    let mut host = Host::signed_in();
    host.pass(575);
    host.provider.flaws.extend([("token_type", r#""mac""#); 40]);
    for _ in 0..10 {
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
        host.pass(1);
    }
    assert!(has_distinct(&sent(&host)));
    let tokens: Vec<&String> = host
        .upstream
        .iter()
        .map(|sent| &sent.authorization)
        .collect();
    assert!(
        tokens.windows(2).all(|pair| pair[0] == pair[1]),
        "{tokens:?}"
    );
}

#[test]
fn session_ends_with_its_access_token_if_no_token_is_usable() {
    let mut host = Host::signed_in();
    host.pass(575);
    host.events.clear();
    let flaw = ("refresh_token", r#"1,"access_token":null"#);
    host.provider.flaws.push_back(flaw);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert!(host.faults().contains(&Code::RefreshTokenMissing));
    assert_eq!(host.session()["state"], "active");
    host.pass(30);
    assert_eq!(host.call("GET", "/api/orders").status(), 401);
    assert_eq!(sent(&host).len(), 1);
}

#[test]
fn strict_rules_stay_strict() {
    let refusing = json!({ "unrequestedScopes": "refuse" });
    for (changes, flaw, code) in [
        (
            json!({}),
            ("token_type", r#""mac""#),
            Code::TokenResponseInvalid,
        ),
        (json!({}), ("id_token", r#""a.b.c""#), Code::IdTokenInvalid),
        (json!({}), ("access_token", "1"), Code::TokenResponseInvalid),
        (
            refusing.clone(),
            ("scope", "[]"),
            Code::TokenResponseInvalid,
        ),
        (
            refusing,
            ("scope", r#""\ud800""#),
            Code::TokenResponseInvalid,
        ),
        (
            json!({ "dpop": true }),
            ("token_type", "null"),
            Code::TokenResponseInvalid,
        ),
    ] {
        let mut host = Host::with(&changes);
        let back = host.come_back("/auth/login");
        host.provider.flaws.push_back(flaw);
        host.come_in(&back);
        assert_eq!(host.faults().pop(), Some(code), "{flaw:?}");
        assert_eq!(host.browser.count(COOKIE), 0, "{flaw:?}");
    }
}

#[test]
fn each_response_is_reported_in_one_line() {
    let mut host = Host::signed_in();
    host.pass(601);
    host.events.clear();
    host.provider
        .flaws
        .push_back(("expires_in", r#"0,"scope":[]"#));
    host.call("GET", "/api/orders");
    let expected = "the token endpoint's response is not exact: scope is an array; expires_in is not a positive number of seconds, and counts as 300";
    assert_eq!(host.fault_messages(), [expected]);
}

/// A login does not need this endpoint.
#[test]
fn unusable_logout_endpoint_stops_no_login() {
    for value in [r#""""#, r#""http://id.example.com/end""#, "1"] {
        let mut host = Host::new();
        let document = host.provider.discovery();
        let document = document.replace(r#""https://id.example.com/end""#, value);
        let reply = provider::json(200, &document);
        let location = "/.well-known/openid-configuration";
        host.provider.replies.push_back((location, Some(reply)));
        host.sign_in();
        let expected: &[Code] = if value == r#""""# {
            &[]
        } else {
            &[Code::MetadataInvalid]
        };
        assert_eq!(host.faults(), expected, "{value}");
    }
}

#[test]
fn media_type_of_an_id_token_may_be_written_in_full() {
    let mut host = Host::new();
    host.provider.header = r#"{"alg":"ES256","kid":"1","typ":"application/jwt"}"#;
    host.sign_in();
    assert_eq!(host.faults(), []);
}
