//! A pushed authorization request (RFC 9126): the provider receives it before the page navigates, and the page's URL
//! contains a reference that is valid for one login.

use std::time::Duration;

use kit::world::provider::params;
use kit::world::{Endpoint, Fault, Kind, PROBE, PageResponse, World};

const PUSH: Kind = Kind::Provider(Endpoint::Push);

fn world(config: &str) -> World {
    let mut world = World::with(config);
    world.provider.takes_pushed = true;
    world
}

fn query(address: &str) -> std::collections::BTreeMap<String, String> {
    params(address.split_once('?').unwrap().1)
}

// claim: url-1
#[test]
fn configured_logins_are_pushed() {
    for par in [r#""par":true,"#, r#""par":"auto","#, ""] {
        let mut world = world(&format!(
            r#"{{{par}"authorizationParams":{{"audience":"x"}}}}"#
        ));
        let page = world.open();
        let in_address = query(&world.begin_login(page, "redirect"));
        let names: Vec<&str> = in_address.keys().map(String::as_str).collect();
        assert_eq!(names, ["client_id", "request_uri"]);
        let pushed = params(&world.provider.pushed[&in_address["request_uri"]]);
        assert_eq!(pushed["audience"], "x");
        assert_eq!(pushed["code_challenge_method"], "S256");
        assert!(!pushed.contains_key("code_verifier"));
    }
}

