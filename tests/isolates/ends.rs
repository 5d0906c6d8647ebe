//! The end of a session has a valid cause, reaches every isolate, and is reported once.

use crate::{both_storages, expired, served, took};
use kit_isolates::provider::Endpoint;
use kit_isolates::{COOKIE, Fault, Setup, Site, VisitId, World};

/// Returns the reason for the session's end from the response to a request, or `None` if the response has no reason.
fn ended(world: &World, visit: VisitId) -> Option<&str> {
    world.visits[visit].given.as_ref().unwrap().ended()
}

// claim: handler-20
#[test]
fn copied_cookie_is_refused_after_logout_and_recheck() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        world.provider.lifetime = 300_000;
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        world.call(copy, 1);
        world.answer_all();
        world.log_out(alice, 0);
        world.answer_all();
        world.pass(10_001);
        let call = world.call(copy, 1);
        world.answer_all();
        assert_eq!(ended(&world, call), Some("logged_out"));
        assert_eq!(world.watch.ends["logged_out"], 1);
        assert!(world.provider.is_revoked(0));
    }
}

// claim: handler-59
#[test]
fn logout_without_coordinator_takes_five_seconds_at_most() {
    for setup in both_storages(1) {
        for pause in [1000, 11_000] {
            let mut world = World::new(setup.clone());
            world.provider.lifetime = 300_000;
            let alice = world.signed_in("alice", 0);
            world.pass(pause);
            world.weather.coordinator_down = true;
            // This is `COORDINATOR_TIME`, which is the time limit of the real host.
            world.coordinator_timeout = 3000;
            let logout = world.log_out(alice, 0);
            world.answer_all();
            let took = took(&world, logout);
            assert!(took <= 5000, "{took}");
            assert!(!world.browsers[alice].jar.contains_key(COOKIE));
            assert!(world.provider.is_revoked(0));
        }
    }
}

#[test]
fn logout_survives_short_coordinator_failure() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        world.provider.lifetime = 300_000;
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        world.pass(11_000);
        for site in [Site::Read, Site::Swap] {
            world.fault(site, Fault::Slow(100, 100));
        }
        world.log_out(alice, 0);
        world.answer_all();
        let call = world.call(copy, 1);
        world.answer_all();
        assert_eq!(ended(&world, call), Some("logged_out"));
    }
}

#[test]
fn logout_is_written_though_the_coordinator_failed_before() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        world.provider.lifetime = 300_000;
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        world.pass(11_000);
        world.weather.coordinator_down = true;
        world.call(alice, 0);
        world.answer_all();
        world.weather.coordinator_down = false;
        world.log_out(alice, 0);
        world.answer_all();
        let call = world.call(copy, 1);
        world.answer_all();
        assert_eq!(ended(&world, call), Some("logged_out"));
    }
}

#[test]
fn logout_during_refresh_revokes_its_result() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(setup);
        world.fault(Site::Provider(Endpoint::Refresh), Fault::Slow(1, 2000));
        let call = world.call(alice, 0);
        world.pass(500);
        let logout = world.log_out(alice, 1);
        world.answer_all();
        assert_eq!(ended(&world, call), Some("logged_out"));
        assert!(world.provider.is_revoked(0));
        assert!(!is_revoked(&world, logout));
        assert!(!world.browsers[alice].jar.contains_key(COOKIE));
    }
}

// claim: handler-53
#[test]
fn forgotten_session_ends_and_its_grant_stays() {
    for (in_store, idle, reason) in [
        (false, 1000, "logged_out"),
        (true, 1000, "logged_out"),
        (true, 60, "idle"),
    ] {
        let (mut world, alice) = expired(Setup {
            forgets: true,
            in_store,
            idle,
            ..Setup::default()
        });
        world.fault(Site::Provider(Endpoint::Refresh), Fault::Slow(1, 2000));
        // Unless the session is idle, the logout arrives during this refresh, whose result is not revoked either.
        let call = world.call(alice, 0);
        world.pass(500);
        let logout = world.log_out(alice, 1);
        world.answer_all();
        assert_eq!(ended(&world, call), Some(reason));
        assert_eq!(world.watch.ends[reason], 1);
        assert!(!is_revoked(&world, logout));
        assert!(!world.provider.is_revoked(0));
    }
}

