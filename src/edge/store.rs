//! The store on which isolates agree: sealed records of sessions, ends of users' sessions, orders to end sessions,
//! indexes of users' sessions, and leases, in a coordinator.

pub(super) mod coordinator;
pub(super) mod index;
pub(super) mod lease;
pub(super) mod order;
pub(super) mod record_store;
pub(super) mod seal;
pub(super) mod user_end;
