//! Tests of the search for the previous access token, which APIs may still accept after a refresh.

use edge::Head;
use serde_json::{Value, json};

use crate::host::{Answered, Host};

/// Returns the session's first access token.
fn first(host: &Host) -> String {
    host.provider.access_tokens()[0].to_owned()
}

/// Returns the session's second access token.
fn second(host: &Host) -> String {
    host.provider.access_tokens()[1].to_owned()
}

/// Creates a session that was refreshed ten seconds before its first access token expires.
fn refreshed_with(changes: &Value) -> Host {
    let mut host = Host::signed_in_with(changes);
    host.pass(590);
    assert_eq!(others(&mut host), first(&host));
    let sent = host.upstream.last().unwrap();
    assert_eq!(sent.authorization, format!("Bearer {}", second(&host)));
    host
}

fn refreshed() -> Host {
    refreshed_with(&json!({}))
}

/// Sends a call, and returns the tokens for which the host searches besides the token of the call.
fn others(host: &mut Host) -> String {
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    host.upstream.last().unwrap().others.clone()
}

fn is_record(aad: &str) -> bool {
    aad.contains(" session.")
}

#[test]
fn session_without_a_refresh_has_one_token() {
    let mut host = Host::signed_in();
    assert_eq!(others(&mut host), "");
}

// claim: handler-34
#[test]
fn previous_token_is_searched_for_until_it_expires() {
    let mut host = refreshed();
    host.pass(9);
    assert_eq!(others(&mut host), first(&host));
    host.pass(1);
    assert_eq!(others(&mut host), "");
}

#[test]
fn stored_sessions_have_a_previous_token() {
    let mut host = refreshed_with(&json!({ "session": { "storage": "in-store" } }));
    host.restart(&json!({}));
    assert_eq!(others(&mut host), first(&host));
}

// claim: handler-34
#[test]
fn refused_token_is_searched_for_at_once() {
    let mut host = Host::signed_in();
    host.pass(60);
    let refused = Head {
        status: 401,
        ..Head::default()
    };
    host.heads.push_back(refused);
    assert_eq!(others(&mut host), first(&host));
    host.pass(30);
    assert_eq!(others(&mut host), first(&host));
}

// claim: handler-34
#[test]
fn other_isolates_read_previous_token_from_record() {
    let mut host = refreshed();
    let request = host.by_script("GET", "/api/orders");
    assert_eq!(host.request_to_other_isolate(request).status(), 200);
    let sent = host.upstream.last().unwrap();
    assert_eq!(sent.authorization, format!("Bearer {}", second(&host)));
    assert_eq!(sent.others, first(&host));
}

#[test]
fn search_for_previous_token_needs_no_read() {
    let mut host = refreshed();
    host.effects.clear();
    assert_eq!(others(&mut host), first(&host));
    assert_eq!(host.count("Read"), 0);
}

// claim: handler-34
#[test]
fn isolate_without_the_record_misses_previous_token() {
    // docs/security-claims.md names this gap: the coordinator is down, and the isolate has not read the record yet.
    let mut host = refreshed();
    host.restart(&json!({}));
    host.failing = vec!["Read"];
    assert_eq!(others(&mut host), "");
}

// claim: handler-34
#[test]
fn second_refresh_forgets_the_first_token() {
    // docs/security-claims.md names this gap: two refreshes within the lifetime of a token.
    let mut host = Host::signed_in();
    host.provider.set_lifetime(100);
    host.pass(590);
    assert_eq!(others(&mut host), first(&host));
    host.provider.set_lifetime(3600);
    let refused = Head {
        status: 401,
        ..Head::default()
    };
    host.pass(35);
    host.heads.push_back(refused);
    assert_eq!(others(&mut host), second(&host));
}

// claim: handler-34
#[test]
fn cookie_does_not_contain_the_previous_token() {
    let mut host = refreshed();
    host.pass(100);
    others(&mut host);
    let (records, cookies): (Vec<_>, Vec<_>) =
        host.sealed.iter().partition(|(to, _)| is_record(to));
    let of_both = |plain: &str| plain.contains(&first(&host)) && plain.contains(&second(&host));
    assert!(!cookies.iter().any(|(_, plain)| of_both(plain)));
    assert!(
        cookies
            .iter()
            .any(|(_, plain)| plain.contains(&second(&host)))
    );
    // Control: the record contains both tokens.
    assert!(records.iter().any(|(_, plain)| of_both(plain)));
}

#[test]
fn expired_previous_token_leaves_the_record() {
    let mut host = refreshed_with(&json!({ "session": { "storage": "in-store" } }));
    host.pass(100);
    host.sealed.clear();
    others(&mut host);
    let (_, record) = host.sealed.last().unwrap();
    assert!(record.contains(&second(&host)) && !record.contains(&first(&host)));
}

// claim: handler-34
#[test]
fn logout_removes_both_tokens_from_the_record() {
    let mut host = refreshed();
    host.sealed.clear();
    assert_eq!(host.call("POST", "/auth/logout").status(), 200);
    let records = host.sealed.iter().filter(|(to, _)| is_record(to));
    let records: Vec<_> = records.map(|(_, plain)| plain).collect();
    assert!(!records.is_empty(), "{:?}", host.sealed);
    assert!(records.iter().all(|plain| !plain.contains("access-token")));
}

#[test]
fn long_previous_token_does_not_prevent_a_refresh() {
    // Stores permit 45 KB: enough for the access token and the refresh token, but not for another token.
    let mut host = Host::with(&json!({ "session": { "storage": "in-store" } }));
    host.provider.padding = "x".repeat(16_000);
    host.sign_in();
    host.pass(590);
    let request = host.by_script("GET", "/api/orders");
    assert_eq!(host.request(request.clone()).status(), 200);
    assert_eq!(host.request_to_other_isolate(request).status(), 200);
    let sent = host.upstream.last().unwrap();
    assert!(
        sent.authorization
            .starts_with(&format!("Bearer {}", second(&host)))
    );
    assert_eq!(sent.others, "");
    assert!(
        host.store
            .values()
            .all(|entry| entry.value.len() < 60 * 1024)
    );
}

// claim: handler-34
#[test]
fn demand_with_the_previous_token_is_hidden() {
    let routes =
        json!([{ "prefix": "/api/", "upstream": "https://api.example.com/", "stepUp": true }]);
    let mut host = refreshed_with(&json!({ "routes": routes }));
    for (scope, is_hidden) in [(first(&host), true), ("orders:write".to_owned(), false)] {
        host.heads.push_back(Head {
            status: 403,
            challenge: Some(format!(
                r#"Bearer error="insufficient_scope", scope="{scope}""#
            )),
            ..Head::default()
        });
        // The handler forwards the response. The host, which searches headers for the tokens, then rejects it.
        let answered = host.call("GET", "/api/orders");
        assert_eq!(
            matches!(answered, Answered::Passed { .. }),
            is_hidden,
            "{answered:?}"
        );
    }
}
