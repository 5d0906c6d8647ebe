//! The session of a signed-in user: its tokens and times, and the part of it that a page may see.
//!
//! A [`Session`] can only be made from an [`Identity`]: a validated ID token or, without OpenID Connect, members of the
//! token response that were searched for tokens. A session measures its own age by
//! both clocks and reports when a limit is reached. A timer never ends a session: it only makes the vault check the
//! session's limits again.

mod end_reason;
pub mod evidence;
mod kept;
mod named;
mod other_tokens;
pub mod profile;
pub mod provider_errors;
mod searched;
mod times;
pub mod view;

use crate::prelude::*;

use crate::Secret;
use crate::base::clock::{Instant, Millis, UnixMillis};
use crate::config::{Flow, Limits};
use crate::egress::policy::TokenSelector;
use crate::oauth::dpop::PublicKey;
use crate::oauth::identity::Identity;
use crate::oauth::refresh_policy;
use crate::oauth::token_endpoint::{TokenSet, UNLIMITED};

pub use end_reason::EndReason;
pub use kept::{Kept, Storing, ended, kept, restore};
use other_tokens::OtherTokens;
pub use searched::SearchedTokens;
pub use times::Times;
pub use view::{SessionState, SessionView, view};

/// Time between two reports of the user's activity by a page.
const REPORT_INTERVAL: Millis = Millis::from_secs(15);

/// Longest age of the last report while the user is active. It is longer than the interval, because messages take some
/// time.
const REPORTED: Millis = Millis(REPORT_INTERVAL.0 + 1000);

/// Tokens with a shorter lifetime are renewed only when a call needs one. Renewing such tokens ahead would mean a
/// refresh every few seconds.
const SHORTEST_RENEWED_AHEAD: Millis = Millis::from_secs(30);

/// The shortest lifetime of an access token that is renewed behind a response.
const SHORTEST_RIPENING: Millis = Millis::from_secs(60);

/// Access tokens that live this long are needed at few wakes of a device, so a refresh may wait longer for a quiet line.
const LONG_LIFETIME: Millis = Millis::from_secs(1800);

fn is_long(lifetime: Millis) -> bool {
    lifetime >= LONG_LIFETIME
}

/// Returns a tenth of the idle limit, but at most a minute. Pages are warned this long before a limit, and the token
/// handler records a user's activity at most once in this time.
pub fn idle_notice(idle: Millis) -> Millis {
    Millis(idle.0 / 10).min(Millis::from_secs(60))
}

/// The tokens and times of a signed-in user.
#[derive(Clone, Debug)]
pub struct Session {
    /// The identifier of the session, which is empty if sessions are not stored.
    sid: String,
    /// The user by the login's response. Refreshed ID tokens are compared with the login's (OIDC Core 12.2).
    original: Identity,
    /// The user by the latest refresh response with an ID token. Without OpenID Connect, every response counts.
    latest: Option<Identity>,
    /// The time of the request for the latest ID token.
    id_token_requested: UnixMillis,
    tokens: Box<TokenSet>,
    /// The key with which the tokens are used, if they are sender-constrained (RFC 9449).
    dpop_key: Option<PublicKey>,
    /// The time of the request for the tokens. The tokens were issued later, so they count as older than they are.
    requested: Instant,
    generation: u64,
    /// The generation in which the login's access token was issued. In later generations, the provider may have issued
    /// access tokens of other targets.
    login_issued: u64,
    others: OtherTokens,
    /// The start of the session, and the user's activity.
    pub times: Times,
    /// The scopes that the login requested, if they are more than the configured ones.
    requested_scope: Option<String>,
    interaction_required: bool,
    /// The error code with which the provider required interaction, if pages may see it.
    interaction_code: Option<String>,
    /// The provider's endpoints, if the session was read from the store. Calls must not reach these endpoints, and a
    /// new vault may not have the metadata yet.
    endpoints: Vec<String>,
}

