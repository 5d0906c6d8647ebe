//! WebSockets are allowed by the same `apis` entries as requests. They open with the current token in the place that
//! the entry's `webSocket` names, and close when the session ends.

use std::time::Duration;

use kit::world::page::PageResponse;
use kit::world::provider::{Endpoint, Fault};
use kit::world::sockets::{protocols, token_in};
use kit::world::{Kind, REFRESH, Request, World};
use vault::PortId;

const LIVE: &str = "wss://api.example.com/v1/live";

/// Returns a configuration with one `apis` entry, which has this `webSocket`.
fn configured(place: &str) -> String {
    [
        r#"{"apis":[{"url":"https://api.example.com/v1/","webSocket":"#,
        place,
        "}]}",
    ]
    .concat()
}

const PROTOCOL: &str = r#"{"token":"protocol","prefix":"bearer."}"#;
const MESSAGE: &str = r#"{"token":"message","message":"{\"token\":\"{token}\"}"}"#;
const QUERY: &str = r#"{"token":"query"}"#;

fn world(place: &str) -> (World, PortId) {
    World::signed_in_with(&configured(place))
}

fn open(place: &str) -> (World, PortId, Request) {
    let (mut world, page) = world(place);
    let socket = world.socket(page, LIVE, &[]);
    world.answer_all();
    (world, page, socket)
}

#[track_caller]
fn protocol(world: &World, socket: Request) -> &str {
    match world.response(socket) {
        Some(PageResponse::Socket { protocol }) => protocol,
        other => panic!("not open but {other:?}"),
    }
}

#[test]
fn token_goes_to_a_hidden_sub_protocol() {
    let (mut world, page) = world(PROTOCOL);
    let socket = world.socket(page, LIVE, &["chat"]);
    world.answer_all();
    let (_, handshake) = &world.sockets.opened[0];
    let names = protocols(handshake);
    assert_eq!(names[0], "chat");
    assert!(
        names[1].starts_with("bearer.access-token-"),
        "{}",
        names.len()
    );
    assert_eq!(handshake.url.expose(), LIVE);
    // This server chooses the protocol that contains the token, so the page sees an empty protocol.
    assert_eq!(protocol(&world, socket), "");
    assert_eq!(world.sockets.first_messages, []);
}

#[test]
fn page_learns_its_chosen_sub_protocol() {
    let (mut world, page) = world(PROTOCOL);
    world.sockets.chosen = Some("chat".to_owned());
    let socket = world.socket(page, LIVE, &["log", "chat"]);
    world.answer_all();
    assert_eq!(protocol(&world, socket), "chat");
}

