//! Tests of vaults for one issuer and client in several workers. A sign-out reaches all of these vaults, and an
//! outdated vault is replaced. The vaults send hints to each other, and any script of the origin can forge hints.

use std::time::Duration;

use rules::base::clock::Millis;
use rules::codec::json::Value;
use vault::config::Config;
use vault::{Hint, News, PortId};

use kit::world::{
    EXCHANGE, Kind, PageResponse, REFRESH, REVOKE, SEALED, STORAGES, World, configuration,
};

const MEMORY: &str = "{}";
/// The configuration of a newer build of the app, with the same client.
const NEWER: &str = r#"{"clockTolerance":30}"#;
const NEWER_SEALED: &str = r#"{"clockTolerance":30,"session":{"persist":"sealed"}}"#;

fn configured(changes: &str) -> Config {
    Config::parse(&configuration(changes), "https://app.example.com/worker.js").unwrap()
}

/// Creates a vault without a session, and a page that was loaded at this time.
fn with_page(config: &str, loaded: u64) -> (World, PortId) {
    let mut world = World::with(config);
    let page = world.open_loaded_at(loaded, 0);
    world.answer_all();
    (world, page)
}

fn signed_in(config: &str, loaded: u64) -> (World, PortId) {
    let (mut world, page) = with_page(config, loaded);
    world.sign_in(page);
    (world, page)
}

/// Returns the last hint that a vault posted.
fn last_hint(world: &World) -> Hint {
    world.hints.last().expect("no hint was posted").1
}

/// Returns the hint that a vault posts when its user signs out.
fn sign_out(config: &str) -> Hint {
    let (mut world, page) = signed_in(config, 0);
    world.logout(page);
    world.answer_all();
    last_hint(&world)
}

/// Returns the hint that a vault posts when a user signs in.
fn sign_in(config: &str, loaded: u64) -> Hint {
    last_hint(&signed_in(config, loaded).0)
}

fn is_told(world: &World, page: PortId, t: &str) -> bool {
    world.page(page).of_type(t).next().is_some()
}

fn calls_api(world: &mut World, page: PortId) -> bool {
    let call = world.fetch(page, "/orders");
    world.answer_all();
    matches!(
        world.response(call),
        Some(PageResponse::Head { status: 200, .. })
    )
}

// claim: script-24
#[test]
fn sign_out_elsewhere_ends_the_session_here() {
    for &from in STORAGES.iter().chain(&[NEWER]) {
        let (mut world, page) = signed_in(MEMORY, 0);
        let other = world.open();
        world.hint_of_logout(0, sign_out(from));
        for page in [page, other] {
            assert!(world.session(page).is_none(), "{from}");
            assert_eq!(world.reason(page), Some("logged_out"), "{from}");
        }
        world.answer_all();
        assert!(world.provider.has_revoked_everything(), "{from}");
    }
}

#[test]
fn sign_out_elsewhere_is_not_announced_again() {
    let (mut world, _) = signed_in(MEMORY, 0);
    let hints = world.hints.len();
    world.hint_of_logout(0, sign_out(NEWER));
    world.answer_all();
    assert_eq!(world.hints.len(), hints);
}

// claim: script-24
#[test]
fn no_page_silences_the_hints_of_its_vault() {
    let (mut world, page) = signed_in(MEMORY, 0);
    // Script of a page can also send `hello` with a load time of its choice.
    for loaded in [u64::MAX >> 11, 1 << 50, 1 << 45] {
        world.open_loaded_at(loaded, 0);
    }
    world.logout(page);
    world.answer_all();
    let posted = last_hint(&world).to_number();
    let heard = Hint::from_number(posted).expect("no vault hears of the sign-out");
    assert_eq!(heard.news, News::SignedOut);
    assert_eq!(heard.build, last_hint(&world).build);
    assert!(heard.time < 1 << 42, "a page is younger than now");
}

