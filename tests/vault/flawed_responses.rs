//! Token responses whose members are not exactly what RFC 6749 5.1 shows, as only the vault meets them:
//! `tests/both/flawed_responses.rs` has the rest.

use std::time::Duration;

use kit::world::{API, Endpoint, Fault, PageResponse, REFRESH, Request, SEALED, World};
use vault::PortId;

use crate::both::fault_of;
use crate::both::flawed_responses::{UNUSABLE, flaws};

/// Signs a user in at a provider whose response to the code has this flaw.
fn signed_in_despite(flaw: Fault, changes: &str) -> (World, PortId, Request) {
    let mut world = World::with(changes);
    let page = world.open();
    let url = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&url);
    world.provider.fault(Endpoint::Exchange, &[flaw]);
    let callback = world.callback(page, &response);
    world.answer_all();
    (world, page, callback)
}

#[track_caller]
fn assert_call_works(world: &mut World, page: PortId, flaw: Fault) {
    let call = world.fetch(page, "/orders");
    world.advance(Duration::from_secs(1));
    assert_eq!(world.status(call), 200, "{flaw:?}");
}

#[test]
fn device_login_survives_every_flaw_of_an_optional_member() {
    for flaw in flaws().map(fault_of) {
        let mut world = World::with(r#"{"deviceFlow":true}"#);
        world.provider.knows_devices = true;
        let page = world.open();
        let login = world.login(page, "device");
        world.answer_all();
        world.provider.sign_in_on_devices();
        world.provider.fault(Endpoint::PollDevice, &[flaw]);
        world.advance(Duration::from_secs(6));
        if matches!(flaw, Fault::Altered("id_token", _)) {
            assert_eq!(world.code(login), "token_response_invalid", "{flaw:?}");
            continue;
        }
        assert_eq!(
            world.response(login),
            Some(&PageResponse::Done(None)),
            "{flaw:?}"
        );
        assert_call_works(&mut world, page, flaw);
    }
}

#[test]
fn token_of_an_api_survives_every_flaw_of_an_optional_member() {
    let apis = r#"{"scope":"openid offline_access","apis":[
        { "url": "https://api.example.com/v1/", "resource": "urn:orders" }]}"#;
    for flaw in flaws().map(fault_of) {
        let (mut world, page) = World::signed_in_with(apis);
        world.provider.resources = vec!["urn:orders"];
        world.checkers.entry(API).or_default().resource = Some("urn:orders");
        world.provider.fault(Endpoint::Refresh, &[flaw]);
        assert_call_works(&mut world, page, flaw);
        assert_eq!(world.count(REFRESH), 1, "{flaw:?}");
    }
}

fn name(world: &World, page: PortId) -> Option<String> {
    let claims = world.session(page)?.get("claims")?.as_object()?;
    claims.str("name").map(str::to_owned)
}

/// The ID token of such a response is only compared with the session's user.
#[test]
fn claims_of_an_unusable_response_are_not_shown() {
    let changes = r#"{"claims":["sub","name"]}"#;
    for flaw in UNUSABLE.iter().copied().map(fault_of) {
        let (mut world, page) = World::signed_in_with(changes);
        let before = name(&world, page);
        world.expire_access_token();
        world.provider.name = Some("Alice B.");
        world.provider.outage(Endpoint::Refresh, flaw);
        world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(name(&world, page), before, "{flaw:?}");
        world.provider.repair();
        world.advance(Duration::from_secs(5));
        assert_ne!(name(&world, page), before, "{flaw:?}");
    }
}

// claim: end-19
#[test]
fn successor_in_an_unusable_response_is_stored() {
    for flaw in UNUSABLE.iter().copied().map(fault_of) {
        let (mut world, page) = World::signed_in_with(SEALED);
        world.expire_access_token();
        world.provider.outage(Endpoint::Refresh, flaw);
        world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.count(REFRESH), 1, "{flaw:?}");
        world.provider.repair();
        world.restart();
        let page = world.open();
        world.answer_all();
        assert_call_works(&mut world, page, flaw);
        assert_eq!(world.provider.reuses, 0, "{flaw:?}");
    }
}

#[test]
fn waiting_call_ends_with_the_session() {
    let (mut world, page) = World::expired();
    let flaw = Fault::Altered("refresh_token", r#"1,"access_token":null"#);
    world.provider.fault(Endpoint::Refresh, &[flaw]);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.code(call), "session_ended");
    assert_eq!(world.reason(page), Some("expired"));
}

#[test]
fn unusable_members_are_reported_once() {
    let flaw = Fault::Altered("expires_in", "0");
    let (mut world, page, _) = signed_in_despite(flaw, "{}");
    assert_eq!(world.warnings(page), ["token_response_invalid"]);
    let (mut exact, page_of_exact) = World::signed_in();
    assert!(exact.warnings(page_of_exact).is_empty());
    for (world, page) in [(&mut world, page), (&mut exact, page_of_exact)] {
        for _ in 0..2 {
            world.expire_access_token();
            world.provider.fault(Endpoint::Refresh, &[flaw]);
            assert_call_works(world, page, flaw);
        }
        assert_eq!(world.warnings(page), ["token_response_invalid"]);
    }
}

#[test]
fn flaw_is_in_the_message() {
    let flaw = Fault::Altered("id_token", "1");
    let (world, _, callback) = signed_in_despite(flaw, "{}");
    let message = world.error_message(callback);
    assert!(
        message.ends_with("has no ID token: id_token is a number"),
        "{message}"
    );
    let (mut world, page) = World::expired();
    world
        .provider
        .outage(Endpoint::Refresh, Fault::Altered("token_type", r#""mac""#));
    let call = world.fetch(page, "/orders");
    world.advance(Duration::from_secs(30));
    assert_eq!(world.code(call), "token_response_invalid");
    let message = world.error_message(call);
    assert!(message.ends_with("token_type is not Bearer"), "{message}");
}

/// A login does not need this endpoint.
#[test]
fn unusable_optional_endpoint_stops_no_login() {
    for value in [r#""""#, r#""http://id.example.com/out""#, "1", "[]"] {
        let mut world = World::with("{}");
        let name = "pushed_authorization_request_endpoint";
        world.provider.more_metadata = format!(r#","{name}":{value}"#);
        let page = world.open();
        world.sign_in(page);
        let expected: &[&str] = if value == r#""""# {
            &[]
        } else {
            &["metadata_invalid"]
        };
        assert_eq!(world.warnings(page), expected, "{value}");
    }
}
