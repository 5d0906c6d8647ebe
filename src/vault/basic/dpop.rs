//! Stub for DPoP, for a build without the Cargo feature `extended`. In such a build, all tokens are bearer tokens.

use crate::base::http::{HttpRequest, Outcome};
use crate::oauth::authorization_request::Pending;
use crate::session::Session;
use crate::vault::context::{Context, Purpose};
use crate::vault::io::{OpId, ResponseHead};

/// A stand-in type without values.
pub(super) enum BindingKey {}

#[derive(Default)]
pub(super) struct Dpop;

/// A stand-in type without values.
pub(super) enum TokenRequest {}

pub(super) struct Proven;

impl Proven {
    pub(super) const NONE: Self = Self;
}

impl Dpop {
    pub(super) fn send_proven(
        &self,
        ctx: &mut Context,
        purpose: Purpose,
        request: HttpRequest,
        _: Option<BindingKey>,
    ) -> OpId {
        ctx.send(purpose, request)
    }

    pub(super) const fn on_response(
        &mut self,
        _: &Context,
        _: OpId,
        _: &Outcome,
    ) -> Option<TokenRequest> {
        None
    }

    pub(super) const fn repeat(&mut self, _: &mut Context, _: Purpose, _: TokenRequest) {}

    pub(super) const fn on_call_response(
        &self,
        _: &str,
        _: &mut Proven,
        _: &ResponseHead,
        _: bool,
    ) -> bool {
        false
    }
}

pub(super) const fn make_key(_: &mut Context) -> OpId {
    OpId(0)
}

pub(super) const fn key_of_session(_: &Session) -> Option<BindingKey> {
    None
}

pub(super) const fn key_of_login(_: &Pending) -> Option<BindingKey> {
    None
}
