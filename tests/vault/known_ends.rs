//! Tests of records that a script of the origin has copied, and puts back after the session has ended. A vault knows the
//! ends that it has written, or has read as logouts.

use std::time::Duration;

use super::keeping::{SEALED, two_vaults_with};
use kit::world::store::RECORD;
use kit::world::{Kind, REFRESH, World};
use vault::{Loaded, PortId};

/// The configurations in which a store has the session, and in which a logout revokes its tokens or leaves them valid.
const STORED: [&str; 4] = [
    SEALED,
    r#"{"session":{"persist":"escrow"}}"#,
    r#"{"session":{"persist":"sealed"},"accounts":2,"logout":"forget"}"#,
    r#"{"session":{"persist":"sealed"},"dpop":true}"#,
];

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn user(world: &World, page: PortId) -> Option<&str> {
    let claims = world.session(page)?.get("claims")?;
    claims.as_object()?.str("sub")
}

/// Returns the text of the usual record.
fn stored(world: &World) -> String {
    let Loaded::Found(text) = world.store.session(RECORD) else {
        panic!("nothing is stored");
    };
    text.expose().to_owned()
}

fn has_end(world: &World) -> bool {
    stored(world).contains(r#""ended":"#)
}

#[test]
fn emptied_store_is_filled_again_by_another_tab() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.expire_access_token();
    world.hold(&[REFRESH]);
    let call = world.fetch(other_page, "/orders");
    world.answer_all();
    world.clear_site_data();
    world.announce_change_to(0);
    world.answer_all();
    assert_eq!(world.reason(page), Some("storage_lost"));
    // The other tab stores its successor.
    world.release();
    assert_eq!(world.status(call), 200);
    for page in [page, other_page] {
        assert_eq!(
            user(&world, page),
            Some("alice"),
            "{:?}",
            world.reason(page)
        );
    }
    world.advance(secs(120));
    assert!(!has_end(&world));
    assert!(world.session(other_page).is_some());
}

// claim: script-46
#[test]
fn record_that_is_put_back_does_not_undo_a_logout() {
    for config in STORED {
        let (mut world, page) = World::signed_in_with(config);
        let copied = world.copy_record(0).unwrap();
        world.logout(page);
        world.answer_all();
        for _ in 0..2 {
            world.put_back(&copied);
            assert!(!has_end(&world));
            world.answer_all();
            assert!(world.session(page).is_none(), "{config}");
            world.advance(secs(60));
            assert!(has_end(&world), "{config}");
        }
        assert_eq!(world.reason(page), Some("logged_out"));
        world.sign_in(page);
        assert!(world.session(page).is_some(), "{config}");
    }
}

// claim: script-46
#[test]
fn later_user_keeps_the_session() {
    for config in STORED {
        let (mut world, page) = World::signed_in_with(config);
        let copied = world.copy_record(0).unwrap();
        world.logout(page);
        world.answer_all();
        world.provider.subject = "bob".to_owned();
        world.sign_in(page);
        world.put_back(&copied);
        world.answer_all();
        assert_eq!(user(&world, page), Some("bob"), "{config}");
        // A later worker finds the session of the later user.
        world.restart();
        let page = world.open();
        world.answer_all();
        assert_eq!(user(&world, page), Some("bob"), "{config}");
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200);
    }
}

/// The store does not have the end yet when the next user signs in.
// claim: script-46
#[test]
fn end_that_a_login_overwrites_is_known() {
    let (mut world, page) = World::signed_in_with(SEALED);
    let copied = world.copy_record(0).unwrap();
    world.hold(&[Kind::Lock]);
    world.logout(page);
    world.answer_all();
    world.provider.subject = "bob".to_owned();
    world.sign_in(page);
    assert!(!has_end(&world));
    world.release();
    assert!(!has_end(&world));
    world.put_back(&copied);
    world.answer_all();
    assert_eq!(user(&world, page), Some("bob"));
}

