//! Tests of refusals without a usable reason: `invalid_request`, a page of a gateway that stays, or an `invalid_grant`
//! without CORS headers. The vault then suspects that the session is over. The vault asks the user to sign in again, and
//! any successful refresh restores the session.

use std::collections::BTreeMap;
use std::time::Duration;

use kit::world::api::OTHER_API;
use kit::world::provider::Refusing;
use kit::world::{DISCOVERY, Endpoint, Fault, Fetch, PROBE, REFRESH, Request, World};
use vault::PortId;

/// A refusal without a usable reason.
const UNEXPLAINED: Fault = Fault::Refused("invalid_request");

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Creates a page with an expired access token. The provider has revoked the grant and rejects refreshes in this way.
fn revoked(refusing: Refusing) -> (World, PortId) {
    let (mut world, page) = World::expired();
    world.provider.refusing = refusing;
    world.provider.revoke_family(0);
    (world, page)
}

fn state(world: &World, page: PortId) -> String {
    let session = world.session(page).expect("the session is kept");
    session.str("state").unwrap().to_owned()
}

fn call(world: &mut World, page: PortId) -> Request {
    let call = world.fetch(page, "/orders");
    world.answer_all();
    call
}

/// Creates a page whose session is suspected.
fn suspected() -> (World, PortId) {
    let (mut world, page) = revoked(Refusing::InvalidRequest);
    call(&mut world, page);
    world.advance(seconds(4));
    assert_eq!(state(&world, page), "interaction_required");
    (world, page)
}

/// Calls once a second for `for_seconds` seconds, like an app with an impatient user.
fn keep_calling(world: &mut World, page: PortId, for_seconds: u64) {
    for _ in 0..for_seconds {
        call(world, page);
        world.advance(seconds(1));
    }
}

// claim: end-28
#[test]
fn gateway_page_that_stays_asks_for_the_user() {
    for refusing in [Refusing::Empty, Refusing::Unauthorized] {
        let (mut world, page) = revoked(refusing);
        call(&mut world, page);
        world.advance(seconds(10));
        assert_eq!(state(&world, page), "active", "{refusing:?}");
        let unavailable = call(&mut world, page);
        assert_eq!(world.code(unavailable), "provider_unavailable");
        world.advance(seconds(10));
        assert_eq!(state(&world, page), "interaction_required", "{refusing:?}");
        assert_eq!(world.count(REFRESH), 6, "{refusing:?}");
    }
}

// claim: end-28
#[test]
fn third_gateway_page_counts_after_twenty_seconds() {
    let (mut world, page) = World::expired();
    let html = Fault::Status(400);
    world.provider.fault(
        Endpoint::Refresh,
        &[html, Fault::Busy(429, Some(25)), html, html],
    );
    call(&mut world, page);
    world.advance(seconds(27));
    assert_eq!(world.count(REFRESH), 3);
    assert_eq!(state(&world, page), "active");
    world.advance(seconds(6));
    assert_eq!(world.count(REFRESH), 4);
    assert_eq!(state(&world, page), "interaction_required");
}

#[test]
fn suspected_session_names_the_response() {
    for (refusing, named, is_about_cors) in [
        (Refusing::InvalidRequest, "invalid_request", false),
        (
            Refusing::Empty,
            "status 400 without a usable error code",
            false,
        ),
        (Refusing::Hidden, "its CORS headers are missing", true),
    ] {
        let (mut world, page) = revoked(refusing);
        keep_calling(&mut world, page, 400);
        let next = call(&mut world, page);
        assert_eq!(world.code(next), "interaction_required", "{refusing:?}");
        let message = world.error_message(next);
        assert!(message.contains(named), "{message}");
        assert_eq!(message.contains("CORS"), is_about_cors, "{message}");
    }
}

#[test]
fn refusals_before_new_tokens_do_not_count() {
    let (mut world, page) = World::expired();
    let refusal = UNEXPLAINED;
    world.provider.fault(Endpoint::Refresh, &[refusal, refusal]);
    call(&mut world, page);
    world.advance(seconds(1));
    assert_eq!(world.count(REFRESH), 2);
    world.hold(&[REFRESH]);
    world.advance(seconds(4));
    // After this time, the new access token has already expired when it arrives.
    world.now.wall += 700_000;
    world.release();
    assert_eq!(world.count(REFRESH), 3);
    world.provider.fault(Endpoint::Refresh, &[refusal]);
    world.advance(seconds(21));
    assert!(world.count(REFRESH) >= 4);
    assert_eq!(state(&world, page), "active");
}

