//! Tests of vaults that share one store, with unusual orders of events: frozen tabs, slow reads, a lock that is never
//! released, or a second login in between.

use std::time::Duration;

use vault::{Input, PortId};

use super::keeping::{SEALED, head, two_vaults_with};
use kit::world::{
    DISCOVERY, EXCHANGE, Endpoint, Fault, Fetch, Kind, PageResponse, REFRESH, REVOKE, World,
};
use rules::codec::json::Value;

const LONG: &str = r#"{"session":{"persist":"sealed","idle":7200,"absolute":7200}}"#;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn absolute_of_old_session_spares_newer_login() {
    let (mut world, page, other_page) = two_vaults_with(LONG);
    world.advance(secs(3600));
    world.hold(&[Kind::Changed]); // This tab is frozen.
    world.sign_in(other_page);
    world.advance(secs(3600)); // the absolute limit of the old session
    world.release();
    assert!(
        world.session(other_page).is_some(),
        "newer login ended: {:?}",
        world.reason(other_page)
    );
    assert!(world.session(page).is_some());
}

#[test]
fn logout_is_stored_before_it_is_done() {
    let (mut world, page) = World::signed_in_with(SEALED);
    world.hold(&[Kind::Persist]);
    let logout = world.logout(page);
    world.answer_all();
    let done = world.response(logout).is_some();
    world.restart();
    let page = world.open();
    world.release();
    assert!(
        !done || world.session(page).is_none(),
        "logout was answered, and the session is back"
    );
}

/// Returns a world whose vault gave up the write of its new session, and a page. If `lands` is true, the write reached
/// the store.
fn world_with_an_uncertain_write(lands: bool) -> (World, PortId) {
    let mut world = World::with(SEALED);
    let page = world.open();
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    world.new_jobs();
    world.hold(&[Kind::Persist]);
    world.callback(page, &response);
    world.answer_all();
    for (job, kind) in world.new_jobs() {
        if lands && kind == Kind::Persist {
            world.land_late(job);
        }
    }
    world.advance(secs(10));
    (world, page)
}

#[test]
fn token_that_may_be_stored_waits_for_the_store() {
    let (mut world, page) = world_with_an_uncertain_write(true);
    world.store.is_unavailable = true;
    world.expire_access_token();
    world.unhold_kind(Kind::Persist);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(world.count(REFRESH), 0);
    world.store.is_unavailable = false;
    world.advance(secs(120));
    assert_eq!(world.count(REFRESH), 1);
    assert_eq!(head(&world, call), Some(200), "{:?}", world.response(call));
}

#[test]
fn lock_is_kept_after_an_uncertain_write() {
    let (mut world, page) = world_with_an_uncertain_write(false);
    world.expire_access_token();
    world.fetch(page, "/orders");
    world.answer_all();
    world.store.is_full = true;
    world.unhold_kind(Kind::Persist);
    world.advance(secs(3));
    assert_eq!(world.count(REFRESH), 1);
    assert!(world.lock_holder().is_some());
    world.store.is_full = false;
    world.advance(secs(120));
    assert_eq!(world.lock_holder(), None);
}

#[test]
fn stale_read_does_not_undo_a_logout() {
    let (mut world, page, _) = two_vaults_with(SEALED);
    world.expire_access_token();
    world.hold(&[REFRESH, Kind::Load]);
    world.fetch(page, "/orders");
    world.answer_all();
    world.unhold_kind(Kind::Load);
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
    // The vault reads the store while its refresh is in flight. The vault receives the result of this read only after
    // it has written its logout.
    world.reads_early = true;
    world.hold(&[Kind::Load]);
    world.say(page, r#"{"t":"active"}"#);
    world.input(Input::Changed);
    world.logout(page);
    world.answer_all();
    assert_eq!(world.lock_holder(), None);
    world.release();
    let told = world.page(page).of_type("session");
    let signed_in = told.map(|m| m.get("session").is_some_and(|s| s.as_object().is_some()));
    let signed_in: Vec<bool> = signed_in.collect();
    assert_eq!(signed_in.last(), Some(&false));
    let ends = signed_in.windows(2).filter(|pair| pair[0] && !pair[1]);
    assert_eq!(ends.count(), 1, "{signed_in:?}");
}

#[test]
fn logout_without_lock_reaches_others_and_survives_restart() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.hold(&[Kind::Lock]);
    world.logout(page);
    world.advance(secs(120));
    let others = world.session(other_page).is_some();
    world.restart();
    let page = world.open();
    world.answer_all();
    let back = world.session(page).is_some();
    world.fetch(page, "/orders");
    assert!(
        !others && !back,
        "others go on: {others}, back after a restart: {back}"
    );
}

