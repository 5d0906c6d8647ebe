//! Tests of `GET <base>/login`: the authorization request, the login cookie, and the pages to which a login may return.

use rules::Code;
use rules::base::clock::Millis;
use rules::codec::base64url;
use rules::codec::url::Url;
use rules::oauth::pkce;
use serde_json::{Value, json};

use crate::browser::Source;
use crate::host::{APP, Host, LOGIN_COOKIE, header, location};
use crate::mark::MARK;
use crate::provider::{ISSUER, params};

/// URLs of other origins that parsers, frameworks and people have mistaken for paths.
const ELSEWHERE: &[&str] = &[
    "https://evil.test/",
    "//evil.test/",
    "///evil.test/",
    "////evil.test",
    "/\\evil.test",
    "\\\\evil.test",
    "\\/evil.test",
    "/\t/evil.test",
    "/\n/evil.test",
    "\u{1}//evil.test",
    " //evil.test",
    "https:evil.test",
    "https:/evil.test",
    "http://app.example.com/",
    "https://app.example.com:444/",
    "https://app.example.com@evil.test/",
    "https://app.example.com.evil.test/",
    "https://user:pw@app.example.com/",
    "https://app.example.com\\@evil.test/",
    "javascript:alert(1)",
    "data:text/html,x",
    "blob:https://app.example.com/1",
    "/.//evil.test",
    "/..//evil.test",
    "/a/..//evil.test",
    "/%2e//evil.test",
    "/%5cevil.test",
    "/%2f%2fevil.test",
    "?//evil.test",
    "#//evil.test",
    "",
    ".",
    "evil.test",
    "/\u{2028}/evil.test",
    "/a\r\nLocation: https://evil.test/",
    "/a\0b",
];

fn login(return_to: &str) -> String {
    let mut form = rules::codec::form::Form::new();
    form.push("returnTo", return_to);
    ["/auth/login?", &form.finish()].concat()
}

fn vectors() -> Vec<String> {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/egress.json")).unwrap();
    let urls = vectors["urls"].as_array().unwrap();
    let texts = urls
        .iter()
        .map(|case| case["url"].as_str().unwrap().to_owned());
    texts.collect()
}

#[test]
fn authorization_request_has_required_parameters() {
    let mut host = Host::new();
    let url = host.begin_login("/auth/login?login_hint=ann&max_age=60");
    let sent = host.provider.parameters(&url);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "web"),
        ("redirect_uri", "https://app.example.com/auth/callback"),
        ("scope", "openid offline_access"),
        ("code_challenge_method", "S256"),
        ("login_hint", "ann"),
        ("max_age", "60"),
    ] {
        assert_eq!(sent[name], value, "{name}");
    }
    for name in ["state", "nonce", "code_challenge"] {
        assert!(sent[name].len() >= 32, "{name} can be guessed");
    }
}

#[test]
fn login_cookie_is_opaque_and_lasts_ten_minutes() {
    let mut host = Host::new();
    let url = host.begin_login("/auth/login");
    let sent = host.provider.parameters(&url);
    let [cookie] = &host.browser.0[..] else {
        panic!("{:?}", host.browser);
    };
    assert_eq!(
        cookie.attributes,
        [
            "Path=/",
            "HttpOnly",
            "SameSite=Lax",
            "Secure",
            "Max-Age=600"
        ]
    );
    let key = base64url::encode(&pkce::sha256(sent["state"].as_bytes()));
    assert_eq!(cookie.name, [LOGIN_COOKIE, &key[..22]].concat());
    for secret in [&sent["state"], &sent["nonce"]] {
        assert!(!cookie.value.contains(secret.as_str()));
    }
}

#[test]
fn two_logins_share_no_random_values() {
    let mut host = Host::new();
    let urls = [(); 2].map(|()| host.begin_login("/auth/login"));
    let [one, other] = urls.map(|url| host.provider.parameters(&url));
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(one[name], other[name], "{name}");
    }
    assert_ne!(host.browser.0[0].value, host.browser.0[1].value);
}

