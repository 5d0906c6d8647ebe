//! A session: what the vault holds of a signed-in user, and the part of it that a page may see.
//!
//! A [`Session`] can only be made from an [`IdToken`], that is from a validated one. It counts its
//! own age by both clocks and says when a limit has ended it; timers merely wake whoever asks.

mod kept;

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::{Instant, Millis, UnixMillis};
use crate::codec::json::{self, Writer};
use crate::config::{Config, Limits};
use crate::egress::policy::TokenSelector;
#[cfg(feature = "extended")]
use crate::oauth::dpop::PublicKey;
use crate::oauth::id_token::IdToken;
use crate::oauth::refresh_policy;
use crate::oauth::scope::scope_tokens;
use crate::oauth::token_endpoint::TokenSet;

pub use kept::{Kept, ended, restore};

/// Pages report the user's activity every fifteen seconds (`pkg/src/page/activity.ts`), and messages take some time.
const REPORTED: Millis = Millis::from_secs(16);

/// Tokens that live shorter are renewed when a call needs one: to renew them ahead would be a refresh every few seconds.
const SHORTEST_RENEWED_AHEAD: Millis = Millis::from_secs(30);

/// Why a session ended. The names are those of `EndReason` in `pkg/src/protocol/messages.ts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// A page called `logout()`.
    LoggedOut,
    /// The provider refused the refresh token.
    ProviderEnded,
    /// The access token expired and there is no refresh token.
    Expired,
    /// The idle limit was reached.
    Idle,
    /// The absolute limit was reached.
    Absolute,
    /// The provider answered for another user or issuer.
    Security,
    /// What was kept of it is gone or cannot be read.
    StorageLost,
    /// Its user has signed in anew in the same browser. The new session may be of the same grant, so nothing is revoked.
    #[cfg(feature = "edge")]
    Replaced,
    /// The provider refused the refresh token, and let on that it had expired.
    #[cfg(feature = "extended")]
    RefreshExpired,
    /// The same, that it was revoked.
    #[cfg(feature = "extended")]
    Revoked,
    /// The same, that one that was consumed had come again.
    #[cfg(feature = "extended")]
    ReuseDetected,
    /// The same, that the user had withdrawn their consent.
    #[cfg(feature = "extended")]
    ConsentWithdrawn,
    /// The same, that it wants a second factor by now.
    #[cfg(feature = "extended")]
    MfaRequired,
}

impl EndReason {
    /// The reason as pages see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged_out",
            Self::ProviderEnded => "provider_ended",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::Absolute => "absolute",
            Self::Security => "security",
            Self::StorageLost => "storage_lost",
            #[cfg(feature = "edge")]
            Self::Replaced => "replaced",
            #[cfg(feature = "extended")]
            Self::RefreshExpired => "refresh_expired",
            #[cfg(feature = "extended")]
            Self::Revoked => "revoked",
            #[cfg(feature = "extended")]
            Self::ReuseDetected => "reuse_detected",
            #[cfg(feature = "extended")]
            Self::ConsentWithdrawn => "consent_withdrawn",
            #[cfg(feature = "extended")]
            Self::MfaRequired => "mfa_required",
        }
    }

    /// The reason that is [called](Self::as_str) so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: &[EndReason] = &[
            EndReason::LoggedOut,
            EndReason::ProviderEnded,
            EndReason::Expired,
            EndReason::Idle,
            EndReason::Absolute,
            EndReason::Security,
            EndReason::StorageLost,
            #[cfg(feature = "edge")]
            EndReason::Replaced,
            #[cfg(feature = "extended")]
            EndReason::RefreshExpired,
            #[cfg(feature = "extended")]
            EndReason::Revoked,
            #[cfg(feature = "extended")]
            EndReason::ReuseDetected,
            #[cfg(feature = "extended")]
            EndReason::ConsentWithdrawn,
            #[cfg(feature = "extended")]
            EndReason::MfaRequired,
        ];
        ALL.iter().copied().find(|reason| reason.as_str() == name)
    }

    /// Whether the refresh token is still good and should be revoked.
    #[must_use]
    pub const fn calls_for_revocation(self) -> bool {
        #[cfg(feature = "edge")]
        if matches!(self, Self::Replaced) {
            return false;
        }
        #[cfg(feature = "extended")]
        if matches!(
            self,
            Self::RefreshExpired
                | Self::Revoked
                | Self::ReuseDetected
                | Self::ConsentWithdrawn
                | Self::MfaRequired
        ) {
            return false;
        }
        !matches!(
            self,
            Self::ProviderEnded | Self::Expired | Self::StorageLost
        )
    }
}

