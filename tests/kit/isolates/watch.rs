//! The oracle tracks sessions independently of the handler's code, by the rules of the specification. It sees the
//! effects and replies of all hosts, the content of sealed strings, and the state of the provider and the coordinator.
//! It stops the test at the first broken rule.

use std::collections::{BTreeMap, BTreeSet};

use edge::session::Session;
use edge::session::record::Record;
use edge::{Event, FlightId, Reply};
use rules::Secret;
use rules::base::clock::{Instant, Millis};
use rules::base::http::Outcome;
use rules::codec::base64url;
use rules::config::Limits;
use rules::oauth::pkce;
use rules::session::EndReason;

use super::binding::{Issued, Keys};
use super::host::STATUS_TIME;
use super::invariants::Invariant;
use super::provider::{OTHER_USER, Provider, Rotation, SECRET};
use super::{About, COOKIE, Given, Purpose, Setup, State, Visit, VisitId, World};

/// Largest difference between the clocks of two isolates, in milliseconds.
pub const SKEW: u64 = 2500;

/// The first characters of every ID token.
const ID_TOKEN: &str = "eyJhbGciOiJFUzI1NiIs";

/// Longest time in milliseconds from sending a code until the provider receives it. The handler counts the age of a
/// session from the time at which it sends the code.
const SLOWEST: u64 = 6000;

/// Milliseconds for which the handler sends no further refresh after the provider has rejected one.
const REFUSED: u64 = 60_000;

/// Lifetime in milliseconds of an intent that is not renewed.
pub const LEASE: u64 = 8000;

/// Milliseconds without a step after which an isolate takes a read or a refresh for dropped.
const SILENCE: u64 = 9000;

/// Milliseconds between two refreshes of a session whose provider rejects refreshes without a reason.
const SUSPECTED: u64 = 300_000;

/// Longest time for a request in milliseconds: three attempts at the provider, calls of the coordinator, and a call of
/// an API.
const LONGEST: u64 = 180_000;

/// Longest time in milliseconds for a request with a valid access token, not counting the time of the provider and the
/// API. This allows for several calls of a coordinator that does not respond, and the pauses between these calls.
const PROMPT: u64 = 30_000;

/// The content of a cookie.
#[derive(Clone, Debug)]
pub struct Presented {
    pub sid: String,
    /// The session, if sessions are stored in cookies.
    pub session: Option<Session>,
}

/// Everything that the oracle knows about a session.
#[derive(Default)]
pub struct Account {
    pub family: usize,
    /// The session's record in the coordinator.
    pub record: Option<Record>,
    /// The time at which the coordinator first received each refresh token, by the token's position in the family.
    committed: BTreeMap<usize, u64>,
    /// The time at which a cookie of each generation was first presented.
    presented: BTreeMap<u64, u64>,
    /// The time at which each generation was first recorded as presented.
    noted: BTreeMap<u64, u64>,
    /// The time at which a logout was requested.
    logout: Option<u64>,
    /// The latest order of the app's server that ends this session.
    ordered: Option<VisitId>,
    /// The time at which the coordinator first had a record that says that the session has ended.
    over: Option<u64>,
    /// True if an isolate has reported the end of the session, even if the isolate could not write the end to the
    /// record.
    pub(super) is_said_over: bool,
    pub(super) keys: Keys,
    /// The request whose intent is in the record.
    intended_by: Option<VisitId>,
}

/// Facts about a family, in addition to the provider's own state.
#[derive(Default)]
struct Family {
    /// The provider has rejected the family's refresh token.
    is_refused: bool,
    /// The provider has returned another user's tokens.
    is_of_other: bool,
    /// The time at which the provider last rejected a refresh because the user must sign in.
    wanted: Option<u64>,
    /// The number of rejections without a reason, by the request that received them.
    unexplained: BTreeMap<VisitId, u32>,
    /// The time at which a request received its third rejection without a reason.
    suspected: Option<u64>,
    /// The times at which a gateway in front of the provider responded to a refresh.
    of_gateway: Vec<u64>,
    back_channel: Option<u64>,
    /// The time at which the coordinator's record first contained the provider's rejection.
    over: Option<u64>,
    rotations: BTreeMap<usize, Rotated>,
}

/// A rotation at the provider.
#[derive(Clone, Debug)]
struct Rotated {
    by: VisitId,
    sent: u64,
    has_answered: bool,
}

/// A refresh in flight.
struct Exchange {
    token: String,
    visit: VisitId,
    serial: u32,
}

/// Reasons why the provider received a consumed refresh token again although no isolate made a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// The provider's response was lost.
    Response,
    /// The isolate that had the successor ended before the coordinator stored it.
    Isolate,
    /// The coordinator did not store the commit.
    Commit,
    /// The coordinator lost the intent, and a later isolate could not know it.
    Intent,
    /// No successor was lost: a repeated request reached the provider before an earlier request, for which the host no
    /// longer waited.
    Overtaken,
}

/// A read of a session's record, which a request has started.
struct ReadOfRecord {
    visit: VisitId,
    /// `None` if the request reads the record itself. Other requests for the same session wait for it, too.
    flight: Option<FlightId>,
    began: u64,
    ended: Option<u64>,
    /// Requests may continue without the result: another read has taken too long, or this one has failed.
    is_optional: bool,
}

impl ReadOfRecord {
    fn is_running(&self, now: u64) -> bool {
        self.ended.is_none_or(|ended| ended > now)
    }

    /// Returns true if a request that began at `since` may not know the result.
    fn may_be_unknown(&self, since: u64, now: u64) -> bool {
        let is_during = self.ended.is_none_or(|ended| ended >= since);
        let took = self.ended.map_or(now, |ended| ended.min(now)) - self.began;
        is_during && (self.is_optional || took >= STATUS_TIME.0)
    }
}

struct Sealed {
    key: usize,
    aad: String,
    plain: String,
}

