//! Which responses and ID tokens a login accepts, and what a page and the operator learn from it.

use kit::world::{Endpoint, Fault};
use rules::codec::json::Value;

use super::{Client, object};
use crate::client::Machine;

#[test]
fn sign_in_that_was_not_repeated_is_reported() {
    for (options, same_time, is_reported) in [
        (r#""prompt":"login""#, true, true),
        (r#""prompt":"login consent""#, true, true),
        (r#""maxAge":5"#, true, true),
        (r#""prompt":"login""#, false, false),
        (r#""maxAge":60"#, true, false),
        ("", true, false),
    ] {
        let mut client = Machine::with(r#"{"claims":["auth_time"]}"#);
        let before = client.now() / 1000;
        client.state("auth_time", before.into());
        assert_eq!(client.sign_in(), Ok(()));
        client.pass(10);
        if !same_time {
            client.state("auth_time", (before + 10).into());
        }
        assert_eq!(client.sign_in_with(options), Ok(()), "{options}");
        let expected: &[&str] = match is_reported {
            true => &["sign_in_not_repeated"],
            false => &[],
        };
        assert_eq!(client.warnings(), expected, "{options} {same_time}");
        let shown = object(&client.claims()).get("auth_time").unwrap().as_u64();
        assert_eq!(shown == Some(before), same_time, "{options}");
    }
}

#[test]
fn session_without_refresh_token_ends_with_its_access_token() {
    for (issues, absolute, lasts) in [
        (false, 3600, None),
        (false, 240, Some(240)),
        (true, 3600, Some(3600)),
    ] {
        let config = format!(r#"{{"session":{{"absolute":{absolute},"idle":60}}}}"#);
        let mut client = Machine::with(&config);
        if !issues {
            client.token_members(r#"{"refresh_token":null}"#);
        }
        assert_eq!(client.sign_in(), Ok(()));
        let seconds = (client.time("expiresAt") - client.time("startedAt")) / 1000;
        assert_eq!(seconds, lasts.unwrap_or(client.lifetime()), "{absolute}");
    }
}

#[test]
fn login_that_loses_the_refresh_token_is_reported() {
    for (config, options, issues_first) in [
        ("{}", "", true),
        ("{}", r#""prompt":"none""#, true),
        (r#"{"consent":"always"}"#, r#""prompt":"none""#, true),
        (r#"{"consent":"always"}"#, "", true),
        (r#"{"scope":"openid"}"#, r#""prompt":"none""#, true),
        (r#"{"consent":"always"}"#, "", false),
        ("{}", r#""prompt":"none""#, false),
    ] {
        let mut client = Machine::with(config);
        client.provider().issues_refresh_tokens = issues_first;
        assert_eq!(client.sign_in_with(options), Ok(()));
        assert!(client.warnings().is_empty(), "{config} {options}");
        client.provider().issues_refresh_tokens = false;
        assert_eq!(client.sign_in_with(options), Ok(()));
        let expected: &[&str] = match issues_first {
            true => &["refresh_token_missing"],
            false => &[],
        };
        assert_eq!(client.warnings(), expected, "{config} {options}");
    }
}

#[test]
fn ignored_max_age_is_no_clock_error() {
    for (age, code) in [(121, Some("sign_in_not_repeated")), (120, None)] {
        let mut client = Machine::with("{}");
        let url = client.begin_login(r#""maxAge":60"#).unwrap();
        let response = client.authorize(&url);
        client.state("auth_time", (client.now() / 1000 - age).into());
        let failed = client.arrive(&response).err().map(|failure| failure.code);
        assert_eq!(failed.as_deref(), code, "{age}");
    }
}

#[test]
fn trusted_audiences_are_accepted_without_azp() {
    for (config, is_accepted) in [
        (r#"{"trustedAudiences":["https://api.example.com"]}"#, true),
        ("{}", false),
    ] {
        let mut client = Machine::with(config);
        let own = Value::from(&*client.provider().client_id);
        client.state("aud", vec![own, "https://api.example.com".into()].into());
        assert_eq!(client.sign_in().is_ok(), is_accepted, "{config}");
    }
}

// claim: site-4
#[test]
fn response_of_another_issuer_is_rejected_before_the_exchange() {
    for (iss, code) in [
        ("", "callback_invalid"),
        ("&iss=https://evil.example", "issuer_mismatch"),
    ] {
        let mut client = Machine::with("{}");
        client.provider().announces_iss = true;
        let url = client.begin_login("").unwrap();
        let response = client.authorize(&url);
        let (response, _) = response.split_once("&iss=").unwrap();
        let failure = client.arrive(&[response, iss].concat()).unwrap_err();
        assert_eq!(failure.code, code);
        assert_eq!(client.count(Endpoint::Exchange), 0, "{code}");
    }
}

// claim: site-4
#[test]
fn response_without_a_required_iss_is_refused() {
    for response in ["", "error=login_required", "error=access_denied"] {
        for (config, is_required) in [("{}", false), (r#"{"requireIss":true}"#, true)] {
            let mut client = Machine::with(config);
            client.provider().announces_iss = false;
            let silent =
                ["", r#""prompt":"none""#][usize::from(response.ends_with("login_required"))];
            let url = client.begin_login(silent).unwrap();
            let granted = client.authorize(&url);
            let (granted, _) = granted.split_once("&iss=").unwrap();
            let (at, query) = granted.split_once('?').unwrap();
            let state = query.split('&').find(|it| it.starts_with("state="));
            let refused = format!("{at}?{response}&{}", state.unwrap());
            let outcome = client.arrive(if response.is_empty() {
                granted
            } else {
                &refused
            });
            let exchanges = usize::from(outcome.is_ok());
            assert_eq!(outcome.is_ok(), !is_required && response.is_empty());
            let failure = outcome.err();
            assert_eq!(
                failure.as_ref().is_some_and(|it| {
                    it.code == "callback_invalid" && it.message.contains("requireIss")
                }),
                is_required,
                "{response} {failure:?}"
            );
            assert_eq!(client.count(Endpoint::Exchange), exchanges, "{response}");
        }
    }
}

#[test]
fn id_token_with_a_wrong_claim_makes_no_session() {
    for (claim, value, code) in [
        ("nonce", "another".into(), "id_token_invalid"),
        ("nonce", Value::Null, "id_token_invalid"),
        ("aud", "another-client".into(), "id_token_invalid"),
        ("azp", "another-client".into(), "id_token_invalid"),
        ("iss", "https://evil.example".into(), "issuer_mismatch"),
        (
            "at_hash",
            "A".repeat(22).as_str().into(),
            "id_token_invalid",
        ),
        ("exp", 1_700_000_000_u64.into(), "id_token_invalid"),
        ("exp", "soon".into(), "id_token_invalid"),
        ("iat", 1_900_000_000_u64.into(), "id_token_invalid"),
        ("sub", "".into(), "id_token_invalid"),
    ] {
        let mut client = Machine::with("{}");
        client.state(claim, value);
        assert_eq!(client.sign_in().unwrap_err().code, code, "{claim}");
        assert!(client.session().is_none(), "{claim}");
    }
}

// claim: site-3
#[test]
fn response_after_ten_minutes_is_refused() {
    for (after, code) in [(600, None), (601, Some("login_expired"))] {
        let mut client = Machine::with("{}");
        let url = client.begin_login("").unwrap();
        let response = client.authorize(&url);
        client.pass(after);
        let failed = client.arrive(&response).err().map(|failure| failure.code);
        assert_eq!(failed.as_deref(), code);
        let exchanges = usize::from(code.is_none());
        assert_eq!(client.count(Endpoint::Exchange), exchanges);
    }
}

// claim: network-2, end-2
#[test]
fn failed_exchange_is_not_repeated_and_keeps_the_former_session() {
    for (fault, code) in [
        (Fault::LostBefore, "provider_unavailable"),
        (Fault::LostAfter, "provider_unavailable"),
        (Fault::Silence, "provider_unavailable"),
        (Fault::Status(500), "provider_unavailable"),
        (Fault::Busy(429, Some(1)), "provider_unavailable"),
        (Fault::Html, "token_response_invalid"),
        (Fault::Truncated, "token_response_invalid"),
        (Fault::Altered("id_token", "null"), "token_response_invalid"),
        (Fault::Refused("invalid_client"), "client_rejected"),
        (Fault::Refused("unauthorized_client"), "client_rejected"),
        (Fault::Refused("invalid_grant"), "code_rejected"),
    ] {
        let mut client = Machine::with("{}");
        for exchanges in [1, 3] {
            let has_session = client.session().is_some();
            client.fault(Endpoint::Exchange, fault);
            assert_eq!(client.sign_in().unwrap_err().code, code, "{fault:?}");
            assert_eq!(client.count(Endpoint::Exchange), exchanges, "{fault:?}");
            assert_eq!(client.session().is_some(), has_session, "{fault:?}");
            assert_eq!(client.sign_in(), Ok(()));
        }
    }
}

#[test]
fn login_after_a_rotation_of_keys_succeeds_at_once() {
    let mut client = Machine::signed_in("{}");
    client.provider().signing_key = 1;
    client.provider().published_keys = vec![1];
    // The new keys stay in use.
    for _ in 0..2 {
        assert_eq!(client.sign_in(), Ok(()));
        assert_eq!(client.count(Endpoint::Keys), 2);
    }
}
