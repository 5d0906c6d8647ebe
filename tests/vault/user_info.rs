//! Claims from the provider's UserInfo endpoint (OIDC Core 5.3). `tests/both/user_info.rs` has what the token handler
//! does, too.

use kit::world::{Endpoint, Fault, Kind, World};

use crate::claims::{claims, object};

const PROFILE: Kind = Kind::Provider(Endpoint::Profile);

/// Returns a world whose UserInfo responses have these members besides `sub`.
fn world_with(config: &str, info: &str) -> World {
    let mut config = object(config);
    config.push("userInfo", true.into());
    let mut text = String::new();
    config.write(&mut text);
    let mut world = World::with(&text);
    world.provider.name = None;
    world.provider.more_profile = object(info);
    world
}

#[test]
fn stored_claims_are_not_shown_after_the_option_is_removed() {
    for (after, expected) in [
        (r#""userInfo":true,"#, r#"{"sub":"alice","email":"a@b"}"#),
        ("", r#"{"sub":"alice"}"#),
    ] {
        let mut world = world_with(
            r#"{"claims": ["email"], "session": {"persist": "sealed"}}"#,
            r#"{"email": "a@b"}"#,
        );
        let page = world.open();
        world.sign_in(page);
        world.reconfigure(&format!(
            r#"{{{after}"claims": ["email"], "session": {{"persist": "sealed"}}}}"#
        ));
        world.restart();
        let page = world.open();
        world.answer_all();
        assert_eq!(claims(&world, page), expected);
    }
}

#[test]
fn id_token_wins() {
    let mut world = world_with(r#"{"claims": ["name", "email"]}"#, r#"{"name": "Other"}"#);
    world.provider.name = Some("Alice");
    let page = world.open();
    world.sign_in(page);
    assert_eq!(claims(&world, page), r#"{"sub":"alice","name":"Alice"}"#);
}

// claim: network-4
#[test]
fn protocol_claims_are_not_taken() {
    for claim in [
        "iss",
        "aud",
        "exp",
        "iat",
        "acr",
        "amr",
        "auth_time",
        "sid",
        "session_expiry",
        "azp",
        "nbf",
        "jti",
        "cnf",
        "_claim_names",
        "_claim_sources",
    ] {
        let config = [r#"{"claims": ["x", ""#, claim, r#""]}"#].concat();
        let info = [r#"{""#, claim, r#"": "taken", "x": 1}"#].concat();
        let mut world = world_with(&config, &info);
        let page = world.open();
        world.sign_in(page);
        let shown = claims(&world, page);
        assert!(
            !shown.contains("taken") && shown.contains(r#""x":1"#),
            "{shown}"
        );
    }
}

#[test]
fn refresh_keeps_the_claims() {
    let mut world = world_with("{}", r#"{"email": "a@b"}"#);
    world.provider.id_token_on_refresh = true;
    let page = world.open();
    world.sign_in(page);
    world.provider.more_profile = object(r#"{"email": "c@d"}"#);
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(claims(&world, page), r#"{"sub":"alice","email":"a@b"}"#);
}

// claim: network-4
#[test]
fn response_with_a_token_fails_the_login() {
    let mut world = world_with("{}", "{}");
    world.provider.more_members = object("{}");
    let page = world.open();
    world.hold(&[PROFILE]);
    let login = world.sign_in(page);
    let token = world.provider.newest_access_token().to_owned();
    world
        .provider
        .more_profile
        .push("note", token.as_str().into());
    world.release();
    assert_eq!(world.code(login), "profile_failed");
    assert!(
        world
            .error_message(login)
            .contains("responded with a token")
    );
}

#[test]
fn escaped_token_in_a_claim_fails_the_login() {
    let mut world = world_with("{}", "{}");
    world.hold(&[PROFILE]);
    let page = world.open();
    let login = world.sign_in(page);
    let token = world.provider.newest_access_token().to_owned();
    let escaped = format!("\\u{:04x}{}", token.as_bytes()[0], &token[1..]);
    let body = format!(r#"{{"sub":"alice","name":"{escaped}"}}"#);
    world
        .provider
        .fault(Endpoint::Profile, &[Fault::Response(200, body.leak())]);
    world.release();
    assert_eq!(world.code(login), "profile_failed");
}

#[test]
fn verification_is_about_the_claim_of_the_same_response() {
    let config = r#"{"claims": ["email", "email_verified"]}"#;
    let info = r#"{"email": "new@x.test", "email_verified": true}"#;
    let mut world = world_with(config, info);
    world.provider.claims = object(r#"{"email": "old@x.test"}"#);
    let page = world.open();
    world.sign_in(page);
    assert_eq!(
        claims(&world, page),
        r#"{"sub":"alice","email":"old@x.test"}"#
    );
}

#[test]
fn verification_after_a_refresh_is_about_the_newest_claim() {
    const OLD: &str = r#""email":"old@x.test""#;
    const NEW: &str = r#""email":"new@x.test""#;
    const YES: &str = r#""email_verified":true"#;
    const NO: &str = r#""email_verified":false"#;
    for (info, refreshed, shown) in [
        ([OLD, YES], vec![], [OLD, YES].as_slice()),
        ([OLD, YES], vec![OLD], &[OLD, YES]),
        ([OLD, YES], vec![NEW], &[NEW]),
        ([OLD, YES], vec![NEW, NO], &[NEW, NO]),
        ([OLD, NO], vec![YES], &[OLD, NO]),
        ([OLD, NO], vec![OLD, YES], &[OLD, YES]),
        ([OLD, ""], vec![YES], &[OLD, YES]),
    ] {
        let of = |members: &[&str]| {
            let members: Vec<_> = members
                .iter()
                .filter(|it| !it.is_empty())
                .copied()
                .collect();
            object(&["{", &members.join(","), "}"].concat())
        };
        let mut world = world_with(r#"{"claims": ["email", "email_verified"]}"#, "{}");
        world.provider.more_profile = of(&info);
        let page = world.open();
        world.sign_in(page);
        world.provider.more_claims = of(&refreshed);
        world.expire_access_token();
        world.fetch(page, "/orders");
        world.answer_all();
        let expected = [&[r#""sub":"alice""#], shown].concat().join(",");
        assert_eq!(claims(&world, page), ["{", &expected, "}"].concat());
    }
}

#[test]
fn canceled_login_asks_no_second_time() {
    let mut world = world_with(r#"{"dpop": true}"#, "{}");
    world.provider.profile_proofs.nonce = Some("n-1".to_owned());
    world.hold(&[PROFILE]);
    let page = world.open();
    let login = world.sign_in(page);
    let other = world.open();
    world.logout(other);
    world.release();
    assert_eq!(world.provider.profile_proofs.proofs.len(), 1);
    assert_eq!(world.code(login), "login_canceled");
}

#[test]
fn failed_login_keeps_the_session_that_is_there() {
    let mut world = world_with("{}", r#"{"email": "a@b"}"#);
    let page = world.open();
    world.sign_in(page);
    world
        .provider
        .fault(Endpoint::Profile, &[Fault::Status(500)]);
    let login = world.sign_in(page);
    assert_eq!(world.code(login), "profile_failed");
    assert_eq!(claims(&world, page), r#"{"sub":"alice","email":"a@b"}"#);
    assert!(!world.provider.has_revoked_everything());
}

#[test]
fn logout_cancels_the_login() {
    let mut world = world_with("{}", "{}");
    world.hold(&[PROFILE]);
    let page = world.open();
    let login = world.sign_in(page);
    let other = world.open();
    world.logout(other);
    world.release();
    assert_eq!(world.code(login), "login_canceled");
    assert!(world.session(page).is_none());
    assert!(world.provider.has_revoked_everything());
}

#[test]
fn dpop_token_is_proven() {
    let mut world = world_with(r#"{"dpop": true}"#, r#"{"email": "a@b"}"#);
    let page = world.open();
    world.sign_in(page);
    assert_eq!(claims(&world, page), r#"{"sub":"alice","email":"a@b"}"#);
    assert!(world.provider.profile_proofs.proofs[0].ath.is_some());
    // The key was kept while the request was in flight.
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

#[test]
fn stored_session_keeps_its_claims() {
    let config = r#"{"session": {"persist": "sealed"}}"#;
    let mut world = world_with(config, r#"{"email": "a@b"}"#);
    let page = world.open();
    world.sign_in(page);
    world.restart();
    let page = world.open();
    world.answer_all();
    assert_eq!(
        claims(&world, page),
        r#"{"sub":"alice","name":"0","email":"a@b"}"#
    );
    // The session goes on as usual.
    world.expire_access_token();
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.status(call), 200);
}

#[test]
fn endpoint_elsewhere_must_be_configured() {
    for (endpoint, why) in [
        (
            r#","userinfo_endpoint":"https://api.example.com/userinfo""#,
            "another origin",
        ),
        ("", "no userinfo_endpoint"),
        (
            r#","userinfo_endpoint":"http://id.example.com/userinfo""#,
            "not an https URL",
        ),
        (r#","userinfo_endpoint":7"#, "no userinfo_endpoint"),
    ] {
        let mut world = world_with("{}", "{}");
        world.provider.more_metadata = endpoint.to_owned();
        let page = world.open();
        for _ in 0..2 {
            let login = world.login(page, "redirect");
            world.answer_all();
            assert_eq!(world.code(login), "profile_failed");
            assert!(world.error_message(login).contains(why));
        }
    }
    let config = r#"{"metadata": {"userinfo_endpoint": "https://api.example.com/userinfo"}}"#;
    let mut world = world_with(config, r#"{"email": "a@b"}"#);
    world.provider.profile_url = Some("https://api.example.com/userinfo".to_owned());
    let page = world.open();
    world.sign_in(page);
    assert_eq!(claims(&world, page), r#"{"sub":"alice","email":"a@b"}"#);
}
