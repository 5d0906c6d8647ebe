//! Claims that must not change at a refresh: the option `sameClaims`. `tests/both/same_claims.rs` has what the vault does,
//! too.

use rules::base::error::Code;
use rules::session::EndReason;
use serde_json::json;

use crate::host::{Host, json_of};

/// Returns a host whose user has signed in at an organization.
fn signed_in() -> Host {
    let mut host = Host::with(&json!({ "sameClaims": ["org_id"] }));
    host.provider.id_token_on_refresh = true;
    host.provider.state(r#""org_id":"acme""#);
    host.sign_in();
    host
}

fn change(host: &mut Host) {
    host.provider.state(r#""org_id":"globex""#);
    host.pass(600);
}

// claim: end-30
#[test]
fn changed_claim_ends_the_session_everywhere() {
    let mut host = signed_in();
    let copy = host.by_script("GET", "/api/orders");
    change(&mut host);
    let response = host.call("GET", "/auth/session").own();
    let ended = json!({ "session": null, "reason": "claims_changed" });
    assert_eq!(json_of(&response), ended);
    let message = "the ID token's org_id differs from that of the login; the session was ended";
    assert_eq!(host.fault_messages(), [message]);
    assert_eq!(host.ends(), [(EndReason::ClaimsChanged, "ann".to_owned())]);
    assert_eq!(host.faults(), [Code::IdTokenInvalid]);
    let elsewhere = host.request_to_other_isolate(copy);
    assert_eq!(
        (elsewhere.status(), &*elsewhere.code()),
        (401, "session_ended")
    );
    assert!(host.provider.sent_to("/revoke").is_empty());
    assert!(host.upstream.is_empty());
}

/// The session began before the option was set, or in an earlier version.
#[test]
fn session_from_before_the_option_is_compared() {
    let mut host = Host::new();
    host.provider.id_token_on_refresh = true;
    host.provider.state(r#""org_id":"acme""#);
    host.sign_in();
    host.restart(&json!({ "sameClaims": ["org_id"] }));
    change(&mut host);
    assert!(host.session().is_null());
    assert_eq!(host.ends()[0].0, EndReason::ClaimsChanged);
}

#[test]
fn next_login_needs_no_click() {
    let mut host = signed_in();
    change(&mut host);
    assert_eq!(host.call("GET", "/api/orders").code(), "session_ended");
    let begun = host.come_back("/auth/login?automatic");
    assert_eq!(host.come_in(&begun).status, 303);
    assert!(host.session().is_object());
}
