//! A coordinator or a provider that is down: valid tokens stay in use, requests with other tokens get a 503, and nobody
//! is logged out.

use crate::{both_storages, expired, served, took};
use edge::{Event, Happened, Observation};
use kit_isolates::provider::Endpoint;
use kit_isolates::{COOKIE, Fault, Purpose, Setup, Site, World};

const REFRESH: Site = Site::Provider(Endpoint::Refresh);

// claim: handler-49
#[test]
fn valid_token_is_used_during_outages() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        let alice = world.signed_in("alice", 0);
        let known = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, known));
        world.weather.coordinator_down = true;
        world.weather.provider_down = true;
        // After this time the token is about to expire, so the isolate tries to refresh it.
        world.pass(55_000);
        let call = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, call));
    }
}

// claim: handler-49
#[test]
fn expired_token_during_outage_gives_503_and_keeps_session() {
    for setup in both_storages(2) {
        for (coordinator, provider) in [(true, false), (false, true), (true, true)] {
            let (mut world, alice) = expired(setup.clone());
            world.weather.coordinator_down = coordinator;
            world.weather.provider_down = provider;
            let call = world.call(alice, 0);
            world.answer_all();
            let given = world.visits[call].given.clone().unwrap();
            assert_eq!(given.status, 503, "{}", given.body);
            assert!(given.header("retry-after").is_some() && given.cookies.is_empty());
            world.weather.coordinator_down = false;
            world.weather.provider_down = false;
            world.pass(60_000);
            let again = world.call(alice, 1);
            world.answer_all();
            assert!(served(&world, again));
        }
    }
}

#[test]
fn activity_counts_locally_while_coordinator_is_down() {
    for is_up_again in [false, true] {
        let mut world = World::new(Setup {
            in_store: true,
            idle: 400,
            ..Setup::default()
        });
        world.provider.lifetime = 3_600_000;
        let alice = world.signed_in("alice", 0);
        let known = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, known));
        world.weather.coordinator_down = true;
        world.pass(350_000);
        let call = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, call));
        world.weather.coordinator_down = !is_up_again;
        world.pass(350_000);
        let later = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, later), "{:?}", world.visits[later].given);
    }
}

#[test]
fn found_successor_serves_requests_that_failed() {
    let (mut world, alice) = expired(Setup {
        in_store: true,
        ..Setup::default()
    });
    world.call(alice, 1);
    world.answer_all();
    assert!(world.browsers[alice].jar.contains_key(COOKIE));
    // Isolate 0 still has the session state from before the refresh by isolate 1.
    let call = world.call(alice, 0);
    world.answer_all();
    assert!(served(&world, call));
    assert_eq!(world.watch.rotations, 1);
}

// claim: end-16
#[test]
fn retry_after_of_provider_is_obeyed() {
    for setup in both_storages(1) {
        let (mut world, alice) = expired(setup);
        world.fault(REFRESH, Fault::Busy(30));
        for _ in 0..5 {
            let call = world.call(alice, 0);
            world.answer_all();
            assert!(!served(&world, call));
        }
        assert_eq!(world.watch.rotations, 0);
        world.pass(30_000);
        let call = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, call));
    }
}

#[test]
fn success_elsewhere_restores_a_suspected_session() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(setup);
        for _ in 0..3 {
            world.fault(REFRESH, Fault::Unexplained);
        }
        let refused = world.call(alice, 0);
        world.answer_all();
        let given = world.visits[refused].given.clone().unwrap();
        assert_eq!(given.status, 401);
        assert!(given.body.contains("interaction_required") && given.cookies.is_empty());
        let elsewhere = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, elsewhere));
        // The new access token expires within the five minutes for which isolate 0 would not try another refresh.
        world.pass(61_000);
        let call = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, call), "{:?}", world.visits[call].given);
    }
}

/// Creates users of one isolate whose access tokens have expired.
fn many_users(count: usize) -> (World, Vec<usize>) {
    many_users_of(count, Setup::default())
}

fn many_users_of(count: usize, setup: Setup) -> (World, Vec<usize>) {
    let mut world = World::new(Setup {
        isolates: 1,
        idle: 43_200,
        ..setup
    });
    let users = (0..count)
        .map(|user| world.signed_in(&format!("user {user}"), 0))
        .collect();
    world.pass(61_000);
    (world, users)
}

