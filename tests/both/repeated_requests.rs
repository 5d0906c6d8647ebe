//! A login needs the provider's metadata and keys, and with `userInfo` the user's claims. If one of these requests fails
//! for a reason that may be over in a moment, it is repeated once. The code is exchanged once.

use kit::world::{Endpoint, Fault};

use super::{Client, Failure};
use crate::client::Machine;

const BRIEF: [Fault; 4] = [
    Fault::LostBefore,
    Fault::Opaque,
    Fault::Status(502),
    Fault::Status(503),
];

/// Signs a user in. The next requests to `endpoint` fail with `faults`.
fn log_in(endpoint: Endpoint, faults: &[Fault]) -> (Machine, Result<(), Failure>) {
    let mut client = Machine::with(r#"{"userInfo":true,"claims":["name"]}"#);
    for fault in faults {
        client.fault(endpoint, *fault);
    }
    let login = client.sign_in();
    (client, login)
}

#[test]
fn brief_failure_stops_no_login() {
    for endpoint in [Endpoint::Discovery, Endpoint::Keys, Endpoint::Profile] {
        for fault in BRIEF {
            let (mut client, login) = log_in(endpoint, &[fault]);
            assert_eq!(login, Ok(()), "{endpoint:?} {fault:?}");
            assert!(client.session().is_some(), "{endpoint:?} {fault:?}");
            assert_eq!(client.count(endpoint), 2, "{endpoint:?} {fault:?}");
            assert_eq!(client.count(Endpoint::Exchange), 1);
        }
    }
}

#[test]
fn request_is_repeated_once() {
    for (endpoint, code) in [
        (Endpoint::Keys, "provider_unavailable"),
        (Endpoint::Profile, "profile_failed"),
    ] {
        for fault in BRIEF {
            let (client, login) = log_in(endpoint, &[fault, fault]);
            assert_eq!(login.unwrap_err().code, code, "{endpoint:?} {fault:?}");
            assert_eq!(client.count(endpoint), 2, "{endpoint:?} {fault:?}");
        }
    }
}

#[test]
fn lasting_failures_are_not_repeated() {
    for endpoint in [Endpoint::Keys, Endpoint::Profile] {
        for fault in [
            Fault::Status(404),
            Fault::Status(500),
            Fault::Busy(503, Some(5)),
            Fault::Html,
        ] {
            let (mut client, login) = log_in(endpoint, &[fault]);
            assert!(login.is_err(), "{endpoint:?} {fault:?}");
            assert!(client.session().is_none(), "{endpoint:?} {fault:?}");
            assert_eq!(client.count(endpoint), 1, "{endpoint:?} {fault:?}");
        }
    }
}

#[test]
fn code_is_exchanged_once() {
    for fault in BRIEF {
        let (client, login) = log_in(Endpoint::Exchange, &[fault]);
        assert_eq!(login.unwrap_err().code, "provider_unavailable", "{fault:?}");
        assert_eq!(client.count(Endpoint::Exchange), 1, "{fault:?}");
    }
}
