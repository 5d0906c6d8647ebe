//! Failed requests of a login that only the vault meets: `tests/both/repeated_requests.rs` has the rest.

use kit::world::{Endpoint, Fault};

use crate::both::Client;
use crate::client::Machine;

/// The user has waited long enough.
#[test]
fn silence_is_not_repeated() {
    for endpoint in [Endpoint::Keys, Endpoint::Profile] {
        let mut client = Machine::with(r#"{"userInfo":true,"claims":["name"]}"#);
        client.fault(endpoint, Fault::Silence);
        assert!(client.sign_in().is_err(), "{endpoint:?}");
        assert_eq!(client.count(endpoint), 1, "{endpoint:?}");
    }
}
