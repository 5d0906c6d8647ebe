//! Stub for the escrow, which needs the Cargo feature `extended`.

use crate::browser::platform::WorkerScope;

pub(super) enum Escrow {}

impl Escrow {
    pub(super) const fn new(_: &WorkerScope, _: bool) -> Option<Self> {
        None
    }
}