impl Session {
    /// Creates a session from the tokens of a login, which were requested at `requested`. `sid` identifies the session
    /// among vaults that share a store.
    #[must_use]
    pub fn begin(
        user: Identity,
        mut tokens: Box<TokenSet>,
        flow: &Flow,
        requested: Instant,
        sid: String,
    ) -> Self {
        // If the response contains no scope, the granted scope is the requested one (RFC 6749 5.1).
        tokens.scope.get_or_insert_with(|| flow.scope.clone());
        let longest = user.session_lifetime();
        Self {
            sid,
            original: user,
            latest: None,
            id_token_requested: requested.wall,
            tokens,
            dpop_key: None,
            requested,
            generation: 1,
            login_issued: 1,
            others: Vec::new(),
            times: Times::begin(requested, longest),
            requested_scope: None,
            interaction_required: false,
            interaction_code: None,
            endpoints: Vec::new(),
        }
    }

    /// Sets the DPoP key of the tokens (RFC 9449).
    #[must_use]
    pub fn with_dpop_key(mut self, key: Option<PublicKey>) -> Self {
        self.dpop_key = key;
        self
    }

    /// Sets the scopes that the login requested, if they are more than the configured ones.
    #[must_use]
    pub fn with_requested_scope(mut self, scope: Option<String>) -> Self {
        self.requested_scope = scope;
        self
    }

    /// Returns the scopes that the login requested, if they are more than the configured ones.
    #[must_use]
    pub fn requested_scope(&self) -> Option<&str> {
        self.requested_scope.as_deref()
    }

    /// Returns the DPoP key of the tokens, if any.
    #[must_use]
    pub const fn dpop_key(&self) -> Option<&PublicKey> {
        self.dpop_key.as_ref()
    }

    /// Removes and returns the provider's endpoints that were stored with the session. Calls must not reach these
    /// endpoints.
    pub fn take_endpoints(&mut self) -> Vec<String> {
        core::mem::take(&mut self.endpoints)
    }

    /// Adopts the tokens of a refresh that was sent at `requested`. If there is no access token among them, the session
    /// keeps the one that it has.
    pub fn renew(&mut self, tokens: Box<TokenSet>, user: Option<Identity>, requested: Instant) {
        if !tokens.has_access_token() {
            return self.rotate(&tokens, &requested);
        }
        self.replace_tokens(tokens);
        self.take_user(user, requested);
        self.requested = requested;
        self.login_issued = self.generation;
    }

    /// Begins the next generation with these tokens.
    fn replace_tokens(&mut self, tokens: Box<TokenSet>) {
        let before = core::mem::replace(&mut self.tokens, tokens);
        self.tokens.refresh_token = self
            .tokens
            .next_refresh_token(before.refresh_token.as_ref());
        if self.tokens.scope.is_none() {
            self.tokens.scope = before.scope;
        }
        self.generation += 1;
        self.interaction_required = false;
        self.interaction_code = None;
    }

    /// Adopts the ID token of a refresh, if the response had one.
    fn take_user(&mut self, user: Option<Identity>, requested: Instant) {
        if let Some(user) = user {
            self.times.longest = self.times.longest_with(&user, &requested);
            self.latest = Some(user);
            self.id_token_requested = requested.wall;
        }
    }

    /// Returns the time since the session began.
    #[must_use]
    pub fn age(&self, now: &Instant) -> Millis {
        self.times.started.elapsed(now)
    }

    fn lifetime(&self) -> Millis {
        self.tokens.expires_in
    }

    /// Returns the access token, unless it has expired.
    #[must_use]
    pub fn access_token(&self, now: &Instant) -> Option<&Secret> {
        // control: expired_token_is_not_sent
        (self.requested.elapsed(now) < self.lifetime()).then_some(&self.tokens.access_token)
    }

    /// Returns the access token, even if expired.
    #[must_use]
    pub const fn latest_access_token(&self) -> &Secret {
        &self.tokens.access_token
    }

    /// Returns true if the access token should be renewed.
    #[must_use]
    pub fn is_stale(&self, now: &Instant) -> bool {
        self.until_stale(now) == Millis::ZERO
    }