// claim: end-5
#[test]
fn suspected_session_is_tried_every_five_minutes() {
    let (mut world, page) = suspected();
    world.say(page, r#"{"t":"active"}"#);
    world.advance(seconds(1500));
    let moments = world.moments(REFRESH);
    assert_eq!(moments.len(), 8);
    for gap in moments[2..].windows(2) {
        assert_eq!(gap[1] - gap[0], seconds(300));
    }
    let mut sent = world.refresh_tokens_sent_to(Endpoint::Refresh).to_vec();
    sent.dedup();
    assert_eq!(sent.len(), 1, "the refresh token is kept");
}

// claim: end-5
#[test]
fn success_restores_a_suspected_session() {
    let (mut world, page) = World::expired();
    world.provider.outage(Endpoint::Refresh, UNEXPLAINED);
    let waiting = call(&mut world, page);
    world.advance(seconds(10));
    assert_eq!(world.code(waiting), "interaction_required");
    world.provider.repair();
    world.advance(seconds(289));
    assert_eq!(state(&world, page), "interaction_required");
    world.advance(seconds(10));
    assert_eq!(state(&world, page), "active");
    let next = call(&mut world, page);
    assert_eq!(world.status(next), 200);
    // The next rejection counts as the first one again.
    world.expire_access_token();
    let fault = UNEXPLAINED;
    world.provider.fault(Endpoint::Refresh, &[fault, fault]);
    let last = call(&mut world, page);
    world.advance(seconds(4));
    assert_eq!(world.status(last), 200);
}

/// Calls like [`call`], but without activity of the user, such as a poll.
fn poll(world: &mut World, page: PortId) -> Request {
    let poll = Fetch {
        background: true,
        ..Fetch::default()
    };
    let call = world.fetch_as(page, &poll);
    world.answer_all();
    call
}

#[test]
fn users_call_tries_a_suspected_session() {
    let (mut world, page) = World::expired();
    world.provider.outage(Endpoint::Refresh, UNEXPLAINED);
    call(&mut world, page);
    world.advance(seconds(4));
    assert_eq!(state(&world, page), "interaction_required");
    world.provider.repair();
    world.advance(seconds(40));
    assert_eq!(world.count(REFRESH), 3, "no call, no attempt");
    let polled = poll(&mut world, page);
    assert_eq!(world.code(polled), "interaction_required");
    let next = call(&mut world, page);
    assert_eq!(world.status(next), 200);
    assert_eq!(state(&world, page), "active");
}

#[test]
fn calls_try_a_suspected_session_every_thirty_seconds() {
    let (mut world, page) = suspected();
    keep_calling(&mut world, page, 300);
    let moments = world.moments(REFRESH);
    assert!((11..=13).contains(&moments.len()), "{moments:?}");
    for gap in moments[2..].windows(2) {
        assert!(gap[1] - gap[0] >= seconds(30), "{moments:?}");
    }
}

#[test]
fn calls_do_not_shorten_the_wait_of_retry_after() {
    let (mut world, page) = suspected();
    let busy = Fault::Busy(503, Some(120));
    world.provider.fault(Endpoint::Refresh, &[busy]);
    world.advance(seconds(300));
    assert_eq!(world.count(REFRESH), 4);
    keep_calling(&mut world, page, 119);
    assert_eq!(world.count(REFRESH), 4);
}

#[test]
fn waking_tries_a_suspected_session_soon() {
    let (mut world, page) = World::expired();
    world.provider.outage(Endpoint::Refresh, UNEXPLAINED);
    call(&mut world, page);
    world.advance(seconds(20));
    let before = world.count(REFRESH);
    world.provider.repair();
    world.wake();
    world.advance(seconds(20));
    assert_eq!(world.count(REFRESH), before + 1);
    assert_eq!(state(&world, page), "active");
}

#[test]
fn waking_again_and_again_causes_no_storm() {
    let (mut world, page) = suspected();
    let before = world.count(REFRESH);
    for _ in 0..600 {
        world.wake();
        call(&mut world, page);
        world.advance(Duration::from_millis(100));
    }
    assert!(world.count(REFRESH) - before <= 6);
}

#[test]
fn valid_access_token_is_used_while_suspected() {
    let (mut world, page) = World::signed_in();
    world.advance(seconds(275));
    world.provider.outage(Endpoint::Refresh, UNEXPLAINED);
    for _ in 0..10 {
        let call = call(&mut world, page);
        assert_eq!(world.status(call), 200);
        world.advance(seconds(2));
    }
    assert_eq!(state(&world, page), "interaction_required");
    world.advance(seconds(10));
    let expired = call(&mut world, page);
    assert_eq!(world.code(expired), "interaction_required");
}

#[test]
fn login_replaces_a_suspected_session() {
    let (mut world, page) = suspected();
    world.sign_in(page);
    assert_eq!(state(&world, page), "active");
    let next = call(&mut world, page);
    assert_eq!(world.status(next), 200);
}

#[test]
fn outage_does_not_restore_a_suspected_session() {
    let (mut world, page) = suspected();
    world.provider.outage(Endpoint::Refresh, Fault::Status(503));
    world.advance(seconds(310));
    assert_eq!(state(&world, page), "interaction_required");
    let misconfigured = Fault::Refused("invalid_client");
    world.provider.outage(Endpoint::Refresh, misconfigured);
    world.advance(seconds(300));
    assert_eq!(state(&world, page), "interaction_required");
    assert_eq!(world.count(REFRESH), 5);
}

#[test]
fn readable_end_ends_a_suspected_session() {
    let (mut world, page) = suspected();
    world.provider.refusing = Refusing::Plainly;
    world.advance(seconds(300));
    assert_eq!(world.reason(page), Some("provider_ended"));
}

// claim: end-6
#[test]
fn hidden_refusals_count_after_two_minutes() {
    let (mut world, page) = revoked(Refusing::Hidden);
    let waiting = call(&mut world, page);
    world.advance(seconds(90));
    assert_eq!(world.code(waiting), "provider_unavailable");
    assert_eq!(state(&world, page), "active");
    world.advance(seconds(110));
    assert_eq!(state(&world, page), "interaction_required");
    // A repeat has a probe of its own if the last response is older than two seconds.
    assert!(world.count(PROBE) < 2 * world.count(REFRESH));
    let next = call(&mut world, page);
    assert_eq!(world.code(next), "interaction_required");
    let before = [PROBE, REFRESH].map(|kind| world.count(kind));
    world.advance(seconds(600));
    let since = [0, 1].map(|i| world.count([PROBE, REFRESH][i]) - before[i]);
    assert_eq!(since[1], 2);
    assert!(since[0] <= 2, "only the line is probed");
}

#[test]
fn message_names_the_missing_cors_headers() {
    let hint = "or it refused and its CORS headers are missing on errors";
    let (mut world, page) = revoked(Refusing::Hidden);
    let unavailable = call(&mut world, page);
    world.advance(seconds(200));
    let interaction = call(&mut world, page);
    for call in [unavailable, interaction] {
        let response = format!("{:?}", world.response(call));
        assert!(response.contains(hint), "{response}");
    }
}

// claim: end-6
#[test]
fn calls_do_not_shorten_the_two_minutes() {
    let (mut world, page) = revoked(Refusing::Hidden);
    keep_calling(&mut world, page, 100);
    assert!(world.count(REFRESH) >= 5);
    assert_eq!(state(&world, page), "active");
    keep_calling(&mut world, page, 100);
    assert_eq!(state(&world, page), "interaction_required");
}

// claim: end-7
#[test]
fn cdn_error_without_cors_is_an_outage() {
    let (mut world, page) = World::expired();
    // The CDN hides the provider's failure from the vault, because the CDN's error responses have no CORS headers at
    // either endpoint.
    world.provider.outage(Endpoint::Refresh, Fault::Opaque);
    world.provider.outage(Endpoint::Probe, Fault::Opaque);
    keep_calling(&mut world, page, 900);
    assert_eq!(state(&world, page), "active");
    world.provider.repair();
    keep_calling(&mut world, page, 80);
    let next = call(&mut world, page);
    assert_eq!(world.status(next), 200);
}

// claim: end-7
#[test]
fn offline_service_worker_is_not_the_provider() {
    let (mut world, page) = World::expired();
    world.service_worker = Some(BTreeMap::new());
    call(&mut world, page);
    world.expire_access_token();
    // The service worker has cached the discovery document under each URL that was requested before.
    world.wake();
    world.provider.outage(Endpoint::Refresh, Fault::Opaque);
    keep_calling(&mut world, page, 10);
    world.provider.outage(Endpoint::Probe, Fault::Opaque);
    keep_calling(&mut world, page, 900);
    assert!(world.count(PROBE) > 5);
    assert_eq!(state(&world, page), "active");
}

// claim: end-7
#[test]
fn captive_portal_is_not_the_provider() {
    let (mut world, page) = World::expired();
    world.provider.outage(Endpoint::Refresh, Fault::Opaque);
    world.provider.outage(Endpoint::Probe, Fault::Html);
    keep_calling(&mut world, page, 900);
    assert!(world.count(PROBE) > 5);
    assert_eq!(state(&world, page), "active");
}

#[test]
fn offline_device_sends_its_token_once() {
    let (mut world, page) = World::expired();
    world.provider.outage(Endpoint::Refresh, Fault::LostBefore);
    world.provider.outage(Endpoint::Probe, Fault::LostBefore);
    keep_calling(&mut world, page, 900);
    assert_eq!(world.count(REFRESH), 1);
    assert_eq!(state(&world, page), "active");
}

#[test]
fn one_unreachable_moment_starts_the_count_again() {
    for fault in [Fault::Opaque, Fault::Html, Fault::Silence] {
        let (mut world, page) = revoked(Refusing::Hidden);
        call(&mut world, page);
        world.advance(seconds(60));
        world.hold(&[REFRESH]);
        while world.outstanding(REFRESH) == 0 {
            world.advance(seconds(1));
        }
        world.provider.fault(Endpoint::Probe, &[fault]);
        world.release();
        world.advance(seconds(120));
        assert_eq!(state(&world, page), "active", "{fault:?}");
    }
}

#[test]
fn readable_failure_starts_the_count_again() {
    for fault in [Fault::Status(502), Fault::Silence, Fault::LostBefore] {
        let (mut world, page) = revoked(Refusing::Hidden);
        call(&mut world, page);
        world.advance(seconds(90));
        world.provider.fault(Endpoint::Refresh, &[fault]);
        world.advance(seconds(110));
        assert_eq!(state(&world, page), "active", "{fault:?}");
    }
}

#[test]
fn each_probe_uses_a_new_address() {
    let (mut world, page) = revoked(Refusing::Hidden);
    world.service_worker = Some(BTreeMap::new());
    let discovered = world.count(DISCOVERY);
    call(&mut world, page);
    world.advance(seconds(60));
    let asked = world.service_worker.as_ref().unwrap().len();
    assert!(asked >= 5);
    assert_eq!(asked, world.count(PROBE));
    assert_eq!(world.count(DISCOVERY), discovered);
}

/// Creates a vault with configured metadata. Its provider has rejected a refresh with a response that CORS hides.
fn hidden_refusal_with_keys_at(jwks_uri: &str) -> (World, PortId) {
    let (mut world, page) = World::signed_in_with(&format!(
        r#"{{"metadata":{{"issuer":"https://id.example.com",
            "authorization_endpoint":"https://id.example.com/authorize",
            "token_endpoint":"https://id.example.com/token",
            "jwks_uri":"{jwks_uri}"}}}}"#
    ));
    world.expire_access_token();
    world.provider.refusing = Refusing::Hidden;
    world.provider.revoke_family(0);
    world.service_worker = Some(BTreeMap::new());
    call(&mut world, page);
    (world, page)
}

