//! A session on the server: its tokens, its times and its generation.
//!
//! Every refresh creates a new generation. The [`record`] contains the generation that is current now. If the session
//! is sealed in its cookie, the cookie contains the generation that was current when the cookie was written. If the
//! session is in the store, the cookie contains only the session's ID and start.

pub mod binding;
pub(super) mod bound_cookie;
pub(super) mod cookies;
pub(super) mod key;
pub mod record;

use alloc::rc::Rc;
use core::fmt;
use rules::prelude::*;

use crate::lines::{LineReader, LineWriter};
use crate::session::binding::Binding;
use rules::Secret;
use rules::base::clock::{Instant, Millis, UnixMillis};
use rules::config::Limits;
use rules::oauth::identity::Identity;
use rules::oauth::refresh_policy;
use rules::oauth::token_endpoint::{TokenSet, UNLIMITED};
use rules::session::{EndReason, idle_notice};

/// Length of a session ID in bytes.
pub const SID: usize = 16;

/// The version of a session's text.
const VERSION: &str = "1";

/// The version of the text that refers to a session in the store.
const REFERENCE_VERSION: &str = "1";

/// A browser keeps the session's cookie, and the coordinator its record, for a day after the absolute limit. Otherwise,
/// they would be gone at this limit: the page would not learn the reason, a guard would sign the user in without a click,
/// and the refresh token of a stored session could not be revoked.
pub(super) const KEPT: Millis = Millis::from_secs(24 * 3600);

/// The tokens and times of a signed-in user.
#[derive(Clone)]
pub struct Session {
    /// The session ID, which never changes: `<random>[.<user>[.<provider session>]]`. The random part is base64url. The others
    /// are the identifiers of the orders that were the latest ones at the login: see `store/order.rs`.
    pub sid: String,
    /// The number of refreshes since the login.
    pub generation: u64,
    /// The time of the login.
    pub began: UnixMillis,
    /// The time of the user's last recorded activity.
    pub active: UnixMillis,
    /// The time at which the tokens were requested. The tokens are not older than this time.
    pub requested: UnixMillis,
    /// The lifetime of the access token, from `requested`.
    pub lifetime: Millis,
    /// The access token.
    pub access_token: Secret,
    /// The refresh token, if there is one.
    pub refresh_token: Option<Secret>,
    /// The verified ID token of the login. Without OpenID Connect, the user's claims: see [`Identity::text`].
    pub identity: Secret,
    /// The verified ID token of the latest refresh that had one, for the logout at the provider. A long one is not kept.
    pub latest: Option<Secret>,
    /// The granted scopes.
    pub scope: String,
    /// The host name of the login, without the port; empty if `origin` is configured, or if the host name is unknown.
    pub host: String,
    /// The time at which the provider wants the session to end, if it has stated one.
    pub ends: Option<UnixMillis>,
    /// The time at which the refresh token expires, if the provider has stated it, and no end of the session.
    pub refresh_ends: Option<UnixMillis>,
    /// The private key (a JWK) to which the tokens are bound (RFC 9449).
    pub dpop_key: Option<Secret>,
    /// The key of the browser to which the session is bound.
    pub bound: Option<Binding>,
}

/// The longest ID token, in bytes, that fits into the cookie of a logout.
const LONGEST_HINT: usize = 2900;

impl Session {
    /// Creates the session of a login.
    #[must_use]
    pub fn begin(
        sid: String,
        user: &Identity,
        tokens: TokenSet,
        requested: UnixMillis,
        scope: &str,
    ) -> Self {
        Self {
            sid,
            generation: 0,
            began: requested,
            active: requested,
            requested,
            lifetime: tokens.expires_in,
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            identity: user.text().clone(),
            latest: None,
            scope: tokens.scope.unwrap_or_else(|| scope.to_owned()),
            host: String::new(),
            ends: None,
            refresh_ends: refresh_end(tokens.refresh_expires_in, requested),
            dpop_key: None,
            bound: None,
        }
        .ending_with(user, requested)
    }

    /// Binds the session to a DPoP key.
    #[must_use]
    pub fn with_dpop_key(self, key: Option<Secret>) -> Self {
        Self {
            dpop_key: key,
            ..self
        }
    }

