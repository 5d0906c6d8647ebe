//! Rules for the time of a refresh, and for the effect of the token endpoint's response on the session.
//!
//! Of the token endpoint's error codes, only `invalid_grant` ends a session. After a temporary failure (an outage, a
//! captive portal, a lost response) the *same* refresh token is sent again: soon at first, because providers that
//! rotate have a short leeway for a lost response (RFC 9700 4.14.2), and then at growing intervals, which calls of the
//! user shorten while the provider is down. After a failure that a retry would only repeat, such as a rejected client,
//! attempts are rare or wait for the user. `vault/refresh.rs` makes sure that only one refresh is in flight, and that no
//! consumed token is sent.
//!
//! Some providers refuse an ended grant without saying so: with an empty 400, with `invalid_request`, or with an
//! `invalid_grant` that CORS hides from the browser. After a limited number of attempts such a session is *suspected*:
//! pages learn that the user has to sign in again, but the refresh token is kept and tried every five minutes, or every
//! thirty seconds while the user causes calls. Any success restores the session.
//!
//! A 400 or 401 that is not an OAuth error is more likely the page of a gateway in front of the provider. It is tried again
//! like a server error, and makes the session suspected only if it stays.

use crate::prelude::*;

use crate::base::clock::{Instant, Millis};
use crate::base::error::{Code, Error};
use crate::base::http::Outcome;
use crate::oauth::token_endpoint::{
    self, DEFAULT_LIFETIME, Scheme, TokenResponse, TokenSet, UNLIMITED, Unusable, Wanted,
};

/// The meaning of a response to a refresh request.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// New tokens; the refresh token among them, if any, replaces the one that was sent.
    Renewed(Box<TokenSet>),
    /// A response that is not usable for this reason, except for its refresh token, which replaces the one that was sent.
    /// If its refresh token is not usable either, the one that was sent must not be sent again.
    Rotated(Box<TokenSet>, String),
    /// The grant has ended (`invalid_grant`, RFC 6749 5.2).
    Ended,
    /// The user has to interact with the provider, as the error code says.
    InteractionRequired(String),
    /// The provider rejected the client or its request, with this error code. A retry would also fail.
    Misconfigured(String),
    /// The provider asks to wait: the status is 429, or 503 with `Retry-After`. The second value is `Retry-After`, or
    /// five seconds after a 429 without this header. A 503 without this header is [`RefreshOutcome::Transient`].
    Wait(u16, Millis),
    /// A temporary failure, with its reason.
    Transient(String),
    /// A refusal without a usable reason, with the error code or a description of the response. The grant may have
    /// ended: see [`Schedule::refused`].
    Unexplained(String),
    /// A 400 or 401 that is not an OAuth error: it is not JSON, or `error` is missing or the status's name. It is probably a
    /// gateway's page: see [`Schedule::refused_by_gateway`].
    NotOAuth(String),
    /// The network failed although the device is online, or CORS hides a refusal: see [`Schedule::reachable`].
    Opaque,
}

impl RefreshOutcome {
    /// Returns the new tokens, if the provider has issued any.
    #[must_use]
    pub fn tokens(&self) -> Option<&TokenSet> {
        match self {
            Self::Renewed(tokens) | Self::Rotated(tokens, _) => Some(tokens),
            _ => None,
        }
    }

    /// Returns the new tokens, if the provider has issued any, and drops everything else.
    #[must_use]
    pub fn into_tokens(self) -> Option<Box<TokenSet>> {
        match self {
            Self::Renewed(tokens) | Self::Rotated(tokens, _) => Some(tokens),
            _ => None,
        }
    }

    /// Returns true if the refresh brought no tokens, and the grant may still be valid: the session is kept.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.tokens().is_none() && !matches!(self, Self::Ended)
    }

    /// Returns true if the same request may succeed soon: the failure is temporary, or the refusal has no usable reason.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        self.blames_provider() || matches!(self, Self::Unexplained(_) | Self::NotOAuth(_))
    }

    /// Returns true if the provider failed, or sent no usable response. The page of a gateway is no evidence that the
    /// provider failed.
    #[must_use]
    pub const fn blames_provider(&self) -> bool {
        matches!(self, Self::Transient(_) | Self::Opaque)
    }

    /// Returns true if the provider refuses the client itself, so that it probably refuses every refresh. Some providers
    /// refuse a wrong secret with `unauthorized_client`.
    #[must_use]
    pub fn refuses_client(&self) -> bool {
        matches!(self, Self::Misconfigured(code) if matches!(&**code, "invalid_client" | "unauthorized_client"))
    }

    /// Returns the error that describes the response, if the provider rejected the client or its request, or if only the
    /// response's refresh token is usable.
    #[must_use]
    pub fn rejection(&self) -> Option<Error> {
        match self {
            Self::Misconfigured(code) => Some(client_rejected(code)),
            Self::Rotated(_, why) => {
                let message = [
                    msg!(
                        "the token endpoint's response is unusable, except for its refresh token: "
                    ),
                    why,
                ];
                Some(Error::of(Code::TokenResponseInvalid, &message))
            }
            _ => None,
        }
    }

    /// Returns the warnings for the developer about the flaws of new tokens. `session` begins a
    /// sentence: "the session" for a vault, which has one session, and "a session" for the token handler.
    #[must_use]
    pub fn warnings(&self, session: &str) -> Vec<Error> {
        let Some(tokens) = self.tokens() else {
            return Vec::new();
        };
        let flaws = self.rejection().or_else(|| tokens.warning());
        let loss = tokens.loses_refresh_token.then(|| {
            let message = [
                session,
                msg!(
                    " ends with its access token, because a refresh returned no usable refresh token and the one before is consumed: "
                ),
                &tokens.flaws,
            ];
            Error::of(Code::RefreshTokenMissing, &message)
        });
        flaws.into_iter().chain(loss).collect()
    }
}

