//! Tests of completing a login: the vault finds the login to which a response belongs, exchanges the code, and
//! validates the ID token. Each failure has its own error code.

use std::time::Duration;

use rules::codec::base64url;
use rules::codec::form;
use rules::codec::json::{Object, Value};
use rules::oauth::pkce;

use kit::world::provider::{CLIENT_ID, ISSUER, REDIRECT_URI, params, response_url, state_of};
use kit::world::{
    DISCOVERY, EXCHANGE, Endpoint, Fault, Flaw, KEYS, Kind, PageResponse, REFRESH_STAGES, REVOKE,
    Request, World,
};
use vault::PortId;

/// Flaws of an ID token that the vault finds only once the signature was checked.
const REFUSED_AFTER_ITS_SIGNATURE: &[fn() -> Flaw] = &[
    || Flaw::Signature,
    || Flaw::Claim("nonce", "another".into()),
    || Flaw::Claim("nonce", Value::Null),
];

const LONGEST_ERROR_CODE: &str = "an_error_code_of_exactly_forty_letters__";

/// Values of `error` that do not have the form of an error code. They must not be shown, because such a value may be a
/// token that the provider echoes.
const NO_ERROR_CODES: &[&str] = &[
    "",
    "72742d6e6f742d666f722d7468652d70616765",
    "rt-NotForThePage",
    "eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
    "invalid_client2",
    "Invalid_client",
    "invalid-client",
    "invalid client",
    " invalid_client",
    "<b>",
    "é",
    "an_error_code_of_more_than_forty_letters_",
];

/// Returns a page that started a login, and the provider's response to this login.
fn at_callback() -> (World, PortId, String) {
    let mut world = World::new();
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&address);
    (world, page, response)
}

fn finish(world: &mut World, page: PortId, response: &str) -> Request {
    let callback = world.callback(page, response);
    world.advance(Duration::from_secs(10));
    callback
}

/// Returns the provider's response to the authorization request at `address`, with these parameters instead of a code.
fn response_without_code(address: &str, more: &[(&str, &str)]) -> String {
    let state = params(address.split_once('?').unwrap().1)["state"].clone();
    response_url(&[&[("state", state.as_str())], more].concat())
}

/// Returns the error code and the error message in the response to a request.
#[track_caller]
fn failure(world: &World, request: Request) -> [&str; 2] {
    match world.response(request) {
        Some(PageResponse::Error { code, message }) => [code, message],
        other => panic!("no error but {other:?}"),
    }
}

/// Returns the result of a login whose ID token has this flaw.
fn login_with(flaw: Flaw) -> (World, Request) {
    let (mut world, page, response) = at_callback();
    world.provider.flaw = Some(flaw);
    let callback = finish(&mut world, page, &response);
    assert!(world.session(page).is_none());
    (world, callback)
}

#[test]
fn code_becomes_a_session_in_every_page() {
    let (mut world, page, response) = at_callback();
    let other = world.open();
    let callback = finish(&mut world, page, &response);
    assert!(matches!(
        world.response(callback),
        Some(PageResponse::Settled { popup: false, .. })
    ));
    for page in [page, other] {
        let session = world.session(page).unwrap();
        let claims = session.get("claims").unwrap().as_object().unwrap();
        assert_eq!(claims.str("sub"), Some("alice"));
        assert_eq!(claims.str("name"), Some("Alice"));
        assert_eq!(session.str("state"), Some("active"));
    }
}

#[test]
fn page_returns_to_where_the_user_was() {
    let mut world = World::new();
    let page = world.open();
    let members = r#""t":"login","mode":"redirect","returnTo":"/orders?open=1#top""#;
    let login = world.ask(page, members);
    world.answer_all();
    let response = world.provider.sign_in(&world.address(login));
    let callback = finish(&mut world, page, &response);
    let expected = PageResponse::Settled {
        return_to: "/orders?open=1#top".to_owned(),
        popup: false,
        is_kept: false,
        is_again: false,
    };
    assert_eq!(world.response(callback), Some(&expected));
}

#[test]
fn page_that_connects_later_finds_the_session() {
    let (mut world, _) = World::signed_in();
    let later = world.open();
    assert!(world.session(later).is_some());
    assert_eq!(world.count(EXCHANGE), 1);
}

// claim: site-2
#[test]
fn response_without_login_is_unknown() {
    let (mut world, page, _) = at_callback();
    let forged = response_url(&[("code", "stolen"), ("state", "invented")]);
    let callback = finish(&mut world, page, &forged);
    assert_eq!(world.code(callback), "login_unknown");
    assert_eq!(world.count(EXCHANGE), 0);
}

// claim: site-3, history-1
#[test]
fn replayed_response_keeps_the_session() {
    let (mut world, page, response) = at_callback();
    finish(&mut world, page, &response);
    let again = finish(&mut world, page, &response);
    assert_eq!(world.response(again), Some(&opened_again("/")));
    assert_eq!(world.count(EXCHANGE), 1);
    assert!(world.session(page).is_some());
}

