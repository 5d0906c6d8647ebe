//! Separate access tokens for single APIs (RFC 8707). An entry of `apis` in the configuration can name a resource, an
//! audience or scopes, which together are the *target* of such a token. A refresh fetches the token when a call first
//! needs it, and again before it expires. At most one refresh is in flight, for any of the tokens, because each refresh
//! consumes the session's only refresh token and returns the next one.
//!
//! If the provider refuses to issue such a token, for instance with `invalid_target`, the calls that need the token
//! fail. The vault does not request this token again for a minute. The session continues.

use crate::config::Config;
use crate::context::Context;
use rules::Secret;
use rules::base::clock::{Instant, Millis};
use rules::base::error::{Code, Error, Result};
use rules::base::http::HttpRequest;
use rules::egress::policy::TokenSelector;
use rules::oauth::identity::Identity;
use rules::oauth::refresh_policy::RefreshOutcome;
use rules::oauth::token_endpoint::{self, TokenSet};
use rules::prelude::*;
use rules::session::Session;

/// The time for which a refused token is not requested again.
const REFUSED: Millis = Millis::from_secs(60);

/// The time for which a token is not requested again after a response that was probably a gateway's page.
const REFUSED_BY_GATEWAY: Millis = Millis::from_secs(5);

/// The choice of the token that the next refresh requests, and the tokens that the provider refused to issue.
#[derive(Default)]
pub(super) struct ResourceTokens {
    /// The token that the refresh in flight, or the next attempt, requests.
    pub(super) selected: TokenSelector,
    /// The targets for which the provider refused to issue a token, with the error, the time of the refusal, and the time
    /// for which the token is not requested again.
    refused: Vec<(usize, Error, Instant, Millis)>,
}

/// The provider's refusal to issue the token for one target.
pub(super) struct TargetRefusal {
    pub(super) target: usize,
    pub(super) error: Error,
    /// True if the reason for the refusal may be that the provider no longer accepts the refresh token. In that case, a
    /// refresh for the session's own access token follows, and its result shows if the session can continue.
    pub(super) may_concern_session: bool,
}

impl ResourceTokens {
    /// Chooses the token that the next refresh requests. Returns false if the provider has recently refused to issue
    /// that token.
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
            // While the vault suspects that the grant has ended, the vault requests only the session's own token. Only
            // a refresh for that token can show that the grant is still valid.
            self.selected = selector.filter(|_| !ctx.is_suspected);
        }
        true
    }

    /// Returns an error if the selected access token has a target, but the session has no refresh token to request it.
    pub(super) fn check_target(session: &Session, selector: TokenSelector) -> Result<()> {
        if selector.is_some() && session.refresh_token().is_none() {
            let message = msg!(
                "this API has access tokens of its own, which need a refresh token, and the provider issued none"
            );
            return Err(Error::new(Code::Unsupported, message));
        }
        Ok(())
    }

    /// Returns the error of the provider's refusal to issue this token, if it is too early to request the token again.
    pub(super) fn refusal(&mut self, ctx: &Context, selector: TokenSelector) -> Option<Error> {
        let target = selector?;
        self.refused
            .retain(|(_, _, at, wait)| at.elapsed(&ctx.now) < *wait);
        let known = self.refused.iter().find(|(of, ..)| *of == target);
        known.map(|(_, error, ..)| error.clone())
    }

    /// Builds the refresh request for the selected token.
    pub(super) fn request(
        &self,
        config: &Config,
        endpoint: &str,
        refresh_token: &Secret,
    ) -> HttpRequest {
        let flow = &config.flow;
        let target = match self.selected {
            Some(i) => &config.rules.targets()[i],
            None => &flow.target,
        };
        token_endpoint::refresh_request(endpoint, &flow.client_id, refresh_token, target)
    }

    /// Replaces the selected access token and the refresh token in the session.
    pub(super) fn renew(
        &self,
        session: &mut Session,
        tokens: Box<TokenSet>,
        user: Option<Identity>,
        requested: Instant,
    ) {
        match self.selected {
            Some(target) if tokens.has_access_token() => {
                session.renew_other(target, &tokens, user, requested);
            }
            _ => session.renew(tokens, user, requested),
        }
    }

    /// Checks if the provider refused only to issue the token for a target. In that case returns the refusal as an
    /// error, and the session continues. Returns any other result unchanged, such as the end of the grant or a
    /// temporary failure.
    pub(super) fn check_refusal(
        &mut self,
        ctx: &mut Context,
        result: RefreshOutcome,
    ) -> core::result::Result<RefreshOutcome, TargetRefusal> {
        let Some(target) = self.selected else {
            return Ok(result);
        };
        let may_concern_session = matches!(
            result,
            RefreshOutcome::Unexplained(_) | RefreshOutcome::NotOAuth(_)
        );
        let (code, because, wait) = match result {
            RefreshOutcome::InteractionRequired(because) => {
                (Code::InteractionRequired, because, REFUSED)
            }
            RefreshOutcome::Misconfigured(because) | RefreshOutcome::Unexplained(because) => {
                (Code::ClientRejected, because, REFUSED)
            }
            RefreshOutcome::NotOAuth(because) => {
                (Code::ProviderUnavailable, because, REFUSED_BY_GATEWAY)
            }
            result => return Ok(result),
        };
        ctx.trace("refresh_failed", Some(&because));
        let message = [
            msg!("for the token of this API the token endpoint responded with "),
            &because,
        ];
        let error = Error::of(code, &message);
        self.refused.push((target, error.clone(), ctx.now, wait));
        Err(TargetRefusal {
            target,
            error,
            may_concern_session,
        })
    }
}
