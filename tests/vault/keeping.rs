//! Tests of sessions that are stored encrypted. Such a session survives its worker, and several vaults can share it.

use std::time::Duration;

use vault::{Loaded, PortId};

use kit::world::store::RECORD;
use kit::world::{
    Endpoint, Fault, Fetch, KEYS, Kind, PageResponse, REFRESH, REVOKE, Request, World,
};

pub(super) const SEALED: &str = r#"{"session":{"persist":"sealed"}}"#;

fn signed_in() -> (World, PortId) {
    World::signed_in_with(SEALED)
}

/// Creates two signed-in vaults that share one store, each with a page.
fn two_vaults() -> (World, PortId, PortId) {
    two_vaults_with(SEALED)
}

pub(super) fn two_vaults_with(config: &str) -> (World, PortId, PortId) {
    let (mut world, page) = World::signed_in_with(config);
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    (world, page, other_page)
}

/// Returns the status of the response to a call, if the response has arrived.
pub(super) fn head(world: &World, call: Request) -> Option<u16> {
    match world.response(call) {
        Some(PageResponse::Head { status, .. }) => Some(*status),
        _ => None,
    }
}

fn status(world: &mut World, page: PortId) -> Option<u16> {
    let call = world.fetch(page, "/orders");
    world.answer_all();
    head(world, call)
}

#[test]
fn session_survives_its_worker() {
    let (mut world, _) = signed_in();
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_some());
    assert_eq!(status(&mut world, page), Some(200));
    assert_eq!(world.count(REFRESH), 0);
}

#[test]
fn calls_end_an_outage_that_began_before_the_worker() {
    let (mut world, _) = signed_in();
    world.expire_access_token();
    world.restart();
    let page = world.open();
    for endpoint in [Endpoint::Discovery, Endpoint::Refresh, Endpoint::Probe] {
        world.provider.outage(endpoint, Fault::Status(502));
    }
    for _ in 0..60 {
        status(&mut world, page);
        world.advance(Duration::from_secs(1));
    }
    world.provider.repair();
    world.advance(Duration::from_secs(5));
    assert_eq!(status(&mut world, page), Some(200));
}

/// Returns true if the store contains a login or a session, or if the vault has read the store or asked for the lock.
fn is_anything_stored(world: &World) -> bool {
    !world.store.copy().is_empty()
        || !matches!(world.store.session(RECORD), Loaded::Nothing)
        || world.store.key_of_session(RECORD).is_some()
        || world.count(Kind::Load) > 0
        || world.count(Kind::Lock) > 0
}

// claim: device-1
#[test]
fn memory_mode_writes_no_session() {
    for config in [
        "{}",
        r#"{"session":{"persist":"memory"}}"#,
        r#"{"dpop":true}"#,
    ] {
        let (mut world, page) = World::signed_in_with(config);
        assert!(!is_anything_stored(&world), "after the login: {config}");
        world.expire_access_token();
        assert_eq!(status(&mut world, page), Some(200));
        assert_eq!(world.count(REFRESH), 1);
        assert!(!is_anything_stored(&world), "after a refresh: {config}");
        world.logout(page);
        world.answer_all();
        assert!(!is_anything_stored(&world), "after the logout: {config}");
    }
}

#[test]
fn memory_session_ends_with_its_worker() {
    let (mut world, _) = World::signed_in();
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_none());
}

// claim: device-1
#[test]
fn control_sealed_mode_writes_a_session() {
    let (world, _) = signed_in();
    assert!(is_anything_stored(&world));
    assert!(matches!(world.store.session(RECORD), Loaded::Found(_)));
}

#[test]
fn page_is_greeted_after_the_store_is_read() {
    let (mut world, _) = signed_in();
    world.restart();
    world.hold(&[Kind::Load]);
    let page = world.open();
    world.answer_all();
    assert!(world.page(page).messages.is_empty());
    world.release();
    assert!(world.session(page).is_some());
}

