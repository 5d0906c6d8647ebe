//! What must hold in any world, whatever goes wrong and in whatever order.
//!
//! [`Watch`] sees what a host sees, and what the provider knows besides. It keeps its own account of
//! the session, by the rules and not by the vault's code, and stops the test at the first breach.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Display;

use strongroom::clock::{Instant, Millis};
use strongroom::config::Limits;
use strongroom::http::Outcome;
use strongroom::json::Value;

use super::provider::Endpoint;

macro_rules! invariants {
    ($($variant:ident = $name:literal, $sentence:literal;)+) => {
        /// A rule that no world may break.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Invariant { $($variant,)+ }

        impl Invariant {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// What it is called on a command line.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            pub(crate) const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }
        }
    };
}

invariants! {
    SingleFlight = "single_flight",
        "at most one token request is in flight per refresh token family";
    Consumed = "consumed",
        "a refresh token that is known to be consumed or refused is never sent to the token endpoint, nor a code twice";
    NeedlessReuse = "needless_reuse",
        "the provider meets a consumed refresh token only if its successor was lost, and within its leeway if nothing hindered that";
    PersistedFirst = "persisted_first",
        "nothing uses new tokens before the successor was handed to the store";
    DefiniteVerdict = "definite_verdict",
        "a session ends on a definite verdict, at once, and on nothing else";
    ProviderHeeded = "provider_heeded",
        "no refresh is sent before the time that the provider told to wait, nor after it asked for the user";
    ValidatedLogin = "validated_login",
        "a session begins with an ID token that was issued for its login and rightly signed, and with nothing else";
    Limits = "limits",
        "idle and absolute limits hold to the second";
    ExpiredToken = "expired_token",
        "no call is sent with a token that the vault knows to be expired";
    Settles = "settles",
        "every request of a page gets exactly one answer";
    OwnAnswer = "own_answer",
        "an answer is that of the page's own request and user";
    Agreement = "agreement",
        "all pages were told the same session";
    Secrecy = "secrecy",
        "no page is told anything secret";
    Recovery = "recovery",
        "after the last fault every session that the provider still honours works again within a bounded time, and so does a login";
    Sanity = "sanity",
        "the vault neither panics nor spins";
}

impl Invariant {
    /// Stops the test: the rule does not hold.
    #[track_caller]
    pub(crate) fn is_broken(self, detail: impl Display) -> ! {
        panic!("{}: {}: {detail}", self.name(), self.sentence())
    }

    #[track_caller]
    pub(crate) fn holds_if(self, holds: bool, detail: impl FnOnce() -> String) {
        if !holds {
            self.is_broken(detail());
        }
    }
}

/// How long a provider's leeway has to be for one lost answer to do no harm: a failure is noticed, the
/// first delay passes, and the network is not faster than it is.
const ENOUGH_LEEWAY: Millis = Millis::from_secs(5);

/// Tokens as the vault was told of them.
struct Issued {
    requested: Instant,
    lifetime: Millis,
}

/// A session by the rules.
#[derive(Clone, Copy)]
struct Session {
    family: usize,
    started: Instant,
    last_activity: Instant,
    /// When the access token of a session without refresh token was asked for, and how long it lives.
    ends_with_token: Option<(Instant, Millis)>,
}

/// What an ID token is.
#[derive(Clone)]
pub(crate) struct IdTokenFacts {
    pub(crate) family: usize,
    pub(crate) is_login: bool,
    /// It says another `sub` than that of its session.
    pub(crate) is_of_another_user: bool,
}

/// What an answer of the token endpoint says.
enum Reading {
    Tokens {
        access_token: String,
        refresh_token: Option<String>,
        lifetime: Millis,
    },
    Refused(String),
    Wait(Millis),
    Nothing,
}

/// How sessions ended, and what was lost on the way.
#[derive(Clone, Default)]
pub(crate) struct Ends {
    pub(crate) by_reason: BTreeMap<String, u64>,
    /// The successor was really lost, and the provider gives no leeway.
    pub(crate) lost_without_leeway: u64,
    /// The successor was really lost, and faults or sleep outlasted the leeway.
    pub(crate) lost_beyond_leeway: u64,
}

