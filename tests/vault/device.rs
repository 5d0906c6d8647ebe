//! A login on another device (RFC 8628): the page shows a code, and the vault polls until the user has finished.

use std::time::Duration;

use kit::world::{Endpoint, Fault, Kind, PageResponse, REVOKE, Request, World};
use rules::codec::json::Value;
use vault::PortId;

const ASK: Kind = Kind::Provider(Endpoint::AskDevice);
const POLL: Kind = Kind::Provider(Endpoint::PollDevice);

const SECOND: Duration = Duration::from_secs(1);

fn world() -> (World, PortId) {
    let mut world = World::with(r#"{"deviceFlow":true}"#);
    world.provider.knows_devices = true;
    let page = world.open();
    (world, page)
}

/// Creates a page that shows the user code of a login.
fn shown() -> (World, PortId, Request) {
    let (mut world, page) = world();
    let login = world.login(page, "device");
    world.answer_all();
    let expected = PageResponse::Device {
        user_code: "CODE-1".to_owned(),
    };
    assert_eq!(world.response(login), Some(&expected));
    (world, page, login)
}

#[test]
fn device_login_signs_the_user_in() {
    let (mut world, page, login) = shown();
    world.advance(12 * SECOND);
    assert!(world.session(page).is_none());
    world.provider.sign_in_on_devices();
    world.advance(5 * SECOND);
    assert_eq!(world.response(login), Some(&PageResponse::Done(None)));
    assert!(world.session(page).is_some());
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

#[test]
fn device_login_is_for_the_resource() {
    let mut world = World::with(r#"{"deviceFlow":true,"resource":"urn:a"}"#);
    world.provider.knows_devices = true;
    let page = world.open();
    world.login(page, "device");
    world.answer_all();
    world.provider.sign_in_on_devices();
    world.advance(5 * SECOND);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

#[test]
fn codes_reach_the_page_that_asked() {
    let mut world = World::with(r#"{"deviceFlow":true,"loginScopes":["write"]}"#);
    world.provider.knows_devices = true;
    let pages = [world.open(), world.open()];
    world.begin_login(pages[0], "redirect"); // Makes the vault fetch the provider's metadata.
    world.hold(&[ASK]);
    world.new_jobs();
    let first = world.login(pages[0], "device");
    let members = r#""t":"login","mode":"device","scope":"write""#;
    let logins = [first, world.ask(pages[1], members)];
    let asked = world.new_jobs();
    world.answer_arrives(asked[1].0);
    assert_eq!(world.response(logins[0]), None);
    assert!(matches!(
        world.response(logins[1]),
        Some(PageResponse::Device { .. })
    ));
    world.release();
    assert!(matches!(
        world.response(logins[0]),
        Some(PageResponse::Device { .. })
    ));
}

#[test]
fn page_gets_the_user_code_only() {
    let (world, page, _) = shown();
    let told: Vec<_> = world.page(page).of_type("device").collect();
    let names: Vec<&str> = told[0].iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["t", "id", "userCode", "verificationUri", "expiresAt"]
    );
    // When a `World` is dropped, it checks that no message contains the device code.
}

#[test]
fn unsupported_login_options_are_rejected() {
    for option in [
        r#""prompt":"login""#,
        r#""acrValues":"gold""#,
        r#""maxAge":5"#,
    ] {
        let (mut world, page) = world();
        let login = [r#""t":"login","mode":"device","#, option].concat();
        let login = world.ask(page, &login);
        world.answer_all();
        assert_eq!(world.code(login), "message_invalid", "{option}");
        assert_eq!(world.count(ASK), 0);
    }
}

#[test]
fn polling_respects_the_interval() {
    let (mut world, ..) = shown();
    world.advance(4 * SECOND);
    assert_eq!(world.count(POLL), 0);
    world.advance(60 * SECOND);
    let moments = world.moments(POLL);
    assert!(moments.len() >= 10, "{moments:?}");
    let is_apart = |pair: &[Duration]| pair[1] - pair[0] >= 5 * SECOND;
    assert!(moments.windows(2).all(is_apart), "{moments:?}");
}

#[test]
fn slow_poll_is_the_only_one() {
    let (mut world, ..) = shown();
    world.hold(&[POLL]);
    world.advance(6 * SECOND);
    assert_eq!(world.outstanding(POLL), 1);
    world.advance(6 * SECOND);
    assert_eq!(world.outstanding(POLL), 1);
}

#[test]
fn slow_down_lengthens_the_interval() {
    let (mut world, ..) = shown();
    let slow_down = Fault::Refused("slow_down");
    world
        .provider
        .fault(Endpoint::PollDevice, &[slow_down, slow_down]);
    world.advance(Duration::from_secs(120));
    let moments = world.moments(POLL);
    let waits: Vec<u64> = moments
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs())
        .collect();
    assert_eq!(waits[0], 10, "{waits:?}");
    assert!(waits[1..].iter().all(|wait| *wait == 15), "{waits:?}");
}

#[test]
fn unresponsive_provider_is_polled_ever_less() {
    let (mut world, page, _) = shown();
    let lost = [Fault::LostBefore, Fault::Status(500), Fault::Html];
    world.provider.fault(Endpoint::PollDevice, &lost);
    world.advance(Duration::from_secs(100));
    let moments = world.moments(POLL);
    let waits: Vec<u64> = moments
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs())
        .collect();
    assert_eq!(waits[..3], [10, 20, 40], "{waits:?}");
    world.provider.sign_in_on_devices();
    world.advance(Duration::from_secs(60));
    assert!(world.session(page).is_some());
}

#[test]
fn each_end_has_its_code() {
    for (fault, code) in [
        ("access_denied", "login_denied"),
        ("expired_token", "login_expired"),
        ("invalid_grant", "code_rejected"),
        ("invalid_client", "client_rejected"),
    ] {
        let (mut world, page, login) = shown();
        world
            .provider
            .fault(Endpoint::PollDevice, &[Fault::Refused(fault)]);
        world.advance(Duration::from_secs(30));
        assert_eq!(world.code(login), code);
        assert_eq!(world.count(POLL), 1, "nothing is asked after {fault}");
        assert!(world.session(page).is_none());
    }
}

#[test]
fn unused_code_expires() {
    let (mut world, _, login) = shown();
    world.advance(Duration::from_secs(599));
    assert!(matches!(
        world.response(login),
        Some(PageResponse::Device { .. })
    ));
    world.advance(2 * SECOND);
    assert_eq!(world.code(login), "login_expired");
    let asked = world.count(POLL);
    world.advance(Duration::from_secs(100));
    assert_eq!(world.count(POLL), asked);
}

#[test]
fn canceled_login_is_not_polled() {
    let (mut world, page, login) = shown();
    world.give_up(login, "cancel");
    world.provider.sign_in_on_devices();
    world.advance(Duration::from_secs(60));
    assert_eq!(world.count(POLL), 0);
    assert!(world.session(page).is_none());
}

#[test]
fn late_tokens_of_a_canceled_login_are_revoked() {
    for leaves in [false, true] {
        let (mut world, page, login) = shown();
        let other = world.open();
        world.provider.sign_in_on_devices();
        world.hold(&[POLL]);
        world.advance(6 * SECOND);
        assert_eq!(world.outstanding(POLL), 1);
        if leaves {
            world.leave(page);
        } else {
            world.give_up(login, "cancel");
        }
        world.release();
        world.answer_all();
        assert!(world.session(other).is_none());
        assert!(world.provider.has_revoked_everything(), "leaves: {leaves}");
    }
}

/// The tokens of a canceled login arrive late. They are not revoked, because many providers would then also end the
/// grant of the page's existing session.
#[test]
fn late_tokens_beside_a_session_are_kept() {
    let (mut world, page) = world();
    world.sign_in(page);
    let login = world.login(page, "device");
    world.answer_all();
    world.provider.sign_in_on_devices();
    world.hold(&[POLL]);
    world.advance(6 * SECOND);
    assert_eq!(world.outstanding(POLL), 1);
    let before = world.session(page).unwrap().get("startedAt").cloned();
    world.give_up(login, "cancel");
    world.release();
    world.answer_all();
    assert_eq!(world.count(REVOKE), 0);
    assert_eq!(
        world.session(page).unwrap().get("startedAt").cloned(),
        before
    );
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

#[test]
fn logout_during_verification_is_final() {
    let (mut world, page, login) = shown();
    world.provider.sign_in_on_devices();
    world.hold(&[Kind::Verify]);
    world.advance(6 * SECOND);
    assert_eq!(world.outstanding(Kind::Verify), 1);
    world.logout(page);
    world.release();
    assert_eq!(world.code(login), "login_canceled");
    assert!(world.session(page).is_none());
}

#[test]
fn id_token_is_validated() {
    for (flaw, code) in [
        (kit::world::Flaw::Signature, "id_token_invalid"),
        (kit::world::Flaw::UnknownKey, "id_token_invalid"),
        (
            kit::world::Flaw::Claim("aud", "other".into()),
            "id_token_invalid",
        ),
        (kit::world::Flaw::Missing, "token_response_invalid"),
    ] {
        let (mut world, page, login) = shown();
        world.provider.flaw = Some(flaw.clone());
        world.provider.sign_in_on_devices();
        world.advance(6 * SECOND);
        assert_eq!(world.code(login), code, "{flaw:?}");
        assert!(world.session(page).is_none());
        assert!(world.provider.has_revoked_everything());
    }
}

#[test]
fn unavailable_codes_fail_the_login() {
    for (fault, code) in [
        (Fault::LostBefore, "provider_unavailable"),
        (Fault::Silence, "provider_unavailable"),
        (Fault::Status(503), "provider_unavailable"),
        (Fault::Refused("unauthorized_client"), "client_rejected"),
        (Fault::Html, "login_failed"),
        (Fault::Truncated, "login_failed"),
    ] {
        let (mut world, page) = world();
        world.provider.fault(Endpoint::AskDevice, &[fault]);
        let login = world.login(page, "device");
        world.advance(10 * SECOND);
        assert_eq!(world.code(login), code, "{fault:?}");
    }
}

#[test]
fn device_flow_needs_configuration_and_endpoint() {
    for (config, knows, why) in [
        ("{}", true, "deviceFlow: true"),
        (
            r#"{"deviceFlow":true}"#,
            false,
            "device_authorization_endpoint",
        ),
    ] {
        let mut world = World::with(config);
        world.provider.knows_devices = knows;
        let page = world.open();
        let login = world.login(page, "device");
        world.answer_all();
        assert_eq!(world.code(login), "unsupported", "{config}");
        assert!(world.error_message(login).contains(why), "{config}");
        assert_eq!(world.count(ASK), 0);
    }
}

#[test]
fn page_cannot_request_unconfigured_scopes() {
    let mut world = World::with(r#"{"deviceFlow":true,"loginScopes":["write"]}"#);
    world.provider.knows_devices = true;
    let page = world.open();
    let ask = |world: &mut World, scope: &str| {
        let members = format!(r#""t":"login","mode":"device","scope":"{scope}""#);
        let login = world.ask(page, &members);
        world.answer_all();
        login
    };
    let login = ask(&mut world, "admin");
    assert_eq!(world.code(login), "message_invalid");
    let login = ask(&mut world, "write");
    assert!(matches!(
        world.response(login),
        Some(PageResponse::Device { .. })
    ));
}

#[test]
fn device_login_works_for_stored_sessions() {
    let mut world = World::with(r#"{"deviceFlow":true,"session":{"persist":"sealed"}}"#);
    world.provider.knows_devices = true;
    let page = world.open();
    world.answer_all();
    let login = world.login(page, "device");
    world.answer_all();
    world.provider.sign_in_on_devices();
    world.advance(6 * SECOND);
    assert_eq!(world.response(login), Some(&PageResponse::Done(None)));
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_some());
}

#[test]
fn page_cannot_reach_the_endpoint_itself() {
    let mut world =
        World::with(r#"{"apis":[{"url":"https://id.example.com/oauth/"}],"deviceFlow":true}"#);
    world.provider.knows_devices = true;
    world.provider.base = kit::world::provider::BASE;
    let page = world.open();
    world.sign_in(page);
    let call = world.fetch_as(
        page,
        &kit::world::Fetch {
            url: "https://id.example.com/oauth/device",
            ..kit::world::Fetch::default()
        },
    );
    world.answer_all();
    assert_eq!(world.code(call), "url_not_allowed");
}

#[test]
fn tokens_are_bound_if_configured() {
    let mut world = World::with(r#"{"deviceFlow":true,"dpop":true}"#);
    world.provider.knows_devices = true;
    let page = world.open();
    let login = world.login(page, "device");
    world.answer_all();
    world.advance(12 * SECOND);
    world.provider.sign_in_on_devices();
    world.advance(6 * SECOND);
    assert_eq!(world.response(login), Some(&PageResponse::Done(None)));
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
    assert!(
        world.seen_by_api[0]
            .authorization
            .expose()
            .starts_with("DPoP ")
    );
}

#[test]
fn tokens_of_a_repeated_poll_are_as_old_as_its_repetition() {
    let mut world = World::with(r#"{"deviceFlow":true,"dpop":true}"#);
    world.provider.knows_devices = true;
    let page = world.open();
    world.login(page, "device");
    world.answer_all();
    world.provider.sign_in_on_devices();
    world.provider.dpop.nonce = Some("two".to_owned());
    world.hold(&[POLL]);
    world.advance(5 * SECOND);
    world.advance(3 * SECOND);
    let repeated_at = world.now.wall;
    world.release();
    world.answer_all();
    assert_eq!(world.count(POLL), 2);
    let started_at = world.session(page).unwrap().get("startedAt");
    assert_eq!(started_at.and_then(Value::as_u64), Some(repeated_at));
}
