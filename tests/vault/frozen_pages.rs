//! Tests of vaults that share a store while the page of one of them is frozen: the vault in its worker receives nothing, and
//! keeps the lock.

use std::time::Duration;

use vault::PortId;

use super::keeping::{SEALED, head, two_vaults_with};
use kit::world::{Endpoint, Fault, Fetch, Kind, REFRESH, REVOKE, World};

/// The time after which another vault takes the lock over: that of the longest refresh, and five seconds.
const PATIENCE: Duration = Duration::from_secs(35);

/// Returns two vaults and a page of each. The first vault is frozen in the middle of a refresh, and the other one waits for the
/// lock. If `is_consumed` is true, the provider has consumed the refresh token.
fn frozen_in_a_refresh(is_consumed: bool) -> (World, PortId, PortId) {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.provider.leeway = Duration::from_secs(60);
    world.expire_access_token();
    world.hold_in(0, REFRESH);
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
    if is_consumed {
        world.act(REFRESH);
    }
    world.freeze(0);
    world.fetch(other_page, "/orders");
    (world, page, other_page)
}

fn status(world: &mut World, page: PortId) -> Option<u16> {
    let call = world.fetch(page, "/orders");
    world.answer_all();
    head(world, call)
}

/// Lets the page thaw. Its refresh ends by the response if `is_answered` is true, and by its time limit otherwise.
fn thaw(world: &mut World, is_answered: bool) {
    world.thaw();
    if !is_answered {
        world.tick_of(0);
    }
    world.unhold();
    world.release();
    world.advance(Duration::from_secs(5));
}

#[test]
fn lock_of_a_frozen_vault_is_taken_over() {
    for is_consumed in [false, true] {
        let (mut world, _, other_page) = frozen_in_a_refresh(is_consumed);
        world.advance(PATIENCE - Duration::from_secs(1));
        assert_eq!(world.count(REFRESH), 1, "{is_consumed}");
        world.advance(Duration::from_secs(2));
        assert_eq!(world.count(REFRESH), 2, "{is_consumed}");
        assert_eq!(status(&mut world, other_page), Some(200), "{is_consumed}");
    }
}

#[test]
fn lock_of_a_vault_that_answers_is_not_taken_over() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.expire_access_token();
    // The successor cannot be stored, so only this vault has it.
    world.store.is_full = true;
    assert_eq!(status(&mut world, page), Some(200));
    for _ in 0..4 {
        world.fetch(other_page, "/orders");
        world.advance(PATIENCE);
    }
    assert_eq!(world.count(REFRESH), 1);
    world.store.is_full = false;
    world.advance(Duration::from_secs(60));
    assert_eq!(status(&mut world, other_page), Some(200));
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn successor_of_the_other_vault_wins() {
    for is_answered in [false, true] {
        let (mut world, page, other_page) = frozen_in_a_refresh(true);
        world.advance(PATIENCE + Duration::from_secs(1));
        assert_eq!(world.count(REFRESH), 2);
        thaw(&mut world, is_answered);
        world.expire_access_token();
        for page in [page, other_page] {
            assert_eq!(status(&mut world, page), Some(200), "{is_answered}");
        }
        assert_eq!(world.count(REFRESH), 3, "both have the same tokens");
        assert_eq!(world.count(REVOKE), 0);
    }
}

#[test]
fn own_successor_is_stored_if_the_other_vault_has_none() {
    let (mut world, page, other_page) = frozen_in_a_refresh(true);
    world.provider.outage(Endpoint::Refresh, Fault::Status(503));
    world.advance(PATIENCE + Duration::from_secs(1));
    world.freeze(1);
    thaw(&mut world, true);
    assert_eq!(status(&mut world, page), Some(200));
    world.provider.repair();
    world.advance(PATIENCE * 2);
    assert_eq!(status(&mut world, other_page), Some(200));
    assert_eq!(world.count(REVOKE), 0);
}

#[test]
fn session_that_the_other_vault_has_ended_is_over() {
    let (mut world, page, other_page) = frozen_in_a_refresh(true);
    world.provider.leeway = Duration::ZERO;
    world.advance(PATIENCE + Duration::from_secs(1));
    assert_eq!(world.reason(other_page), Some("provider_ended"));
    thaw(&mut world, true);
    assert_eq!(world.reason(page), Some("provider_ended"));
    assert_eq!(world.count(REVOKE), 0);
}

