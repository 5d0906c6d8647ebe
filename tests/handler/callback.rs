//! Tests of `GET <base>/callback`: the authorization responses that the handler accepts, and the effect of a login on
//! an earlier session. Each response is accepted once.

use edge::OwnResponse;
use rules::Code;
use rules::session::EndReason;
use serde_json::json;

use crate::browser::{Browser, Source};
use crate::host::{APP, COOKIE, Host, LOGIN_COOKIE, header, location};
use crate::provider;

fn with(url: &str, name: &str, value: Option<&str>) -> String {
    let (path, query) = url.split_once('?').unwrap();
    let mut params = provider::params(query);
    match value {
        Some(value) => params.insert(name.to_owned(), value.to_owned()),
        None => params.remove(name),
    };
    let mut form = rules::codec::form::Form::new();
    for (name, value) in params {
        form.push(&name, &value);
    }
    [path, "?", &form.finish()].concat()
}

#[test]
fn callback_creates_session_and_clears_login_cookie() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login?returnTo=/orders");
    let response = host.arrive(&back);
    assert_eq!(location(&response), "/orders");
    assert_eq!(host.browser.names(), [COOKIE]);
    let session = host.session();
    assert_eq!(session["claims"], json!({ "sub": "ann" }));
    assert_eq!(session["scopes"], json!(["openid", "offline_access"]));
    let [sent] = host.provider.sent_to("/token")[..] else {
        panic!("not one exchange");
    };
    assert_eq!(sent.params["grant_type"], "authorization_code");
    assert_eq!(
        sent.params["redirect_uri"],
        "https://app.example.com/auth/callback"
    );
    assert!(sent.params["code_verifier"].len() >= 43);
    assert!(host.faults().is_empty());
}

// claim: handler-8
#[test]
fn response_is_accepted_once() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    let before = host.browser.clone();
    assert_eq!(host.arrive(&back).status, 303);
    // The callback is repeated in the same browser, whose login cookie was deleted, and in a browser with a copy of
    // that cookie.
    host.browser.0.retain(|cookie| cookie.name != COOKIE);
    for (browser, exchanges) in [(host.browser.clone(), 1), (before, 2)] {
        host.browser = browser;
        assert_eq!(host.arrive(&back).status, 400);
        assert_eq!(host.provider.sent_to("/token").len(), exchanges);
    }
    assert_eq!(host.faults(), [Code::LoginUnknown, Code::CodeRejected]);
}

/// The user goes back or reloads the page, or the browser sends the request twice.
#[test]
fn callback_that_is_opened_again_leads_to_the_app() {
    for config in [json!({}), strict()] {
        for from in [Source::CrossSite, Source::Browser, Source::App] {
            let mut host = Host::with(&config);
            let back = host.come_back("/auth/login?returnTo=/orders");
            let before = host.browser.clone();
            host.pass(1);
            host.come_in(&back);
            let session = host.session();
            for (has_login, path) in [(false, "/"), (true, "/orders")] {
                if has_login {
                    // The response to the first request has arrived, but this request was sent before.
                    let login = before.0.iter().find(|c| c.name.starts_with(LOGIN_COOKIE));
                    host.browser.0.push(login.unwrap().clone());
                }
                let mut response = host.go(&back, from).own();
                if response.status == 200 && refreshed_to(&response).ends_with("&again") {
                    response = host.go(&refreshed_to(&response), Source::App).own();
                }
                assert_eq!(location(&response), path, "{from:?}");
                assert_eq!(host.session(), session);
                assert_eq!(host.browser.count(LOGIN_COOKIE), 0);
                assert!(host.faults().is_empty());
            }
        }
    }
}

#[test]
fn opened_again_after_the_session_has_ended_it_explains_itself() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    host.come_in(&back);
    host.pass(1800);
    assert_eq!(host.arrive(&back).status, 400);
    assert_eq!(host.faults(), [Code::LoginUnknown]);
}

