//! Logins that have expired at the provider, which then asks the app to send the request again, as Keycloak does.

use kit::world::provider::{params, response_url};
use kit::world::{PageResponse, Request, SEALED, World};
use vault::PortId;

const EXPIRED: [(&str, &str); 2] = [
    ("error", "temporarily_unavailable"),
    ("error_description", "authentication_expired"),
];

/// Returns the response to the request at `address`, with these parameters.
fn response(address: &str, more: &[(&str, &str)]) -> String {
    let state = parameter(address, "state").unwrap();
    response_url(&[&[("state", state.as_str())], more].concat())
}

/// Passes the response to the vault, in a page that can go to the provider again.
fn finish(world: &mut World, page: PortId, response: &str) -> Request {
    let callback = format!(r#""t":"callback","url":"{response}","mayRepeat":true"#);
    let callback = world.ask(page, &callback);
    world.answer_all();
    callback
}

fn parameter(address: &str, name: &str) -> Option<String> {
    params(address.split_once('?').unwrap().1)
        .get(name)
        .cloned()
}

#[test]
fn expired_login_is_repeated_once() {
    for changes in ["{}", SEALED, r#"{"dpop":true}"#] {
        let mut world = World::with(changes);
        let page = world.open();
        let first = world.begin_login(page, "redirect");
        let callback = finish(&mut world, page, &response(&first, &EXPIRED));
        let second = world.address(callback);
        for name in ["state", "nonce", "code_challenge"] {
            assert_ne!(parameter(&first, name), parameter(&second, name), "{name}");
        }
        let callback = finish(&mut world, page, &response(&second, &EXPIRED));
        assert_eq!(world.code(callback), "login_expired", "{changes}");
        let message = world.error_message(callback);
        assert!(message.contains("authentication_expired"), "{message}");
    }
}

#[test]
fn repeated_login_succeeds() {
    let mut world = World::new();
    let page = world.open();
    let login = r#""t":"login","mode":"redirect","returnTo":"/orders?page=2","acrValues":"mfa","maxAge":60"#;
    let login = world.ask(page, login);
    world.answer_all();
    let first = world.address(login);
    // The page at the redirect URI is another one, and so is its worker.
    world.restart();
    let page = world.open();
    let callback = finish(&mut world, page, &response(&first, &EXPIRED));
    let second = world.address(callback);
    for (name, value) in [("acr_values", "mfa"), ("max_age", "60")] {
        assert_eq!(parameter(&second, name).as_deref(), Some(value));
    }
    let signed_in = world.provider.sign_in(&second);
    let callback = finish(&mut world, page, &signed_in);
    let Some(PageResponse::Settled { return_to, .. }) = world.response(callback) else {
        panic!("no session");
    };
    assert_eq!(return_to, "/orders?page=2");
    assert!(world.session(page).is_some());
}

#[test]
fn other_errors_are_not_repeated() {
    for (error, description) in [
        ("temporarily_unavailable", "Authentication expired"),
        ("temporarily_unavailable", "authentication_expired "),
        ("temporarily_unavailable", ""),
        ("server_error", "authentication_expired"),
        ("access_denied", "authentication_expired"),
    ] {
        let mut world = World::new();
        let page = world.open();
        let address = world.begin_login(page, "redirect");
        let parameters = [("error", error), ("error_description", description)];
        let callback = finish(&mut world, page, &response(&address, &parameters));
        assert_ne!(
            world.code(callback),
            "login_expired",
            "{error} {description}"
        );
    }
    // The response of another issuer.
    let mut world = World::new();
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let of_other = [EXPIRED[0], EXPIRED[1], ("iss", "https://evil.example")];
    let callback = finish(&mut world, page, &response(&address, &of_other));
    assert_eq!(world.code(callback), "issuer_mismatch");
    // A response to no login.
    let forged = response(&address.replace("state=", "state=x"), &EXPIRED);
    let callback = finish(&mut world, page, &forged);
    assert_eq!(world.code(callback), "login_unknown");
    // A response that was used.
    let callback = finish(&mut world, page, &response(&address, &EXPIRED));
    assert_eq!(world.code(callback), "login_replayed");
}

#[test]
fn login_that_no_page_can_repeat_is_an_error() {
    // A page that cannot go to the provider again, such as one of an earlier version.
    let mut world = World::new();
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let callback = world.callback(page, &response(&address, &EXPIRED));
    world.answer_all();
    assert_eq!(world.code(callback), "login_expired");
    // The opener of a popup waits for its first request, and a silent login has no pages of the provider.
    for login in [
        r#""t":"login","mode":"popup""#,
        r#""t":"login","mode":"redirect","prompt":"none""#,
    ] {
        let mut world = World::new();
        let page = world.open();
        let login = world.ask(page, login);
        world.answer_all();
        let answer = response(&world.address(login), &EXPIRED);
        let callback = finish(&mut world, page, &answer);
        assert_eq!(world.code(callback), "login_expired");
    }
}
