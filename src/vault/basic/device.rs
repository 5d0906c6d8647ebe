//! Stub for logins on other devices, for a build without the Cargo feature `extended`.

use crate::base::http::Outcome;
use crate::prelude::*;
use crate::vault::context::Context;
use crate::vault::dpop::Dpop;
use crate::vault::io::OpId;
use crate::vault::login::callback::{CallbackOutcome, Callbacks};
use crate::vault::login::in_flight::{Login, Logins};
use crate::vault::provider::Provider;

impl Logins {
    pub(super) fn begin_device(&mut self, _: &mut Context, _: &Provider, _: Box<Login>) {}

    pub(in crate::vault) const fn device_asked(&mut self, _: &mut Context, _: OpId, _: &Outcome) {}

    pub(in crate::vault) const fn poll_devices(
        &mut self,
        _: &mut Context,
        _: &Provider,
        _: &mut Dpop,
    ) {
    }

    pub(in crate::vault) const fn device_polled(
        &mut self,
        _: &mut Context,
        _: &Provider,
        _: &mut Callbacks,
        _: OpId,
        _: &Outcome,
    ) -> CallbackOutcome {
        CallbackOutcome::None
    }
}
