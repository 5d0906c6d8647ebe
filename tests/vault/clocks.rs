//! The system's clock is set by an hour, or the device sleeps for a day. No session ends before its limits, and no refresh
//! token is sent twice.

use std::time::Duration;

use super::keeping::two_vaults_with;
use kit::world::{QUIET, REFRESH, World};
use vault::PortId;

const HOUR: i64 = 3600;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Limits that an hour more or less does not reach.
const MEMORY: &str = r#"{"session":{"idle":10800,"absolute":28800}}"#;
const SEALED: &str = r#"{"session":{"idle":10800,"absolute":28800,"persist":"sealed"}}"#;
/// Limits that a day of sleep does not reach.
const LONG: &str = r#"{"session":{"idle":172800,"absolute":604800,"persist":"sealed"}}"#;

/// Calls the API from each page. Every call succeeds after a few seconds: a jump of the clock looks like sleep.
fn use_api(world: &mut World, pages: &[PortId]) {
    let calls: Vec<_> = pages
        .iter()
        .map(|page| world.fetch(*page, "/orders"))
        .collect();
    world.answer_all();
    world.advance(QUIET);
    for call in calls {
        assert_eq!(world.status(call), 200);
    }
}

/// Uses the API for 20 minutes. The tokens live for 5 minutes, and are refreshed in their last third. The pages stay
/// signed in.
fn goes_on(world: &mut World, pages: &[PortId]) {
    let before = world.count(REFRESH);
    for _ in 0..20 {
        world.advance(MINUTE);
        use_api(world, pages);
    }
    let refreshes = world.count(REFRESH) - before;
    assert!((3..=7).contains(&refreshes), "{refreshes} refreshes");
}

// claim: end-27
#[test]
fn jump_causes_at_most_one_refresh() {
    for seconds in [-HOUR, HOUR] {
        for config in [MEMORY, SEALED] {
            let (mut world, page) = World::signed_in_with(config);
            world.advance(MINUTE);
            world.set_clock_by(seconds);
            use_api(&mut world, &[page]);
            assert!(world.count(REFRESH) <= 1, "{seconds} {config}");
            goes_on(&mut world, &[page]);
        }
    }
}

// claim: end-27
#[test]
fn vaults_with_one_store_survive_a_jump() {
    for seconds in [-HOUR, HOUR] {
        let (mut world, page, other) = two_vaults_with(SEALED);
        world.advance(MINUTE);
        world.set_clock_by(seconds);
        use_api(&mut world, &[page, other]);
        assert!(world.count(REFRESH) <= 1, "{seconds}");
        goes_on(&mut world, &[page, other]);
    }
}

// claim: end-27
#[test]
fn jump_while_no_page_is_open() {
    for seconds in [-HOUR, HOUR] {
        let (mut world, _) = World::signed_in_with(SEALED);
        world.advance(MINUTE);
        world.restart();
        world.set_clock_by(seconds);
        let page = world.open();
        world.answer_all();
        use_api(&mut world, &[page]);
        assert!(world.count(REFRESH) <= 1, "{seconds}");
        goes_on(&mut world, &[page]);
    }
}

// claim: end-27
#[test]
fn jump_during_a_refresh_sends_no_second_one() {
    for seconds in [-HOUR, HOUR] {
        let (mut world, page, other) = two_vaults_with(SEALED);
        world.expire_access_token();
        world.hold(&[REFRESH]);
        let calls = [page, other].map(|page| world.fetch(page, "/orders"));
        world.advance(Duration::from_secs(2));
        world.set_clock_by(seconds);
        world.advance(Duration::from_secs(2));
        assert_eq!(world.count(REFRESH), 1, "{seconds}");
        world.release();
        world.advance(QUIET);
        for call in calls {
            assert_eq!(world.status(call), 200, "{seconds}");
        }
        assert!(world.count(REFRESH) <= 2, "{seconds}");
        goes_on(&mut world, &[page, other]);
    }
}

// claim: end-27
#[test]
fn day_of_sleep_ends_no_session_within_its_limits() {
    let (mut world, page, other) = two_vaults_with(LONG);
    world.sleep(DAY);
    use_api(&mut world, &[page, other]);
    assert_eq!(world.count(REFRESH), 1);
    goes_on(&mut world, &[page, other]);
}

// claim: end-27
#[test]
fn day_of_sleep_during_a_refresh_ends_no_session() {
    let (mut world, page, other) = two_vaults_with(LONG);
    world.provider.leeway = 2 * DAY;
    world.expire_access_token();
    world.hold(&[REFRESH]);
    for page in [page, other] {
        world.fetch(page, "/orders");
    }
    world.advance(Duration::from_secs(2));
    world.sleep(DAY);
    world.release();
    goes_on(&mut world, &[page, other]);
}

/// The vault cannot tell a clock that was set forward from sleep, and the limits also count during sleep.
// claim: end-27
#[test]
fn clock_set_forward_counts_as_sleep() {
    for seconds in [3 * HOUR - 61, 3 * HOUR - 60] {
        let (mut world, _) = World::signed_in_with(SEALED);
        world.advance(MINUTE);
        world.restart();
        world.set_clock_by(seconds);
        let page = world.open();
        world.answer_all();
        let reason = (seconds == 3 * HOUR - 60).then_some("idle");
        assert_eq!(world.reason(page), reason);
    }
}
