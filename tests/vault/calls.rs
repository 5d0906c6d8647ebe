//! Requests of pages to APIs are rejected, or are allowed and sent with the current token. Each request gets exactly
//! one response, which belongs to this request, unless the page aborts the request.

use std::time::Duration;

use rules::egress::token_reflection::Scope;

use kit::request_headers::{CREDENTIALS, FIXED, TRUSTED};
use kit::world::provider::BASE;
use kit::world::{
    API, Endpoint, Event, Fault, Fetch, Kind, PageResponse, REFRESH, REFRESH_STAGES, Request, World,
};
use vault::PortId;

#[test]
fn without_session_call_asks_for_login() {
    let mut world = World::new();
    let page = world.open();
    let call = world.fetch(page, "/orders");
    assert_eq!(world.code(call), "login_required");
    assert_eq!(world.count(Kind::Call), 0);
}

#[test]
fn allowed_call_carries_the_access_token() {
    let (mut world, page) = World::signed_in();
    let call = world.fetch_as(
        page,
        &Fetch {
            method: "POST",
            headers: &[("accept", "text/plain"), ("x-request", "7")],
            ..Fetch::default()
        },
    );
    world.answer_all();
    assert_eq!(world.status(call), 200);
    let seen = &world.seen_by_api[0];
    assert_eq!(seen.allowed.method(), "POST");
    assert!(
        seen.authorization
            .expose()
            .starts_with("Bearer access-token-")
    );
    assert!(
        seen.init.contains(r#""headers":[["accept","#),
        "{}",
        seen.init
    );
    assert!(seen.init.contains(r#"["x-request","#), "{}", seen.init);
}

#[test]
fn rule_decides_where_reflected_tokens_are_searched() {
    for (option, expected) in [
        ("", Scope::All),
        (r#","reflection":"refuse""#, Scope::All),
        (r#","reflection":"headers""#, Scope::Headers),
        (r#","reflection":"allow""#, Scope::Nothing),
    ] {
        let rule = [r#"{"url":"https://api.example.com/v1/""#, option, "}"].concat();
        let (mut world, page) = World::signed_in_with(&[r#"{"apis":["#, &rule, "]}"].concat());
        world.fetch(page, "/orders");
        world.answer_all();
        let seen = world.seen_by_api.last().unwrap();
        assert_eq!(seen.allowed.reflection(), expected, "{option}");
    }
}

#[test]
fn call_without_a_rule_is_not_sent() {
    let (mut world, page) = World::signed_in();
    for (url, method, code) in [
        ("https://evil.example/v1/x", "GET", "url_not_allowed"),
        ("https://api.example.com/v2/x", "GET", "url_not_allowed"),
        ("https://api.example.com/v1/../x", "GET", "url_not_allowed"),
        ("https://id.example.com/token", "POST", "url_not_allowed"),
        ("/v1/orders", "GET", "url_not_allowed"),
        (
            "https://api.example.com/v1/orders",
            "DELETE",
            "method_not_allowed",
        ),
        (
            "https://api.example.com/v1/x",
            "TRACE",
            "method_not_allowed",
        ),
    ] {
        let fetch = Fetch {
            url,
            method,
            ..Fetch::default()
        };
        let call = world.fetch_as(page, &fetch);
        assert_eq!(world.code(call), code, "{method} {url}");
    }
    assert_eq!(world.count(Kind::Call), 0);
}

/// Creates a page whose provider has all its endpoints below the URL of an `apis` entry. The vault learns the
/// endpoints' URLs only by discovery.
fn below_a_rule() -> (World, PortId) {
    let rules = r#"{"apis":[{"url":"https://id.example.com/oauth/","methods":["GET","POST"]}]}"#;
    let mut world = World::with(rules);
    world.provider.base = BASE;
    let page = world.open();
    (world, page)
}

/// Sends a POST without a session, and returns the error code: `login_required` if an `apis` entry allows the call.
fn verdict(world: &mut World, page: PortId, url: &str) -> String {
    let fetch = Fetch {
        url,
        method: "POST",
        ..Fetch::default()
    };
    let call = world.fetch_as(page, &fetch);
    world.code(call).to_owned()
}

// claim: script-8
#[test]
fn discovered_endpoints_are_blocked_despite_rules() {
    let (mut world, page) = below_a_rule();
    let unused = ["introspect", "register", "backchannel", "mtls/token"];
    let members = [
        "introspection_endpoint",
        "registration_endpoint",
        "backchannel_authentication_endpoint",
    ];
    for (name, path) in members.into_iter().zip(unused) {
        let member = format!(r#","{name}":"https://id.example.com/oauth/{path}""#);
        world.provider.more_metadata.push_str(&member);
    }
    world.provider.more_metadata.push_str(
        r#","mtls_endpoint_aliases":{"token_endpoint":"https://id.example.com/oauth/mtls/token"},
           "userinfo_endpoint":"https://id.example.com/oauth/userinfo""#,
    );
    let endpoints = ["authorize", "token", "jwks", "revoke", "logout"]
        .into_iter()
        .chain(unused);
    let endpoints: Vec<String> = endpoints
        .map(|path| ["https://id.example.com/oauth/", path].concat())
        .collect();
    for url in &endpoints {
        assert_eq!(verdict(&mut world, page, url), "login_required", "{url}");
    }
    world.begin_login(page, "redirect");
    for url in &endpoints {
        assert_eq!(verdict(&mut world, page, url), "url_not_allowed", "{url}");
    }
    let beside = "https://id.example.com/oauth/userinfo";
    assert_eq!(verdict(&mut world, page, beside), "login_required");
}

// claim: script-8
#[test]
fn configured_endpoints_are_blocked() {
    let mut world = World::with(
        r#"{"apis":[{"url":"https://id.example.com/oauth/","methods":["POST"]}],"metadata":{
            "token_endpoint":"https://id.example.com/oauth/own/token",
            "revocation_endpoint":"https://id.example.com/oauth/own/revoke",
            "mtls_endpoint_aliases":{"token_endpoint":"https://id.example.com/oauth/own/mtls"}}}"#,
    );
    world.provider.base = BASE;
    let page = world.open();
    world.begin_login(page, "redirect");
    for path in ["own/token", "own/revoke", "own/mtls", "authorize"] {
        let url = ["https://id.example.com/oauth/", path].concat();
        assert_eq!(verdict(&mut world, page, &url), "url_not_allowed", "{url}");
    }
}

// claim: script-8
#[test]
fn provider_endpoints_are_blocked_in_any_spelling() {
    let (mut world, page) = below_a_rule();
    world.begin_login(page, "redirect");
    for path in [
        "/oauth/%74oken",
        "/oauth/%74%6f%6B%65%6E",
        "/%6fauth/token",
        "/oauth/./token",
        "/oauth/x/../token",
        "/oauth/token?grant_type=refresh_token",
        "/oauth/token?",
        "/oauth/token#x",
        "/oauth/%74oken?x#y",
        "/oauth/token/",
        "/oauth/token//",
        "/oauth/Token",
        "/oauth/TOKEN/",
        "/oauth/%54oken",
        "/oauth//token",
        "/oauth///token/",
        "/oauth/token;a=b",
        "/oauth/;a/token",
        "/oauth/token;a/",
        "/oauth/token%3Ba=b",
        "/oauth/token%20",
        "/oauth/.;/token",
        "/.;a=b/oauth/token",
        "/oauth/%2574oken",
        "/oauth/%25%37%34oken",
        "/oauth/token.",
        "/oauth./token",
        "/oauth/token.;a",
        "/oauth/token::$DATA",
        "/oauth/token.json",
        "/oauth/token%3Fa",
        "/oauth/token/x",
        "/oauth/token.php/x",
        "/oauth/token;a/x/y",
        "/oauth%EF%BC%8Ftoken",
    ] {
        let url = ["https://id.example.com", path].concat();
        assert_eq!(verdict(&mut world, page, &url), "url_not_allowed", "{url}");
    }
    let shouted = "HTTPS://ID.EXAMPLE.COM:443/oauth/%74oken";
    assert_eq!(verdict(&mut world, page, shouted), "url_not_allowed");
    for path in [
        "/oauth/tokens",
        "/oauth/tokens/x",
        "/oauth/x;token",
        "/oauth/;token",
    ] {
        let url = ["https://id.example.com", path].concat();
        assert_eq!(verdict(&mut world, page, &url), "login_required", "{url}");
    }
}

// claim: script-8, url-7
#[test]
fn no_call_sends_tokens_to_the_provider() {
    let (mut world, page) = below_a_rule();
    world.sign_in(page);
    for url in ["token", "%74oken", "revoke", "%72evoke?x"] {
        let url = ["https://id.example.com/oauth/", url].concat();
        assert_eq!(verdict(&mut world, page, &url), "url_not_allowed", "{url}");
    }
    assert_eq!(world.count(Kind::Call), 0);
}

// claim: script-10, script-43
#[test]
fn page_cannot_set_forbidden_headers() {
    let (mut world, page) = World::signed_in();
    let names: Vec<&str> = [FIXED, TRUSTED].concat();
    let spellings = names.iter().flat_map(|name| {
        let shouted = name.to_ascii_uppercase();
        [(*name).to_owned(), shouted.replace('-', "_"), shouted]
    });
    for name in spellings {
        assert!(refuses(&mut world, page, (&name, "x")), "{name}");
    }
    for header in [
        ("x-ok", "a\r\nAuthorization: Bearer mine"),
        ("x-ok", "a\rb"),
        ("x-ok", "a\nb"),
        ("x-ok", "a\0b"),
        ("bad name", "x"),
    ] {
        assert!(refuses(&mut world, page, header), "{header:?}");
    }
    assert_eq!(world.count(Kind::Call), 0);
}

/// Returns true if the vault rejects a call because of this header.
fn refuses(world: &mut World, page: PortId, header: (&str, &str)) -> bool {
    let fetch = Fetch {
        headers: &[header],
        ..Fetch::default()
    };
    let call = world.fetch_as(page, &fetch);
    world.answer_all();
    if let Some(PageResponse::Error { code, .. }) = world.response(call) {
        assert_eq!(code, "header_not_allowed");
        return true;
    }
    assert_eq!(world.status(call), 200);
    false
}

// claim: script-10
#[test]
fn page_may_send_its_own_credentials() {
    let (mut world, page) = World::signed_in();
    for name in CREDENTIALS {
        assert!(!refuses(&mut world, page, (name, "key-7")), "{name}");
        let sent = &world.seen_by_api.last().unwrap().init;
        assert!(sent.contains(&format!(r#"["{name}","key-7"]"#)), "{sent}");
    }
}

// claim: api-4
#[test]
fn rule_limits_the_cookies_of_calls() {
    let page_asks = |rule: &str, asked: Option<&str>| {
        let rule = [r#"{"url":"https://api.example.com/v1/""#, rule, "}"].concat();
        let (mut world, page) = World::signed_in_with(&[r#"{"apis":["#, &rule, "]}"].concat());
        let fetch = Fetch {
            credentials: asked.unwrap_or_default(),
            ..Fetch::default()
        };
        world.fetch_as(page, &fetch);
        world.answer_all();
        let seen = world.seen_by_api.last()?;
        let (_, after) = seen.init.split_once(r#""credentials":""#).unwrap();
        Some(after.split_once('"').unwrap().0.to_owned())
    };
    let (omit, same_origin, include) = (r#""omit""#, r#""same-origin""#, r#""include""#);
    for (rule, of_none, of_same_origin, of_include) in [
        ("", "same-origin", "same-origin", None),
        (
            r#","credentials":"same-origin""#,
            "same-origin",
            "same-origin",
            None,
        ),
        (r#","credentials":"omit""#, "omit", "omit", None),
        (
            r#","credentials":"include""#,
            "same-origin",
            "same-origin",
            Some("include"),
        ),
    ] {
        assert_eq!(page_asks(rule, None).as_deref(), Some(of_none), "{rule}");
        assert_eq!(
            page_asks(rule, Some(omit)).as_deref(),
            Some("omit"),
            "{rule}"
        );
        assert_eq!(
            page_asks(rule, Some(same_origin)).as_deref(),
            Some(of_same_origin),
            "{rule}"
        );
        assert_eq!(
            page_asks(rule, Some(include)).as_deref(),
            of_include,
            "{rule}"
        );
        // Fetch would convert an array with one string to this string.
        let array = page_asks(rule, Some(r#"["include"]"#));
        assert_eq!(array.as_deref(), Some(of_none), "{rule}");
    }
}

#[test]
fn rule_allows_and_denies_headers() {
    let (mut world, page) = World::signed_in_with(
        r#"{"apis": [{
            "url": "https://api.example.com/v1/",
            "allowHeaders": ["X-Amzn-Trace-Id", "Range"],
            "denyHeaders": ["X-Api-Key"]
        }]}"#,
    );
    for (name, is_refused) in [
        ("X-Amzn-Trace-Id", false),
        ("x_amzn_trace_id", false),
        ("x-amzn-oidc-data", true),
        ("range", false),
        ("if-range", true),
        ("X_Api_Key", true),
        ("x-auth-token", false),
    ] {
        assert_eq!(refuses(&mut world, page, (name, "x")), is_refused, "{name}");
    }
}

// claim: script-12
#[test]
fn refuses_ranges_where_bodies_are_searched() {
    for (reflection, is_refused) in [("refuse", true), ("headers", false), ("allow", false)] {
        let rule = format!(
            r#"{{"apis": [{{ "url": "https://api.example.com/v1/", "reflection": "{reflection}" }}]}}"#
        );
        let (mut world, page) = World::signed_in_with(&rule);
        for name in ["Range", "if-range", "Request_Range", "X-MS-Range"] {
            let header = (name, "bytes=0-99");
            assert_eq!(
                refuses(&mut world, page, header),
                is_refused,
                "{name} {reflection}"
            );
        }
    }
}

/// Returns the tokens for which the response to the last call was searched.
fn searched(world: &World) -> Vec<&str> {
    let searched = &world.seen_by_api.last().unwrap().searched;
    searched.iter().map(rules::Secret::expose).collect()
}

// claim: api-4
#[test]
fn searches_responses_for_valid_previous_tokens() {
    let (mut world, page) = World::signed_in();
    let mut used = Vec::new();
    for advance in [0, 271, 280] {
        // The token's remaining lifetime is less than the refresh margin. The call uses the token, and a refresh starts
        // at the same time.
        world.advance(Duration::from_secs(advance));
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200);
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.status(call), 200);
        let sent = world.seen_by_api.last().unwrap().authorization.expose();
        used.push(sent.strip_prefix("Bearer ").unwrap().to_owned());
        let previous: Vec<&str> = used.iter().rev().take(2).map(String::as_str).collect();
        assert_eq!(searched(&world), previous);
    }
    assert_eq!(world.count(REFRESH), 2);
    world.advance(Duration::from_secs(30));
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
    assert_eq!(searched(&world), [used.last().unwrap().as_str()]);
}

#[test]
fn call_with_expired_token_waits_for_one_refresh() {
    let (mut world, page) = World::expired();
    world.hold(&[REFRESH]);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.count(Kind::Call), 0);
    world.release();
    assert_eq!(world.status(call), 200);
    assert_eq!((world.count(REFRESH), world.count(Kind::Call)), (1, 1));
}

#[test]
fn fifty_calls_cause_one_refresh() {
    let (mut world, _) = World::expired();
    let pages: Vec<PortId> = (0..8).map(|_| world.open()).collect();
    let calls: Vec<(Request, String)> = (0..50)
        .map(|i| {
            let path = format!("/orders/{i}");
            (world.fetch(pages[i % 8], &path), path)
        })
        .collect();
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
    assert_eq!(world.provider.rotations(), 1);
    for (call, path) in calls {
        let own = PageResponse::Head {
            status: 200,
            url: [API, &path].concat(),
        };
        assert_eq!(world.responses(call), [own]);
    }
}

#[test]
fn calls_join_a_refresh_at_each_stage() {
    let (mut world, page) = World::expired();
    world.hold(REFRESH_STAGES);
    let mut calls = vec![world.fetch(page, "/1")];
    for &stage in REFRESH_STAGES {
        calls.push(world.fetch(page, "/more"));
        world.answer_one(stage);
    }
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
    for call in calls {
        assert_eq!(world.status(call), 200);
    }
}

#[test]
fn expiring_token_is_used_during_its_refresh() {
    let (mut world, page) = World::signed_in();
    world.advance(Duration::from_secs(271));
    world.hold(&[REFRESH]);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
    assert_eq!(world.outstanding(REFRESH), 1);
}

#[test]
fn fresh_token_is_not_refreshed() {
    let (mut world, page) = World::signed_in();
    world.advance(Duration::from_secs(199));
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.count(REFRESH), 0);
}

#[test]
fn idle_page_causes_no_refresh() {
    let (mut world, _) = World::signed_in();
    world.advance(Duration::from_secs(1700));
    assert_eq!(world.count(REFRESH), 0);
}

#[test]
fn tokens_expired_on_arrival_are_not_sent() {
    let (mut world, page) = World::expired();
    world.provider.lifetime = Duration::from_secs(1);
    let sent = world.count(Kind::Call);
    world.hold(&[REFRESH]);
    let call = world.fetch(page, "/orders");
    for _ in 0..5 {
        world.advance(Duration::from_secs(1));
        if world.outstanding(REFRESH) == 1 {
            world.act(REFRESH);
        }
        world.advance(Duration::from_secs(2));
        world.release();
        world.hold(&[REFRESH]);
    }
    assert_eq!(world.code(call), "provider_unavailable");
    assert_eq!(world.count(Kind::Call), sent);
    assert!(world.count(REFRESH) <= 5, "{}", world.count(REFRESH));
}

#[test]
fn slow_refresh_is_followed_by_another() {
    let (mut world, page) = World::expired();
    world.hold(&[REFRESH]);
    let call = world.fetch(page, "/orders");
    world.provider.lifetime = Duration::from_secs(1);
    world.act(REFRESH);
    world.advance(Duration::from_secs(2));
    world.release();
    world.advance(Duration::from_millis(700));
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(REFRESH), 2);
}

// claim: api-1
#[test]
fn redirect_is_blocked() {
    let (mut world, page) = World::signed_in();
    let call = world.fetch(page, "/redirect");
    world.answer_all();
    assert_eq!(world.code(call), "redirect_blocked");
    let message = world.error_message(call);
    assert!(
        message.contains("the browser does not say where it leads"),
        "{message}"
    );
}

#[test]
fn status_that_no_response_can_have_is_unsupported() {
    let (mut world, page) = World::signed_in();
    let call = world.fetch(page, "/odd-status");
    world.answer_all();
    assert_eq!(world.code(call), "unsupported");
    let Some(PageResponse::Error { message, .. }) = world.response(call) else {
        panic!("no error");
    };
    assert!(message.contains("the status 600"), "{message}");
}

// claim: api-4
#[test]
fn reflected_token_is_refused_without_retry() {
    let (mut world, page) = World::signed_in();
    world.hold(&[Kind::Call]);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    world.reflect_token(call);
    world.release();
    world.answer_all();
    assert_eq!(world.code(call), "token_reflected");
    assert_eq!(world.responses(call).len(), 1);
    assert_eq!(world.count(REFRESH), 0);
    let next = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(next), 200);
}

#[test]
fn network_failure_looks_like_fetch() {
    let (mut world, page) = World::signed_in();
    let call = world.fetch(page, "/unreachable");
    world.answer_all();
    assert_eq!(world.response(call), Some(&PageResponse::NetworkError));
    assert_eq!(world.count(REFRESH), 0);
}

// claim: end-23
#[test]
fn other_statuses_are_delivered() {
    let (mut world, page) = World::signed_in();
    let call = world.fetch(page, "/forbidden");
    world.answer_all();
    assert_eq!(world.status(call), 403);
    assert_eq!(world.count(REFRESH), 0);
}

#[test]
fn aborted_call_gets_no_response() {
    let (mut world, page) = World::signed_in();
    let call = world.fetch(page, "/orders");
    world.give_up(call, "abort");
    assert_eq!(world.outstanding(Kind::Call), 0);
    world.answer_all();
    assert_eq!(world.responses(call), []);
}

#[test]
fn aborted_call_is_not_sent_after_the_refresh() {
    let (mut world, page) = World::expired();
    world.hold(&[REFRESH]);
    let call = world.fetch(page, "/orders");
    world.give_up(call, "abort");
    world.release();
    assert_eq!(world.count(Kind::Call), 0);
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn call_is_aborted_during_its_body() {
    let (mut world, page) = World::signed_in();
    world.hold(&[Kind::ResponseBody]);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.outstanding(Kind::ResponseBody), 1);
    world.give_up(call, "abort");
    assert_eq!(world.outstanding(Kind::ResponseBody), 0);
}

#[test]
fn page_cannot_abort_the_call_of_another() {
    let (mut world, page) = World::signed_in();
    let other = world.open();
    let call = world.fetch(page, "/orders");
    let same_id = Request {
        port: other,
        ..call
    };
    world.give_up(same_id, "abort");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

#[test]
fn leaving_page_aborts_its_own_calls_only() {
    let (mut world, page) = World::expired();
    let other = world.open();
    world.hold(&[REFRESH]);
    world.fetch(page, "/orders");
    let call = world.fetch(other, "/orders");
    world.leave(page);
    world.release();
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(Kind::Call), 1);
}

#[test]
fn leaving_page_does_not_lose_the_successor() {
    let (mut world, page) = World::expired();
    world.hold(&[REFRESH]);
    world.fetch(page, "/orders");
    world.leave(page);
    world.release();
    let later = world.open();
    let call = world.fetch(later, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(REFRESH), 1);
}

// claim: provider-6
#[test]
fn call_is_never_sent_for_another_user() {
    let (mut world, page) = World::signed_in();
    let address = world.begin_login(page, "redirect");
    world.provider.subject = "bob".to_owned();
    let response = world.provider.sign_in(&address);
    world.expire_access_token();
    world.provider.outage(Endpoint::Refresh, Fault::Silence);
    let call = world.fetch(page, "/transfer");
    world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.code(call), "session_ended");
    assert_eq!(world.count(Kind::Call), 0);
}

#[test]
fn waiting_call_survives_a_new_login() {
    let (mut world, page) = World::signed_in();
    let address = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&address);
    world.expire_access_token();
    world.provider.outage(Endpoint::Refresh, Fault::Silence);
    let call = world.fetch(page, "/orders");
    world.callback(page, &response);
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

#[test]
fn call_is_delivered_before_the_renewed_session() {
    let (mut world, page) = World::expired();
    world.fetch(page, "/orders");
    world.answer_all();
    let sent = Event::Asked(Kind::Call);
    let told = Event::Told(page, "session".to_owned());
    let at = |event: &Event| world.events.iter().rposition(|e| e == event).unwrap();
    assert!(at(&sent) < at(&told));
}
