//! The lifetime of a refresh token beside another stated end: `tests/both/refresh_expiry.rs` has the rest.

use serde_json::json;

use crate::host::Host;

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