/// The tokens and times of a signed-in user.
#[derive(Debug)]
pub struct Session {
    /// Its number, if it is kept.
    sid: String,
    /// The ID token of the login: refreshed ones are held against it (OIDC Core 12.2).
    original: IdToken,
    /// The last ID token that came with a refresh.
    latest: Option<IdToken>,
    /// When the request was sent that the latest ID token came by.
    id_token_requested: UnixMillis,
    tokens: Box<TokenSet>,
    /// When the request for the tokens was sent: they are no younger than that.
    requested: Instant,
    generation: u64,
    /// Access tokens that were replaced and may still be valid, one for each target.
    former: Vec<Former>,
    started: Instant,
    last_activity: Instant,
    /// How often activity was kept: which of two vaults knows of the later one.
    touches: u64,
    interaction_required: bool,
    /// The error code by which the provider said so, if pages are told.
    #[cfg(feature = "extended")]
    needs: Option<String>,
    /// The provider's endpoints, if it was kept: its vault may not have the metadata yet.
    endpoints: Vec<String>,
    /// What its tokens are bound to, if anything.
    #[cfg(feature = "extended")]
    key: Option<PublicKey>,
    /// The generation in which the login's own access token was issued; later ones may be other tokens'.
    #[cfg(feature = "extended")]
    issued: u64,
    /// Access tokens of rules that have their own, by their places in the configuration. They are not kept.
    #[cfg(feature = "extended")]
    others: Vec<(usize, Other)>,
}

/// Most access tokens that a response is searched for.
#[cfg(feature = "extended")]
const MAX_SEARCHED: usize = 8;

/// An access token that was replaced by another one for the same target. A provider revokes none of these, so an API
/// takes it until it expires.
#[derive(Clone, Debug)]
struct Former {
    of: TokenSelector,
    access_token: Secret,
    expires_in: Millis,
    requested: Instant,
}

/// An access token of a rule's own.
#[cfg(feature = "extended")]
#[derive(Clone, Debug)]
struct Other {
    access_token: Secret,
    expires_in: Millis,
    requested: Instant,
    issued: u64,
}

impl Session {
    /// A session from the answer to a code exchange that was sent at `requested`. `sid` is its number
    /// among vaults that share a store.
    #[must_use]
    pub fn begin(
        id_token: IdToken,
        mut tokens: Box<TokenSet>,
        config: &Config,
        requested: Instant,
        sid: String,
    ) -> Self {
        // RFC 6749 5.1: left out when it is what was asked for.
        tokens.scope.get_or_insert_with(|| config.scope.clone());
        Self {
            sid,
            original: id_token,
            latest: None,
            id_token_requested: requested.wall,
            tokens,
            requested,
            generation: 1,
            former: Vec::new(),
            started: requested,
            last_activity: requested,
            touches: 0,
            interaction_required: false,
            #[cfg(feature = "extended")]
            needs: None,
            endpoints: Vec::new(),
            #[cfg(feature = "extended")]
            key: None,
            #[cfg(feature = "extended")]
            issued: 1,
            #[cfg(feature = "extended")]
            others: Vec::new(),
        }
    }

    /// The same, with tokens that are bound to this key (RFC 9449).
    #[cfg(feature = "extended")]
    #[must_use]
    pub fn bound_to(mut self, key: Option<PublicKey>) -> Self {
        self.key = key;
        self
    }

    /// The key that its tokens are bound to, if they are.
    #[cfg(feature = "extended")]
    #[must_use]
    pub const fn key(&self) -> Option<&PublicKey> {
        self.key.as_ref()
    }

    /// The name of that key.
    #[cfg(feature = "extended")]
    #[must_use]
    pub fn key_name(&self) -> Option<String> {
        Some(self.key.as_ref()?.thumbprint().to_owned())
    }

    /// Where no call may go.
    pub fn take_endpoints(&mut self) -> Vec<String> {
        core::mem::take(&mut self.endpoints)
    }

    /// Adopts the answer to a refresh that was sent at `requested`.
    pub fn renew(&mut self, tokens: Box<TokenSet>, id_token: Option<IdToken>, requested: Instant) {
        self.retire(&tokens.access_token);
        let before = core::mem::replace(&mut self.tokens, tokens);
        // RFC 6749 6: without a new refresh token the old one goes on, and so does the scope.
        if self.tokens.refresh_token.is_none() {
            self.tokens.refresh_token = before.refresh_token;
        }
        if self.tokens.scope.is_none() {
            self.tokens.scope = before.scope;
        }
        if id_token.is_some() {
            self.latest = id_token;
            self.id_token_requested = requested.wall;
        }
        self.requested = requested;
        self.generation += 1;
        #[cfg(feature = "extended")]
        {
            self.issued = self.generation;
        }
        self.interaction_required = false;
        #[cfg(feature = "extended")]
        {
            self.needs = None;
        }
    }

