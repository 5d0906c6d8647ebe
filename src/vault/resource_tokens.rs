//! Access tokens of rules that have their own (RFC 8707): fetched by a refresh when a call first needs one, and
//! again before they expire. The refresh is the one that there is at a time, whatever token it is for: all of
//! them consume, and bring, the session's one refresh token.
//!
//! What the provider refuses here, `invalid_target` for instance, fails the calls that need it, and is not asked for
//! again for a minute. The session goes on.

use crate::base::clock::Millis;
use crate::base::error::{Code, Error};
use crate::egress::policy::TokenSelector;
use crate::oauth::refresh_policy::RefreshOutcome;
use crate::session::Session;
use crate::vault::context::Context;
use crate::vault::refresh::{Refresh, RefreshStep};

/// Time for which a token that was refused is not requested again.
const REFUSED: Millis = Millis::from_secs(60);

impl Refresh {
    /// Chooses the token of the next refresh. Returns false if the provider has just refused it.
    pub(super) fn choose(&mut self, ctx: &Context, selector: TokenSelector) -> bool {
        if selector.is_some_and(|target| self.refusal(ctx, target).is_some()) {
            return false;
        }
        if !self.is_in_flight() {
            // Only a refresh for the session's own token can end a suspicion.
            self.target = selector.filter(|_| !ctx.is_suspected);
        }
        true
    }

    /// Returns an error if the session cannot have a token for this target.
    pub(super) fn check_target(
        &self,
        session: &Session,
        selector: TokenSelector,
    ) -> Result<(), Error> {
        if selector.is_some() && session.refresh_token().is_none() {
            let message = msg!(
                "this API has access tokens of its own, which need a refresh token, and the provider issued none"
            );
            return Err(Error::new(Code::Unsupported, message));
        }
        Ok(())
    }

    /// Returns the error with which the provider refused a token for this target, if that was a short time ago.
    pub(super) fn refusal(&mut self, ctx: &Context, target: usize) -> Option<Error> {
        let refused = &mut self.refused_targets;
        refused.retain(|(_, _, at)| at.elapsed(&ctx.now) < REFUSED);
        let known = refused.iter().find(|(of, ..)| *of == target);
        known.map(|(_, error, _)| error.clone())
    }

    /// Checks if the provider refused only the token for a target. The session goes on then. An end of the session, or a
    /// failure that may pass, concerns the session.
    pub(super) fn check_refusal_of_target(
        &mut self,
        ctx: &mut Context,
        result: RefreshOutcome,
    ) -> Result<RefreshOutcome, RefreshStep> {
        let Some(target) = self.target else {
            return Ok(result);
        };
        let mut is_unexplained = false;
        let (code, because) = match result {
            RefreshOutcome::InteractionRequired(because) => (Code::InteractionRequired, because),
            RefreshOutcome::Misconfigured(because) => (Code::ClientRejected, because),
            // The refusal may concern the session as well. A refresh for the session's own token will show that.
            RefreshOutcome::Unexplained(because) => {
                is_unexplained = true;
                (Code::ClientRejected, because)
            }
            result => return Ok(result),
        };
        ctx.trace("refresh_failed", Some(&because));
        let message = [
            msg!("for the token of this API the token endpoint answered "),
            &because,
        ];
        let error = Error::of(code, &message);
        let refused = (target, error.clone(), ctx.now);
        self.refused_targets.push(refused);
        // A successor may be lost. The provider may still forgive that now, for a token that it does not refuse.
        let may_have_lost_successor = self.schedule.has_failed();
        self.schedule.reopen();
        Err(RefreshStep::TargetRefused {
            target,
            error,
            is_open: may_have_lost_successor || is_unexplained,
        })
    }
}