#[test]
fn restored_session_is_refreshed() {
    let (mut world, _) = signed_in();
    world.expire_access_token();
    world.restart();
    let page = world.open();
    world.answer_all();
    assert_eq!(status(&mut world, page), Some(200));
    assert_eq!(world.count(REFRESH), 1);
    world.restart();
    let page = world.open();
    world.answer_all();
    assert_eq!(status(&mut world, page), Some(200));
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn login_appears_in_the_other_vaults() {
    let mut world = World::with(SEALED);
    let page = world.open();
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    assert!(world.session(other_page).is_none());
    world.sign_in(page);
    assert!(world.session(other_page).is_some());
    assert_eq!(status(&mut world, other_page), Some(200));
    assert_eq!(world.count(REFRESH), 0);
}

// claim: network-3
#[test]
fn two_vaults_refresh_once() {
    let (mut world, page, other_page) = two_vaults();
    world.expire_access_token();
    let calls = [page, other_page, page, other_page].map(|page| world.fetch(page, "/orders"));
    world.answer_all();
    for call in calls {
        assert_eq!(head(&world, call), Some(200));
    }
    assert_eq!(world.count(REFRESH), 1);
}

/// The callback page of a popup closes when its login has ended, and its dedicated worker ends with it.
#[test]
fn other_vaults_are_told_before_the_page_may_leave() {
    let (world, _) = signed_in();
    assert_eq!(world.announced_before_settled, [1]);
}

#[test]
fn two_vaults_await_a_slow_refresh() {
    for (refresh_timeout, late) in [(30, 25), (120, 100)] {
        let config =
            format!(r#"{{"session":{{"persist":"sealed"}},"refreshTimeout":{refresh_timeout}}}"#);
        let (mut world, page, other_page) = two_vaults_with(&config);
        world.expire_access_token();
        world.hold(&[REFRESH]);
        let calls = [page, other_page].map(|page| world.fetch(page, "/orders"));
        world.advance(Duration::from_secs(11));
        for call in calls {
            assert_eq!(world.code(call), "provider_unavailable");
        }
        let [_, waiting] = calls;
        assert!(world.error_message(waiting).contains("locked"));
        world.advance(Duration::from_secs(late - 11));
        // The second vault has waited for the lock, and did not send the consumed token.
        assert_eq!(world.count(REFRESH), 1, "{config}");
        world.release();
        world.answer_all();
        for page in [page, other_page] {
            assert_eq!(status(&mut world, page), Some(200), "{config}");
        }
        assert_eq!(world.count(REFRESH), 1, "{config}");
    }
}

#[test]
fn refresh_of_a_dead_worker_is_taken_over() {
    for act_first in [false, true] {
        let (mut world, page, other_page) = two_vaults();
        world.provider.leeway = Duration::from_secs(60);
        world.expire_access_token();
        world.hold(&[REFRESH]);
        world.fetch(page, "/orders");
        let call = world.fetch(other_page, "/orders");
        world.answer_all();
        assert_eq!(world.count(REFRESH), 1);
        if act_first {
            world.act(REFRESH);
        }
        world.kill(0);
        world.release();
        assert_eq!(head(&world, call), Some(200));
        assert_eq!(world.count(REFRESH), 2);
    }
}

#[test]
fn unstored_successor_is_used_under_the_lock() {
    let (mut world, page, other_page) = two_vaults();
    world.expire_access_token();
    world.store.is_full = true;
    assert_eq!(status(&mut world, page), Some(200));
    let call = world.fetch(other_page, "/orders");
    world.answer_all();
    assert_eq!(head(&world, call), None);
    world.store.is_full = false;
    world.advance(Duration::from_secs(2));
    assert_eq!(head(&world, call), Some(200));
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn lock_is_released_once_successor_is_stored() {
    let mut world = World::with(SEALED);
    let page = world.open();
    world.answer_all();
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    world.store.is_unavailable = true;
    world.callback(page, &response);
    world.answer_all();
    world.expire_access_token();
    world.hold(&[REFRESH]);
    world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
    world.store.is_unavailable = false;
    world.release();
    assert_eq!(world.lock_holder(), None);
    let other = world.add_vault();
    let other_page = world.open_in(other);
    world.answer_all();
    assert_eq!(status(&mut world, other_page), Some(200));
}

#[test]
fn page_is_warned_while_storing_fails() {
    let (mut world, page) = signed_in();
    let kept = |world: &World| world.session(page)?.get("kept")?.as_bool();
    assert_eq!(kept(&world), Some(true));
    world.store.is_full = true;
    world.advance(Duration::from_secs(301));
    assert_eq!(status(&mut world, page), Some(200));
    assert_eq!(kept(&world), Some(false));
    world.store.is_full = false;
    world.advance(Duration::from_secs(120));
    world.answer_all();
    assert_eq!(kept(&world), Some(true));
}

#[test]
fn memory_session_reports_no_storage_state() {
    let (world, page) = World::signed_in();
    assert!(world.session(page).unwrap().get("kept").is_none());
}

// claim: device-4
#[test]
fn logout_ends_all_vaults_and_revokes() {
    let (mut world, page, other_page) = two_vaults();
    world.expire_access_token();
    assert_eq!(status(&mut world, other_page), Some(200));
    world.logout(page);
    world.answer_all();
    for page in [page, other_page] {
        assert!(world.session(page).is_none());
        assert_eq!(world.reason(page), Some("logged_out"));
    }
    assert!(world.provider.has_revoked_everything());
    world.restart();
    let page = world.open();
    world.answer_all();
    assert_eq!(world.reason(page), Some("logged_out"));
}

#[test]
fn logout_revokes_another_vaults_successor() {
    let (mut world, page, other_page) = two_vaults();
    world.expire_access_token();
    world.hold(&[REFRESH]);
    let call = world.fetch(other_page, "/orders");
    world.answer_all();
    world.act(REFRESH);
    world.logout(page);
    world.answer_all();
    assert!(world.session(page).is_none());
    world.release();
    assert!(world.session(other_page).is_none());
    assert!(head(&world, call).is_some() || world.code(call) == "session_ended");
    assert!(world.provider.has_revoked_everything());
}

#[test]
fn activity_counts_for_all_vaults() {
    let (mut world, page, other_page) = two_vaults();
    for _ in 0..6 {
        world.advance(Duration::from_secs(600));
        assert_eq!(status(&mut world, other_page), Some(200));
    }
    assert!(world.session(page).is_some());
    assert_eq!(status(&mut world, page), Some(200));
}

#[test]
fn store_is_read_before_an_idle_end() {
    let (mut world, page, other_page) = two_vaults();
    world.hold(&[Kind::Changed]);
    for _ in 0..6 {
        world.advance(Duration::from_secs(600));
        let call = world.fetch(other_page, "/orders");
        world.answer_all();
        assert_eq!(head(&world, call), Some(200));
    }
    assert!(world.session(page).is_some());
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(head(&world, call), Some(200));
}

#[test]
fn unstored_activity_is_not_counted() {
    let (mut world, page, other_page) = two_vaults();
    let active = r#"{"t":"active"}"#;
    world.say(page, active);
    // The store rejects all writes until after the other vault's activity.
    world.store.is_full = true;
    world.advance(Duration::from_secs(100));
    world.say(other_page, active);
    world.advance(Duration::from_secs(14));
    world.store.is_full = false;
    world.advance(Duration::from_secs(1736));
    assert!(world.session(page).is_some());
    world.advance(Duration::from_secs(50));
    assert_eq!(world.reason(page), Some("idle"));
}

#[test]
fn upload_is_activity_in_all_vaults() {
    let (mut world, page, other_page) = two_vaults();
    world.hold(&[Kind::Call]);
    let upload = Fetch {
        method: "POST",
        ..Fetch::default()
    };
    world.fetch_as(page, &upload);
    for _ in 0..60 {
        world.advance(Duration::from_secs(60));
        world.answer_all();
    }
    assert_eq!([page, other_page].map(|page| world.reason(page)), [None; 2]);
}

#[test]
fn idle_session_ends_everywhere_and_is_revoked() {
    let (mut world, page, other_page) = two_vaults();
    world.advance(Duration::from_secs(1800));
    for page in [page, other_page] {
        assert_eq!(world.reason(page), Some("idle"));
    }
    assert!(world.provider.has_revoked_everything());
}

#[test]
fn late_call_does_not_revive_the_session() {
    let (mut world, page) = signed_in();
    world.sleep_unnoticed(Duration::from_secs(1801));
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.code(call), "session_ended");
    assert_eq!(world.reason(page), Some("idle"));
}

// claim: device-3
#[test]
fn limits_count_while_no_worker_runs() {
    let cases = [
        (1799, None),
        (1800, Some("idle")),
        (43_200, Some("absolute")),
    ];
    for (seconds, reason) in cases {
        let (mut world, _) = signed_in();
        world.restart();
        world.sleep_unnoticed(Duration::from_secs(seconds));
        let page = world.open();
        world.answer_all();
        assert_eq!(world.session(page).is_none(), reason.is_some(), "{seconds}");
        assert_eq!(world.reason(page), reason);
        assert_eq!(world.count(REVOKE), usize::from(reason.is_some()));
    }
}

/// The page is reloaded at the beginning and at the end of a day without a network.
// claim: end-25
#[test]
fn session_continues_after_an_offline_day_within_its_limits() {
    const LONG: &str = r#"{"session":{"persist":"sealed","idle":172800,"absolute":172800}}"#;
    for (config, reason) in [(LONG, None), (SEALED, Some("absolute"))] {
        let (mut world, _) = World::signed_in_with(config);
        for endpoint in [Endpoint::Discovery, Endpoint::Probe, Endpoint::Refresh] {
            world.provider.outage(endpoint, Fault::Opaque);
        }
        world.restart();
        let page = world.open();
        world.answer_all();
        assert!(world.session(page).is_some());
        world.expire_access_token();
        let call = world.fetch(page, "/orders");
        world.advance(Duration::from_secs(60));
        assert_eq!(head(&world, call), None);
        world.restart();
        world.sleep_unnoticed(Duration::from_secs(86_400));
        let page = world.open();
        world.answer_all();
        assert_eq!(world.session(page).is_none(), reason.is_some());
        assert_eq!(world.reason(page), reason);
        world.provider.repair();
        world.wake();
        world.advance(Duration::from_secs(30));
        let is_served = status(&mut world, page) == Some(200);
        assert_eq!(is_served, reason.is_none());
    }
}

// claim: device-3
#[test]
fn clock_set_back_does_not_rejuvenate_sessions() {
    let (mut world, _) = signed_in();
    world.advance(Duration::from_secs(1000));
    world.restart();
    world.set_clock_by(-5000);
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_some());
    world.advance(Duration::from_secs(1800));
    assert_eq!(world.reason(page), Some("idle"));
}

// claim: device-5
#[test]
fn unreadable_record_ends_with_a_reason() {
    let (mut world, _) = signed_in();
    world.damage_store();
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_none());
    assert_eq!(world.reason(page), Some("storage_lost"));
    world.sign_in(page);
    assert_eq!(status(&mut world, page), Some(200));
}

