//! Invariants of sessions, for vaults that share one store and for vaults without a store.
//!
//! The oracle keeps accounts apart, and follows the rules of `docs/sessions.md`. It tracks what each vault can know from the provider, from the
//! vault's own pages, and from reads of the store. Each vault's worker has its own clock, which starts with the worker,
//! so ages are counted by that clock. The limits of a session that was never in the store are exact.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rules::base::clock::{Instant, Millis, UnixMillis};
use rules::codec::json::Value;
use rules::config::Limits;
use rules::session::EndReason;
use vault::{Hint, Loaded, News, OpId, Taken};

use super::JobId;
use super::elapsed::Since;
use super::invariants::Invariant;

/// The longest time until a vault has stored activity: fifteen seconds, and a second for the write.
const STORED_WITHIN: Millis = Millis::from_secs(16);

/// Longest time for which a vault at the idle limit may read the store before it ends the session.
const LOOKS_WITHIN: Millis = Millis::from_secs(15);

/// The content of the store, as far as the oracle knows.
#[derive(Clone)]
pub struct Record {
    family: Option<usize>,
    sid: String,
    ended: Option<&'static str>,
    /// Number of ends that were written before this record was read.
    ends: usize,
    kept_at: UnixMillis,
    /// Time since the start of the session: lower and upper bound.
    age: (Millis, Millis),
    /// Time since the last activity that every reader of the record must consider.
    certain: Millis,
    /// Time since the latest activity that the record may include: lower and upper bound.
    possible: (Millis, Millis),
    /// Number of the newest activity in this record that all readers must consider.
    news: u64,
    token: Option<(String, Millis, Millis)>,
    /// For a session without a refresh token: time since its access token was requested (lower and upper bound), and
    /// the token's lifetime.
    ends_with_token: Option<(Millis, Millis, Millis)>,
}

/// Estimates of one moment. A vault may use any of them. The estimates are almost equal unless a clock was changed: an
/// estimate from the store depends on the wall clock.
#[derive(Clone)]
struct Moments(Vec<Instant>);

impl Moments {
    fn shortest(&self, now: &Instant) -> Millis {
        let all = self.0.iter().map(|at| at.passed(now));
        all.min().unwrap_or(Millis::MAX)
    }

    fn longest(&self, now: &Instant) -> Millis {
        let all = self.0.iter().map(|at| at.passed(now));
        all.max().unwrap_or(Millis::ZERO)
    }

    fn or(&mut self, at: Instant) {
        if !self.0.contains(&at) {
            self.0.push(at);
        }
    }
}

/// A session, as far as one vault can know it.
#[derive(Clone)]
struct Holding {
    started: Moments,
    /// The last activity.
    active: Moments,
    /// The last activity that other vaults must be able to read from the store.
    shared: Instant,
    /// Activity of the vault's own pages that is not stored yet.
    touches: Vec<Instant>,
    news: u64,
    /// For a session without a refresh token: the time of the token request, and the token's lifetime.
    ends_with_token: Option<(Moments, Millis)>,
}

/// A session found in the store.
struct Reading {
    record: Record,
    at: Instant,
    /// The job that read the record.
    job: JobId,
    /// Families whose end was written before the record was read.
    ended: Vec<usize>,
}

#[derive(Default)]
struct Seen {
    /// True if the vault reads and writes the store.
    uses_store: bool,
    told: Option<usize>,
    /// The session of the login whose ID token was found valid during the current input.
    begins: Option<usize>,
    holdings: HashMap<usize, Holding>,
    /// The time of the last response from the store.
    looked_at: Option<Instant>,
    /// Reasons for which the session may end.
    justified: BTreeSet<&'static str>,
    must_end: Option<&'static str>,
    /// The time at which the vault first knew that the idle limit is reached.
    idle_since: Option<Instant>,
    /// Number of ticks of the vault's timer since `idle_since`.
    ticks: u32,
    writes: Vec<(String, Record)>,
    /// Sessions that the vault knows to have been in the store.
    shared: HashSet<usize>,
    /// True if the idle limit seemed to be reached after the last read of the store. A clock that is set back does not
    /// change this.
    is_in_doubt: bool,
    /// The last activity of the user while `is_in_doubt` was true.
    touched_in_doubt: Option<Instant>,
    /// The session that the vault has just read, before the vault checks for its tombstone.
    reading: Option<Reading>,
    marks: HashMap<OpId, Reading>,
    holds_lock: bool,
    /// The newest job when the vault last got the lock or completed a write. Earlier reads may be outdated.
    locked_at: JobId,
    read: Option<JobId>,
    /// The families whose end the vault has read from the store.
    ends_read: HashSet<usize>,
}

