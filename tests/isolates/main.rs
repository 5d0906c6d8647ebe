//! Tests of the token handler in several isolates at once, in virtual time.
//!
//! Each file tests one behavior. All files share `tests/kit`, whose `isolates/invariants.rs` lists the invariants that
//! every test checks.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]

mod clocks;
mod cookies;
mod counts;
mod ends;
mod lateness;
mod orders;
mod outages;
mod reads;
mod recovery;
mod rotation;
mod session_cookies;
mod storage;

use kit_isolates::{Setup, VisitId, World};

/// Returns two setups with this many isolates: one with sessions in cookies, and one with sessions in the store.
fn both_storages(isolates: usize) -> [Setup; 2] {
    [false, true].map(|in_store| Setup {
        isolates,
        in_store,
        ..Setup::default()
    })
}

/// Creates a world in which Alice is signed in at isolate 0, and her access token has expired.
fn expired(setup: Setup) -> (World, usize) {
    let mut world = World::new(setup);
    let alice = world.signed_in("alice", 0);
    world.pass(61_000);
    (world, alice)
}

/// Returns the duration of a request in milliseconds.
fn took(world: &World, visit: VisitId) -> u64 {
    let visit = &world.visits[visit];
    visit.given.as_ref().unwrap().at - visit.began
}

/// Returns true if a request was served.
#[track_caller]
fn served(world: &World, visit: VisitId) -> bool {
    let given = world.visits[visit].given.as_ref();
    given.expect("it was answered").is_served()
}
