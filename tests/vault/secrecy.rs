//! Tokens never reach a page or a log, in a whole session and in every failure. `World` searches the messages of every
//! other test in the same way. A control in this file shows that the search finds tokens.

use std::collections::BTreeSet;
use std::time::Duration;

use kit::world::provider::{params, response_url};
use kit::world::witness::Witness;
use kit::world::{Endpoint, Fault, Flaw, INSPECTED, PageResponse, SEALED, STORAGES, World};
use vault::PortId;

const FAULTS: &[Fault] = &[
    Fault::Echo,
    Fault::EchoAsCode,
    Fault::Truncated,
    Fault::Html,
    Fault::Status(500),
    Fault::Refused("invalid_client"),
    Fault::Refused("login_required"),
    Fault::Refused("invalid_grant"),
];

const FLAWS: &[Flaw] = &[Flaw::Signature, Flaw::UnknownKey, Flaw::Missing];

/// Runs a successful session with all its events, and records all messages.
fn a_whole_life() -> World {
    let mut world = World::with(INSPECTED);
    let [page, popup] = [world.open(), world.open()];
    world.sign_in(page);
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    world.callback(popup, &response);
    world.answer_all();
    for path in ["/orders", "/never", "/redirect", "/unreachable", "/admin"] {
        world.fetch(page, path);
        world.answer_all();
    }
    for _ in 0..3 {
        world.expire_access_token();
        world.fetch(page, "/orders");
        world.answer_all();
        world.ask(page, r#""t":"inspect""#);
    }
    world.callback(page, &response);
    world.answer_all();
    let logout = world.ask(page, r#""t":"logout","provider":true"#);
    world.answer_all();
    assert!(matches!(
        world.response(logout),
        Some(PageResponse::Done(Some(_)))
    ));
    world
}

fn caught(plant: impl FnOnce(&mut Witness, &str)) -> bool {
    let world = a_whole_life();
    let mut witness = world.witness.clone();
    assert_eq!(witness.leaks(), [""; 0]);
    let secret = witness.secrets().last().unwrap().to_owned();
    plant(&mut witness, &secret);
    !witness.leaks().is_empty()
}

fn message(text: &str) -> String {
    format!(r#"{{"t":"error","id":1,"code":"x","message":"{text}"}}"#)
}

// claim: script-2
#[test]
fn complete_session_shows_no_secret() {
    let world = a_whole_life();
    let kinds = ["code-", "access-token-", "refresh-token-", "eyJ"];
    for kind in kinds {
        let of_kind = world.witness.secrets().filter(|s| s.starts_with(kind));
        assert!(of_kind.count() >= 2, "too few secrets of {kind}");
    }
    assert!(world.witness.texts() > 100);
    assert_eq!(world.witness.leaks(), [""; 0]);
}

/// Returns the JSON of the last message of type `t` to a page.
fn last_message(world: &World, page: PortId, t: &str) -> String {
    let mut text = String::new();
    let message = world.page(page).of_type(t).next_back();
    message.unwrap().write(&mut text);
    text
}

#[test]
fn page_sees_exactly_these_members_of_a_session() {
    let view = |kept: &str, name: &str| {
        [
            r#""session":{"#,
            kept,
            r#""claims":{"sub":"alice","name":""#,
            name,
            r#""},"scopes":["openid","profile","offline_access"],"state":"active","#,
            r#""startedAt":1800000000000,"expiresAt":1800043200000,"idleExpiresAt":1800001800000,"#,
            r#""accessTokenExpiresAt":1800000300000}"#,
        ]
        .concat()
    };
    for &config in STORAGES {
        // With persistence, the provider's name for the user is the number of the login.
        let (kept, name) = match config {
            SEALED => (r#""kept":true,"#, "0"),
            _ => ("", "Alice"),
        };
        let (mut world, page) = World::signed_in_with(config);
        let other = world.open();
        let members = view(kept, name);
        let session = [r#"{"t":"session","#, &members, r#","reason":null}"#].concat();
        let ready = [
            r#"{"t":"ready","version":1,"app":2432258006,"#,
            &members,
            r#","reason":null}"#,
        ]
        .concat();
        assert_eq!(last_message(&world, page, "session"), session);
        assert_eq!(last_message(&world, other, "ready"), ready);
        world.logout(page);
        world.answer_all();
        let ended = r#"{"t":"session","session":null,"reason":"logged_out"}"#;
        assert_eq!(last_message(&world, page, "session"), ended);
    }
}

// claim: script-2
#[test]
fn debug_output_shows_only_names() {
    let mut world = a_whole_life();
    let [gone, said_goodbye] = [world.open(), world.open()];
    world.leave(gone);
    world.say(said_goodbye, r#"{"t":"bye"}"#);
    // This provider request is canceled by its time limit.
    let page = world.open();
    world.sign_in(page);
    world.expire_access_token();
    world.provider.fault(Endpoint::Refresh, &[Fault::Silence]);
    world.fetch(page, "/orders");
    world.advance(Duration::from_secs(31));
    let inputs = [
        "Message",
        "Disconnected",
        "Responded",
        "Stored",
        "Taken",
        "Verified",
        "CallResponded",
        "CallFailed",
        "CallClosed",
        "Tick",
    ];
    let outputs = [
        "Post", "Close", "Send", "Cancel", "Store", "Take", "Verify", "Call", "Deliver", "Drop",
        "Hint", "Search",
    ];
    let persist = STORAGES.contains(&SEALED).then_some("Persist");
    let names = inputs.into_iter().chain(outputs).chain(persist);
    let names: BTreeSet<&str> = names.collect();
    assert_eq!(world.witness.debug_texts(), names);
}

// claim: script-2
#[test]
fn planted_secret_is_found_in_any_encoding() {
    assert!(!caught(|witness, _| witness.told(&message("harmless"))));
    assert!(caught(|witness, secret| witness.told(&message(secret))));
    assert!(caught(|witness, secret| {
        let text = rules::codec::base64url::encode(["x", secret, "y"].concat().as_bytes());
        witness.told(&message(&text));
    }));
    assert!(caught(|witness, secret| {
        let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
        witness.told(&message(&hex));
    }));
    assert!(caught(|witness, secret| {
        witness.debugged(format!("Reply {{ body: {secret:?} }}"));
    }));
    assert!(caught(|witness, secret| {
        witness.told(&format!(r#"{{"t":"navigate","id":1,"url":"x?{secret}"}}"#));
    }));
}

#[test]
fn nonce_appears_only_in_the_login_url() {
    let mut world = World::new();
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let params = params(address.split_once('?').unwrap().1);
    for name in ["nonce", "state"] {
        let mut witness = world.witness.clone();
        assert_eq!(witness.leaks(), [""; 0]);
        witness.told(&message(&params[name]));
        assert_eq!(witness.leaks().len(), 1, "{name}");
    }
}

// claim: script-13
#[test]
fn failed_login_shows_no_secret() {
    for fault in FAULTS {
        let mut world = World::with(INSPECTED);
        let page = world.open();
        let address = world.begin_login(page, "redirect");
        let response = world.provider.sign_in(&address);
        world.provider.fault(Endpoint::Exchange, &[*fault]);
        let callback = world.callback(page, &response);
        world.answer_all();
        assert!(matches!(
            world.response(callback),
            Some(PageResponse::Error { .. })
        ));
        assert_eq!(world.witness.leaks(), [""; 0], "{fault:?}");
    }
    for flaw in FLAWS {
        let mut world = World::with(INSPECTED);
        let page = world.open();
        world.provider.flaw = Some(flaw.clone());
        world.sign_in(page);
        assert_eq!(world.witness.leaks(), [""; 0], "{flaw:?}");
    }
}

// claim: script-13
#[test]
fn malformed_callback_does_not_show_its_code() {
    let mut world = World::new();
    let page = world.open();
    let code = "code-of-somebody-else-0123456789";
    world.witness.secret(code);
    let twice = [("code", code), ("code", code), ("state", "s")];
    let both = [("code", code), ("error", "e"), ("state", "s")];
    let stateless = [("code", code)];
    for query in [&twice[..], &both, &stateless] {
        world.callback(page, &response_url(query));
    }
    let elsewhere = response_url(&stateless).replace("/callback", "/elsewhere");
    let callback = world.callback(page, &elsewhere);
    assert_eq!(world.code(callback), "redirect_uri_mismatch");
    assert_eq!(world.witness.leaks(), [""; 0]);
}

#[test]
fn failed_refresh_shows_no_secret() {
    for fault in FAULTS {
        let (mut world, page) = World::signed_in_with(INSPECTED);
        world.expire_access_token();
        world.provider.outage(Endpoint::Refresh, *fault);
        world.fetch(page, "/orders");
        world.advance(Duration::from_secs(30));
        assert_eq!(world.witness.leaks(), [""; 0], "{fault:?}");
    }
    for flaw in FLAWS {
        let (mut world, page) = World::signed_in_with(INSPECTED);
        world.expire_access_token();
        world.provider.flaw = Some(flaw.clone());
        world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.witness.leaks(), [""; 0], "{flaw:?}");
    }
}

#[test]
fn failed_revocation_shows_no_secret() {
    let (mut world, page) = World::signed_in_with(INSPECTED);
    world.provider.outage(Endpoint::Revoke, Fault::Echo);
    world.logout(page);
    world.advance(Duration::from_secs(30));
    assert_eq!(world.witness.leaks(), [""; 0]);
}

#[test]
fn inspector_timeline_hides_queries() {
    let (mut world, page) = World::signed_in_with(INSPECTED);
    world.fetch(page, "/orders?card=4111");
    world.answer_all();
    let traces = world.page(page).of_type("trace");
    let details: Vec<&str> = traces.filter_map(|t| t.str("detail")).collect();
    assert!(details.contains(&"GET https://api.example.com/v1/orders"));
    assert!(!details.iter().any(|detail| detail.contains("4111")));
}

#[test]
fn inspector_needs_its_option() {
    let (mut world, page) = World::signed_in();
    let inspection = world.ask(page, r#""t":"inspect""#);
    assert_eq!(world.code(inspection), "unsupported");
    assert_eq!(world.page(page).of_type("trace").count(), 0);
}

#[test]
fn each_client_has_its_own_hash() {
    let app = |config| {
        let mut world = World::with(config);
        let page = world.open();
        let ready = last_message(&world, page, "ready");
        ready.split(',').nth(2).unwrap().to_owned()
    };
    assert_eq!(app("{}"), app(r#"{"scope":"openid"}"#));
    assert_ne!(app("{}"), app(r#"{"clientId":"another"}"#));
}
