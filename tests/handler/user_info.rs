//! Claims from the provider's UserInfo endpoint (OIDC Core 5.3). `tests/both/user_info.rs` has what the vault does, too.

use rules::Code;
use serde_json::{Value, json};

use crate::browser::Source;
use crate::host::{Host, location};
use crate::provider::{self, ISSUER};

/// Returns a host whose UserInfo endpoint sends these responses, one for each request.
fn host_with(changes: &Value, responses: &[(u16, Value)]) -> Host {
    let mut config = json!({ "userInfo": true, "claims": ["name", "email", "acr"] });
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    let mut host = Host::with(&config);
    host.provider.more_metadata = format!(r#","userinfo_endpoint":"{ISSUER}/userinfo""#);
    for (status, body) in responses {
        let reply = provider::json(*status, &body.to_string());
        host.provider.replies.push_back(("/userinfo", Some(reply)));
    }
    host
}

#[test]
fn signed_response_is_refused_by_name() {
    let mut host = host_with(&json!({}), &[]);
    let mut signed = provider::json(200, "eyJhbGciOiJFUzI1NiJ9.e30.c2ln");
    signed.content_type = Some("application/jwt".to_owned());
    host.provider.replies.push_back(("/userinfo", Some(signed)));
    let back = host.come_back("/auth/login");
    host.come_in(&back);
    let said = format!("{:?}", host.events);
    assert!(said.contains("application/jwt"), "{said}");
}

#[test]
fn logout_hint_is_the_id_token_alone() {
    let info = json!({ "sub": "ann", "email": "a@b" });
    let mut host = host_with(&json!({}), &[(200, info)]);
    host.sign_in();
    host.call("POST", "/auth/logout");
    let response = host.go("/auth/logout/provider", Source::App).own();
    let (_, query) = location(&response).split_once('?').unwrap();
    let hint = &provider::params(query)["id_token_hint"];
    assert_eq!(hint.split('.').count(), 3);
    assert!(!hint.contains([' ', '{']), "{hint}");
}

#[test]
fn claims_of_the_endpoint_are_hidden_without_the_option() {
    let info = json!({ "sub": "ann", "email": "a@b" });
    let mut host = host_with(&json!({}), &[(200, info)]);
    host.sign_in();
    assert_eq!(host.session()["claims"]["email"], "a@b");
    let mut other = Host::with(&json!({ "claims": ["name", "email", "acr"] }));
    other.browser = host.browser.clone();
    assert_eq!(other.session()["claims"]["sub"], "ann");
    assert!(other.session()["claims"]["email"].is_null());
}

#[test]
fn missing_endpoint_is_told_before_the_user_signs_in() {
    let mut host = host_with(&json!({}), &[]);
    host.provider.more_metadata = String::new();
    host.go("/auth/login", Source::App);
    assert_eq!(host.faults(), [Code::ProfileFailed]);
}

#[test]
fn refused_access_token_has_a_line_of_its_own() {
    let responses = [401, 403, 500].map(|status| (status, json!({})));
    let mut host = host_with(&json!({}), &responses);
    for (status, is_refusal) in [(401, true), (403, true), (500, false)] {
        let back = host.come_back("/auth/login");
        host.faults();
        let page = host.come_in(&back);
        let said = format!("status {status}");
        let line = host.fault_messages().concat();
        assert_eq!(page.status, 502);
        assert!(line.contains(&said), "{line}");
        assert_eq!(
            line.contains("it refuses the access token"),
            is_refusal,
            "{line}"
        );
        let text = page.body.unwrap().1;
        assert!(
            text.contains(&said) && text.contains("<code>profile_failed</code>"),
            "{text}"
        );
        // A repeated fault is reported once a minute.
        host.pass(60);
    }
}