    /// Returns the time until the access token should be renewed.
    #[must_use]
    pub fn until_stale(&self, now: &Instant) -> Millis {
        let fresh = self
            .lifetime()
            .saturating_sub(refresh_policy::refresh_margin(self.lifetime()));
        fresh.saturating_sub(self.requested.elapsed(now))
    }

    /// Returns true if a refresh behind a successful response should renew the access token that `selector` selects: in the
    /// last third of its lifetime, or in the last half if it lives for half an hour or longer. `jitter` shortens this part
    /// by up to a quarter. Returns false if the token lives for less than a minute.
    #[must_use]
    pub fn is_ripe(&self, selector: TokenSelector, now: &Instant, jitter: u8) -> bool {
        let (lifetime, requested) = self.span_of(selector);
        let part = if is_long(lifetime) {
            lifetime.0 / 2
        } else {
            lifetime.0 / 3
        };
        let part = part - part / 1020 * u64::from(jitter);
        lifetime >= SHORTEST_RIPENING && requested.elapsed(now) >= Millis(lifetime.0 - part)
    }

    /// Returns true if the session's own access token lives for half an hour or longer.
    #[must_use]
    pub fn has_long_token(&self) -> bool {
        is_long(self.lifetime())
    }

    /// Returns true if a timer should renew the access token before a call needs it: while the user is active, and
    /// unless the token's lifetime is very short.
    #[must_use]
    pub fn is_renewed_ahead(&self, now: &Instant) -> bool {
        self.lifetime() >= SHORTEST_RENEWED_AHEAD
            && self.times.last_activity.elapsed(now) <= REPORTED
    }

    /// Returns the time until neither the access token nor the refresh token can be used, if the provider has stated the
    /// lifetime of the refresh token. The provider may extend it, so this time does not end the session.
    #[must_use]
    pub fn until_refresh_expiry(&self, now: &Instant) -> Millis {
        let end = self.refresh_end();
        end.map_or(Millis::MAX, |end| {
            end.saturating_sub(self.requested.elapsed(now))
        })
    }

    /// Returns the time from the token request to the end of both tokens: see [`Self::until_refresh_expiry`].
    fn refresh_end(&self) -> Option<Millis> {
        let stated = self.tokens.refresh_expires_in;
        stated
            .filter(|_| self.tokens.refresh_token.is_some())
            .map(|end| end.max(self.lifetime()))
    }

    /// Returns the refresh token, if the provider issued one.
    #[must_use]
    pub const fn refresh_token(&self) -> Option<&Secret> {
        self.tokens.refresh_token.as_ref()
    }

    /// Returns true if the login's access token was requested a moment ago. An API that refuses such a token would refuse
    /// the next one, too, so another login does not help.
    #[must_use]
    pub fn is_new_token(&self, now: &Instant) -> bool {
        const NEW: Millis = Millis::from_secs(30);
        self.requested.elapsed(now) < NEW
    }

    /// Returns true if the access token is used until an API refuses it: the server has told no lifetime, and issued no
    /// refresh token.
    #[must_use]
    pub fn lasts_until_refused(&self) -> bool {
        self.tokens.refresh_token.is_none() && self.tokens.expires_in == UNLIMITED
    }

    /// Returns the user who has signed in.
    #[must_use]
    pub const fn original(&self) -> &Identity {
        &self.original
    }

    /// Returns the latest ID token that was verified, if there is one.
    #[must_use]
    pub fn latest_id_token(&self) -> Option<&Secret> {
        self.latest.as_ref().unwrap_or(&self.original).id_token()
    }

    /// Returns the number of times that tokens were issued to this session.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns true if the provider requires interaction with the user before it issues another access token.
    #[must_use]
    pub const fn interaction_required(&self) -> bool {
        self.interaction_required
    }

    /// Records that the provider requires interaction with the user before it issues another access token. `code` is
    /// the provider's error code, if pages may see it.
    pub fn require_interaction(&mut self, code: Option<&str>) {
        self.interaction_required = true;
        if let Some(code) = code {
            self.interaction_code = Some(code.to_owned());
        }
    }

