//! The provider may grant something else than the login requested: more scopes, or no refresh token.

use edge::{Event, Fault};
use rules::Code;
use serde_json::{Value, json};

use crate::host::Host;

const MORE: &str = "openid offline_access admin";

/// Creates a host whose provider grants these scopes, and starts a login. Also returns the URL to which the provider
/// sends the browser back.
fn granting(scope: &'static str, changes: &Value) -> (Host, String) {
    let mut host = Host::with(changes);
    host.provider.scope = Some(scope);
    let back = host.come_back("/auth/login");
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
fn missing_refresh_token_is_logged_with_the_option() {
    let mut host = Host::new();
    host.provider.issues_refresh_tokens = false;
    host.provider.more_metadata = r#","scopes_supported":["openid"]"#.to_owned();
    let back = host.come_back("/auth/login");
    assert_eq!(host.arrive(&back).status, 303);
    let log = log(&host);
    assert!(log.starts_with("refresh_token_missing: "), "{log}");
    assert!(log.contains("offline_access"), "{log}");
    assert!(log.contains("scopes_supported"), "{log}");
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