#[test]
fn first_message_precedes_the_open_event() {
    let (world, _, socket) = open(MESSAGE);
    let (_, handshake) = &world.sockets.opened[0];
    assert_eq!(handshake.url.expose(), LIVE);
    assert!(protocols(handshake).is_empty());
    let (of, text) = &world.sockets.first_messages[0];
    assert_eq!(*of, socket);
    let token = token_in(text).unwrap();
    assert_eq!(*text, [r#"{"token":""#, token, r#""}"#].concat());
    assert_eq!(protocol(&world, socket), "");
}

#[test]
fn first_message_has_the_latest_token() {
    let (mut world, page) = world(MESSAGE);
    world.hold(&[Kind::Socket]);
    world.socket(page, LIVE, &[]);
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
    let latest = world.seen_by_api[0].authorization.clone();
    world.release();
    let (_, text) = &world.sockets.first_messages[0];
    let token = token_in(text).unwrap();
    assert_eq!(latest.expose(), ["Bearer ", token].concat());
}

#[test]
fn first_message_carries_no_expired_token() {
    let (mut world, page) = world(MESSAGE);
    world.hold(&[Kind::Socket]);
    let slow = world.socket(page, LIVE, &[]);
    world.expire_access_token();
    world.release();
    assert_eq!(world.sockets.first_messages, []);
    let closed = [(slow, 3000, "token_expired".to_owned())];
    assert_eq!(world.sockets.closed, closed);
    // The next socket waits for a new token.
    let next = world.socket(page, LIVE, &[]);
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
    assert_eq!(protocol(&world, next), "");
}

#[test]
fn first_message_carries_no_token_at_the_idle_limit() {
    let config = configured(MESSAGE);
    let session = r#"{"session":{"persist":"sealed","idle":60,"absolute":600},"#;
    let (mut world, page) = World::signed_in_with(&config.replacen('{', session, 1));
    world.hold(&[Kind::Socket, Kind::Load]);
    let slow = world.socket(page, LIVE, &[]);
    world.advance(Duration::from_secs(61));
    world.unhold_kind(Kind::Socket);
    world.answer_all();
    assert_eq!(world.sockets.first_messages, []);
    let closed = [(slow, 3000, "token_expired".to_owned())];
    assert_eq!(world.sockets.closed, closed);
}

#[test]
fn token_may_expire_during_the_handshake() {
    for place in [PROTOCOL, QUERY] {
        let (mut world, page) = world(place);
        world.hold(&[Kind::Socket]);
        let slow = world.socket(page, LIVE, &[]);
        world.expire_access_token();
        world.release();
        assert_eq!(protocol(&world, slow), "");
    }
}

#[test]
fn token_follows_the_pages_query() {
    let (mut world, page) = world(QUERY);
    world.socket(page, &[LIVE, "?room=1#x"].concat(), &[]);
    world.answer_all();
    let (_, handshake) = &world.sockets.opened[0];
    let url = handshake.url.expose();
    assert!(
        url.starts_with("wss://api.example.com/v1/live?room=1&access_token=access-token-"),
        "{}",
        url.len()
    );
}

// claim: reports-1
#[test]
fn query_socket_is_probed_without_token() {
    let (mut world, page) = world(QUERY);
    world.hold(&[Kind::Probe]);
    let socket = world.socket(page, &[LIVE, "?room=1"].concat(), &[]);
    world.answer_all();
    assert_eq!(world.sockets.probed, [LIVE]);
    assert_eq!(world.count(Kind::Socket), 0);
    world.release();
    assert_eq!(protocol(&world, socket), "");
}

// claim: reports-1
#[test]
fn address_is_probed_until_it_passes() {
    let (mut world, page) = world(QUERY);
    for url in [LIVE, &[LIVE, "?room=2"].concat(), &[LIVE, "/b"].concat()] {
        let socket = world.socket(page, url, &[]);
        world.answer_all();
        assert_eq!(protocol(&world, socket), "", "{url}");
    }
    assert_eq!(world.sockets.probed, [LIVE, &[LIVE, "/b"].concat()]);
}

#[test]
fn only_query_sockets_are_probed() {
    for place in [PROTOCOL, MESSAGE] {
        let (world, _, socket) = open(place);
        assert_eq!(protocol(&world, socket), "");
        assert!(world.sockets.probed.is_empty(), "{place}");
    }
}

// claim: reports-1
#[test]
fn socket_with_blocked_probe_gets_no_token() {
    let (mut world, page) = world(QUERY);
    world.sockets.are_blocked = true;
    for _ in 0..40 {
        let socket = world.socket(page, &[LIVE, "?room=1"].concat(), &[]);
        world.answer_all();
        assert_eq!(world.code(socket), "socket_blocked");
        let Some(PageResponse::Error { message, .. }) = world.response(socket) else {
            unreachable!()
        };
        assert!(
            message.contains(LIVE) && !message.contains("room"),
            "{message}"
        );
    }
    assert_eq!(world.count(Kind::Socket), 0);
    // The vault does not remember a blocked socket, and tries again each time.
    assert_eq!(world.sockets.probed.len(), 40);
}

#[test]
fn token_expiring_during_probe_is_refreshed() {
    let (mut world, page) = world(QUERY);
    world.hold(&[Kind::Probe]);
    let socket = world.socket(page, LIVE, &[]);
    world.expire_access_token();
    world.release();
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
    assert_eq!(protocol(&world, socket), "");
}

#[test]
fn refresh_during_probe_starts_no_second() {
    let (mut world, page) = world(QUERY);
    world.hold(&[Kind::Probe]);
    let socket = world.socket(page, LIVE, &[]);
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
    assert_eq!(world.count(Kind::Socket), 0);
    world.release();
    world.answer_all();
    assert_eq!(world.sockets.probed, [LIVE]);
    assert_eq!(protocol(&world, socket), "");
}

#[test]
fn logout_during_the_probe_refuses_the_socket() {
    let (mut world, page) = world(QUERY);
    world.hold(&[Kind::Probe]);
    let socket = world.socket(page, LIVE, &[]);
    world.logout(page);
    assert_eq!(world.code(socket), "session_ended");
    assert_eq!(world.outstanding(Kind::Probe), 0);
    world.release();
    assert_eq!(world.count(Kind::Socket), 0);
}

#[test]
fn page_cannot_set_the_token_parameter() {
    let (mut world, page) = world(QUERY);
    for query in ["?access_token=mine", "?a&access%5Ftoken="] {
        let socket = world.socket(page, &[LIVE, query].concat(), &[]);
        assert_eq!(world.code(socket), "url_not_allowed", "{query}");
    }
}

#[test]
fn socket_urls_follow_the_rule() {
    let (mut world, page) = world(PROTOCOL);
    for url in [
        "wss://evil.example/v1/live",
        "wss://api.example.com/v2/live",
        "wss://api.example.com/v1live",
        "wss://api.example.com/v1/../v2/live",
        "wss://api.example.com/v1/%2e%2e/live",
        "wss://api.example.com:444/v1/live",
        "wss://me@api.example.com/v1/live",
        "ws://api.example.com/v1/live",
        "http://api.example.com/v1/live",
        "wss://id.example.com/token",
        "wss:/api.example.com/v1/live",
        "ftp://api.example.com/v1/live",
        "/v1/live",
        "",
    ] {
        let socket = world.socket(page, url, &[]);
        assert_eq!(world.code(socket), "url_not_allowed", "{url}");
    }
    for url in [
        "wss://api.example.com/v1/live",
        "WSS://API.example.com:443/v1/live",
        "https://api.example.com/v1/live",
    ] {
        let socket = world.socket(page, url, &[]);
        world.answer_all();
        assert_eq!(protocol(&world, socket), "", "{url}");
    }
    for (_, handshake) in &world.sockets.opened {
        assert_eq!(handshake.url.expose(), LIVE);
    }
}

#[test]
fn loopback_sockets_need_no_tls() {
    let rules = r#"{"apis":[{"url":"http://127.0.0.1:1/","webSocket":{"token":"query"}}]}"#;
    let (mut world, page) = World::signed_in_with(rules);
    world.socket(page, "ws://127.0.0.1:1/live", &[]);
    world.answer_all();
    assert_eq!(world.count(Kind::Socket), 1);
}

#[test]
fn rule_without_web_socket_allows_none() {
    let (mut world, page) = World::signed_in();
    let socket = world.socket(page, LIVE, &[]);
    assert_eq!(world.code(socket), "url_not_allowed");
    let Some(PageResponse::Error { message, .. }) = world.response(socket) else {
        unreachable!()
    };
    assert!(message.contains("webSocket"), "{message}");
}

#[test]
fn invalid_sub_protocols_are_rejected() {
    let (mut world, page) = world(PROTOCOL);
    for names in [&["a", "a"][..], &[""], &["a b"], &["a,bearer.x"]] {
        let socket = world.socket(page, LIVE, names);
        assert_eq!(world.code(socket), "message_invalid", "{names:?}");
    }
    let socket = world.socket(page, LIVE, &["x"; 17]);
    assert_eq!(world.code(socket), "limit_exceeded");
    for members in [
        r#""t":"socket","url":"wss://api.example.com/v1/live""#,
        r#""t":"socket","protocols":[]"#,
        r#""t":"socket","url":"wss://api.example.com/v1/live","protocols":[1]"#,
    ] {
        let socket = world.ask(page, members);
        assert_eq!(world.code(socket), "message_invalid", "{members}");
    }
    assert_eq!(world.count(Kind::Socket), 0);
}

#[test]
fn without_session_socket_asks_for_login() {
    let mut world = World::with(&configured(PROTOCOL));
    let page = world.open();
    let socket = world.socket(page, LIVE, &[]);
    assert_eq!(world.code(socket), "login_required");
}

#[test]
fn socket_on_expired_token_waits_for_one_refresh() {
    for place in [PROTOCOL, MESSAGE, QUERY] {
        let (mut world, page) = world(place);
        world.expire_access_token();
        world.hold(&[REFRESH]);
        let sockets = [1, 2, 3].map(|_| world.socket(page, LIVE, &[]));
        world.answer_all();
        assert_eq!(world.count(Kind::Socket), 0);
        world.release();
        assert_eq!(world.count(REFRESH), 1);
        for socket in sockets {
            assert_eq!(protocol(&world, socket), "");
        }
    }
}

#[test]
fn socket_is_refused_without_a_token() {
    let (mut world, page) = world(PROTOCOL);
    world.expire_access_token();
    world.provider.outage(Endpoint::Refresh, Fault::Status(503));
    let socket = world.socket(page, LIVE, &[]);
    world.advance(Duration::from_secs(60));
    assert_eq!(world.code(socket), "provider_unavailable");
    assert_eq!(world.count(Kind::Socket), 0);
}

#[test]
fn open_socket_outlives_its_token() {
    let (mut world, page, _) = open(PROTOCOL);
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
    assert_eq!(world.sockets.open.len(), 1);
    assert_eq!(world.count(Kind::Socket), 1);
}

#[test]
fn logout_closes_open_and_opening_sockets() {
    let (mut world, page, open) = open(PROTOCOL);
    world.hold(&[Kind::Socket]);
    let opening = world.socket(page, LIVE, &[]);
    world.logout(page);
    let closed = [open, opening].map(|socket| (socket, 3000, "logged_out".to_owned()));
    assert_eq!(world.sockets.closed, closed);
    assert_eq!(world.outstanding(Kind::Socket), 0);
    assert!(world.sockets.open.is_empty());
}

#[test]
fn waiting_socket_is_refused_at_the_end() {
    let (mut world, page) = world(PROTOCOL);
    world.expire_access_token();
    world.hold(&[REFRESH]);
    let socket = world.socket(page, LIVE, &[]);
    world.logout(page);
    assert_eq!(world.code(socket), "session_ended");
    assert_eq!(world.sockets.closed, []);
}

#[test]
fn socket_opening_after_logout_is_ignored() {
    let (mut world, page) = world(MESSAGE);
    world.hold(&[Kind::Socket]);
    let socket = world.socket(page, LIVE, &[]);
    world.logout(page);
    world.release();
    assert_eq!(world.responses(socket), []);
    assert_eq!(world.sockets.first_messages, []);
}

#[test]
fn idle_limit_closes_sockets() {
    let (mut world, page, socket) = open(PROTOCOL);
    world.advance(Duration::from_secs(1700));
    let other = world.socket(page, LIVE, &[]);
    world.answer_all();
    world.advance(Duration::from_secs(101));
    assert_eq!(world.reason(page), Some("idle"));
    let closed = [socket, other].map(|socket| (socket, 3000, "idle".to_owned()));
    assert_eq!(world.sockets.closed, closed);
}

#[test]
fn login_closes_the_former_sockets() {
    let (mut world, page, socket) = open(PROTOCOL);
    world.sign_in(page);
    assert_eq!(
        world.sockets.closed,
        [(socket, 3000, "replaced".to_owned())]
    );
}

#[test]
fn logout_closes_sockets_but_no_calls() {
    let (mut world, page, socket) = open(PROTOCOL);
    world.hold(&[Kind::Call]);
    let call = world.fetch(page, "/orders");
    world.logout(page);
    world.release();
    let closed = [(socket, 3000, "logged_out".to_owned())];
    assert_eq!(world.sockets.closed, closed);
    assert_eq!(world.status(call), 200);
}

#[test]
fn sockets_that_open_together_are_told_apart() {
    let (mut world, page) = world(PROTOCOL);
    world.socket(page, LIVE, &[]);
    world.answer_all();
    world.hold(&[Kind::Socket]);
    world.new_jobs();
    let first = world.socket(page, LIVE, &[]);
    let second = world.socket(page, LIVE, &[]);
    let jobs = world.new_jobs();
    world.answer_arrives(jobs[1].0);
    assert_eq!(world.responses(first), []);
    assert_eq!(protocol(&world, second), "");
    world.release();
    assert_eq!(protocol(&world, first), "");
}

#[test]
fn token_is_searched_for_where_the_rule_says() {
    for (rule, is_searched) in [("", true), (r#","reflection":"headers""#, false)] {
        let place = [PROTOCOL, rule].concat();
        let (world, ..) = open(&place);
        let (_, handshake) = &world.sockets.opened[0];
        assert_eq!(!handshake.searched.is_empty(), is_searched, "{rule}");
    }
}

#[test]
fn leaving_page_closes_its_own_sockets_only() {
    let (mut world, page, _) = open(PROTOCOL);
    let other = world.open();
    world.socket(other, LIVE, &[]);
    world.answer_all();
    assert_eq!(world.sockets.open.len(), 2);
    world.leave(page);
    assert_eq!(world.sockets.open.len(), 1);
    assert_eq!(world.sockets.dropped.len(), 1);
}

#[test]
fn opening_socket_can_be_canceled() {
    let (mut world, page) = world(PROTOCOL);
    world.hold(&[Kind::Socket]);
    let socket = world.socket(page, LIVE, &[]);
    world.give_up(socket, "abort");
    assert_eq!(world.outstanding(Kind::Socket), 0);
}

#[test]
fn failed_handshake_is_not_retried() {
    let (mut world, page) = world(PROTOCOL);
    world.hold(&[Kind::Socket]);
    let socket = world.socket(page, LIVE, &[]);
    world.refuse_socket(socket);
    world.release();
    assert_eq!(world.count(Kind::Socket), 1);
    assert_eq!(world.count(REFRESH), 0);
}

// claim: script-18
#[test]
fn sockets_are_limited() {
    let (mut world, page) = world(PROTOCOL);
    let mut pages = vec![page];
    pages.extend((0..4).map(|_| world.open()));
    for &page in &pages[..4] {
        for _ in 0..32 {
            let socket = world.socket(page, LIVE, &[]);
            world.answer_all();
            assert_eq!(protocol(&world, socket), "");
        }
        let more = world.socket(page, LIVE, &[]);
        assert_eq!(world.code(more), "limit_exceeded");
    }
    let of_another = world.socket(pages[4], LIVE, &[]);
    assert_eq!(world.code(of_another), "limit_exceeded");
    world.leave(pages[0]);
    let socket = world.socket(pages[4], LIVE, &[]);
    world.answer_all();
    assert_eq!(protocol(&world, socket), "");
}
