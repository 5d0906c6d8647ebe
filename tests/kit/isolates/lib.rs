//! Isolates, a coordinator, a provider, an API and browsers, in virtual time. Each operation takes effect at one time,
//! and its response arrives at a later time, so operations overlap in every way.
//!
//! Nothing of the vault's world may enter this crate, except parts that both worlds share.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic on anything unexpected"
)]
#![allow(
    missing_docs,
    clippy::new_without_default,
    reason = "only tests use this library"
)]

mod binding;
mod browsers;
pub mod coordinator;
pub mod device;
mod host;
pub mod invariants;
pub mod provider;
pub mod small;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use coordinator::Coordinator;
use device::Device;
use edge::session::record::Record;
use edge::{Config, Effect, Event, FlightId, Handler, Reply, Request, TaskId};
use kit::dice::Dice;
use provider::{Endpoint, ISSUER, Provider};
use rules::base::clock::{Instant, Millis};
use rules::base::entropy::Entropy;
use watch::Watch;

pub const ORIGIN: &str = "https://app.example.com";
pub const COOKIE: &str = "__Host-strongroom";

/// The bound cookie of a session that is bound to a key of the browser.
pub const BOUND: &str = "__Host-strongroom-bound";

/// The cookie that says that a registration has failed.
pub const UNBOUND: &str = "__Host-strongroom-unbound";

/// The time at which every world starts, in milliseconds since the Unix epoch.
pub const START: u64 = 1_790_000_000_000;

/// Milliseconds after which a host stops waiting for its coordinator.
const COORDINATOR_TIMEOUT: u64 = 1000;

/// Milliseconds after which a host stops waiting for an API.
const API_TIMEOUT: u64 = 45_000;

/// The keys that seal cookies and records.
const KEYS: [&str; 2] = [
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8",
];

/// The key rings of an isolate while a key is replaced, in order. A ring is a list of indexes into `KEYS`, and its
/// first key seals. Each isolate has one of these rings, and no isolate gets the next ring before all isolates have the
/// current ring.
const RINGS: [&[usize]; 4] = [&[0], &[0, 1], &[1, 0], &[1]];

/// The index of the first ring that no longer seals with the old key.
pub const REPLACED: usize = 2;

/// The index of the last ring, which no longer contains the old key.
pub const RETIRED: usize = RINGS.len() - 1;

pub type VisitId = usize;

/// Properties of a world that do not change.
#[derive(Clone, Debug)]
pub struct Setup {
    pub isolates: usize,
    pub in_store: bool,
    /// True if the isolates discover the provider's metadata. Otherwise it is in their configuration.
    pub discovers: bool,
    /// True if browsers bind their sessions to keys.
    pub binds: bool,
    /// True if a session must be bound soon after its login.
    pub requires_binding: bool,
    /// The grace period in seconds. The other times are in seconds too.
    pub grace: u64,
    pub recheck: u64,
    pub idle: u64,
    pub absolute: u64,
    pub request_timeout: u64,
    pub refresh_timeout: u64,
    /// Offsets of the isolates' clocks in milliseconds.
    pub skews: Vec<i64>,
    /// True if the coordinator gives its time.
    pub has_time: bool,
    /// True if the app's server may end each session.
    pub is_admin: bool,
    /// True if the provider cannot end sessions.
    pub is_without_back_channel: bool,
    /// True if other sessions may have the grant of a session that ends.
    pub forgets: bool,
    /// The largest difference between two isolates' clocks in milliseconds, at any time.
    pub spread: u64,
    /// True if the isolates have a monotonic clock. Otherwise the wall clock takes its place.
    pub is_steady: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            isolates: 2,
            in_store: false,
            discovers: false,
            binds: false,
            requires_binding: false,
            grace: 60,
            recheck: 10,
            idle: 1800,
            absolute: 43_200,
            request_timeout: 10,
            refresh_timeout: 10,
            skews: vec![0; 8],
            has_time: true,
            is_admin: false,
            is_without_back_channel: false,
            forgets: false,
            spread: 2000,
            is_steady: true,
        }
    }
}

