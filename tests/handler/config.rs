//! Tests of valid and invalid configurations, and of the errors for invalid configurations.

use edge::Config;
use rules::Code;
use serde_json::{Value, json};

use crate::host::{KEYS, configuration};

fn fault(changes: &Value) -> String {
    let config = configuration(changes).to_string();
    let error = Config::parse(&config).expect_err(&config);
    assert_eq!(error.code(), Code::ConfigInvalid);
    error.message().to_owned()
}

fn without(name: &str) -> Value {
    let mut config = configuration(&json!({}));
    config.as_object_mut().unwrap().remove(name);
    config
}

#[test]
fn control_usual_configuration_is_accepted() {
    Config::parse(&configuration(&json!({})).to_string()).unwrap();
}

#[test]
fn missing_options_are_named() {
    for (name, shown) in [
        ("issuer", "`issuer`"),
        ("client", "`client`"),
        ("cookie", "`cookie"),
    ] {
        let error = Config::parse(&without(name).to_string()).unwrap_err();
        assert!(error.message().contains(shown), "{error}");
    }
    for text in ["", "[]", "null", "{", "\u{feff}{}"] {
        assert_eq!(Config::parse(text).unwrap_err().code(), Code::ConfigInvalid);
    }
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(65_536));
    assert!(
        Config::parse(&long)
            .unwrap_err()
            .message()
            .contains("65536")
    );
}

#[test]
fn all_problems_are_named_at_once() {
    let secret = "hunter2hunter2";
    let message = fault(&json!({
        "clientSecret": secret,
        "issuer": 7,
        "client": { "id": "", "auth": { "method": "magic", "secret": secret } },
        "cookie": { "name": "__x", "keys": [secret] },
        "routes": [{ "prefix": "api", "upstream": "https://api.example.com/v1" }],
    }));
    let options: Vec<_> = message
        .lines()
        .map(|line| line.split('`').nth(1).unwrap())
        .collect();
    let expected = [
        "clientSecret",
        "client.auth.method",
        "client.id",
        "issuer",
        "cookie.keys",
        "cookie.name",
        "routes[0].prefix",
    ];
    assert_eq!(options, expected, "{message}");
    assert!(!message.contains(secret), "{message}");
}

#[test]
fn a_missing_object_is_one_problem() {
    for name in ["client", "cookie", "issuer"] {
        let error = Config::parse(&without(name).to_string()).unwrap_err();
        assert_eq!(error.message().lines().count(), 1, "{error}");
    }
    let message = fault(&json!({ "client": { "id": "web" } }));
    assert_eq!(message.lines().count(), 1, "{message}");
}