#[test]
fn control_login_returns_to_previous_page() {
    for path in [
        "/",
        "/orders?id=1#top",
        "/a%20b",
        "/%C3%BC",
        "https://app.example.com/orders",
    ] {
        let mut host = Host::new();
        let back = host.come_back(&login(path));
        let response = host.arrive(&back);
        assert_eq!(location(&response), path.trim_start_matches(APP), "{path}");
    }
}

// claim: handler-17
#[test]
fn login_returns_only_to_the_app() {
    let base = Url::parse(APP).unwrap();
    let vectors = vectors();
    let others = vectors.iter().map(String::as_str);
    let (mut refused, mut taken) = (0, 0);
    for target in ELSEWHERE.iter().copied().chain(others) {
        let mut host = Host::new();
        let response = host.go(&login(target), Source::App).own();
        if response.status == 400 {
            assert_eq!(host.browser.count(LOGIN_COOKIE), 0, "{target:?}");
            refused += 1;
            continue;
        }
        let back = host.provider.sign_in(location(&response));
        let response = host.arrive(&back);
        let place = location(&response);
        assert!(place.starts_with('/'), "{target:?} leads to {place}");
        // A browser resolves the location against the page's URL. A naive program appends it to the origin.
        for place in [place.to_owned(), [APP, place].concat()] {
            let url = Url::parse_with_base(&place, &base).unwrap();
            assert!(url.is_same_origin(&base), "{target:?} leads to {place}");
        }
        assert!(!place.contains(['\r', '\n', '\\', '\0', ' ']), "{place:?}");
        taken += 1;
    }
    assert!(refused > 50 && taken > 10, "{refused} {taken}");
}

#[test]
fn invalid_login_options_are_refused() {
    for query in [
        "returnTo=/a&returnTo=/b",
        "returnto=/a",
        "prompt=maybe",
        "prompt=login&prompt=none",
        "max_age=-1",
        "max_age=1&max_age=2",
        "max_age=soon",
        "login_hint=a%00b",
        "ui_locales=%0d%0a",
        "acr_values=%ff",
        "scope=admin",
        "redirect_uri=https://evil.test/",
        "response_type=token",
        "state=mine",
        "tenant=one",
        "x",
    ] {
        let mut host = Host::new();
        let path = ["/auth/login?", query].concat();
        let response = host.go(&path, Source::App).own();
        assert_eq!(response.status, 400, "{query}");
        assert!(host.browser.0.is_empty(), "{query}");
    }
}

#[test]
fn long_return_path_keeps_what_fits_into_a_cookie() {
    let path = |length: usize| ["/", &"a".repeat(length - 1)].concat();
    let query = ["/orders?", &"q".repeat(8000)].concat();
    let fragment = ["/orders#", &"f".repeat(20_000)].concat();
    for (target, expected) in [
        (path(2048), path(2048)),
        (query, "/orders".to_owned()),
        (fragment, "/orders".to_owned()),
        (path(8000), "/".to_owned()),
        (path(20_000), "/".to_owned()),
        ([&path(8000), "?a"].concat(), "/".to_owned()),
        // This path has 2001 bytes, but three times as many when it is encoded.
        (["/", &"é".repeat(1000)].concat(), "/".to_owned()),
    ] {
        let mut host = Host::new();
        let back = host.come_back(&login(&target));
        let response = host.arrive(&back);
        assert!(location(&response) == expected, "{}", target.len());
        assert!(host.session().is_object());
        assert!(host.faults().is_empty());
    }
}

#[test]
fn login_leads_to_no_callback_without_a_response() {
    for (target, expected) in [
        ("", "/"),
        ("#x", "/#x"),
        ("?a", "/?a"),
        ("orders", "/orders"),
        ("./orders", "/orders"),
        ("/auth/callback", "/"),
        ("/auth/callback?code=a&state=b", "/"),
        ("/auth/callback#x", "/"),
        ("auth/callback", "/"),
    ] {
        let mut host = Host::new();
        let back = host.come_back(&login(target));
        let response = host.arrive(&back);
        assert_eq!(location(&response), expected, "{target:?}");
    }
}

