//! Servers without OpenID Connect: a profile address says who the user is. `tests/both/profile_address.rs` has what the
//! token handler does, too.

use kit::world::{Endpoint, Fault, Kind, World};

use crate::claims::{claims, object, refused};

const PROFILE: Kind = Kind::Provider(Endpoint::Profile);

const CONFIG: &str = r#"{
    "scope": "read",
    "identity": { "url": "https://id.example.com/profile", "sub": "user_id", "claims": ["name"] }
}"#;

/// Returns the configuration with these members added.
fn with(members: &str) -> String {
    CONFIG.replacen('{', &["{", members, ","].concat(), 1)
}

/// Returns a world whose profile address has these members besides `user_id`.
fn world_with(config: &str, profile: &str) -> World {
    let mut world = World::with(config);
    world.provider.name = None;
    world.provider.more_profile = object(profile);
    world
}

#[test]
fn token_response_does_not_say_who_the_user_is() {
    let mut world = world_with(CONFIG, "{}");
    world.provider.more_members = object(r#"{"name": "Mallory"}"#);
    let page = world.open();
    world.sign_in(page);
    assert_eq!(claims(&world, page), r#"{"sub":"alice"}"#);
}

#[test]
fn only_whole_numbers_identify_users() {
    for (number, sub) in [
        ("12345678901234567890", Some("12345678901234567890")),
        ("0", Some("0")),
        ("1e2", None),
        ("1.0", None),
        ("-1", None),
    ] {
        let config = CONFIG.replace("user_id", "id");
        let mut world = world_with(&config, &[r#"{"id": "#, number, "}"].concat());
        match sub {
            None => assert!(refused(&mut world).contains("identity.sub")),
            Some(sub) => {
                let page = world.open();
                world.sign_in(page);
                assert_eq!(claims(&world, page), [r#"{"sub":""#, sub, r#""}"#].concat());
            }
        }
    }
}

/// Browsers hide responses without CORS, and redirects.
#[test]
fn hidden_response_fails_the_login() {
    for (fault, why) in [
        (Fault::Opaque, "did not respond"),
        (Fault::Status(0), "redirect"),
    ] {
        let mut world = World::with(CONFIG);
        world.provider.fault(Endpoint::Profile, &[fault, fault]);
        let message = refused(&mut world);
        assert!(message.contains(why), "{fault:?}: {message}");
    }
}

#[test]
fn silent_profile_address_fails_the_login_in_time() {
    let mut world = World::with(CONFIG);
    world.provider.fault(Endpoint::Profile, &[Fault::Silence]);
    let page = world.open();
    let login = world.sign_in(page);
    world.advance(std::time::Duration::from_secs(10));
    world.answer_all();
    assert_eq!(world.code(login), "profile_failed");
}

#[test]
fn profile_is_at_most_64_kilobytes() {
    for (filler, is_accepted) in [(65_000, true), (65_536, false)] {
        let note = "x".repeat(filler);
        let profile = [r#"{"note": ""#, &note, r#""}"#].concat();
        let mut world = world_with(CONFIG, &profile);
        if is_accepted {
            let page = world.open();
            world.sign_in(page);
            assert_eq!(claims(&world, page), r#"{"sub":"alice"}"#);
        } else {
            assert!(refused(&mut world).contains("64 KB"));
        }
    }
}

#[test]
fn logout_cancels_the_login_whose_profile_is_requested() {
    for fault in [None, Some(Fault::Status(500))] {
        let mut world = World::with(CONFIG);
        world.provider.fault(Endpoint::Profile, fault.as_slice());
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
}

#[test]
fn nonce_is_requested_only_once() {
    let mut world = world_with(&with(r#""dpop": true"#), "{}");
    world.provider.profile_proofs.nonce = Some("never-sent".to_owned());
    world.hold(&[PROFILE]);
    let page = world.open();
    let login = world.sign_in(page);
    // Each response asks for another nonce.
    for nonce in ["n-1", "n-2", "n-3"] {
        world.provider.profile_proofs.header = Some(nonce.to_owned());
        for (job, _) in world.new_jobs() {
            world.answer_arrives(job);
        }
    }
    assert_eq!(world.provider.profile_proofs.proofs.len(), 2);
    assert!(world.error_message(login).contains("status 401"));
}

#[test]
fn login_on_another_device_asks_the_profile_address() {
    let mut world = world_with(&with(r#""deviceFlow": true"#), "{}");
    world.provider.knows_devices = true;
    let page = world.open();
    world.login(page, "device");
    world.answer_all();
    world.provider.sign_in_on_devices();
    world.advance(std::time::Duration::from_secs(10));
    assert_eq!(claims(&world, page), r#"{"sub":"alice"}"#);
}

#[test]
fn stored_session_keeps_its_claims() {
    let config = with(r#""session": { "persist": "sealed" }"#);
    let mut world = World::with(&config);
    let page = world.open();
    world.sign_in(page);
    world.restart();
    let page = world.open();
    world.answer_all();
    assert_eq!(claims(&world, page), r#"{"sub":"alice","name":"0"}"#);
}

#[test]
fn session_does_not_continue_with_another_profile_address() {
    let config = with(r#""session": { "persist": "sealed" }"#);
    let mut world = world_with(&config, "{}");
    let page = world.open();
    world.sign_in(page);
    world.reconfigure(&config.replace("/profile", "/profile?v=2"));
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_none());
}

#[test]
fn userinfo_endpoint_may_be_the_profile_address() {
    let mut world = world_with(CONFIG, "{}");
    world.provider.more_metadata =
        r#","userinfo_endpoint":"https://id.example.com/profile""#.to_owned();
    let page = world.open();
    world.sign_in(page);
    assert_eq!(claims(&world, page), r#"{"sub":"alice"}"#);
}
