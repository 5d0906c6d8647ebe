//! Successful refreshes run one at a time. The vault first tries to persist the new tokens. It then adopts them,
//! releases the waiting calls and tells the pages, in this order. These tests also cover the claims that the new ID
//! token may change.

use rules::base::digest::sha256;
use rules::codec::json::{Object, Value};
use vault::Entropy;

use kit::dice::Dice;
use kit::world::{
    Endpoint, Event, Fault, Flaw, KEYS, Kind, PageResponse, REFRESH, REVOKE, Request, World,
};
use vault::PortId;

fn call(world: &mut World, page: PortId) -> Request {
    let call = world.fetch(page, "/orders");
    world.answer_all();
    call
}

fn name(world: &World, page: PortId) -> Option<String> {
    let claims = world.session(page)?.get("claims")?.as_object()?;
    claims.str("name").map(str::to_owned)
}

fn generation(holding: &Value) -> Option<u64> {
    holding.as_object()?.get("generation")?.as_u64()
}

#[test]
fn successor_is_persisted_before_it_is_used() {
    let (mut world, page) = World::expired();
    world.events.clear();
    call(&mut world, page);
    let told = Event::Told(page, "session".to_owned());
    let order = [
        Event::Asked(REFRESH),
        Event::Answered(REFRESH),
        Event::Asked(Kind::Verify),
        Event::Answered(Kind::Verify),
        Event::Asked(Kind::Persist),
        Event::Answered(Kind::Persist),
        Event::Asked(Kind::Call),
        told,
    ];
    assert_eq!(world.events[..order.len()], order);
}

#[test]
fn unpersisted_successor_is_not_used() {
    let (mut world, page) = World::expired();
    world.hold(&[Kind::Persist]);
    world.events.clear();
    call(&mut world, page);
    let is_told = |event: &Event| matches!(event, Event::Told(..) | Event::Asked(Kind::Call));
    assert!(!world.events.iter().any(is_told));
}

#[test]
fn old_token_serves_until_persisted() {
    let (mut world, page) = World::signed_in();
    call(&mut world, page);
    world.advance(std::time::Duration::from_secs(280));
    world.hold(&[Kind::Persist]);
    call(&mut world, page);
    call(&mut world, page);
    assert_eq!(world.outstanding(Kind::Persist), 1);
    let used = |world: &World, i: usize| world.seen_by_api[i].authorization.expose().to_owned();
    assert_eq!(used(&world, 2), used(&world, 0));
    world.release();
    call(&mut world, page);
    let last = world.seen_by_api.len() - 1;
    assert_ne!(used(&world, last), used(&world, 0));
}

#[test]
fn unpersistable_successor_is_still_adopted() {
    let (mut world, page) = World::expired();
    world.persists = false;
    let first = call(&mut world, page);
    world.expire_access_token();
    let second = call(&mut world, page);
    for call in [first, second] {
        assert_eq!(world.status(call), 200);
    }
    assert_eq!(world.provider.reuses, 0);
}

// claim: network-3
#[test]
fn each_refresh_sends_the_latest_token() {
    let (mut world, page) = World::signed_in();
    for _ in 0..5 {
        world.expire_access_token();
        let call = call(&mut world, page);
        assert_eq!(world.status(call), 200);
    }
    let mut sent = world.refresh_tokens_sent_to(Endpoint::Refresh).to_vec();
    sent.dedup();
    assert_eq!(sent.len(), 5);
    assert_eq!(world.provider.reuses, 0);
}

// claim: network-3
#[test]
#[should_panic(expected = "that it knows to be consumed")]
fn world_notices_consumed_tokens() {
    let (mut world, page) = World::expired();
    world.count_all_as_consumed();
    world.fetch(page, "/orders");
}

#[test]
fn old_refresh_token_stays_without_rotation() {
    let (mut world, page) = World::signed_in();
    world.provider.rotates = false;
    for _ in 0..3 {
        world.expire_access_token();
        let call = call(&mut world, page);
        assert_eq!(world.status(call), 200);
    }
    let mut sent = world.refresh_tokens_sent_to(Endpoint::Refresh).to_vec();
    assert_eq!(sent.len(), 3);
    sent.dedup();
    assert_eq!(sent.len(), 1);
}

