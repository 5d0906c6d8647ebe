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
        let session = client.session().unwrap();
        assert_eq!(session.str("state"), Some("active"), "{status}");
    }
}
