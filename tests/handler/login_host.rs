//! The host name of a session's login, for handlers without `origin`.

use edge::{Event, Fault, Request};
use rules::Code;
use serde_json::{Value, json};

use crate::host::{APP, COOKIE, Host, json_of};

/// Returns the session in the response to a script of this origin.
fn session_at(host: &mut Host, origin: &str) -> Value {
    let request = Request {
        url: [origin, "/auth/session"].concat(),
        ..host.by_script("GET", "/auth/session")
    };
    let response = host.request(request).own();
    assert_eq!(response.status, 200, "{response:?}");
    json_of(&response)["session"].clone()
}

/// Returns the faults since the last clearing of the events.
fn faults(host: &Host) -> Vec<(Code, String)> {
    let fault = |event: &Event| match event {
        Event::Fault(Fault { error, .. }) => Some((error.code(), error.message().to_owned())),
        _ => None,
    };
    host.events.iter().filter_map(fault).collect()
}

fn stored_in(storage: &str) -> Value {
    json!({ "session": { "storage": storage } })
}

const STORAGES: [&str; 2] = ["sealed-in-cookie", "in-store"];

// claim: handler-27
#[test]
fn session_is_valid_only_at_the_host_of_its_login() {
    for storage in STORAGES {
        for other in [
            "https://other.example.com",
            "https://example.com",
            "https://app.example.com.",
            "https://app.example.com.evil.example",
            "https://10.0.0.7:8080",
        ] {
            let mut host = Host::signed_in_with(&stored_in(storage));
            host.events.clear();
            assert!(session_at(&mut host, other).is_null(), "{other}");
            let logged = faults(&host);
            let [(Code::CookieInvalid, message)] = &*logged else {
                panic!("{logged:?}");
            };
            assert!(message.contains("`origin`"), "{message}");
            assert_eq!(host.browser.count(COOKIE), 1);
            assert!(session_at(&mut host, APP).is_object(), "{other}");
        }
    }
}

#[test]
fn sessions_at_other_hosts_cause_one_line_a_minute() {
    let mut host = Host::signed_in();
    host.events.clear();
    for _ in 0..100 {
        assert!(session_at(&mut host, "https://other.example.com").is_null());
    }
    assert_eq!(faults(&host).len(), 1);
}

/// A proxy in front of the handler ends TLS and listens at another port.
// claim: handler-27
#[test]
fn session_is_valid_behind_a_proxy() {
    let mut host = Host::signed_in();
    assert!(session_at(&mut host, "https://app.example.com:8443").is_object());
    let mut host = Host::new();
    let back = host.come_back("http://localhost:3000/auth/login");
    host.arrive(&back);
    for origin in [
        "http://localhost:3000",
        "http://localhost:8080",
        "http://localhost",
    ] {
        assert!(session_at(&mut host, origin).is_object(), "{origin}");
    }
    for origin in ["http://127.0.0.1:3000", "http://[::1]:3000"] {
        assert!(session_at(&mut host, origin).is_null(), "{origin}");
    }
    let mut host = Host::new();
    let back = host.come_back("http://[::1]:3000/auth/login");
    host.arrive(&back);
    assert!(session_at(&mut host, "http://[::1]:8080").is_object());
}

/// A server that renders pages may call the handler at an internal address, with the browser's cookie.
// claim: handler-27
#[test]
fn origin_makes_internal_addresses_valid() {
    for storage in STORAGES {
        let mut host = Host::signed_in_with(&stored_in(storage));
        assert!(session_at(&mut host, "https://web.internal:8443").is_null());
        host.restart(&json!({ "origin": APP }));
        host.events.clear();
        for address in ["https://web.internal:8443", "http://10.0.0.7:8080"] {
            assert!(session_at(&mut host, address).is_object(), "{address}");
        }
        assert_eq!(faults(&host), []);
    }
}

/// With `origin`, a session does not have the host of its login.
// claim: handler-27
#[test]
fn session_without_a_host_is_refused() {
    for storage in STORAGES {
        let mut before = Host::with(&stored_in(storage));
        before.restart(&json!({ "origin": APP }));
        before.sign_in();
        let mut host = Host::with(&stored_in(storage));
        (host.browser, host.store, host.provider) = (before.browser, before.store, before.provider);
        for address in ["https://other.example.com", APP] {
            assert!(session_at(&mut host, address).is_null(), "{address}");
        }
        host.restart(&json!({ "origin": APP }));
        assert!(session_at(&mut host, APP).is_object(), "a control");
    }
}