pub struct Watch {
    grace: u64,
    recheck: u64,
    idle: u64,
    absolute: u64,
    /// Requests in flight.
    pub open: BTreeSet<VisitId>,
    pub accounts: BTreeMap<String, Account>,
    families: BTreeMap<usize, Family>,
    exchanges: Vec<Exchange>,
    /// The isolates whose only clock was set while they were running.
    pub unsteady: BTreeSet<usize>,
    /// The isolates whose process stood still, with the start and the end of each time.
    stops: Vec<(usize, u64, u64)>,
    /// The time of the last intent of each request that has written one.
    intended: BTreeMap<VisitId, u64>,
    /// The request that first wrote an intent with this holder and time.
    holders: BTreeMap<(String, u64), VisitId>,
    visits: BTreeMap<VisitId, Presented>,
    sealed: BTreeMap<Vec<u8>, Sealed>,
    /// The last time at which the coordinator failed, for each isolate.
    failed: BTreeMap<usize, u64>,
    /// The isolates, each with its epoch, that have told of the end of a session.
    tellers: BTreeSet<(usize, u32, String)>,
    /// The times at which isolates, each with its epoch, first read the binding to the key with this thumbprint.
    pub(super) read_bindings: BTreeMap<(usize, u32, String), u64>,
    /// The isolates in which a read has taken too long, and no request to the coordinator has succeeded since.
    pub slow: BTreeSet<usize>,
    /// The reads that requests have started, for each isolate.
    reads: BTreeMap<usize, Vec<ReadOfRecord>>,
    /// The position of the newest refresh token that an isolate knows of a family, by the isolate, its epoch and the
    /// family.
    knows: BTreeMap<(usize, u32, usize), usize>,
    /// The sessions that were stored in the coordinator, by their access tokens.
    by_token: BTreeMap<String, Session>,
    /// The latest state of each stored session that an isolate has used for a cookie that refers to the session's record.
    held: BTreeMap<(usize, u32, String), Session>,
    /// For each isolate and stored session, the time at which the isolate last served an active user.
    seen: BTreeMap<(usize, u32, String), u64>,
    /// Users of the sessions whose end an isolate has reported.
    told_of: BTreeSet<String>,
    /// The time of the provider's last response with 503 and `Retry-After`, and the end of the time to wait, by the
    /// isolate and its epoch. Any other response to a refresh ends the wait, and so does a response to a login that is
    /// neither 5xx nor 429.
    told_to_wait: BTreeMap<(usize, u32), (u64, u64)>,
    /// The last time at which the coordinator lost an intent, by the family.
    lost_intents: BTreeMap<usize, u64>,
    /// Requests whose refresh token was rejected, with the family and position of that token.
    refused: BTreeMap<VisitId, (usize, usize)>,
    pub(super) bound_cookies: BTreeMap<String, Issued>,
    pub registrations: u64,
    pub renewals: u64,
    /// Number of keys that were registered after another one.
    pub second_keys: u64,
    /// Number of requests with copies of a bound session's cookies that were served, and refused.
    pub copies_served: u64,
    pub copies_refused: u64,
    /// Number of refused requests whose browser could not renew the bound cookie, or did not have the key.
    pub not_renewed: u64,
    pub keys_lost: u64,
    /// Number of refused requests whose browser has the key of another login.
    pub keys_crossed: u64,
    /// Number of writes of the coordinator that took place after their isolate had given up.
    pub late_writes: u64,
    pub losses: BTreeMap<Loss, u64>,
    pub ends: BTreeMap<&'static str, u64>,
    pub rotations: u64,
    /// Number of refresh tokens that were sent.
    pub refreshes_sent: u64,
    pub served: u64,
    pub later: u64,
    /// Number of responses that tell the page that the user must sign in.
    pub wanted: u64,
}

impl Watch {
    /// Records a late period of an isolate's process that ends now.
    pub(super) fn note_lateness(&mut self, isolate: usize, now: u64, lateness: u64) {
        self.stops.push((isolate, now - lateness, now));
    }

    /// Returns how long the process of an isolate stood still between two times.
    fn stood(&self, isolate: usize, from: u64, to: u64) -> u64 {
        let stops = self.stops.iter().filter(|(of, ..)| *of == isolate);
        stops
            .map(|(_, start, end)| to.min(*end).saturating_sub(from.max(*start)))
            .sum()
    }

    /// Returns the longest time for which a request may have waited that an isolate has read at this time.
    fn lateness(&self, isolate: usize, read_at: u64) -> u64 {
        let mut since = read_at;
        for (of, start, end) in self.stops.iter().rev() {
            if *of == isolate && *end <= read_at && since <= end + 10_000 {
                since = *start;
            }
        }
        read_at - since
    }

    /// Returns the part of a request's wait that counts in its favor.
    pub(super) fn accepted_lateness(&self, visit: &Visit) -> u64 {
        let read_at = visit.read_at.unwrap_or(visit.began);
        self.lateness(visit.isolate, read_at).min(300_000)
    }

    pub fn new(setup: &Setup) -> Self {
        Self {
            grace: setup.grace * 1000,
            recheck: setup.recheck * 1000,
            idle: setup.idle * 1000,
            absolute: setup.absolute * 1000,
            open: BTreeSet::new(),
            accounts: BTreeMap::new(),
            families: BTreeMap::new(),
            exchanges: Vec::new(),
            unsteady: BTreeSet::new(),
            stops: Vec::new(),
            intended: BTreeMap::new(),
            holders: BTreeMap::new(),
            visits: BTreeMap::new(),
            sealed: BTreeMap::new(),
            failed: BTreeMap::new(),
            tellers: BTreeSet::new(),
            read_bindings: BTreeMap::new(),
            slow: BTreeSet::new(),
            reads: BTreeMap::new(),
            knows: BTreeMap::new(),
            by_token: BTreeMap::new(),
            held: BTreeMap::new(),
            seen: BTreeMap::new(),
            told_of: BTreeSet::new(),
            told_to_wait: BTreeMap::new(),
            lost_intents: BTreeMap::new(),
            refused: BTreeMap::new(),
            bound_cookies: BTreeMap::new(),
            registrations: 0,
            renewals: 0,
            second_keys: 0,
            copies_served: 0,
            copies_refused: 0,
            not_renewed: 0,
            keys_lost: 0,
            late_writes: 0,
            keys_crossed: 0,
            losses: BTreeMap::new(),
            ends: BTreeMap::new(),
            rotations: 0,
            refreshes_sent: 0,
            served: 0,
            later: 0,
            wanted: 0,
        }
    }

    /// Seals a string, and remembers both the string and the result. Only results of this function can be opened.
    pub fn seal(&mut self, key: usize, nonce: &[u8; 12], plain: &Secret, aad: &str) -> Vec<u8> {
        let tag = pkce::sha256(
            [nonce, plain.expose().as_bytes(), aad.as_bytes()]
                .concat()
                .as_slice(),
        );
        let sealed = [nonce.as_slice(), &tag[..16]].concat();
        let what = Sealed {
            key,
            aad: aad.to_owned(),
            plain: plain.expose().to_owned(),
        };
        self.sealed.insert(sealed.clone(), what);
        sealed
    }

    pub fn open(&self, key: usize, sealed: &[u8], aad: &str) -> Option<Secret> {
        let found = self.sealed.get(sealed)?;
        let is_genuine = found.key == key && found.aad == aad;
        is_genuine.then(|| Secret::from(found.plain.as_str()))
    }

    pub fn sealed_text(&self, sealed: &[u8]) -> Option<String> {
        Some(self.sealed.get(sealed)?.plain.clone())
    }

    /// Returns true if the record of a session has had this access token.
    pub(super) fn was_stored(&self, access_token: &str) -> bool {
        self.by_token.contains_key(access_token)
    }

    pub fn coordinator_failed(&mut self, isolate: usize, now: u64) {
        self.failed.insert(isolate, now);
    }

