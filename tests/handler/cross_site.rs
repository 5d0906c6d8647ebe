//! Another site can make a browser send requests to the handler. The cookie in these requests must have no effect.

use edge::Request;
use serde_json::json;

use crate::browser::Source;
use crate::host::{APP, Host, KEYS};

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

/// Changes a header of a request, or the property of [`Request`] that represents the header.
fn set(request: &mut Request, (name, value): (&str, Option<&str>)) {
    let value = value.map(str::to_owned);
    match name {
        "Method" => request.method = value.unwrap(),
        "Origin" => request.origin = value,
        "Sec-Fetch-Site" => request.site = value,
        "Sec-Fetch-Mode" => request.mode = value,
        "Sec-Fetch-Dest" => request.dest = value,
        "Upgrade" => request.upgrade = value,
        "X-Strongroom" => request.marker = value,
        _ => panic!("{name}"),
    }
}

/// Changes to a request, each with a description. A changed request cannot come from the app's own script.
const FORGED: &[(&str, (&str, Option<&str>))] = &[
    ("no marker", ("X-Strongroom", None)),
    ("an empty marker", ("X-Strongroom", Some(""))),
    ("another marker", ("X-Strongroom", Some("0"))),
    ("two markers", ("X-Strongroom", Some("1, 1"))),
    ("another origin", ("Origin", Some("https://evil.test"))),
    (
        "a sibling's origin",
        ("Origin", Some("https://evil.example.com")),
    ),
    ("another scheme", ("Origin", Some("http://app.example.com"))),
    (
        "another port",
        ("Origin", Some("https://app.example.com:8443")),
    ),
    (
        "an origin in capitals",
        ("Origin", Some("HTTPS://APP.EXAMPLE.COM")),
    ),
    (
        "an origin with a path",
        ("Origin", Some("https://app.example.com/")),
    ),
    (
        "two origins",
        ("Origin", Some("https://app.example.com, https://evil.test")),
    ),
    ("an empty origin", ("Origin", Some(""))),
    ("another site", ("Sec-Fetch-Site", Some("cross-site"))),
    ("the same site", ("Sec-Fetch-Site", Some("same-site"))),
    ("no site, by the user", ("Sec-Fetch-Site", Some("none"))),
    (
        "a site that nobody knows",
        ("Sec-Fetch-Site", Some("Same-Origin")),
    ),
    ("an empty site", ("Sec-Fetch-Site", Some(""))),
    (
        "two sites",
        ("Sec-Fetch-Site", Some("same-origin, cross-site")),
    ),
];

fn endpoints() -> [(&'static str, &'static str); 6] {
    [
        ("GET", "/auth/session"),
        ("POST", "/auth/logout"),
        ("GET", "/api/orders"),
        ("POST", "/api/orders"),
        ("DELETE", "/api/orders"),
        ("GET", "/api/files/x"),
    ]
}

// claim: handler-6
#[test]
fn control_app_script_gets_a_response() {
    for (method, path) in endpoints() {
        for (what, changes) in [
            ("as it is", &[][..]),
            (
                "without Fetch Metadata",
                &[
                    ("Sec-Fetch-Site", None),
                    ("Sec-Fetch-Mode", None),
                    ("Sec-Fetch-Dest", None),
                ],
            ),
            ("without Origin", &[("Origin", None)]),
            ("a poll", &[("X-Strongroom", Some("background"))]),
        ] {
            let mut host = Host::signed_in();
            let mut request = host.by_script(method, path);
            changes.iter().for_each(|change| set(&mut request, *change));
            assert_eq!(
                host.request(request).status(),
                200,
                "{method} {path} {what}"
            );
        }
    }
}