#[test]
fn broken_store_does_not_block_login() {
    let mut world = World::with(SEALED);
    world.store.is_unavailable = true;
    let page = world.open();
    world.answer_all();
    assert_eq!(world.reason(page), Some("storage_lost"));
    // The login uses a popup, because a login by redirect would have to be stored.
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    world.callback(page, &response);
    world.answer_all();
    assert_eq!(status(&mut world, page), Some(200));
}

#[test]
fn record_of_another_client_is_not_read() {
    let (mut world, _) = signed_in();
    let Loaded::Found(record) = world.store.session(RECORD) else {
        panic!("no session is stored");
    };
    let name = RECORD.replace("spa", "other");
    world.store.put_session(&name, record, None);
    world.reconfigure(r#"{"session":{"persist":"sealed"},"clientId":"other"}"#);
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_none());
}

// claim: script-33
#[test]
fn cleared_record_ends_the_session() {
    let (mut world, page, other_page) = two_vaults();
    world.clear_site_data();
    world.expire_access_token();
    for page in [page, other_page] {
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert!(head(&world, call).is_none());
        assert_eq!(world.reason(page), Some("storage_lost"));
    }
    assert_eq!(world.count(REFRESH), 0);
}

#[test]
fn later_login_elsewhere_replaces_the_session() {
    let (mut world, page, other_page) = two_vaults();
    world.provider.subject = "bob".to_owned();
    world.sign_in(other_page);
    for page in [page, other_page] {
        let claims = world.session(page).unwrap().get("claims").unwrap();
        assert_eq!(claims.as_object().unwrap().str("sub"), Some("bob"));
    }
    assert_eq!(status(&mut world, page), Some(200));
}