fn opened_again(return_to: &str) -> PageResponse {
    PageResponse::Settled {
        return_to: return_to.to_owned(),
        popup: false,
        is_kept: false,
        is_again: true,
    }
}

#[test]
fn response_opened_again_shows_its_target_to_a_signed_in_user() {
    let mut world = World::with(r#"{"session":{"persist":"sealed"}}"#);
    let page = world.open();
    let members = r#""t":"login","mode":"redirect","returnTo":"/orders?open=1""#;
    let login = world.ask(page, members);
    world.answer_all();
    let response = world.provider.sign_in(&world.address(login));
    finish(&mut world, page, &response);
    let other = world.open();
    let again = finish(&mut world, other, &response);
    assert_eq!(world.response(again), Some(&opened_again("/orders?open=1")));
    // A vault that starts later does not know the target, and after ten minutes not even the login.
    for wait in [0, 700] {
        world.restart();
        world.advance(Duration::from_secs(wait));
        let page = world.open();
        world.answer_all();
        let again = finish(&mut world, page, &response);
        assert_eq!(world.response(again), Some(&opened_again("/")), "{wait}");
    }
    assert_eq!(world.count(EXCHANGE), 1);
    let page = world.open();
    world.answer_all();
    world.logout(page);
    let again = finish(&mut world, page, &response);
    assert!(world.code(again).starts_with("login_"));
}

#[test]
fn page_learns_if_the_session_survives_it() {
    let sealed = r#"{"session":{"persist":"sealed"}}"#;
    for (config, has_store, has_other, survives) in [
        ("{}", true, false, false),
        ("{}", true, true, true),
        (sealed, true, false, true),
        (sealed, false, false, false),
    ] {
        let mut world = World::with(config);
        let page = world.open();
        if has_other {
            world.open();
        }
        let address = world.begin_login(page, "redirect");
        let response = world.provider.sign_in(&address);
        world.store.is_unavailable = !has_store;
        let callback = finish(&mut world, page, &response);
        let Some(PageResponse::Settled { is_kept, .. }) = world.response(callback) else {
            panic!("{:?}", world.response(callback));
        };
        assert_eq!(*is_kept, survives, "{config} {has_store} {has_other}");
    }
}

#[test]
fn response_opened_in_two_pages_counts_once() {
    let (mut world, page, response) = at_callback();
    let other = world.open();
    let callbacks = [page, other].map(|page| world.callback(page, &response));
    world.answer_all();
    let is_settled = matches!(
        world.response(callbacks[0]),
        Some(PageResponse::Settled { .. })
    );
    assert!(is_settled);
    assert_eq!(world.code(callbacks[1]), "login_replayed");
    assert_eq!(world.count(EXCHANGE), 1);
}

#[test]
fn replay_is_detected_without_a_store() {
    let mut world = World::new();
    world.store.is_unavailable = true;
    let page = world.open();
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    finish(&mut world, page, &response);
    let again = finish(&mut world, page, &response);
    assert_eq!(world.response(again), Some(&opened_again("/")));
    assert_eq!(world.count(EXCHANGE), 1);
    world.logout(page);
    let without_session = finish(&mut world, page, &response);
    assert_eq!(world.code(without_session), "login_replayed");
}

#[test]
fn login_expires_during_sleep() {
    let (mut world, page, response) = at_callback();
    world.sleep(Duration::from_millis(600_001));
    let callback = finish(&mut world, page, &response);
    assert_eq!(world.code(callback), "login_expired");
}

#[test]
fn sleep_counts_toward_the_ten_minutes() {
    let ways: [fn(&mut World, Duration); 3] = [World::advance, World::sleep, |world, duration| {
        world.advance(duration / 2);
        world.sleep(duration / 2);
    }];
    for (i, pass) in ways.into_iter().enumerate() {
        let (mut world, page, response) = at_callback();
        pass(&mut world, Duration::from_secs(600));
        finish(&mut world, page, &response);
        assert!(world.session(page).is_some(), "{i}");

        let (mut world, page, response) = at_callback();
        pass(&mut world, Duration::from_secs(601));
        let callback = finish(&mut world, page, &response);
        assert_eq!(world.code(callback), "login_expired", "{i}");
    }
}

#[test]
fn login_in_memory_lasts_ten_minutes() {
    let mut world = World::new();
    world.store.is_unavailable = true;
    let page = world.open();
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    world.advance(Duration::from_secs(600));
    finish(&mut world, page, &response);
    assert!(world.session(page).is_some());
}

#[test]
fn failed_discovery_does_not_consume_the_login() {
    for (fault, code) in [
        (Fault::LostBefore, "provider_unavailable"),
        (Fault::Silence, "provider_unavailable"),
        (Fault::Status(503), "provider_unavailable"),
        (Fault::Html, "provider_unavailable"),
        (Fault::Truncated, "metadata_invalid"),
    ] {
        let (mut world, _, response) = at_callback();
        // The new worker does not know the provider's metadata, so it must request the discovery document.
        world.restart();
        let page = world.open();
        world.provider.outage(Endpoint::Discovery, fault);
        let callback = finish(&mut world, page, &response);
        assert_eq!(world.code(callback), code, "{fault:?}");
        world.provider.repair();
        let again = finish(&mut world, page, &response);
        let settled = world.response(again);
        assert!(
            matches!(settled, Some(PageResponse::Settled { .. })),
            "{fault:?}: {settled:?}"
        );
    }
}

#[test]
fn response_awaiting_discovery_counts_once() {
    let (mut world, _, response) = at_callback();
    world.restart();
    let pages = [world.open(), world.open()];
    world.hold(&[DISCOVERY]);
    let callbacks = pages.map(|page| world.callback(page, &response));
    world.release();
    let settled = world.response(callbacks[0]);
    assert!(
        matches!(settled, Some(PageResponse::Settled { .. })),
        "{settled:?}"
    );
    assert_eq!(world.code(callbacks[1]), "login_replayed");
    assert_eq!(world.count(EXCHANGE), 1);
}

#[test]
fn response_to_a_lost_login_is_unknown() {
    let (mut world, _, response) = at_callback();
    world.clear_site_data();
    world.restart();
    let page = world.open();
    let callback = finish(&mut world, page, &response);
    assert_eq!(world.code(callback), "login_unknown");
}

fn has_told(world: &World, page: PortId, text: &str) -> bool {
    let mut told = world.page(page).messages.iter().flat_map(Object::iter);
    told.any(|(_, value)| value.as_str().is_some_and(|value| value.contains(text)))
}

#[test]
fn description_of_a_response_is_logged() {
    let mut world = World::new();
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let params = [
        ("error", "invalid_scope"),
        ("error_description", "Turn on \"offline\" access"),
    ];
    let response = response_without_code(&address, &params);
    let callback = finish(&mut world, page, &response);
    assert_eq!(world.code(callback), "login_failed");
    assert_eq!(world.log, ["\"Turn on ?offline? access\""]);
    assert!(!has_told(&world, page, "Turn on"));
    assert!(has_told(&world, page, "invalid_scope"), "control");
}

#[test]
fn description_without_its_login_is_not_logged() {
    let mut world = World::new();
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let params = [("error", "invalid_scope"), ("error_description", "Hello")];
    let response = response_without_code(&address, &params);
    let (_, state) = response.split_once("state=").unwrap();
    let state = state.split('&').next().unwrap();
    let forged = response.replace(state, "another-state");
    let other_issuer = response.replace("id.example.com", "evil.example.com");
    for forged in [&forged, &other_issuer] {
        finish(&mut world, page, forged);
        assert!(world.log.is_empty(), "{forged}");
    }
}

#[test]
fn description_of_a_refused_code_is_logged() {
    let (mut world, page, response) = at_callback();
    let refused = Fault::RefusedSaying("The code has expired");
    world.provider.fault(Endpoint::Exchange, &[refused]);
    finish(&mut world, page, &response);
    assert_eq!(world.log, ["\"The code has expired\""]);
    assert!(!has_told(&world, page, "The code has expired"));
}

#[test]
fn description_with_the_code_is_not_logged() {
    let (mut world, page, response) = at_callback();
    world.provider.fault(Endpoint::Exchange, &[Fault::Echo]);
    finish(&mut world, page, &response);
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn description_with_the_refresh_token_is_not_logged() {
    for space in ["+", "%20"] {
        let (mut world, page) = World::signed_in();
        let issued = world.provider.latest_refresh_token().to_owned();
        let encoded = form::encoded(&issued).replace("%20", space);
        for (token, is_logged) in [(issued, false), (encoded, false), ("rt-1".to_owned(), true)] {
            let address = world.begin_login(page, "redirect");
            let description = ["The token is ", &token].concat();
            let params = [
                ("error", "login_failed"),
                ("error_description", &description),
            ];
            let response = response_without_code(&address, &params);
            finish(&mut world, page, &response);
            assert_eq!(!world.log.is_empty(), is_logged, "{:?}", world.log);
        }
    }
}

#[test]
fn description_of_a_refused_refresh_is_not_logged() {
    let (mut world, page) = World::expired();
    let refused = Fault::RefusedSaying("The token of alice has expired");
    world.provider.fault(Endpoint::Refresh, &[refused]);
    world.fetch(page, "/orders");
    world.answer_all();
    assert!(world.session(page).is_none());
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn error_without_state_has_the_providers_code() {
    for (query, code, said) in [
        ("error=access_denied", "login_denied", "access_denied"),
        ("error=invalid_scope", "login_failed", "invalid_scope"),
        ("code=c", "callback_invalid", "no state"),
    ] {
        let mut world = World::new();
        let page = world.open();
        let address = [REDIRECT_URI, "?", query].concat();
        let callback = finish(&mut world, page, &address);
        let [found, message] = failure(&world, callback);
        assert_eq!(found, code, "{query}");
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn each_refusal_of_the_provider_has_its_code() {
    for (error, code) in [
        ("access_denied", "login_denied"),
        ("login_required", "interaction_required"),
        ("consent_required", "login_denied"),
        ("temporarily_unavailable", "provider_unavailable"),
        ("invalid_scope", "login_failed"),
    ] {
        let mut world = World::new();
        let page = world.open();
        let address = world.begin_login(page, "redirect");
        let response = response_without_code(&address, &[("error", error)]);
        let callback = finish(&mut world, page, &response);
        assert_eq!(world.code(callback), code, "{error}");
    }
}

// claim: script-13
#[test]
fn malformed_error_code_is_not_shown() {
    for error in NO_ERROR_CODES {
        let mut world = World::new();
        let page = world.open();
        let address = world.begin_login(page, "redirect");
        let response = response_without_code(&address, &[("error", error)]);
        let callback = finish(&mut world, page, &response);
        let why = "the authorization response must have either a code or an error";
        assert_eq!(failure(&world, callback), ["callback_invalid", why]);
    }
}

// claim: script-13
#[test]
fn malformed_token_error_is_not_shown() {
    let refusals = NO_ERROR_CODES.iter().map(|code| Fault::Refused(code));
    for fault in refusals.chain([Fault::EchoAsCode]) {
        let (mut world, page, response) = at_callback();
        world.provider.fault(Endpoint::Exchange, &[fault]);
        let callback = finish(&mut world, page, &response);
        let why =
            "the token endpoint's response is unusable: status 400 without a usable error code";
        assert_eq!(failure(&world, callback), ["token_response_invalid", why]);
    }
}

#[test]
fn unknown_error_code_is_named() {
    for error in ["x", LONGEST_ERROR_CODE] {
        let (mut world, page, response) = at_callback();
        let refused = Fault::Refused(error);
        world.provider.fault(Endpoint::Exchange, &[refused]);
        let callback = finish(&mut world, page, &response);
        let why = ["the token endpoint responded with ", error].concat();
        assert_eq!(failure(&world, callback), ["client_rejected", &why]);

        let address = world.begin_login(page, "redirect");
        let response = response_without_code(&address, &[("error", error)]);
        let callback = finish(&mut world, page, &response);
        let why = ["the provider responded with ", error].concat();
        assert_eq!(failure(&world, callback), ["login_failed", &why]);
    }
}

#[test]
fn malformed_response_leaves_the_login_pending() {
    let (mut world, page, response) = at_callback();
    let both = [response.as_str(), "&error=access_denied"].concat();
    let twice = [response.as_str(), "&state=x"].concat();
    for malformed in [&both, &twice, "https://app.example.com/callback"] {
        let callback = finish(&mut world, page, malformed);
        assert_eq!(world.code(callback), "callback_invalid", "{malformed}");
    }
    finish(&mut world, page, &response);
    assert!(world.session(page).is_some());
}

// claim: site-3
#[test]
fn response_at_another_url_is_reported() {
    let (mut world, page, response) = at_callback();
    let elsewhere = response.replace("/callback?", "/other?");
    let callback = finish(&mut world, page, &elsewhere);
    assert_eq!(world.code(callback), "redirect_uri_mismatch");
}

#[test]
fn unreachable_token_endpoint_is_named_with_its_url() {
    let (mut world, page, response) = at_callback();
    world
        .provider
        .fault(Endpoint::Exchange, &[Fault::LostBefore]);
    let callback = finish(&mut world, page, &response);
    let url = format!("the token endpoint '{ISSUER}/token' did not respond");
    let message = world.error_message(callback);
    assert!(message.contains(&url), "{message}");
}

#[test]
fn unavailable_keys_fail_the_login() {
    for fault in [Fault::LostBefore, Fault::Status(500), Fault::Html] {
        let (mut world, page, response) = at_callback();
        world.provider.fault(Endpoint::Keys, &[fault, fault]);
        let callback = finish(&mut world, page, &response);
        assert_eq!(world.code(callback), "provider_unavailable", "{fault:?}");
    }
}

#[test]
fn missing_keys_are_metadata_invalid() {
    let (mut world, page, response) = at_callback();
    world.provider.fault(Endpoint::Keys, &[Fault::Status(404)]);
    let callback = finish(&mut world, page, &response);
    assert_eq!(world.code(callback), "metadata_invalid");
}

// claim: provider-2
#[test]
fn id_token_with_bad_signature_makes_no_session() {
    let (world, callback) = login_with(Flaw::Signature);
    assert_eq!(world.code(callback), "id_token_invalid");
}

#[test]
fn rejected_id_token_revokes_its_refresh_token() {
    for flaw in REFUSED_AFTER_ITS_SIGNATURE {
        let (world, callback) = login_with(flaw());
        assert_eq!(world.code(callback), "id_token_invalid", "{:?}", flaw());
        let revoked = world.refresh_tokens_sent_to(Endpoint::Revoke);
        assert_eq!(revoked.len(), 1, "{:?}", flaw());
        assert!(revoked[0].starts_with("refresh-token-"), "{}", revoked[0]);
        assert!(world.provider.has_revoked_everything(), "{:?}", flaw());
    }
}

#[test]
fn refused_id_token_without_refresh_token_revokes_nothing() {
    for flaw in REFUSED_AFTER_ITS_SIGNATURE {
        let (mut world, page, response) = at_callback();
        world.provider.issues_refresh_tokens = false;
        world.provider.flaw = Some(flaw());
        let callback = finish(&mut world, page, &response);
        assert_eq!(world.code(callback), "id_token_invalid", "{:?}", flaw());
        assert_eq!(world.count(REVOKE), 0, "{:?}", flaw());
    }
}

#[test]
fn rejected_id_token_is_reported_before_revocation() {
    let (mut world, page, response) = at_callback();
    world.provider.flaw = Some(Flaw::Signature);
    world.hold(&[REVOKE]);
    let callback = world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.outstanding(REVOKE), 1);
    assert_eq!(world.code(callback), "id_token_invalid");
}

#[test]
fn rejected_id_token_keeps_the_former_tokens() {
    let (mut world, page) = World::signed_in();
    let address = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&address);
    world.provider.flaw = Some(Flaw::Signature);
    let callback = finish(&mut world, page, &response);
    assert_eq!(world.code(callback), "id_token_invalid");
    // Nothing is revoked, because many providers would then revoke the whole grant and end the session.
    assert_eq!(world.count(REVOKE), 0);
    world.provider.flaw = None;
    world.expire_access_token();
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

#[test]
fn successful_login_revokes_nothing() {
    let (mut world, page) = World::signed_in();
    world.sign_in(page);
    assert_eq!(world.count(REVOKE), 0);
}

#[test]
fn login_without_an_id_token_makes_no_session() {
    let (world, callback) = login_with(Flaw::Missing);
    assert_eq!(world.code(callback), "token_response_invalid");
}

#[test]
fn unknown_key_is_fetched_once() {
    let (mut world, page) = World::signed_in();
    let before = world.count(KEYS);
    let address = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&address);
    world.provider.flaw = Some(Flaw::UnknownKey);
    let callback = finish(&mut world, page, &response);
    assert_eq!(world.code(callback), "id_token_invalid");
    assert_eq!(world.count(KEYS), before + 1);
}

#[test]
fn only_a_valid_code_lets_a_login_fetch_keys() {
    let (mut world, page) = World::signed_in();
    let before = world.count(KEYS);
    for fetches in [1, 2] {
        let address = world.begin_login(page, "redirect");
        let response = world.provider.sign_in(&address);
        world.provider.flaw = Some(Flaw::UnknownKey);
        let callback = finish(&mut world, page, &response);
        assert_eq!(world.code(callback), "id_token_invalid");
        // Each of these fetches follows a token request, so the provider gets at most one more request.
        assert_eq!(world.count(KEYS), before + fetches);
        // The same response again, and a code that the provider has not issued.
        finish(&mut world, page, &response);
        let address = world.begin_login(page, "redirect");
        let response = world.provider.sign_in(&address);
        let callback = finish(&mut world, page, &response.replace("code=", "code=x"));
        assert_eq!(world.code(callback), "code_rejected");
        assert_eq!(world.count(KEYS), before + fetches);
    }
}

#[test]
fn signature_checks_are_told_apart() {
    let mut world = World::new();
    let page = world.open();
    let responses = [(), ()].map(|()| {
        let address = world.begin_login(page, "redirect");
        world.provider.sign_in(&address)
    });
    world.hold(&[Kind::Verify]);
    world.new_jobs();
    let callbacks = responses.map(|response| world.callback(page, &response));
    world.answer_all();
    let checks = world.new_jobs();
    assert_eq!(checks.len(), 2);
    world.answer_arrives(checks[1].0);
    assert_eq!(world.response(callbacks[0]), None);
    assert!(world.response(callbacks[1]).is_some());
    world.release();
    assert!(world.response(callbacks[0]).is_some());
}

#[test]
fn new_keys_repeat_no_signature_check() {
    let (mut world, page) = World::signed_in();
    let responses = [(), ()].map(|()| {
        let address = world.begin_login(page, "redirect");
        world.provider.sign_in(&address)
    });
    world.hold(&[Kind::Verify]);
    let callbacks = responses.map(|response| {
        let callback = world.callback(page, &response);
        world.answer_all();
        world.provider.signing_key = 1;
        world.provider.published_keys = vec![0, 1];
        callback
    });
    assert_eq!(world.outstanding(Kind::Verify), 2);
    assert_eq!(world.count(KEYS), 2);
    world.release();
    assert!(
        callbacks
            .iter()
            .all(|callback| world.response(*callback).is_some())
    );
}

#[test]
fn concurrent_logins_fetch_keys_once() {
    let mut world = World::new();
    let page = world.open();
    let responses = [(), ()].map(|()| {
        let address = world.begin_login(page, "redirect");
        world.provider.sign_in(&address)
    });
    let callbacks = responses.map(|response| world.callback(page, &response));
    world.answer_all();
    for callback in callbacks {
        let is_settled = matches!(world.response(callback), Some(PageResponse::Settled { .. }));
        assert!(is_settled);
    }
    assert_eq!(world.count(KEYS), 1);
}

#[test]
fn callback_whose_page_left_still_becomes_a_session() {
    for stage in [Kind::Take, EXCHANGE, KEYS, Kind::Verify] {
        let (mut world, page, response) = at_callback();
        let other = world.open();
        world.hold(&[stage]);
        world.callback(page, &response);
        world.answer_all();
        assert_eq!(world.outstanding(stage), 1);
        world.leave(page);
        world.release();
        assert!(world.session(other).is_some(), "{stage:?}");
    }
}

#[test]
fn callback_in_a_new_worker_uses_the_store() {
    let (mut world, page, response) = at_callback();
    world.restart();
    let _ = page;
    let page = world.open();
    finish(&mut world, page, &response);
    assert!(world.session(page).is_some());
}

#[test]
fn second_login_replaces_the_session() {
    let (mut world, page) = World::signed_in();
    world.provider.subject = "bob".to_owned();
    world.sign_in(page);
    let session = world.session(page).unwrap();
    let claims = session.get("claims").unwrap().as_object().unwrap();
    assert_eq!(claims.str("sub"), Some("bob"));
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

#[test]
fn refresh_is_dropped_after_a_second_login() {
    for &stage in REFRESH_STAGES {
        let (mut world, page) = World::signed_in();
        let address = world.begin_login(page, "redirect");
        let response = world.provider.sign_in(&address);
        world.expire_access_token();
        world.hold(&[stage]);
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.outstanding(stage), 1, "{stage:?}");
        // The login completes while the refresh still waits at this stage.
        world.callback(page, &response);
        world.answer_all();
        world.release();
        assert_eq!(world.status(call), 200, "{stage:?}");
        let next = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(next), 200, "{stage:?}");
    }
}

// claim: provider-6
#[test]
fn refreshed_token_stays_with_its_user() {
    for stage in REFRESH_STAGES
        .iter()
        .copied()
        .filter(|stage| *stage != Kind::Verify)
    {
        let (mut world, page) = World::signed_in();
        // Without an ID token, the refresh response does not identify the user.
        world.provider.id_token_on_refresh = false;
        let address = world.begin_login(page, "redirect");
        world.provider.subject = "bob".to_owned();
        let response = world.provider.sign_in(&address);
        world.expire_access_token();
        world.hold(&[stage]);
        world.fetch(page, "/orders");
        world.answer_all();
        world.callback(page, &response);
        world.answer_all();
        world.release();
        // `World` checks that the token of this call belongs to the user of the session.
        let next = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(next), 200, "{stage:?}");
        world.expire_access_token();
        let last = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(last), 200, "{stage:?}");
    }
}