/// Returns the error for a token endpoint that rejected the client or its request with this error code.
#[must_use]
pub fn client_rejected(code: &str) -> Error {
    let message = [msg!("the token endpoint responded with "), code];
    Error::of(Code::ClientRejected, &message)
}

/// Classifies the outcome of a refresh request.
#[must_use]
pub fn classify(outcome: &Outcome, wanted: Wanted<'_>) -> RefreshOutcome {
    let reply = match outcome {
        Outcome::Reply(reply) => reply,
        Outcome::Opaque => return RefreshOutcome::Opaque,
        _ => return transient(msg!("there was no response")),
    };
    // These are the statuses with which a token endpoint refuses a refresh token (RFC 6749 5.2).
    let is_refusal = matches!(reply.status, 400 | 401);
    match token_endpoint::read(reply, wanted) {
        TokenResponse::Tokens(mut tokens) => {
            if tokens.expires_in == UNLIMITED {
                // The refresh token that was sent stays valid.
                tokens.expires_in = DEFAULT_LIFETIME;
            }
            RefreshOutcome::Renewed(tokens)
        }
        // Servers without OpenID Connect may also refuse with 200.
        TokenResponse::Refused(code) => {
            classify_code(code, wanted.scheme, is_refusal || wanted.members.is_some())
        }
        TokenResponse::Wait(after) => {
            RefreshOutcome::Wait(reply.status, after.unwrap_or(Millis::from_secs(5)))
        }
        // control: server_error_is_transient
        TokenResponse::ServerError => transient(msg!("the provider failed")),
        TokenResponse::Unusable(Unusable { why, .. }) if is_refusal => {
            match token_endpoint::has_error(reply) {
                true => RefreshOutcome::Unexplained(why),
                // control: gateway_page_is_no_refusal
                false => RefreshOutcome::NotOAuth(why),
            }
        }
        TokenResponse::Unusable(Unusable {
            why,
            rotated: Some(rotated),
        }) => RefreshOutcome::Rotated(rotated, why),
        // control: unreadable_response_is_transient
        TokenResponse::Unusable(Unusable { why, .. }) => RefreshOutcome::Transient(why),
    }
}

fn transient(why: &str) -> RefreshOutcome {
    RefreshOutcome::Transient(why.to_owned())
}

/// Classifies a refusal by its error code. `is_refusal` is true if the response's status allows the conclusion that the
/// refresh token was refused.
fn classify_code(code: String, scheme: Scheme, is_refusal: bool) -> RefreshOutcome {
    // Without a proof, an error about the proof explains nothing.
    let has_proof = scheme == Scheme::Dpop;
    match code.as_str() {
        // control: invalid_grant_is_final
        "invalid_grant" => RefreshOutcome::Ended,
        "interaction_required" | "login_required" | "consent_required" | "mfa_required" => {
            RefreshOutcome::InteractionRequired(code)
        }
        "temporarily_unavailable" | "server_error" | "slow_down" => {
            transient(msg!("the provider is unavailable for the moment"))
        }
        // The provider has asked for a nonce twice in a row: the nonce changes during each request, or CORS hides it.
        "use_dpop_nonce" if has_proof => {
            transient(msg!("the provider keeps asking for another DPoP nonce"))
        }
        "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "invalid_scope"
        | "invalid_target" => RefreshOutcome::Misconfigured(code),
        "invalid_dpop_proof" if has_proof => RefreshOutcome::Misconfigured(code),
        // The code is `invalid_request` or an unknown code.
        _ if is_refusal => RefreshOutcome::Unexplained(code),
        _ => transient(msg!("a 4xx response with an unknown error code")),
    }
}

/// Returns the time before expiry at which an access token is refreshed: a tenth of its lifetime, at most 30 seconds.
/// This margin is needed because a request takes time to arrive, and the API's clock may be ahead.
#[must_use]
pub fn refresh_margin(lifetime: Millis) -> Millis {
    Millis(lifetime.0 / 10).min(Millis::from_secs(30))
}

/// Number of failures after which calls no longer wait for the refresh.
pub const MAX_WAITED_FAILURES: u32 = 3;

/// Number of failures after which no attempt is scheduled. A call, a device that is online again, or a page
/// that becomes visible may still start an attempt.
pub const MAX_SCHEDULED: u32 = 10;

