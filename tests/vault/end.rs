//! A session ends exactly at its limits, whatever the clocks do, and all pages are told of the end.

use std::time::Duration;

use kit::world::{Endpoint, Fetch, Kind, QUIET, REFRESH, REFRESH_STAGES, REVOKE, World};
use rules::base::clock::Millis;
use vault::PortId;

const IDLE: Duration = Duration::from_secs(1800);
const ABSOLUTE: Duration = Duration::from_secs(43_200);
const SECOND: Duration = Duration::from_secs(1);

/// Lets this time pass, and makes the user active every quarter of an hour.
fn be_active(world: &mut World, page: PortId, for_how_long: Duration) {
    const QUARTER: Duration = Duration::from_secs(900);
    let mut left = for_how_long;
    while left > QUARTER {
        world.advance(QUARTER);
        left -= QUARTER;
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200);
    }
    world.advance(left);
}

fn poll(world: &mut World, page: PortId) {
    let fetch = Fetch {
        background: true,
        ..Fetch::default()
    };
    let call = world.fetch_as(page, &fetch);
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

#[test]
fn session_ends_at_the_idle_limit() {
    let (mut world, page) = World::signed_in();
    let other = world.open();
    world.advance(IDLE - SECOND);
    assert!(world.session(page).is_some());
    world.advance(SECOND);
    for page in [page, other] {
        assert!(world.session(page).is_none());
        assert_eq!(world.reason(page), Some("idle"));
    }
    assert!(world.provider.has_revoked_everything());
}

#[test]
fn call_restarts_the_idle_time() {
    let (mut world, page) = World::signed_in();
    world.advance(IDLE - SECOND);
    world.fetch(page, "/orders");
    world.advance(IDLE - SECOND);
    assert!(world.session(page).is_some());
    world.advance(SECOND);
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn poll_is_not_activity() {
    let (mut world, page) = World::signed_in();
    for _ in 0..17 {
        world.advance(Duration::from_secs(100));
        poll(&mut world, page);
    }
    world.advance(Duration::from_secs(100));
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn refused_call_is_not_activity() {
    let (mut world, page) = World::signed_in();
    world.advance(IDLE - SECOND);
    let fetch = Fetch {
        url: "https://evil.example/",
        ..Fetch::default()
    };
    let call = world.fetch_as(page, &fetch);
    assert_eq!(world.code(call), "url_not_allowed");
    world.advance(SECOND);
    assert_eq!(world.reason(page), Some("idle"));
}

// claim: script-29
#[test]
fn session_ends_at_the_absolute_limit() {
    let (mut world, page) = World::signed_in();
    be_active(&mut world, page, ABSOLUTE - SECOND);
    assert!(world.session(page).is_some());
    world.advance(SECOND);
    assert_eq!(world.reason(page), Some("absolute"));
    assert!(world.provider.has_revoked_everything());
}

#[test]
fn configured_limits_apply() {
    let limits = r#"{"session":{"idle":60,"absolute":100}}"#;
    let (mut world, page) = World::signed_in_with(limits);
    world.advance(Duration::from_secs(59));
    world.fetch(page, "/orders");
    world.advance(Duration::from_secs(40));
    assert!(world.session(page).is_some());
    world.advance(SECOND);
    assert_eq!(world.reason(page), Some("absolute"));
}

#[test]
fn session_ends_during_sleep() {
    for (limits, reason) in [
        (r#"{"session":{"idle":1800}}"#, "idle"),
        (r#"{"session":{"idle":1800,"absolute":1800}}"#, "absolute"),
    ] {
        let (mut world, page) = World::signed_in_with(limits);
        world.sleep(IDLE - SECOND);
        assert!(world.session(page).is_some());
        world.sleep(SECOND);
        assert_eq!(world.reason(page), Some(reason));
    }
}

#[test]
fn sleep_and_waking_add_up() {
    let (mut world, page) = World::signed_in();
    world.advance(IDLE / 2);
    world.sleep(IDLE / 2);
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn limit_applies_before_its_timer() {
    let (mut world, page) = World::signed_in();
    world.set_clock_by(1800);
    let call = world.fetch(page, "/orders");
    assert_eq!(world.code(call), "login_required");
    assert_eq!(world.reason(page), Some("idle"));
    assert_eq!(world.count(Kind::Call), 0);
}

// claim: device-3
#[test]
fn clock_set_back_extends_nothing() {
    let (mut world, page) = World::signed_in();
    world.set_clock_by(-86_400);
    world.advance(IDLE);
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn session_ends_with_its_only_token() {
    let mut world = World::new();
    world.provider.issues_refresh_tokens = false;
    let page = world.open();
    world.sign_in(page);
    world.advance(Duration::from_secs(299));
    assert!(world.session(page).is_some());
    world.advance(SECOND);
    assert_eq!(world.reason(page), Some("expired"));
    assert_eq!((world.count(REFRESH), world.count(REVOKE)), (0, 0));
}

#[test]
fn limit_during_refresh_revokes_the_successor() {
    for &stage in REFRESH_STAGES {
        let limits = r#"{"session":{"idle":301}}"#;
        let (mut world, page) = World::signed_in_with(limits);
        world.expire_access_token();
        world.hold(&[stage]);
        let fetch = Fetch {
            background: true,
            ..Fetch::default()
        };
        let call = world.fetch_as(page, &fetch);
        world.answer_all();
        if stage == REFRESH {
            world.act(REFRESH);
        }
        world.advance(SECOND);
        assert_eq!(world.code(call), "session_ended", "{stage:?}");
        assert_eq!(world.reason(page), Some("idle"), "{stage:?}");
        world.release();
        assert!(world.provider.has_revoked_everything(), "{stage:?}");
    }
}

/// A browser fires the timers of a background tab once a minute, or later.
// claim: end-26
#[test]
fn late_timers_extend_neither_tokens_nor_sessions() {
    let (mut world, page) = World::signed_in();
    world.pass(Millis::from(world.provider.lifetime));
    let call = world.fetch(page, "/orders");
    world.advance(QUIET);
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(REFRESH), 1);
    world.pass(Millis::from(IDLE));
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.code(call), "login_required");
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn login_works_after_a_limit() {
    let (mut world, page) = World::signed_in();
    world.advance(IDLE);
    assert!(world.session(page).is_none());
    world.sign_in(page);
    assert!(world.session(page).is_some());
    assert_eq!(world.reason(page), None);
}

#[test]
fn later_pages_get_the_end_reason() {
    let (mut world, _) = World::signed_in();
    world.advance(IDLE);
    let later = world.open();
    assert!(world.session(later).is_none());
    assert_eq!(world.reason(later), Some("idle"));
}

#[test]
fn ended_session_is_not_refreshed() {
    let (mut world, page) = World::expired();
    world
        .provider
        .outage(Endpoint::Refresh, kit::world::Fault::LostBefore);
    world.fetch(page, "/orders");
    world.advance(Duration::from_secs(5));
    world.logout(page);
    let before = world.count(REFRESH);
    world.advance(Duration::from_secs(600));
    world.wake();
    assert_eq!(world.count(REFRESH), before);
}