// claim: script-24, script-33
#[test]
fn storeless_sign_out_ends_a_sealed_session() {
    let (mut world, page) = signed_in(SEALED, 0);
    world.hint_of_logout(0, sign_out(MEMORY));
    world.answer_all();
    assert_eq!(world.reason(page), Some("logged_out"));
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_none(), "the store still has it");
}

/// Adds a second vault with a new session that the first vault has not read. Returns a page of the second vault.
fn signed_in_unread(world: &mut World) -> PortId {
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    world.hold(&[Kind::Changed]);
    world.pass(Millis::from_secs(1));
    world.sign_in(other_page);
    other_page
}

#[test]
fn late_storeless_sign_out_spares_a_newer_session() {
    let (mut world, page) = signed_in(SEALED, 0);
    let hint = Hint {
        time: world.now.wall,
        ..sign_out(MEMORY)
    };
    let other_page = signed_in_unread(&mut world);
    world.hint_of_logout(0, hint);
    world.release();
    assert!(world.session(other_page).is_some());
    assert!(calls_api(&mut world, page));
}

#[test]
fn late_sign_out_spares_a_newer_session_of_the_same_vault() {
    for &config in STORAGES {
        let (mut world, page) = signed_in(config, 0);
        for news in [News::SignedOut, News::NotStored] {
            let hint = Hint {
                time: world.now.wall - 10_000,
                news,
                ..sign_out(MEMORY)
            };
            world.hint(0, hint);
            world.answer_all();
            assert!(world.session(page).is_some(), "{config} {news:?}");
        }
    }
}

#[test]
fn sign_out_counts_although_the_clock_was_set_back() {
    for &config in STORAGES {
        let (mut world, page) = signed_in(config, 0);
        world.pass(Millis::from_secs(1));
        world.now.wall -= 3_600_000;
        let hint = Hint {
            time: world.now.wall,
            ..sign_out(MEMORY)
        };
        world.hint_of_logout(0, hint);
        world.answer_all();
        assert_eq!(world.reason(page), Some("logged_out"), "{config}");
    }
}

#[test]
fn storeless_sign_out_ends_an_earlier_unread_session() {
    let (mut world, _) = signed_in(SEALED, 0);
    let other_page = signed_in_unread(&mut world);
    let hint = Hint {
        time: world.now.wall,
        ..sign_out(MEMORY)
    };
    world.hint_of_logout(0, hint);
    world.release();
    assert_eq!(world.reason(other_page), Some("logged_out"));
}

// claim: script-24
#[test]
fn stored_sign_out_is_verified_in_store() {
    let (mut world, page) = signed_in(SEALED, 0);
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    // Only hints can tell the other vault, because the store's change messages do not arrive.
    world.hold(&[Kind::Changed]);
    world.logout(page);
    world.answer_all();
    assert!(world.session(other_page).is_some());
    let text = last_hint(&world);
    world.hint(other, text);
    world.answer_all();
    assert_eq!(world.reason(other_page), Some("logged_out"));
}

// claim: script-23
#[test]
fn store_refutes_a_forged_sign_out() {
    let (mut world, page) = signed_in(SEALED, 0);
    world.hint(0, sign_out(SEALED));
    world.answer_all();
    assert!(world.session(page).is_some());
    assert!(calls_api(&mut world, page));
}

#[test]
fn stored_sign_out_counts_if_store_fails() {
    let (mut world, page) = signed_in(SEALED, 0);
    world.store.is_full = true;
    world.expire_access_token();
    assert!(calls_api(&mut world, page));
    world.hint_of_logout(0, sign_out(SEALED));
    assert_eq!(world.reason(page), Some("logged_out"));
}

/// Creates two vaults that share a store. The first vault is signed in. The second vault is still reading the session,
/// so its page has no response to `hello` yet.
fn loading() -> (World, PortId, usize, PortId) {
    let (mut world, page) = signed_in(SEALED, 0);
    world.reads_early = true;
    world.hold(&[Kind::Load]);
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    world.delay_pending_loads();
    world.unhold_kind(Kind::Load);
    (world, page, other, other_page)
}

fn was_told_of_a_session(world: &World, page: PortId) -> bool {
    let mut told = world.page(page).messages.iter();
    told.any(|message| matches!(message.get("session"), Some(Value::Object(_))))
}