#[test]
fn unstored_session_is_still_refreshed() {
    let mut world = World::with(SEALED);
    world.store.is_unavailable = true;
    let page = world.open();
    world.answer_all();
    let response = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&response);
    world.callback(page, &response);
    world.answer_all();
    world.expire_access_token();
    let call = world.fetch(page, "/orders");
    world.advance(secs(60));
    assert_eq!(head(&world, call), Some(200), "{:?}", world.response(call));
}

#[test]
fn slow_store_delays_the_idle_end() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.hold(&[Kind::Changed]);
    for _ in 0..2 {
        world.advance(secs(600));
        world.fetch(other_page, "/orders");
        world.answer_all();
    }
    world.advance(secs(590));
    let call = world.fetch(other_page, "/orders");
    world.answer_all();
    let _ = call;
    world.advance(secs(5));
    // The vault of `page` reaches the idle limit, and its read of the store is slow.
    world.hold(&[Kind::Load]);
    world.pass(rules::base::clock::Millis::from_secs(6));
    world.timer_fires(rules::base::clock::Millis::ZERO);
    world.wake_unanswered();
    world.pass(rules::base::clock::Millis::from_secs(4));
    world.wake_unanswered();
    world.release();
    world.advance(secs(1));
    assert!(
        world.session(other_page).is_some(),
        "q was active a moment ago: {:?}",
        world.reason(other_page)
    );
    let _ = page;
}

#[test]
fn no_busy_loop_in_doubt() {
    let (mut world, _p, other_page) = two_vaults_with(SEALED);
    world.hold(&[Kind::Changed]);
    world.advance(secs(600));
    world.fetch(other_page, "/orders");
    world.answer_all();
    world.hold(&[Kind::Load]);
    world.advance(secs(1201));
}

#[test]
fn login_resolves_doubt_about_former_session() {
    let (mut world, page) = World::signed_in_with(SEALED);
    world.hold(&[Kind::Load]);
    world.pass(rules::base::clock::Millis::from_secs(1801));
    world.timer_fires(rules::base::clock::Millis::ZERO);
    world.sign_in(page);
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(head(&world, call), Some(200));
}

#[test]
fn clock_set_back_after_a_restore() {
    let (mut world, _) = World::signed_in_with(LONG);
    world.advance(secs(7000));
    world.restart();
    world.now.monotonic = rules::base::clock::Millis((1 << 40) + 1000); // like the clock of a new worker
    let page = world.open();
    world.answer_all();
    world.set_clock_by(-7000);
    world.advance(secs(300));
    assert_eq!(world.reason(page), Some("absolute"));
}

