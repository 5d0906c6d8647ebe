//! Token responses whose members are not exactly what RFC 6749 5.1 shows. The usable tokens in them are used: otherwise
//! the machine would send a refresh token that the provider has already consumed, and the session would end.

use kit::flaws::{Flaw, is_absent, of_optional_members};
use kit::world::{Endpoint, Fault};

use super::{Client, fault_of};
use crate::client::Machine;

/// The flaws of optional members, the type of tokens in another case, and a response with status 201.
pub(crate) fn flaws() -> impl Iterator<Item = Flaw> {
    of_optional_members().chain([("token_type", r#""bearer""#), ("status", "201")])
}

/// The flaws that make the access token unusable.
pub(crate) const UNUSABLE: &[Flaw] = &[
    ("access_token", "null"),
    ("access_token", r#""""#),
    ("access_token", "1"),
    ("access_token", r#""a b""#),
    ("access_token", r#""\ud800""#),
    ("token_type", r#""mac""#),
    ("token_type", "1"),
    ("error", r#""server_error""#),
];

pub(crate) fn has_distinct(tokens: &[String]) -> bool {
    let mut distinct = tokens.to_vec();
    distinct.sort();
    distinct.dedup();
    distinct.len() == tokens.len()
}

#[test]
fn login_survives_every_flaw_of_an_optional_member() {
    for flaw in flaws() {
        let mut client = Machine::with("{}");
        client.fault(Endpoint::Exchange, fault_of(flaw));
        let login = client.sign_in();
        if flaw.0 == "id_token" {
            let code = login.unwrap_err().code;
            assert_eq!(code, "token_response_invalid", "{flaw:?}");
            assert!(client.session().is_none(), "{flaw:?}");
            continue;
        }
        assert_eq!(client.call(), Ok(200), "{flaw:?}");
        client.expire_access_token();
        let call = client.call();
        // The session has a refresh token if the response had a usable one.
        if flaw.0 == "refresh_token" {
            assert_eq!(call, Err(Machine::AFTER_EXPIRY.to_owned()), "{flaw:?}");
            assert_eq!(client.reason().as_deref(), Some("expired"), "{flaw:?}");
        } else {
            assert_eq!(call, Ok(200), "{flaw:?}");
        }
    }
}

#[test]
fn byte_order_mark_before_each_response_is_skipped() {
    let mut client = Machine::with(r#"{"userInfo":true,"claims":["name"]}"#);
    client.profile(r#"{"name": "Ann"}"#);
    let endpoints = [
        Endpoint::Discovery,
        Endpoint::Keys,
        Endpoint::Exchange,
        Endpoint::Profile,
        Endpoint::Refresh,
    ];
    for endpoint in endpoints {
        client.provider().outage(endpoint, Fault::Marked);
    }
    assert_eq!(client.sign_in(), Ok(()));
    assert_eq!(client.claims(), r#"{"sub":"alice","name":"Ann"}"#);
    client.expire_access_token();
    assert_eq!(client.call(), Ok(200));
    for endpoint in endpoints {
        assert_ne!(client.count(endpoint), 0, "{endpoint:?}");
    }
    assert!(client.warnings().is_empty(), "{:?}", client.warnings());
}

// claim: end-18
#[test]
fn refresh_survives_every_flaw_of_an_optional_member() {
    for storage in Machine::STORAGES {
        for flaw in flaws() {
            let mut client = Machine::signed_in(storage);
            client.expire_access_token();
            client.fault(Endpoint::Refresh, fault_of(flaw));
            assert_eq!(client.call(), Ok(200), "{storage} {flaw:?}");
            assert_eq!(client.refresh_tokens_sent().len(), 1, "{flaw:?}");
            client.expire_access_token();
            let call = client.call();
            let sent = client.refresh_tokens_sent();
            if flaw.0 == "refresh_token" && !is_absent(flaw.1) {
                assert_eq!(call, Err(Machine::AFTER_EXPIRY.to_owned()), "{flaw:?}");
                assert_eq!(client.reason().as_deref(), Some("expired"), "{flaw:?}");
                assert_eq!(sent.len(), 1, "{flaw:?}");
            } else if flaw.0 == "refresh_token" {
                // The earlier token stays in use. A provider that rotates all the same refuses it.
                assert_eq!(sent.len(), 2, "{flaw:?}");
                assert!(!has_distinct(&sent), "{flaw:?}");
            } else {
                assert_eq!(call, Ok(200), "{storage} {flaw:?}");
                assert_eq!(sent.len(), 2, "{flaw:?}");
                assert!(has_distinct(&sent), "{flaw:?}");
            }
        }
    }
}

// claim: end-19
#[test]
fn successor_in_an_unusable_response_is_used() {
    for storage in Machine::STORAGES {
        for &flaw in UNUSABLE {
            let mut client = Machine::signed_in(storage);
            client.expire_access_token();
            client.fault(Endpoint::Refresh, fault_of(flaw));
            assert_eq!(client.call(), Ok(200), "{storage} {flaw:?}");
            let sent = client.refresh_tokens_sent();
            assert_eq!(sent.len(), 2, "{storage} {flaw:?}");
            assert!(has_distinct(&sent), "{storage} {flaw:?}");
        }
    }
}

// claim: end-21
#[test]
fn successor_of_another_user_ends_the_session() {
    for storage in Machine::STORAGES {
        for &flaw in UNUSABLE {
            for (claim, value) in [("sub", "mallory"), ("iss", "https://evil.example")] {
                let mut client = Machine::signed_in(storage);
                client.expire_access_token();
                client.state(claim, value.into());
                client.fault(Endpoint::Refresh, fault_of(flaw));
                let call = client.call();
                assert_eq!(call, Err("session_ended".to_owned()), "{storage} {flaw:?}");
                let reason = client.reason();
                assert_eq!(reason.as_deref(), Some("security"), "{claim} {flaw:?}");
                assert_eq!(client.refresh_tokens_sent().len(), 1, "{claim} {flaw:?}");
                assert!(client.is_revoked(), "{flaw:?}");
            }
        }
    }
}

#[test]
fn access_token_stays_in_use_after_an_unusable_response() {
    for storage in Machine::STORAGES {
        let mut client = Machine::signed_in(storage);
        let nearly = client.lifetime() - 25;
        client.pass(nearly);
        let flaw = Fault::Altered("token_type", r#""mac""#);
        client.provider().outage(Endpoint::Refresh, flaw);
        for _ in 0..10 {
            // The vault's API accepts only the newest token, which the vault does not have.
            let _ = client.call();
            client.pass(1);
        }
        let mut used = client.seen_by_api();
        assert!(used.len() >= 10, "{storage}");
        used.dedup();
        assert_eq!(used.len(), 1, "{storage}");
        assert!(client.session().is_some());
        // The refresh is tried again at the usual intervals, and not at once.
        let sent = client.refresh_tokens_sent();
        assert!((2..=6).contains(&sent.len()), "{storage}: {}", sent.len());
        assert!(has_distinct(&sent), "{storage}");
    }
}

// claim: end-20
#[test]
fn session_ends_with_its_access_token_if_no_token_is_usable() {
    for storage in Machine::STORAGES {
        let mut client = Machine::signed_in(storage);
        let nearly = client.lifetime() - 25;
        client.pass(nearly);
        // The response has neither an access token nor a refresh token that is usable.
        let flaw = Fault::Altered("refresh_token", r#"1,"access_token":null,"x":1"#);
        client.fault(Endpoint::Refresh, flaw);
        assert_eq!(client.call(), Ok(200), "{storage}");
        let warnings = client.warnings();
        assert!(warnings.contains(&"refresh_token_missing".to_owned()));
        let session = client.session().unwrap();
        assert_eq!(session.str("state"), Some("active"), "{storage}");
        client.pass(30);
        assert_eq!(client.call(), Err(Machine::AFTER_EXPIRY.to_owned()));
        assert_eq!(client.reason().as_deref(), Some("expired"), "{storage}");
        assert_eq!(client.refresh_tokens_sent().len(), 1, "{storage}");
    }
}

#[test]
fn strict_rules_stay_strict() {
    let invalid = "token_response_invalid";
    // Another type of tokens, and an ID token that is not valid.
    let mut cases = vec![
        ("{}", ("token_type", r#""mac""#), invalid),
        ("{}", ("id_token", r#""a.b.c""#), "id_token_invalid"),
        ("{}", ("access_token", "1"), invalid),
    ];
    // Without a type of tokens, it is not known that a token is bound.
    for value in ["null", r#""""#] {
        cases.push((r#"{"dpop":true}"#, ("token_type", value), invalid));
    }
    // A client that refuses other scopes needs to know the granted ones.
    let refusing = r#"{"unrequestedScopes":"refuse"}"#;
    for value in ["[]", "1", "{}", r#""\u0007""#, r#""\ud800""#] {
        cases.push((refusing, ("scope", value), invalid));
    }
    for (config, flaw, code) in cases {
        let mut client = Machine::with(config);
        client.fault(Endpoint::Exchange, fault_of(flaw));
        let failure = client.sign_in().unwrap_err();
        assert_eq!(failure.code, code, "{flaw:?}");
        if flaw.0 == "scope" {
            assert!(failure.message.contains("scope"), "{failure:?}");
        }
        assert!(client.session().is_none(), "{flaw:?}");
    }
}
