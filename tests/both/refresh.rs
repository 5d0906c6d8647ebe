//! Refreshes: what is sent, and what a failure means.

use kit::world::{Endpoint, Fault};

use super::Client;
use crate::client::Machine;

#[test]
fn refresh_token_may_have_any_visible_character() {
    for storage in Machine::STORAGES {
        for first in [' ', '!', '&', '~'] {
            let mut client = Machine::with(storage);
            let ending: String = (first..='~').chain(' '..first).collect();
            client.provider().ending.clone_from(&ending);
            assert_eq!(client.sign_in(), Ok(()));
            client.restart();
            for _ in 0..2 {
                client.expire_access_token();
                assert_eq!(client.call(), Ok(200), "{storage} {first:?}");
            }
            let sent = client.refresh_tokens_sent();
            assert_eq!(sent.len(), 2, "{storage} {first:?}");
            assert!(sent.iter().all(|token| token.ends_with(&ending)));
            client.log_out();
            assert!(client.is_revoked(), "{storage} {first:?}");
        }
    }
}

// claim: end-8
#[test]
fn other_4xx_are_outages() {
    for status in [402, 403, 404, 405, 407, 410, 451] {
        let mut client = Machine::signed_in("{}");
        client.expire_access_token();
        let provider = client.provider();
        provider.outage(Endpoint::Refresh, Fault::Status(status));
        for _ in 0..40 {
            let call = client.call();
            assert_eq!(call, Err("provider_unavailable".to_owned()), "{status}");
            client.pass(10);
        }
        client.provider().repair();
        client.pass(60);
        assert_eq!(client.member("state"), r#""active""#, "{status}");
    }
}

// claim: end-5
#[test]
fn third_unexplained_refusal_asks_for_the_user() {
    let mut client = Machine::signed_in("{}");
    client.expire_access_token();
    let unexplained = Fault::Refused("invalid_request");
    client.provider().outage(Endpoint::Refresh, unexplained);
    for pause in [29, 31] {
        let call = client.call();
        assert_eq!(call, Err("interaction_required".to_owned()));
        assert_eq!(client.member("state"), r#""interaction_required""#);
        assert_eq!(client.refresh_tokens_sent().len(), 3);
        client.pass(pause);
    }
    // The refresh token was kept, and a success restores the session.
    client.provider().repair();
    assert_eq!(client.call(), Ok(200));
    assert_eq!(client.member("state"), r#""active""#);
}

#[test]
fn two_unexplained_refusals_are_not_enough() {
    for error in ["invalid_request", "something_new"] {
        let mut client = Machine::signed_in("{}");
        client.expire_access_token();
        client.fault(Endpoint::Refresh, Fault::Refused(error));
        client.fault(Endpoint::Refresh, Fault::Refused(error));
        assert_eq!(client.call(), Ok(200), "{error}");
        assert_eq!(client.member("state"), r#""active""#, "{error}");
    }
}

/// A response that is not an OAuth error, such as the page of a gateway in front of the provider.
// claim: end-28
#[test]
fn brief_gateway_page_is_an_outage() {
    for page in [Fault::Status(400), Fault::Status(401)] {
        let mut client = Machine::signed_in("{}");
        client.expire_access_token();
        client.provider().fault(Endpoint::Refresh, &[page; 3]);
        let call = client.call();
        assert_eq!(call, Err("provider_unavailable".to_owned()), "{page:?}");
        client.pass(5);
        assert_eq!(client.call(), Ok(200), "{page:?}");
        assert_eq!(client.member("state"), r#""active""#, "{page:?}");
    }
}