#[test]
fn every_page_is_told_of_the_renewed_session() {
    let (mut world, page) = World::signed_in();
    let other = world.open();
    let expires_at = |world: &World, page| {
        let session = world.session(page).unwrap();
        session
            .get("accessTokenExpiresAt")
            .unwrap()
            .as_u64()
            .unwrap()
    };
    let before = expires_at(&world, page);
    world.expire_access_token();
    call(&mut world, page);
    for page in [page, other] {
        assert_eq!(expires_at(&world, page), before + 300_000);
    }
}

#[test]
fn refreshed_id_token_brings_new_claims() {
    let (mut world, page) = World::expired();
    world.provider.name = Some("Alice Liddell");
    call(&mut world, page);
    assert_eq!(name(&world, page).as_deref(), Some("Alice Liddell"));
}

#[test]
fn claims_missing_after_a_refresh_stay() {
    let (mut world, page) = World::expired();
    world.provider.name = None;
    call(&mut world, page);
    assert_eq!(name(&world, page).as_deref(), Some("Alice"));
}

#[test]
fn refresh_without_an_id_token_leaves_the_claims() {
    let (mut world, page) = World::expired();
    world.provider.id_token_on_refresh = false;
    let call = call(&mut world, page);
    assert_eq!(world.status(call), 200);
    assert_eq!(name(&world, page).as_deref(), Some("Alice"));
}

#[test]
fn invalid_refreshed_id_token_changes_no_claim() {
    for flaw in [
        Flaw::Signature,
        Flaw::UnknownKey,
        Flaw::Claim("aud", "another-client".into()),
        Flaw::Claim("nonce", "another".into()),
        Flaw::Claim("exp", 1_700_000_000_u64.into()),
        Flaw::Claim("auth_time", 1_700_000_000_u64.into()),
    ] {
        let (mut world, page) = World::expired();
        world.provider.name = Some("Mallory");
        world.provider.flaw = Some(flaw.clone());
        let first = call(&mut world, page);
        assert_eq!(world.status(first), 200, "{flaw:?}");
        assert_eq!(name(&world, page).as_deref(), Some("Alice"), "{flaw:?}");
        world.provider.flaw = None;
        world.expire_access_token();
        let second = call(&mut world, page);
        assert_eq!(world.status(second), 200, "{flaw:?}");
        assert_eq!(name(&world, page).as_deref(), Some("Mallory"), "{flaw:?}");
    }
}

#[test]
fn refreshed_id_token_may_use_a_new_key() {
    let (mut world, page) = World::expired();
    world.provider.signing_key = 1;
    world.provider.published_keys = vec![0, 1];
    world.provider.name = Some("Alice Liddell");
    call(&mut world, page);
    assert_eq!(name(&world, page).as_deref(), Some("Alice Liddell"));
    assert_eq!(world.count(KEYS), 2);
}

#[test]
fn unavailable_keys_do_not_stop_refreshes() {
    for fault in [Fault::LostBefore, Fault::Status(500), Fault::Silence] {
        let (mut world, page) = World::expired();
        world.provider.signing_key = 1;
        world.provider.name = Some("Mallory");
        world.provider.outage(Endpoint::Keys, fault);
        let call = world.fetch(page, "/orders");
        world.advance(std::time::Duration::from_secs(10));
        assert_eq!(world.status(call), 200, "{fault:?}");
        assert_eq!(name(&world, page).as_deref(), Some("Alice"), "{fault:?}");
    }
}

