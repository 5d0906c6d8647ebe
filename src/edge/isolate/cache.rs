//! The session cache of one isolate. With the cache, most requests need no read from the coordinator. The cache may be
//! dropped at any time.

use alloc::rc::Rc;
use core::cell::Cell;
use rules::prelude::*;

use crate::io::FlightId;
use crate::isolate::outage::{self, Outage};
use crate::lines::Unreadable;
use crate::session::record::{Intent, Stored};
use rules::base::clock::{Instant, Millis};
use rules::base::error::Code;
use rules::oauth::refresh_policy::Schedule;

/// Largest number of cached sessions.
const MOST: usize = 4096;

/// Longest time between two steps of a flight. A host replies to each effect of a flight sooner than this.
const SILENCE: Millis = Millis::from_secs(9);

/// For this time after the coordinator failed, [`SessionCache::is_due`] returns false and no refresh begins.
const REST: Millis = Millis::from_secs(1);

/// The cached state of one session.
#[derive(Default)]
pub(crate) struct CachedSession {
    /// The time of the last read from the coordinator.
    pub(crate) checked: Instant,
    /// The coordinator's entry as this isolate last read or wrote it. A record that could not be written replaces the
    /// record of the entry.
    pub(crate) stored: Stored,
    /// The schedule of the next refresh attempt.
    pub(crate) schedule: Schedule,
    /// The error code if the provider refused the last refresh attempt but did not end the session.
    pub(crate) refused: Option<Code>,
    /// The time of the last refresh that failed temporarily.
    pub(crate) failed: Option<Instant>,
    /// The session's generation at the last refresh attempt.
    pub(crate) generation: u64,
    observed: Observed,
    /// The latest generation whose access token this isolate has seen, and the time at which it first saw it.
    token_seen: Option<(u64, Instant)>,
    /// The routes that have refused new access tokens.
    refused_tokens: Vec<RefusedTokens>,
    /// The reason why the record could not be read at the last attempt.
    pub(crate) unreadable: Option<Unreadable>,
    /// True if this isolate has reported that the record is missing.
    pub(crate) is_loss_reported: bool,
    /// The time at which the coordinator did not accept the session's record, if only this cache has the record.
    pub(crate) unwritten: Option<Instant>,
}

/// The number of new access tokens of a session that a route has refused.
struct RefusedTokens {
    /// The prefix of the route.
    route: String,
    /// The generation of the latest one.
    generation: u64,
    /// The route has seen this one and refused it. Otherwise, it has only replaced a refused one.
    was_seen: bool,
    times: u32,
}

/// An observation of a session's record by this isolate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Observed {
    /// The intent that counts, and the store's intent. Their numbers begin again with each generation, so all members are
    /// compared.
    intents: [Option<Intent>; 2],
    /// The time at which this isolate first saw these intents.
    since: Instant,
    /// The presented generations, each with the time at which this isolate first saw it.
    presented: Vec<(u64, Instant)>,
}

impl CachedSession {
    /// Notes the intents and the presented generations that this isolate has seen at `now`. `stored` is the store's intent:
    /// a store that fails over may lose its last writes, and then give the same session to another flight. Both flights
    /// count.
    pub(crate) fn observe(&mut self, stored: Option<&Intent>, now: Instant) {
        let record = self.stored.record.as_deref();
        let counts = record.and_then(|record| record.intent.as_ref());
        let intents = [counts.cloned(), stored.cloned()];
        let observed = &mut self.observed;
        if observed.intents != intents {
            (observed.intents, observed.since) = (intents, now);
        }
        let presented = record.map_or(&[][..], |record| &record.presented);
        let known = core::mem::take(&mut observed.presented);
        let since = |generation| {
            let known = known.iter().find(|(known, _)| *known == generation);
            known.map_or(now, |(_, since)| *since)
        };
        let noted = presented.iter().map(|one| one.generation);
        observed.presented = noted.map(|one| (one, since(one))).collect();
    }

    /// Returns the time at which this isolate first saw the access token of this generation.
    pub(crate) fn token_seen_since(&mut self, generation: u64, now: Instant) -> Instant {
        match self.token_seen {
            Some((known, since)) if known == generation => since,
            _ => {
                self.token_seen = Some((generation, now));
                now
            }
        }
    }

    /// Returns the number of generations whose new access token the route has refused, since it accepted one.
    pub(crate) fn refused_tokens(&self, route: &str) -> u32 {
        let mut all = self.refused_tokens.iter();
        all.find(|refused| refused.route == route)
            .map_or(0, |refused| refused.times)
    }