/// Two clients of an origin may have one redirect URI, and one store for logins.
// claim: site-2
#[test]
fn response_to_another_client_takes_no_login() {
    let signed_out = || {
        let mut world = World::new();
        let page = world.open();
        (world, page)
    };
    for (mut world, page) in [signed_out(), World::signed_in()] {
        let session = world.session(page).cloned();
        let state = state_of("other", "s");
        let key = base64url::encode(&pkce::sha256(state.as_bytes()));
        world.store.forge(&key, "the other client's login");
        let exchanges = world.count(EXCHANGE);
        let response = response_url(&[("code", "c"), ("state", &state)]);
        let callback = world.callback(page, &response);
        world.answer_all();
        assert_eq!(world.code(callback), "login_unknown");
        assert!(world.store.copy().iter().any(|(name, _)| *name == key));
        assert_eq!(world.count(EXCHANGE), exchanges);
        assert_eq!(world.session(page).cloned(), session);
    }
}

#[test]
fn response_without_a_hash_is_shown_to_a_signed_in_user_as_one_opened_again() {
    let (mut world, page) = World::signed_in();
    let response = response_url(&[("code", "c"), ("state", "s")]);
    let callback = finish(&mut world, page, &response);
    assert_eq!(world.response(callback), Some(&opened_again("/")));
}

