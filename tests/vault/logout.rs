//! A logout ends the session immediately and in all pages, whatever requests are in flight. The tokens are revoked
//! after that, and the revocation may fail.

use std::time::Duration;

use rules::codec::json::Value;

use kit::world::provider::{ISSUER, params};
use kit::world::{
    DISCOVERY, EXCHANGE, Endpoint, Fault, KEYS, Kind, PageResponse, REFRESH, REFRESH_STAGES,
    REVOKE, SEALED, STORAGES, World,
};
use vault::PortId;

const PROVIDER_LOGOUT: &str = r#""t":"logout","provider":true"#;

// claim: device-4
#[test]
fn logout_ends_every_page_and_revokes() {
    let (mut world, page) = World::signed_in();
    let other = world.open();
    let logout = world.logout(page);
    for page in [page, other] {
        assert!(world.session(page).is_none());
        assert_eq!(world.reason(page), Some("logged_out"));
    }
    world.answer_all();
    assert_eq!(world.response(logout), Some(&PageResponse::Done(None)));
    assert!(world.provider.has_revoked_everything());
    let call = world.fetch(other, "/orders");
    assert_eq!(world.code(call), "login_required");
}

#[test]
fn logout_without_a_session_is_done() {
    let mut world = World::new();
    let page = world.open();
    let logout = world.logout(page);
    assert_eq!(world.response(logout), Some(&PageResponse::Done(None)));
    assert_eq!(world.count(REVOKE), 0);
}

#[test]
fn concurrent_logouts_revoke_once() {
    let (mut world, page) = World::signed_in();
    let other = world.open();
    let logouts = [page, other].map(|page| world.logout(page));
    world.answer_all();
    for logout in logouts {
        assert_eq!(world.response(logout), Some(&PageResponse::Done(None)));
    }
    assert_eq!(world.count(REVOKE), 1);
}

#[test]
fn logout_during_a_refresh_revokes_the_successor_too() {
    for &stage in REFRESH_STAGES {
        let (mut world, page) = World::expired();
        let other = world.open();
        world.hold(&[stage]);
        let calls = [page, other].map(|page| world.fetch(page, "/orders"));
        world.answer_all();
        if stage == REFRESH {
            world.act(REFRESH);
        }
        assert_eq!(world.outstanding(stage), 1);
        let logout = world.logout(page);
        for call in calls {
            assert_eq!(world.code(call), "session_ended", "{stage:?}");
        }
        for page in [page, other] {
            assert_eq!(world.reason(page), Some("logged_out"), "{stage:?}");
        }
        world.release();
        assert!(world.provider.has_revoked_everything(), "{stage:?}");
        assert_eq!(world.response(logout), Some(&PageResponse::Done(None)));
        assert!(world.session(page).is_none());
        assert_eq!(world.count(Kind::Call), 0);
    }
}

#[test]
fn logout_revokes_a_successor_awaiting_keys() {
    let (mut world, page) = World::expired();
    world.provider.signing_key = 1;
    world.provider.published_keys = vec![0, 1];
    world.hold(&[kit::world::KEYS]);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    world.logout(page);
    assert_eq!(world.code(call), "session_ended");
    world.release();
    assert!(world.provider.has_revoked_everything());
}

#[test]
fn logout_completes_before_an_unsent_refresh() {
    let (mut world, page) = World::expired();
    world.hold(&[REFRESH]);
    world.fetch(page, "/orders");
    world.logout(page);
    world.answer_all();
    world.release();
    assert!(world.provider.has_revoked_everything());
    assert_eq!(world.reason(page), Some("logged_out"));
}

#[test]
fn earlier_refresh_spares_the_next_login() {
    let (mut world, page) = World::expired();
    world.hold(&[REFRESH]);
    world.fetch(page, "/orders");
    world.answer_all();
    world.act(REFRESH);
    world.logout(page);
    world.sign_in(page);
    world.release();
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
    assert!(world.session(page).is_some());
}

