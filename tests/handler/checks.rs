//! Answers to a reverse proxy that asks about each request for a site.

use edge::{Allowed, Check, Config, OwnResponse, Request};
use rules::Code;
use serde_json::{Value, json};

use crate::browser::Source;
use crate::device::{BOUND, bound};
use crate::host::{APP, Answered, Host, KEYS, configuration, header, location};
use crate::provider::{self, ISSUER};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Returns a configuration with a guard, and with these members added or replaced.
fn configured(changes: &Value) -> Value {
    let mut config = json!({
        "origin": APP,
        "session": { "storage": "in-store" },
        "guards": { "site": { "secret": SECRET } },
    });
    let members = config.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    config
}

fn guard(members: &Value) -> Value {
    let mut guard = members.clone();
    guard["secret"] = SECRET.into();
    configured(&json!({ "guards": { "site": guard } }))
}

fn host() -> Host {
    Host::signed_in_with(&configured(&json!({})))
}

/// Asks about a request.
fn ask_at(host: &mut Host, path: &str, request: Request) -> Answered {
    host.request(Request {
        check: Some(Check {
            path: path.to_owned(),
            secret: Some(SECRET.to_owned()),
            socket_version: None,
        }),
        ..request
    })
}

fn ask(host: &mut Host, request: Request) -> Answered {
    ask_at(host, "site", request)
}

/// Asks about a page that the user opens by a link of another site.
fn open(host: &mut Host, path: &str) -> Answered {
    let request = host.navigation(path, Source::CrossSite);
    ask(host, request)
}

#[track_caller]
fn allowed(answered: Answered) -> Allowed {
    match answered {
        Answered::Allowed(allowed) => allowed,
        other => panic!("not allowed: {other:?}"),
    }
}

#[track_caller]
fn refused(answered: Answered, status: u16) -> OwnResponse {
    let response = answered.own();
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.cookies, [""; 0], "an answer sets no cookie");
    response
}

/// Returns a request of a page of the site for a picture.
fn picture(host: &Host) -> Request {
    Request {
        mode: Some("no-cors".to_owned()),
        dest: Some("image".to_owned()),
        accept: Some("image/*".to_owned()),
        ..host.navigation("/site/1.png", Source::App)
    }
}

// claim: handler-75
#[test]
fn signed_in_user_gets_the_token_and_the_sites_own_cookies() {
    let mut host = host();
    let mut request = host.navigation("/site/", Source::CrossSite);
    let cookie = request.cookie.unwrap();
    request.cookie = Some(format!(
        "theme=dark; {cookie}; __Host-strongroom-left=1;__Host-strongroom.1=x; __Host-strongrooms=2"
    ));
    let allowed = allowed(ask(&mut host, request));
    let token = host.provider.access_tokens()[0];
    assert_eq!(allowed.authorization.expose(), format!("Bearer {token}"));
    assert_eq!(allowed.cookie, "theme=dark; __Host-strongrooms=2");
    assert_eq!(allowed.identity, []);
}

#[test]
fn cookie_of_all_handlers_is_removed_under_another_name() {
    let cookie = json!({ "keys": [KEYS[0]], "name": "other" });
    let mut host = Host::signed_in_with(&configured(&json!({ "cookie": cookie })));
    let mut request = host.navigation("/site/", Source::CrossSite);
    let own = request.cookie.unwrap();
    request.cookie = Some(format!("__Host-strongroom-outside=1; a=1;; {own}; b"));
    assert_eq!(allowed(ask(&mut host, request)).cookie, "a=1; b");
}

#[test]
fn cookies_of_all_tenants_are_removed() {
    let mut host = host();
    let own = host.browser.clone();
    let config = configuration(&configured(&json!({}))).to_string();
    let config = Config::parse(&config)
        .unwrap()
        .with_tenant("one".to_owned());
    host.handler = edge::Handler::new(config, Box::new(kit::dice::Dice::new(2)));
    host.sign_in();
    host.browser.0.extend(own.0);
    host.browser.set("theme=dark; SameSite=Lax");
    assert_eq!(allowed(open(&mut host, "/site/")).cookie, "theme=dark");
}

#[test]
fn claims_of_the_user_info_are_hidden_without_the_option() {
    let members = json!({ "secret": SECRET, "identity": { "X-Email": "email" } });
    let config = configured(&json!({ "claims": ["email"], "guards": { "site": members } }));
    let mut asking = config.clone();
    asking["userInfo"] = true.into();
    let mut host = Host::with(&asking);
    host.provider.more_metadata = format!(r#","userinfo_endpoint":"{ISSUER}/userinfo""#);
    let info = json!({ "sub": "ann", "email": "a@b" }).to_string();
    let reply = provider::json(200, &info);
    host.provider.replies.push_back(("/userinfo", Some(reply)));
    host.sign_in();
    assert_eq!(allowed(open(&mut host, "/site/")).identity[0].1, "a@b");
    let mut other = Host::with(&config);
    (other.browser, other.store) = (host.browser.clone(), host.store.clone());
    assert_eq!(allowed(open(&mut other, "/site/")).identity[0].1, "");
}

#[test]
fn expired_token_is_refreshed_first() {
    let mut host = host();
    host.pass(700);
    let allowed = allowed(open(&mut host, "/site/"));
    let tokens = host.provider.access_tokens();
    assert_eq!(tokens.len(), 2);
    assert_eq!(
        allowed.authorization.expose(),
        format!("Bearer {}", tokens[1])
    );
}

// claim: handler-75
#[test]
fn every_identity_header_is_there() {
    let identity = json!({ "X-Sub": "sub", "Remote-Name": "name", "X-Groups": "groups", "X-Age-Id": "age",
        "X-None-User": "none", "X-WEBAUTH-USER": "address", "X-On-Id": "on" });
    let mut host = Host::with(&guard(&json!({ "identity": identity })));
    host.provider
        .state(r#""name":"Zoë, 100%","groups":["a","b,c"],"age":7,"address":{"a":1},"on":true"#);
    host.sign_in();
    let headers = allowed(open(&mut host, "/site/")).identity;
    let of = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| known == name)
            .unwrap()
            .1
            .as_str()
    };
    assert_eq!(of("x-sub"), "ann");
    assert_eq!(of("remote-name"), "Zo%C3%AB%2C%20100%25");
    assert_eq!(of("x-groups"), "a,b%2Cc");
    assert_eq!((of("x-age-id"), of("x-on-id")), ("7", "true"));
    assert_eq!((of("x-none-user"), of("x-webauth-user")), ("", ""));
}

