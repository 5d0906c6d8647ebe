//! Stub for separate access tokens for single APIs, for a build without the Cargo feature `extended`. In such a build,
//! all calls use the session's own access token.

use crate::Secret;
use crate::base::clock::Instant;
use crate::base::error::{Error, Result};
use crate::base::http::HttpRequest;
use crate::config::Config;
use crate::egress::policy::TokenSelector;
use crate::oauth::id_token::IdToken;
use crate::oauth::refresh_policy::RefreshOutcome;
use crate::oauth::token_endpoint::{self, TokenSet};
use crate::prelude::*;
use crate::session::{self, Session};
use crate::vault::context::Context;

#[derive(Default)]
pub(super) struct ResourceTokens {
    pub(super) selected: TokenSelector,
}

pub(super) struct TargetRefusal {
    pub(super) selector: TokenSelector,
    pub(super) error: Error,
    pub(super) may_concern_session: bool,
    /// Ensures that no value of this type exists.
    _never: core::convert::Infallible,
}

impl ResourceTokens {
    pub(super) const fn choose(&self, _: &Context, _: TokenSelector, _: bool) -> bool {
        true
    }

    pub(super) const fn check_target(_: &Session, _: TokenSelector) -> Result<()> {
        Ok(())
    }

    pub(super) const fn refusal(&self, _: &Context, _: TokenSelector) -> Option<Error> {
        None
    }

    pub(super) fn request(
        &self,
        config: &Config,
        endpoint: &str,
        refresh_token: &Secret,
    ) -> HttpRequest {
        token_endpoint::refresh_request(endpoint, &config.client_id, refresh_token)
    }

    pub(super) fn renew(
        &self,
        session: &mut Session,
        tokens: Box<TokenSet>,
        id_token: Option<IdToken>,
        requested: Instant,
    ) {
        session.renew(tokens, id_token, requested);
    }

    pub(super) fn serialize_renewed(
        &self,
        session: &Session,
        tokens: &TokenSet,
        id_token: Option<&IdToken>,
        requested: &Instant,
        config: &Config,
        now: &Instant,
    ) -> Secret {
        session::kept_renewed(session, tokens, id_token, requested, config, now)
    }

    pub(super) const fn check_refusal(
        &self,
        _: &Context,
        result: RefreshOutcome,
    ) -> core::result::Result<RefreshOutcome, TargetRefusal> {
        Ok(result)
    }
}