#[test]
fn logout_at_the_provider_after_a_restart() {
    let (mut world, _) = World::signed_in_with(SEALED);
    world.restart();
    let page = world.open();
    world.answer_all();
    let logout = world.ask(page, r#""t":"logout","provider":true"#);
    world.answer_all();
    assert!(
        matches!(world.response(logout), Some(PageResponse::Done(Some(_)))),
        "{:?}",
        world.response(logout)
    );
}

#[test]
fn logout_after_a_restart_waits_for_the_revocation() {
    for provider in ["false", "true"] {
        // The vault knows the revocation endpoint from the metadata.
        for stage in [DISCOVERY, REVOKE] {
            let (mut world, _) = World::signed_in_with(SEALED);
            world.restart();
            let page = world.open();
            world.answer_all();
            world.hold(&[stage]);
            let logout = world.ask(page, &[r#""t":"logout","provider":"#, provider].concat());
            world.answer_all();
            assert_eq!(world.response(logout), None, "{provider}, {stage:?}");
            world.release();
            assert!(
                world.provider.has_revoked_everything(),
                "{provider}, {stage:?}"
            );
            let done = world.page(page).of_type("done").next_back().unwrap();
            let told = done.get("revoked").and_then(Value::as_bool);
            assert_eq!(told, Some(true), "{provider}, {stage:?}");
        }
    }
}

#[test]
fn logout_after_a_restart_ends_without_metadata() {
    let (mut world, _) = World::signed_in_with(SEALED);
    world.restart();
    let page = world.open();
    world.answer_all();
    world
        .provider
        .outage(Endpoint::Discovery, Fault::LostBefore);
    let logout = world.logout(page);
    world.answer_all();
    assert_eq!(world.response(logout), Some(&PageResponse::Done(None)));
}

// claim: script-8
#[test]
fn endpoints_are_never_proxied_after_a_restart() {
    let config = r#"{"session":{"persist":"sealed"},"apis":[{"url":"https://id.example.com/oauth/","methods":["GET","POST"]}]}"#;
    let mut world = World::with(config);
    world.provider.base = "/oauth";
    let page = world.open();
    world.sign_in(page);
    let address = format!("https://id.example.com{}/token", world.provider.base);
    let fetch = || Fetch {
        url: &address,
        method: "POST",
        ..Default::default()
    };
    let call = world.fetch_as(page, &fetch());
    world.answer_all();
    assert_eq!(world.code(call), "url_not_allowed");
    world.restart();
    let page = world.open();
    world.answer_all();
    world.hold(&[Kind::Call]);
    let call = world.fetch_as(page, &fetch());
    world.answer_all();
    let sent = world.outstanding(Kind::Call);
    world.give_up(call, "abort");
    assert_eq!(sent, 0, "sent to the token endpoint with a token");
}

#[test]
fn change_during_a_look_is_not_lost() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.reads_early = true;
    world.hold_in(1, Kind::Load);
    world.fetch(page, "/orders");
    world.advance(secs(16)); // The activity is stored. The vault of `other_page` has not decrypted the record yet.
    world.logout(page);
    world.answer_all(); // The logout is stored, and the vault of `other_page` is told during its read.
    world.unhold();
    assert!(
        world.session(other_page).is_none(),
        "q did not hear of the logout"
    );
}

#[test]
fn read_older_than_own_write_is_ignored() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.reads_early = true;
    world.provider.subject = "bob".to_owned();
    let response = world.begin_login(other_page, "redirect");
    let response = world.provider.sign_in(&response);
    world.fetch(page, "/orders");
    world.advance(secs(9));
    world.hold(&[EXCHANGE]);
    world.callback(other_page, &response);
    world.answer_all();
    world.hold(&[Kind::Changed]);
    world.advance(secs(7)); // The vault of `page` stores activity. The change message is held back.
    // The vault of `other_page` gets the change message and begins a read, which finds alice's session.
    world.answer_one(Kind::Changed);
    world.delay_pending_loads();
    world.unhold_kind(EXCHANGE);
    world.answer_all(); // The vault of `other_page` writes bob's session.
    world.unhold();
    world.release();
    let sub = |world: &World, page| {
        world
            .session(page)
            .and_then(|s| s.get("claims")?.as_object()?.str("sub").map(str::to_owned))
    };
    assert_eq!(sub(&world, other_page).as_deref(), Some("bob"));
    assert_eq!(sub(&world, page).as_deref(), Some("bob"));
}

#[test]
fn held_401_is_delivered_for_expired_successors() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.provider.withdraw_access_tokens();
    world.hold(&[Kind::Changed]);
    world.hold_in(0, Kind::Lock);
    let call = world.fetch(page, "/orders");
    world.answer_all(); // The API responds with 401, and the vault waits for the lock.
    let other_call = world.fetch(other_page, "/orders");
    world.answer_all();
    assert_eq!(head(&world, other_call), Some(200));
    // The device sleeps for longer than the lifetime of a token.
    world.sleep_unnoticed(secs(700));
    world.unhold();
    world.release();
    world.advance(secs(120));
    assert!(world.response(call).is_some(), "never answered");
}

