//! Activity of the user extends the session and keeps its tokens fresh. Background requests have neither effect.

use std::time::Duration;

use kit::world::{Fetch, Kind, REFRESH, Request, World};
use vault::{Body, PortId};

const ACTIVE: &str = r#"{"t":"active"}"#;

fn warnings(world: &World, page: PortId) -> Vec<u64> {
    let messages = world.page(page).of_type("expiring");
    messages
        .map(|message| message.get("at").unwrap().as_u64().unwrap())
        .collect()
}

#[test]
fn active_user_is_not_idle() {
    let (mut world, page) = World::signed_in();
    for _ in 0..6 {
        world.advance(Duration::from_secs(1700));
        world.say(page, ACTIVE);
    }
    assert!(world.session(page).is_some());
    world.advance(Duration::from_secs(1800));
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn activity_does_not_extend_the_absolute_limit() {
    let (mut world, page) = World::signed_in();
    for _ in 0..432 {
        world.say(page, ACTIVE);
        world.advance(Duration::from_secs(100));
    }
    assert_eq!(world.reason(page), Some("absolute"));
}

#[test]
fn activity_does_not_revive_an_ended_session() {
    let (mut world, page) = World::signed_in();
    world.sleep_unnoticed(Duration::from_secs(1800));
    world.say(page, ACTIVE);
    world.answer_all();
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn poll_is_not_activity() {
    let (mut world, page) = World::signed_in();
    for _ in 0..18 {
        world.advance(Duration::from_secs(100));
        let poll = Fetch {
            background: true,
            ..Fetch::default()
        };
        world.fetch_as(page, &poll);
        world.answer_all();
    }
    assert_eq!(world.reason(page), Some("idle"));
}

/// Returns an upload that its user began.
fn upload() -> Fetch<'static> {
    Fetch {
        method: "POST",
        ..Fetch::default()
    }
}

/// Signs in, and sends `fetch`, whose response does not begin for two hours, and then does not end.
fn waits_two_hours(fetch: &Fetch<'_>) -> (World, PortId, Request) {
    let (mut world, page) = World::signed_in();
    world.hold(&[Kind::Call, Kind::ResponseBody]);
    let call = world.fetch_as(page, fetch);
    for _ in 0..120 {
        world.advance(Duration::from_secs(60));
        world.answer_all();
    }
    (world, page, call)
}

#[test]
fn upload_is_activity_until_its_response() {
    for body in [Body::OneShot, Body::Replayable] {
        let (mut world, page, call) = waits_two_hours(&Fetch { body, ..upload() });
        assert_eq!(world.reason(page), None, "{body:?}");
        world.unhold_kind(Kind::Call);
        world.answer_all();
        assert!(world.response(call).is_some(), "{body:?}");
        world.advance(Duration::from_secs(1700));
        assert!(world.session(page).is_some(), "{body:?}");
        world.advance(Duration::from_secs(100));
        assert_eq!(world.reason(page), Some("idle"), "{body:?}");
    }
}

// claim: script-29
#[test]
fn upload_does_not_extend_the_absolute_limit() {
    let (mut world, page) = World::signed_in();
    world.hold(&[Kind::Call]);
    world.fetch_as(page, &upload());
    world.advance(Duration::from_secs(43_200));
    assert_eq!(world.reason(page), Some("absolute"));
}

#[test]
fn download_and_background_upload_are_not_activity() {
    for fetch in [
        Fetch::default(),
        Fetch {
            background: true,
            ..upload()
        },
    ] {
        let (world, page, _) = waits_two_hours(&fetch);
        assert_eq!(world.reason(page), Some("idle"), "{}", fetch.method);
    }
}

#[test]
fn upload_keeps_the_refresh_token_in_use() {
    let (world, _, _) = waits_two_hours(&upload());
    assert!(world.count(REFRESH) >= 20, "{}", world.count(REFRESH));
}

#[test]
fn device_that_slept_during_an_upload_has_an_idle_user() {
    let (mut world, page) = World::signed_in();
    world.hold(&[Kind::Call]);
    world.fetch_as(page, &upload());
    world.sleep_unnoticed(Duration::from_secs(1800));
    world.wake();
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn upload_of_a_replaced_session_is_not_activity() {
    let (mut world, page) = World::signed_in();
    world.hold(&[Kind::Call]);
    world.fetch_as(page, &upload());
    world.sign_in(page);
    world.advance(Duration::from_secs(1800));
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn token_is_renewed_early_for_active_users() {
    let (mut world, page) = World::signed_in();
    world.advance(Duration::from_secs(275));
    world.say(page, ACTIVE);
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
    world.say(page, ACTIVE);
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn token_is_not_renewed_for_absent_users() {
    let (mut world, page) = World::signed_in();
    world.advance(Duration::from_secs(1700));
    assert_eq!(world.count(REFRESH), 0);
    assert!(world.session(page).is_some());
}

#[test]
fn pages_are_warned_once_ahead_of_the_end() {
    let (mut world, page) = World::signed_in();
    let began = world.now.wall;
    world.advance(Duration::from_secs(1739));
    assert_eq!(warnings(&world, page), [0; 0]);
    world.advance(Duration::from_secs(1));
    assert_eq!(warnings(&world, page), [began + 1_800_000]);
    world.advance(Duration::from_secs(59));
    assert_eq!(warnings(&world, page).len(), 1);
    world.advance(Duration::from_secs(1));
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn active_user_is_warned_again_later() {
    let (mut world, page) = World::signed_in();
    world.advance(Duration::from_secs(1750));
    let sessions = |world: &World| world.page(page).of_type("session").count();
    let before = sessions(&world);
    world.say(page, ACTIVE);
    world.answer_all();
    assert!(
        sessions(&world) > before,
        "nobody says that the end is put off"
    );
    assert_eq!(warnings(&world, page).len(), 1);
    world.advance(Duration::from_secs(1740));
    assert_eq!(warnings(&world, page).len(), 2);
}

#[test]
fn pages_are_warned_of_the_absolute_limit() {
    let (mut world, page) = World::signed_in_with(r#"{"session":{"idle":600,"absolute":600}}"#);
    let began = world.now.wall;
    for _ in 0..6 {
        world.advance(Duration::from_secs(90));
        world.say(page, ACTIVE);
    }
    assert_eq!(warnings(&world, page), [began + 600_000]);
}

#[test]
fn warns_a_tenth_of_idle_limit_ahead() {
    let (mut world, page) = World::signed_in_with(r#"{"session":{"idle":100}}"#);
    world.advance(Duration::from_secs(89));
    assert_eq!(warnings(&world, page), [0; 0]);
    world.advance(Duration::from_secs(1));
    assert_eq!(warnings(&world, page).len(), 1);
}

#[test]
fn pages_hear_nothing_between_warning_and_end() {
    let (mut world, page) = World::signed_in();
    world.advance(Duration::from_secs(1741));
    let before = world.page(page).messages.len();
    for _ in 0..5 {
        world.advance(Duration::from_secs(2));
        world.wake();
    }
    assert_eq!(world.page(page).messages.len(), before);
}

/// Returns the number of calls that waited for a token during ten minutes in which the user was active every fifteen
/// seconds. `lifetime` is the lifetime of access tokens in seconds.
fn calls_that_waited(lifetime: u64) -> usize {
    let mut world = World::new();
    world.provider.lifetime = Duration::from_secs(lifetime);
    let page = world.open();
    world.sign_in(page);
    let mut waited = 0;
    for second in 0..600 {
        if second % 15 == 0 {
            world.say(page, ACTIVE);
            world.answer_all();
        }
        world.advance(Duration::from_secs(1));
        if second % 67 != 66 {
            continue;
        }
        let poll = Fetch {
            background: true,
            ..Fetch::default()
        };
        world.hold(&[REFRESH]);
        let call = world.fetch_as(page, &poll);
        world.answer_all();
        waited += usize::from(world.response(call).is_none());
        world.release();
    }
    waited
}

#[test]
fn short_lived_tokens_renew_for_active_users() {
    for lifetime in [30, 45, 60, 120, 149, 150, 300] {
        assert_eq!(calls_that_waited(lifetime), 0, "{lifetime} s");
    }
}

#[test]
fn absent_users_renew_no_short_lived_tokens() {
    let mut world = World::new();
    world.provider.lifetime = Duration::from_secs(30);
    let page = world.open();
    world.sign_in(page);
    world.advance(Duration::from_secs(1700));
    assert_eq!(world.count(REFRESH), 0);
}

#[test]
fn tokens_of_seconds_wait_for_a_call() {
    let mut world = World::new();
    world.provider.lifetime = Duration::from_secs(29);
    let page = world.open();
    world.sign_in(page);
    for _ in 0..4 {
        world.advance(Duration::from_secs(15));
    }
    assert_eq!(world.count(REFRESH), 0);
}