/// Number of refusals without a usable reason after which a session is suspected.
const MIN_REFUSALS: u32 = 3;

/// Number of responses of a gateway after which a session is suspected, if the first one is [`GATEWAY_SPAN`] old.
const MIN_GATEWAY: u32 = 3;

/// The first of three responses of a gateway must be this old before they make a session suspected.
const GATEWAY_SPAN: Millis = Millis::from_secs(20);

/// Number of responses of a gateway after which a session is suspected in any case.
const MAX_GATEWAY: u32 = 6;

/// Number of opaque failures after which a session is suspected, if they span [`HIDDEN_SPAN`] and the provider could be
/// reached after each failure.
const MIN_HIDDEN: u32 = 5;
const HIDDEN_SPAN: Millis = Millis::from_secs(120);

/// The least wait after a failed attempt for a suspected session, unless [`SUSPECTED_LEAST_WAIT`] applies.
const SUSPECTED_DELAY: Millis = Millis::from_secs(300);
/// When the user causes a call, a longer wait for a suspected session is shortened to this time.
const SUSPECTED_CALL_WAIT: Millis = Millis::from_secs(30);
/// When the user causes a call in an outage, a longer wait is shortened to this time after the start of the last
/// attempt, and up to 0.8 seconds more at random.
const OUTAGE_CALL_WAIT: u64 = 4000;
/// After [`OUTAGE_SPAN`], this wait replaces [`OUTAGE_CALL_WAIT`].
const LONG_OUTAGE_CALL_WAIT: u64 = 30_000;
const OUTAGE_SPAN: Millis = Millis::from_secs(120);
/// When a page becomes visible or the device comes online, a longer wait for a suspected session is shortened to this
/// time.
const SUSPECTED_LEAST_WAIT: Millis = Millis::from_secs(10);

/// The delay after the first failure. Each further failure doubles the delay.
const FIRST_DELAY: Millis = Millis(500);
/// Limit on the delay before it is varied at random: see [`Schedule::failed`]. The longest wait after a failure is
/// therefore 75 seconds. After [`Schedule::blocked`], the wait is exactly this long.
const LONGEST_DELAY: Millis = Millis::from_secs(60);
/// When a page becomes visible or the device comes online, a longer wait is shortened to this time.
const LEAST_WAIT: Millis = Millis::from_secs(1);
/// Limit on the wait that a provider asks for. A longer `Retry-After` is reduced to this limit.
const LONGEST_WAIT: Millis = Millis::from_secs(600);
/// Calls wait for the next attempt only if it may start within this time.
const LONGEST_CALL_WAIT: Millis = Millis::from_secs(5);

/// The schedule of refresh attempts: the next attempt is due a certain time after the last failure. The time is
/// measured by both clocks, so that a device that slept does not wait again.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    failures: u32,
    failed_at: Instant,
    wait: Millis,
    scheduled: bool,
    /// True if the last failure was temporary, so that an attempt may succeed once the device is online.
    can_retry_soon: bool,
    /// The time at which the first of the failed attempts began.
    failing_since: Instant,
    /// The time at which the last attempt began.
    began: Instant,
    /// When the user causes a call in an outage, a longer wait is shortened to this time.
    call_wait: Millis,
    /// True if the last failure shows that the provider is unavailable: see [`Schedule::unavailable`].
    is_outage: bool,
    /// Number of refusals without a usable reason.
    refusals: u32,
    /// Number of responses of a gateway.
    of_gateway: u32,
    /// The time of the first of the responses that `of_gateway` counts.
    gateway_since: Instant,
    /// Number of consecutive opaque failures after which the provider could be reached.
    hidden: u32,
    /// The time at which the provider could be reached after the first of the failures that `hidden` counts.
    hidden_since: Instant,
    is_suspected: bool,
    /// True if the failures were those of an earlier refresh token, and no response to the present one was lost.
    is_of_earlier_token: bool,
    /// True if, since the last success, [`Schedule::lost`] has reset the number of failures.
    has_begun_again: bool,
}

impl Schedule {
    /// Returns true if an attempt may start now.
    #[must_use]
    pub fn is_open(&self, now: &Instant) -> bool {
        self.failed_at.elapsed(now) >= self.wait
    }

    /// Returns the time until an attempt may start, or zero if it may start now.
    #[must_use]
    pub fn left(&self, now: &Instant) -> Millis {
        self.wait.saturating_sub(self.failed_at.elapsed(now))
    }

    /// Returns the time of the scheduled attempt by the monotonic clock, if one is scheduled.
    #[must_use]
    pub fn due(&self) -> Option<Millis> {
        self.scheduled
            .then_some(self.failed_at.monotonic + self.wait)
    }

    /// Returns true if a call that arrives now should wait for the next attempt: the attempt may start now, or is near.
    #[must_use]
    pub fn should_wait(&self, now: &Instant) -> bool {
        let left = self.left(now);
        let is_near =
            !self.is_suspected && self.failures < MAX_WAITED_FAILURES && left <= LONGEST_CALL_WAIT;
        self.is_open(now) || is_near
    }