impl Setup {
    fn config(&self, ring: usize) -> Config {
        let keys: Vec<String> = RINGS[ring]
            .iter()
            .map(|key| format!(r#""{}""#, KEYS[*key]))
            .collect();
        let keys = keys.join(",");
        let storage = if self.in_store {
            "in-store"
        } else {
            "sealed-in-cookie"
        };
        let bind = match (self.binds, self.requires_binding) {
            (false, _) => "false",
            (true, false) => r#""if-supported""#,
            (true, true) => r#""required""#,
        };
        let metadata = match self.discovers {
            true => String::new(),
            false => format!(r#""metadata":{},"#, Provider::new().metadata()),
        };
        let json = format!(
            r#"{{"issuer":"{ISSUER}",{metadata}
            "client":{{"id":"web","auth":{{"method":"none"}}}},
            "cookie":{{"keys":[{keys}]}},
            "session":{{"idle":{},"absolute":{},"grace":{},"recheck":{},"storage":"{storage}","bind":{bind},"admin":{}}},
            "backChannelLogout":{},"logout":"{}",
            "requestTimeout":{},"refreshTimeout":{},"clockTolerance":{},
            "routes":[{{"prefix":"/api/","upstream":"https://api.example.com/v1/"}}]}}"#,
            self.idle,
            self.absolute,
            self.grace,
            self.recheck,
            self.is_admin,
            !self.is_without_back_channel,
            if self.forgets { "forget" } else { "revoke" },
            self.request_timeout,
            self.refresh_timeout,
            // Logins compare the provider's time, too.
            if self.has_time { 60 } else { 300 }
        );
        Config::parse(&json).unwrap()
    }
}

/// Operations that a host performs for the handler: a call of the coordinator, or a request to the provider or an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    Read,
    Swap,
    Wait,
    Provider(Endpoint),
    Api,
}

/// Faults of a request.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The request never arrives.
    LostBefore,
    /// The server acts on the request, and the response is lost.
    LostAfter,
    /// The server returns an error.
    Status(u16),
    /// 429 with `Retry-After`, in seconds.
    Busy(u64),
    /// 503 with `Retry-After`, in seconds.
    Unavailable(u64),
    /// The provider rejects a refresh with an error that requires the user to sign in.
    Wanted,
    /// The provider rejects a refresh without a reason.
    Unexplained,
    /// A gateway in front of the provider responds to a refresh with a page.
    Gateway,
    /// The provider rejects a refresh with this error code, and the refresh token stays valid.
    Refusal(&'static str),
    /// The request and the response each take this many milliseconds.
    Slow(u64, u64),
}

/// Probabilities of faults, and outages.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// Percentage of requests that meet a fault.
    pub faults: u64,
    /// Percentage of responses that never reach their browser.
    pub lost_responses: u64,
    /// Percentage of writes that take place only after their isolate has given up, and the longest time from then until the
    /// write, in milliseconds.
    pub late_writes: (u64, u64),
    /// True if operations take random times.
    pub uneven: bool,
    /// True if operations take no time.
    pub is_instant: bool,
    pub coordinator_down: bool,
    /// The only isolate that cannot reach the coordinator, if any.
    pub cut_off: Option<usize>,
    pub provider_down: bool,
    /// The endpoint of the provider that accepts requests and sends no response, if any.
    pub hangs: Option<Endpoint>,
}

pub struct Isolate {
    pub handler: Handler,
    /// Number of times that this isolate was replaced by a new isolate.
    epoch: u32,
    /// Index of the isolate's ring in `RINGS`.
    pub ring: usize,
    born: u64,
    /// The time at which the isolate started.
    began: u64,
    skew: i64,
    running: BTreeMap<TaskId, VisitId>,
    /// The time at which the isolate goes on, and the time at which it stopped, while its process stands still.
    stopped: Option<(u64, u64)>,
    sleeping: Vec<(FlightId, VisitId, u32)>,
}

/// Purposes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Call,
    Poll,
    Session,
    Login,
    Callback,
    Logout,
    BackChannel,
    /// A command of the app's server.
    Manage,
    /// A refresh, which a request has started.
    Refresh,
    /// A read of a session's record, which a request has started.
    Read,
    /// The registration of a key of the browser.
    Bind,
    /// The renewal of a bound cookie.
    Renew,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The browser holds the request back until it has renewed the bound cookie.
    Held,
    Open,
    /// The browser has disconnected, and the handler continues. Also the state of a refresh.
    Abandoned,
    Answered,
    /// The isolate of the request has ended, or the platform has dropped the request.
    Dead,
}