#[test]
fn login_options_are_sent_to_the_provider() {
    let options = [
        ("prompt", "login"),
        ("login_hint", "ann"),
        ("ui_locales", "de en"),
        ("acr_values", "mfa"),
        ("max_age", "5"),
    ];
    let mut form = rules::codec::form::Form::new();
    for (name, value) in options {
        form.push(name, value);
    }
    let mut host = Host::new();
    let url = host.begin_login(&["/auth/login?", &form.finish()].concat());
    let sent = host.provider.parameters(&url);
    for (name, value) in options {
        assert_eq!(sent[name], value, "{name}");
    }
}

#[test]
fn cross_site_login_returns_to_app() {
    let mut host = Host::new();
    let response = host.go(&login("/orders"), Source::CrossSite).own();
    let back = host.provider.sign_in(location(&response));
    assert_eq!(location(&host.come_in(&back)), "/orders");
}

#[test]
fn configured_login_params_are_sent() {
    let mut host = Host::with(
        &json!({ "loginParams": ["tenant"], "authorizationParams": { "audience": "api" } }),
    );
    let url = host.begin_login("/auth/login?tenant=one");
    let sent = host.provider.parameters(&url);
    assert_eq!((&*sent["tenant"], &*sent["audience"]), ("one", "api"));
    let twice = host.go("/auth/login?tenant=one&tenant=two", Source::App);
    assert_eq!(twice.status(), 400);
}

#[test]
fn parallel_logins_return_to_their_own_pages() {
    let mut host = Host::new();
    let backs = ["/a", "/b", "/c"].map(|path| host.come_back(&login(path)));
    for (back, path) in backs.iter().rev().zip(["/c", "/b", "/a"]) {
        let response = host.arrive(back);
        assert_eq!(location(&response), path);
    }
    assert_eq!(host.browser.count(LOGIN_COOKIE), 0);
    assert_eq!(host.session()["claims"]["sub"], "ann");
}

/// Returns the ends of eight logins, such as those of restored tabs. The browser keeps five of them.
fn eight_logins(host: &mut Host, path: &str) -> Vec<String> {
    let backs = (0..8).map(|_| host.come_back(path)).collect();
    assert_eq!(host.browser.count(LOGIN_COOKIE), 5);
    backs
}

// claim: handler-8
#[test]
fn login_whose_cookie_made_room_for_others_begins_again() {
    let mut host = Host::new();
    let backs = eight_logins(&mut host, "/auth/login?returnTo=/orders");
    let again = host.arrive(&backs[0]);
    assert!(host.browser.get(MARK).is_some(), "as one from outside");
    let back = host.provider.sign_in(location(&again));
    assert_eq!(location(&host.arrive(&back)), "/");
    assert!(host.session().is_object());
    assert_eq!(host.faults(), [Code::LoginUnknown]);
    // The other tabs find the session.
    assert_eq!(location(&host.arrive(&backs[1])), "/");
    assert_eq!(location(&host.arrive(&backs[7])), "/orders");
}

// claim: handler-8
#[test]
fn login_begins_again_once() {
    let mut host = Host::new();
    let backs = eight_logins(&mut host, "/auth/login");
    let again = host.arrive(&backs[0]);
    let back = host.provider.sign_in(location(&again));
    eight_logins(&mut host, "/auth/login");
    assert_eq!(host.arrive(&back).status, 400);
}

// claim: handler-8
#[test]
fn user_who_has_signed_out_clicks_before_a_login_begins_again() {
    let mut host = Host::signed_in();
    let backs = eight_logins(&mut host, "/auth/login");
    host.call("POST", "/auth/logout");
    let response = host.arrive(&backs[0]);
    let (_, page) = response.body.unwrap();
    assert!(
        page.contains("You are signed out in this browser."),
        "{page}"
    );
}