    /// Remembers the login's own access token if `next` takes its place.
    fn retire(&mut self, next: &Secret) {
        if !next.matches(self.tokens.access_token.expose()) {
            self.remember(self.to_former());
        }
    }

    /// The login's own access token, as one that is replaced.
    fn to_former(&self) -> Former {
        Former {
            #[cfg(feature = "extended")]
            of: None,
            #[cfg(not(feature = "extended"))]
            of: TokenSelector,
            access_token: self.tokens.access_token.clone(),
            expires_in: self.lifetime(),
            requested: self.requested,
        }
    }

    /// Keeps the latest replaced token for each target.
    fn remember(&mut self, former: Former) {
        for known in &mut self.former {
            if known.of == former.of {
                *known = former;
                return;
            }
        }
        self.former.push(former);
    }

    /// The access tokens that a response to a request with the token for `which` is searched for: that one, the one
    /// before it, and likewise those of other targets, the latest first. All of them may be valid. At most eight.
    #[must_use]
    pub fn tokens_to_search(&self, which: TokenSelector, now: &Instant) -> Vec<Secret> {
        let mut tokens = Vec::new();
        self.push_tokens_to_search(which, now, &mut tokens);
        #[cfg(feature = "extended")]
        {
            if which.is_some() {
                self.push_tokens_to_search(None, now, &mut tokens);
            }
            for (target, _) in self.others.iter().rev() {
                if which != Some(*target) {
                    self.push_tokens_to_search(Some(*target), now, &mut tokens);
                }
            }
            tokens.truncate(MAX_SEARCHED);
        }
        tokens
    }

    fn push_tokens_to_search(&self, which: TokenSelector, now: &Instant, tokens: &mut Vec<Secret>) {
        if let Some(token) = self.access_token_of(which, now) {
            tokens.push(token.clone());
        }
        for former in &self.former {
            if former.of == which && former.requested.elapsed(now) < former.expires_in {
                tokens.push(former.access_token.clone());
            }
        }
    }

    /// Adopts the answer to a refresh for a token of a rule's own.
    #[cfg(feature = "extended")]
    pub fn renew_other(
        &mut self,
        target: usize,
        tokens: &TokenSet,
        id_token: Option<IdToken>,
        requested: Instant,
    ) {
        let other = Other {
            access_token: tokens.access_token.clone(),
            expires_in: tokens.expires_in,
            requested,
            issued: self.generation + 1,
        };
        let own = Box::new(self.beside(tokens));
        let (own_requested, issued) = (self.requested, self.issued);
        self.renew(own, id_token, own_requested);
        self.issued = issued;
        if let Some(i) = self.others.iter().position(|(of, _)| *of == target) {
            let (_, before) = self.others.remove(i);
            self.remember(Former {
                of: Some(target),
                access_token: before.access_token,
                expires_in: before.expires_in,
                requested: before.requested,
            });
        }
        self.others.push((target, other));
    }

    /// The session's tokens when others than the login's own access token were issued.
    #[cfg(feature = "extended")]
    fn beside(&self, tokens: &TokenSet) -> TokenSet {
        TokenSet {
            refresh_token: tokens.refresh_token.clone(),
            id_token: None,
            ..(*self.tokens).clone()
        }
    }

    #[cfg(feature = "extended")]
    fn other(&self, target: usize) -> Option<&Other> {
        let (_, other) = self.others.iter().find(|(of, _)| *of == target)?;
        Some(other)
    }

    /// The access token for this target, unless it has expired or was never issued.
    #[cfg(feature = "extended")]
    #[must_use]
    pub fn access_token_of(&self, which: TokenSelector, now: &Instant) -> Option<&Secret> {
        let Some(target) = which else {
            return self.access_token(now);
        };
        let other = self.other(target)?;
        (other.requested.elapsed(now) < other.expires_in).then_some(&other.access_token)
    }

    /// The access token for this target, whatever its age, if one was ever issued.
    #[cfg(feature = "extended")]
    #[must_use]
    pub fn latest_access_token_of(&self, which: TokenSelector) -> Option<&Secret> {
        match which {
            None => Some(self.latest_access_token()),
            Some(target) => Some(&self.other(target)?.access_token),
        }
    }

