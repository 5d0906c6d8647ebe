//! Elements of a page load files of an API by addresses on the app's origin, which rules with `media` map.

use std::time::Duration;

use kit::world::{Kind, Request, World};
use vault::PortId;

const APIS: &str = r#"{"apis":[
    {"url":"https://api.example.com/v1/secret/","methods":["GET"]},
    {"url":"https://api.example.com/v1/jobs/","methods":["POST"]},
    {"url":"https://api.example.com/v1/list","methods":["GET"],"exact":true},
    {"url":"https://api.example.com/v1/new","methods":["POST"],"exact":true},
    {"url":"https://api.example.com/v1/","reflection":"headers","media":"/media/"},
    {"url":"https://api.example.com/v1/later/","methods":["DELETE"]},
    {"url":"https://api.example.com/","methods":["GET"]}
]}"#;

fn load(world: &mut World, page: PortId, address: &str) -> Request {
    load_with(world, page, address, r#""headers":[["range","bytes=0-9"]]"#)
}

fn load_with(world: &mut World, page: PortId, address: &str, members: &str) -> Request {
    let url = [r#""t":"fetch","media":true,"url":""#, address, r#"","#].concat();
    let call = world.ask(page, &[&url, r#""method":"GET","#, members].concat());
    world.answer_all();
    call
}

// claim: script-42
#[test]
fn address_is_mapped_to_the_rule_and_loaded_with_get() {
    let (mut world, page) = World::signed_in_with(APIS);
    let call = load(&mut world, page, "/media/films/1.mp4?x=1");
    assert_eq!(world.status(call), 200);
    let seen = world.seen_by_api.last().unwrap();
    assert_eq!(
        seen.allowed.url(),
        "https://api.example.com/v1/films/1.mp4?x=1"
    );
    assert_eq!(seen.allowed.method(), "GET");
    assert!(
        seen.init.contains(r#"["range","bytes=0-9"]"#),
        "{}",
        seen.init
    );
    assert!(seen.init.contains(r#""cache":"no-store""#), "{}", seen.init);
}

// claim: script-11
#[test]
fn request_of_an_element_with_another_method_is_refused() {
    let (mut world, page) = World::signed_in_with(APIS);
    for method in ["PUT", "DELETE", "POST", "get", ""] {
        let members = format!(
            r#""t":"fetch","media":true,"url":"/media/1.png","method":"{method}","headers":[]"#
        );
        let call = world.ask(page, &members);
        assert_eq!(world.code(call), "message_invalid", "{method}");
    }
    assert_eq!(world.count(Kind::Call), 0);
}

#[test]
fn request_of_an_element_does_not_outlive_its_page() {
    let (mut world, page) = World::signed_in_with(APIS);
    let call = load_with(
        &mut world,
        page,
        "/media/1.png",
        r#""headers":[],"keepalive":true"#,
    );
    assert_eq!(world.status(call), 200);
    let init = &world.seen_by_api.last().unwrap().init;
    assert!(!init.contains("keepalive"), "{init}");
}

// claim: script-42
#[test]
fn address_that_no_media_rule_decides_about_is_refused() {
    let (mut world, page) = World::signed_in_with(APIS);
    for address in [
        "/other/1.png",
        "/media",
        "https://api.example.com/v1/1.png",
        "//api.example.com/v1/1.png",
        // Servers may read these as URLs of rules without `media`.
        "/media/secret/1.png",
        "/media/Secret/1.png",
        "/media/%73ecret/1.png",
        "/media/secret;a/1.png",
        "/media//secret/1.png",
        "/media/secret./1.png",
        "/media/secret",
        "/media/jobs/1/cancel",
        "/media/later/1",
        "/media/list",
        "/media/new",
        "/media/../secret/1.png",
        "/media/..;/1.png",
        "/media/%2e%2e/v2/1.png",
    ] {
        let call = load(&mut world, page, address);
        assert_eq!(world.code(call), "url_not_allowed", "{address}");
    }
    assert_eq!(world.count(Kind::Call), 0);
}

#[test]
fn address_beside_other_rules_is_loaded() {
    let (mut world, page) = World::signed_in_with(APIS);
    for address in [
        "/media/list/1.png",
        "/media/secrets/1.png",
        "/media/a%20b/%C3%BC.png",
    ] {
        let call = load(&mut world, page, address);
        assert_eq!(world.status(call), 200, "{address}");
    }
}

// claim: script-42
#[test]
fn headers_of_elements_are_checked() {
    let (mut world, page) = World::signed_in_with(APIS);
    let call = load_with(
        &mut world,
        page,
        "/media/1.png",
        r#""headers":[["cookie","a"]]"#,
    );
    assert_eq!(world.code(call), "header_not_allowed");
}

// claim: script-42
#[test]
fn elements_do_not_extend_the_idle_timeout() {
    for (background, is_media) in [(false, true), (true, false), (false, false)] {
        let (mut world, page) = World::signed_in_with(APIS);
        for _ in 0..5 {
            world.advance(Duration::from_secs(600));
            let url = if is_media {
                "/media/1"
            } else {
                "https://api.example.com/v1/1"
            };
            let members = format!(
                r#""t":"fetch","media":{is_media},"url":"{url}","method":"GET","headers":[],"background":{background}"#
            );
            world.ask(page, &members);
            world.answer_all();
        }
        assert_eq!(world.session(page).is_some(), !background && !is_media);
    }
}

#[test]
fn hidden_range_is_an_error_and_one_warning() {
    let mut world = World::on_loopback(APIS);
    let page = world.open();
    world.sign_in(page);
    for _ in 0..2 {
        let call = load(&mut world, page, "/media/hidden-part");
        assert_eq!(world.code(call), "range_hidden");
    }
    let warnings = world.page(page).of_type("warning");
    assert_eq!(
        warnings
            .filter(|m| m.str("warning") == Some("range_hidden"))
            .count(),
        1
    );
    let call = load(&mut world, page, "/media/part");
    assert_eq!(world.status(call), 206);
}

#[test]
fn calls_of_a_page_that_has_gone_end() {
    let (mut world, page) = World::signed_in_with(APIS);
    world.hold(&[Kind::Call]);
    let members =
        r#""t":"fetch","media":true,"keepalive":true,"url":"/media/1","method":"GET","headers":[]"#;
    world.ask(page, members);
    assert_eq!(world.outstanding(Kind::Call), 1);
    world.leave(page);
    assert_eq!(world.outstanding(Kind::Call), 0);
}