// claim: url-2
#[test]
fn only_popups_and_silent_logins_show_state() {
    for (members, is_shown) in [
        (r#""mode":"redirect""#, false),
        (r#""mode":"redirect","prompt":"login""#, false),
        (r#""mode":"popup""#, true),
        (r#""mode":"redirect","prompt":"none""#, true),
    ] {
        let mut world = world("{}");
        let page = world.open();
        let login = world.ask(page, &format!(r#""t":"login",{members}"#));
        world.answer_all();
        let in_address = query(&world.address(login));
        let pushed = params(&world.provider.pushed[&in_address["request_uri"]]);
        let shown = in_address.get("state");
        assert_eq!(shown, is_shown.then_some(&pushed["state"]), "{members}");
    }
}

#[test]
fn pushed_login_becomes_a_session() {
    for mode in ["redirect", "popup"] {
        let mut world = world(r#"{"par":true}"#);
        let page = world.open();
        let address = world.begin_login(page, mode);
        let response = world.provider.sign_in(&address);
        world.callback(page, &response);
        world.answer_all();
        assert!(world.session(page).is_some(), "{mode}");
    }
}

#[test]
fn required_pushing_needs_no_configuration() {
    let mut world = world("{}");
    world.provider.wants_pushed = true;
    let page = world.open();
    world.sign_in(page);
    assert_eq!(world.count(PUSH), 1);
    assert!(world.session(page).is_some());
}

#[test]
fn par_false_pushes_nothing() {
    let mut world = world(r#"{"par":false}"#);
    let page = world.open();
    world.sign_in(page);
    assert_eq!(world.count(PUSH), 0);
    assert!(world.session(page).is_some());
}

#[test]
fn impossible_push_is_explained() {
    for (config, is_required, named, not_named) in [
        (
            r#"{"par":false}"#,
            true,
            "par is false",
            "no pushed_authorization_request_endpoint",
        ),
        (
            r#"{"par":true}"#,
            false,
            "no pushed_authorization_request_endpoint",
            "par is false",
        ),
    ] {
        let mut world = World::with(config);
        world.provider.takes_pushed = is_required;
        world.provider.wants_pushed = is_required;
        let page = world.open();
        let login = world.login(page, "redirect");
        world.answer_all();
        assert_eq!(world.code(login), "unsupported");
        let message = world.error_message(login);
        assert!(message.contains(named), "{message}");
        assert!(!message.contains(not_named), "{message}");
    }
}

#[test]
fn refused_push_without_code_is_explained() {
    let mut world = world(r#"{"par":true}"#);
    world.provider.outage(Endpoint::Push, Fault::Status(401));
    let page = world.open();
    let login = world.login(page, "redirect");
    world.answer_all();
    assert_eq!(world.code(login), "client_rejected");
    let message = world.error_message(login);
    for part in ["https://id.example.com/par", "401", "public clients?"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn malformed_push_response_is_no_refusal() {
    let mut world = world(r#"{"par":true}"#);
    world
        .provider
        .outage(Endpoint::Push, Fault::Response(200, "[]"));
    let page = world.open();
    let login = world.login(page, "redirect");
    world.answer_all();
    assert_eq!(world.code(login), "login_failed");
    let message = world.error_message(login);
    assert!(message.contains("no valid request_uri"), "{message}");
}

/// Responses of a provider that accepts no pushed requests from this client. CORS hides the last response.
const CLOSED: [Fault; 7] = [
    Fault::Refused("invalid_client"),
    Fault::Refused("unauthorized_client"),
    Fault::Status(401),
    Fault::Status(403),
    Fault::Status(404),
    Fault::Status(405),
    Fault::Opaque,
];

// claim: url-3
#[test]
fn closed_push_endpoint_is_tried_once() {
    for fault in CLOSED {
        let mut world = world("{}");
        world.provider.outage(Endpoint::Push, fault);
        let page = world.open();
        for _ in 0..2 {
            let address = world.begin_login(page, "redirect");
            assert!(query(&address).contains_key("code_challenge"), "{fault:?}");
            let response = world.provider.sign_in(&address);
            world.callback(page, &response);
            world.answer_all();
            assert!(world.session(page).is_some(), "{fault:?}");
        }
        assert_eq!(world.count(PUSH), 1, "{fault:?}");
        assert_eq!(world.warnings(page), ["login_not_pushed"], "{fault:?}");
    }
}

// claim: url-3
#[test]
fn required_pushing_has_no_fallback() {
    for fault in CLOSED {
        let mut world = world("{}");
        world.provider.wants_pushed = true;
        world.provider.outage(Endpoint::Push, fault);
        let page = world.open();
        for _ in 0..2 {
            let login = world.login(page, "redirect");
            world.answer_all();
            assert_eq!(world.code(login), "login_failed", "{fault:?}");
        }
        assert_eq!(world.count(PUSH), 2);
        assert_eq!(world.warnings(page).len(), 0);
    }
}

// claim: url-3
#[test]
fn other_push_failures_cause_no_fallback() {
    for (fault, code) in [
        (Fault::LostBefore, "provider_unavailable"),
        (Fault::LostAfter, "provider_unavailable"),
        (Fault::Silence, "provider_unavailable"),
        (Fault::Status(500), "provider_unavailable"),
        (Fault::Status(503), "provider_unavailable"),
        (Fault::Busy(429, Some(1)), "provider_unavailable"),
        (Fault::Refused("server_error"), "provider_unavailable"),
        (Fault::Refused("invalid_request"), "login_failed"),
        (Fault::Refused("invalid_scope"), "login_failed"),
        (Fault::Refused("access_denied"), "login_denied"),
        (Fault::Html, "login_failed"),
        (Fault::Truncated, "login_failed"),
    ] {
        let mut world = world("{}");
        world.provider.fault(Endpoint::Push, &[fault]);
        let page = world.open();
        let login = world.login(page, "redirect");
        world.advance(Duration::from_secs(10));
        assert_eq!(world.code(login), code, "{fault:?}");
        let address = world.begin_login(page, "redirect");
        assert!(query(&address).contains_key("request_uri"), "{fault:?}");
        assert_eq!(world.warnings(page).len(), 0, "{fault:?}");
    }
}

#[test]
fn refused_push_names_its_redirect_uri() {
    for (error, is_named) in [
        ("invalid_request", true),
        ("invalid_redirect_uri", true),
        ("access_denied", false),
    ] {
        let mut world = world("{}");
        world
            .provider
            .fault(Endpoint::Push, &[Fault::Refused(error)]);
        let page = world.open();
        let login = world.login(page, "redirect");
        world.answer_all();
        let message = world.error_message(login);
        assert!(
            message.contains(&format!("responded with {error}")),
            "{message}"
        );
        let named = "the redirect URI of the request was 'https://app.example.com/callback'";
        assert_eq!(message.contains(named), is_named, "{message}");
    }
}

#[test]
fn description_of_a_refused_push_is_logged() {
    let mut world = world("{}");
    let refused = Fault::Response(
        400,
        r#"{"error":"invalid_scope","error_description":"No scope offline_access"}"#,
    );
    world.provider.fault(Endpoint::Push, &[refused]);
    let page = world.open();
    let login = world.login(page, "redirect");
    world.answer_all();
    assert_eq!(world.code(login), "login_failed");
    let expected = "\"No scope offline_access\"";
    assert_eq!(world.log, [expected]);
    world.provider.fault(Endpoint::Push, &[Fault::Echo]);
    world.login(page, "redirect");
    world.answer_all();
    assert_eq!(world.log.len(), 1, "the description contains state");
}

// claim: url-3
#[test]
fn unreadable_push_counts_if_metadata_is_readable() {
    for outage in [
        Fault::LostBefore,
        Fault::Opaque,
        Fault::Silence,
        Fault::Status(502),
        Fault::Status(404),
        Fault::Html,
        Fault::Truncated,
    ] {
        let mut world = world("{}");
        let page = world.open();
        world.begin_login(page, "popup");
        world.provider.outage(Endpoint::Push, Fault::Opaque);
        world.provider.outage(Endpoint::Probe, outage);
        let login = world.login(page, "redirect");
        world.advance(Duration::from_secs(10));
        assert_eq!(world.code(login), "provider_unavailable", "{outage:?}");
        world.provider.repair();
        let address = world.begin_login(page, "redirect");
        assert!(query(&address).contains_key("request_uri"), "{outage:?}");
    }
}

#[test]
fn new_vault_pushes_again() {
    let mut world = world("{}");
    world.provider.outage(Endpoint::Push, Fault::Status(404));
    let page = world.open();
    world.begin_login(page, "redirect");
    world.provider.repair();
    world.restart();
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    assert!(query(&address).contains_key("request_uri"));
}

#[test]
fn configured_pushing_has_no_fallback() {
    let mut world = World::with(r#"{"par":true}"#);
    let page = world.open();
    let login = world.login(page, "redirect");
    world.answer_all();
    assert_eq!(world.code(login), "unsupported");
}

#[test]
fn reference_is_used_once() {
    let mut world = world(r#"{"par":true}"#);
    let page = world.open();
    let [one, other] = [(), ()].map(|()| query(&world.begin_login(page, "popup")));
    assert_ne!(one["request_uri"], other["request_uri"]);
    assert_ne!(one["state"], other["state"]);
    assert_eq!(world.count(PUSH), 2);
}

#[test]
fn page_navigates_after_the_push() {
    let mut world = world(r#"{"par":true}"#);
    let page = world.open();
    world.hold(&[PUSH]);
    let login = world.login(page, "popup");
    world.answer_all();
    assert_eq!(world.response(login), None);
    world.release();
    assert!(matches!(
        world.response(login),
        Some(PageResponse::Navigate(_))
    ));
}

#[test]
fn failed_push_reports_its_cause() {
    for (fault, code) in [
        (Fault::Opaque, "provider_unavailable"),
        (Fault::LostBefore, "provider_unavailable"),
        (Fault::Silence, "provider_unavailable"),
        (Fault::Status(500), "provider_unavailable"),
        (Fault::Busy(429, Some(1)), "provider_unavailable"),
        (Fault::Refused("invalid_request"), "login_failed"),
        (Fault::Refused("access_denied"), "login_denied"),
        (Fault::Refused("unauthorized_client"), "client_rejected"),
        (Fault::Html, "login_failed"),
        (Fault::Truncated, "login_failed"),
        (Fault::Echo, "client_rejected"),
    ] {
        let mut world = world(r#"{"par":true}"#);
        world.provider.fault(Endpoint::Push, &[fault]);
        let page = world.open();
        let login = world.login(page, "redirect");
        world.advance(Duration::from_secs(10));
        assert_eq!(world.code(login), code, "{fault:?}");
        assert_eq!(world.count(Kind::Store), 0);
        assert_eq!(world.count(PROBE), 0, "{fault:?}");
        // The failure does not affect the next login.
        world.begin_login(page, "redirect");
    }
}

#[test]
fn canceled_push_leads_nowhere() {
    let mut world = world(r#"{"par":true}"#);
    let page = world.open();
    world.hold(&[PUSH]);
    let login = world.login(page, "popup");
    world.answer_all();
    world.give_up(login, "cancel");
    world.release();
    assert_eq!(world.responses(login), []);
}

#[test]
fn page_cannot_reach_the_endpoint_itself() {
    let mut world = World::with(r#"{"apis":[{"url":"https://id.example.com/oauth/"}],"par":true}"#);
    world.provider.takes_pushed = true;
    world.provider.base = kit::world::provider::BASE;
    let page = world.open();
    world.sign_in(page);
    let call = world.fetch_as(
        page,
        &kit::world::Fetch {
            url: "https://id.example.com/oauth/par",
            ..kit::world::Fetch::default()
        },
    );
    world.answer_all();
    assert_eq!(world.code(call), "url_not_allowed");
}

#[test]
fn pushed_request_names_the_dpop_key() {
    let mut world = world(r#"{"par":true,"dpop":true}"#);
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let in_address = query(&address);
    assert!(!in_address.contains_key("dpop_jkt"));
    let pushed = params(&world.provider.pushed[&in_address["request_uri"]]);
    assert!(pushed.contains_key("dpop_jkt"));
    let response = world.provider.sign_in(&address);
    world.callback(page, &response);
    world.answer_all();
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}
