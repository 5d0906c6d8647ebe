//! While an app is developed, on loopback, its page is told once why calls of an API fail.

use std::time::Duration;

use vault::PortId;

use kit::world::{Fetch, World};

const APIS: &str =
    r#"{"apis":[{"url":"https://api.example.com/v1/"},{"url":"https://other.example.com/v1/"}]}"#;

fn signed_in(mut world: World) -> (World, PortId) {
    let page = world.open();
    world.sign_in(page);
    (world, page)
}

fn on_loopback() -> (World, PortId) {
    signed_in(World::on_loopback(APIS))
}

fn call(world: &mut World, page: PortId, path: &str) {
    world.fetch(page, path);
    world.answer_all();
}

fn call_other(world: &mut World, page: PortId, path: &str) {
    let url = format!("https://other.example.com/v1{path}");
    world.fetch_as(
        page,
        &Fetch {
            url: &url,
            ..Fetch::default()
        },
    );
    world.answer_all();
}

/// Returns the messages of the page's warnings.
fn warnings(world: &World, page: PortId) -> Vec<String> {
    let messages = world.page(page).of_type("warning");
    messages
        .map(|m| [m.str("warning").unwrap(), ": ", m.str("message").unwrap()].concat())
        .collect()
}

#[test]
fn api_that_never_responds_is_named_once() {
    let (mut world, page) = on_loopback();
    for _ in 0..2 {
        call(&mut world, page, "/unreachable");
    }
    let expected = "api_unreachable: no call to https://api.example.com has got a response";
    assert_eq!(warnings(&world, page), [expected]);
    call_other(&mut world, page, "/unreachable");
    assert_eq!(warnings(&world, page).len(), 2);
}

#[test]
fn api_that_has_responded_before_is_not_named() {
    for path in ["/orders", "/redirect", "/odd-status"] {
        let (mut world, page) = on_loopback();
        call(&mut world, page, path);
        call(&mut world, page, "/unreachable");
        assert_eq!(warnings(&world, page).len(), 0, "{path}");
    }
}

#[test]
fn token_that_is_refused_after_a_refresh_is_reported_once() {
    let (mut world, page) = on_loopback();
    let challenge = r#"Bearer error="invalid_token", error_description="The audience is invalid""#;
    world.provider.api_demands = Some((401, challenge));
    for _ in 0..2 {
        call(&mut world, page, "/demanding");
        world.advance(Duration::from_secs(120));
    }
    assert_eq!(
        warnings(&world, page),
        [
            r#"token_refused: https://api.example.com responded with 401 to an access token that was issued a moment ago: invalid_token "The audience is invalid""#
        ]
    );
}

#[test]
fn token_without_enough_scope_is_reported() {
    let (mut world, page) = on_loopback();
    call(&mut world, page, "/admin");
    let [warning] = &*warnings(&world, page) else {
        panic!()
    };
    assert!(warning.ends_with(": insufficient_scope"), "{warning}");
}

#[test]
fn token_of_a_session_without_a_refresh_token_is_reported_while_it_is_fresh() {
    for (waits, count) in [(0, 1), (90, 0)] {
        let (mut world, page) = {
            let mut world = World::on_loopback(APIS);
            world.provider.issues_refresh_tokens = false;
            signed_in(world)
        };
        let before = warnings(&world, page).len();
        world.advance(Duration::from_secs(waits));
        call(&mut world, page, "/never");
        assert_eq!(warnings(&world, page).len() - before, count, "{waits}");
    }
}

#[test]
fn reason_that_repeats_a_token_is_left_out() {
    let (mut world, page) = on_loopback();
    let token = world.provider.newest_access_token().to_owned();
    let challenge = format!(r#"Bearer error="invalid_token", error_description="bad {token}""#);
    world.provider.api_demands = Some((401, challenge.leak()));
    call(&mut world, page, "/demanding");
    let [warning] = &*warnings(&world, page) else {
        panic!()
    };
    // The refresh has replaced the token. It is known all the same.
    assert!(warning.ends_with("a moment ago"), "{warning}");
}

#[test]
fn hostile_error_is_left_out() {
    let (mut world, page) = on_loopback();
    world.provider.api_demands = Some((
        401,
        "Bearer error=\"a\u{7f}\u{1b}[31m\", error_description=\"\"",
    ));
    call(&mut world, page, "/demanding");
    let [warning] = &*warnings(&world, page) else {
        panic!()
    };
    assert!(warning.ends_with("a moment ago"), "{warning}");
}

#[test]
fn step_up_and_other_statuses_are_not_reported() {
    let (mut world, page) = on_loopback();
    for path in ["/step-up", "/forbidden", "/orders"] {
        call(&mut world, page, path);
    }
    assert_eq!(warnings(&world, page).len(), 0);
}

#[test]
fn app_that_is_not_on_loopback_gets_no_warning() {
    let (mut world, page) = signed_in(World::with(APIS));
    call(&mut world, page, "/never");
    call_other(&mut world, page, "/unreachable");
    assert_eq!(warnings(&world, page).len(), 0);
}
