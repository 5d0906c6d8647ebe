//! Several APIs with their own access tokens from one refresh token (RFC 8707): each token is requested when a call
//! first needs it, for the `resource` of the API's entry in `apis`. Only one refresh runs at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rules::codec::json::{Object, Value};

use kit::dice::Dice;
use kit::world::api::OTHER_API;
use kit::world::{
    API, Endpoint, Event, Fault, Fetch, Flaw, Kind, PageResponse, REFRESH, REVOKE, Request, World,
};
use vault::PortId;

const ORDERS: &str = "https://api.example.com/";
const BILLS: &str = "urn:bills";

const APIS: &str = r#""scope": "openid offline_access orders bills", "apis": [
    { "url": "https://api.example.com/v1/", "resource": "https://api.example.com/", "scope": "orders" },
    { "url": "https://other.example.com/v1/", "resource": "urn:bills", "scope": "bills" }
]"#;

/// A configuration in which one API uses the login's token, and another API has its own token.
const ONE_OF_TWO: &str = r#""scope": "openid offline_access bills", "apis": [
    { "url": "https://api.example.com/v1/" },
    { "url": "https://other.example.com/v1/", "resource": "urn:bills" }
]"#;

fn with(apis: &str, more: &str) -> (World, PortId) {
    let (mut world, page) = World::signed_in_with(&["{", apis, more, "}"].concat());
    world.provider.resources = vec![ORDERS, BILLS];
    if apis == APIS {
        world.checkers.entry(API).or_default().resource = Some(ORDERS);
    }
    world.checkers.entry(OTHER_API).or_default().resource = Some(BILLS);
    (world, page)
}

fn two() -> (World, PortId) {
    with(APIS, "")
}

fn begin(world: &mut World, page: PortId, api: &str) -> Request {
    let url = [api, "/orders"].concat();
    let fetch = Fetch {
        url: &url,
        ..Fetch::default()
    };
    world.fetch_as(page, &fetch)
}

fn call(world: &mut World, page: PortId, api: &str) -> Request {
    let call = begin(world, page, api);
    world.answer_all();
    call
}

#[track_caller]
fn assert_fine(world: &mut World, page: PortId, api: &str) {
    let call = call(world, page, api);
    assert_eq!(world.status(call), 200);
}

fn asked_for(world: &World) -> Vec<(Option<&str>, Option<&str>)> {
    let asked = world.provider.asked_for.iter();
    asked
        .map(|[resource, _, scope]| (resource.as_deref(), scope.as_deref()))
        .collect()
}

#[test]
fn each_api_gets_its_own_token() {
    let (mut world, page) = two();
    assert_eq!(world.count(REFRESH), 0);
    for _ in 0..2 {
        assert_fine(&mut world, page, API);
        assert_fine(&mut world, page, OTHER_API);
    }
    let asked = [(Some(ORDERS), Some("orders")), (Some(BILLS), Some("bills"))];
    assert_eq!(asked_for(&world), asked);
}

/// Returns the resources in an authorization request.
fn named(url: &str) -> Vec<String> {
    let (_, query) = url.split_once('?').unwrap();
    let params = rules::codec::form::parse(query).unwrap().into_iter();
    let resources = params.filter(|(name, _)| name == "resource");
    resources.map(|(_, value)| value).collect()
}

#[test]
fn authorization_request_names_all_resources() {
    let mut world = World::with(&["{", APIS, "}"].concat());
    let page = world.open();
    let url = world.begin_login(page, "redirect");
    assert_eq!(named(&url), [ORDERS, BILLS]);
}