/// Lets all users call in turn for `millis` milliseconds, with a pause of `pause` milliseconds after each round.
fn call_for(world: &mut World, users: &[usize], millis: u64, pause: u64) {
    let end = world.now + millis;
    while world.now < end {
        for user in users {
            world.call(*user, 0);
            world.pass(7);
        }
        world.pass(pause);
    }
}

fn retry_after(world: &World, visit: usize) -> u64 {
    let given = world.visits[visit].given.as_ref().unwrap();
    assert_eq!(given.status, 503, "{}", given.body);
    given.header("retry-after").unwrap().parse().unwrap()
}

// claim: handler-50
#[test]
fn sessions_recover_within_five_seconds_of_outages() {
    for (minutes, count) in [(1, 1), (1, 20), (60, 1), (15, 10)] {
        let (mut world, users) = many_users(count);
        world.weather.provider_down = true;
        call_for(&mut world, &users, minutes * 60_000, 20_000);
        // All requests that began during the outage fail before the provider is back.
        world.answer_all();
        world.weather.provider_down = false;
        call_for(&mut world, &users, 4500, 500);
        world.answer_all();
        let calls: Vec<_> = users.iter().map(|user| world.call(*user, 0)).collect();
        world.answer_all();
        for call in calls {
            assert!(
                served(&world, call),
                "{minutes} {count} {:?}",
                world.visits[call].given
            );
        }
    }
}

// claim: handler-50
#[test]
fn one_request_at_a_time_probes_during_outages() {
    let (mut world, users) = many_users(20);
    world.weather.provider_down = true;
    call_for(&mut world, &users, 60_000, 1000);
    world.answer_all();
    let before = world.watch.refreshes_sent;
    call_for(&mut world, &users, 60_000, 1000);
    world.answer_all();
    // The handler probes the provider once every three seconds, with up to three attempts.
    let sent = world.watch.refreshes_sent - before;
    assert!((15..=60).contains(&sent), "{sent}");
}

// claim: handler-50
#[test]
fn one_failing_session_is_not_an_outage() {
    let (mut world, users) = many_users(3);
    for round in 0..3 {
        for _ in 0..3 {
            world.fault(REFRESH, Fault::Status(500));
        }
        let failing = world.call(users[0], 0);
        world.answer_all();
        assert!(!served(&world, failing));
        let call = world.call(users[1], 0);
        world.answer_all();
        assert!(served(&world, call), "{round}");
        world.pass(61_000);
    }
}

// claim: handler-50
#[test]
fn failing_sessions_do_not_block_others() {
    let (mut world, users) = many_users(4);
    world.failing = vec![0, 1];
    call_for(&mut world, &users[..2], 10_000, 0);
    for user in &users[2..] {
        let began = world.now;
        let mut call = world.call(*user, 0);
        loop {
            call_for(&mut world, &users[..2], 100, 0);
            if world.visits[call].given.is_none() {
                continue;
            }
            if served(&world, call) {
                break;
            }
            let left = retry_after(&world, call);
            call_for(&mut world, &users[..2], left * 1000, 0);
            assert!(world.now - began < 6000, "user {user} is not served");
            call = world.call(*user, 0);
        }
        // After this time the tokens expire again, and the two failing sessions are again the first to refresh.
        world.pass(61_000);
        call_for(&mut world, &users[..2], 10_000, 0);
    }
}

// claim: handler-50
#[test]
fn lost_leases_are_not_an_outage() {
    let mut world = World::new(Setup {
        request_timeout: 10,
        refresh_timeout: 10,
        ..Setup::default()
    });
    let users = [0, 1, 2, 3].map(|user| world.signed_in(&format!("user {user}"), 0));
    world.pass(61_000);
    let failing = [0, 1].map(|user| {
        world.fault(REFRESH, Fault::LostBefore);
        world.call(users[user], 0)
    });
    world.pass(1000);
    // Meanwhile isolate 1 takes the leases over.
    world.weather.cut_off = Some(0);
    for user in &users[..2] {
        world.call(*user, 1);
    }
    world.pass(8500);
    world.weather.cut_off = None;
    world.pass(1500);
    assert!(!failing.iter().any(|call| served(&world, *call)));
    // In an outage, only one of two requests would be sent at once.
    let calls = [2, 3].map(|user| {
        world.fault(REFRESH, Fault::Slow(500, 500));
        world.call(users[user], 0)
    });
    world.answer_all();
    for call in calls {
        assert!(served(&world, call), "{:?}", world.visits[call].given);
        assert!(took(&world, call) < 2000, "{}", took(&world, call));
    }
}