// claim: handler-6
#[test]
fn requests_not_by_app_script_are_refused() {
    for (method, path) in endpoints() {
        for (what, change) in FORGED {
            // The app itself may log out with a form, which cannot send the marker. Another test covers this form.
            if path == "/auth/logout" && what.contains("no marker") {
                continue;
            }
            let mut host = Host::signed_in();
            host.effects.clear();
            let mut request = host.by_script(method, path);
            set(&mut request, *change);
            let answered = host.request(request);
            assert_eq!(answered.status(), 403, "{method} {path} {what}");
            assert_eq!(answered.code(), "cross_site_request");
            assert!(answered.cookies().is_empty());
            assert!(host.effects.is_empty(), "{what}: {:?}", host.effects);
        }
    }
}

/// With `Referrer-Policy: no-referrer`, requests of the app have `Origin: null`.
// claim: handler-6
#[test]
fn null_origin_is_that_of_the_app_with_a_same_origin_site_only() {
    for (method, path) in endpoints() {
        for (site, status) in [
            (Some("same-origin"), 200),
            (Some("same-site"), 403),
            (Some("cross-site"), 403),
            (Some("none"), 403),
            (None, 403),
        ] {
            let mut host = Host::signed_in();
            let mut request = host.by_script(method, path);
            request.origin = text("null");
            request.site = site.map(str::to_owned);
            let answered = host.request(request);
            assert_eq!(answered.status(), status, "{method} {path} {site:?}");
        }
    }
}

// claim: handler-6
#[test]
fn cross_site_forms_and_images_reach_no_upstream() {
    for (what, method, mode, dest) in [
        ("a form", "POST", "navigate", "document"),
        ("a form in a frame", "POST", "navigate", "iframe"),
        ("a POST without a body", "POST", "no-cors", "empty"),
        ("a picture", "GET", "no-cors", "image"),
        ("a script", "GET", "no-cors", "script"),
        ("a style sheet", "GET", "no-cors", "style"),
        ("a frame", "GET", "navigate", "iframe"),
        ("a beacon", "POST", "no-cors", "empty"),
        ("a fetch with CORS", "GET", "cors", "empty"),
        ("its preflight", "OPTIONS", "cors", "empty"),
    ] {
        for site in [Some("cross-site"), Some("same-site"), None] {
            let mut host = Host::signed_in();
            let request = Request {
                method: method.to_owned(),
                url: [APP, "/api/orders"].concat(),
                cookie: host.browser.header(Source::App),
                origin: (method != "GET").then(|| "https://evil.test".to_owned()),
                site: site.map(str::to_owned),
                mode: site.and(text(mode)),
                dest: site.and(text(dest)),
                accept: text("*/*"),
                ..Request::default()
            };
            let response = host.request(request).own();
            assert_eq!(response.status, 403, "{what} {site:?}");
            assert!(host.upstream.is_empty(), "{what}");
            // No response has CORS headers, so another origin cannot read it.
            let names = response.headers.iter().map(|(name, _)| *name);
            assert!(
                names
                    .clone()
                    .all(|name| !name.starts_with("access-control"))
            );
        }
    }
}

// claim: handler-6
#[test]
fn only_app_forms_may_log_out() {
    for (what, origin, site, status) in [
        ("the app's", Some(APP), Some("same-origin"), 303),
        ("the app's, in an older browser", Some(APP), None, 303),
        (
            "the app's, with no-referrer",
            Some("null"),
            Some("same-origin"),
            303,
        ),
        ("one without Origin", None, Some("same-origin"), 303),
        (
            "another origin's, with a wrong site",
            Some("https://evil.test"),
            Some("same-origin"),
            403,
        ),
        ("a sandbox's, in an older browser", Some("null"), None, 403),
        ("one that hides all", None, None, 403),
        (
            "another site's",
            Some("https://evil.test"),
            Some("cross-site"),
            403,
        ),
        ("a sandbox's", Some("null"), Some("cross-site"), 403),
        (
            "a sibling's",
            Some("https://evil.example.com"),
            Some("same-site"),
            403,
        ),
        ("a liar's", Some(APP), Some("cross-site"), 403),
    ] {
        let mut host = Host::signed_in();
        let mut request = host.by_script("POST", "/auth/logout");
        request.marker = None;
        request.mode = text("navigate");
        request.dest = text("document");
        request.origin = origin.map(str::to_owned);
        request.site = site.map(str::to_owned);
        assert_eq!(host.request(request).status(), status, "{what}");
        assert_eq!(host.session().is_null(), status == 303, "{what}");
    }
}

