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

use crate::session::binding::Binding;
use rules::Secret;
use rules::base::clock::{Instant, Millis, UnixMillis};
use rules::base::strings;
use rules::codec::json;
use rules::config::Limits;
use rules::oauth::identity::Identity;
use rules::oauth::refresh_policy;
use rules::oauth::token_endpoint::{TokenSet, UNLIMITED};
use rules::session::{EndReason, idle_notice};

/// Length of a session ID in bytes.
pub const SID: usize = 16;

const VERSION: &str = "1";

/// The version of a bound session. Handlers of earlier versions would drop the binding when they seal the session again,
/// so they must not be able to read it.
const BOUND_VERSION: &str = "2";

/// A browser keeps the session's cookie, and the coordinator its record, for a day after the absolute limit. Otherwise,
/// they would be gone at this limit: the page would not learn the reason, a guard would sign the user in without a click,
/// and the refresh token of a stored session could not be revoked.
pub(super) const KEPT: Millis = Millis::from_secs(24 * 3600);

/// The tokens and times of a signed-in user.
#[derive(Clone)]
pub struct Session {
    /// The session ID: random, in base64url. After a dot, it may have an identifier for each order to end sessions that was
    /// the latest one at the login.
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
        let old = self.refresh_token.as_ref();
        let old = old.filter(|_| !tokens.loses_refresh_token);
        let next = Self {
            generation: self.generation.saturating_add(1),
            refresh_token: tokens.refresh_token.or_else(|| old.cloned()),
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
        // Handlers of earlier versions, which may run during a deployment, would not find the stated end before it.
        self.latest = latest.filter(|_| self.ends.is_none()).cloned();
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
        let mut out = [VERSION, "\n", &self.sid, "\n"].concat();
        json::write_number(&mut out, self.began);
        Secret::new(out)
    }

    /// Reads the output of [`Session::reference`]: the session's ID and start. Returns `None` for any other input.
    #[must_use]
    pub fn reference_from_text(text: &str) -> Option<(&str, UnixMillis)> {
        let mut lines = strings::split(text, b'\n');
        let (version, sid, began) = (lines.next()?, lines.next()?, lines.next()?);
        let is_sound = version == VERSION && lines.next().is_none();
        Some((sid, json::parse_u64(began)?)).filter(|_| is_sound)
    }

    /// Returns the string that is sealed for the cookie or the store. The string has one line per field, which is fast
    /// to parse for every request.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        let version = match self.bound {
            None => VERSION,
            Some(_) => BOUND_VERSION,
        };
        let mut out = version.to_owned();
        let mut line = |text: &str| {
            out.push('\n');
            out.push_str(text);
        };
        line(&self.sid);
        for number in [
            self.generation,
            self.began,
            self.active,
            self.requested,
            self.lifetime.0,
        ] {
            let mut digits = String::new();
            json::write_number(&mut digits, number);
            line(&digits);
        }
        line(self.access_token.expose());
        line(self.refresh_token.as_ref().map_or("", Secret::expose));
        line(self.identity.expose());
        line(&self.scope_line());
        line(self.dpop_key.as_ref().map_or("", Secret::expose));
        if let Some(bound) = &self.bound {
            line(&bound.to_text());
        }
        Secret::new(out)
    }

    /// Returns the scopes, the host name, the stated end and the latest ID token, with a tab before each of the last three.
    /// If only the end of the refresh token is stated, it takes the place of the session's, behind an `r`, and handlers of
    /// earlier versions ignore it.
    /// No scope contains a tab (RFC 6749 3.3). Handlers of earlier versions accept no further line, and read the host name
    /// as a scope.
    fn scope_line(&self) -> String {
        let mut line = self.scope.clone();
        let has_more = self.ends.is_some() || self.refresh_ends.is_some() || self.latest.is_some();
        if !self.host.is_empty() || has_more {
            line.push_str(" \t");
            line.push_str(&self.host);
        }
        if has_more {
            line.push('\t');
        }
        if let Some(ends) = self.ends {
            json::write_number(&mut line, ends);
        } else if let Some(ends) = self.refresh_ends {
            line.push('r');
            json::write_number(&mut line, ends);
        }
        if let Some(latest) = &self.latest {
            line.push('\t');
            line.push_str(latest.expose());
        }
        line
    }

    /// Reads the output of [`Session::to_text`]. Returns `None` for any other input.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = strings::split(text, b'\n');
        let is_bound = match lines.next()? {
            VERSION => false,
            BOUND_VERSION => true,
            _ => return None,
        };
        let sid = lines.next()?.to_owned();
        let mut number = || json::parse_u64(lines.next()?);
        let (generation, began, active, requested, lifetime) =
            (number()?, number()?, number()?, number()?, number()?);
        let access_token = Secret::from(lines.next()?);
        let (refresh_token, identity, scope, key) =
            (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
        let (scope, more) = strings::split_once(scope, b'\t');
        let (host, more) = strings::split_once(more.unwrap_or_default(), b'\t');
        let (ends, latest) = strings::split_once(more.unwrap_or_default(), b'\t');
        let optional = |text: &str| (!text.is_empty()).then(|| Secret::from(text));
        let bound = match is_bound {
            false => None,
            true => Some(Binding::from_text(lines.next()?)?),
        };
        let session = Self {
            sid,
            generation,
            began,
            active,
            requested,
            lifetime: Millis(lifetime),
            access_token,
            refresh_token: optional(refresh_token),
            identity: identity.into(),
            latest: latest.and_then(optional),
            scope: scope.trim_ascii_end().to_owned(),
            host: host.to_owned(),
            ends: json::parse_u64(ends),
            refresh_ends: ends.strip_prefix('r').and_then(json::parse_u64),
            dpop_key: optional(key),
            bound,
        };
        lines.next().is_none().then_some(session)
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