/// The provider has ended the login of one tenant's session, while those of other tenants may continue.
#[test]
fn late_tokens_of_a_tenant_stay_valid_after_a_logout_at_the_provider() {
    for forgets in [false, true] {
        for in_store in [false, true] {
            let (mut world, alice) = expired(Setup {
                forgets,
                in_store,
                ..Setup::default()
            });
            world.fault(Site::Provider(Endpoint::Refresh), Fault::Slow(1, 2000));
            let call = world.call(alice, 0);
            world.pass(500);
            world.back_channel(0, 1);
            world.pass(100);
            world.call(alice, 1);
            world.answer_all();
            assert_eq!(ended(&world, call), Some("provider_ended"));
            assert_eq!(world.provider.is_revoked(0), !forgets, "{in_store}");
        }
    }
}

#[test]
fn logout_confirms_no_revocation_after_a_lost_response() {
    for setup in both_storages(2) {
        for isolate in [0, 1] {
            let (mut world, alice) = expired(setup.clone());
            for _ in 0..3 {
                world.fault(Site::Provider(Endpoint::Refresh), Fault::LostAfter);
            }
            world.call(alice, 0);
            world.answer_all();
            let logout = world.log_out(alice, isolate);
            world.answer_all();
            assert!(!is_revoked(&world, logout));
        }
    }
}

#[test]
fn logout_after_a_refresh_confirms_the_revocation() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(setup);
        world.call(alice, 0);
        world.answer_all();
        let logout = world.log_out(alice, 1);
        world.answer_all();
        assert!(is_revoked(&world, logout));
    }
}

fn is_revoked(world: &World, logout: usize) -> bool {
    let given = world.visits[logout].given.as_ref().unwrap();
    given.body.contains(r#""revoked":true"#)
}

#[test]
fn same_user_login_does_not_revoke_running_refresh() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        world.is_new_user = false;
        let alice = world.signed_in("alice", 0);
        world.pass(61_000);
        world.fault(Site::Provider(Endpoint::Refresh), Fault::Slow(1, 2000));
        let call = world.call(alice, 0);
        world.pass(500);
        world.log_in(alice, 1);
        world.answer_all();
        world.answer_all();
        assert_eq!(ended(&world, call), Some("replaced"));
        assert_eq!(world.watch.ends["replaced"], 1);
        // The family is not revoked, because many providers would revoke the whole grant, including the new session.
        assert!(!world.provider.is_revoked(0));
    }
}

// claim: handler-22
#[test]
fn late_response_does_not_overwrite_newer_session_cookie() {
    for logs_in_at in [0, 1] {
        let mut world = World::new(Setup::default());
        world.provider.lifetime = 300_000;
        let alice = world.signed_in("alice", 0);
        // After this time, the next response writes a cookie that records the user's activity.
        world.pass(61_000);
        world.fault(Site::Api, Fault::Slow(1, 5000));
        let call = world.call(alice, 0);
        world.pass(100);
        world.log_in(alice, logs_in_at);
        world.pass(1000);
        let next = world.browsers[alice].jar[COOKIE].clone();
        world.answer_all();
        assert!(served(&world, call));
        assert_eq!(world.browsers[alice].jar[COOKIE], next);
    }
}

#[test]
fn overtaken_response_does_not_restore_older_generation() {
    for others in [0, 1] {
        let mut world = World::new(Setup::default());
        world.provider.lifetime = 100_000;
        let alice = world.signed_in("alice", 0);
        // After this time, the next response records her activity in the cookie, and the token is almost due for a
        // refresh.
        world.pass(89_800);
        world.fault(Site::Api, Fault::Slow(1, 900));
        world.call(alice, 0);
        world.pass(250);
        world.call(alice, others);
        world.pass(250);
        world.call(alice, others);
        world.answer_all();
        world.pass(62_000);
        let next = world.call(alice, 0);
        world.answer_all();
        assert!(served(&world, next), "{:?}", world.visits[next].given);
    }
}

#[test]
fn logout_finishes_after_disconnect() {
    for setup in both_storages(2) {
        let mut world = World::new(setup);
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        let logout = world.log_out(alice, 0);
        world.pass(1);
        world.abandon(logout);
        world.answer_all();
        let call = world.call(copy, 1);
        world.answer_all();
        assert!(!served(&world, call));
        assert!(world.provider.is_revoked(0));
    }
}

// claim: handler-59
#[test]
fn logout_is_written_after_coordinator_outage() {
    let mut world = World::new(Setup::default());
    world.provider.lifetime = 300_000;
    let alice = world.signed_in("alice", 0);
    let copies = [world.copy_of(alice), world.copy_of(alice)];
    world.weather.coordinator_down = true;
    let logout = world.log_out(alice, 0);
    world.answer_all();
    assert_eq!(world.visits[logout].given.as_ref().unwrap().status, 200);
    assert!(!world.browsers[alice].jar.contains_key(COOKIE));
    assert!(world.provider.is_revoked(0));
    world.weather.coordinator_down = false;
    world.pass(11_000);
    // Isolate 0 remembers the logout, and writes it to the coordinator for the other isolate.
    for (isolate, copy) in copies.into_iter().enumerate() {
        let call = world.call(copy, isolate);
        world.answer_all();
        assert_eq!(ended(&world, call), Some("logged_out"));
    }
}

