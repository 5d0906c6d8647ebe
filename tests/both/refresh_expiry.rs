//! The provider may state the lifetime of a refresh token, by `refresh_token_expires_in` (an IETF draft) or Keycloak's
//! `refresh_expires_in`. Pages learn when the session will end unless it is refreshed.

use kit::world::{Endpoint, Fault};

use super::Client;
use crate::client::Machine;

#[test]
fn session_expires_with_its_refresh_token() {
    for name in ["refresh_token_expires_in", "refresh_expires_in"] {
        for storage in Machine::STORAGES {
            let mut client = Machine::with(storage);
            let stated = Fault::Altered(name, "900");
            client.fault(Endpoint::Exchange, stated);
            assert_eq!(client.sign_in(), Ok(()));
            let began = client.time("startedAt");
            assert_eq!(client.time("expiresAt"), began + 900_000, "{storage}");
            assert_eq!(client.time("idleExpiresAt"), began + 900_000, "{storage}");
            client.restart();
            assert_eq!(client.time("expiresAt"), began + 900_000, "{storage}");
            // A refresh extends it.
            client.pass(600);
            client.fault(Endpoint::Refresh, stated);
            assert_eq!(client.call(), Ok(200), "{storage}");
            assert_eq!(client.time("expiresAt"), began + 1_500_000, "{storage}");
            // A response that does not state it says nothing.
            client.pass(600);
            assert_eq!(client.call(), Ok(200), "{storage}");
            assert_eq!(client.time("expiresAt"), began + 43_200_000, "{storage}");
        }
    }
}

#[test]
fn access_token_may_outlive_the_refresh_token() {
    let mut client = Machine::with("{}");
    client.fault(
        Endpoint::Exchange,
        Fault::Altered("refresh_expires_in", "60"),
    );
    assert_eq!(client.sign_in(), Ok(()));
    let ends = ["expiresAt", "accessTokenExpiresAt"].map(|name| client.time(name));
    assert_eq!(ends[0], ends[1]);
}
