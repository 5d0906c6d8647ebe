//! The warning that a limit of the session is near, or the end of its refresh token.

use crate::context::Context;
use crate::message::message;
use rules::base::clock::Millis;
use rules::session::Session;

/// The state of the warning that the session is about to end.
#[derive(Default)]
pub(crate) struct ExpiryWarning {
    /// True if pages were told that the session is about to end.
    is_shown: bool,
}

impl ExpiryWarning {
    /// Tells the pages once if the end of the session is near, and once if it is no longer near.
    pub(crate) fn update(&mut self, ctx: &mut Context) {
        let Some(session) = &ctx.session else {
            self.is_shown = false;
            return;
        };
        let left = until_end(ctx, session);
        let is_near = left <= lead_time(ctx);
        if is_near && !self.is_shown {
            let at = ctx.now.wall.saturating_add(left.0);
            let text = message("expiring").number("at", at).finish();
            ctx.broadcast(&text);
        } else if self.is_shown && !is_near {
            ctx.broadcast_session();
        }
        self.is_shown = is_near;
    }

    /// Returns the time left until the warning is due. If the warning is already shown, returns the time left until the
    /// session ends.
    pub(crate) fn due(&self, ctx: &Context) -> Option<Millis> {
        let session = ctx.session.as_ref()?;
        Some(if self.is_shown {
            session.until_limit(&ctx.config.flow.limits, &ctx.now)
        } else {
            until_end(ctx, session).saturating_sub(lead_time(ctx))
        })
    }
}

/// Returns the time until the session reaches a limit, or until its refresh token expires by what the provider states.
fn until_end(ctx: &Context, session: &Session) -> Millis {
    let limit = session.until_limit(&ctx.config.flow.limits, &ctx.now);
    limit.min(session.until_refresh_expiry(&ctx.now))
}

/// Returns the time between the warning and the limit: a tenth of the idle limit, but at most one minute.
fn lead_time(ctx: &Context) -> Millis {
    rules::session::idle_notice(ctx.config.flow.limits.idle)
}
