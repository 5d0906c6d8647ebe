//! Orders of the app's server end sessions on every isolate, and no session that begins later.

use crate::{both_storages, served, took};
use edge::Event;
use kit_isolates::{Fault, Purpose, Setup, Site, VisitId, World};

/// Longer than the recheck period, in milliseconds.
const RECHECKED: u64 = 10_001;

/// Creates a world whose users may have several sessions, with tokens that last.
fn world(setup: Setup) -> World {
    let mut world = World::new(setup);
    world.is_new_user = false;
    world.provider.lifetime = 300_000;
    world
}

fn user(subject: &str) -> String {
    format!(r#"{{"user":"{subject}"}}"#)
}

fn spare(ids: &[&str]) -> String {
    format!(r#"{{"spare":{ids:?}}}"#)
}

/// Gives an order at isolate 0. Returns its result.
fn order(world: &mut World, target: &str, options: &str) -> String {
    let visit = world.end(0, target, options);
    world.answer_all();
    world.visits[visit].given.as_ref().unwrap().body.clone()
}

fn ended(world: &World, visit: VisitId) -> Option<&str> {
    world.visits[visit].given.as_ref().unwrap().ended()
}

/// Returns the result of a call: the reason for the session's end, or an empty string if it was served.
fn result(world: &mut World, browser: usize, isolate: usize) -> String {
    let call = world.call(browser, isolate);
    world.answer_all();
    if served(world, call) {
        return String::new();
    }
    ended(world, call).unwrap().to_owned()
}

// claim: handler-68
#[test]
fn order_ends_all_sessions_of_a_user_everywhere() {
    for setup in both_storages(3) {
        let mut world = world(setup);
        let [first, second, other] =
            [("alice", 0), ("alice", 1), ("bob", 0)].map(|(user, at)| world.signed_in(user, at));
        for isolate in 0..3 {
            world.call(first, isolate);
        }
        world.answer_all();
        assert_eq!(order(&mut world, &user("alice"), "{}"), "true");
        world.pass(RECHECKED);
        let copies = [0, 1, 2].map(|_| world.copy_of(first));
        for (isolate, copy) in copies.into_iter().enumerate() {
            assert_eq!(result(&mut world, copy, isolate), "logged_out");
        }
        assert_eq!(result(&mut world, second, 2), "logged_out");
        assert_eq!(result(&mut world, other, 0), "");
        assert_eq!(world.watch.ends["logged_out"], 2);
        assert!(world.provider.is_revoked(0));
        assert!(!world.provider.is_revoked(2));
    }
}

// claim: handler-68
#[test]
fn order_is_immediate_where_it_is_given() {
    for setup in both_storages(1) {
        let mut world = world(Setup {
            recheck: 3600,
            ..setup
        });
        let alice = world.signed_in("alice", 0);
        assert_eq!(result(&mut world, alice, 0), "");
        order(&mut world, &user("alice"), r#"{"reason":"security"}"#);
        assert_eq!(result(&mut world, alice, 0), "security");
    }
}

// claim: handler-68
#[test]
fn login_after_an_order_survives_in_the_same_second() {
    for setup in both_storages(2) {
        let mut world = world(setup);
        for _ in 0..3 {
            let before = world.signed_in("alice", 1);
            order(&mut world, &user("alice"), "{}");
            let after = world.signed_in("alice", 1);
            world.pass(RECHECKED);
            for isolate in [0, 1] {
                assert_eq!(result(&mut world, after, isolate), "");
            }
            assert_eq!(result(&mut world, before, 0), "logged_out");
        }
    }
}

#[test]
fn order_ends_only_sessions_of_one_session_of_the_provider() {
    for setup in both_storages(2) {
        let mut world = world(setup);
        let [first, second] = [0, 1].map(|isolate| world.signed_in("alice", isolate));
        order(&mut world, r#"{"providerSession":"op-1"}"#, "{}");
        world.pass(RECHECKED);
        assert_eq!(result(&mut world, first, 1), "");
        assert_eq!(result(&mut world, second, 1), "logged_out");
    }
}

#[test]
fn order_ends_one_session_by_its_public_id() {
    for setup in both_storages(2) {
        let mut world = world(Setup {
            is_admin: true,
            ..setup
        });
        let [first, second] = [0, 1].map(|isolate| world.signed_in("alice", isolate));
        let target = format!(r#"{{"session":"{}"}}"#, world.public_id(second));
        assert_eq!(order(&mut world, &target, "{}"), "true");
        world.pass(RECHECKED);
        assert_eq!(result(&mut world, first, 1), "");
        assert_eq!(result(&mut world, second, 1), "logged_out");
        assert_eq!(world.watch.ends["logged_out"], 1);
    }
}

#[test]
fn admin_ends_sessions_that_the_provider_cannot_end() {
    for is_admin in [false, true] {
        for setup in both_storages(2) {
            let mut world = world(Setup {
                is_admin,
                is_without_back_channel: true,
                ..setup
            });
            let alice = world.signed_in("alice", 1);
            let given = order(&mut world, &user("alice"), "{}");
            assert_eq!(given == "true", is_admin, "{given}");
            assert_eq!(given.contains("session.admin"), !is_admin);
            world.pass(RECHECKED);
            let expected = if is_admin { "logged_out" } else { "" };
            assert_eq!(result(&mut world, alice, 1), expected);
        }
    }
}

#[test]
fn spared_session_continues() {
    for setup in both_storages(2) {
        let mut world = world(setup);
        let [first, second] = [0, 1].map(|isolate| world.signed_in("alice", isolate));
        let spared = world.public_id(first);
        for _ in 0..2 {
            order(&mut world, &user("alice"), &spare(&[&spared]));
            world.pass(RECHECKED);
            for isolate in [0, 1] {
                assert_eq!(result(&mut world, first, isolate), "");
            }
        }
        assert_eq!(result(&mut world, second, 1), "logged_out");
        order(&mut world, &user("alice"), "{}");
        world.pass(RECHECKED);
        assert_eq!(result(&mut world, first, 1), "logged_out");
    }
}

// claim: handler-68
#[test]
fn later_order_does_not_spare_an_ended_session() {
    for setup in both_storages(2) {
        let mut world = world(setup);
        let [first, second] = [0, 1].map(|isolate| world.signed_in("alice", isolate));
        let ids = [first, second].map(|browser| world.public_id(browser));
        order(&mut world, &user("alice"), &spare(&[&ids[0]]));
        // The second session is not presented between the two orders.
        world.end(0, &user("alice"), &spare(&[&ids[0], &ids[1]]));
        world.answer_all();
        world.pass(RECHECKED);
        assert_eq!(result(&mut world, first, 1), "");
        let call = world.call(second, 1);
        world.answer_all();
        assert_eq!(ended(&world, call), Some("logged_out"));
    }
}

#[test]
fn session_after_an_expired_order_can_be_spared() {
    let mut world = world(Setup {
        absolute: 3600,
        idle: 3600,
        ..Setup::default()
    });
    world.provider.lifetime = 3_600_000;
    order(&mut world, &user("alice"), "{}");
    world.pass(1_800_000);
    let alice = world.signed_in("alice", 0);
    // By now, the coordinator has dropped the first order.
    world.pass(2_000_000);
    let spared = world.public_id(alice);
    order(&mut world, &user("alice"), &spare(&[&spared]));
    world.pass(RECHECKED);
    assert_eq!(result(&mut world, alice, 1), "");
}

#[test]
fn order_is_false_if_it_cannot_be_written_and_may_be_repeated() {
    // The write may fail before or after it takes effect.
    for fault in [Fault::LostBefore, Fault::LostAfter] {
        for setup in both_storages(2) {
            let mut world = world(setup);
            order(&mut world, &user("alice"), "{}");
            let [first, second] = [0, 1].map(|isolate| world.signed_in("alice", isolate));
            let spared = spare(&[&world.public_id(first)]);
            world.fault(Site::Swap, fault);
            assert_eq!(order(&mut world, &user("alice"), &spared), "false");
            world.pass(RECHECKED);
            assert_eq!(result(&mut world, first, 1), "", "{fault:?}");
            assert_eq!(order(&mut world, &user("alice"), &spared), "true");
            world.pass(RECHECKED);
            assert_eq!(result(&mut world, first, 1), "", "{fault:?}");
            assert_eq!(result(&mut world, second, 1), "logged_out");
        }
    }
}

#[test]
fn orders_at_the_same_time_leave_only_what_both_spare() {
    for setup in both_storages(2) {
        let mut world = world(setup);
        let browsers = [0, 1, 0].map(|isolate| world.signed_in("alice", isolate));
        let [both, one, other] = browsers.map(|browser| world.public_id(browser));
        world.end(0, &user("alice"), &spare(&[&both, &one]));
        world.end(1, &user("alice"), &spare(&[&both, &other]));
        world.answer_all();
        world.pass(RECHECKED);
        assert_eq!(result(&mut world, browsers[0], 0), "");
        for browser in &browsers[1..] {
            assert_eq!(result(&mut world, *browser, 1), "logged_out");
        }
    }
}

#[test]
fn orders_a_moment_apart_end_neither_what_both_spare_nor_a_later_login() {
    for setup in both_storages(2) {
        for (seed, moment) in (0..20).flat_map(|seed| (0..12).map(move |moment| (seed, moment))) {
            let mut world = World::with_seed(setup.clone(), seed);
            world.is_new_user = false;
            world.provider.lifetime = 300_000;
            let alice = world.signed_in("alice", 0);
            let spared = spare(&[&world.public_id(alice)]);
            world.pass(5000);
            world.end(0, &user("alice"), &spared);
            world.pass(moment);
            world.end(1, &user("alice"), &spared);
            world.answer_all();
            let later = world.signed_in("alice", 0);
            world.pass(RECHECKED);
            for browser in [alice, later] {
                let ended = result(&mut world, browser, 1);
                assert_eq!(ended, "", "seed {seed}, {moment} ms");
            }
        }
    }
}

#[test]
fn order_between_refreshes_ends_only_what_began_before() {
    let faults = [
        None,
        Some(Fault::Slow(400, 400)),
        Some(Fault::LostBefore),
        Some(Fault::LostAfter),
    ];
    let places = [Site::Read, Site::Swap];
    let cases = faults
        .iter()
        .flat_map(|fault| places.map(|site| (site, *fault)));
    for (case, (site, fault)) in cases.enumerate() {
        for (setup, moment) in both_storages(3)
            .into_iter()
            .flat_map(|setup| (0..20).map(move |moment| (setup.clone(), moment)))
        {
            let mut world = World::with_seed(setup, moment);
            world.is_new_user = false;
            let before = world.signed_in("alice", 0);
            // The access token has expired, and two isolates refresh the session while a third one gets the order.
            world.pass(61_000);
            for isolate in [1, 2] {
                let copy = world.copy_of(before);
                world.call(copy, isolate);
            }
            world.pass(moment * 7);
            // The fault meets one of the next operations of a refresh, or of the order.
            for _ in 0..moment % 4 {
                world.fault(site, None);
            }
            world.fault(site, fault);
            world.end(0, &user("alice"), "{}");
            world.answer_all();
            world.clear_faults();
            world.pass(1000);
            // An order that could not be written is given again.
            order(&mut world, &user("alice"), "{}");
            let after = world.signed_in("alice", 2);
            world.pass(RECHECKED);
            for isolate in 0..3 {
                let copy = world.copy_of(before);
                let end = result(&mut world, copy, isolate);
                assert_eq!(end, "logged_out", "{case}, {moment}");
                assert_eq!(result(&mut world, after, isolate), "", "{case}, {moment}");
            }
            assert!(world.provider.is_revoked(0), "{case}, {moment}");
            assert!(!world.provider.is_revoked(1), "{case}, {moment}");
        }
    }
}

/// Returns who and why in the reports of ended sessions.
fn reports(world: &World) -> Vec<(String, String)> {
    let reports = world.events.iter().filter_map(|event| match event {
        Event::Ended { by, why, .. } => Some((by.clone(), why.clone())),
        _ => None,
    });
    reports.collect()
}

#[test]
fn end_by_order_is_reported_once_with_who_and_why() {
    for setup in both_storages(3) {
        let mut world = world(setup);
        let alice = world.signed_in("alice", 0);
        let options = r#"{"by":"Ann, support","why":"ticket 7"}"#;
        order(&mut world, &user("alice"), options);
        order(&mut world, &user("alice"), options);
        assert!(reports(&world).is_empty(), "nobody has presented it");
        world.pass(RECHECKED);
        // Several isolates find the end at the same time.
        for isolate in [0, 1, 2, 0] {
            let copy = world.copy_of(alice);
            world.call(copy, isolate);
        }
        world.answer_all();
        let expected = ("Ann, support".to_owned(), "ticket 7".to_owned());
        assert_eq!(reports(&world), [expected]);
    }
}

#[test]
fn back_channel_logout_is_reported_once() {
    for setup in both_storages(2) {
        let mut world = world(setup);
        let alice = world.signed_in("alice", 0);
        world.back_channel(0, 1);
        world.answer_all();
        world.pass(RECHECKED);
        for isolate in [0, 1, 0] {
            let copy = world.copy_of(alice);
            assert_eq!(result(&mut world, copy, isolate), "provider_ended");
        }
        assert_eq!(world.watch.ends["provider_ended"], 1);
    }
}

#[test]
fn found_end_is_reported_after_an_outage() {
    for setup in both_storages(1) {
        let mut world = world(setup);
        let alice = world.signed_in("alice", 0);
        order(&mut world, &user("alice"), "{}");
        // The coordinator reads, and refuses all writes of the first attempts.
        for _ in 0..5 {
            world.fault(Site::Swap, Fault::LostBefore);
        }
        let copy = world.copy_of(alice);
        assert_eq!(result(&mut world, copy, 0), "logged_out");
        assert!(reports(&world).is_empty());
        world.pass(RECHECKED);
        let copy = world.copy_of(alice);
        assert_eq!(result(&mut world, copy, 0), "logged_out");
        assert_eq!(reports(&world).len(), 1);
    }
}

// claim: handler-68
#[test]
fn order_that_could_not_be_read_is_read_again_at_once() {
    for setup in both_storages(2) {
        let mut world = world(Setup {
            recheck: 3600,
            ..setup
        });
        let alice = world.signed_in("alice", 0);
        order(&mut world, &user("alice"), "{}");
        if world.setup.in_store {
            // The record is read.
            world.fault(Site::Read, None);
        }
        world.fault(Site::Read, Fault::LostBefore);
        let copy = world.copy_of(alice);
        world.call(copy, 0);
        world.answer_all();
        world.pass(1000);
        // A request with a valid token does not wait for a coordinator that was slow.
        let copy = world.copy_of(alice);
        world.call(copy, 0);
        world.answer_all();
        assert_eq!(result(&mut world, alice, 0), "logged_out");
    }
}

#[test]
fn login_does_not_wait_for_the_index() {
    for setup in both_storages(1) {
        let mut world = world(Setup {
            is_admin: true,
            ..setup
        });
        world.coordinator_timeout = 20_000;
        world.signed_in("bob", 0);
        let alice = world.open_browser("alice");
        world.log_in(alice, 0);
        // The login reads the orders. The next read is that of the index.
        world.fault(Site::Read, None);
        world.fault(Site::Read, Fault::Slow(5000, 0));
        world.pass(100);
        let callback = world
            .visits
            .iter()
            .rposition(|it| it.purpose == Purpose::Callback);
        assert!(took(&world, callback.unwrap()) < 50);
        world.answer_all();
        let listed = world.sessions(0, "alice");
        assert_eq!(listed.matches("startedAt").count(), 1, "{listed}");
    }
}

#[test]
fn logins_at_the_same_time_may_be_missing_in_the_index() {
    let mut world = world(Setup {
        is_admin: true,
        ..Setup::default()
    });
    let browsers: Vec<usize> = (0..20).map(|_| world.open_browser("alice")).collect();
    for browser in &browsers {
        world.log_in(*browser, browser % 2);
    }
    world.answer_all();
    world.answer_all();
    let listed = world.sessions(0, "alice").matches("startedAt").count();
    assert!((1..20).contains(&listed), "{listed}");
    world.pass(RECHECKED);
    for browser in browsers {
        assert_eq!(result(&mut world, browser, 0), "");
    }
}

#[test]
fn list_lacks_sessions_that_nobody_has_presented_since_their_end() {
    for setup in both_storages(2) {
        let mut world = world(Setup {
            is_admin: true,
            ..setup
        });
        let [first, _] = [0, 1].map(|isolate| world.signed_in("alice", isolate));
        let left = world.public_id(first);
        order(&mut world, r#"{"providerSession":"op-1"}"#, "{}");
        let listed = world.sessions(1, "alice");
        assert_eq!(listed.matches("startedAt").count(), 1, "{listed}");
        assert!(listed.contains(&left));
        let target = format!(r#"{{"session":"{left}"}}"#);
        order(&mut world, &target, "{}");
        assert!(!world.sessions(1, "alice").contains("startedAt"));
    }
}

#[test]
fn order_has_the_time_of_the_coordinator() {
    let mut world = world(Setup {
        skews: vec![-3_000_000, 0],
        ..Setup::default()
    });
    // The isolate has not asked the coordinator before.
    order(&mut world, &user("alice"), "{}");
    let mut entries = world.coordinator.entries(world.now);
    let (_, end) = entries
        .find(|(key, _)| key.starts_with("end subject."))
        .unwrap();
    // The lines of an end: `src/edge/store/end.rs`.
    let (received, issued) = end.lines().nth(2).unwrap().split_once(' ').unwrap();
    let [received, issued] = [received, issued].map(|time| time.parse::<u64>().unwrap());
    assert!(world.now.abs_diff(received) < 1000);
    assert!((world.now / 1000).abs_diff(issued) <= 1);
}