#[test]
fn unsaved_logout_does_not_revive_older_sessions() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.hold(&[Kind::Lock]);
    world.provider.subject = "bob".to_owned();
    world.sign_in(page);
    world.logout(page);
    world.answer_all();
    world.release();
    world.advance(secs(1));
    assert!(
        world.session(page).is_none(),
        "session after logout: {:?}",
        world.session(page).map(|s| s.get("claims").is_some())
    );
    assert!(world.session(other_page).is_none());
}

#[test]
fn logout_cancels_logins_of_other_vaults() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    let response = world.begin_login(other_page, "redirect");
    let response = world.provider.sign_in(&response);
    world.hold(&[EXCHANGE]);
    world.callback(other_page, &response);
    world.answer_all();
    world.logout(page);
    world.answer_all();
    assert!(world.session(other_page).is_none());
    world.release();
    assert!(world.session(page).is_none(), "session after logout");
}

#[test]
fn refresh_elsewhere_cancels_no_login() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.expire_access_token();
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    world.hold(&[EXCHANGE]);
    let callback = world.callback(page, &response);
    world.fetch(other_page, "/orders");
    world.answer_all();
    world.release();
    let response = world.response(callback);
    assert!(
        matches!(response, Some(PageResponse::Settled { .. })),
        "{response:?}"
    );
}

#[test]
fn slow_first_look_finds_the_session_later() {
    let (mut world, _) = World::signed_in_with(SEALED);
    world.restart();
    world.hold(&[Kind::Load]);
    let page = world.open();
    world.advance(secs(4));
    assert_eq!(world.reason(page), Some("storage_lost"));
    world.release();
    world.advance(secs(120));
    assert!(
        world.session(page).is_some(),
        "the session is in the store, and the page is told {:?}",
        world.reason(page)
    );
}

#[test]
fn limits_revoke_without_lock() {
    let (mut world, _p) = World::signed_in_with(SEALED);
    world.hold(&[Kind::Lock]);
    // The idle limit passes, and then the longest wait for the lock.
    world.advance(secs(1800 + 41));
    assert_eq!(world.count(REVOKE), 1);
}

#[test]
fn unlocked_read_during_locked_read_ends_no_session() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    // The user of `page` is active, and the vault would store this activity 15 seconds later. Before the vault stores
    // it, the tab of `page` freezes until after the idle limit. The user of `other_page` stays active.
    world.advance(secs(100));
    let _ = world.fetch(page, "/orders");
    world.answer_all();
    world.freeze(0);
    for _ in 0..3 {
        world.advance(secs(590));
        let call = world.fetch(other_page, "/orders");
        world.answer_all();
        assert_eq!(head(&world, call), Some(200));
        world.advance(secs(16));
    }
    // The tab thaws, and the timer fires. The vault gets the lock before its read has finished.
    world.reads_early = false;
    world.thaw();
    world.tick_of(0); // The vault reads the store, and asks for the lock to store the activity.
    world.hold(&[Kind::Load, Kind::Changed]);
    world.answer_all(); // The vault gets the lock and begins a second read.
    world.answer_one(Kind::Load); // The first read finishes during the second read.
    world.release();
    world.advance(secs(1));
    assert!(
        world.session(other_page).is_some(),
        "{:?}",
        world.reason(other_page)
    );
}

#[test]
fn logout_does_not_wait_for_a_slow_refresh() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.expire_access_token();
    world.hold(&[REFRESH]);
    let call = world.fetch(other_page, "/orders");
    world.answer_all();
    world.act(REFRESH);
    let logout = world.logout(page);
    world.advance(secs(6));
    assert!(world.response(logout).is_some());
    assert!(world.session(other_page).is_none());
    assert_eq!(world.code(call), "session_ended");
    world.release();
    world.advance(secs(60));
    assert!(world.provider.has_revoked_everything());
    for page in [page, other_page] {
        assert!(world.session(page).is_none());
    }
    world.restart();
    let page = world.open();
    world.answer_all();
    assert_eq!(world.reason(page), Some("logged_out"));
}

