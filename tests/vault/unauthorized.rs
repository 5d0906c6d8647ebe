//! A 401 from an API causes at most one refresh and one retry.

use std::time::Duration;

use vault::{Body, PortId};

use super::keeping::{SEALED, two_vaults_with};
use kit::world::{API, Endpoint, Fault, Fetch, Kind, REFRESH, Request, World};

/// Creates a signed-in page whose access token the API has stopped accepting.
fn refused() -> (World, PortId) {
    let (mut world, page) = World::signed_in();
    world.provider.withdraw_access_tokens();
    (world, page)
}

fn call(world: &mut World, page: PortId, path: &str) -> Request {
    let call = world.fetch(page, path);
    world.answer_all();
    call
}

// claim: end-22
#[test]
fn a_401_costs_one_refresh_and_one_retry() {
    let (mut world, page) = refused();
    let call = call(&mut world, page, "/orders");
    assert_eq!(world.status(call), 200);
    assert_eq!((world.count(REFRESH), world.count(Kind::Call)), (1, 2));
}

#[test]
fn many_401s_at_once_cost_one_refresh() {
    let (mut world, page) = refused();
    let calls: Vec<Request> = (0..50).map(|_| world.fetch(page, "/orders")).collect();
    world.answer_all();
    for call in calls {
        assert_eq!(world.status(call), 200);
    }
    assert_eq!((world.count(REFRESH), world.count(Kind::Call)), (1, 100));
}

#[test]
fn a_persistent_401_is_delivered() {
    let (mut world, page) = World::signed_in();
    let call = call(&mut world, page, "/never");
    assert_eq!(world.status(call), 401);
    assert_eq!((world.count(REFRESH), world.count(Kind::Call)), (1, 2));
}

