//! The lifetime of a refresh token beside another stated end: `tests/both/refresh_expiry.rs` has the rest.

use serde_json::json;

use kit::world::{Endpoint, Fault};

use crate::host::Host;

#[test]
fn stated_end_of_the_session_counts_before() {
    let mut host = Host::new();
    let ends = host.now.wall / 1000 + 3600;
    host.provider.state(&format!(r#""session_expiry":{ends}"#));
    let back = host.come_back("/auth/login");
    let stated = Fault::Altered("refresh_expires_in", "7200");
    host.provider.fault(Endpoint::Exchange, &[stated]);
    host.come_in(&back);
    host.restart(&json!({}));
    assert_eq!(host.session()["expiresAt"], ends * 1000);
}
