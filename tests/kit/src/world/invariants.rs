//! Invariants of every world, for all faults and all orders of events.
//!
//! [`Watch`] sees the vault's input and output, and also the provider's state. It tracks the session independently of
//! the vault's code, by the rules of the specification, and stops the test at the first broken rule.

mod store;
mod suspicion;
mod token_response;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rules::base::clock::{Instant, Millis, UnixMillis};
use rules::base::http::Outcome;
use rules::config::Limits;

use super::elapsed::Since;
use super::provider::Endpoint;
use super::sessions::Sessions;
use suspicion::Suspicion;
use token_response::{Reading, is_about_proof, is_misconfiguration, read};
pub use token_response::{in_words, is_refusal_of_target};

crate::invariants! {
    SingleFlight = "single_flight",
        "at most one token request is in flight per refresh token family";
    Consumed = "consumed",
        "no vault sends a refresh token that it knows to be consumed or rejected, nor a code twice";
    NeedlessReuse = "needless_reuse",
        "the provider receives a consumed refresh token only if its successor was lost, and within the leeway unless something delayed the vault";
    PersistedFirst = "persisted_first",
        "new tokens are not used before the successor was handed to the store";
    DefiniteVerdict = "definite_verdict",
        "a definite rejection ends the session at once, and nothing else does";
    ProviderHeeded = "provider_heeded",
        "no refresh is sent before the provider's waiting time is over, nor after the provider required the user";
    Suspicion = "suspicion",
        "pages are told that a session needs its user only if the provider said so, rejected three refreshes without a reason, sent a gateway's page three times over twenty seconds or six times, or hid five rejections over two minutes while it was reachable; a successful refresh ends this";
    ValidatedLogin = "validated_login",
        "a session starts only with a correctly signed ID token that was issued for its login";
    UnderLock = "under_lock",
        "only the vault that holds the lock writes the shared session, or sends a refresh token that was stored";
    EndStays = "end_stays",
        "a session whose end was stored has ended in every vault that has read the store since";
    Limits = "limits",
        "idle and absolute limits are exact to the second, and activity counts in other vaults after sixteen seconds";
    ExpiredToken = "expired_token",
        "no call is sent with a token that the vault knows to be expired";
    Answered = "answered",
        "every request of a page gets exactly one response";
    Settled = "settled",
        "every call and logout of a page gets its response within three minutes after the last fault";
    Revoked = "revoked",
        "the provider accepts no refresh token of a session if its logout says that it has revoked the token";
    OwnResponse = "own_response",
        "each response belongs to the page's own request and user";
    OwnToken = "own_token",
        "an API receives only access tokens issued for the resource that its own rule names";
    Searched = "searched",
        "after a vault has sent an access token, each of its searched responses and sockets is searched for this token, unless it is searched for eight others";
    OwnAccount = "own_account",
        "no call, request or message of one account has a token, user or session of another account, and with `logout: 'forget'` no end in one account revokes a grant";
    Proven = "proven",
        "every request with a bound token, or for one, has its own proof by the token's key";
    Unproven = "unproven",
        "after a sign that the network may have changed, a refresh token leaves only after a server has answered, unless it may be spent already or no probe can be answered; without such a sign there is no probe";
    Agreement = "agreement",
        "all pages were told of the same session";
    Secrecy = "secrecy",
        "no page receives a secret";
    Recovery = "recovery",
        "after the last fault, every session that the provider still accepts works again within a bounded time, and so does a login";
    Sanity = "sanity",
        "the vault does not panic and does not loop";
}

/// The shortest leeway of a provider with which one lost response does no harm. Within this time the vault notices the
/// failure, waits for the first retry delay, and repeats the request over a slow network.
const ENOUGH_LEEWAY: Millis = Millis::from_secs(5);

/// Facts about tokens that a vault received.
struct Issued {
    /// Estimates of the time of the token request. The vault may use any of them.
    requested: Vec<Instant>,
    lifetime: Millis,
}

impl Issued {
    fn age(&self, now: &Instant) -> Millis {
        let ages = self.requested.iter().map(|at| at.passed(now));
        ages.min().unwrap_or(Millis::MAX)
    }
}

/// A login whose code has been exchanged.
struct Begun {
    requested: Instant,
    /// The time of the token request by the provider's clock.
    true_time: UnixMillis,
    /// For a session without a refresh token: the time of the token request, and the token's lifetime.
    ends_with_token: Option<(Instant, Millis)>,
}