// claim: end-7
#[test]
fn configured_metadata_is_probed_at_its_keys() {
    let (mut world, page) = hidden_refusal_with_keys_at("https://id.example.com/jwks");
    world.advance(seconds(200));
    assert_eq!(state(&world, page), "interaction_required");
    let asked = world.service_worker.as_ref().unwrap();
    assert!(asked.len() >= 5);
    for url in asked.keys() {
        let nonce = url.strip_prefix("https://id.example.com/jwks?").expect(url);
        assert_eq!(nonce.len(), 16, "nothing but a random value: {url}");
    }
}

#[test]
fn probe_uses_the_location_of_the_metadata() {
    let mut world = World::new();
    let absent = Fault::Opaque;
    world.provider.fault(Endpoint::Discovery, &[absent, absent]);
    let page = world.open();
    world.sign_in(page);
    world.expire_access_token();
    world.provider.refusing = Refusing::Hidden;
    world.provider.revoke_family(0);
    world.service_worker = Some(BTreeMap::new());
    call(&mut world, page);
    world.advance(seconds(200));
    assert_eq!(state(&world, page), "interaction_required");
    let asked = world.service_worker.as_ref().unwrap();
    assert!(asked.len() >= 5);
    let location = "https://id.example.com/.well-known/oauth-authorization-server?";
    assert!(asked.keys().all(|url| url.starts_with(location)));
}