/// A request to the handler, or a task that a request has started.
pub struct Visit {
    pub browser: Option<usize>,
    /// The refresh that this request has started.
    pub refresh: Option<VisitId>,
    /// The latest read of the session's record that this request has started.
    pub read: Option<VisitId>,
    pub isolate: usize,
    epoch: u32,
    task: TaskId,
    /// The number of the request's latest effect.
    serial: u32,
    pub purpose: Purpose,
    pub began: u64,
    /// The time at which the isolate read the request.
    pub read_at: Option<u64>,
    /// The session cookie of the request.
    pub cookie: Option<String>,
    path: String,
    /// The bound cookie of the request.
    bound_cookie: Option<String>,
    /// The browser sends its cookies.
    has_cookies: bool,
    /// The key with which the browser signs this request.
    key: Option<String>,
    /// The time until which the handler must accept the signed challenge in this request.
    is_answer_until: Option<u64>,
    /// The browser says that it could not renew the bound cookie.
    was_skipped: bool,
    pub state: State,
    pub given: Option<Given>,
    pub body: Option<String>,
    /// The time of the coordinator's last action whose result this request knows.
    pub looked: u64,
    /// The time at which the request was last sent to the API.
    pub sent_to_api: Option<u64>,
    /// True if the coordinator has failed for this request.
    pub coordinator_failed: bool,
    /// True if the API rejected the request or failed.
    pub api_failed: bool,
    /// Milliseconds spent waiting for the provider and the API.
    pub spent_elsewhere: u64,
    /// The time of the latest request to the provider or the API.
    asked_elsewhere: Option<u64>,
    sending: Option<Sending>,
}

/// A request to the provider that is in flight.
struct Sending {
    /// The number of the effect that sent the request.
    began: u32,
    /// The number of the effect that now waits for the request.
    serial: u32,
    /// The response, if it arrived while the handler's task waited for another effect.
    arrived: Option<(Reply, About)>,
    /// The host has passed the response to the task.
    is_over: bool,
}

/// The handler's response.
#[derive(Clone, Debug)]
pub struct Given {
    pub status: u16,
    /// True if the handler forwarded the API's response.
    pub passed: bool,
    pub cookies: Vec<String>,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub at: u64,
}

