//! The option `origin` as an array: the host of a request's URL decides which origin the request has.

use edge::{Config, Request};
use rules::Code;
use serde_json::{Value, json};

use crate::browser::Source;
use crate::device::Device;
use crate::host::{Answered, COOKIE, Host, configuration, header, json_of, location};

const A: &str = "https://a.preview.example.com";
const B: &str = "https://b.preview.example.com";

/// An app, previews of it, an app at a port, and a server on the developer's machine.
fn origins() -> Value {
    json!({ "origin": [
        "https://app.example.com",
        "https://*.preview.example.com",
        "https://*.staging.example.com:8443",
        "http://[::1]:3000",
        "http://localhost:3000",
    ] })
}

fn with(mut changes: Value) -> Value {
    changes["origin"] = origins()["origin"].clone();
    changes
}

/// Requests that reach a listed origin: the URL before its path, and the origin that browsers see.
const LISTED: &[[&str; 2]] = &[
    ["https://app.example.com", "https://app.example.com"],
    // A proxy ended TLS, or the browser's connection has the default port.
    ["http://app.example.com", "https://app.example.com"],
    ["http://app.example.com:443", "https://app.example.com"],
    ["https://app.example.com:443", "https://app.example.com"],
    ["https://APP.Example.COM", "https://app.example.com"],
    [A, A],
    ["http://a.preview.example.com", A],
    ["http://A.PREVIEW.example.com:443", A],
    [
        "https://pr-17_x.preview.example.com",
        "https://pr-17_x.preview.example.com",
    ],
    [
        "http://bücher.preview.example.com",
        "https://xn--bcher-kva.preview.example.com",
    ],
    [
        "http://a.staging.example.com:8443",
        "https://a.staging.example.com:8443",
    ],
    ["https://[::1]:3000", "http://[::1]:3000"],
    ["http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"],
    ["http://localhost:3000", "http://localhost:3000"],
];

/// The beginnings of URLs whose hosts are not listed.
const UNLISTED: &[&str] = &[
    "https://evil.com.preview.example.com",
    "https://a.b.preview.example.com",
    "https://preview.example.com",
    "https://.preview.example.com",
    "https://..preview.example.com",
    "https://a.preview.example.com.",
    "https://a..preview.example.com",
    "https://apreview.example.com",
    "https://a.preview.example.com.evil.com",
    "https://a.preview.example.com:8443",
    "https://a.preview.example.com:80",
    "http://a.preview.example.com:8080",
    "https://a%2eb.preview.example.com",
    "https://a。b.preview.example.com",
    "https://*.preview.example.com",
    "https://a!.preview.example.com",
    "https://a.preview.example.com@evil.com",
    "https://evil.com",
    "https://app.example.com.",
    "https://www.app.example.com",
    "https://example.com",
    "https://a.staging.example.com",
    "https://a.staging.example.com:443",
    "http://localhost",
    "http://localhost:8080",
    "http://127.0.0.1:3000",
    "http://10.0.0.7",
    "http://[::1]",
    "http://[::2]:3000",
];

/// Returns a request of the app's script at this origin.
fn by_script_at(host: &Host, origin: &str, method: &str, path: &str) -> Request {
    Request {
        url: [origin, path].concat(),
        origin: (method != "GET").then(|| origin.to_owned()),
        ..host.by_script(method, path)
    }
}

/// Returns the session in the response to a script of this origin.
fn session_at(host: &mut Host, origin: &str) -> Value {
    let request = by_script_at(host, origin, "GET", "/auth/session");
    let response = host.request(request).own();
    assert_eq!(response.status, 200, "{response:?}");
    json_of(&response)["session"].clone()
}

#[track_caller]
fn sign_in_at(host: &mut Host, origin: &str) {
    let back = host.come_back(&[origin, "/auth/login"].concat());
    assert!(back.starts_with(origin), "{back}");
    assert_eq!(host.come_in(&back).status, 303);
}

#[track_caller]
fn assert_misdirected(answered: &Answered, what: &str) {
    assert_eq!(answered.status(), 421, "{what}");
    assert_eq!(answered.code(), "host_not_allowed", "{what}");
    assert_eq!(answered.cookies(), [] as [String; 0], "{what}");
}

#[test]
fn host_decides_which_origin_a_request_has() {
    for [requested, origin] in LISTED {
        let mut host = Host::with(&origins());
        let url = host.begin_login(&[requested, "/auth/login"].concat());
        let parameters = host.provider.parameters(&url);
        let expected = [origin, "/auth/callback"].concat();
        assert_eq!(parameters["redirect_uri"], expected, "{requested}");
    }
}

