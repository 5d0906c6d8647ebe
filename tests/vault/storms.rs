//! Requests that a broken or hostile provider causes: they stay few, whatever it responds.

use std::time::Duration;

use kit::world::{Endpoint, Fault, REFRESH, World};

/// Only the refresh token in this response is usable.
const NO_ACCESS_TOKEN: Fault = Fault::Altered("access_token", "null");
/// Only the refresh token in this response is usable, and strict readers refuse its JSON.
const AMBIGUOUS: Fault = Fault::Altered("access_token", r#""a","access_token":"b""#);

/// Returns the number of refreshes in one hour, in which a provider accepts each refresh token, and its responses have these
/// faults in turn.
fn refreshes(faults: &[Fault], calls: bool) -> usize {
    let (mut world, page) = World::expired();
    world.provider.leeway = Duration::from_secs(100_000);
    let faults = faults.repeat(10_000);
    world.provider.fault(Endpoint::Refresh, &faults);
    world.fetch(page, "/orders");
    for _ in 0..3600 {
        if calls {
            world.fetch(page, "/orders");
            world.answer_all();
        }
        world.advance(Duration::from_secs(1));
    }
    world.count(REFRESH)
}

#[test]
fn broken_responses_cause_few_refreshes() {
    for (faults, most) in [
        (&[Fault::Truncated][..], [10, 70]),
        (&[Fault::LostAfter], [10, 70]),
        (&[NO_ACCESS_TOKEN], [10, 70]),
        (&[AMBIGUOUS], [10, 70]),
        (&[Fault::Truncated, NO_ACCESS_TOKEN], [20, 80]),
        (&[Fault::LostAfter, NO_ACCESS_TOKEN], [20, 80]),
        (&[Fault::Busy(429, Some(600))], [7, 7]),
        (&[Fault::Busy(503, Some(600))], [7, 7]),
    ] {
        for (calls, most) in [false, true].into_iter().zip(most) {
            let sent = refreshes(faults, calls);
            assert!(sent <= most, "{faults:?}, calls: {calls}: {sent}");
        }
    }
}
