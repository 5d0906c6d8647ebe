//! Pinned metadata, which was known when the app was built, saves a request. An outdated pin costs one. Only an outdated
//! authorization endpoint, or an endpoint for pushed requests that the provider requires now, can fail a login.

use std::time::Duration;

use kit::world::provider::{BASE, params};
use kit::world::{
    DISCOVERY, EXCHANGE, Endpoint, Fault, Flaw, KEYS, Kind, PageResponse, REFRESH, REVOKE, SEALED,
    STORAGES, World,
};
use vault::PortId;

const PUSH: Kind = Kind::Provider(Endpoint::Push);

/// What an endpoint that the provider has left may respond with.
const REFUSALS: &[Fault] = &[
    Fault::Status(404),
    Fault::Status(0),
    Fault::Status(410),
    Fault::Html,
    Fault::Opaque,
    Fault::LostBefore,
    Fault::Silence,
    Fault::Refused("invalid_client"),
    Fault::Refused("invalid_grant"),
];

/// Returns a configuration with the provider's metadata, changed by `pinned` (members that begin with a comma).
fn pinned(more: &str, pinned: &str) -> String {
    let at = |path: &str| format!("https://id.example.com{path}");
    format!(
        r#"{{{more}"pinned":{{"at":"2026-11-28","issuer":"https://id.example.com","authorization_endpoint":"{}",
        "token_endpoint":"{}","jwks_uri":"{}","revocation_endpoint":"{}","end_session_endpoint":"{}"{pinned}}}}}"#,
        at("/authorize"),
        at("/token"),
        at("/jwks"),
        at("/revoke"),
        at("/logout"),
    )
}

const ISS: &str = r#","authorization_response_iss_parameter_supported":true"#;
const PAR: &str = r#","authorization_response_iss_parameter_supported":true,"pushed_authorization_request_endpoint":"https://id.example.com/par","require_pushed_authorization_requests":false"#;

/// Returns the members of a configuration with this storage.
fn storage(config: &str) -> String {
    let members = &config[1..config.len() - 1];
    if members.is_empty() {
        String::new()
    } else {
        [members, ","].concat()
    }
}

fn world() -> World {
    World::with(&pinned("", ISS))
}

/// Lets the provider move all endpoints. The old ones respond with `left`.
fn provider_moves(world: &mut World, left: Fault) {
    world.provider.base = BASE;
    world.provider.left = Some(left);
}

/// The time between the greeting of a page and the request in the background.
const PATIENCE: Duration = Duration::from_secs(2);

/// Signs in while the provider's document is on its way. Returns the page's callback.
fn sign_in_without_document(world: &mut World, page: PortId) -> kit::world::Request {
    world.hold(&[DISCOVERY]);
    let url = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&url);
    let callback = world.callback(page, &response);
    world.answer_all();
    callback
}

#[test]
fn nothing_waits_for_the_document() {
    for config in STORAGES {
        let mut world = World::with(&pinned(&storage(config), ISS));
        let page = world.open();
        sign_in_without_document(&mut world, page);
        assert!(world.session(page).is_some(), "{config}");
        assert_eq!(world.count(DISCOVERY), 0, "{config}");
        world.expire_access_token();
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200, "{config}");
    }
}

#[test]
fn document_is_requested_once_after_the_greeting() {
    let mut world = World::with(&pinned(&storage(SEALED), ISS));
    world.hold(&[Kind::Load]);
    world.open();
    world.pass_time(PATIENCE);
    world.release();
    assert_eq!(world.count(DISCOVERY), 0);
    world.advance(PATIENCE);
    assert_eq!(world.count(DISCOVERY), 1);
    let page = world.open();
    world.sign_in(page);
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.count(DISCOVERY), 1);
}

#[test]
fn document_replaces_the_pin() {
    let mut world = world();
    provider_moves(&mut world, Fault::Status(404));
    world.provider.takes_pushed = true;
    let page = world.open();
    world.advance(PATIENCE);
    let url = world.begin_login(page, "redirect");
    assert!(
        url.starts_with("https://id.example.com/oauth/authorize?"),
        "{url}"
    );
    assert_eq!(world.count(PUSH), 1);
    let response = world.provider.sign_in(&url);
    world.callback(page, &response);
    world.answer_all();
    assert!(world.session(page).is_some());
    assert_eq!(world.count(EXCHANGE), 1);
}