// claim: handler-50
#[test]
fn retry_after_matches_the_next_attempt() {
    let (mut world, users) = many_users(1);
    world.fault(REFRESH, Fault::Busy(30));
    for (pause, left) in [(0, 30), (9500, 21), (15_000, 6)] {
        world.pass(pause);
        let call = world.call(users[0], 0);
        world.answer_all();
        assert_eq!(retry_after(&world, call), left);
    }
    world.pass(6000);
    let call = world.call(users[0], 0);
    world.answer_all();
    assert!(served(&world, call));
}

#[test]
fn client_that_obeys_retry_after_is_served() {
    let (mut world, users) = many_users(20);
    world.weather.provider_down = true;
    call_for(&mut world, &users, 30_000, 1000);
    world.answer_all();
    let call = world.call(users[7], 0);
    world.answer_all();
    let left = retry_after(&world, call);
    assert!(left <= 4, "{left}");
    world.weather.provider_down = false;
    world.pass(left * 1000);
    let call = world.call(users[7], 0);
    world.answer_all();
    assert!(served(&world, call));
}

/// Another isolate notices first that the provider has returned, and refreshes all sessions. Requests that were sent with
/// their earlier cookies reach this isolate, whose attempts ask the coordinator only.
#[test]
fn attempt_that_does_not_reach_the_provider_holds_no_other_one() {
    let mut world = World::new(Setup::default());
    let users: Vec<_> = ["alice", "bob", "carol"]
        .map(|user| world.signed_in(user, 0))
        .into();
    world.pass(61_000);
    world.fault(REFRESH, Fault::Unavailable(2));
    for user in &users {
        let call = world.call(*user, 1);
        world.answer_all();
        assert!(!served(&world, call));
    }
    let copies: Vec<_> = users.iter().map(|user| world.copy_of(*user)).collect();
    for user in users {
        let call = world.call(user, 0);
        world.answer_all();
        assert!(served(&world, call));
    }
    world.pass(4000);
    for copy in copies {
        let call = world.call(copy, 1);
        world.answer_all();
        assert!(served(&world, call));
    }
    assert_eq!(world.watch.rotations, 3);
}

#[test]
fn requests_wait_for_a_near_attempt() {
    let (mut world, users) = many_users(1);
    for _ in 0..3 {
        world.fault(REFRESH, Fault::Status(502));
    }
    let first = world.call(users[0], 0);
    world.pass(10);
    let second = world.call(users[0], 0);
    world.answer_all();
    assert!(!served(&world, first));
    assert!(served(&world, second));
}

// claim: handler-56
#[test]
fn unreachable_coordinator_is_named_in_every_503() {
    let (mut world, alice) = expired(Setup {
        isolates: 1,
        ..Setup::default()
    });
    world.weather.coordinator_down = true;
    let mut calls = Vec::new();
    for _ in 0..200 {
        calls.push(world.call(alice, 0));
        world.pass(100);
    }
    world.answer_all();
    for call in calls {
        let given = world.visits[call].given.as_ref().unwrap();
        assert_eq!(given.status, 503);
        assert!(
            given.body.contains("coordinator_unavailable"),
            "{}",
            given.body
        );
    }
}

#[test]
fn two_unexplained_refusals_raise_no_suspicion() {
    for faults in [
        [Fault::Status(503), Fault::Unexplained, Fault::Unexplained],
        [Fault::Unexplained, Fault::Status(503), Fault::Unexplained],
    ] {
        let (mut world, users) = many_users(1);
        for fault in faults {
            world.fault(REFRESH, fault);
        }
        let call = world.call(users[0], 0);
        world.answer_all();
        assert!(retry_after(&world, call) <= 1);
        world.pass(1000);
        let call = world.call(users[0], 0);
        world.answer_all();
        assert!(served(&world, call));
    }
}

// claim: end-28
#[test]
fn gateway_page_of_some_sessions_does_not_slow_others() {
    let (mut world, users) = many_users(4);
    let (others, [first, second]) = (&users[..2], [users[2], users[3]]);
    for user in [first, second] {
        for _ in 0..3 {
            world.fault(REFRESH, Fault::Gateway);
        }
        let call = world.call(user, 0);
        world.answer_all();
        assert!(retry_after(&world, call) <= 1);
    }
    for user in others {
        let call = world.call(*user, 0);
        world.answer_all();
        assert!(served(&world, call));
    }
    world.pass(1000);
    for user in [first, second] {
        let call = world.call(user, 0);
        world.answer_all();
        assert!(served(&world, call));
    }
}