/// Asserts that a page was told of the logout, and was never told of the session.
fn assert_logged_out_unseen(world: &World, page: PortId) {
    assert_eq!(world.reason(page), Some("logged_out"));
    assert!(!was_told_of_a_session(world, page));
}

// claim: script-24
#[test]
fn pages_are_not_greeted_with_an_ended_session() {
    let (mut world, page, _, other_page) = loading();
    world.logout(page);
    world.answer_all();
    assert!(world.page(other_page).messages.is_empty());
    world.unhold();
    world.answer_all();
    assert_logged_out_unseen(&world, other_page);
}

// claim: script-24
#[test]
fn storeless_sign_out_counts_before_pages_are_greeted() {
    for is_slow in [false, true] {
        let (mut world, _, other, other_page) = loading();
        world.hint_of_logout(other, sign_out(MEMORY));
        if is_slow {
            world.advance(Duration::from_secs(4));
        }
        world.unhold();
        world.advance(Duration::from_secs(2));
        let reason = if is_slow {
            "storage_lost"
        } else {
            "logged_out"
        };
        assert_eq!(world.reason(other_page), Some(reason));
        assert!(!was_told_of_a_session(&world, other_page));
        assert!(world.provider.has_revoked_everything());
    }
}

#[test]
fn logout_before_pages_are_greeted_ends_the_stored_session() {
    let (mut world, page, _, other_page) = loading();
    world.logout(other_page);
    world.unhold();
    world.advance(Duration::from_secs(2));
    assert_eq!(world.reason(page), Some("logged_out"));
    assert_logged_out_unseen(&world, other_page);
}

#[test]
fn storeless_sign_out_does_not_end_next_session() {
    let mut world = World::with(SEALED);
    let page = world.open();
    world.answer_all();
    world.hold(&[Kind::Load]);
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    world.hint_of_logout(other, sign_out(MEMORY));
    world.release();
    world.sign_in(page);
    assert!(world.session(other_page).is_some());
}

#[test]
fn login_after_an_early_logout_survives_a_clock_change() {
    let mut world = World::with(SEALED);
    world.hold(&[Kind::Load]);
    let page = world.open();
    world.answer_all();
    world.logout(page);
    // The store does not respond. The vault gives up the read after three seconds, and reads again a second later.
    world.advance(Duration::from_secs(3));
    world.release();
    world.sign_in(page);
    world.set_clock_by(-3600);
    world.advance(Duration::from_secs(2));
    assert!(world.session(page).is_some());
}

// claim: script-24
#[test]
fn announced_end_is_awaited_before_pages_are_greeted() {
    let (mut world, page, other, other_page) = loading();
    world.hold(&[Kind::Persist]);
    world.logout(page);
    let announced = last_hint(&world);
    world.hint(other, announced);
    world.unhold();
    world.answer_all();
    assert!(world.page(other_page).messages.is_empty());
    world.release();
    world.answer_all();
    assert_logged_out_unseen(&world, other_page);
}

// claim: script-23
#[test]
fn forged_sign_outs_delay_pages_by_three_seconds() {
    let (mut world, _, other, other_page) = loading();
    let hint = sign_out(SEALED);
    for _ in 0..30 {
        world.hint(other, hint);
        world.unhold();
        world.advance(Duration::from_millis(100));
    }
    assert!(world.session(other_page).is_some());
}

// claim: script-24
#[test]
fn failed_write_ends_the_session_elsewhere() {
    let (mut world, page) = signed_in(SEALED, 0);
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    world.spreads_hints = true;
    world.store.is_full = true;
    world.logout(page);
    world.answer_all();
    assert_eq!(world.reason(other_page), Some("logged_out"));
}

// claim: script-24
#[test]
fn failed_write_spares_later_sessions() {
    let (mut world, page) = signed_in(SEALED, 0);
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    world.spreads_hints = true;
    world.hold_in(0, Kind::Persist);
    world.logout(page);
    world.pass(Millis::from_secs(1));
    world.sign_in(other_page);
    world.advance(Duration::from_secs(11));
    assert!(world.session(other_page).is_some());
    assert!(calls_api(&mut world, other_page));
}

