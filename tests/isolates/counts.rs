//! The requests and operations of the coordinator in docs/performance.md, by counting.

use kit::table::{cell, check, name};
use kit_isolates::provider::Endpoint;
use kit_isolates::{Fault, Setup, Site, World};

use crate::both_storages;

/// Something that Alice or her provider does.
type Act = fn(&mut World);

/// A row: its name, what happens before, what is counted, and what makes the handler send a request more.
type Row = (&'static str, Act, Act, Act);

const ALICE: usize = 0;

fn sign_in(world: &mut World) {
    let browser = world.open_browser("alice");
    world.log_in(browser, 0);
    world.answer_all();
    world.answer_all();
}

fn call(world: &mut World) {
    world.call(ALICE, 0);
    world.answer_all();
}

fn lose(world: &mut World, site: Site) {
    world.fault(site, Fault::LostBefore);
}

fn lose_refresh(world: &mut World) {
    lose(world, Site::Provider(Endpoint::Refresh));
}

fn wait(world: &mut World) {
    world.pass(61_000);
}

fn expire(world: &mut World) {
    sign_in(world);
    wait(world);
}

const ROWS: [Row; 9] = [
    (
        "the first login of an isolate",
        |_| {},
        sign_in,
        |world| lose(world, Site::Provider(Endpoint::Keys)),
    ),
    ("a login", sign_in, sign_in, |world| world.kill(0)),
    (
        "a call",
        |world| {
            sign_in(world);
            call(world);
        },
        call,
        wait,
    ),
    (
        "a call after `session.recheck`",
        |world| {
            sign_in(world);
            world.pass(11_000);
        },
        call,
        wait,
    ),
    ("a call with an expired token", expire, call, lose_refresh),
    (
        "200 calls with an expired token",
        expire,
        |world| {
            for _ in 0..200 {
                world.call(ALICE, 0);
            }
            world.answer_all();
        },
        lose_refresh,
    ),
    (
        "200 calls with an expired token, at four isolates",
        expire,
        |world| {
            for i in 0..200 {
                world.call(ALICE, i % 4);
            }
            world.answer_all();
        },
        lose_refresh,
    ),
    (
        "a logout",
        sign_in,
        |world| {
            world.log_out(ALICE, 0);
            world.answer_all();
        },
        |world| lose(world, Site::Provider(Endpoint::Revoke)),
    ),
    (
        "a back-channel logout",
        sign_in,
        |world| {
            world.back_channel(0, 0);
            world.answer_all();
        },
        |world| lose(world, Site::Swap),
    ),
];

/// The counts of a row: the operations by name, and the bytes that the provider has received.
#[derive(Debug, Default)]
struct Counts {
    provider: Vec<&'static str>,
    api: u32,
    coordinator: Vec<&'static str>,
    bytes: usize,
}

/// Counts what a row does. `more` happens just before.
fn count(setup: Setup, (_, before, act, _): Row, more: Act) -> Counts {
    let mut world = World::new(setup);
    before(&mut world);
    more(&mut world);
    world.sent.clear();
    let bytes = world.provider.bytes;
    act(&mut world);
    world.pass(5000);
    let mut counts = Counts {
        bytes: world.provider.bytes - bytes,
        ..Counts::default()
    };
    for (_, site) in &world.sent {
        match site {
            Site::Provider(endpoint) => counts.provider.push(name(*endpoint)),
            Site::Api => counts.api += 1,
            Site::Read => counts.coordinator.push("read"),
            Site::Swap => counts.coordinator.push("write"),
            Site::Wait => counts.coordinator.push("wait"),
        }
    }
    counts
}

fn setups() -> [Setup; 2] {
    both_storages(4).map(|setup| Setup {
        discovers: true,
        ..setup
    })
}

#[test]
fn counts_are_as_documented() {
    let mut table = String::from(
        "| | provider | bytes | API | `'sealed-in-cookie'` | `'in-store'` |\n|---|---|---|---|---|---|\n",
    );
    for row in ROWS {
        let [counts, stored] = setups().map(|setup| count(setup, row, |_| {}));
        assert_eq!(counts.provider, stored.provider, "{}", row.0);
        let cells = [&counts.provider, &counts.coordinator, &stored.coordinator];
        let [provider, in_cookie, in_store] = cells.map(|names| cell(names));
        let (what, bytes, api) = (row.0, counts.bytes, counts.api);
        table += &format!("| {what} | {provider} | {bytes} | {api} | {in_cookie} | {in_store} |\n");
    }
    check("performance.md", "counts of the handler", &table);
}

#[test]
fn each_row_counts_one_more_request() {
    for row in ROWS {
        for setup in setups() {
            let [usual, more] = [|_: &mut World| {}, row.3].map(|more: Act| {
                let counts = count(setup.clone(), row, more);
                [counts.provider.len(), counts.coordinator.len()]
            });
            assert!(more > usual, "{}: {usual:?} {more:?}", row.0);
        }
    }
}