    /// Records that a request has started a read.
    pub fn read_began(&mut self, isolate: usize, visit: VisitId, flight: FlightId, now: u64) {
        let is_optional = self.is_slow(isolate, now);
        let reads = self.reads.entry(isolate).or_default();
        // Later requests do not depend on these reads.
        reads.retain(|read| read.ended.is_none_or(|ended| ended + LONGEST > now));
        reads.push(ReadOfRecord {
            visit,
            flight: Some(flight),
            began: now,
            ended: None,
            is_optional,
        });
    }

    /// Records that a request reads a record itself. The read ends at the latest at `until`.
    pub fn own_read_began(&mut self, isolate: usize, visit: VisitId, now: u64, until: u64) {
        let is_optional = self.is_slow(isolate, now);
        self.reads.entry(isolate).or_default().push(ReadOfRecord {
            visit,
            flight: None,
            began: now,
            ended: Some(until),
            is_optional,
        });
    }

    /// Records that a request that reads a record itself has got the response, if it does.
    pub fn own_read_ended(&mut self, isolate: usize, visit: VisitId, now: u64) {
        let reads = self.reads.get_mut(&isolate).into_iter().flatten();
        let mut own = reads.filter(|read| read.visit == visit && read.flight.is_none());
        if let Some(read) = own.find(|read| read.is_running(now)) {
            read.ended = Some(now);
        }
    }

    /// Records that the platform has dropped a read. The isolate notices it by the silence.
    pub fn read_dropped(&mut self, isolate: usize, visit: VisitId, now: u64) {
        let reads = self.reads.get_mut(&isolate).into_iter().flatten();
        for read in reads.filter(|read| read.visit == visit && read.ended.is_none()) {
            read.ended = Some(now + SILENCE);
        }
    }

    /// Forgets the reads of an isolate that has ended.
    pub fn isolate_ended(&mut self, isolate: usize) {
        self.reads.remove(&isolate);
        self.slow.remove(&isolate);
    }

    /// Returns true if requests of this isolate may continue without a read that begins now.
    fn is_slow(&mut self, isolate: usize, now: u64) -> bool {
        let reads = self.reads.get(&isolate).into_iter().flatten();
        let mut running = reads.filter(|read| read.is_running(now));
        if running.any(|read| now - read.began >= STATUS_TIME.0) {
            self.slow.insert(isolate);
        }
        self.slow.contains(&isolate)
    }

    /// Records that a request has started a part, a refresh or a read, which acts for the same session.
    pub fn started(&mut self, id: VisitId, part: VisitId) {
        self.open.insert(part);
        if let Some(presented) = self.visits.get(&id).cloned() {
            self.visits.insert(part, presented);
        }
    }

    /// Returns the request whose intent is in the record of this session.
    pub fn holder(&self, record: &Record) -> Option<VisitId> {
        let session = record.session.as_ref()?;
        self.accounts.get(&session.sid)?.intended_by
    }

    /// Records that the coordinator has lost an intent, so that `record` is a session's record again.
    pub fn lost_intent(&mut self, record: Record, now: u64) {
        let session = record.session.clone().unwrap();
        let account = self.accounts.get_mut(&session.sid).unwrap();
        account.intended_by = None;
        account.record = Some(record);
        self.lost_intents.insert(account.family, now);
    }

    pub fn presented(&self, id: VisitId) -> Option<&Presented> {
        self.visits.get(&id)
    }
}

fn family_and_place(session: &Session) -> (usize, usize) {
    Provider::place(session.refresh_token.as_ref().map(Secret::expose).unwrap())
}

/// Returns the family of the logout token in a form.
fn family_of(body: &str) -> usize {
    let payload = body.split('.').nth(1).unwrap();
    let claims = rules::codec::base64url::decode(payload).unwrap();
    let claims = String::from_utf8(claims).unwrap();
    let (_, rest) = claims.split_once("\"op-").unwrap();
    rest.split('"').next().unwrap().parse().unwrap()
}

impl World {
    /// Returns the content of a session cookie, or `None` if no isolate sealed the cookie.
    pub fn reading(&self, cookie: &str) -> Option<Presented> {
        let plain = self.unsealed(cookie)?;
        if let Some((sid, _)) = Session::reference_from_text(&plain) {
            return Some(Presented {
                sid: sid.to_owned(),
                session: None,
            });
        }
        let session = Session::from_text(&plain)?;
        Some(Presented {
            sid: session.sid.clone(),
            session: Some(session),
        })
    }

    pub(super) fn began(&mut self, id: VisitId) {
        let now = self.now;
        let presented = self.named_by_device(id).or_else(|| {
            let cookie = self.visits[id].cookie.clone();
            self.reading(&cookie?)
        });
        let Some(presented) = presented else {
            if self.visits[id].purpose == Purpose::BackChannel {
                let family = family_of(self.visits[id].body.as_deref().unwrap());
                self.watch.families.entry(family).or_default().back_channel = Some(now);
            }
            return;
        };
        let account = self
            .watch
            .accounts
            .entry(presented.sid.clone())
            .or_default();
        if let Some(session) = &presented.session {
            account.family = family_and_place(session).0;
            account.presented.entry(session.generation).or_insert(now);
        }
        self.watch.visits.insert(id, presented.clone());
        let purpose = self.visits[id].purpose;
        if purpose == Purpose::Logout && self.must_prove(id, &presented) {
            let account = self.watch.accounts.get_mut(&presented.sid).unwrap();
            account.keys.unproven_logouts.push(id);
        } else if matches!(purpose, Purpose::Logout | Purpose::Callback) {
            let account = self.watch.accounts.get_mut(&presented.sid).unwrap();
            account.logout.get_or_insert(now);
        }
    }

