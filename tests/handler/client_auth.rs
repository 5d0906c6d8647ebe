//! Tests of client authentication at each endpoint of the provider.

use std::collections::BTreeSet;

use rules::Code;
use rules::codec::base64url;
use serde_json::{Value, json};

use crate::crypto::{self, Pair};
use crate::host::Host;
use crate::provider::{ISSUER, json as reply};

fn client(id: &str, auth: &Value) -> Value {
    json!({ "client": { "id": id, "auth": auth } })
}

/// Signs in, refreshes and logs out. The provider receives a code exchange, a refresh and a revocation.
fn through_all(host: &mut Host) {
    let back = host.come_back("/auth/login");
    host.arrive(&back);
    host.pass(600);
    host.call("GET", "/auth/session");
    host.call("POST", "/auth/logout");
}

fn basic(user: &str, password: &str) -> String {
    let pair = [user, ":", password].concat();
    let plain = base64url::encode_plain(pair.as_bytes());
    ["Basic ", &plain].concat()
}

#[test]
fn basic_credentials_are_form_encoded_first() {
    // RFC 6749 section 2.3.1. The last two columns are the form-encoded values, which must not contain a colon.
    for (id, secret, user, password) in [
        ("web", "s3cret", "web", "s3cret"),
        ("web", "a:b", "web", "a%3Ab"),
        ("web", "a%b", "web", "a%25b"),
        ("web", "a%2Bb", "web", "a%252Bb"),
        ("web", "a b", "web", "a%20b"),
        ("web", "a+b", "web", "a%2Bb"),
        ("web", "~!\"$'", "web", "%7E%21%22%24%27"),
        ("we:b", "s", "we%3Ab", "s"),
        (
            "https://app.example.com/",
            "s",
            "https%3A%2F%2Fapp.example.com%2F",
            "s",
        ),
    ] {
        let auth = json!({ "method": "client_secret_basic", "secret": secret });
        let mut host = Host::with(&client(id, &auth));
        let back = host.come_back("/auth/login");
        host.arrive(&back);
        let sent = host.provider.sent_to("/token")[0];
        assert_eq!(
            sent.authorization.as_deref(),
            Some(&*basic(user, password)),
            "{id} {secret}"
        );
        assert!(!sent.params.contains_key("client_secret"));
    }
}

#[test]
fn basic_credentials_name_the_client_once() {
    // RFC 6749 section 2.3 forbids a second method, and some servers take `client_id` for one.
    let auth = json!({ "method": "client_secret_basic", "secret": "s" });
    let mut host = Host::with(&client("web", &auth));
    through_all(&mut host);
    let sent = ["/token", "/revoke"].map(|path| host.provider.sent_to(path));
    assert_eq!(sent.each_ref().map(Vec::len), [2, 1]);
    for sent in sent.concat() {
        assert!(sent.authorization.is_some());
        assert!(!sent.params.contains_key("client_id"), "{:?}", sent.params);
    }
}

#[test]
fn invalid_client_secret_is_refused_and_hidden() {
    for secret in ["", "géheim", "a\nb", "a\u{7f}", "密"] {
        let auth = json!({ "method": "client_secret_basic", "secret": secret });
        let config = crate::host::configuration(&client("web", &auth));
        let error = edge::Config::parse(&config.to_string()).unwrap_err();
        assert!(error.message().contains("`client.auth.secret`"), "{error}");
        assert!(secret.is_empty() || !error.message().contains(secret));
    }
}

#[test]
fn client_secret_may_be_in_the_body() {
    let auth = json!({ "method": "client_secret_post", "secret": "a&b= c" });
    let mut host = Host::with(&client("web", &auth));
    through_all(&mut host);
    for path in ["/token", "/revoke"] {
        for sent in host.provider.sent_to(path) {
            assert_eq!(sent.params["client_secret"], "a&b= c");
            assert_eq!(sent.params["client_id"], "web");
            assert_eq!(sent.authorization, None);
        }
    }
}

