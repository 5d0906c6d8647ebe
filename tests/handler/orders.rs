//! Orders of the app's server to end sessions: what it may say, what they cost, and what is kept in the store.

use std::collections::BTreeSet;

use edge::{Entry, Event, Level};
use rules::Code;
use serde_json::{Value, json};

use crate::back_channel;
use crate::host::{Host, KEYS, json_of};

pub(crate) fn admin() -> Value {
    json!({ "session": { "admin": true, "recheck": 0 } })
}

pub(crate) fn ann() -> Value {
    json!({ "user": "ann" })
}

/// Returns the reason of the session's end, or an empty string if it continues.
pub(crate) fn end_of(host: &mut Host) -> String {
    let response = host.call("GET", "/auth/session").own();
    let reason = json_of(&response)["reason"].clone();
    reason.as_str().unwrap_or_default().to_owned()
}

#[test]
fn order_must_name_one_target() {
    let mut host = Host::with(&admin());
    let long = "a".repeat(1025);
    for target in [
        json!(null),
        json!("ann"),
        json!({}),
        json!({ "user": "" }),
        json!({ "user": 7 }),
        json!({ "user": null }),
        json!({ "user": long }),
        json!({ "user": "ann", "session": "AAAAAAAAAAAAAAAA" }),
        json!({ "user": "ann", "spare": [] }),
        json!({ "subject": "ann" }),
        json!({ "session": "too-short" }),
        json!({ "session": "AAAAAAAAAAAAAAAA." }),
    ] {
        let error = host.end(&target, &json!({})).unwrap_err();
        assert_eq!(error.code(), Code::MessageInvalid, "{target}");
        assert!(!error.message().contains("ann"));
    }
    assert!(host.store.is_empty());
}

#[test]
fn options_of_an_order_are_checked() {
    let mut host = Host::with(&admin());
    let many = vec!["AAAAAAAAAAAAAAAA"; 17];
    for options in [
        json!(null),
        json!([]),
        json!({ "by": 7 }),
        json!({ "by": "two\nlines" }),
        json!({ "why": "a\u{7f}b" }),
        json!({ "why": "a".repeat(201) }),
        json!({ "reason": "idle" }),
        json!({ "reason": "" }),
        json!({ "spare": "AAAAAAAAAAAAAAAA" }),
        json!({ "spare": ["AAAA"] }),
        json!({ "spare": [null] }),
        json!({ "spare": many }),
        json!({ "because": "typo" }),
    ] {
        let error = host.end(&ann(), &options).unwrap_err();
        assert_eq!(error.code(), Code::MessageInvalid, "{options}");
    }
    let one = json!({ "session": "AAAAAAAAAAAAAAAA" });
    assert!(host.end(&one, &json!({ "spare": many[..1] })).is_err());
    assert!(host.store.is_empty());
    assert_eq!(
        host.end(&ann(), &json!({ "spare": many[..16] })).unwrap(),
        "true"
    );
}

// claim: handler-69
#[test]
fn order_is_one_line_of_the_log_without_the_user() {
    let mut host = Host::new();
    let options = json!({ "by": "Bo", "why": "lost phone" });
    host.end(&ann(), &options).unwrap();
    let lines = host.events.iter().filter_map(|event| match event {
        Event::Fault(line) => Some(line.clone()),
        _ => None,
    });
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].level, Level::Info);
    assert_eq!(lines[0].error.code(), Code::SessionEnded);
    let message = lines[0].error.message();
    assert!(message.ends_with("; by: Bo; why: lost phone"), "{message}");
    assert!(!message.contains("ann"));
}

// claim: handler-69
#[test]
fn store_contains_who_and_why_only_sealed() {
    let mut host = Host::signed_in_with(&admin());
    let options = json!({ "by": "Bodil", "why": "lost phone" });
    let id = json!({ "session": "AAAAAAAAAAAAAAAA" });
    for target in [ann(), json!({ "providerSession": "op-session-ann" }), id] {
        host.end(&target, &options).unwrap();
    }
    for (key, entry) in &host.store {
        for part in ["Bodil", "lost phone", "op-session", "AAAAAAAAAAAAAAAA"] {
            assert!(!key.contains(part) && !entry.value.contains(part), "{key}");
        }
    }
    // Two ends, an order about one session, and the list of sessions.
    assert_eq!(host.store.len(), 4);
    assert!(
        host.sealed
            .iter()
            .any(|(_, plain)| plain.contains("lost phone"))
    );
}