    /// Records the start of an attempt, before its request is sent.
    pub fn began(&mut self, now: &Instant) {
        if self.failures == 0 {
            self.failing_since = *now;
        }
        self.began = *now;
    }

    /// Records that the request of an attempt is sent.
    pub fn started(&mut self) {
        self.scheduled = false;
        self.can_retry_soon = false;
    }

    /// Returns true if an attempt has failed since the last [`Schedule::reset`] or [`Schedule::reopen`]. In that case,
    /// a lost response may have contained a new refresh token.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Resets the schedule after a success or for a new session.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Records new tokens that cannot be used, such as those that have expired on their way. The provider has not ended
    /// the grant, so earlier refusals no longer count. The wait before the next attempt stays the same.
    pub fn grant_confirmed(&mut self) {
        *self = Self {
            failures: self.failures,
            failing_since: self.failing_since,
            began: self.began,
            failed_at: self.failed_at,
            wait: self.wait,
            is_of_earlier_token: true,
            has_begun_again: self.has_begun_again,
            ..Self::default()
        };
    }

    /// Records that the response to an attempt was lost, before [`Schedule::failed`]. The first loss for a refresh token
    /// counts as the first failure, because providers accept the token again for a short time only. Before the next
    /// success, this happens only once: otherwise a provider whose responses are alternately lost and unusable would be
    /// asked without end.
    pub fn lost(&mut self) {
        let is_first = core::mem::take(&mut self.is_of_earlier_token);
        if is_first && !core::mem::replace(&mut self.has_begun_again, true) {
            self.failures = 0;
        }
    }

    /// Allows the next attempt at once. Keeps the counts by which a session becomes suspected.
    pub fn reopen(&mut self) {
        *self = Self {
            failing_since: self.failing_since,
            began: self.began,
            refusals: self.refusals,
            of_gateway: self.of_gateway,
            gateway_since: self.gateway_since,
            hidden: self.hidden,
            hidden_since: self.hidden_since,
            is_suspected: self.is_suspected,
            ..Self::default()
        };
    }

    /// Brings the next attempt forward, because a page became visible or the device is online again. The wait that a
    /// provider asked for is not shortened, and repeated reports of pages do not cause more attempts.
    pub fn retry_soon(&mut self) {
        if self.can_retry_soon {
            self.scheduled = true;
            let least = if self.is_suspected {
                SUSPECTED_LEAST_WAIT
            } else {
                LEAST_WAIT
            };
            self.wait = self.wait.min(least);
            // With the lower count, calls wait for this attempt.
            self.failures = self.failures.min(MAX_WAITED_FAILURES - 1);
        }
    }

    /// Brings the next attempt forward in an outage or for a suspected session, because the user has caused a call. The
    /// wait that a provider asked for is not shortened.
    pub fn called(&mut self) {
        let least = if self.is_suspected {
            SUSPECTED_CALL_WAIT
        } else {
            self.call_wait
        };
        if self.can_retry_soon && (self.is_suspected || self.is_outage) {
            self.wait = self.wait.min(least);
        }
    }

    /// Records that the last failure was an outage of the provider: it responded with a server error, or no probe could
    /// reach it. A refusal that CORS hides is not an outage, so calls do not repeat it.
    pub fn unavailable(&mut self) {
        self.is_outage = true;
    }

    /// Records a temporary failure. `jitter` is a random byte.
    pub fn failed(&mut self, now: &Instant, jitter: u8) {
        let delay = (FIRST_DELAY.0 << self.failures.min(10)).min(LONGEST_DELAY.0);
        // The delay varies from 75 % to 125 %, so that devices that failed at the same time do not retry at the same
        // time.
        let delay = delay * 3 / 4 + delay * u64::from(jitter) / 510;
        // control: lost_response_is_retried_soon
        self.postpone(now, Millis(delay));
        self.can_retry_soon = true;
        let wait = if self.failing_since.elapsed(now) < OUTAGE_SPAN {
            OUTAGE_CALL_WAIT + 3 * u64::from(jitter)
        } else {
            LONG_OUTAGE_CALL_WAIT
        };
        self.call_wait = Millis(wait).saturating_sub(self.began.elapsed(now));
    }

    /// Records a refusal without a usable reason. The third refusal makes the session suspected.
    pub fn refused(&mut self, now: &Instant, jitter: u8) {
        self.refusals += 1;
        self.hidden = 0;
        // control: suspicion_takes_three_refusals
        if self.refusals >= MIN_REFUSALS {
            self.suspect();
        }
        self.failed(now, jitter);
    }

    /// Records that the failure of this attempt was a 400 or 401 that is not an OAuth error. The third one makes the session
    /// suspected if the first one is at least 20 seconds old by this machine's own observation, and the sixth one in any
    /// case.
    pub fn refused_by_gateway(&mut self, now: &Instant) {
        if self.of_gateway == 0 {
            self.gateway_since = *now;
        }
        self.of_gateway += 1;
        self.hidden = 0;
        if self.of_gateway >= MAX_GATEWAY
            || self.of_gateway >= MIN_GATEWAY && self.gateway_since.elapsed(now) >= GATEWAY_SPAN
        {
            self.suspect();
        }
    }