    /// Whether it is time to get a new access token for this target.
    #[cfg(feature = "extended")]
    #[must_use]
    pub fn is_stale_of(&self, which: TokenSelector, now: &Instant) -> bool {
        let Some(target) = which else {
            return self.is_stale(now);
        };
        self.other(target).is_none_or(|other| {
            let lifetime = other.expires_in;
            other.requested.elapsed(now) + refresh_policy::leeway(lifetime) >= lifetime
        })
    }

    /// The generation in which the access token for this target was issued; 0 before there was one.
    #[cfg(feature = "extended")]
    #[must_use]
    pub fn issued(&self, which: TokenSelector) -> u64 {
        match which {
            None => self.issued,
            Some(target) => self.other(target).map_or(0, |other| other.issued),
        }
    }

    /// The access token, unless it has expired.
    #[cfg(not(feature = "extended"))]
    #[must_use]
    pub fn access_token_of(&self, _: TokenSelector, now: &Instant) -> Option<&Secret> {
        self.access_token(now)
    }

    /// The access token, whatever its age.
    #[cfg(not(feature = "extended"))]
    #[must_use]
    pub const fn latest_access_token_of(&self, _: TokenSelector) -> Option<&Secret> {
        Some(self.latest_access_token())
    }

    /// Whether it is time to get a new access token.
    #[cfg(not(feature = "extended"))]
    #[must_use]
    pub fn is_stale_of(&self, _: TokenSelector, now: &Instant) -> bool {
        self.is_stale(now)
    }

    /// The generation in which the access token was issued.
    #[cfg(not(feature = "extended"))]
    #[must_use]
    pub const fn issued(&self, _: TokenSelector) -> u64 {
        self.generation
    }

    fn lifetime(&self) -> Millis {
        self.tokens.expires_in
    }

    /// The access token, unless it has expired.
    #[must_use]
    pub fn access_token(&self, now: &Instant) -> Option<&Secret> {
        (self.requested.elapsed(now) < self.lifetime()).then_some(&self.tokens.access_token)
    }

    /// The access token, whatever its age: for who knows it.
    #[must_use]
    pub const fn latest_access_token(&self) -> &Secret {
        &self.tokens.access_token
    }

    /// Whether it is time to get a new access token.
    #[must_use]
    pub fn is_stale(&self, now: &Instant) -> bool {
        self.until_stale(now) == Millis::ZERO
    }

    /// Returns the time until the access token should be renewed.
    #[must_use]
    pub fn until_stale(&self, now: &Instant) -> Millis {
        let fresh = self
            .lifetime()
            .saturating_sub(refresh_policy::leeway(self.lifetime()));
        fresh.saturating_sub(self.requested.elapsed(now))
    }

    /// Returns true if a timer renews the access token: the user was active so recently that the next activity report may
    /// be on its way.
    #[must_use]
    pub fn is_renewed_ahead(&self, now: &Instant) -> bool {
        self.lifetime() >= SHORTEST_RENEWED_AHEAD && self.last_activity.elapsed(now) <= REPORTED
    }

    /// The refresh token, if the provider issued one.
    #[must_use]
    pub const fn refresh_token(&self) -> Option<&Secret> {
        self.tokens.refresh_token.as_ref()
    }

    /// The ID token of the login.
    #[must_use]
    pub const fn original(&self) -> &IdToken {
        &self.original
    }

    /// When the session began.
    #[must_use]
    pub const fn beginning(&self) -> &Instant {
        &self.started
    }

    /// Whether the session began after that moment.
    #[must_use]
    pub fn began_after(&self, at: &Instant, now: &Instant) -> bool {
        self.started.elapsed(now) < at.elapsed(now)
    }

    /// How often tokens were issued to this session.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the provider wants the user before it issues another access token.
    #[must_use]
    pub const fn interaction_required(&self) -> bool {
        self.interaction_required
    }

    /// The provider wants the user before it issues another access token.
    pub fn require_interaction(&mut self) {
        self.interaction_required = true;
    }

    /// The same, and pages are told by which error code.
    #[cfg(feature = "extended")]
    pub fn require(&mut self, code: String) {
        self.interaction_required = true;
        self.needs = Some(code);
    }

    /// The user did something.
    pub fn touch(&mut self, now: &Instant) {
        self.last_activity = *now;
    }

    /// How often activity was kept.
    #[must_use]
    pub const fn touches(&self) -> u64 {
        self.touches
    }

    /// What the user did is about to be kept.
    pub fn count_activity(&mut self) {
        self.touches += 1;
    }

    /// It was not kept: the same count is another vault's to give.
    pub fn uncount_activity(&mut self) {
        self.touches = self.touches.saturating_sub(1);
    }

