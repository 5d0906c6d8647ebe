//! Tests of writing to the shared store. A change during a write is written after that write, and a failed write is
//! repeated.

use std::time::Duration;

use super::keeping::{SEALED, head, two_vaults_with};
use kit::world::{Kind, REFRESH, World};
use vault::PortId;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn subject(world: &World, page: PortId) -> Option<String> {
    let claims = world.session(page)?.get("claims")?.as_object()?;
    claims.str("sub").map(str::to_owned)
}

fn two_vaults_without_session() -> (World, PortId, PortId) {
    let mut world = World::with(SEALED);
    let page = world.open();
    let vault = world.add_vault();
    let other_page = world.open_in(vault);
    world.answer_all();
    (world, page, other_page)
}

#[test]
fn login_during_a_write_is_written_next() {
    let mut world = World::with(SEALED);
    let page = world.open();
    let responses = ["alice", "bob"].map(|user| {
        let address = world.begin_login(page, "popup");
        world.provider.subject = user.to_owned();
        world.provider.sign_in(&address)
    });
    world.hold(&[Kind::Persist]);
    for response in &responses {
        world.callback(page, response);
        world.answer_all();
    }
    assert_eq!(world.outstanding(Kind::Persist), 1);
    world.release();
    world.restart();
    let page = world.open();
    world.answer_all();
    assert_eq!(subject(&world, page).as_deref(), Some("bob"));
}

#[test]
fn logout_during_a_write_is_written_next() {
    let (mut world, page) = World::signed_in_with(SEALED);
    world.expire_access_token();
    world.hold(&[Kind::Persist]);
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.outstanding(Kind::Persist), 1);
    world.logout(page);
    world.answer_all();
    world.release();
    world.restart();
    let page = world.open();
    world.answer_all();
    assert_eq!(world.reason(page), Some("logged_out"));
}

#[test]
fn activity_during_a_write_is_written_next() {
    let config = r#"{"session":{"persist":"sealed"},"requestTimeout":120}"#;
    let (mut world, page, other_page) = two_vaults_with(config);
    world.advance(secs(100));
    world.fetch(page, "/orders");
    world.hold(&[Kind::Persist]);
    world.advance(secs(16));
    assert_eq!(world.outstanding(Kind::Persist), 1);
    world.fetch(page, "/orders");
    world.advance(secs(16));
    let before = world.count(Kind::Persist);
    world.release();
    assert_eq!(world.count(Kind::Persist), before + 1);
    assert!(world.session(other_page).is_some());
}

#[test]
fn failed_writes_are_tried_less_and_less_often() {
    let (mut world, page) = World::signed_in_with(SEALED);
    world.store.is_full = true;
    world.fetch(page, "/orders");
    world.advance(secs(16));
    let before = world.count(Kind::Persist);
    world.advance(secs(600));
    let more = world.count(Kind::Persist) - before;
    assert!((5..=20).contains(&more), "{more}");
}

#[test]
fn failed_reads_are_tried_less_and_less_often() {
    let mut world = World::with(SEALED);
    world.store.is_unavailable = true;
    world.open();
    world.answer_all();
    let before = world.count(Kind::Load);
    world.advance(secs(600));
    let more = world.count(Kind::Load) - before;
    assert!((5..=20).contains(&more), "{more}");
}