#[test]
fn gateway_pages_count_for_one_generation() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        let alice = world.signed_in("alice", 0);
        for _ in 0..4 {
            world.pass(61_000);
            for _ in 0..3 {
                world.fault(REFRESH, Fault::Gateway);
            }
            let call = world.call(alice, 0);
            world.answer_all();
            assert!(retry_after(&world, call) <= 1);
            // The other isolate refreshes the session, and its user continues there.
            let call = world.call(alice, 1);
            world.answer_all();
            assert!(served(&world, call));
        }
    }
}

#[test]
fn late_response_is_used_without_leeway() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(Setup {
            request_timeout: 10,
            refresh_timeout: 30,
            ..setup
        });
        world.fault(REFRESH, Fault::Slow(1, 20_000));
        let calls = [0, 1, 0].map(|isolate| {
            world.pass(100);
            world.call(alice, isolate)
        });
        world.pass(11_000);
        for call in calls {
            assert!(retry_after(&world, call) <= 8);
            assert!(took(&world, call) < 10_010);
        }
        // The next requests wait for the same refresh.
        for isolate in [0, 1] {
            let call = world.call(alice, isolate);
            world.answer_all();
            assert!(served(&world, call), "{:?}", world.visits[call].given);
        }
        assert_eq!((world.watch.refreshes_sent, world.watch.rotations), (1, 1));
    }
}

#[test]
fn valid_token_is_used_while_its_refresh_goes_on() {
    let mut world = World::new(Setup {
        request_timeout: 2,
        refresh_timeout: 30,
        ..Setup::default()
    });
    let alice = world.signed_in("alice", 0);
    world.pass(55_000);
    world.fault(REFRESH, Fault::Slow(1, 5000));
    let call = world.call(alice, 0);
    world.pass(2100);
    assert!(served(&world, call));
    world.answer_all();
    assert_eq!(world.watch.rotations, 1);
}

/// An access token's `exp` is in whole seconds, so an API may refuse it up to a second before the end of `expires_in`.
#[test]
fn token_is_not_used_in_its_last_seconds() {
    for fraction in [0, 300, 600, 900] {
        let mut world = World::new(Setup {
            request_timeout: 2,
            refresh_timeout: 30,
            spread: 0,
            ..Setup::default()
        });
        world.pass(fraction);
        let alice = world.signed_in("alice", 0);
        world.pass(57_500);
        world.fault(REFRESH, Fault::Slow(1, 5000));
        let call = world.call(alice, 0);
        world.pass(2100);
        assert_eq!(world.visits[call].given.as_ref().unwrap().status, 503);
        world.answer_all();
    }
}

#[test]
fn late_response_is_used_though_its_client_left() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(Setup {
            refresh_timeout: 30,
            ..setup
        });
        world.fault(REFRESH, Fault::Slow(1, 20_000));
        let left = world.call(alice, 0);
        world.pass(1000);
        world.abandon(left);
        world.pass(12_000);
        let call = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, call), "{:?}", world.visits[call].given);
        assert_eq!((world.watch.refreshes_sent, world.watch.rotations), (1, 1));
    }
}

#[test]
fn refreshing_request_waits_for_a_request_timeout() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(Setup {
            request_timeout: 10,
            refresh_timeout: 30,
            ..setup
        });
        world.fault(REFRESH, Fault::LostBefore);
        world.fault(REFRESH, Fault::LostBefore);
        // The refresh ends after a minute.
        for _ in 0..6 {
            let call = world.call(alice, 0);
            world.pass(10_010);
            assert!(retry_after(&world, call) <= 2);
            assert!((9990..10_010).contains(&took(&world, call)));
        }
        world.pass(1000);
        assert_eq!(world.watch.refreshes_sent, 2);
        let call = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, call), "{:?}", world.visits[call].given);
        assert_eq!((world.watch.refreshes_sent, world.watch.rotations), (3, 1));
    }
}

#[test]
fn refresh_without_response_is_repeated_once() {
    let (mut world, alice) = expired(Setup {
        request_timeout: 10,
        refresh_timeout: 30,
        ..Setup::default()
    });
    for _ in 0..3 {
        world.fault(REFRESH, Fault::LostBefore);
    }
    let call = world.call(alice, 0);
    world.answer_all();
    assert!(!served(&world, call));
    assert_eq!(world.watch.refreshes_sent, 2);
}