pub struct Sessions {
    limits: Limits,
    vaults: BTreeMap<usize, Seen>,
    /// The account of each vault. A vault that is not here has the account 0.
    accounts: BTreeMap<usize, u64>,
    shared: BTreeMap<u64, Shared>,
    /// The account in which each login began, by the login's code verifier, and of each family's session.
    began_in: HashMap<String, u64>,
    owners: HashMap<usize, u64>,
    /// Families whose grant must end in all accounts: the provider has given it to another user, or the user signs out at the
    /// provider.
    revocable: HashSet<usize>,
    /// For each session that started with a valid ID token, the time of the token request by the provider's clock. A
    /// logout after the token request ends such a session too, because a logout cancels logins in flight. A vault may
    /// learn of this logout only after its login is complete.
    begun: HashMap<usize, UnixMillis>,
    news: u64,
    /// Families whose end was reported to a page.
    over: HashSet<usize>,
    /// Families that were reported to a page.
    known: HashSet<usize>,
    sids: HashMap<String, usize>,
}

/// What the vaults of one account share.
#[derive(Default)]
struct Shared {
    stored: Option<Record>,
    /// Times of logouts by the provider's clock.
    logouts: Vec<UnixMillis>,
    /// Families whose end replaced the session in the store.
    ended: Vec<usize>,
    /// The number of such ends that no longer count, because a tombstone may be lost.
    forgotten: usize,
    /// Families whose end is marked by a tombstone.
    marked: HashSet<usize>,
}

/// Returns the moment that was `age` before `kept_at`. A wall clock that was set back must not make the session
/// younger.
fn before(now: &Instant, kept_at: UnixMillis, age: Millis) -> Instant {
    let age = Millis(now.wall.saturating_sub(kept_at)) + age;
    Instant {
        monotonic: now.monotonic.saturating_sub(age),
        wall: now.wall.saturating_sub(age.0),
    }
}

/// Returns the time that has passed on both clocks. The vault cannot act during sleep, so time that only one clock
/// shows does not count.
fn passed_on_both(since: &Instant, now: &Instant) -> Millis {
    let monotonic = now.monotonic.saturating_sub(since.monotonic);
    monotonic.min(Millis(now.wall.saturating_sub(since.wall)))
}

/// Returns true if the two clocks disagree about which moment is later.
fn clock_was_set(one: &Instant, other: &Instant) -> bool {
    one.monotonic.cmp(&other.monotonic) == one.wall.cmp(&other.wall).reverse()
        && one.wall != other.wall
}

impl Holding {
    fn begun(requested: Instant, now: Instant) -> Self {
        Self {
            started: Moments(vec![requested]),
            active: Moments(vec![now]),
            shared: now,
            touches: Vec::new(),
            news: 0,
            ends_with_token: None,
        }
    }

    /// Returns the limits that the session may have reached.
    fn reached(&self, limits: &Limits, now: &Instant) -> impl Iterator<Item = &'static str> {
        let token = self.ends_with_token.as_ref();
        let is_expired = token.is_some_and(|(since, life)| since.longest(now) >= *life);
        let limits = [
            (self.active.longest(now) >= limits.idle, "idle"),
            (self.started.longest(now) >= limits.absolute, "absolute"),
            (is_expired, "expired"),
        ];
        let limits = limits.into_iter();
        limits.filter_map(|(is_reached, name)| is_reached.then_some(name))
    }
}