impl Given {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns true if the handler forwarded an API's response or returned a session.
    pub fn is_served(&self) -> bool {
        self.passed || (self.status == 200 && self.body.starts_with(r#"{"session":{"#))
    }

    /// Returns the reason for which the session ended, if the response contains a reason.
    pub fn ended(&self) -> Option<&str> {
        if let Some((_, rest)) = self.body.split_once("the session has ended: ") {
            return rest.split('"').next();
        }
        if self.body.starts_with(r#"{"session":null,"#) {
            let (_, rest) = self.body.split_once(r#""reason":""#)?;
            return rest.split('"').next();
        }
        None
    }

    /// Returns true if the response deletes the session cookie.
    pub fn clears(&self) -> bool {
        let start = [COOKIE, "=;"].concat();
        self.cookies.iter().any(|cookie| cookie.starts_with(&start))
    }
}

/// A browser of a user, or of a thief who has copied cookies.
#[derive(Default)]
pub struct Browser {
    pub jar: BTreeMap<String, String>,
    /// The times at which cookies expire. Cookies without such a time are kept.
    until: BTreeMap<String, u64>,
    pub subject: String,
    /// The browser's keys, if it supports bound sessions.
    pub device: Option<Device>,
    /// The time at which a thief copied the cookies.
    pub copied: Option<u64>,
}

impl Browser {
    /// Returns the milliseconds until a cookie expires, or 0 without the cookie.
    fn life_left(&self, name: &str, now: u64) -> u64 {
        let until = self.until.get(name).copied().unwrap_or(u64::MAX);
        match self.jar.contains_key(name) {
            true => until.saturating_sub(now),
            false => 0,
        }
    }

    /// Returns the cookies that have not expired.
    fn cookies(&self, now: u64) -> impl Iterator<Item = (&String, &String)> {
        let cookies = self.jar.iter();
        cookies.filter(move |(name, _)| self.life_left(name, now) > 0)
    }
}

enum Todo {
    /// An isolate goes on whose process stood still.
    GoOn(usize, u32),
    /// The isolate reads the request.
    Read(VisitId, Box<Request>),
    /// The request arrives at its server.
    Act {
        visit: VisitId,
        serial: u32,
        effect: Box<Effect>,
        fault: Option<Fault>,
        back: u64,
        sent: u64,
    },
    /// The response arrives.
    Reply {
        visit: VisitId,
        serial: u32,
        reply: Box<Reply>,
        about: About,
    },
    /// The handler's response reaches the browser.
    Given(VisitId),
    /// The browser answers an offer to register a key.
    Register {
        browser: usize,
        challenge: String,
        /// The offer was in a response to the page, and not in that of a login.
        is_second: bool,
    },
    /// The page asks for its session.
    Ask(usize),
    /// The page signs its user in again.
    SignIn(usize),
    /// The browser stops waiting for a renewal.
    GiveUp(VisitId),
}

/// Tells the oracle ([`Watch`]) which operation a response belongs to.
#[derive(Clone, Debug)]
enum About {
    Nothing,
    /// The coordinator acted at this time.
    Coordinator(u64),
    CoordinatorFailed,
    /// The request no longer waits for a read of another request.
    GaveUp,
    /// The provider responded to this refresh token.
    Refresh(String),
    /// The provider responded to the code of a login.
    Login,
}

pub struct World {
    pub now: u64,
    pub dice: Dice,
    pub setup: Setup,
    /// Index of the ring in `RINGS` with which new isolates start.
    pub ring: usize,
    pub isolates: Vec<Isolate>,
    pub coordinator: Coordinator,
    pub provider: Provider,
    pub browsers: Vec<Browser>,
    pub visits: Vec<Visit>,
    pub weather: Weather,
    pub watch: Watch,
    /// The operations of hosts, each with its time.
    pub sent: Vec<(u64, Site)>,
    pub story: Option<Vec<String>>,
    /// The events of all isolates, in order.
    pub events: Vec<Event>,
    /// True if each login is by a different user. An event that names a user then concerns only one session.
    pub is_new_user: bool,
    /// Number of keys that browsers have made.
    keys: u64,
    /// The faults of the next operations of each kind, in order.
    faults: BTreeMap<Site, VecDeque<Option<Fault>>>,
    /// Families whose refreshes all fail with an error of the provider.
    pub failing: Vec<usize>,
    /// Milliseconds after which a host stops waiting for a read or a write of the coordinator.
    pub coordinator_timeout: u64,
    agenda: BTreeMap<(u64, u64), Todo>,
    entries: u64,
    /// Requests that wait for another version of an entry in the coordinator. Each element has the entry's key, the ID
    /// of the request, and the number of the effect that waits.
    waiting: Vec<(String, VisitId, u32)>,
}

impl World {
    pub fn new(setup: Setup) -> Self {
        Self::with_seed(setup, 1)
    }

    pub fn with_seed(setup: Setup, seed: u64) -> Self {
        let mut world = Self {
            now: START,
            dice: Dice::new(seed),
            ring: 0,
            isolates: Vec::new(),
            coordinator: Coordinator::default(),
            provider: Provider::new(),
            browsers: Vec::new(),
            visits: Vec::new(),
            weather: Weather::default(),
            watch: Watch::new(&setup),
            sent: Vec::new(),
            story: None,
            events: Vec::new(),
            is_new_user: true,
            keys: 0,
            faults: BTreeMap::new(),
            failing: Vec::new(),
            coordinator_timeout: COORDINATOR_TIMEOUT,
            agenda: BTreeMap::new(),
            entries: 0,
            waiting: Vec::new(),
            setup,
        };
        for i in 0..world.setup.isolates {
            let isolate = world.isolate(i, 0);
            world.isolates.push(isolate);
        }
        world
    }

    fn isolate(&mut self, i: usize, epoch: u32) -> Isolate {
        let mut seed = [0; 8];
        self.dice.fill(&mut seed);
        let entropy = Dice::new(u64::from_le_bytes(seed));
        let mut handler = Handler::new(self.setup.config(self.ring), Box::new(entropy));
        handler.observe();
        Isolate {
            handler,
            epoch,
            ring: self.ring,
            born: self.now.saturating_sub(1000),
            began: self.now,
            skew: self.setup.skews.get(i).copied().unwrap_or_default(),
            running: BTreeMap::new(),
            stopped: None,
            sleeping: Vec::new(),
        }
    }

    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        let at = self.now - START;
        if let Some(story) = &mut self.story {
            story.push(format!("{:>9.3} {}", at as f64 / 1000.0, line()));
        }
    }

    /// Returns the time as an isolate's clocks show it.
    pub fn clock(&self, i: usize) -> Instant {
        let isolate = &self.isolates[i];
        let wall = self.now.saturating_add_signed(isolate.skew);
        let monotonic = match self.setup.is_steady {
            true => self.now - isolate.born,
            false => wall,
        };
        Instant {
            monotonic: Millis(monotonic),
            wall,
        }
    }

    /// Sets the clock of an isolate forward or back by this many milliseconds.
    pub fn set_clock(&mut self, i: usize, by: i64) {
        self.tell(|| format!("the clock of isolate {i} jumps by {by} ms"));
        self.isolates[i].skew += by;
        self.setup.skews[i] += by;
        if !self.setup.is_steady {
            self.watch.unsteady.insert(i);
        }
    }

    fn after(&mut self, delay: u64, todo: Todo) {
        self.entries += 1;
        self.agenda.insert((self.now + delay, self.entries), todo);
    }

    fn percent(&mut self, times: u64) -> bool {
        times > 0 && (self.dice.roll(100) as u64) < times
    }

    fn up_to(&mut self, most: u64) -> u64 {
        self.dice.roll(usize::try_from(most).unwrap() + 1) as u64
    }

    /// Returns the duration of an operation that has no fault, in milliseconds.
    fn moment(&mut self) -> u64 {
        if !self.weather.uneven {
            return u64::from(!self.weather.is_instant);
        }
        match self.dice.roll(10) {
            0..5 => self.up_to(3),
            5..9 => self.up_to(60),
            _ => self.up_to(400),
        }
    }

    /// Lets the process of an isolate stand still for this many milliseconds. Requests and responses wait for it.
    pub fn stop(&mut self, i: usize, millis: u64) {
        if self.isolates[i].stopped.is_none() {
            self.tell(|| format!("isolate {i} stands still for {millis} ms"));
            self.isolates[i].stopped = Some((self.now + millis, self.now));
            let epoch = self.isolates[i].epoch;
            self.after(millis, Todo::GoOn(i, epoch));
        }
    }

    fn go_on(&mut self, i: usize, epoch: u32) {
        let isolate = &mut self.isolates[i];
        let is_of_it = isolate.epoch == epoch;
        let Some((_, since)) = isolate.stopped.take_if(|_| is_of_it) else {
            return;
        };
        self.tell(|| format!("isolate {i} goes on"));
        let lateness = Millis(self.now - since);
        let clock = self.clock(i);
        self.watch.note_lateness(i, self.now, lateness.0);
        if self.setup.is_steady {
            self.isolates[i].handler.note_lateness(clock, lateness);
        }
    }

    /// Returns the time at which an isolate goes on, if it stands still and has to do this.
    fn is_stopped(&self, todo: &Todo) -> Option<u64> {
        let (Todo::Reply { visit, .. } | Todo::Read(visit, _)) = todo else {
            return None;
        };
        let visit = &self.visits[*visit];
        let isolate = &self.isolates[visit.isolate];
        let is_of_it = visit.epoch == isolate.epoch;
        isolate.stopped.filter(|_| is_of_it).map(|(until, _)| until)
    }

    // Running the world

    /// Runs the next event. Returns true if there was an event.
    pub fn step(&mut self) -> bool {
        let Some(((at, _), todo)) = self.agenda.pop_first() else {
            return false;
        };
        self.now = self.now.max(at);
        if let Some(later) = self.is_stopped(&todo) {
            self.after(later - self.now, todo);
            return true;
        }
        match todo {
            Todo::GoOn(isolate, epoch) => self.go_on(isolate, epoch),
            Todo::Read(visit, request) => self.read(visit, *request),
            Todo::Act {
                visit,
                serial,
                effect,
                fault,
                back,
                sent,
            } => self.act(visit, serial, &effect, fault, back, sent),
            Todo::Reply {
                visit,
                serial,
                reply,
                about,
            } => self.arrive(visit, serial, *reply, &about),
            Todo::Given(visit) => self.receive(visit),
            Todo::Register {
                browser,
                challenge,
                is_second,
            } => self.register(browser, &challenge, is_second),
            Todo::Ask(browser) => self.ask_again(browser),
            Todo::SignIn(browser) => self.sign_in_again(browser),
            Todo::GiveUp(visit) => self.give_up(visit),
        }
        true
    }

    /// Runs all events until this time.
    pub fn run_until(&mut self, time: u64) {
        while self
            .agenda
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= time)
        {
            self.step();
        }
        self.now = self.now.max(time);
    }

    /// Replaces the coordinator by a replica with an earlier state. Requests that wait for a change are woken.
    pub fn fail_over(&mut self, earlier: &Coordinator) {
        self.coordinator.lose_writes_since(earlier);
        let keys: BTreeSet<_> = self.waiting.iter().map(|(key, ..)| key.clone()).collect();
        for key in keys {
            self.wake(&key);
        }
    }

    /// Lets the coordinator lose its last write if this write only added an intent to a record, and all other isolates
    /// have read the intent. Returns true if the coordinator has lost the intent.
    pub fn lose_intent(&mut self) -> bool {
        let Some((key, earlier)) = self.coordinator.before_last_write() else {
            return false;
        };
        let record = |coordinator: &Coordinator| {
            let entry = coordinator.read(self.now, &key)?;
            Record::from_text(&self.unsealed(&entry.value)?)
        };
        let (Some(before), Some(mut after)) = (record(&earlier), record(&self.coordinator)) else {
            return false;
        };
        let has_added = before.intent.is_none() && after.intent.take().is_some();
        if !has_added || before.to_text().expose() != after.to_text().expose() {
            return false;
        }
        let Some(holder) = self.watch.holder(&before) else {
            return false;
        };
        // An isolate waits for a change of the record after it has read an intent.
        let knows = |i: usize| {
            let is_of_it = |visit: &Visit| visit.isolate == i && visit.state != State::Dead;
            let mut waiting = self.waiting.iter();
            let is_waiting = waiting.any(|(k, id, _)| *k == key && is_of_it(&self.visits[*id]));
            is_waiting || is_of_it(&self.visits[holder])
        };
        if self.isolates.len() == 1 || !(0..self.isolates.len()).all(knows) {
            return false;
        }
        self.tell(|| "the coordinator loses the last intent".to_owned());
        self.fail_over(&earlier);
        self.watch.lost_intent(before, self.now);
        true
    }

    pub fn pass(&mut self, millis: u64) {
        self.run_until(self.now + millis);
    }

    /// Runs events until all requests have their responses, and all refreshes have ended.
    pub fn answer_all(&mut self) {
        while self.is_busy() {
            assert!(self.step(), "a request waits for nothing");
        }
        // The last responses still have to reach their browsers.
        let delay = if self.weather.uneven { 6000 } else { 2 };
        self.pass(delay);
    }

    pub fn is_busy(&self) -> bool {
        let is_open = |visit: &VisitId| {
            let state = self.visits[*visit].state;
            matches!(state, State::Held | State::Open | State::Abandoned)
        };
        self.watch.open.iter().any(is_open)
    }

    /// Adds an entry to the queue of faults for this kind of operation. Each later operation of this kind takes one
    /// entry, and has no fault if the entry is `None`.
    pub fn fault(&mut self, site: Site, fault: impl Into<Option<Fault>>) {
        self.faults.entry(site).or_default().push_back(fault.into());
    }

    /// Takes the planned faults back that no request has met.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }
}