/// The reason for the end of a session whose end the provider has stated. The oracle does not know when that is.
pub const STATED_END: &str = "session_expired";

/// Facts about an ID token.
#[derive(Clone)]
pub struct IdTokenFacts {
    pub family: usize,
    pub is_login: bool,
    /// The reason for which the token of a refresh ends the session, if it does.
    pub ends_for: Option<&'static str>,
}

/// Numbers of sessions that have ended, by reason and by kind of loss.
#[derive(Clone, Default)]
pub struct Ends {
    pub by_reason: BTreeMap<String, u64>,
    /// Sessions that ended because the vault did not receive a new refresh token, and the provider has no leeway.
    pub lost_without_leeway: u64,
    /// Sessions that ended because the vault did not receive a new refresh token, and faults or sleep outlasted the
    /// provider's leeway.
    pub lost_beyond_leeway: u64,
    /// Sessions that ended because a worker was killed before the store had the new refresh token.
    pub lost_with_worker: u64,
}

/// Reasons why a consumed refresh token was sent again although the vault made no mistake.
#[derive(Clone, Copy)]
enum Loss {
    NoLeeway,
    BeyondLeeway,
    WithWorker,
}

/// Vaults that know that a refresh token or code must not be sent again.
#[derive(Default)]
struct Knowers {
    vaults: BTreeSet<usize>,
    /// Vaults that know it, and from which another vault has since taken the lock over.
    overtaken: BTreeSet<usize>,
    /// True if every vault that reads the store knows that the token or code must not be sent again.
    store: bool,
}

pub struct Watch {
    pub sessions: Sessions,
    pub ends: Ends,
    /// Number of sessions that started.
    pub logins: u64,
    /// Access tokens that vaults have.
    tokens: HashMap<(usize, String), Issued>,
    /// Refresh tokens and codes that must not be sent again.
    dead: HashMap<String, Knowers>,
    /// Consumed refresh tokens whose successor has not arrived at the vault, with the failures and delays so far.
    lost: HashMap<String, Trouble>,
    /// Lost refresh tokens whose successor was in a worker that ended.
    lost_with_worker: HashSet<String>,
    /// The sessions that were written to the store.
    stored_states: Vec<String>,
    /// Families whose session was replaced by another login and is no longer needed.
    replaced: HashSet<usize>,
    /// Families that the provider revoked because it received a consumed token again, with the reason why the token was
    /// sent again.
    reused: HashMap<usize, Loss>,
    /// Tokens that a vault must not use yet, because the store does not have the new refresh token.
    unpersisted: BTreeMap<usize, Vec<String>>,
    /// By family.
    begun: HashMap<usize, Begun>,
    /// Families whose refresh token is consumed and has no usable successor. Their sessions end with the access token.
    without_refresh_token: BTreeSet<usize>,
    /// True if the provider has stated when a session ends.
    states_ends: bool,
    /// For each vault, a period during which the vault must not send a refresh: the family, the start and the duration.
    told_to_wait: BTreeMap<usize, (usize, Instant, Millis)>,
    needs_user: BTreeMap<usize, usize>,
    /// Families for which the provider has ever required the user to sign in. A stored session records this fact too.
    asked_for_user: BTreeSet<usize>,
    /// True if a server other than the provider has responded at an old endpoint.
    has_moved: bool,
    /// For each vault, signs that a grant has ended although the provider's responses do not say so.
    suspicions: BTreeMap<usize, Suspicion>,
    /// Vaults whose pages were told that the user must sign in again.
    told_to_interact: BTreeSet<usize>,
    /// Number of delays so far, and this number at each family's login and last successful refresh.
    delays: u64,
    delays_before: BTreeMap<usize, u64>,
    /// The time at which each family's last successful refresh was sent, by the provider's clock.
    refreshed: BTreeMap<usize, UnixMillis>,
    /// The number of failed refreshes of each family since the family's last successful refresh. The vault's wait grows
    /// with each failure. A successful refresh of another family does not shorten this wait.
    failures: BTreeMap<usize, u32>,
}

/// Reasons for which a vault may be slower than usual.
#[derive(Clone, Copy, Default)]
struct Trouble {
    /// The number of failed refreshes.
    failures: u32,
    /// The network, the store or the device was slow.
    is_hindered: bool,
    /// A worker has ended since, which may have known that the response to a refresh was lost.
    is_forgotten: bool,
}

