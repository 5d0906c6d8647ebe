//! Token responses whose members are not exactly what RFC 6749 5.1 shows. The usable tokens in them are used: otherwise
//! the vault would send a refresh token that the provider has already consumed, and the session would end.

use std::time::Duration;

use kit::flaws::{is_absent, of_optional_members};
use kit::world::{
    API, Endpoint, Fault, Flaw, PageResponse, REFRESH, Request, SEALED, STORAGES, World,
};
use vault::PortId;

/// The flaws of optional members, the type of tokens in another case, and a response with status 201.
fn flaws() -> impl Iterator<Item = Fault> {
    let of_members = of_optional_members().map(|(name, value)| Fault::Altered(name, value));
    let others = [
        Fault::Altered("token_type", r#""bearer""#),
        Fault::AsStatus(201),
    ];
    of_members.chain(others)
}

/// Returns true if the flaw costs the refresh token.
fn loses_refresh_token(flaw: Fault) -> bool {
    matches!(flaw, Fault::Altered("refresh_token", value) if !is_absent(value))
}

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
fn login_survives_every_flaw_of_an_optional_member() {
    for flaw in flaws() {
        let (mut world, page, callback) = signed_in_despite(flaw, "{}");
        if matches!(flaw, Fault::Altered("id_token", _)) {
            assert_eq!(world.code(callback), "token_response_invalid", "{flaw:?}");
            continue;
        }
        assert_call_works(&mut world, page, flaw);
        // The session has a refresh token if the response had a usable one.
        world.expire_access_token();
        let call = world.fetch(page, "/orders");
        world.answer_all();
        if matches!(flaw, Fault::Altered("refresh_token", _)) {
            assert_eq!(world.code(call), "login_required", "{flaw:?}");
            assert_eq!(world.reason(page), Some("expired"), "{flaw:?}");
        } else {
            assert_eq!(world.status(call), 200, "{flaw:?}");
        }
    }
}

#[test]
fn refresh_survives_every_flaw_of_an_optional_member() {
    for storage in STORAGES {
        for flaw in flaws() {
            let (mut world, page) = World::signed_in_with(storage);
            world.expire_access_token();
            world.provider.fault(Endpoint::Refresh, &[flaw]);
            assert_call_works(&mut world, page, flaw);
            assert_eq!(world.count(REFRESH), 1, "{flaw:?}");
            world.expire_access_token();
            let call = world.fetch(page, "/orders");
            world.answer_all();
            if loses_refresh_token(flaw) {
                assert_eq!(world.reason(page), Some("expired"), "{storage} {flaw:?}");
                assert_eq!(world.count(REFRESH), 1, "{flaw:?}");
            } else if matches!(flaw, Fault::Altered("refresh_token", _)) {
                // This provider rotates, although its response says nothing about it.
                assert_eq!(world.count(REFRESH), 2, "{flaw:?}");
            } else {
                assert_eq!(world.status(call), 200, "{storage} {flaw:?}");
                assert_eq!(world.count(REFRESH), 2, "{flaw:?}");
            }
        }
    }
}

#[test]
fn device_login_survives_every_flaw_of_an_optional_member() {
    for flaw in flaws() {
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
    for flaw in flaws() {
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

/// The flaws that make the access token unusable.
const UNUSABLE: &[Fault] = &[
    Fault::Altered("access_token", "null"),
    Fault::Altered("access_token", r#""""#),
    Fault::Altered("access_token", "1"),
    Fault::Altered("access_token", r#""a b""#),
    Fault::Altered("access_token", r#""\ud800""#),
    Fault::Altered("token_type", r#""mac""#),
    Fault::Altered("token_type", "1"),
    Fault::Altered("error", r#""server_error""#),
];

#[test]
fn successor_in_an_unusable_response_is_used() {
    for storage in STORAGES {
        for &flaw in UNUSABLE {
            let (mut world, page) = World::signed_in_with(storage);
            world.expire_access_token();
            world.provider.fault(Endpoint::Refresh, &[flaw]);
            let call = world.fetch(page, "/orders");
            world.advance(Duration::from_secs(5));
            assert_eq!(world.status(call), 200, "{storage} {flaw:?}");
            assert_eq!(world.count(REFRESH), 2, "{storage} {flaw:?}");
            assert_eq!(world.provider.reuses, 0, "{storage} {flaw:?}");
        }
    }
}

#[test]
fn successor_of_another_user_ends_the_session() {
    for storage in STORAGES {
        for &flaw in UNUSABLE {
            for (claim, value) in [("sub", "mallory"), ("iss", "https://evil.example")] {
                let (mut world, page) = World::signed_in_with(storage);
                world.expire_access_token();
                world.provider.flaw = Some(Flaw::Claim(claim, value.into()));
                world.provider.fault(Endpoint::Refresh, &[flaw]);
                let call = world.fetch(page, "/orders");
                world.advance(Duration::from_secs(5));
                assert_eq!(world.code(call), "session_ended", "{storage} {flaw:?}");
                assert_eq!(world.reason(page), Some("security"), "{claim} {flaw:?}");
                assert_eq!(world.count(REFRESH), 1, "{claim} {flaw:?}");
                assert!(world.provider.has_revoked_everything(), "{flaw:?}");
            }
        }
    }
}

/// The ID token of such a response is only compared with the session's user.
#[test]
fn claims_of_an_unusable_response_are_not_shown() {
    let changes = r#"{"claims":["sub","name"]}"#;
    for &flaw in UNUSABLE {
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

#[test]
fn successor_in_an_unusable_response_is_stored() {
    for &flaw in UNUSABLE {
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
fn access_token_stays_in_use_after_an_unusable_response() {
    for storage in STORAGES {
        let (mut world, page) = World::signed_in_with(storage);
        world.advance(Duration::from_secs(275));
        let flaw = Fault::Altered("token_type", r#""mac""#);
        world.provider.outage(Endpoint::Refresh, flaw);
        for _ in 0..10 {
            world.fetch(page, "/orders");
            world.advance(Duration::from_secs(1));
        }
        // This provider's API accepts only the newest token, which the vault does not have.
        let seen = world.seen_by_api.iter();
        let mut sent: Vec<&str> = seen.map(|request| request.authorization.expose()).collect();
        assert!(sent.len() >= 10, "{storage}");
        sent.dedup();
        assert_eq!(sent.len(), 1, "{storage}");
        assert!(world.session(page).is_some());
        // The refresh is tried again at the usual intervals, and not at once.
        let attempts = world.count(REFRESH);
        assert!((2..=6).contains(&attempts), "{storage}: {attempts}");
        assert_eq!(world.provider.reuses, 0);
    }
}

#[test]
fn session_ends_with_its_access_token_if_no_token_is_usable() {
    for storage in STORAGES {
        let (mut world, page) = World::signed_in_with(storage);
        world.advance(Duration::from_secs(275));
        // The response has neither an access token nor a refresh token that is usable.
        let flaw = Fault::Altered("refresh_token", r#"1,"access_token":null,"x":1"#);
        world.provider.fault(Endpoint::Refresh, &[flaw]);
        world.fetch(page, "/orders");
        world.answer_all();
        assert!(world.warnings(page).contains(&"refresh_token_missing"));
        assert!(world.session(page).is_some());
        world.advance(Duration::from_secs(30));
        assert_eq!(world.reason(page), Some("expired"));
        assert_eq!(world.count(REFRESH), 1);
        assert_eq!(world.provider.reuses, 0);
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
fn strict_rules_stay_strict() {
    // Another type of tokens, and an ID token that is not valid.
    for (flaw, code) in [
        (
            Fault::Altered("token_type", r#""mac""#),
            "token_response_invalid",
        ),
        (Fault::Altered("id_token", r#""a.b.c""#), "id_token_invalid"),
        (
            Fault::Altered("access_token", "1"),
            "token_response_invalid",
        ),
    ] {
        let (world, page, callback) = signed_in_despite(flaw, "{}");
        assert_eq!(world.code(callback), code, "{flaw:?}");
        assert!(world.session(page).is_none());
    }
    // Without a type of tokens, it is not known that a token is bound.
    let bound = r#"{"dpop":true}"#;
    for value in ["null", r#""""#] {
        let flaw = Fault::Altered("token_type", value);
        let (world, _, callback) = signed_in_despite(flaw, bound);
        assert_eq!(world.code(callback), "token_response_invalid", "{value}");
    }
    // A client that refuses other scopes needs to know the granted ones.
    for value in ["[]", "1", "{}", r#""\u0007""#, r#""\ud800""#] {
        let flaw = Fault::Altered("scope", value);
        let refusing = r#"{"unrequestedScopes":"refuse"}"#;
        let (world, _, callback) = signed_in_despite(flaw, refusing);
        assert_eq!(world.code(callback), "token_response_invalid", "{value}");
        assert!(world.error_message(callback).contains("scope"), "{value}");
    }
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
