//! If a refresh fails, only a definite rejection ends the session. After other failures the vault tries the same
//! refresh token again, within limits.

use std::time::Duration;

use kit::world::{Endpoint, Fault, QUIET, REFRESH, REVOKE, Request, STORAGES, World};
use rules::base::clock::Millis;
use vault::PortId;

const PASSING: &[Fault] = &[
    Fault::LostBefore,
    Fault::Silence,
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::Status(504),
    Fault::Status(408),
    Fault::Status(302),
    Fault::Status(404),
    Fault::Html,
    Fault::Busy(429, None),
    Fault::Busy(429, Some(2)),
    Fault::Busy(503, Some(2)),
    Fault::Refused("temporarily_unavailable"),
];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Creates a page whose call waits for a refresh that fails with `fault`.
fn waiting(fault: Fault) -> (World, PortId, Request) {
    let (mut world, page) = World::expired();
    world.provider.fault(Endpoint::Refresh, &[fault]);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    (world, page, call)
}

#[test]
fn unreachable_token_endpoint_is_named_in_calls() {
    let (mut world, page) = World::expired();
    world.provider.outage(Endpoint::Refresh, Fault::LostBefore);
    let call = world.fetch(page, "/orders");
    world.advance(seconds(60));
    let message = world.error_message(call);
    assert!(
        message.ends_with("'https://id.example.com/token'"),
        "{message}"
    );
}

// claim: network-2
#[test]
fn transient_fault_only_delays_calls() {
    for &fault in PASSING {
        let (mut world, page, call) = waiting(fault);
        world.advance(seconds(15));
        if matches!(fault, Fault::Silence) {
            // A slow refresh is repeated after 30 seconds. Calls do not wait for it that long.
            assert_eq!(world.code(call), "provider_unavailable");
            world.advance(seconds(20));
        } else {
            assert_eq!(world.status(call), 200, "{fault:?}");
        }
        let next = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(next), 200, "{fault:?}");
        assert_eq!(world.count(REFRESH), 2, "{fault:?}");
        assert!(world.session(page).is_some(), "{fault:?}");
    }
}

// claim: end-13
#[test]
fn transient_fault_is_retried_with_same_token() {
    for &fault in PASSING {
        let (mut world, _, _) = waiting(fault);
        world.advance(seconds(35));
        assert_eq!(world.count(REFRESH), 2, "{fault:?}");
        let mut sent = world.refresh_tokens_sent_to(Endpoint::Refresh).to_vec();
        sent.dedup();
        assert_eq!(sent.len(), 1, "{fault:?}");
    }
}

#[test]
fn valid_token_hides_refresh_faults() {
    let definite = [
        Fault::Refused("invalid_client"),
        Fault::Refused("login_required"),
    ];
    for &fault in PASSING.iter().chain(&definite) {
        let (mut world, page) = World::signed_in();
        world.advance(seconds(275));
        world.provider.outage(Endpoint::Refresh, fault);
        for _ in 0..10 {
            let call = world.fetch(page, "/orders");
            world.answer_all();
            assert_eq!(world.status(call), 200, "{fault:?}");
            world.advance(seconds(2));
        }
        assert!(world.count(REFRESH) >= 1, "{fault:?}");
    }
}

// claim: network-3
#[test]
fn lost_successor_is_requested_within_the_leeway() {
    for fault in [Fault::LostAfter, Fault::Truncated] {
        let (mut world, page) = World::expired();
        world.provider.leeway = seconds(10);
        world.provider.fault(Endpoint::Refresh, &[fault]);
        let call = world.fetch(page, "/orders");
        world.advance(seconds(2));
        assert_eq!(world.status(call), 200, "{fault:?}");
        assert_eq!(world.provider.reuses, 0, "{fault:?}");
    }
}

