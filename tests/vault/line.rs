//! After a sign that the network may have changed, a refresh waits until the line is quiet and a server has answered.

use std::time::Duration;

use super::keeping::two_vaults_with;
use kit::world::provider::Refusing;
use kit::world::{Endpoint, Fault, Fetch, Kind, PROBE, REFRESH, Request, SEALED, World};
use rules::base::clock::Millis;
use vault::PortId;

const ONLINE: &str = r#"{"t":"online"}"#;
const SECOND: Duration = Duration::from_secs(1);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A world whose access token has expired, and whose page has just reported that the device is online.
fn woken() -> (World, PortId) {
    let (mut world, page) = World::expired();
    world.say(page, ONLINE);
    (world, page)
}

fn poll(world: &mut World, page: PortId) -> Request {
    fetch_in_background(world, page, false)
}

fn fetch_in_background(world: &mut World, page: PortId, awaited: bool) -> Request {
    let fetch = Fetch {
        background: true,
        awaited,
        ..Fetch::default()
    };
    world.fetch_as(page, &fetch)
}

fn counts(world: &World) -> (usize, usize) {
    (world.count(PROBE), world.count(REFRESH))
}

#[test]
fn without_a_doubt_nothing_waits() {
    let (mut world, page) = World::expired();
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
    assert_eq!(counts(&world), (0, 1));
}

// claim: end-29
#[test]
fn users_call_waits_three_seconds_and_for_an_answer() {
    let (mut world, page) = woken();
    let call = world.fetch(page, "/orders");
    world.advance(seconds(2));
    assert_eq!(counts(&world), (0, 0));
    world.hold(&[PROBE]);
    world.advance(SECOND);
    assert_eq!(counts(&world), (1, 0));
    world.release();
    assert_eq!(counts(&world), (1, 1));
    assert_eq!(world.status(call), 200);
}