#[test]
fn developer_learns_what_has_changed() {
    for (change, expected) in [
        (None, None),
        (
            Some(r#","id_token_signing_alg_values_supported":["ES256"]"#),
            None,
        ),
        (
            Some(r#","registration_endpoint":"https://id.example.com/register""#),
            Some("other endpoints"),
        ),
        (
            Some(
                r#","pushed_authorization_request_endpoint":"https://par.example.com/","require_pushed_authorization_requests":true"#,
            ),
            Some("pushed_authorization_request_endpoint, require_pushed_authorization_requests"),
        ),
    ] {
        let mut world = world();
        world.provider.more_metadata = change.unwrap_or_default().to_owned();
        let page = world.open();
        world.advance(PATIENCE);
        let mut warnings = world.page(page).of_type("warning");
        let warning = warnings.next().map(|warning| {
            let message = warning.str("message").unwrap().to_owned();
            (warning.str("warning").unwrap().to_owned(), message)
        });
        let expected = expected.map(|names| {
            let message = format!(
                "the pinned metadata of 2026-11-28 differ from those that the provider publishes now: {names}"
            );
            ("metadata_outdated".to_owned(), message)
        });
        assert_eq!(warning, expected, "{change:?}");
    }
}

#[test]
fn refused_code_goes_where_the_document_says() {
    for &refusal in REFUSALS {
        for dpop in ["", r#""dpop":true,"#] {
            let mut world = World::with(&pinned(dpop, ISS));
            let page = world.open();
            provider_moves(&mut world, refusal);
            sign_in_without_document(&mut world, page);
            world.release();
            world.advance(Duration::from_secs(11));
            assert!(world.session(page).is_some(), "{refusal:?} {dpop}");
            assert_eq!(world.count(EXCHANGE), 2, "{refusal:?} {dpop}");
        }
    }
}

#[test]
fn late_refusal_of_an_old_endpoint_does_not_count() {
    let mut world = world();
    let page = world.open();
    provider_moves(&mut world, Fault::Status(404));
    world.hold(&[DISCOVERY, EXCHANGE]);
    sign_in_without_document(&mut world, page);
    world.pass_time(PATIENCE);
    world.unhold_kind(DISCOVERY);
    world.answer_all();
    assert_eq!(world.count(EXCHANGE), 1);
    world.release();
    assert!(world.session(page).is_some());
}

#[test]
fn refusal_counts_if_the_document_names_the_same_endpoint() {
    let mut world = world();
    let page = world.open();
    let refusal = Fault::Refused("invalid_grant");
    world.provider.fault(Endpoint::Exchange, &[refusal]);
    let callback = sign_in_without_document(&mut world, page);
    assert_eq!(world.response(callback), None);
    world.release();
    assert_eq!(world.code(callback), "code_rejected");
    assert_eq!(world.count(EXCHANGE), 1);
}

#[test]
fn refusal_counts_without_a_document() {
    let unusable: &[&str] = &["metadata_invalid"];
    for (fault, warnings) in [
        (Fault::Status(500), &[][..]),
        (Fault::LostBefore, &[]),
        (Fault::Status(0), unusable),
        (Fault::Html, &[]),
    ] {
        let mut world = world();
        let page = world.open();
        world.provider.outage(Endpoint::Discovery, fault);
        let refusal = Fault::Refused("invalid_grant");
        world.provider.fault(Endpoint::Exchange, &[refusal]);
        let callback = world.sign_in(page);
        assert_eq!(world.code(callback), "code_rejected", "{fault:?}");
        assert_eq!(world.count(EXCHANGE), 1, "{fault:?}");
        world.sign_in(page);
        assert!(world.session(page).is_some(), "{fault:?}");
        assert_eq!(world.warnings(page), warnings, "{fault:?}");
    }
}

#[test]
fn failing_server_has_not_moved() {
    for fault in [
        Fault::Status(500),
        Fault::Busy(503, Some(5)),
        Fault::Status(429),
    ] {
        for endpoint in [Endpoint::Exchange, Endpoint::Keys, Endpoint::Push] {
            let mut world = World::with(&pinned("", PAR));
            world.provider.takes_pushed = true;
            let page = world.open();
            world.hold(&[DISCOVERY]);
            world.provider.outage(endpoint, fault);
            let login = world.login(page, "redirect");
            world.answer_all();
            let failed = if endpoint == Endpoint::Push {
                login
            } else {
                let response = world.provider.sign_in(&world.address(login));
                let callback = world.callback(page, &response);
                world.answer_all();
                callback
            };
            assert!(!world.code(failed).is_empty(), "{endpoint:?} {fault:?}");
        }
    }
}

#[test]
fn flawed_response_with_a_refresh_token_counts() {
    let mut world = world();
    let page = world.open();
    sign_in_without_document(&mut world, page);
    world.expire_access_token();
    let flaw = Fault::Altered("access_token", "7");
    world.provider.fault(Endpoint::Refresh, &[flaw]);
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.count(DISCOVERY), 1);
}

#[test]
fn refused_refresh_goes_where_the_document_says() {
    for config in STORAGES {
        for &refusal in REFUSALS {
            let mut world = World::with(&pinned(&storage(config), ISS));
            let page = world.open();
            sign_in_without_document(&mut world, page);
            provider_moves(&mut world, refusal);
            world.expire_access_token();
            let call = world.fetch(page, "/orders");
            world.answer_all();
            world.release();
            world.advance(Duration::from_secs(31));
            assert!(world.session(page).is_some(), "{config} {refusal:?}");
            assert_eq!(world.count(REFRESH), 2, "{config} {refusal:?}");
            assert!(world.response(call).is_some(), "{config} {refusal:?}");
            let call = world.fetch(page, "/orders");
            world.answer_all();
            assert_eq!(world.status(call), 200, "{config} {refusal:?}");
            assert_eq!(world.provider.reuses, 0);
        }
    }
}

#[test]
fn refusal_ends_no_session_without_a_document() {
    for config in STORAGES {
        let mut world = World::with(&pinned(&storage(config), ISS));
        let page = world.open();
        sign_in_without_document(&mut world, page);
        provider_moves(&mut world, Fault::Refused("invalid_grant"));
        world
            .provider
            .outage(Endpoint::Discovery, Fault::Status(500));
        world.expire_access_token();
        world.fetch(page, "/orders");
        world.release();
        world.advance(Duration::from_secs(60));
        assert!(world.session(page).is_some(), "{config}");
        world.provider.repair();
        world.advance(Duration::from_secs(600));
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200, "{config}");
    }
}