/// A page with an older worker began the login, whose record and `state` are these.
#[test]
fn login_that_an_earlier_build_began_ends() {
    let mut world = World::new();
    let key = "26wZNdZ_M9iAKgJ_kOueT86qTQ3-t70nhAQlweBmuPk";
    let record = r#"{"scope":null,"demand":null,"version":1,"issuer":"https://id.example.com",
        "nonce":"lmdhdI5cQ8thT1YBd9x1Z_6LzxRN1Pya","code_verifier":"XlUy--6ik_gLyULukIbBcbm1AdHYVLtxgAIVkP8LTcM",
        "return_to":"/","popup":false,"silent":false,"max_age":null,"created_at":1800000000000}"#;
    world.store.forge(key, record);
    let response = world.provider.sign_in(
        "https://id.example.com/authorize?response_type=code&client_id=spa\
         &redirect_uri=https%3A%2F%2Fapp.example.com%2Fcallback&nonce=lmdhdI5cQ8thT1YBd9x1Z_6LzxRN1Pya\
         &scope=openid&state=pTw212zsmeB1hScSD7vnhag9fjXeGBdJ.2432258006\
         &code_challenge=AGFz8WcGcL1wqnde3Hf0MMrnyBdzvPDYwbZNSHB53S4&code_challenge_method=S256",
    );
    let page = world.open();
    finish(&mut world, page, &response);
    assert!(world.session(page).is_some());
}

