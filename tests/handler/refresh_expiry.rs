//! The provider may state the lifetime of a refresh token, by `refresh_token_expires_in` (an IETF draft) or Keycloak's
//! `refresh_expires_in`. Pages learn when the session will end unless it is refreshed.

use serde_json::json;

use crate::host::Host;

#[test]
fn session_expires_with_its_refresh_token() {
    for name in ["refresh_token_expires_in", "refresh_expires_in"] {
        for storage in ["sealed-in-cookie", "in-store"] {
            let mut host = Host::with(&json!({ "session": { "storage": storage } }));
            let back = host.come_back("/auth/login");
            host.provider.flaws.push_back((name, "900"));
            host.come_in(&back);
            let began = host.now.wall;
            assert_eq!(host.session()["expiresAt"], began + 900_000, "{storage}");
            // Another isolate reads it from the cookie or the store.
            host.restart(&json!({}));
            assert_eq!(host.session()["expiresAt"], began + 900_000, "{storage}");
            host.pass(601);
            host.provider.flaws.push_back((name, "900"));
            assert_eq!(host.session()["expiresAt"], began + 1_501_000, "{storage}");
            // The next response does not state it.
            host.pass(601);
            assert_eq!(host.session()["expiresAt"], began + 43_200_000, "{storage}");
        }
    }
}

#[test]
fn stated_end_of_the_session_counts_before() {
    let mut host = Host::new();
    let ends = host.now.wall / 1000 + 3600;
    host.provider.claims = format!(r#","session_expiry":{ends}"#);
    let back = host.come_back("/auth/login");
    host.provider
        .flaws
        .push_back(("refresh_expires_in", "7200"));
    host.come_in(&back);
    host.restart(&json!({}));
    assert_eq!(host.session()["expiresAt"], ends * 1000);
}

#[test]
fn access_token_may_outlive_the_refresh_token() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    host.provider.flaws.push_back(("refresh_expires_in", "60"));
    host.come_in(&back);
    let session = host.session();
    assert_eq!(session["expiresAt"], session["accessTokenExpiresAt"]);
}