#[test]
fn late_api_response_is_delivered_after_logout() {
    for path in ["/orders", "/never"] {
        let (mut world, page) = World::signed_in();
        world.hold(&[Kind::Call]);
        let call = world.fetch(page, path);
        world.logout(page);
        world.release();
        assert!(matches!(
            world.response(call),
            Some(PageResponse::Head { .. })
        ));
        assert_eq!(world.count(REFRESH), 0);
    }
}

#[test]
fn revocation_is_retried_three_times_in_all() {
    for fault in [
        Fault::Status(503),
        Fault::Busy(429, Some(1)),
        Fault::LostBefore,
        Fault::Silence,
    ] {
        let (mut world, page) = World::signed_in();
        world.provider.outage(Endpoint::Revoke, fault);
        let logout = world.logout(page);
        world.advance(Duration::from_secs(10));
        // The page gets its response before the vault repeats the revocation.
        assert_eq!(
            world.response(logout),
            Some(&PageResponse::Done(None)),
            "{fault:?}"
        );
        world.advance(Duration::from_secs(600));
        assert_eq!(world.count(REVOKE), 3, "{fault:?}");
    }
}

#[test]
fn revocation_succeeds_at_the_second_attempt() {
    let (mut world, page) = World::signed_in();
    let busy = Fault::Status(503);
    world.provider.fault(Endpoint::Revoke, &[busy]);
    world.logout(page);
    world.advance(Duration::from_secs(60));
    assert_eq!(world.count(REVOKE), 2);
    assert!(world.provider.has_revoked_everything());
}

// claim: end-24
#[test]
fn refused_revocation_is_not_repeated() {
    let (mut world, page) = World::signed_in();
    let refused = Fault::Refused("unsupported_token_type");
    world.provider.fault(Endpoint::Revoke, &[refused]);
    world.logout(page);
    world.advance(Duration::from_secs(60));
    assert_eq!(world.count(REVOKE), 1);
}

#[test]
fn session_ends_before_the_provider_responds() {
    let (mut world, page) = World::signed_in();
    world.hold(&[REVOKE]);
    let logout = world.logout(page);
    world.answer_all();
    assert!(world.session(page).is_none());
    assert_eq!(world.response(logout), None);
    world.release();
    assert_eq!(world.response(logout), Some(&PageResponse::Done(None)));
}

#[test]
fn provider_logout_needs_no_id_token() {
    let (mut world, page) = World::signed_in();
    let members = format!(r#"{PROVIDER_LOGOUT},"returnTo":"/bye""#);
    let logout = world.ask(page, &members);
    world.answer_all();
    let address = world.address(logout);
    let (endpoint, query) = address.split_once('?').unwrap();
    assert_eq!(endpoint, [ISSUER, "/logout"].concat());
    let params = params(query);
    let names: Vec<&str> = params.keys().map(String::as_str).collect();
    assert_eq!(names, ["client_id", "post_logout_redirect_uri"]);
    let return_to = "https://app.example.com/bye";
    assert_eq!(params["post_logout_redirect_uri"], return_to);
}

#[test]
fn provider_logout_may_return_elsewhere() {
    let (mut world, page) = World::signed_in();
    let return_to = "https://www.example.com/bye";
    let members = format!(r#"{PROVIDER_LOGOUT},"returnTo":"{return_to}""#);
    let logout = world.ask(page, &members);
    world.answer_all();
    let address = world.address(logout);
    let params = params(address.split_once('?').unwrap().1);
    assert_eq!(params["post_logout_redirect_uri"], return_to);
}

#[test]
fn logout_with_a_forbidden_return_still_ends() {
    let (mut world, page) = World::signed_in();
    let members = format!(r#"{PROVIDER_LOGOUT},"returnTo":"http://app.example.com/""#);
    let logout = world.ask(page, &members);
    world.answer_all();
    assert_eq!(world.code(logout), "message_invalid");
    assert!(world.session(page).is_none());
    assert!(world.provider.has_revoked_everything());
}

#[test]
fn missing_provider_logout_is_reported() {
    let metadata = r#"{"metadata":{"issuer":"https://id.example.com",
        "authorization_endpoint":"https://id.example.com/authorize",
        "token_endpoint":"https://id.example.com/token",
        "jwks_uri":"https://id.example.com/jwks"}}"#;
    let (mut world, page) = World::signed_in_with(metadata);
    let logout = world.ask(page, PROVIDER_LOGOUT);
    assert_eq!(world.code(logout), "unsupported");
    assert!(world.session(page).is_none());
    // The metadata has no revocation endpoint either, so no token is revoked.
    assert_eq!(world.count(REVOKE), 0);
}

#[test]
fn leaving_page_does_not_stop_revocation() {
    let (mut world, page) = World::signed_in();
    world.logout(page);
    // `World` would fail the test if the vault told this page of the session's end.
    world.leave(page);
    world.answer_all();
    assert!(world.provider.has_revoked_everything());
}

/// Returns the response to a login by redirect, and a page of a new worker, which finds the login only in the store.
fn at_callback() -> (World, PortId, String) {
    let mut world = World::new();
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&address);
    world.restart();
    let page = world.open();
    (world, page, response)
}