#[test]
fn provider_ended_session_ends_despite_activity() {
    // Each call writes the user's activity. The isolate must not treat this write as a check for an end by the
    // provider.
    let mut world = World::new(Setup {
        in_store: true,
        idle: 20,
        ..Setup::default()
    });
    world.provider.lifetime = 300_000;
    let alice = world.signed_in("alice", 0);
    world.call(alice, 0);
    world.answer_all();
    world.back_channel(0, 1);
    world.answer_all();
    let mut served_until = 0;
    for second in 0..30 {
        world.pass(1000);
        let call = world.call(alice, 0);
        world.answer_all();
        if served(&world, call) {
            served_until = second;
        }
    }
    assert!(served_until <= 10, "{served_until}");
}

// claim: handler-55
#[test]
fn back_channel_logout_is_immediate_where_it_arrives() {
    for setup in both_storages(2) {
        let mut world = World::new(Setup {
            recheck: 3600,
            ..setup
        });
        world.provider.lifetime = 300_000;
        let [alice, bob] = ["alice", "bob"].map(|user| world.signed_in(user, 0));
        for user in [alice, bob] {
            world.call(user, 0);
            world.answer_all();
        }
        world.back_channel(0, 0);
        world.answer_all();
        let calls = [alice, bob].map(|user| world.call(user, 0));
        world.answer_all();
        assert_eq!(ended(&world, calls[0]), Some("provider_ended"));
        assert!(served(&world, calls[1]));
    }
}

// claim: handler-55
#[test]
fn back_channel_logout_reaches_isolates_after_recheck() {
    for setup in both_storages(3) {
        let mut world = World::new(setup);
        world.provider.lifetime = 300_000;
        let alice = world.signed_in("alice", 0);
        let copies = [0, 1, 2].map(|isolate| (world.copy_of(alice), isolate));
        for (copy, isolate) in copies {
            world.call(copy, isolate);
        }
        world.answer_all();
        world.back_channel(0, 0);
        world.answer_all();
        world.pass(10_001);
        for (copy, isolate) in copies {
            let call = world.call(copy, isolate);
            world.answer_all();
            assert_eq!(ended(&world, call), Some("provider_ended"));
        }
    }
}

// claim: handler-55
#[test]
fn back_channel_logout_soon_after_login_survives_clock_differences() {
    for setup in both_storages(2) {
        let mut world = World::new(Setup {
            skews: vec![1000, -1000],
            ..setup
        });
        world.provider.lifetime = 300_000;
        let alice = world.signed_in("alice", 0);
        world.pass(500);
        world.back_channel(0, 1);
        world.answer_all();
        world.pass(60_000);
        let call = world.call(alice, 1);
        world.answer_all();
        assert_eq!(ended(&world, call), Some("provider_ended"));
    }
}