// claim: handler-67
#[test]
fn unlisted_host_is_misdirected() {
    for unlisted in UNLISTED {
        let mut host = Host::with(&origins());
        sign_in_at(&mut host, A);
        host.events.clear();
        let before = host.browser.0.clone();
        let call = by_script_at(&host, unlisted, "GET", "/api/orders");
        assert_misdirected(&host.request(call), unlisted);
        for path in [
            "/auth/login",
            "/auth/callback?code=a&state=b",
            "/auth/nothing",
        ] {
            let url = [unlisted, path].concat();
            assert_misdirected(&host.go(&url, Source::App), &url);
        }
        for path in ["/auth/logout", "/auth/backchannel-logout"] {
            let post = by_script_at(&host, unlisted, "POST", path);
            assert_misdirected(&host.request(post), unlisted);
        }
        assert_eq!(host.browser.0, before);
        assert_eq!(host.effects.iter().filter(|it| *it == "forward").count(), 0);
        assert_eq!(host.upstream.len(), 0);
        assert!(session_at(&mut host, A).is_object());
    }
}

#[test]
fn unlisted_hosts_cause_one_line_a_minute() {
    let mut host = Host::with(&origins());
    for _ in 0..50 {
        host.go("https://evil.example/auth/login", Source::App);
    }
    let [message] = &*host.fault_messages() else {
        panic!("{:?}", host.events);
    };
    assert!(message.contains("`origin`"));
    assert_eq!(host.faults(), [Code::HostNotAllowed]);
    host.pass(61);
    host.go("https://evil.example/auth/login", Source::App);
    assert_eq!(host.faults().len(), 1);
}

/// One server may also serve pages at other hosts.
#[test]
fn app_handles_its_own_paths_at_unlisted_hosts() {
    let mut host = Host::with(&origins());
    for path in ["/", "/authors", "/about"] {
        let answered = host.go(&["https://www.example.com", path].concat(), Source::App);
        assert!(matches!(answered, Answered::NotOurs), "{path}");
    }
    assert_eq!(host.faults(), []);
}

// claim: handler-67
#[test]
fn session_is_valid_only_at_the_origin_of_its_login() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let mut host = Host::with(&with(json!({ "session": { "storage": storage } })));
        sign_in_at(&mut host, A);
        let others = [
            B,
            "https://app.example.com",
            "https://a.staging.example.com:8443",
            "http://localhost:3000",
        ];
        for other in others {
            assert!(session_at(&mut host, other).is_null(), "{storage} {other}");
            let call = by_script_at(&host, other, "GET", "/api/orders");
            assert_eq!(host.request(call).status(), 401, "{storage} {other}");
        }
        assert_eq!(host.browser.count(COOKIE), 1);
        for same in [A, "http://a.preview.example.com:443"] {
            assert!(session_at(&mut host, same).is_object(), "{storage} {same}");
            let call = by_script_at(&host, same, "GET", "/api/orders");
            assert_eq!(host.request(call).status(), 200, "{storage} {same}");
        }
        // The refreshed session has the same origin.
        host.pass(590);
        assert!(session_at(&mut host, A).is_object());
        assert!(session_at(&mut host, B).is_null());
    }
}

// claim: handler-67
#[test]
fn scripts_and_forms_come_from_the_matched_origin() {
    let mut host = Host::with(&origins());
    sign_in_at(&mut host, A);
    for path in ["/auth/session", "/auth/config", "/api/orders"] {
        for (said, status) in [(B, 403), ("https://app.example.com", 403), (A, 200)] {
            let request = Request {
                origin: Some(said.to_owned()),
                ..by_script_at(&host, "http://a.preview.example.com", "GET", path)
            };
            assert_eq!(host.request(request).status(), status, "{path} {said}");
        }
    }
    let by_other = Request {
        origin: Some(B.to_owned()),
        ..by_script_at(&host, A, "POST", "/auth/logout")
    };
    assert_eq!(host.request(by_other).status(), 403);
    assert!(session_at(&mut host, A).is_object());
}

// claim: handler-67
#[test]
fn login_returns_to_the_matched_origin() {
    let mut host = Host::with(&origins());
    for (target, status) in [
        ("https://a.preview.example.com/orders", 303),
        ("/orders", 303),
        ("https://b.preview.example.com/orders", 400),
        ("https://app.example.com/orders", 400),
    ] {
        let login = ["http://a.preview.example.com/auth/login?returnTo=", target].concat();
        assert_eq!(host.go(&login, Source::App).status(), status, "{target}");
    }
    let back = host.come_back("http://a.preview.example.com/auth/login?returnTo=/orders");
    assert_eq!(location(&host.come_in(&back)), "/orders");
}

