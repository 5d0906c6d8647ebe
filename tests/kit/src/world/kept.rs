//! What must hold of sessions that are kept, in all vaults over one store together.
//!
//! An account by the rules of `docs/sessions.md`, of what each vault can know: what it was told by the
//! provider and by its own pages, and what it has read in the store. Ages are counted as each vault's
//! worker can count them, since its clock begins with it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use strongroom::base::clock::{Instant, Millis, UnixMillis};
use strongroom::codec::json::Value;
use strongroom::config::Limits;
use strongroom::vault::{Loaded, OpId, Taken};

use super::JobId;
use super::elapsed::Since;
use super::invariants::Invariant;

/// Activity is stored within fifteen seconds, and writing takes a moment.
const STORED_WITHIN: Millis = Millis::from_secs(16);

/// A vault that has reached the idle limit looks into the store, for so long at most.
const LOOKS_WITHIN: Millis = Millis::from_secs(15);

/// What the store has, by this account.
#[derive(Clone)]
pub struct Record {
    family: Option<usize>,
    sid: String,
    ended: Option<&'static str>,
    /// How many ends were written by the time it was read.
    ends: usize,
    kept_at: UnixMillis,
    /// Since the beginning, at least and at most.
    age: (Millis, Millis),
    /// Time since the last activity that every reader of the record must consider.
    certain: Millis,
    /// Since the latest activity that it may tell of, at least and at most.
    possible: (Millis, Millis),
    /// Which activity that others must heed this tells of.
    news: u64,
    token: Option<(String, Millis, Millis)>,
    /// Of a session without refresh token: since its access token was asked for, at least and at most, and
    /// how long that lives.
    ends_with_token: Option<(Millis, Millis, Millis)>,
}

/// Moments that a vault may use. They are almost equal unless a clock was changed: the moment from the store follows
/// the wall clock, so a change of the clock may also change their order.
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

/// A session, as one vault can know it.
#[derive(Clone)]
struct Holding {
    started: Moments,
    /// The last activity.
    active: Moments,
    /// The last that others must be able to read of.
    shared: Instant,
    /// What its own pages did and the store was not told yet.
    touches: Vec<Instant>,
    news: u64,
    /// When the access token of a session without refresh token was asked for, and how long it lives.
    ends_with_token: Option<(Moments, Millis)>,
}

/// A session that was found in the store.
struct Reading {
    record: Record,
    at: Instant,
    /// When it was asked for.
    job: JobId,
    /// Families whose end was written before.
    ended: Vec<usize>,
}

#[derive(Default)]
struct Seen {
    told: Option<usize>,
    holdings: HashMap<usize, Holding>,
    /// When it last got an answer from the store.
    looked_at: Option<Instant>,
    /// For what reasons its session may end.
    justified: BTreeSet<&'static str>,
    must_end: Option<&'static str>,
    /// Since when it has known that the idle limit is reached.
    idle_since: Option<Instant>,
    /// How often its timer fired since then.
    ticks: u32,
    write: Option<Record>,
    /// Sessions that the vault knows to have been in the store.
    shared: HashSet<usize>,
    /// The idle limit seemed to be reached since the store was last read: a clock that was set back does not end
    /// the doubt.
    is_in_doubt: bool,
    /// When the user last did something while it was in doubt, perhaps, whether the session is alive.
    touched_in_doubt: Option<Instant>,
    /// Sessions that it has read of, and does not know yet whether their end was marked.
    reading: Option<Reading>,
    marks: HashMap<OpId, Reading>,
    holds_lock: bool,
    /// The last that it had asked for when it was told that it has the lock, or had written, and what it reads by
    /// under the lock.
    locked_at: JobId,
    read: Option<JobId>,
    /// The ends that it has read.
    ends_read: HashSet<usize>,
}

pub struct Kept {
    limits: Limits,
    vaults: BTreeMap<usize, Seen>,
    stored: Option<Record>,
    /// Sessions that began with a good ID token, and when by the provider's clock.
    begun: HashMap<usize, u64>,
    /// When somebody logged out, by the provider's clock.
    logouts: Vec<u64>,
    /// Families whose end was written in the place of the session.
    ended: Vec<usize>,
    /// Families whose end was written beside it.
    marked: HashSet<usize>,
    news: u64,
    /// Families whose end was reported to a page.
    over: HashSet<usize>,
    /// Families that were reported to a page.
    known: HashSet<usize>,
    sids: HashMap<String, usize>,
}