    /// Returns the session's next generation, with the new tokens. If the response has no new refresh token, the old
    /// one remains valid (RFC 6749 6). If it has no usable access token, the session keeps the one that it has.
    #[must_use]
    pub fn renewed(&self, tokens: TokenSet, requested: UnixMillis) -> Self {
        let has_access_token = tokens.has_access_token();
        let next = Self {
            generation: self.generation.saturating_add(1),
            refresh_token: tokens.next_refresh_token(self.refresh_token.as_ref()),
            refresh_ends: refresh_end(tokens.refresh_expires_in, requested),
            ..self.clone()
        };
        if !has_access_token {
            return next;
        }
        Self {
            requested,
            lifetime: tokens.expires_in,
            access_token: tokens.access_token,
            scope: tokens.scope.unwrap_or_else(|| self.scope.clone()),
            ..next
        }
    }

    /// Sets the host name of the login.
    #[must_use]
    pub fn at_host(self, host: &str) -> Self {
        let host = host.to_owned();
        Self { host, ..self }
    }

    /// Adds the end that an ID token states, which was requested at `requested`. The earliest end that the provider has
    /// stated in this session counts.
    #[must_use]
    pub fn ending_with(mut self, user: &Identity, requested: UnixMillis) -> Self {
        let lifetime = user.session_lifetime();
        if lifetime != Millis::MAX {
            let stated = requested.saturating_add(lifetime.0);
            self.ends = Some(self.ends.map_or(stated, |ends| ends.min(stated)));
            self.refresh_ends = None;
        }
        self
    }

    /// Remembers the ID token of a refresh as the hint for the logout at the provider. Some providers accept only the
    /// latest one. The login's ID token is kept, too, because refreshes are compared with it (OIDC Core 12.2).
    #[must_use]
    pub fn with_latest(mut self, user: &Identity) -> Self {
        let latest = user
            .id_token()
            .filter(|token| token.expose().len() <= LONGEST_HINT);
        self.latest = latest.cloned();
        self
    }

    /// Returns the ID token for the logout at the provider, if there is one.
    #[must_use]
    pub fn id_token_hint(&self) -> Option<Secret> {
        match &self.latest {
            Some(latest) => Some(latest.clone()),
            None => self.user()?.id_token().cloned(),
        }
    }

    /// Returns the session with this time of the user's last activity.
    #[must_use]
    pub(super) fn active_since(mut self: Rc<Self>, active: UnixMillis) -> Rc<Self> {
        if self.active != active {
            Rc::make_mut(&mut self).active = active;
        }
        self
    }

    /// Returns the session with this binding to a key of the browser.
    #[must_use]
    pub(super) fn with_binding(mut self: Rc<Self>, bound: &Binding) -> Rc<Self> {
        if self.bound.as_ref() != Some(bound) {
            Rc::make_mut(&mut self).bound = Some(bound.clone());
        }
        self
    }

    /// Creates a session whose tokens are unknown, from its ID and its start.
    pub(super) fn unknown(sid: &str, began: UnixMillis) -> Self {
        Self {
            sid: sid.to_owned(),
            generation: 0,
            began,
            active: began,
            requested: began,
            lifetime: Millis::ZERO,
            access_token: Secret::default(),
            refresh_token: None,
            identity: Secret::default(),
            latest: None,
            scope: String::new(),
            host: String::new(),
            ends: None,
            refresh_ends: None,
            dpop_key: None,
            bound: None,
        }
    }

    /// Returns the content of the cookie for a session in the store: the session's ID and start.
    #[must_use]
    pub fn reference(&self) -> Secret {
        let mut lines = LineWriter::new(REFERENCE_VERSION);
        Secret::new(lines.text(&self.sid).number(self.began).finish())
    }

    /// Reads the output of [`Session::reference`]: the session's ID and start. Returns `None` for any other input.
    #[must_use]
    pub fn reference_from_text(text: &str) -> Option<(&str, UnixMillis)> {
        let mut lines = LineReader::new(text, REFERENCE_VERSION)?;
        let (sid, began) = (lines.text()?, lines.number()?);
        lines.finish((sid, began))
    }