// claim: handler-8
#[test]
fn unknown_login_stays_unknown() {
    let lose_others = |host: &mut Host| {
        let is_login = |name: &str| name.starts_with(LOGIN_COOKIE);
        host.browser.0.retain(|cookie| !is_login(&cookie.name));
    };
    let forge_others = |host: &mut Host| {
        for cookie in &mut host.browser.0 {
            cookie.value = cookie.value.to_lowercase();
        }
    };
    let nothing = |_: &mut Host| {};
    type Change = dyn Fn(&mut Host);
    let cases: [(&str, &str, &Change); 5] = [
        ("/auth/login", "code", &lose_others),
        ("/auth/login", "code", &forge_others),
        ("/auth/login", "error", &nothing),
        ("/auth/login?prompt=login", "code", &nothing),
        ("/auth/login?returnTo=/auth/popup", "code", &nothing),
    ];
    for (path, member, change) in cases {
        let mut host = Host::new();
        let backs = eight_logins(&mut host, path);
        change(&mut host);
        let back = match member {
            "code" => backs[0].clone(),
            _ => {
                let (_, query) = backs[0].split_once('?').unwrap();
                let state = &params(query)["state"];
                format!("/auth/callback?error=access_denied&state={state}")
            }
        };
        let response = host.arrive(&back);
        assert_eq!(response.status, 400, "{path} {member}");
        assert_eq!(host.faults(), [Code::LoginUnknown], "{path} {member}");
    }
}

#[test]
fn missing_cookies_are_named() {
    for (names_cookies, keep) in [(true, false), (false, true)] {
        let mut host = Host::new();
        let back = eight_logins(&mut host, "/auth/login?prompt=login").remove(0);
        host.browser.0.retain(|_| keep);
        let (_, page) = host.arrive(&back).body.unwrap();
        assert_eq!(page.contains("it may block cookies"), names_cookies);
    }
}

// claim: handler-16
#[test]
fn malformed_login_cookie_name_is_not_echoed() {
    let mut host = Host::new();
    let tossed: Vec<String> = ["a\"b", "a b", "é", "a,b", ""]
        .iter()
        .chain(&["x"; 6])
        .map(|tail| [LOGIN_COOKIE, tail, "=1"].concat())
        .collect();
    let mut request = host.navigation("/auth/login", Source::App);
    request.cookie = Some(tossed.join("; "));
    let response = host.request(request).own();
    for cookie in &response.cookies {
        let name = cookie.split('=').next().unwrap();
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        assert!(name.bytes().all(is_plain), "{cookie:?}");
    }
}

#[test]
fn login_endpoint_requires_navigation() {
    for (mode, dest, status) in [
        ("navigate", "document", 303),
        ("navigate", "iframe", 403),
        ("navigate", "frame", 403),
        ("navigate", "embed", 403),
        ("navigate", "object", 403),
        ("no-cors", "image", 403),
        ("no-cors", "script", 403),
        ("cors", "empty", 403),
        ("same-origin", "empty", 403),
        ("websocket", "empty", 403),
    ] {
        let mut host = Host::new();
        let mut request = host.navigation("/auth/login", Source::CrossSite);
        request.mode = Some(mode.to_owned());
        request.dest = Some(dest.to_owned());
        let answered = host.request(request);
        assert_eq!(answered.status(), status, "{mode} {dest}");
        if status == 403 {
            assert_eq!(answered.code(), "cross_site_request");
            assert!(host.browser.0.is_empty());
        }
    }
    let mut host = Host::new();
    for method in ["POST", "HEAD", "PUT", "OPTIONS"] {
        let response = host.call(method, "/auth/login").own();
        assert_eq!(
            (response.status, header(&response, "allow")),
            (405, Some("GET"))
        );
    }
}

#[test]
fn accept_header_identifies_navigation_without_fetch_metadata() {
    for (accept, status) in [
        (Some("text/html,application/xhtml+xml,*/*;q=0.8"), 303),
        (Some("application/json, text/html;q=0.9"), 303),
        (Some("*/*"), 403),
        (Some("image/avif,image/webp,*/*"), 403),
        (Some("text/htmlx"), 403),
        (None, 403),
    ] {
        let mut host = Host::new();
        let mut request = host.navigation("/auth/login", Source::App);
        (request.mode, request.dest, request.site) = (None, None, None);
        request.accept = accept.map(str::to_owned);
        assert_eq!(host.request(request).status(), status, "{accept:?}");
    }
}

