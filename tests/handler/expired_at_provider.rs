//! Logins that have expired at the provider, which then asks the app to send the request again, as Keycloak does.

use rules::Code;
use serde_json::json;

use crate::browser::Source;
use crate::host::{COOKIE, Host, KEYS, LOGIN_COOKIE, location};
use crate::mark::MARK;

const EXPIRED: &str = "&error=temporarily_unavailable&error_description=authentication_expired";

/// Returns the response to the authorization request at `url`, with these parameters.
fn response(host: &Host, url: &str, more: &str) -> String {
    let params = host.provider.parameters(url);
    format!("{}?state={}{more}", params["redirect_uri"], params["state"])
}

#[test]
fn expired_login_is_repeated_once() {
    for changes in [
        json!({}),
        json!({ "par": true }),
        json!({ "dpop": true }),
        json!({ "cookie": { "keys": [KEYS[0]], "sameSite": "strict" } }),
    ] {
        let mut host = Host::with(&changes);
        let first = host.begin_login("/auth/login?returnTo=/orders?page=2&max_age=60");
        let back = response(&host, &first, EXPIRED);
        let answered = host.come_in(&back);
        assert_eq!(answered.status, 303, "{changes}");
        let second = location(&answered).to_owned();
        assert_eq!(host.faults(), [], "{changes}");
        assert_eq!(host.browser.count(LOGIN_COOKIE), 1, "{changes}");
        let (before, after) = (
            host.provider.parameters(&first),
            host.provider.parameters(&second),
        );
        assert_eq!(after["max_age"], "60");
        for name in ["state", "nonce", "code_challenge"] {
            assert_ne!(before[name], after[name], "{name}");
        }
        let back = response(&host, &second, EXPIRED);
        assert_eq!(host.come_in(&back).status, 400, "{changes}");
        assert_eq!(host.faults(), [Code::LoginExpired], "{changes}");
        assert_eq!(host.browser.count(LOGIN_COOKIE), 0, "{changes}");
    }
}

#[test]
fn repeated_login_succeeds() {
    let mut host = Host::new();
    let first = host.begin_login("/auth/login?returnTo=/orders?page=2&acr_values=mfa");
    let back = response(&host, &first, EXPIRED);
    let answered = host.come_in(&back);
    let second = location(&answered).to_owned();
    assert_eq!(host.provider.parameters(&second)["acr_values"], "mfa");
    let back = host.provider.authorize(&second);
    let answered = host.come_in(&back);
    assert_eq!(
        (answered.status, location(&answered)),
        (303, "/orders?page=2")
    );
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
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
        let back = host.provider.authorize(location(&answered));
        host.come_in(&back);
        assert_eq!(host.browser.get(MARK).is_some(), is_marked);
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
    }
}

#[test]
fn other_errors_are_not_repeated() {
    for more in [
        "&error=temporarily_unavailable&error_description=Authentication+expired",
        "&error=temporarily_unavailable",
        "&error=server_error&error_description=authentication_expired",
        "&error=temporarily_unavailable&error_description=authentication_expired&iss=https://evil.test",
    ] {
        let mut host = Host::new();
        let first = host.begin_login("/auth/login");
        let back = response(&host, &first, more);
        assert_ne!(host.come_in(&back).status, 303, "{more}");
        assert!(!host.faults().contains(&Code::LoginExpired), "{more}");
    }
    let mut host = Host::new();
    let first = host.begin_login("/auth/login");
    let back = response(&host, &first.replace("state=", "state=x"), EXPIRED);
    assert_eq!(host.come_in(&back).status, 400);
    assert_eq!(host.faults(), [Code::LoginUnknown]);
    // A silent login has no pages of the provider.
    let first = host.begin_login("/auth/login?prompt=none");
    let back = response(&host, &first, EXPIRED);
    assert_eq!(host.come_in(&back).status, 400);
    assert_eq!(host.faults().last(), Some(&Code::LoginExpired));
    assert_eq!(host.browser.count(COOKIE), host.browser.count(LOGIN_COOKIE));
}
