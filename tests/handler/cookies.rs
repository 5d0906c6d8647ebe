//! Tests of writing and reading cookies, and of the keys that seal them.

use rules::Code;
use serde_json::{Value, json};

use crate::browser::Source;
use crate::host::{Answered, COOKIE, Host, KEYS, json_of};

fn session_of(host: &mut Host, cookie: &str) -> Value {
    let mut request = host.by_script("GET", "/auth/session");
    request.cookie = Some(cookie.to_owned());
    let response = host.request_elsewhere(request).own();
    assert_eq!(response.status, 200, "{cookie}");
    json_of(&response)["session"].clone()
}

fn cookie_config(more: &Value) -> Value {
    let mut cookie = json!({ "keys": [KEYS[0]] });
    cookie
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({ "cookie": cookie })
}

/// Creates a signed-in user whose ID token has this many bytes of padding, so that the session needs several cookies.
fn with_long_tokens(bytes: usize) -> Host {
    let mut host = Host::new();
    let padding = "x".repeat(bytes);
    host.provider.state(&format!(r#""padding":"{padding}""#));
    host.sign_in();
    host.events.clear();
    host
}

#[test]
fn cookie_is_host_only_secure_and_http_only() {
    for (more, name, same_site) in [
        (json!({}), "__Host-strongroom", "SameSite=Lax"),
        (
            json!({ "sameSite": "lax", "httpPrefix": false }),
            "__Host-strongroom",
            "SameSite=Lax",
        ),
        (
            json!({ "httpPrefix": true, "name": "s" }),
            "__Host-Http-s",
            "SameSite=Lax",
        ),
        (
            json!({ "sameSite": "strict" }),
            "__Host-strongroom",
            "SameSite=Strict",
        ),
    ] {
        let mut host = Host::with(&cookie_config(&more));
        let back = host.come_back("/auth/login");
        let login = &host.browser.0[0];
        assert!(
            login.name.starts_with(&[name, "-login-"].concat()),
            "{login:?}"
        );
        assert!(
            login.attributes.contains(&"SameSite=Lax".to_owned()),
            "the answer comes from another site"
        );
        host.come_in(&back);
        let cookie = host.browser.get(name).unwrap();
        assert_eq!(
            cookie.attributes,
            ["Path=/", "HttpOnly", same_site, "Secure", "Max-Age=129600"]
        );
    }
}

#[test]
fn loopback_http_cookies_have_no_prefix() {
    for origin in [
        "http://localhost:8787",
        "http://127.0.0.1",
        "http://[::1]:1",
        "http://app.localhost",
    ] {
        let mut host = Host::new();
        let login = [origin, "/auth/login"].concat();
        let back = host.come_back(&login);
        host.arrive(&back);
        let cookie = host.browser.get("strongroom").unwrap();
        assert_eq!(
            cookie.attributes,
            ["Path=/", "HttpOnly", "SameSite=Lax", "Max-Age=129600"]
        );
    }
}

// claim: handler-26
#[test]
fn plain_http_off_loopback_is_refused() {
    for origin in [
        "http://app.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "ftp://localhost",
    ] {
        for path in ["/auth/login", "/auth/session", "/api/x", "/"] {
            let mut host = Host::new();
            let url = [origin, path].concat();
            assert_eq!(host.go(&url, Source::App).status(), 500, "{url}");
            assert_eq!(host.faults(), [Code::ConfigInvalid]);
        }
    }
    // Control experiment: with an https `origin`, a proxy in front of the handler may terminate https.
    let mut host = Host::with(&json!({ "origin": "https://app.example.com" }));
    assert_eq!(
        host.go("http://10.0.0.1/auth/login", Source::App).status(),
        303
    );
}

// claim: handler-16
#[test]
fn two_cookies_with_one_name_are_ignored() {
    let mut host = Host::signed_in();
    let own = host.browser.header(Source::App).unwrap();
    // Control experiment: the unchanged cookie works.
    assert_eq!(session_of(&mut host, &own)["claims"]["sub"], "ann");
    for tossed in [
        format!("{own}; {COOKIE}=x"),
        format!("{COOKIE}=x; {own}"),
        format!("{own}; {own}"),
        format!("{own}; {COOKIE}"),
        format!("{own}; {COOKIE}="),
        format!("{own};{COOKIE} = x"),
    ] {
        assert!(session_of(&mut host, &tossed).is_null(), "{tossed}");
        assert_eq!(host.faults(), [Code::CookieInvalid]);
        // A repeated fault is reported once a minute.
        host.pass(60);
    }
}

#[test]
fn similar_cookie_names_are_ignored() {
    let mut host = Host::signed_in();
    let own = host.browser.header(Source::App).unwrap();
    for others in [
        format!("={COOKIE}=x; {own}"),
        format!("a=b; {own}; c"),
        format!("strongroom=x; {own}"),
        format!("__host-strongroom=x; {own}"),
        format!("{COOKIE}x=y; {own}"),
        format!("; ;;{own};"),
        format!("{COOKIE}.1=left over; {own}"),
    ] {
        assert!(session_of(&mut host, &others).is_object(), "{others}");
    }
    assert!(host.faults().is_empty());
}

// claim: handler-19
#[test]
fn tampered_cookie_does_not_open() {
    let mut host = Host::signed_in();
    let value = host.browser.get(COOKIE).unwrap().value.clone();
    let mut others: Vec<String> = (0..value.len())
        .map(|i| {
            let mut bytes = value.clone().into_bytes();
            bytes[i] = if bytes[i] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        })
        .collect();
    let parts: Vec<&str> = value.split('.').collect();
    others.extend([
        value[..value.len() - 4].to_owned(),
        [&value, "AAAA"].concat(),
        [&value, "."].concat(),
        [".", &value].concat(),
        [parts[0], parts[1], ""].join("."),
        [parts[0], parts[1], "AAAA"].join("."),
        [parts[0], "", parts[2]].join("."),
        [parts[1], parts[0], parts[2]].join("."),
        ["2", parts[1], parts[2]].join("."),
        [parts[0], parts[1], &parts[2][16..]].join("."),
        "\"".to_owned() + &value + "\"",
        "%".to_owned(),
        "1..".to_owned(),
        "é".repeat(100),
        "x".repeat(100_000),
        String::new(),
    ]);
    let began = host.now;
    for other in others {
        let cookie = [COOKIE, "=", &other].concat();
        assert!(session_of(&mut host, &cookie).is_null(), "{other}");
        let [fault] = host.faults()[..] else {
            panic!("not one fault: {other}");
        };
        assert!(
            matches!(fault, Code::CookieInvalid | Code::KeyUnknown),
            "{other}"
        );
        // A repeated fault is reported once a minute.
        host.pass(60);
    }
    host.now = began;
    assert_eq!(host.session()["claims"]["sub"], "ann");
}

// claim: handler-19
#[test]
fn sealed_value_opens_only_for_its_purpose() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    let login = host.browser.0[0].clone();
    host.arrive(&back);
    let session = host.browser.get(COOKIE).unwrap().value.clone();
    host.call("POST", "/auth/logout");
    let leaving = host.browser.get("__Host-strongroom-login-logout").unwrap();
    let leaving = leaving.clone();
    for value in [&login.value, &leaving.value] {
        assert!(session_of(&mut host, &[COOKIE, "=", value].concat()).is_null());
        assert_eq!(host.faults(), [Code::CookieInvalid]);
        // A repeated fault is reported once a minute.
        host.pass(60);
    }
    // The session cookie is sent in place of the login cookie and of the logout cookie.
    for (name, url) in [
        (&login.name, back.as_str()),
        (&leaving.name, "/auth/logout/provider"),
    ] {
        let mut request = host.navigation(url, Source::App);
        request.cookie = Some([name, "=", &session].concat());
        let response = host.request_elsewhere(request).own();
        let place = crate::host::header(&response, "location");
        assert!(response.status == 400 || place == Some("/"), "{response:?}");
    }
}

#[test]
fn cookie_of_another_name_does_not_open() {
    let mut host = Host::signed_in();
    let value = host.browser.get(COOKIE).unwrap().value.clone();
    for (more, name) in [
        (json!({ "name": "other" }), "__Host-other"),
        (json!({ "httpPrefix": true }), "__Host-Http-strongroom"),
    ] {
        host.restart(&cookie_config(&more));
        assert!(session_of(&mut host, &[name, "=", &value].concat()).is_null());
        assert_eq!(host.faults(), [Code::CookieInvalid]);
    }
}

// claim: handler-25
#[test]
fn sessions_survive_key_replacement() {
    let ring = |keys: &[&str]| json!({ "cookie": { "keys": keys } });
    let mut host = Host::signed_in_with(&ring(&[KEYS[0]]));
    let kid = |host: &Host| {
        let value = &host.browser.get(COOKIE).unwrap().value;
        value.split('.').nth(1).unwrap().to_owned()
    };
    let first = kid(&host);
    // To change keys, an operator first adds the new key to all isolates. Only then does an isolate seal with the new
    // key.
    host.restart(&ring(&[KEYS[0], KEYS[1]]));
    assert!(host.session().is_object());
    host.restart(&ring(&[KEYS[1], KEYS[0]]));
    assert!(host.session().is_object());
    assert_eq!(kid(&host), first);
    host.pass(60);
    assert!(host.session().is_object());
    assert_ne!(
        kid(&host),
        first,
        "activity is written down with the new key"
    );
    host.restart(&ring(&[KEYS[1]]));
    assert!(host.session().is_object());
    assert!(host.faults().is_empty());
    // This isolate does not know the key of the cookie.
    host.restart(&ring(&[KEYS[2]]));
    assert!(host.session().is_null());
    assert_eq!(host.faults(), [Code::KeyUnknown]);
    // The handler does not delete the cookie, because another isolate may have the key.
    assert_eq!(host.browser.count(COOKIE), 1);
    host.restart(&ring(&[KEYS[2], KEYS[1]]));
    assert!(host.session().is_object());
}

/// All ports of a host have the same cookies.
#[test]
fn line_about_an_unknown_key_names_other_handlers() {
    let mut host = Host::signed_in();
    host.restart(&cookie_config(&json!({ "keys": [KEYS[2]] })));
    assert!(host.session().is_null());
    let message = host.fault_messages().concat();
    assert!(message.contains("another port"), "{message}");
    assert!(Code::KeyUnknown.advice().contains("cookie.name"));
}

#[test]
fn login_survives_key_replacement() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    host.restart(&json!({ "cookie": { "keys": [KEYS[1], KEYS[0]] } }));
    assert_eq!(host.arrive(&back).status, 303);
}