/// Logs out while a login waits at this stage. Checks that the login is canceled and creates no session.
fn logged_out_while_a_login_waits_for(stage: Kind) -> World {
    let (mut world, page, response) = at_callback();
    world.hold(&[stage]);
    let callback = world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.outstanding(stage), 1, "{stage:?}");
    world.logout(page);
    world.release();
    assert_eq!(world.code(callback), "login_canceled", "{stage:?}");
    assert!(world.session(page).is_none(), "{stage:?}");
    world
}

#[test]
fn logout_stops_a_pending_login() {
    for stage in [DISCOVERY, Kind::Take] {
        let world = logged_out_while_a_login_waits_for(stage);
        assert_eq!(world.count(EXCHANGE), 0, "{stage:?}");
    }
}

#[test]
fn logout_revokes_a_login_in_exchange() {
    for stage in [EXCHANGE, KEYS, Kind::Verify] {
        let world = logged_out_while_a_login_waits_for(stage);
        assert_eq!(world.count(REVOKE), 1, "{stage:?}");
        assert!(world.provider.has_revoked_all_of("alice"), "{stage:?}");
    }
}

#[test]
fn logout_stops_a_second_login() {
    for stage in [EXCHANGE, Kind::Verify] {
        let (mut world, page) = World::signed_in();
        let address = world.begin_login(page, "redirect");
        let response = world.provider.sign_in(&address);
        world.hold(&[stage]);
        let callback = world.callback(page, &response);
        world.answer_all();
        world.logout(page);
        world.release();
        assert_eq!(world.code(callback), "login_canceled", "{stage:?}");
        assert_eq!(world.reason(page), Some("logged_out"), "{stage:?}");
        assert!(world.provider.has_revoked_everything(), "{stage:?}");
    }
}

#[test]
fn popup_opener_learns_of_the_logout() {
    let mut world = World::new();
    let [opener, popup] = [world.open(), world.open()];
    let login = world.login(opener, "popup");
    world.answer_all();
    let response = world.provider.sign_in(&world.address(login));
    world.hold(&[EXCHANGE]);
    let callback = world.callback(popup, &response);
    world.answer_all();
    world.logout(opener);
    world.release();
    for request in [login, callback] {
        assert_eq!(world.code(request), "login_canceled");
    }
}

#[test]
fn stopped_login_is_consumed() {
    for mode in ["redirect", "popup"] {
        let mut world = World::new();
        let page = world.open();
        let address = world.begin_login(page, mode);
        let response = world.provider.sign_in(&address);
        world.hold(&[Kind::Take]);
        world.callback(page, &response);
        world.answer_all();
        world.logout(page);
        world.release();
        let again = world.callback(page, &response);
        world.answer_all();
        assert_eq!(world.code(again), "login_replayed", "{mode}");
    }
}