    /// Records that the provider could be reached after an opaque failure, so this failure may be a refusal that CORS
    /// hides. The fifth such failure in a row makes the session suspected, if the first of these failures is at least
    /// two minutes old.
    pub fn reachable(&mut self, now: &Instant) {
        if self.hidden == 0 {
            self.hidden_since = *now;
        }
        self.hidden += 1;
        // control: hidden_refusals_raise_suspicion
        if self.hidden >= MIN_HIDDEN && self.hidden_since.elapsed(now) >= HIDDEN_SPAN {
            self.suspect();
            self.wait = SUSPECTED_DELAY;
            self.scheduled = true;
        }
    }

    /// Records that the last failure was not a refusal hidden by CORS: resets the count of [`Schedule::reachable`].
    pub fn unreachable(&mut self) {
        self.hidden = 0;
    }

    /// Makes the session suspected: the provider seems to have ended the grant.
    pub fn suspect(&mut self) {
        self.is_suspected = true;
    }

    /// Returns true if the provider seems to have ended the grant, so that the user should sign in again.
    #[must_use]
    pub const fn is_suspected(&self) -> bool {
        self.is_suspected
    }

    /// Records that the provider asked to wait. The time is limited to 1 to 600 seconds.
    pub fn told_to_wait(&mut self, now: &Instant, wait: Millis) {
        // control: retry_after_is_honored
        self.postpone(now, wait.clamp(Millis::from_secs(1), LONGEST_WAIT));
    }

    /// Records that the provider rejected the client or its request. No attempt is scheduled, but a call may start an
    /// attempt after a minute. A suspected session keeps its own interval between attempts.
    pub fn blocked(&mut self, now: &Instant) {
        // control: rejected_client_is_retried
        self.postpone(now, LONGEST_DELAY);
        self.failures = self.failures.max(MAX_WAITED_FAILURES);
        self.scheduled = self.is_suspected;
    }