/// Since when it was, if it is so long ago now. A wall clock that was set back makes nothing younger.
fn before(now: &Instant, kept_at: UnixMillis, age: Millis) -> Instant {
    let age = Millis(now.wall.saturating_sub(kept_at)) + age;
    Instant {
        monotonic: now.monotonic.saturating_sub(age),
        wall: now.wall.saturating_sub(age.0),
    }
}

/// What has passed by both clocks: neither sleep nor a clock that was set is time in which a vault could act.
fn passed_on_both(since: &Instant, now: &Instant) -> Millis {
    let monotonic = now.monotonic.saturating_sub(since.monotonic);
    monotonic.min(Millis(now.wall.saturating_sub(since.wall)))
}

/// Each of the two clocks calls another of two moments the later one.
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
}

impl Kept {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            vaults: BTreeMap::new(),
            stored: None,
            begun: HashMap::new(),
            logouts: Vec::new(),
            ended: Vec::new(),
            marked: HashSet::new(),
            news: 0,
            over: HashSet::new(),
            known: HashSet::new(),
            sids: HashMap::new(),
        }
    }

    fn seen(&mut self, vault: usize) -> &mut Seen {
        self.vaults.entry(vault).or_default()
    }

    /// The family of the session that a vault's pages know of.
    pub fn told(&self, vault: usize) -> Option<usize> {
        self.vaults.get(&vault)?.told
    }

    /// The families of the sessions that pages know of.
    pub fn families(&self) -> BTreeSet<usize> {
        self.vaults.values().filter_map(|seen| seen.told).collect()
    }

    pub fn record(&self) -> Option<Record> {
        let mut record = self.stored.clone()?;
        record.ends = self.ended.len();
        Some(record)
    }

    pub fn killed(&mut self, vault: usize) {
        self.vaults.remove(&vault);
    }

    // Inputs

    pub fn before(&mut self, vault: usize, now: &Instant, holds_lock: bool) {
        let limits = self.limits;
        let seen = self.seen(vault);
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
            // Else it has to look into the store first.
            seen.justified.insert("idle");
        }
        seen.is_in_doubt |= may_be_idle;
        if may_be_absolute {
            seen.justified.insert("absolute");
        }
        if is_absolute {
            seen.must_end = seen.must_end.or(Some("absolute"));
        } else if is_expired {
            seen.justified.insert("expired");
            // Of two limits the idle one comes first.
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
        if !has_pages {
            // The next page is told of whatever there is by then.
            (seen.told, seen.idle_since) = (None, None);
        }
        let Some(family) = seen.told else {
            return;
        };
        if let Some(reason) = must_end {
            let invariant = match reason {
                "absolute" | "expired" => Invariant::Limits,
                _ => Invariant::DefiniteVerdict,
            };
            invariant.is_broken(format!("{reason}, and the session goes on"));
        }
        let waits = seen
            .idle_since
            .map_or(Millis::ZERO, |since| passed_on_both(&since, now));
        seen.ticks += u32::from(is_tick);
        // What it waited for may have been answered while nothing reached it.
        let has_time = seen.ticks < 4 || waits < LOOKS_WITHIN && seen.ticks < 200;
        Invariant::Limits.holds_if(has_time, || {
            format!("it is idle, and goes on {} ms later", waits.0)
        });
        let holding = &seen.holdings[&family];
        let left = |passed: Millis, limit: Millis| limit.saturating_sub(passed);
        let absolute = left(holding.started.shortest(now), limits.absolute);
        let end = absolute.min(left(holding.active.shortest(now), limits.idle));
        let is_timed = next_tick.is_some_and(|tick| tick <= now.monotonic + end + LOOKS_WITHIN);
        Invariant::Limits.holds_if(is_timed, || {
            let (started, active) = (&holding.started.0, &holding.active.0);
            format!(
                "no timer is set for the session's end: v{vault} family {family}, it is {now:?}, \
                 the timer {next_tick:?}, the end in {end:?}, began {started:?}, active {active:?}"
            )
        });
    }

    pub fn touched(&mut self, vault: usize, now: &Instant) {
        let idle = self.limits.idle;
        let seen = self.seen(vault);
        if let Some(holding) = seen.told.and_then(|family| seen.holdings.get_mut(&family)) {
            // Too late for that, unless another vault knows better.
            let may_be_idle = holding.active.longest(now) >= idle;
            seen.touched_in_doubt = (may_be_idle || seen.is_in_doubt).then_some(*now);
            if may_be_idle {
                holding.active.or(*now);
            } else {
                holding.active = Moments(vec![*now]);
                holding.touches.push(*now);
            }
        }
    }

    pub fn logs_out(&mut self, vault: usize, time: u64) {
        self.logouts.push(time);
        let seen = self.seen(vault);
        seen.justified.insert("logged_out");
        seen.must_end = Some("logged_out");
    }

    /// A vault is told that somebody has logged out in another one, and may take the store's word or the hint's.
    pub fn may_log_out(&mut self, vault: usize) {
        self.seen(vault).justified.insert("logged_out");
    }

    /// A vault was told something that ends this family's session.
    pub fn verdict(&mut self, vault: usize, family: usize, reason: &'static str) {
        let seen = self.seen(vault);
        if seen.told == Some(family) {
            seen.justified.insert(reason);
            seen.must_end = seen.must_end.or(Some(reason));
        }
    }

    /// The ID token of a login was found good.
    pub fn begins(
        &mut self,
        vault: usize,
        family: usize,
        (requested, now): (&Instant, &Instant),
        ends_with_token: Option<(Instant, Millis)>,
        time: u64,
    ) {
        self.begun.insert(family, time);
        let holding = Holding {
            ends_with_token: ends_with_token.map(|(since, life)| (Moments(vec![since]), life)),
            ..Holding::begun(*requested, *now)
        };
        self.seen(vault).holdings.insert(family, holding);
    }

    /// A vault asks for this to be written.
    pub fn writes(
        &mut self,
        vault: usize,
        state: &str,
        family: Option<usize>,
        now: &Instant,
        token: Option<(String, Millis, Millis)>,
    ) {
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
                // Those before it count for nothing, however long ago they seem when a clock was set.
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
        seen.write = Some(record);
        self.news = news;
    }

    /// What was to be written is there, or is not.
    pub fn written(&mut self, vault: usize, works: bool) {
        let write = self.seen(vault).write.take();
        if let Some(record) = write.filter(|_| works) {
            if let (Some(family), Some(_)) = (record.family, record.ended) {
                self.ended.push(family);
            }
            self.stored = Some(record);
        }
    }

    /// The store was cleared or damaged, and with it went what it said of ended sessions.
    pub fn forget_ends(&mut self) {
        self.ended.clear();
        self.marked.clear();
    }

    /// A vault is told that what it asked to be written is there.
    pub fn told_written(&mut self, vault: usize) {
        let stored = self.stored.as_ref().and_then(|record| record.family);
        self.seen(vault).shared.extend(stored);
    }

    /// That a session has ended is written beside it.
    pub fn marked(&mut self, sid: &str) {
        if let Some(family) = self.sids.get(sid) {
            self.marked.insert(*family);
        }
    }

    /// A vault asks whether the end is marked of the session that it has read just now.
    pub fn asks_for_mark(&mut self, vault: usize, op: OpId) {
        let seen = self.seen(vault);
        let reading = seen.reading.take();
        seen.marks.extend(reading.map(|reading| (op, reading)));
    }

    /// A vault learns whether the end is marked of the session that it has read.
    pub fn mark_read(&mut self, vault: usize, op: OpId, taken: &Taken, now: &Instant) {
        let mut read = None;
        let seen = self.seen(vault);
        let reading = seen.marks.remove(&op);
        let mut is_old = false;
        if let Some(Reading {
            record,
            at,
            ended,
            job,
        }) = reading
        {
            is_old = seen.is_old(job, &record);
            if let (Taken::Absent, Some(family)) = (taken, record.family) {
                seen.hears(&record, family, &at, now);
                read = Some(family);
            }
            if !is_old && !matches!(taken, Taken::Unavailable) {
                seen.ends_read.extend(ended);
            }
        }
        if !is_old && !matches!(taken, Taken::Unavailable) {
            let marked = self.marked.clone();
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
                // It counts from then on, or from now if it really was in doubt.
                holding.active.or(*now);
                holding.touches.push(touched);
            }
            if !is_another {
                // Else it counts for that one, and of two looks only the later one may be heeded.
                (seen.touched_in_doubt, seen.is_in_doubt) = (None, false);
            }
        }
        if let Some(family) = read.filter(|_| is_another)
            && seen.touched_in_doubt.is_some()
            && let Some(holding) = seen.holdings.get_mut(&family)
        {
            // It counts for the session that takes the place of the one that was in doubt.
            holding.active.or(*now);
        }
        // That of its own session, or of one that has taken its place.
        let families = seen.told.into_iter().chain(read);
        for holding in families.filter_map(|family| seen.holdings.get(&family)) {
            let ends = holding.ends_with_token.as_ref();
            if holding.active.longest(now) >= limits.idle {
                seen.justified.insert("idle");
            }
            if holding.started.longest(now) >= limits.absolute {
                seen.justified.insert("absolute");
            }
            if ends.is_some_and(|(since, life)| since.longest(now) >= *life) {
                seen.justified.insert("expired");
            }
        }
    }

    pub fn locked(&mut self, vault: usize, last_job: JobId, read: Option<JobId>) {
        let seen = self.seen(vault);
        (seen.locked_at, seen.read, seen.holds_lock) = (last_job, read, true);
    }

    /// The store was written for this vault, or was not: a look that was asked for by then may be from before.
    pub fn wrote(&mut self, vault: usize, last_job: JobId) {
        self.seen(vault).locked_at = last_job;
    }

    pub fn unlocked(&mut self, vault: usize) {
        self.seen(vault).holds_lock = false;
    }

    /// A vault gets what it asked the store for.
    pub fn loaded(
        &mut self,
        vault: usize,
        loaded: &Loaded,
        record: Option<&Record>,
        job: JobId,
        now: &Instant,
    ) {
        let known = record.map_or(0, |record| record.ends).min(self.ended.len());
        let ended = self.ended[..known].to_vec();
        if !matches!(loaded, Loaded::Found(_) | Loaded::Unavailable) {
            self.forget_ends();
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

    /// A page is told of a session. Gives whether it is the first.
    pub fn told_session(&mut self, vault: usize, family: usize) -> bool {
        Invariant::ValidatedLogin.holds_if(self.begun.contains_key(&family), || {
            format!("the session of family {family} out of nowhere")
        });
        let seen = self.seen(vault);
        let is_over = seen.ends_read.contains(&family);
        Invariant::EndStays.holds_if(!is_over, || format!("family {family}"));
        Invariant::ValidatedLogin.holds_if(seen.holdings.contains_key(&family), || {
            format!("family {family}, which the vault cannot know")
        });
        let before = seen.told.replace(family);
        if before != Some(family) {
            // What has taken its place is all that the vault holds now.
            before.and_then(|before| seen.holdings.remove(&before));
            seen.justified.clear();
            seen.must_end = None;
            seen.idle_since = None;
            (seen.touched_in_doubt, seen.is_in_doubt) = (None, false);
        }
        self.known.insert(family)
    }

    /// A page is told that it has no session. Returns the family of the session it had, if this is news.
    pub fn told_none(&mut self, vault: usize, reason: &str) -> Option<usize> {
        let logouts = self.logouts.last().copied();
        let begun = &self.begun;
        let seen = self.vaults.entry(vault).or_default();
        let family = seen.told.take()?;
        let was_logged_out = reason == "logged_out" && logouts >= begun.get(&family).copied();
        let is_justified = was_logged_out || seen.justified.contains(reason);
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

    /// A vault sends a call in the session of this family.
    pub fn call(&mut self, vault: usize, family: usize, now: &Instant) {
        let limits = self.limits;
        let seen = self.seen(vault);
        Invariant::OwnAnswer.holds_if(seen.told == Some(family), || {
            format!(
                "a call in the session of family {family}, told was {:?}",
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

impl Seen {
    /// Whether this is a look, and the lock is this vault's: it goes by what it read under the lock then, and that
    /// another session is there says nothing. Or it was so since, or the store was written: it looks once more.
    fn is_old(&self, job: JobId, record: &Record) -> bool {
        let is_look = self.read != Some(job);
        if self.holds_lock {
            is_look && record.family != self.told
        } else {
            is_look && job <= self.locked_at
        }
    }

    /// It has read of a session in the store. Ages count from when that was read; which of two moments is the
    /// later one is seen now, and the clock may have been set between the two.
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
        // Without a page it is not told what the vault did with a session: it may read of it as of a new one.
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
            // As long ago: the vault may know of one in between, by a clock that was set.
            if may_be_new || possible.passed(now) <= known.active.longest(now) {
                known.active.or(possible);
            }
            // Later now, and not once the clock is set right: others are told of neither for certain.
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
    /// The access token in it, when it was asked for, and how long it lives.
    pub fn token(&self, now: &Instant) -> Option<(String, Instant, Millis)> {
        let (token, age, lifetime) = self.token.as_ref()?;
        Some((token.clone(), before(now, self.kept_at, *age), *lifetime))
    }

    pub fn family(&self) -> Option<usize> {
        self.family
    }

    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub fn sid(&self) -> &str {
        &self.sid
    }
}

fn reason(name: &str) -> &'static str {
    const ALL: [&str; 7] = [
        "logged_out",
        "provider_ended",
        "expired",
        "idle",
        "absolute",
        "security",
        "storage_lost",
    ];
    ALL.into_iter().find(|known| *known == name).unwrap()
}
