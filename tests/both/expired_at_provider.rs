//! Logins that have expired at the provider, which then asks the app to send the request again, as Keycloak does.

use super::{Arrived, Client};
use crate::client::Machine;

const EXPIRED: &str = "error=temporarily_unavailable&error_description=authentication_expired";

/// Returns the response to the authorization request at `url`, with these parameters.
fn response(client: &Machine, url: &str, more: &str) -> String {
    let params = client.parameters(url);
    let issuer = match more.contains("iss=") {
        true => "",
        false => "&iss=https://id.example.com",
    };
    let state = &params["state"];
    format!("{}?state={state}&{more}{issuer}", params["redirect_uri"])
}

/// Handles the provider's word that the login at `url` has expired. Returns the URL of the repeated login.
fn repeat(client: &mut Machine, url: &str) -> String {
    let expired = response(client, url, EXPIRED);
    match client.arrive(&expired) {
        Ok(Arrived::Again(url)) => url,
        other => panic!("not repeated: {other:?}"),
    }
}

#[test]
fn expired_login_is_repeated_once() {
    let [first, second] = Machine::STORAGES;
    for config in [first, second, r#"{"dpop":true}"#] {
        let mut client = Machine::with(config);
        let first = client.begin_login("").unwrap();
        let second = repeat(&mut client, &first);
        assert!(client.warnings().is_empty(), "{config}");
        let [before, after] = [&first, &second].map(|url| client.parameters(url));
        for name in ["state", "nonce", "code_challenge"] {
            assert_ne!(before[name], after[name], "{name}");
        }
        let expired = response(&client, &second, EXPIRED);
        let failure = client.arrive(&expired).unwrap_err();
        assert_eq!(failure.code, "login_expired", "{config}");
        assert!(failure.message.contains("authentication_expired"));
    }
}

#[test]
fn repeated_login_succeeds() {
    let mut client = Machine::with("{}");
    let options = r#""returnTo":"/orders?page=2","acrValues":"mfa","maxAge":60"#;
    let first = client.begin_login(options).unwrap();
    // Another worker or isolate gets the response.
    client.restart();
    let second = repeat(&mut client, &first);
    let params = client.parameters(&second);
    assert_eq!((&*params["acr_values"], &*params["max_age"]), ("mfa", "60"));
    client.state("auth_time", (client.now() / 1000).into());
    let signed_in = client.authorize(&second);
    let place = Arrived::SignedIn("/orders?page=2".to_owned());
    assert_eq!(client.arrive(&signed_in), Ok(place));
    assert_eq!(client.call(), Ok(200));
}

#[test]
fn other_errors_are_not_repeated() {
    for more in [
        "error=temporarily_unavailable&error_description=Authentication+expired",
        "error=temporarily_unavailable&error_description=authentication_expired+",
        "error=temporarily_unavailable&error_description=",
        "error=temporarily_unavailable",
        "error=server_error&error_description=authentication_expired",
        "error=access_denied&error_description=authentication_expired",
    ] {
        let mut client = Machine::with("{}");
        let url = client.begin_login("").unwrap();
        let other = response(&client, &url, more);
        let failure = client.arrive(&other).unwrap_err();
        assert_ne!(failure.code, "login_expired", "{more}");
    }
    // The response of another issuer.
    let mut client = Machine::with("{}");
    let url = client.begin_login("").unwrap();
    let of_other = [EXPIRED, "&iss=https://evil.example"].concat();
    let of_other = response(&client, &url, &of_other);
    let failure = client.arrive(&of_other).unwrap_err();
    assert_eq!(failure.code, "issuer_mismatch");
    // A response to no login.
    let forged = response(&client, &url, EXPIRED).replace("state=", "state=x");
    assert_eq!(client.arrive(&forged).unwrap_err().code, "login_unknown");
}

/// It has no pages of the provider.
#[test]
fn silent_login_is_not_repeated() {
    let mut client = Machine::with("{}");
    let url = client.begin_login(r#""prompt":"none""#).unwrap();
    let expired = response(&client, &url, EXPIRED);
    assert_eq!(client.arrive(&expired).unwrap_err().code, "login_expired");
    assert!(client.session().is_none());
}