// claim: handler-61
#[test]
fn config_errors_name_option_without_secrets() {
    let secret = "hunter2hunter2";
    let client = |auth: Value| json!({ "client": { "id": "web", "auth": auth } });
    let cookie = |cookie: Value| json!({ "cookie": cookie });
    let route = |route: Value| json!({ "routes": [route] });
    let upstream = |upstream: &str| route(json!({ "prefix": "/a/", "upstream": upstream }));
    let prefix = |prefix: &str| route(json!({ "prefix": prefix, "upstream": "https://a.test/" }));
    for (changes, shown) in [
        (json!({ "issuer": "http://id.example.com" }), "`issuer`"),
        (json!({ "clientId": "web" }), "`clientId`"),
        (json!({ "clientSecret": secret }), "`clientSecret`"),
        (json!({ "route": [] }), "`route`"),
        (
            route(
                json!({ "prefix": "/a/", "upstream": "https://a.test/", "allowHeaders": ["Cookie"] }),
            ),
            "`routes[0].allowHeaders`",
        ),
        (
            route(
                json!({ "prefix": "/a/", "upstream": "https://a.test/", "denyHeaders": "Cookie" }),
            ),
            "`routes[0].denyHeaders`",
        ),
        (
            route(json!({ "prefix": "/a/", "upstream": "https://a.test/", "timeout": 0 })),
            "`routes[0].timeout`",
        ),
        (
            route(json!({ "prefix": "/a/", "upstream": "https://a.test/", "timeout": 3601 })),
            "`routes[0].timeout`",
        ),
        (json!({ "client": "web" }), "`client`"),
        (json!({ "client": secret }), "`client`"),
        (client(json!(secret)), "`client.auth`"),
        (cookie(json!(secret)), "`cookie`"),
        (
            json!({ "authorizationParams": { "client_secret": secret } }),
            "`authorizationParams.client_secret`",
        ),
        (
            json!({ "client": { "auth": { "method": "none" } } }),
            "`client.id`",
        ),
        (
            json!({ "client": { "id": "", "auth": { "method": "none" } } }),
            "`client.id`",
        ),
        (
            json!({ "client": { "id": "é", "auth": { "method": "none" } } }),
            "`client.id`",
        ),
        (json!({ "client": { "id": "web" } }), "`client.auth`"),
        (
            json!({ "client": { "id": "web", "secret": secret, "auth": { "method": "none" } } }),
            "`client.secret`",
        ),
        (client(json!({})), "`client.auth.method`"),
        (
            client(json!({ "method": "client_secret_jwt", "secret": secret })),
            "`client.auth.method`",
        ),
        (
            client(json!({ "method": "client_secret_basic" })),
            "`client.auth.secret`",
        ),
        (
            client(json!({ "method": "client_secret_basic", "secret": 1 })),
            "`client.auth.secret`",
        ),
        (
            client(json!({ "method": "private_key_jwt" })),
            "`client.auth.key`",
        ),
        (
            client(json!({ "method": "private_key_jwt", "key": secret })),
            "`client.auth.key`",
        ),
        (
            client(json!({ "method": "private_key_jwt", "key": { "kty": "EC", "d": secret } })),
            "`client.auth.key`",
        ),
        (
            client(
                json!({ "method": "private_key_jwt", "key": { "kty": "EC", "d": secret, "alg": "HS256" } }),
            ),
            "`client.auth.key`",
        ),
        (
            client(json!({ "method": "private_key_jwt", "key": { "kty": "EC", "alg": "ES256" } })),
            "`client.auth.key`",
        ),
        (cookie(json!({})), "`cookie.keys`"),
        (cookie(json!({ "keys": [] })), "`cookie.keys`"),
        (cookie(json!({ "keys": "" })), "`cookie.keys`"),
        (cookie(json!({ "keys": [secret] })), "`cookie.keys`"),
        (
            cookie(json!({ "keys": ["aHVudGVyMmh1bnRlcjI"] })),
            "key 1 has 14 bytes",
        ),
        (
            cookie(json!({ "keys": [KEYS[0], KEYS[0]] })),
            "key 2 is given twice",
        ),
        (
            cookie(json!({ "keys": [KEYS[0]], "domain": "example.com" })),
            "`cookie.domain`",
        ),
        (
            cookie(json!({ "keys": [KEYS[0]], "sameSite": "none" })),
            "`cookie.sameSite`",
        ),
        (
            cookie(json!({ "keys": [KEYS[0]], "name": "a b" })),
            "`cookie.name`",
        ),
        (
            cookie(json!({ "keys": [KEYS[0]], "name": "__Host-a" })),
            "`cookie.name`",
        ),
        (
            cookie(json!({ "keys": [KEYS[0]], "name": "" })),
            "`cookie.name`",
        ),
        (
            cookie(json!({ "keys": [KEYS[0]], "name": "a".repeat(33) })),
            "`cookie.name`",
        ),
        (
            cookie(json!({ "keys": [KEYS[0]], "httpPrefix": "yes" })),
            "`cookie.httpPrefix`",
        ),
        (
            json!({ "session": { "idle": 7200, "absolute": 3600 } }),
            "`session.idle`",
        ),
        (json!({ "session": { "idle": 0 } }), "`session.idle`"),
        (
            json!({ "session": { "storage": "memory" } }),
            "`session.storage`",
        ),
        (
            json!({ "session": { "persist": "sealed" } }),
            "`session.persist`",
        ),
        (json!({ "session": { "grace": -1 } }), "`session.grace`"),
        (json!({ "origin": "http://app.example.com" }), "`origin`"),
        (json!({ "origin": "https://app.example.com/x" }), "`origin`"),
        (json!({ "origin": "https://u@app.example.com" }), "`origin`"),
        (json!({ "origin": "app.example.com" }), "`origin`"),
        (json!({ "base": "auth" }), "`base`"),
        (json!({ "base": "/auth/" }), "`base`"),
        (json!({ "base": "/" }), "`base`"),
        (json!({ "base": "//evil.test" }), "`base`"),
        (json!({ "base": "/a/../b" }), "`base`"),
        (json!({ "base": "/a?b" }), "`base`"),
        (
            json!({ "postLogoutRedirectUri": "https://app.example.com/" }),
            "`postLogoutRedirectUri`",
        ),
        (
            json!({ "postLogoutRedirectUri": "//evil.test" }),
            "`postLogoutRedirectUri`",
        ),
        (json!({ "dpop": "yes" }), "`dpop`"),
        (json!({ "par": 1 }), "`par`"),
        (json!({ "backChannelLogout": 0 }), "`backChannelLogout`"),
        (json!({ "logDescriptions": "no" }), "`logDescriptions`"),
        (json!({ "routes": {} }), "`routes`"),
        (json!({ "routes": ["/api/"] }), "`routes`"),
        (route(json!({ "prefix": "/a/" })), "`routes[0].upstream`"),
        (
            route(json!({ "upstream": "https://a.test/" })),
            "`routes[0].prefix`",
        ),
        (
            route(json!({ "prefix": "/a/", "upstream": "https://a.test/", "path": 1 })),
            "`routes[0].path`",
        ),
        (
            route(json!({ "prefix": "/a/", "upstream": "https://a.test/", "methods": ["get"] })),
            "`routes[0].methods`",
        ),
        (
            route(json!({ "prefix": "/a/", "upstream": "https://a.test/", "methods": ["TRACE"] })),
            "`routes[0].methods`",
        ),
        (
            route(json!({ "prefix": "/a/", "upstream": "https://a.test/", "methods": [] })),
            "`routes[0].methods`",
        ),
        (prefix("/a"), "`routes[0].prefix`"),
        (prefix("a/"), "`routes[0].prefix`"),
        (prefix("//a/"), "`routes[0].prefix`"),
        (prefix("/a/../"), "`routes[0].prefix`"),
        (prefix("/a%2f/"), "`routes[0].prefix`"),
        (prefix("/a/?/"), "`routes[0].prefix`"),
        (prefix("/é/"), "`routes[0].prefix`"),
        (upstream("http://api.example.com/"), "`routes[0].upstream`"),
        (
            upstream("https://api.example.com/v1"),
            "`routes[0].upstream`",
        ),
        (
            upstream("https://u:p@api.example.com/"),
            "`routes[0].upstream`",
        ),
        (
            upstream("https://api.example.com/?a"),
            "`routes[0].upstream`",
        ),
        (
            upstream("https://api.example.com/#a"),
            "`routes[0].upstream`",
        ),
        (
            upstream("https://api.example.com/%2e%2e%2f/"),
            "`routes[0].upstream`",
        ),
        (upstream("ftp://api.example.com/"), "`routes[0].upstream`"),
        (upstream("/v1/"), "`routes[0].upstream`"),
        (
            json!({ "routes": [
                { "prefix": "/a/", "upstream": "https://a.test/" },
                { "prefix": "/a/", "upstream": "https://b.test/" },
            ] }),
            "`routes[1].prefix`",
        ),
    ] {
        let message = fault(&changes);
        assert!(message.contains(shown), "{changes}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
        assert!(!message.contains(&KEYS[0][..8]), "{message}");
    }
}

#[test]
fn routes_do_not_hide_own_endpoints() {
    let mut host = crate::host::Host::with(
        &json!({ "routes": [{ "prefix": "/", "upstream": "https://api.example.com/", "methods": ["GET", "POST"] }] }),
    );
    host.sign_in();
    assert!(host.session().is_object());
    assert_eq!(host.call("GET", "/x").status(), 200);
    assert_eq!(host.call("GET", "/auth/x").status(), 404);
    assert_eq!(host.upstream.len(), 1);
}

// claim: handler-61
#[test]
fn config_debug_output_has_no_secrets() {
    let auth = json!({ "client": { "id": "web", "auth": { "method": "client_secret_post", "secret": "hunter2" } } });
    let config = Config::parse(&configuration(&auth).to_string()).unwrap();
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("[0, 1, 2"),
        "{shown}"
    );
}

