//! Elements of pages, such as pictures and videos, load routes with the option `media`. They cannot send `X-Strongroom`.

use edge::{Config, Head, Request};
use serde_json::{Value, json};

use crate::browser::Source;
use crate::host::{APP, Answered, Host, configuration};

const PICTURE: &str = "/pictures/1.jpg";

fn routes(more: &Value) -> Value {
    let mut route = json!({
        "prefix": "/pictures/",
        "upstream": "https://files.example.com/",
        "methods": ["GET", "HEAD"],
        "media": true,
    });
    let members = route.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    json!({ "routes": [
        { "prefix": "/api/", "upstream": "https://api.example.com/v1/" },
        route,
    ] })
}

fn signed_in() -> Host {
    Host::signed_in_with(&routes(&json!({})))
}

/// Returns the request of an element of a page of the app.
fn element(host: &Host, dest: &str) -> Request {
    Request {
        method: "GET".to_owned(),
        url: [APP, PICTURE].concat(),
        cookie: host.browser.header(Source::App),
        site: Some("same-origin".to_owned()),
        mode: Some("no-cors".to_owned()),
        dest: Some(dest.to_owned()),
        accept: Some("image/*".to_owned()),
        ..Request::default()
    }
}

/// Sends a request whose response has this status and type.
fn respond(host: &mut Host, request: Request, status: u16, kind: &str) -> Answered {
    host.heads.push_back(Head {
        status,
        content_type: (!kind.is_empty()).then(|| kind.to_owned()),
        ..Head::default()
    });
    host.request(request)
}

#[test]
fn element_of_the_app_gets_the_users_picture() {
    let mut host = signed_in();
    let request = element(&host, "image");
    assert_eq!(respond(&mut host, request, 200, "image/jpeg").status(), 200);
    assert_eq!(host.upstream.len(), 1);
}

#[test]
fn five_kinds_of_elements_get_their_types() {
    for (dest, kind) in [
        ("image", "image/svg+xml; charset=utf-8"),
        ("image", "IMAGE/PNG"),
        ("video", "video/mp4"),
        ("audio", "audio/mpeg"),
        ("audio", "video/mp4"),
        ("font", "font/woff2"),
        ("font", "application/font-woff"),
        ("track", "text/vtt; charset=utf-8"),
    ] {
        let mut host = signed_in();
        let request = element(&host, dest);
        assert_eq!(
            respond(&mut host, request, 206, kind).status(),
            206,
            "{dest} {kind}"
        );
    }
}

// claim: handler-73
#[test]
fn response_of_another_type_is_refused() {
    for (dest, kind) in [
        ("image", ""),
        ("image", "text/html"),
        ("image", "text/html; image/png"),
        ("image", "application/json"),
        ("video", "image/png"),
        ("font", "text/css"),
        ("track", "text/html"),
        ("track", "text/vttx"),
        ("audio", "application/javascript"),
        ("video", "application/ogg"),
        ("font", "application/x-font-woff"),
    ] {
        let mut host = signed_in();
        let request = element(&host, dest);
        let response = respond(&mut host, request, 200, kind).own();
        assert_eq!(response.status, 502, "{dest} {kind}");
    }
}

#[test]
fn errors_and_unchanged_responses_need_no_type() {
    for status in [204, 304, 404, 416] {
        let mut host = signed_in();
        let request = element(&host, "image");
        assert_eq!(respond(&mut host, request, status, "").status(), status);
    }
}