#[test]
fn public_client_sends_only_its_id() {
    let mut host = Host::with(&client("web", &json!({ "method": "none" })));
    through_all(&mut host);
    assert_eq!(host.provider.sent_to("/token").len(), 2);
    for sent in &host.provider.requests {
        assert_eq!(sent.authorization, None);
        assert!(sent.params.keys().all(
            |name| !name.starts_with("client_secret") && !name.starts_with("client_assertion")
        ));
    }
    for sent in host.provider.sent_to("/token") {
        assert_eq!(sent.params["client_id"], "web");
    }
}

// claim: handler-43
#[test]
fn client_assertion_has_required_claims() {
    let key = Pair::generate();
    let jwk: Value = serde_json::from_str(&key.private_jwk(r#","kid":"k-1""#)).unwrap();
    let auth = json!({ "method": "private_key_jwt", "key": jwk, "alg": "ES256" });
    let mut changes = client("web", &auth);
    changes["par"] = json!(true);
    let mut host = Host::with(&changes);
    through_all(&mut host);
    let mut numbers = BTreeSet::new();
    let sent: Vec<_> = ["/par", "/token", "/revoke"]
        .iter()
        .flat_map(|path| host.provider.sent_to(path))
        .collect();
    assert_eq!(sent.len(), 4);
    for sent in sent {
        assert_eq!(sent.authorization, None);
        assert_eq!(
            sent.params["client_assertion_type"],
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        let assertion = &sent.params["client_assertion"];
        let (input, signature) = assertion.rsplit_once('.').unwrap();
        let signature = base64url::decode(signature).unwrap();
        assert!(crypto::verify(&key.public_jwk(""), input, &signature));
        let (header, claims) = input.split_once('.').unwrap();
        let read = |part: &str| -> Value {
            serde_json::from_slice(&base64url::decode(part).unwrap()).unwrap()
        };
        assert_eq!(
            read(header),
            json!({ "alg": "ES256", "typ": "client-authentication+jwt", "kid": "k-1" })
        );
        let claims = read(claims);
        // RFC 10070: the audience is only the issuer, and not the endpoint.
        assert_eq!(claims["aud"], ISSUER);
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&json!("web"), &json!("web"))
        );
        let [iat, exp] = ["iat", "exp"].map(|name| claims[name].as_u64().unwrap());
        assert_eq!(exp - iat, 60);
        // All assertions were created within the last ten minutes, and are dated five seconds back.
        let created = iat + 5;
        let now = host.now.wall / 1000;
        assert!((now - 600..=now).contains(&created), "{iat} at {now}");
        assert!(
            numbers.insert(claims["jti"].as_str().unwrap().to_owned()),
            "a jti comes twice"
        );
        assert!(!sent.params.values().any(|value| value.contains("\"d\"")));
    }
}

#[test]
fn client_assertion_is_dated_five_seconds_back() {
    // Some servers refuse an assertion that was issued in their future, or that is valid for more than a minute.
    let mut host = Host::with(&with_key(&json!({})));
    let back = host.come_back("/auth/login");
    host.arrive(&back);
    let assertion = &host.provider.sent_to("/token")[0].params["client_assertion"];
    let claims = base64url::decode(assertion.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let now = host.now.wall / 1000;
    assert_eq!(
        (&claims["iat"], &claims["exp"]),
        (&json!(now - 5), &json!(now + 55))
    );
}

/// Returns the configuration of a client that authenticates with a new key and these options.
fn with_key(options: &Value) -> Value {
    let jwk: Value = serde_json::from_str(&Pair::generate().private_jwk("")).unwrap();
    let mut auth = json!({ "method": "private_key_jwt", "key": jwk, "alg": "ES256" });
    let options = options.as_object().unwrap().clone();
    auth.as_object_mut().unwrap().extend(options);
    client("web", &auth)
}

#[test]
fn audience_of_assertions_may_be_the_token_endpoint() {
    let mut changes = with_key(&json!({ "audience": "token-endpoint" }));
    changes["par"] = json!(true);
    let mut host = Host::with(&changes);
    through_all(&mut host);
    for (path, count) in [("/par", 1), ("/token", 2), ("/revoke", 1)] {
        let sent = host.provider.sent_to(path);
        assert_eq!(sent.len(), count, "{path}");
        for sent in sent {
            let mut parts = sent.params["client_assertion"].split('.').map(|part| {
                let json = base64url::decode(part).unwrap();
                serde_json::from_slice(&json).unwrap_or(Value::Null)
            });
            // `typ` belongs to assertions whose only audience is the issuer (RFC 10070).
            assert_eq!(parts.next(), Some(json!({ "alg": "ES256" })), "{path}");
            let audience = &parts.next().unwrap()["aud"];
            assert_eq!(*audience, format!("{ISSUER}/token"), "{path}");
        }
    }
}

#[test]
fn unknown_audience_is_refused() {
    let config = crate::host::configuration(&with_key(&json!({ "audience": "both" })));
    let error = edge::Config::parse(&config.to_string()).unwrap_err();
    let message = error.message();
    assert!(message.contains("`client.auth.audience`"), "{message}");
}

#[test]
fn refused_assertion_is_logged_with_the_option() {
    let names_option = |host: &mut Host| {
        let mut messages = host.fault_messages().into_iter();
        messages.any(|text| text.contains("client.auth.audience to 'token-endpoint'"))
    };
    let refuse = |host: &mut Host, error: &str| {
        let body = json!({ "error": error }).to_string();
        let answer = ("/token", Some(reply(401, &body)));
        host.provider.replies.push_back(answer);
        let back = host.come_back("/auth/login");
        host.arrive(&back);
    };
    for (changes, error, expected) in [
        (with_key(&json!({})), "invalid_client", true),
        (with_key(&json!({})), "invalid_grant", false),
        (
            with_key(&json!({ "audience": "token-endpoint" })),
            "invalid_client",
            false,
        ),
        (json!({}), "invalid_client", false),
    ] {
        let mut host = Host::with(&changes);
        refuse(&mut host, error);
        assert_eq!(names_option(&mut host), expected, "{error} {changes}");
    }
}

#[test]
fn refused_secret_with_symbols_is_logged_with_the_way_out() {
    let basic = |id: &str, secret: &str| {
        client(
            id,
            &json!({ "method": "client_secret_basic", "secret": secret }),
        )
    };
    let post = json!({ "method": "client_secret_post", "secret": "a+b/c=" });
    for (changes, expected) in [
        (basic("web", "a+b/c="), true),
        (basic("web", "50%"), true),
        (basic("https://app.example/", "letters"), true),
        (basic("web", "letters-and_digits.123"), false),
        (client("web", &post), false),
    ] {
        let mut host = Host::with(&changes);
        let answer = reply(401, r#"{"error":"invalid_client"}"#);
        host.provider.replies.push_back(("/token", Some(answer)));
        let back = host.come_back("/auth/login");
        host.arrive(&back);
        let messages = host.fault_messages();
        let names_it = messages
            .iter()
            .any(|text| text.contains("client_secret_post"));
        assert_eq!(names_it, expected, "{changes}");
        assert!(
            messages
                .iter()
                .all(|text| !text.contains("a+b") && !text.contains("50%"))
        );
    }
}

#[test]
fn unusable_client_key_is_reported_to_operator() {
    let key = Pair::generate();
    let jwk: Value = serde_json::from_str(&key.private_jwk("")).unwrap();
    let auth = json!({ "method": "private_key_jwt", "key": jwk, "alg": "ES256" });
    let mut host = Host::with(&client("web", &auth));
    host.failing = vec!["Sign"];
    let back = host.come_back("/auth/login");
    assert_eq!(host.arrive(&back).status, 503);
    assert_eq!(
        host.faults(),
        [Code::ConfigInvalid, Code::ProviderUnavailable]
    );
    assert!(host.provider.sent_to("/token").is_empty());
}

#[test]
fn client_credentials_go_only_to_token_and_revocation_endpoints() {
    let mut host = Host::new();
    through_all(&mut host);
    for path in ["/.well-known/openid-configuration", "/jwks"] {
        for sent in host.provider.sent_to(path) {
            assert_eq!(
                (&sent.authorization, sent.params.len()),
                (&None, 0),
                "{path}"
            );
        }
    }
}