#[test]
fn late_logout_does_not_end_a_login_after_an_order() {
    let mut host = Host::signed_in_with(&admin());
    let early = host.now.wall / 1000 - 10;
    host.end(&ann(), &json!({})).unwrap();
    host.sign_in();
    let logout = json!({ "sid": null, "iat": early, "exp": null });
    let token = back_channel::token(&host, &logout);
    assert_eq!(host.post_logout_token(&token).status, 200);
    assert_eq!(end_of(&mut host), "");
    let logout = json!({ "sid": null, "jti": "j-2" });
    let token = back_channel::token(&host, &logout);
    assert_eq!(host.post_logout_token(&token).status, 200);
    assert_eq!(end_of(&mut host), "provider_ended");
}

/// Replaces the value whose key begins with `kind`.
pub(crate) fn replace(host: &mut Host, kind: &str, change: impl Fn(&str) -> String) {
    let kind = [kind, "."].concat();
    let mut count = 0;
    for (key, entry) in &mut host.store {
        if key.starts_with(&kind) {
            *entry = Entry {
                value: change(&entry.value),
                version: [&entry.version, "x"].concat(),
            };
            count += 1;
        }
    }
    assert_eq!(count, 1);
}

// claim: handler-68
#[test]
fn order_that_cannot_be_opened_ends_what_began_before_and_no_later_login() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let mut config = admin();
        config["session"]["storage"] = json!(storage);
        let mut host = Host::signed_in_with(&config);
        host.end(&ann(), &json!({})).unwrap();
        replace(&mut host, "end subject", |value| [value, "A"].concat());
        host.pass(2);
        assert_eq!(end_of(&mut host), "logged_out");
        assert!(host.faults().contains(&Code::CoordinatorUnavailable));
        host.sign_in();
        host.pass(700);
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
    }
}

#[test]
fn order_about_one_session_that_cannot_be_opened_ends_it() {
    let mut host = Host::signed_in_with(&admin());
    let target = json!({ "session": host.session_id() });
    host.end(&target, &json!({ "reason": "security" })).unwrap();
    replace(&mut host, "end session", |value| [value, "A"].concat());
    host.pass(2);
    assert_eq!(end_of(&mut host), "logged_out");
}

#[test]
fn login_after_an_order_in_the_same_browser_keeps_its_grant() {
    let mut host = Host::signed_in_with(&admin());
    host.end(&ann(), &json!({})).unwrap();
    host.sign_in();
    // A provider may revoke all tokens of the grant.
    assert!(host.provider.sent_to("/revoke").is_empty());
    assert_eq!(end_of(&mut host), "");
}

#[test]
fn admin_ends_sessions_of_servers_without_openid() {
    for storage in ["sealed-in-cookie", "in-store"] {
        let mut host = Host::with(&json!({
            "session": { "admin": true, "recheck": 0, "storage": storage },
            "scope": "read",
            "identity": { "from": "token_response", "sub": "user_id" },
        }));
        host.sign_in();
        assert_eq!(end_of(&mut host), "");
        host.end(&ann(), &json!({})).unwrap();
        assert_eq!(end_of(&mut host), "logged_out");
        host.sign_in();
        host.pass(1);
        assert_eq!(end_of(&mut host), "", "a login after an order");
    }
}

#[test]
fn login_continues_without_the_coordinator_as_before() {
    let mut host = Host::with(&json!({}));
    host.failing = vec!["Read", "Swap"];
    host.sign_in();
    assert!(host.session().is_object());
}

#[test]
fn signing_in_again_by_itself_needs_a_click_after_an_order() {
    let mut host = Host::signed_in_with(&admin());
    host.end(&ann(), &json!({})).unwrap();
    for _ in 0..2 {
        assert_eq!(end_of(&mut host), "logged_out");
        host.pass(11);
    }
    assert!(host.browser.get("__Host-strongroom-left").is_some());
}

/// Gives the isolate this keyring. It seals with the first key.
fn with_keys(host: &mut Host, keys: &[&str]) {
    host.restart(&json!({ "cookie": { "keys": keys } }));
}

// claim: handler-68
#[test]
fn login_after_an_order_survives_with_different_keyrings() {
    for storage in ["sealed-in-cookie", "in-store"] {
        for (of_order, of_login) in [
            // The server of the login does not have the new key yet, or no longer has the old one.
            (&[KEYS[1], KEYS[0]][..], &[KEYS[0]][..]),
            (&[KEYS[0]], &[KEYS[1]]),
        ] {
            let mut config = admin();
            config["session"]["storage"] = json!(storage);
            config["cookie"] = json!({ "keys": [KEYS[0]] });
            let mut host = Host::signed_in_with(&config);
            let before = host.browser.clone();
            with_keys(&mut host, of_order);
            host.end(&ann(), &json!({ "reason": "security" })).unwrap();
            with_keys(&mut host, of_login);
            host.browser = crate::browser::Browser::default();
            host.sign_in();
            assert_eq!(
                end_of(&mut host),
                "",
                "{storage}, at the server of the login"
            );
            // A server that has both keys opens the order.
            with_keys(&mut host, &[of_login[0], of_order[0]]);
            assert_eq!(
                end_of(&mut host),
                "",
                "{storage}, at a server with both keys"
            );
            host.browser = before;
            with_keys(&mut host, &[KEYS[0], KEYS[1]]);
            assert_eq!(end_of(&mut host), "security", "a control");
        }
    }
}