#[test]
fn requests_wait_for_a_request_timeout_in_all() {
    let mut world = World::new(Setup {
        isolates: 1,
        request_timeout: 7,
        refresh_timeout: 7,
        ..Setup::default()
    });
    let alice = world.signed_in("alice", 0);
    world.pass(61_000);
    for _ in 0..2 {
        world.fault(REFRESH, Fault::LostBefore);
    }
    world.call(alice, 0);
    world.pass(10);
    let second = world.call(alice, 0);
    world.answer_all();
    let visit = &world.visits[second];
    let given = visit.given.as_ref().unwrap();
    assert_eq!(given.status, 503);
    assert!(given.at - visit.began <= 7000);
}

#[test]
fn second_failure_is_followed_by_a_longer_pause() {
    let (mut world, users) = many_users(1);
    always(&mut world, Fault::Status(502));
    for (pause, left) in [(0, 1..=1), (1000, 3..=4), (4000, 3..=4)] {
        world.pass(pause);
        let call = world.call(users[0], 0);
        world.answer_all();
        let told = retry_after(&world, call);
        assert!(left.contains(&told), "{told}");
    }
}

/// Returns all requests of browsers.
fn of_browsers(world: &World) -> impl Iterator<Item = usize> {
    (0..world.visits.len()).filter(|visit| world.visits[*visit].browser.is_some())
}

/// Lets all further refreshes fail with this fault.
fn always(world: &mut World, fault: Fault) {
    for _ in 0..10_000 {
        world.fault(REFRESH, fault);
    }
}

// claim: end-15
#[test]
fn retry_after_limits_calls_of_all_sessions() {
    for seconds in [1, 2, 30] {
        let (mut world, users) = many_users(50);
        always(&mut world, Fault::Unavailable(seconds));
        let calls: Vec<_> = users.iter().map(|user| world.call(*user, 0)).collect();
        call_for(&mut world, &users, 10_000, 100);
        world.answer_all();
        assert!(
            world.watch.refreshes_sent <= 70,
            "{}",
            world.watch.refreshes_sent
        );
        assert!(of_browsers(&world).all(|visit| took(&world, visit) <= 10_000));
        assert!(retry_after(&world, calls[0]) >= seconds);
    }
}

// claim: end-16
#[test]
fn limit_of_one_user_spares_other_users() {
    let mut world = World::new(Setup {
        isolates: 1,
        idle: 43_200,
        ..Setup::default()
    });
    world.is_new_user = false;
    let of_one = [(); 2].map(|()| world.signed_in("mallory", 0));
    let other = world.signed_in("alice", 0);
    world.pass(120_000);
    for browser in of_one {
        world.fault(REFRESH, Fault::Busy(600));
        world.call(browser, 0);
        world.answer_all();
    }
    assert_eq!(world.watch.refreshes_sent, 2);
    let call = world.call(other, 0);
    world.answer_all();
    assert!(served(&world, call), "{:?}", world.visits[call].given);
}

#[test]
fn limit_of_one_user_counts_until_its_time() {
    for (pause, is_for_all) in [(20_000, true), (40_000, false)] {
        let (mut world, users) = many_users(3);
        for (user, pause) in [(users[0], pause), (users[1], 0)] {
            world.fault(REFRESH, Fault::Busy(30));
            world.call(user, 0);
            world.answer_all();
            world.pass(pause);
        }
        let call = world.call(users[2], 0);
        world.answer_all();
        assert_eq!(served(&world, call), !is_for_all);
    }
}

// claim: end-16
#[test]
fn limit_of_two_users_counts_for_all() {
    for (limited, is_for_all) in [(1, false), (2, true)] {
        let (mut world, users) = many_users(3);
        for user in &users[..limited] {
            world.fault(REFRESH, Fault::Busy(30));
            world.call(*user, 0);
            world.answer_all();
        }
        let call = world.call(users[2], 0);
        world.answer_all();
        assert_eq!(served(&world, call), !is_for_all);
        world.pass(30_000);
        let call = world.call(users[2], 0);
        world.answer_all();
        assert!(served(&world, call));
    }
}

#[test]
fn requests_of_one_session_do_not_repeat_together() {
    for fault in [Fault::Unavailable(1), Fault::Busy(1)] {
        let (mut world, users) = many_users(1);
        always(&mut world, fault);
        let before = of_browsers(&world).count();
        let calls: Vec<_> = (0..100).map(|_| world.call(users[0], 0)).collect();
        world.answer_all();
        assert!(calls.iter().all(|call| took(&world, *call) <= 10_000));
        assert_eq!(of_browsers(&world).count(), before + 100);
        assert!(
            world.watch.refreshes_sent <= 21,
            "{}",
            world.watch.refreshes_sent
        );
    }
}