/// The configuration of an app whose logins are for one API, and in which another API has its own token.
fn login_for_orders(rule: &str) -> (World, PortId) {
    let apis = r#""resource": "https://api.example.com/", "scope": "openid offline_access bills", "apis": [
        { "url": "https://api.example.com/v1/" },
        { "url": "https://other.example.com/v1/", "#;
    with(apis, &[rule, "}]"].concat())
}

#[test]
fn rule_names_its_own_resource_instead_of_the_logins() {
    let (mut world, page) = login_for_orders(r#""resource": "urn:bills""#);
    assert_fine(&mut world, page, API);
    assert_fine(&mut world, page, OTHER_API);
    assert_eq!(asked_for(&world), [(Some(BILLS), None)]);
    let url = world.begin_login(page, "redirect");
    assert_eq!(named(&url), [ORDERS, BILLS]);
}

#[test]
fn rule_for_the_logins_resource_uses_the_login_token() {
    let (mut world, page) = login_for_orders(r#""resource": "https://api.example.com/""#);
    world.checkers.entry(OTHER_API).or_default().resource = Some(ORDERS);
    assert_fine(&mut world, page, OTHER_API);
    assert_eq!(world.count(REFRESH), 0);
    let url = world.begin_login(page, "redirect");
    assert_eq!(named(&url), [ORDERS]);
}

#[test]
fn resource_is_named_once() {
    let rule = r#""resource": "https://api.example.com/", "scope": "bills""#;
    let (mut world, page) = login_for_orders(rule);
    world.checkers.entry(OTHER_API).or_default().resource = Some(ORDERS);
    assert_fine(&mut world, page, OTHER_API);
    assert_eq!(asked_for(&world), [(Some(ORDERS), Some("bills"))]);
    let url = world.begin_login(page, "redirect");
    assert_eq!(named(&url), [ORDERS]);
}

#[test]
fn api_without_resource_uses_the_login_token() {
    let (mut world, page) = with(ONE_OF_TWO, "");
    assert_fine(&mut world, page, API);
    assert_eq!(world.count(REFRESH), 0);
    assert_fine(&mut world, page, OTHER_API);
    assert_fine(&mut world, page, API);
    assert_eq!(asked_for(&world), [(Some(BILLS), None)]);
    let used: Vec<&str> = world
        .seen_by_api
        .iter()
        .map(|request| request.authorization.expose())
        .collect();
    assert_eq!(used[0], used[2]);
    assert_ne!(used[0], used[1]);
}

#[test]
fn audience_is_requested_by_that_name() {
    let apis = r#""apis": [{ "url": "https://other.example.com/v1/", "audience": "urn:bills" }]"#;
    let (mut world, page) = with(apis, "");
    assert_fine(&mut world, page, OTHER_API);
    let asked = [None, Some(BILLS.to_owned()), None];
    assert_eq!(world.provider.asked_for, [asked]);
}

#[test]
fn rules_with_one_resource_share_a_token() {
    let apis = r#""apis": [
        { "url": "https://other.example.com/v1/", "resource": "urn:bills" },
        { "url": "https://api.example.com/v1/", "resource": "urn:bills" }
    ]"#;
    let (mut world, page) = with(apis, "");
    world.checkers.entry(API).or_default().resource = Some(BILLS);
    assert_fine(&mut world, page, OTHER_API);
    assert_fine(&mut world, page, API);
    assert_eq!(world.count(REFRESH), 1);
}

#[test]
fn refreshes_of_apis_run_one_by_one() {
    let (mut world, page) = two();
    world.hold(&[REFRESH]);
    let first = begin(&mut world, page, API);
    let second = begin(&mut world, page, OTHER_API);
    world.answer_all();
    assert_eq!(world.outstanding(REFRESH), 1);
    world.release();
    assert_eq!((world.status(first), world.status(second)), (200, 200));
    let sent = world.refresh_tokens_sent_to(Endpoint::Refresh);
    assert_eq!(sent.len(), 2);
    assert_ne!(sent[0], sent[1]);
    assert_eq!(world.provider.reuses, 0);
}

#[test]
fn successor_is_persisted_before_the_token_is_used() {
    let (mut world, page) = two();
    world.events.clear();
    begin(&mut world, page, API);
    world.answer_all();
    let order = [
        Event::Asked(REFRESH),
        Event::Answered(REFRESH),
        Event::Asked(Kind::Persist),
        Event::Answered(Kind::Persist),
        Event::Asked(Kind::Call),
    ];
    assert_eq!(world.events[..order.len()], order);
}

#[test]
fn many_calls_cause_one_refresh_per_api() {
    let (mut world, page) = two();
    assert_fine(&mut world, page, API);
    assert_fine(&mut world, page, OTHER_API);
    world.expire_access_token();
    let before = world.count(REFRESH);
    let calls: Vec<Request> = (0..20)
        .map(|i| begin(&mut world, page, [API, OTHER_API][i % 2]))
        .collect();
    world.answer_all();
    assert!(calls.iter().all(|call| world.status(*call) == 200));
    assert_eq!(world.count(REFRESH), before + 2);
}

#[test]
fn each_token_has_its_own_expiry() {
    let (mut world, page) = two();
    assert_fine(&mut world, page, API);
    world.advance(Duration::from_secs(200));
    assert_fine(&mut world, page, OTHER_API);
    world.advance(Duration::from_secs(150));
    assert_fine(&mut world, page, OTHER_API);
    assert_eq!(world.count(REFRESH), 2);
    assert_fine(&mut world, page, API);
    assert_eq!(world.count(REFRESH), 3);
}

#[test]
fn a_401_renews_only_that_apis_token() {
    let (mut world, page) = two();
    assert_fine(&mut world, page, API);
    assert_fine(&mut world, page, OTHER_API);
    world.provider.withdraw_access_tokens();
    assert_fine(&mut world, page, OTHER_API);
    let asked = asked_for(&world);
    assert_eq!(asked.last(), Some(&(Some(BILLS), Some("bills"))));
    assert_eq!(asked.len(), 3);
}

#[test]
fn a_401_is_not_repeated_with_another_apis_token() {
    let (mut world, page) = with(ONE_OF_TWO, "");
    assert_fine(&mut world, page, API);
    world.provider.withdraw_access_tokens();
    world.hold(&[REFRESH]);
    let held = call(&mut world, page, API);
    let other = call(&mut world, page, OTHER_API);
    world.release();
    assert_eq!((world.status(held), world.status(other)), (200, 200));
    assert_eq!(asked_for(&world), [(None, None), (Some(BILLS), None)]);
}

#[test]
fn held_401s_outlast_the_refresh_for_another_api() {
    let (mut world, page) = with(ONE_OF_TWO, "");
    world.hold(&[REFRESH]);
    let other = call(&mut world, page, OTHER_API);
    world.provider.withdraw_access_tokens();
    let held = call(&mut world, page, API);
    world.release();
    assert_eq!((world.status(held), world.status(other)), (200, 200));
    assert_eq!(asked_for(&world), [(Some(BILLS), None), (None, None)]);
}

#[test]
fn held_401s_are_repeated_with_the_next_login() {
    let (mut world, page) = with(ONE_OF_TWO, "");
    for _ in 0..2 {
        world.expire_access_token();
        assert_fine(&mut world, page, API);
    }
    world.provider.withdraw_access_tokens();
    world.hold(&[REFRESH]);
    let held = call(&mut world, page, API);
    assert_eq!(world.responses(held), []);
    world.sign_in(page);
    assert_eq!(world.status(held), 200);
    world.release();
}

// claim: end-9
#[test]
fn invalid_target_fails_only_the_call() {
    let (mut world, page) = two();
    world.provider.resources = vec![BILLS];
    let refused = call(&mut world, page, API);
    assert_eq!(world.code(refused), "client_rejected");
    assert!(world.session(page).is_some());
    assert_fine(&mut world, page, OTHER_API);
    let again = call(&mut world, page, API);
    assert_eq!(world.code(again), "client_rejected");
    assert_eq!(world.count(REFRESH), 2, "it is not asked for again at once");
    world.provider.resources = vec![ORDERS, BILLS];
    world.advance(Duration::from_secs(61));
    assert_fine(&mut world, page, API);
}

#[test]
fn gateway_page_delays_the_call_for_five_seconds() {
    let (mut world, page) = two();
    let page_of_gateway = Fault::Response(400, "<html>");
    world.provider.fault(Endpoint::Refresh, &[page_of_gateway]);
    let failed = call(&mut world, page, API);
    assert_eq!(world.code(failed), "provider_unavailable");
    assert_fine(&mut world, page, OTHER_API);
    world.advance(Duration::from_secs(5));
    assert_fine(&mut world, page, API);
}

#[test]
fn refused_resources_deliver_held_401s() {
    let (mut world, page) = two();
    assert_fine(&mut world, page, API);
    world.provider.withdraw_access_tokens();
    world.provider.resources = vec![BILLS];
    // The provider rejects the refresh for which the first call waits. The vault remembers this, so the second call
    // causes no refresh.
    for _ in 0..2 {
        let refused = call(&mut world, page, API);
        assert_eq!(world.status(refused), 401);
    }
    assert_eq!(world.count(REFRESH), 2);
}

#[test]
fn refused_resources_are_tried_after_one_minute() {
    let (mut world, page) = two();
    world.provider.resources = vec![BILLS];
    let refused = call(&mut world, page, API);
    assert_eq!(world.code(refused), "client_rejected");
    world.provider.resources = vec![ORDERS, BILLS];
    world.advance(Duration::from_secs(60));
    assert_fine(&mut world, page, API);
}

#[test]
fn refusal_after_a_loss_keeps_the_successor() {
    let (mut world, page) = two();
    world.provider.leeway = Duration::from_secs(10);
    let faults = [Fault::LostAfter, Fault::Refused("invalid_target")];
    world.provider.fault(Endpoint::Refresh, &faults);
    let refused = call(&mut world, page, API);
    world.advance(Duration::from_secs(2));
    assert_eq!(world.code(refused), "client_rejected");
    // After this pause, the provider would no longer accept the consumed refresh token.
    world.advance(Duration::from_secs(30));
    assert_fine(&mut world, page, OTHER_API);
    assert_eq!(world.provider.reuses, 0);
    assert!(world.session(page).is_some());
}

#[test]
fn refused_resource_spares_other_waiting_calls() {
    let (mut world, page) = two();
    world.provider.resources = vec![BILLS];
    world.hold(&[REFRESH]);
    let refused = begin(&mut world, page, API);
    let fine = begin(&mut world, page, OTHER_API);
    world.release();
    assert_eq!(world.code(refused), "client_rejected");
    assert_eq!(world.status(fine), 200);
}

#[test]
fn missing_consent_fails_one_api_only() {
    let (mut world, page) = with(ONE_OF_TWO, "");
    let fault = Fault::Refused("consent_required");
    world.provider.fault(Endpoint::Refresh, &[fault]);
    let refused = call(&mut world, page, OTHER_API);
    assert_eq!(world.code(refused), "interaction_required");
    let state = world.session(page).unwrap().str("state").unwrap();
    assert_eq!(state, "active");
    assert_fine(&mut world, page, API);
}

#[test]
fn invalid_grant_for_any_token_ends_the_session() {
    let (mut world, page) = two();
    world.provider.revoke_family(0);
    let refused = call(&mut world, page, API);
    assert_eq!(world.code(refused), "session_ended");
    assert_eq!(world.reason(page), Some("provider_ended"));
}

#[test]
fn lost_response_is_requested_with_same_token() {
    let (mut world, page) = two();
    world.provider.leeway = Duration::from_secs(10);
    world.provider.fault(Endpoint::Refresh, &[Fault::LostAfter]);
    let call = call(&mut world, page, API);
    world.advance(Duration::from_secs(5));
    assert_eq!(world.status(call), 200);
    let sent = world.refresh_tokens_sent_to(Endpoint::Refresh);
    assert_eq!(sent[0], sent[1]);
}

#[test]
fn resource_tokens_need_a_refresh_token() {
    let mut world = World::with(&["{", APIS, "}"].concat());
    world.provider.issues_refresh_tokens = false;
    let page = world.open();
    world.sign_in(page);
    let refused = call(&mut world, page, API);
    assert_eq!(world.code(refused), "unsupported");
}

#[test]
fn end_revokes_the_one_refresh_token() {
    let (mut world, page) = two();
    assert_fine(&mut world, page, API);
    assert_fine(&mut world, page, OTHER_API);
    world.logout(page);
    world.answer_all();
    assert_eq!(world.count(REVOKE), 1);
    assert!(world.provider.has_revoked_everything());
}

#[test]
fn former_sessions_token_is_not_used() {
    let (mut world, page) = two();
    assert_fine(&mut world, page, API);
    world.provider.subject = "bob".to_owned();
    world.sign_in(page);
    assert_fine(&mut world, page, API);
    assert_eq!(world.count(REFRESH), 2);
}

#[test]
fn inspector_lists_tokens_with_their_resource() {
    let (mut world, page) = with(ONE_OF_TWO, r#", "inspect": true"#);
    let access_tokens = |world: &mut World| {
        let inspection = world.ask(page, r#""t":"inspect""#);
        let Some(PageResponse::Inspection(holdings)) = world.response(inspection) else {
            panic!("no inspection");
        };
        let objects = holdings.iter().filter_map(Value::as_object).cloned();
        let is_one = |holding: &Object| holding.str("kind") == Some("access_token");
        objects.filter(is_one).collect::<Vec<_>>()
    };
    assert_eq!(access_tokens(&mut world).len(), 1, "not fetched yet");
    assert_fine(&mut world, page, OTHER_API);
    let [own, other] = &access_tokens(&mut world)[..] else {
        panic!("not two");
    };
    assert_eq!(own.get("resource"), None);
    assert_eq!(other.str("resource"), Some(BILLS));
    assert_eq!(other.get("scope"), Some(&Value::Null));
    assert_ne!(own.str("fingerprint"), other.str("fingerprint"));
    let number = |holding: &Object, name| holding.get(name).unwrap().as_u64();
    assert_eq!(number(own, "generation"), Some(2), "the rotation's count");
    assert_eq!(number(other, "generation"), Some(2));
    assert!(number(other, "expiresAt") > number(other, "since"));
}

#[test]
fn resource_tokens_are_bound_to_the_key() {
    let (mut world, page) = with(APIS, r#", "dpop": true"#);
    world.provider.dpop.nonce = Some("one".to_owned());
    world.checkers.entry(OTHER_API).or_default().nonce = Some("two".to_owned());
    assert_fine(&mut world, page, API);
    assert_fine(&mut world, page, OTHER_API);
    let asked = asked_for(&world);
    assert_eq!(asked.len(), 2);
}

#[test]
fn restored_session_fetches_resource_tokens_again() {
    let (mut world, page) = with(APIS, r#", "session": { "persist": "sealed" }"#);
    assert_fine(&mut world, page, API);
    world.restart();
    let page = world.open();
    world.answer_all();
    assert!(world.session(page).is_some());
    assert_fine(&mut world, page, API);
    assert_fine(&mut world, page, OTHER_API);
    assert_eq!(world.count(REFRESH), 3);
    assert_eq!(world.provider.reuses, 0);
}

#[test]
fn two_workers_rotate_one_refresh_token() {
    let (mut world, page) = with(APIS, r#", "session": { "persist": "sealed" }"#);
    let other = world.add_vault();
    let there = world.open_in(other);
    world.answer_all();
    let calls = [
        begin(&mut world, page, API),
        begin(&mut world, there, API),
        begin(&mut world, page, OTHER_API),
        begin(&mut world, there, OTHER_API),
    ];
    world.answer_all();
    for call in calls {
        assert_eq!(world.status(call), 200);
    }
    assert_eq!(world.provider.reuses, 0);
}

#[test]
fn fetching_another_token_renews_no_login_token() {
    let (mut world, page) = with(ONE_OF_TWO, r#", "session": { "persist": "sealed" }"#);
    assert_fine(&mut world, page, OTHER_API);
    world.restart();
    let page = world.open();
    world.answer_all();
    world.provider.withdraw_access_tokens();
    assert_fine(&mut world, page, API);
}

#[test]
fn invariants_hold_in_any_order() {
    let mut refreshes = 0;
    for seed in 0..60 {
        let end = catch_unwind(AssertUnwindSafe(|| refreshes += live(seed)));
        assert!(end.is_ok(), "seed {seed}");
    }
    assert!(refreshes > 200, "{refreshes} refreshes");
}

/// Runs random events in a random order, and returns the number of refreshes.
fn live(seed: u64) -> usize {
    let mut dice = Dice::new(seed);
    let apis = dice.pick(&[APIS, ONE_OF_TWO]);
    let is_kept = dice.roll(2) == 0;
    let kept = r#", "session": { "persist": "sealed" }"#;
    let (mut world, page) = with(apis, if is_kept { kept } else { "" });
    let mut pages = vec![page];
    if is_kept {
        let other = world.add_vault();
        pages.push(world.open_in(other));
        world.answer_all();
    }
    world.provider.leeway = Duration::from_secs(dice.pick(&[0, 10]));
    let mut calls: Vec<Request> = Vec::new();
    for _ in 0..150 {
        let page = dice.pick(&pages);
        match dice.roll(24) {
            0..9 => calls.push(begin(&mut world, page, dice.pick(&[API, OTHER_API]))),
            9 if !calls.is_empty() => world.give_up(dice.pick(&calls), "abort"),
            10 => {
                let faults = [
                    Fault::LostBefore,
                    Fault::Status(500),
                    Fault::Busy(429, Some(3)),
                    Fault::Html,
                    Fault::Refused("invalid_target"),
                    Fault::Refused("consent_required"),
                ];
                world
                    .provider
                    .fault(Endpoint::Refresh, &[dice.pick(&faults)]);
            }
            11 => world.provider.withdraw_access_tokens(),
            12 if dice.roll(4) == 0 => {
                world.sign_in(page);
            }
            13 if dice.roll(8) == 0 => {
                world.logout(page);
            }
            14 => world.provider.resources = dice.pick(&[vec![ORDERS, BILLS], vec![BILLS]]),
            15 => world.provider.flaw = dice.pick(&[None, None, Some(Flaw::Signature)]),
            16..18 => world.pass_time(Duration::from_millis(dice.pick(&[1, 700, 61_000, 300_000]))),
            _ => world.answer_any(&mut |sides| dice.roll(sides)),
        }
    }
    // When `World` is dropped, it reports open requests that get no response.
    world.count(REFRESH)
}

/// Returns the tokens for which the last call's response was searched, in order.
fn searched(world: &World) -> Vec<String> {
    let searched = &world.seen_by_api.last().unwrap().searched;
    searched
        .iter()
        .map(|token| token.expose().to_owned())
        .collect()
}

// claim: api-4
#[test]
fn searches_responses_for_every_apis_tokens() {
    let (mut world, page) = two();
    assert_fine(&mut world, page, API);
    let [orders, login] = &searched(&world)[..] else {
        panic!("{:?}", searched(&world));
    };
    assert_fine(&mut world, page, OTHER_API);
    let bills = &searched(&world)[0];
    assert_eq!(&searched(&world)[1..], [login.clone(), orders.clone()]);
    // Shortly before they expire, both access tokens are refreshed. Responses are then also searched for the previous
    // tokens.
    world.advance(Duration::from_secs(271));
    assert_fine(&mut world, page, API);
    assert_fine(&mut world, page, API);
    let now = searched(&world);
    assert_ne!(&now[0], orders);
    for known in [orders, bills, login] {
        assert!(now.contains(known), "{now:?}");
    }
    world.advance(Duration::from_secs(30));
    assert_fine(&mut world, page, API);
    assert!(!searched(&world).contains(orders));
}

// claim: api-4
#[test]
fn searches_responses_for_at_most_eight_tokens() {
    let rule =
        |i: usize| format!(r#"{{ "url": "https://api.example.com/v1/{i}/", "scope": "s{i}" }}"#);
    let rules: Vec<String> = (0..10).map(rule).collect();
    let scope = "openid offline_access s0 s1 s2 s3 s4 s5 s6 s7 s8 s9";
    let apis = format!(r#"{{"scope": "{scope}", "apis": [{}]}}"#, rules.join(","));
    let (mut world, page) = World::signed_in_with(&apis);
    for i in 0..10 {
        let call = world.fetch(page, &format!("/{i}/orders"));
        world.answer_all();
        assert_eq!(world.status(call), 200);
    }
    let searched = searched(&world);
    assert_eq!(searched.len(), 8);
    let sent = world.seen_by_api.last().unwrap().authorization.expose();
    assert_eq!(sent.strip_prefix("Bearer "), Some(&*searched[0]));
}