// claim: handler-7
#[test]
fn socket_requires_the_app_origin() {
    for (what, changes, status) in [
        ("the app's", &[][..], 200),
        (
            "in an older browser",
            &[
                ("Sec-Fetch-Site", None),
                ("Sec-Fetch-Mode", None),
                ("Sec-Fetch-Dest", None),
            ],
            200,
        ),
        (
            "in a browser that calls it empty",
            &[("Sec-Fetch-Dest", Some("empty"))],
            200,
        ),
        ("in capitals", &[("Upgrade", Some("WebSocket"))], 200),
        ("without Origin", &[("Origin", None)], 403),
        (
            "another origin's",
            &[("Origin", Some("https://evil.test"))],
            403,
        ),
        (
            "an opaque origin's",
            &[
                ("Origin", Some("null")),
                ("Sec-Fetch-Site", Some("cross-site")),
            ],
            403,
        ),
        ("a sibling's", &[("Sec-Fetch-Site", Some("same-site"))], 403),
        (
            "another site's",
            &[("Sec-Fetch-Site", Some("cross-site"))],
            403,
        ),
        ("another upgrade", &[("Upgrade", Some("h2c"))], 403),
        ("two upgrades", &[("Upgrade", Some("websocket, h2c"))], 403),
        ("a POST", &[("Method", Some("POST"))], 403),
    ] {
        let mut host = Host::signed_in();
        let mut request = Request {
            upgrade: text("websocket"),
            origin: text(APP),
            mode: text("websocket"),
            dest: text("websocket"),
            marker: None,
            ..host.by_script("GET", "/api/live")
        };
        changes.iter().for_each(|change| set(&mut request, *change));
        assert_eq!(host.request(request).status(), status, "{what}");
        let upgrades: Vec<bool> = host.upstream.iter().map(|sent| sent.is_upgrade).collect();
        assert_eq!(upgrades, vec![true; usize::from(status == 200)], "{what}");
    }
}

#[test]
fn only_websocket_upgrades_pass() {
    let mut host = Host::signed_in();
    let mut request = host.by_script("GET", "/api/x");
    request.upgrade = text("h2c");
    assert_eq!(host.request(request).status(), 200);
    assert!(!host.upstream[0].is_upgrade);
}

// claim: handler-5
#[test]
fn header_alone_does_not_allow_any_destination() {
    // A service worker of the app may add the header `X-Strongroom` to every request of a page.
    for (dest, status) in [
        ("empty", 200),
        ("image", 200),
        ("audio", 200),
        ("video", 200),
        ("track", 200),
        ("font", 200),
        ("document", 403),
        ("iframe", 403),
        ("frame", 403),
        ("fencedframe", 403),
        ("embed", 403),
        ("object", 403),
        ("script", 403),
        ("style", 403),
        ("json", 403),
        ("xslt", 403),
        ("manifest", 403),
        ("worker", 403),
        ("sharedworker", 403),
        ("serviceworker", 403),
        ("audioworklet", 403),
        ("paintworklet", 403),
        ("report", 403),
        ("websocket", 403),
        ("", 403),
        ("Empty", 403),
        ("something new", 403),
    ] {
        let mut host = Host::signed_in();
        let mut request = host.by_script("GET", "/api/files/x");
        request.dest = text(dest);
        assert_eq!(host.request(request).status(), status, "{dest}");
        assert_eq!(host.upstream.len(), usize::from(status == 200), "{dest}");
    }
}

#[test]
fn strict_cookies_do_not_change_origin_checks() {
    let mut host =
        Host::signed_in_with(&json!({ "cookie": { "keys": [KEYS[0]], "sameSite": "strict" } }));
    let mut request = host.by_script("POST", "/api/orders");
    request.site = text("same-site");
    assert_eq!(host.request(request).status(), 403);
    assert_eq!(host.call("POST", "/api/orders").status(), 200);
}