impl Watch {
    pub fn new(limits: Limits) -> Self {
        Self {
            sessions: Sessions::new(limits),
            ends: Ends::default(),
            logins: 0,
            tokens: HashMap::new(),
            dead: HashMap::new(),
            lost: HashMap::new(),
            lost_with_worker: HashSet::new(),
            stored_states: Vec::new(),
            replaced: HashSet::new(),
            reused: HashMap::new(),
            unpersisted: BTreeMap::new(),
            begun: HashMap::new(),
            without_refresh_token: BTreeSet::new(),
            states_ends: false,
            told_to_wait: BTreeMap::new(),
            needs_user: BTreeMap::new(),
            asked_for_user: BTreeSet::new(),
            has_moved: false,
            suspicions: BTreeMap::new(),
            told_to_interact: BTreeSet::new(),
            delays: 0,
            delays_before: BTreeMap::new(),
            refreshed: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Records that a worker ended and lost its memory.
    pub fn killed(&mut self, vault: usize) {
        self.tokens.retain(|(holder, _), _| *holder != vault);
        self.unpersisted.remove(&vault);
        self.told_to_wait.remove(&vault);
        self.needs_user.remove(&vault);
        self.suspicions.remove(&vault);
        self.told_to_interact.remove(&vault);
        for (token, knowers) in &mut self.dead {
            knowers.overtaken.remove(&vault);
            let knew = knowers.vaults.remove(&vault);
            if knew && knowers.vaults.is_empty() && !knowers.store {
                self.lost.insert(token.clone(), Trouble::default());
                self.lost_with_worker.insert(token.clone());
            }
        }
        self.hinder();
        let lost = self.lost.values_mut();
        lost.for_each(|lost| lost.is_forgotten = true);
        self.sessions.killed(vault);
    }

    /// Records that a worker was killed while a response with the successor of this token may have been in flight.
    pub fn lost_on_its_way(&mut self, sent: &str) {
        if self.lost.contains_key(sent) {
            self.lost_with_worker.insert(sent.to_owned());
        }
    }

    /// Records that another vault took the lock over while this one was frozen. What only this vault knows to be consumed,
    /// another vault may now send.
    pub fn overtaken(&mut self, vault: usize) {
        for (token, knowers) in &mut self.dead {
            if !knowers.store && knowers.vaults.remove(&vault) {
                knowers.overtaken.insert(vault);
                self.lost.entry(token.clone()).or_default();
                self.lost_with_worker.insert(token.clone());
            }
        }
        self.hinder();
        self.sessions.unlocked(vault);
    }

    /// Records that something delayed the vault.
    pub fn hinder(&mut self) {
        self.delays += 1;
        let lost = self.lost.values_mut();
        lost.for_each(|lost| lost.is_hindered = true);
    }

    /// Records that a refresh of this family failed.
    fn note_failure(&mut self, family: Option<usize>) {
        self.lost.values_mut().for_each(|lost| lost.failures += 1);
        if let Some(family) = family {
            *self.failures.entry(family).or_default() += 1;
        }
    }

    /// Counts these secrets as consumed, so that a control experiment can check that the oracle notices their use.
    pub fn count_as_dead<'a>(&mut self, secrets: impl Iterator<Item = &'a str>) {
        for secret in secrets {
            self.dead.entry(secret.to_owned()).or_default().store = true;
        }
    }

    /// Accepts sessions that end because the provider has stated their end.
    pub fn accept_stated_ends(&mut self) {
        self.states_ends = true;
    }

    // Inputs

    /// Updates the oracle before a vault handles an input.
    pub fn before(&mut self, vault: usize, now: &Instant, holds_lock: bool) {
        // Once the vault no longer has to wait, it does not have to wait again if a clock is set back.
        let waits = |(_, since, wait): &mut (usize, Instant, Millis)| since.passed(now) < *wait;
        self.told_to_wait
            .retain(|who, told| *who != vault || waits(told));
        self.sessions.before(vault, now, holds_lock);
    }

    /// Checks the vault after it has handled an input. `has_pages` is true if a page is connected. `next_tick` is the
    /// time at which the vault's timer is due.
    pub fn after(
        &mut self,
        vault: usize,
        now: &Instant,
        has_pages: bool,
        next_tick: Option<Millis>,
        is_tick: bool,
    ) {
        let sessions = &self.sessions;
        if has_pages {
            self.check_suspicion(vault);
        } else if sessions.uses_store(vault) {
            // The session may end in this vault and come back through the store without a message to a page.
            let known = self.suspicions.get_mut(&vault);
            known.into_iter().for_each(|known| known.may_be_over = true);
            // The session ends in this vault at the idle limit, and comes back if another vault later stores activity.
            // After that, this vault may no longer know that the provider required the user.
            self.needs_user
                .retain(|who, family| *who != vault || !sessions.may_be_idle(vault, *family, now));
        }
        self.sessions
            .after(vault, now, has_pages, next_tick, is_tick);
    }

    /// Records that the response of the token endpoint to a request sent at `requested` is about to reach the vault.
    /// `true_time` is the time of the request by the provider's clock.
    pub fn replied(
        &mut self,
        endpoint: Endpoint,
        sent: &str,
        family: Option<usize>,
        outcome: &Outcome,
        (vault, requested, now): (usize, &Instant, &Instant),
        true_time: UnixMillis,
    ) {
        match (endpoint, read(outcome)) {
            // The error concerns only the proof (RFC 9449 section 8), so the code is still valid.
            (Endpoint::Exchange, Reading::Refused(code)) if is_about_proof(&code) => {
                self.dead.remove(sent);
            }
            (
                Endpoint::Exchange,
                Reading::Tokens {
                    access_token,
                    refresh_token,
                    lifetime,
                    ..
                },
            ) => {
                self.learn(vault, access_token, requested, lifetime);
                let has_refresh_token = refresh_token.is_some();
                let begun = Begun {
                    requested: *requested,
                    true_time,
                    ends_with_token: (!has_refresh_token).then_some((*requested, lifetime)),
                };
                self.begun.extend(family.map(|family| (family, begun)));
            }
            (Endpoint::Refresh, reading @ (Reading::Tokens { .. } | Reading::Rotated(_))) => {
                let mut unpersisted = Vec::new();
                let (successor, is_lost) = match reading {
                    Reading::Tokens {
                        access_token,
                        refresh_token,
                        lifetime,
                        is_lost,
                    } => {
                        // The refresh token that was sent stays valid.
                        let lifetime = match lifetime {
                            Millis::MAX => Millis::from_secs(300),
                            known => known,
                        };
                        self.learn(vault, access_token.clone(), requested, lifetime);
                        unpersisted.push(access_token);
                        (refresh_token, is_lost)
                    }
                    Reading::Rotated(successor) => {
                        let is_lost = successor.is_none();
                        (successor, is_lost)
                    }
                    _ => (None, false),
                };
                if successor.is_some() || is_lost {
                    self.dies(sent, vault);
                    self.lost.remove(sent);
                    self.lost_with_worker.remove(sent);
                }
                unpersisted.extend(successor);
                if is_lost {
                    self.without_refresh_token.extend(family);
                }
                self.unpersisted.insert(vault, unpersisted);
                if let Some(family) = family {
                    self.failures.remove(&family);
                    self.delays_before.insert(family, self.delays);
                    self.refreshed.insert(family, true_time);
                }
                if !self.is_of_former_session(vault, family) {
                    self.suspicions.remove(&vault);
                }
                let elsewhere = self.suspicions.values_mut();
                for known in elsewhere.filter(|known| Some(known.family) == family) {
                    known.may_be_over = true;
                }
                self.told_to_wait
                    .retain(|_, (waiting, ..)| Some(*waiting) != family);
                self.needs_user
                    .retain(|_, waiting| Some(*waiting) != family);
            }
            (Endpoint::Refresh, reading) => {
                self.note_failure(family);
                let Some(family) = family else { return };
                self.suspect(family, outcome, vault, now);
                self.failed(sent, family, reading, (vault, now));
                if self.refreshed.get(&family) > Some(&true_time) {
                    // The provider has served a later refresh, which the vault may learn of from the store.
                    self.told_to_wait.remove(&vault);
                }
            }
            _ => {}
        }
    }

    fn dies(&mut self, secret: &str, vault: usize) {
        let knowers = self.dead.entry(secret.to_owned()).or_default();
        knowers.vaults.insert(vault);
    }

    fn learn(&mut self, vault: usize, access_token: String, requested: &Instant, lifetime: Millis) {
        let requested = vec![*requested];
        self.tokens.insert(
            (vault, access_token),
            Issued {
                requested,
                lifetime,
            },
        );
    }

    /// Records a failed refresh, and derives the expected outcome from the provider's response.
    fn failed(
        &mut self,
        sent: &str,
        family: usize,
        reading: Reading,
        (vault, now): (usize, &Instant),
    ) {
        match reading {
            Reading::Refused(code) => match code.as_str() {
                "invalid_grant" => {
                    self.dies(sent, vault);
                    self.sessions.verdict(vault, family, "provider_ended");
                }
                "interaction_required" | "login_required" | "consent_required" | "mfa_required" => {
                    self.needs_user.insert(vault, family);
                    self.asked_for_user.insert(family);
                }
                "temporarily_unavailable" | "server_error" | "slow_down" => {}
                code if !is_misconfiguration(code) => {}
                _ => {
                    let wait = Millis::from_secs(60);
                    self.told_to_wait.insert(vault, (family, *now, wait));
                }
            },
            Reading::Wait(wait) => {
                self.told_to_wait.insert(vault, (family, *now, wait));
            }
            Reading::Tokens { .. } | Reading::Rotated(_) | Reading::Nothing => {}
        }
    }

    /// Records that a refresh of this family timed out.
    pub fn timed_out(&mut self, vault: usize, family: Option<usize>) {
        if !self.is_of_former_session(vault, family) {
            self.answered_readably(vault);
        }
        self.note_failure(family);
        self.hinder();
    }

    /// Records that the signature of an ID token was checked.
    pub fn verified(&mut self, vault: usize, facts: &IdTokenFacts, valid: bool, now: &Instant) {
        let family = facts.family;
        if !valid {
            return;
        }
        if facts.is_login
            && let Some(begun) = self.begun.get(&family)
        {
            let times = (&begun.requested, now);
            let ends = begun.ends_with_token;
            self.sessions
                .begins(vault, family, times, ends, begun.true_time);
        } else if let Some(reason) = facts.ends_for {
            self.sessions.verdict(vault, family, reason);
        }
    }

    // Outputs

    /// Records that the vault sends a code or refresh token to the token endpoint. `in_flight` is the number of
    /// requests for the same family that are already in flight.
    pub fn token_request(
        &mut self,
        endpoint: Endpoint,
        sent: &str,
        family: Option<usize>,
        in_flight: usize,
        (vault, now, has_lock): (usize, &Instant, bool),
    ) {
        let what = format!("{endpoint:?} of family {family:?}");
        Invariant::SingleFlight.holds_if(in_flight == 0, || what.clone());
        let is_known = |knowers: &Knowers| {
            knowers.store || !knowers.vaults.is_empty() || knowers.overtaken.contains(&vault)
        };
        let is_dead = self.dead.get(sent).is_some_and(is_known);
        Invariant::Consumed.holds_if(!is_dead, || what.clone());
        if endpoint == Endpoint::Exchange {
            self.dead.entry(sent.to_owned()).or_default().store = true;
            return;
        }
        // Other vaults do not know a refresh token that was never stored. JSON escapes what follows the first space.
        let token = sent.split(' ').next().unwrap_or_default();
        let was_stored = self.stored_states.iter().any(|state| state.contains(token));
        let may_send = has_lock || !was_stored;
        Invariant::UnderLock.holds_if(may_send, || what.clone());
        Invariant::PersistedFirst.holds_if(self.may_use(vault, sent), || what.clone());
        let needs_user = self.needs_user.get(&vault).copied();
        Invariant::ProviderHeeded.holds_if(needs_user != family || family.is_none(), || {
            format!("{what}, which needs the user")
        });
        if let Some((waiting, since, wait)) = self.told_to_wait.remove(&vault) {
            Invariant::ProviderHeeded.holds_if(Some(waiting) != family, || {
                let waited = since.passed(now);
                format!(
                    "{what}, {} of {} ms after it was told to wait",
                    waited.0, wait.0
                )
            });
        }
    }

    /// Returns true if the vault may use this token.
    fn may_use(&self, vault: usize, secret: &str) -> bool {
        let unpersisted = self.unpersisted.get(&vault);
        unpersisted.is_none_or(|tokens| !tokens.iter().any(|token| token == secret))
    }

    /// Records that the vault sends a page's call to an API.
    pub fn call(&mut self, vault: usize, access_token: &str, family: Option<usize>, now: &Instant) {
        let may_use = self.may_use(vault, access_token);
        Invariant::PersistedFirst.holds_if(may_use, || "a call".to_owned());
        let Some(issued) = self.tokens.get(&(vault, access_token.to_owned())) else {
            Invariant::OwnResponse
                .is_broken("a call carries a token that is not an access token of its vault");
        };
        let age = issued.age(now);
        Invariant::ExpiredToken.holds_if(age < issued.lifetime, || {
            format!("it is {} ms old and lives {} ms", age.0, issued.lifetime.0)
        });
        if let Some(family) = family {
            self.sessions.call(vault, family, now);
        }
    }

    /// Records that a page is told of a session that started at `started_at`, by the wall clock. `name` is the number of
    /// the session's family, if the provider names families.
    pub fn told_session(&mut self, vault: usize, started_at: u64, name: Option<&str>) {
        let sessions = &mut self.sessions;
        let family = name.map_or_else(
            || sessions.family_since(vault, started_at),
            |name| name.parse().ok(),
        );
        let Some(family) = family else {
            Invariant::ValidatedLogin
                .is_broken("a session appears that the vault cannot know".to_owned());
        };
        let former = sessions.told(vault);
        if sessions.told_session(vault, family) {
            self.replaced.extend(former);
            self.logins += 1;
            self.delays_before.insert(family, self.delays);
        }
    }

    /// Records that a page is told that it has no session.
    pub fn told_no_session(&mut self, vault: usize, reason: Option<&str>) {
        let reason = reason.unwrap_or("no reason");
        let family = self.sessions.told(vault);
        let has_no_successor = family.is_some_and(|f| self.without_refresh_token.contains(&f));
        let is_stated =
            self.states_ends && reason == STATED_END || has_no_successor && reason == "expired";
        // The vault has also forgotten the session's waiting times. The session may continue in another vault and come
        // back through the store.
        self.told_to_wait.remove(&vault);
        self.needs_user.remove(&vault);
        self.suspicions.remove(&vault);
        self.told_to_interact.remove(&vault);
        if let Some(family) = self.sessions.told_none(vault, reason, is_stated) {
            self.count_end(family, reason);
        }
    }

    fn count_end(&mut self, family: usize, reason: &str) {
        *self.ends.by_reason.entry(reason.to_owned()).or_default() += 1;
        if reason == "provider_ended" {
            match self.reused.get(&family) {
                None => {}
                Some(Loss::NoLeeway) => self.ends.lost_without_leeway += 1,
                Some(Loss::BeyondLeeway) => self.ends.lost_beyond_leeway += 1,
                Some(Loss::WithWorker) => self.ends.lost_with_worker += 1,
            }
        }
    }

    // What the provider knows

    /// Records that a refresh token was consumed. The token's successor is in flight.
    pub fn rotated(&mut self, sent: &str, family: usize) {
        let trouble = Trouble {
            failures: self.failures.get(&family).copied().unwrap_or(0),
            is_hindered: self.delays_before.get(&family) != Some(&self.delays),
            is_forgotten: false,
        };
        self.lost.insert(sent.to_owned(), trouble);
    }

    /// Returns the consumed refresh tokens whose successors are lost, which no vault may know since a worker has ended.
    pub fn forgotten(&self) -> impl Iterator<Item = &String> {
        let lost = self.lost.iter();
        lost.filter_map(|(token, trouble)| trouble.is_forgotten.then_some(token))
    }

    /// Records that the provider received a consumed refresh token again and revoked the token's family.
    pub fn reused(&mut self, sent: &str, family: usize, leeway: Millis) {
        let Some(&trouble) = self.lost.get(sent) else {
            Invariant::NeedlessReuse.is_broken(format!("family {family}"));
        };
        let should_have_been_in_time = leeway >= ENOUGH_LEEWAY
            && trouble.failures <= 1
            && !trouble.is_hindered
            && !self.replaced.contains(&family);
        Invariant::NeedlessReuse.holds_if(!should_have_been_in_time, || {
            format!("family {family}, {} ms of leeway were not used", leeway.0)
        });
        let loss = if self.lost_with_worker.contains(sent) {
            Loss::WithWorker
        } else if leeway == Millis::ZERO {
            Loss::NoLeeway
        } else {
            Loss::BeyondLeeway
        };
        self.reused.insert(family, loss);
    }
}