/// Returns the time of the idle limit from a response, in milliseconds since the Unix epoch.
fn told_idle_end(world: &World, visit: VisitId) -> u64 {
    let body = &world.visits[visit].given.as_ref().unwrap().body;
    let (_, rest) = body.split_once(r#""idleExpiresAt":"#).unwrap();
    let (digits, _) = rest.split_once(',').unwrap();
    digits.parse().unwrap()
}

#[test]
fn activity_in_another_isolate_postpones_idle_end() {
    // The isolate's cached record is older than the idle limit.
    for is_page in [false, true] {
        let mut world = World::new(Setup {
            in_store: true,
            idle: 60,
            recheck: 3600,
            ..Setup::default()
        });
        world.provider.lifetime = 300_000;
        let alice = world.signed_in("alice", 0);
        world.call(alice, 1);
        world.answer_all();
        for _ in 0..4 {
            world.pass(30_000);
            world.call(alice, 0);
            world.answer_all();
        }
        let visit = match is_page {
            true => world.ask_session(alice, 1),
            false => world.call(alice, 1),
        };
        world.answer_all();
        assert!(served(&world, visit));
        if is_page {
            let end = told_idle_end(&world, visit);
            assert!(end > world.now + 55_000, "{end} at {}", world.now);
        }
    }
}

#[test]
fn older_cookie_updates_activity() {
    let mut world = World::new(Setup {
        idle: 400,
        ..Setup::default()
    });
    world.provider.lifetime = 300_000;
    let alice = world.signed_in("alice", 0);
    let other = world.copy_of(alice);
    world.pass(250_000);
    world.call(other, 1);
    world.answer_all();
    world.pass(51_000);
    // A background request refreshes the session, but is not activity of the user.
    world.poll(alice, 0);
    world.answer_all();
    world.pass(200_000);
    let asked = world.ask_session(other, 1);
    world.answer_all();
    assert!(told_idle_end(&world, asked) > world.now + 100_000);
}

#[test]
fn returning_user_prevents_idle_end() {
    for is_page in [false, true] {
        let mut world = World::new(Setup {
            in_store: true,
            idle: 400,
            recheck: 0,
            ..Setup::default()
        });
        world.provider.lifetime = 3_600_000;
        let alice = world.signed_in("alice", 1);
        world.call(alice, 1);
        world.answer_all();
        // Isolate 1 sees the user's activity, but cannot write it.
        world.weather.coordinator_down = true;
        world.pass(350_000);
        world.call(alice, 1);
        world.answer_all();
        world.weather.coordinator_down = false;
        world.pass(100_000);
        // Isolate 0 reads that the user is idle, checks for an end by the provider, and reads again. The user becomes
        // active before the last of these reads, which would otherwise end the session.
        for _ in 0..3 {
            world.fault(Site::Read, None);
        }
        world.fault(Site::Read, Fault::Slow(100, 1));
        let poll = match is_page {
            true => world.ask_session(alice, 0),
            false => world.poll(alice, 0),
        };
        world.pass(20);
        let call = world.call(alice, 1);
        world.answer_all();
        assert!(served(&world, call));
        assert!(served(&world, poll), "{:?}", world.visits[poll].given);
        assert!(world.watch.ends.is_empty());
        if is_page {
            assert!(told_idle_end(&world, poll) > world.now + 395_000);
        }
    }
}

// claim: handler-24
#[test]
fn idle_session_in_store_is_ended_and_revoked() {
    let (mut world, alice) = expired(Setup {
        in_store: true,
        idle: 60,
        ..Setup::default()
    });
    let call = world.call(alice, 1);
    world.answer_all();
    assert_eq!(ended(&world, call), Some("idle"));
    assert_eq!(world.watch.ends["idle"], 1);
    assert!(world.provider.is_revoked(0));
}

#[test]
fn absolute_end_is_reported_once() {
    for setup in both_storages(2) {
        let mut world = World::new(Setup {
            absolute: 100,
            idle: 100,
            ..setup
        });
        let alice = world.signed_in("alice", 0);
        let copy = world.copy_of(alice);
        for pause in [101_000, 1000, 200_000, 3_600_000] {
            world.pass(pause);
            for isolate in [0, 1] {
                // A new isolate remembers nothing, and still knows that the session has ended.
                world.kill(isolate);
                let copy = world.copy_of(copy);
                let call = world.call(copy, isolate);
                world.answer_all();
                assert!(!served(&world, call));
            }
        }
        assert_eq!(world.watch.ends["absolute"], 1);
    }
}

#[test]
fn tokens_of_another_user_end_the_session() {
    for setup in both_storages(2) {
        let (mut world, alice) = expired(setup);
        world.provider.next_is_other_user = true;
        let call = world.call(alice, 0);
        world.answer_all();
        assert_eq!(ended(&world, call), Some("security"));
        assert!(world.provider.is_revoked(0));
    }
}

#[test]
fn newer_cookie_does_not_revive_ended_session() {
    let mut world = World::new(Setup {
        isolates: 3,
        ..Setup::default()
    });
    let alice = world.signed_in("alice", 0);
    let older = world.copy_of(alice);
    world.pass(61_000);
    // Isolate 0 can write the intent to refresh, but not the result. Only Alice's cookie has the new refresh token.
    world.fault(Site::Swap, None);
    for _ in 0..5 {
        world.fault(Site::Swap, Fault::LostBefore);
    }
    world.call(alice, 0);
    world.answer_all();
    world.pass(10_000);
    // Isolate 1 is about to write the new token to the record. At the same time, a logout arrives with the older
    // cookie.
    world.fault(Site::Swap, Fault::Slow(500, 1));
    let call = world.call(alice, 1);
    world.pass(50);
    world.log_out(older, 2);
    world.answer_all();
    assert!(world.visits[call].given.is_some());
    world.pass(11_000);
    let next = world.call(alice, 0);
    world.answer_all();
    assert_eq!(ended(&world, next), Some("logged_out"));
}