// claim: end-15
#[test]
fn repetition_obeys_retry_after_of_another_session() {
    let (mut world, users) = many_users(2);
    world.fault(REFRESH, Fault::Status(500));
    world.fault(REFRESH, Fault::Unavailable(30));
    let calls = [0, 1].map(|user| world.call(users[user], 0));
    world.answer_all();
    assert!(!calls.iter().any(|call| served(&world, *call)));
    assert_eq!(world.watch.refreshes_sent, 2);
}

// claim: end-15
#[test]
fn login_that_succeeds_ends_a_told_wait() {
    let (mut world, users) = many_users(2);
    world.fault(REFRESH, Fault::Unavailable(600));
    world.call(users[0], 0);
    world.answer_all();
    world.pass(20_000);
    let before = world.call(users[1], 0);
    world.answer_all();
    assert!(!served(&world, before));
    world.signed_in("carol", 0);
    let after = world.call(users[1], 0);
    world.answer_all();
    assert!(served(&world, after));
}

#[test]
fn told_wait_counts_once_though_probe_sends_nothing() {
    let (mut world, users) = many_users(2);
    world.fault(REFRESH, Fault::Unavailable(600));
    world.call(users[0], 0);
    world.answer_all();
    world.pass(601_000);
    // The first request after the wait probes, and cannot write its intent.
    world.weather.coordinator_down = true;
    world.call(users[0], 0);
    world.answer_all();
    world.weather.coordinator_down = false;
    world.pass(10_000);
    let call = world.call(users[1], 0);
    world.answer_all();
    assert!(served(&world, call), "{:?}", world.visits[call].given);
}

#[test]
fn one_unexplained_refusal_before_wait_raises_no_suspicion() {
    let (mut world, users) = many_users(2);
    world.fault(REFRESH, Fault::Unexplained);
    world.fault(REFRESH, Fault::Unavailable(30));
    let calls = [0, 1].map(|user| world.call(users[user], 0));
    world.answer_all();
    for call in calls {
        let given = world.visits[call].given.as_ref().unwrap();
        assert_eq!(given.status, 503, "{}", given.body);
    }
}

/// Lets users call in turn, 20 times a second, and returns the calls.
fn calls_for(world: &mut World, users: &[usize], seconds: u64) -> Vec<usize> {
    let mut calls = Vec::new();
    for n in 0..seconds * 20 {
        let user = usize::try_from(n).unwrap() % users.len();
        calls.push(world.call(users[user], 0));
        world.pass(50);
    }
    calls
}

/// The default times of the handler.
fn patient() -> Setup {
    Setup {
        request_timeout: 10,
        refresh_timeout: 30,
        ..Setup::default()
    }
}

// claim: handler-50
#[test]
fn provider_that_hangs_holds_no_request_after_fifteen_seconds() {
    let (mut world, users) = many_users_of(40, patient());
    always(&mut world, Fault::LostBefore);
    calls_for(&mut world, &users, 15);
    let before = world.watch.refreshes_sent;
    let calls = calls_for(&mut world, &users, 120);
    let sent = world.watch.refreshes_sent - before;
    world.answer_all();
    let is_slow = |call: &&usize| took(&world, **call) > 1010;
    // Only the requests that try the provider wait longer.
    assert!(calls.iter().filter(is_slow).count() <= 41);
    for call in calls {
        assert_eq!(world.visits[call].given.as_ref().unwrap().status, 503);
    }
    assert!(sent <= 41, "{sent}");
}

// claim: handler-50
#[test]
fn sessions_recover_after_the_provider_has_hung() {
    let (mut world, users) = many_users_of(20, patient());
    for _ in 0..40 {
        world.fault(REFRESH, Fault::LostBefore);
    }
    calls_for(&mut world, &users, 120);
    world.answer_all();
    calls_for(&mut world, &users, 5);
    let calls: Vec<_> = users.iter().map(|user| world.call(*user, 0)).collect();
    world.answer_all();
    for call in calls {
        assert!(served(&world, call), "{:?}", world.visits[call].given);
    }
}

/// Returns the lines of the log since the number of events was `since`, and the sum of the refused requests in them.
fn lines(world: &World, since: usize) -> (Vec<String>, u64) {
    let lines: Vec<String> = world.events[since..]
        .iter()
        .filter_map(|event| match event {
            Event::Fault(fault) => Some(format!(
                "{}: {}",
                fault.level.as_str(),
                fault.error.message()
            )),
            _ => None,
        })
        .collect();
    let refused = |line: &String| {
        let (_, rest) = line.split_once(" s: ")?;
        rest.split(';').next()?.parse::<u64>().ok()
    };
    let sum = lines.iter().filter_map(refused).sum();
    (lines, sum)
}