// claim: provider-5, end-21
#[test]
fn refreshed_tokens_of_another_user_are_revoked() {
    for (claim, value) in [("sub", "mallory"), ("iss", "https://evil.example")] {
        let (mut world, page) = World::expired();
        let other = world.open();
        world.provider.flaw = Some(Flaw::Claim(claim, value.into()));
        let call = call(&mut world, page);
        assert_eq!(world.code(call), "session_ended", "{claim}");
        for page in [page, other] {
            assert!(world.session(page).is_none());
            assert_eq!(world.reason(page), Some("security"), "{claim}");
        }
        assert!(world.provider.has_revoked_everything(), "{claim}");
        assert_eq!(world.count(Kind::Call), 0, "{claim}");
    }
}

// claim: provider-5
#[test]
fn unsigned_user_change_is_ignored() {
    let (mut world, page) = World::expired();
    world.provider.subject = "mallory".to_owned();
    world.provider.flaw = Some(Flaw::Signature);
    let call = call(&mut world, page);
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(REVOKE), 0);
}

#[test]
fn fingerprint_is_the_start_of_a_salted_hash() {
    let (mut world, page) = World::signed_in_with(r#"{"inspect":true}"#);
    call(&mut world, page);
    let inspection = world.ask(page, r#""t":"inspect""#);
    let Some(PageResponse::Inspection(holdings)) = world.response(inspection) else {
        panic!("no inspection");
    };
    let holding = holdings[0].as_object().unwrap();
    let authorization = world.seen_by_api[0].authorization.expose();
    let token = authorization.strip_prefix("Bearer ").unwrap();
    // The salt consists of the first random bytes that the vault received.
    let mut salted = vec![0; 16];
    Dice::new(1).fill(&mut salted);
    salted.extend_from_slice(token.as_bytes());
    let hash = sha256(&salted);
    let digits: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(holding.str("fingerprint"), Some(&*digits));
}

#[test]
fn inspector_timeline_names_the_new_generation() {
    let (mut world, page) = World::signed_in_with(r#"{"inspect":true}"#);
    world.expire_access_token();
    call(&mut world, page);
    let traces = world.page(page).of_type("trace");
    let completed = traces.filter(|trace| trace.str("event") == Some("refresh_completed"));
    let generations: Vec<_> = completed
        .map(|trace| trace.get("generation").cloned())
        .collect();
    let generations: Vec<_> = generations.iter().flatten().map(Value::as_u64).collect();
    assert_eq!(generations, [Some(2)]);
}

#[test]
fn inspector_sees_generations_and_fingerprints() {
    let (mut world, page) = World::signed_in_with(r#"{"inspect":true}"#);
    let holdings = |world: &mut World| {
        let inspection = world.ask(page, r#""t":"inspect""#);
        match world.response(inspection) {
            Some(PageResponse::Inspection(holdings)) => holdings.clone(),
            other => panic!("no inspection but {other:?}"),
        }
    };
    let fingerprint = |holding: &Value| {
        let object: &Object = holding.as_object().unwrap();
        object.str("fingerprint").unwrap().to_owned()
    };
    let before = holdings(&mut world);
    world.expire_access_token();
    call(&mut world, page);
    let after = holdings(&mut world);
    // The first two entries are the access token and the refresh token. The ID token has no generation.
    for i in [0, 1] {
        assert_eq!(generation(&before[i]), Some(1));
        assert_eq!(generation(&after[i]), Some(2));
        assert_ne!(fingerprint(&before[i]), fingerprint(&after[i]));
    }
    let number = |holding: &Value, name| holding.as_object()?.get(name)?.as_u64();
    let since = |holding: &Value| number(holding, "since");
    let lifetime = |holding: &Value| Some(number(holding, "expiresAt")? - since(holding)?);
    assert_eq!(lifetime(&after[0]), Some(300_000));
    assert_eq!(lifetime(&after[1]), None);
    for i in [0, 1, 2] {
        assert!(
            since(&before[i]) < since(&after[i]),
            "holding {i} is as old as ever"
        );
    }
    world.provider.id_token_on_refresh = false;
    world.expire_access_token();
    call(&mut world, page);
    let latest = holdings(&mut world);
    assert!(since(&latest[1]) > since(&after[1]));
    assert_eq!(since(&latest[2]), since(&after[2]));
}
