//! Several accounts side by side: each is a vault of its own, and no end of one session ends the session of another
//! account that has the same grant.

use std::time::Duration;

use rules::base::clock::Millis;
use rules::codec::json::Object;

use crate::keeping_writes::subject;
use kit::world::{EXCHANGE, Kind, PageResponse, REFRESH, REVOKE, World};
use vault::PortId;
use vault::config::Config;

use crate::keeping::head;

const ACCOUNTS: &str = r#"{"accounts":4,"logout":"forget"}"#;
const SEALED: &str = r#"{"accounts":4,"logout":"forget","session":{"persist":"sealed"}}"#;

/// The message of a logout that also signs the user out at the provider.
const AT_PROVIDER: &str = r#""t":"logout","provider":true"#;

/// Creates a world with a page of this account.
fn account(number: u64) -> (World, PortId) {
    let mut world = World::with(ACCOUNTS);
    world.become_account(number);
    let page = world.open();
    (world, page)
}

#[test]
fn page_is_told_its_account() {
    for number in [0, 3] {
        let (world, page) = account(number);
        let ready = world.page(page).of_type("ready").next().unwrap();
        assert_eq!(ready.get("account").unwrap().as_u64(), Some(number));
    }
    let mut world = World::new();
    let page = world.open();
    let ready = world.page(page).of_type("ready").next().unwrap();
    assert_eq!(ready.get("account"), None);
}

/// A record, a channel and a hash of a build without accounts are those of the first account.
#[test]
fn accounts_differ_in_their_key() {
    let key = |name: &str| {
        let json = kit::world::configuration(ACCOUNTS);
        let config = Config::parse(&json, "https://app.example.com/worker.js").unwrap();
        config.with_account(name).unwrap().flow.key()
    };
    assert_eq!(key(""), "https://id.example.com spa");
    assert_eq!(key("0"), key(""));
    assert_eq!(key("1"), "1 https://id.example.com spa");
}

// claim: site-2
#[test]
fn response_to_a_login_of_another_account_is_refused() {
    for (ours, theirs) in [(0, 1), (1, 0), (1, 2)] {
        let (mut world, page) = account(theirs);
        let address = world.begin_login(page, "redirect");
        let response = world.provider.sign_in(&address);
        world.become_account(ours);
        let page = world.open();
        let callback = world.callback(page, &response);
        world.answer_all();
        assert_eq!(world.code(callback), "login_unknown", "{theirs} at {ours}");
        assert_eq!(world.count(EXCHANGE), 0);
        // The login is still there for its own account.
        world.become_account(theirs);
        let page = world.open();
        world.callback(page, &response);
        world.answer_all();
        assert!(world.session(page).is_some());
    }
}

#[test]
fn login_of_another_user_keeps_the_session_of_the_account() {
    for config in [ACCOUNTS, SEALED] {
        let (mut world, page) = World::signed_in_with(config);
        let address = world.begin_login(page, "redirect");
        world.provider.subject = "bob".to_owned();
        let response = world.provider.sign_in(&address);
        let callback = world.callback(page, &response);
        world.answer_all();
        assert_eq!(world.code(callback), "account_in_use");
        assert_eq!(subject(&world, page).as_deref(), Some("alice"));
        assert_eq!(world.count(REVOKE), 0);
        // After the end of the session, the account is free.
        world.logout(page);
        world.answer_all();
        world.sign_in(page);
        assert!(world.session(page).is_some());
    }
}

/// Two vaults complete logins of two users at the same time.
#[test]
fn first_stored_login_keeps_the_account() {
    let mut world = World::with(SEALED);
    let page = world.open();
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    let responses = [(page, "alice"), (other_page, "bob")].map(|(page, user)| {
        let address = world.begin_login(page, "redirect");
        world.provider.subject = user.to_owned();
        world.provider.sign_in(&address)
    });
    world.hold(&[Kind::Lock]);
    let callbacks = [(page, 0), (other_page, 1)].map(|(page, i)| {
        let callback = world.callback(page, &responses[i]);
        world.answer_all();
        callback
    });
    world.release();
    world.answer_all();
    assert_eq!(world.code(callbacks[1]), "account_in_use");
    for page in [page, other_page] {
        assert_eq!(subject(&world, page).as_deref(), Some("alice"));
    }
    assert_eq!(world.count(REVOKE), 0);
}