// claim: handler-73
#[test]
fn only_an_element_of_the_apps_own_page_is_served() {
    type Change = fn(&mut Request);
    let changes: &[(&str, Change)] = &[
        ("another site", |it| it.site = Some("cross-site".into())),
        ("a sibling", |it| it.site = Some("same-site".into())),
        ("the browser", |it| it.site = Some("none".into())),
        ("no site", |it| it.site = None),
        ("no mode", |it| it.mode = None),
        ("a frame", |it| it.mode = Some("navigate".into())),
        ("a part of a drawing", |it| {
            it.mode = Some("same-origin".into());
        }),
        ("a socket", |it| it.mode = Some("websocket".into())),
        ("a prefetch", |it| it.purpose = Some("prefetch".into())),
        ("another purpose", |it| it.purpose = Some("other".into())),
        ("a prefetch by a proxy", |it| {
            it.purpose = Some("prefetch;anonymous-client-ip".into());
        }),
        ("another origin", |it| {
            it.origin = Some("https://evil.test".into());
        }),
        ("a script", |it| it.dest = Some("script".into())),
        ("a style sheet", |it| it.dest = Some("style".into())),
        ("an object", |it| it.dest = Some("object".into())),
        ("a worker", |it| it.dest = Some("worker".into())),
        ("fetch without the marker", |it| {
            it.dest = Some("empty".into());
        }),
        ("no destination", |it| it.dest = None),
        ("two destinations", |it| {
            it.dest = Some("image video".into());
        }),
        ("an older browser", |it| {
            (it.site, it.mode, it.dest) = (None, None, None);
        }),
    ];
    for (what, change) in changes {
        let mut host = signed_in();
        let mut request = element(&host, "image");
        change(&mut request);
        let response = respond(&mut host, request, 200, "image/png").own();
        assert_eq!(response.status, 403, "{what}");
        assert!(host.upstream.is_empty(), "{what}");
    }
}

#[test]
fn element_of_a_prerendered_page_is_served() {
    for purpose in ["prefetch;prerender", "prefetch ; prerender"] {
        let mut host = signed_in();
        let mut request = element(&host, "image");
        request.purpose = Some(purpose.to_owned());
        assert_eq!(
            respond(&mut host, request, 200, "image/png").status(),
            200,
            "{purpose}"
        );
    }
}

// claim: handler-73
#[test]
fn element_changes_nothing() {
    for method in ["POST", "PUT", "DELETE"] {
        let mut host = signed_in();
        let request = Request {
            method: method.to_owned(),
            ..element(&host, "image")
        };
        assert_eq!(host.request(request).status(), 405, "{method}");
        assert!(host.upstream.is_empty());
    }
}

// claim: handler-73
#[test]
fn other_routes_refuse_elements() {
    let mut host = signed_in();
    let request = Request {
        url: [APP, "/api/orders"].concat(),
        ..element(&host, "image")
    };
    assert_eq!(host.request(request).status(), 403);
    assert!(host.upstream.is_empty());
}

#[test]
fn script_may_call_the_route() {
    let mut host = signed_in();
    let request = host.by_script("GET", PICTURE);
    // A script reads any type.
    assert_eq!(
        respond(&mut host, request, 200, "application/json").status(),
        200
    );
}

#[test]
fn element_without_a_session_begins_no_login() {
    let mut host = Host::with(&routes(&json!({})));
    let request = element(&host, "image");
    let response = host.request(request).own();
    assert_eq!(response.status, 401);
    assert!(response.cookies.is_empty());
}

#[test]
fn element_is_no_activity() {
    let mut changes = routes(&json!({}));
    changes["session"] = json!({ "idle": 600 });
    // Control: the same calls by a script keep the session.
    for (is_element, status) in [(true, 401), (false, 200)] {
        let mut host = Host::with(&changes);
        host.provider.set_lifetime(3600);
        host.sign_in();
        let mut last = 0;
        for _ in 0..3 {
            host.pass(250);
            let request = match is_element {
                true => element(&host, "image"),
                false => host.by_script("GET", PICTURE),
            };
            last = respond(&mut host, request, 200, "image/png").status();
        }
        assert_eq!(last, status);
    }
}

// claim: handler-73
#[test]
fn media_needs_a_route_that_only_reads() {
    let error = |more: &Value| {
        let config = configuration(&routes(more)).to_string();
        Config::parse(&config)
            .err()
            .map(|error| error.message().to_owned())
    };
    for more in [
        json!({ "methods": ["GET", "POST"] }),
        json!({ "navigate": true }),
        json!({ "media": "yes" }),
    ] {
        let message = error(&more).unwrap();
        assert!(message.contains("routes[1].media"), "{message}");
    }
    assert_eq!(error(&json!({ "methods": ["GET"] })), None);
}
