//! DPoP (RFC 9449): every token request, and every request with an access token, has a new proof that is signed with
//! the session's key. A nonce that a server requires is in the next proof for this server. Tokens that are not bound to
//! the key are rejected. If the key is lost, the session ends.

use std::time::Duration;

use vault::{Body, PortId};

use kit::world::api::OTHER_API;
use kit::world::dpop::{Checker, Proof};
use kit::world::{
    API, EXCHANGE, Endpoint, Fault, Fetch, Kind, QUIET, REFRESH, REVOKE, Request, World,
};

const BOUND: &str = r#"{ "dpop": true }"#;
const SEALED: &str = r#"{ "dpop": true, "session": { "persist": "sealed" } }"#;
const TWO_APIS: &str = r#"{ "dpop": true, "apis": [
    { "url": "https://api.example.com/v1/" }, { "url": "https://other.example.com/v1/" }
] }"#;

fn bound() -> (World, PortId) {
    World::signed_in_with(BOUND)
}

fn call(world: &mut World, page: PortId) -> Request {
    let call = world.fetch(page, "/orders");
    world.answer_all();
    call
}

fn call_other(world: &mut World, page: PortId) -> Request {
    let url = [OTHER_API, "/orders"].concat();
    let fetch = Fetch {
        url: &url,
        ..Fetch::default()
    };
    let call = world.fetch_as(page, &fetch);
    world.answer_all();
    call
}

/// Returns the API's DPoP requirements, which a test can change.
fn api(world: &mut World) -> &mut Checker {
    world.checkers.entry(API).or_default()
}

fn other_api(world: &mut World) -> &mut Checker {
    world.checkers.entry(OTHER_API).or_default()
}

fn shown_to_api(world: &mut World) -> Vec<Proof> {
    api(world).proofs.clone()
}

fn nonces(proofs: &[Proof]) -> Vec<Option<&str>> {
    proofs.iter().map(|proof| proof.nonce.as_deref()).collect()
}

// What is sent

// claim: network-6
#[test]
fn login_calls_and_refresh_share_one_key() {
    let (mut world, page) = bound();
    assert_eq!(
        {
            let c = call(&mut world, page);
            world.status(c)
        },
        200
    );
    world.expire_access_token();
    assert_eq!(
        {
            let c = call(&mut world, page);
            world.status(c)
        },
        200
    );
    let mut proofs = world.provider.dpop.proofs.clone();
    assert_eq!(proofs.len(), 2, "the exchange and the refresh");
    proofs.extend(shown_to_api(&mut world));
    assert_eq!(proofs.len(), 4);
    assert!(proofs.iter().all(|proof| proof.jkt == proofs[0].jkt));
    let scheme = |request: &vault::ApiRequest| request.authorization.expose().starts_with("DPoP ");
    assert!(world.seen_by_api.iter().all(scheme));
}

#[test]
fn no_proofs_without_the_option() {
    let (mut world, page) = World::signed_in();
    let call = call(&mut world, page);
    assert_eq!(world.status(call), 200);
    assert_eq!(world.provider.dpop.proofs.len(), 0);
    assert!(world.seen_by_api[0].proof.is_none());
    assert_eq!(world.count(Kind::MakeKey), 0);
}

#[test]
fn authorization_code_is_bound_to_the_key() {
    let mut world = World::with(BOUND);
    let page = world.open();
    let url = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&url);
    world.callback(page, &response);
    world.answer_all();
    let jkt = &world.provider.dpop.proofs[0].jkt;
    assert!(url.contains(&["dpop_jkt=", jkt].concat()), "{url}");
}

#[test]
fn each_login_has_a_key_of_its_own() {
    let (mut world, page) = bound();
    world.sign_in(page);
    let proofs = &world.provider.dpop.proofs;
    assert_ne!(proofs[0].jkt, proofs[1].jkt);
    let new = proofs[1].jkt.clone();
    call(&mut world, page);
    assert_eq!(shown_to_api(&mut world)[0].jkt, new);
}

#[test]
fn proof_uses_the_providers_time() {
    let mut world = World::with(BOUND);
    world.provider.tells_time = true;
    world.set_clock_by(-86_400);
    let page = world.open();
    world.sign_in(page);
    call(&mut world, page);
    let true_time = world.true_time / 1000;
    assert_eq!(shown_to_api(&mut world)[0].iat, true_time);
}