// claim: script-24
#[test]
fn stuck_store_ends_the_session_elsewhere() {
    let (mut world, page) = signed_in(SEALED, 0);
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    world.spreads_hints = true;
    world.hold_in(0, Kind::Persist);
    world.logout(page);
    world.advance(Duration::from_secs(11));
    assert_eq!(world.reason(other_page), Some("logged_out"));
}

// claim: script-23
#[test]
fn forged_sign_outs_cause_one_look_a_second() {
    let (mut world, _) = signed_in(SEALED, 0);
    let text = sign_out(SEALED);
    let before = world.count(Kind::Load);
    for _ in 0..100 {
        world.hint(0, text);
        world.answer_all();
    }
    assert_eq!(world.count(Kind::Load), before + 1);
    // The hints that arrived within one second of the first read still cause one more read at the end of that second.
    world.advance(Duration::from_millis(1001));
    assert_eq!(world.count(Kind::Load), before + 2);
}

#[test]
fn sign_out_after_one_second_is_read_at_once() {
    let (mut world, _) = signed_in(SEALED, 0);
    let text = sign_out(SEALED);
    let before = world.count(Kind::Load);
    for expected in [1, 2] {
        world.hint(0, text);
        world.answer_all();
        assert_eq!(world.count(Kind::Load), before + expected);
        world.pass(Millis::from_secs(1));
    }
}

#[test]
fn sign_out_that_another_vault_stored_is_not_announced_as_lost() {
    let (mut world, page) = signed_in(SEALED, 0);
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    world.hold_in(0, Kind::Lock);
    world.logout(page);
    world.logout(other_page);
    world.answer_all();
    // The first vault does not get the lock before its time limit.
    world.advance(Duration::from_secs(61));
    assert!(
        world
            .hints
            .iter()
            .all(|(_, hint)| hint.news != News::NotStored)
    );
}

// claim: script-24
#[test]
fn sign_out_elsewhere_cancels_a_callback() {
    let (mut world, page) = with_page(MEMORY, 0);
    world.hold(&[EXCHANGE]);
    let callback = world.sign_in(page);
    world.hint_of_logout(0, sign_out(NEWER));
    world.release();
    world.answer_all();
    assert_eq!(world.code(callback), "login_canceled");
    assert!(world.session(page).is_none());
}

#[test]
fn logout_without_a_session_is_announced() {
    let (mut world, page) = with_page(MEMORY, 0);
    world.logout(page);
    assert_eq!(last_hint(&world).news, News::SignedOut);
}

#[test]
fn ends_other_than_logout_are_not_announced() {
    let (mut world, page) = signed_in(MEMORY, 0);
    let hints = world.hints.len();
    world.advance(Duration::from_secs(1801));
    assert_eq!(world.reason(page), Some("idle"));
    assert_eq!(world.hints.len(), hints);
}

#[test]
fn hint_is_read_back_to_an_eighth_of_a_second() {
    let time = 1_790_000_000_999;
    for news in [
        News::SignedOut,
        News::SignedOutInStore,
        News::SignedIn,
        News::NotStored,
    ] {
        for build in [0, 1, u16::MAX] {
            let read = Hint::from_number(Hint { news, build, time }.to_number());
            let time = 1_790_000_000_875;
            assert_eq!(read, Some(Hint { news, build, time }));
        }
    }
}

#[test]
fn sign_out_time_is_rounded_up() {
    for later in [0, 1, 124] {
        let (mut world, page) = signed_in(MEMORY, 0);
        world.pass(Millis(125 - world.now.wall % 125 + later));
        let at = world.now.wall;
        world.logout(page);
        world.answer_all();
        let posted = Hint::from_number(last_hint(&world).to_number()).unwrap();
        assert_eq!(posted.time, at.div_ceil(125) * 125);
    }
}

