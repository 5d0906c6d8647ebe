//! A session on the server: its tokens, its times, and the number of its generation.
//!
//! Every refresh makes a new generation. The cookie says of which one it is, and [`record`] which one
//! counts.

pub(super) mod cache;
pub(super) mod cookies;
pub(super) mod keys;
pub mod record;
pub(super) mod seal;

use crate::prelude::*;
use alloc::rc::Rc;
use core::fmt;

use crate::Secret;
use crate::base::clock::{Instant, Millis, UnixMillis};
use crate::base::strings;
use crate::codec::json;
use crate::config::Limits;
use crate::oauth::id_token::IdToken;
use crate::oauth::refresh_policy;
use crate::oauth::token_endpoint::TokenSet;
use crate::session::EndReason;

/// Bytes of a session's number.
pub const SID: usize = 16;

const VERSION: &str = "1";

/// The tokens and times of a signed-in user.
#[derive(Clone)]
pub struct Session {
    /// Its number, in base64url.
    pub sid: String,
    /// How often it was refreshed.
    pub generation: u64,
    /// When the user signed in.
    pub began: UnixMillis,
    /// When the user last did something, as far as was written down.
    pub active: UnixMillis,
    /// When the tokens were asked for: they are no younger.
    pub requested: UnixMillis,
    /// How long the access token lives from then on.
    pub lifetime: Millis,
    /// The access token.
    pub access_token: Secret,
    /// The refresh token, if there is one.
    pub refresh_token: Option<Secret>,
    /// The ID token of the login, which was verified.
    pub id_token: Secret,
    /// The granted scopes.
    pub scope: String,
    /// The private key, a JWK, that its tokens are bound to (RFC 9449), if they are.
    pub key: Option<Secret>,
}

impl Session {
    /// A user has signed in, by this ID token.
    #[must_use]
    pub fn begin(
        sid: String,
        id_token: &IdToken,
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
            id_token: id_token.token().clone(),
            scope: tokens.scope.unwrap_or_else(|| scope.to_owned()),
            key: None,
        }
    }

    /// The same, with tokens that are bound to this key.
    #[must_use]
    pub fn bound_to(self, key: Option<Secret>) -> Self {
        Self { key, ..self }
    }

    /// The next generation. A refresh token that did not come anew goes on (RFC 6749 6).
    #[must_use]
    pub fn renewed(&self, tokens: TokenSet, requested: UnixMillis) -> Self {
        Self {
            generation: self.generation.saturating_add(1),
            requested,
            lifetime: tokens.expires_in,
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token.or_else(|| self.refresh_token.clone()),
            scope: tokens.scope.unwrap_or_else(|| self.scope.clone()),
            ..self.clone()
        }
    }

    /// The session with another time at which the user last did something.
    #[must_use]
    pub(super) fn active_since(mut self: Rc<Self>, active: UnixMillis) -> Rc<Self> {
        if self.active != active {
            Rc::make_mut(&mut self).active = active;
        }
        self
    }

    /// A session of which only its number is known.
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
            id_token: Secret::default(),
            scope: String::new(),
            key: None,
        }
    }

    /// What is in the cookie of a session that is in the store: its number, and since when it is.
    #[must_use]
    pub fn reference(&self) -> Secret {
        let mut out = [VERSION, "\n", &self.sid, "\n"].concat();
        json::write_number(&mut out, self.began);
        Secret::new(out)
    }

    /// Reads what [`Session::reference`] wrote.
    #[must_use]
    pub fn reference_from_text(text: &str) -> Option<(&str, UnixMillis)> {
        let mut lines = strings::split(text, b'\n');
        let (version, sid, began) = (lines.next()?, lines.next()?, lines.next()?);
        let is_sound = version == VERSION && lines.next().is_none();
        Some((sid, json::parse_u64(began)?)).filter(|_| is_sound)
    }

    /// The text to seal: a line each, since it is read with every request.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        let mut out = VERSION.to_owned();
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
        line(self.id_token.expose());
        line(&self.scope);
        line(self.key.as_ref().map_or("", Secret::expose));
        Secret::new(out)
    }

    /// Reads what [`Session::to_text`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = strings::split(text, b'\n');
        if lines.next()? != VERSION {
            return None;
        }
        let sid = lines.next()?.to_owned();
        let mut number = || json::parse_u64(lines.next()?);
        let (generation, began, active, requested, lifetime) =
            (number()?, number()?, number()?, number()?, number()?);
        let access_token = Secret::from(lines.next()?);
        let (refresh_token, id_token, scope, key) =
            (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
        let optional = |text: &str| (!text.is_empty()).then(|| Secret::from(text));
        let session = Self {
            sid,
            generation,
            began,
            active,
            requested,
            lifetime: Millis(lifetime),
            access_token,
            refresh_token: optional(refresh_token),
            id_token: id_token.into(),
            scope: scope.to_owned(),
            key: optional(key),
        };
        lines.next().is_none().then_some(session)
    }

    /// The limit that has ended it, if one has.
    #[must_use]
    pub fn limit_reached(&self, limits: &Limits, now: &Instant) -> Option<EndReason> {
        if since(self.began, now) >= limits.absolute {
            Some(EndReason::Absolute)
        } else if since(self.active, now) >= limits.idle {
            Some(EndReason::Idle)
        } else {
            None
        }
    }

    /// Whether the access token can still be sent.
    #[must_use]
    pub fn is_valid(&self, now: &Instant) -> bool {
        since(self.requested, now) < self.lifetime
    }

    /// Whether it is time for another one.
    #[must_use]
    pub fn is_stale(&self, now: &Instant) -> bool {
        since(self.requested, now) + refresh_policy::leeway(self.lifetime) >= self.lifetime
    }

    /// Whether the user's activity is to be written down anew: after a tenth of the idle limit, at most a minute.
    #[must_use]
    pub fn is_activity_due(&self, limits: &Limits, now: &Instant) -> bool {
        since(self.active, now) >= Millis(limits.idle.0 / 10).min(Millis::from_secs(60))
    }

    /// For how long there is anything to remember of it.
    #[must_use]
    pub fn left(&self, limits: &Limits, now: &Instant) -> Millis {
        limits.absolute.saturating_sub(since(self.began, now))
    }

    /// Its ID token, which was verified before it was sealed.
    #[must_use]
    pub fn id_token(&self) -> Option<IdToken> {
        IdToken::restored(self.id_token.expose())
    }
}

/// By the wall clock, which is all that isolates have in common.
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
