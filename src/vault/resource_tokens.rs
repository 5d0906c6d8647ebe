//! Access tokens of rules that have their own (RFC 8707): fetched by a refresh when a call first needs one, and again
//! before they expire. There is one refresh at a time, whichever token it is for: each of them consumes the session's
//! one refresh token and brings the next.
//!
//! If the provider refuses such a token, with `invalid_target` for instance, the calls that need it fail, and it is not
//! requested again for a minute. The session continues.

use crate::Secret;
use crate::base::clock::{Instant, Millis};
use crate::base::error::{Code, Error, Result};
use crate::base::http::HttpRequest;
use crate::config::Config;
use crate::egress::policy::TokenSelector;
use crate::oauth::id_token::IdToken;
use crate::oauth::refresh_policy::RefreshOutcome;
use crate::oauth::token_endpoint::{self, TokenSet};
use crate::prelude::*;
use crate::session::{self, Session};
use crate::vault::context::Context;

/// Time for which a token that was refused is not requested again.
const REFUSED: Millis = Millis::from_secs(60);

/// The token that a refresh is for, and the tokens that the provider refused.
#[derive(Default)]
pub(super) struct ResourceTokens {
    /// The token that the refresh in flight, or the next attempt, is for.
    pub(super) selected: TokenSelector,
    /// Targets for which the provider refused a token, with the error and the time.
    refused: Vec<(usize, Error, Instant)>,
}

/// The provider's refusal of the token of one target.
pub(super) struct TargetRefusal {
    pub(super) selector: TokenSelector,
    pub(super) error: Error,
    /// True if the refusal may also concern the session. A refresh for the session's own token will show that.
    pub(super) may_concern_session: bool,
}

impl ResourceTokens {
    /// Chooses the token of the next refresh. Returns false if the provider has just refused that token.
    pub(super) fn choose(
        &mut self,
        ctx: &Context,
        selector: TokenSelector,
        is_in_flight: bool,
    ) -> bool {
        if self.refusal(ctx, selector).is_some() {
            return false;
        }
        if !is_in_flight {
            // Only a refresh for the session's own token can end a suspicion.
            self.selected = selector.filter(|_| !ctx.is_suspected);
        }
        true
    }

    /// Returns an error if the session cannot have this token.
    pub(super) fn check_target(session: &Session, selector: TokenSelector) -> Result<()> {
        if selector.is_some() && session.refresh_token().is_none() {
            let message = msg!(
                "this API has access tokens of its own, which need a refresh token, and the provider issued none"
            );
            return Err(Error::new(Code::Unsupported, message));
        }
        Ok(())
    }

    /// Returns the error with which the provider refused this token, if that was a short time ago.
    pub(super) fn refusal(&mut self, ctx: &Context, selector: TokenSelector) -> Option<Error> {
        let target = selector?;
        let refused = &mut self.refused;
        refused.retain(|(_, _, at)| at.elapsed(&ctx.now) < REFUSED);
        let known = refused.iter().find(|(of, ..)| *of == target);
        known.map(|(_, error, _)| error.clone())
    }

    /// Builds the request for the selected token.
    pub(super) fn request(
        &self,
        config: &Config,
        endpoint: &str,
        refresh_token: &Secret,
    ) -> HttpRequest {
        let client_id = &config.client_id;
        match self.selected {
            Some(i) => {
                let target = &config.rules.targets()[i];
                token_endpoint::target_request(endpoint, client_id, refresh_token, target)
            }
            None => token_endpoint::refresh_request(endpoint, client_id, refresh_token),
        }
    }

    /// Stores the selected token in the session.
    pub(super) fn renew(
        &self,
        session: &mut Session,
        tokens: Box<TokenSet>,
        id_token: Option<IdToken>,
        requested: Instant,
    ) {
        match self.selected {
            Some(target) => session.renew_other(target, &tokens, id_token, requested),
            None => session.renew(tokens, id_token, requested),
        }
    }

    /// Serializes the session as [`Self::renew`] would change it.
    pub(super) fn serialize_renewed(
        &self,
        session: &Session,
        tokens: &TokenSet,
        id_token: Option<&IdToken>,
        requested: &Instant,
        config: &Config,
        now: &Instant,
    ) -> Secret {
        if self.selected.is_some() {
            return session::kept_renewed_other(session, tokens, id_token, config, now);
        }
        session::kept_renewed(session, tokens, id_token, requested, config, now)
    }

    /// Checks if the provider refused only the token of a target. In that case the session continues. An end of the
    /// session, or a failure that may pass, concerns the session.
    pub(super) fn check_refusal(
        &mut self,
        ctx: &mut Context,
        result: RefreshOutcome,
    ) -> core::result::Result<RefreshOutcome, TargetRefusal> {
        let Some(target) = self.selected else {
            return Ok(result);
        };
        let mut may_concern_session = false;
        let (code, because) = match result {
            RefreshOutcome::InteractionRequired(because) => (Code::InteractionRequired, because),
            RefreshOutcome::Misconfigured(because) => (Code::ClientRejected, because),
            RefreshOutcome::Unexplained(because) => {
                may_concern_session = true;
                (Code::ClientRejected, because)
            }
            result => return Ok(result),
        };
        ctx.trace("refresh_failed", Some(&because));
        let message = [
            msg!("for the token of this API the token endpoint responded with "),
            &because,
        ];
        let error = Error::of(code, &message);
        self.refused.push((target, error.clone(), ctx.now));
        Err(TargetRefusal {
            selector: Some(target),
            error,
            may_concern_session,
        })
    }
}