#[test]
fn long_tokens_wait_five_seconds() {
    let (mut world, page) = World::signed_in_with(r#"{"session":{"idle":36000}}"#);
    world.provider.lifetime = seconds(1800);
    world.expire_access_token();
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
    world.expire_access_token();
    world.say(page, ONLINE);
    world.fetch(page, "/orders");
    world.advance(seconds(4));
    assert_eq!(counts(&world), (0, 1));
    world.advance(SECOND);
    assert_eq!(counts(&world), (1, 2));
}

#[test]
fn polls_wait_for_twenty_seconds() {
    let (mut world, page) = woken();
    let call = poll(&mut world, page);
    world.advance(seconds(19));
    assert_eq!(counts(&world), (0, 0));
    assert_eq!(world.code(call), "provider_unavailable");
    world.advance(SECOND);
    assert_eq!(counts(&world), (1, 1));
}

#[test]
fn awaited_background_call_is_no_poll() {
    for (awaited, quiet) in [(true, 3), (false, 20)] {
        let (mut world, page) = woken();
        fetch_in_background(&mut world, page, awaited);
        world.advance(seconds(quiet - 1));
        assert_eq!(counts(&world), (0, 0), "{awaited}");
        world.advance(SECOND);
        assert_eq!(counts(&world), (1, 1), "{awaited}");
    }
}

#[test]
fn refresh_does_not_hurry_for_calls_that_are_gone() {
    for is_left in [false, true] {
        let (mut world, page) = woken();
        world.open();
        let call = world.fetch(page, "/orders");
        world.advance(SECOND);
        if is_left {
            world.leave(page);
        } else {
            world.give_up(call, "abort");
        }
        world.advance(seconds(18));
        assert_eq!(counts(&world), (0, 0), "{is_left}");
        world.advance(SECOND);
        assert_eq!(counts(&world), (1, 1), "{is_left}");
    }
}

#[test]
fn users_call_hurries_a_refresh_that_a_poll_began() {
    let (mut world, page) = woken();
    poll(&mut world, page);
    world.advance(seconds(9));
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

/// The calls that waited for a quiet line have given up.
#[test]
fn users_call_waits_for_a_refresh_that_was_sent_late() {
    let (mut world, page) = woken();
    poll(&mut world, page);
    world.hold(&[REFRESH]);
    world.advance(seconds(21));
    assert_eq!(counts(&world), (1, 1));
    let call = world.fetch(page, "/orders");
    world.release();
    assert_eq!(world.status(call), 200);
}

#[test]
fn calls_with_a_valid_token_do_not_wait() {
    let (mut world, page) = World::signed_in();
    world.advance(seconds(280));
    world.say(page, ONLINE);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
    assert_eq!(counts(&world), (0, 0));
}

#[test]
fn device_that_is_online_again_is_a_doubt_soon_after_it_was_offline() {
    let (mut world, page) = World::expired();
    world.say(page, r#"{"t":"offline"}"#);
    world.advance(seconds(8));
    world.say(page, ONLINE);
    world.fetch(page, "/orders");
    world.advance(seconds(2));
    assert_eq!(counts(&world), (0, 0));
    world.advance(SECOND);
    assert_eq!(counts(&world), (1, 1));
}

/// The network is on and off, a script reports that it is, or the clock is set again and again.
#[test]
fn doubts_hold_up_no_refresh_for_longer_than_a_minute() {
    for is_clock in [false, true] {
        let (mut world, page) = woken();
        for i in 0..62 {
            poll(&mut world, page);
            if is_clock {
                world.set_clock_by(if i % 2 == 0 { 2 } else { -2 });
            } else {
                world.say(page, ONLINE);
            }
            let is_late = i >= 60;
            assert_eq!(world.count(REFRESH) > 0, is_late, "{is_clock} {i}");
            world.advance(SECOND);
        }
    }
}

/// Each sleep is a new doubt.
#[test]
fn doubts_hold_up_a_users_call_for_five_seconds_in_all() {
    let (mut world, page) = woken();
    world.fetch(page, "/orders");
    for _ in 0..4 {
        world.advance(SECOND);
        world.sleep_unnoticed(seconds(2));
    }
    world.advance(SECOND);
    assert_eq!(counts(&world), (1, 1));
}

#[test]
fn any_status_is_an_answer() {
    for status in [404, 500, 503] {
        let (mut world, page) = woken();
        world
            .provider
            .outage(Endpoint::Probe, Fault::Status(status));
        world.fetch(page, "/orders");
        world.advance(seconds(3));
        assert_eq!(counts(&world), (1, 1), "{status}");
    }
}

#[test]
fn probe_that_is_told_to_wait_postpones_the_refresh() {
    let (mut world, page) = woken();
    world
        .provider
        .fault(Endpoint::Probe, &[Fault::Busy(503, Some(60))]);
    world.fetch(page, "/orders");
    world.advance(seconds(62));
    assert_eq!(world.count(REFRESH), 0);
    world.advance(seconds(2));
    assert_eq!(world.count(REFRESH), 1);
}

// claim: end-29
#[test]
fn unanswered_probe_spends_nothing() {
    let (mut world, page) = woken();
    world.provider.outage(Endpoint::Probe, Fault::Opaque);
    let call = world.fetch(page, "/orders");
    world.advance(seconds(30));
    assert_eq!(world.code(call), "provider_unavailable");
    assert_eq!(world.count(REFRESH), 0);
    world.provider.repair();
    world.advance(seconds(60));
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

#[test]
fn unanswered_probes_need_no_sign_in() {
    let (mut world, page) = woken();
    world.provider.outage(Endpoint::Probe, Fault::Opaque);
    for _ in 0..30 {
        world.fetch(page, "/orders");
        world.advance(seconds(10));
    }
    assert_eq!(world.count(REFRESH), 0);
    assert_eq!(world.session(page).unwrap().str("state"), Some("active"));
}

/// A gateway blocks probes. Without a token, no API can answer.
#[test]
fn blocked_probes_stop_refreshes_for_five_minutes_once() {
    let (mut world, page) = woken();
    world.provider.outage(Endpoint::Probe, Fault::Opaque);
    for _ in 0..34 {
        world.fetch(page, "/orders");
        world.advance(seconds(10));
    }
    assert_eq!(world.count(REFRESH), 1);
    let probes = world.count(PROBE);
    world.expire_access_token();
    world.say(page, ONLINE);
    let call = world.fetch(page, "/orders");
    world.advance(seconds(3));
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(PROBE), probes);
}

// claim: end-29
#[test]
fn doubt_during_the_probe_needs_another_proof() {
    let (mut world, page) = woken();
    world.fetch(page, "/orders");
    world.hold(&[PROBE]);
    world.advance(seconds(4));
    world.sleep_unnoticed(seconds(2));
    world.release();
    assert_eq!(world.count(REFRESH), 0);
    world.advance(seconds(2));
    assert_eq!(counts(&world), (2, 1));
}

/// A probe of before the doubt may hang until its time limit.
#[test]
fn doubt_during_the_probe_replaces_the_probe() {
    let (mut world, page) = woken();
    world.hold(&[PROBE]);
    let call = world.fetch(page, "/orders");
    world.advance(seconds(4));
    world.sleep_unnoticed(seconds(2));
    world.say(page, r#"{"t":"active"}"#);
    // The call has waited for a quiet line for three seconds already.
    world.advance(seconds(2));
    assert_eq!(counts(&world), (2, 0));
    assert_eq!(world.outstanding(PROBE), 1);
    world.release();
    assert_eq!(world.status(call), 200);
}

#[test]
fn sleep_is_a_doubt() {
    let (mut world, page) = World::expired();
    world.sleep_unnoticed(seconds(2));
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(counts(&world), (0, 0));
    world.advance(seconds(3));
    assert_eq!(counts(&world), (1, 1));
}

#[test]
fn sleep_of_a_device_whose_clock_runs_on_is_a_doubt() {
    let (mut world, page) = World::signed_in();
    world.pass(Millis::from(seconds(400)));
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(counts(&world), (0, 0));
}

#[test]
fn visible_page_is_no_doubt() {
    let (mut world, page) = World::expired();
    world.say(page, r#"{"t":"visible"}"#);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

/// An ad blocker blocks one API.
#[test]
fn dead_api_holds_up_one_refresh() {
    let (mut world, page) = World::signed_in();
    world.hold(&[Kind::Call]);
    let call = world.fetch(page, "/orders");
    world.fail_call(call);
    world.release();
    for expected in [1, 2, 3] {
        world.expire_access_token();
        let call = world.fetch(page, "/orders");
        world.hold(&[Kind::Call]);
        world.answer_all();
        assert_eq!(world.count(REFRESH), expected);
        world.fail_call(call);
        world.release();
    }
    assert!(world.count(PROBE) <= 1);
}

/// An ad blocker blocks one path of an API, or a gateway's errors lack CORS headers.
#[test]
fn api_that_fails_now_and_then_holds_up_no_refresh() {
    let (mut world, page) = World::signed_in();
    let mut polls = Vec::new();
    for _ in 0..180 {
        polls.push(poll(&mut world, page));
        world.answer_all();
        world.advance(seconds(5));
        world.hold(&[Kind::Call]);
        let blocked = world.fetch(page, "/orders");
        assert_eq!(world.outstanding(Kind::Call), 1);
        world.fail_call(blocked);
        world.release();
        world.advance(seconds(5));
    }
    for call in polls {
        assert_eq!(world.status(call), 200);
    }
}

#[test]
fn repeat_of_a_lost_response_needs_an_answer_and_no_quiet() {
    let (mut world, page) = World::expired();
    world.provider.fault(Endpoint::Refresh, &[Fault::Opaque]);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    // The probe that follows each response that cannot be read is the answer.
    assert_eq!(counts(&world), (1, 1));
    world.advance(SECOND);
    assert_eq!(counts(&world), (1, 2));
    assert_eq!(world.status(call), 200);
}

#[test]
fn repeat_of_a_truncated_response_needs_no_quiet() {
    let (mut world, page) = World::expired();
    world.provider.leeway = seconds(10);
    world.provider.fault(Endpoint::Refresh, &[Fault::Truncated]);
    world.hold(&[REFRESH]);
    let call = poll(&mut world, page);
    world.say(page, ONLINE);
    world.release();
    world.advance(seconds(2));
    assert_eq!(world.status(call), 200);
    assert_eq!(world.provider.reuses, 0);
}

#[test]
fn repeat_waits_while_the_provider_does_not_answer() {
    let (mut world, page) = World::expired();
    world.provider.fault(Endpoint::Refresh, &[Fault::LostAfter]);
    world.provider.outage(Endpoint::Probe, Fault::Opaque);
    world.fetch(page, "/orders");
    world.advance(seconds(20));
    assert_eq!(world.count(REFRESH), 1);
}

// claim: end-29
#[test]
fn provider_without_readable_documents_is_not_probed() {
    let config = r#"{"scope":"read","identity":"none","metadata":{"issuer":"https://id.example.com",
        "authorization_endpoint":"https://id.example.com/authorize",
        "token_endpoint":"https://id.example.com/token"}}"#;
    let (mut world, page) = World::signed_in_with(config);
    world.expire_access_token();
    world.say(page, ONLINE);
    world.fetch(page, "/orders");
    world.advance(seconds(2));
    assert_eq!(counts(&world), (0, 0));
    world.advance(SECOND);
    assert_eq!(counts(&world), (0, 1));
}

#[test]
fn outage_of_the_provider_spends_one_token_in_five_minutes() {
    let (mut world, page) = woken();
    world.provider.outage(Endpoint::Probe, Fault::Opaque);
    world.provider.outage(Endpoint::Refresh, Fault::LostBefore);
    for _ in 0..180 {
        world.fetch(page, "/orders");
        world.advance(seconds(10));
    }
    assert_eq!(world.count(REFRESH), 5);
}

/// The first probe without a response is a doubt, so the second one follows 20 seconds later.
// claim: end-29
#[test]
fn third_unanswered_probe_is_enough_if_an_api_answers() {
    let (mut world, page) = World::signed_in();
    world.advance(seconds(226));
    world.say(page, ONLINE);
    world.provider.outage(Endpoint::Probe, Fault::Opaque);
    for _ in 0..60 {
        world.advance(SECOND);
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200);
    }
    assert_eq!(counts(&world), (3, 1));
}

#[test]
fn hidden_refusals_still_raise_suspicion() {
    let (mut world, page) = woken();
    world.provider.refusing = Refusing::Hidden;
    world.provider.revoke_family(0);
    world.fetch(page, "/orders");
    world.advance(seconds(300));
    assert_eq!(
        world.session(page).unwrap().str("state"),
        Some("interaction_required")
    );
}

#[test]
fn nothing_is_probed_under_the_lock() {
    let (mut world, page) = World::signed_in_with(SEALED);
    world.expire_access_token();
    world.say(page, ONLINE);
    world.fetch(page, "/orders");
    world.hold(&[PROBE]);
    world.advance(seconds(3));
    assert_eq!(world.outstanding(PROBE), 1);
    assert_eq!(world.lock_holder(), None);
    world.release();
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn other_vaults_successor_ends_the_wait() {
    let (mut world, page, other) = two_vaults_with(SEALED);
    world.expire_access_token();
    world.say(page, ONLINE);
    let waiting = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.response(waiting), None);
    let call = world.fetch(other, "/orders");
    world.answer_all();
    for call in [call, waiting] {
        assert_eq!(world.status(call), 200);
    }
    assert_eq!(counts(&world), (0, 1));
}

#[test]
fn logout_and_limits_end_the_wait() {
    let (mut world, page) = woken();
    let call = world.fetch(page, "/orders");
    world.logout(page);
    world.advance(seconds(30));
    assert_eq!(world.code(call), "session_ended");
    assert_eq!(counts(&world), (0, 0));
}

#[test]
fn refresh_follows_a_response_in_the_last_third() {
    let (mut world, page) = World::signed_in();
    world.advance(seconds(226));
    let call = world.fetch(page, "/orders");
    world.hold(&[Kind::Call]);
    world.answer_all();
    assert_eq!(world.count(REFRESH), 0);
    world.answer_call(call);
    world.release();
    assert_eq!(counts(&world), (0, 1));
}

#[test]
fn refresh_follows_no_failure_and_no_doubt() {
    let (mut world, page) = World::signed_in();
    world.advance(seconds(226));
    world.fetch(page, "/forbidden");
    world.answer_all();
    assert_eq!(world.count(REFRESH), 0);
    world.say(page, ONLINE);
    world.advance(seconds(10));
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.count(REFRESH), 0);
    world.advance(seconds(10));
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(counts(&world), (1, 1));
}

/// The worker may end soon after its last page.
#[test]
fn no_refresh_follows_a_response_without_a_page() {
    for age in [226, 272] {
        let (mut world, page) = World::signed_in();
        world.advance(seconds(age));
        let fetch = Fetch {
            background: true,
            keepalive: true,
            ..Fetch::default()
        };
        world.hold(&[Kind::Call]);
        world.fetch_as(page, &fetch);
        world.leave(page);
        world.release();
        world.advance(seconds(6));
        assert_eq!(counts(&world), (0, 0), "{age}");
    }
}

/// The API does not answer.
#[test]
fn refresh_begins_five_seconds_after_a_call_with_a_stale_token() {
    let (mut world, page) = World::signed_in();
    world.advance(seconds(272));
    world.hold(&[Kind::Call]);
    poll(&mut world, page);
    world.advance(seconds(4));
    assert_eq!(world.count(REFRESH), 0);
    world.advance(SECOND);
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn refresh_behind_a_response_is_no_activity() {
    let (mut world, page) = World::signed_in();
    for _ in 0..20 {
        world.advance(seconds(90));
        if world.session(page).is_some() {
            poll(&mut world, page);
            world.answer_all();
        }
    }
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn inspectors_see_doubts_and_probes() {
    let (mut world, page) = World::signed_in_with(r#"{"inspect":true}"#);
    world.expire_access_token();
    world.say(page, ONLINE);
    world.fetch(page, "/orders");
    world.advance(seconds(3));
    let traces = world.page(page).of_type("trace");
    let events: Vec<_> = traces
        .filter_map(|trace| Some((trace.str("event")?, trace.str("detail"))))
        .filter(|(event, _)| event.starts_with("line_") || event.starts_with("refresh_"))
        .collect();
    let expected = [
        ("line_doubted", Some("online or offline")),
        ("line_probed", None),
        ("refresh_started", None),
        ("refresh_completed", None),
    ];
    assert_eq!(events, expected);
}

/// The provider's leeway is over.
#[test]
fn repeat_a_minute_after_a_loss_waits_for_quiet_again() {
    let (mut world, page) = World::expired();
    world
        .provider
        .fault(Endpoint::Refresh, &[Fault::LostBefore]);
    world.fetch(page, "/orders");
    world.answer_all();
    world.sleep_unnoticed(seconds(60));
    world.fetch(page, "/orders");
    world.advance(seconds(2));
    assert_eq!(world.count(REFRESH), 1);
    world.advance(seconds(3));
    assert_eq!(world.count(REFRESH), 2);
}

/// The changes follow when the device is online again.
#[test]
fn offline_device_needs_a_proof_and_no_quiet() {
    let (mut world, page) = World::expired();
    world.say(page, r#"{"t":"offline"}"#);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(counts(&world), (1, 1));
    assert_eq!(world.status(call), 200);
}
