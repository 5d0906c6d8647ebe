//! The cookies of logins that have expired at the provider. `tests/both/expired_at_provider.rs` has the rest.

use rules::Code;
use serde_json::json;

use crate::browser::Source;
use crate::host::{Host, KEYS, LOGIN_COOKIE, location};
use crate::mark::MARK;

const EXPIRED: &str = "&error=temporarily_unavailable&error_description=authentication_expired";

/// Returns the response to the authorization request at `url`, with these parameters.
fn response(host: &Host, url: &str, more: &str) -> String {
    let params = host.provider.parameters(url);
    format!("{}?state={}{more}", params["redirect_uri"], params["state"])
}

#[test]
fn repetition_replaces_the_cookie_of_the_login() {
    for changes in [
        json!({}),
        json!({ "par": true }),
        json!({ "cookie": { "keys": [KEYS[0]], "sameSite": "strict" } }),
    ] {
        let mut host = Host::with(&changes);
        let first = host.begin_login("/auth/login?max_age=60");
        let back = response(&host, &first, EXPIRED);
        let answered = host.come_in(&back);
        let second = location(&answered).to_owned();
        assert_eq!(host.provider.parameters(&second)["max_age"], "60");
        assert_eq!(host.browser.count(LOGIN_COOKIE), 1, "{changes}");
        let back = response(&host, &second, EXPIRED);
        assert_eq!(host.come_in(&back).status, 400, "{changes}");
        assert_eq!(host.faults(), [Code::LoginExpired], "{changes}");
        assert_eq!(host.browser.count(LOGIN_COOKIE), 0, "{changes}");
    }
}

/// A repetition is the app's own only if the login was, although the provider's redirect begins both.
#[test]
fn repetition_has_the_origin_of_the_login() {
    for (from, is_marked) in [(Source::App, false), (Source::CrossSite, true)] {
        let mut host = Host::new();
        let begun = host.go("/auth/login", from).own();
        let first = location(&begun).to_owned();
        let back = response(&host, &first, EXPIRED);
        let answered = host.come_in(&back);
        let back = host.provider.sign_in(location(&answered));
        host.come_in(&back);
        assert_eq!(host.browser.get(MARK).is_some(), is_marked);
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
    }
}
