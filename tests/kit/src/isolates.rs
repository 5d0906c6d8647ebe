//! Isolates, a coordinator, a provider, an API and browsers, in virtual time. Each operation takes effect at one time
//! and is answered at a later one, so that operations overlap in every way.

pub mod coordinator;
pub mod invariants;
pub mod provider;
pub mod watch;

use std::collections::{BTreeMap, VecDeque};

use crate::dice::Dice;
use crate::reply::json;
use coordinator::Coordinator;
use provider::{Endpoint, ISSUER, METADATA, Provider, signature_of};
use strongroom::Secret;
use strongroom::base::clock::{Instant, Millis};
use strongroom::base::http::{HttpRequest, Outcome};
use strongroom::codec::base64url;
use strongroom::codec::form;
use strongroom::edge::{
    BEAT, Config, Effect, Event, FlightId, Handler, Head, Reply, Request, Response, Step, TaskId,
};
use strongroom::vault::Entropy;
use watch::Watch;

pub const ORIGIN: &str = "https://app.example.com";
pub const COOKIE: &str = "__Host-strongroom";

/// The time at which every world starts.
pub const START: u64 = 1_790_000_000_000;

/// Time after which a host gives up on its coordinator.
const COORDINATOR_TIMEOUT: u64 = 1000;

/// Time after which a host gives up on an API.
const API_TIMEOUT: u64 = 45_000;

/// Sealing keys.
const KEYS: [&str; 2] = [
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8",
];

/// Steps of replacing a key while isolates of two deployments run side by side. Each isolate has the ring of one step,
/// and the next step starts when all isolates have reached this one. A ring is a list of indexes into `KEYS`.
const RINGS: [&[usize]; 4] = [&[0], &[0, 1], &[1, 0], &[1]];

/// The first step at which nothing is sealed with the old key.
pub const REPLACED: usize = 2;

/// The last step: the old key is gone.
pub const RETIRED: usize = RINGS.len() - 1;

pub type VisitId = usize;

/// Properties that are fixed from the start.
#[derive(Clone, Debug)]
pub struct Setup {
    pub isolates: usize,
    pub in_store: bool,
    /// Seconds.
    pub grace: u64,
    pub recheck: u64,
    pub idle: u64,
    pub absolute: u64,
    pub request_timeout: u64,
    /// Offsets of the isolates' clocks in milliseconds.
    pub skews: Vec<i64>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            isolates: 2,
            in_store: false,
            grace: 60,
            recheck: 10,
            idle: 1800,
            absolute: 43_200,
            request_timeout: 5,
            skews: vec![0; 8],
        }
    }
}

impl Setup {
    /// Largest difference between two isolates' clocks in milliseconds.
    pub fn spread(&self) -> u64 {
        let isolates = || self.skews.iter().take(self.isolates);
        let latest = isolates().max().copied().unwrap_or_default();
        let earliest = isolates().min().copied().unwrap_or_default();
        latest.abs_diff(earliest)
    }

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
        let json = format!(
            r#"{{"issuer":"{ISSUER}","metadata":{METADATA},
            "client":{{"id":"web","auth":{{"method":"none"}}}},
            "cookie":{{"keys":[{keys}]}},
            "session":{{"idle":{},"absolute":{},"grace":{},"recheck":{},"storage":"{storage}"}},
            "requestTimeout":{},
            "routes":[{{"prefix":"/api/","upstream":"https://api.example.com/v1/"}}]}}"#,
            self.idle, self.absolute, self.grace, self.recheck, self.request_timeout
        );
        Config::parse(&json).unwrap()
    }
}

/// Servers that the handler asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The provider rejects a refresh until the user has done something.
    Wanted,
    /// The provider rejects a refresh without saying why.
    Unexplained,
    /// The provider rejects a refresh with this error code and does nothing.
    Refusal(&'static str),
    /// The request and the response each take this many milliseconds.
    Slow(u64, u64),
}

/// Probabilities of faults.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// Percentage of requests that meet a fault.
    pub faults: u64,
    /// Percentage of responses that never reach their browser.
    pub lost_answers: u64,
    /// True if operations take random times.
    pub uneven: bool,
    pub coordinator_down: bool,
    /// The only isolate that cannot reach the coordinator.
    pub cut_off: Option<usize>,
    pub provider_down: bool,
}

