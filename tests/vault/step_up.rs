//! An API that requires another authentication (RFC 9470) or more scope (RFC 6750 3.1): the page is told which login
//! satisfies the API, and repeated demands cause no loop.

use std::time::Duration;

use kit::world::provider::params;
use kit::world::{Fetch, Kind, REFRESH, Request, World};
use vault::PortId;

const RULE: &str = r#"{"apis":[{"url":"https://api.example.com/v1/","methods":["GET","POST"],"stepUp":true}],
    "loginScopes":["orders:write"]}"#;

const STRONGER: (u16, &str) = (
    401,
    r#"Bearer error="insufficient_user_authentication", acr_values="phr", max_age=300"#,
);
const WIDER: (u16, &str) = (
    403,
    r#"Bearer error="insufficient_scope", scope="orders:write""#,
);

fn demanding(config: &str, demand: (u16, &'static str)) -> (World, PortId, Request) {
    let (mut world, page) = World::signed_in_with(config);
    world.provider.api_demands = Some(demand);
    let call = world.fetch(page, "/demanding");
    world.answer_all();
    (world, page, call)
}

/// Begins the login that the page was offered. Returns the URL of the authorization request.
fn begin(world: &mut World, page: PortId, call: Request, mode: &str) -> String {
    let options = world.offered_login(call).unwrap();
    let members = format!(
        r#""t":"login","mode":"{mode}",{}"#,
        &options[1..options.len() - 1]
    );
    let login = world.ask(page, &members);
    world.answer_all();
    world.address(login)
}

/// Performs the login that the page was offered. Returns the URL of the authorization request.
fn satisfy(world: &mut World, page: PortId, call: Request, mode: &str) -> String {
    let address = begin(world, page, call, mode);
    let response = world.provider.sign_in(&address);
    world.callback(page, &response);
    world.answer_all();
    address
}

fn call(world: &mut World, page: PortId) -> Request {
    let call = world.fetch(page, "/demanding");
    world.answer_all();
    call
}

#[test]
fn authentication_challenge_offers_a_login() {
    let (mut world, page, refused) = demanding(RULE, STRONGER);
    assert_eq!(world.code(refused), "step_up_required");
    let offered = world.offered_login(refused);
    assert_eq!(
        offered.as_deref(),
        Some(r#"{"acrValues":"phr","maxAge":300}"#)
    );
    let address = satisfy(&mut world, page, refused, "popup");
    let asked = params(address.split_once('?').unwrap().1);
    assert_eq!(asked["acr_values"], "phr");
    assert_eq!(asked["max_age"], "300");
    world.provider.api_demands = None;
    let again = call(&mut world, page);
    assert_eq!(world.status(again), 200);
}

#[test]
fn scope_challenge_offers_a_login() {
    let (mut world, page, refused) = demanding(RULE, WIDER);
    assert_eq!(world.code(refused), "insufficient_scope");
    let address = satisfy(&mut world, page, refused, "redirect");
    let asked = params(address.split_once('?').unwrap().1);
    assert_eq!(asked["scope"], "openid profile offline_access orders:write");
    let mut scopes = String::new();
    let session = world.session(page).unwrap();
    session.get("scopes").unwrap().write(&mut scopes);
    assert!(scopes.contains("orders:write"), "{scopes}");
}

/// Returns the scopes that the login which the page was offered requests.
fn scope_of(address: &str) -> String {
    params(address.split_once('?').unwrap().1)["scope"].clone()
}

#[test]
fn later_step_up_keeps_the_scopes_of_earlier_ones() {
    const ADMIN: (u16, &str) = (403, r#"Bearer error="insufficient_scope", scope="admin""#);
    let rule = RULE.replace(r#""orders:write""#, r#""orders:write","admin""#);
    for is_stored in [false, true] {
        let persist = if is_stored { "sealed" } else { "memory" };
        let config = rule.replacen(
            '{',
            &format!(r#"{{"session":{{"persist":"{persist}"}},"#),
            1,
        );
        let (mut world, mut page, refused) = demanding(&config, WIDER);
        satisfy(&mut world, page, refused, "redirect");
        if is_stored {
            world.restart();
            page = world.open();
            world.answer_all();
        }
        world.provider.api_demands = Some(ADMIN);
        let refused = call(&mut world, page);
        let address = satisfy(&mut world, page, refused, "redirect");
        let expected = "openid profile offline_access admin orders:write";
        assert_eq!(scope_of(&address), expected);
        // Another authentication needs the scopes, too.
        world.provider.api_demands = Some(STRONGER);
        let refused = call(&mut world, page);
        let address = satisfy(&mut world, page, refused, "redirect");
        assert_eq!(scope_of(&address), expected);
        // The demands are still known, so they cause no loop.
        let again = call(&mut world, page);
        assert_eq!(world.code(again), "step_up_failed");
    }
}

/// Performs the login that the page was offered, and completes it in another worker. Returns the new page.
fn satisfy_in_another_worker(world: &mut World, page: PortId, call: Request) -> PortId {
    let address = begin(world, page, call, "redirect");
    let response = world.provider.sign_in(&address);
    world.restart();
    let page = world.open();
    world.callback(page, &response);
    world.answer_all();
    page
}

#[test]
fn demand_is_known_after_a_login_in_another_worker() {
    for demand in [STRONGER, WIDER] {
        let (mut world, page, refused) = demanding(RULE, demand);
        let page = satisfy_in_another_worker(&mut world, page, refused);
        let repeated = call(&mut world, page);
        assert_eq!(world.code(repeated), "step_up_failed", "{demand:?}");
    }
}

/// A provider that grants all requested scopes need not name them (RFC 6749 5.1).
#[test]
fn requested_scope_is_known_in_another_worker() {
    let (mut world, page, refused) = demanding(RULE, WIDER);
    let page = satisfy_in_another_worker(&mut world, page, refused);
    let mut scopes = String::new();
    let session = world.session(page).unwrap();
    session.get("scopes").unwrap().write(&mut scopes);
    assert!(scopes.contains("orders:write"), "{scopes}");
}

#[test]
fn challenges_cause_no_refresh_or_retry() {
    for demand in [STRONGER, WIDER] {
        let (world, ..) = demanding(RULE, demand);
        assert_eq!(world.count(REFRESH), 0);
        assert_eq!(world.count(Kind::Call), 1);
    }
}

#[test]
fn step_up_needs_the_rules_option() {
    for demand in [STRONGER, WIDER] {
        let (world, _, call) = demanding("{}", demand);
        assert_eq!(world.status(call), demand.0);
    }
}

#[test]
fn unsatisfiable_challenge_offers_no_login() {
    for demand in [
        (403, r#"Bearer error="insufficient_scope", scope="admin""#),
        (
            403,
            r#"Bearer error="insufficient_scope", scope="orders:write admin""#,
        ),
        (403, r#"Bearer error="insufficient_scope""#),
    ] {
        let (world, _, call) = demanding(RULE, demand);
        assert_eq!(world.code(call), "insufficient_scope", "{demand:?}");
        assert_eq!(world.offered_login(call), None, "{demand:?}");
    }
}

#[test]
fn page_cannot_request_unconfigured_scopes() {
    let (mut world, page) = World::signed_in_with(RULE);
    for scope in ["admin", "orders:write admin", "orders:write\\nadmin"] {
        let members = format!(r#""t":"login","mode":"popup","scope":"{scope}""#);
        let login = world.ask(page, &members);
        world.answer_all();
        assert_eq!(world.code(login), "message_invalid", "{scope}");
    }
}

#[test]
fn repeated_challenge_offers_no_login() {
    for (demand, code) in [
        (STRONGER, "step_up_required"),
        (WIDER, "insufficient_scope"),
    ] {
        for mode in ["popup", "redirect"] {
            let (mut world, page, refused) = demanding(RULE, demand);
            assert_eq!(world.code(refused), code);
            satisfy(&mut world, page, refused, mode);
            let again = call(&mut world, page);
            assert_eq!(world.code(again), "step_up_failed", "{code} {mode}");
            assert_eq!(world.offered_login(again), None);
            // A minute later a login is offered again, because the authentication may have become too old.
            world.advance(Duration::from_secs(60));
            let later = call(&mut world, page);
            assert_eq!(world.code(later), code, "{mode}");
        }
    }
}

#[test]
fn different_challenge_offers_a_login() {
    let (mut world, page, refused) = demanding(RULE, STRONGER);
    satisfy(&mut world, page, refused, "popup");
    world.provider.api_demands = Some(WIDER);
    let other = call(&mut world, page);
    assert_eq!(world.code(other), "insufficient_scope");
}

#[test]
fn unrelated_login_does_not_block_challenges() {
    let (mut world, page) = World::signed_in_with(RULE);
    world.sign_in(page);
    world.provider.api_demands = Some(STRONGER);
    let refused = call(&mut world, page);
    assert_eq!(world.code(refused), "step_up_required");
}

#[test]
fn malformed_challenge_is_delivered() {
    for demand in [
        (
            401,
            r#"Bearer error="insufficient_user_authentication", max_age="soon""#,
        ),
        (401, r#"Basic error="insufficient_user_authentication""#),
        (403, r#"Bearer error="insufficient_scope" scope="a""#),
        (403, r#"Bearer error="insufficient_user_authentication""#),
        (403, ""),
    ] {
        let (world, _, call) = demanding(RULE, demand);
        assert_eq!(world.status(call), demand.0, "{demand:?}");
    }
}

#[test]
fn challenge_for_an_ended_session_is_delivered() {
    let (mut world, page) = World::signed_in_with(RULE);
    world.provider.api_demands = Some(STRONGER);
    world.hold(&[Kind::Call]);
    let call = world.fetch_as(
        page,
        &Fetch {
            url: "https://api.example.com/v1/demanding",
            ..Fetch::default()
        },
    );
    world.sign_in(page);
    world.release();
    assert_eq!(world.status(call), 401);
}
