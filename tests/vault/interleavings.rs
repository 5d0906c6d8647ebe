//! Tests with random events in random order: pages come, send requests and leave, responses are late, lost or wrong,
//! time passes, and the device sleeps. `World` checks its invariants in these runs as in every test.
//!
//! A seed determines all events. A failure message names the seed, with which the failure can be repeated.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use kit::dice::Dice;
use kit::world::{API, Endpoint, Fault, Fetch, Flaw, INSPECTED, PageResponse, Request, World};

const SEEDS: u64 = 150;
const STEPS: u32 = 150;

const ENDPOINTS: &[Endpoint] = &[
    Endpoint::Discovery,
    Endpoint::Keys,
    Endpoint::Exchange,
    Endpoint::Refresh,
    Endpoint::Refresh,
    Endpoint::Refresh,
    Endpoint::Revoke,
];

const FAULTS: &[Fault] = &[
    Fault::LostBefore,
    Fault::LostAfter,
    Fault::Silence,
    Fault::Status(500),
    Fault::Busy(429, Some(3)),
    Fault::Busy(503, Some(100)),
    Fault::Html,
    Fault::Truncated,
    Fault::Echo,
    Fault::Refused("invalid_grant"),
    Fault::Refused("login_required"),
];

const PATHS: &[&str] = &["/orders", "/orders", "/never", "/redirect", "/unreachable"];

fn live(seed: u64) -> World {
    live_with(INSPECTED, seed, &mut |_, _| {})
}

/// Runs random events with these changes to the configuration. `happen` may add events at each step.
fn live_with(changes: &str, seed: u64, happen: &mut dyn FnMut(&mut World, &mut Dice)) -> World {
    let mut dice = Dice::new(seed);
    let mut world = World::seeded(changes, seed);
    world.provider.leeway = Duration::from_secs(5 * u64::from(dice.roll(2) == 0));
    world.provider.rotates = dice.roll(8) != 0;
    world.provider.issues_refresh_tokens = dice.roll(8) != 0;
    let mut pages = vec![world.open()];
    let mut logins: Vec<Request> = Vec::new();
    let mut calls: Vec<Request> = Vec::new();
    if dice.roll(4) != 0 {
        world.sign_in(pages[0]);
    }
    for _ in 0..STEPS {
        let page = dice.pick(&pages);
        happen(&mut world, &mut dice);
        match dice.roll(40) {
            0..4 => logins.push(world.login(page, dice.pick(&["redirect", "popup"]))),
            4..8 if !logins.is_empty() => {
                let login = dice.pick(&logins);
                if let Some(PageResponse::Navigate(address)) = world.responses(login).first() {
                    let address = address.clone();
                    world.provider.subject = dice.pick(&["alice", "alice", "bob"]).to_owned();
                    let response = world.provider.sign_in(&address);
                    world.callback(page, &response);
                }
            }
            8..16 => {
                let fetch = Fetch {
                    background: dice.roll(2) == 0,
                    ..Fetch::default()
                };
                calls.push(match dice.roll(2) {
                    0 => world.fetch(page, dice.pick(PATHS)),
                    _ => world.fetch_as(page, &fetch),
                });
            }
            16 if !calls.is_empty() => world.give_up(dice.pick(&calls), "abort"),
            17 if !logins.is_empty() => world.give_up(dice.pick(&logins), "cancel"),
            18 if dice.roll(3) == 0 => {
                world.logout(page);
            }
            19 if pages.len() < 5 => pages.push(world.open()),
            20 if pages.len() > 1 => {
                let gone = pages.swap_remove(dice.roll(pages.len()));
                world.leave(gone);
                let is_its = |request: &Request| request.port == gone;
                logins.retain(|request| !is_its(request));
                calls.retain(|request| !is_its(request));
            }
            21 => world
                .provider
                .fault(dice.pick(ENDPOINTS), &[dice.pick(FAULTS)]),
            22 => {
                let claim = Flaw::Claim("sub", "mallory".into());
                let flaws = [None, None, Some(Flaw::Signature), Some(claim)];
                world.provider.flaw = dice.pick(&flaws);
            }
            23 => world.provider.withdraw_access_tokens(),
            24 => world.sleep_unanswered(Duration::from_secs(dice.pick(&[10, 400, 2000]))),
            25..28 => world.pass_time(Duration::from_millis(dice.pick(&[1, 700, 11_000, 300_000]))),
            28 => world.set_clock_by(dice.pick(&[-30, 30])),
            _ => world.answer_any(&mut |sides| dice.roll(sides)),
        }
    }
    world
}

// claim: network-3
#[test]
fn invariants_hold_in_any_order() {
    for seed in 0..SEEDS {
        let end = catch_unwind(AssertUnwindSafe(|| drop(live(seed))));
        assert!(end.is_ok(), "seed {seed}");
    }
}

#[test]
fn invariants_hold_with_dpop_and_nonces() {
    let mut proven = 0;
    for seed in 0..SEEDS / 2 {
        let happen = &mut |world: &mut World, dice: &mut Dice| {
            let nonce = dice.pick(&["one", "two", "three"]).to_owned();
            match dice.roll(12) {
                0 => world.provider.dpop.nonce = Some(nonce),
                1 => world.checkers.entry(API).or_default().nonce = Some(nonce),
                2 => world.checkers.entry(API).or_default().hides_challenge = dice.roll(2) == 0,
                _ => {}
            }
        };
        let end = catch_unwind(AssertUnwindSafe(|| {
            let world = live_with(r#"{"inspect":true,"dpop":true}"#, seed, happen);
            proven += world.checkers[API].proofs.len();
        }));
        assert!(end.is_ok(), "seed {seed}");
    }
    assert!(proven > 200, "{proven} calls were proven");
}

#[test]
fn seed_repeats_itself() {
    let (one, other) = (live(7), live(7));
    assert!(!one.events.is_empty());
    assert_eq!(one.events, other.events);
}