#[test]
fn repeated_call_has_a_new_proof() {
    let (mut world, page) = bound();
    world.provider.withdraw_access_tokens();
    let call = call(&mut world, page);
    assert_eq!(world.status(call), 200);
    let proofs = shown_to_api(&mut world);
    assert_eq!(proofs.len(), 2);
    assert_ne!(proofs[0].jti, proofs[1].jti);
    assert_ne!(proofs[0].ath, proofs[1].ath);
}

#[test]
fn repeated_refresh_has_a_new_proof() {
    let (mut world, page) = bound();
    world
        .provider
        .fault(Endpoint::Refresh, &[Fault::LostBefore]);
    world.expire_access_token();
    let call = call(&mut world, page);
    world.advance(Duration::from_secs(5));
    assert_eq!(world.status(call), 200);
}

#[test]
fn revocation_needs_no_proof() {
    let (mut world, page) = bound();
    world.logout(page);
    world.answer_all();
    assert_eq!(world.count(REVOKE), 1);
    assert!(world.provider.has_revoked_everything());
    assert_eq!(world.provider.dpop.proofs.len(), 1, "that of the login");
}

// Nonces

#[test]
fn provider_nonce_survives_other_url_spellings() {
    let metadata = |endpoint: &str| {
        [
            r#"{"dpop":true,"metadata":{"issuer":"https://id.example.com","authorization_endpoint":"https://id.example.com/authorize","jwks_uri":"https://id.example.com/jwks","revocation_endpoint":"https://id.example.com/revoke","token_endpoint":""#,
            endpoint,
            r#""}}"#,
        ]
        .concat()
    };
    for endpoint in [
        "https://id.example.com/token",
        "https://id.example.com:443/token",
        "https://ID.Example.com/token",
    ] {
        let mut world = World::with(&metadata(endpoint));
        world.provider.dpop.nonce = Some("one".to_owned());
        let page = world.open();
        world.sign_in(page);
        assert!(world.session(page).is_some(), "{endpoint}");
        let given = nonces(&world.provider.dpop.proofs);
        assert_eq!(given, [None, Some("one")], "{endpoint}");
    }
}

#[test]
fn newest_nonce_is_used() {
    let mut world = World::with(BOUND);
    world.provider.dpop.header = Some("next".to_owned());
    let page = world.open();
    world.sign_in(page);
    world.provider.dpop.nonce = Some("next".to_owned());
    world.expire_access_token();
    call(&mut world, page);
    assert_eq!(nonces(&world.provider.dpop.proofs), [None, Some("next")]);
    assert_eq!(world.count(REFRESH), 1);
}

// claim: end-10
#[test]
fn refresh_is_repeated_with_the_nonce() {
    let (mut world, page) = bound();
    world.provider.dpop.nonce = Some("new".to_owned());
    world.expire_access_token();
    let call = call(&mut world, page);
    assert_eq!(world.status(call), 200);
    let sent = world.refresh_tokens_sent_to(Endpoint::Refresh);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
    assert_eq!(world.moments(REFRESH), [Duration::ZERO, Duration::ZERO]);
}

// claim: end-10
#[test]
fn refresh_is_not_repeated_after_logout() {
    for configuration in [BOUND, SEALED] {
        let (mut world, page) = World::signed_in_with(configuration);
        world.provider.dpop.nonce = Some("new".to_owned());
        world.expire_access_token();
        world.hold(&[REFRESH]);
        world.fetch(page, "/orders");
        world.answer_all();
        world.act(REFRESH);
        world.logout(page);
        world.release();
        assert_eq!(world.count(REFRESH), 1, "{configuration}");
        assert_eq!(world.reason(page), Some("logged_out"), "{configuration}");
        assert!(world.provider.has_revoked_everything(), "{configuration}");
    }
}

#[test]
fn exchange_is_not_repeated_after_logout() {
    let mut world = World::with(BOUND);
    let page = world.open();
    let url = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&url);
    world.provider.dpop.nonce = Some("new".to_owned());
    world.hold(&[EXCHANGE]);
    let callback = world.callback(page, &response);
    world.answer_all();
    world.act(EXCHANGE);
    world.logout(page);
    world.release();
    assert_eq!(world.count(EXCHANGE), 1);
    assert_eq!(world.code(callback), "login_canceled");
    assert!(world.session(page).is_none());
}