/// The vault has tried the token before so often that it has stopped trying on its own.
#[test]
fn first_loss_of_a_successor_is_repeated_within_the_leeway() {
    let (mut world, page) = World::expired();
    world.provider.leeway = seconds(10);
    let mut faults = vec![Fault::LostBefore; 10];
    faults.push(Fault::Altered("access_token", "null"));
    faults.push(Fault::LostAfter);
    world.provider.fault(Endpoint::Refresh, &faults);
    while world.count(REFRESH) < 12 {
        world.fetch(page, "/orders");
        world.advance(seconds(5));
    }
    world.advance(seconds(5));
    assert_eq!(world.count(REFRESH), 13);
    assert_eq!(world.provider.reuses, 0);
}

#[test]
fn lost_successor_without_leeway_ends_the_session_once() {
    for fault in [Fault::LostAfter, Fault::Truncated] {
        let (mut world, page, call) = waiting(fault);
        world.advance(seconds(60));
        assert_eq!(world.code(call), "session_ended", "{fault:?}");
        assert_eq!(world.reason(page), Some("provider_ended"), "{fault:?}");
        assert_eq!(world.count(REFRESH), 2, "{fault:?}");
    }
}

// claim: end-1
#[test]
fn invalid_grant_ends_the_session_in_every_page() {
    let (mut world, page) = World::expired();
    let other = world.open();
    let ended = Fault::Refused("invalid_grant");
    world.provider.fault(Endpoint::Refresh, &[ended]);
    let calls = [page, other].map(|page| world.fetch(page, "/orders"));
    world.answer_all();
    for call in calls {
        assert_eq!(world.code(call), "session_ended");
    }
    for page in [page, other] {
        assert_eq!(world.reason(page), Some("provider_ended"));
    }
    let next = world.fetch(page, "/orders");
    assert_eq!(world.code(next), "login_required");
    // Nothing is revoked, because the provider has rejected the refresh token.
    assert_eq!((world.count(REFRESH), world.count(REVOKE)), (1, 0));
}

// claim: end-4
#[test]
fn interaction_required_stops_refreshes_until_login() {
    for error in [
        "interaction_required",
        "login_required",
        "consent_required",
        "mfa_required",
    ] {
        let (mut world, page, call) = waiting(Fault::Refused(error));
        assert_eq!(world.code(call), "interaction_required", "{error}");
        let state = world.session(page).unwrap().str("state");
        assert_eq!(state, Some("interaction_required"), "{error}");
        for _ in 0..10 {
            let call = world.fetch(page, "/orders");
            assert_eq!(world.code(call), "interaction_required", "{error}");
            world.advance(seconds(10));
            world.wake();
        }
        assert_eq!(world.count(REFRESH), 1, "{error}");
        world.sign_in(page);
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200, "{error}");
        let state = world.session(page).unwrap().str("state");
        assert_eq!(state, Some("active"), "{error}");
    }
}

// claim: end-3
#[test]
fn misconfigured_client_is_reported_without_a_storm() {
    for error in [
        "invalid_client",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
    ] {
        let (mut world, page) = World::expired();
        let misconfigured = Fault::Refused(error);
        world.provider.outage(Endpoint::Refresh, misconfigured);
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.code(call), "client_rejected", "{error}");
        for _ in 0..59 {
            let call = world.fetch(page, "/orders");
            assert_eq!(world.code(call), "client_rejected", "{error}");
            let message = world.error_message(call);
            assert!(message.contains(error), "{message}");
            world.wake();
            world.advance(seconds(1));
        }
        assert_eq!(world.count(REFRESH), 1, "{error}");
        assert!(world.session(page).is_some(), "{error}");
        world.provider.repair();
        world.advance(seconds(1));
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200, "{error}");
    }
}

