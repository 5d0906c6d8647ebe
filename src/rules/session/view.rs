//! The part of a session that a page may see, in a vault and over a token handler.

use super::{Session, after, named};
use crate::base::clock::UnixMillis;
use crate::base::error::{Code, Error};
use crate::codec::json::{self, Writer};
use crate::config::Flow;
use crate::oauth::id_token::Rejected;
use crate::oauth::identity::{Identity, newest_claim};
use crate::oauth::scope::scope_tokens;
use crate::oauth::token_endpoint::TokenSet;
use crate::prelude::*;

/// The JSON of an object with the claims that a page may see.
pub(super) type VisibleClaims = String;

/// The JSON of an array of scopes.
pub(super) type Scopes = String;

/// The page's view of a session. Times are in milliseconds since the Unix epoch.
///
/// The build writes the type `Session` of the package from these members.
#[derive(Debug)]
pub struct SessionView<'a> {
    /// Claims of the validated ID token. Without OpenID Connect, the members of the token response that `identity` names.
    pub claims: VisibleClaims,
    /// The scopes that were granted (RFC 6749 3.3, 5.1).
    pub scopes: Scopes,
    /// `interaction_required`: the provider issues no access token until the user signs in there again.
    pub state: SessionState,
    /// With `interaction_required` and `reasons: true`: the provider's error code.
    pub needs: Option<&'a str>,
    /// With `persist`: `false` while the session cannot be stored, because the storage is full or denied, or because no
    /// service worker takes the key in escrow. The session continues, and ends with its worker.
    pub kept: Option<bool>,
    /// The time at which the user signed in here.
    pub started_at: UnixMillis,
    /// The time at which the absolute limit ends the session. Or the time at which the access token expires without a refresh
    /// token, or at which both expire if the provider states the refresh token's lifetime, if that is earlier.
    pub expires_at: UnixMillis,
    /// The time at which the idle limit ends the session unless the user is active.
    pub idle_expires_at: UnixMillis,
    /// The time at which the access token expires, or `expiresAt` if the server has told no time. The page need not
    /// refresh the token.
    pub access_token_expires_at: UnixMillis,
}

/// The state of a session, as pages see it.
#[derive(Clone, Copy, Debug)]
pub enum SessionState {
    /// Requests can be sent, after a refresh if necessary.
    Active,
    /// The provider issues no access token until the user signs in there again.
    InteractionRequired,
}

impl SessionView<'_> {
    /// Returns the JSON of the view.
    #[must_use]
    pub fn to_json(&self) -> String {
        let state = match self.state {
            SessionState::Active => "active",
            SessionState::InteractionRequired => "interaction_required",
        };
        let mut view = Writer::object();
        if let Some(is_kept) = self.kept {
            view.flag("kept", is_kept);
        }
        if let Some(needs) = self.needs {
            view.text("needs", needs);
        }
        let access_token_expires_at = match self.access_token_expires_at {
            UnixMillis::MAX => self.expires_at,
            expires_at => expires_at,
        };
        let idle_expires_at = self.idle_expires_at.min(self.expires_at);
        view.json("claims", &self.claims)
            .json("scopes", &self.scopes)
            .text("state", state)
            .number("startedAt", self.started_at)
            .number("expiresAt", self.expires_at)
            .number("idleExpiresAt", idle_expires_at)
            .number("accessTokenExpiresAt", access_token_expires_at)
            .finish()
    }
}

/// Returns the view of a vault's session. `is_kept` is `None` if the configuration does not store sessions, and
/// otherwise true if the store accepts this session. `is_suspected` is true if the provider seems to have ended the
/// session silently.
#[must_use]
pub fn view<'a>(
    session: &'a Session,
    flow: &Flow,
    is_kept: Option<bool>,
    is_suspected: bool,
) -> SessionView<'a> {
    let (_, access_token_expires_at) = session.access_token_times();
    let limit = after(
        session.times.started.wall,
        session.times.maximum(&flow.limits),
    );
    SessionView {
        claims: visible_claims(&flow.claims, session.latest.as_ref(), &session.original),
        scopes: scopes(session.tokens.scope.as_deref().unwrap_or_default()),
        state: if session.interaction_required || is_suspected {
            SessionState::InteractionRequired
        } else {
            SessionState::Active
        },
        needs: session.interaction_code.as_deref(),
        kept: is_kept,
        started_at: session.times.started.wall,
        expires_at: match session.tokens.refresh_token {
            None => limit.min(access_token_expires_at),
            _ => session
                .refresh_end()
                .map_or(limit, |end| limit.min(after(session.requested.wall, end))),
        },
        idle_expires_at: after(session.times.last_activity.wall, flow.limits.idle),
        access_token_expires_at,
    }
}

/// Returns `sub` and the claims with these names. `latest` is the ID token of the last refresh, if it brought one.
pub fn visible_claims(
    names: &[String],
    latest: Option<&Identity>,
    original: &Identity,
) -> VisibleClaims {
    let mut visible = Writer::object();
    let sub = original.subject();
    if !sub.is_empty() {
        visible.text("sub", sub);
    }
    let claims = latest.unwrap_or(original).claims();
    for name in names {
        if let Some(value) = newest_claim(claims, original.claims(), name) {
            visible.value(name, value);
        }
    }
    visible.finish()
}

/// Returns the user by a verified ID token, unless a claim that pages would see contains a token of its response.
///
/// # Errors
/// [`Rejected::Invalid`] if one does.
pub(super) fn without_tokens(
    user: Identity,
    names: &[String],
    tokens: &TokenSet,
) -> core::result::Result<Identity, Rejected> {
    let claims = visible_claims(names, None, &user);
    let tokens = [Some(&tokens.access_token), tokens.refresh_token.as_ref()];
    if named::contains_token(&claims, &tokens) {
        let why = msg!(
            "a claim of the ID token that pages would see contains a token of the same response (is it a claim that the option `claims` needs?)"
        );
        return Err(Error::new(Code::IdTokenInvalid, why).into());
    }
    Ok(user)
}

/// Returns the scopes of a string in which spaces separate them.
pub fn scopes(granted: &str) -> Scopes {
    json::string_array(scope_tokens(granted))
}
