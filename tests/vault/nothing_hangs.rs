//! Every request of a page gets exactly one response, unless the page gives up the request. Each `World` checks this
//! when it is dropped. The tests in this file show that the check works.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kit::world::ledger::Ledger;
use kit::world::{Kind, REFRESH_STAGES, Request, World};
use vault::{PortId, RequestId};

const ONE: Request = Request {
    port: PortId(1),
    id: RequestId(1),
};

#[test]
fn unanswered_request_is_noticed() {
    let mut ledger = Ledger::default();
    ledger.asked(ONE);
    assert_eq!(ledger.faults().len(), 1);
    ledger.answered(ONE);
    assert_eq!(ledger.faults(), [""; 0]);
}

#[test]
fn second_response_is_noticed() {
    let mut ledger = Ledger::default();
    ledger.asked(ONE);
    ledger.answered(ONE);
    ledger.answered(ONE);
    assert_eq!(ledger.faults().len(), 1);
}

#[test]
fn unsolicited_response_is_noticed() {
    let mut ledger = Ledger::default();
    ledger.answered(ONE);
    assert_eq!(ledger.faults().len(), 1);
}

#[test]
fn aborted_request_gets_one_response_at_most() {
    let mut ledger = Ledger::default();
    ledger.asked(ONE);
    ledger.waive(ONE);
    assert_eq!(ledger.faults(), [""; 0]);
    ledger.answered(ONE);
    ledger.answered(ONE);
    assert_eq!(ledger.faults().len(), 1);
}

#[test]
fn waiting_call_counts_as_unanswered() {
    for kind in REFRESH_STAGES.iter().copied().chain([Kind::Call]) {
        let (mut world, page) = World::expired();
        world.hold(&[kind]);
        world.fetch(page, "/orders");
        world.answer_all();
        assert_eq!(world.ledger.faults().len(), 1, "{kind:?}");
        world.release();
        assert_eq!(world.ledger.faults(), [""; 0], "{kind:?}");
    }
}

#[test]
fn hanging_request_fails_the_world() {
    let mut world = World::new();
    let page = world.open();
    // The request is recorded without a response, as if the vault had lost it.
    world.ledger.asked(Request {
        port: page,
        id: RequestId(99),
    });
    let end = catch_unwind(AssertUnwindSafe(|| drop(world)));
    assert!(end.is_err());
}

#[test]
fn leaked_secret_fails_the_world() {
    let (mut world, _) = World::signed_in();
    let secret = world.witness.secrets().last().unwrap().to_owned();
    world
        .witness
        .told(&format!(r#"{{"t":"trace","detail":"{secret}"}}"#));
    let end = catch_unwind(AssertUnwindSafe(|| drop(world)));
    assert!(end.is_err());
}