#[test]
fn session_that_ends_meanwhile_sends_no_refresh_token() {
    let mut world = world();
    let page = world.open();
    sign_in_without_document(&mut world, page);
    provider_moves(&mut world, Fault::Status(404));
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.answer_all();
    world.logout(page);
    world.release();
    assert!(world.session(page).is_none());
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn canceled_login_sends_its_code_to_no_other_endpoint() {
    let mut world = world();
    let page = world.open();
    provider_moves(&mut world, Fault::Status(404));
    let callback = sign_in_without_document(&mut world, page);
    world.logout(page);
    world.release();
    assert_eq!(world.code(callback), "login_canceled");
    assert_eq!(world.count(EXCHANGE), 1);
}

#[test]
fn refused_push_goes_where_the_document_says() {
    for &refusal in REFUSALS {
        let mut world = World::with(&pinned("", PAR));
        world.provider.takes_pushed = true;
        let page = world.open();
        provider_moves(&mut world, refusal);
        world.hold(&[DISCOVERY]);
        let login = world.login(page, "redirect");
        world.answer_all();
        world.release();
        world.advance(Duration::from_secs(11));
        let url = world.address(login);
        assert!(
            params(&url)
                .keys()
                .any(|name| name.ends_with("request_uri")),
            "{refusal:?}"
        );
        assert_eq!(world.count(PUSH), 2, "{refusal:?}");
        assert!(
            !world.warnings(page).contains(&"login_not_pushed"),
            "{refusal:?}"
        );
    }
}

#[test]
fn push_that_the_document_no_longer_has_is_left_out() {
    let mut world = World::with(&pinned("", PAR));
    let page = world.open();
    world.provider.outage(Endpoint::Push, Fault::Status(404));
    world.hold(&[DISCOVERY]);
    let login = world.login(page, "redirect");
    world.answer_all();
    world.release();
    let url = world.address(login);
    assert!(url.contains("code_challenge="), "{url}");
}

#[test]
fn login_waits_for_the_document_only_if_the_pin_makes_it_impossible() {
    for (config, members, mode) in [
        (r#""par":true,"#, ISS, "redirect"),
        (r#""deviceFlow":true,"#, ISS, "device"),
        (r#""userInfo":true,"#, ISS, "redirect"),
    ] {
        let mut world = World::with(&pinned(config, members));
        world.provider.takes_pushed = true;
        world.provider.knows_devices = true;
        world.provider.more_metadata =
            r#","userinfo_endpoint":"https://id.example.com/userinfo""#.to_owned();
        let page = world.open();
        world.hold(&[DISCOVERY]);
        let login = world.login(page, mode);
        world.answer_all();
        assert_eq!(world.response(login), None, "{config}");
        world.release();
        let response = world.response(login);
        assert!(
            matches!(
                response,
                Some(PageResponse::Navigate(_) | PageResponse::Device { .. })
            ),
            "{config}: {response:?}"
        );
    }
}

#[test]
fn keys_at_an_old_address_are_not_used() {
    for left in [
        Fault::Status(404),
        Fault::Html,
        Fault::Opaque,
        Fault::Response(200, "{}"),
    ] {
        let mut world = world();
        let page = world.open();
        world.provider.base = BASE;
        world.provider.outage(Endpoint::Keys, left);
        sign_in_without_document(&mut world, page);
        world.provider.repair();
        world.release();
        assert!(world.session(page).is_some(), "{left:?}");
        assert_eq!(world.count(KEYS), 2, "{left:?}");
    }
}

#[test]
fn keys_of_an_old_address_are_forgotten() {
    let mut world = world();
    let page = world.open();
    sign_in_without_document(&mut world, page);
    world.provider.base = BASE;
    world.release();
    world.advance(PATIENCE);
    world.sign_in(page);
    assert_eq!(world.count(KEYS), 2);
}

#[test]
fn late_keys_of_an_old_address_are_not_used() {
    let mut world = world();
    let page = world.open();
    world.hold(&[DISCOVERY, KEYS]);
    sign_in_without_document(&mut world, page);
    world.provider.base = BASE;
    world.pass_time(PATIENCE);
    world.unhold_kind(DISCOVERY);
    world.answer_all();
    world.release();
    assert!(world.session(page).is_some());
    assert_eq!(world.count(KEYS), 2);
}

#[test]
fn unknown_key_is_looked_for_where_the_document_says() {
    let mut world = world();
    let page = world.open();
    world.hold(&[DISCOVERY]);
    world.provider.published_keys = vec![1];
    let callback = sign_in_without_document(&mut world, page);
    assert_eq!(world.response(callback), None);
    world.provider.published_keys = vec![0];
    world.provider.base = BASE;
    world.release();
    assert!(world.session(page).is_some());
    assert_eq!(world.count(KEYS), 2);
}

#[test]
fn refresh_looks_for_an_unknown_key_where_the_document_says() {
    let mut world = world();
    let page = world.open();
    sign_in_without_document(&mut world, page);
    world.expire_access_token();
    world.provider.signing_key = 1;
    world.provider.published_keys = vec![1];
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.response(call), None);
    world.release();
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(KEYS), 2);
}

#[test]
fn unknown_key_is_refused_if_the_document_has_it_neither() {
    for outage in [None, Some(Fault::Status(500)), Some(Fault::LostBefore)] {
        let mut world = world();
        if let Some(fault) = outage {
            world.provider.outage(Endpoint::Discovery, fault);
        }
        let page = world.open();
        world.provider.flaw = Some(Flaw::UnknownKey);
        let callback = world.sign_in(page);
        assert_eq!(world.code(callback), "id_token_invalid", "{outage:?}");
        assert_eq!(world.count(KEYS), 2, "{outage:?}");
    }
}

#[test]
fn response_without_iss_is_judged_by_the_document() {
    for (announced, code) in [(false, None), (true, Some("callback_invalid"))] {
        let mut world = world();
        let page = world.open();
        world.hold(&[DISCOVERY]);
        let url = world.begin_login(page, "redirect");
        let response = world.provider.sign_in(&url);
        let (response, _) = response.split_once("&iss=").unwrap();
        let callback = world.callback(page, response);
        world.answer_all();
        assert_eq!(world.response(callback), None);
        world.provider.announces_iss = announced;
        world.release();
        assert_eq!(world.session(page).is_some(), code.is_none());
        if let Some(code) = code {
            assert_eq!(world.code(callback), code);
        }
    }
}

#[test]
fn flaw_in_a_pin_is_a_warning() {
    let with = |pinned: &str| format!(r#"{{"pinned":{pinned}}}"#);
    let other = pinned("", ISS).replacen("https://id.example.com", "https://other.example.com", 1);
    for config in [
        with("1"),
        with("[]"),
        with("{}"),
        with(r#"{"issuer":"https://id.example.com"}"#),
        other,
        pinned("", r#","code_challenge_methods_supported":["plain"]"#),
        pinned("", r#","require_pushed_authorization_requests":"yes""#),
        pinned("", "").replacen(
            "https://id.example.com/token",
            "http://id.example.com/token",
            1,
        ),
        pinned("", "").replacen(
            "https://id.example.com/token",
            "https://a:b@id.example.com/token",
            1,
        ),
    ] {
        let mut world = World::with(&config);
        let page = world.open();
        assert_eq!(world.warnings(page), ["metadata_outdated"], "{config}");
        assert_eq!(world.count(DISCOVERY), 0, "{config}");
        world.sign_in(page);
        assert!(world.session(page).is_some(), "{config}");
        assert_eq!(world.count(DISCOVERY), 1, "{config}");
    }
}

#[test]
fn usable_part_of_a_flawed_pin_is_used() {
    let config = pinned("", ISS).replacen("https://id.example.com/revoke", "revoke", 1);
    let mut world = World::with(&config);
    let page = world.open();
    sign_in_without_document(&mut world, page);
    assert!(world.session(page).is_some());
    assert!(world.warnings(page).is_empty());
    world.release();
    world.advance(PATIENCE);
    assert_eq!(world.warnings(page), ["metadata_outdated"]);
}

#[test]
fn metadata_of_the_owner_win_over_a_pin() {
    let config = pinned(
        r#""metadata":{"authorization_endpoint":"https://id.example.com/oauth/authorize"},"#,
        ISS,
    );
    let mut world = World::with(&config);
    let page = world.open();
    world.hold(&[DISCOVERY]);
    let url = world.begin_login(page, "redirect");
    assert!(
        url.starts_with("https://id.example.com/oauth/authorize?"),
        "{url}"
    );
    world.release();
    let url = world.begin_login(page, "redirect");
    assert!(
        url.starts_with("https://id.example.com/oauth/authorize?"),
        "{url}"
    );
}

#[test]
fn complete_metadata_of_the_owner_need_no_pin() {
    let config = pinned("", ISS);
    let document = config.split_once(':').unwrap().1.trim_end_matches('}');
    let config = format!(r#"{{"metadata":{document}}},"pinned":1}}"#);
    let mut world = World::with(&config);
    let page = world.open();
    world.sign_in(page);
    assert!(world.session(page).is_some());
    assert_eq!(world.count(DISCOVERY), 0);
    assert!(world.warnings(page).is_empty());
}

#[test]
fn pages_reach_no_endpoint_of_a_pin() {
    let more = r#","registration_endpoint":"https://api.example.com/v1/register",
        "mtls_endpoint_aliases":{"token_endpoint":"https://api.example.com/v1/mtls"}"#;
    let refused = |config: &str, published: &str| {
        let (mut world, page) = World::signed_in_with(config);
        world.provider.more_metadata = published.to_owned();
        ["/register", "/mtls", "/orders"].map(|path| {
            let call = world.fetch(page, path);
            world.answer_all();
            match world.response(call) {
                Some(PageResponse::Error { code, .. }) => code.clone(),
                _ => "200".to_owned(),
            }
        })
    };
    let expected = ["url_not_allowed", "url_not_allowed", "200"];
    assert_eq!(refused(&pinned("", &[ISS, more].concat()), ""), expected);
    // Control: without a pin, and with a document that does not name them, they are addresses of the API.
    assert_eq!(refused("{}", ""), ["200"; 3]);
}

#[test]
fn algorithms_of_a_pin_do_not_count() {
    let config = pinned("", r#","id_token_signing_alg_values_supported":["RS256"]"#);
    let mut world = World::with(&config);
    let page = world.open();
    sign_in_without_document(&mut world, page);
    assert!(world.session(page).is_some());
    let config = pinned(
        r#""metadata":{"id_token_signing_alg_values_supported":["RS256"]},"#,
        ISS,
    );
    let mut world = World::with(&config);
    let page = world.open();
    let callback = sign_in_without_document(&mut world, page);
    assert_eq!(world.code(callback), "id_token_invalid");
}

#[test]
fn pinned_user_info_is_not_the_owners_consent() {
    let elsewhere = r#","userinfo_endpoint":"https://elsewhere.example.com/me""#;
    let mut world = World::with(&pinned(r#""userInfo":true,"#, elsewhere));
    world.provider.more_metadata = elsewhere.to_owned();
    let page = world.open();
    let login = world.login(page, "redirect");
    world.answer_all();
    assert_eq!(world.code(login), "profile_failed");
}

#[test]
fn hostile_document_does_not_replace_the_pin() {
    for (body, code) in [
        (
            r#"{"issuer":"https://evil.example.com","authorization_endpoint":"https://evil.example.com/a","token_endpoint":"https://evil.example.com/t","jwks_uri":"https://evil.example.com/k"}"#,
            Some("issuer_mismatch"),
        ),
        (
            r#"{"issuer":"https://id.example.com","authorization_endpoint":"http://evil.example.com/a","token_endpoint":"https://evil.example.com/t","jwks_uri":"https://evil.example.com/k"}"#,
            Some("metadata_invalid"),
        ),
        ("[]", Some("metadata_invalid")),
    ] {
        let mut world = world();
        world
            .provider
            .outage(Endpoint::Discovery, Fault::Response(200, body));
        let page = world.open();
        world.advance(PATIENCE);
        assert_eq!(world.warnings(page), Vec::from_iter(code), "{body}");
        let refusal = Fault::Refused("invalid_grant");
        world.provider.fault(Endpoint::Exchange, &[refusal]);
        let callback = world.sign_in(page);
        assert_eq!(world.code(callback), "code_rejected", "{body}");
        assert_eq!(world.count(EXCHANGE), 1, "{body}");
        let url = world.begin_login(page, "redirect");
        assert!(
            url.starts_with("https://id.example.com/authorize?"),
            "{body}"
        );
    }
}

#[test]
fn worker_without_pages_sets_no_timer_for_the_document() {
    let mut world = world();
    let page = world.open();
    world.begin_login(page, "redirect");
    world.leave(page);
    // The world counts ticks that change nothing.
    world.advance(Duration::from_secs(10));
    assert_eq!(world.count(DISCOVERY), 0);
    world.open();
    world.advance(PATIENCE);
    assert_eq!(world.count(DISCOVERY), 1);
}

#[test]
fn logins_are_pushed_again_once_the_document_has_arrived() {
    let mut world = World::with(&pinned("", PAR));
    let page = world.open();
    world.provider.takes_pushed = true;
    provider_moves(&mut world, Fault::Status(404));
    world
        .provider
        .outage(Endpoint::Discovery, Fault::Status(500));
    let url = world.begin_login(page, "redirect");
    assert!(url.contains("code_challenge="), "{url}");
    world.provider.repair();
    world.begin_login(page, "redirect");
    let pushes = world.count(PUSH);
    world.begin_login(page, "redirect");
    assert_eq!(world.count(PUSH), pushes + 1);
}

#[test]
fn lost_refresh_is_repeated_as_promptly_as_without_a_pin() {
    let retries = |config: &str| {
        let (mut world, page) = World::signed_in_with(config);
        world.provider.leeway = Duration::from_secs(60);
        world.provider.outage(Endpoint::Discovery, Fault::Silence);
        world.expire_access_token();
        world.provider.fault(Endpoint::Refresh, &[Fault::LostAfter]);
        world.fetch(page, "/orders");
        world.advance(Duration::from_secs(9));
        world.moments(REFRESH).len()
    };
    assert_eq!(retries(&pinned("", ISS)), retries("{}"));
}

#[test]
fn tokens_are_revoked_where_the_document_says() {
    let without = pinned("", ISS).replacen(
        r#","revocation_endpoint":"https://id.example.com/revoke""#,
        "",
        1,
    );
    assert!(!without.contains("revoke"));
    for config in [pinned("", ISS), without] {
        let mut world = World::with(&config);
        let page = world.open();
        world.sign_in(page);
        provider_moves(&mut world, Fault::Status(404));
        let logout = world.logout(page);
        world.answer_all();
        assert!(world.provider.has_revoked_everything(), "{config}");
        assert!(world.response(logout).is_some());
    }
}

#[test]
fn revocation_that_the_new_endpoint_refuses_is_over() {
    let mut world = world();
    let page = world.open();
    world.sign_in(page);
    provider_moves(&mut world, Fault::Status(404));
    world.provider.outage(Endpoint::Revoke, Fault::Status(400));
    let logout = world.logout(page);
    world.answer_all();
    assert_eq!(world.count(REVOKE), 2);
    assert!(world.response(logout).is_some());
}

#[test]
fn logout_at_the_provider_waits_only_for_an_endpoint_that_the_pin_lacks() {
    let whole = pinned("", ISS);
    let without = whole.replacen(
        r#","end_session_endpoint":"https://id.example.com/logout""#,
        "",
        1,
    );
    for (config, requests) in [(whole, 0), (without, 1)] {
        let mut world = World::with(&config);
        let page = world.open();
        world.sign_in(page);
        let logout = world.ask(page, r#""t":"logout","provider":true"#);
        world.answer_all();
        let url = world.address(logout);
        assert!(url.starts_with("https://id.example.com/logout?"), "{url}");
        assert_eq!(world.count(DISCOVERY), requests);
    }
}

#[test]
fn user_info_is_asked_where_the_document_says() {
    let old = r#","userinfo_endpoint":"https://id.example.com/old/userinfo""#;
    for more in [ISS.to_owned(), [ISS, old].concat()] {
        let mut world = World::with(&pinned(r#""userInfo":true,"#, &more));
        world.provider.more_metadata =
            r#","userinfo_endpoint":"https://id.example.com/userinfo""#.to_owned();
        world.provider.profile_url = Some("https://id.example.com/userinfo".to_owned());
        world.provider.old_profile_url = Some("https://id.example.com/old/userinfo".to_owned());
        let page = world.open();
        let url = world.begin_login(page, "redirect");
        let response = world.provider.sign_in(&url);
        // The page that returns from the provider has a new vault.
        world.restart();
        let page = world.open();
        let callback = world.callback(page, &response);
        world.answer_all();
        assert!(
            world.session(page).is_some(),
            "{more}: {:?}",
            world.response(callback)
        );
    }
}

#[test]
fn poorer_document_than_usual_does_not_replace_the_pin() {
    let mut world = World::with(&pinned("", PAR));
    world.provider.takes_pushed = true;
    let page = world.open();
    let poor = r#"{"issuer":"https://id.example.com","authorization_endpoint":"https://id.example.com/authorize","token_endpoint":"https://id.example.com/token","jwks_uri":"https://id.example.com/jwks"}"#;
    let faults = [Fault::Status(500), Fault::Response(200, poor)];
    world.provider.fault(Endpoint::Discovery, &faults);
    world.advance(PATIENCE);
    assert_eq!(world.count(DISCOVERY), 2);
    assert!(world.warnings(page).is_empty());
    world.hold(&[DISCOVERY]);
    world.begin_login(page, "redirect");
    assert_eq!(world.count(PUSH), 1);
    // A login begins another request for the document.
    assert_eq!(world.count(DISCOVERY), 3);
    world.release();
}

#[test]
fn outage_causes_few_requests_for_the_document() {
    for fault in [Fault::Opaque, Fault::Status(404), Fault::Html] {
        let mut world = World::with(&pinned(&storage(SEALED), ISS));
        let page = world.open();
        sign_in_without_document(&mut world, page);
        world.release();
        world.restart();
        let page = world.open();
        let before = world.count(DISCOVERY);
        for endpoint in [
            Endpoint::Discovery,
            Endpoint::Keys,
            Endpoint::Refresh,
            Endpoint::Probe,
        ] {
            world.provider.outage(endpoint, fault);
        }
        world.expire_access_token();
        world.fetch(page, "/orders");
        world.advance(Duration::from_secs(60));
        // Two locations and a repetition for each of three searches: in the background, and every 30 seconds.
        let requests = world.count(DISCOVERY) - before;
        assert!(requests <= 12, "{fault:?}: {requests}");
    }
}

#[test]
fn another_spelling_of_an_endpoint_is_the_same_endpoint() {
    let config = pinned("", ISS).replacen(
        "https://id.example.com/token",
        "https://id.example.com:443/token",
        1,
    );
    let mut world = World::with(&config);
    let page = world.open();
    let refusal = Fault::Refused("invalid_grant");
    world.provider.fault(Endpoint::Exchange, &[refusal]);
    let callback = sign_in_without_document(&mut world, page);
    world.release();
    assert_eq!(world.code(callback), "code_rejected");
    assert_eq!(world.count(EXCHANGE), 1);
}
