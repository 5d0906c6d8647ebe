//! A response or socket that is open is searched for access tokens that come later, too: while an event stream is read,
//! the token is renewed, and another user may sign in.

use std::time::Duration;

use crate::keeping::{SEALED, two_vaults_with};
use kit::world::api::OTHER_API;
use kit::world::{Fetch, Kind, Request, World};
use vault::PortId;

const SOCKET: &str = "wss://api.example.com/v1/live";

/// A configuration with sockets, and with an API that has a token of its own.
fn configured(reflection: &str) -> String {
    format!(
        r#"{{"scope": "openid offline_access bills", "apis": [
            {{ "url": "https://api.example.com/v1/", "webSocket": {{ "token": "protocol" }}, "reflection": "{reflection}" }},
            {{ "url": "https://other.example.com/v1/", "resource": "urn:bills" }}
        ]}}"#
    )
}

/// Begins a call whose response stays open.
fn stream(world: &mut World, page: PortId) -> Request {
    world.hold(&[Kind::ResponseBody]);
    let stream = world.fetch(page, "/log");
    world.answer_all();
    assert_eq!(world.status(stream), 200);
    stream
}

/// Sends another call, and returns its token.
fn token_of_call(world: &mut World, page: PortId, url: &str) -> String {
    let fetch = Fetch {
        url,
        ..Fetch::default()
    };
    let call = world.fetch_as(page, &fetch);
    world.answer_all();
    assert_eq!(world.status(call), 200);
    let sent = world.seen_by_api.last().unwrap().authorization.expose();
    sent.strip_prefix("Bearer ").unwrap().to_owned()
}

const URL: &str = "https://api.example.com/v1/orders";

// claim: api-4
#[test]
fn open_streams_and_sockets_are_searched_for_later_tokens() {
    let (mut world, page) = World::signed_in_with(&configured("refuse"));
    world.provider.resources = vec!["urn:bills"];
    world.checkers.entry(OTHER_API).or_default().resource = Some("urn:bills");
    let first = token_of_call(&mut world, page, URL);
    let stream = stream(&mut world, page);
    let socket = world.socket(page, SOCKET, &[]);
    world.answer_all();
    assert_eq!(world.searched(stream), [&*first]);
    assert_eq!(world.searched(socket), [&*first]);
    let of_bills = token_of_call(&mut world, page, "https://other.example.com/v1/bills");
    for open in [stream, socket] {
        assert_eq!(world.searched(open), [first.clone(), of_bills.clone()]);
    }
    // A refresh ahead of the expiry.
    world.advance(Duration::from_secs(271));
    token_of_call(&mut world, page, URL);
    let second = token_of_call(&mut world, page, URL);
    assert_ne!(first, second);
    let expected = [first.clone(), second.clone(), of_bills.clone()];
    for open in [stream, socket] {
        assert_eq!(world.searched(open), expected);
    }
    // A socket that opens now is searched for the previous token, too.
    let later = world.socket(page, SOCKET, &[]);
    world.answer_all();
    assert_eq!(world.searched(later), [&*second, &of_bills, &first]);
}

// claim: api-4
#[test]
fn open_stream_keeps_its_own_token_and_drops_expired_ones() {
    let (mut world, page) = World::signed_in();
    let own = token_of_call(&mut world, page, URL);
    let stream = stream(&mut world, page);
    let mut before = own.clone();
    for _ in 0..3 {
        world.expire_access_token();
        let next = token_of_call(&mut world, page, URL);
        assert_ne!(next, before);
        assert_eq!(world.searched(stream), [&*own, &next]);
        before = next;
    }
}

// claim: api-4
#[test]
fn open_stream_is_searched_for_a_later_users_token() {
    for logs_out in [true, false] {
        let (mut world, page) = World::signed_in();
        let own = token_of_call(&mut world, page, URL);
        let stream = stream(&mut world, page);
        world.advance(Duration::from_secs(271));
        token_of_call(&mut world, page, URL);
        let renewed = token_of_call(&mut world, page, URL);
        if logs_out {
            world.logout(page);
            world.answer_all();
            // The end of a session does not make its tokens invalid.
            assert_eq!(world.searched(stream), [&*own, &renewed]);
        }
        world.provider.subject = "bob".to_owned();
        world.sign_in(page);
        let of_bob = token_of_call(&mut world, page, URL);
        assert_eq!(world.searched(stream), [&*own, &of_bob, &renewed]);
        // His responses are searched for the former user's token.
        let searched = &world.seen_by_api.last().unwrap().searched;
        assert!(searched.iter().any(|token| token.matches(&renewed)));
    }
}

// claim: api-4
#[test]
fn open_stream_is_searched_for_a_token_from_the_store() {
    let (mut world, page, other) = two_vaults_with(SEALED);
    let own = token_of_call(&mut world, page, URL);
    let stream = stream(&mut world, page);
    world.advance(Duration::from_secs(271));
    token_of_call(&mut world, other, URL);
    let of_other = token_of_call(&mut world, other, URL);
    assert_ne!(own, of_other);
    assert_eq!(world.searched(stream), [&*own, &of_other]);
    // A worker that starts with a stored session searches for its token, too.
    world.restart();
    let page = world.open();
    world.answer_all();
    let again = self::stream(&mut world, page);
    assert_eq!(world.searched(again), [&*of_other]);
}

#[test]
fn rules_without_a_search_stay_without_it() {
    // Of a call without a search of its body, only the head is searched.
    for (reflection, of_call, of_socket) in [
        ("refuse", true, true),
        ("headers", true, false),
        ("allow", false, false),
    ] {
        let (mut world, page) = World::signed_in_with(&configured(reflection));
        let stream = stream(&mut world, page);
        let socket = world.socket(page, SOCKET, &[]);
        world.answer_all();
        world.expire_access_token();
        token_of_call(&mut world, page, URL);
        let is_searched = [stream, socket].map(|open| !world.searched(open).is_empty());
        assert_eq!(is_searched, [of_call, of_socket], "{reflection}");
    }
}