#[test]
fn pushed_login_shows_only_request_uri() {
    for changes in [json!({ "par": true }), json!({})] {
        let is_asked_for = changes["par"] == true;
        let mut host = Host::with(&changes);
        host.provider.wants_pushed = !is_asked_for;
        let url = host.begin_login("/auth/login");
        let shown = crate::provider::params(url.split_once('?').unwrap().1);
        let names: Vec<&str> = shown.keys().map(String::as_str).collect();
        assert_eq!(names, ["client_id", "request_uri"]);
        let [pushed] = host.provider.sent_to("/par")[..] else {
            panic!("not one push");
        };
        assert!(pushed.authorization.as_ref().unwrap().starts_with("Basic "));
        assert_eq!(
            pushed.params["redirect_uri"],
            "https://app.example.com/auth/callback"
        );
        let back = host.provider.sign_in(&url);
        assert_eq!(host.arrive(&back).status, 303);
    }
}

#[test]
fn failed_push_leaves_no_cookie() {
    for (reply, status) in [
        (None, 503),
        (Some((400, r#"{"error":"invalid_request"}"#)), 400),
        (Some((401, r#"{"error":"invalid_client"}"#)), 502),
        (
            Some((200, r#"{"request_uri":"urn:a","expires_in":60}"#)),
            400,
        ),
        (Some((500, "")), 503),
    ] {
        let mut host = Host::with(&json!({ "par": true }));
        let reply = reply.map(|(status, body)| crate::provider::json(status, body));
        host.provider.replies.push_back(("/par", reply));
        let response = host.go("/auth/login", Source::App).own();
        assert_eq!(response.status, status);
        assert!(host.browser.0.is_empty());
    }
}

#[test]
fn refused_push_without_code_is_explained() {
    for (auth, asks) in [
        (json!({ "method": "none" }), true),
        (
            json!({ "method": "client_secret_post", "secret": "s3cret" }),
            false,
        ),
    ] {
        let client = json!({ "id": "web", "auth": auth });
        let mut host = Host::with(&json!({ "par": true, "client": client }));
        let reply = crate::provider::json(401, "");
        host.provider.replies.push_back(("/par", Some(reply)));
        let response = host.go("/auth/login", Source::App).own();
        assert_eq!(response.status, 502);
        let message = host.fault_messages().remove(0);
        assert!(message.contains("https://id.example.com/par"), "{message}");
        assert!(message.contains("401"), "{message}");
        assert_eq!(message.contains("public clients?"), asks, "{message}");
    }
}

#[test]
fn missing_push_endpoint_is_explained() {
    for (is_asked_for, named) in [(true, "`par` is set"), (false, "metadata requires")] {
        let mut host = Host::with(&json!({ "par": is_asked_for }));
        host.provider.wants_pushed = true;
        let document = host.provider.metadata();
        let document = document.replace("pushed_authorization_request_endpoint", "x");
        let reply = crate::provider::json(200, &document);
        let path = "/.well-known/openid-configuration";
        host.provider.replies.push_back((path, Some(reply)));
        host.go("/auth/login", Source::App);
        let message = host.fault_messages().remove(0);
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn description_of_a_refused_push_is_logged() {
    for (is_on, what, is_logged) in [
        (true, "No scope offline_access", true),
        (false, "No scope offline_access", false),
        (true, "The secret s3cret/+ is wrong", false),
    ] {
        let auth = json!({ "method": "client_secret_post", "secret": "s3cret/+" });
        let client = json!({ "id": "web", "auth": auth });
        let changes = json!({ "par": true, "client": client, "logDescriptions": is_on });
        let mut host = Host::with(&changes);
        let body = json!({ "error": "invalid_scope", "error_description": what }).to_string();
        let reply = crate::provider::json(400, &body);
        host.provider.replies.push_back(("/par", Some(reply)));
        let response = host.go("/auth/login", Source::App).own();
        let expected = format!("the provider says \"{what}\"");
        assert_eq!(host.fault_messages().contains(&expected), is_logged);
        assert_eq!(host.fault_messages().len(), 1 + usize::from(is_logged));
        let (_, page) = response.body.as_ref().unwrap();
        assert!(!page.contains(what), "{page}");
    }
}

#[test]
fn metadata_fetch_is_retried() {
    let mut host = Host::new();
    let path = "/.well-known/openid-configuration";
    host.provider.replies.extend([(path, None), (path, None)]);
    let response = host.go("/auth/login", Source::App).own();
    assert_eq!(response.status, 503);
    assert_eq!(host.faults(), [rules::Code::ProviderUnavailable]);
    host.sign_in();
}

#[test]
fn metadata_of_another_issuer_is_refused() {
    let mut host = Host::new();
    let path = "/.well-known/openid-configuration";
    for (body, status) in [
        (r#"{"issuer":"https://evil.test"}"#, 400),
        (r#"{"issuer":"https://id.example.com"}"#, 502),
        ("<html>", 502),
    ] {
        let reply = crate::provider::json(200, body);
        host.provider.replies.push_back((path, Some(reply)));
        let response = host.go("/auth/login", Source::App).own();
        assert_eq!(response.status, status, "{body}");
        assert!(response.cookies.is_empty());
    }
    host.now.monotonic = host.now.monotonic + Millis::from_secs(60);
    host.sign_in();
}

/// Returns the address of the link in a page of the handler, or `None` if the browser goes to the provider.
fn asked(host: &mut Host, url: &str, from: Source) -> Option<String> {
    let response = host.go(url, from).own();
    if response.status == 303 || response.status == 302 {
        assert!(location(&response).starts_with(ISSUER));
        return None;
    }
    let (_, html) = response.body.as_ref().unwrap();
    let (_, rest) = html.split_once("<a href=\"").unwrap();
    Some(rest.split_once('"').unwrap().0.replace("&amp;", "&"))
}

const AUTOMATIC: &str = "/auth/login?returnTo=%2Forders&login_hint=ann&automatic";

#[test]
fn automatic_login_asks_only_after_an_end_by_the_user() {
    let to_login = Some("/auth/login?returnTo=%2Forders&login_hint=ann".to_owned());
    let mut host = Host::new();
    assert_eq!(asked(&mut host, AUTOMATIC, Source::App), None, "new user");
    for end in ["logout", "idle", "ended on the server", "expired"] {
        let mut host = Host::signed_in_with(&json!({ "session": { "admin": true } }));
        match end {
            "logout" => {
                host.call("POST", "/auth/logout");
            }
            "idle" => host.pass(1800),
            "ended on the server" => {
                host.end(&json!({ "user": "ann" }), &json!({})).unwrap();
            }
            _ => host.browser.0.clear(),
        }
        let expected = if end == "expired" { &None } else { &to_login };
        let found = asked(&mut host, AUTOMATIC, Source::App);
        assert_eq!(&found, expected, "{end}");
        // The cookie of the ended session is gone, and the browser is still asked.
        assert_eq!(&asked(&mut host, AUTOMATIC, Source::App), expected, "{end}");
        let Some(link) = found else { continue };
        assert_eq!(asked(&mut host, &link, Source::Click), None, "{end}");
    }
}

#[test]
fn automatic_login_asks_after_an_end_that_another_isolate_has_written() {
    let recheck = json!({ "session": { "admin": true, "recheck": 3600 } });
    let mut host = Host::signed_in_with(&recheck);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    let request = host.by_script("POST", "/auth/logout");
    // This browser has a copy of the cookie.
    assert_eq!(host.request_to_other_isolate(request).status(), 200);
    assert!(asked(&mut host, AUTOMATIC, Source::App).is_some());
}

#[test]
fn automatic_login_that_another_site_began_stays_marked_as_such() {
    let mut host = Host::signed_in();
    host.call("POST", "/auth/logout");
    let link = asked(&mut host, AUTOMATIC, Source::CrossSite).unwrap();
    assert!(link.ends_with("&outside="), "{link}");
}

#[test]
fn automatic_login_needs_no_click_with_a_session() {
    let mut host = Host::signed_in();
    assert_eq!(asked(&mut host, AUTOMATIC, Source::App), None);
}