#[test]
fn login_after_a_logout_continues() {
    let (mut world, page) = World::signed_in();
    world.logout(page);
    world.sign_in(page);
    assert!(world.session(page).is_some());
}

#[test]
fn logout_survives_another_pages_end() {
    for config in ["{}", SEALED] {
        let (mut world, page) = World::signed_in_with(config);
        let other = world.open();
        world.hold(&[REVOKE]);
        let logout = world.logout(page);
        world.answer_all();
        world.leave(other);
        world.release();
        assert_eq!(
            world.response(logout),
            Some(&PageResponse::Done(None)),
            "{config}"
        );
    }
}

// claim: end-24
#[test]
fn logout_reports_the_revocation() {
    for (fault, revoked) in [
        (None, true),
        (Some(Fault::Refused("unsupported_token_type")), false),
        (Some(Fault::Status(503)), false),
        (Some(Fault::LostBefore), false),
        (Some(Fault::Silence), false),
    ] {
        for session in STORAGES {
            let (mut world, page) = World::signed_in_with(session);
            let faults: Vec<Fault> = fault.into_iter().collect();
            world.provider.fault(Endpoint::Revoke, &faults);
            let logout = world.logout(page);
            world.advance(Duration::from_secs(11));
            assert_eq!(world.response(logout), Some(&PageResponse::Done(None)));
            let done = world.page(page).of_type("done").next_back().unwrap();
            let told = done.get("revoked").and_then(Value::as_bool);
            assert_eq!(told, Some(revoked), "{fault:?}, {session}");
        }
    }
}

// claim: end-24
#[test]
fn logout_after_a_lost_response_confirms_no_revocation() {
    for (fault, revoked) in [(Fault::LostAfter, false), (Fault::Status(503), true)] {
        let (mut world, page) = World::expired();
        world.provider.fault(Endpoint::Refresh, &[fault]);
        world.fetch(page, "/orders");
        world.answer_all();
        world.logout(page);
        world.answer_all();
        let done = world.page(page).of_type("done").next_back().unwrap();
        let told = done.get("revoked").and_then(Value::as_bool);
        assert_eq!(told, Some(revoked), "{fault:?}");
    }
}

#[test]
fn stored_logout_still_waits_for_the_revocation() {
    let (mut world, page) = World::signed_in_with(SEALED);
    world.hold(&[REVOKE]);
    let logout = world.logout(page);
    world.answer_all();
    assert_eq!(world.response(logout), None);
    world.release();
    assert_eq!(world.response(logout), Some(&PageResponse::Done(None)));
}

#[test]
fn waiting_logout_survives_another_pages_end() {
    let (mut world, _) = World::signed_in_with(SEALED);
    world.restart();
    let pages = [world.open(), world.open()];
    world.hold(&[DISCOVERY]);
    let logouts = pages.map(|page| world.ask(page, PROVIDER_LOGOUT));
    world.answer_all();
    world.leave(pages[1]);
    world.release();
    let response = world.response(logouts[0]);
    assert!(
        matches!(response, Some(PageResponse::Done(Some(_)))),
        "{response:?}"
    );
    assert_eq!(world.response(logouts[1]), None);
}

#[test]
fn logout_is_done_while_an_earlier_revocation_waits_for_metadata() {
    for is_repaired in [true, false] {
        let (mut world, _) = World::signed_in_with(SEALED);
        world.restart();
        let page = world.open();
        world.provider.outage(Endpoint::Discovery, Fault::Opaque);
        let first = world.logout(page);
        world.advance(Duration::from_secs(60));
        assert_eq!(world.response(first), Some(&PageResponse::Done(None)));
        if is_repaired {
            world.provider.repair();
        }
        let second = world.logout(page);
        world.advance(Duration::from_secs(60));
        assert_eq!(world.response(second), Some(&PageResponse::Done(None)));
        assert_eq!(world.count(REVOKE), usize::from(is_repaired));
    }
}