    /// Prepares this session, which was read from the store, to replace `ours`, the session in this vault. Takes over
    /// the state of `ours` that is not stored.
    pub fn succeed(&mut self, ours: &Self, now: &Instant) {
        self.times.succeed(&ours.times, now);
        self.others.clone_from(&ours.others);
    }

    /// Returns the reason to end the session, if it has reached a limit, or if its access token has expired and there
    /// is no refresh token.
    #[must_use]
    pub fn limit_reached(&self, limits: &Limits, now: &Instant) -> Option<EndReason> {
        if let Some(reason) = self.times.limit_reached(limits, now) {
            Some(reason)
        } else if self.tokens.refresh_token.is_none() && self.access_token(now).is_none() {
            Some(EndReason::Expired)
        } else {
            None
        }
    }

    /// Returns the time until [`Self::limit_reached`] returns a reason, if the user is not active until then.
    #[must_use]
    pub fn until_limit(&self, limits: &Limits, now: &Instant) -> Millis {
        let expiry = match self.tokens.refresh_token {
            None => self.lifetime().saturating_sub(self.requested.elapsed(now)),
            Some(_) => Millis::MAX,
        };
        self.times.until_limit(limits, now).min(expiry)
    }

    /// Returns the time until the activity of a user who is still active must be recorded again.
    #[must_use]
    pub fn until_activity_due(&self, limits: &Limits, now: &Instant) -> Millis {
        idle_notice(limits.idle).saturating_sub(self.times.last_activity.elapsed(now))
    }

    /// Returns the issue and expiry times of the access token, by the wall clock.
    #[must_use]
    pub fn access_token_times(&self) -> (UnixMillis, UnixMillis) {
        let since = self.requested.wall;
        (since, after(since, self.lifetime()))
    }

    /// Returns the issue time of the ID token, by the wall clock.
    #[must_use]
    pub const fn id_token_since(&self) -> UnixMillis {
        self.id_token_requested
    }

    /// Passes the login's access token, the refresh token and the latest ID token to `see`, each with its kind. The
    /// inspector uses this function to make fingerprints.
    pub fn for_each_token<'a>(&'a self, mut see: impl FnMut(&'static str, &'a Secret)) {
        see("access_token", &self.tokens.access_token);
        if let Some(refresh_token) = &self.tokens.refresh_token {
            see("refresh_token", refresh_token);
        }
        if let Some(id_token) = self.latest_id_token() {
            see("id_token", id_token);
        }
    }
}