#[test]
fn idle_end_does_not_wait_for_a_hanging_store() {
    let config = r#"{"session":{"persist":"sealed","idle":60},"requestTimeout":120}"#;
    let (mut world, page) = World::signed_in_with(config);
    world.hold(&[Kind::Persist]);
    world.fetch(page, "/orders");
    world.advance(secs(59));
    assert_eq!(world.outstanding(Kind::Persist), 1);
    world.hold(&[Kind::Load]);
    assert!(world.session(page).is_some());
    world.advance(secs(5));
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn lock_is_released_if_activity_cannot_be_written() {
    let (mut world, page) = World::signed_in_with(SEALED);
    world.store.is_full = true;
    world.fetch(page, "/orders");
    let writes = world.count(Kind::Persist);
    world.advance(secs(16));
    assert!(world.count(Kind::Persist) > writes);
    assert_eq!(world.lock_holder(), None);
}

#[test]
fn lock_is_kept_until_login_replaces_revoked_session() {
    let (mut world, page) = World::signed_in_with(SEALED);
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    world.hold(&[Kind::Lock]);
    world.logout(page);
    world.callback(page, &response);
    world.answer_all();
    // The store still has the session that was logged out, because it rejects the write.
    world.store.is_full = true;
    world.release();
    assert_eq!(world.lock_holder(), Some(0));
    world.store.is_full = false;
    world.advance(secs(120));
    assert_eq!(world.lock_holder(), None);
}

#[test]
fn unstored_session_does_not_overwrite_later_login() {
    let (mut world, page, other_page) = two_vaults_without_session();
    let address = world.begin_login(page, "popup");
    let answer = world.provider.sign_in(&address);
    world.store.is_full = true;
    world.callback(page, &answer);
    world.advance(secs(10));
    world.store.is_full = false;
    world.provider.subject = "bob".to_owned();
    world.sign_in(other_page);
    world.advance(secs(120));
    for page in [page, other_page] {
        assert_eq!(subject(&world, page).as_deref(), Some("bob"));
    }
}

#[test]
fn replaced_session_does_not_return_after_a_clock_change() {
    let (mut world, page, _) = two_vaults_without_session();
    world.sign_in(page);
    world.advance(secs(20));
    world.set_clock_by(-50);
    world.provider.subject = "bob".to_owned();
    world.store.is_full = true;
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    world.callback(page, &response);
    world.advance(secs(10));
    world.store.is_full = false;
    world.advance(secs(120));
    assert_eq!(subject(&world, page).as_deref(), Some("bob"));
}

#[test]
fn logged_out_session_does_not_return_after_a_clock_change() {
    let (mut world, page, _) = two_vaults_without_session();
    world.sign_in(page);
    world.advance(secs(20));
    world.set_clock_by(-50);
    world.hold(&[Kind::Lock]);
    world.logout(page);
    world.provider.subject = "bob".to_owned();
    world.sign_in(page);
    world.advance(secs(2));
    world.release();
    world.advance(secs(120));
    assert_eq!(subject(&world, page).as_deref(), Some("bob"));
}

#[test]
fn closed_page_is_not_told_of_its_login() {
    let (mut world, page) = World::signed_in_with(SEALED);
    let other_page = world.open();
    let responses = [(), ()].map(|()| {
        let address = world.begin_login(page, "popup");
        world.provider.sign_in(&address)
    });
    world.hold(&[Kind::Persist]);
    world.callback(page, &responses[0]);
    let callback = world.callback(other_page, &responses[1]);
    world.answer_all();
    assert_eq!(world.response(callback), None);
    world.leave(page);
    // `World` checks that a page that has left receives no message.
    world.release();
    assert!(world.response(callback).is_some());
}

#[test]
fn activity_is_written_before_a_refresh() {
    let (mut world, page) = World::signed_in_with(SEALED);
    world.advance(secs(240));
    world.fetch(page, "/orders");
    world.hold(&[Kind::Lock]);
    world.advance(secs(20));
    world.provider.withdraw_access_tokens();
    world.fetch(page, "/orders");
    world.answer_all();
    world.unhold_kind(Kind::Lock);
    world.hold(&[Kind::Persist]);
    world.answer_all();
    assert_eq!(
        (world.outstanding(Kind::Persist), world.count(REFRESH)),
        (1, 0)
    );
    world.release();
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn full_store_does_not_stop_refreshes() {
    let (mut world, page) = World::signed_in_with(SEALED);
    world.store.is_full = true;
    world.fetch(page, "/orders");
    world.advance(secs(16));
    world.expire_access_token();
    let writes = world.count(Kind::Persist);
    let call = world.fetch(page, "/orders");
    world.advance(secs(70));
    assert_eq!(head(&world, call), Some(200));
    assert!(world.count(Kind::Persist) > writes);
}