// claim: script-46
#[test]
fn vault_that_has_read_a_logout_knows_it() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    let copied = world.copy_record(0).unwrap();
    world.logout(page);
    world.answer_all();
    assert_eq!(world.reason(other_page), Some("logged_out"));
    // The vault that has written the end is gone.
    world.restart();
    world.put_back(&copied);
    world.answer_all();
    assert!(world.session(other_page).is_none());
    assert!(has_end(&world));
}

/// The mark of a logout stays in the store.
// claim: script-46
#[test]
fn later_user_keeps_the_session_beside_a_mark() {
    let (mut world, page) = World::signed_in_with(SEALED);
    let copied = world.copy_record(0).unwrap();
    world.hold(&[Kind::Lock]);
    world.logout(page);
    world.advance(secs(6));
    world.release();
    world.provider.subject = "bob".to_owned();
    world.sign_in(page);
    for _ in 0..2 {
        world.put_back(&copied);
        world.answer_all();
        assert_eq!(user(&world, page), Some("bob"), "{:?}", world.reason(page));
    }
}

/// A logout may be known by its mark only: see `tombstone`.
// claim: script-46
#[test]
fn vault_that_has_read_a_mark_knows_the_logout() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    let copied = world.copy_record(0).unwrap();
    world.hold_in(0, Kind::Lock);
    world.hold_in(1, Kind::Lock);
    world.logout(page);
    world.advance(secs(6));
    assert_eq!(world.reason(other_page), Some("logged_out"));
    assert!(!has_end(&world));
    world.restart();
    world.unhold();
    // A script deletes the mark, too.
    world.clear_site_data();
    world.put_back(&copied);
    world.answer_all();
    assert!(world.session(other_page).is_none());
    assert!(has_end(&world));
}

#[test]
fn vault_without_the_memory_loses_the_session_again() {
    let (mut world, page) = World::signed_in_with(SEALED);
    let copied = world.copy_record(0).unwrap();
    world.logout(page);
    world.answer_all();
    let later = world.add_vault();
    world.hold_in(0, Kind::Changed);
    world.clear_site_data();
    world.put_back(&copied);
    let later_page = world.open_in(later);
    world.answer_all();
    assert_eq!(
        user(&world, later_page),
        Some("alice"),
        "this is not covered"
    );
    world.unhold();
    assert_eq!(world.reason(later_page), Some("logged_out"));
    assert!(world.session(page).is_none());
}

// claim: script-46
#[test]
fn end_is_written_again_once_a_minute() {
    let (mut world, page) = World::signed_in_with(SEALED);
    let copied = world.copy_record(0).unwrap();
    world.logout(page);
    world.answer_all();
    let before = world.count(Kind::Persist);
    for _ in 0..100 {
        world.put_back(&copied);
        world.answer_all();
        assert!(world.session(page).is_none());
        world.advance(Duration::from_millis(500));
    }
    assert_eq!(world.count(Kind::Persist), before + 1);
    assert!(!has_end(&world));
    world.advance(secs(60));
    assert_eq!(world.count(Kind::Persist), before + 2);
    assert!(has_end(&world));
}

#[test]
fn session_of_another_login_is_not_refused() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    let copied = world.copy_record(0).unwrap();
    world.logout(page);
    world.answer_all();
    // The next user signs in before the first vault has the lock, in which it would write the end again.
    world.hold_in(0, Kind::Lock);
    world.put_back(&copied);
    world.answer_all();
    world.provider.subject = "bob".to_owned();
    world.sign_in(other_page);
    world.unhold();
    world.advance(secs(120));
    for page in [page, other_page] {
        assert_eq!(user(&world, page), Some("bob"));
    }
}