#[test]
fn logout_returns_to_the_matched_origin() {
    let mut host = Host::with(&with(json!({ "postLogoutRedirectUri": "/bye" })));
    sign_in_at(&mut host, A);
    let request = Request {
        url: "http://a.preview.example.com/auth/logout".to_owned(),
        ..by_script_at(&host, A, "POST", "/auth/logout")
    };
    assert_eq!(host.request(request).status(), 200);
    let url = "http://a.preview.example.com/auth/logout/provider";
    let response = host.go(url, Source::App).own();
    let (_, query) = location(&response).split_once('?').unwrap();
    let parameters = crate::provider::params(query);
    let expected = [A, "/bye"].concat();
    assert_eq!(parameters["post_logout_redirect_uri"], expected);
}

#[test]
fn provider_may_log_out_at_any_listed_host() {
    for (at, status) in [(A, 200), (B, 200), ("https://evil.com", 421)] {
        let mut host = Host::with(&origins());
        sign_in_at(&mut host, A);
        let token = crate::back_channel::token_of(&host);
        host.body = Some(["logout_token=", &token].concat());
        let request = Request {
            url: [at, "/auth/backchannel-logout"].concat(),
            ..crate::host::logout_request()
        };
        assert_eq!(host.request(request).status(), status, "{at}");
        host.pass(11);
        assert_eq!(session_at(&mut host, A).is_null(), status == 200, "{at}");
    }
}

#[test]
fn browser_binds_the_session_at_the_matched_origin() {
    let mut host = Host::with(&with(json!({ "session": { "bind": "if-supported" } })));
    let back = host.come_back("http://a.preview.example.com/auth/login");
    let response = host.come_in(&back);
    let offer = crate::device::Offer::of(&response).unwrap();
    let device = Device::new();
    let at = |origin: &str| Request {
        url: [origin, &*offer.path].concat(),
        bound_response: Some(device.signed(&offer.challenge, true)),
        origin: Some(A.to_owned()),
        ..crate::device::by_browser(&offer.path)
    };
    assert_eq!(host.request_elsewhere(at(B)).status(), 403);
    let response = host.request(at("http://a.preview.example.com")).own();
    assert_eq!(response.status, 200, "{response:?}");
    let registered = json_of(&response);
    assert_eq!(registered["scope"]["origin"], A);
    let identifier = registered["session_identifier"].as_str().unwrap();
    assert!(
        identifier.ends_with(" a.preview.example.com"),
        "{identifier}"
    );
}

/// With one string, each request has this origin.
#[test]
fn control_one_string_serves_any_host() {
    for unlisted in UNLISTED {
        let mut host = Host::with(&json!({ "origin": A }));
        let url = host.begin_login(&[unlisted, "/auth/login"].concat());
        let parameters = host.provider.parameters(&url);
        assert_eq!(parameters["redirect_uri"], [A, "/auth/callback"].concat());
    }
}

// claim: handler-67
#[test]
fn invalid_entry_is_named_with_its_fix() {
    let star = "whole first label";
    let origin = "it must be an origin";
    for (entry, why) in [
        ("https://*.com", star),
        ("https://*.localhost", star),
        ("https://*", star),
        ("https://a.*.example.com", star),
        ("https://*.*.example.com", star),
        ("https://a*.preview.example.com", star),
        ("https://*preview.example.com", star),
        ("https://*.example.com.", star),
        ("https://*..example.com", star),
        ("http://*.preview.example.com", origin),
        ("http://app.example.com", origin),
        ("https://*.preview.example.com/x", origin),
        ("https://%2a.example.com", origin),
        ("https://u@*.preview.example.com", origin),
        ("https://*.1.2", origin),
        ("*.preview.example.com", origin),
        ("", origin),
    ] {
        let config = json!({ "origin": ["https://app.example.com", entry] });
        let error = Config::parse(&configuration(&config).to_string()).unwrap_err();
        let message = error.message();
        assert!(message.contains("`origin[1]`"), "{entry}: {message}");
        assert!(message.contains(why), "{entry}: {message}");
    }
    for (value, why) in [
        (json!([]), "at least one origin"),
        (json!([1]), "`origin[0]` is 1"),
        (json!("https://*.preview.example.com"), "in an array"),
        (json!({}), "an array of origins"),
    ] {
        let config = configuration(&json!({ "origin": value })).to_string();
        let message = Config::parse(&config).unwrap_err().message().to_owned();
        assert!(message.contains(why), "{message}");
    }
    let bound =
        json!({ "origin": [A, "http://localhost:3000"], "session": { "bind": "required" } });
    let error = Config::parse(&configuration(&bound).to_string()).unwrap_err();
    assert!(error.message().contains("over https only"));
}

#[test]
fn long_host_is_cut_in_the_log() {
    let mut host = Host::with(&origins());
    let long = ["https://", &*"a".repeat(5000), ".example/auth/login"].concat();
    let response = host.go(&long, Source::App).own();
    assert!(header(&response, "x-strongroom").is_some());
    assert!(host.fault_messages()[0].len() < 200);
}
