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
use crate::prelude::*;
use crate::vault::Vault;
use crate::vault::api_calls::{Call, Stage, Waiters};
use crate::vault::refresh::interaction_required;

/// For so long a token that was refused is not asked for again.
const REFUSED: Millis = Millis::from_secs(60);

impl Vault {
    /// Starts a refresh for the token that a call needs, unless one is under way.
    pub(super) fn start_refresh_of(&mut self, which: TokenSelector) {
        if which.is_none_or(|target| self.refusal(target).is_none()) {
            self.aim_refresh(which);
            self.begin_refresh();
        }
    }

    /// Tries once more what could not be done.
    pub(super) fn retry_refresh(&mut self) {
        self.start_refresh_of(self.renewal.target);
    }

    /// The next refresh is for this.
    pub(super) fn aim_refresh(&mut self, which: TokenSelector) {
        if !self.renewal.is_under_way() {
            // Only a refresh for the session's own token can end a suspicion.
            self.renewal.target = which.filter(|_| !self.ctx.is_suspected);
        }
    }

    /// Whether a call should wait for the token that it needs, for which a refresh is started if need be.
    pub(super) fn await_refresh_of(&mut self, which: TokenSelector) -> Result<(), Error> {
        let Some(target) = which else {
            return self.await_refresh();
        };
        if let Some(refusal) = self.refusal(target) {
            return Err(refusal);
        }
        let Some(session) = &self.ctx.session else {
            return Err(self.ctx.no_session());
        };
        if session.interaction_required() {
            return Err(interaction_required());
        }
        if session.refresh_token().is_none() {
            let message = msg!(
                "this API has access tokens of its own, which need a refresh token, and the provider issued none"
            );
            return Err(Error::new(Code::Unsupported, message));
        }
        self.aim_refresh(which);
        self.await_begun_refresh()
    }

    /// Why the provider refused a token for this target, if that was not long ago.
    fn refusal(&mut self, target: usize) -> Option<Error> {
        let now = self.ctx.now;
        let refused = &mut self.renewal.refused_targets;
        refused.retain(|(_, _, at)| at.elapsed(&now) < REFUSED);
        let known = refused.iter().find(|(of, ..)| *of == target);
        known.map(|(_, error, _)| error.clone())
    }

    /// What the provider says of a token for a target concerns that alone, unless it is that the session is over or
    /// that it may work later. Gives back what concerns the session.
    pub(super) fn refusal_of_target(&mut self, verdict: RefreshOutcome) -> Option<RefreshOutcome> {
        let Some(target) = self.renewal.target else {
            return Some(verdict);
        };
        let mut is_unexplained = false;
        let (code, because) = match verdict {
            RefreshOutcome::InteractionRequired(because) => (Code::InteractionRequired, because),
            RefreshOutcome::Misconfigured(because) => (Code::ClientRejected, because),
            // The refusal may concern the session as well. A refresh for the session's own token will show that.
            RefreshOutcome::Unexplained(because) => {
                is_unexplained = true;
                (Code::ClientRejected, because)
            }
            verdict => return Some(verdict),
        };
        self.ctx.trace("refresh_failed", Some(&because));
        let message = [
            msg!("for the token of this API the token endpoint answered "),
            &because,
        ];
        let error = Error::of(code, &message);
        let refused = (target, error.clone(), self.ctx.now);
        self.renewal.refused_targets.push(refused);
        // Then the refresh token is to be had back now, while the provider forgives, by a token that it does not refuse.
        let may_have_lost_successor = self.renewal.schedule.has_failed();
        self.renewal.schedule.reopen();
        self.give_up_calls_of(target, &error);
        if may_have_lost_successor || is_unexplained {
            self.start_refresh_of(None);
        }
        // What waited for its turn.
        self.resume_calls();
        None
    }

    /// No token of this kind will come for the time being.
    pub(super) fn give_up_calls_for(&mut self, which: TokenSelector, error: &Error) {
        match which {
            Some(target) => self.give_up_calls_of(target, error),
            None => self.give_up_calls(Waiters::All, error),
        }
    }

    fn give_up_calls_of(&mut self, target: usize, error: &Error) {
        let is_its = |call: &Call| {
            call.allowed.token_selector() == Some(target)
                && matches!(call.stage, Stage::Waiting | Stage::Held { .. })
        };
        let its: Vec<_> = self
            .calls
            .iter()
            .filter(|c| is_its(c))
            .map(|c| c.call)
            .collect();
        self.give_up(&its, Waiters::All, error);
    }
}