#[test]
fn late_write_does_not_replace_a_newer_session() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.provider.leeway = Duration::from_secs(60);
    world.expire_access_token();
    world.hold_in(0, Kind::Persist);
    world.fetch(page, "/orders");
    world.answer_all();
    world.freeze(0);
    world.fetch(other_page, "/orders");
    world.advance(PATIENCE + Duration::from_secs(1));
    assert_eq!(world.count(REFRESH), 2);
    let successor = world.provider.latest_refresh_token().to_owned();
    // The write continues before the vault learns that it has lost the lock.
    world.thaw();
    world.hold(&[Kind::LockLost]);
    world.answer_one(Kind::Persist);
    world.unhold();
    world.release();
    world.advance(Duration::from_secs(5));
    world.expire_access_token();
    assert_eq!(status(&mut world, page), Some(200));
    assert!(world.provider.is_consumed(&successor), "both vaults had it");
    assert_eq!(status(&mut world, other_page), Some(200));
    assert_eq!(world.count(REFRESH), 3);
}

#[test]
fn thawed_vault_reads_the_store_before_it_sends_a_token() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.reads_early = true;
    world.expire_access_token();
    world.hold_in(0, Kind::Load);
    world.fetch(page, "/orders");
    world.answer_all();
    world.freeze(0);
    world.fetch(other_page, "/orders");
    world.advance(PATIENCE + Duration::from_secs(1));
    assert_eq!(world.count(REFRESH), 1);
    // The result of the old read arrives before the loss of the lock.
    world.thaw();
    world.hold(&[Kind::LockLost]);
    world.unhold();
    assert_eq!(world.count(REFRESH), 1);
    world.release();
    for page in [page, other_page] {
        assert_eq!(status(&mut world, page), Some(200));
    }
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn late_refusal_does_not_end_a_newer_session() {
    let (mut world, page, other_page) = frozen_in_a_refresh(false);
    // The request of the frozen vault arrives after that of the other one, at a provider that refuses it and revokes nothing.
    world.advance(PATIENCE + Duration::from_secs(1));
    assert_eq!(status(&mut world, other_page), Some(200));
    world
        .provider
        .fault(Endpoint::Refresh, &[Fault::Refused("invalid_grant")]);
    world.thaw();
    world.unhold();
    world.advance(Duration::from_secs(5));
    world.expire_access_token();
    for page in [page, other_page] {
        assert_eq!(status(&mut world, page), Some(200));
    }
    assert_eq!(world.count(REVOKE), 0);
}

#[test]
fn logout_in_another_vault_revokes_the_own_successor() {
    let (mut world, page, other_page) = frozen_in_a_refresh(true);
    world.logout(other_page);
    world.advance(PATIENCE * 2);
    assert_eq!(world.reason(other_page), Some("logged_out"));
    world.thaw();
    world.unhold();
    world.release();
    world.advance(Duration::from_secs(60));
    assert_eq!(world.reason(page), Some("logged_out"));
    assert!(world.provider.is_revoked(0));
}

#[test]
fn late_write_does_not_precede_that_of_the_other_vault() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.provider.leeway = Duration::from_secs(60);
    world.expire_access_token();
    world.hold_in(0, REFRESH);
    world.hold_in(1, REFRESH);
    world.fetch(page, "/orders");
    world.answer_all();
    world.act(REFRESH);
    world.freeze(0);
    // The other vault has no activity to store before its refresh.
    let fetch = Fetch {
        background: true,
        ..Fetch::default()
    };
    world.fetch_as(other_page, &fetch);
    world.advance(PATIENCE + Duration::from_secs(1));
    assert_eq!(world.count(REFRESH), 2);
    // The response of the frozen vault arrives before the loss of the lock.
    world.hold_in(0, Kind::Persist);
    world.hold(&[Kind::LockLost]);
    world.thaw();
    world.answer_one(REFRESH);
    world.answer_all();
    world.release();
    world.unhold();
    world.advance(Duration::from_secs(5));
    let known = world.provider.latest_refresh_token().to_owned();
    world.expire_access_token();
    for page in [page, other_page] {
        assert_eq!(status(&mut world, page), Some(200));
    }
    assert!(world.provider.is_consumed(&known), "it was the session's");
}