#[test]
fn missing_lock_does_not_hang_calls() {
    let (mut world, page) = signed_in();
    world.expire_access_token();
    world.hold(&[Kind::Lock]);
    let call = world.fetch(page, "/orders");
    world.advance(Duration::from_secs(300));
    assert_eq!(world.code(call), "provider_unavailable");
}

#[test]
fn login_completes_after_its_session_is_stored() {
    let mut world = World::with(SEALED);
    let page = world.open();
    let address = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&address);
    world.hold(&[Kind::Persist]);
    let callback = world.callback(page, &response);
    world.answer_all();
    assert!(world.response(callback).is_none());
    world.release();
    assert!(matches!(
        world.response(callback),
        Some(PageResponse::Settled { .. })
    ));
    // The worker stops immediately after the login, and a new page finds the session in the store.
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_some());
}

#[test]
fn login_does_not_wait_for_broken_stores() {
    for kind in [Kind::Persist, Kind::Lock] {
        let mut world = World::with(SEALED);
        let page = world.open();
        let address = world.begin_login(page, "redirect");
        let response = world.provider.sign_in(&address);
        world.hold(&[kind]);
        let callback = world.callback(page, &response);
        world.advance(Duration::from_secs(11));
        assert!(world.response(callback).is_some(), "{kind:?}");
    }
}