#[test]
fn outage_of_the_provider_is_a_few_lines() {
    let (mut world, users) = many_users(40);
    let since = world.events.len();
    world.weather.provider_down = true;
    call_for(&mut world, &users, 150_000, 1000);
    world.answer_all();
    world.weather.provider_down = false;
    call_for(&mut world, &users, 10_000, 1000);
    world.answer_all();
    let (lines, sum) = lines(&world, since);
    let [failed, down, still, later, up] = &lines[..] else {
        panic!("{lines:#?}");
    };
    assert!(failed.starts_with("warn: a refresh failed: "), "{failed}");
    assert!(down.starts_with("error: the provider is down"), "{down}");
    for line in [still, later] {
        assert!(
            line.starts_with("error: the provider is still down"),
            "{line}"
        );
    }
    assert!(up.starts_with("info: the provider works again"), "{up}");
    let refused = world.visits.iter().filter(|visit| {
        let given = visit.given.as_ref();
        given.is_some_and(|given| given.status == 503)
    });
    let refused = refused.count() as u64;
    let (_, all) = up.split_once("refused requests: ").unwrap();
    let all: u64 = all.trim_end_matches('.').parse().unwrap();
    assert!(sum < all && all <= refused, "{sum} {all} {refused}");
    // A few requests were refused before the isolate knew of an outage.
    assert!(refused - all <= 3, "{all} of {refused}");
}

#[test]
fn outage_of_the_coordinator_is_a_few_lines() {
    let (mut world, users) = many_users(40);
    let since = world.events.len();
    world.weather.coordinator_down = true;
    call_for(&mut world, &users, 150_000, 1000);
    world.answer_all();
    world.weather.coordinator_down = false;
    call_for(&mut world, &users, 10_000, 1000);
    world.answer_all();
    let (lines, _) = lines(&world, since);
    let [down, .., up] = &lines[..] else {
        panic!("{lines:#?}");
    };
    assert!(down.starts_with("error: the coordinator is down"), "{down}");
    assert!(up.starts_with("info: the coordinator works again"), "{up}");
    assert!(lines.len() <= 5, "{lines:#?}");
}

#[test]
fn silent_provider_is_in_the_log() {
    let (mut world, users) = many_users_of(40, patient());
    let since = world.events.len();
    always(&mut world, Fault::LostBefore);
    calls_for(&mut world, &users, 15);
    let (lines, _) = lines(&world, since);
    let [line] = &lines[..] else {
        panic!("{lines:#?}");
    };
    assert!(line.contains("it does not respond"), "{line}");
}

#[test]
fn refresh_counts_the_requests_that_wait_for_it() {
    let (mut world, users) = many_users(1);
    let since = world.events.len();
    world.fault(REFRESH, Fault::Slow(500, 500));
    for _ in 0..4 {
        world.call(users[0], 0);
    }
    world.answer_all();
    let waiting = world.events[since..].iter().find_map(|event| match event {
        Event::Observed(Observation {
            happened: Happened::Refresh { waiting, .. },
            ..
        }) => Some(*waiting),
        _ => None,
    });
    assert_eq!(waiting, Some(3));
}

/// Creates a world in which the isolate has no metadata yet, and this endpoint of the provider hangs.
fn hanging(endpoint: Endpoint) -> World {
    let mut world = World::new(Setup {
        isolates: 1,
        discovers: true,
        ..patient()
    });
    world.weather.hangs = Some(endpoint);
    world
}

/// Lets another user begin a login 20 times a second, and returns the requests.
fn logins_for(world: &mut World, seconds: u64) -> Vec<usize> {
    let mut logins = Vec::new();
    for _ in 0..seconds * 20 {
        let browser = world.open_browser(&format!("user {}", world.browsers.len()));
        logins.push(world.log_in(browser, 0));
        world.pass(50);
    }
    logins
}

/// Returns the times of the requests for a document.
fn asked_for(world: &World, endpoint: Endpoint) -> Vec<u64> {
    let requests = world.sent.iter();
    let of_it = requests.filter(|(_, asked)| *asked == Site::Provider(endpoint));
    of_it.map(|(at, _)| *at).collect()
}

