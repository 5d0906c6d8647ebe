//! Claims that must not change at a refresh: the option `sameClaims`.

use kit::world::{Endpoint, Flaw};

use super::{Client, and};
use crate::client::Machine;

const ORG: &str = r#"{"sameClaims":["org_id"]}"#;
const ACME: &str = r#"{"org_id":"acme"}"#;
const GLOBEX: &str = r#"{"org_id":"globex"}"#;

/// Signs in at an organization.
fn signed_in_at(storage: &str, claims: &str) -> Machine {
    let mut client = Machine::with(&and(storage, ORG));
    client.id_token_claims(claims);
    assert_eq!(client.sign_in(), Ok(()), "{storage}");
    client
}

/// From now on, ID tokens are of another organization than that of the login.
fn change(client: &mut Machine, claims: &str) {
    client.id_token_claims(claims);
    client.provider().changes_claims = true;
    client.expire_access_token();
}

#[track_caller]
fn ends(client: &mut Machine, what: &str) {
    let calls = client.seen_by_api().len();
    assert_eq!(client.call(), Err("session_ended".to_owned()), "{what}");
    assert!(client.session().is_none(), "{what}");
    assert_eq!(client.reason().as_deref(), Some("claims_changed"), "{what}");
    // The grant is that of the other tab, too.
    client.pass(60);
    assert_eq!(client.count(Endpoint::Revoke), 0, "{what}");
    assert_eq!(client.seen_by_api().len(), calls, "{what}");
}

#[track_caller]
fn goes_on(client: &mut Machine, what: &str) {
    let refreshes = client.refresh_tokens_sent().len();
    client.expire_access_token();
    assert_eq!(client.call(), Ok(200), "{what}");
    assert_eq!(client.refresh_tokens_sent().len(), refreshes + 1, "{what}");
}

// claim: end-30
#[test]
fn changed_claim_ends_the_session_without_a_revocation() {
    for storage in Machine::STORAGES {
        let mut client = signed_in_at(storage, ACME);
        goes_on(&mut client, storage);
        client.restart();
        change(&mut client, GLOBEX);
        ends(&mut client, storage);
        client.restart();
        assert!(client.session().is_none(), "{storage}");
        client.provider().changes_claims = false;
        assert_eq!(client.sign_in(), Ok(()), "{storage}");
        assert_eq!(client.call(), Ok(200), "{storage}");
        goes_on(&mut client, storage);
        assert_eq!(client.count(Endpoint::Revoke), 0, "{storage}");
    }
}

/// The login's ID token counts, and not the one of the refresh before.
#[test]
fn refresh_without_the_claim_does_not_replace_the_logins() {
    for storage in Machine::STORAGES {
        let mut client = signed_in_at(storage, ACME);
        client.id_token_claims("{}");
        goes_on(&mut client, storage);
        client.restart();
        change(&mut client, GLOBEX);
        ends(&mut client, storage);
    }
}

// claim: end-30
#[test]
fn flaw_of_the_id_token_does_not_hide_a_changed_claim() {
    for storage in Machine::STORAGES {
        for (claim, value) in [("aud", "other".into()), ("exp", 1_u64.into())] {
            let mut client = signed_in_at(storage, ACME);
            change(&mut client, GLOBEX);
            client.provider().flaw = Some(Flaw::Claim(claim, value));
            ends(&mut client, claim);
        }
    }
}

// claim: end-30
#[test]
fn only_a_signed_id_token_shows_a_change() {
    for storage in Machine::STORAGES {
        for flaw in [Flaw::Signature, Flaw::UnknownKey, Flaw::Missing] {
            let mut client = signed_in_at(storage, ACME);
            client.id_token_claims(GLOBEX);
            client.provider().flaw = Some(flaw.clone());
            goes_on(&mut client, &format!("{storage} {flaw:?}"));
        }
    }
}

#[test]
fn omitted_claim_or_an_equal_set_is_no_change() {
    for storage in Machine::STORAGES {
        let mut client = signed_in_at(storage, r#"{"org_id":["a","b"]}"#);
        for claims in [r#"{"org_id":["b","a"]}"#, "{}"] {
            client.id_token_claims(claims);
            goes_on(&mut client, claims);
        }
    }
}

#[test]
fn claim_that_the_login_lacks_is_not_compared_and_warned_about_once() {
    for storage in Machine::STORAGES {
        let mut client = signed_in_at(storage, "{}");
        let warned = |client: &Machine| {
            let warnings = client.warnings();
            warnings
                .iter()
                .filter(|code| *code == "claim_missing")
                .count()
        };
        assert_eq!(warned(&client), 1, "{storage}");
        assert_eq!(client.sign_in(), Ok(()), "{storage}");
        assert_eq!(warned(&client), 1, "{storage}");
        client.id_token_claims(GLOBEX);
        goes_on(&mut client, storage);
    }
}

#[test]
fn other_claims_may_change() {
    let mut client = signed_in_at("{}", ACME);
    client.id_token_claims(r#"{"org_id":"acme","name":"New","org_name":"New"}"#);
    goes_on(&mut client, "name");
    let mut client = Machine::signed_in("{}");
    client.id_token_claims(ACME);
    goes_on(&mut client, "without the option");
    client.id_token_claims(GLOBEX);
    goes_on(&mut client, "without the option");
}
