//! The provider may state when a session ends at the latest, by `session_expiry` in an ID token (IPSIE).
//! `tests/both/session_expiry.rs` has what the token handler does, too.

use std::time::Duration;

use crate::both::Client;
use crate::both::session_expiry::{HOUR, end_of, signed_in, state};
use crate::client::Machine;

#[test]
fn pages_are_warned_of_the_stated_end() {
    let mut client = signed_in("{}", HOUR);
    end_of(&mut client);
    let page = client.world.page(client.page);
    let warning = page.of_type("expiring").next_back().unwrap();
    let at = warning.get("at").unwrap().as_u64().unwrap();
    assert_eq!(at, client.world.now.wall);
}

#[test]
fn unusable_stated_end_of_a_refresh_is_ignored() {
    let mut client = signed_in("{}", 2 * HOUR);
    client.state("session_expiry", "soon".into());
    client.expire_access_token();
    assert_eq!(client.call(), Ok(200));
    client.provider().flaw = None;
    assert_eq!(end_of(&mut client).0, 2 * HOUR);
}

#[test]
fn stated_end_is_relative_to_the_issue() {
    for off in [-50, 50] {
        let mut client = Machine::with("{}");
        client.world.set_clock_by(off);
        state(&mut client, HOUR);
        assert_eq!(client.sign_in(), Ok(()));
        let began = client.now();
        end_of(&mut client);
        assert_eq!(client.now() - began, HOUR * 1000, "{off}");
    }
}

mod stored {
    use super::*;
    use kit::world::{REVOKE, SEALED, World};

    #[test]
    fn stated_end_counts_after_a_change_of_the_absolute_limit() {
        let shorter = r#"{"session":{"persist":"sealed","idle":1800,"absolute":1800}}"#;
        let mut client = signed_in(shorter, 2 * HOUR);
        client.world.reconfigure(SEALED);
        client.restart();
        let lasts = client.time("expiresAt") - client.time("startedAt");
        assert_eq!(lasts, 2 * HOUR * 1000);
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
        let mut world = signed_in(SEALED, 1200).world;
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
            let mut client = signed_in(APIS, 9 * HOUR);
            let world = &mut client.world;
            world.provider.resources = vec![BILLS];
            world.provider.id_token_for_resources = true;
            world.checkers.entry(OTHER_API).or_default().resource = Some(BILLS);
            client.pass(240);
            state(&mut client, HOUR);
            let url = &[OTHER_API, "/orders"].concat();
            let other = Fetch {
                url,
                ..Fetch::default()
            };
            let call = client.world.fetch_as(client.page, &other);
            client.world.answer_all();
            assert_eq!(client.world.status(call), 200);
            client.provider().flaw = None;
            if restarts {
                client.restart();
            }
            assert_eq!(end_of(&mut client).0, 240 + HOUR, "{restarts}");
        }
    }
}