fn after(start: UnixMillis, span: Millis) -> UnixMillis {
    start.saturating_add(span.0)
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::base64url;
    use crate::codec::json::{Value, Writer};
    use alloc::format;
    use alloc::string::ToString;

    fn flow() -> Flow {
        let options =
            r#"{"issuer":"https://id.example.com","scope":"openid","claims":["name","email"]}"#;
        crate::config::flow::tests::flow(options)
    }

    /// Returns the instant `seconds` after the sessions of these tests were stored.
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

    /// Returns a session that is 1000 s old, has seen no activity for 500 s, and whose token is 100 s old and lives for
    /// 300 s.
    fn session(changes: &[(&str, &str)]) -> Session {
        match restore(&stored(changes), &flow(), &at(0)) {
            Some(Kept::Session(session)) => *session,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the stored form of [`session`].
    fn stored(changes: &[(&str, &str)]) -> String {
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
            ("identity", &id_token),
            ("interaction_required", "false"),
            ("endpoints", "[]"),
        ];
        let is_usual = |name: &str| changes.iter().all(|(changed, _)| *changed != name);
        let kept = usual.iter().filter(|(name, _)| is_usual(name));
        let mut text = Writer::object();
        for (name, value) in kept.chain(changes) {
            text.json(name, value);
        }
        text.finish()
    }

    fn tokens(access_token: &str, lifetime: u64) -> Box<TokenSet> {
        Box::new(TokenSet {
            access_token: Secret::from(access_token),
            expires_in: Millis::from_secs(lifetime),
            ..TokenSet::default()
        })
    }

    fn idle(session: &Session) -> u64 {
        session.times.last_activity.elapsed(&at(0)).as_secs()
    }

    fn age(session: &Session) -> u64 {
        session.times.started.elapsed(&at(0)).as_secs()
    }

    /// Returns the tokens for which a vault that has this session now searches the response to a call.
    fn searched(
        known: &mut SearchedTokens,
        session: &Session,
        selector: TokenSelector,
        now: &Instant,
    ) -> Vec<String> {
        known.update(Some(session), now);
        let tokens = known.with(session.access_token_of(selector, now), now);
        tokens.iter().map(|t| t.expose().to_owned()).collect()
    }

    /// The monotonic clock and the wall clock are cut to milliseconds at different moments.
    #[test]
    fn restored_session_may_start_a_millisecond_earlier() {
        let now = |monotonic, wall| Instant {
            monotonic: Millis(monotonic),
            wall,
        };
        let mut session = session(&[]);
        session.times.started = now(1_000, 1_800_000_000_000);
        session.times.last_activity = session.times.started;
        session.requested = session.times.started;
        // 9.x ms by the wall clock, 10 ms by the monotonic clock.
        let text = kept(
            &session,
            Storing {
                flow: &flow(),
                endpoints: &[],
                now: &now(1_010, 1_800_000_000_009),
            },
        );
        let Some(Kept::Session(again)) =
            restore(text.expose(), &flow(), &now(50, 1_800_000_000_030))
        else {
            panic!()
        };
        // The start may move to an earlier millisecond, so pages must not compare starts by `===`.
        assert_eq!(again.times.started.wall, session.times.started.wall - 1);
    }

    #[test]
    fn bound_session_is_not_restored_as_unbound() {
        let zeros = "A".repeat(43);
        let jwk = format!(r#"{{"kty":"EC","crv":"P-256","x":"{zeros}","y":"{zeros}"}}"#);
        for key in [jwk.as_str(), "{}"] {
            let text = stored(&[("dpop", key)]);
            assert!(restore(&text, &flow(), &at(0)).is_none(), "{key}");
        }
    }

    #[test]
    fn later_activity_of_another_vault_counts() {
        for (stored, ago, idle_after, stored_after) in [
            ("6", "60000", 60, 6),
            // The activity was stored before the clock was set back.
            ("5", "60000", 500, 5),
            ("4", "60000", 500, 5),
            // This vault has seen later activity.
            ("6", "700000", 500, 6),
        ] {
            let mut ours = session(&[]);
            let theirs = session(&[("touches", stored), ("idle", ago)]);
            ours.times.adopt_activity(&theirs.times, &at(0));
            let heard = (idle(&ours), ours.times.stored_activities());
            assert_eq!(heard, (idle_after, stored_after), "{stored} {ago}");
        }
    }

    #[test]
    fn equal_activity_elsewhere_keeps_this_vaults_time() {
        let mut ours = session(&[]);
        let before = ours.times.last_activity;
        let mut theirs = session(&[("touches", "6")]);
        // The wall clocks agree, and the other worker's monotonic clock started later.
        let ahead = Millis::from_secs(50);
        theirs.times.last_activity.monotonic = before.monotonic + ahead;
        ours.times.adopt_activity(&theirs.times, &at(0));
        assert_eq!(ours.times.stored_activities(), 6);
        assert_eq!(ours.times.last_activity, before);
    }

    #[test]
    fn kept_activity_is_counted_once() {
        let mut session = session(&[("touches", "1")]);
        session.times.count_activity();
        assert_eq!(session.times.stored_activities(), 2);
        for left in [1, 0, 0] {
            session.times.uncount_activity();
            assert_eq!(session.times.stored_activities(), left);
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
        // The wall clocks agree, and the other worker's monotonic clock started later.
        let ahead = Millis::from_secs(50);
        ours.times.started.monotonic = ours.times.started.monotonic + ahead;
        ours.times.last_activity.monotonic = ours.times.last_activity.monotonic + ahead;
        theirs.succeed(&ours, &at(0));
        assert_eq!(theirs.times.started, ours.times.started);
        assert_eq!(theirs.times.last_activity, ours.times.last_activity);
    }

    #[test]
    fn replaced_token_is_searched_for_until_it_expires() {
        let (mut session, mut known) = (session(&[]), SearchedTokens::default());
        let mut all =
            |session: &Session, seconds| searched(&mut known, session, None, &at(seconds));
        assert_eq!(all(&session, 0), ["at-1"]);
        session.renew(tokens("at-2", 300), None, at(0));
        assert_eq!(all(&session, 199), ["at-2", "at-1"]);
        session.renew(tokens("at-2", 300), None, at(0));
        session.renew(tokens("at-3", 400), None, at(0));
        assert_eq!(all(&session, 199), ["at-3", "at-2", "at-1"]);
        assert_eq!(all(&session, 200), ["at-3", "at-2"]);
        assert_eq!(all(&session, 300), ["at-3"]);
    }

    /// The provider may return the token that the session already has, with a later expiry.
    #[test]
    fn token_that_is_issued_again_is_searched_for_longer() {
        let (mut session, mut known) = (session(&[]), SearchedTokens::default());
        searched(&mut known, &session, None, &at(0));
        session.renew(tokens("at-1", 300), None, at(100));
        assert_eq!(searched(&mut known, &session, None, &at(399)), ["at-1"]);
        session.renew(tokens("at-2", 300), None, at(399));
        assert_eq!(
            searched(&mut known, &session, None, &at(399)),
            ["at-2", "at-1"]
        );
        assert_eq!(searched(&mut known, &session, None, &at(400)), ["at-2"]);
    }

    #[test]
    fn only_a_new_token_of_the_session_changes_the_search() {
        let (mut session, mut known) = (session(&[]), SearchedTokens::default());
        assert!(known.update(Some(&session), &at(0)));
        assert!(!known.update(Some(&session), &at(0)));
        session.renew_other(7, &tokens("other", 60), None, at(0));
        assert!(known.update(Some(&session), &at(0)));
        assert!(!known.update(Some(&session), &at(60)));
        assert!(!known.update(None, &at(60)));
        // The tokens of a session that has ended are searched for until they expire.
        let next = self::session(&[("access_token", r#""at-2""#)]);
        assert!(known.update(Some(&next), &at(60)));
        let tokens = known.with(None, &at(60));
        assert_eq!(
            tokens.iter().map(Secret::expose).collect::<Vec<_>>(),
            ["at-2", "at-1"]
        );
        assert!(known.with(None, &at(200)).is_empty());
        // The token of a request that is open is searched for even then.
        let own = Secret::from("at-1");
        assert!(known.with(Some(&own), &at(200))[0].matches("at-1"));
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
            (
                vec![("idle", "0"), ("longest", "1150000")],
                150,
                EndReason::SessionExpired,
            ),
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
    fn earliest_stated_end_counts_after_a_merge() {
        let longest = |stored: &str, ours: &str| {
            let mut session_read = session(&[("longest", stored)]);
            session_read.succeed(&session(&[("longest", ours)]), &at(0));
            session_read.times.longest.as_secs()
        };
        assert_eq!(longest("2000000", "3000000"), 2000);
        assert_eq!(longest("3000000", "2000000"), 2000);
        assert_eq!(session(&[]).times.longest, Millis::MAX);
    }

    #[test]
    fn page_sees_documented_times() {
        let flow = flow();
        let mut session = session(&[]);
        let page = view(&session, &flow, None, false).to_json();
        let page = Value::parse(&page).unwrap();
        let page = page.as_object().unwrap();
        let time = |name| page.get(name).and_then(Value::as_u64).unwrap();
        let began = at(0).wall - 1_000_000;
        assert_eq!(time("startedAt"), began);
        assert_eq!(time("expiresAt"), began + flow.limits.absolute.0);
        let active = at(0).wall - 500_000;
        assert_eq!(time("idleExpiresAt"), active + flow.limits.idle.0);
        assert_eq!(time("accessTokenExpiresAt"), at(200).wall);
        // A session does not outlast its absolute limit, however active the user is.
        session.times.last_activity.wall = began + flow.limits.absolute.0 - 1;
        let page = view(&session, &flow, None, false).to_json();
        let end = began + flow.limits.absolute.0;
        assert!(
            page.contains(&format!(r#""idleExpiresAt":{end}"#)),
            "{page}"
        );
    }

    #[test]
    fn login_claims_survive_a_refresh_without_them() {
        let latest = format!("{:?}", id_token(r#"{"sub":"joe","email":"j@x.test"}"#));
        let session = session(&[("latest_id_token", &latest)]);
        assert_eq!(
            view(&session, &flow(), None, false).claims,
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
        let beginning = *session.times.beginning();
        assert!(!session.times.began_after(&beginning, &at(0)));
        let second = Millis::from_secs(1);
        let earlier = Instant {
            monotonic: beginning.monotonic.saturating_sub(second),
            wall: beginning.wall - 1000,
        };
        assert!(session.times.began_after(&earlier, &at(0)));
    }

    #[test]
    fn only_good_refresh_tokens_call_for_revocation() {
        use EndReason::*;
        for reason in [LoggedOut, Idle, Absolute, Security] {
            assert!(reason.calls_for_revocation(), "{reason:?}");
        }
        for reason in [ProviderEnded, Expired, ClaimsChanged, StorageLost] {
            assert!(!reason.calls_for_revocation(), "{reason:?}");
            assert_eq!(EndReason::from_name(reason.as_str()), Some(reason));
        }
        assert_eq!(EndReason::from_name("tired"), None);
    }

    /// An older build would take a reason that it does not know for a lost store, and sign the user in again by itself.
    #[test]
    fn older_build_reads_a_forgotten_session_as_logged_out() {
        let flow =
            crate::config::flow::tests::flow(r#"{"issuer":"https://id.test","scope":"openid"}"#);
        let text = ended("sid", EndReason::Forgotten, &flow);
        let stored = Value::parse(text.expose()).unwrap();
        assert_eq!(stored.as_object().unwrap().str("ended"), Some("logged_out"));
        for reason in EndReason::ALL {
            let text = ended("sid", *reason, &flow);
            let kept = restore(text.expose(), &flow, &Instant::default());
            assert!(
                matches!(kept, Some(Kept::Ended(_, read)) if read == *reason),
                "{reason:?}"
            );
        }
    }

    /// A refresh may end late, after another vault or isolate has ended the session.
    #[test]
    fn late_tokens_of_a_grant_that_others_may_have_stay_valid() {
        use EndReason::*;
        let flow =
            crate::config::flow::tests::flow(r#"{"issuer":"https://id.test","scope":"openid"}"#);
        for reason in EndReason::ALL {
            let spares = matches!(reason, Forgotten | Replaced | ClaimsChanged);
            assert_eq!(reason.revokes_late(&flow), !spares, "{reason:?}");
        }
        let flow = crate::config::flow::tests::flow(
            r#"{"issuer":"https://id.test","scope":"openid","logout":"forget"}"#,
        );
        for reason in EndReason::ALL {
            let revokes = matches!(reason, LoggedOut | Security);
            assert_eq!(reason.revokes_late(&flow), revokes, "{reason:?}");
        }
    }

    #[test]
    fn detailed_reasons_do_not_call_for_revocation() {
        use EndReason::*;
        for reason in [
            RefreshExpired,
            Revoked,
            ReuseDetected,
            ConsentWithdrawn,
            MfaRequired,
        ] {
            assert!(!reason.calls_for_revocation(), "{reason:?}");
            assert_eq!(EndReason::from_name(reason.as_str()), Some(reason));
        }
    }

    /// Tokens of single APIs.
    mod targets {
        use super::*;

        #[test]
        fn successor_keeps_the_tokens_of_other_apis() {
            let mut ours = session(&[]);
            ours.renew_other(7, &tokens("other", 300), None, at(0));
            let mut theirs = session(&[]);
            theirs.succeed(&ours, &at(0));
            let token = theirs.access_token_of(Some(7), &at(0)).unwrap();
            assert_eq!(token.expose(), "other");
        }

        #[test]
        fn at_most_eight_tokens_are_searched_for() {
            let mut session = session(&[]);
            for index in 0..9 {
                let name = format!("other-{index}");
                session.renew_other(index, &tokens(&name, 300), None, at(0));
            }
            let known = &mut SearchedTokens::default();
            let all = searched(known, &session, Some(4), &at(0));
            assert_eq!(
                all,
                [
                    "other-4", "at-1", "other-8", "other-7", "other-6", "other-5", "other-3",
                    "other-2"
                ]
            );
            assert_eq!(searched(known, &session, None, &at(0)).len(), 8);
            // The tokens that do not fit are not new at each input, and those that were replaced do not displace others.
            assert!(!known.update(Some(&session), &at(0)));
            session.renew(tokens("at-2", 300), None, at(0));
            let all = searched(known, &session, Some(0), &at(0));
            assert_eq!(all[..3], ["other-0", "at-2", "other-8"]);
            assert!(!all.iter().any(|token| token == "at-1"));
        }

        #[test]
        fn replaced_token_of_a_rule_is_searched_for_until_it_expires() {
            let (mut session, mut known) = (session(&[]), SearchedTokens::default());
            let mut all = |session: &Session, at| searched(&mut known, session, Some(7), &at);
            session.renew_other(7, &tokens("other-1", 60), None, at(0));
            session.renew_other(8, &tokens("third", 60), None, at(0));
            assert_eq!(all(&session, at(0)), ["other-1", "at-1", "third"]);
            session.renew_other(7, &tokens("other-2", 300), None, at(10));
            assert_eq!(
                all(&session, at(59)),
                ["other-2", "at-1", "third", "other-1"]
            );
            assert_eq!(all(&session, at(60)), ["other-2", "at-1"]);
        }

        #[test]
        fn token_of_a_rule_leaves_the_logins_own_alone() {
            let mut session = session(&[]);
            let mut next = tokens("other", 60);
            next.refresh_token = Some(Secret::from("rt-2"));
            session.renew_other(7, &next, None, at(0));
            assert_eq!(session.access_token(&at(0)).unwrap().expose(), "at-1");
            assert_eq!(session.refresh_token().unwrap().expose(), "rt-2");
            let view = view(&session, &flow(), None, false);
            assert_eq!(view.scopes, r#"["openid","email"]"#);
            assert_eq!((session.generation(), session.issued(None)), (4, 3));
            assert_eq!((session.issued(Some(7)), session.issued(Some(8))), (4, 0));
            // The login's access token is not renewed, so it has expired.
            assert!(session.access_token(&at(200)).is_none());
        }

        #[test]
        fn token_of_a_rule_expires_and_is_stale_before() {
            let mut session = session(&[]);
            assert!(session.is_stale_of(Some(7), &at(0)));
            assert!(session.access_token_of(Some(7), &at(0)).is_none());
            session.renew_other(7, &tokens("other", 300), None, at(0));
            let margin = refresh_policy::refresh_margin(Millis::from_secs(300)).as_secs();
            assert!(!session.is_stale_of(Some(7), &at(299 - margin)));
            assert!(session.is_stale_of(Some(7), &at(300 - margin)));
            assert!(session.access_token_of(Some(7), &at(299)).is_some());
            assert!(session.access_token_of(Some(7), &at(300)).is_none());
            let latest = session.latest_access_token_of(Some(7)).unwrap();
            assert_eq!(latest.expose(), "other");
            assert!(session.latest_access_token_of(Some(8)).is_none());
        }
    }
}
