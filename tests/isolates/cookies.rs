//! Tests of cookies of earlier generations. If the browser may not have received a newer cookie, its old cookie gets
//! the new session state. If the browser has sent a newer cookie and the grace period is over, the handler treats the
//! old cookie as a thief's copy.

use crate::{expired, served};
use kit_isolates::provider::Endpoint;
use kit_isolates::{COOKIE, Fault, Setup, Site, World};

/// Runs a refresh whose new cookie never reaches the browser.
fn lost_refresh(world: &mut World, browser: usize, isolate: usize) {
    world.pass(61_000);
    world.weather.lost_responses = 100;
    let call = world.call(browser, isolate);
    world.answer_all();
    world.weather.lost_responses = 0;
    assert!(served(world, call));
}

#[test]
fn browser_without_new_cookie_still_gets_successor() {
    let mut world = World::new(Setup::default());
    let alice = world.signed_in("alice", 0);
    lost_refresh(&mut world, alice, 0);
    world.pass(600_000);
    let call = world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, call));
}

#[test]
fn browser_that_lost_several_cookies_gets_successor() {
    let mut world = World::new(Setup::default());
    let alice = world.signed_in("alice", 0);
    for i in 0..4 {
        lost_refresh(&mut world, alice, i % 2);
    }
    let call = world.call(alice, 0);
    world.answer_all();
    assert!(served(&world, call));
    assert_eq!(world.watch.ends.len(), 0);
}

// claim: handler-23
#[test]
fn replaced_cookie_is_valid_during_grace_period_only() {
    for (pause, is_good) in [(58_000, true), (62_000, false)] {
        let mut world = World::new(Setup::default());
        world.provider.lifetime = 300_000;
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        world.pass(301_000);
        world.call(alice, 0);
        world.answer_all();
        // This call sends the new cookie, which starts the grace period of the old one.
        world.call(alice, 0);
        world.answer_all();
        world.pass(pause);
        let replay = world.call(copy, 1);
        world.answer_all();
        assert_eq!(served(&world, replay), is_good);
        let own = world.call(alice, 1);
        world.answer_all();
        assert_eq!(served(&world, own), is_good);
        let told: Vec<_> = world.watch.ends.iter().collect();
        assert_eq!(told.is_empty(), is_good);
        if !is_good {
            assert_eq!(told, [(&"security", &1)]);
            assert!(world.provider.is_revoked(0));
        }
    }
}

/// Many generations begin within a long grace period.
#[test]
fn replaced_cookie_is_found_after_a_long_grace_period() {
    for (refreshes, is_found) in [(9, false), (12, true), (40, true)] {
        let mut world = World::new(Setup {
            grace: 600,
            ..Setup::default()
        });
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        for _ in 0..refreshes {
            world.pass(61_000);
            for _ in 0..2 {
                world.call(alice, 0);
                world.answer_all();
            }
        }
        let replay = world.call(copy, 1);
        world.answer_all();
        assert_eq!(served(&world, replay), !is_found, "{refreshes}");
    }
}

#[test]
fn grace_period_counts_from_request_arrival() {
    let (mut world, alice) = expired(Setup {
        grace: 0,
        isolates: 2,
        ..Setup::default()
    });
    world.fault(Site::Provider(Endpoint::Refresh), Fault::Slow(1000, 1000));
    world.call(alice, 0);
    // Isolate 1 waits for the refresh. It reads the record again only after the browser has sent the new cookie.
    world.fault(Site::Wait, Fault::LostBefore);
    world.pass(100);
    let slow = world.call(alice, 1);
    world.pass(3000);
    let next = world.call(alice, 0);
    world.answer_all();
    assert!(served(&world, next) && served(&world, slow));
}

#[test]
fn stored_sessions_have_no_replayed_cookies() {
    let mut world = World::new(Setup {
        in_store: true,
        grace: 0,
        recheck: 3600,
        ..Setup::default()
    });
    let alice = world.signed_in("alice", 0);
    world.call(alice, 1);
    world.answer_all();
    for _ in 0..3 {
        world.pass(61_000);
        world.call(alice, 0);
        world.answer_all();
    }
    // Isolate 1 has a session state that is three generations old.
    let call = world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, call));
    assert!(world.watch.ends.is_empty());
}

#[test]
fn late_response_does_not_restore_old_cookie() {
    let mut world = World::new(Setup {
        grace: 5,
        ..Setup::default()
    });
    world.provider.lifetime = 20_000;
    let alice = world.signed_in("alice", 0);
    world.pass(21_000);
    // Isolate 0 refreshes. The API's response takes longer than the new access token is valid.
    world.fault(Site::Api, Fault::Slow(1, 40_000));
    let slow = world.call(alice, 0);
    world.pass(21_000);
    world.call(alice, 1);
    world.pass(1000);
    world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, slow));
    world.pass(6000);
    let next = world.call(alice, 0);
    world.answer_all();
    assert!(served(&world, next));
    assert!(world.browsers[alice].jar.contains_key(COOKIE));
}

#[test]
fn isolate_without_record_records_newer_cookie() {
    let mut world = World::new(Setup {
        recheck: 3600,
        ..Setup::default()
    });
    let alice = world.signed_in("alice", 0);
    let copy = world.copy_of(alice);
    // Isolate 1 reads the session before isolate 0 refreshes it.
    world.call(alice, 1);
    world.pass(61_000);
    world.call(alice, 0);
    world.answer_all();
    let own = world.call(alice, 1);
    world.answer_all();
    assert!(served(&world, own));
    world.pass(62_000);
    let replay = world.call(copy, 1);
    world.answer_all();
    assert!(!served(&world, replay));
    assert_eq!(world.watch.ends["security"], 1);
}