    /// The user did something in another vault too. What was kept before counts for nothing: a clock
    /// that was set back makes it look later than it was.
    pub fn hear_of_activity(&mut self, kept: &Self, now: &Instant) {
        if kept.touches > self.touches {
            self.touches = kept.touches;
            if kept.last_activity.elapsed(now) < self.last_activity.elapsed(now) {
                self.last_activity = kept.last_activity;
            }
        }
    }

    /// Takes the place of `ours`, which was here all the time: its moments are better than those that were
    /// read, which count by the wall clock. The session began when it seems longer ago, and the user was
    /// active when it seems less long ago.
    pub fn succeed(&mut self, ours: &Self, now: &Instant) {
        if ours.started.elapsed(now) >= self.started.elapsed(now) {
            self.started = ours.started;
        }
        if ours.last_activity.elapsed(now) <= self.last_activity.elapsed(now) {
            self.last_activity = ours.last_activity;
        }
        #[cfg(feature = "extended")]
        self.others.clone_from(&ours.others);
        self.former = ours.former.clone();
        if !ours
            .tokens
            .access_token
            .matches(self.tokens.access_token.expose())
        {
            self.remember(ours.to_former());
        }
    }

    /// The limit that the session has reached, if any.
    #[must_use]
    pub fn limit_reached(&self, limits: &Limits, now: &Instant) -> Option<EndReason> {
        if self.started.elapsed(now) >= limits.absolute {
            Some(EndReason::Absolute)
        } else if self.last_activity.elapsed(now) >= limits.idle {
            Some(EndReason::Idle)
        } else if self.tokens.refresh_token.is_none() && self.access_token(now).is_none() {
            Some(EndReason::Expired)
        } else {
            None
        }
    }

    /// How long until a limit is reached if nothing happens.
    #[must_use]
    pub fn until_limit(&self, limits: &Limits, now: &Instant) -> Millis {
        let absolute = limits.absolute.saturating_sub(self.started.elapsed(now));
        let idle = limits.idle.saturating_sub(self.last_activity.elapsed(now));
        let expiry = match self.tokens.refresh_token {
            None => self.lifetime().saturating_sub(self.requested.elapsed(now)),
            Some(_) => Millis::MAX,
        };
        absolute.min(idle).min(expiry)
    }

    /// When the access token was issued and when it expires, by the wall clock.
    #[must_use]
    pub fn access_token_times(&self) -> (UnixMillis, UnixMillis) {
        let since = self.requested.wall;
        (since, after(since, self.lifetime()))
    }

    /// When the ID token was issued, by the wall clock.
    #[must_use]
    pub const fn id_token_since(&self) -> UnixMillis {
        self.id_token_requested
    }