#[test]
fn revocation_requests_missing_metadata_for_some_seconds() {
    for repaired_after in [3, 60] {
        let (mut world, _) = World::signed_in_with(SEALED);
        world.restart();
        let page = world.open();
        world
            .provider
            .outage(Endpoint::Discovery, Fault::LostBefore);
        world.logout(page);
        world.answer_all();
        world.advance(Duration::from_secs(repaired_after));
        world.provider.repair();
        world.advance(Duration::from_secs(600));
        assert_eq!(world.count(REVOKE), usize::from(repaired_after < 60));
    }
}

#[test]
fn earlier_failures_do_not_shorten_the_search_for_metadata() {
    let (mut world, _) = World::signed_in_with(SEALED);
    world.restart();
    let page = world.open();
    world
        .provider
        .outage(Endpoint::Discovery, Fault::LostBefore);
    for _ in 0..3 {
        world.login(page, "redirect");
        world.advance(Duration::from_secs(5));
    }
    world.logout(page);
    world.answer_all();
    world.provider.repair();
    world.advance(Duration::from_secs(3));
    assert_eq!(world.count(REVOKE), 1);
}

#[test]
fn revocation_retries_after_two_and_four_seconds() {
    let (mut world, page) = World::signed_in();
    world.provider.outage(Endpoint::Revoke, Fault::Status(503));
    world.logout(page);
    world.answer_all();
    for (wait, before) in [(2000, 1), (4000, 2)] {
        world.advance(Duration::from_millis(wait - 1));
        assert_eq!(world.count(REVOKE), before);
        world.advance(Duration::from_millis(1));
        assert_eq!(world.count(REVOKE), before + 1);
    }
}

#[test]
fn logout_without_a_refresh_token_revokes_nothing() {
    let mut world = World::new();
    world.provider.issues_refresh_tokens = false;
    let page = world.open();
    world.sign_in(page);
    world.logout(page);
    world.answer_all();
    let done = world.page(page).of_type("done").next_back().unwrap();
    assert_eq!(done.get("revoked").and_then(Value::as_bool), Some(false));
}

#[test]
fn configured_endpoint_extends_discovery() {
    let metadata = r#"{"metadata":{"revocation_endpoint":"https://id.example.com/oauth/revoke"}}"#;
    let mut world = World::with(metadata);
    world.provider.announces_revocation = false;
    let page = world.open();
    world.sign_in(page);
    assert_eq!(world.count(DISCOVERY), 1);
    world.logout(page);
    world.answer_all();
    assert_eq!(world.count(REVOKE), 1);
    let done = world.page(page).of_type("done").next_back().unwrap();
    assert_eq!(done.get("revoked").and_then(Value::as_bool), Some(true));
}

#[test]
fn provider_that_announces_no_revocation_is_reported() {
    let mut world = World::new();
    world.provider.announces_revocation = false;
    let page = world.open();
    world.sign_in(page);
    world.logout(page);
    world.answer_all();
    assert_eq!(world.count(REVOKE), 0);
    let done = world.page(page).of_type("done").next_back().unwrap();
    assert_eq!(done.get("revoked").and_then(Value::as_bool), Some(false));
}

/// Logs out at the provider twice, and returns the warnings.
pub(super) fn logout_warnings(mut world: World) -> Vec<String> {
    let page = world.open();
    world.sign_in(page);
    for (provider, times) in [(false, 1), (true, 2)] {
        assert_eq!(world.warnings(page).len(), 0);
        for _ in 0..times {
            world.ask(page, &format!(r#""t":"logout","provider":{provider}"#));
            world.answer_all();
        }
    }
    let warnings = world.warnings(page);
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn developer_is_told_once_that_a_hint_may_be_needed() {
    assert_eq!(logout_warnings(World::on_loopback("{}")), ["unsupported"]);
    assert!(logout_warnings(World::new()).is_empty());
}
