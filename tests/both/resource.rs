//! The resource of the login's access tokens: the option `resource` (RFC 8707).

use kit::world::Endpoint;

use super::{Client, Failure, and};
use crate::client::Machine;

const RESOURCE: &str = "https://mcp.example.com/";
const NAMED: &str = r#"{"resource":"https://mcp.example.com/"}"#;
const OTHER: &str = r#"{"resource":"https://other.example.com/"}"#;

#[test]
fn tokens_of_login_and_refresh_are_for_the_resource() {
    for storage in Machine::STORAGES {
        let mut client = Machine::with(&and(storage, NAMED));
        let url = client.begin_login("").unwrap();
        assert_eq!(client.parameters(&url)["resource"], RESOURCE);
        let response = client.authorize(&url);
        client.arrive(&response).unwrap();
        assert_eq!(client.call(), Ok(200), "{storage}");
        client.restart();
        client.expire_access_token();
        assert_eq!(client.call(), Ok(200), "{storage}");
        let seen = client.seen_by_api();
        assert_ne!(seen[0], seen[1]);
        for authorization in seen {
            let (_, token) = authorization.split_once(' ').unwrap();
            assert_eq!(client.provider().resource_of(token), Some(RESOURCE));
        }
    }
}

/// The provider would refuse its refresh (`invalid_target`), or issue a token for the other API.
#[test]
fn session_for_another_resource_is_not_continued() {
    let storage = Machine::STORAGES[1];
    for (before, after) in [("{}", NAMED), (NAMED, OTHER)] {
        let mut client = Machine::signed_in(&and(storage, before));
        client.reconfigure(&and(storage, after));
        assert_eq!(client.call(), Err("login_required".to_owned()), "{before}");
        assert_eq!(client.sign_in(), Ok(()));
        assert_eq!(client.call(), Ok(200), "{before}");
    }
}

#[test]
fn control_session_for_the_same_resource_continues() {
    let config = and(Machine::STORAGES[1], NAMED);
    let mut client = Machine::signed_in(&config);
    client.reconfigure(&config);
    assert_eq!(client.call(), Ok(200));
}

#[test]
fn code_for_another_resource_is_not_exchanged() {
    let storage = Machine::STORAGES[1];
    let mut client = Machine::with(&and(storage, NAMED));
    let url = client.begin_login("").unwrap();
    let response = client.authorize(&url);
    client.reconfigure(&and(storage, OTHER));
    let Err(Failure { code, .. }) = client.arrive(&response) else {
        panic!("the login has not failed");
    };
    assert_eq!(code, "login_unknown");
    assert_eq!(client.count(Endpoint::Exchange), 0);
}