// claim: script-23
#[test]
fn what_is_not_a_hint_is_ignored() {
    for number in [0.0, -1.0, -3.0, 0.5, 4.0, f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(Hint::from_number(number), None, "{number}");
    }
}

#[test]
fn sign_in_elsewhere_is_told_to_pages() {
    let (mut world, page) = with_page(MEMORY, 0);
    assert_eq!(world.elsewhere(page), None);
    world.hint(0, sign_in(MEMORY, 0));
    assert_eq!(world.elsewhere(page), Some(true));
    assert!(world.session(page).is_none());
    // A page that connects later is also told of the session elsewhere.
    let later = world.open();
    assert_eq!(world.elsewhere(later), Some(true));
    world.hint(0, sign_out(MEMORY));
    assert_eq!(world.elsewhere(page), Some(false));
}

#[test]
fn sign_in_here_ends_the_state() {
    let (mut world, page) = with_page(MEMORY, 0);
    world.hint(0, sign_in(MEMORY, 0));
    world.sign_in(page);
    assert_eq!(world.elsewhere(page), Some(false));
}

// claim: script-23
#[test]
fn forged_sign_in_starts_nothing() {
    let (mut world, page) = with_page(MEMORY, 0);
    let events = world.events.len();
    world.hint(0, sign_in(NEWER, 0));
    world.answer_all();
    assert!(world.session(page).is_none());
    let told: Vec<_> = world.events[events..].iter().collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(world.count(EXCHANGE), 0);
}

// claim: script-23
#[test]
fn hints_are_not_activity() {
    let (mut world, page) = signed_in(MEMORY, 0);
    let text = sign_in(MEMORY, 0);
    for _ in 0..60 {
        world.advance(Duration::from_secs(31));
        world.hint(0, text);
    }
    assert_eq!(world.reason(page), Some("idle"));
}

// claim: script-23
#[test]
fn hints_start_no_refresh() {
    let (mut world, page) = World::expired();
    world.hint(0, sign_in(MEMORY, 0));
    world.answer_all();
    assert_eq!(world.count(REFRESH), 0);
    assert!(world.session(page).is_some());
}

// claim: script-23
#[test]
fn forged_sign_ins_tell_pages_once_a_second() {
    let (mut world, page) = with_page(MEMORY, 0);
    let (sign_in, sign_out) = (sign_in(MEMORY, 0), sign_out(MEMORY));
    for _ in 0..100 {
        world.hint(0, sign_in);
        world.hint(0, sign_out);
    }
    let told = |world: &World| world.page(page).of_type("session").count();
    assert_eq!(told(&world), 2);
    world.pass(Millis::from_secs(1));
    world.hint(0, sign_in);
    assert_eq!(told(&world), 3);
    // The pages were already told about this sign-in.
    world.pass(Millis::from_secs(1));
    world.hint(0, sign_in);
    assert_eq!(told(&world), 3);
}

#[test]
fn sealed_session_comes_from_store_not_hint() {
    let (mut world, page) = with_page(SEALED, 0);
    world.hint(0, sign_in(SEALED, 0));
    assert_eq!(world.elsewhere(page), None);
}

// claim: script-33
#[test]
fn newer_builds_sign_in_makes_pages_reconnect() {
    for (&config, newer) in STORAGES.iter().zip([NEWER, NEWER_SEALED]) {
        let (mut world, page) = signed_in(config, 10_000);
        world.hint(0, sign_in(newer, 20_000));
        assert!(is_told(&world, page, "outdated"), "{config}");
        // Until the outdated vault stops, it serves its pages and new pages, and tells all of them to reconnect.
        assert!(calls_api(&mut world, page), "{config}");
        let later = world.open();
        assert!(is_told(&world, later, "outdated"), "{config}");
        world.advance(Duration::from_secs(299));
        assert!(world.stopped.is_empty(), "{config}");
        let end = world.now.monotonic + Millis::from_secs(1);
        assert!(world.tick_due(0).is_some_and(|due| due <= end), "{config}");
        world.advance(Duration::from_secs(2));
        assert!(world.stopped.contains(&0), "{config}");
    }
}