    /// Returns the text that is sealed for the cookie or the store.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        let bound = self.bound.as_ref().map(Binding::to_text);
        let text = LineWriter::new(VERSION)
            .text(&self.sid)
            .number(self.generation)
            .number(self.began)
            .number(self.active)
            .number(self.requested)
            .number(self.lifetime.0)
            .text(self.access_token.expose())
            .optional_secret(self.refresh_token.as_ref())
            .text(self.identity.expose())
            .optional_secret(self.latest.as_ref())
            .text(&self.scope)
            .text(&self.host)
            .optional_number(self.ends)
            .optional_number(self.refresh_ends)
            .optional_secret(self.dpop_key.as_ref())
            .text(&bound.unwrap_or_default())
            .finish();
        Secret::new(text)
    }

    /// Reads the output of [`Session::to_text`]. Returns `None` for any other input.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = LineReader::new(text, VERSION)?;
        let session = Self {
            sid: lines.text()?.to_owned(),
            generation: lines.number()?,
            began: lines.number()?,
            active: lines.number()?,
            requested: lines.number()?,
            lifetime: Millis(lines.number()?),
            access_token: lines.text()?.into(),
            refresh_token: lines.optional_secret()?,
            identity: lines.text()?.into(),
            latest: lines.optional_secret()?,
            scope: lines.text()?.to_owned(),
            host: lines.text()?.to_owned(),
            ends: lines.optional_number()?,
            refresh_ends: lines.optional_number()?,
            dpop_key: lines.optional_secret()?,
            bound: Binding::from_optional_text(lines.text()?)?,
        };
        lines.finish(session)
    }

    /// Returns the limit that the session has reached, if any.
    #[must_use]
    pub fn limit_reached(&self, limits: &Limits, now: &Instant) -> Option<EndReason> {
        let longest = self.longest(limits);
        if since(self.began, now) >= longest {
            Some(EndReason::at_maximum_time(longest, limits))
        } else if since(self.active, now) >= limits.idle {
            Some(EndReason::Idle)
        } else {
            None
        }
    }

    /// Returns true if APIs accept the access token for long enough that a request arrives.
    #[must_use]
    pub fn is_valid(&self, now: &Instant) -> bool {
        let unused = UNUSED.min(refresh_policy::refresh_margin(self.lifetime));
        since(self.requested, now) + unused < self.lifetime
    }

    /// Returns true if the access token is used until an API refuses it: the server has told no lifetime, and issued no
    /// refresh token.
    #[must_use]
    pub fn lasts_until_refused(&self) -> bool {
        self.refresh_token.is_none() && self.lifetime == UNLIMITED
    }

    /// Returns true if the access token is due for a refresh.
    #[must_use]
    pub fn is_stale(&self, now: &Instant) -> bool {
        since(self.requested, now) + refresh_policy::refresh_margin(self.lifetime) >= self.lifetime
    }

    /// Returns true if the user's activity must be recorded again.
    #[must_use]
    pub fn is_activity_due(&self, limits: &Limits, now: &Instant) -> bool {
        since(self.active, now) >= idle_notice(limits.idle)
    }

    /// Returns the maximum time of the session.
    #[must_use]
    pub fn longest(&self, limits: &Limits) -> Millis {
        let stated = self.ends.map(|ends| ends.saturating_sub(self.began));
        stated.map_or(limits.absolute, |stated| {
            limits.absolute.min(Millis(stated))
        })
    }

    /// Returns the time left until the absolute limit. No copy of the session's cookie is valid after this limit. An end
    /// that the provider has stated counts only for copies that have it.
    #[must_use]
    pub fn left(&self, limits: &Limits, now: &Instant) -> Millis {
        limits.absolute.saturating_sub(since(self.began, now))
    }

    /// Returns the user, who was identified before the session was sealed. Returns `None` if the session's tokens are
    /// unknown.
    #[must_use]
    pub fn user(&self) -> Option<Identity> {
        Identity::from_text(self.identity.expose())
    }
}

/// The time before its expiry in which an access token is not used. A server may round `exp` down to a whole second, and
/// a request takes time to arrive. A token that lasts for less than 20 seconds is used until it is due for a refresh.
const UNUSED: Millis = Millis::from_secs(2);

/// Returns the time at which a refresh token expires that was requested at `requested`.
fn refresh_end(lifetime: Option<Millis>, requested: UnixMillis) -> Option<UnixMillis> {
    lifetime.map(|lifetime| requested.saturating_add(lifetime.0))
}

/// Returns the time since `at` by the wall clock, the only clock that isolates share.
fn since(at: UnixMillis, now: &Instant) -> Millis {
    Millis(now.wall.saturating_sub(at))
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