pub(crate) struct Watch {
    limits: Limits,
    /// It is told of the sessions of one vault that keeps nothing. What several vaults, or one after the
    /// other, make of a session that is kept is another account; of them it sees tokens only.
    has_sessions: bool,
    pub(crate) ends: Ends,
    /// How many sessions began.
    pub(crate) logins: u64,
    tokens: HashMap<String, Issued>,
    /// Refresh tokens and codes that must not be sent any more.
    dead: HashSet<String>,
    /// Refresh tokens whose successor was issued and has not arrived.
    lost: HashSet<String>,
    /// Families whose session another login has taken the place of: nobody needs them any more.
    replaced: HashSet<usize>,
    /// Families that the provider revoked because a consumed token came again, and its leeway.
    reused: HashMap<usize, Millis>,
    /// Tokens that the vault has, and may not use yet.
    unpersisted: Vec<String>,
    /// Sessions that logins may have begun: by family, and not seen by a page yet.
    begun: HashMap<usize, Session>,
    /// The login whose ID token was found good just now.
    adopting: Option<usize>,
    /// New tokens are adopted just now, and what waited for them is released.
    releases: bool,
    session: Option<Session>,
    /// Of a session that began when no page was there to be told.
    unseen: Option<Session>,
    /// The reasons for which the session may end.
    justified: BTreeSet<&'static str>,
    /// The session must end with the input that is being handled.
    must_end: Option<&'static str>,
    /// No refresh of the family before so long after that moment.
    told_to_wait: Option<(usize, Instant, Millis)>,
    needs_user: Option<usize>,
    /// Failed refreshes since the last that worked.
    failures: u32,
    /// The network or the device was slow since the last refresh that worked.
    is_hindered: bool,
}

impl Watch {
    pub(crate) fn new(limits: Limits, has_sessions: bool) -> Self {
        Self {
            limits,
            has_sessions,
            ends: Ends::default(),
            logins: 0,
            tokens: HashMap::new(),
            dead: HashSet::new(),
            lost: HashSet::new(),
            replaced: HashSet::new(),
            reused: HashMap::new(),
            unpersisted: Vec::new(),
            begun: HashMap::new(),
            adopting: None,
            releases: false,
            session: None,
            unseen: None,
            justified: BTreeSet::new(),
            must_end: None,
            told_to_wait: None,
            needs_user: None,
            failures: 0,
            is_hindered: false,
        }
    }

    /// The worker is gone, with all it knew.
    pub(crate) fn restarted(&mut self) {
        let fresh = Self::new(self.limits, self.has_sessions);
        *self = Self {
            ends: std::mem::take(&mut self.ends),
            logins: self.logins,
            tokens: std::mem::take(&mut self.tokens),
            dead: std::mem::take(&mut self.dead),
            lost: std::mem::take(&mut self.lost),
            reused: std::mem::take(&mut self.reused),
            replaced: std::mem::take(&mut self.replaced),
            ..fresh
        };
    }

    /// Something kept the vault from being as prompt as it would be.
    pub(crate) fn hinder(&mut self) {
        self.is_hindered = true;
    }