#[test]
fn unrotated_refresh_token_stays_stored() {
    let (mut world, page) = signed_in();
    world.provider.rotates = false;
    world.expire_access_token();
    assert_eq!(status(&mut world, page), Some(200));
    world.restart();
    let page = world.open();
    world.answer_all();
    world.expire_access_token();
    assert_eq!(status(&mut world, page), Some(200));
    assert_eq!(world.count(REFRESH), 2);
    world.logout(page);
    world.answer_all();
    assert!(world.provider.has_revoked_everything());
}

#[test]
fn record_of_another_version_is_not_read() {
    for (version, is_read) in [("1", true), ("0", false), ("2", false)] {
        let (mut world, _) = signed_in();
        let Loaded::Found(record) = world.store.session(RECORD) else {
            panic!("no session is stored");
        };
        let record = record.expose();
        assert!(record.contains(r#""version":1,"#), "{record}");
        let version = [r#""version":"#, version, ","].concat();
        let other = record.replace(r#""version":1,"#, &version);
        world.store.put_session(RECORD, other.into(), None);
        world.restart();
        let page = world.open();
        world.answer_all();
        assert_eq!(world.session(page).is_some(), is_read, "{version}");
        let reason = (!is_read).then_some("storage_lost");
        assert_eq!(world.reason(page), reason, "{version}");
    }
}

#[test]
fn revoked_logout_still_waits_for_the_store() {
    let (mut world, page) = signed_in();
    world.hold(&[Kind::Persist]);
    let logout = world.logout(page);
    world.answer_all();
    assert_eq!(world.count(REVOKE), 1);
    assert!(world.provider.has_revoked_everything());
    assert_eq!(world.response(logout), None);
    world.release();
    assert_eq!(world.response(logout), Some(&PageResponse::Done(None)));
}

#[test]
fn unconfirmed_successor_is_used() {
    for (changes, seconds) in [("", 10), (r#""requestTimeout":3,"#, 3)] {
        let session = r#""session":{"persist":"sealed"}"#;
        let config = ["{", changes, session, "}"].concat();
        let (mut world, page) = World::signed_in_with(&config);
        world.expire_access_token();
        world.hold(&[Kind::Persist]);
        let call = world.fetch(page, "/orders");
        world.answer_all();
        world.pass_time(Duration::from_millis(seconds * 1000 - 1));
        world.answer_all();
        assert_eq!(world.response(call), None, "{config}");
        world.pass_time(Duration::from_millis(1));
        world.answer_all();
        assert_eq!(head(&world, call), Some(200), "{config}");
        assert_eq!(world.count(REFRESH), 1, "{config}");
        world.release();
    }
}

#[test]
fn restored_session_waits_for_keys_before_refresh() {
    for metadata_is_known in [false, true] {
        let (mut world, _) = signed_in();
        world.expire_access_token();
        world.restart();
        let page = world.open();
        world.answer_all();
        if metadata_is_known {
            world.begin_login(page, "redirect");
        }
        world.hold(&[KEYS]);
        let call = world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.count(REFRESH), 0, "{metadata_is_known}");
        world.release();
        assert_eq!(head(&world, call), Some(200), "{metadata_is_known}");
        assert_eq!(world.count(REFRESH), 1, "{metadata_is_known}");
    }
}

#[test]
fn metadata_for_a_login_causes_no_refresh() {
    let (mut world, _) = signed_in();
    world.restart();
    let page = world.open();
    world.answer_all();
    world.sign_in(page);
    assert!(world.session(page).is_some());
    assert_eq!(world.count(REFRESH), 0);
}

#[test]
fn stored_session_backs_off_after_failures() {
    let attempts = |config: &str| {
        let (mut world, page) = World::signed_in_with(config);
        world.expire_access_token();
        world.provider.outage(Endpoint::Refresh, Fault::Status(503));
        world.fetch(page, "/orders");
        world.advance(Duration::from_secs(600));
        world.count(REFRESH)
    };
    assert!(attempts(SEALED) > 2);
    assert!(attempts(SEALED) <= attempts("{}") + 1);
}
