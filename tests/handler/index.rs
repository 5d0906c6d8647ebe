//! The list of a user's sessions.

use edge::Request;
use rules::Code;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::host::{Host, json_of};

fn admin(storage: &str) -> Value {
    json!({ "session": { "admin": true, "recheck": 0, "storage": storage } })
}

const STORAGES: [&str; 2] = ["sealed-in-cookie", "in-store"];

/// Signs Ann in in a new browser. Returns the one that she used before.
fn sign_in_elsewhere(host: &mut Host) -> Browser {
    host.pass(1);
    let before = core::mem::take(&mut host.browser);
    host.sign_in();
    before
}

fn ids(sessions: &[Value]) -> Vec<&str> {
    let ids = sessions.iter();
    ids.map(|one| one["session"].as_str().unwrap()).collect()
}

#[test]
fn sessions_of_a_user_are_listed_latest_first() {
    for storage in STORAGES {
        let mut host = Host::signed_in_with(&admin(storage));
        let began = host.now.wall;
        sign_in_elsewhere(&mut host);
        host.pass(700);
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
        let refreshed = host.now.wall;
        let listed = host.sessions("ann").unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0]["startedAt"], began + 1000);
        assert_eq!(listed[0]["refreshedAt"], refreshed);
        assert_eq!(listed[1]["startedAt"], began);
        assert_eq!(listed[1]["isBound"], false);
        assert!(listed[1].get("refreshedAt").is_none());
        assert!(listed[1].get("isCurrent").is_none());
        assert!(host.sessions("bob").unwrap().is_empty());
    }
}

#[test]
fn ended_sessions_are_not_listed() {
    for storage in STORAGES {
        let mut host = Host::signed_in_with(&admin(storage));
        for _ in 0..3 {
            sign_in_elsewhere(&mut host);
        }
        let listed = host.sessions("ann").unwrap();
        let ids = ids(&listed);
        host.call("POST", "/auth/logout");
        assert_eq!(host.sessions("ann").unwrap(), &listed[1..]);
        // Nobody presents the sessions that orders have ended.
        host.end(&json!({ "session": ids[1] }), &json!({})).unwrap();
        assert_eq!(host.sessions("ann").unwrap(), &listed[2..]);
        let spare = json!({ "spare": [ids[3]] });
        host.end(&json!({ "user": "ann" }), &spare).unwrap();
        assert_eq!(host.sessions("ann").unwrap(), &listed[3..]);
        let other = json!({ "providerSession": "another" });
        host.end(&other, &json!({})).unwrap();
        assert_eq!(host.sessions("ann").unwrap().len(), 1);
        let own = json!({ "providerSession": "op-session-ann" });
        host.end(&own, &json!({})).unwrap();
        assert!(host.sessions("ann").unwrap().is_empty());
        host.sign_in();
        assert_eq!(host.sessions("ann").unwrap().len(), 1);
        host.pass(43_200);
        assert!(host.sessions("ann").unwrap().is_empty());
    }
}