#[test]
fn repeated_nonce_demands_are_retried_later() {
    let (mut world, page) = bound();
    // The provider never accepts the nonce that it announces.
    world.provider.dpop.nonce = Some("wanted".to_owned());
    world.provider.dpop.header = Some("other".to_owned());
    world.expire_access_token();
    call(&mut world, page);
    assert_eq!(world.count(REFRESH), 2, "once more at once");
    assert!(world.session(page).is_some());
    world.provider.dpop.header = None;
    world.advance(Duration::from_secs(60));
    let call = call(&mut world, page);
    assert_eq!(world.status(call), 200);
}

#[test]
fn demand_for_the_nonce_just_used_is_not_retried_at_once() {
    let (mut world, page) = bound();
    world.provider.dpop.nonce = Some("wanted".to_owned());
    world.provider.dpop.header = Some("other".to_owned());
    world.expire_access_token();
    call(&mut world, page);
    assert_eq!(world.count(REFRESH), 2, "with the announced nonce");
    for pause in 1..=60 {
        world.advance(Duration::from_secs(1));
        call(&mut world, page);
        let moments = world.moments(REFRESH);
        let later = &moments[1..];
        assert!(later.windows(2).all(|pair| pair[0] < pair[1]), "{pause}");
    }
    assert!(world.count(REFRESH) > 2);
}

#[test]
fn unreadable_nonce_causes_no_retry() {
    let mut world = World::with(BOUND);
    world.provider.dpop.nonce = Some("wanted".to_owned());
    // `fetch` joins the values of two `DPoP-Nonce` headers in this way.
    world.provider.dpop.header = Some("one, two".to_owned());
    let page = world.open();
    let callback = world.sign_in(page);
    assert_eq!(world.code(callback), "client_rejected");
    assert_eq!(world.count(EXCHANGE), 1);
}

#[test]
fn api_nonce_is_used_and_remembered() {
    let (mut world, page) = bound();
    api(&mut world).nonce = Some("one".to_owned());
    for _ in 0..2 {
        let call = call(&mut world, page);
        assert_eq!(world.status(call), 200);
    }
    let proofs = shown_to_api(&mut world);
    assert_eq!(nonces(&proofs), [None, Some("one"), Some("one")]);
    assert_eq!(world.count(REFRESH), 0);
}

#[test]
fn changing_api_nonce_costs_no_second_request() {
    let (mut world, page) = bound();
    api(&mut world).nonce = Some("n0".to_owned());
    call(&mut world, page);
    for i in 1..4 {
        let (now, next) = (format!("n{}", i - 1), format!("n{i}"));
        api(&mut world).nonce = Some(now);
        api(&mut world).header = Some(next);
        call(&mut world, page);
    }
    let proofs = shown_to_api(&mut world);
    let told = [None, Some("n0"), Some("n0"), Some("n1"), Some("n2")];
    assert_eq!(nonces(&proofs), told);
}

#[test]
fn apis_and_provider_have_separate_nonces() {
    let (mut world, page) = World::signed_in_with(TWO_APIS);
    world.provider.dpop.nonce = Some("provider".to_owned());
    api(&mut world).nonce = Some("first".to_owned());
    other_api(&mut world).nonce = Some("second".to_owned());
    for round in 0..2 {
        call(&mut world, page);
        call_other(&mut world, page);
        if round == 0 {
            world.expire_access_token();
        }
    }
    let of_first = shown_to_api(&mut world);
    assert_eq!(nonces(&of_first), [None, Some("first"), Some("first")]);
    let of_second = other_api(&mut world).proofs.clone();
    assert_eq!(nonces(&of_second), [None, Some("second"), Some("second")]);
    let of_provider = nonces(&world.provider.dpop.proofs);
    assert_eq!(of_provider, [None, None, Some("provider")]);
}

#[test]
fn api_nonce_demand_is_retried_once() {
    let (mut world, page) = bound();
    api(&mut world).nonce = Some("wanted".to_owned());
    api(&mut world).header = Some("other".to_owned());
    let call = call(&mut world, page);
    assert_eq!(world.status(call), 401);
    assert_eq!(world.seen_by_api.len(), 2);
    assert_eq!(world.count(REFRESH), 0, "a new token would not please it");
}