// claim: script-33
#[test]
fn outdated_vault_stops_with_its_last_page() {
    let (mut world, page) = signed_in(MEMORY, 10_000);
    let other = world.open();
    world.hint(0, sign_in(NEWER, 20_000));
    world.leave(page);
    assert!(world.stopped.is_empty());
    world.leave(other);
    assert!(world.stopped.contains(&0));
    world.answer_all();
    // Nothing is revoked, because the newer vault may have a session of the same grant.
    assert_eq!(world.count(REVOKE), 0);
}

#[test]
fn stopped_vault_leaves_its_sealed_session() {
    let (mut world, page) = signed_in(SEALED, 10_000);
    world.hint(0, sign_in(NEWER_SEALED, 20_000));
    world.leave(page);
    assert!(world.stopped.contains(&0));
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(calls_api(&mut world, page));
}

#[test]
fn vault_does_not_stop_during_a_stored_refresh() {
    let (mut world, page) = signed_in(SEALED, 10_000);
    world.expire_access_token();
    world.hold(&[REFRESH]);
    world.fetch(page, "/orders");
    world.answer_all();
    world.hint(0, sign_in(NEWER_SEALED, 20_000));
    world.leave(page);
    assert!(world.stopped.is_empty());
    world.release();
    world.answer_all();
    assert!(world.stopped.contains(&0));
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(calls_api(&mut world, page));
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn only_newer_builds_outdate_a_vault() {
    for (build, loaded) in [
        (MEMORY, 20_000),
        (NEWER, 10_000),
        (NEWER, 10_124),
        (NEWER, 5_000),
    ] {
        let (mut world, page) = signed_in(MEMORY, 10_000);
        world.hint(0, sign_in(build, loaded));
        world.advance(Duration::from_secs(301));
        assert!(!is_told(&world, page, "outdated"), "{build} {loaded}");
        assert!(world.stopped.is_empty());
        assert!(world.session(page).is_some());
    }
}

// claim: script-33
#[test]
fn dedicated_worker_keeps_its_session_in_memory() {
    let mut world = World::new();
    world.make_dedicated();
    let page = world.open_loaded_at(10_000, 0);
    world.answer_all();
    world.sign_in(page);
    world.hint(0, sign_in(NEWER, 20_000));
    assert!(!is_told(&world, page, "outdated"));
    assert!(calls_api(&mut world, page));
    // Once the session has ended, the old vault has no reason to keep running.
    world.logout(page);
    assert!(is_told(&world, page, "outdated"));
}

#[test]
fn channels_differ_by_issuer_and_client_only() {
    let channel = |changes: &str| configured(changes).flow.channel();
    assert_eq!(channel(MEMORY), channel(NEWER));
    assert_ne!(channel(MEMORY), channel(r#"{"clientId":"other"}"#));
    assert_ne!(
        channel(MEMORY),
        channel(r#"{"issuer":"https://other.example.com"}"#)
    );
}

#[test]
fn sign_ins_concern_vaults_with_the_same_redirect_uri_only() {
    let channel = |changes: &str| configured(changes).sign_in_channel();
    assert_eq!(channel(MEMORY), channel(NEWER));
    for other in [
        r#"{"redirectUri":"/admin/callback"}"#,
        r#"{"clientId":"other"}"#,
        r#"{"issuer":"https://other.example.com"}"#,
    ] {
        assert_ne!(channel(MEMORY), channel(other), "{other}");
    }
    assert_ne!(channel(MEMORY), configured(MEMORY).flow.channel());
}

#[test]
fn builds_differ_by_configuration_and_address() {
    let build = |changes: &str| configured(changes).build;
    assert_eq!(build(MEMORY), build(MEMORY));
    assert_ne!(build(MEMORY), build(NEWER));
    let json = configuration(MEMORY);
    let at = |address: &str| Config::parse(&json, address).unwrap().build;
    assert_ne!(
        at("https://app.example.com/auth-1a2b.js"),
        at("https://app.example.com/auth-3c4d.js")
    );
}
