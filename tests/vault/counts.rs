//! The requests and operations of the storage in docs/performance.md, by counting.

use std::time::Duration;

use kit::table::{cell, check, name};
use kit::world::{Endpoint, Event, Fault, Kind, SEALED, World};
use vault::PortId;

type Act = fn(&mut World, PortId);

/// A row: its name, what happens before, what is counted, and what makes the vault send a request more.
type Row = (&'static str, Act, Act, Act);

fn nothing(_: &mut World, _: PortId) {}

fn sign_in(world: &mut World, page: PortId) {
    world.sign_in(page);
}

fn call(world: &mut World, page: PortId) {
    world.fetch(page, "/orders");
    world.answer_all();
}

fn log_out(world: &mut World, page: PortId) {
    world.logout(page);
    world.answer_all();
}

fn expire(world: &mut World, page: PortId) {
    sign_in(world, page);
    world.expire_access_token();
}

fn fail_refresh(world: &mut World, _: PortId) {
    world
        .provider
        .fault(Endpoint::Refresh, &[Fault::LostBefore]);
}

const ROWS: [Row; 6] = [
    (
        "the first login of a worker",
        nothing,
        sign_in,
        |world, _| {
            world
                .provider
                .fault(Endpoint::Discovery, &[Fault::LostBefore]);
        },
    ),
    (
        "a login",
        |world, page| {
            sign_in(world, page);
            log_out(world, page);
        },
        sign_in,
        |world, _| {
            world.provider.signing_key = 1;
            world.provider.published_keys = vec![1];
        },
    ),
    ("a call", sign_in, call, |world, _| {
        world.api_ahead = 300_000;
    }),
    ("a call with an expired token", expire, call, fail_refresh),
    (
        "200 calls with an expired token",
        expire,
        |world, page| {
            for _ in 0..200 {
                world.fetch(page, "/orders");
            }
            world.answer_all();
        },
        fail_refresh,
    ),
    ("a logout", sign_in, log_out, |world, _| {
        world.provider.fault(Endpoint::Revoke, &[Fault::LostBefore]);
    }),
];

/// The counts of a row: the operations by name, and the bytes that the provider has received.
#[derive(Debug, Default)]
struct Counts {
    provider: Vec<&'static str>,
    api: u32,
    storage: Vec<&'static str>,
    bytes: usize,
}

/// Counts what a row does. `more` happens just before.
fn count(changes: &str, (_, before, act, _): Row, more: Act) -> Counts {
    let mut world = World::with(changes);
    let page = world.open();
    before(&mut world, page);
    more(&mut world, page);
    world.events.clear();
    let bytes = world.provider.bytes;
    act(&mut world, page);
    world.advance(Duration::from_secs(10));
    let mut counts = Counts {
        bytes: world.provider.bytes - bytes,
        ..Counts::default()
    };
    for event in &world.events {
        match event {
            Event::Asked(Kind::Provider(endpoint)) => counts.provider.push(name(*endpoint)),
            Event::Asked(Kind::Call) => counts.api += 1,
            Event::Asked(Kind::Store) => counts.storage.push("store"),
            Event::Asked(Kind::Take) => counts.storage.push("take"),
            Event::Asked(Kind::Persist) => counts.storage.push("persist"),
            Event::Asked(Kind::Load) => counts.storage.push("load"),
            Event::Asked(Kind::Lock) => counts.storage.push("lock"),
            _ => {}
        }
    }
    counts
}

#[test]
fn counts_are_as_documented() {
    let mut table = String::from(
        "| | provider | bytes | API | `'memory'` | `'sealed'` |\n|---|---|---|---|---|---|\n",
    );
    for row in ROWS {
        let [counts, sealed] = ["{}", SEALED].map(|changes| count(changes, row, nothing));
        assert_eq!(counts.provider, sealed.provider, "{}", row.0);
        let cells = [&counts.provider, &counts.storage, &sealed.storage];
        let [provider, memory, stored] = cells.map(|names| cell(names));
        let (what, bytes, api) = (row.0, counts.bytes, counts.api);
        table += &format!("| {what} | {provider} | {bytes} | {api} | {memory} | {stored} |\n");
    }
    check("performance.md", "counts of the vault", &table);
}

#[test]
fn each_row_counts_one_more_request() {
    for row in ROWS {
        let [usual, more] = [nothing, row.3].map(|more| count("{}", row, more));
        assert!(more.provider.len() > usual.provider.len(), "{}", row.0);
    }
}
