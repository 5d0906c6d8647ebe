//! Tests of starting a login: the vault fetches metadata once, stores the pending login unless it uses a popup, and
//! sends the page or its popup to the provider.

use std::time::Duration;

use kit::world::provider::params;
use kit::world::{DISCOVERY, Endpoint, Fault, Flaw, Kind, PageResponse, Request, World};

#[test]
fn login_by_redirect_sends_page_to_provider() {
    let mut world = World::new();
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    assert!(address.starts_with("https://id.example.com/authorize?"));
    let params = params(address.split_once('?').unwrap().1);
    assert_eq!(params["scope"], "openid profile offline_access");
    assert_eq!(params["code_challenge_method"], "S256");
    assert!(!params.contains_key("code_verifier"));
}

#[test]
fn configured_login_params_reach_the_provider() {
    let mut world = World::with(r#"{"loginParams":["kc_idp_hint"]}"#);
    let page = world.open();
    let begin = |world: &mut World, more: &str| {
        let login = [r#""t":"login","mode":"redirect","params":"#, more].concat();
        let login = world.ask(page, &login);
        world.answer_all();
        login
    };
    let login = begin(&mut world, r#"{"kc_idp_hint":"github"}"#);
    let address = world.address(login);
    let params = params(address.split_once('?').unwrap().1);
    assert_eq!(params["kc_idp_hint"], "github");
    for malformed in [r#"["kc_idp_hint"]"#, r#"{"kc_idp_hint":1}"#] {
        let login = begin(&mut world, malformed);
        assert_eq!(world.code(login), "message_invalid", "{malformed}");
    }
}

#[test]
fn page_navigates_after_the_login_is_stored() {
    let mut world = World::new();
    let page = world.open();
    world.hold(&[Kind::Store]);
    let login = world.login(page, "redirect");
    world.answer_all();
    assert_eq!(world.outstanding(Kind::Store), 1);
    assert_eq!(world.response(login), None);
    world.release();
    assert!(matches!(
        world.response(login),
        Some(PageResponse::Navigate(_))
    ));
}

#[test]
fn logins_share_no_state_nonce_or_challenge() {
    let mut world = World::new();
    let page = world.open();
    let [one, other] = [(), ()].map(|()| {
        let address = world.begin_login(page, "redirect");
        params(address.split_once('?').unwrap().1)
    });
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(one[name], other[name], "{name}");
    }
}

#[test]
fn concurrent_logins_share_one_discovery() {
    let mut world = World::new();
    let pages = [world.open(), world.open(), world.open()];
    let logins = pages.map(|page| world.login(page, "redirect"));
    world.answer_all();
    assert_eq!(world.count(DISCOVERY), 1);
    for login in logins {
        assert!(matches!(
            world.response(login),
            Some(PageResponse::Navigate(_))
        ));
    }
}

#[test]
fn configured_metadata_is_not_discovered() {
    let mut world = World::with(
        r#"{"metadata":{"issuer":"https://id.example.com",
            "authorization_endpoint":"https://id.example.com/authorize",
            "token_endpoint":"https://id.example.com/token",
            "jwks_uri":"https://id.example.com/jwks"}}"#,
    );
    let page = world.open();
    world.sign_in(page);
    assert!(world.session(page).is_some());
    assert_eq!(world.count(DISCOVERY), 0);
}

#[test]
fn failed_discovery_is_retried_by_the_next_login() {
    for fault in [
        Fault::LostBefore,
        Fault::Status(503),
        Fault::Html,
        Fault::Silence,
    ] {
        let mut world = World::new();
        world.provider.outage(Endpoint::Discovery, fault);
        let pages = [world.open(), world.open()];
        let logins = pages.map(|page| world.login(page, "redirect"));
        world.advance(Duration::from_secs(10));
        for login in logins {
            assert_eq!(world.code(login), "provider_unavailable", "{fault:?}");
        }
        let before = world.count(DISCOVERY);
        world.provider.repair();
        world.begin_login(pages[0], "redirect");
        assert_eq!(world.count(DISCOVERY), before + 1);
    }
}

