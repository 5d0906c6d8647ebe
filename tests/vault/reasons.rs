//! A page can learn why a provider ended the session or requires the user to sign in. The configuration must enable
//! this, and the provider's own words are never shown.

use kit::world::{Endpoint, Fault, World};
use vault::PortId;

const ASKED: &str = r#"{"reasons":true}"#;

fn ended(config: &str, why: &'static str) -> (World, PortId) {
    let (mut world, page) = World::signed_in_with(config);
    let fault = Fault::RefusedSaying(why);
    world.provider.fault(Endpoint::Refresh, &[fault]);
    world.expire_access_token();
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.code(call), "session_ended");
    (world, page)
}

// claim: script-22
#[test]
fn every_known_reason_is_reported() {
    for (why, reason) in [
        ("Token is not active", "refresh_expired"),
        ("Session not active", "provider_ended"),
        (
            "The refresh token is invalid, expired, revoked or malformed. The refresh token was already used.",
            "reuse_detected",
        ),
        ("Refresh Token has been revoked", "revoked"),
        (
            "Maximum allowed refresh token reuse exceeded",
            "reuse_detected",
        ),
        ("The user has not consented", "consent_withdrawn"),
        ("you must use multi-factor authentication", "mfa_required"),
        ("grant request is invalid", "provider_ended"),
    ] {
        let (world, page) = ended(ASKED, why);
        assert_eq!(world.reason(page), Some(reason), "{why}");
        let messages = &world.page(page).messages;
        assert!(!format!("{messages:?}").contains(why));
    }
}

#[test]
fn reasons_are_hidden_unless_configured() {
    let (world, page) = ended("{}", "Refresh Token has been revoked");
    assert_eq!(world.reason(page), Some("provider_ended"));
}

#[test]
fn refused_token_is_not_revoked() {
    let (world, _) = ended(ASKED, "Maximum allowed refresh token reuse exceeded");
    assert_eq!(world.count(kit::world::REVOKE), 0);
}

#[test]
fn session_names_the_required_interaction() {
    for code in [
        "mfa_required",
        "consent_required",
        "login_required",
        "interaction_required",
    ] {
        for (config, needs) in [(ASKED, Some(code)), ("{}", None)] {
            let (mut world, page) = World::signed_in_with(config);
            world
                .provider
                .fault(Endpoint::Refresh, &[Fault::Refused(code)]);
            world.expire_access_token();
            let call = world.fetch(page, "/orders");
            world.answer_all();
            assert_eq!(world.code(call), "interaction_required");
            let session = world.session(page).unwrap();
            assert_eq!(session.str("state"), Some("interaction_required"));
            assert_eq!(session.str("needs"), needs, "{code} {config}");
            // The reason is forgotten after the user has signed in.
            world.sign_in(page);
            assert_eq!(world.session(page).unwrap().str("needs"), None);
        }
    }
}