// claim: api-2
#[test]
fn persistent_401s_cause_no_refresh_storm() {
    let (mut world, page) = World::signed_in();
    for _ in 0..100 {
        let call = call(&mut world, page, "/never");
        assert_eq!(world.status(call), 401);
        world.advance(Duration::from_secs(1));
    }
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn persistent_401s_in_any_order_cause_no_storm() {
    let (mut world, page) = World::signed_in();
    world.hold(&[Kind::Call]);
    let slow = world.fetch(page, "/never");
    world.answer_call(slow);
    world.answer_all();
    let quick = world.fetch(page, "/never");
    world.answer_call(quick);
    world.answer_all();
    // The API rejects the fast call with the third token, and the slow call with the second token.
    world.answer_call(quick);
    world.answer_call(slow);
    world.answer_all();
    let refreshes = world.count(REFRESH);
    let next = world.fetch(page, "/never");
    world.release();
    for call in [slow, quick, next] {
        assert_eq!(world.status(call), 401);
    }
    assert_eq!(world.count(REFRESH), refreshes);
}

#[test]
fn a_401_with_a_spent_body_is_delivered() {
    let (mut world, page) = refused();
    let fetch = Fetch {
        method: "POST",
        body: Body::OneShot,
        ..Fetch::default()
    };
    let call = world.fetch_as(page, &fetch);
    world.answer_all();
    assert_eq!(world.status(call), 401);
    assert_eq!(world.count(Kind::Call), 1);
}

#[test]
fn persistent_401s_of_spent_bodies_cause_one_refresh() {
    let (mut world, page) = World::signed_in();
    let url = format!("{API}/never");
    let spent = Fetch {
        url: &url,
        method: "POST",
        body: Body::OneShot,
        ..Fetch::default()
    };
    for _ in 0..20 {
        let call = world.fetch_as(page, &spent);
        world.answer_all();
        assert_eq!(world.status(call), 401);
        world.advance(Duration::from_secs(1));
    }
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn next_call_after_a_spent_body_has_another_token() {
    let (mut world, page) = refused();
    let spent = Fetch {
        method: "POST",
        body: Body::OneShot,
        ..Fetch::default()
    };
    for status in [401, 200] {
        let call = world.fetch_as(page, &spent);
        world.answer_all();
        assert_eq!(world.status(call), status);
    }
    assert_eq!((world.count(REFRESH), world.count(Kind::Call)), (1, 2));
}

#[test]
fn one_time_body_waits_for_the_refresh() {
    let (mut world, page) = World::expired();
    let fetch = Fetch {
        method: "POST",
        body: Body::OneShot,
        ..Fetch::default()
    };
    let call = world.fetch_as(page, &fetch);
    world.answer_all();
    assert_eq!(world.status(call), 200);
    assert_eq!(world.count(Kind::Call), 1);
}

// claim: end-23
#[test]
fn scope_challenge_causes_no_refresh() {
    for path in ["/admin", "/step-up"] {
        let (mut world, page) = World::signed_in();
        let call = call(&mut world, page, path);
        assert_eq!(world.status(call), 401, "{path}");
        assert_eq!(world.count(REFRESH), 0, "{path}");
    }
}

#[test]
fn error_in_description_does_not_suppress_the_refresh() {
    let (mut world, page) = World::signed_in();
    world.provider.api_demands = Some((
        401,
        r#"Bearer error="invalid_token", error_description="not insufficient_user_authentication""#,
    ));
    let call = call(&mut world, page, "/demanding");
    assert_eq!(world.status(call), 401);
    assert_eq!((world.count(REFRESH), world.count(Kind::Call)), (1, 2));
}

#[test]
fn longer_error_name_does_not_suppress_the_refresh() {
    let (mut world, page) = refused();
    world.provider.api_demands = Some((401, "Bearer error=insufficient_scope_x"));
    call(&mut world, page, "/demanding");
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn scope_challenge_does_not_stop_later_refreshes() {
    let (mut world, page) = World::signed_in();
    let refused = call(&mut world, page, "/admin");
    assert_eq!(world.status(refused), 401);
    world.provider.withdraw_access_tokens();
    let renewed = call(&mut world, page, "/orders");
    assert_eq!(world.status(renewed), 200);
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn late_401_uses_the_last_token_there_is() {
    let (mut world, page) = refused();
    world.hold(&[Kind::Call]);
    let [one, other] = [(), ()].map(|()| world.fetch(page, "/orders"));
    world.answer_call(one);
    world.answer_all();
    // The provider rejects the next refresh, because the user would have to sign in.
    let fault = Fault::Refused("interaction_required");
    world.provider.fault(Endpoint::Refresh, &[fault]);
    world.advance(Duration::from_secs(280));
    world.fetch(page, "/orders");
    world.advance(Duration::from_secs(5));
    assert_eq!(world.count(REFRESH), 2);
    world.answer_call(other);
    world.release();
    assert_eq!(world.status(other), 200);
}

#[test]
fn a_401_for_an_old_token_is_retried() {
    let (mut world, page) = refused();
    world.hold(&[Kind::Call]);
    let [one, other] = [(), ()].map(|()| world.fetch(page, "/orders"));
    world.answer_call(one);
    world.answer_all();
    assert_eq!(world.count(REFRESH), 1);
    world.answer_call(other);
    world.release();
    for call in [one, other] {
        assert_eq!(world.status(call), 200);
    }
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn a_401_waits_if_the_new_token_expired() {
    let (mut world, page) = refused();
    world.hold(&[Kind::Call]);
    let [one, other] = [(), ()].map(|()| world.fetch(page, "/orders"));
    world.answer_call(one);
    world.expire_access_token();
    world.answer_call(other);
    world.release();
    assert_eq!(world.status(other), 200);
}

#[test]
fn a_401_is_delivered_if_the_refresh_fails() {
    let (mut world, page) = refused();
    let down = Fault::Status(500);
    world.provider.outage(Endpoint::Refresh, down);
    let call = world.fetch(page, "/orders");
    world.advance(Duration::from_secs(10));
    assert_eq!(world.status(call), 401);
}

#[test]
fn a_401_that_ends_the_session_is_reported() {
    let (mut world, page) = refused();
    let ended = Fault::Refused("invalid_grant");
    world.provider.fault(Endpoint::Refresh, &[ended]);
    let call = call(&mut world, page, "/orders");
    assert_eq!(world.code(call), "session_ended");
}

#[test]
fn a_401_without_a_refresh_token_is_delivered() {
    let mut world = World::new();
    world.provider.issues_refresh_tokens = false;
    let page = world.open();
    world.sign_in(page);
    let call = call(&mut world, page, "/never");
    assert_eq!(world.status(call), 401);
    assert_eq!(world.count(Kind::Call), 1);
}

#[test]
fn a_401_for_the_former_session_is_delivered() {
    for refreshes_before in [0, 1] {
        let (mut world, page) = World::signed_in();
        if refreshes_before == 1 {
            world.expire_access_token();
            call(&mut world, page, "/orders");
        }
        world.hold(&[Kind::Call]);
        let late = world.fetch(page, "/orders");
        world.provider.withdraw_access_tokens();
        world.sign_in(page);
        world.answer_call(late);
        world.release();
        assert_eq!(world.status(late), 401);
        let next = call(&mut world, page, "/orders");
        assert_eq!(world.status(next), 200);
        assert_eq!(world.count(REFRESH), refreshes_before);
    }
}

#[test]
fn a_401_of_another_users_session_is_delivered() {
    let (mut world, page) = World::signed_in();
    world.hold(&[Kind::Call]);
    let late = world.fetch(page, "/transfer");
    world.provider.withdraw_access_tokens();
    world.provider.subject = "bob".to_owned();
    world.sign_in(page);
    world.answer_call(late);
    world.release();
    assert_eq!(world.status(late), 401);
    assert_eq!((world.count(REFRESH), world.count(Kind::Call)), (0, 1));
}

#[test]
fn failed_retry_is_a_network_failure() {
    let (mut world, page) = refused();
    world.hold(&[Kind::Call]);
    let url = [API, "/orders"].concat();
    let fetch = Fetch {
        url: &url,
        ..Fetch::default()
    };
    let call = world.fetch_as(page, &fetch);
    world.answer_call(call);
    world.answer_all();
    world.fail_call(call);
    assert_eq!(
        world.response(call),
        Some(&kit::world::PageResponse::NetworkError)
    );
}

// claim: api-2
#[test]
fn refreshes_after_401s_are_limited() {
    let (mut world, page) = World::signed_in();
    let refused_call = |world: &mut World| {
        world.provider.withdraw_access_tokens();
        let call = call(world, page, "/orders");
        world.status(call)
    };
    for _ in 0..5 {
        assert_eq!(refused_call(&mut world), 200);
    }
    for _ in 0..50 {
        assert_eq!(refused_call(&mut world), 401);
    }
    assert_eq!(world.count(REFRESH), 5);
    world.advance(Duration::from_secs(10));
    assert_eq!(refused_call(&mut world), 200);
    assert_eq!(world.count(REFRESH), 6);
}

#[test]
fn waiting_calls_do_not_use_up_refreshes() {
    let (mut world, page) = refused();
    for _ in 0..5 {
        let calls = [(); 5].map(|()| world.fetch(page, "/orders"));
        world.answer_all();
        for call in calls {
            assert_eq!(world.status(call), 200);
        }
        world.provider.withdraw_access_tokens();
    }
    assert_eq!(world.count(REFRESH), 5);
}

/// The methods of eight rules for one API.
const METHODS: [&str; 8] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT", "SEARCH",
];

/// Returns a configuration with a rule for each of these methods.
fn rules(methods: &[&str]) -> String {
    let rule = |method: &&str| format!(r#"{{"url":"{API}/","methods":["{method}"]}}"#);
    let rules: Vec<String> = methods.iter().map(rule).collect();
    format!(r#"{{"apis":[{}]}}"#, rules.join(","))
}

/// Calls a path that refuses every token, or one that accepts valid tokens.
fn call_of(world: &mut World, page: PortId, method: &str, path: &str, body: Body) -> Request {
    let url = [API, path].concat();
    let fetch = Fetch {
        url: &url,
        method,
        body,
        ..Fetch::default()
    };
    world.fetch_as(page, &fetch)
}

/// Calls a path, and returns the status of the response.
fn status_of(world: &mut World, page: PortId, method: &str, path: &str, body: Body) -> u16 {
    let call = call_of(world, page, method, path, body);
    world.answer_all();
    world.status(call)
}

// claim: api-2
#[test]
fn eight_hopeless_rules_cause_one_refresh_each_for_a_token() {
    for body in [Body::Replayable, Body::OneShot] {
        let (mut world, page) = World::signed_in_with(&rules(&METHODS));
        for _ in 0..3600 {
            for method in METHODS {
                let status = status_of(&mut world, page, method, "/never", body);
                assert_eq!(status, 401);
            }
            world.advance(Duration::from_secs(1));
        }
        // A token lives for 300 seconds. It is renewed 30 seconds before its end, and after the refusal of each rule.
        let tokens = 3600 / 270 + 1;
        let sent = world.count(REFRESH);
        assert!(sent <= tokens * (METHODS.len() + 1), "{body:?}: {sent}");
    }
}

#[test]
fn hopeless_rule_does_not_stop_refreshes_of_others() {
    for body in [Body::Replayable, Body::OneShot] {
        let (mut world, page) = World::signed_in_with(&rules(&METHODS[..2]));
        for _ in 0..3 {
            let status = status_of(&mut world, page, "POST", "/never", body);
            assert_eq!(status, 401);
        }
        assert_eq!(world.count(REFRESH), 1);
        world.provider.withdraw_access_tokens();
        let status = status_of(&mut world, page, "GET", "/orders", Body::Replayable);
        assert_eq!((status, world.count(REFRESH)), (200, 2), "{body:?}");
        // What the first rule's API has refused so far still counts.
        let status = status_of(&mut world, page, "POST", "/never", body);
        assert_eq!((status, world.count(REFRESH)), (401, 2), "{body:?}");
    }
}

#[test]
fn refusal_says_nothing_about_a_token_that_was_due() {
    for body in [Body::Replayable, Body::OneShot] {
        let (mut world, page) = World::signed_in();
        for _ in 0..3 {
            let status = status_of(&mut world, page, "POST", "/never", body);
            assert_eq!(status, 401);
        }
        world.expire_access_token();
        let status = status_of(&mut world, page, "GET", "/orders", Body::Replayable);
        assert_eq!((status, world.count(REFRESH)), (200, 2));
        world.provider.withdraw_access_tokens();
        let status = status_of(&mut world, page, "GET", "/orders", Body::Replayable);
        assert_eq!((status, world.count(REFRESH)), (200, 3), "{body:?}");
    }
}

#[test]
fn refusal_of_a_later_token_does_not_make_a_rule_hopeless() {
    let (mut world, page) = World::signed_in_with(&rules(&METHODS[..2]));
    for (method, body) in [("POST", Body::OneShot), ("GET", Body::Replayable)] {
        let status = status_of(&mut world, page, method, "/never", body);
        assert_eq!(status, 401);
    }
    assert_eq!(world.count(REFRESH), 2);
    world.provider.withdraw_access_tokens();
    let refused = status_of(&mut world, page, "POST", "/orders", Body::OneShot);
    let repeated = status_of(&mut world, page, "POST", "/orders", Body::Replayable);
    assert_eq!((refused, repeated, world.count(REFRESH)), (401, 200, 3));
}

#[test]
fn call_of_a_former_session_judges_no_token() {
    let (mut world, page) = World::signed_in();
    world.expire_access_token();
    call(&mut world, page, "/orders");
    world.hold(&[Kind::Call]);
    let late = call_of(&mut world, page, "POST", "/never", Body::OneShot);
    world.sign_in(page);
    let spent = call_of(&mut world, page, "POST", "/never", Body::OneShot);
    world.answer_call(spent);
    world.answer_all();
    world.answer_call(late);
    world.release();
    world.provider.withdraw_access_tokens();
    let refreshes = world.count(REFRESH);
    let next = call(&mut world, page, "/orders");
    assert_eq!(world.status(next), 200);
    assert_eq!(world.count(REFRESH), refreshes + 1);
}

#[test]
fn one_rule_leaves_two_refreshes_to_others() {
    let (mut world, page) = World::signed_in_with(&rules(&METHODS[..2]));
    let mut refused_call = |method| {
        world.provider.withdraw_access_tokens();
        let status = status_of(&mut world, page, method, "/orders", Body::Replayable);
        (status, world.count(REFRESH))
    };
    for refreshes in 1..=3 {
        assert_eq!(refused_call("GET"), (200, refreshes));
    }
    for _ in 0..50 {
        assert_eq!(refused_call("GET"), (401, 3));
    }
    assert_eq!(refused_call("POST"), (200, 4));
    assert_eq!(refused_call("POST"), (200, 5));
    assert_eq!(refused_call("POST"), (401, 5));
}

#[test]
fn vaults_of_a_store_cause_no_storm_together() {
    let (mut world, page, other) = two_vaults_with(SEALED);
    for _ in 0..100 {
        for page in [page, other] {
            let status = status_of(&mut world, page, "GET", "/never", Body::Replayable);
            assert_eq!(status, 401);
        }
        world.advance(Duration::from_secs(1));
    }
    assert_eq!(world.count(REFRESH), 2);
}