#[test]
fn login_during_a_forced_logout_stays() {
    let (mut world, page) = World::signed_in_with(SEALED);
    let response = world.begin_login(page, "redirect");
    let response = world.provider.sign_in(&response);
    world.hold(&[Kind::Lock, Kind::Load]);
    world.logout(page);
    world.advance(secs(6)); // The vault now reads without the lock.
    world.callback(page, &response);
    world.answer_all();
    assert!(world.session(page).is_some());
    world.release();
    world.advance(secs(40));
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_some());
}

#[test]
fn login_before_the_first_read_is_announced() {
    let mut world = World::with(SEALED);
    world.hold(&[Kind::Load]);
    let page = world.open();
    let address = world.begin_login(page, "popup");
    let response = world.provider.sign_in(&address);
    world.callback(page, &response);
    world.answer_all();
    assert!(world.session(page).is_some());
    let call = world.fetch(page, "/orders");
    world.answer_all();
    assert_eq!(head(&world, call), Some(200));
}

#[test]
fn lock_holder_does_not_undo_a_logout() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.expire_access_token();
    world.hold(&[REFRESH, Kind::Changed]);
    world.fetch(other_page, "/orders");
    world.answer_all();
    world.act(REFRESH);
    let logout = world.logout(page);
    world.advance(secs(6));
    assert!(world.response(logout).is_some());
    // The vault that logged out is gone. The other vault now gets the response to its refresh, which was held back, and
    // writes the successor.
    world.kill(0);
    world.unhold_kind(REFRESH);
    world.answer_all();
    let page = world.open();
    world.answer_all();
    assert_eq!(world.reason(page), Some("logged_out"));
    world.release();
    assert_eq!(world.reason(other_page), Some("logged_out"));
    assert!(world.provider.has_revoked_everything());
}

#[test]
fn logout_announced_during_a_write_is_read_afterwards() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.hold_in(1, Kind::Persist);
    world.fetch(other_page, "/orders");
    // The vault writes the user's activity.
    world.advance(secs(17));
    assert_eq!(world.outstanding(Kind::Persist), 1);
    world.logout(page);
    world.advance(secs(6));
    assert!(world.session(other_page).is_some());
    // The vault that signed out is frozen, so it announces no further change.
    world.freeze(0);
    world.unhold();
    assert_eq!(world.reason(other_page), Some("logged_out"));
}

#[test]
fn session_does_not_resume_while_its_tombstone_is_unreadable() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.expire_access_token();
    world.hold(&[REFRESH, Kind::Changed]);
    world.fetch(other_page, "/orders");
    world.answer_all();
    world.act(REFRESH);
    world.logout(page);
    world.advance(secs(6));
    // The other vault stores the session again.
    world.kill(0);
    world.unhold_kind(REFRESH);
    world.answer_all();
    world.hold_in(0, Kind::Take);
    let page = world.open();
    world.answer_all();
    world.store.is_unavailable = true;
    world.unhold();
    assert!(world.session(page).is_none());
    world.store.is_unavailable = false;
    world.advance(secs(5));
    assert!(world.session(page).is_none());
    world.release();
}

#[test]
fn unlocked_read_of_an_end_counts_during_a_locked_read() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.fetch(other_page, "/orders");
    world.advance(secs(10));
    world.hold_in(1, Kind::Load);
    world.logout(page);
    world.answer_all();
    assert_eq!(world.outstanding(Kind::Load), 1);
    world.advance(secs(6));
    assert_eq!(world.outstanding(Kind::Load), 2, "the lock's own read");
    world.answer_one(Kind::Load);
    assert_eq!(world.reason(other_page), Some("logged_out"));
}

#[test]
fn delayed_logout_spares_a_later_login() {
    let (mut world, page, other_page) = two_vaults_with(SEALED);
    world.hold_in(0, Kind::Lock);
    world.logout(page);
    world.answer_all();
    assert!(world.session(page).is_none());
    world.pass_time(secs(1));
    world.sign_in(other_page);
    world.unhold();
    for page in [page, other_page] {
        assert!(world.session(page).is_some());
    }
    assert!(!world.provider.has_revoked_everything());
}
