//! A vault serves at most 256 pages. An additional page replaces the page that was silent for the longest time. Pages
//! with a call in flight are spared, unless all pages have one.

use kit::world::{Kind, World};
use vault::PortId;

/// Creates a vault that serves as many pages as it can, with a signed-in user.
fn full() -> (World, Vec<PortId>) {
    let (mut world, page) = World::signed_in();
    let others = (1..256).map(|_| world.open());
    let pages = [page].into_iter().chain(others).collect();
    (world, pages)
}

#[test]
fn least_recent_page_is_evicted() {
    let (mut world, pages) = full();
    for _ in 0..3 {
        world.open();
    }
    assert_eq!(world.closed(), &pages[..3]);
    // `World` would fail the test if the vault told a closed page of the logout.
    world.logout(pages[3]);
}

#[test]
fn any_message_protects_from_eviction() {
    let ways: [fn(&mut World, PortId); 8] = [
        |world, page| world.say(page, r#"{"t":"hello","version":1}"#),
        |world, page| world.say(page, r#"{"id":9,"t":"cancel"}"#),
        |world, page| world.say(page, r#"{"id":9,"t":"abort"}"#),
        |world, page| {
            world.login(page, "redirect");
        },
        |world, page| {
            world.callback(page, "https://app.example.com/");
        },
        |world, page| {
            world.fetch(page, "/orders");
        },
        |world, page| {
            world.logout(page);
        },
        |world, page| {
            world.ask(page, r#""t":"inspect""#);
        },
    ];
    for (i, say) in ways.into_iter().enumerate() {
        let (mut world, pages) = full();
        say(&mut world, pages[0]);
        world.answer_all();
        world.open();
        assert_eq!(world.closed(), [pages[1]], "{i}");
    }
}

#[test]
fn repeated_hello_evicts_no_page() {
    let (mut world, pages) = full();
    world.say(pages[7], r#"{"t":"hello","version":1}"#);
    assert!(world.closed().is_empty());
}

#[test]
fn page_with_a_call_is_not_evicted() {
    let (mut world, pages) = full();
    world.hold(&[Kind::Call]);
    let call = world.fetch(pages[0], "/orders");
    for page in &pages[1..] {
        world.ask(*page, r#""t":"inspect""#);
    }
    world.open();
    assert_eq!(world.closed(), [pages[1]]);
    world.release();
    assert_eq!(world.status(call), 200);
}

#[test]
fn page_reading_a_body_is_not_evicted() {
    let (mut world, pages) = full();
    world.hold(&[Kind::ResponseBody]);
    world.fetch(pages[0], "/orders");
    world.answer_all();
    for page in &pages[1..] {
        world.ask(*page, r#""t":"inspect""#);
    }
    world.open();
    assert_eq!(world.closed(), [pages[1]]);
}

#[test]
fn first_of_all_busy_pages_is_evicted() {
    let (mut world, pages) = full();
    world.hold(&[Kind::Call]);
    let calls: Vec<_> = pages
        .iter()
        .map(|page| world.fetch(*page, "/orders"))
        .collect();
    world.open();
    assert_eq!(world.closed(), [pages[0]]);
    assert_eq!(world.outstanding(Kind::Call), 255);
    world.release();
    assert_eq!(world.responses(calls[0]), []);
    assert_eq!(world.status(calls[1]), 200);
}

#[test]
fn evicted_page_gets_no_response() {
    let (mut world, pages) = full();
    let login = world.login(pages[0], "popup");
    world.answer_all();
    let response = world.provider.sign_in(&world.address(login));
    let logout = world.logout(pages[1]);
    for page in &pages[2..] {
        world.ask(*page, r#""t":"inspect""#);
    }
    let [one, _] = [world.open(), world.open()];
    assert_eq!(world.closed(), &pages[..2]);
    world.callback(one, &response);
    world.answer_all();
    assert!(world.session(one).is_some());
    assert_eq!(world.responses(login).len(), 1);
    assert_eq!(world.responses(logout), []);
}

#[test]
fn page_of_another_version_is_closed() {
    let (mut world, page) = World::signed_in();
    let other = world.open();
    world.say(page, r#"{"t":"hello","version":2}"#);
    assert_eq!(world.failure(page), "message_invalid");
    assert_eq!(world.closed(), [page]);
    // `World` would fail the test if the vault told the closed page of the logout.
    world.logout(other);
}

#[test]
fn port_without_hello_is_closed() {
    let mut world = World::new();
    let stranger = world.connect();
    world.say(stranger, r#"{"t":"bye"}"#);
    assert_eq!(world.closed(), [stranger]);
}