// claim: device-4
#[test]
fn logout_leaves_the_grant_of_other_accounts_valid() {
    for config in [ACCOUNTS, SEALED] {
        for (is_at_provider, revocations) in [(false, 0), (true, 1)] {
            let (mut world, page) = World::signed_in_with(config);
            let logout = match is_at_provider {
                true => world.ask(page, AT_PROVIDER),
                false => world.logout(page),
            };
            world.answer_all();
            assert_eq!(world.reason(page), Some("logged_out"));
            assert_eq!(world.count(REVOKE), revocations, "{config}");
            if !is_at_provider {
                assert_eq!(world.response(logout), Some(&PageResponse::Done(None)));
            }
            world.restart();
            let page = world.open();
            world.answer_all();
            assert!(world.session(page).is_none());
        }
    }
}

/// The vault whose page logs out does not know the refresh of the other vault yet.
#[test]
fn forgotten_session_does_not_continue_in_another_vault() {
    let mut world = World::with(SEALED);
    let page = world.open();
    world.sign_in(page);
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    world.freeze(0);
    world.expire_access_token();
    world.fetch(other_page, "/orders");
    world.answer_all();
    world.thaw();
    world.logout(page);
    world.answer_all();
    world.advance(Duration::from_secs(60));
    for page in [page, other_page] {
        assert!(world.session(page).is_none());
        assert_eq!(world.reason(page), Some("logged_out"));
    }
    assert_eq!(world.count(REVOKE), 0);
}

#[test]
fn idle_account_leaves_the_grant_of_other_accounts_valid() {
    for config in [ACCOUNTS, SEALED] {
        let (mut world, page) = World::signed_in_with(config);
        let idle = Millis::from_secs(24 * 3600).0;
        world.advance(Duration::from_millis(idle));
        world.answer_all();
        assert!(world.session(page).is_none());
        assert_eq!(world.count(REVOKE), 0);
    }
}

/// The provider has consumed the refresh token, and its response has not arrived at the vault.
fn logged_out_during_a_refresh(config: &str, is_at_provider: bool) -> (World, PortId) {
    let (mut world, page) = World::signed_in_with(config);
    world.expire_access_token();
    world.hold(&[REFRESH]);
    world.fetch(page, "/orders");
    world.answer_all();
    world.act(REFRESH);
    match is_at_provider {
        true => world.ask(page, AT_PROVIDER),
        false => world.logout(page),
    };
    (world, page)
}

/// The user is signed out at the provider, so the tokens of a refresh in flight must not stay valid either.
#[test]
fn logout_at_the_provider_revokes_the_successor_too() {
    for config in [ACCOUNTS, SEALED] {
        for (is_at_provider, revocations) in [(false, 0), (true, 2)] {
            let (mut world, _) = logged_out_during_a_refresh(config, is_at_provider);
            world.release();
            assert_eq!(world.count(REVOKE), revocations, "{config}");
            assert_eq!(world.provider.has_revoked_everything(), is_at_provider);
        }
    }
}

/// Pages know the reason only by the name that other messages use.
#[test]
fn socket_of_an_account_closes_after_its_logout() {
    let socket = r#"{"accounts":4,"logout":"forget","apis":[{"url":"https://api.example.com/v1/","webSocket":{"token":"query"}}]}"#;
    let (mut world, page) = World::signed_in_with(socket);
    let open = world.socket(page, "wss://api.example.com/v1/live", &[]);
    world.answer_all();
    world.logout(page);
    world.answer_all();
    let closed = [(open, 3000, "logged_out".to_owned())];
    assert_eq!(world.sockets.closed, closed);
}