#[test]
fn description_of_the_browser_is_one_short_line() {
    for (json, expected) in [
        (
            Some(r#""Firefox on a phone""#.to_owned()),
            "Firefox on a phone",
        ),
        (None, ""),
        (Some("null".to_owned()), ""),
        (Some("7".to_owned()), ""),
        (Some("not JSON".to_owned()), ""),
        (Some(r#""a\tb""#.to_owned()), ""),
        (Some(r#""a\nb""#.to_owned()), ""),
        (Some(format!("\"{}\"", "a".repeat(201))), ""),
    ] {
        let mut host = Host::with(&admin(STORAGES[0]));
        host.description = json;
        host.sign_in();
        let listed = host.sessions("ann").unwrap();
        assert_eq!(
            listed[0]["description"].as_str().unwrap_or_default(),
            expected
        );
    }
}

#[test]
fn list_has_the_latest_twenty_sessions() {
    for appends in [false, true] {
        let mut host = Host::with(&admin(STORAGES[0]));
        host.appends = appends;
        for _ in 0..22 {
            sign_in_elsewhere(&mut host);
        }
        let listed = host.sessions("ann").unwrap();
        assert_eq!(listed.len(), 20);
        assert_eq!(listed[0]["startedAt"], host.now.wall);
    }
}

#[test]
fn full_index_keeps_an_older_session_that_lives() {
    for appends in [false, true] {
        let mut host = Host::with(&admin(STORAGES[0]));
        host.appends = appends;
        host.sign_in();
        let first = host.sessions("ann").unwrap().remove(0);
        for logins in 1..=45 {
            sign_in_elsewhere(&mut host);
            let listed = host.sessions("ann").unwrap();
            assert_eq!(listed.last(), Some(&first), "{logins}");
            host.call("POST", "/auth/logout");
        }
        let (_, index) = host
            .store
            .iter()
            .find(|(key, _)| key.starts_with("sessions."))
            .unwrap();
        assert!(index.value.lines().count() < 30);
        let id = first["session"].as_str().unwrap();
        sign_in_elsewhere(&mut host);
        let path = format!("/auth/sessions?id={id}");
        assert_eq!(host.call("DELETE", &path).status(), 200);
    }
}

/// The coordinator learns of activity at refreshes only.
#[test]
fn active_session_in_a_cookie_is_listed_although_its_token_outlives_the_idle_limit() {
    let mut options = admin("sealed-in-cookie");
    options["session"]["idle"] = json!(600);
    let mut host = Host::with(&options);
    host.provider.set_lifetime(3600);
    host.sign_in();
    for _ in 0..35 {
        host.pass(120);
        assert_eq!(host.call("GET", "/api/orders").status(), 200);
        assert_eq!(host.sessions("ann").unwrap().len(), 1);
    }
    host.pass(3500);
    assert_eq!(host.sessions("ann").unwrap().len(), 1);
    host.pass(200);
    assert_eq!(host.sessions("ann").unwrap().len(), 0);
}

#[test]
fn failure_of_the_list_keeps_no_session_from_the_coordinator() {
    let mut host = Host::with(&admin(STORAGES[0]));
    host.appends = true;
    host.failing.push("Append");
    host.sign_in();
    host.failing.clear();
    host.effects.clear();
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert!(host.effects.iter().any(|effect| effect == "Read"));
}

// claim: handler-72
#[test]
fn index_is_sealed_and_needs_admin() {
    let mut host = Host::signed_in_with(&admin(STORAGES[0]));
    let index = host
        .store
        .iter()
        .find(|(key, _)| key.starts_with("sessions."));
    let (key, entry) = index.unwrap();
    assert!(!key.contains("ann") && entry.value.starts_with("1."));
    for wrong in [
        json!(null),
        json!({}),
        json!({ "user": 7 }),
        json!({ "user": "ann", "x": 1 }),
    ] {
        let error = host.manage(&json!({ "sessions": wrong })).unwrap_err();
        assert_eq!(error.code(), Code::MessageInvalid);
    }
    host.failing = vec!["Read"];
    let error = host.sessions("ann").unwrap_err();
    assert_eq!(error.code(), Code::CoordinatorUnavailable);
    let mut host = Host::signed_in();
    let error = host.sessions("ann").unwrap_err();
    assert_eq!(error.code(), Code::ConfigInvalid);
    assert!(host.store.keys().all(|key| !key.starts_with("sessions.")));
}

#[test]
fn index_that_cannot_be_written_fails_no_login() {
    for name in ["Read", "Swap", "Append"] {
        let mut host = Host::with(&admin(STORAGES[0]));
        host.failing = vec![name];
        host.sign_in();
        host.failing.clear();
        assert!(host.session().is_object());
        assert!(host.sessions("ann").unwrap().is_empty());
    }
}

/// Returns what a page gets from `GET /auth/sessions`.
fn on_page(host: &mut Host) -> Vec<Value> {
    let response = host.call("GET", "/auth/sessions").own();
    assert_eq!(response.status, 200, "{response:?}");
    json_of(&response)["sessions"].as_array().unwrap().clone()
}

fn end_of(host: &mut Host) -> Value {
    json_of(&host.call("GET", "/auth/session").own())["reason"].clone()
}

#[test]
fn user_ends_one_session_on_a_page() {
    for storage in STORAGES {
        let mut host = Host::signed_in_with(&admin(storage));
        let first = sign_in_elsewhere(&mut host);
        let second = sign_in_elsewhere(&mut host);
        let listed = on_page(&mut host);
        let current: Vec<_> = listed.iter().map(|one| &one["isCurrent"]).collect();
        assert_eq!(current, [true, false, false]);
        let path = format!("/auth/sessions?id={}", ids(&listed)[1]);
        assert_eq!(host.call("DELETE", &path).status(), 200);
        assert_eq!(on_page(&mut host).len(), 2);
        assert!(end_of(&mut host).is_null());
        for (browser, reason) in [(first, json!(null)), (second, json!("logged_out"))] {
            host.browser = browser;
            assert_eq!(end_of(&mut host), reason);
        }
        assert_eq!(host.ends().len(), 1);
    }
}

#[test]
fn user_ends_all_other_sessions_on_a_page() {
    for storage in STORAGES {
        let mut host = Host::signed_in_with(&admin(storage));
        let others = [sign_in_elsewhere(&mut host), sign_in_elsewhere(&mut host)];
        assert_eq!(host.call("DELETE", "/auth/sessions").status(), 200);
        assert_eq!(on_page(&mut host).len(), 1);
        for browser in others {
            host.browser = browser;
            assert_eq!(end_of(&mut host), "logged_out");
        }
    }
}

#[test]
fn session_that_another_isolate_has_ended_ends_no_other() {
    let recheck = json!({ "session": { "admin": true, "recheck": 3600 } });
    let mut host = Host::signed_in_with(&recheck);
    let stolen = sign_in_elsewhere(&mut host);
    let own = core::mem::replace(&mut host.browser, stolen.clone());
    // After this read, this isolate need not read the record for an hour.
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    host.browser = own.clone();
    let request = host.by_script("DELETE", "/auth/sessions");
    assert_eq!(host.request_to_other_isolate(request).status(), 200);
    host.browser = stolen;
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    let refused = host.call("DELETE", "/auth/sessions");
    assert_eq!(refused.code(), "session_ended");
    host.browser = own;
    assert!(end_of(&mut host).is_null());
}

#[test]
fn users_ends_leave_no_lines_in_the_log() {
    let mut host = Host::signed_in_with(&admin(STORAGES[0]));
    for _ in 0..3 {
        assert_eq!(host.call("DELETE", "/auth/sessions").status(), 200);
    }
    let is_line = |event: &edge::Event| matches!(event, edge::Event::Fault(_));
    assert!(!host.events.iter().any(is_line), "{:?}", host.events);
}

// claim: handler-72
#[test]
fn page_ends_only_sessions_of_its_user() {
    let mut host = Host::signed_in_with(&admin(STORAGES[0]));
    let ann = host.browser.clone();
    let id = ids(&on_page(&mut host))[0].to_owned();
    host.provider.subject = "bob".to_owned();
    sign_in_elsewhere(&mut host);
    assert_eq!(on_page(&mut host).len(), 1);
    for id in [&*id, "AAAAAAAAAAAAAAAA", "", "x"] {
        let path = format!("/auth/sessions?id={id}");
        assert_eq!(host.call("DELETE", &path).status(), 404, "{id}");
    }
    for query in ["?sid=x", "?id=a&id=b"] {
        let path = format!("/auth/sessions{query}");
        assert_eq!(host.call("DELETE", &path).status(), 400);
    }
    host.browser = ann;
    assert!(end_of(&mut host).is_null());
}

// claim: handler-72
#[test]
fn list_on_a_page_needs_admin_a_session_and_a_script_of_the_app() {
    let mut host = Host::signed_in();
    assert_eq!(host.call("GET", "/auth/sessions").status(), 404);
    let mut host = Host::with(&admin(STORAGES[0]));
    for method in ["GET", "DELETE"] {
        assert_eq!(host.call(method, "/auth/sessions").code(), "login_required");
    }
    host.sign_in();
    assert_eq!(host.call("POST", "/auth/sessions").status(), 405);
    for method in ["GET", "DELETE"] {
        let own = host.by_script(method, "/auth/sessions");
        let unmarked = Request {
            marker: None,
            ..own.clone()
        };
        let foreign = Request {
            origin: Some("https://evil.test".to_owned()),
            ..own.clone()
        };
        let other_site = Request {
            site: Some("same-site".to_owned()),
            ..own
        };
        for request in [unmarked, foreign, other_site] {
            let response = host.request_elsewhere(request).own();
            assert_eq!(response.status, 403);
            assert!(!response.body.unwrap().1.contains("startedAt"));
        }
    }
    assert_eq!(on_page(&mut host).len(), 1);
}

#[test]
fn list_on_a_page_is_no_activity() {
    let mut host = Host::signed_in_with(&admin(STORAGES[0]));
    host.pass(700);
    on_page(&mut host);
    host.pass(700);
    on_page(&mut host);
    host.pass(400);
    assert_eq!(host.call("GET", "/auth/sessions").code(), "session_ended");
}

#[test]
fn list_on_a_page_fails_without_the_coordinator() {
    let mut host = Host::signed_in_with(&admin(STORAGES[0]));
    for (method, name) in [("GET", "Read"), ("DELETE", "Swap")] {
        host.failing = vec![name];
        let answered = host.call(method, "/auth/sessions");
        assert_eq!(answered.code(), "coordinator_unavailable", "{method}");
        host.failing.clear();
        host.pass(2);
    }
}