    /// Records that an isolate sends a refresh token.
    pub(super) fn sent_refresh(&mut self, id: VisitId, token: &str) {
        self.watch.refreshes_sent += 1;
        let (family, place) = Provider::place(token);
        let visit = &self.visits[id];
        let (isolate, epoch, looked) = (visit.isolate, visit.epoch, visit.looked);
        // A refresh that is in flight when the provider asks to wait may continue.
        let told = self.watch.told_to_wait.get(&(isolate, epoch));
        let told = told.filter(|(told, until)| visit.began > *told && self.now < *until);
        let told = told.filter(|_| !self.watch.unsteady.contains(&isolate));
        Invariant::Heeded.holds_if(told.is_none(), || {
            format!("visit {id} sends {token}, and isolate {isolate} was told to wait: {told:?}")
        });
        let watch = &self.watch;
        let account = watch
            .accounts
            .values()
            .find(|account| account.family == family);
        if let Some(account) = account {
            let newer = account
                .committed
                .range(place + 1..)
                .map(|(_, at)| *at)
                .min();
            Invariant::Consumed.holds_if(newer.is_none_or(|at| at > looked), || {
                format!("visit {id} sends {token}, and has read its successor")
            });
        }
        let known = watch.knows.get(&(isolate, epoch, family)).copied();
        Invariant::Consumed.holds_if(known.is_none_or(|known| known <= place), || {
            format!("visit {id} sends {token}, and isolate {isolate} had its successor before")
        });
        for other in &watch.exchanges {
            let is_same = other.token == token && other.visit != id;
            let holder = &self.visits[other.visit];
            let is_alive = matches!(holder.state, State::Open | State::Abandoned);
            let lease_end = self.lease_end(other.visit);
            let stood = self.isolates[holder.isolate].stopped.is_some()
                || watch.stood(holder.isolate, lease_end.saturating_sub(10_000), self.now) > 0;
            let keeps_lease = is_alive && !holder.coordinator_failed && !stood;
            let has_lapsed = lease_end <= self.now && !keeps_lease;
            let is_allowed = has_lapsed || self.cannot_know_intent(id, family);
            Invariant::SingleFlight.holds_if(!is_same || is_allowed, || {
                format!(
                    "visit {id} sends {token}, which visit {} is sending",
                    other.visit
                )
            });
        }
        Invariant::SingleFlight.holds_if(self.now < self.lease_end(id), || {
            format!("visit {id} sends {token} after its lease")
        });
        let serial = self.visits[id].serial;
        self.watch.exchanges.push(Exchange {
            token: token.to_owned(),
            visit: id,
            serial,
        });
    }

    /// Returns the time at which the lease of a request ends, if it does not renew it.
    fn lease_end(&self, id: VisitId) -> u64 {
        self.watch.intended.get(&id).map_or(0, |at| at + LEASE)
    }

    /// Returns true if the coordinator has lost an intent of this family, and the isolate of this request began later.
    fn cannot_know_intent(&self, id: VisitId, family: usize) -> bool {
        let lost = self.watch.lost_intents.get(&family);
        let isolate = &self.isolates[self.visits[id].isolate];
        lost.is_some_and(|at| *at <= isolate.began && self.now <= at + LONGEST)
    }

    /// Records that the provider has acted on a refresh token.
    pub(super) fn rotated(&mut self, id: VisitId, token: &str, rotation: Rotation, sent: u64) {
        let (i, place) = Provider::place(token);
        match rotation {
            Rotation::Fresh => {
                self.watch.rotations += 1;
                let rotated = Rotated {
                    by: id,
                    sent,
                    has_answered: false,
                };
                let family = self.watch.families.entry(i).or_default();
                family.rotations.insert(place, rotated);
            }
            Rotation::Forgiven => {
                // This request repeats the request that consumed the token. If an earlier request arrives later, this
                // request has overtaken it.
                let family = self.watch.families.entry(i).or_default();
                if let Some(rotated) = family.rotations.get_mut(&place) {
                    rotated.sent = rotated.sent.max(sent);
                }
            }
            Rotation::Refused => self.watch.families.entry(i).or_default().is_refused = true,
            Rotation::Reused => {
                let family = self.watch.families.entry(i).or_default();
                family.is_refused = true;
                let rotated = family.rotations.get(&place).cloned().unwrap();
                let visit = &self.visits[rotated.by];
                let isolate = visit.isolate;
                let lost = self.watch.lost_intents.get(&i);
                // The lost intent lets another isolate begin at once, and the one with the successor cannot store it.
                let stood = |since, until| {
                    self.isolates[isolate].stopped.is_some()
                        || self.watch.stood(isolate, since, until) > 0
                };
                let stood_without_intent = lost.is_some_and(|at| stood(*at, self.now));
                let loss = if sent < rotated.sent {
                    Some(Loss::Overtaken)
                } else if !rotated.has_answered {
                    Some(Loss::Response)
                } else if visit.state == State::Dead {
                    Some(Loss::Isolate)
                } else if visit.coordinator_failed {
                    Some(Loss::Commit)
                } else if stood_without_intent
                    || [id, rotated.by]
                        .iter()
                        .any(|id| self.cannot_know_intent(*id, i))
                {
                    Some(Loss::Intent)
                } else if stood(rotated.sent, self.lease_end(rotated.by)) {
                    // It could neither store the successor within its lease, nor learn that a write was lost.
                    Some(Loss::Commit)
                } else {
                    None
                };
                let Some(loss) = loss else {
                    Invariant::Consumed.is_broken(format!(
                        "{token} came again; visit {} had its successor",
                        rotated.by
                    ))
                };
                *self.watch.losses.entry(loss).or_default() += 1;
            }
        }
    }

    /// Records that the provider rejected this refresh token because the user must sign in.
    pub(super) fn wanted(&mut self, token: &str) {
        let (family, _) = Provider::place(token);
        self.watch.families.entry(family).or_default().wanted = Some(self.now);
    }

    /// Records that a response to a refresh reaches the task that sent the request.
    pub(super) fn refreshed(&mut self, id: VisitId, token: &str, reply: &Reply) {
        if let Reply::Sent(Outcome::Reply(response)) = reply {
            let visit = &self.visits[id];
            let isolate = (visit.isolate, visit.epoch);
            let told = &mut self.watch.told_to_wait;
            match response.retry_after {
                Some(time) if response.status == 503 => {
                    told.insert(isolate, (self.now, self.now + time.0));
                }
                None if response.status >= 500 => {}
                _ => {
                    told.remove(&isolate);
                }
            }
        }
        if let Reply::Sent(Outcome::Reply(response)) = reply
            && response.status == 400
            && let Some(body) = &response.body
            && body.expose().contains("\"invalid_grant\"")
        {
            self.watch.refused.insert(id, Provider::place(token));
        }
    }

    /// Records that a response of the provider to a login reaches the task. Any status but 5xx and 429 ends the wait that the
    /// provider asked for.
    pub(super) fn heard_from_provider(&mut self, id: VisitId, reply: &Reply) {
        let visit = &self.visits[id];
        if let Reply::Sent(Outcome::Reply(response)) = reply
            && response.status < 500
            && response.status != 429
        {
            let isolate = (visit.isolate, visit.epoch);
            self.watch.told_to_wait.remove(&isolate);
        }
    }

    /// Checks that a request may wait for the refresh of another request, in its own isolate or in another isolate.
    pub(super) fn waits_for_refresh(&self, id: VisitId) {
        Invariant::Prompt.holds_if(!self.has_valid_token(id), || {
            format!("visit {id} waits for a refresh although its access token is valid")
        });
    }

    /// Returns the latest time that it may be for an isolate: by its own clock, or by the coordinator's.
    fn latest_clock(&self, isolate: usize) -> Instant {
        let clock = self.clock(isolate);
        let shared = self.now + if self.setup.has_time { SKEW } else { 0 };
        Instant {
            wall: clock.wall.max(shared),
            ..clock
        }
    }

