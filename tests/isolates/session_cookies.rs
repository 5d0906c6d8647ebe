//! Tests of responses that reach the browser after it has got the cookie of another session. Such a response must neither
//! delete nor replace that cookie, wherever it was late: at the provider, or in a process that stood still.

use crate::{both_storages, expired, served};
use kit_isolates::provider::Endpoint;
use kit_isolates::{COOKIE, Fault, Setup, Site, VisitId, World};

/// The cookie that says that the browser had a session whose end lets only the user begin a login.
const LEFT: &str = "__Host-strongroom-left";

/// Returns the session's cookie in a browser's jar.
fn cookie(world: &World, browser: usize) -> String {
    let cookie = world.browsers[browser].jar.get(COOKIE);
    cookie.expect("the browser has a session").clone()
}

/// Signs the browser in once more, and returns the cookie of the new session.
fn next_login(world: &mut World, browser: usize, isolate: usize) -> String {
    world.log_in(browser, isolate);
    world.pass(1000);
    cookie(world, browser)
}

/// Checks that the browser has this cookie when everything is answered, and that its session works.
fn assert_kept(world: &mut World, browser: usize, next: &str) {
    world.answer_all();
    assert_eq!(cookie(world, browser), next);
    assert!(!world.browsers[browser].jar.contains_key(LEFT));
    let call = world.call(browser, 0);
    world.answer_all();
    assert!(served(world, call));
}

// claim: handler-22
#[test]
fn slow_refresh_keeps_the_cookie_of_the_next_session() {
    for is_new_user in [false, true] {
        for setup in both_storages(2) {
            let (mut world, alice) = expired(setup);
            world.is_new_user = is_new_user;
            world.fault(Site::Provider(Endpoint::Refresh), Fault::Slow(1, 2000));
            let poll = world.poll(alice, 0);
            world.pass(500);
            let next = next_login(&mut world, alice, 1);
            assert_kept(&mut world, alice, &next);
            assert!(world.visits[poll].given.as_ref().unwrap().ended().is_some());
        }
    }
}

/// Ends Alice's session by a copy of its cookie. Isolate 0 reads her next request after `still` milliseconds.
fn ended(setup: Setup, still: u64) -> (World, usize, VisitId) {
    let mut world = World::new(setup);
    world.provider.lifetime = 300_000;
    let alice = world.signed_in("alice", 0);
    let copy = world.copy_of(alice);
    world.log_out(copy, 1);
    world.pass(11_000);
    if still > 0 {
        world.stop(0, still);
    }
    let late = world.call(alice, 0);
    (world, alice, late)
}

// claim: handler-22
#[test]
fn process_that_stood_still_clears_no_cookie_of_the_next_session() {
    for setup in both_storages(2) {
        let (mut world, alice, late) = ended(setup, 30_000);
        let next = next_login(&mut world, alice, 1);
        assert_kept(&mut world, alice, &next);
        let given = world.visits[late].given.as_ref().unwrap();
        assert_eq!(given.ended(), Some("logged_out"));
    }
}

// claim: handler-22
#[test]
fn next_request_clears_the_cookie_that_a_late_response_left() {
    for (still, is_late) in [(0, false), (30_000, true)] {
        for setup in both_storages(2) {
            let (mut world, alice, late) = ended(setup, still);
            world.answer_all();
            assert!(!served(&world, late));
            assert_eq!(world.browsers[alice].jar.contains_key(COOKIE), is_late);
            assert_eq!(world.browsers[alice].jar.contains_key(LEFT), !is_late);
            world.pass(11_000);
            world.call(alice, 0);
            world.answer_all();
            assert!(!world.browsers[alice].jar.contains_key(COOKIE));
            assert!(world.browsers[alice].jar.contains_key(LEFT));
        }
    }
}

// claim: handler-22
#[test]
fn process_that_stood_still_does_not_bring_back_an_old_session() {
    for still in [4000, 8000, 20_000] {
        for signs_in in [false, true] {
            let (mut world, alice) = expired(Setup::default());
            let old = cookie(&world, alice);
            world.call(alice, 1);
            world.answer_all();
            let new = cookie(&world, alice);
            // A request that was sent in parallel, with the cookie from before the refresh, waits for isolate 1.
            world.stop(1, still);
            world.browsers[alice].jar.insert(COOKIE.to_owned(), old);
            let late = world.call(alice, 1);
            world.browsers[alice].jar.insert(COOKIE.to_owned(), new);
            world.pass(500);
            if signs_in {
                let next = next_login(&mut world, alice, 0);
                assert_kept(&mut world, alice, &next);
            } else {
                world.answer_all();
                let given = world.visits[late].given.as_ref().unwrap();
                assert!(given.is_served() && !given.cookies.is_empty(), "{still}");
            }
        }
    }
}