#[test]
fn keys_may_be_one_string() {
    let list = [KEYS[0], KEYS[1]].join("\n ,");
    let mut host = Host::signed_in();
    host.restart(&json!({ "cookie": { "keys": list } }));
    assert!(host.session().is_object());
}

// claim: handler-31
#[test]
fn session_of_another_provider_does_not_open() {
    for change in [
        json!({ "issuer": "https://other.example.net" }),
        json!({ "client": { "id": "other", "auth": { "method": "none" } } }),
    ] {
        let mut host = Host::signed_in();
        host.restart(&change);
        assert!(host.session().is_null());
        assert_eq!(host.call("GET", "/api/orders").status(), 401);
        assert!(host.upstream.is_empty(), "its token stays here");
        assert_eq!(
            host.provider.sent_to("/token").len(),
            1,
            "and so does the other"
        );
    }
}

#[test]
fn long_session_is_split_into_cookies() {
    let mut host = with_long_tokens(2000);
    let names = host.browser.names();
    let expected = ["", ".1"].map(|end| [COOKIE, end].concat());
    assert_eq!(names, expected);
    assert!(host.session().is_object());
    // The pieces of the session cookie may arrive in any order.
    let header = host.browser.header(Source::App).unwrap();
    let mut pairs: Vec<&str> = header.split("; ").collect();
    pairs.reverse();
    assert!(session_of(&mut host, &pairs.join("; ")).is_object());
}