    /// Counts a new access token that the route has refused, once for each generation.
    pub(crate) fn count_refused_token(&mut self, route: &str, generation: u64) {
        let mut all = self.refused_tokens.iter_mut();
        match all.find(|refused| refused.route == route) {
            Some(refused) if refused.generation == generation => {}
            Some(refused) => {
                refused.generation = generation;
                refused.was_seen = false;
                refused.times += 1;
            }
            None => self.refused_tokens.push(RefusedTokens {
                route: route.to_owned(),
                generation,
                was_seen: false,
                times: 1,
            }),
        }
    }

    /// Notes that the route has seen and refused the token of this generation, if it is counted.
    pub(crate) fn confirm_refused_token(&mut self, route: &str, generation: u64) {
        let mut all = self.refused_tokens.iter_mut();
        if let Some(refused) = all.find(|refused| refused.route == route) {
            refused.was_seen |= refused.generation == generation;
        }
    }

    /// Forgets the refused tokens of a route that has accepted the token of this generation. A token that the route has also
    /// refused does not count: another token would be refused for the same reason.
    pub(crate) fn forget_refused_tokens(&mut self, route: &str, generation: u64) {
        self.refused_tokens.retain(|refused| {
            refused.route != route || refused.was_seen && refused.generation == generation
        });
    }

    /// Returns the time since which this isolate has seen the same intents.
    pub(crate) const fn seen_since(&self) -> Instant {
        self.observed.since
    }

    /// Returns the time since this isolate saw that a cookie of this generation had been presented.
    pub(crate) fn presented_for(&self, generation: u64, now: &Instant) -> Millis {
        let mut presented = self.observed.presented.iter();
        let since = presented.find(|(known, _)| *known == generation);
        since.map_or(Millis::ZERO, |(_, since)| {
            now.monotonic.saturating_sub(since.monotonic)
        })
    }
}

/// A flight of this isolate.
struct Flight {
    name: String,
    id: FlightId,
    /// The time of its task's last step.
    last_step: Rc<Cell<Instant>>,
    /// The number of tasks that have waited for it, besides the one that began it.
    waiting: u64,
}

/// The cache, sorted by session ID.
#[derive(Default)]
pub(crate) struct SessionCache {
    /// Boxed, since each insertion moves those behind it.
    sessions: Vec<(String, Box<CachedSession>)>,
    flights: Vec<Flight>,
    coordinator_failed: Option<Instant>,
    /// True if a request gave up waiting for a read, and the coordinator has not responded since.
    pub(crate) is_coordinator_slow: bool,
    /// The state of the provider as this isolate sees it.
    pub(crate) outage: Outage,
}

impl SessionCache {
    fn place(&self, sid: &str) -> Result<usize, usize> {
        self.sessions
            .binary_search_by(|(known, _)| known.as_str().cmp(sid))
    }

    pub(crate) fn get(&self, sid: &str) -> Option<&CachedSession> {
        let place = self.place(sid).ok()?;
        self.sessions.get(place).map(|(_, cached)| &**cached)
    }

    /// Returns true if a session leaves attempts to other ones, because its refresh has failed lately.
    pub(crate) fn yields(&self, sid: &str, now: &Instant) -> bool {
        let failed = self.get(sid).and_then(|cached| cached.failed);
        failed.is_some_and(|at| at.elapsed(now) < outage::YIELDING)
    }

    /// Returns the time until the refresh of a session may be tried, as far as is known now.
    pub(crate) fn until_attempt(&self, sid: &str, now: &Instant) -> Millis {
        let own = self.get(sid).map(|cached| cached.schedule.left(now));
        let of_all = self.outage.left(now, self.yields(sid, now));
        own.unwrap_or_default().max(of_all)
    }

    /// Returns the cached state of a session for changes, if there is one.
    pub(crate) fn get_mut(&mut self, sid: &str) -> Option<&mut CachedSession> {
        let place = self.place(sid).ok()?;
        self.sessions
            .get_mut(place)
            .map(|(_, cached)| &mut **cached)
    }

    /// Returns the cached state of a session for changes, and creates it if needed.
    pub(crate) fn entry(&mut self, sid: &str, now: &Instant) -> &mut CachedSession {
        let place = match self.place(sid) {
            Ok(place) => place,
            Err(_) => {
                if self.sessions.len() >= MOST {
                    self.forget_oldest(now);
                }
                let place = self.place(sid).unwrap_or_else(|place| place);
                self.sessions
                    .insert(place, (sid.to_owned(), Box::default()));
                place
            }
        };
        &mut self.sessions[place].1
    }

