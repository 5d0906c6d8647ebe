//! Tests of the end of a session that several vaults share. Activity in another vault undoes an idle end. A logout in
//! one vault also ends a session that another vault has started before this logout, but no later session.

use std::time::Duration;

use super::keeping::{SEALED, two_vaults_with};
use crate::both::object;
use kit::world::{Kind, REVOKE, World};
use vault::PortId;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns two vaults that share a session. The first vault's user was active 1800 seconds minus `before` ago, so the
/// idle limit is `before` seconds away. The first vault is not told of changes in the store.
fn idle_in_one(before: u64) -> (World, PortId, PortId) {
    let mut world = World::with(SEALED);
    world.provider.lifetime = secs(7200);
    let page = world.open();
    world.sign_in(page);
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    world.hold(&[Kind::Changed]);
    world.fetch(page, "/orders");
    world.advance(secs(1800 - before));
    (world, page, other_page)
}

#[track_caller]
fn assert_goes_on(mut world: World, page: PortId, other_page: PortId, until_end: u64) {
    world.hold_in(0, Kind::Load);
    world.advance(secs(until_end));
    assert!(world.session(page).is_none());
    world.unhold();
    world.release();
    for page in [page, other_page] {
        assert!(world.session(page).is_some(), "{:?}", world.reason(page));
    }
    assert_eq!(world.count(REVOKE), 0);
}

#[test]
fn activity_elsewhere_undoes_an_idle_end() {
    let (mut world, page, other_page) = idle_in_one(100);
    world.fetch(other_page, "/orders");
    world.advance(secs(16));
    assert_goes_on(world, page, other_page, 88);
}

#[test]
fn refresh_elsewhere_undoes_an_idle_end() {
    let (mut world, page, other_page) = idle_in_one(5);
    world.provider.withdraw_access_tokens();
    world.fetch(other_page, "/orders");
    world.answer_all();
    assert_goes_on(world, page, other_page, 9);
}

// claim: end-30
#[test]
fn changed_claim_ends_the_session_in_every_vault() {
    const SAME: &str = r#"{"session":{"persist":"sealed"},"sameClaims":["org_id"]}"#;
    // The second configuration is that of a deployment before the option was used.
    for first in [SAME, SEALED] {
        let mut world = World::with(first);
        world.provider.more_claims = object(r#"{"org_id":"acme"}"#);
        let page = world.open();
        world.sign_in(page);
        world.reconfigure(SAME);
        let other = world.add_vault();
        let other_page = world.open_in(other);
        world.answer_all();
        world.provider.more_claims = object(r#"{"org_id":"globex"}"#);
        world.provider.changes_claims = true;
        world.expire_access_token();
        let call = world.fetch(other_page, "/orders");
        world.answer_all();
        assert_eq!(world.code(call), "session_ended");
        for page in [page, other_page] {
            assert!(world.session(page).is_none());
            assert_eq!(world.reason(page), Some("claims_changed"));
        }
        world.advance(secs(60));
        assert_eq!(world.count(REVOKE), 0);
        world.provider.changes_claims = false;
        world.sign_in(page);
        for page in [page, other_page] {
            let call = world.fetch(page, "/orders");
            world.answer_all();
            assert_eq!(world.status(call), 200);
        }
    }
}

/// Returns two vaults that share a store. The second vault has signed in again, and the first vault has not been told.
fn two_logins() -> (World, PortId, PortId) {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.hold(&[Kind::Changed]);
    world.advance(secs(10));
    world.sign_in(other_page);
    world.advance(secs(10));
    (world, page, other_page)
}

#[test]
fn logout_ends_a_later_login_elsewhere() {
    let (mut world, page, other_page) = two_logins();
    world.logout(page);
    world.answer_all();
    world.release();
    assert_eq!(world.reason(other_page), Some("logged_out"));
    assert!(world.provider.has_revoked_everything());
}

#[test]
fn logout_without_lock_ends_a_later_login() {
    let (mut world, page, other_page) = two_logins();
    world.hold_in(0, Kind::Lock);
    let before = world.count(Kind::Store);
    world.logout(page);
    world.advance(secs(6));
    assert_eq!(world.count(Kind::Store), before + 2);
    world.release();
    assert_eq!(world.reason(other_page), Some("logged_out"));
}

#[test]
fn logout_without_lock_is_marked_once() {
    let (mut world, page, _) = two_vaults_with(SEALED);
    world.hold_in(0, Kind::Lock);
    let before = world.count(Kind::Store);
    world.logout(page);
    world.advance(secs(100));
    assert_eq!(world.count(Kind::Store), before + 1);
}

#[test]
fn login_after_a_logout_stays() {
    let (mut world, page) = World::signed_in_with(SEALED);
    world.logout(page);
    world.answer_all();
    world.sign_in(page);
    world.advance(secs(1));
    assert!(world.session(page).is_some());
}

#[test]
fn logouts_in_two_vaults_are_written_once() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.hold_in(0, Kind::Lock);
    world.logout(page);
    world.logout(other_page);
    world.answer_all();
    let before = world.count(Kind::Persist);
    world.unhold();
    world.advance(secs(60));
    assert_eq!(world.count(Kind::Persist), before);
}

#[test]
fn logout_of_later_login_ends_former_session() {
    let (mut world, page, other_page) = two_logins();
    world.hold_in(1, Kind::Lock);
    world.logout(other_page);
    world.advance(secs(6));
    assert!(world.session(page).is_some());
    world.unhold_kind(Kind::Changed);
    world.answer_all();
    assert_eq!(world.reason(page), Some("logged_out"));
    world.unhold();
}

#[test]
fn login_after_a_logout_without_lock_stays() {
    let (mut world, page, _) = two_vaults_with(SEALED);
    world.hold(&[Kind::Changed]);
    world.hold_in(0, Kind::Lock);
    world.logout(page);
    world.advance(secs(6));
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    world.callback(page, &response);
    world.answer_all();
    world.unhold();
    world.release();
    world.advance(secs(60));
    assert!(world.session(page).is_some());
}

#[test]
fn session_that_was_never_stored_ends_in_time() {
    let mut world = World::with(SEALED);
    let page = world.open();
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    world.store.is_full = true;
    world.callback(page, &response);
    world.answer_all();
    world.hold(&[Kind::Load]);
    world.advance(secs(1801));
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn late_look_at_logout_spares_next_login() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    world.reads_early = true;
    world.hold_in(0, Kind::Load);
    world.logout(other_page);
    world.answer_all();
    // The first vault is reading the store because of the logout. During this read, it gets the lock for its login.
    world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.outstanding(Kind::Load), 2);
    world.answer_one(Kind::Load);
    assert!(world.session(page).is_some());
    world.unhold();
    assert!(world.session(page).is_some());
}
