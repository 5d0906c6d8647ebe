//! Step-up authentication: an API may demand another authentication (RFC 9470), or more scope than the session has. The
//! page then gets an error with the demand, and with the login options that would satisfy it.
//!
//! The vault does not repeat the call. The page asks its user, begins a login with these options, and repeats the call.
//! If the API makes the same demand immediately after such a login, the page gets another error, which says that a
//! further login will not help. Otherwise a page could repeat logins without end.

use crate::call_list::{Call, CallList};
use crate::context::Context;
use crate::io::{CallId, ResponseHead};
use crate::message::message;
use rules::base::clock::{Instant, Millis};
use rules::base::error::Code;
use rules::base::strings;
use rules::login::authorization_request::Pending;
use rules::oauth::www_authenticate::{self, Demand};
use rules::prelude::*;

/// The time after a login for a demand, during which the vault does not pass the same demand on to the page again.
const FRESH: Millis = Millis::from_secs(60);

/// The demand that the last login was meant to satisfy.
#[derive(Default)]
pub(super) struct StepUp {
    done: Option<CompletedStepUp>,
}

struct CompletedStepUp {
    login: String,
    at: Instant,
}

impl StepUp {
    /// Records the demand that a completed login was meant to satisfy, if there was one.
    pub(super) fn record_login(&mut self, ctx: &Context, pending: &Pending) {
        self.done = pending
            .demand
            .clone()
            .map(|login| CompletedStepUp { login, at: ctx.now });
    }

    /// Rejects a call if the API demands another authentication or more scope, and the API's rule has `stepUp`. Returns
    /// true if the call was rejected.
    pub(super) fn reject(
        &self,
        ctx: &mut Context,
        list: &mut CallList,
        call: CallId,
        head: &ResponseHead,
    ) -> bool {
        let Some(known) = list.calls.iter().find(|c| c.call == call) else {
            return false;
        };
        if !known.allowed.steps_up() || known.is_detached || ctx.session.is_none() {
            return false;
        }
        let header = head.www_authenticate.as_deref().unwrap_or_default();
        let Some(demand) = www_authenticate::demand(head.status, header) else {
            return false;
        };
        let (code, why) = match demand {
            Demand::StepUp { .. } => (
                Code::StepUpRequired,
                msg!("the API requires the user to authenticate in another way, or more recently"),
            ),
            Demand::Scope(_) => (
                Code::InsufficientScope,
                msg!("the API requires a token with more scope"),
            ),
        };
        let login = demand.login();
        if self.has_just_done(ctx, &login) {
            let why = msg!("the API repeats a demand for which the user has just signed in");
            reject_with_demand(ctx, list, call, Code::StepUpFailed, why, None);
        } else {
            let login = Some(login).filter(|_| may_ask(ctx, &demand));
            reject_with_demand(ctx, list, call, code, why, login.as_deref());
        }
        true
    }

    fn has_just_done(&self, ctx: &Context, login: &str) -> bool {
        let done = self.done.as_ref();
        done.is_some_and(|done| done.login == login && done.at.elapsed(&ctx.now) < FRESH)
    }
}

fn reject_with_demand(
    ctx: &mut Context,
    list: &mut CallList,
    call: CallId,
    code: Code,
    why: &str,
    login: Option<&str>,
) {
    let Some(known) = list.forget(call) else {
        return;
    };
    let Call { port, id, .. } = *known;
    let mut error = message("error");
    error
        .number("id", id.0)
        .text("code", code.as_str())
        .text("message", why);
    if let Some(login) = login {
        error.json("login", login);
    }
    ctx.post(port, error.finish());
    ctx.drop_call(call);
}

/// Returns true if the configuration allows pages to request what the API demands.
fn may_ask(ctx: &Context, demand: &Demand) -> bool {
    match demand {
        Demand::StepUp { .. } => true,
        Demand::Scope(scope) => {
            !scope.is_empty() && strings::split(scope, b' ').all(|one| ctx.config.flow.may_ask(one))
        }
    }
}