#[test]
fn the_33rd_callback_at_once_is_refused() {
    let mut world = World::new();
    let page = world.open();
    let response = response_url(&[("code", "c"), ("state", &state_of(CLIENT_ID, "s"))]);
    for _ in 0..32 {
        world.callback(page, &response);
    }
    let one_too_many = world.callback(page, &response);
    assert_eq!(world.code(one_too_many), "limit_exceeded");
}

#[test]
fn every_rejected_id_token_revokes_its_grant() {
    for flaw in [|| Flaw::UnknownKey, || Flaw::Missing] {
        let (world, _) = login_with(flaw());
        assert_eq!(world.count(REVOKE), 1, "{:?}", flaw());
        assert!(world.provider.has_revoked_all_of("alice"), "{:?}", flaw());
    }
}

#[test]
fn unverifiable_id_token_revokes_its_grant() {
    for fault in [Fault::LostBefore, Fault::Silence, Fault::Html] {
        let (mut world, page, response) = at_callback();
        world.provider.fault(Endpoint::Keys, &[fault, fault]);
        finish(&mut world, page, &response);
        assert_eq!(world.count(REVOKE), 1, "{fault:?}");
        assert!(world.provider.has_revoked_all_of("alice"), "{fault:?}");
    }
}

#[test]
fn rejected_login_spares_the_current_grant() {
    for flaw in [|| Flaw::UnknownKey, || Flaw::Missing] {
        let (mut world, page) = World::signed_in();
        let address = world.begin_login(page, "redirect");
        let response = world.provider.sign_in(&address);
        world.provider.flaw = Some(flaw());
        finish(&mut world, page, &response);
        assert_eq!(world.count(REVOKE), 0, "{:?}", flaw());
        assert!(world.session(page).is_some());
    }
}

