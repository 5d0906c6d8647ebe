//! Logins that have expired at the provider, in pages that cannot repeat them. `tests/both/expired_at_provider.rs` has the
//! rest.

use kit::world::provider::response_url;

use crate::both::Client;
use crate::client::Machine;

/// Returns the response to the request at `address`.
fn expired(client: &Machine, address: &str) -> String {
    response_url(&[
        ("state", &client.parameters(address)["state"]),
        ("error", "temporarily_unavailable"),
        ("error_description", "authentication_expired"),
    ])
}

#[test]
fn response_that_was_used_is_not_repeated() {
    let mut client = Machine::with("{}");
    let address = client.begin_login("").unwrap();
    let response = expired(&client, &address);
    let of_other = response.replace("iss=https%3A%2F%2Fid.", "iss=https%3A%2F%2Fevil.");
    let failure = client.arrive(&of_other).unwrap_err();
    assert_eq!(failure.code, "issuer_mismatch");
    let failure = client.arrive(&response).unwrap_err();
    assert_eq!(failure.code, "login_replayed");
}

#[test]
fn login_that_no_page_can_repeat_is_an_error() {
    // A page that cannot go to the provider again, such as one of an earlier version.
    let mut client = Machine::with("{}");
    let address = client.begin_login("").unwrap();
    let response = expired(&client, &address);
    let callback = client.world.callback(client.page, &response);
    client.world.answer_all();
    assert_eq!(client.world.code(callback), "login_expired");
    // The opener of a popup waits for its first request.
    let mut client = Machine::with("{}");
    let address = client.world.begin_login(client.page, "popup");
    let response = expired(&client, &address);
    let failure = client.arrive(&response).unwrap_err();
    assert_eq!(failure.code, "login_expired");
}

#[test]
fn canceled_login_is_not_repeated() {
    let mut client = Machine::with("{}");
    let address = client.begin_login("").unwrap();
    let response = expired(&client, &address);
    let callback = format!(r#""t":"callback","url":"{response}","mayRepeat":true"#);
    let callback = client.world.ask(client.page, &callback);
    client.world.logout(client.page);
    client.world.answer_all();
    assert_eq!(client.world.code(callback), "login_canceled");
}
