//! The provider may grant something else than the login requested: more scopes, or no refresh token.

use edge::{Event, Fault};
use rules::Code;
use serde_json::{Value, json};

use crate::host::{COOKIE, Host, LOGIN_COOKIE};

const MORE: &str = "openid offline_access admin";

/// Creates a host whose provider grants these scopes, and starts a login. Also returns the URL to which the provider
/// sends the browser back.
fn granting(scope: &'static str, changes: &Value) -> (Host, String) {
    let mut host = Host::with(changes);
    host.provider.scope = Some(scope);
    let back = host.come_back("/auth/login?returnTo=/orders");
    (host, back)
}

/// Returns the faults that were reported to the operator, one in each line: `code: message`.
fn log(host: &Host) -> String {
    let faults = host.events.iter().filter_map(|event| match event {
        Event::Fault(Fault { error, .. }) => {
            Some(format!("{}: {}\n", error.code().as_str(), error.message()))
        }
        _ => None,
    });
    faults.collect()
}

#[test]
fn unrequested_scopes_are_reported_and_granted() {
    for changes in [json!({}), json!({ "unrequestedScopes": "warn" })] {
        let (mut host, back) = granting(MORE, &changes);
        assert_eq!(host.arrive(&back).status, 303);
        let log = log(&host);
        assert!(
            log.starts_with("scope_exceeded: ") && log.contains("admin"),
            "{log}"
        );
        assert!(!log.contains("offline_access"), "{log}");
        let scopes = &host.session()["scopes"];
        assert_eq!(*scopes, json!(["openid", "offline_access", "admin"]));
        assert_eq!(host.faults(), [Code::ScopeExceeded]);
        assert!(host.provider.sent_to("/revoke").is_empty());
    }
}

#[test]
fn scopes_that_were_not_granted_are_reported() {
    let (mut host, back) = granting("openid", &json!({ "scope": "openid email orders" }));
    assert_eq!(host.arrive(&back).status, 303);
    assert!(log(&host).contains("scope_reduced: "), "{}", log(&host));
    assert!(log(&host).contains(": orders"), "{}", log(&host));
    assert_eq!(host.faults(), [Code::ScopeReduced]);
}

#[test]
fn unrequested_scopes_fail_the_login_if_refused() {
    let (mut host, back) = granting(MORE, &json!({ "unrequestedScopes": "refuse" }));
    let response = host.arrive(&back);
    assert_eq!(response.status, 502);
    let (_, page) = response.body.as_ref().unwrap();
    assert!(page.contains("scope_exceeded"), "{page}");
    assert!(page.contains("returnTo=%2Forders"), "{page}");
    assert_eq!(host.faults(), [Code::ScopeExceeded]);
    assert_eq!(host.browser.count(COOKIE), host.browser.count(LOGIN_COOKIE));
    // The handler revokes the refresh token, because it discards the tokens.
    let [revoked] = host.provider.sent_to("/revoke")[..] else {
        panic!("not one revocation");
    };
    assert!(revoked.params["token"].starts_with("refresh-"));
}

#[test]
fn refused_scopes_keep_previous_session() {
    let mut host = Host::signed_in_with(&json!({ "unrequestedScopes": "refuse" }));
    host.provider.scope = Some(MORE);
    let back = host.come_back("/auth/login");
    assert_eq!(host.arrive(&back).status, 502);
    assert_eq!(host.session()["claims"]["sub"], "ann");
}

#[test]
fn requested_or_fewer_scopes_are_not_reported() {
    for scope in ["openid", "offline_access openid"] {
        let (mut host, back) = granting(scope, &json!({ "unrequestedScopes": "refuse" }));
        assert_eq!(host.arrive(&back).status, 303, "{scope}");
        assert!(host.faults().is_empty(), "{scope}");
    }
}

#[test]
fn missing_refresh_token_is_logged_with_the_option() {
    let mut host = Host::new();
    host.provider.issues_refresh_tokens = false;
    let back = host.come_back("/auth/login");
    assert_eq!(host.arrive(&back).status, 303);
    let log = log(&host);
    assert!(log.starts_with("refresh_token_missing: "), "{log}");
    assert!(log.contains("offline_access"), "{log}");
    assert_eq!(host.faults(), [Code::RefreshTokenMissing]);
    assert!(
        Code::RefreshTokenMissing
            .advice()
            .contains("consent: 'always'")
    );
    // Without a refresh token, the session lasts as long as its access token.
    assert_eq!(host.session()["claims"]["sub"], "ann");
}

#[test]
fn missing_refresh_token_is_not_logged_where_expected() {
    for (changes, path) in [
        (json!({ "scope": "openid" }), "/auth/login"),
        (json!({ "consent": "always" }), "/auth/login"),
        (json!({}), "/auth/login?prompt=none"),
    ] {
        let mut host = Host::with(&changes);
        host.provider.issues_refresh_tokens = false;
        let back = host.come_back(path);
        assert_eq!(host.arrive(&back).status, 303, "{changes}");
        assert!(host.faults().is_empty(), "{changes} {path}");
    }
}

#[test]
fn refresh_may_change_the_scopes() {
    let mut host = Host::signed_in();
    host.provider.scope = Some("openid");
    host.pass(600);
    assert_eq!(host.session()["scopes"], json!(["openid"]));
    // A token response without `scope` leaves the scopes unchanged.
    host.provider.scope = None;
    host.pass(600);
    assert_eq!(host.session()["scopes"], json!(["openid"]));
}
