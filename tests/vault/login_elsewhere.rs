//! A login that another site begins (OpenID Connect Core 1.0 4). No other site may switch the user, or choose where the
//! login leads.

use kit::world::{PageResponse, World};
use rules::codec::form::Form;
use vault::PortId;

const CONFIG: &str = r#"{"initiateLoginUri": "/start"}"#;
const START: &str = "https://app.example.com/start";
const ISSUER: &str = "https://id.example.com";

/// Returns an address with these parameters.
fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut form = Form::new();
    for (name, value) in parameters {
        form.push(name, value);
    }
    [path, "?", &form.finish()].concat()
}

/// Returns the vault's response to a page at this address.
fn response(world: &mut World, page: PortId, url: &str) -> PageResponse {
    let request = world.callback(page, url);
    world.answer_all();
    world.response(request).unwrap().clone()
}

fn initiated(return_to: &str) -> PageResponse {
    PageResponse::Initiated {
        return_to: return_to.to_owned(),
        is_target_refused: false,
        is_signed_in: false,
        login_hint: None,
    }
}

fn error_code(response: PageResponse) -> String {
    match response {
        PageResponse::Error { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

fn signed_out() -> (World, PortId) {
    let mut world = World::with(CONFIG);
    let page = world.open();
    (world, page)
}

#[test]
fn page_learns_hint_and_target() {
    let (mut world, page) = signed_out();
    let parameters = [
        ("iss", ISSUER),
        ("login_hint", "a@example.com"),
        (
            "target_link_uri",
            "https://app.example.com/orders?page=2#top",
        ),
        ("unknown", "x"),
    ];
    let told = PageResponse::Initiated {
        return_to: "/orders?page=2#top".to_owned(),
        is_target_refused: false,
        is_signed_in: false,
        login_hint: Some("a@example.com".to_owned()),
    };
    assert_eq!(
        response(&mut world, page, &address(START, &parameters)),
        told
    );
    assert_eq!(
        response(&mut world, page, &address(START, &parameters[..1])),
        initiated("/")
    );
    let empty = address(START, &[("iss", ISSUER), ("target_link_uri", "")]);
    assert_eq!(response(&mut world, page, &empty), initiated("/"));
}

// claim: site-8
#[test]
fn session_is_kept() {
    let (mut world, page) = World::signed_in_with(CONFIG);
    let before = world.session(page).unwrap().clone();
    let url = address(START, &[("iss", ISSUER), ("login_hint", "another")]);
    let PageResponse::Initiated { is_signed_in, .. } = response(&mut world, page, &url) else {
        panic!("the vault took the address for a response");
    };
    assert!(is_signed_in);
    assert_eq!(world.session(page), Some(&before));
}

// claim: site-8
#[test]
fn other_issuer_is_refused() {
    let (mut world, page) = signed_out();
    for issuer in ["https://evil.test", "https://id.example.com/", ""] {
        let url = address(START, &[("iss", issuer)]);
        let code = error_code(response(&mut world, page, &url));
        assert_eq!(code, "issuer_mismatch", "{issuer}");
    }
}

#[test]
fn repeated_parameter_is_refused() {
    let (mut world, page) = signed_out();
    for name in ["iss", "login_hint", "target_link_uri"] {
        let url = address(START, &[("iss", ISSUER), (name, "/a"), (name, "/b")]);
        let code = error_code(response(&mut world, page, &url));
        assert_eq!(code, "message_invalid", "{name}");
    }
}

// claim: site-8
#[test]
fn targets_outside_the_apps_pages_are_refused() {
    let (mut world, page) = signed_out();
    for target in [
        "https://evil.test/",
        "//evil.test/",
        "/\\evil.test",
        "https://app.example.com@evil.test/",
        "https://u@app.example.com/",
        "http://app.example.com/",
        "javascript:alert(1)",
        "data:text/html,x",
        "/callback?code=a&state=b",
        "/callback#code=a",
        "/start?iss=x",
        "/a/../start",
        "start",
    ] {
        let url = address(START, &[("iss", ISSUER), ("target_link_uri", target)]);
        let told = PageResponse::Initiated {
            return_to: "/".to_owned(),
            is_target_refused: true,
            is_signed_in: false,
            login_hint: None,
        };
        assert_eq!(response(&mut world, page, &url), told, "{target}");
    }
}

#[test]
fn redirect_uri_without_parameters_is_a_valid_target() {
    let mut world = World::with(r#"{"initiateLoginUri": "/start", "redirectUri": "/"}"#);
    let page = world.open();
    for target in [None, Some("/")] {
        let mut parameters = vec![("iss", ISSUER)];
        parameters.extend(target.map(|target| ("target_link_uri", target)));
        let url = address(START, &parameters);
        assert_eq!(response(&mut world, page, &url), initiated("/"));
    }
    let target = ("target_link_uri", "/?code=a&state=b");
    let url = address(START, &[("iss", ISSUER), target]);
    let PageResponse::Initiated {
        is_target_refused, ..
    } = response(&mut world, page, &url)
    else {
        panic!("the vault took the address for a response");
    };
    assert!(is_target_refused);
}

#[test]
fn target_within_the_app_has_one_slash_at_its_start() {
    let (mut world, page) = signed_out();
    let target = ("target_link_uri", "https://app.example.com//evil.test/");
    let url = address(START, &[("iss", ISSUER), target]);
    assert_eq!(response(&mut world, page, &url), initiated("/evil.test/"));
}

#[test]
fn other_urls_begin_no_login() {
    let (mut world, page) = signed_out();
    for path in [
        "https://app.example.com/start/",
        "https://app.example.com/",
        "https://app.example.com/START",
        "https://other.example.com/start",
    ] {
        let url = address(path, &[("iss", ISSUER)]);
        let code = error_code(response(&mut world, page, &url));
        assert_eq!(code, "redirect_uri_mismatch", "{path}");
    }
    let without_issuer = address(START, &[("login_hint", "a")]);
    let code = error_code(response(&mut world, page, &without_issuer));
    assert_eq!(code, "redirect_uri_mismatch");
}

#[test]
fn response_of_the_provider_is_not_an_initiation() {
    let (mut world, page) = signed_out();
    let url = address("https://app.example.com/callback", &[("iss", ISSUER)]);
    let code = error_code(response(&mut world, page, &url));
    assert_eq!(code, "callback_invalid");
}

#[test]
fn without_the_option_there_is_no_such_address() {
    let mut world = World::with("{}");
    let page = world.open();
    let url = address(START, &[("iss", ISSUER)]);
    let code = error_code(response(&mut world, page, &url));
    assert_eq!(code, "redirect_uri_mismatch");
}

#[test]
fn frame_of_a_vault_origin_refuses_the_option() {
    let mut world = World::with(CONFIG);
    let frame = world.open_framed();
    assert_eq!(world.failure(frame), "config_invalid");
}