    /// A control: everything that was issued counts as consumed.
    pub(crate) fn count_as_dead<'a>(&mut self, secrets: impl Iterator<Item = &'a str>) {
        self.dead.extend(secrets.map(str::to_owned));
    }

    /// The family of the session that pages know of.
    pub(crate) fn family(&self) -> Option<usize> {
        self.session.map(|session| session.family)
    }

    // Inputs

    /// Before the vault handles anything.
    pub(crate) fn before(&mut self, now: &Instant) {
        if !self.has_sessions {
            return;
        }
        let reason = self.session.and_then(|session| self.limit(&session, now));
        self.require_end(reason);
        // Of two limits that are reached at once either is a reason.
        let is_idle = |session: Session| session.last_activity.elapsed(now) >= self.limits.idle;
        if self.session.is_some_and(is_idle) {
            self.justified.insert("idle");
        }
        let unseen = self.unseen.and_then(|session| self.limit(&session, now));
        self.justified.extend(unseen);
    }

    /// After the vault handled it. `has_pages`: somebody could be told. `next_tick`: when the vault
    /// wants to be woken.
    pub(crate) fn after(&mut self, now: &Instant, has_pages: bool, next_tick: Option<Millis>) {
        self.adopting = None;
        self.releases = false;
        let must_end = self.must_end.take();
        let Some(session) = self.session.filter(|_| has_pages) else {
            return;
        };
        if let Some(reason) = must_end {
            let is_limit = !matches!(reason, "provider_ended" | "security" | "logged_out");
            let invariant = if is_limit {
                Invariant::Limits
            } else {
                Invariant::DefiniteVerdict
            };
            invariant.is_broken(format!("{reason}, and the session goes on"));
        }
        let end = now.monotonic + self.until_limit(&session, now);
        let is_timed = next_tick.is_some_and(|tick| tick <= end);
        Invariant::Limits.holds_if(is_timed, || {
            "no timer is set for the session's end".to_owned()
        });
    }

    fn require_end(&mut self, reason: Option<&'static str>) {
        self.justified.extend(reason);
        self.must_end = self.must_end.or(reason);
    }

    fn limit(&self, session: &Session, now: &Instant) -> Option<&'static str> {
        let is_over = |since: &Instant, limit: Millis| since.elapsed(now) >= limit;
        if is_over(&session.started, self.limits.absolute) {
            Some("absolute")
        } else if is_over(&session.last_activity, self.limits.idle) {
            Some("idle")
        } else {
            let (requested, lifetime) = session.ends_with_token?;
            is_over(&requested, lifetime).then_some("expired")
        }
    }

    fn until_limit(&self, session: &Session, now: &Instant) -> Millis {
        let left = |since: &Instant, limit: Millis| limit.saturating_sub(since.elapsed(now));
        let absolute = left(&session.started, self.limits.absolute);
        let idle = left(&session.last_activity, self.limits.idle);
        let token = session.ends_with_token;
        let token = token.map_or(Millis::MAX, |(requested, life)| left(&requested, life));
        absolute.min(idle).min(token)
    }

    /// A page made a request that counts as the user's doing.
    pub(crate) fn touched(&mut self, now: &Instant) {
        for session in [&mut self.session, &mut self.unseen].into_iter().flatten() {
            session.last_activity = *now;
        }
    }

    /// A page logs out.
    pub(crate) fn logs_out(&mut self) {
        self.require_end(Some("logged_out"));
    }

    /// The answer of the token endpoint to a request that was sent at `requested` is about to reach
    /// the vault.
    pub(crate) fn replied(
        &mut self,
        endpoint: Endpoint,
        sent: &str,
        family: Option<usize>,
        outcome: &Outcome,
        (requested, now): (&Instant, &Instant),
    ) {
        match (endpoint, read(outcome)) {
            (
                Endpoint::Exchange,
                Reading::Tokens {
                    access_token,
                    refresh_token,
                    lifetime,
                },
            ) => {
                self.learn(access_token, requested, lifetime);
                let has_refresh_token = refresh_token.is_some();
                let session = family.map(|family| Session {
                    family,
                    started: *requested,
                    last_activity: *requested,
                    ends_with_token: (!has_refresh_token).then_some((*requested, lifetime)),
                });
                self.begun
                    .extend(session.map(|session| (session.family, session)));
            }
            (
                Endpoint::Refresh,
                Reading::Tokens {
                    access_token,
                    refresh_token,
                    lifetime,
                },
            ) => {
                self.learn(access_token.clone(), requested, lifetime);
                self.unpersisted = vec![access_token];
                if let Some(successor) = refresh_token {
                    self.dead.insert(sent.to_owned());
                    self.lost.remove(sent);
                    self.unpersisted.push(successor);
                }
                (self.failures, self.is_hindered) = (0, false);
                self.told_to_wait = None;
            }
            (Endpoint::Refresh, reading) => {
                self.failures += 1;
                let Some(family) = family else { return };
                self.failed(sent, family, reading, now);
            }
            _ => {}
        }
    }

    fn learn(&mut self, access_token: String, requested: &Instant, lifetime: Millis) {
        let requested = *requested;
        self.tokens.insert(
            access_token,
            Issued {
                requested,
                lifetime,
            },
        );
    }

    /// The table of section 4 of the design.
    fn failed(&mut self, sent: &str, family: usize, reading: Reading, now: &Instant) {
        match reading {
            Reading::Refused(code) => match code.as_str() {
                "invalid_grant" => {
                    self.dead.insert(sent.to_owned());
                    if self.unseen.is_some_and(|session| session.family == family) {
                        self.justified.insert("provider_ended");
                    }
                    if self.family() == Some(family) {
                        self.require_end(Some("provider_ended"));
                    }
                }
                "interaction_required" | "login_required" | "consent_required" | "mfa_required" => {
                    self.needs_user = Some(family);
                }
                "temporarily_unavailable" | "server_error" | "slow_down" => {}
                _ => self.told_to_wait = Some((family, *now, Millis::from_secs(60))),
            },
            Reading::Wait(wait) => self.told_to_wait = Some((family, *now, wait)),
            Reading::Tokens { .. } | Reading::Nothing => {}
        }
    }

    /// The time of a refresh was over before its answer came.
    pub(crate) fn timed_out(&mut self) {
        self.failures += 1;
        self.is_hindered = true;
    }

    /// The store answered, whether or not it worked.
    pub(crate) fn persisted(&mut self) {
        self.unpersisted.clear();
        self.releases = true;
    }

    /// The signature of an ID token was checked.
    pub(crate) fn verified(&mut self, facts: &IdTokenFacts, valid: bool, now: &Instant) {
        if !valid {
            return;
        }
        if facts.is_login {
            self.releases = true;
            self.adopting = Some(facts.family);
            if let Some(begun) = self.begun.get_mut(&facts.family) {
                begun.last_activity = *now;
            }
        } else if facts.is_of_another_user {
            if self.unseen.is_some_and(|s| s.family == facts.family) {
                self.justified.insert("security");
            }
            if self.family() == Some(facts.family) {
                self.require_end(Some("security"));
            }
        }
    }

    /// Nobody was told of the session that may have begun: the next page will be.
    pub(crate) fn nobody_told(&mut self) {
        if !self.has_sessions {
            return;
        }
        if let Some(family) = self.adopting {
            self.unseen = self.begun.get(&family).copied().or(self.unseen);
        }
    }

    // Outputs

    /// The vault sends a code or refresh token to the token endpoint. `in_flight`: how many such
    /// requests for the same family are under way already.
    pub(crate) fn token_request(
        &mut self,
        endpoint: Endpoint,
        sent: &str,
        family: Option<usize>,
        in_flight: usize,
        now: &Instant,
    ) {
        let what = format!("{endpoint:?} of family {family:?}");
        Invariant::SingleFlight.holds_if(in_flight == 0, || what.clone());
        Invariant::Consumed.holds_if(!self.dead.contains(sent), || what.clone());
        if endpoint == Endpoint::Exchange {
            self.dead.insert(sent.to_owned());
            return;
        }
        let is_persisted = !self.unpersisted.iter().any(|token| token == sent);
        Invariant::PersistedFirst.holds_if(is_persisted, || what.clone());
        Invariant::ProviderHeeded.holds_if(self.needs_user != family || family.is_none(), || {
            format!("{what}, which needs the user")
        });
        // Once it was over, it is over, even if a clock is set back.
        if let Some((waiting, since, wait)) = self.told_to_wait.take()
            && Some(waiting) == family
        {
            let waited = since.elapsed(now);
            Invariant::ProviderHeeded.holds_if(waited >= wait, || {
                format!(
                    "{what}, {} of {} ms after it was told to wait",
                    waited.0, wait.0
                )
            });
            // It is over, though a clock that is set back later should say otherwise.
            self.told_to_wait = None;
        }
    }

    /// The vault sends a page's call to an API.
    pub(crate) fn call(&mut self, access_token: &str, now: &Instant) {
        let is_persisted = !self.unpersisted.iter().any(|token| token == access_token);
        Invariant::PersistedFirst.holds_if(is_persisted, || "a call".to_owned());
        let Some(issued) = self.tokens.get(access_token) else {
            Invariant::OwnAnswer.is_broken("a call carries what is no access token");
        };
        // One that waited may find that the new token expired on its way: the API has the last word.
        let age = issued.requested.elapsed(now);
        Invariant::ExpiredToken.holds_if(age < issued.lifetime || self.releases, || {
            format!("it is {} ms old and lives {} ms", age.0, issued.lifetime.0)
        });
    }

    /// A page is told of a session that began at `started_at`, by the wall clock.
    pub(crate) fn told_session(&mut self, started_at: u64) {
        if !self.has_sessions {
            return;
        }
        if let Some(family) = self.adopting
            && self.family() != Some(family)
            && let Some(begun) = self.begun.remove(&family)
        {
            return self.adopt(begun);
        }
        if let Some(unseen) = self.unseen
            && unseen.started.wall == started_at
        {
            return self.adopt(unseen);
        }
        let is_known = self.session.is_some_and(|s| s.started.wall == started_at);
        Invariant::ValidatedLogin.holds_if(is_known, || "a session out of nowhere".to_owned());
    }

    fn adopt(&mut self, session: Session) {
        self.replaced.extend(self.family());
        self.session = Some(session);
        self.logins += 1;
        self.unseen = None;
        self.justified.clear();
        self.must_end = None;
        self.told_to_wait = None;
        self.needs_user = None;
        (self.failures, self.is_hindered) = (0, false);
    }

    /// A page is told that there is no session.
    pub(crate) fn told_no_session(&mut self, reason: Option<&str>) {
        if !self.has_sessions {
            return;
        }
        // A login that nobody saw the end of may have failed.
        self.unseen = None;
        let Some(session) = self.session.take() else {
            return;
        };
        let reason = reason.unwrap_or("no reason");
        Invariant::DefiniteVerdict.holds_if(self.justified.contains(reason), || {
            format!("it ended for {reason} without one")
        });
        *self.ends.by_reason.entry(reason.to_owned()).or_default() += 1;
        if reason == "provider_ended" {
            match self.reused.get(&session.family) {
                None => {}
                Some(&Millis::ZERO) => self.ends.lost_without_leeway += 1,
                Some(_) => self.ends.lost_beyond_leeway += 1,
            }
        }
        self.justified.clear();
    }

    // What the provider knows

    /// A refresh token was consumed; its successor is on its way.
    pub(crate) fn rotated(&mut self, sent: &str) {
        self.lost.insert(sent.to_owned());
    }

    /// A consumed refresh token came again, and its family is revoked.
    pub(crate) fn reused(&mut self, sent: &str, family: usize, leeway: Millis) {
        let was_lost = self.lost.contains(sent);
        Invariant::NeedlessReuse.holds_if(was_lost, || format!("family {family}"));
        let should_have_been_in_time = leeway >= ENOUGH_LEEWAY
            && self.failures <= 1
            && !self.is_hindered
            && !self.replaced.contains(&family);
        Invariant::NeedlessReuse.holds_if(!should_have_been_in_time, || {
            format!("family {family}, {} ms of leeway were not used", leeway.0)
        });
        self.reused.insert(family, leeway);
    }
}

