//! An API that wants more than the session has, another authentication (RFC 9470) or more scope: its page is told, and
//! with what a login would get it.
//!
//! Nothing is tried again here. The page asks its user, begins that login, and calls once more. An API that refuses
//! with the same words right after such a login would be asked for ever by a page that does not stop to think, so
//! that page is told that another login is of no use.

use crate::base::clock::{Instant, Millis};
use crate::base::error::Code;
use crate::base::strings;
use crate::oauth::authorization_request::Pending;
use crate::oauth::www_authenticate::{self, Demand};
use crate::prelude::*;
use crate::vault::api_calls::{Call, Calls};
use crate::vault::context::Context;
use crate::vault::io::{CallId, ResponseHead};
use crate::vault::message::message;

/// Time after a login that an API asked for, in which the same demand is not passed on.
const FRESH: Millis = Millis::from_secs(60);

/// The demand that the login of this session was for.
pub(super) struct SteppedUp {
    login: String,
    at: Instant,
}

impl Calls {
    /// Records the demand that a login was for.
    pub(super) fn record_step_up(&mut self, ctx: &Context, pending: &Pending) {
        self.stepped_up = pending.demand.as_ref().map(|login| SteppedUp {
            login: login.clone(),
            at: ctx.now,
        });
    }

    /// Refuses a call if what its API wants is a matter of another login. Gives whether it did.
    pub(super) fn steps_up(
        &mut self,
        ctx: &mut Context,
        call: CallId,
        head: &ResponseHead,
    ) -> bool {
        let Some(known) = self.list.iter().find(|c| c.call == call) else {
            return false;
        };
        let is_ours = known.allowed.steps_up() && !known.is_detached && ctx.session.is_some();
        let header = head.www_authenticate.as_deref().unwrap_or_default();
        let Some(demand) = www_authenticate::demand(head.status, header).filter(|_| is_ours) else {
            return false;
        };
        let (code, why) = match demand {
            Demand::StepUp { .. } => (
                Code::StepUpRequired,
                msg!("the API wants the user to authenticate in another way, or more recently"),
            ),
            Demand::Scope(_) => (
                Code::InsufficientScope,
                msg!("the API wants a token of more scope"),
            ),
        };
        let login = demand.login();
        if self.has_just_done(ctx, &login) {
            let why = msg!("the API wants what the user has just signed in for");
            self.refuse_demanding(ctx, call, Code::StepUpFailed, why, None);
        } else {
            let login = Some(login).filter(|_| may_ask(ctx, &demand));
            self.refuse_demanding(ctx, call, code, why, login.as_deref());
        }
        true
    }

    fn has_just_done(&self, ctx: &Context, login: &str) -> bool {
        let done = self.stepped_up.as_ref();
        done.is_some_and(|done| done.login == login && done.at.elapsed(&ctx.now) < FRESH)
    }

    fn refuse_demanding(
        &mut self,
        ctx: &mut Context,
        call: CallId,
        code: Code,
        why: &str,
        login: Option<&str>,
    ) {
        let Some(known) = self.forget(call) else {
            return;
        };
        let Call { port, id, .. } = *known;
        let mut error = message("error");
        error
            .number("id", id)
            .text("code", code.as_str())
            .text("message", why);
        if let Some(login) = login {
            error.json("login", login);
        }
        ctx.post(port, error.finish());
        ctx.drop_call(call);
    }
}

/// Returns true if pages may ask for all of it.
fn may_ask(ctx: &Context, demand: &Demand) -> bool {
    match demand {
        Demand::StepUp { .. } => true,
        Demand::Scope(scope) => {
            !scope.is_empty() && strings::split(scope, b' ').all(|one| ctx.config.may_ask(one))
        }
    }
}
