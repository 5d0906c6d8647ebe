//! Every request of a page gets exactly one answer. Each world checks it at its end; here is the
//! control that the check notices.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kit::world::ledger::Ledger;
use kit::world::{Kind, REFRESH, Request, World};

const ONE: Request = Request { port: 1, id: 1 };

#[test]
fn a_request_without_an_answer_is_noticed() {
    let mut ledger = Ledger::default();
    ledger.asked(ONE);
    assert_eq!(ledger.faults().len(), 1);
    ledger.answered(ONE);
    assert_eq!(ledger.faults(), [""; 0]);
}

#[test]
fn a_second_answer_is_noticed() {
    let mut ledger = Ledger::default();
    ledger.asked(ONE);
    ledger.answered(ONE);
    ledger.answered(ONE);
    assert_eq!(ledger.faults().len(), 1);
}

#[test]
fn an_answer_to_nothing_is_noticed() {
    let mut ledger = Ledger::default();
    ledger.answered(ONE);
    assert_eq!(ledger.faults().len(), 1);
}

#[test]
fn an_aborted_request_may_go_without_an_answer_but_not_get_two() {
    let mut ledger = Ledger::default();
    ledger.asked(ONE);
    ledger.waive(ONE);
    assert_eq!(ledger.faults(), [""; 0]);
    ledger.answered(ONE);
    ledger.answered(ONE);
    assert_eq!(ledger.faults().len(), 1);
}

#[test]
fn a_call_that_waits_counts_as_unanswered_until_it_is_answered() {
    for kind in [REFRESH, Kind::Persist, Kind::Call] {
        let (mut world, page) = World::expired();
        world.hold(&[kind]);
        world.fetch(page, "/orders");
        world.settle();
        assert_eq!(world.ledger.faults().len(), 1, "{kind:?}");
        world.release();
        assert_eq!(world.ledger.faults(), [""; 0], "{kind:?}");
    }
}

#[test]
fn a_world_does_not_end_well_with_a_request_that_hangs() {
    let mut world = World::new();
    let page = world.open();
    // As if the vault had lost it.
    world.ledger.asked(Request { port: page, id: 99 });
    let end = catch_unwind(AssertUnwindSafe(|| drop(world)));
    assert!(end.is_err());
}

#[test]
fn a_world_does_not_end_well_with_a_secret_in_a_page() {
    let (mut world, _) = World::signed_in();
    let secret = world.witness.secrets().last().unwrap().to_owned();
    world
        .witness
        .told(&format!(r#"{{"t":"trace","detail":"{secret}"}}"#));
    let end = catch_unwind(AssertUnwindSafe(|| drop(world)));
    assert!(end.is_err());
}