    fn postpone(&mut self, now: &Instant, wait: Millis) {
        self.failures += 1;
        self.is_outage = false;
        self.failed_at = *now;
        self.wait = wait;
        self.scheduled = self.failures < MAX_SCHEDULED;
        if self.is_suspected {
            // control: suspected_session_is_retried
            self.wait = wait.max(SUSPECTED_DELAY);
            self.scheduled = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::http::HttpReply;
    use crate::base::http::tests::json_reply;

    /// Returns the instant this many milliseconds after the start, by both clocks.
    fn at(millis: u64) -> Instant {
        Instant {
            monotonic: Millis(millis),
            wall: 1_700_000_000_000 + millis,
        }
    }

    fn of(reply: HttpReply) -> RefreshOutcome {
        classify(&Outcome::from(reply), Scheme::Bearer.into())
    }

    fn refusal(code: &str) -> RefreshOutcome {
        of(json_reply(400, &[r#"{"error":""#, code, "\"}"].concat()))
    }

    #[test]
    fn only_invalid_grant_ends_a_session() {
        assert!(matches!(refusal("invalid_grant"), RefreshOutcome::Ended));
        for status in 100..=599 {
            let ended = matches!(of(json_reply(status, "{}")), RefreshOutcome::Ended);
            assert!(!ended, "{status}");
        }
    }

    #[test]
    fn classifies_each_kind_of_response() {
        for code in [
            "interaction_required",
            "login_required",
            "consent_required",
            "mfa_required",
        ] {
            assert!(matches!(refusal(code), RefreshOutcome::InteractionRequired(c) if c == code));
        }
        for code in [
            "invalid_client",
            "unauthorized_client",
            "unsupported_grant_type",
            "invalid_scope",
        ] {
            assert!(matches!(refusal(code), RefreshOutcome::Misconfigured(c) if c == code));
        }
        for code in ["invalid_request", "something_new"] {
            assert!(matches!(refusal(code), RefreshOutcome::Unexplained(c) if c == code));
        }
        assert!(matches!(
            refusal("temporarily_unavailable"),
            RefreshOutcome::Transient(_)
        ));
        assert!(matches!(
            classify(&Outcome::Failed, Scheme::Bearer.into()),
            RefreshOutcome::Transient(_)
        ));
        assert!(matches!(
            classify(&Outcome::Opaque, Scheme::Bearer.into()),
            RefreshOutcome::Opaque
        ));
        for status in [400, 401] {
            for body in [
                "",
                "<html>",
                "{}",
                "null",
                r#"{"error":"Bad Request"}"#,
                r#"{"error":"Bad code"}"#,
            ] {
                let reply = json_reply(status, body);
                let is_of_gateway = !body.contains("Bad code");
                let outcome = of(reply);
                assert_eq!(
                    matches!(outcome, RefreshOutcome::NotOAuth(_)),
                    is_of_gateway
                );
                assert_eq!(
                    matches!(outcome, RefreshOutcome::Unexplained(_)),
                    !is_of_gateway
                );
            }
        }
        for status in [402, 403, 404, 405, 407, 410, 451, 499] {
            for body in ["", r#"{"error":"invalid_request"}"#] {
                let reply = json_reply(status, body);
                assert!(
                    matches!(of(reply), RefreshOutcome::Transient(_)),
                    "{status}"
                );
            }
        }
        for status in [500, 502, 503, 504, 408] {
            assert!(matches!(
                of(json_reply(status, "")),
                RefreshOutcome::Transient(_)
            ));
        }
        for body in ["<html>hello</html>", "{\"access_token\":", "", "null"] {
            assert!(matches!(
                of(json_reply(200, body)),
                RefreshOutcome::Transient(_)
            ));
        }
        let busy = HttpReply {
            retry_after: Some(Millis::from_secs(9)),
            ..json_reply(429, "")
        };
        assert!(matches!(of(busy), RefreshOutcome::Wait(429, d) if d.as_secs() == 9));
    }

    #[test]
    fn outcome_says_what_it_means() {
        let text = || "why".to_owned();
        let tokens = || Box::new(TokenSet::default());
        let wait = Millis::from_secs(1);
        // The columns are `has_failed`, `may_pass` and `blames_provider`.
        for (outcome, says) in [
            (RefreshOutcome::Renewed(tokens()), [false; 3]),
            (RefreshOutcome::Rotated(tokens(), text()), [false; 3]),
            (RefreshOutcome::Ended, [false; 3]),
            (
                RefreshOutcome::InteractionRequired(text()),
                [true, false, false],
            ),
            (RefreshOutcome::Misconfigured(text()), [true, false, false]),
            (RefreshOutcome::Wait(429, wait), [true, false, false]),
            (RefreshOutcome::Transient(text()), [true; 3]),
            (RefreshOutcome::Unexplained(text()), [true, true, false]),
            (RefreshOutcome::NotOAuth(text()), [true, true, false]),
            (RefreshOutcome::Opaque, [true; 3]),
        ] {
            let said = [
                outcome.has_failed(),
                outcome.may_pass(),
                outcome.blames_provider(),
            ];
            assert_eq!(said, says, "{outcome:?}");
            let rejection = outcome.rejection().map(|error| error.code());
            let expected = match outcome {
                RefreshOutcome::Misconfigured(_) => Some(Code::ClientRejected),
                RefreshOutcome::Rotated(..) => Some(Code::TokenResponseInvalid),
                _ => None,
            };
            assert_eq!(rejection, expected, "{outcome:?}");
            let has_tokens = outcome.tokens().is_some();
            assert_eq!(outcome.into_tokens().is_some(), has_tokens);
        }
    }

    #[test]
    fn flaws_of_new_tokens_are_warnings() {
        let warnings = |outcome: &RefreshOutcome| {
            let warnings = outcome.warnings("it").into_iter();
            let text =
                warnings.map(|warning| [warning.code().as_str(), ": ", warning.message()].concat());
            text.collect::<Vec<_>>()
        };
        let lossy = TokenSet {
            loses_refresh_token: true,
            flaws: "no refresh token".to_owned(),
            ..TokenSet::default()
        };
        let exact = RefreshOutcome::Renewed(Box::default());
        assert!(warnings(&exact).is_empty());
        let loss = "refresh_token_missing: it ends with its access token, because a refresh returned no usable refresh token and the one before is consumed: no refresh token";
        let renewed = RefreshOutcome::Renewed(Box::new(lossy.clone()));
        let inexact =
            "token_response_invalid: the token endpoint's response is not exact: no refresh token";
        assert_eq!(warnings(&renewed), [inexact, loss]);
        let rotated = RefreshOutcome::Rotated(Box::new(lossy), "no access token".to_owned());
        let unusable = "token_response_invalid: the token endpoint's response is unusable, except for its refresh token: no access token";
        assert_eq!(warnings(&rotated), [unusable, loss]);
        assert!(warnings(&RefreshOutcome::Misconfigured("invalid_client".to_owned())).is_empty());
    }

    #[test]
    fn intervals_grow_and_attempts_end() {
        let mut schedule = Schedule::default();
        let mut now = 0;
        let mut delays = Vec::new();
        loop {
            schedule.failed(&at(now), 128);
            let Some(Millis(due)) = schedule.due() else {
                break;
            };
            delays.push(due - now);
            now = due;
            schedule.started();
        }
        assert_eq!(delays.len(), MAX_SCHEDULED as usize - 1);
        assert!(delays[0] < 1000 && delays.windows(2).all(|w| w[0] <= w[1]));
        assert!(delays.iter().all(|&delay| delay <= 75_000));
    }

    #[test]
    fn delays_vary_by_a_quarter() {
        for (jitter, delay) in [(0, 375), (102, 475), (255, 625)] {
            let mut schedule = Schedule::default();
            schedule.failed(&at(0), jitter);
            assert_eq!(schedule.due(), Some(Millis(delay)), "{jitter}");
        }
    }

    #[test]
    fn unusable_tokens_do_not_shorten_the_wait() {
        let mut schedule = Schedule::default();
        schedule.failed(&at(10_000), 0);
        schedule.grant_confirmed();
        assert!(!schedule.is_open(&at(10_374)));
        assert!(schedule.is_open(&at(10_375)));
    }

    #[test]
    fn errors_about_a_proof_are_unexplained_without_a_proof() {
        let with = |scheme: Scheme, code: &str| {
            let reply = json_reply(400, &[r#"{"error":""#, code, "\"}"].concat());
            classify(&Outcome::from(reply), scheme.into())
        };
        for code in ["use_dpop_nonce", "invalid_dpop_proof"] {
            let bearer = with(Scheme::Bearer, code);
            assert!(matches!(bearer, RefreshOutcome::Unexplained(_)), "{code}");
        }
        let nonce = with(Scheme::Dpop, "use_dpop_nonce");
        assert!(matches!(nonce, RefreshOutcome::Transient(_)));
        let proof = with(Scheme::Dpop, "invalid_dpop_proof");
        assert!(matches!(proof, RefreshOutcome::Misconfigured(_)));
    }

    #[test]
    fn calls_wait_for_the_first_attempts_only() {
        let mut schedule = Schedule::default();
        let now = at(1000);
        assert!(schedule.should_wait(&now));
        schedule.failed(&now, 0);
        assert!(schedule.should_wait(&now));
        schedule.failed(&now, 0);
        schedule.failed(&now, 0);
        assert!(!schedule.should_wait(&now));
        // The attempt is due: the next call starts it and waits.
        assert!(schedule.should_wait(&at(61_000)));
    }

    #[test]
    fn retry_after_is_capped_at_ten_minutes() {
        let mut schedule = Schedule::default();
        schedule.told_to_wait(&at(0), Millis::from_secs(120));
        assert_eq!(schedule.due(), Some(Millis::from_secs(120)));
        assert!(!schedule.should_wait(&at(1000)));
        schedule.reset();
        schedule.told_to_wait(&at(0), Millis::from_secs(1_000_000));
        assert_eq!(schedule.due(), Some(LONGEST_WAIT));
    }

    #[test]
    fn sleep_counts_toward_the_wait() {
        let mut schedule = Schedule::default();
        schedule.told_to_wait(&at(0), Millis::from_secs(120));
        let awake = Instant {
            monotonic: Millis::from_secs(1),
            ..at(121_000)
        };
        assert!(schedule.is_open(&awake));
    }

    #[test]
    fn misconfigured_client_retries_after_a_minute() {
        let mut schedule = Schedule::default();
        schedule.blocked(&at(0));
        assert_eq!(schedule.due(), None);
        assert!(!schedule.is_open(&at(59_000)));
        assert!(schedule.is_open(&at(60_000)));
    }

    #[test]
    fn going_online_brings_the_next_attempt_forward() {
        let mut schedule = Schedule::default();
        for _ in 0..MAX_WAITED_FAILURES {
            schedule.failed(&at(10_000), 0);
        }
        assert!(!schedule.is_open(&at(11_499)));
        for _ in 0..2 {
            schedule.retry_soon();
            assert_eq!(schedule.due(), Some(Millis(11_000)));
            assert!(schedule.should_wait(&at(10_000)));
        }
        assert!(!schedule.is_open(&at(10_999)));
        assert!(schedule.is_open(&at(11_000)));
        schedule.failed(&at(11_000), 0);
        assert!(!schedule.should_wait(&at(11_000)));
    }

    #[test]
    fn going_online_does_not_delay_earlier_attempts() {
        let mut schedule = Schedule::default();
        schedule.failed(&at(10_000), 0);
        schedule.retry_soon();
        assert_eq!(schedule.due(), Some(Millis(10_375)));
    }

    #[test]
    fn third_unexplained_refusal_makes_a_session_suspected() {
        let mut schedule = Schedule::default();
        let mut now = 0;
        for _ in 0..2 {
            schedule.refused(&at(now), 128);
            assert!(!schedule.is_suspected());
            assert!(schedule.should_wait(&at(now)));
            now = schedule.due().unwrap().0;
        }
        // A lost response between two refusals does not count.
        schedule.failed(&at(now), 128);
        schedule.refused(&at(now), 128);
        assert!(schedule.is_suspected());
        assert!(!schedule.should_wait(&at(now)));
        schedule.reset();
        assert!(!schedule.is_suspected());
    }

    #[test]
    fn suspected_session_is_tried_every_five_minutes() {
        let mut schedule = Schedule::default();
        let mut now = 0;
        for _ in 0..3 {
            schedule.refused(&at(now), 128);
        }
        for _ in 0..2 * MAX_SCHEDULED {
            assert_eq!(schedule.due(), Some(Millis(now + 300_000)));
            now += 300_000;
            schedule.started();
            schedule.failed(&at(now), 128);
            assert!(schedule.is_suspected());
        }
        schedule.blocked(&at(now));
        assert_eq!(schedule.due(), Some(Millis(now + 300_000)));
        schedule.told_to_wait(&at(now), Millis::from_secs(600));
        assert_eq!(schedule.due(), Some(Millis(now + 600_000)));
    }

    #[test]
    fn waking_brings_suspected_attempts_forward_within_limits() {
        let mut schedule = Schedule::default();
        for _ in 0..3 {
            schedule.refused(&at(1000), 0);
        }
        schedule.retry_soon();
        assert_eq!(schedule.due(), Some(Millis(11_000)));
        assert!(!schedule.should_wait(&at(1000)));
    }

    #[test]
    fn calls_bring_suspected_attempts_forward() {
        let mut schedule = Schedule::default();
        for _ in 0..2 {
            schedule.refused(&at(1000), 0);
        }
        let due = schedule.due();
        schedule.called();
        assert_eq!(schedule.due(), due, "the session is not suspected");
        schedule.refused(&at(1000), 0);
        schedule.called();
        assert_eq!(schedule.due(), Some(Millis(31_000)));
        schedule.started();
        schedule.told_to_wait(&at(31_000), Millis::from_secs(600));
        schedule.called();
        assert_eq!(schedule.due(), Some(Millis(631_000)));
    }

    #[test]
    fn wait_in_an_outage_counts_from_the_start_of_the_attempt() {
        let mut schedule = Schedule::default();
        schedule.began(&at(0));
        for _ in 0..4 {
            schedule.failed(&at(0), 0);
        }
        for (took, due) in [(0, 5000), (3000, 5000), (4500, 5500)] {
            schedule.began(&at(1000));
            schedule.failed(&at(1000 + took), 0);
            schedule.unavailable();
            assert!(schedule.due() > Some(Millis(6000)), "{took}");
            schedule.called();
            assert_eq!(schedule.due(), Some(Millis(due)), "{took}");
        }
    }

    #[test]
    fn unusable_tokens_keep_the_start_of_an_outage() {
        let mut schedule = Schedule::default();
        let start = at(200_000);
        schedule.began(&start);
        for _ in 0..4 {
            schedule.failed(&start, 0);
        }
        schedule.grant_confirmed();
        schedule.began(&start);
        schedule.failed(&start, 0);
        schedule.unavailable();
        schedule.called();
        assert_eq!(schedule.due(), Some(Millis(204_000)));
    }

    /// Returns a schedule with opaque failures at these seconds. The provider could be reached after each failure.
    fn hidden(seconds: &[u64]) -> Schedule {
        let mut schedule = Schedule::default();
        for second in seconds {
            let now = at(second * 1000);
            schedule.failed(&now, 0);
            schedule.reachable(&now);
        }
        schedule
    }

    #[test]
    fn reopening_keeps_counts_and_suspicion() {
        let mut schedule = Schedule::default();
        for attempt in 0..2 {
            schedule.refused(&at(attempt), 0);
        }
        schedule.reopen();
        assert!(schedule.is_open(&at(2)));
        assert_eq!(schedule.due(), None);
        assert!(!schedule.is_suspected());
        schedule.refused(&at(3), 0);
        assert!(schedule.is_suspected());
        schedule.reopen();
        assert!(schedule.is_suspected());
    }

    #[test]
    fn reopening_keeps_the_count_of_opaque_failures() {
        let mut schedule = Schedule::default();
        for attempt in 0..4 {
            schedule.failed(&at(attempt * 40_000), 0);
            schedule.reachable(&at(attempt * 40_000));
        }
        schedule.reopen();
        schedule.failed(&at(121_000), 0);
        schedule.reachable(&at(121_000));
        assert!(schedule.is_suspected());

        // Also after `reopen`, the session is suspected only if the first failure is long enough ago.
        let mut schedule = Schedule::default();
        schedule.failed(&at(1_000_000), 0);
        schedule.reachable(&at(1_000_000));
        schedule.reopen();
        for attempt in 1..10 {
            schedule.failed(&at(1_000_000 + attempt), 0);
            schedule.reachable(&at(1_000_000 + attempt));
        }
        assert!(!schedule.is_suspected());
    }

    #[test]
    fn five_opaque_failures_in_two_minutes_count() {
        assert!(!hidden(&[0, 40, 80, 130]).is_suspected());
        assert!(!hidden(&[0, 1, 2, 3, 4, 5, 6, 7, 119]).is_suspected());
        assert!(hidden(&[0, 1, 2, 3, 120]).is_suspected());
        assert_eq!(hidden(&[0, 1, 2, 3, 120]).due(), Some(Millis(420_000)));
        // reopen() forgets the time of the last failure. A forgotten time must not count as a failure long ago.
        let mut schedule = Schedule::default();
        schedule.failed(&at(1000), 0);
        schedule.reopen();
        for second in 1..=MIN_HIDDEN {
            schedule.reachable(&at(1_000_000 + u64::from(second)));
        }
        assert!(!schedule.is_suspected());
        let mut schedule = hidden(&[0, 1, 2, 3]);
        schedule.unreachable();
        let now = at(120_000);
        schedule.failed(&now, 0);
        schedule.reachable(&now);
        assert!(!schedule.is_suspected());
    }

    #[test]
    fn refresh_margin_is_a_tenth_up_to_thirty_seconds() {
        assert_eq!(refresh_margin(Millis::from_secs(10)), Millis::from_secs(1));
        assert_eq!(
            refresh_margin(Millis::from_secs(3600)),
            Millis::from_secs(30)
        );
    }
}
