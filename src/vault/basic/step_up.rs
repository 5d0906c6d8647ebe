//! Stub for step-up authentication, for a build without the Cargo feature `extended`. In such a build, pages get an
//! API's demand as an ordinary response.

use crate::oauth::authorization_request::Pending;
use crate::vault::api_calls::call_list::CallList;
use crate::vault::context::Context;
use crate::vault::io::{CallId, ResponseHead};

#[derive(Default)]
pub(super) struct StepUp;

impl StepUp {
    pub(super) const fn record_login(&self, _: &Context, _: &Pending) {}

    pub(super) const fn reject(
        &self,
        _: &mut Context,
        _: &mut CallList,
        _: CallId,
        _: &ResponseHead,
    ) -> bool {
        false
    }
}
