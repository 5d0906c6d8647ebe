//! Claims from the provider's UserInfo endpoint (OIDC Core 5.3).

use kit::world::{Endpoint, Fault};

use super::{Client, and};
use crate::client::Machine;

const CONFIG: &str = r#"{"userInfo": true, "claims": ["name", "address", "acr"]}"#;

// claim: network-4
#[test]
fn configured_claims_are_added() {
    for storage in Machine::STORAGES {
        let mut client = Machine::with(&and(storage, CONFIG));
        let profile = r#"{"name":"0","address":{"locality":"X"},"email":"a@b","acr":"taken"}"#;
        client.profile(profile);
        assert_eq!(client.sign_in(), Ok(()));
        let claims = r#"{"sub":"alice","name":"0","address":{"locality":"X"}}"#;
        assert_eq!(client.claims(), claims);
        client.refresh_keeps(claims);
    }
}

#[test]
fn failed_request_fails_the_login() {
    for (fault, why) in [
        (Fault::LostBefore, "did not respond"),
        (Fault::Status(403), "status 403"),
        (Fault::Status(500), "status 500"),
        (Fault::Status(302), "redirect"),
        (Fault::Html, "JSON object"),
    ] {
        let mut client = Machine::with(CONFIG);
        for _ in 0..2 {
            client.fault(Endpoint::Profile, fault);
        }
        let message = client.refused();
        assert!(message.contains(why), "{fault:?}: {message}");
    }
}

// claim: network-4
#[test]
fn other_subject_fails_the_login() {
    for info in [
        "{}",
        r#"{"sub":"mallory"}"#,
        r#"{"sub":null}"#,
        r#"{"sub":7}"#,
    ] {
        let mut client = Machine::with(CONFIG);
        client.fault(Endpoint::Profile, Fault::Response(200, info));
        assert!(client.refused().contains("another user"), "{info}");
    }
}

/// A refresh token, and a `name` that repeats it, as it is and in JSON of PHP.
const REPEATED: &[(&str, &str)] = &[
    ("the-token/that+repeats", "the-token/that+repeats"),
    (
        "the-token/that+repeats",
        "see the-token\\/that\\u002Brepeats",
    ),
];

/// The ID token has a `name` that repeats the refresh token of its response.
fn repeat(client: &mut Machine, (token, name): (&str, &str)) {
    client.token_members(&[r#"{"refresh_token":""#, token, r#""}"#].concat());
    client.state("name", name.into());
}

#[test]
fn id_token_claim_with_a_token_fails_the_login() {
    for repeated in REPEATED {
        for (claims, is_refused) in [(r#"["name"]"#, true), (r#"["email"]"#, false)] {
            let mut client = Machine::with(&[r#"{"claims":"#, claims, "}"].concat());
            repeat(&mut client, *repeated);
            let login = client.sign_in();
            assert_eq!(client.session().is_none(), is_refused, "{repeated:?}");
            if is_refused {
                let failure = login.unwrap_err();
                assert_eq!(failure.code, "id_token_invalid");
                assert!(failure.message.contains("contains a token"));
            }
        }
    }
}

#[test]
fn id_token_claim_with_a_token_changes_nothing_at_a_refresh() {
    let mut client = Machine::with(r#"{"claims": ["name"]}"#);
    client.state("name", "Alice".into());
    assert_eq!(client.sign_in(), Ok(()));
    repeat(&mut client, REPEATED[0]);
    client.expire_access_token();
    assert_eq!(client.call(), Ok(200));
    assert_eq!(client.claims(), r#"{"sub":"alice","name":"Alice"}"#);
    assert_eq!(client.warnings(), Machine::IGNORED_ID_TOKEN);
}