    /// Shows the tokens to `see`, one by one with their kinds: for fingerprints.
    pub fn for_each_token(&self, mut see: impl FnMut(&'static str, &Secret)) {
        see("access_token", &self.tokens.access_token);
        if let Some(refresh_token) = &self.tokens.refresh_token {
            see("refresh_token", refresh_token);
        }
        see(
            "id_token",
            self.latest.as_ref().unwrap_or(&self.original).token(),
        );
    }

    /// The access tokens of rules that have their own: each target's place in the configuration, the token, since and
    /// until when it is good, and the generation that it came with.
    #[cfg(feature = "extended")]
    pub fn others(&self) -> impl Iterator<Item = (usize, &Secret, UnixMillis, UnixMillis, u64)> {
        self.others.iter().map(|(target, other)| {
            let since = other.requested.wall;
            let until = after(since, other.expires_in);
            (*target, &other.access_token, since, until, other.issued)
        })
    }

    /// What a page may see, in JSON: `Session` in `pkg/src/protocol/messages.ts`. `is_kept`: whether the store takes it, if
    /// it is to. `is_suspected`: the provider seems to have ended it without saying so.
    #[must_use]
    pub fn view(&self, config: &Config, is_kept: Option<bool>, is_suspected: bool) -> String {
        let state = if self.interaction_required || is_suspected {
            "interaction_required"
        } else {
            "active"
        };
        let (_, access_token_expires_at) = self.access_token_times();
        let expires_at = after(self.started.wall, config.limits.absolute);
        let idle_expires_at = after(self.last_activity.wall, config.limits.idle);
        let mut view = Writer::object();
        if let Some(is_kept) = is_kept {
            view.flag("kept", is_kept);
        }
        #[cfg(feature = "extended")]
        if let Some(needs) = &self.needs {
            view.text("needs", needs);
        }
        view.json("claims", &self.visible_claims(config))
            .json("scopes", &self.scopes())
            .text("state", state)
            .number("startedAt", self.started.wall)
            .number("expiresAt", expires_at)
            .number("idleExpiresAt", idle_expires_at.min(expires_at))
            .number("accessTokenExpiresAt", access_token_expires_at)
            .finish()
    }

    fn visible_claims(&self, config: &Config) -> String {
        let mut visible = Writer::object();
        visible.text("sub", self.original.subject());
        let claims = self.latest.as_ref().unwrap_or(&self.original).claims();
        for name in &config.claims {
            // A provider may leave out of a refreshed ID token what the first one had.
            let value = claims
                .get(name)
                .or_else(|| self.original.claims().get(name));
            if let Some(value) = value {
                visible.value(name, value);
            }
        }
        visible.finish()
    }

    fn scopes(&self) -> String {
        json::string_array(scope_tokens(
            self.tokens.scope.as_deref().unwrap_or_default(),
        ))
    }
}

fn after(start: UnixMillis, span: Millis) -> UnixMillis {
    start.saturating_add(span.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::base64url;
    use crate::codec::json::Value;
    use alloc::format;
    use alloc::string::ToString;

    const CONFIG: &str = r#"{"issuer":"https://id.example.com","clientId":"spa","redirectUri":"/cb","scope":"openid","apis":[],"claims":["name","email"]}"#;

    fn config() -> Config {
        Config::parse(CONFIG, "https://app.example.com/worker.js").unwrap()
    }

    /// So many seconds after the sessions of these tests were kept.
    fn at(seconds: u64) -> Instant {
        Instant {
            monotonic: Millis::from_secs(100_000 + seconds),
            wall: 1_800_000_000_000 + seconds * 1000,
        }
    }

    fn id_token(claims: &str) -> String {
        let part = |text: &str| base64url::encode(text.as_bytes());
        [part(r#"{"alg":"ES256"}"#), part(claims), part("signature")].join(".")
    }

    /// A session that is 1000 s old, has seen no activity for 500 s, and whose token is 100 s old and lives for 300 s.
    fn session(changes: &[(&str, &str)]) -> Session {
        let id_token = format!("{:?}", id_token(r#"{"sub":"joe","name":"Joe"}"#));
        let wall = at(0).wall.to_string();
        let usual = [
            ("version", "1"),
            ("issuer", r#""https://id.example.com""#),
            ("client_id", r#""spa""#),
            ("sid", r#""s""#),
            ("issued", "3"),
            ("generation", "3"),
            ("kept_at", &wall),
            ("age", "1000000"),
            ("idle", "500000"),
            ("touches", "5"),
            ("token_age", "100000"),
            ("access_token", r#""at-1""#),
            ("expires_in", "300000"),
            ("refresh_token", r#""rt-1""#),
            ("scope", r#""openid email""#),
            ("id_token", &id_token),
            ("interaction_required", "false"),
            ("endpoints", "[]"),
        ];
        let is_usual = |name: &str| changes.iter().all(|(changed, _)| *changed != name);
        let kept = usual.iter().filter(|(name, _)| is_usual(name));
        let mut text = Writer::object();
        for (name, value) in kept.chain(changes) {
            text.json(name, value);
        }
        match restore(&text.finish(), &config(), &at(0)) {
            Some(Kept::Session(session)) => *session,
            other => panic!("{other:?}"),
        }
    }

    fn tokens(access_token: &str, lifetime: u64) -> Box<TokenSet> {
        Box::new(TokenSet {
            access_token: Secret::from(access_token),
            expires_in: Millis::from_secs(lifetime),
            refresh_token: None,
            id_token: None,
            scope: None,
        })
    }

    fn idle(session: &Session) -> u64 {
        session.last_activity.elapsed(&at(0)).as_secs()
    }

    fn age(session: &Session) -> u64 {
        session.started.elapsed(&at(0)).as_secs()
    }

    fn searched(session: &Session, which: TokenSelector, now: &Instant) -> Vec<String> {
        let tokens = session.tokens_to_search(which, now);
        tokens.iter().map(|t| t.expose().to_owned()).collect()
    }

    #[test]
    fn later_activity_of_another_vault_counts() {
        for (touches, ago, idle_after, touches_after) in [
            ("6", "60000", 60, 6),
            // Kept before: the clock was set back since.
            ("5", "60000", 500, 5),
            ("4", "60000", 500, 5),
            // This vault has seen later activity.
            ("6", "700000", 500, 6),
        ] {
            let mut ours = session(&[]);
            let theirs = session(&[("touches", touches), ("idle", ago)]);
            ours.hear_of_activity(&theirs, &at(0));
            let heard = (idle(&ours), ours.touches());
            assert_eq!(heard, (idle_after, touches_after), "{touches} {ago}");
        }
    }

    #[test]
    fn kept_activity_is_counted_once() {
        let mut session = session(&[("touches", "1")]);
        session.count_activity();
        assert_eq!(session.touches(), 2);
        for left in [1, 0, 0] {
            session.uncount_activity();
            assert_eq!(session.touches(), left);
        }
    }

    #[test]
    fn successor_keeps_the_older_beginning_and_later_activity() {
        for (began, active, age_after, idle_after) in [
            ("900000", "400000", 1000, 400),
            ("1100000", "600000", 1100, 500),
        ] {
            let mut theirs = session(&[("age", began), ("idle", active)]);
            theirs.succeed(&session(&[]), &at(0));
            assert_eq!((age(&theirs), idle(&theirs)), (age_after, idle_after));
        }
    }

    #[test]
    fn successor_prefers_this_vaults_equal_moments() {
        let mut theirs = session(&[]);
        let mut ours = session(&[]);
        // The wall clocks agree, and the other worker's monotonic clock has begun later.
        let ahead = Millis::from_secs(50);
        ours.started.monotonic = ours.started.monotonic + ahead;
        ours.last_activity.monotonic = ours.last_activity.monotonic + ahead;
        theirs.succeed(&ours, &at(0));
        assert_eq!(theirs.started, ours.started);
        assert_eq!(theirs.last_activity, ours.last_activity);
    }

    #[test]
    fn responses_are_searched_for_the_token_before_a_successor() {
        let ours = session(&[]);
        let mut same = session(&[]);
        same.succeed(&ours, &at(0));
        assert_eq!(searched(&same, None, &at(0)), ["at-1"]);
        let mut next = session(&[("access_token", r#""at-2""#)]);
        next.succeed(&ours, &at(0));
        assert_eq!(searched(&next, None, &at(0)), ["at-2", "at-1"]);
    }

    #[test]
    fn replaced_token_is_searched_for_until_it_expires() {
        let mut session = session(&[]);
        session.renew(tokens("at-2", 300), None, at(0));
        assert_eq!(searched(&session, None, &at(199)), ["at-2", "at-1"]);
        assert_eq!(searched(&session, None, &at(200)), ["at-2"]);
        session.renew(tokens("at-2", 300), None, at(0));
        assert_eq!(searched(&session, None, &at(0)), ["at-2", "at-1"]);
        session.renew(tokens("at-3", 300), None, at(0));
        assert_eq!(searched(&session, None, &at(0)), ["at-3", "at-2"]);
    }

    #[test]
    fn at_most_eight_tokens_are_searched_for() {
        let mut session = session(&[]);
        for target in 0..9 {
            let name = format!("other-{target}");
            session.renew_other(target, &tokens(&name, 300), None, at(0));
        }
        let all = searched(&session, Some(4), &at(0));
        assert_eq!(
            all,
            [
                "other-4", "at-1", "other-8", "other-7", "other-6", "other-5", "other-3", "other-2"
            ]
        );
        assert_eq!(searched(&session, None, &at(0)).len(), 8);
    }

    #[test]
    fn replaced_token_of_a_rule_is_searched_for_until_it_expires() {
        let mut session = session(&[]);
        session.renew_other(7, &tokens("other-1", 60), None, at(0));
        session.renew_other(8, &tokens("third", 60), None, at(0));
        session.renew_other(7, &tokens("other-2", 300), None, at(10));
        let all = searched(&session, Some(7), &at(59));
        assert_eq!(all, ["other-2", "other-1", "at-1", "third"]);
        let all = searched(&session, Some(7), &at(60));
        assert_eq!(all, ["other-2", "at-1"]);
    }

    #[test]
    fn token_of_a_rule_leaves_the_logins_own_alone() {
        let mut session = session(&[]);
        let mut next = tokens("other", 60);
        next.refresh_token = Some(Secret::from("rt-2"));
        session.renew_other(7, &next, None, at(0));
        assert_eq!(session.access_token(&at(0)).unwrap().expose(), "at-1");
        assert_eq!(session.refresh_token().unwrap().expose(), "rt-2");
        assert_eq!(session.scopes(), r#"["openid","email"]"#);
        assert_eq!((session.generation(), session.issued(None)), (4, 3));
        assert_eq!((session.issued(Some(7)), session.issued(Some(8))), (4, 0));
        // It is as old as it was.
        assert!(session.access_token(&at(200)).is_none());
    }

    #[test]
    fn token_of_a_rule_expires_and_is_stale_before() {
        let mut session = session(&[]);
        assert!(session.is_stale_of(Some(7), &at(0)));
        assert!(session.access_token_of(Some(7), &at(0)).is_none());
        session.renew_other(7, &tokens("other", 300), None, at(0));
        let leeway = refresh_policy::leeway(Millis::from_secs(300)).as_secs();
        assert!(!session.is_stale_of(Some(7), &at(299 - leeway)));
        assert!(session.is_stale_of(Some(7), &at(300 - leeway)));
        assert!(session.access_token_of(Some(7), &at(299)).is_some());
        assert!(session.access_token_of(Some(7), &at(300)).is_none());
        let latest = session.latest_access_token_of(Some(7)).unwrap();
        assert_eq!(latest.expose(), "other");
        assert!(session.latest_access_token_of(Some(8)).is_none());
    }

    #[test]
    fn limits_are_reached_to_the_millisecond() {
        let limits = Limits {
            idle: Millis::from_secs(600),
            absolute: Millis::from_secs(1200),
        };
        let before = |now: Instant| Instant {
            monotonic: now.monotonic.saturating_sub(Millis(1)),
            wall: now.wall - 1,
        };
        let alone: (&str, &str) = ("refresh_token", "null");
        for (changes, seconds, reason) in [
            (vec![("idle", "0")], 200, EndReason::Absolute),
            (vec![], 100, EndReason::Idle),
            (vec![alone, ("token_age", "250000")], 50, EndReason::Expired),
        ] {
            let session = session(&changes);
            let end = at(seconds);
            assert_eq!(session.limit_reached(&limits, &end), Some(reason));
            assert_eq!(session.limit_reached(&limits, &before(end)), None);
            let left = session.until_limit(&limits, &at(10));
            assert_eq!(left, Millis::from_secs(seconds - 10), "{reason:?}");
        }
    }

    #[test]
    fn page_sees_documented_times() {
        let config = config();
        let mut session = session(&[]);
        let view = Value::parse(&session.view(&config, None, false)).unwrap();
        let view = view.as_object().unwrap();
        let time = |name| view.get(name).and_then(Value::as_u64).unwrap();
        let began = at(0).wall - 1_000_000;
        assert_eq!(time("startedAt"), began);
        assert_eq!(time("expiresAt"), began + config.limits.absolute.0);
        let active = at(0).wall - 500_000;
        assert_eq!(time("idleExpiresAt"), active + config.limits.idle.0);
        assert_eq!(time("accessTokenExpiresAt"), at(200).wall);
        // A session does not outlast its absolute limit, however active the user is.
        session.last_activity.wall = began + config.limits.absolute.0 - 1;
        let view = session.view(&config, None, false);
        let end = began + config.limits.absolute.0;
        assert!(
            view.contains(&format!(r#""idleExpiresAt":{end}"#)),
            "{view}"
        );
    }

    #[test]
    fn login_claims_survive_a_refresh_without_them() {
        let latest = format!("{:?}", id_token(r#"{"sub":"joe","email":"j@x.test"}"#));
        let session = session(&[("latest_id_token", &latest)]);
        assert_eq!(
            session.visible_claims(&config()),
            r#"{"sub":"joe","name":"Joe","email":"j@x.test"}"#
        );
    }

    #[test]
    fn short_or_idle_sessions_are_not_renewed_ahead() {
        let active = ("idle", "0");
        let session_of = |lifetime| session(&[active, ("expires_in", lifetime)]);
        assert!(session_of("30000").is_renewed_ahead(&at(16)));
        assert!(!session_of("30000").is_renewed_ahead(&at(17)));
        assert!(!session_of("29999").is_renewed_ahead(&at(0)));
    }

    #[test]
    fn began_after_compares_elapsed_time() {
        let session = session(&[]);
        let beginning = *session.beginning();
        assert!(!session.began_after(&beginning, &at(0)));
        let second = Millis::from_secs(1);
        let earlier = Instant {
            monotonic: beginning.monotonic.saturating_sub(second),
            wall: beginning.wall - 1000,
        };
        assert!(session.began_after(&earlier, &at(0)));
    }

    #[test]
    fn only_good_refresh_tokens_call_for_revocation() {
        use EndReason::*;
        for reason in [LoggedOut, Idle, Absolute, Security] {
            assert!(reason.calls_for_revocation(), "{reason:?}");
        }
        for reason in [
            ProviderEnded,
            Expired,
            StorageLost,
            RefreshExpired,
            Revoked,
            ReuseDetected,
            ConsentWithdrawn,
            MfaRequired,
        ] {
            assert!(!reason.calls_for_revocation(), "{reason:?}");
            assert_eq!(EndReason::from_name(reason.as_str()), Some(reason));
        }
        assert_eq!(EndReason::from_name("tired"), None);
    }
}
