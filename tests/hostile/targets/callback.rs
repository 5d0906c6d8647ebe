//! Checks callback URLs. A response is accepted only at the redirect URI, for a login of this client, and only if each
//! parameter occurs once. No message contains the response's code.

use super::assert_presentable;
use rules::codec::{base64url, json};
use rules::login::authorization_request::Pending;
use rules::login::authorization_response::AuthorizationResponse;
use rules::oauth::metadata::Metadata;
use rules::oauth::pkce;
use rules::{Code, Secret};
use std::sync::LazyLock;
use vault::config::Config;

const ISSUER: &str = "https://id.example.com";

fn config() -> &'static Config {
    static CONFIG: LazyLock<Config> = LazyLock::new(|| {
        let json = r#"{"issuer":"https://id.example.com","clientId":"spa","redirectUri":"/callback",
            "scope":"openid","apis":[]}"#;
        let mut config = Config::parse(json, "https://app.example.com/auth.worker.js").unwrap();
        let metadata = r#"{"issuer":"https://id.example.com",
            "authorization_endpoint":"https://id.example.com/authorize",
            "token_endpoint":"https://id.example.com/token","jwks_uri":"https://id.example.com/jwks",
            "authorization_response_iss_parameter_supported":true}"#;
        config.metadata = Some(Metadata::parse(metadata, ISSUER).unwrap());
        config
    });
    &CONFIG
}

pub fn check(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    let url = url::Url::parse(text).ok();
    let params: Vec<(String, String)> = url
        .iter()
        .flat_map(|url| url.query_pairs())
        .map(|(n, v)| (n.into(), v.into()))
        .collect();
    let all = |name: &str| {
        params
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
            .collect::<Vec<_>>()
    };
    let codes = all("code");
    let is_told = |message: &str| {
        codes
            .iter()
            .any(|code| code.len() > 30 && message.contains(code))
    };
    let app: u64 = config().flow.app().into();
    let is_of_another_client = |state: &str| {
        let found = state.split('.').nth(1).and_then(json::parse_u64);
        found.is_some_and(|found| found != app)
    };
    let redirection = config().redirection(&config().redirect_uri);
    let answer = match AuthorizationResponse::parse(&config().flow, &redirection, text) {
        Ok(answer) => answer,
        Err(error) => {
            let is_of_provider = all("state").is_empty() && all("error").len() == 1;
            let is_foreign = all("state").iter().any(|state| is_of_another_client(state));
            assert!(
                is_of_provider
                    || match error.code() {
                        Code::CallbackInvalid | Code::RedirectUriMismatch => true,
                        Code::LoginUnknown => is_foreign,
                        _ => false,
                    }
            );
            assert_presentable(error.message());
            // A message may contain the URL's path, and this input repeats the code in the path.
            let is_in_path = codes
                .iter()
                .any(|code| url.as_ref().is_some_and(|u| u.path().contains(code)));
            assert!(is_in_path || !is_told(error.message()), "{error}");
            return;
        }
    };
    let url = url.unwrap();
    assert_eq!(
        url.origin().ascii_serialization(),
        "https://app.example.com"
    );
    assert_eq!(url.path(), "/callback");
    let [state] = all("state")[..] else {
        panic!("not one state: {text}");
    };
    assert!(!is_of_another_client(state), "{text}");
    assert_eq!(
        answer.key,
        base64url::encode(&pkce::sha256(state.as_bytes()))
    );
    assert_eq!(codes.len() + all("error").len(), 1, "{text}");
    assert!(!is_told(&format!("{answer:?}")));
    let pending = Pending {
        issuer: ISSUER.to_owned(),
        nonce: Secret::from("n"),
        code_verifier: Secret::from("v"),
        return_to: "/".to_owned(),
        popup: false,
        is_silent: false,
        is_fresh: false,
        max_age: None,
        created_at: 0,
        dpop_key: None,
        scope: None,
        demand: None,
        is_device: false,
        redirect_uri: None,
        is_repetition: false,
    };
    let metadata = config().metadata.as_ref().unwrap();
    match answer.code(&config().flow, &pending, metadata) {
        Ok(code) => {
            assert_eq!(codes, [code.expose()]);
            assert_eq!(all("iss"), [ISSUER]);
        }
        Err(error) if error.code() == Code::IssuerMismatch => {
            assert_eq!(all("iss").len(), 1);
            assert_ne!(all("iss"), [ISSUER]);
            assert_presentable(error.message());
        }
        Err(error) if error.code() == Code::CallbackInvalid => {
            assert!(all("iss").is_empty());
            assert_presentable(error.message());
        }
        Err(error) => {
            assert_eq!(all("iss"), [ISSUER]);
            assert_eq!(all("error").len(), 1);
            assert_presentable(error.message());
        }
    }
    is_stored_as_it_was(&pending, text);
}

/// Checks that a pending login with hostile strings is read from the store as it was written.
fn is_stored_as_it_was(pending: &Pending, text: &str) {
    let pending = Pending {
        return_to: text.to_owned(),
        ..pending.clone()
    };
    let stored = pending.to_json();
    let read = Pending::from_json(stored.expose()).unwrap();
    assert_eq!(read.return_to, text);
    assert_eq!(read.to_json().expose(), stored.expose());
}