    /// Returns true if the cookie of this request contains an access token that is valid by the clock of its isolate
    /// and that no API has rejected.
    fn has_valid_token(&self, id: VisitId) -> bool {
        let visit = &self.visits[id];
        let clock = self.latest_clock(visit.isolate);
        let session = self.watch.visits.get(&id).and_then(|p| p.session.as_ref());
        // A token is dated in the future if its isolate's clock was set back since. Nobody knows when such a token expires.
        let is_dated = |session: &Session| session.requested <= clock.wall;
        let is_valid = |session: &Session| is_dated(session) && session.is_valid(&clock);
        // Nobody knows how an isolate without a monotonic clock sees the token after its clock was set.
        let is_unsteady = self.watch.unsteady.contains(&visit.isolate);
        !visit.api_failed && !is_unsteady && session.is_some_and(is_valid)
    }

    /// Records that a request has ended for its isolate, even if its browser still waits.
    pub(super) fn is_over(&mut self, id: VisitId) {
        let refused = self.watch.refused.remove(&id);
        // An isolate that cannot reach the coordinator cannot obey the following rules.
        if self.visits[id].coordinator_failed {
            return;
        }
        // The end by a back-channel logout has its own record, so this isolate does not have to report it.
        let is_elsewhere = |family: usize| {
            let family = self.watch.families.get(&family);
            family.is_some_and(|family| family.back_channel.is_some())
        };
        if let Some((family, place)) = refused
            && !is_elsewhere(family)
        {
            self.is_refusal_kept(id, family, place);
        }
        let mut accounts = self.watch.accounts.values();
        let left = accounts.find(|account| account.intended_by == Some(id));
        let left = left.filter(|account| !is_elsewhere(account.family));
        let clock = self.clock(self.visits[id].isolate);
        let intent = left.and_then(|account| account.record.as_ref()?.intent.as_ref());
        let intent = intent.filter(|intent| intent.is_held(&clock));
        Invariant::Withdrawn.holds_if(intent.is_none(), || {
            format!("visit {id} is over, and its intent is there: {intent:?}")
        });
    }

    /// Checks that the record contains the provider's rejection of a refresh token, once the request that sent the
    /// token has ended.
    fn is_refusal_kept(&self, id: VisitId, family: usize, place: usize) {
        let mut accounts = self.watch.accounts.iter();
        let Some((sid, account)) = accounts.find(|(_, account)| account.family == family) else {
            return;
        };
        let record = account.record.as_ref();
        let session = record.and_then(|record| record.session.as_ref());
        let has_successor = session.is_some_and(|session| family_and_place(session).1 > place);
        let ended = record.and_then(|record| record.ended);
        let is_told = self.watch.told_of.contains(&public_id(sid));
        // Another request may have ended the session in the meantime, and reports that end itself.
        let is_by_another = ended.is_some_and(|reason| reason != EndReason::ProviderEnded);
        let is_known = ended.is_some() && (is_told || is_by_another);
        Invariant::Refused.holds_if(has_successor || is_known, || {
            format!("visit {id} was refused; ended: {ended:?}, told: {is_told}")
        });
    }

    /// Records that the provider rejects this refresh token without a reason.
    pub(super) fn unexplained(&mut self, visit: VisitId, token: &str) {
        let (family, _) = Provider::place(token);
        let family = self.watch.families.entry(family).or_default();
        let refusals = family.unexplained.entry(visit).or_default();
        *refusals += 1;
        if *refusals == 3 {
            family.suspected = Some(self.now);
        }
    }

    /// Records that a gateway in front of the provider responds to a refresh.
    pub(super) fn gateway(&mut self, token: &str) {
        let (family, _) = Provider::place(token);
        let family = self.watch.families.entry(family).or_default();
        family.of_gateway.push(self.now);
        let count = family.of_gateway.len();
        if count >= 6 || count >= 3 && self.now - family.of_gateway[0] >= 20_000 {
            family.suspected = Some(self.now);
        }
    }

    /// Records that a response reaches its host, which may have stopped waiting for it.
    pub(super) fn landed(&mut self, id: VisitId, serial: u32, about: &About) {
        if let About::Refresh(_) = about {
            let is_it = |e: &Exchange| e.visit == id && e.serial == serial;
            self.watch.exchanges.retain(|exchange| !is_it(exchange));
        }
    }

    /// Records that a task receives the reply to its effect.
    pub(super) fn told(&mut self, id: VisitId, reply: &Reply) {
        let visit = &self.visits[id];
        let (isolate, epoch) = (visit.isolate, visit.epoch);
        match reply {
            Reply::Sent(Outcome::Reply(response)) if response.status == 200 => {
                let body = response.body.as_ref().map_or("", Secret::expose);
                let Some((_, rest)) = body.split_once(r#""refresh_token":""#) else {
                    return;
                };
                let token = rest.split('"').next().unwrap();
                let (family, place) = Provider::place(token);
                let knows = self
                    .watch
                    .knows
                    .entry((isolate, epoch, family))
                    .or_default();
                *knows = (*knows).max(place);
                let of_it = self.watch.families.entry(family).or_default();
                if let Some(rotated) = place
                    .checked_sub(1)
                    .and_then(|p| of_it.rotations.get_mut(&p))
                {
                    rotated.has_answered = true;
                    rotated.by = id;
                }
                of_it.is_of_other |= body.contains(OTHER_USER);
            }
            Reply::Entries { entries, .. } => self.read_binding(id, entries),
            _ => {}
        }
    }

    /// Checks that the access token that a request forwards has not expired, and records the token's session.
    pub(super) fn forwards(&mut self, id: VisitId, access_token: &str) {
        let until = self.provider.access_until(access_token);
        let latest = until.map(|until| until.saturating_add(self.setup.spread));
        Invariant::Expired.holds_if(latest.is_some_and(|latest| self.now < latest), || {
            format!("visit {id} sends a token that expired at {until:?}")
        });
        let visit = &self.visits[id];
        let Some(presented) = self.watch.visits.get(&id) else {
            return;
        };
        // The isolate caches records. It does not cache a session that it has seen only in a sealed cookie.
        if presented.session.is_some() {
            return;
        }
        let Some(session) = self.watch.by_token.get(access_token) else {
            return;
        };
        let key = (visit.isolate, visit.epoch, presented.sid.clone());
        self.watch.held.insert(key, session.clone());
    }