#[test]
fn streamed_body_gets_the_401() {
    let (mut world, page) = bound();
    api(&mut world).nonce = Some("one".to_owned());
    let fetch = Fetch {
        method: "POST",
        body: Body::OneShot,
        ..Fetch::default()
    };
    let first = world.fetch_as(page, &fetch);
    world.answer_all();
    assert_eq!(world.status(first), 401);
    let second = world.fetch_as(page, &fetch);
    world.answer_all();
    assert_eq!(world.status(second), 200, "the nonce is known by now");
}

#[test]
fn new_nonce_replaces_an_unreadable_challenge() {
    let (mut world, page) = bound();
    api(&mut world).nonce = Some("one".to_owned());
    api(&mut world).hides_challenge = true;
    let call = call(&mut world, page);
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(REFRESH), 0);
}

#[test]
fn call_may_need_nonce_and_token() {
    let (mut world, page) = bound();
    api(&mut world).nonce = Some("one".to_owned());
    world.provider.withdraw_access_tokens();
    let call = call(&mut world, page);
    assert_eq!(world.status(call), 200);
    assert_eq!(world.seen_by_api.len(), 3);
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn call_is_not_repeated_for_another_user() {
    let (mut world, page) = bound();
    api(&mut world).nonce = Some("one".to_owned());
    world.hold(&[Kind::Call]);
    let call = call(&mut world, page);
    world.provider.subject = "bob".to_owned();
    world.sign_in(page);
    world.release();
    assert_eq!(world.status(call), 401);
    assert_eq!(world.seen_by_api.len(), 1);
}

#[test]
fn call_is_not_repeated_after_the_end() {
    let (mut world, page) = bound();
    api(&mut world).nonce = Some("one".to_owned());
    world.hold(&[Kind::Call]);
    call(&mut world, page);
    world.logout(page);
    world.answer_all();
    world.release();
    assert_eq!(world.seen_by_api.len(), 1);
}

// Rejections

#[test]
fn refused_proof_is_repeated_with_provider_time() {
    let mut world = World::with(BOUND);
    world.provider.tells_time = true;
    world.provider.dpop.tolerance = Some(60);
    world.set_clock_by(3600);
    let page = world.open();
    world.sign_in(page);
    assert!(world.session(page).is_some());
    assert_eq!(world.count(EXCHANGE), 2);
}

#[test]
fn unexplained_proof_refusal_is_not_retried() {
    let mut world = World::with(BOUND);
    world.provider.dpop.tolerance = Some(60);
    world.set_clock_by(3600);
    let page = world.open();
    let callback = world.sign_in(page);
    assert_eq!(world.code(callback), "client_rejected");
    assert_eq!(world.count(EXCHANGE), 1);
}

// claim: end-11
#[test]
fn refused_proof_keeps_the_session() {
    let (mut world, page) = bound();
    world.provider.dpop.tolerance = Some(60);
    world.expire_access_token();
    world.set_clock_by(120);
    let refused = call(&mut world, page);
    world.advance(QUIET);
    assert_eq!(world.code(refused), "client_rejected");
    assert!(world.session(page).is_some());
}

#[test]
fn proof_refused_by_an_api_is_delivered() {
    let (mut world, page) = bound();
    api(&mut world).tolerance = Some(60);
    world.set_clock_by(120);
    let call = call(&mut world, page);
    assert_eq!(world.status(call), 401);
    assert_eq!(world.count(REFRESH), 0);
}

// The key

#[test]
fn missing_key_support_fails_the_login() {
    let mut world = World::with(BOUND);
    world.makes_keys = false;
    let page = world.open();
    let login = world.login(page, "redirect");
    world.answer_all();
    assert_eq!(world.code(login), "unsupported");
}

#[test]
fn key_generation_times_out() {
    let mut world = World::with(BOUND);
    let page = world.open();
    world.hold(&[Kind::MakeKey]);
    let login = world.login(page, "redirect");
    world.advance(Duration::from_secs(11));
    assert_eq!(world.code(login), "unsupported");
}

#[test]
fn key_is_forgotten_when_the_session_ends() {
    let (mut world, page) = bound();
    assert_eq!(world.keys[0].names().len(), 1);
    world.logout(page);
    world.answer_all();
    assert_eq!(world.keys[0].names(), Vec::<&str>::new());
}

#[test]
fn key_of_the_former_session_is_forgotten() {
    let (mut world, page) = bound();
    let before = world.keys[0].names()[0].to_owned();
    world.sign_in(page);
    assert_eq!(world.keys[0].names().len(), 1);
    assert_ne!(world.keys[0].names()[0], before);
}

#[test]
fn key_of_an_unfinished_login_is_forgotten() {
    let mut world = World::with(BOUND);
    let page = world.open();
    world.begin_login(page, "redirect");
    assert_eq!(world.keys[0].names().len(), 1);
    world.advance(Duration::from_secs(700));
    assert_eq!(world.keys[0].names().len(), 0);
}

#[test]
fn redirect_login_continues_in_another_worker() {
    let mut world = World::with(BOUND);
    let page = world.open();
    let url = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&url);
    world.restart();
    let page = world.open();
    world.callback(page, &response);
    world.answer_all();
    assert!(world.session(page).is_some());
    let call = call(&mut world, page);
    assert_eq!(world.status(call), 200);
}