pub struct Isolate {
    pub handler: Handler,
    /// Number of times the isolate was replaced.
    epoch: u32,
    /// Index of its ring of keys.
    pub ring: usize,
    born: u64,
    skew: i64,
    running: BTreeMap<TaskId, VisitId>,
    lingering: Vec<(FlightId, VisitId, u32)>,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    /// The browser has disconnected, and the handler continues.
    Abandoned,
    Answered,
    /// Its isolate has ended.
    Dead,
}

/// A request to the handler.
pub struct Visit {
    pub browser: Option<usize>,
    pub isolate: usize,
    epoch: u32,
    task: TaskId,
    /// The number of its latest effect.
    serial: u32,
    pub purpose: Purpose,
    pub began: u64,
    /// The session cookie of the request.
    pub cookie: Option<String>,
    pub state: State,
    pub given: Option<Given>,
    pub body: Option<String>,
    /// The time of the coordinator action behind the latest state that this visit knows.
    pub looked: u64,
    /// True if the coordinator has failed it.
    pub coordinator_failed: bool,
    /// True if the API has rejected it or failed.
    pub api_failed: bool,
    /// Milliseconds spent waiting for the provider and the API.
    pub spent_elsewhere: u64,
    /// The time of the latest request to the provider or the API.
    asked_elsewhere: Option<u64>,
    sending: Option<Sending>,
}

/// A request to the provider that is in flight.
struct Sending {
    /// The number of the effect that sent it.
    began: u32,
    /// The number of the effect that waits for it now.
    serial: u32,
    /// The response, if it arrived while the task did something else.
    arrived: Option<(Reply, About)>,
    /// The task has the response.
    is_over: bool,
}

/// The handler's response.
#[derive(Clone, Debug)]
pub struct Given {
    pub status: u16,
    /// True if it is the API's response.
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

    /// Returns true if this response shows a signed-in user.
    pub fn is_served(&self) -> bool {
        self.passed || (self.status == 200 && self.body.starts_with(r#"{"session":{"#))
    }

    /// The reason for which the session ended, if the response has one.
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
    pub subject: String,
}

enum Todo {
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
}

/// The meaning of a response for the oracle.
#[derive(Clone, Debug)]
enum About {
    Nothing,
    /// The coordinator acted at this time.
    Coordinator(u64),
    CoordinatorFailed,
    /// The provider's response to this refresh token.
    Refresh(String),
}

pub struct World {
    pub now: u64,
    pub dice: Dice,
    pub setup: Setup,
    /// Index of the ring of keys with which new isolates start.
    pub ring: usize,
    pub isolates: Vec<Isolate>,
    pub coordinator: Coordinator,
    pub provider: Provider,
    pub browsers: Vec<Browser>,
    pub visits: Vec<Visit>,
    pub weather: Weather,
    pub watch: Watch,
    pub story: Option<Vec<String>>,
    /// True if each login is of another user, so that events about a user concern one session.
    pub is_new_user: bool,
    /// Faults of the next requests, in order.
    faults: BTreeMap<Site, VecDeque<Option<Fault>>>,
    /// Families whose every refresh meets a provider error.
    pub failing: Vec<usize>,
    /// Milliseconds after which a host gives up a read or a write.
    pub coordinator_timeout: u64,
    agenda: BTreeMap<(u64, u64), Todo>,
    entries: u64,
    /// Visits that wait for a key's version to change.
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
            story: None,
            is_new_user: true,
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
        Isolate {
            handler: Handler::new(self.setup.config(self.ring), Box::new(entropy)),
            epoch,
            ring: self.ring,
            born: self.now.saturating_sub(1000),
            skew: self.setup.skews.get(i).copied().unwrap_or_default(),
            running: BTreeMap::new(),
            lingering: Vec::new(),
        }
    }

    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        let at = self.now - START;
        if let Some(story) = &mut self.story {
            story.push(format!("{:>9.3} {}", at as f64 / 1000.0, line()));
        }
    }