/// The store still has the session when another user signs in: it does not work, or another vault has the lock.
#[test]
fn unwritten_logout_frees_the_account() {
    for trouble in ["full", "unavailable", "locked"] {
        let (mut world, page) = World::signed_in_with(SEALED);
        let address = world.begin_login(page, "popup");
        match trouble {
            "full" => world.store.is_full = true,
            "unavailable" => world.store.is_unavailable = true,
            _ => world.hold(&[Kind::Lock]),
        }
        world.logout(page);
        world.answer_all();
        assert_eq!(world.reason(page), Some("logged_out"));
        world.provider.subject = "bob".to_owned();
        let response = world.provider.sign_in(&address);
        let callback = world.callback(page, &response);
        world.answer_all();
        world.store.is_full = false;
        world.store.is_unavailable = false;
        world.release();
        world.advance(Duration::from_secs(120));
        let user = subject(&world, page);
        assert_eq!(user.as_deref(), Some("bob"), "{trouble}");
        let response = world.response(callback);
        assert!(
            matches!(response, Some(PageResponse::Settled { .. })),
            "{response:?}"
        );
    }
}

fn organization_claim(organization: &str) -> Object {
    let mut claims = Object::new();
    claims.push("org_id", organization.into());
    claims
}

/// A call belongs to the organization in which the page made it.
#[test]
fn waiting_call_is_not_sent_in_another_organization() {
    for storage in ["memory", "sealed"] {
        let config = format!(r#"{{"sameClaims":["org_id"],"session":{{"persist":"{storage}"}}}}"#);
        for (organization, is_sent) in [("globex", false), ("acme", true)] {
            let mut world = World::with(&config);
            let page = world.open();
            world.provider.more_claims = organization_claim("acme");
            world.sign_in(page);
            let address = world.begin_login(page, "popup");
            world.expire_access_token();
            world.hold(&[REFRESH]);
            let call = world.fetch(page, "/orders");
            world.answer_all();
            world.provider.more_claims = organization_claim(organization);
            let response = world.provider.sign_in(&address);
            world.callback(page, &response);
            world.answer_all();
            if is_sent {
                assert_eq!(head(&world, call), Some(200), "{storage}");
            } else {
                assert_eq!(world.code(call), "session_ended", "{storage}");
            }
            assert_eq!(world.count(REVOKE), 0);
        }
    }
}

/// The end of a session decides about its late tokens, whatever happens afterwards.
#[test]
fn later_login_keeps_no_late_token_valid() {
    for config in [ACCOUNTS, SEALED] {
        for (is_at_provider, revocations) in [(false, 0), (true, 2)] {
            let (mut world, page) = logged_out_during_a_refresh(config, is_at_provider);
            world.answer_all();
            world.sign_in(page);
            world.release();
            assert_eq!(world.count(REVOKE), revocations, "{config}");
            assert!(world.session(page).is_some());
        }
    }
}

/// No page waits for a callback of such a login, so the page that began it learns of the refusal.
#[test]
fn device_login_of_another_user_keeps_the_session_of_the_account() {
    for persist in ["memory", "sealed"] {
        let config =
            format!(r#"{{"accounts":4,"deviceFlow":true,"session":{{"persist":"{persist}"}}}}"#);
        let mut world = World::with(&config);
        world.provider.knows_devices = true;
        let page = world.open();
        world.sign_in(page);
        let login = world.login(page, "device");
        world.answer_all();
        world.provider.subject = "bob".to_owned();
        world.provider.sign_in_on_devices();
        world.advance(Duration::from_secs(20));
        assert_eq!(world.code(login), "account_in_use");
        assert_eq!(subject(&world, page).as_deref(), Some("alice"));
        assert_eq!(world.count(REVOKE), 0);
    }
}
