//! The authorization URL passes through the page, so script can change it on its way to the provider. These tests show
//! what the vault notices and how it reacts.

use kit::world::provider::params;
use kit::world::{EXCHANGE, World};
use vault::PortId;

/// Granted scopes in a token response. The login asked only for `openid profile offline_access`.
const WIDER: &str = "openid profile offline_access orders admin";

fn sign_in_granted(config: &str, granted: &'static str) -> (World, PortId, kit::world::Request) {
    let mut world = World::with(config);
    world.provider.scope = Some(granted);
    let page = world.open();
    let callback = world.sign_in(page);
    (world, page, callback)
}

// claim: url-4
#[test]
fn unrequested_scopes_are_reported_once() {
    for config in ["{}", r#"{"unrequestedScopes":"warn"}"#] {
        let (mut world, page, _) = sign_in_granted(config, WIDER);
        assert!(world.session(page).is_some());
        world.sign_in(page);
        assert_eq!(world.warnings(page), ["scope_exceeded"]);
        let warning = world.page(page).of_type("warning").next().unwrap();
        assert!(warning.str("message").unwrap().ends_with(": orders admin"));
    }
}

#[test]
fn inspector_sees_each_unrequested_scope() {
    let (mut world, page, _) = sign_in_granted(r#"{"inspect":true}"#, WIDER);
    world.sign_in(page);
    let traces = world.page(page).of_type("trace");
    let traced = traces.filter(|trace| trace.str("event") == Some("scope_exceeded"));
    assert_eq!(traced.count(), 2);
}

#[test]
fn scopes_that_were_not_granted_are_reported_once() {
    for (config, is_reported) in [
        (r#"{"scope":"openid email orders offline_access"}"#, true),
        // Commas do not separate scopes, so the provider sees one unknown scope.
        (r#"{"scope":"openid orders,admin"}"#, true),
        // Providers leave these out, or rename them.
        (r#"{"scope":"openid profile email offline_access"}"#, false),
    ] {
        let (mut world, page, _) = sign_in_granted(config, "openid");
        assert!(world.session(page).is_some());
        world.sign_in(page);
        let expected: &[&str] = if is_reported { &["scope_reduced"] } else { &[] };
        assert_eq!(world.warnings(page), expected, "{config}");
    }
}

#[test]
fn targets_may_have_fewer_scopes_than_the_login() {
    let config = r#"{"scope":"openid orders","apis":[
        {"url":"https://api.example.com/v1/","resource":"https://api.example.com/"}]}"#;
    let (world, page, _) = sign_in_granted(config, "openid");
    assert!(world.session(page).is_some());
    assert_eq!(world.warnings(page).len(), 0);
}

#[test]
fn scopes_added_by_pages_count_as_requested() {
    let config = r#"{"unrequestedScopes":"refuse","loginScopes":["orders","admin"]}"#;
    let mut world = World::with(config);
    world.provider.scope = Some(WIDER);
    let page = world.open();
    let login = world.ask(
        page,
        r#""t":"login","mode":"redirect","scope":"orders admin""#,
    );
    world.answer_all();
    let response = world.provider.sign_in(&world.address(login));
    world.callback(page, &response);
    world.answer_all();
    assert!(world.session(page).is_some());
}

// claim: url-4
#[test]
fn planted_scopes_do_not_count_as_requested() {
    let mut world = World::with(r#"{"unrequestedScopes":"refuse"}"#);
    world.provider.scope = Some(WIDER);
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let (key, record) = world.store.copy().remove(0);
    let forged = record.replace(r#""scope":null"#, &format!(r#""scope":"{WIDER}""#));
    assert_ne!(forged, record);
    world.store.forge(&key, &forged);
    // The new worker knows the login only from the forged record.
    world.restart();
    let page = world.open();
    let response = world.provider.sign_in(&address);
    let callback = world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.code(callback), "scope_exceeded");
}

#[test]
fn missing_refresh_token_is_reported_once() {
    for (config, expected) in [
        ("{}", &["refresh_token_missing"][..]),
        // Some providers issue no refresh tokens to public clients, whatever the login requests.
        (r#"{"scope":"openid"}"#, &["refresh_token_missing"][..]),
        (r#"{"consent":"always"}"#, &[]),
    ] {
        let mut world = World::with(config);
        world.provider.issues_refresh_tokens = false;
        let page = world.open();
        world.sign_in(page);
        world.sign_in(page);
        assert_eq!(world.warnings(page), expected, "{config}");
    }
}

#[test]
fn missing_refresh_token_leads_to_the_token_handler() {
    let mut world = World::new();
    world.provider.issues_refresh_tokens = false;
    let page = world.open();
    world.sign_in(page);
    let messages = &world.page(page).messages;
    let mut texts = messages.iter().filter_map(|message| message.str("message"));
    assert!(texts.any(|text| text.contains("token handler")));
}

#[test]
fn warning_says_that_the_provider_does_not_list_offline_access() {
    let says = |config: &str, scopes: &str| {
        let mut world = World::with(config);
        world.provider.issues_refresh_tokens = false;
        world.provider.more_metadata = scopes.to_owned();
        let page = world.open();
        world.sign_in(page);
        let messages = &world.page(page).messages;
        let mut texts = messages.iter().filter_map(|message| message.str("message"));
        texts.any(|text| text.contains("scopes_supported"))
    };
    let listed = [
        (r#","scopes_supported":["openid"]"#, true),
        (r#","scopes_supported":["openid","offline_access"]"#, false),
        (r#","scopes_supported":null"#, false),
    ];
    for (scopes, expected) in listed {
        assert_eq!(says("{}", scopes), expected, "{scopes}");
        assert!(!says(r#"{"scope":"openid"}"#, scopes), "{scopes}");
    }
}

#[test]
fn silent_login_needs_no_refresh_token() {
    let mut world = World::new();
    world.provider.issues_refresh_tokens = false;
    let page = world.open();
    let login = world.ask(page, r#""t":"login","mode":"redirect","prompt":"none""#);
    world.answer_all();
    let response = world.provider.sign_in(&world.address(login));
    world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.warnings(page).len(), 0);
}

/// Returns an attacker's DPoP key from a login record, and the key's thumbprint.
fn of_attacker() -> (String, String) {
    let mut world = World::seeded(r#"{"dpop":true}"#, 7);
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let jkt = params(address.split_once('?').unwrap().1)["dpop_jkt"].clone();
    let (_, record) = world.store.copy().remove(0);
    let (_, jwk) = record.split_once(r#""dpop":"#).unwrap();
    let (jwk, _) = jwk.split_once('}').unwrap();
    ([jwk, "}"].concat(), jkt)
}

/// Creates a login whose stored record names the attacker's key.
fn with_planted_key() -> (World, PortId, String, String) {
    let (planted_jwk, planted_jkt) = of_attacker();
    let mut world = World::with(r#"{"dpop":true}"#);
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let (key, record) = world.store.copy().remove(0);
    let (before, rest) = record.split_once(r#""dpop":"#).unwrap();
    let (_, after) = rest.split_once('}').unwrap();
    let forged = [before, r#""dpop":"#, &planted_jwk, after].concat();
    assert_ne!(forged, record);
    world.store.forge(&key, &forged);
    (world, page, address, planted_jkt)
}

/// Finishes the login of `with_planted_key`, and checks that the tokens are not bound to the attacker's key.
fn assert_planted_key_is_ignored(world: &mut World, page: PortId, address: &str, planted: &str) {
    let response = world.provider.sign_in(address);
    world.callback(page, &response);
    world.answer_all();
    assert!(world.session(page).is_some());
    assert_ne!(world.provider.key_of_family(0), Some(planted));
}

// claim: script-20
#[test]
fn living_vault_ignores_planted_keys() {
    let (mut world, page, address, planted) = with_planted_key();
    assert_planted_key_is_ignored(&mut world, page, &address, &planted);
}

// claim: script-20
#[test]
fn further_logins_evict_no_remembered_key() {
    let (mut world, page, address, planted) = with_planted_key();
    for _ in 0..40 {
        world.ask(page, r#""t":"login","mode":"redirect""#);
        world.answer_all();
    }
    assert_planted_key_is_ignored(&mut world, page, &address, &planted);
}

// claim: script-20, url-6
#[test]
fn tokens_are_not_bound_to_planted_keys() {
    let (mut world, page, address, planted) = with_planted_key();
    let own = params(address.split_once('?').unwrap().1)["dpop_jkt"].clone();
    let response = world.provider.sign_in(&address.replace(&own, &planted));
    let callback = world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.code(callback), "code_rejected");
    assert_eq!(world.count(EXCHANGE), 1);
    assert!(world.session(page).is_none());
}