#[test]
fn login_with_lost_key_sends_no_code() {
    let mut world = World::with(BOUND);
    let page = world.open();
    let url = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&url);
    world.restart();
    world.store.lose_keys();
    let page = world.open();
    let callback = world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.code(callback), "storage_unavailable");
    assert_eq!(world.provider.dpop.proofs.len(), 0);
}

#[test]
fn login_begun_without_key_needs_none() {
    let mut world = World::new();
    let page = world.open();
    let url = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&url);
    world.reconfigure(BOUND);
    world.restart();
    let page = world.open();
    let callback = world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.code(callback), "login_unknown");
    assert_eq!(world.count(EXCHANGE), 0);
}

#[test]
fn stored_session_keeps_its_key() {
    let (mut world, _) = World::signed_in_with(SEALED);
    let jkt = world.keys[0].names()[0].to_owned();
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_some());
    let first = call(&mut world, page);
    assert_eq!(world.status(first), 200);
    world.expire_access_token();
    let second = call(&mut world, page);
    assert_eq!(world.status(second), 200);
    assert!(
        shown_to_api(&mut world)
            .iter()
            .all(|proof| proof.jkt == jkt)
    );
    assert_eq!(world.provider.dpop.proofs[1].jkt, jkt);
}

#[test]
fn two_workers_over_one_store_have_one_key() {
    let (mut world, _) = World::signed_in_with(SEALED);
    let other = world.add_vault();
    let page = world.open_in(other);
    world.answer_all();
    let call = call(&mut world, page);
    assert_eq!(world.status(call), 200);
    assert_eq!(world.keys[0].names(), world.keys[other].names());
}

// claim: end-12
#[test]
fn lost_key_ends_the_session_on_use() {
    let (mut world, _) = World::signed_in_with(SEALED);
    world.restart();
    world.store.lose_keys();
    let page = world.open();
    world.answer_all();
    let call = call(&mut world, page);
    assert_eq!(world.code(call), "session_ended");
    assert_eq!(world.reason(page), Some("storage_lost"));
    assert_eq!(
        world.seen_by_api.len(),
        0,
        "nothing goes out without a proof"
    );
}

// claim: end-12
#[test]
fn lost_key_ends_the_session_on_refresh() {
    let (mut world, _) = World::signed_in_with(SEALED);
    world.restart();
    world.store.lose_keys();
    let page = world.open();
    world.expire_access_token();
    let call = call(&mut world, page);
    assert_eq!(world.code(call), "session_ended");
    assert_eq!(world.reason(page), Some("storage_lost"));
    assert_eq!(world.provider.dpop.proofs.len(), 1, "that of the login");
}

#[test]
fn unbound_stored_session_is_not_resumed() {
    for (before, after) in [
        (r#"{"session":{"persist":"sealed"}}"#, SEALED),
        (SEALED, r#"{"session":{"persist":"sealed"}}"#),
    ] {
        let (mut world, _) = World::signed_in_with(before);
        world.reconfigure(after);
        world.restart();
        let page = world.open();
        world.answer_all();
        assert!(world.session(page).is_none());
        assert_eq!(world.reason(page), Some("storage_lost"));
    }
}