/// The session of an earlier login must not hide that another login has failed.
#[test]
fn refused_code_is_an_error_despite_an_earlier_session() {
    let mut host = Host::signed_in();
    host.pass(60);
    let back = host.come_back("/auth/login?prompt=login");
    host.provider.replies.push_back((
        "/token",
        Some(provider::json(400, r#"{"error":"invalid_grant"}"#)),
    ));
    assert_eq!(host.arrive(&back).status, 400);
    assert_eq!(host.faults(), [Code::CodeRejected]);
}

// claim: handler-3, handler-8
#[test]
fn callback_works_only_in_the_same_browser() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    let begun = std::mem::take(&mut host.browser);
    // Login CSRF: the victim's browser has started its own login and then receives the attacker's authorization
    // response. It begins a login of the victim's own.
    host.begin_login("/auth/login");
    assert!(location(&host.arrive(&back)).starts_with(provider::ISSUER));
    assert_eq!(host.browser.count(COOKIE), host.browser.count(LOGIN_COOKIE));
    assert!(host.provider.sent_to("/token").is_empty());
    assert_eq!(host.faults(), [Code::LoginUnknown]);
    // Control experiment: the callback works in the browser that began the login.
    host.browser = begun;
    assert_eq!(host.arrive(&back).status, 303);
}

// claim: handler-8
#[test]
fn callback_matches_only_its_own_login() {
    let mut host = Host::new();
    let [one, other] = [(); 2].map(|()| host.come_back("/auth/login"));
    let query = other.split_once('?').unwrap().1;
    let code = provider::params(query)["code"].clone();
    // The provider knows the challenge of the other login (RFC 7636 section 4.6).
    let swapped = with(&one, "code", Some(&code));
    assert_eq!(host.arrive(&swapped).status, 400);
    assert_eq!(host.faults(), [Code::CodeRejected]);
    assert_eq!(host.browser.count(COOKIE), host.browser.count(LOGIN_COOKIE));
}

// claim: handler-8
#[test]
fn login_cookie_opens_only_under_own_name() {
    let mut host = Host::new();
    let [one, _] = [(); 2].map(|()| host.come_back("/auth/login"));
    let values: Vec<String> = host.browser.0.iter().map(|c| c.value.clone()).collect();
    for (cookie, value) in host.browser.0.iter_mut().zip(values.iter().rev()) {
        cookie.value.clone_from(value);
    }
    assert_eq!(host.arrive(&one).status, 400);
    assert_eq!(host.faults(), [Code::LoginUnknown]);
    assert!(host.provider.sent_to("/token").is_empty());
}

#[test]
fn malformed_response_uses_up_no_login() {
    for (name, value, code) in [
        ("state", None, Code::CallbackInvalid),
        ("state", Some(""), Code::LoginUnknown),
        ("state", Some("another"), Code::LoginUnknown),
        ("code", None, Code::CallbackInvalid),
        ("code", Some(""), Code::CallbackInvalid),
        ("error", Some("access_denied"), Code::CallbackInvalid),
        ("iss", Some("https://evil.test"), Code::IssuerMismatch),
        ("iss", Some("https://id.example.com/"), Code::IssuerMismatch),
        ("iss", Some(""), Code::IssuerMismatch),
    ] {
        let mut host = Host::new();
        let back = host.come_back("/auth/login");
        let response = host.arrive(&with(&back, name, value));
        assert_eq!(response.status, 400, "{name} {value:?}");
        assert_eq!(host.faults(), [code], "{name} {value:?}");
        assert!(host.provider.sent_to("/token").is_empty());
        assert_eq!(host.browser.count(COOKIE), host.browser.count(LOGIN_COOKIE));
    }
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    for (url, code) in [
        ([&back, "&code=2"].concat(), Code::CallbackInvalid),
        ([&back, "&state=2"].concat(), Code::CallbackInvalid),
        ([&back, "&iss=2"].concat(), Code::CallbackInvalid),
        ([&back, "&x=%ff"].concat(), Code::CallbackInvalid),
        ("/auth/callback".to_owned(), Code::CallbackInvalid),
        ("/auth/callback?".to_owned(), Code::CallbackInvalid),
        ("/auth/callback?%00".to_owned(), Code::CallbackInvalid),
        (
            ["/auth/callback?state=", &"x".repeat(100_000)].concat(),
            Code::CallbackInvalid,
        ),
    ] {
        // A failed login is logged at most once a minute.
        host.pass(60);
        assert_eq!(host.arrive(&url).status, 400);
        assert_eq!(host.faults(), [code]);
    }
    // Control experiment: the login is still pending after all these attempts.
    assert_eq!(host.arrive(&back).status, 303);
}

#[test]
fn provider_error_reaches_login_page() {
    for (error, status, code) in [
        ("access_denied", 403, Code::LoginDenied),
        ("consent_required", 403, Code::LoginDenied),
        ("login_required", 400, Code::InteractionRequired),
        ("invalid_scope", 400, Code::LoginFailed),
        ("server_error", 503, Code::ProviderUnavailable),
        ("<script>", 400, Code::CallbackInvalid),
    ] {
        let mut host = Host::new();
        let back = host.come_back("/auth/login");
        let refused = with(&with(&back, "code", None), "error", Some(error));
        let response = host.arrive(&refused);
        assert_eq!(
            (response.status, host.faults()),
            (status, vec![code]),
            "{error}"
        );
        let (kind, page) = response.body.as_ref().unwrap();
        assert_eq!(*kind, "text/html; charset=utf-8");
        assert!(page.contains(code.as_str()));
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(host.browser.count(COOKIE), host.browser.count(LOGIN_COOKIE));
    }
}

#[test]
fn failed_exchange_has_the_status_of_its_error() {
    let refused = |status, code| Some(provider::json(status, &format!(r#"{{"error":"{code}"}}"#)));
    for (reply, status, code) in [
        (None, 503, Code::ProviderUnavailable),
        (refused(400, "invalid_grant"), 400, Code::CodeRejected),
        (refused(401, "invalid_client"), 502, Code::ClientRejected),
        (
            Some(provider::json(200, "{}")),
            502,
            Code::TokenResponseInvalid,
        ),
    ] {
        let mut host = Host::new();
        let back = host.come_back("/auth/login");
        host.provider.replies.push_back(("/token", reply));
        assert_eq!(host.arrive(&back).status, status, "{code:?}");
        assert_eq!(host.faults(), [code]);
    }
}

/// Returns true if the handler has logged this description.
fn has_logged(host: &Host, description: &str) -> bool {
    let expected = format!("the provider says \"{description}\"");
    host.fault_messages().contains(&expected)
}

#[test]
fn description_of_a_response_is_logged() {
    for is_on in [true, false] {
        let mut host = Host::with(&json!({ "logDescriptions": is_on }));
        let back = host.come_back("/auth/login");
        let refused = with(&with(&back, "code", None), "error", Some("invalid_scope"));
        let refused = with(
            &refused,
            "error_description",
            Some("Turn on offline access"),
        );
        let response = host.arrive(&refused);
        assert_eq!(has_logged(&host, "Turn on offline access"), is_on);
        let (_, page) = response.body.as_ref().unwrap();
        assert!(!page.contains("Turn on"), "{page}");
    }
}

#[test]
fn description_from_another_issuer_is_not_logged() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    let refused = with(&with(&back, "code", None), "error", Some("invalid_scope"));
    let refused = with(&refused, "error_description", Some("Hello"));
    host.arrive(&with(&refused, "iss", Some("https://evil.test")));
    assert!(!has_logged(&host, "Hello"));
}

#[test]
fn description_of_a_refused_code_is_logged() {
    for (what, is_logged) in [
        ("The code has expired", true),
        // CODE and the provider's ending are the code of the login.
        (r#"The code CODE |:)\"+%20&=~  has expired"#, false),
        (
            "code=CODE+%7C%3A%29%5C%22%2B%2520%26%3D%7E+ has expired",
            false,
        ),
        (
            "code=CODE%20%7c:)%5c%22%2B%2520%26%3D~%20 has expired",
            false,
        ),
        ("The secret s3cret/+ is wrong", false),
        ("The secret s3cret%2F%2B is wrong", false),
    ] {
        let auth = json!({ "method": "client_secret_post", "secret": "s3cret/+" });
        let client = json!({ "id": "web", "auth": auth });
        let mut host = Host::with(&json!({ "client": client }));
        let back = host.come_back("/auth/login");
        let code = &provider::params(back.split_once('?').unwrap().1)["code"];
        let what = what.replace("CODE", code.strip_suffix(&host.provider.ending).unwrap());
        let body = json!({ "error": "invalid_grant", "error_description": what }).to_string();
        let reply = provider::json(400, &body);
        host.provider.replies.push_back(("/token", Some(reply)));
        host.arrive(&back);
        assert_eq!(has_logged(&host, &what), is_logged, "{what}");
        assert_eq!(host.fault_messages().len(), 1 + usize::from(is_logged));
    }
}

#[test]
fn error_without_state_has_the_providers_code() {
    for (query, status, code, says) in [
        (
            "error=access_denied",
            403,
            Code::LoginDenied,
            "access_denied",
        ),
        (
            "error=unauthorized_client&iss=https://id.example.com",
            400,
            Code::LoginFailed,
            "unauthorized_client",
        ),
        (
            "error=server_error",
            503,
            Code::ProviderUnavailable,
            "server_error",
        ),
        // These responses come from another issuer, or lack the parameters that the provider sends.
        (
            "error=access_denied&iss=https://evil.test",
            400,
            Code::CallbackInvalid,
            "no state",
        ),
        ("code=1", 400, Code::CallbackInvalid, "no state"),
    ] {
        let mut host = Host::new();
        let back = host.come_back("/auth/login");
        let response = host.arrive(&["/auth/callback?", query].concat());
        assert_eq!(
            (response.status, host.faults()),
            (status, vec![code]),
            "{query}"
        );
        let (_, page) = response.body.as_ref().unwrap();
        assert!(page.contains(says), "{query}: {page}");
        assert!(page.contains(r#"<a href="/auth/login">"#), "{page}");
        assert!(host.provider.sent_to("/token").is_empty());
        // Control experiment: the pending login still completes. Otherwise any site could cancel a login by sending the
        // browser to the callback.
        assert_eq!(host.arrive(&back).status, 303, "{query}");
    }
}

#[test]
fn error_page_login_keeps_return_to() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login?returnTo=/orders%3Ftab%3D2%26x%3D%2522");
    let refused = with(&with(&back, "code", None), "error", Some("access_denied"));
    let response = host.arrive(&refused);
    assert_eq!(
        (response.status, host.faults()),
        (403, vec![Code::LoginDenied])
    );
    let (_, page) = response.body.as_ref().unwrap();
    let again = "/auth/login?returnTo=%2Forders%3Ftab%3D2%26x%3D%2522";
    assert!(page.contains(&format!(r#"<a href="{again}">"#)), "{page}");
    // The second login returns to the page that the first login named.
    let back = host.come_back(again);
    let response = host.arrive(&back);
    assert_eq!(location(&response), "/orders?tab=2&x=%22");
}

#[test]
fn failed_login_page_is_plain_and_accessible() {
    let mut host = Host::new();
    let response = host.arrive("/auth/callback");
    let (_, page) = response.body.as_ref().unwrap();
    for part in [
        r#"<html lang="en">"#,
        "<title>Signing in did not work</title>",
        r#"<meta name="viewport""#,
        "<main><h1>",
        r#"<a href="/auth/login">"#,
        r#"<a href="/">"#,
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let policy = header(&response, "content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("script-src"));
    assert!(policy.contains("frame-ancestors 'none'"));
}

#[test]
fn id_token_of_another_login_is_refused() {
    let mut host = Host::new();
    host.provider.state(r#""nonce":"x""#);
    let back = host.come_back("/auth/login");
    let response = host.arrive(&back);
    assert_eq!(response.status, 400);
    let (_, page) = response.body.as_ref().unwrap();
    assert!(page.contains("nonce does not match the login"), "{page}");
    assert_eq!(host.faults(), [Code::IdTokenInvalid]);
    assert!(host.browser.0.is_empty());
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    // The key set has another key under the `kid` of the provider's key, so the signature does not match.
    let keys = host.provider.sent_to("/jwks").len();
    let other = crate::crypto::Pair::generate().public_jwk(r#","kid":"key-0""#);
    let reply = provider::json(200, &format!(r#"{{"keys":[{other}]}}"#));
    host.provider.replies.push_back(("/jwks", Some(reply)));
    assert_eq!((keys, host.arrive(&back).status), (0, 400));
    assert_eq!(host.faults(), [Code::IdTokenInvalid]);
}

// claim: handler-9
#[test]
fn each_login_gets_a_new_session_id() {
    let mut host = Host::signed_in();
    let fixed = host.browser.get(COOKIE).cloned().unwrap();
    host.sign_in();
    let own = host.browser.get(COOKIE).cloned().unwrap();
    assert_ne!(fixed.value, own.value);
    // An attacker who had planted the earlier cookie gains nothing, because the session of that cookie has ended.
    let mut attacker = Browser(vec![fixed]);
    std::mem::swap(&mut host.browser, &mut attacker);
    assert!(host.session().is_null());
    std::mem::swap(&mut host.browser, &mut attacker);
    assert_eq!(host.session()["claims"]["sub"], "ann");
}

fn end_of_ann(reason: EndReason) -> (EndReason, String) {
    (reason, "ann".to_owned())
}

// claim: handler-10
#[test]
fn login_ends_session_of_another_user() {
    for (subject, reason, revoked) in [
        ("bob", EndReason::LoggedOut, true),
        ("ann", EndReason::Replaced, false),
    ] {
        let mut host = Host::signed_in();
        host.provider.subject = subject.to_owned();
        host.sign_in();
        assert!(host.ends().contains(&end_of_ann(reason)));
        assert_eq!(
            !host.provider.sent_to("/revoke").is_empty(),
            revoked,
            "{subject}"
        );
        assert_eq!(host.session()["claims"]["sub"], subject);
    }
}

fn strict() -> serde_json::Value {
    json!({ "cookie": { "keys": [crate::host::KEYS[0]], "sameSite": "strict" } })
}

/// Returns the URL to which the handler's intermediate page redirects the browser.
#[track_caller]
pub(crate) fn refreshed_to(response: &OwnResponse) -> String {
    assert_eq!(response.status, 200);
    let (_, page) = response.body.as_ref().unwrap();
    let (_, rest) = page
        .split_once(r#"http-equiv="refresh" content="0; url="#)
        .unwrap();
    let target = rest.split_once('"').unwrap().0;
    assert!(page.contains(&format!(r#"<a href="{target}">"#)), "{page}");
    target.replace("&amp;", "&")
}

#[test]
fn strict_cookie_is_sent_after_own_page() {
    let mut host = Host::with(&strict());
    let back = host.come_back("/auth/login?returnTo=/a%3Fb%3D%22%26c");
    let again = refreshed_to(&host.arrive(&back));
    assert_eq!(host.provider.sent_to("/token").len(), 0, "nothing was done");
    let response = host.go(&again, Source::App).own();
    assert_eq!(location(&response), "/a?b=%22&c");
    let cookie = host.browser.get(COOKIE).unwrap();
    assert!(cookie.attributes.contains(&"SameSite=Strict".to_owned()));
    assert_eq!(host.browser.header(Source::CrossSite), None);
    assert_eq!(host.session()["claims"]["sub"], "ann");
}

// claim: handler-10
#[test]
fn next_login_ends_session_with_strict_cookie() {
    for (subject, reason, revoked) in [
        ("bob", EndReason::LoggedOut, 1),
        ("ann", EndReason::Replaced, 0),
    ] {
        let mut host = Host::with(&strict());
        host.sign_in();
        host.provider.subject = subject.to_owned();
        host.sign_in();
        assert!(host.ends().contains(&end_of_ann(reason)));
        assert_eq!(host.provider.sent_to("/revoke").len(), revoked, "{subject}");
    }
}

#[test]
fn callback_is_repeated_at_most_once() {
    let mut host = Host::with(&strict());
    let back = host.come_back("/auth/login");
    let again = refreshed_to(&host.arrive(&back));
    // The second request also claims to come from another site, and still gets a response.
    assert_eq!(refreshed_to(&host.arrive(&again)), "/");
    assert_eq!(host.session()["claims"]["sub"], "ann");
}

#[test]
fn empty_callback_repeats_at_callback_path() {
    let mut host = Host::with(&strict());
    let again = refreshed_to(&host.arrive("/auth/callback"));
    assert_eq!(again, "/auth/callback?again");
    assert_eq!(host.go(&again, Source::App).own().status, 400);
}

#[test]
fn login_completes_without_fetch_metadata() {
    let mut host = Host::with(&strict());
    let back = host.come_back("/auth/login");
    let go = |host: &mut Host, url: &str| {
        refreshed_to(&host.go_without_metadata(url, Source::CrossSite).own())
    };
    let again = go(&mut host, &back);
    assert_eq!(again, [&back[APP.len()..], "&again"].concat());
    assert_eq!(go(&mut host, &again), "/");
    assert_eq!(host.session()["claims"]["sub"], "ann");
}

#[test]
fn same_user_login_does_not_revoke_later_generation() {
    let mut host = Host::signed_in();
    let before = host.browser.clone();
    host.pass(590);
    host.session();
    assert_eq!(host.provider.sent_to("/token").len(), 2, "refreshed");
    // The browser still has the old cookie, because the response with the new one was lost.
    host.browser = before;
    host.sign_in();
    assert_eq!(host.provider.sent_to("/revoke").len(), 0);
    assert_eq!(host.session()["claims"]["sub"], "ann");
}

#[test]
fn configuration_change_during_login_is_handled() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    // The new configuration requires DPoP, but the pending login has no key.
    host.restart(&json!({ "dpop": true }));
    assert_eq!(host.arrive(&back).status, 400);
    assert_eq!(host.faults(), [Code::LoginUnknown]);
}

#[test]
fn redirect_uri_uses_public_origin() {
    let mut host =
        Host::with(&json!({ "origin": "https://www.example.com", "base": "/sign-in/v1" }));
    let response = host
        .go("http://10.0.0.1:8787/sign-in/v1/login", Source::App)
        .own();
    let sent = host.provider.parameters(location(&response));
    assert_eq!(
        sent["redirect_uri"],
        "https://www.example.com/sign-in/v1/callback"
    );
    let back = host.provider.sign_in(location(&response));
    let inside = back.replace("https://www.example.com", "http://10.0.0.1:8787");
    assert_eq!(host.arrive(&inside).status, 303);
}

#[test]
fn previous_session_survives_an_unsaved_login() {
    // The tokens of a login of the same user belong to the session's grant.
    for (user, revocations) in [("bob", 1), ("ann", 0)] {
        let mut host = Host::signed_in_with(&json!({ "session": { "storage": "in-store" } }));
        host.provider.subject = user.to_owned();
        let back = host.come_back("/auth/login");
        host.failing = vec!["Swap"];
        assert_eq!(host.arrive(&back).status, 503);
        host.failing.clear();
        host.pass(2);
        assert_eq!(host.session()["claims"]["sub"], "ann");
        assert_eq!(
            host.provider.sent_to("/revoke").len(),
            revocations,
            "{user}"
        );
    }
}

#[test]
fn unsaved_login_of_an_unknown_user_is_not_revoked() {
    let config = json!({ "identity": "none", "session": { "storage": "in-store" } });
    let mut host = Host::signed_in_with(&config);
    let back = host.come_back("/auth/login");
    host.failing = vec!["Swap"];
    assert_eq!(host.arrive(&back).status, 503);
    host.failing.clear();
    host.pass(2);
    assert_eq!(host.call("GET", "/api/orders").status(), 200);
    assert!(host.provider.sent_to("/revoke").is_empty());
}

#[test]
fn script_cannot_finish_a_login() {
    let mut host = Host::new();
    let back = host.come_back("/auth/login");
    assert_eq!(host.call("GET", &back).status(), 403);
    assert!(host.provider.sent_to("/token").is_empty());
    assert_eq!(host.arrive(&back).status, 303);
}