// claim: handler-50
#[test]
fn discovery_that_hangs_holds_no_login_after_fifteen_seconds() {
    let mut world = hanging(Endpoint::Discovery);
    logins_for(&mut world, 15);
    let logins = logins_for(&mut world, 60);
    world.answer_all();
    let asked = asked_for(&world, Endpoint::Discovery);
    for pair in asked[1..].windows(2) {
        assert!(pair[1] - pair[0] >= 3000, "{pair:?}");
    }
    assert!(asked.len() >= 15, "{}", asked.len());
    let mut slow = 0;
    for login in logins {
        assert!(retry_after(&world, login) <= 4);
        slow += u32::from(took(&world, login) > 1010);
    }
    // Only the requests that try the provider wait longer.
    assert!((14..=21).contains(&slow), "{slow}");
}

/// Logins are redirected, and the callback needs the keys.
// claim: handler-50
#[test]
fn key_set_that_hangs_holds_no_callback_after_fifteen_seconds() {
    let mut world = hanging(Endpoint::Keys);
    logins_for(&mut world, 15);
    let before = world.visits.len();
    logins_for(&mut world, 60);
    world.answer_all();
    let (mut callbacks, mut slow) = (0, 0);
    for visit in before..world.visits.len() {
        match world.visits[visit].purpose {
            Purpose::Callback => {
                callbacks += 1;
                slow += u32::from(took(&world, visit) > 1100);
                assert!(retry_after(&world, visit) <= 4);
            }
            _ => assert_eq!(world.visits[visit].given.as_ref().unwrap().status, 303),
        }
    }
    assert!(callbacks > 1000 && slow <= 21, "{callbacks} {slow}");
    let asked = asked_for(&world, Endpoint::Keys);
    assert!((15..=25).contains(&asked.len()), "{}", asked.len());
    world.weather.hangs = None;
    world.pass(4000);
    world.signed_in("alice", 0);
}

// claim: handler-50
#[test]
fn login_works_within_five_seconds_after_discovery_has_hung() {
    for seconds in [5, 12, 31, 62] {
        let mut world = hanging(Endpoint::Discovery);
        logins_for(&mut world, seconds);
        world.weather.hangs = None;
        logins_for(&mut world, 5);
        let logins = logins_for(&mut world, 1);
        world.answer_all();
        for login in logins {
            let given = world.visits[login].given.as_ref().unwrap();
            assert_eq!(given.status, 303, "{seconds} {}", given.body);
        }
    }
}

#[test]
fn login_that_tries_the_provider_does_not_wait_for_others() {
    let mut world = hanging(Endpoint::Discovery);
    logins_for(&mut world, 20);
    // The last attempt is still in flight.
    world.pass(5000);
    world.weather.hangs = None;
    let browser = world.open_browser("alice");
    let login = world.log_in(browser, 0);
    world.pass(100);
    let given = world.visits[login].given.as_ref().unwrap();
    assert_eq!(given.status, 303, "{}", given.body);
}

#[test]
fn logins_wait_for_slow_discovery() {
    let mut world = hanging(Endpoint::Discovery);
    world.weather.hangs = None;
    world.fault(Site::Provider(Endpoint::Discovery), Fault::Slow(1, 2000));
    for login in logins_for(&mut world, 4) {
        let given = world.visits[login].given.as_ref().unwrap();
        assert_eq!(given.status, 303, "{}", given.body);
    }
    assert_eq!(asked_for(&world, Endpoint::Discovery).len(), 1);
}

/// Each user who waits closes the page after four seconds.
#[test]
fn abandoned_logins_show_that_discovery_hangs() {
    let mut world = hanging(Endpoint::Discovery);
    let mut logins = Vec::new();
    for n in 0..600 {
        logins.extend(logins_for(&mut world, 1).pop());
        if n >= 4 {
            world.abandon(logins[n - 4]);
        }
    }
    world.answer_all();
    let is_quick = |login: &&usize| world.visits[**login].given.is_some();
    let quick = logins[20..].iter().filter(is_quick).count();
    assert!(quick > 400, "{quick}");
}

#[test]
fn sessions_go_on_while_discovery_hangs() {
    let mut world = hanging(Endpoint::Discovery);
    world.weather.hangs = None;
    let alice = world.signed_in("alice", 0);
    world.weather.hangs = Some(Endpoint::Discovery);
    for _ in 0..120 {
        let call = world.call(alice, 0);
        world.pass(1000);
        assert!(served(&world, call), "{:?}", world.visits[call].given);
    }
}