#[test]
fn unreadable_document_leads_to_rfc_8414_location() {
    for fault in [
        Fault::Status(404),
        Fault::Status(500),
        Fault::Html,
        Fault::Opaque,
    ] {
        let mut world = World::new();
        world.provider.fault(Endpoint::Discovery, &[fault]);
        let page = world.open();
        world.sign_in(page);
        assert!(world.session(page).is_some(), "{fault:?}");
        assert_eq!(world.count(DISCOVERY), 2, "{fault:?}");
    }
}

#[test]
fn timeouts_and_readable_documents_end_the_search() {
    for fault in [
        Fault::Silence,
        Fault::LostBefore,
        Fault::Truncated,
        Fault::Response(200, r#"{"issuer":"https://other.example.com"}"#),
    ] {
        let mut world = World::new();
        world.provider.fault(Endpoint::Discovery, &[fault, fault]);
        let page = world.open();
        let login = world.login(page, "redirect");
        world.advance(Duration::from_secs(10));
        assert!(matches!(
            world.response(login),
            Some(PageResponse::Error { .. })
        ));
        // A broken connection is tried once more.
        let expected = if matches!(fault, Fault::LostBefore) {
            2
        } else {
            1
        };
        assert_eq!(world.count(DISCOVERY), expected, "{fault:?}");
    }
}

#[test]
fn document_found_after_a_blip_is_replaced() {
    for (fault, fetches) in [
        // The first request is repeated.
        (&[Fault::Opaque; 2][..], [3, 4, 4]),
        (&[Fault::Status(503); 2], [3, 4, 4]),
        // A permanent error is not a blip, so the document stays.
        (&[Fault::Status(404)], [2, 2, 2]),
    ] {
        let mut world = World::new();
        world.provider.fault(Endpoint::Discovery, fault);
        let page = world.open();
        for expected in fetches {
            world.sign_in(page);
            assert_eq!(world.count(DISCOVERY), expected, "{fault:?}");
        }
    }
}

#[test]
fn lasting_blip_keeps_the_document_that_was_found() {
    let mut world = World::new();
    world
        .provider
        .fault(Endpoint::Discovery, &[Fault::Opaque; 2]);
    let page = world.open();
    world.sign_in(page);
    world.provider.outage(Endpoint::Discovery, Fault::Opaque);
    world.sign_in(page);
    assert!(world.session(page).is_some());
    // Each search requests the first location twice.
    assert_eq!(world.count(DISCOVERY), 6);
}

#[test]
fn missing_metadata_is_invalid_and_retried() {
    let mut world = World::new();
    let absent = Fault::Status(404);
    world
        .provider
        .fault(Endpoint::Discovery, &[absent, absent, absent]);
    let page = world.open();
    let login = world.login(page, "redirect");
    world.answer_all();
    assert_eq!(world.code(login), "metadata_invalid");
    let Some(PageResponse::Error { message, .. }) = world.response(login) else {
        panic!("no error");
    };
    assert!(message.contains("/.well-known/openid-configuration"));
    assert!(message.contains("status 404"));
    world.begin_login(page, "redirect");
    assert_eq!(world.count(DISCOVERY), 4);
}

#[test]
fn broken_metadata_differs_from_an_outage() {
    let mut world = World::new();
    let truncated = Fault::Truncated;
    world.provider.fault(Endpoint::Discovery, &[truncated]);
    let page = world.open();
    let login = world.login(page, "redirect");
    world.answer_all();
    assert_eq!(world.code(login), "metadata_invalid");
}

#[test]
fn redirect_needs_a_working_store() {
    let mut world = World::new();
    world.store.is_unavailable = true;
    let page = world.open();
    let login = world.login(page, "redirect");
    world.answer_all();
    assert_eq!(world.code(login), "storage_unavailable");
}

#[test]
fn popup_needs_no_store() {
    for is_full in [false, true] {
        let mut world = World::new();
        world.store.is_full = is_full;
        world.store.is_unavailable = !is_full;
        let [opener, popup] = [world.open(), world.open()];
        let login = world.login(opener, "popup");
        world.answer_all();
        let address = world.address(login);
        let response = world.provider.sign_in(&address);
        let callback = world.callback(popup, &response);
        world.answer_all();
        let settled = world.response(callback);
        assert!(
            matches!(settled, Some(PageResponse::Settled { .. })),
            "is_full {is_full}: {settled:?}"
        );
        assert_eq!(world.response(login), Some(&PageResponse::Done(None)));
    }
}

#[test]
fn popup_login_completes_in_its_opener() {
    let mut world = World::new();
    let [opener, popup] = [world.open(), world.open()];
    let login = world.login(opener, "popup");
    world.answer_all();
    let response = world.provider.sign_in(&world.address(login));
    assert_eq!(world.responses(login).len(), 1);
    let callback = world.callback(popup, &response);
    world.answer_all();
    let is_popups = matches!(
        world.response(callback),
        Some(PageResponse::Settled { popup: true, .. })
    );
    assert!(is_popups);
    assert_eq!(world.response(login), Some(&PageResponse::Done(None)));
    assert!(world.session(opener).is_some());
}

#[test]
fn failed_popup_login_is_reported_to_opener() {
    let mut world = World::new();
    let [opener, popup] = [world.open(), world.open()];
    let login = world.login(opener, "popup");
    world.answer_all();
    let state = params(&world.address(login))["state"].clone();
    let denial = [("error", "access_denied"), ("state", &state)];
    let callback = world.callback(popup, &kit::world::provider::response_url(&denial));
    world.answer_all();
    assert_eq!(world.code(callback), "login_denied");
    assert_eq!(world.code(login), "login_denied");
}

#[test]
fn abandoned_popup_fails_after_ten_minutes() {
    let mut world = World::new();
    let page = world.open();
    let login = world.login(page, "popup");
    world.advance(Duration::from_secs(600));
    assert!(matches!(
        world.response(login),
        Some(PageResponse::Navigate(_))
    ));
    world.advance(Duration::from_secs(1));
    assert_eq!(world.code(login), "login_expired");
}

#[test]
fn canceled_login_gets_no_response() {
    let mut world = World::new();
    let page = world.open();
    let login = world.login(page, "popup");
    world.answer_all();
    world.give_up(login, "cancel");
    world.advance(Duration::from_secs(700));
    assert_eq!(world.responses(login).len(), 1);
}

#[test]
fn canceling_one_login_leaves_the_others() {
    let mut world = World::new();
    let page = world.open();
    let [first, second] = [(), ()].map(|()| world.login(page, "popup"));
    world.give_up(second, "cancel");
    world.answer_all();
    assert!(matches!(
        world.response(first),
        Some(PageResponse::Navigate(_))
    ));
    assert_eq!(world.response(second), None);
}

#[test]
fn abandoned_login_stores_nothing() {
    let mut world = World::new();
    let page = world.open();
    world.login(page, "redirect");
    world.leave(page);
    world.answer_all();
    assert_eq!(world.count(Kind::Store), 0);
}

// claim: site-5
#[test]
fn login_stays_in_the_app() {
    let mut world = World::new();
    let page = world.open();
    for return_to in ["https://evil.example/", "//evil.example/x", "javascript:x"] {
        let members = format!(r#""t":"login","mode":"redirect","returnTo":"{return_to}""#);
        let login = world.ask(page, &members);
        world.answer_all();
        assert_eq!(world.code(login), "message_invalid", "{return_to}");
    }
}

// claim: script-18
#[test]
fn the_33rd_login_at_once_is_refused() {
    let mut world = World::new();
    for _ in 0..8 {
        let page = world.open();
        for _ in 0..4 {
            let login = world.login(page, "popup");
            assert_eq!(world.response(login), None);
        }
    }
    let page = world.open();
    let one_too_many = world.login(page, "popup");
    assert_eq!(world.code(one_too_many), "limit_exceeded");
}

#[test]
fn page_is_limited_to_four_logins() {
    let mut world = World::new();
    let [page, other] = [world.open(), world.open()];
    for _ in 0..4 {
        world.login(page, "popup");
    }
    let one_too_many = world.login(page, "popup");
    assert_eq!(world.code(one_too_many), "limit_exceeded");
    world.begin_login(other, "popup");
}

#[test]
fn unfinished_logins_count_for_ten_minutes() {
    let mut world = World::new();
    let page = world.open();
    for _ in 0..32 {
        world.begin_login(page, "redirect");
    }
    let one_too_many = world.login(page, "redirect");
    world.answer_all();
    assert_eq!(world.code(one_too_many), "limit_exceeded");
    // The vault has no timer for these logins, so only the clock tells it that they have expired.
    world.sleep_unnoticed(Duration::from_millis(600_001));
    world.begin_login(page, "redirect");
}

// claim: site-5
#[test]
fn login_never_returns_to_a_host() {
    for return_to in ["/.//evil.test/x", "https://app.example.com//evil.test/x"] {
        let mut world = World::new();
        let page = world.open();
        let members = format!(r#""t":"login","mode":"redirect","returnTo":"{return_to}""#);
        let login = world.ask(page, &members);
        world.answer_all();
        let response = world.provider.sign_in(&world.address(login));
        let callback = world.callback(page, &response);
        world.answer_all();
        let expected = PageResponse::Settled {
            return_to: "/evil.test/x".to_owned(),
            popup: false,
            is_kept: false,
            is_again: false,
        };
        assert_eq!(world.response(callback), Some(&expected), "{return_to}");
    }
}

// claim: script-31
#[test]
fn login_of_a_popup_is_not_stored() {
    let mut world = World::new();
    let [opener, popup] = [world.open(), world.open()];
    let address = world.begin_login(opener, "popup");
    let response = world.provider.sign_in(&address);
    world.callback(popup, &response);
    world.answer_all();
    assert!(world.session(opener).is_some());
    assert_eq!(world.count(Kind::Store), 0);
}

/// Returns a popup login of a page whose dedicated worker has a callback page.
fn popup_of_dedicated_worker(persist: &str) -> (World, Request) {
    let config = format!(r#"{{"callbackPage":true,"session":{{"persist":"{persist}"}}}}"#);
    let mut world = World::with(&config);
    world.make_dedicated();
    let opener = world.open();
    world.answer_all();
    let login = world.login(opener, "popup");
    world.answer_all();
    (world, login)
}

#[test]
fn vault_of_the_popup_finishes_the_login_of_a_dedicated_worker() {
    let (mut world, login) = popup_of_dedicated_worker("sealed");
    let response = world.provider.sign_in(&world.address(login));
    let other = world.add_vault();
    let popup = world.open_in(other);
    world.answer_all();
    let callback = world.callback(popup, &response);
    world.answer_all();
    assert!(matches!(
        world.response(callback),
        Some(PageResponse::Settled { is_kept: true, .. })
    ));
    assert!(matches!(
        world.responses(login).last(),
        Some(PageResponse::Done(None))
    ));
}

#[test]
fn popup_that_no_vault_can_finish_is_refused() {
    let (world, login) = popup_of_dedicated_worker("memory");
    assert_eq!(world.code(login), "unsupported");
    assert!(world.error_message(login).contains("callbackPage"));
}

#[test]
fn sign_in_of_another_user_is_not_compared() {
    let (mut world, page) = World::signed_in();
    let auth_time = world.now.wall / 1000;
    world.advance(Duration::from_secs(10));
    world.provider.subject = "bob".to_owned();
    world.provider.flaw = Some(Flaw::Claim("auth_time", auth_time.into()));
    let login = world.ask(page, r#""t":"login","mode":"redirect","prompt":"login""#);
    world.answer_all();
    let response = world.provider.sign_in(&world.address(login));
    world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.warnings(page).len(), 0);
}