impl Sessions {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            vaults: BTreeMap::new(),
            accounts: BTreeMap::new(),
            shared: BTreeMap::new(),
            began_in: HashMap::new(),
            owners: HashMap::new(),
            revocable: HashSet::new(),
            begun: HashMap::new(),
            news: 0,
            over: HashSet::new(),
            known: HashSet::new(),
            sids: HashMap::new(),
        }
    }

    fn seen(&mut self, vault: usize) -> &mut Seen {
        self.vaults.entry(vault).or_default()
    }

    /// Returns the family of the session that a vault's pages know, if any.
    pub fn told(&self, vault: usize) -> Option<usize> {
        self.vaults.get(&vault)?.told
    }

    /// Returns true if a vault reads and writes the store.
    pub fn uses_store(&self, vault: usize) -> bool {
        self.vaults.get(&vault).is_some_and(|seen| seen.uses_store)
    }

    /// Returns the families of the sessions that pages know.
    pub fn families(&self) -> BTreeSet<usize> {
        self.vaults.values().filter_map(|seen| seen.told).collect()
    }

    /// Returns the family of the session that started at this time, by the wall clock, as far as a vault knows. If there
    /// are several, this is the one that began during the current input, or one that began while there was no page, or the
    /// one that pages know, or the newest.
    pub fn family_since(&self, vault: usize, started_at: UnixMillis) -> Option<usize> {
        let seen = self.vaults.get(&vault)?;
        let began = |holding: &Holding| holding.started.0.iter().any(|at| at.wall == started_at);
        let is_it = |family: &usize| seen.holdings.get(family).is_some_and(began);
        let newest = |is_wanted: &dyn Fn(&usize) -> bool| {
            let all = seen.holdings.keys().copied().filter(is_it);
            all.filter(is_wanted).max()
        };
        let untold = newest(&|family| !self.known.contains(family));
        let likely = seen.begins.into_iter().chain(untold).chain(seen.told);
        likely.into_iter().find(is_it).or_else(|| newest(&|_| true))
    }

    /// Records the account of a vault.
    pub fn joins(&mut self, vault: usize, account: u64) {
        self.accounts.insert(vault, account);
    }

    fn account(&self, vault: usize) -> u64 {
        self.accounts.get(&vault).copied().unwrap_or(0)
    }

    /// Returns what this vault shares with the others of its account.
    fn shared(&mut self, vault: usize) -> &mut Shared {
        let account = self.account(vault);
        self.shared.entry(account).or_default()
    }

    /// Checks that a vault acts for a session or login of its own account.
    pub fn acts_for(&self, vault: usize, family: Option<usize>, what: impl Fn() -> String) {
        self.is_of(
            vault,
            family.and_then(|family| self.owners.get(&family)),
            what,
        );
    }

    /// Records the code verifier of a login.
    pub fn began(&mut self, vault: usize, verifier: &str) {
        let account = self.account(vault);
        self.began_in.insert(verifier.to_owned(), account);
    }

    /// Checks that a vault exchanges the code of a login that began in its own account.
    pub fn exchanges(&self, vault: usize, verifier: &str) {
        let login = self.began_in.get(verifier);
        self.is_of(vault, login, || "an exchange".to_owned());
    }

    fn is_of(&self, vault: usize, owner: Option<&u64>, what: impl Fn() -> String) {
        let account = self.account(vault);
        Invariant::OwnAccount.holds_if(owner.is_none_or(|owner| *owner == account), || {
            format!("{} of account {owner:?} in account {account}", what())
        });
    }

    /// Records that the user of a vault's session signs out at the provider, too.
    pub fn signs_out_at_provider(&mut self, vault: usize) {
        let family = self.told(vault);
        self.revocable.extend(family);
    }

    /// Checks a revocation by a vault that leaves the grants of other accounts valid.
    pub fn revokes_shared(&self, family: Option<usize>) {
        let is_needed = family.is_some_and(|family| self.revocable.contains(&family));
        Invariant::OwnAccount.holds_if(is_needed, || {
            format!("the grant of family {family:?} is revoked, which other accounts may have")
        });
    }

    pub fn record(&self, vault: usize) -> Option<Record> {
        let shared = self.shared.get(&self.account(vault))?;
        let mut record = shared.stored.clone()?;
        record.ends = shared.forgotten + shared.ended.len();
        Some(record)
    }

    /// Returns true if this family's session may have reached the idle limit, as far as this vault knows.
    pub fn may_be_idle(&self, vault: usize, family: usize, now: &Instant) -> bool {
        let seen = self.vaults.get(&vault);
        let holding = seen.and_then(|seen| seen.holdings.get(&family));
        holding.is_some_and(|holding| holding.active.longest(now) >= self.limits.idle)
    }

    pub fn killed(&mut self, vault: usize) {
        self.vaults.remove(&vault);
    }

    // Inputs

    pub fn before(&mut self, vault: usize, now: &Instant, holds_lock: bool) {
        let limits = self.limits;
        let seen = self.seen(vault);
        if !seen.uses_store {
            // The next page is told of a session that has ended unseen, or of its end.
            let holdings = seen.holdings.values();
            let reached = holdings.flat_map(|holding| holding.reached(&limits, now));
            seen.justified.extend(reached);
        }
        let Some(holding) = seen.told.and_then(|family| seen.holdings.get(&family)) else {
            return;
        };
        let (started, active) = (&holding.started, &holding.active);
        let may_be_absolute = started.longest(now) >= limits.absolute;
        let is_absolute = started.shortest(now) >= limits.absolute;
        let may_be_idle = active.longest(now) >= limits.idle;
        let is_idle = active.shortest(now) >= limits.idle;
        let is_expired = holding
            .ends_with_token
            .as_ref()
            .is_some_and(|(since, life)| since.longest(now) >= *life);
        let is_shared = seen
            .told
            .is_some_and(|family| seen.shared.contains(&family));
        if may_be_idle && (holds_lock || !is_shared) {
            // A vault with a shared session must first read the store under the lock.
            seen.justified.insert("idle");
        }
        seen.is_in_doubt |= may_be_idle;
        if may_be_absolute {
            seen.justified.insert("absolute");
        }
        if is_absolute {
            seen.must_end = seen.must_end.or(Some("absolute"));
        } else if is_idle && !is_shared {
            seen.must_end = seen.must_end.or(Some("idle"));
        } else if is_expired {
            seen.justified.insert("expired");
            // If another limit may be reached too, the session may end for that reason instead.
            let ends = holding.ends_with_token.as_ref();
            let is_sure = ends.is_some_and(|(since, life)| since.shortest(now) >= *life);
            if is_sure && !may_be_idle && !may_be_absolute {
                seen.must_end = seen.must_end.or(Some("expired"));
            }
        }
        if !is_idle || seen.idle_since.is_none() {
            (seen.idle_since, seen.ticks) = (is_idle.then_some(*now), 0);
        }
    }

    pub fn after(
        &mut self,
        vault: usize,
        now: &Instant,
        has_pages: bool,
        next_tick: Option<Millis>,
        is_tick: bool,
    ) {
        let limits = self.limits;
        let seen = self.seen(vault);
        let must_end = seen.must_end.take();
        seen.begins = None;
        if !has_pages {
            if seen.uses_store {
                // The next page that connects is told of the session that the vault has at that time.
                (seen.told, seen.idle_since) = (None, None);
            }
            return;
        }
        let told = seen.told;
        if !seen.uses_store {
            // No page is told of the session of a login that has failed, or of a session that has ended unseen.
            seen.holdings.retain(|family, _| Some(*family) == told);
        }
        let Some(family) = told else {
            return;
        };
        if let Some(reason) = must_end {
            let invariant = match reason {
                "idle" | "absolute" | "expired" => Invariant::Limits,
                _ => Invariant::DefiniteVerdict,
            };
            invariant.is_broken(format!("{reason}, and the session continues"));
        }
        let waits = seen
            .idle_since
            .map_or(Millis::ZERO, |since| passed_on_both(&since, now));
        seen.ticks += u32::from(is_tick);
        // A few ticks are allowed in any case, because the vault may have been frozen while the store's responses
        // arrived.
        let has_time = seen.ticks < 4 || waits < LOOKS_WITHIN && seen.ticks < 200;
        Invariant::Limits.holds_if(has_time, || {
            format!("the session is idle, and continues {} ms later", waits.0)
        });
        let holding = &seen.holdings[&family];
        let left = |passed: Millis, limit: Millis| limit.saturating_sub(passed);
        let absolute = left(holding.started.shortest(now), limits.absolute);
        let token = holding.ends_with_token.as_ref();
        let token = token.map_or(Millis::MAX, |(since, life)| {
            left(since.shortest(now), *life)
        });
        let idle = left(holding.active.shortest(now), limits.idle);
        let end = absolute.min(idle).min(token);
        let read = match seen.shared.contains(&family) {
            true => LOOKS_WITHIN,
            false => Millis::ZERO,
        };
        let is_timed = next_tick.is_some_and(|tick| tick <= now.monotonic + end + read);
        Invariant::Limits.holds_if(is_timed, || {
            let (started, active) = (&holding.started.0, &holding.active.0);
            format!(
                "no timer is set for the session's end: v{vault} family {family}, it is {now:?}, \
                 the timer {next_tick:?}, the end in {end:?}, began {started:?}, active {active:?}"
            )
        });
    }

    /// Records that the device has slept, or that a timer is late. The store's responses may have had no time to arrive before.
    pub fn woke(&mut self) {
        self.vaults.values_mut().for_each(|seen| seen.ticks = 0);
    }

    pub fn touched(&mut self, vault: usize, now: &Instant) {
        let idle = self.limits.idle;
        let seen = self.seen(vault);
        if let Some(holding) = seen.told.and_then(|family| seen.holdings.get_mut(&family)) {
            // At the idle limit, this activity counts only if the store has activity that keeps the session alive.
            let may_be_idle = holding.active.longest(now) >= idle;
            let is_in_doubt = may_be_idle || seen.is_in_doubt;
            seen.touched_in_doubt = is_in_doubt.then_some(*now);
            // The doubt continues if the clock is set back. The vault may then count the activity or ignore it.
            if is_in_doubt {
                holding.active.or(*now);
            } else {
                holding.active = Moments(vec![*now]);
                holding.touches.push(*now);
            }
        }
    }

    /// Records that an upload is in flight, which is activity from time to time.
    pub fn uploads(&mut self, vault: usize, now: &Instant) {
        let idle = self.limits.idle;
        let interval = Millis(idle.0 / 10).min(Millis::from_secs(60));
        let seen = self.seen(vault);
        let Some(holding) = seen.told.and_then(|family| seen.holdings.get_mut(&family)) else {
            return;
        };
        let passed = holding.active.longest(now);
        if seen.is_in_doubt || passed >= idle || passed < interval {
            return;
        }
        if holding.active.shortest(now) >= interval {
            holding.active = Moments(vec![*now]);
        } else {
            holding.active.or(*now);
        }
        holding.touches.push(*now);
    }

    /// Records that a page logs out. If `is_greeted` is false, the vault has not responded to the page's `hello` yet,
    /// and may not have read the session in the store. Other vaults may then learn of the logout only from the
    /// session's tombstone.
    pub fn logs_out(&mut self, vault: usize, is_greeted: bool, time: u64) {
        self.shared(vault).logouts.push(time);
        if !is_greeted {
            return;
        }
        let seen = self.seen(vault);
        seen.justified.insert("logged_out");
        seen.must_end = Some("logged_out");
    }

    /// Records that a vault learns of a logout in another vault. A vault with a store may follow the store or the hint. A
    /// vault without a store ends its session if that began before the logout.
    pub fn hears_of_logout(&mut self, vault: usize, hint: &Hint, now: &Instant) {
        let seen = self.seen(vault);
        let since = Millis(now.wall.saturating_sub(hint.time));
        let began_before = |holding: &Holding| holding.started.longest(now) >= since;
        if seen.uses_store {
            seen.justified.insert("logged_out");
        } else if hint.news != News::NotStored && seen.holdings.values().any(began_before) {
            seen.justified.insert("logged_out");
            let told = seen.told.and_then(|family| seen.holdings.get(&family));
            if told.is_some_and(began_before) {
                seen.must_end = Some("logged_out");
            }
        }
    }

    /// Records that a vault receives a response that ends this family's session.
    pub fn verdict(&mut self, vault: usize, family: usize, reason: &'static str) {
        if reason == "security" {
            self.revocable.insert(family);
        }
        let seen = self.seen(vault);
        if seen.told == Some(family) {
            seen.justified.insert(reason);
            seen.must_end = seen.must_end.or(Some(reason));
        } else if !seen.uses_store && seen.holdings.contains_key(&family) {
            // No page knows the session yet.
            seen.justified.insert(reason);
        }
    }

    /// Records that the ID token of a login was found valid.
    pub fn begins(
        &mut self,
        vault: usize,
        family: usize,
        (requested, now): (&Instant, &Instant),
        ends_with_token: Option<(Instant, Millis)>,
        time: u64,
    ) {
        self.begun.insert(family, time);
        self.owners.insert(family, self.account(vault));
        let holding = Holding {
            ends_with_token: ends_with_token.map(|(since, life)| (Moments(vec![since]), life)),
            ..Holding::begun(*requested, *now)
        };
        let seen = self.seen(vault);
        seen.begins = Some(family);
        seen.holdings.insert(family, holding);
    }

    /// Records that a vault asks to read the store.
    pub fn reads(&mut self, vault: usize) {
        self.seen(vault).uses_store = true;
    }

    /// Records that a vault asks to write `state`.
    pub fn writes(
        &mut self,
        vault: usize,
        state: &str,
        family: Option<usize>,
        now: &Instant,
        token: Option<(String, Millis, Millis)>,
    ) {
        let text = state.to_owned();
        let state = Value::parse(state).unwrap();
        let state = state.as_object().unwrap();
        let sid = state.str("sid").unwrap().to_owned();
        let ended = state.str("ended").map(reason);
        if let Some(family) = family {
            self.sids.insert(sid.clone(), family);
        }
        let family = family.or_else(|| self.sids.get(&sid).copied());
        let mut record = Record {
            family,
            sid,
            ended,
            ends: 0,
            kept_at: now.wall,
            age: (Millis::ZERO, Millis::ZERO),
            certain: Millis::ZERO,
            possible: (Millis::ZERO, Millis::ZERO),
            news: 0,
            token,
            ends_with_token: None,
        };
        let news = self.news + 1;
        let seen = self.seen(vault);
        let holding = family.and_then(|family| seen.holdings.get_mut(&family));
        if let Some(holding) = holding {
            let is_due = |touch: &Instant| touch.passed(now) >= STORED_WITHIN;
            if let Some(latest) = holding.touches.iter().rposition(is_due) {
                (holding.shared, holding.news) = (holding.touches[latest], news);
                // Activity before `latest` does not count, even if a changed clock makes it seem later.
                holding.touches.drain(..=latest);
            }
            record.age = (holding.started.shortest(now), holding.started.longest(now));
            record.certain = holding.shared.passed(now);
            record.possible = (holding.active.shortest(now), holding.active.longest(now));
            record.news = holding.news;
            let ends = holding.ends_with_token.as_ref();
            record.ends_with_token =
                ends.map(|(since, life)| (since.shortest(now), since.longest(now), *life));
        }
        seen.writes.push((text, record));
        self.news = news;
    }

    /// Records that a vault's write of `state` has succeeded or failed. A vault that has lost the lock without knowing it may
    /// have begun another write since.
    pub fn written(&mut self, vault: usize, state: &str, works: bool) {
        let writes = &mut self.seen(vault).writes;
        let place = writes.iter().position(|(text, _)| text == state);
        let write = place.map(|place| writes.remove(place));
        if let Some((_, record)) = write.filter(|_| works) {
            let shared = self.shared(vault);
            if let (Some(family), Some(_)) = (record.family, record.ended) {
                shared.ended.push(family);
            }
            shared.stored = Some(record);
        }
    }

    /// Records that a script has put this record back.
    pub fn put_back(&mut self, vault: usize, record: &Record) {
        self.shared(vault).stored = Some(record.clone());
    }

    /// Records that the store was cleared or damaged, and the tombstones of ended sessions are lost.
    pub fn forget_ends(&mut self) {
        self.shared.values_mut().for_each(Shared::forget_ends);
    }

    /// Records that a vault is told that its write has succeeded.
    pub fn told_written(&mut self, vault: usize) {
        let stored = self.shared(vault).stored.as_ref();
        let stored = stored.and_then(|record| record.family);
        self.seen(vault).shared.extend(stored);
    }

    /// Records that a tombstone is written.
    pub fn marked(&mut self, vault: usize, sid: &str) {
        if let Some(family) = self.sids.get(sid).copied() {
            self.shared(vault).marked.insert(family);
        }
    }

    /// Records that a vault checks for the tombstone of the session that it has just read.
    pub fn asks_for_mark(&mut self, vault: usize, op: OpId) {
        let seen = self.seen(vault);
        let reading = seen.reading.take();
        seen.marks.extend(reading.map(|reading| (op, reading)));
    }

    /// Records that a vault learns if the session in the store has a tombstone.
    pub fn mark_read(&mut self, vault: usize, op: OpId, taken: &Taken, now: &Instant) {
        let mut read = None;
        let seen = self.seen(vault);
        let reading = seen.marks.remove(&op);
        let mut is_old = false;
        let mut is_unused = false;
        if let Some(Reading {
            record,
            at,
            ended,
            job,
        }) = reading
        {
            is_old = seen.is_old(job, &record);
            // A vault that holds the lock uses only the read that it made for the lock.
            is_unused = seen.holds_lock && seen.read != Some(job);
            match (taken, record.family) {
                (Taken::Absent, Some(family)) => {
                    seen.hears(&record, family, &at, now);
                    read = Some(family);
                }
                // The vault that wrote the tombstone had a reason, which was checked there.
                (Taken::Found(_) | Taken::Used, Some(family)) if seen.told == Some(family) => {
                    seen.justified.insert("logged_out");
                }
                _ => {}
            }
            if !is_old && !matches!(taken, Taken::Unavailable) {
                seen.ends_read.extend(ended);
            }
        }
        if !is_old && !matches!(taken, Taken::Unavailable) {
            let marked = self.shared(vault).marked.clone();
            self.seen(vault).ends_read.extend(marked);
        }
        let limits = self.limits;
        let seen = self.seen(vault);
        let is_another = read.is_some() && read != seen.told;
        let told = seen.told.and_then(|family| seen.holdings.get_mut(&family));
        if let Some(holding) = told
            && holding.active.shortest(now) < limits.idle
        {
            seen.idle_since = None;
            if let Some(touched) = seen.touched_in_doubt {
                // The vault may count the activity from the time at which it happened, or from now.
                holding.active.or(*now);
                holding.touches.push(touched);
            }
            if !is_another && !is_unused {
                // The doubt continues if the read found another session, or if the read does not count under the lock.
                (seen.touched_in_doubt, seen.is_in_doubt) = (None, false);
            }
        }
        if let Some(family) = read.filter(|_| is_another)
            && seen.touched_in_doubt.is_some()
            && let Some(holding) = seen.holdings.get_mut(&family)
        {
            // The activity counts for the session that replaces the idle one.
            holding.active.or(*now);
        }
        // The limits of the vault's own session and of a session that replaces it are valid reasons for an end.
        let families = seen.told.into_iter().chain(read);
        let holdings = families.filter_map(|family| seen.holdings.get(&family));
        let reached = holdings.flat_map(|holding| holding.reached(&limits, now));
        seen.justified.extend(reached);
    }

    pub fn locked(&mut self, vault: usize, last_job: JobId, read: Option<JobId>) {
        let seen = self.seen(vault);
        (seen.locked_at, seen.read, seen.holds_lock) = (last_job, read, true);
    }

    /// Records that a write of this vault has succeeded or failed. A read that was requested before the write ended may
    /// be outdated.
    pub fn wrote(&mut self, vault: usize, last_job: JobId) {
        self.seen(vault).locked_at = last_job;
    }

    pub fn unlocked(&mut self, vault: usize) {
        self.seen(vault).holds_lock = false;
    }

    /// Records that a vault receives the result of a read of the store.
    pub fn loaded(
        &mut self,
        vault: usize,
        loaded: &Loaded,
        record: Option<&Record>,
        job: JobId,
        now: &Instant,
    ) {
        let shared = self.shared(vault);
        let known = record.map_or(0, |record| record.ends);
        let known = known.saturating_sub(shared.forgotten);
        let ended = shared.ended[..known].to_vec();
        if !matches!(loaded, Loaded::Found(_) | Loaded::Unavailable) {
            shared.forget_ends();
        }
        let limits = self.limits;
        let seen = self.seen(vault);
        seen.looked_at = Some(*now);
        let record = match loaded {
            Loaded::Found(_) => record,
            Loaded::Nothing | Loaded::Damaged => {
                seen.justified.insert("storage_lost");
                None
            }
            Loaded::Unavailable => None,
        };
        if let Some(record) = record {
            match (record.ended, record.family) {
                (Some(reason), _) => {
                    if !seen.is_old(job, record) {
                        seen.ends_read.extend(ended);
                    }
                    seen.justified.insert(reason);
                }
                (None, _) => {
                    seen.reading = Some(Reading {
                        record: record.clone(),
                        at: *now,
                        job,
                        ended,
                    });
                }
            }
        }
        let Some(holding) = seen.told.and_then(|family| seen.holdings.get(&family)) else {
            return;
        };
        if holding.active.longest(now) >= limits.idle {
            seen.justified.insert("idle");
        }
    }

    // Outputs

    /// Records that a page is told of a session. Returns true if no page was told of this session before.
    pub fn told_session(&mut self, vault: usize, family: usize) -> bool {
        Invariant::ValidatedLogin.holds_if(self.begun.contains_key(&family), || {
            format!("the session of family {family} appears without a login")
        });
        let seen = self.seen(vault);
        let is_over = seen.ends_read.contains(&family);
        Invariant::EndStays.holds_if(!is_over, || format!("family {family}"));
        Invariant::ValidatedLogin.holds_if(seen.holdings.contains_key(&family), || {
            format!("family {family}, which the vault cannot know")
        });
        let before = seen.told.replace(family);
        if before != Some(family) {
            // The vault has replaced its former session.
            before.and_then(|before| seen.holdings.remove(&before));
            seen.justified.clear();
            seen.must_end = None;
            seen.idle_since = None;
            (seen.touched_in_doubt, seen.is_in_doubt) = (None, false);
        }
        self.known.insert(family)
    }

    /// Records that a page is told that it has no session. `is_stated` is true if the reason is an end that the provider
    /// has stated. Returns the family of the page's former session, if its end was not reported before.
    pub fn told_none(&mut self, vault: usize, reason: &str, is_stated: bool) -> Option<usize> {
        let logouts = self.shared(vault).logouts.last().copied();
        let begun = &self.begun;
        let seen = self.vaults.entry(vault).or_default();
        let family = seen.told.take()?;
        let may_read_logout = seen.uses_store && logouts >= begun.get(&family).copied();
        let was_logged_out = reason == "logged_out" && may_read_logout;
        let is_justified = was_logged_out || is_stated || seen.justified.contains(reason);
        let looked = || {
            let since = seen.looked_at.map(|at| at.monotonic);
            let h = seen.holdings.get(&family).map(|h| {
                (
                    h.ends_with_token.is_some(),
                    h.started.0.clone(),
                    h.active.0.clone(),
                    h.news,
                )
            });
            format!(
                "v{vault} family {family} ended for {reason} without one; looked at {since:?} {h:?} {:?}",
                seen.justified
            )
        };
        let invariant = match reason {
            "idle" | "absolute" => Invariant::Limits,
            _ => Invariant::DefiniteVerdict,
        };
        invariant.holds_if(is_justified, looked);
        seen.holdings.remove(&family);
        seen.justified.clear();
        seen.must_end = None;
        seen.idle_since = None;
        self.over.insert(family).then_some(family)
    }

    /// Records that a vault sends a call in the session of this family.
    pub fn call(&mut self, vault: usize, family: usize, now: &Instant) {
        let limits = self.limits;
        let seen = self.seen(vault);
        Invariant::OwnResponse.holds_if(seen.told == Some(family), || {
            format!(
                "a call in the session of family {family}, but pages know {:?}",
                seen.told
            )
        });
        let holding = &seen.holdings[&family];
        let is_alive = holding.started.shortest(now) < limits.absolute
            && holding.active.shortest(now) < limits.idle;
        Invariant::Limits.holds_if(is_alive, || {
            let (started, active) = (&holding.started.0, &holding.active.0);
            format!(
                "a call after the end: v{vault} family {family}, it is {now:?}, began {started:?}, \
                 active {active:?}"
            )
        });
    }
}