#[test]
fn token_response_is_limited_to_512_members() {
    let (mut world, page, response) = at_callback();
    world.provider.fault(Endpoint::Exchange, &[Fault::Padded]);
    let callback = finish(&mut world, page, &response);
    assert_eq!(world.code(callback), "token_response_invalid");
    assert!(world.session(page).is_none());
}

#[test]
fn login_of_another_user_revokes_the_first() {
    let (mut world, page) = World::signed_in();
    world.provider.subject = "bob".to_owned();
    world.sign_in(page);
    assert_eq!(world.count(REVOKE), 1);
    assert!(world.provider.has_revoked_all_of("alice"));
    assert!(!world.provider.has_revoked_all_of("bob"));
}

/// Completes a login of `user` while a refresh of alice's session waits at this stage, and then continues the refresh.
fn login_overtakes_refresh(user: &str, stage: Kind) -> World {
    let (mut world, page) = World::signed_in();
    let address = world.begin_login(page, "redirect");
    world.expire_access_token();
    world.provider.subject = user.to_owned();
    let response = world.provider.sign_in(&address);
    world.hold(&[Kind::Verify, stage]);
    world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.outstanding(Kind::Verify), 1);
    // Only a refresh that returns an ID token has the stage `Verify`.
    world.provider.id_token_on_refresh = stage == Kind::Verify;
    world.fetch(page, "/orders");
    world.answer_all();
    if stage == kit::world::REFRESH {
        world.act(stage);
    }
    assert_eq!(
        world.outstanding(stage),
        1 + usize::from(stage == Kind::Verify)
    );
    world.answer_one(Kind::Verify);
    let session = world.session(page).unwrap();
    let claims = session.get("claims").unwrap().as_object().unwrap();
    assert_eq!(claims.str("sub"), Some(user));
    world.release();
    world
}