#[test]
fn outage_after_a_rejected_client_is_an_outage() {
    let (mut world, page) = World::expired();
    let rejected = Fault::Response(401, r#"{"error":"invalid_client"}"#);
    world.provider.fault(Endpoint::Refresh, &[rejected]);
    world.provider.outage(Endpoint::Refresh, Fault::Status(500));
    for expected in ["client_rejected", "provider_unavailable"] {
        for _ in 0..2 {
            let call = world.fetch(page, "/orders");
            world.answer_all();
            assert_eq!(world.code(call), expected);
        }
        world.advance(seconds(60));
    }
}

#[test]
fn call_fails_after_three_attempts() {
    let (mut world, page) = World::expired();
    world.provider.outage(Endpoint::Refresh, Fault::Status(500));
    let call = world.fetch(page, "/orders");
    world.answer_all();
    while world.response(call).is_none() {
        world.advance(Duration::from_millis(100));
    }
    assert_eq!(world.code(call), "provider_unavailable");
    assert_eq!(world.count(REFRESH), 3);
    assert!(world.moments(REFRESH)[2] < seconds(4));
    assert!(world.session(page).is_some());
}

#[test]
fn success_resets_the_backoff() {
    let (mut world, page) = World::signed_in();
    for _ in 0..5 {
        world.expire_access_token();
        let faults = [Fault::Status(500), Fault::LostBefore];
        world.provider.fault(Endpoint::Refresh, &faults);
        let call = world.fetch(page, "/orders");
        world.advance(seconds(4));
        assert_eq!(world.status(call), 200);
    }
}

#[test]
fn backoff_grows_and_ends() {
    let (mut world, page) = World::expired();
    world.provider.outage(Endpoint::Refresh, Fault::LostBefore);
    world.fetch(page, "/orders");
    world.advance(seconds(1400));
    let moments = world.moments(REFRESH);
    assert_eq!(moments.len(), 10);
    let gaps: Vec<Duration> = moments.windows(2).map(|w| w[1] - w[0]).collect();
    // The delays start at half a second and double up to a minute. Each delay may vary by a quarter.
    let mut expected = Duration::from_millis(500);
    for gap in gaps {
        assert!(
            gap >= expected * 3 / 4 && gap <= expected * 5 / 4,
            "{gap:?}"
        );
        expected = (expected * 2).min(seconds(60));
    }
}

#[test]
fn retries_of_many_vaults_are_spread() {
    let second_attempt = |seed| {
        let mut world = World::seeded("{}", seed);
        let page = world.open();
        world.sign_in(page);
        world.expire_access_token();
        world.provider.outage(Endpoint::Refresh, Fault::LostBefore);
        world.fetch(page, "/orders");
        world.advance(seconds(2));
        world.moments(REFRESH)[1]
    };
    let mut moments: Vec<Duration> = (0..10).map(second_attempt).collect();
    moments.sort_unstable();
    moments.dedup();
    assert!(moments.len() > 5);
}

// claim: end-14
#[test]
fn retry_after_binds_all_callers() {
    for status in [429, 503] {
        let (mut world, page, call) = waiting(Fault::Busy(status, Some(30)));
        // The call fails, because a call does not wait for thirty seconds.
        assert_eq!(world.code(call), "provider_unavailable");
        for _ in 0..29 {
            world.advance(seconds(1));
            world.wake();
            world.fetch(page, "/orders");
            world.answer_all();
        }
        assert_eq!(world.count(REFRESH), 1);
        world.advance(seconds(1));
        assert_eq!(world.count(REFRESH), 2);
        assert_eq!(world.moments(REFRESH)[1], seconds(30));
    }
}

/// Creates three pages whose calls get no token for a minute or longer: one provider sent `Retry-After`, one failed
/// repeatedly, and one is misconfigured. Also returns the maximum wait of each page.
fn postponed() -> [(World, PortId, Duration); 3] {
    let (told, page_told, _) = waiting(Fault::Busy(503, Some(120)));
    let (mut failed, page_failed) = World::expired();
    failed
        .provider
        .outage(Endpoint::Refresh, Fault::Status(500));
    failed.fetch(page_failed, "/orders");
    while failed.count(REFRESH) < 10 {
        failed.advance(seconds(1));
    }
    failed.provider.repair();
    let (misconfigured, page, _) = waiting(Fault::Refused("invalid_client"));
    [
        (told, page_told, seconds(120)),
        (failed, page_failed, seconds(75)),
        (misconfigured, page, seconds(60)),
    ]
}

#[test]
fn wait_may_pass_during_sleep() {
    for (mut world, page, wait) in postponed() {
        let before = world.count(REFRESH);
        world.sleep_unnoticed(wait);
        let call = world.fetch(page, "/orders");
        world.advance(QUIET);
        assert_eq!(world.status(call), 200, "{wait:?}");
        assert_eq!(world.count(REFRESH), before + 1, "{wait:?}");
    }
}

#[test]
fn unfinished_wait_blocks_the_next_call() {
    for (mut world, page, wait) in postponed() {
        let before = world.count(REFRESH);
        let call = world.fetch(page, "/orders");
        world.answer_all();
        let code = match wait.as_secs() {
            60 => "client_rejected",
            _ => "provider_unavailable",
        };
        assert_eq!(world.code(call), code, "{wait:?}");
        assert_eq!(world.count(REFRESH), before, "{wait:?}");
    }
}

#[test]
fn sleep_counts_toward_the_wait() {
    let (mut world, page, call) = waiting(Fault::Busy(503, Some(120)));
    assert_eq!(world.code(call), "provider_unavailable");
    world.advance(seconds(60));
    world.sleep(seconds(59));
    let too_early = world.fetch(page, "/orders");
    world.answer_all();
    assert!(
        world.response(too_early).is_none(),
        "the end is near enough to wait for"
    );
    assert_eq!(world.count(REFRESH), 1);
    world.sleep_unnoticed(seconds(1));
    let in_time = world.fetch(page, "/orders");
    world.advance(QUIET);
    assert_eq!(world.count(REFRESH), 2);
    for call in [too_early, in_time] {
        assert_eq!(world.status(call), 200);
    }
}

#[test]
fn waking_does_not_bypass_retry_after() {
    let (mut world, page, _) = waiting(Fault::Busy(503, Some(120)));
    world.sleep(seconds(100));
    let call = world.fetch(page, "/orders");
    assert_eq!(world.code(call), "provider_unavailable");
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn clock_set_back_does_not_prolong_waits() {
    let (mut world, page, _) = waiting(Fault::Busy(503, Some(120)));
    world.set_clock_by(-86_400);
    world.pass_time(seconds(119));
    assert_eq!(world.count(REFRESH), 1);
    world.advance(seconds(1));
    assert_eq!(world.count(REFRESH), 2);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

// claim: end-17
#[test]
fn malformed_refresh_error_is_not_shown() {
    for fault in [
        Fault::EchoAsCode,
        Fault::Refused("72742d6e6f742d666f722d7468652d70616765"),
        Fault::Refused("Invalid_grant"),
        Fault::Refused("invalid_grant "),
        Fault::Refused("an_error_code_of_more_than_forty_letters_"),
    ] {
        let (mut world, page) = World::signed_in_with(r#"{"inspect":true}"#);
        world.expire_access_token();
        world.provider.outage(Endpoint::Refresh, fault);
        let call = world.fetch(page, "/orders");
        world.advance(seconds(4));
        assert_eq!(world.code(call), "interaction_required", "{fault:?}");
        assert!(world.session(page).is_some(), "{fault:?}");
        let traces = world.page(page).of_type("trace");
        let failures = traces.filter(|t| t.str("event") == Some("refresh_failed"));
        let mut details: Vec<_> = failures.map(|t| t.str("detail")).collect();
        details.dedup();
        let expected = Some("status 400 without a usable error code");
        assert_eq!(details, [expected], "{fault:?}");
    }
}

#[test]
fn call_waits_out_a_short_retry_after() {
    let (mut world, _, call) = waiting(Fault::Busy(429, Some(3)));
    world.advance(Duration::from_millis(2_999));
    assert_eq!(world.response(call), None);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.status(call), 200);
}

// claim: end-14
#[test]
fn retry_after_is_capped_at_ten_minutes() {
    let (mut world, _, _) = waiting(Fault::Busy(503, Some(86_400)));
    world.advance(seconds(600));
    assert_eq!(world.moments(REFRESH)[1], seconds(600));
}

/// Creates a page whose call waits for a refresh. The provider has rotated the refresh token, and its response is held
/// back. `config` is added to the configuration.
fn slow_refresh(config: &str) -> (World, PortId, Request) {
    let (mut world, page) = World::signed_in_with(config);
    world.expire_access_token();
    world.hold(&[REFRESH]);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1, "{config}");
    (world, page, call)
}

#[test]
fn late_response_to_a_refresh_is_used() {
    for &config in STORAGES {
        let (mut world, page, call) = slow_refresh(config);
        world.advance(Duration::from_millis(9_999));
        assert_eq!(world.response(call), None, "{config}");
        world.advance(Duration::from_millis(1));
        assert_eq!(world.code(call), "provider_unavailable", "{config}");
        let other = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.code(other), "provider_unavailable", "{config}");
        world.advance(seconds(19));
        world.release();
        let next = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(next), 200, "{config}");
        assert_eq!(world.count(REFRESH), 1, "{config}");
        assert!(world.session(page).is_some(), "{config}");
    }
}