    /// The time by an isolate's clocks.
    pub fn clock(&self, i: usize) -> Instant {
        let isolate = &self.isolates[i];
        Instant {
            monotonic: Millis(self.now - isolate.born),
            wall: self.now.saturating_add_signed(isolate.skew),
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

    /// Duration of an almost instant operation.
    fn moment(&mut self) -> u64 {
        if !self.weather.uneven {
            return 1;
        }
        match self.dice.roll(10) {
            0..5 => self.up_to(3),
            5..9 => self.up_to(60),
            _ => self.up_to(400),
        }
    }

    // Running the world

    /// Runs the next event. Returns true if there was one.
    pub fn step(&mut self) -> bool {
        let Some(((at, _), todo)) = self.agenda.pop_first() else {
            return false;
        };
        self.now = self.now.max(at);
        match todo {
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

    pub fn pass(&mut self, millis: u64) {
        self.run_until(self.now + millis);
    }

    /// Runs events until all requests are answered.
    pub fn answer_all(&mut self) {
        while self.is_busy() {
            assert!(self.step(), "a request waits for nothing");
        }
        // The responses still have to arrive.
        let delay = if self.weather.uneven { 6000 } else { 2 };
        self.pass(delay);
    }

    pub fn is_busy(&self) -> bool {
        let is_open =
            |visit: &VisitId| matches!(self.visits[*visit].state, State::Open | State::Abandoned);
        self.watch.open.iter().any(is_open)
    }

    /// Sets the fault of the next request to this server; `None`: no fault.
    pub fn fault(&mut self, site: Site, fault: impl Into<Option<Fault>>) {
        self.faults.entry(site).or_default().push_back(fault.into());
    }

    // Browsers

    pub fn open_browser(&mut self, subject: &str) -> usize {
        self.browsers.push(Browser {
            jar: BTreeMap::new(),
            subject: subject.to_owned(),
        });
        self.browsers.len() - 1
    }

    /// A browser whose user signs in through this isolate.
    pub fn signed_in(&mut self, subject: &str, isolate: usize) -> usize {
        let browser = self.open_browser(subject);
        self.log_in(browser, isolate);
        self.answer_all();
        self.answer_all();
        assert!(self.browsers[browser].jar.contains_key(COOKIE));
        browser
    }

    pub fn log_in(&mut self, browser: usize, isolate: usize) -> VisitId {
        self.visit(Some(browser), isolate, Purpose::Login, "/auth/login", None)
    }

    pub fn call(&mut self, browser: usize, isolate: usize) -> VisitId {
        self.visit(Some(browser), isolate, Purpose::Call, "/api/orders", None)
    }

    pub fn poll(&mut self, browser: usize, isolate: usize) -> VisitId {
        self.visit(Some(browser), isolate, Purpose::Poll, "/api/news", None)
    }

    pub fn ask_session(&mut self, browser: usize, isolate: usize) -> VisitId {
        let path = "/auth/session";
        self.visit(Some(browser), isolate, Purpose::Session, path, None)
    }

    pub fn log_out(&mut self, browser: usize, isolate: usize) -> VisitId {
        let path = "/auth/logout";
        self.visit(Some(browser), isolate, Purpose::Logout, path, None)
    }

    /// The provider ends a family by itself.
    pub fn back_channel(&mut self, family: usize, isolate: usize) -> VisitId {
        let token = self.provider.logout_token(self.now, family);
        let body = Some(format!("logout_token={token}"));
        let path = "/auth/backchannel-logout";
        self.visit(None, isolate, Purpose::BackChannel, path, body)
    }

    /// Copies a browser with its cookies, as a thief would.
    pub fn copy_of(&mut self, browser: usize) -> usize {
        let jar = self.browsers[browser].jar.clone();
        let thief = self.open_browser("thief");
        self.browsers[thief].jar = jar;
        thief
    }

    fn visit(
        &mut self,
        browser: Option<usize>,
        isolate: usize,
        purpose: Purpose,
        path: &str,
        body: Option<String>,
    ) -> VisitId {
        let jar = browser.map(|browser| &self.browsers[browser].jar);
        let cookies: Vec<String> = jar
            .into_iter()
            .flatten()
            .map(|(name, value)| [name, "=", value].concat())
            .collect();
        let cookie = jar.and_then(|jar| jar.get(COOKIE).cloned());
        let is_script = matches!(
            purpose,
            Purpose::Call | Purpose::Poll | Purpose::Session | Purpose::Logout
        );
        let is_navigation = matches!(purpose, Purpose::Login | Purpose::Callback);
        let request = Request {
            method: match purpose {
                Purpose::Logout | Purpose::BackChannel => "POST",
                _ => "GET",
            }
            .to_owned(),
            url: [ORIGIN, path].concat(),
            cookie: (!cookies.is_empty()).then(|| cookies.join("; ")),
            mode: is_navigation.then(|| "navigate".to_owned()),
            marker: is_script.then(|| match purpose {
                Purpose::Poll => "background".to_owned(),
                _ => "1".to_owned(),
            }),
            ..Request::default()
        };
        let id = self.visits.len();
        self.tell(|| {
            format!("visit {id}: {purpose:?} of browser {browser:?} at isolate {isolate}")
        });
        self.visits.push(Visit {
            browser,
            isolate,
            epoch: self.isolates[isolate].epoch,
            task: 0,
            serial: 0,
            purpose,
            began: self.now,
            cookie,
            state: State::Open,
            given: None,
            body,
            looked: 0,
            coordinator_failed: false,
            api_failed: false,
            spent_elsewhere: 0,
            asked_elsewhere: None,
            sending: None,
        });
        self.watch.open.insert(id);
        self.began(id);
        let clock = self.clock(isolate);
        let (task, step) = self.isolates[isolate].handler.begin(clock, request);
        self.visits[id].task = task;
        self.isolates[isolate].running.insert(task, id);
        self.take(id, step);
        id
    }

    /// The client disconnects.
    pub fn abandon(&mut self, id: VisitId) {
        if self.visits[id].state != State::Open {
            return;
        }
        self.tell(|| format!("visit {id} is abandoned"));
        let (isolate, task) = (self.visits[id].isolate, self.visits[id].task);
        if self.isolates[isolate].handler.abandon(task) {
            self.finish(id, State::Answered);
        } else {
            self.visits[id].state = State::Abandoned;
        }
        self.events(isolate);
    }

    /// Ends an isolate and starts a fresh one in its place.
    pub fn kill(&mut self, i: usize) {
        self.tell(|| format!("isolate {i} dies"));
        let running = std::mem::take(&mut self.isolates[i].running);
        let epoch = self.isolates[i].epoch + 1;
        self.isolates[i] = self.isolate(i, epoch);
        for visit in running.into_values() {
            self.visits[visit].state = State::Dead;
            self.watch.open.remove(&visit);
        }
    }

    /// Drops a request without telling its isolate, as some platforms do.
    pub fn drop_request(&mut self, id: VisitId) {
        let (isolate, task) = (self.visits[id].isolate, self.visits[id].task);
        self.isolates[isolate].running.remove(&task);
        self.visits[id].state = State::Dead;
        self.watch.open.remove(&id);
    }

    fn finish(&mut self, id: VisitId, state: State) {
        let visit = &mut self.visits[id];
        visit.state = state;
        let (isolate, task) = (visit.isolate, visit.task);
        self.isolates[isolate].running.remove(&task);
        self.watch.open.remove(&id);
        self.is_over(id);
    }

    fn receive(&mut self, id: VisitId) {
        let visit = &self.visits[id];
        let (Some(browser), Some(given)) = (visit.browser, visit.given.clone()) else {
            return;
        };
        let (purpose, isolate) = (visit.purpose, visit.isolate);
        for cookie in &given.cookies {
            let (pair, rest) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let jar = &mut self.browsers[browser].jar;
            if rest.ends_with("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        if purpose == Purpose::Login
            && let Some(location) = given.header("location")
        {
            self.sign_in_at_provider(browser, isolate, location);
        }
    }

    /// The user signs in, and the browser comes back with the code.
    fn sign_in_at_provider(&mut self, browser: usize, isolate: usize, location: &str) {
        let (_, query) = location.split_once('?').unwrap();
        let query = form::parse(query).unwrap();
        let get = |name: &str| {
            let found = query.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).unwrap()
        };
        let logins = self.visits.len();
        let mut subject = self.browsers[browser].subject.clone();
        if self.is_new_user {
            subject = format!("{subject} by login {logins}");
        }
        let code = self.provider.authorize(&subject, &get("nonce"));
        let path = format!(
            "/auth/callback?code={code}&state={}&iss=https%3A%2F%2Fid.example.com",
            get("state")
        );
        self.visit(Some(browser), isolate, Purpose::Callback, &path, None);
    }

    // The host

    fn arrive(&mut self, id: VisitId, serial: u32, reply: Reply, about: &About) {
        self.landed(id, serial, about);
        let visit = &mut self.visits[id];
        let mut serial = serial;
        if let Some(sending) = &mut visit.sending
            && sending.began == serial
            && matches!(reply, Reply::Sent(_))
        {
            if sending.arrived.is_some() || sending.is_over {
                return;
            }
            if sending.serial != visit.serial {
                // The task does something else in the meantime.
                sending.arrived = Some((reply, about.clone()));
                return;
            }
            sending.is_over = true;
            serial = sending.serial;
        }
        let visit = &self.visits[id];
        let is_waiting = matches!(visit.state, State::Open | State::Abandoned);
        if visit.serial == serial && visit.state != State::Dead {
            self.told(id, &reply);
        }
        let visit = &mut self.visits[id];
        if !is_waiting || visit.serial != serial {
            return;
        }
        match about {
            About::Coordinator(at) => visit.looked = *at,
            About::CoordinatorFailed => {
                visit.coordinator_failed = true;
                let isolate = visit.isolate;
                self.watch.coordinator_failed(isolate, self.now);
            }
            _ => {}
        }
        if let About::Refresh(token) = about {
            self.refreshed(id, token, &reply);
        }
        let now = self.now;
        let visit = &mut self.visits[id];
        if let Some(asked) = visit.asked_elsewhere.take() {
            visit.spent_elsewhere += now - asked;
        }
        visit.serial += 1;
        let (isolate, task) = (visit.isolate, visit.task);
        let clock = self.clock(isolate);
        let step = self.isolates[isolate].handler.resume(clock, task, reply);
        self.take(id, step);
    }

    fn take(&mut self, id: VisitId, step: Step) {
        let isolate = self.visits[id].isolate;
        self.events(isolate);
        match step {
            Step::Do(effect) => self.dispatch(id, effect),
            Step::Done(answer) => self.done(id, answer),
        }
    }

    fn events(&mut self, isolate: usize) {
        while let Some(event) = self.isolates[isolate].handler.poll_event() {
            self.tell(|| format!("isolate {isolate}: {event:?}"));
            self.event(isolate, &event);
            if let Event::RefreshFinished(flight) = event {
                let lingering = std::mem::take(&mut self.isolates[isolate].lingering);
                for (waits_for, visit, serial) in lingering {
                    if waits_for == flight {
                        let delay = if self.weather.uneven {
                            self.up_to(2)
                        } else {
                            0
                        };
                        self.reply(visit, serial, delay, Reply::Waited, About::Nothing);
                    } else {
                        let place = &mut self.isolates[isolate].lingering;
                        place.push((waits_for, visit, serial));
                    }
                }
            }
        }
    }

    fn reply(&mut self, visit: VisitId, serial: u32, delay: u64, reply: Reply, about: About) {
        let reply = Box::new(reply);
        self.after(
            delay,
            Todo::Reply {
                visit,
                serial,
                reply,
                about,
            },
        );
    }

    fn done(&mut self, id: VisitId, answer: Response) {
        let given = match answer {
            Response::Own(response) => Given {
                status: response.status,
                passed: false,
                cookies: response.cookies,
                headers: response.headers,
                body: response.body.map(|(_, body)| body).unwrap_or_default(),
                at: self.now,
            },
            Response::Upstream { cookies, .. } => Given {
                status: 200,
                passed: true,
                cookies,
                headers: Vec::new(),
                body: String::new(),
                at: self.now,
            },
            Response::NotHandled => panic!("the handler ignores a request"),
        };
        self.tell(|| {
            let cookies = given.cookies.len();
            format!(
                "visit {id}: {} {} ({cookies} cookies)",
                given.status, given.body
            )
        });
        let was_open = self.visits[id].state == State::Open;
        self.finish(id, State::Answered);
        if was_open {
            self.visits[id].given = Some(given);
            self.answered(id);
            let lost_answers = self.weather.lost_answers;
            let is_login = matches!(self.visits[id].purpose, Purpose::Login | Purpose::Callback);
            if !is_login && self.percent(lost_answers) {
                self.tell(|| format!("visit {id}: the response is lost"));
                return;
            }
            let delay = match self.weather.uneven && self.percent(10) {
                true => self.up_to(5000),
                false => self.moment(),
            };
            self.after(delay, Todo::Given(id));
        }
    }

    /// Performs an effect as a host does.
    fn dispatch(&mut self, id: VisitId, effect: Effect) {
        let visit = &self.visits[id];
        let (serial, isolate) = (visit.serial, visit.isolate);
        let site = match &effect {
            Effect::Await => {
                self.visits[id].asked_elsewhere = Some(self.now);
                let sending = self.visits[id].sending.as_mut().unwrap();
                sending.serial = serial;
                match sending.arrived.take() {
                    Some((reply, about)) => self.reply(id, serial, 0, reply, about),
                    None => self.reply(id, serial, BEAT.0, Reply::Pending, About::Nothing),
                }
                return;
            }
            Effect::Open {
                key,
                sealed,
                bound_to,
            } => {
                let key = RINGS[self.isolates[isolate].ring][*key];
                let opened = self.watch.open(key, sealed, bound_to);
                let delay = if self.weather.uneven {
                    self.up_to(1)
                } else {
                    0
                };
                let reply = Reply::Opened(opened);
                return self.reply(id, serial, delay, reply, About::Nothing);
            }
            Effect::Seal {
                nonce,
                plain,
                bound_to,
            } => {
                let key = RINGS[self.isolates[isolate].ring][0];
                let sealed = self.watch.seal(key, nonce, plain, bound_to);
                let delay = if self.weather.uneven {
                    self.up_to(1)
                } else {
                    0
                };
                return self.reply(id, serial, delay, Reply::Sealed(sealed), About::Nothing);
            }
            Effect::Verify {
                signing_input,
                signature,
                ..
            } => {
                let is_valid = signature_of(signing_input) == *signature;
                return self.reply(id, serial, 0, Reply::Verified(is_valid), About::Nothing);
            }
            Effect::Body(_) => {
                let body = self.visits[id].body.as_deref().map(Secret::from);
                return self.reply(id, serial, 0, Reply::Body(body), About::Nothing);
            }
            Effect::Linger { flight, time } => {
                if let Some(flight) = flight {
                    self.waits_for_refresh(id);
                    let place = &mut self.isolates[isolate].lingering;
                    place.push((*flight, id, serial));
                }
                return self.reply(id, serial, time.0, Reply::Waited, About::Nothing);
            }
            Effect::Sign { .. } | Effect::GenerateKey => panic!("nothing is signed here"),
            Effect::Read(_) => Site::Read,
            Effect::Swap { .. } => Site::Swap,
            Effect::Wait { .. } => Site::Wait,
            Effect::Send { request, .. } => Site::Provider(Provider::endpoint_of(request)),
            Effect::Forward(_) => Site::Api,
        };
        let is_cut_off = matches!(site, Site::Read | Site::Swap | Site::Wait)
            && self.weather.cut_off == Some(isolate);
        let fault = match is_cut_off {
            true => Some(Fault::LostBefore),
            false => self.fault_of(site),
        };
        let fault = match &effect {
            Effect::Send { request, .. } if site == Site::Provider(Endpoint::Refresh) => {
                let token = provider::field(request, "refresh_token");
                let is_failing = self.failing.contains(&Provider::place(&token).0);
                is_failing.then_some(Fault::Status(500)).or(fault)
            }
            _ => fault,
        };
        self.tell(|| match &effect {
            Effect::Send { request, .. } => {
                let token = provider::field(request, "refresh_token");
                format!("visit {id}: {site:?} {token} ({fault:?})")
            }
            _ => format!("visit {id}: {site:?} ({fault:?})"),
        });
        if let Effect::Forward(forward) = &effect {
            let token = forward.authorization.expose().to_owned();
            self.forwards(id, token.strip_prefix("Bearer ").unwrap());
        }
        if let Effect::Send { request, .. } = &effect
            && site == Site::Provider(Endpoint::Refresh)
        {
            let token = provider::field(request, "refresh_token");
            self.sent_refresh(id, &token);
        }
        match site {
            Site::Wait => self.waits_for_refresh(id),
            Site::Provider(_) | Site::Api => self.visits[id].asked_elsewhere = Some(self.now),
            Site::Read | Site::Swap => {}
        }
        let limit = match &effect {
            Effect::Read(_) | Effect::Swap { .. } => self.coordinator_timeout,
            Effect::Wait { time, .. } => time.0.max(1),
            Effect::Send { timeout, .. } => timeout.0,
            _ => API_TIMEOUT,
        };
        let (out, back) = match fault {
            Some(Fault::Slow(out, back)) => (out, back),
            _ => (self.moment(), self.moment()),
        };
        let about = about(&effect);
        // Giving up does not undo a request in flight.
        let is_lost = matches!(fault, Some(Fault::LostBefore | Fault::LostAfter));
        let (mut gives_up, failure) = match (&effect, site) {
            (_, Site::Wait) => (limit, Reply::Waited),
            (Effect::Send { .. }, _) => (limit, Reply::Sent(Outcome::Failed)),
            _ => (limit, Reply::Failed),
        };
        if is_lost && site != Site::Wait && self.weather.uneven {
            gives_up = self.up_to(limit);
        }
        let failed = match about {
            About::Coordinator(_) if site != Site::Wait => About::CoordinatorFailed,
            About::Coordinator(_) => About::Nothing,
            other => other,
        };
        if matches!(effect, Effect::Send { .. }) {
            self.visits[id].sending = Some(Sending {
                began: serial,
                serial,
                arrived: None,
                is_over: false,
            });
            self.reply(id, serial, BEAT.0, Reply::Pending, About::Nothing);
        }
        self.reply(id, serial, gives_up, failure, failed);
        if !matches!(fault, Some(Fault::LostBefore)) {
            let sent = self.now;
            self.after(
                out,
                Todo::Act {
                    visit: id,
                    serial,
                    effect: Box::new(effect),
                    fault,
                    back,
                    sent,
                },
            );
        }
    }

    fn fault_of(&mut self, site: Site) -> Option<Fault> {
        if let Some(fault) = self.faults.get_mut(&site).and_then(VecDeque::pop_front) {
            return fault;
        }
        let is_coordinator = matches!(site, Site::Read | Site::Swap | Site::Wait);
        if is_coordinator && self.weather.coordinator_down {
            return Some(match self.dice.roll(8) {
                0 if self.weather.uneven => Fault::LostAfter,
                _ => Fault::LostBefore,
            });
        }
        if matches!(site, Site::Provider(_)) && self.weather.provider_down {
            return Some(self.dice.pick(&[Fault::LostBefore, Fault::Status(502)]));
        }
        let faults = self.weather.faults;
        if !self.percent(faults) {
            return None;
        }
        Some(match site {
            Site::Read | Site::Swap | Site::Wait => match self.dice.roll(3) {
                0 => Fault::LostBefore,
                1 => Fault::LostAfter,
                _ => Fault::Slow(self.up_to(1500), self.up_to(1500)),
            },
            Site::Provider(endpoint) => match self.dice.roll(7) {
                0 => Fault::LostBefore,
                1 => Fault::LostAfter,
                2 => Fault::Status(503),
                3 => Fault::Busy(1 + self.up_to(8)),
                4 if endpoint == Endpoint::Refresh => {
                    self.dice.pick(&[Fault::Wanted, Fault::Unexplained])
                }
                _ => Fault::Slow(self.up_to(6000), self.up_to(6000)),
            },
            Site::Api => match self.dice.roll(3) {
                0 => Fault::LostBefore,
                _ => Fault::Slow(self.up_to(20_000), self.up_to(20_000)),
            },
        })
    }

    fn act(
        &mut self,
        id: VisitId,
        serial: u32,
        effect: &Effect,
        fault: Option<Fault>,
        back: u64,
        sent: u64,
    ) {
        let is_lost = matches!(fault, Some(Fault::LostAfter));
        let (reply, about) = match effect {
            Effect::Read(keys) => {
                let entries = keys.iter().map(|key| self.coordinator.read(self.now, key));
                let reply = Reply::Entries(entries.collect());
                (reply, About::Coordinator(self.now))
            }
            Effect::Swap {
                key,
                version,
                value,
                lifetime,
            } => {
                let written =
                    self.coordinator
                        .swap(self.now, key, version.as_deref(), value, *lifetime);
                if written.is_some() {
                    self.wrote(id, key, value);
                    self.wake(key);
                }
                (Reply::Swapped(written), About::Coordinator(self.now))
            }
            Effect::Wait { key, version, .. } => {
                if self.coordinator.version(self.now, key) == *version {
                    self.waiting.push((key.clone(), id, serial));
                    return;
                }
                (Reply::Waited, About::Nothing)
            }
            Effect::Send { request, .. } => {
                let about = about(effect);
                let outcome = self.answer_of_provider(id, request, fault, sent);
                (Reply::Sent(outcome), about)
            }
            Effect::Forward(forward) => {
                let token = forward.authorization.expose();
                let token = token.strip_prefix("Bearer ").unwrap();
                let is_good = self.provider.is_good(self.now, token);
                self.visits[id].api_failed |= !is_good;
                let head = Head {
                    status: if is_good { 200 } else { 401 },
                    ..Head::default()
                };
                (Reply::Head(head), About::Nothing)
            }
            _ => panic!("no server acts on {effect:?}"),
        };
        if !is_lost {
            self.reply(id, serial, back, reply, about);
        }
    }

    fn answer_of_provider(
        &mut self,
        id: VisitId,
        request: &HttpRequest,
        fault: Option<Fault>,
        sent: u64,
    ) -> Outcome {
        match fault {
            Some(Fault::Status(status)) => {
                return Outcome::from(json(status, ""));
            }
            Some(Fault::Busy(seconds)) => {
                let mut reply = json(429, "");
                reply.retry_after = Some(Millis::from_secs(seconds));
                return Outcome::from(reply);
            }
            Some(Fault::Wanted) => {
                self.wanted(&provider::field(request, "refresh_token"));
                return Outcome::from(provider::refusal("interaction_required"));
            }
            Some(Fault::Unexplained) => {
                self.unexplained(id, &provider::field(request, "refresh_token"));
                return Outcome::from(json(400, ""));
            }
            Some(Fault::Refusal(code)) => {
                return Outcome::from(provider::refusal(code));
            }
            _ => {}
        }
        let (reply, rotation) = self.provider.act(self.now, request);
        if let Some(rotation) = rotation {
            let token = provider::field(request, "refresh_token");
            self.tell(|| format!("provider: {token} {rotation:?}"));
            self.rotated(id, &token, rotation, sent);
        }
        Outcome::from(reply)
    }

    fn wake(&mut self, key: &str) {
        let waiting = std::mem::take(&mut self.waiting);
        for (waits_for, visit, serial) in waiting {
            if waits_for != key {
                self.waiting.push((waits_for, visit, serial));
            } else if !self.weather.uneven || !self.percent(10) {
                let delay = self.moment();
                self.reply(visit, serial, delay, Reply::Waited, About::Nothing);
            }
        }
    }

    /// The content of a sealed string.
    pub fn unsealed(&self, text: &str) -> Option<String> {
        let sealed = base64url::decode(text.split('.').nth(2)?)?;
        self.watch.sealed_text(&sealed)
    }
}

fn about(effect: &Effect) -> About {
    match effect {
        Effect::Read(_) | Effect::Swap { .. } | Effect::Wait { .. } => About::Coordinator(0),
        Effect::Send { request, .. } if Provider::endpoint_of(request) == Endpoint::Refresh => {
            About::Refresh(provider::field(request, "refresh_token"))
        }
        _ => About::Nothing,
    }
}
