//! `dpop: true`: tokens are bound to a key (RFC 9449).

use kit::world::Endpoint;

use super::Client;
use crate::client::Machine;

const BOUND: &str = r#"{"dpop":true}"#;

// claim: handler-35
#[test]
fn bearer_tokens_are_discarded() {
    let mut client = Machine::with(BOUND);
    client.provider().ignores_dpop = true;
    let failure = client.sign_in().unwrap_err();
    assert_eq!(failure.code, "token_response_invalid");
    assert!(client.session().is_none());
    // Those of a refresh, too.
    let mut client = Machine::signed_in(BOUND);
    client.provider().rotates = false;
    client.provider().ignores_dpop = true;
    client.expire_access_token();
    assert_eq!(client.call(), Err("provider_unavailable".to_owned()));
    assert!(client.seen_by_api().is_empty());
    client.provider().ignores_dpop = false;
    client.pass(60);
    assert_eq!(client.call(), Ok(200));
}

#[test]
fn provider_nonce_is_used() {
    let mut client = Machine::with(BOUND);
    client.provider().dpop.nonce = Some("one".to_owned());
    assert_eq!(client.sign_in(), Ok(()));
    assert_eq!(client.count(Endpoint::Exchange), 2);
    // From here on, the provider requires another nonce.
    client.provider().dpop.nonce = Some("two".to_owned());
    for _ in 0..2 {
        client.expire_access_token();
        assert_eq!(client.call(), Ok(200));
    }
    let proofs = client.provider().dpop.proofs.iter();
    let nonces: Vec<_> = proofs.map(|proof| proof.nonce.as_deref()).collect();
    let [one, two] = [Some("one"), Some("two")];
    assert_eq!(nonces, [None, one, one, two, two]);
}