#[test]
fn values_at_their_limits_are_accepted() {
    const YEAR: u64 = 365 * 24 * 3600;
    let absolute = |seconds: u64| json!({ "session": { "absolute": seconds } });
    let name = |name: &str| json!({ "cookie": { "keys": [KEYS[0]], "name": name } });
    for changes in [absolute(YEAR), name("my-app_1"), name(&"a".repeat(32))] {
        let config = configuration(&changes).to_string();
        assert!(Config::parse(&config).is_ok(), "{changes}");
    }
    assert!(fault(&absolute(YEAR + 1)).contains("`session.absolute`"));
    // White space may follow the JSON text, so this text has the longest permitted length.
    let config = configuration(&json!({})).to_string();
    let longest = [&config, &*" ".repeat(65_536 - config.len())].concat();
    assert!(Config::parse(&longest).is_ok());
    assert!(Config::parse(&(longest + " ")).is_err());
}

#[test]
fn binding_names_what_is_wrong() {
    let with_prefix = json!({
        "session": { "bind": "required" },
        "cookie": { "keys": [KEYS[0]], "httpPrefix": true },
    });
    let on_http = json!({
        "session": { "bind": "required" },
        "origin": "http://localhost:8080",
    });
    let excluded = |paths: Value| json!({ "session": { "bindExclude": paths } });
    let many: Vec<String> = (0..21).map(|n| format!("/{n}")).collect();
    for (changes, part) in [
        (
            json!({ "session": { "bind": true } }),
            "`session.bind` is true",
        ),
        (json!({ "session": { "bind": "always" } }), "one of: false"),
        (with_prefix, "remove `cookie.httpPrefix`"),
        (on_http, "over https only"),
        (excluded(json!("/assets")), "array of at most 20 paths"),
        (excluded(json!(["assets"])), "array of at most 20 paths"),
        (excluded(json!(["/a?b"])), "array of at most 20 paths"),
        (excluded(json!(many)), "array of at most 20 paths"),
    ] {
        assert!(fault(&changes).contains(part), "{part}");
    }
}

#[test]
fn control_http_may_bind_if_supported() {
    let config =
        json!({ "session": { "bind": "if-supported" }, "origin": "http://localhost:8080" });
    Config::parse(&configuration(&config).to_string()).unwrap();
}