#[test]
fn value_of_more_than_1024_bytes_refuses_the_request() {
    let mut host = Host::with(&guard(&json!({ "identity": { "X-Name": "name" } })));
    host.provider
        .state(&format!(r#""name":"{}""#, "n".repeat(1025)));
    host.sign_in();
    let answered = open(&mut host, "/site/");
    assert_eq!(answered.code(), "limit_exceeded");
    refused(answered, 403);
    assert_eq!(host.faults(), [Code::LimitExceeded]);
}

#[test]
fn user_without_an_allowed_value_is_refused() {
    let rule = json!({ "allow": { "groups": ["staff", "admin"], "tier": ["1"] } });
    for (claims, status) in [
        (r#""groups":["guests","admin"],"tier":"1""#, 204),
        (r#""groups":"staff","tier":["1","2"]"#, 204),
        (r#""groups":["guests"],"tier":"1""#, 403),
        (r#""groups":["staff"]"#, 403),
        (r#""groups":["staff"],"tier":1"#, 403),
        (r#""groups":"staff,admin","tier":"1""#, 403),
    ] {
        let mut host = Host::with(&guard(&rule));
        host.provider.state(claims);
        host.sign_in();
        let answered = open(&mut host, "/site/");
        assert_eq!(answered.status(), status, "{claims}");
        if let Answered::Own(page) = answered {
            let link = r#"<a href="/auth/login?prompt=login">"#;
            assert!(page.body.unwrap().1.contains(link));
        }
    }
}

/// Signs in with these claims, and opens the site. Returns the status, and the line of the log.
fn enter(allow: &Value, claims: &str) -> (u16, String) {
    let mut host = Host::with(&guard(&json!({ "allow": allow })));
    host.provider.state(claims);
    host.sign_in();
    host.faults();
    let status = open(&mut host, "/site/").status();
    (status, host.fault_messages().concat())
}

#[test]
fn line_says_which_claim_keeps_a_user_out() {
    const NO_GROUPS: &str = "the guard `site` refuses a user: no claim `groups`";
    let staff = json!({ "groups": ["staff"] });
    let nested = json!({ "realm_access.roles": ["staff"] });
    for (allow, claims, expected) in [
        (
            &staff,
            r#""groups":["guests"]"#,
            "no value of `groups` is allowed",
        ),
        (
            &staff,
            r#""groups":"staff,guests""#,
            "no value of `groups` is allowed",
        ),
        (&staff, r#""groups":[]"#, "no value of `groups` is allowed"),
        (&staff, "", NO_GROUPS),
        (
            &json!({ "sub": ["ann"], "groups": ["staff"] }),
            "",
            NO_GROUPS,
        ),
        (
            &json!({ "groups": ["staff"], "sub": ["bob"] }),
            "",
            NO_GROUPS,
        ),
        (
            &json!({ "email": ["ann@x.test"] }),
            r#""email":"ann@x.test","email_verified":0"#,
            "the provider has not verified `email`",
        ),
        (
            &nested,
            r#""realm_access":{"roles":["staff"]}"#,
            "no claim `realm_access.roles` (the name is taken literally",
        ),
        (
            &nested,
            r#""realm_access":"staff""#,
            "no claim `realm_access.roles`",
        ),
        (&nested, "", "no claim `realm_access.roles`"),
    ] {
        let (status, line) = enter(allow, claims);
        assert_eq!(status, 403, "{claims}");
        assert!(line.contains(expected), "{claims}: {line}");
        assert_eq!(line.contains('('), expected.contains('('), "{line}");
        assert!(!line.contains("guests") && !line.contains("ann@"), "{line}");
    }
    let literal = (&nested, r#""realm_access.roles":["staff"]"#);
    assert_eq!(enter(literal.0, literal.1), (204, String::new()));
}

#[test]
fn refused_users_are_counted_once_a_minute_for_each_claim() {
    let rule = json!({ "secret": SECRET, "allow": { "groups": ["staff"] } });
    let other = json!({ "secret": SECRET, "allow": { "area": ["1"], "groups": ["staff"] } });
    let guards = json!({ "guards": { "site": rule, "other": other } });
    let mut host = Host::signed_in_with(&configured(&guards));
    host.faults();
    for _ in 0..3 {
        refused(open(&mut host, "/site/"), 403);
    }
    let request = host.navigation("/other/", Source::App);
    refused(ask_at(&mut host, "other", request), 403);
    let lines = host.fault_messages();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[1].contains("`other` refuses a user: no claim `area`"),
        "{lines:?}"
    );
    host.pass(60);
    refused(open(&mut host, "/site/"), 403);
    let lines = host.fault_messages().concat();
    assert!(
        lines.ends_with("no claim `groups`; more since the last report: 2"),
        "{lines}"
    );
}

// claim: handler-75
#[test]
fn domain_of_a_verified_address_lets_its_users_in() {
    let rule = json!({ "email": { "domain": ["example.com", "Corp.test"] } });
    for (email, is_in) in [
        ("ann@example.com", true),
        ("Ann.O'Neil+a=b@EXAMPLE.com", true),
        ("bob@corp.TEST", true),
        ("ann@sub.example.com", false),
        ("ann@evil-example.com", false),
        ("ann@example.com.evil.test", false),
        ("ann@example.com@evil.test", false),
        ("ann@evil.test@example.com", false),
        ("ann@example.com.", false),
        ("ann@example.com ", false),
        ("ann @example.com", false),
        ("\"ann@evil.test\"@example.com", false),
        ("\"ann\"@example.com", false),
        ("ann(a)@example.com", false),
        ("<ann@example.com>", false),
        ("ann,bob@example.com", false),
        ("ann\u{0}@example.com", false),
        ("zoë@example.com", false),
        ("ann@exam\u{17f}le.com", false),
        ("@example.com", false),
        ("example.com", false),
        ("ann@", false),
        ("", false),
    ] {
        let status = if is_in { 204 } else { 403 };
        for verified in [json!(true), json!("true")] {
            let claims = json!({ "email": email, "email_verified": verified }).to_string();
            let claims = claims.trim_start_matches('{').trim_end_matches('}');
            assert_eq!(enter(&rule, claims).0, status, "{email:?}");
        }
        let claims = json!({ "email": email, "email_verified": false }).to_string();
        let claims = claims.trim_start_matches('{').trim_end_matches('}');
        assert_eq!(enter(&rule, claims).0, 403, "{email:?} is not verified");
    }
    assert_eq!(enter(&rule, r#""email":["ann@example.com"]"#).0, 204);
    assert_eq!(enter(&rule, r#""email":{"domain":"example.com"}"#).0, 403);
}

#[test]
fn page_says_that_the_account_may_not_enter() {
    let mut host = Host::signed_in_with(&guard(&json!({ "allow": { "groups": ["staff"] } })));
    let page = refused(open(&mut host, "/site/"), 403);
    let text = page.body.unwrap().1;
    assert!(text.contains("this account may not enter"), "{text}");
    assert!(text.contains("<code>claim_missing</code>"), "{text}");
    assert_eq!(host.faults(), [Code::ClaimMissing], "the code of the line");
}

// claim: handler-75
#[test]
fn address_that_the_provider_has_not_verified_is_not_the_users() {
    let rule = json!({ "allow": { "email": ["ann@example.com"] } });
    let shown = json!({ "identity": { "X-Email": "email", "X-Phone-Id": "phone_number" } });
    for (verified, status, value) in [
        ("", 204, "ann@example.com"),
        (r#","email_verified":true"#, 204, "ann@example.com"),
        (r#","email_verified":"true""#, 204, "ann@example.com"),
        (r#","email_verified":false"#, 403, ""),
        (r#","email_verified":"false""#, 403, ""),
        (r#","email_verified":null"#, 403, ""),
        (r#","email_verified":0"#, 403, ""),
    ] {
        let claims = format!(r#""email":"ann@example.com","phone_number":"1"{verified}"#);
        let mut host = Host::with(&guard(&rule));
        host.provider.state(&claims);
        host.sign_in();
        assert_eq!(open(&mut host, "/site/").status(), status, "{verified}");
        let mut host = Host::with(&guard(&shown));
        host.provider.state(&claims);
        host.sign_in();
        let identity = allowed(open(&mut host, "/site/")).identity;
        assert_eq!(identity[0].1, value, "{verified}");
        assert_eq!(identity[1].1, "1");
    }
}

/// The members of a document about ann, with her address and with what it says about the address.
fn about_ann(email: &str, verified: &str) -> String {
    let members = [("email", email), ("email_verified", verified)];
    let stated = members.iter().filter(|(_, value)| !value.is_empty());
    let stated = stated.map(|(name, value)| format!(r#""{name}":{value}"#));
    stated.collect::<Vec<_>>().join(",")
}

// claim: handler-75
#[test]
fn address_that_one_of_two_documents_calls_unverified_is_missing() {
    const ANN: &str = r#""ann@example.com""#;
    const NEW: &str = r#""new@example.com""#;
    let members = json!({ "identity": { "X-Email": "email" } });
    for (id_token, info, is_shown) in [
        // Where the address is.
        (("", ""), (ANN, ""), true),
        (("", ""), (ANN, "true"), true),
        (("", ""), (ANN, "false"), false),
        ((ANN, ""), ("", "false"), false),
        ((ANN, "true"), ("", "false"), false),
        ((ANN, ""), (ANN, "false"), false),
        // Both documents say something about the same address.
        ((ANN, "true"), (ANN, "true"), true),
        ((ANN, "true"), (ANN, "false"), false),
        ((ANN, "false"), (ANN, "true"), false),
        ((ANN, "false"), (ANN, "false"), false),
        // The address is in one of them.
        (("", "true"), (ANN, "true"), true),
        (("", "true"), (ANN, "false"), false),
        (("", "true"), (ANN, "0"), false),
        (("", r#""true""#), (ANN, "true"), true),
        (("", "true"), (ANN, ""), true),
        (("", "false"), (ANN, "true"), false),
        (("", "false"), (ANN, ""), false),
        // UserInfo has another address.
        ((ANN, ""), (NEW, "false"), true),
        ((ANN, "true"), (NEW, "false"), true),
        ((ANN, "false"), (NEW, "true"), false),
    ] {
        let [id, more] = [id_token, info].map(|(email, verified)| about_ann(email, verified));
        let host = &mut signed_in_with_info(&guard(&members), &id, &more);
        for restarted in [false, true] {
            if restarted {
                host.restart(&guard(&members));
            }
            let value = &allowed(open(host, "/site/")).identity[0].1;
            assert_eq!(
                value == "ann@example.com",
                is_shown,
                "{id} {more} {restarted}"
            );
        }
    }
}

// claim: handler-75
#[test]
fn number_that_the_user_info_calls_unverified_lets_nobody_in() {
    let rule = json!({ "allow": { "phone_number": ["1"] } });
    for (said, status) in [("true", 204), ("false", 403)] {
        let info = format!(r#""phone_number":"1","phone_number_verified":{said}"#);
        let id_token = r#""phone_number_verified":true"#;
        let mut host = signed_in_with_info(&guard(&rule), id_token, &info);
        assert_eq!(open(&mut host, "/site/").status(), status, "{said}");
    }
}

// claim: handler-75
#[test]
fn address_from_before_the_guard_is_not_the_users_if_unverified() {
    const UNVERIFIED: &str = r#""email":"ann@example.com","email_verified":false"#;
    let before = configured(&json!({ "guards": {} }));
    let after = guard(&json!({ "identity": { "X-Email": "email" } }));
    for id_token in ["", r#""email":"ann@example.com""#] {
        let mut host = signed_in_with_info(&before, id_token, UNVERIFIED);
        host.restart(&after);
        let identity = allowed(open(&mut host, "/site/")).identity;
        assert_eq!(identity[0].1, "", "{id_token}");
        let page = host.by_script("GET", "/auth/session");
        let view = host.request(page).own().body.unwrap().1;
        assert!(!view.contains("verified"), "{view}");
    }
}

#[test]
fn claims_of_the_user_info_decide_who_may_enter() {
    let rule = json!({ "allow": { "groups": ["staff"], "sub": ["ann"] } });
    for (info, status) in [
        (r#""groups":["staff"]"#, 204),
        (r#""groups":["guests"]"#, 403),
    ] {
        let mut host = signed_in_with_info(&guard(&rule), "", info);
        assert_eq!(open(&mut host, "/site/").status(), status, "{info}");
        let page = host.by_script("GET", "/auth/session");
        let view = host.request(page).own().body.unwrap().1;
        assert!(!view.contains("groups"), "pages see only `claims`: {view}");
    }
}

/// Signs in with claims of the ID token and of the UserInfo response.
fn signed_in_with_info(config: &Value, id_token: &str, info: &str) -> Host {
    let mut config = config.clone();
    config["userInfo"] = true.into();
    let mut host = Host::with(&config);
    host.provider.more_metadata = format!(r#","userinfo_endpoint":"{ISSUER}/userinfo""#);
    host.provider.state(id_token);
    let reply = provider::json(200, &format!(r#"{{"sub":"ann",{info}}}"#));
    host.provider.replies.push_back(("/userinfo", Some(reply)));
    host.sign_in();
    host
}

#[test]
fn user_without_a_session_is_sent_to_the_login() {
    const LOGIN: &str = "https://app.example.com/auth/login?returnTo=%2Fsite%2F%3Fa%3D1&automatic=";
    let mut host = Host::with(&configured(&json!({})));
    let response = refused(open(&mut host, "/site/?a=1"), 303);
    assert_eq!(location(&response), LOGIN);
    let request = host.navigation("/site/?a=1", Source::CrossSite);
    let answered = ask_at(&mut host, "site/nginx", request);
    assert_eq!(answered.code(), "login_required");
    assert_eq!(header(&refused(answered, 401), "location"), Some(LOGIN));
}

#[test]
fn only_an_opened_page_is_sent_to_the_login() {
    let mut host = Host::with(&configured(&json!({})));
    let page = host.navigation("/site/", Source::App);
    let frame = Request {
        dest: Some("iframe".to_owned()),
        ..page.clone()
    };
    let prefetch = Request {
        purpose: Some("prefetch".to_owned()),
        ..page.clone()
    };
    let form = Request {
        method: "POST".to_owned(),
        origin: Some(APP.to_owned()),
        ..page
    };
    let script = host.by_script("GET", "/site/data");
    let old_script = Request {
        site: None,
        mode: None,
        dest: None,
        accept: Some("text/html".to_owned()),
        ..script.clone()
    };
    for request in [picture(&host), frame, prefetch, form, script, old_script] {
        for address in ["site", "site/nginx"] {
            let response = refused(ask_at(&mut host, address, request.clone()), 401);
            assert_eq!(header(&response, "location"), None);
        }
    }
}

// claim: handler-75
#[test]
fn only_the_apps_own_pages_read_resources() {
    type Change = fn(&mut Request);
    let changes: &[(&str, Change, u16)] = &[
        ("own", |_| {}, 204),
        (
            "own page in a frame",
            |it| {
                it.mode = Some("navigate".into());
                it.dest = Some("iframe".into());
            },
            204,
        ),
        (
            "own prefetch",
            |it| it.purpose = Some("prefetch".into()),
            204,
        ),
        ("HEAD", |it| it.method = "HEAD".into(), 204),
        (
            "another site",
            |it| it.site = Some("cross-site".into()),
            403,
        ),
        ("a sibling", |it| it.site = Some("same-site".into()), 403),
        ("the browser", |it| it.site = Some("none".into()), 403),
        (
            "a script of another site",
            |it| {
                it.site = Some("cross-site".into());
                it.marker = Some("1".into());
            },
            403,
        ),
        (
            "a frame of another site",
            |it| {
                it.site = Some("cross-site".into());
                it.mode = Some("navigate".into());
                it.dest = Some("iframe".into());
            },
            403,
        ),
        (
            "a page of another site in a window",
            |it| {
                it.site = Some("cross-site".into());
                it.mode = Some("navigate".into());
                it.dest = Some("document".into());
            },
            204,
        ),
        (
            "the head of a page of another site in a window",
            |it| {
                it.method = "HEAD".into();
                it.site = Some("cross-site".into());
                it.mode = Some("navigate".into());
                it.dest = Some("document".into());
            },
            204,
        ),
        (
            "another method of another site in a window",
            |it| {
                it.method = "OPTIONS".into();
                it.site = Some("cross-site".into());
                it.mode = Some("navigate".into());
                it.dest = Some("document".into());
            },
            403,
        ),
        (
            "a prefetched page of another site",
            |it| {
                it.site = Some("cross-site".into());
                it.mode = Some("navigate".into());
                it.dest = Some("document".into());
                it.purpose = Some("prefetch".into());
            },
            403,
        ),
        (
            "another origin",
            |it| it.origin = Some("https://evil.test".into()),
            403,
        ),
        (
            "two sites",
            |it| it.site = Some("same-origin, cross-site".into()),
            403,
        ),
        (
            "two origins",
            |it| it.origin = Some("https://app.example.com, https://evil.test".into()),
            403,
        ),
        (
            "an old browser",
            |it| {
                it.site = None;
                it.mode = None;
                it.dest = None;
            },
            403,
        ),
        (
            "another origin in an old browser, which says that it expects a page",
            |it| {
                (it.site, it.mode, it.dest) = (None, None, None);
                it.accept = Some("text/html".into());
                it.origin = Some("https://evil.test".into());
            },
            403,
        ),
        (
            "an old browser with Origin",
            |it| {
                it.site = None;
                it.mode = None;
                it.dest = None;
                it.origin = Some(APP.into());
            },
            204,
        ),
        (
            "an old browser with the header",
            |it| {
                it.site = None;
                it.mode = None;
                it.dest = None;
                it.marker = Some("1".into());
            },
            204,
        ),
    ];
    for (name, change, status) in changes {
        let mut host = host();
        let mut request = picture(&host);
        change(&mut request);
        assert_eq!(ask(&mut host, request).status(), *status, "{name}");
    }
}

// claim: handler-75
#[test]
fn only_the_apps_own_pages_change_something() {
    type Change = fn(&mut Request);
    let changes: &[(&str, Change, u16)] = &[
        ("own script", |_| {}, 204),
        (
            "own form",
            |it| {
                it.marker = None;
                it.mode = Some("navigate".into());
                it.dest = Some("document".into());
            },
            204,
        ),
        ("own script without the header", |it| it.marker = None, 204),
        ("a tunnel", |it| it.method = "CONNECT".into(), 403),
        (
            "a tunnel in lower case",
            |it| it.method = "connect".into(),
            403,
        ),
        ("an echo", |it| it.method = "TRACE".into(), 403),
        (
            "own script that expects a page",
            |it| it.accept = Some("text/html".into()),
            204,
        ),
        (
            "a form in whose place a service worker sends another request",
            |it| {
                it.marker = None;
                it.accept = Some("text/html".into());
            },
            403,
        ),
        (
            "another site",
            |it| {
                it.site = Some("cross-site".into());
                it.origin = Some("https://evil.test".into());
            },
            403,
        ),
        (
            "a form of another site",
            |it| {
                it.marker = None;
                it.site = Some("cross-site".into());
                it.origin = Some("null".into());
                it.mode = Some("navigate".into());
                it.dest = Some("document".into());
            },
            403,
        ),
        (
            "a sibling",
            |it| {
                it.site = Some("same-site".into());
                it.origin = Some("https://www.example.com".into());
            },
            403,
        ),
        (
            "a form that a service worker passes on",
            |it| {
                it.marker = None;
                it.mode = Some("navigate".into());
                it.dest = Some("empty".into());
                it.accept = Some("text/html".into());
            },
            403,
        ),
        (
            "nothing",
            |it| {
                it.marker = None;
                it.site = None;
                it.origin = None;
            },
            403,
        ),
        ("an unknown method", |it| it.method = "PROPFIND".into(), 204),
        (
            "an unknown method of another site",
            |it| {
                it.method = "get".into();
                it.site = Some("cross-site".into());
            },
            403,
        ),
    ];
    for (name, change, status) in changes {
        let mut host = host();
        let mut request = host.by_script("POST", "/site/form");
        change(&mut request);
        assert_eq!(ask(&mut host, request).status(), *status, "{name}");
    }
}

// claim: handler-75
#[test]
fn socket_needs_the_own_origin() {
    for (origin, site, status) in [
        (Some(APP), Some("same-origin"), 204),
        (Some(APP), None, 204),
        (Some("https://evil.test"), Some("cross-site"), 403),
        (Some("https://evil.test"), None, 403),
        (None, Some("same-origin"), 403),
    ] {
        let mut host = host();
        let request = Request {
            origin: origin.map(str::to_owned),
            site: site.map(str::to_owned),
            mode: Some("websocket".to_owned()),
            dest: Some("empty".to_owned()),
            check: Some(Check {
                path: "site".to_owned(),
                secret: Some(SECRET.to_owned()),
                socket_version: Some("13".to_owned()),
            }),
            ..host.navigation("/site/socket", Source::App)
        };
        assert_eq!(
            host.request(request).status(),
            status,
            "{origin:?} {site:?}"
        );
    }
}

// claim: handler-75
#[test]
fn check_needs_the_guards_secret() {
    for (path, secret) in [
        ("site", None),
        ("site", Some("")),
        ("site", Some("0123456789abcdef0123456789abcdeF")),
        ("other", Some(SECRET)),
        ("", Some(SECRET)),
        ("site/other", Some(SECRET)),
        ("site/nginx/nginx", Some(SECRET)),
    ] {
        let mut host = host();
        host.faults();
        for _ in 0..3 {
            let request = Request {
                check: Some(Check {
                    path: path.to_owned(),
                    secret: secret.map(str::to_owned),
                    socket_version: None,
                }),
                ..host.navigation("/site/", Source::App)
            };
            refused(host.request(request), 403);
        }
        assert_eq!(host.faults(), [Code::ConfigInvalid], "one line a minute");
    }
}

#[test]
fn request_of_a_browser_is_not_a_check() {
    let mut host = host();
    for path in ["/site", "/site/nginx", "/auth/site"] {
        let request = host.navigation(path, Source::App);
        let answered = host.request(request);
        assert!(!matches!(answered, Answered::Allowed(_)), "{path}");
    }
}

#[test]
fn scheme_and_host_must_be_an_origin_of_the_app() {
    for url in [
        "http://app.example.com/site/",
        "https://evil.test/site/",
        "https://app.example.com.evil.test/site/",
        "https://app.example.com@evil.test/site/",
        "https://app.example.com",
        "://",
    ] {
        let mut host = host();
        host.faults();
        let request = Request {
            url: url.to_owned(),
            ..host.navigation("/", Source::App)
        };
        refused(ask(&mut host, request), 403);
        assert_eq!(host.faults(), [Code::ConfigInvalid], "{url}");
    }
}

#[test]
fn spelling_of_scheme_and_host_does_not_matter() {
    for (origin, url) in [
        (APP, "HTTPS://app.example.com/site/"),
        (APP, "https://APP.example.com/site/"),
        (APP, "https://app.example.com:443/site/"),
        (APP, "Https://App.Example.Com:443/site/"),
        (
            "https://app.example.com:8443",
            "https://APP.example.com:8443/site/",
        ),
        ("http://localhost", "HTTP://LOCALHOST:80/site/"),
    ] {
        for origin in [json!(origin), json!([origin])] {
            let mut host = Host::with(&configured(&json!({ "origin": origin })));
            let request = Request {
                url: url.to_owned(),
                ..host.navigation("/", Source::App)
            };
            let login = location(&refused(ask(&mut host, request), 303)).to_owned();
            assert!(login.contains("returnTo=%2Fsite%2F&"), "{url}: {login}");
        }
    }
    for url in [
        "https://app.example.com:80/site/",
        "https://app.example.com:443:443/site/",
        "HTTP://app.example.com:80/site/",
        "https://app.example.com:8443/site/",
        "https://app.example.com/site/..%2F",
        "https://app.example.com:443/AUTH/../auth/login",
    ] {
        let mut host = host();
        let request = Request {
            url: url.to_owned(),
            ..host.navigation("/", Source::App)
        };
        refused(ask(&mut host, request), 403);
    }
}

#[test]
fn proxy_must_not_ask_about_the_handlers_own_addresses() {
    let mut host = Host::with(&configured(&json!({})));
    for path in ["/auth/login", "/auth/?a=1"] {
        refused(open(&mut host, path), 403);
    }
    assert_eq!(host.faults(), [Code::ConfigInvalid], "one line a minute");
    for path in ["/auth", "/authors/", "/site/auth/"] {
        refused(open(&mut host, path), 303);
    }
}

#[test]
fn foreign_host_does_not_hide_a_wrong_secret() {
    let mut host = host();
    host.faults();
    let request = Request {
        url: "https://evil.test/".to_owned(),
        ..host.navigation("/", Source::App)
    };
    refused(ask(&mut host, request), 403);
    let request = host.navigation("/", Source::App);
    refused(ask_at(&mut host, "nameless", request), 403);
    assert_eq!(host.faults().len(), 2);
}

#[test]
fn path_that_servers_read_in_several_ways_is_refused() {
    for (path, status) in [
        ("/site/..%2fadmin/x", 403),
        ("/site/%2e%2e/admin/x", 403),
        ("/site/../admin", 403),
        ("/site/..;/admin", 403),
        ("/site/%5cadmin", 403),
        ("/site/%00", 403),
        ("/site/a%20b?x=..%2f", 204),
        ("/site/Zo%C3%AB", 204),
    ] {
        let mut host = host();
        let request = Request {
            url: [APP, path].concat(),
            ..host.navigation("/", Source::App)
        };
        assert_eq!(ask(&mut host, request).status(), status, "{path}");
    }
}

#[test]
fn sealed_cookie_from_before_is_sent_to_the_login() {
    let mut host = Host::signed_in_with(&json!({ "origin": APP }));
    host.restart(&configured(&json!({})));
    let response = refused(open(&mut host, "/site/"), 303);
    let login = location(&response).to_owned();
    let back = host.come_back(&login);
    assert_eq!(host.come_in(&back).status, 303);
    allowed(open(&mut host, "/site/"));
}

#[test]
fn unreachable_provider_is_503() {
    let mut host = host();
    host.pass(700);
    host.failing = vec!["Send"];
    refused(open(&mut host, "/site/"), 503);
}

#[test]
fn pages_and_changes_extend_the_idle_timeout_and_pictures_do_not() {
    for (request, is_kept) in [
        (Host::navigation as fn(&Host, &str, Source) -> Request, true),
        (|host, _, _| picture(host), false),
        (|host, _, _| host.by_script("POST", "/site/"), true),
        (|host, _, _| host.by_script("GET", "/site/"), true),
        (
            |host, _, _| Request {
                marker: None,
                ..host.by_script("POST", "/site/")
            },
            true,
        ),
        (
            |host, _, _| Request {
                marker: Some("background".to_owned()),
                ..host.by_script("GET", "/site/")
            },
            false,
        ),
        (
            |host, _, _| Request {
                marker: None,
                ..host.by_script("GET", "/site/")
            },
            false,
        ),
    ] {
        let mut host = Host::signed_in_with(&configured(&json!({
            "session": { "storage": "in-store", "idle": 3600 },
        })));
        host.pass(3000);
        let asked = request(&host, "/site/", Source::App);
        allowed(ask(&mut host, asked));
        host.pass(3000);
        let is_there = matches!(open(&mut host, "/site/"), Answered::Allowed(_));
        assert_eq!(is_there, is_kept);
    }
}

#[test]
fn end_of_the_session_waits_for_a_click() {
    let mut host = host();
    assert!(
        host.end(&json!({ "user": "ann" }), &json!({ "reason": "security" }))
            .is_ok()
    );
    host.pass(11);
    host.effects.clear();
    let login = location(&refused(open(&mut host, "/site/"), 303)).to_owned();
    let is_written = host.effects.iter().any(|effect| effect == "Swap");
    assert!(is_written, "the end is in the session's record");
    let page = host.go(&login, Source::CrossSite).own();
    assert_eq!(page.status, 200);
    assert!(page.body.unwrap().1.contains("Sign in?"));
}

#[test]
fn third_login_for_one_address_within_ten_seconds_is_a_page() {
    let mut host = Host::with(&configured(&json!({})));
    let login = location(&refused(open(&mut host, "/site/"), 303)).to_owned();
    let other = login.replace("site", "other");
    for _ in 0..2 {
        assert_eq!(host.go(&login, Source::CrossSite).status(), 303);
    }
    host.faults();
    let page = host.go(&login, Source::CrossSite).own();
    assert_eq!(page.status, 200);
    assert!(page.body.unwrap().1.contains("Sign in again?"));
    assert_eq!(host.faults(), [Code::LoginFailed]);
    assert_eq!(host.go(&other, Source::CrossSite).status(), 303);
}

#[test]
fn bound_session_is_renewed_on_a_page_of_the_handler() {
    let config = json!({ "session": { "storage": "in-store", "bind": "required" } });
    let mut host = Host::with(&configured(&config));
    bound(&mut host);
    host.pass(700);
    host.browser.lose(BOUND);
    let resource = picture(&host);
    refused(ask(&mut host, resource), 401);
    let login = location(&refused(open(&mut host, "/site/"), 303)).to_owned();
    let page = host.go(&login, Source::CrossSite).own();
    let body = page.body.unwrap().1;
    assert!(
        body.contains(r#"content="0; url=https://app.example.com/site/""#),
        "{body}"
    );
    // The browser could not renew it: the user signs in.
    let again = host.go(&login, Source::CrossSite).own();
    assert_eq!(again.status, 303);
    assert!(location(&again).contains("/authorize"));
}

#[test]
fn renewal_that_failed_is_503() {
    let config = json!({ "session": { "storage": "in-store", "bind": "required" } });
    let mut host = Host::with(&configured(&config));
    bound(&mut host);
    host.pass(700);
    host.browser.lose(BOUND);
    let mut request = host.navigation("/site/", Source::App);
    request.bound_skipped = Some("server_error".to_owned());
    let response = refused(ask(&mut host, request), 503);
    assert_eq!(header(&response, "location"), None);
}

#[test]
fn guards_need_sessions_in_the_store_an_origin_and_bearer_tokens() {
    let mut config = configuration(&configured(&json!({})));
    config.as_object_mut().unwrap().remove("origin");
    let error = Config::parse(&config.to_string()).unwrap_err();
    assert!(
        error.message().contains("`origin` is missing: `guards`"),
        "{}",
        error.message()
    );
    let spaced = format!("{SECRET} ");
    let (short, long) = ("a".repeat(32), "a".repeat(33));
    let named = |name: &str| configured(&json!({ "guards": { name: { "secret": SECRET } } }));
    assert!(Config::parse(&configuration(&named(&short)).to_string()).is_ok());
    refuses(&named(&long), &format!("`guards.{long}`: the name"));
    for (changes, expected) in [
        (
            json!({ "session": {} }),
            "`session.storage` is missing: `guards` needs 'in-store'",
        ),
        (json!({ "origin": null }), "`origin`"),
        (
            json!({ "dpop": true }),
            "`dpop` is true: a proxy cannot send proofs",
        ),
        (
            json!({ "guards": { "Site": { "secret": SECRET } } }),
            "`guards.Site`: the name",
        ),
        (json!({ "guards": { "site": {} } }), "`guards.site.secret`"),
        (
            json!({ "guards": { "site": { "secret": "short" } } }),
            "`guards.site.secret`",
        ),
        (
            json!({ "guards": { "site": { "secret": spaced } } }),
            "`guards.site.secret`",
        ),
        (
            json!({ "guards": { "site": { "secret": "" } } }),
            "`guards.site.secret`",
        ),
        (json!({ "guards": [] }), "`guards`"),
        (json!({ "guards": { "site": 1 } }), "`guards.site`"),
    ] {
        refuses(&configured(&changes), expected);
    }
    for (members, expected) in [
        (
            json!({ "allow": { "groups": [] } }),
            "`guards.site.allow.groups` is []",
        ),
        (
            json!({ "allow": { "groups": [""] } }),
            r#"`guards.site.allow.groups` is [""]: it must be"#,
        ),
        (
            json!({ "allow": { "sub": ["ann"], "groups": ["staff", ""] } }),
            "it has an empty string",
        ),
        (
            json!({ "allow": { "email": ["ann@a.test", "*@example.com"] } }),
            "write email: { domain: ['example.com'] }",
        ),
        (
            json!({ "allow": { "email": ["@example.com"] } }),
            "write email: { domain: ['example.com'] }",
        ),
        (
            json!({ "allow": { "email": {} } }),
            "`guards.site.allow.email.domain` is missing",
        ),
        (
            json!({ "allow": { "email": { "domain": "example.com" } } }),
            "`guards.site.allow.email.domain`",
        ),
        (
            json!({ "allow": { "email": { "domain": [] } } }),
            "`guards.site.allow.email.domain`",
        ),
        (
            json!({ "allow": { "email": { "domain": [""] } } }),
            "`guards.site.allow.email.domain`",
        ),
        (
            json!({ "allow": { "email": { "domain": ["a.test", "*.a.test"] } } }),
            "`guards.site.allow.email.domain`",
        ),
        (
            json!({ "allow": { "email": { "domain": ["@a.test"] } } }),
            "`guards.site.allow.email.domain`",
        ),
        (
            json!({ "allow": { "email": { "domain": [".a.test"] } } }),
            "`guards.site.allow.email.domain`",
        ),
        (
            json!({ "allow": { "email": { "domains": ["a.test"] } } }),
            "`guards.site.allow.email.domains`",
        ),
        (
            json!({ "allow": { "upn": { "domain": ["a.test"] } } }),
            "`guards.site.allow.upn`",
        ),
        (json!({ "allow": {} }), "`guards.site.allow`"),
        (json!({ "allow": null }), "`guards.site.allow`"),
        (
            json!({ "allow": { "groups": null } }),
            "`guards.site.allow.groups`",
        ),
        (
            json!({ "allow": { "groups": "staff" } }),
            "`guards.site.allow.groups`",
        ),
        (
            json!({ "identity": { "X_User": "sub" } }),
            "`guards.site.identity.X_User`",
        ),
        (
            json!({ "identity": { "X-A_B": "sub" } }),
            "`guards.site.identity.X-A_B`",
        ),
        (
            json!({ "identity": { "Cookie": "sub" } }),
            "`guards.site.identity.Cookie`",
        ),
        (
            json!({ "identity": { "X-Forwarded-For": "sub" } }),
            "`guards.site.identity.X-Forwarded-For`",
        ),
        (
            json!({ "identity": { "X-User": "sub", "x-user": "sub" } }),
            "`guards.site.identity.x-user`",
        ),
        (
            json!({ "identity": { "X-User": 1 } }),
            "`guards.site.identity.X-User` is 1",
        ),
        (json!({ "identiy": {} }), "`guards.site.identiy`"),
    ] {
        refuses(&guard(&members), expected);
    }
}

#[test]
fn header_of_the_identity_ends_in_a_word_about_the_user() {
    let of = |name: &str| guard(&json!({ "identity": { name: "sub" } }));
    for name in [
        "X-User",
        "X-WEBAUTH-USER",
        "X-Remote-User",
        "Remote-User",
        "Tailscale-User-Login",
        "X-Auth-Request-Preferred-Username",
        "X-Grafana-Given-Name",
        "x-a-family-name",
        "X-User-Id",
        "X-Uid",
        "Oidc-Sub",
        "X-Email",
        "Remote-Groups",
        "X-Token-Roles",
    ] {
        assert!(
            Config::parse(&configuration(&of(name)).to_string()).is_ok(),
            "{name}"
        );
    }
    for name in [
        "X-Method-Override",
        "X-Host",
        "X-Scheme",
        "Remote-Addr",
        "X-",
        "X",
        "",
        "-User",
        "User",
        "X-Users",
        "X-User-",
        "X-Username2",
        "Host",
        "Cookie",
        "Content-Id",
        "Last-Event-ID",
        "Proxy-User",
        "Sec-User",
        "X-Request-Id",
        "X-Amzn-Trace-Id",
        "X-Forwarded-User",
        "X-Forwarded-Email",
        "X-Original-User",
        "X-Strongroom-User",
    ] {
        refuses(&of(name), "the header must end in a word about the user");
    }
}

#[track_caller]
fn refuses(config: &Value, expected: &str) {
    let error = Config::parse(&configuration(config).to_string()).unwrap_err();
    assert!(error.message().contains(expected), "{}", error.message());
}
