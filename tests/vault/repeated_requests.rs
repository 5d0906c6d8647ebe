//! A login needs the provider's metadata and keys, and with `userInfo` the user's claims. If one of these requests fails
//! for a reason that may be over in a moment, it is repeated once. The code is exchanged once.

use std::time::Duration;

use kit::world::{Endpoint, Fault, Kind, Request, World};

const EXCHANGE: Kind = Kind::Provider(Endpoint::Exchange);
const DOCUMENTS: [Endpoint; 3] = [Endpoint::Discovery, Endpoint::Keys, Endpoint::Profile];

const BRIEF: [Fault; 4] = [
    Fault::LostBefore,
    Fault::Opaque,
    Fault::Status(502),
    Fault::Status(503),
];

/// Begins a login. The next requests to `endpoint` fail with `faults`. Returns the page's callback, if the login came so
/// far.
fn log_in(endpoint: Endpoint, faults: &[Fault]) -> (World, Option<Request>) {
    let mut world = World::with(r#"{"userInfo":true,"claims":["name"]}"#);
    world.provider.fault(endpoint, faults);
    let page = world.open();
    let login = world.login(page, "redirect");
    world.advance(Duration::from_secs(11));
    if matches!(
        world.response(login),
        Some(kit::world::PageResponse::Error { .. })
    ) {
        return (world, None);
    }
    let response = world.provider.sign_in(&world.address(login));
    let callback = world.callback(page, &response);
    world.advance(Duration::from_secs(11));
    (world, Some(callback))
}

#[test]
fn brief_failure_stops_no_login() {
    for endpoint in DOCUMENTS {
        for fault in BRIEF {
            let (world, callback) = log_in(endpoint, &[fault]);
            let page = callback.unwrap().port;
            assert!(world.session(page).is_some(), "{endpoint:?} {fault:?}");
            assert_eq!(
                world.count(Kind::Provider(endpoint)),
                2,
                "{endpoint:?} {fault:?}"
            );
            assert_eq!(world.count(EXCHANGE), 1);
        }
    }
}

#[test]
fn request_is_repeated_once() {
    for endpoint in [Endpoint::Keys, Endpoint::Profile] {
        for fault in BRIEF {
            let (world, callback) = log_in(endpoint, &[fault, fault]);
            let code = world.code(callback.unwrap());
            let expected = match endpoint {
                Endpoint::Keys => "provider_unavailable",
                _ => "profile_failed",
            };
            assert_eq!(code, expected, "{endpoint:?} {fault:?}");
            assert_eq!(
                world.count(Kind::Provider(endpoint)),
                2,
                "{endpoint:?} {fault:?}"
            );
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
            Fault::Silence,
        ] {
            let (world, callback) = log_in(endpoint, &[fault]);
            assert!(
                !world.code(callback.unwrap()).is_empty(),
                "{endpoint:?} {fault:?}"
            );
            assert_eq!(
                world.count(Kind::Provider(endpoint)),
                1,
                "{endpoint:?} {fault:?}"
            );
        }
    }
}

#[test]
fn code_is_exchanged_once() {
    for fault in BRIEF {
        let (world, callback) = log_in(Endpoint::Exchange, &[fault]);
        assert_eq!(
            world.code(callback.unwrap()),
            "provider_unavailable",
            "{fault:?}"
        );
        assert_eq!(world.count(EXCHANGE), 1, "{fault:?}");
    }
}
