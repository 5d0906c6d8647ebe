//! A call with `keepalive` goes on when its page has gone, as long as the vault lives. No other call does.

use std::time::Duration;

use kit::world::{Fetch, Kind, REFRESH, Request, World};
use vault::{Body, PortId};

const BEACON: Fetch<'_> = Fetch {
    url: "https://api.example.com/v1/orders",
    method: "POST",
    headers: &[],
    background: false,
    awaited: false,
    keepalive: true,
    credentials: "",
    body: Body::Replayable,
};

/// Creates a vault with two pages of a signed-in user.
fn two_pages() -> (World, PortId, PortId) {
    let (mut world, page) = World::signed_in();
    let other = world.open();
    (world, page, other)
}

/// Leaves the page while a call of it is at the API. Returns the call.
fn left_during(world: &mut World, page: PortId, fetch: &Fetch<'_>) -> Request {
    world.hold(&[Kind::Call]);
    let call = world.fetch_as(page, fetch);
    assert_eq!(world.outstanding(Kind::Call), 1);
    world.leave(page);
    call
}

#[test]
fn call_of_a_left_page_goes_on_with_keepalive_only() {
    for (fetch, expected) in [
        (BEACON, 1),
        (
            Fetch {
                keepalive: false,
                ..BEACON
            },
            0,
        ),
        (
            Fetch {
                body: Body::OneShot,
                ..BEACON
            },
            0,
        ),
    ] {
        let (mut world, page, _) = two_pages();
        left_during(&mut world, page, &fetch);
        assert_eq!(world.outstanding(Kind::Call), expected);
        world.release();
        assert_eq!(world.seen_by_api.len(), expected);
        assert_eq!(world.outstanding(Kind::ResponseBody), 0);
    }
}

#[test]
fn left_page_gets_no_response() {
    for path in ["/orders", "/never", "/redirect", "/echo"] {
        let (mut world, page, _) = two_pages();
        let url = ["https://api.example.com/v1", path].concat();
        let call = left_during(
            &mut world,
            page,
            &Fetch {
                url: &url,
                ..BEACON
            },
        );
        world.release();
        assert_eq!(world.responses(call), [], "{path}");
    }
}

#[test]
fn call_that_waits_for_a_token_is_sent_without_its_page() {
    let (mut world, page, _) = two_pages();
    world.expire_access_token();
    world.hold(&[REFRESH]);
    world.fetch_as(page, &BEACON);
    world.leave(page);
    assert_eq!(world.count(Kind::Call), 0);
    world.release();
    assert_eq!(world.seen_by_api.len(), 1);
}

#[test]
fn refused_token_is_replaced_without_the_page() {
    let (mut world, page, _) = two_pages();
    world.provider.withdraw_access_tokens();
    left_during(&mut world, page, &BEACON);
    world.release();
    assert_eq!((world.count(REFRESH), world.count(Kind::Call)), (1, 2));
}

#[test]
fn call_without_a_page_ends_after_thirty_seconds() {
    for (seconds, expected) in [(29, 1), (30, 0)] {
        let (mut world, page, _) = two_pages();
        left_during(&mut world, page, &BEACON);
        world.advance(Duration::from_secs(seconds));
        assert_eq!(world.outstanding(Kind::Call), expected, "{seconds}");
        world.release();
    }
}

#[test]
fn call_of_a_page_has_no_such_limit() {
    let (mut world, page, _) = two_pages();
    world.hold(&[Kind::Call]);
    let call = world.fetch_as(page, &BEACON);
    world.advance(Duration::from_secs(60));
    world.release();
    assert_eq!(world.status(call), 200);
}

#[test]
fn logout_ends_a_call_without_a_page() {
    let (mut world, page, other) = two_pages();
    left_during(&mut world, page, &BEACON);
    world.logout(other);
    assert_eq!(world.outstanding(Kind::Call), 0);
    world.release();
    assert_eq!(world.seen_by_api.len(), 0);
}

#[test]
fn response_that_has_arrived_ends_with_its_page() {
    let (mut world, page, _) = two_pages();
    world.hold(&[Kind::ResponseBody]);
    world.fetch_as(page, &BEACON);
    world.answer_all();
    assert_eq!(world.outstanding(Kind::ResponseBody), 1);
    world.leave(page);
    assert_eq!(world.outstanding(Kind::ResponseBody), 0);
}