#[test]
fn server_without_the_key_of_an_order_goes_by_its_times() {
    let mut config = admin();
    config["cookie"] = json!({ "keys": [KEYS[0]] });
    let mut host = Host::signed_in_with(&config);
    let early = host.browser.clone();
    with_keys(&mut host, &[KEYS[1]]);
    host.end(&ann(), &json!({ "reason": "security" })).unwrap();
    host.pass(1);
    with_keys(&mut host, &[KEYS[0]]);
    // A login that could not read the order does not have its identifier.
    host.failing = vec!["Read"];
    host.browser = crate::browser::Browser::default();
    host.sign_in();
    host.failing.clear();
    host.pass(2);
    assert_eq!(end_of(&mut host), "");
    host.browser = early;
    assert_eq!(end_of(&mut host), "logged_out");
    assert!(host.faults().contains(&Code::KeyUnknown));
}

#[test]
fn server_without_the_key_of_an_order_adds_a_logout() {
    let mut config = admin();
    config["cookie"] = json!({ "keys": [KEYS[0], KEYS[1]] });
    let mut host = Host::signed_in_with(&config);
    let id = host.session_id();
    let (spared, options) = (host.browser.clone(), json!({ "spare": [id] }));
    with_keys(&mut host, &[KEYS[1], KEYS[0]]);
    host.end(&ann(), &options).unwrap();
    with_keys(&mut host, &[KEYS[0]]);
    let early = json!({ "sid": null, "iat": host.now.wall / 1000 - 100 });
    let token = back_channel::token(&host, &early);
    assert_eq!(host.post_logout_token(&token).status, 200);
    // The order still spares the session.
    with_keys(&mut host, &[KEYS[0], KEYS[1]]);
    host.browser = spared;
    assert_eq!(end_of(&mut host), "");
    let logout = json!({ "sid": null, "jti": "j-2" });
    let token = back_channel::token(&host, &logout);
    assert_eq!(host.post_logout_token(&token).status, 200);
    assert_eq!(end_of(&mut host), "provider_ended");
}

/// A client that repeats a command after a lost response reports a conflict although the first command took effect.
#[test]
fn write_that_took_effect_is_not_repeated() {
    let mut host = Host::signed_in_with(&admin());
    host.repeats_swaps = true;
    assert_eq!(host.end(&ann(), &json!({})).unwrap(), "true");
    assert_eq!(host.store_calls.last().map(String::as_str), Some("1"));
}

/// Between two attempts, another order may have ended a session that began after the first one.
#[test]
fn each_attempt_has_an_identifier_of_its_own() {
    let mut host = Host::signed_in_with(&admin());
    host.before_write = Some(|host| {
        host.end(&ann(), &json!({})).unwrap();
    });
    assert_eq!(host.end(&ann(), &json!({})).unwrap(), "true");
    let purposes = host.sealed.iter().map(|(purpose, _)| purpose);
    let of_orders = purposes.filter(|purpose| purpose.contains(" end subject."));
    let identifiers: BTreeSet<_> = of_orders
        .filter_map(|purpose| purpose.lines().last())
        .collect();
    assert_eq!(identifiers.len(), 3, "two attempts, and the other order");
}

#[test]
fn forged_identifier_spares_no_session() {
    let mut host = Host::signed_in_with(&admin());
    let own = host.session_id();
    let thief = core::mem::take(&mut host.browser);
    host.sign_in();
    let spared = host.session_id();
    host.end(&ann(), &json!({ "spare": [spared] })).unwrap();
    let forged = format!("1\n\n0 0\n {own}=*\n1.k.AAAA");
    replace(&mut host, "end subject", |_| forged.clone());
    assert_eq!(
        host.end(&ann(), &json!({ "spare": [spared] })).unwrap(),
        "false"
    );
    // An identifier of the right form is only that.
    replace(&mut host, "end subject", |_| {
        "1\n\n0 0\nAAAAAAAAAAAA\n1.k.AAAA".to_owned()
    });
    host.end(&ann(), &json!({ "spare": [spared] })).unwrap();
    host.browser = thief;
    assert_eq!(end_of(&mut host), "logged_out");
}
