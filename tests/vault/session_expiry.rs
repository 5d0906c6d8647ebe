//! The provider may state when a session ends at the latest, by `session_expiry` in an ID token (IPSIE).
//! `tests/both/session_expiry.rs` has what the token handler does, too.

use std::time::Duration;

use kit::world::{Flaw, World};
use rules::codec::json::Value;
use vault::PortId;

const HOUR: u64 = 3600;

/// ID tokens from now on state that the session ends this many seconds from now.
fn state(world: &mut World, seconds: u64) {
    let now = world.true_time / 1000;
    state_as(world, (now + seconds).into());
}

/// ID tokens from now on have this `session_expiry`.
fn state_as(world: &mut World, value: Value) {
    world.provider.flaw = Some(Flaw::Claim("session_expiry", value));
    world.watch.accept_stated_ends();
}

/// Returns a world with a session whose end is stated `seconds` after the login.
fn signed_in(config: &str, seconds: u64) -> (World, PortId) {
    let mut world = World::with(config);
    state(&mut world, seconds);
    let page = world.open();
    world.sign_in(page);
    world.provider.flaw = None;
    (world, page)
}

/// Refreshes the tokens.
fn refresh(world: &mut World, page: PortId) {
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.answer_all();
}

/// Uses the session until it ends. Returns the number of seconds from the login to this end.
fn end_of(world: &mut World, page: PortId) -> u64 {
    let session = world.session(page).unwrap();
    let began = session.get("startedAt").unwrap().as_u64().unwrap();
    while world.session(page).is_some() {
        world.advance(Duration::from_secs(60));
        world.fetch(page, "/orders");
        world.answer_all();
    }
    (world.now.wall - began) / 1000
}

#[test]
fn pages_are_warned_of_the_stated_end() {
    let (mut world, page) = signed_in("{}", HOUR);
    end_of(&mut world, page);
    let warning = world.page(page).of_type("expiring").next_back().unwrap();
    let at = warning.get("at").unwrap().as_u64().unwrap();
    assert_eq!(at, world.now.wall);
}

#[test]
fn unusable_stated_end_of_a_refresh_is_ignored() {
    let (mut world, page) = signed_in("{}", 2 * HOUR);
    state_as(&mut world, "soon".into());
    refresh(&mut world, page);
    world.provider.flaw = None;
    assert_eq!(end_of(&mut world, page), 2 * HOUR);
}

#[test]
fn stated_end_is_relative_to_the_issue() {
    for off in [-50, 50] {
        let mut world = World::new();
        state(&mut world, HOUR);
        world.set_clock_by(off);
        let page = world.open();
        world.sign_in(page);
        assert_eq!(end_of(&mut world, page), HOUR, "{off}");
    }
}

mod stored {
    use super::*;
    use kit::world::REVOKE;

    const SEALED: &str = r#"{"session":{"persist":"sealed"}}"#;

    /// Ends the worker, and opens the app again.
    fn restart(world: &mut World) -> PortId {
        world.restart();
        let page = world.open();
        world.answer_all();
        page
    }

    #[test]
    fn stored_session_keeps_its_stated_end() {
        let (mut world, _) = signed_in(SEALED, HOUR);
        world.advance(Duration::from_secs(600));
        let page = restart(&mut world);
        assert_eq!(end_of(&mut world, page), HOUR);
        assert_eq!(world.reason(page), Some("session_expired"));
        assert_eq!(world.count(REVOKE), 1);
    }

    #[test]
    fn stated_end_of_a_refresh_is_stored() {
        let (mut world, page) = signed_in(SEALED, 9 * HOUR);
        state(&mut world, HOUR);
        refresh(&mut world, page);
        world.provider.flaw = None;
        let page = restart(&mut world);
        assert_eq!(end_of(&mut world, page), HOUR);
    }

    #[test]
    fn stated_end_counts_after_a_change_of_the_absolute_limit() {
        let shorter = r#"{"session":{"persist":"sealed","idle":1800,"absolute":1800}}"#;
        let (mut world, _) = signed_in(shorter, 2 * HOUR);
        world.reconfigure(SEALED);
        let page = restart(&mut world);
        let session = world.session(page).unwrap();
        let time = |name| session.get(name).unwrap().as_u64().unwrap();
        assert_eq!(time("expiresAt"), time("startedAt") + 2 * HOUR * 1000);
    }

    /// The user closes the browser after the login, and comes back the next day.
    #[test]
    fn limit_is_reported_the_next_day() {
        for (seconds, reason) in [
            (12 * HOUR - 60, "idle"),
            (12 * HOUR + 60, "absolute"),
            (20 * HOUR, "absolute"),
        ] {
            let mut world = World::with(SEALED);
            let page = world.open();
            world.sign_in(page);
            world.restart();
            world.sleep_unnoticed(Duration::from_secs(seconds));
            let page = world.open();
            world.answer_all();
            assert_eq!(world.reason(page), Some(reason), "{seconds}");
            assert_eq!(world.count(REVOKE), 1, "{seconds}");
        }
    }

    #[test]
    fn stated_end_passes_while_no_worker_runs() {
        let (mut world, _) = signed_in(SEALED, 1200);
        world.restart();
        world.sleep_unnoticed(Duration::from_secs(1200));
        let page = world.open();
        world.answer_all();
        assert_eq!(world.reason(page), Some("session_expired"));
    }
}

mod of_apis {
    use super::*;
    use kit::world::Fetch;
    use kit::world::api::OTHER_API;

    const BILLS: &str = "urn:bills";
    /// The token for the second API is requested when it is first needed, long after the login's token.
    const APIS: &str = r#"{"session": {"persist": "sealed"}, "scope": "openid offline_access bills", "apis": [
        { "url": "https://api.example.com/v1/" },
        { "url": "https://other.example.com/v1/", "resource": "urn:bills" }
    ]}"#;

    #[test]
    fn stated_end_of_an_apis_token_is_relative_to_its_request() {
        for restarts in [false, true] {
            let (mut world, mut page) = signed_in(APIS, 9 * HOUR);
            world.provider.resources = vec![BILLS];
            world.provider.id_token_for_resources = true;
            world.checkers.entry(OTHER_API).or_default().resource = Some(BILLS);
            world.advance(Duration::from_secs(240));
            state(&mut world, HOUR);
            let url = &[OTHER_API, "/orders"].concat();
            let call = world.fetch_as(
                page,
                &Fetch {
                    url,
                    ..Fetch::default()
                },
            );
            world.answer_all();
            assert_eq!(world.status(call), 200);
            world.provider.flaw = None;
            if restarts {
                world.restart();
                page = world.open();
                world.answer_all();
            }
            assert_eq!(end_of(&mut world, page), 240 + HOUR, "{restarts}");
        }
    }
}
