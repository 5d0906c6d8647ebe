//! Tests of malformed messages, and of the limits on the number and size of a page's messages. The vault rejects or
//! ignores a message that breaks a rule.

use vault::{Body, PortId, RequestId};

use kit::world::{Fetch, Kind, REFRESH, Request, World, fetch_members};

#[test]
fn first_message_must_be_hello() {
    let (mut world, _) = World::signed_in();
    let stranger = world.connect();
    let call = world.fetch(stranger, "/orders");
    assert_eq!(world.code(call), "message_invalid");
    let login = world.login(stranger, "redirect");
    assert_eq!(world.code(login), "message_invalid");
    assert!(world.session(stranger).is_none());
}

#[test]
fn other_protocol_version_is_reported() {
    for hello in [
        r#"{"t":"hello","version":2}"#,
        r#"{"t":"hello","version":3}"#,
        r#"{"t":"hello"}"#,
    ] {
        let mut world = World::new();
        let page = world.connect();
        world.say(page, hello);
        assert_eq!(world.failure(page), "message_invalid", "{hello}");
        assert!(world.is_closed(page), "{hello}");
    }
}

// claim: script-5
#[test]
fn second_hello_changes_nothing() {
    let (mut world, page) = World::signed_in();
    world.say(page, r#"{"t":"hello","version":1}"#);
    let told_before = world.page(page).messages.len();
    world.hold(&[REFRESH]);
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.release();
    // A second `hello` does not register the page twice, so the page receives each session once.
    let sessions = world.page(page).messages[told_before..].iter();
    let sessions = sessions.filter(|m| m.str("t") == Some("session"));
    assert_eq!(sessions.count(), 1);
}

// claim: script-5
#[test]
fn unknown_messages_are_rejected_by_id() {
    let mut world = World::new();
    let page = world.open();
    for members in [
        r#""t":"token""#,
        r#""t":"configure","issuer":"https://evil.example""#,
        r#""t":"fetch""#,
        r#""t":"login","mode":"iframe""#,
        r#""t":1"#,
    ] {
        let request = world.ask(page, members);
        assert_eq!(world.code(request), "message_invalid", "{members}");
    }
}

#[test]
fn malformed_message_is_rejected_without_id() {
    let mut world = World::new();
    let page = world.open();
    let deep = ["[".repeat(100), "]".repeat(100)].concat();
    for text in ["", "hello", "[]", "null", "{}", &deep] {
        world.say(page, text);
        let nobodys = Request {
            port: page,
            id: RequestId(0),
        };
        assert_eq!(world.code(nobodys), "message_invalid", "{text}");
    }
    assert_eq!(world.page(page).responses[&RequestId(0)].len(), 6);
}

#[test]
fn overlong_message_is_not_read() {
    let (mut world, page) = World::signed_in();
    let long = format!(r#"{{"t":"fetch","id":9,"x":"{}"}}"#, "x".repeat(131_072));
    world.say(page, &long);
    let nobodys = Request {
        port: page,
        id: RequestId(0),
    };
    assert_eq!(world.code(nobodys), "message_invalid");
}

#[test]
fn longest_message_is_read() {
    let (mut world, page) = World::signed_in();
    let members = fetch_members(&Fetch::default());
    let rest = r#"{"id":1,,"x":""}"#.len() + members.len();
    let members = format!(r#"{members},"x":"{}""#, "x".repeat(131_072 - rest - 1));
    let call = world.ask(page, &members);
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

// claim: script-18
#[test]
fn more_than_1024_calls_at_once_are_refused() {
    let (mut world, page) = World::signed_in();
    let pages = [page, world.open()];
    let third = world.open();
    world.hold(&[Kind::Call]);
    for page in pages {
        for _ in 0..512 {
            world.fetch(page, "/orders");
        }
    }
    let one_too_many = world.fetch(third, "/orders");
    assert_eq!(world.code(one_too_many), "limit_exceeded");
    world.release();
    let next = world.fetch(third, "/orders");
    world.answer_all();
    assert_eq!(world.status(next), 200);
}

#[test]
fn page_is_limited_to_512_calls() {
    let (mut world, page) = World::signed_in();
    let other = world.open();
    world.hold(&[Kind::Call]);
    for _ in 0..512 {
        world.fetch(page, "/orders");
    }
    let one_too_many = world.fetch(page, "/orders");
    assert_eq!(world.code(one_too_many), "limit_exceeded");
    let of_another = world.fetch(other, "/orders");
    world.release();
    assert_eq!(world.status(of_another), 200);
    let next = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(next), 200);
}

#[test]
fn id_in_use_is_rejected() {
    let (mut world, page) = World::signed_in();
    world.hold(&[Kind::Call]);
    let call = world.fetch(page, "/orders");
    world.ask_again(call, &fetch_members(&Fetch::default()), Body::Replayable);
    assert_eq!(world.code(call), "message_invalid");
    world.release();
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(Kind::Call), 1);
}

#[test]
fn pages_may_share_an_id() {
    let (mut world, page) = World::signed_in();
    let other = world.open();
    let members = fetch_members(&Fetch::default());
    let requests = [page, other].map(|port| Request {
        port,
        id: RequestId(77),
    });
    for request in requests {
        world.ask_again(request, &members, Body::Replayable);
    }
    world.answer_all();
    for request in requests {
        assert_eq!(world.status(request), 200);
    }
}

// claim: script-18
#[test]
fn new_page_replaces_the_first_of_256() {
    let mut world = World::new();
    let pages: Vec<PortId> = (0..256).map(|_| world.open()).collect();
    assert!(!pages.iter().any(|page| world.is_closed(*page)));
    let one_more = world.open();
    assert_eq!(world.failure(pages[0]), "limit_exceeded");
    assert_eq!(world.closed(), [pages[0]]);
    world.begin_login(one_more, "redirect");
}

#[test]
fn page_that_said_goodbye_makes_room_for_another() {
    let mut world = World::new();
    let pages: Vec<PortId> = (0..256).map(|_| world.open()).collect();
    world.say(pages[0], r#"{"t":"bye"}"#);
    let next = world.open();
    world.begin_login(next, "redirect");
}

#[test]
fn too_many_or_too_long_headers_are_refused() {
    let (mut world, page) = World::signed_in();
    let long = "x".repeat(32 * 1024);
    for headers in [vec![("x", "y"); 101], vec![("x", long.as_str())]] {
        let fetch = Fetch {
            headers: &headers,
            ..Fetch::default()
        };
        let call = world.fetch_as(page, &fetch);
        assert_eq!(world.code(call), "limit_exceeded");
    }
}

#[test]
fn url_that_is_too_long_is_refused() {
    let (mut world, page) = World::signed_in();
    let call = world.fetch(page, &["/", &"x".repeat(8192)].concat());
    assert_eq!(world.code(call), "limit_exceeded");
}

#[test]
fn unneeded_body_is_dropped() {
    let (mut world, page) = World::signed_in();
    for message in [r#""t":"inspect""#, r#""t":"nonsense""#] {
        world.ask(page, message);
        assert!(world.has_forgotten_last_body(), "{message}");
    }
}

#[test]
fn message_is_limited_to_512_members() {
    let (mut world, page) = World::signed_in();
    let members = fetch_members(&Fetch::default());
    let had = members.matches("\":").count() + 1;
    let more = |count: usize| -> String {
        let more = (0..count - had).map(|i| format!(r#","x{i}":0"#));
        [members.clone()].into_iter().chain(more).collect()
    };
    let call = world.ask(page, &more(512));
    world.answer_all();
    assert_eq!(world.status(call), 200);
    world.say(page, &format!("{{{}}}", more(514)));
    let nobodys = Request {
        port: page,
        id: RequestId(0),
    };
    assert_eq!(world.code(nobodys), "message_invalid");
}