/// Returns the values of the session's two cookies.
fn pieces(host: &Host) -> [String; 2] {
    ["", ".1"].map(|end| {
        host.browser
            .get(&[COOKIE, end].concat())
            .unwrap()
            .value
            .clone()
    })
}

// claim: handler-19
#[test]
fn incomplete_cookie_pieces_are_ignored() {
    let mut host = with_long_tokens(2000);
    let own = pieces(&host);
    let mut other = with_long_tokens(2000);
    other.sign_in();
    let foreign = pieces(&other);
    let header = |values: &[&str]| -> String {
        let pairs = ["", ".1", ".2"].iter().zip(values);
        let pairs = pairs.filter(|(_, value)| !value.is_empty());
        let pairs = pairs.map(|(end, value)| format!("{COOKIE}{end}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    };
    let [a, b] = [0, 1].map(|i| own[i].as_str());
    assert!(
        session_of(&mut host, &header(&[a, b])).is_object(),
        "a control"
    );
    assert!(session_of(&mut host, &header(&[a, b, "left over"])).is_object());
    let (begin, end) = b.split_at(100);
    let more = a.replacen('2', "3", 1);
    let unnumbered = a.trim_start_matches("2~");
    for values in [
        &[b, a][..],
        &[a],
        &[a, begin],
        &[a, begin, end],
        &[&more, b],
        &[&more, begin, end],
        &[unnumbered, b],
        &[&foreign[0], b],
        &[a, &foreign[1]],
        &["0~x", b],
        &["1~x", b],
        &["99999999999999999999~x", b],
        &["~x", b],
        &["-1~x", b],
    ] {
        let cookie = header(values);
        assert!(
            session_of(&mut host, &cookie).is_null(),
            "{}",
            &cookie[..60.min(cookie.len())]
        );
        assert_eq!(host.faults(), [Code::CookieInvalid]);
        // A repeated fault is reported once a minute.
        host.pass(60);
    }
    // Two pieces of the session cookie have the same name.
    let doubled = [header(&[a, b]), format!("{COOKIE}.1=x")].join("; ");
    assert!(session_of(&mut host, &doubled).is_null());
    // A second piece without the first one is ignored.
    assert!(session_of(&mut host, &format!("{COOKIE}.1={b}")).is_null());
}

#[test]
fn shrinking_session_clears_old_cookies() {
    let mut host = Host::new();
    for (bytes, count) in [(10, 1), (2000, 2), (10, 1), (2500, 2)] {
        host.provider
            .state(&format!(r#""padding":"{}""#, "x".repeat(bytes)));
        host.sign_in();
        assert_eq!(host.browser.count(COOKIE), count, "{bytes}");
        assert!(host.session().is_object());
    }
    host.call("POST", "/auth/logout");
    let left = ["__Host-strongroom-left", "__Host-strongroom-login-logout"];
    assert_eq!(host.browser.names(), left);
}

#[test]
fn session_too_long_for_cookies_is_an_error() {
    let mut host = Host::new();
    host.provider
        .state(&format!(r#""padding":"{}""#, "x".repeat(11_000)));
    let back = host.come_back("/auth/login");
    let response = host.arrive(&back);
    assert_eq!(response.status, 500);
    assert!(response.body.unwrap().1.contains("session.storage"));
    assert!(host.browser.0.is_empty());
}

#[test]
fn session_too_long_for_store_is_an_error() {
    let mut host = Host::with(&json!({ "session": { "storage": "in-store" } }));
    host.provider
        .state(&format!(r#""padding":"{}""#, "x".repeat(11_000)));
    host.provider.padding = "x".repeat(16_000);
    let back = host.come_back("/auth/login");
    let response = host.arrive(&back);
    assert_eq!(response.status, 500);
    assert!(
        response
            .body
            .unwrap()
            .1
            .contains("too long for a coordinator")
    );
    assert_eq!(host.faults(), [Code::LimitExceeded]);
    assert!(host.browser.0.is_empty() && host.store.is_empty());
    // The handler revokes the tokens, because it cannot store the session.
    assert_eq!(host.provider.sent_to("/revoke").len(), 1);
}

#[test]
fn cookie_of_stored_session_has_only_its_id() {
    let mut host = Host::new();
    host.restart(&json!({ "session": { "storage": "in-store" } }));
    host.provider
        .state(&format!(r#""padding":"{}""#, "x".repeat(11_000)));
    host.sign_in();
    assert!(host.browser.get(COOKIE).unwrap().value.len() < 200);
    assert!(host.session().is_object());
    // The store's record is encrypted, and the record's name reveals nothing about the session.
    for (key, entry) in &host.store {
        assert!(key.starts_with("session.") && key.len() < 60, "{key}");
        assert!(entry.value.starts_with("1.") && !entry.value.contains("access-token"));
    }
    // The ID in the cookie is useless without the record in the store.
    host.store.clear();
    host.restart(&json!({}));
    assert!(host.session().is_null());
}

// claim: handler-60
#[test]
fn record_opens_only_for_its_session() {
    let mut host = Host::with(&json!({ "session": { "storage": "in-store" } }));
    host.sign_in();
    let ann = host.browser.clone();
    host.browser.0.clear();
    host.provider.subject = "bob".to_owned();
    host.sign_in();
    // An attacker with write access to the store exchanges the records of ann and bob.
    let mut values: Vec<_> = host
        .store
        .values()
        .map(|entry| entry.value.clone())
        .collect();
    assert_eq!(values.len(), 2);
    values.reverse();
    for (entry, value) in host.store.values_mut().zip(values) {
        entry.value = value;
    }
    host.restart(&json!({}));
    host.browser = ann;
    let answered = host.call("GET", "/auth/session");
    assert_eq!(answered.status(), 503, "{answered:?}");
    assert_eq!(answered.code(), "coordinator_unavailable");
}

#[test]
fn cookie_is_set_only_on_change() {
    let mut host = Host::signed_in();
    for (after, marker, count) in [
        (0, "1", 0),
        (59, "1", 0),
        (1, "background", 0),
        (0, "1", 1),
        (0, "1", 0),
    ] {
        host.pass(after);
        let mut request = host.by_script("GET", "/api/orders");
        request.marker = Some(marker.to_owned());
        let Answered::Passed { cookies, .. } = host.request(request) else {
            panic!("refused");
        };
        assert_eq!(cookies.len(), count, "{after} {marker}");
    }
}

/// The page learns the reason only if its browser still sends the cookie.
#[test]
fn cookie_is_sent_after_the_absolute_limit() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let limits = json!({ "idle": 600, "absolute": 600, "storage": storage });
        let mut host = Host::signed_in_with(&json!({ "session": limits }));
        let cookie = host.browser.get(COOKIE).unwrap();
        let ages = cookie.attributes.iter();
        let age = ages.filter_map(|one| one.strip_prefix("Max-Age=")).next();
        assert!(age.unwrap().parse::<u64>().unwrap() > 600, "{cookie:?}");
        host.pass(600);
        let response = host.call("GET", "/auth/session").own();
        assert_eq!(json_of(&response)["reason"], "absolute");
        assert_eq!(host.provider.sent_to("/revoke").len(), 1);
    }
}

#[test]
fn cookie_is_opened_once_in_five_seconds() {
    let mut host = Host::signed_in();
    host.effects.clear();
    host.call("GET", "/api/orders");
    host.call("GET", "/api/orders");
    assert_eq!(host.count("Open"), 1);
    host.pass(5);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert_eq!(host.count("Open"), 2);
}

#[test]
fn limits_hold_for_an_opened_cookie() {
    let mut host = Host::signed_in_with(&json!({ "session": { "idle": 3 } }));
    host.effects.clear();
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    let stale = host.browser.clone();
    host.pass(3);
    host.browser = stale;
    assert_eq!(host.call("GET", "/api/orders").code(), "session_ended");
    assert_eq!(host.count("Open"), 1);
}