    /// Records that the coordinator has stored `value`, if the value is the record of a session.
    pub(super) fn wrote(&mut self, id: VisitId, key: &str, value: &str) {
        let now = self.now;
        if !key.starts_with("session.") {
            return;
        }
        let plain = self.unsealed(value).unwrap();
        let record = Record::from_text(&plain).unwrap();
        self.tell(|| format!("coordinator: {}", summary(&record)));
        let mut known = self.watch.accounts.keys();
        let sid = match &record.session {
            Some(session) => session.sid.clone(),
            // A request may write the end of another request's session.
            None => known.find(|sid| record_key(sid) == key).unwrap().clone(),
        };
        if let Some(reason) = record.ended
            && !self.watch.accounts[&sid].is_said_over
        {
            self.may_end(id, &sid, reason);
        }
        let account = self.watch.accounts.entry(sid).or_default();
        if record.ended.is_none() {
            let bound = record.bound.as_ref();
            let bound = bound.map(|bound| (&*bound.thumbprint, bound.since));
            Self::wrote_binding(account, bound, now);
        }
        if let Some(session) = &record.session {
            let (family, place) = family_and_place(session);
            account.family = family;
            account.committed.entry(place).or_insert(now);
            let token = session.access_token.expose().to_owned();
            self.watch
                .by_token
                .entry(token)
                .or_insert(Session::clone(session));
        }
        for presented in &record.presented {
            account.noted.entry(presented.generation).or_insert(now);
        }
        if record.ended.is_some() {
            account.over.get_or_insert(now);
        }
        let before = account.record.as_ref().and_then(|r| r.intent.clone());
        if record.intent != before {
            // Another isolate that has read an intent may write it again after the store has lost it.
            let holders = &mut self.watch.holders;
            let intent = record.intent.as_ref();
            let holder = intent.map(|it| match it.holder.as_str() {
                // The intent was withdrawn.
                "" => id,
                holder => {
                    let key = (holder.to_owned(), it.written_at);
                    *holders.entry(key).or_insert(id)
                }
            });
            account.intended_by = holder;
            if holder == Some(id) {
                self.watch.intended.insert(id, now);
            }
        }
        account.record = Some(record);
    }

    /// Checks that a session may end because of this request, or because of another request in the same isolate.
    fn may_end(&self, id: VisitId, sid: &str, reason: EndReason) {
        let isolate = self.visits[id].isolate;
        let mut others = self.watch.open.iter().copied().filter(|other| {
            let is_of_it = self.watch.visits.get(other).is_some_and(|p| p.sid == sid);
            is_of_it && self.visits[*other].isolate == isolate
        });
        if let Err((invariant, why)) = self.ends(id, sid, reason)
            && !others.any(|other| self.ends(other, sid, reason).is_ok())
        {
            invariant.is_broken(why);
        }
    }

    /// Returns an error if a session must not end for this reason.
    fn ends(&self, id: VisitId, sid: &str, reason: EndReason) -> Result<(), (Invariant, String)> {
        let now = self.now;
        let watch = &self.watch;
        let account = &watch.accounts[sid];
        let none = Family::default();
        let family = watch.families.get(&account.family).unwrap_or(&none);
        let presented = watch.visits.get(&id).and_then(|p| p.session.as_ref());
        let is_legitimate = match reason {
            EndReason::LoggedOut | EndReason::Forgotten | EndReason::Replaced
                if self.is_logged_out(sid) =>
            {
                true
            }
            EndReason::LoggedOut | EndReason::Security if account.ordered.is_some() => true,
            EndReason::LoggedOut if account.keys.has_unproven_logout() => {
                let why = format!("visit {id}: a logout without a proof ended the session");
                return Err((Invariant::Copied, why));
            }
            EndReason::ProviderEnded => family.is_refused || family.back_channel.is_some(),
            // The login's isolate could not ask the coordinator for the time.
            EndReason::Idle | EndReason::Absolute if self.is_misdated(account) => true,
            EndReason::Idle => {
                let active = match presented {
                    Some(session) => session.active,
                    None => {
                        let session = account.record.as_ref().and_then(|r| r.session.as_ref());
                        session.map_or(0, |session| session.active)
                    }
                };
                now + SKEW >= active + watch.idle
            }
            EndReason::Absolute => {
                let began = self.provider.login_at(account.family);
                now + 2 * SKEW + SLOWEST >= began + watch.absolute
            }
            EndReason::Security if family.is_of_other || account.keys.are_many() => true,
            EndReason::Security if self.outlasts_copies(id, watch.visits.get(&id)) => {
                let why = format!("visit {id} ended a bound session");
                return Err((Invariant::Copied, why));
            }
            EndReason::Security => {
                let Some(generation) = presented.map(|session| session.generation) else {
                    let why = format!("visit {id}: a session in the store cannot have old cookies");
                    return Err((Invariant::Grace, why));
                };
                let came = self.visits[id].began;
                let later = account.presented.range(generation + 1..);
                let replaced = later.map(|(_, at)| *at).min();
                if replaced.is_none_or(|at| came + SKEW <= at + watch.grace) {
                    let why = format!(
                        "visit {id} with generation {generation}, replaced at {replaced:?}"
                    );
                    return Err((Invariant::Grace, why));
                }
                true
            }
            _ => false,
        };
        if is_legitimate {
            return Ok(());
        }
        let reason = reason.as_str();
        let why = format!("visit {id}: the session ended with the reason {reason}");
        Err((Invariant::DefiniteEnd, why))
    }

    /// Records that an isolate reports the end of a session. One of the isolate's requests must have had a valid
    /// reason, even if its browser has disconnected since.
    fn told_over(&mut self, isolate: usize, session: &str, reason: EndReason) {
        let mut known = self.watch.accounts.keys();
        let Some(sid) = known.find(|sid| public_id(sid) == session).cloned() else {
            return;
        };
        let is_legitimate = self.watch.visits.iter().any(|(id, presented)| {
            let is_of_it = presented.sid == sid && self.visits[*id].isolate == isolate;
            is_of_it && self.ends(*id, &sid, reason).is_ok()
        });
        let account = self.watch.accounts.get_mut(&sid).unwrap();
        // An old copy of a cookie may have reached the idle limit while the session continues, so `Idle` does not mean
        // that the session has ended.
        account.is_said_over |= is_legitimate && reason != EndReason::Idle;
    }

    /// Returns true if an order or the provider has ended this session, so that it may have another end, too.
    fn has_two_ends(&self, session: &str) -> bool {
        let mut accounts = self.watch.accounts.iter();
        accounts.any(|(sid, account)| {
            let family = self.watch.families.get(&account.family);
            let is_ordered = account.ordered.is_some();
            let is_over = is_ordered || family.is_some_and(|family| family.back_channel.is_some());
            public_id(sid) == session && is_over
        })
    }

    pub(super) fn event(&mut self, isolate: usize, event: &Event) {
        let text = match event {
            Event::Fault(fault) => format!("{} {fault:?}", fault.error),
            other => format!("{other:?}"),
        };
        Invariant::Secrecy.holds_if(!text.contains(SECRET) && !text.contains(ID_TOKEN), || {
            format!("isolate {isolate} told: {text}")
        });
        if let Event::Ended {
            reason,
            subject,
            session,
            ..
        } = event
        {
            *self.watch.ends.entry(reason.seen_as()).or_default() += 1;
            self.told_over(isolate, session, *reason);
            // A bound session that was never used may end by a second key. Nobody knows its user.
            let is_news = subject.is_empty() || self.watch.told_of.insert(session.clone());
            let teller = (isolate, self.isolates[isolate].epoch, session.clone());
            let is_first = self.watch.tellers.insert(teller);
            // An isolate that cannot read the record does not know that another isolate has reported the end.
            let is_unknown =
                is_first && !self.watch.failed.is_empty() || self.has_two_ends(session);
            Invariant::Told.holds_if(is_news || is_unknown, || {
                format!("isolate {isolate} told of {session} again")
            });
        }
    }