/// The first vault reads the logout later than the next user signs in, and does not know of that session.
#[test]
fn end_that_was_read_late_spares_the_next_login() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    let copied = world.copy_record(0).unwrap();
    world.reads_early = true;
    world.hold_in(0, Kind::Load);
    world.hold_in(0, Kind::Lock);
    world.logout(other_page);
    world.answer_all();
    world.hold(&[Kind::Changed]);
    world.provider.subject = "bob".to_owned();
    world.sign_in(other_page);
    world.advance(secs(1));
    world.answer_one(Kind::Load);
    assert_eq!(world.reason(page), Some("logged_out"));
    world.put_back(&copied);
    world.answer_one(Kind::Changed);
    world.answer_one(Kind::Load);
    world.answer_all();
    assert!(world.session(page).is_none());
    // The second vault stores its session again, before the first one gets the lock.
    world.release();
    world.unhold();
    for page in [page, other_page] {
        assert_eq!(user(&world, page), Some("bob"), "{:?}", world.reason(page));
    }
}

/// A lost key ends the session, and the vault writes that end.
#[test]
fn lost_store_is_not_a_known_end() {
    let (mut world, _) = World::signed_in_with(STORED[3]);
    let copied = world.copy_record(0).unwrap();
    world.restart();
    world.store.lose_keys();
    let page = world.open();
    world.answer_all();
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.reason(page), Some("storage_lost"));
    assert!(has_end(&world));
    world.clear_site_data();
    world.put_back(&copied);
    world.answer_all();
    assert_eq!(user(&world, page), Some("alice"));
}

// claim: script-46
#[test]
fn last_sixteen_ends_are_known() {
    let (mut world, page) = World::signed_in_with(SEALED);
    let mut copies = Vec::new();
    for _ in 0..17 {
        copies.push(world.copy_record(0).unwrap());
        world.logout(page);
        world.answer_all();
        world.sign_in(page);
    }
    world.logout(page);
    world.answer_all();
    for copied in &copies[2..] {
        world.put_back(copied);
        world.answer_all();
        assert!(world.session(page).is_none());
    }
}

#[test]
fn newer_activity_and_newer_token_undo_an_end() {
    for (reason, members, is_undone) in [
        ("idle", &[][..], false),
        ("idle", &["touches"], false),
        ("idle", &["kept_at"], false),
        ("idle", &["touches", "kept_at"], true),
        ("idle", &["generation", "kept_at"], true),
        ("provider_ended", &[], false),
        ("provider_ended", &["touches", "kept_at"], false),
        ("provider_ended", &["generation", "kept_at"], true),
        ("logged_out", &["touches", "generation", "kept_at"], false),
    ] {
        let (mut world, page) = World::signed_in_with(SEALED);
        let copied = world.copy_record(0).unwrap();
        match reason {
            "idle" => world.advance(secs(1801)),
            "logged_out" => {
                world.logout(page);
                world.answer_all();
            }
            _ => {
                world.provider.revoke_family(0);
                world.expire_access_token();
                world.fetch(page, "/orders");
                world.answer_all();
            }
        }
        assert_eq!(world.reason(page), Some(reason));
        assert!(has_end(&world));
        let now = world.now.wall;
        let value = |name: &&'static str| match *name {
            "kept_at" => (*name, now),
            _ => (*name, 100),
        };
        let members: Vec<_> = members.iter().map(value).collect();
        world.clear_site_data();
        world.put_back(&copied.changed(&members));
        world.answer_all();
        assert_eq!(
            world.session(page).is_some(),
            is_undone,
            "{reason} {members:?}"
        );
        assert_eq!(has_end(&world), !is_undone, "{reason} {members:?}");
    }
}

/// The vault had the lock during its read, so that it reads the store again.
#[test]
fn mark_in_an_ignored_read_still_ends_the_session() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.expire_access_token();
    world.hold(&[REFRESH]);
    world.fetch(other_page, "/orders");
    world.answer_all();
    world.act(REFRESH);
    world.hold_in(1, Kind::Take);
    world.logout(page);
    world.advance(secs(6));
    world.freeze(0);
    assert!(world.session(other_page).is_some());
    assert_eq!(world.outstanding(Kind::Take), 1);
    // The vault stores its successor, and releases the lock.
    world.unhold_kind(REFRESH);
    world.answer_all();
    assert_eq!(world.lock_holder(), None);
    world.unhold();
    assert_eq!(world.reason(other_page), Some("logged_out"));
}