impl Shared {
    fn forget_ends(&mut self) {
        self.forgotten += self.ended.len();
        self.ended.clear();
        self.marked.clear();
    }
}

impl Seen {
    /// Returns true if the result of a read may be outdated. While the vault holds the lock, another session counts
    /// only if the vault found it with the read that it made for the lock. Without the lock, a read is outdated if it
    /// was requested before the vault last got the lock or wrote.
    fn is_old(&self, job: JobId, record: &Record) -> bool {
        let is_look = self.read != Some(job);
        if self.holds_lock {
            is_look && record.family != self.told
        } else {
            is_look && job <= self.locked_at
        }
    }

    /// Records that a vault has read a session in the store. Ages count from `read_at`, the time of the read. The vault
    /// compares moments at `now`, and the clock may have been changed since the read.
    fn hears(&mut self, record: &Record, family: usize, read_at: &Instant, now: &Instant) {
        let at = |age| before(read_at, record.kept_at, age);
        self.shared.insert(family);
        let ends_with_token = record
            .ends_with_token
            .map(|(least, most, life)| (Moments(vec![at(least), at(most)]), life));
        let Some(known) = self.holdings.get_mut(&family) else {
            let holding = Holding {
                started: Moments(vec![at(record.age.0), at(record.age.1)]),
                active: Moments(vec![
                    at(record.certain),
                    at(record.possible.0),
                    at(record.possible.1),
                ]),
                shared: at(record.certain),
                touches: Vec::new(),
                news: record.news,
                ends_with_token,
            };
            self.holdings.insert(family, holding);
            return;
        };
        // A vault without a page may have dropped the session unnoticed by the oracle. It may then treat the session as
        // new.
        let may_be_new = self.told != Some(family);
        for started in [at(record.age.0), at(record.age.1)] {
            if may_be_new || started.passed(now) > known.started.shortest(now) {
                known.started.or(started);
            }
        }
        if let (Some((since, _)), Some((other, _))) = (&mut known.ends_with_token, ends_with_token)
        {
            other.0.into_iter().for_each(|at| since.or(at));
        }
        let certain = at(record.certain);
        // `possible` may be longer ago than `certain`, if the clock of the vault that wrote the record was behind.
        let longest = known.active.longest(now);
        if record.news > known.news {
            known.news = record.news;
            known.shared = certain;
            let is_later = |at: &Instant| at.passed(now) <= certain.passed(now);
            if !may_be_new && known.active.longest(now) > certain.passed(now) {
                known.active.0.retain(is_later);
                known.active.or(certain);
            }
        }
        if may_be_new {
            known.active.or(certain);
        }
        for possible in [at(record.possible.0), at(record.possible.1)] {
            // `possible` is not before the earliest activity that the vault may know, so the vault may use `possible`.
            if may_be_new || possible.passed(now) <= longest {
                known.active.or(possible);
            }
            // `possible` is later than `touch` by one clock and earlier by the other clock. The vault may keep either
            // activity, so other vaults may never learn of `touch`.
            let is_replaced = |touch: &Instant| {
                possible.passed(now) <= touch.passed(now) && clock_was_set(touch, &possible)
            };
            if let Some(latest) = known.touches.iter().rposition(is_replaced) {
                known.touches.drain(..=latest);
            }
        }
    }
}

impl Record {
    /// Returns the access token in the record, the time of the token request, and the token's lifetime. Returns `None`
    /// for a record without a token.
    pub fn token(&self, now: &Instant) -> Option<(String, Instant, Millis)> {
        let (token, age, lifetime) = self.token.as_ref()?;
        Some((token.clone(), before(now, self.kept_at, *age), *lifetime))
    }

    pub fn family(&self) -> Option<usize> {
        self.family
    }

    /// Lets the record be as if it had been written at this time.
    pub fn kept_again(&mut self, at: UnixMillis) {
        self.kept_at = at;
    }

    /// Returns the reason for the session's end, if the record is one of its end.
    pub fn ended(&self) -> Option<&'static str> {
        self.ended
    }

    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub fn sid(&self) -> &str {
        &self.sid
    }
}

/// Returns the reason that pages are told for an end that was stored with this one.
fn reason(name: &str) -> &'static str {
    EndReason::from_name(name).unwrap().seen_as()
}
