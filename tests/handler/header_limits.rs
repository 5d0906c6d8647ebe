//! The length of headers. A proxy or server that refuses the browser's cookies refuses every request, a logout too.

use edge::{Config, Handler};
use serde_json::json;

use crate::browser::Source;
use crate::host::{COOKIE, Host, KEYS, LOGIN_COOKIE, configuration};

/// The shortest limit on a header of a request: that of nginx and Apache, less the header's name.
const LIMIT: usize = 8192 - "Cookie: \r\n".len();

/// The shortest limit on all headers of a response: that of nginx, less the headers of Node and the status line.
const RESPONSE: usize = 4096 - 160;

fn header(host: &Host) -> String {
    host.browser.header(Source::App).unwrap_or_default()
}

/// Signs in with an ID token that has this many bytes of padding. Returns the length of the response's headers.
fn sign_in(host: &mut Host, padding: usize) -> usize {
    host.provider
        .state(&format!(r#""padding":"{}""#, "x".repeat(padding)));
    let back = host.come_back("/auth/login");
    let response = host.arrive(&back);
    let line = |name: &str, value: &str| name.len() + value.len() + ": \r\n".len();
    let cookies = response
        .cookies
        .iter()
        .map(|cookie| line("set-cookie", cookie));
    let headers = response
        .headers
        .iter()
        .map(|(name, value)| line(name, value));
    cookies.chain(headers).sum()
}

#[test]
fn session_of_two_cookies_is_reported_once() {
    let mut host = Host::new();
    sign_in(&mut host, 10);
    assert_eq!((host.browser.count(COOKIE), host.faults()), (1, vec![]));
    for padding in [2000, 2100] {
        sign_in(&mut host, padding);
        host.pass(120);
        host.call("GET", "/api/orders");
    }
    assert_eq!(host.browser.count(COOKIE), 2);
    let messages = host.fault_messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("502") && messages[0].contains("in-store"));
    // A session in the store needs one cookie.
    let mut host = Host::with(&json!({ "session": { "storage": "in-store" } }));
    sign_in(&mut host, 2000);
    assert_eq!(host.faults(), []);
}

#[test]
fn response_without_warning_fits_the_smallest_buffer() {
    let mut longest = 0;
    for padding in (10..2000).step_by(20) {
        let mut host = Host::new();
        let length = sign_in(&mut host, padding);
        if host.faults().is_empty() {
            longest = longest.max(length);
        }
    }
    assert!((3400..=RESPONSE).contains(&longest), "{longest}");
}

// claim: handler-28
#[test]
fn session_of_three_cookies_is_an_error_that_names_the_option() {
    let (mut longest, mut shortest_error) = (0, usize::MAX);
    for padding in (2000..4000).step_by(50) {
        let mut host = Host::new();
        sign_in(&mut host, padding);
        if host.browser.count(COOKIE) > 0 {
            longest = longest.max(header(&host).len());
            continue;
        }
        shortest_error = shortest_error.min(padding);
        let messages = host.fault_messages();
        assert!(messages[0].contains("in-store"), "{messages:?}");
        assert!(host.browser.0.is_empty());
    }
    assert!((6000..7000).contains(&longest), "{longest}");
    assert!(shortest_error < 4000);
}

/// Whatever a browser does, its cookies stay below the limit, and a login begins and a logout works.
// claim: handler-28
#[test]
fn user_is_never_locked_out() {
    for changes in [
        json!({}),
        json!({ "dpop": true }),
        json!({ "cookie": { "keys": [KEYS[0]], "name": "an-app-with-a-long-name" } }),
    ] {
        for padding in [10, 2600] {
            let mut host = Host::with(&changes);
            let path = format!("/auth/login?returnTo=/{}", "a".repeat(2500));
            let mut backs = Vec::new();
            for _ in 0..7 {
                backs.push(host.come_back(&path));
                assert!(header(&host).len() <= LIMIT, "{}", header(&host).len());
            }
            // The newest login succeeds, and the session takes the place of older logins.
            host.provider
                .state(&format!(r#""padding":"{}""#, "x".repeat(padding)));
            let back = host.come_back(&path);
            host.come_in(&back);
            assert!(host.session().is_object(), "{changes} {padding}");
            assert!(header(&host).len() <= LIMIT, "{}", header(&host).len());
            for _ in 0..7 {
                backs.push(host.come_back(&path));
                assert!(header(&host).len() <= LIMIT, "{}", header(&host).len());
            }
            let back = backs.pop().unwrap();
            host.come_in(&back);
            assert!(host.session().is_object(), "{changes} {padding}");
            assert_eq!(host.call("POST", "/auth/logout").status(), 200);
            assert!(host.session().is_null());
        }
    }
}

/// The cookie of a logout takes the place of logins, too.
// claim: handler-28
#[test]
fn logout_keeps_the_header_short() {
    let mut host = Host::with(&json!({ "session": { "storage": "in-store" } }));
    host.provider
        .state(&format!(r#""padding":"{}""#, "x".repeat(1500)));
    let back = host.come_back("/auth/login?returnTo=/");
    host.come_in(&back);
    let path = format!("/auth/login?returnTo=/{}", "a".repeat(2000));
    for _ in 0..7 {
        host.come_back(&path);
    }
    assert!(
        header(&host).len() > LIMIT - 3000,
        "{}",
        header(&host).len()
    );
    assert_eq!(host.call("POST", "/auth/logout?provider").status(), 200);
    assert!(host.session().is_null());
    let has_hint = |name: &&str| name.ends_with("-login-logout");
    assert!(host.browser.names().iter().any(has_hint));
    assert!(header(&host).len() <= LIMIT, "{}", header(&host).len());
}

/// Without long addresses, a browser has as many logins as before.
#[test]
fn five_usual_logins_stay() {
    let mut host = Host::signed_in();
    let backs: Vec<String> = (0..5)
        .map(|_| host.come_back("/auth/login?returnTo=/orders"))
        .collect();
    assert_eq!(host.browser.count(LOGIN_COOKIE), 5);
    for back in backs {
        assert_eq!(host.come_in(&back).status, 303);
    }
}

/// Replaces the isolate by one of this tenant, with its own names of cookies.
fn become_tenant(host: &mut Host, number: u64) {
    let config = Config::parse(&configuration(&json!({})).to_string()).unwrap();
    let config = config.with_tenant(format!("tenant {number}"));
    host.handler = Handler::new(config, Box::new(kit::dice::Dice::new(100 + number)));
}

/// Returns the cookies of unfinished logins at all tenants.
fn logins(host: &Host) -> Vec<String> {
    let names = host.browser.names().into_iter().map(str::to_owned);
    names.filter(|name| name.contains("-login-")).collect()
}

// claim: handler-28
#[test]
fn logins_of_all_tenants_share_the_header() {
    let mut host = Host::new();
    let mut newest = Vec::new();
    for i in 0..14 {
        let number = i % 4;
        become_tenant(&mut host, number);
        let long = if i < 6 { 1900 } else { 10 };
        let back = host.come_back(&format!("/auth/login?returnTo=/{}", "a".repeat(long)));
        newest.retain(|(of, _)| *of != number);
        newest.push((number, back));
        assert!(header(&host).len() <= LIMIT, "{}", header(&host).len());
        assert!(logins(&host).len() <= 5);
    }
    for (number, back) in newest {
        become_tenant(&mut host, number);
        host.come_in(&back);
        assert!(host.session().is_object(), "{number}");
        assert!(header(&host).len() <= LIMIT, "{}", header(&host).len());
    }
}

// claim: handler-28
#[test]
fn many_logins_of_one_tenant_leave_the_newest_of_another() {
    let mut host = Host::new();
    become_tenant(&mut host, 1);
    host.come_back("/auth/login");
    let back = host.come_back("/auth/login");
    become_tenant(&mut host, 2);
    for _ in 0..9 {
        host.come_back(&format!("/auth/login?returnTo=/{}", "a".repeat(1900)));
    }
    assert!(header(&host).len() <= LIMIT);
    become_tenant(&mut host, 1);
    host.come_in(&back);
    assert!(host.session().is_object());
}

// claim: handler-28
#[test]
fn logins_of_many_tenants_do_not_exceed_the_header() {
    let mut host = Host::new();
    for number in 0..30 {
        become_tenant(&mut host, number);
        let back = host.come_back(&format!("/auth/login?returnTo=/{}", "a".repeat(1900)));
        assert!(header(&host).len() <= LIMIT, "{}", header(&host).len());
        if number == 29 {
            host.come_in(&back);
            assert!(host.session().is_object());
        }
    }
}

// claim: handler-28
#[test]
fn sessions_of_other_tenants_take_room() {
    let mut host = Host::new();
    for number in 0..3 {
        become_tenant(&mut host, number);
        sign_in(&mut host, 600);
        assert!(host.session().is_object());
    }
    for _ in 0..4 {
        host.come_back(&format!("/auth/login?returnTo=/{}", "a".repeat(1900)));
        assert!(header(&host).len() <= LIMIT, "{}", header(&host).len());
    }
}

#[test]
fn cookies_of_the_app_take_room_but_not_that_of_two_logins() {
    for (length, kept) in [(100, 5), (6000, 4), (7000, 3), (7900, 3)] {
        let mut host = Host::new();
        for (i, part) in [length / 2, length - length / 2].into_iter().enumerate() {
            let app = "x".repeat(part);
            host.browser.set(&format!("app{i}={app}"));
        }
        let backs: Vec<_> = (0..8)
            .map(|_| host.come_back("/auth/login?returnTo=/orders"))
            .collect();
        assert_eq!(logins(&host).len(), kept, "{length}");
        for back in &backs[8 - kept..] {
            assert_eq!(host.come_in(back).status, 303, "{length}");
        }
    }
}

#[test]
fn one_response_clears_at_most_eight_logins() {
    let mut host = Host::new();
    for _ in 0..20 {
        let request = host.navigation("/auth/login", Source::App);
        let answered = host.request_elsewhere(edge::Request {
            cookie: None,
            ..request
        });
        for cookie in answered.cookies() {
            host.browser.set(cookie);
        }
    }
    for left in [20 + 1 - 8, 13 + 1 - 8, 5] {
        host.come_back("/auth/login");
        assert_eq!(logins(&host).len(), left);
    }
}