    /// Records that the app's server has given an order.
    pub(super) fn ordered(&mut self, id: VisitId, target: &str, options: &str) {
        for (sid, account) in &mut self.watch.accounts {
            let names = [
                self.provider.subject_of(account.family).to_owned(),
                format!("op-{}", account.family),
                public_id(sid),
            ];
            let is_meant = names
                .iter()
                .any(|name| target.contains(&format!("\"{name}\"")));
            if is_meant && !options.contains(&public_id(sid)) {
                account.ordered = Some(id);
            }
        }
    }

    /// Records that the handler has responded.
    pub(super) fn answered(&mut self, id: VisitId) {
        let now = self.now;
        let visit = &self.visits[id];
        let given = visit.given.clone().unwrap();
        let took = now - visit.began - self.watch.stood(visit.isolate, visit.began, now);
        Invariant::Answered.holds_if(took <= LONGEST, || format!("visit {id} took {took} ms"));
        if self.has_valid_token(id) {
            let own = took.saturating_sub(visit.spent_elsewhere);
            Invariant::Prompt.holds_if(own <= PROMPT, || {
                format!("visit {id} took {own} ms with a valid access token")
            });
        }
        let text = format!("{given:?}");
        Invariant::Secrecy.holds_if(!text.contains(SECRET) && !text.contains(ID_TOKEN), || {
            format!("visit {id} got: {text}")
        });
        if visit.purpose == Purpose::Manage {
            let accounts = self.watch.accounts.values_mut();
            for account in accounts.filter(|it| it.ordered == Some(id) && given.body == "true") {
                account.over.get_or_insert(now);
            }
            return;
        }
        if visit.purpose == Purpose::BackChannel {
            if given.status == 200 {
                let family = family_of(visit.body.as_deref().unwrap());
                let family = self.watch.families.entry(family).or_default();
                family.over.get_or_insert(now);
            }
            return;
        }
        if matches!(visit.purpose, Purpose::Bind | Purpose::Renew) {
            return self.answered_device(id, &given);
        }
        if visit.purpose == Purpose::Callback {
            self.note_new_session(&given);
        }
        let visit = &self.visits[id];
        let has_asked = self.has_asked(id);
        if visit.purpose == Purpose::Logout
            && has_asked
            && let Some(presented) = self.watch.visits.get(&id).cloned()
            && !self.is_refused_for_proof(id, &presented, &given)
        {
            let account = self.watch.accounts.get_mut(&presented.sid).unwrap();
            account.over.get_or_insert(now);
        }
        let visit = &self.visits[id];
        let is_use = matches!(
            visit.purpose,
            Purpose::Call | Purpose::Poll | Purpose::Session
        );
        let Some(presented) = self.watch.visits.get(&id).cloned().filter(|_| is_use) else {
            return;
        };
        let key = (visit.isolate, visit.epoch, presented.sid.clone());
        if given.is_served() {
            self.watch.served += 1;
            if visit.purpose != Purpose::Poll {
                self.watch.seen.insert(key, now);
            }
            self.may_be_unproven(id, &presented);
            self.may_be_served(id, &presented);
            return;
        }
        if let Some(reason) = given.ended() {
            let reason = EndReason::from_name(reason).expect("an end with a known reason");
            let is_lost = reason == EndReason::StorageLost;
            let account = &self.watch.accounts[&presented.sid];
            let is_gone = is_lost && self.is_past(account);
            if account.over.is_none() && !account.is_said_over && !is_gone {
                self.may_end(id, &presented.sid, reason);
                // An old copy of a cookie may have reached the idle limit while the session continues, so `Idle` does
                // not mean that the session has ended.
                let account = self.watch.accounts.get_mut(&presented.sid).unwrap();
                account.is_said_over = reason != EndReason::Idle;
            }
            return;
        }
        if self.is_refused_for_proof(id, &presented, &given) {
            return;
        }
        let visit = &self.visits[id];
        // At the absolute limit a browser deletes the session's cookie. If a client still sends the cookie, the handler
        // may no longer have the key that opens the cookie.
        let is_forgotten =
            given.body.contains(r#""login_required""#) || given.body == r#"{"session":null}"#;
        if given.status == 502 || is_forgotten && self.is_past(&self.watch.accounts[&presented.sid])
        {
            return;
        }
        let family = self.watch.accounts[&presented.sid].family;
        let known = self.watch.families.get(&family);
        let is_until = |at: Option<u64>, wait| at.is_some_and(|at| now <= at + wait + LONGEST);
        let is_wanted = given.status == 401
            && given.body.contains(r#""interaction_required""#)
            && known.is_some_and(|family| {
                is_until(family.wanted, REFUSED) || is_until(family.suspected, SUSPECTED)
            });
        Invariant::DefiniteEnd.holds_if(
            (given.status != 401 || is_wanted) && !given.clears() && !given.body.contains("null"),
            || format!("visit {id} got {} {}", given.status, given.body),
        );
        let is_later = is_wanted || given.status == 503 && given.header("retry-after").is_some();
        Invariant::Later.holds_if(is_later, || format!("visit {id} got {}", given.status));
        self.watch.later += 1;
        self.watch.wanted += u64::from(is_wanted);
        let clock = self.latest_clock(visit.isolate);
        let held = match &presented.session {
            Some(session) => Some(session.clone()),
            // A session that seems idle to this isolate may have been active in another isolate.
            None => self.watch.held.get(&key).cloned().filter(|session| {
                let seen = self.watch.seen.get(&key).copied().unwrap_or_default();
                let noted = seen.saturating_sub(60_000.min(self.watch.idle / 10));
                now + SKEW < session.active.max(noted) + self.watch.idle
            }),
        };
        // If the session must be bound by now, the record has to say that it is.
        let held = held.filter(|held| held.bound.is_some() || !self.may_be_overdue(&presented));
        // An isolate that does not know what time it is may take a limit for reached, and then waits for the coordinator.
        let limits = Limits {
            idle: Millis(self.watch.idle),
            absolute: Millis(self.watch.absolute),
        };
        let latest = Instant {
            wall: now + self.setup.spread,
            ..clock
        };
        let is_unsure = self.watch.unsteady.contains(&visit.isolate)
            || held
                .as_ref()
                .is_some_and(|it| it.limit_reached(&limits, &latest).is_some());
        let is_valid = !is_unsure && held.is_some_and(|session| session.is_valid(&clock));
        Invariant::Serves.holds_if(!is_valid, || {
            format!("visit {id} got {} with a valid access token", given.status)
        });
    }

    /// Records the family of a session that a login has begun.
    fn note_new_session(&mut self, given: &Given) {
        let start = [COOKIE, "="].concat();
        let mut cookies = given.cookies.iter();
        let value = cookies.find_map(|cookie| cookie.strip_prefix(&start));
        let value = value.and_then(|value| value.split(';').next());
        if let Some(presented) = value.and_then(|value| self.reading(value))
            && let Some(session) = &presented.session
        {
            let account = self.watch.accounts.entry(presented.sid).or_default();
            account.family = family_and_place(session).0;
        }
    }

    /// Returns true if a request has asked to end the session, and may do so.
    fn is_logged_out(&self, sid: &str) -> bool {
        let account = &self.watch.accounts[sid];
        let mut unproven = account.keys.unproven_logouts.iter();
        let may_end = |id: &VisitId| {
            let presented = self.watch.visits.get(id);
            presented.is_some_and(|presented| !self.must_prove(*id, presented))
        };
        account.logout.is_some() || unproven.any(may_end)
    }

    /// Returns true if the session's start in its cookie or record is by another clock than the coordinator's.
    fn is_misdated(&self, account: &Account) -> bool {
        let began = self.provider.login_at(account.family);
        let misdated = |session: &Session| session.began.abs_diff(began) > 2 * SKEW + SLOWEST;
        let record = account.record.as_ref();
        let mut presented = self.watch.visits.values();
        self.setup.has_time
            && (record
                .and_then(|record| record.session.as_deref())
                .is_some_and(misdated)
                || presented.any(|presented| {
                    let session = presented.session.as_ref();
                    session.is_some_and(|session| {
                        family_and_place(session).0 == account.family && misdated(session)
                    })
                }))
    }

    /// Returns true if a session may have reached its absolute limit.
    pub(super) fn is_past(&self, account: &Account) -> bool {
        let began = self.provider.login_at(account.family);
        self.now + 2 * SKEW + SLOWEST >= began + self.watch.absolute
    }

    /// Returns true if the coordinator worked for this request, so that the request knows the current record.
    pub(super) fn has_asked(&self, id: VisitId) -> bool {
        let visit = &self.visits[id];
        let failed = self
            .watch
            .failed
            .get(&visit.isolate)
            .copied()
            .unwrap_or_default();
        let reads = self.watch.reads.get(&visit.isolate).into_iter().flatten();
        let sid = |id| self.watch.presented(id).map(|presented| &presented.sid);
        let mut reads = reads.filter(|read| {
            read.may_be_unknown(visit.began, self.now)
                && (read.flight.is_some() || read.visit != id && sid(read.visit) == sid(id))
        });
        // For an isolate whose only clock was set, less time may have passed since the coordinator failed.
        failed + 1000 + self.watch.recheck < visit.began
            && !self.watch.unsteady.contains(&visit.isolate)
            && !visit.coordinator_failed
            && reads.next().is_none()
    }

    /// Records that a flight has finished. Returns the time of the coordinator's action, if the flight was a read.
    pub(super) fn read_finished(&mut self, isolate: usize, flight: FlightId) -> u64 {
        let now = self.now;
        let is_slow = self.watch.is_slow(isolate, now);
        let reads = self.watch.reads.get_mut(&isolate).into_iter().flatten();
        let mut running = reads.filter(|read| read.is_running(now));
        let Some(read) = running.find(|read| read.flight == Some(flight)) else {
            return 0;
        };
        let visit = &self.visits[read.visit];
        read.ended = Some(now);
        read.is_optional |= is_slow || visit.coordinator_failed;
        visit.looked
    }

    /// Checks that the handler may serve a request with this cookie.
    fn may_be_served(&mut self, id: VisitId, presented: &Presented) {
        // An isolate that could not read the record may serve the request with the session state that it knows.
        if !self.has_asked(id) {
            return;
        }
        let visit = &self.visits[id];
        let watch = &self.watch;
        let account = &watch.accounts[&presented.sid];
        let recheck = watch.recheck + 1;
        let of_family = watch.families.get(&account.family);
        let over = account.over.or(of_family.and_then(|family| family.over));
        Invariant::EndStays.holds_if(over.is_none_or(|at| visit.began < at + recheck), || {
            format!("visit {id} was served, and the session was over at {over:?}")
        });
        let Some(session) = &presented.session else {
            return;
        };
        // Copies of a bound session's cookies are useless for another reason.
        if account.keys.bound.is_some() {
            return;
        }
        let later = account.noted.range(session.generation + 1..);
        let replaced = later.map(|(_, at)| *at).min();
        let mut longest = watch.grace + recheck + SKEW + watch.accepted_lateness(visit);
        // Without the coordinator's time, an isolate that has not seen the later cookie for as long cannot be certain.
        if !self.setup.has_time {
            longest += 3_600_000 + self.setup.spread;
        }
        Invariant::Replay.holds_if(replaced.is_none_or(|at| visit.began < at + longest), || {
            format!("visit {id} was served, and its cookie was replaced at {replaced:?}")
        });
        if visit.began > longest {
            let account = self.watch.accounts.get_mut(&presented.sid).unwrap();
            account.noted.entry(session.generation).or_insert(self.now);
        }
    }

    /// Returns the public ID of the session in a browser's cookie.
    pub fn public_id(&self, browser: usize) -> String {
        let cookie = &self.browsers[browser].jar[COOKIE];
        public_id(&self.reading(cookie).unwrap().sid)
    }

    /// Returns true if the session of this cookie must still work.
    pub fn is_honored(&self, presented: &Presented) -> bool {
        let account = &self.watch.accounts[&presented.sid];
        let is_over = account.over.is_some()
            || account.ordered.is_some()
            || self.is_logged_out(&presented.sid);
        let family = self.watch.families.get(&account.family);
        let is_ended =
            family.is_some_and(|f| f.back_channel.is_some() || f.is_refused || f.is_of_other);
        !is_over && !is_ended && !self.provider.is_revoked(account.family)
    }
}

fn summary(record: &Record) -> String {
    let token = record
        .session
        .as_ref()
        .and_then(|s| s.refresh_token.as_ref());
    let token = token.map_or("-", Secret::expose);
    let ended = record.ended.map_or("", EndReason::as_str);
    format!(
        "generation {} {token}, intent {:?}, presented {:?} {ended}",
        record.generation, record.intent, record.presented
    )
}

/// Returns the key of a session's record, computed independently of the handler.
fn record_key(sid: &str) -> String {
    let hash = pkce::sha256(format!("session{} {sid}", sid.len()).as_bytes());
    format!("session.{}", base64url::encode(&hash))
}

/// Returns the public ID of a session, which gives no access to it.
fn public_id(sid: &str) -> String {
    record_key(sid)["session.".len()..][..16].to_owned()
}