    /// Removes the sessions that were read at least as long ago as the average session. If all sessions were read at
    /// the same time, removes all of them.
    fn forget_oldest(&mut self, now: &Instant) {
        let age = |cached: &CachedSession| cached.checked.elapsed(now).0;
        let sum: u64 = self.sessions.iter().map(|(_, cached)| age(cached)).sum();
        let average = sum / self.sessions.len().max(1) as u64;
        self.sessions.retain(|(_, cached)| age(cached) < average);
    }

    /// Returns true if a session must be read from the coordinator again.
    pub(crate) fn is_due(&self, sid: &str, recheck: Millis, now: &Instant) -> bool {
        let checked = self.get(sid).map(|cached| cached.checked.elapsed(now));
        // control: coordinator_is_asked_again
        self.is_coordinator_up(now) && checked.is_none_or(|age| age >= recheck)
    }

    /// Returns true unless the coordinator failed a moment ago.
    pub(crate) fn is_coordinator_up(&self, now: &Instant) -> bool {
        self.coordinator_failed
            .is_none_or(|at| at.elapsed(now) >= REST)
    }

    /// Returns true if the last request to the coordinator failed.
    pub(crate) fn has_coordinator_failed(&self) -> bool {
        self.coordinator_failed.is_some()
    }

    /// Returns true if only this cache has the end of a session, or new tokens, because the coordinator does not respond or the
    /// session's record cannot be read. Without the cache, an ended session would go on. After `absolute`, every such session is over.
    pub(crate) fn holds_unwritten(&self, absolute: Millis, now: &Instant) -> bool {
        let is_held = |since: &Instant| since.elapsed(now) < absolute;
        let mut all = self.sessions.iter();
        all.any(|(_, cached)| {
            let is_hindered = self.has_coordinator_failed() || cached.unreadable.is_some();
            is_hindered && cached.unwritten.as_ref().is_some_and(is_held)
        })
    }

    /// Marks every session to be read from the coordinator on next use.
    pub(crate) fn invalidate_all(&mut self) {
        self.invalidate(|_| true);
    }

    /// Marks sessions to be read from the coordinator on next use: those for whose ID `is_meant` returns true.
    pub(crate) fn invalidate(&mut self, is_meant: impl Fn(&str) -> bool) {
        for (sid, cached) in &mut self.sessions {
            if is_meant(sid) {
                cached.checked = Instant::default();
            }
        }
    }

    pub(crate) fn coordinator_failed(&mut self, now: &Instant) {
        self.coordinator_failed = Some(*now);
    }

    pub(crate) fn on_coordinator_response(&mut self) {
        self.coordinator_failed = None;
        self.is_coordinator_slow = false;
    }

    /// Returns the flight with this name, if any: see [`FlightGuard::begin`](crate::task::FlightGuard::begin).
    ///
    /// A flight without a step for longer than [`SILENCE`] is ignored: the platform has dropped the flight's request,
    /// so the flight cannot complete.
    pub(crate) fn flight(&self, name: &str, now: &Instant) -> Option<FlightId> {
        // Only the monotonic clock counts: the wall clock may have been set, and the flight may hold a lease.
        let is_silent =
            |last: &Cell<Instant>| now.monotonic.saturating_sub(last.get().monotonic) >= SILENCE;
        let mut flights = self.flights.iter();
        let of_it = flights.find(|flight| flight.name == name && !is_silent(&flight.last_step));
        of_it.map(|flight| flight.id)
    }

    /// Returns true unless the flight has finished.
    pub(crate) fn is_in_flight(&self, flight: FlightId) -> bool {
        self.flights.iter().any(|known| known.id == flight)
    }

    pub(crate) fn begin(&mut self, name: &str, flight: FlightId, last_step: Rc<Cell<Instant>>) {
        // control: isolate_refreshes_many_sessions
        self.flights.push(Flight {
            name: name.to_owned(),
            id: flight,
            last_step,
            waiting: 0,
        });
    }

    pub(crate) fn finish(&mut self, flight: FlightId) {
        // control: finished_refresh_is_not_awaited
        self.flights.retain(|known| known.id != flight);
    }

    /// Counts a task that waits for a flight.
    pub(crate) fn join(&mut self, flight: FlightId) {
        let mut flights = self.flights.iter_mut();
        if let Some(known) = flights.find(|known| known.id == flight) {
            known.waiting += 1;
        }
    }

