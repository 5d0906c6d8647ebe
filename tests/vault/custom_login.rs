//! Logins by `mode: 'custom'`: the app opens the authorization URL itself, and passes on the address of the response,
//! whose redirect URI may be of another origin than the worker (RFC 8252).

use kit::world::provider::params;
use kit::world::{EXCHANGE, Endpoint, Fault, PageResponse, Request, World};
use vault::PortId;

const PRIVATE: &str = "com.example.app:/callback";
const EXTENSION: &str = "https://abcdef.chromiumapp.org/callback";
const LOOPBACK: &str = "http://127.0.0.1/callback";

/// Creates a vault with this redirect URI, and a page.
fn world(redirect_uri: &str) -> (World, PortId) {
    let option = format!(r#"{{"customLogin":true,"redirectUri":"{redirect_uri}"}}"#);
    let mut world = World::with(&option);
    redirect_uri.clone_into(&mut world.provider.redirect_uri);
    let page = world.open();
    (world, page)
}

/// Begins a custom login with these members.
fn begin(world: &mut World, page: PortId, more: &str) -> Request {
    let login = world.ask(page, &[r#""t":"login","mode":"custom""#, more].concat());
    world.answer_all();
    login
}

/// Signs the user in. Returns the login, and the response to it.
fn responded(world: &mut World, page: PortId, more: &str) -> (Request, String) {
    let login = begin(world, page, more);
    let address = world.address(login);
    (login, world.provider.sign_in(&address))
}

fn finish(world: &mut World, page: PortId, response: &str) -> Request {
    let callback = world.callback(page, response);
    world.answer_all();
    callback
}

#[test]
fn response_at_each_redirect_uri_signs_in() {
    for uri in [
        PRIVATE,
        "com.example.app://callback",
        "com.example.app:/callback?from=shell",
        EXTENSION,
        LOOPBACK,
        "http://[::1]:8400/callback",
    ] {
        let (mut world, page) = world(uri);
        let (login, mut response) = responded(&mut world, page, "");
        if uri.contains('?') {
            response = response.replacen("shell?", "shell&", 1);
        }
        finish(&mut world, page, &response);
        assert_eq!(
            world.response(login),
            Some(&PageResponse::Done(None)),
            "{uri}"
        );
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200, "{uri}");
    }
}

#[test]
fn redirect_uri_of_the_worker_allows_all_modes() {
    let mut world = World::with(r#"{"customLogin":true}"#);
    let page = world.open();
    let (login, response) = responded(&mut world, page, "");
    finish(&mut world, page, &response);
    assert_eq!(world.response(login), Some(&PageResponse::Done(None)));
    world.logout(page);
    world.answer_all();
    world.sign_in(page);
    assert!(world.session(page).is_some());
}

#[test]
fn page_learns_only_the_authorization_url() {
    let (mut world, page) = world(PRIVATE);
    let login = begin(&mut world, page, "");
    let address = world.address(login);
    let params = params(address.split_once('?').unwrap().1);
    assert_eq!(params["redirect_uri"], PRIVATE);
    assert!(!params.contains_key("code_verifier"));
    let told: Vec<_> = world.page(page).of_type("navigate").collect();
    let names: Vec<&str> = told[0].iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["t", "id", "url", "redirectUri"]);
    // When a `World` is dropped, it checks that no message contains the verifier.
}

// claim: site-3
#[test]
fn response_at_another_address_is_refused() {
    for (uri, others) in [
        (
            PRIVATE,
            &[
                "com.example.app:/callback/",
                "com.example.app://callback",
                "com.example.app:/other",
                "com.example.app2:/callback",
                "https://app.example.com/callback",
                "https://app.example.com/com.example.app:/callback",
            ][..],
        ),
        (
            EXTENSION,
            &["https://abcdef.chromiumapp.org.evil.test/callback"][..],
        ),
        (
            LOOPBACK,
            &["http://127.0.0.1:8401/callback", "http://[::1]/callback"][..],
        ),
    ] {
        for other in others {
            let (mut world, page) = world(uri);
            let (login, response) = responded(&mut world, page, "");
            let callback = finish(&mut world, page, &response.replacen(uri, other, 1));
            assert_eq!(world.code(callback), "redirect_uri_mismatch", "{other}");
            let message = world.error_message(callback);
            assert!(message.contains(uri), "{message}");
            assert_eq!(world.count(EXCHANGE), 0);
            // The login still waits for its own response.
            finish(&mut world, page, &response);
            assert_eq!(world.response(login), Some(&PageResponse::Done(None)));
        }
    }
}

#[test]
fn response_is_checked_like_that_of_a_callback() {
    let (mut world, page) = world(PRIVATE);
    let (_, response) = responded(&mut world, page, "");
    let (address, state) = (world.provider.redirect_uri.clone(), params(&response));
    let state = &state["state"];
    for (query, code) in [
        ("code=c".to_owned(), "callback_invalid"),
        ("code=c&state=another".to_owned(), "login_unknown"),
        (format!("code=c&code=d&state={state}"), "callback_invalid"),
        (
            format!("code=c&state={state}&iss=https://evil.test"),
            "issuer_mismatch",
        ),
        (format!("code=c&state={state}"), "login_replayed"),
    ] {
        let callback = finish(&mut world, page, &[&address, "?", &query].concat());
        assert_eq!(world.code(callback), code, "{query}");
    }
}

#[test]
fn refusal_of_the_provider_fails_the_login() {
    let (mut world, page) = world(PRIVATE);
    let login = begin(&mut world, page, "");
    let response = world.provider.deny(&world.address(login), "access_denied");
    finish(&mut world, page, &response);
    assert_eq!(world.code(login), "login_denied");
}

#[test]
fn response_completes_only_its_own_login() {
    let (mut world, page) = world(PRIVATE);
    let waiting = begin(&mut world, page, "");
    let (login, response) = responded(&mut world, page, "");
    finish(&mut world, page, &response);
    assert_eq!(world.response(login), Some(&PageResponse::Done(None)));
    world.address(waiting);
    world.give_up(waiting, "cancel");
}

#[test]
fn port_is_part_of_the_redirect_uri() {
    for (configured, used) in [
        (LOOPBACK, "http://127.0.0.1:8400/callback"),
        (
            "http://127.0.0.1:1/callback?a=b",
            "http://127.0.0.1:8400/callback?a=b",
        ),
        ("http://[::1]/", "http://[::1]:8400/"),
    ] {
        let (mut world, page) = world(configured);
        used.clone_into(&mut world.provider.redirect_uri);
        // The provider asserts that the request has this redirect URI, and refuses a code exchange with another one.
        let (login, response) = responded(&mut world, page, r#","port":8400"#);
        let response = response.replacen("b?", "b&", 1);
        finish(&mut world, page, &response);
        assert_eq!(
            world.response(login),
            Some(&PageResponse::Done(None)),
            "{used}"
        );
    }
}

// claim: site-3
#[test]
fn response_at_another_port_is_refused() {
    let (mut world, page) = world(LOOPBACK);
    "http://127.0.0.1:8400/callback".clone_into(&mut world.provider.redirect_uri);
    let (_, response) = responded(&mut world, page, r#","port":8400"#);
    for other in [
        "http://127.0.0.1:8401/",
        "http://127.0.0.1/",
        "http://127.0.0.1:840/",
    ] {
        let response = response.replacen("http://127.0.0.1:8400/", other, 1);
        let callback = finish(&mut world, page, &response);
        assert_eq!(world.code(callback), "redirect_uri_mismatch", "{other}");
    }
}

#[test]
fn ports_of_concurrent_logins_are_not_mixed() {
    let (mut world, page) = world(LOOPBACK);
    let [one, other] = ["8400", "8401"].map(|port| {
        world.provider.redirect_uri = format!("http://127.0.0.1:{port}/callback");
        responded(&mut world, page, &format!(r#","port":{port}"#)).1
    });
    let swapped = one.replacen("8400", "8401", 1);
    let callback = finish(&mut world, page, &swapped);
    assert_eq!(world.code(callback), "redirect_uri_mismatch");
    let callback = finish(&mut world, page, &other);
    assert!(matches!(
        world.response(callback),
        Some(PageResponse::Settled { .. })
    ));
}

#[test]
fn invalid_port_is_refused() {
    for port in ["0", "65536", "-1", "1.5", r#""8400""#, "null"] {
        let (mut world, page) = world(LOOPBACK);
        let login = begin(&mut world, page, &format!(r#","port":{port}"#));
        assert_eq!(world.code(login), "message_invalid", "{port}");
        let message = world.error_message(login);
        assert!(
            message.starts_with("login option port must be"),
            "{message}"
        );
    }
}

#[test]
fn port_needs_a_loopback_redirect_uri() {
    for uri in [
        PRIVATE,
        EXTENSION,
        "https://127.0.0.1/callback",
        "https://app.example.com/callback",
    ] {
        let (mut world, page) = world(uri);
        let login = begin(&mut world, page, r#","port":8400"#);
        assert_eq!(world.code(login), "message_invalid", "{uri}");
        assert!(world.error_message(login).contains("needs a redirectUri"));
    }
}

#[test]
fn other_modes_take_no_port() {
    let mut world = World::with(r#"{"customLogin":true}"#);
    let page = world.open();
    for mode in ["redirect", "popup"] {
        let login = world.ask(page, &format!(r#""t":"login","mode":"{mode}","port":8400"#));
        world.answer_all();
        assert_eq!(world.code(login), "unsupported", "{mode}");
        let message = world.error_message(login);
        assert_eq!(message, "login option port needs mode: 'custom'");
    }
}

#[test]
fn other_modes_are_refused_without_own_redirect_uri() {
    for uri in [PRIVATE, EXTENSION, LOOPBACK] {
        let (mut world, page) = world(uri);
        for members in [
            r#""mode":"redirect""#,
            r#""mode":"popup""#,
            r#""mode":"redirect","prompt":"none""#,
            r#""mode":"popup","prompt":"none""#,
        ] {
            let login = world.ask(page, &[r#""t":"login","#, members].concat());
            world.answer_all();
            assert_eq!(world.code(login), "unsupported", "{uri} {members}");
            let message = world.error_message(login);
            assert!(message.contains("mode: 'custom'"), "{message}");
        }
    }
}

#[test]
fn device_login_needs_no_redirect_uri() {
    let options =
        r#"{"customLogin":true,"deviceFlow":true,"redirectUri":"com.example.app:/callback"}"#;
    let mut world = World::with(options);
    world.provider.knows_devices = true;
    let page = world.open();
    let login = world.login(page, "device");
    world.answer_all();
    assert!(matches!(
        world.response(login),
        Some(PageResponse::Device { .. })
    ));
}

#[test]
fn custom_mode_needs_the_option() {
    let mut world = World::new();
    let page = world.open();
    let login = begin(&mut world, page, "");
    assert_eq!(world.code(login), "unsupported");
    assert!(world.error_message(login).contains("customLogin: true"));
}

#[test]
fn pushed_request_has_the_redirect_uri() {
    let (mut world, page) = world(LOOPBACK);
    world.provider.takes_pushed = true;
    "http://127.0.0.1:8400/callback".clone_into(&mut world.provider.redirect_uri);
    let (login, response) = responded(&mut world, page, r#","port":8400"#);
    finish(&mut world, page, &response);
    assert_eq!(world.response(login), Some(&PageResponse::Done(None)));
    let refused = Fault::Response(400, r#"{"error":"invalid_request"}"#);
    world.provider.fault(Endpoint::Push, &[refused]);
    let login = begin(&mut world, page, r#","port":8400"#);
    let message = world.error_message(login);
    assert!(
        message.contains("http://127.0.0.1:8400/callback"),
        "{message}"
    );
}

#[test]
fn pages_of_the_worker_are_no_redirect_uri() {
    let (mut world, page) = world(PRIVATE);
    for address in [
        "https://app.example.com/orders?code=1",
        "https://app.example.com/worker.js?error=access_denied",
    ] {
        let callback = finish(&mut world, page, address);
        assert_eq!(world.code(callback), "redirect_uri_mismatch", "{address}");
    }
}