#[test]
fn refresh_times_out_after_thirty_seconds() {
    for (options, first) in [
        ("", 30),
        (r#""refreshTimeout":60,"#, 60),
        (r#""refreshTimeout":2,"requestTimeout":1,"#, 2),
    ] {
        let config = ["{", options, r#""consent":"provider"}"#].concat();
        let (mut world, page) = World::signed_in_with(&config);
        world.expire_access_token();
        world.provider.fault(Endpoint::Refresh, &[Fault::Silence]);
        world.fetch(page, "/orders");
        world.advance(seconds(first) - Duration::from_millis(1));
        assert_eq!(world.outstanding(REFRESH), 1, "{config}");
        world.advance(Duration::from_millis(1));
        assert_eq!(world.outstanding(REFRESH), 0, "{config}");
        let next = world.fetch(page, "/orders");
        world.advance(seconds(1));
        assert_eq!(world.count(REFRESH), 2, "{config}");
        assert_eq!(world.status(next), 200, "calls wait for the repetition");
    }
}

#[test]
fn endless_silence_causes_a_limited_number_of_attempts() {
    let (mut world, page) = World::expired();
    world.provider.outage(Endpoint::Refresh, Fault::Silence);
    let call = world.fetch(page, "/orders");
    world.advance(seconds(1700));
    assert_eq!(world.code(call), "provider_unavailable");
    assert_eq!(world.count(REFRESH), 10);
    assert!(world.session(page).is_some());
}

#[test]
fn waking_brings_the_next_attempt_forward() {
    let (mut world, page) = World::expired();
    world.provider.outage(Endpoint::Refresh, Fault::LostBefore);
    world.fetch(page, "/orders");
    // The sixth attempt is about 16 seconds away.
    world.advance(seconds(20));
    let before = world.count(REFRESH);
    world.provider.repair();
    world.wake();
    assert_eq!(world.count(REFRESH), before + 1);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(REFRESH), before + 1);
}

#[test]
fn waking_restarts_exhausted_attempts() {
    let (mut world, page) = World::expired();
    world.provider.outage(Endpoint::Refresh, Fault::LostBefore);
    world.fetch(page, "/orders");
    world.advance(seconds(1400));
    assert_eq!(world.count(REFRESH), 10);
    world.provider.repair();
    world.wake();
    let call = world.fetch(page, "/orders");
    world.advance(QUIET);
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(REFRESH), 11);
}

#[test]
fn waking_without_failures_changes_nothing() {
    let (mut world, _) = World::expired();
    for _ in 0..10 {
        world.wake();
    }
    assert_eq!(world.count(REFRESH), 0);
}

#[test]
fn expired_token_is_noticed_after_sleep() {
    let (mut world, page) = World::signed_in();
    world.sleep(seconds(400));
    let call = world.fetch(page, "/orders");
    world.advance(QUIET);
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn clock_set_back_does_not_rejuvenate_tokens() {
    let (mut world, page) = World::signed_in();
    world.set_clock_by(-100);
    world.expire_access_token();
    world.provider.withdraw_access_tokens();
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
    // The vault refreshed before the call, and did not first try the expired token.
    assert_eq!(world.seen_by_api.len(), 1);
}

#[test]
fn corrected_clock_releases_waiting_calls() {
    let (mut world, page) = World::signed_in();
    world.provider.outage(Endpoint::Refresh, Fault::Status(500));
    world.set_clock_by(400);
    let call = world.fetch(page, "/orders");
    world.set_clock_by(-400);
    world.advance(seconds(10));
    assert_eq!(world.status(call), 200);
}

#[test]
fn wrong_clock_is_corrected_by_the_provider() {
    for seconds_off in [-7200, 7200] {
        let mut world = World::new();
        world.provider.tells_time = true;
        world.set_clock_by(seconds_off);
        let page = world.open();
        world.sign_in(page);
        assert!(world.session(page).is_some(), "{seconds_off}");
        world.expire_access_token();
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200, "{seconds_off}");
    }
}

/// Messages of a page that has become visible, and of a page whose device is online again.
const WAKING: [&str; 2] = [r#"{"t":"visible"}"#, r#"{"t":"online"}"#];

/// Messages of a page after which no refresh may begin, because its response might never arrive.
const LEAVING: [&str; 3] = [r#"{"t":"hidden"}"#, r#"{"t":"offline"}"#, r#"{"t":"bye"}"#];

/// Creates two pages whose refresh has failed for twenty seconds. The next attempt is about 16 seconds away, and would
/// succeed.
fn failed() -> (World, PortId, PortId) {
    let (mut world, page) = World::expired();
    let other = world.open();
    world.provider.outage(Endpoint::Refresh, Fault::LostBefore);
    let call = world.fetch(page, "/orders");
    world.advance(seconds(20));
    assert_eq!(world.code(call), "provider_unavailable");
    world.provider.repair();
    (world, page, other)
}

#[test]
fn call_after_waking_skips_the_backoff() {
    for waking in WAKING {
        let (mut world, page, _) = failed();
        let refused = world.fetch(page, "/orders");
        assert_eq!(world.code(refused), "provider_unavailable", "{waking}");
        world.say(page, waking);
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200, "{waking}");
    }
}

#[test]
fn repeated_waking_causes_no_storm() {
    for waking in WAKING {
        let (mut world, page) = World::expired();
        world.provider.outage(Endpoint::Refresh, Fault::LostBefore);
        world.fetch(page, "/orders");
        world.answer_all();
        world.advance(seconds(300));
        let before = world.count(REFRESH);
        for _ in 0..100 {
            world.say(page, waking);
            world.answer_all();
            world.advance(Duration::from_millis(100));
        }
        assert!(world.count(REFRESH) - before <= 11, "{waking}");
    }
}

#[test]
fn quiet_page_repeats_no_failed_refresh() {
    for quiet in LEAVING {
        let (mut world, page, other) = failed();
        let before = world.count(REFRESH);
        world.say(page, quiet);
        world.answer_all();
        assert_eq!(world.count(REFRESH), before, "{quiet}");
        let refused = world.fetch(other, "/orders");
        assert_eq!(world.code(refused), "provider_unavailable", "{quiet}");
        // The attempt is due, and its timer is late.
        world.pass(Millis::from_secs(60));
        world.say(other, quiet);
        world.answer_all();
        assert_eq!(world.count(REFRESH), before, "{quiet}");
        world.advance(seconds(1));
        assert_eq!(world.count(REFRESH), before + 1, "{quiet}");
    }
}

#[test]
fn quiet_page_refreshes_no_stale_token() {
    for (messages, refreshes) in [(&LEAVING[..], 0), (&WAKING[..1], 1)] {
        for text in messages {
            let mut world = World::new();
            world.provider.lifetime = seconds(30);
            let page = world.open();
            world.sign_in(page);
            world.pass(Millis::from_secs(26));
            world.say(page, r#"{"t":"active"}"#);
            // The token is stale, then expired, and the timer is late.
            for wait in [2, 3] {
                world.pass(Millis::from_secs(wait));
                world.say(page, text);
                world.answer_all();
                assert_eq!(world.count(REFRESH), refreshes, "{text} after {wait} s");
            }
        }
    }
}
