//! A build without logins on other devices.

use crate::base::http::Outcome;
use crate::oauth::authorization_request::Pending;
use crate::oauth::token_endpoint::TokenSet;
use crate::prelude::*;
use crate::vault::context::Context;
use crate::vault::dpop::Dpop;
use crate::vault::io::OpId;
use crate::vault::login::in_flight::Logins;
use crate::vault::provider::Provider;
use crate::vault::verification::Verification;

pub(in crate::vault) enum DeviceOutcome {
    None,
    Unused(Box<TokenSet>),
    Granted(String, Box<Pending>, Box<Verification>),
}

impl Logins {
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
        _: OpId,
        _: &Outcome,
    ) -> DeviceOutcome {
        DeviceOutcome::None
    }
}