    /// Returns the number of tasks that have waited for a flight.
    pub(crate) fn waiting(&self, flight: Option<FlightId>) -> u64 {
        let mut flights = self.flights.iter();
        let known = flights.find(|known| Some(known.id) == flight);
        known.map_or(0, |known| known.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolate::at_second as at;
    use crate::session::record::{Presented, Record};

    /// Returns a session whose record has these intents and presented generations.
    fn observe(
        cached: &mut CachedSession,
        counts: (&str, u64),
        stored: (&str, u64),
        presented: &[u64],
        seconds: u64,
    ) {
        let [counts, stored] = [counts, stored].map(|(holder, number)| Intent {
            holder: holder.to_owned(),
            number,
            written_at: 0,
        });
        cached.stored.record = Some(Rc::new(Record {
            intent: Some(counts),
            presented: presented
                .iter()
                .map(|&generation| Presented { generation, at: 0 })
                .collect(),
            ..Record::default()
        }));
        cached.observe(Some(&stored), at(seconds));
    }

    #[test]
    fn observation_lasts_while_both_intents_are_the_same() {
        let mut cached = CachedSession::default();
        observe(&mut cached, ("a", 1), ("a", 1), &[], 10);
        observe(&mut cached, ("a", 1), ("a", 1), &[], 14);
        assert_eq!(cached.seen_since(), at(10));
        // The holder has renewed its intent.
        observe(&mut cached, ("a", 2), ("a", 2), &[], 15);
        assert_eq!(cached.seen_since(), at(15));
        // The store has lost it, and another flight has written an intent.
        observe(&mut cached, ("a", 2), ("b", 1), &[], 20);
        assert_eq!(cached.seen_since(), at(20));
    }

    #[test]
    fn presented_generations_are_observed_by_the_monotonic_clock() {
        let mut cached = CachedSession::default();
        observe(&mut cached, ("", 0), ("", 0), &[1], 10);
        observe(&mut cached, ("", 0), ("", 0), &[1, 2], 20);
        let later = Instant { wall: 0, ..at(30) };
        assert_eq!(cached.presented_for(1, &later).as_secs(), 20);
        assert_eq!(cached.presented_for(2, &later).as_secs(), 10);
        assert_eq!(cached.presented_for(3, &later), Millis::ZERO);
    }

    #[test]
    fn least_recently_checked_sessions_are_forgotten() {
        let mut cache = SessionCache::default();
        for number in 0..=MOST {
            let now = at(3 * number as u64);
            cache.entry(&number.to_string(), &now).checked = now;
        }
        assert!(cache.get(&MOST.to_string()).is_some());
        assert!(cache.get(&(MOST - 1).to_string()).is_some());
        assert!(cache.get("0").is_none());
        assert!((MOST / 3..MOST * 2 / 3).contains(&cache.sessions.len()));
    }

    #[test]
    fn sessions_of_equal_age_are_forgotten_together() {
        let mut cache = SessionCache::default();
        for number in 0..=MOST {
            cache.entry(&number.to_string(), &at(1)).checked = at(0);
        }
        assert_eq!(cache.sessions.len(), 1);
    }

    #[test]
    fn coordinator_is_due_after_the_recheck_period() {
        let recheck = Millis::from_secs(30);
        let mut cache = SessionCache::default();
        assert!(cache.is_due("sid", recheck, &at(10)));
        cache.entry("sid", &at(10)).checked = at(10);
        assert!(!cache.is_due("sid", recheck, &at(39)));
        assert!(cache.is_due("sid", recheck, &at(40)));
        assert!(cache.is_due("another", recheck, &at(39)));
    }

    #[test]
    fn failed_coordinator_is_not_asked_for_a_second() {
        let mut cache = SessionCache::default();
        cache.coordinator_failed(&at(10));
        assert!(!cache.is_coordinator_up(&at(10)));
        assert!(!cache.is_due("sid", Millis::ZERO, &at(10)));
        assert!(cache.is_coordinator_up(&at(11)));
        assert!(cache.is_due("sid", Millis::ZERO, &at(11)));
    }

    #[test]
    fn coordinator_is_failed_until_it_responds() {
        let mut cache = SessionCache::default();
        assert!(!cache.has_coordinator_failed());
        cache.coordinator_failed(&at(10));
        assert!(cache.has_coordinator_failed());
        cache.on_coordinator_response();
        assert!(!cache.has_coordinator_failed());
        assert!(cache.is_coordinator_up(&at(10)));
    }

    #[test]
    fn refresh_without_steps_is_ignored() {
        let mut cache = SessionCache::default();
        let last_step = Rc::new(Cell::new(at(0)));
        cache.begin("sid", FlightId(1), last_step.clone());
        last_step.set(at(41));
        assert_eq!(cache.flight("sid", &at(49)), Some(FlightId(1)));
        assert_eq!(cache.flight("sid", &at(50)), None);
        cache.begin("sid", FlightId(2), Rc::new(Cell::new(at(50))));
        assert_eq!(cache.flight("sid", &at(51)), Some(FlightId(2)));
        cache.finish(FlightId(2));
        assert_eq!(cache.flight("sid", &at(51)), None);
    }
}
