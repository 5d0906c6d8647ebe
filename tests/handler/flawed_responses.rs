//! Token responses whose members are not exactly what RFC 6749 5.1 shows, as only the token handler meets them:
//! `tests/both/flawed_responses.rs` has the rest.

use kit::world::{Endpoint, Fault};
use rules::Code;
use serde_json::json;

use crate::both::fault_of;
use crate::both::flawed_responses::{UNUSABLE, has_distinct};
use crate::host::Host;
use crate::provider;

/// Returns the refresh tokens that were sent, in order.
fn sent(host: &Host) -> Vec<String> {
    let requests = host.provider.of(Endpoint::Refresh);
    requests
        .map(|request| request.params["refresh_token"].clone())
        .collect()
}

/// The ID token of a response without a usable access token has the hash of another one.
#[test]
fn id_token_of_an_unusable_response_is_no_fault() {
    for &flaw in UNUSABLE {
        let mut host = Host::signed_in();
        host.pass(601);
        host.events.clear();
        host.provider.id_token_on_refresh = true;
        host.provider.state(r#""at_hash":"77QmUPtjPfzWtF2AnpK9RQ""#);
        host.provider.fault(Endpoint::Refresh, &[fault_of(flaw)]);
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
        let flaw = Fault::Altered("token_type", r#""mac""#);
        host.provider.outage(Endpoint::Refresh, flaw);
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
        host.provider.repair();
        host.restart(&json!({}));
        assert_eq!(host.call("GET", "/api/orders").status(), 200, "{storage}");
        assert!(has_distinct(&sent(&host)));
    }
}

#[test]
fn each_response_is_reported_in_one_line() {
    let mut host = Host::signed_in();
    host.pass(601);
    host.events.clear();
    let flaw = Fault::Altered("expires_in", r#"0,"scope":[]"#);
    host.provider.fault(Endpoint::Refresh, &[flaw]);
    host.call("GET", "/api/orders");
    let expected = "the token endpoint's response is not exact: scope is an array; expires_in is not a positive number of seconds, and counts as 300";
    assert_eq!(host.fault_messages(), [expected]);
}

/// A login does not need this endpoint.
#[test]
fn unusable_logout_endpoint_stops_no_login() {
    for value in [r#""""#, r#""http://id.example.com/logout""#, "1"] {
        let mut host = Host::new();
        let document = host.provider.metadata();
        let document = document.replace(r#""https://id.example.com/logout""#, value);
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
    host.provider.header = Some(r#"{"alg":"ES256","kid":"key-0","typ":"application/jwt"}"#);
    host.sign_in();
    assert_eq!(host.faults(), []);
}