fn read(outcome: &Outcome) -> Reading {
    let Outcome::Reply(reply) = outcome else {
        return Reading::Nothing;
    };
    let wait = |told: Option<Millis>| {
        // A second at least, and at most as long as the vault believes.
        let wait = told.unwrap_or(Millis::from_secs(1));
        wait.clamp(Millis::from_secs(1), Millis::from_secs(600))
    };
    match (reply.status, reply.retry_after) {
        (429, told) | (503, told @ Some(_)) => return Reading::Wait(wait(told)),
        _ => {}
    }
    let body = reply
        .body
        .as_ref()
        .and_then(|body| Value::parse(body.expose()).ok());
    let Some(object) = body.as_ref().and_then(Value::as_object) else {
        return Reading::Nothing;
    };
    let text = |name| object.str(name).map(str::to_owned);
    match (reply.status, text("access_token"), text("error")) {
        (200, Some(access_token), _) => Reading::Tokens {
            access_token,
            refresh_token: text("refresh_token"),
            lifetime: object
                .get("expires_in")
                .and_then(Value::as_u64)
                .map_or(Millis::from_secs(300), Millis::from_secs),
        },
        (400..=499, _, Some(code)) if reply.status != 408 && is_word(&code) => {
            Reading::Refused(code)
        }
        _ => Reading::Nothing,
    }
}

/// An outcome, for people.
pub(crate) fn in_words(outcome: &Outcome) -> String {
    match (read(outcome), outcome) {
        (Reading::Tokens { .. }, _) => "tokens".to_owned(),
        (Reading::Refused(code), _) => format!("refused, {code}"),
        (Reading::Wait(wait), _) => format!("told to wait for {} s", wait.as_secs()),
        (Reading::Nothing, Outcome::Failed) => "the network failed".to_owned(),
        (Reading::Nothing, Outcome::Reply(reply)) => format!("status {}", reply.status),
    }
}

/// What is no word may be anything, a token for instance, and is no error code.
fn is_word(code: &str) -> bool {
    (1..=40).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}