#[test]
fn user_change_during_refresh_revokes_the_successor() {
    for &stage in REFRESH_STAGES {
        let world = login_overtakes_refresh("bob", stage);
        assert!(world.provider.has_revoked_all_of("alice"), "{stage:?}");
        assert!(!world.provider.has_revoked_all_of("bob"), "{stage:?}");
    }
}

#[test]
fn same_user_signing_in_revokes_nothing() {
    for &stage in REFRESH_STAGES {
        let world = login_overtakes_refresh("alice", stage);
        // Nothing is revoked, because many providers would then revoke the whole grant and end the session.
        assert_eq!(world.count(REVOKE), 0, "{stage:?}");
    }
}

#[test]
fn accepts_fractional_id_token_times() {
    let mut world = World::new();
    let auth_time = Value::parse("1795262980.923858").unwrap();
    world.provider.flaw = Some(Flaw::Claim("auth_time", auth_time));
    let page = world.open();
    world.sign_in(page);
    assert!(world.session(page).is_some());
    world.expire_access_token();
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

#[test]
fn configured_algorithm_replaces_the_announced_ones() {
    let ours = r#"{"idTokenSignedResponseAlg":"ES256"}"#;
    let other = r#"{"idTokenSignedResponseAlg":"PS256"}"#;
    for (announced, config, is_accepted) in [
        ("ES256", "{}", true),
        ("ES256", other, false),
        ("PS256", "{}", false),
        ("PS256", ours, true),
    ] {
        let mut world = World::with(config);
        let member = format!(r#","id_token_signing_alg_values_supported":["{announced}"]"#);
        world.provider.more_metadata = member;
        let page = world.open();
        let callback = world.sign_in(page);
        if is_accepted {
            assert!(world.session(page).is_some(), "{announced}, {config}");
        } else {
            assert_eq!(world.code(callback), "id_token_invalid");
        }
    }
}

/// The URL of the page that started a login.
const RETURN_TO: &str = "/orders?tab=2#top";

/// Returns a page that started a login with [`RETURN_TO`], and the URL of the authorization request.
fn at_provider() -> (World, PortId, String) {
    let mut world = World::new();
    let page = world.open();
    let members = format!(r#""t":"login","mode":"redirect","returnTo":"{RETURN_TO}""#);
    let login = world.ask(page, &members);
    world.answer_all();
    let address = world.address(login);
    (world, page, address)
}

/// Returns the `returnTo` of the last error that the page received, if any.
fn return_to_of_error(world: &World, page: PortId) -> Option<&str> {
    let error = world.page(page).of_type("error").next_back()?;
    let return_to = error.get("returnTo")?;
    Some(return_to.as_str().expect("a string, or nothing"))
}

#[test]
fn denied_login_error_has_return_to() {
    let (mut world, page, address) = at_provider();
    let response = response_without_code(&address, &[("error", "access_denied")]);
    let callback = finish(&mut world, page, &response);
    assert_eq!(world.code(callback), "login_denied");
    assert_eq!(return_to_of_error(&world, page), Some(RETURN_TO));
}

#[test]
fn failed_exchange_error_has_return_to() {
    for (fault, code) in [
        (Fault::Refused("invalid_grant"), "code_rejected"),
        (Fault::Silence, "provider_unavailable"),
    ] {
        let (mut world, page, address) = at_provider();
        let response = world.provider.sign_in(&address);
        world.provider.fault(Endpoint::Exchange, &[fault]);
        let callback = finish(&mut world, page, &response);
        assert_eq!(world.code(callback), code);
        assert_eq!(return_to_of_error(&world, page), Some(RETURN_TO));
    }
}

#[test]
fn invalid_id_token_error_has_return_to() {
    for flaw in REFUSED_AFTER_ITS_SIGNATURE {
        let (mut world, page, address) = at_provider();
        let response = world.provider.sign_in(&address);
        world.provider.flaw = Some(flaw());
        let callback = finish(&mut world, page, &response);
        assert_eq!(world.code(callback), "id_token_invalid");
        assert_eq!(return_to_of_error(&world, page), Some(RETURN_TO));
    }
}

#[test]
fn logout_during_login_error_has_return_to() {
    let (mut world, page, address) = at_provider();
    let response = world.provider.sign_in(&address);
    let callback = world.callback(page, &response);
    world.logout(page);
    world.advance(Duration::from_secs(10));
    assert_eq!(world.code(callback), "login_canceled");
    assert_eq!(return_to_of_error(&world, page), Some(RETURN_TO));
}

#[test]
fn expired_login_error_has_return_to() {
    let (mut world, page, address) = at_provider();
    let response = world.provider.sign_in(&address);
    world.sleep(Duration::from_millis(600_001));
    let callback = finish(&mut world, page, &response);
    assert_eq!(world.code(callback), "login_expired");
    assert_eq!(return_to_of_error(&world, page), Some(RETURN_TO));
}

#[test]
fn unknown_login_error_has_no_return_to() {
    let (mut world, page, _) = at_provider();
    let callback = finish(
        &mut world,
        page,
        &response_url(&[("state", "x"), ("code", "c")]),
    );
    assert_eq!(world.code(callback), "login_unknown");
    assert_eq!(return_to_of_error(&world, page), None);
}
