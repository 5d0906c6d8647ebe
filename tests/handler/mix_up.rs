//! The mix-up attack on two handlers of one app (RFC 9700 4.4): the hostile server of one sends the browser on to the honest
//! server of the other, and waits for its code.

use edge::Effect;
use rules::Code;
use serde_json::{Value, json};

use crate::browser::Source;
use crate::host::{APP, Host, location};

const EVIL: &str = "https://evil.example";

/// Returns the handler of the hostile server, with these members in its configuration besides. Its redirect URI is its own,
/// but its client is also that of the honest server.
fn handler_of_evil(more: &Value) -> Host {
    let mut host = Host::with(&json!({
        "base": "/b",
        "issuer": EVIL,
        "client": { "id": "web", "auth": { "method": "none" } },
        "metadata": {
            "issuer": EVIL,
            "authorization_endpoint": "https://evil.example/authorize",
            "token_endpoint": "https://evil.example/token",
            "jwks_uri": "https://evil.example/jwks",
        },
    }));
    host.restart(more);
    host
}

/// Begins a login at the hostile server, which sends the browser on. Returns the honest server's response.
fn forwarded(evil: &mut Host) -> String {
    let asked = evil.begin_login("/b/login");
    assert!(asked.starts_with(EVIL), "{asked}");
    evil.provider.sign_in(&asked)
}

/// Removes `iss` from a response.
fn without_iss(back: &str) -> &str {
    back.split_once("&iss=").unwrap().0
}

#[test]
fn code_of_another_issuer_with_this_client_is_sent_without_iss() {
    let mut evil = handler_of_evil(&json!({}));
    let back = forwarded(&mut evil);
    let back = without_iss(&back);
    assert!(back.starts_with(&[APP, "/b/callback?code="].concat()));
    let (_, query) = back.split_once("code=").unwrap();
    let (code, _) = query.split_once('&').unwrap();
    let again = [back, "&again"].concat();
    let request = evil.navigation(&again, Source::App);
    let (_, sent) = evil.run_until(request, |effect| matches!(effect, Effect::Send { .. }));
    let Effect::Send { request, .. } = sent else {
        unreachable!()
    };
    assert_eq!(request.url, "https://evil.example/token");
    let form = request.form.unwrap();
    assert!(form.expose().contains(code), "this is the attack");
}

// claim: site-4
#[test]
fn code_of_another_issuer_is_not_sent() {
    for (config, has_iss, expected) in [
        (json!({}), true, Code::IssuerMismatch),
        (json!({ "requireIss": true }), true, Code::IssuerMismatch),
        (json!({ "requireIss": true }), false, Code::CallbackInvalid),
    ] {
        let mut evil = handler_of_evil(&config);
        let back = forwarded(&mut evil);
        let back = if has_iss { &back } else { without_iss(&back) };
        // A request to the hostile server would panic, since this host knows the honest one only.
        let refused = evil.come_in(back);
        assert_eq!(refused.status, 400, "{config}");
        assert_eq!(evil.faults(), [expected], "{config}");
        assert!(evil.provider.requests.is_empty());
    }
}

// claim: site-4
#[test]
fn issuer_with_a_required_iss_signs_in() {
    let mut host = Host::with(&json!({ "base": "/a", "requireIss": true }));
    let back = host.come_back("/a/login");
    let signed_in = host.come_in(&back);
    assert_eq!(location(&signed_in), "/");
}