#[test]
fn probe_keeps_the_query_of_an_address() {
    let (mut world, _) = hidden_refusal_with_keys_at("https://id.example.com/jwks?tenant=one");
    world.advance(seconds(60));
    let mut asked = world.service_worker.as_ref().unwrap().keys();
    assert!(asked.all(|url| url.starts_with("https://id.example.com/jwks?tenant=one&")));
}

#[test]
fn late_probe_does_not_affect_next_session() {
    let (mut world, page) = revoked(Refusing::Hidden);
    for _ in 0..4 {
        call(&mut world, page);
        world.advance(seconds(40));
    }
    world.hold(&[PROBE]);
    world.advance(seconds(40));
    world.provider.refusing = Refusing::Plainly;
    world.sign_in(page);
    world.release();
    assert_eq!(state(&world, page), "active");
}

#[test]
fn success_in_another_tab_restores_session() {
    let mut world = World::with(r#"{"session":{"persist":"sealed"}}"#);
    let page = world.open();
    world.sign_in(page);
    let other_vault = world.add_vault();
    let other = world.open_in(other_vault);
    world.answer_all();
    world.expire_access_token();
    world.provider.outage(Endpoint::Refresh, UNEXPLAINED);
    call(&mut world, page);
    world.advance(seconds(5));
    assert_eq!(state(&world, page), "interaction_required");
    assert_eq!(state(&world, other), "active");
    world.provider.repair();
    let next = call(&mut world, other);
    assert_eq!(world.status(next), 200);
    assert_eq!(state(&world, page), "active");
}

#[test]
fn refused_resource_does_not_suspect_the_session() {
    let rules = r#"{"apis":[
        {"url":"https://api.example.com/v1/"},
        {"url":"https://other.example.com/v1/","resource":"urn:other"}
    ]}"#;
    let (mut world, page) = World::signed_in_with(rules);
    let fault = Fault::Refused("invalid_request");
    for _ in 0..5 {
        world.provider.fault(Endpoint::Refresh, &[fault]);
        let url = &[OTHER_API, "/orders"].concat();
        let fetch = Fetch {
            url,
            ..Fetch::default()
        };
        let call = world.fetch_as(page, &fetch);
        world.answer_all();
        assert_eq!(world.code(call), "client_rejected");
        world.advance(seconds(61));
    }
    assert_eq!(state(&world, page), "active");
}

#[test]
fn refused_resource_token_suspects_the_session() {
    let rules = r#"{"apis":[{"url":"https://other.example.com/v1/","resource":"urn:other"}]}"#;
    let (mut world, page) = World::signed_in_with(rules);
    world.provider.resources = vec!["urn:other"];
    world.provider.refusing = Refusing::InvalidRequest;
    world.provider.revoke_family(0);
    let url = &[OTHER_API, "/orders"].concat();
    let fetch = Fetch {
        url,
        ..Fetch::default()
    };
    let refused = world.fetch_as(page, &fetch);
    world.advance(seconds(5));
    assert_eq!(world.code(refused), "client_rejected");
    assert_eq!(state(&world, page), "interaction_required");
}
