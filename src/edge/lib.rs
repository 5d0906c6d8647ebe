//! The token handler, which keeps tokens on a server by the rules that the vault follows, too. The browser holds a cookie
//! and never a token (the BFF of RFC 10017 6.1).
//!
//! No I/O may enter this crate, and nothing of the vault.
//!
//! An isolate is one running copy of the handler. There may be thousands of isolates, and each may be stopped at any
//! time. A session is sealed in the browser's cookie or in a store. Isolates agree on two things: which isolate
//! refreshes a session, and which sessions have ended. For this agreement, they use a coordinator: a store of small
//! strings with an atomic write ([`session::record`]).
//!
//! # The parts
//!
//! A part may use the parts that follow it in this list, but must not use those above it or this file:
//!
//! - `router`: finds the endpoint or the upstream of a request.
//! - `endpoints`: login, callback, logout, and what scripts ask the handler.
//! - `manage`: the commands of the app's server, such as to end the sessions of a user.
//! - `check`: responses to a reverse proxy that carries a site's traffic itself.
//! - `proxy`: forwards requests to upstreams, with the access token.
//! - `navigation`: who began a navigation, and the pages that wait for the user's click.
//! - `request`: the session of a request, and its new cookie.
//! - `refresh`: the refresh of a session, its limits, and its end.
//! - `provider`: all requests to the provider.
//! - `store`: the records on which isolates agree, and sealed values.
//! - `task`: one request, from its first effect to its response.
//! - `response`: the handler's own responses. `csrf`: the check that the app's own page sent a request. `marker`: the
//!   header with which scripts mark their requests.
//! - `isolate`: the memory of one isolate.
//! - `session`: a session's tokens, its record and its cookies.
//! - `config`: the configuration, and the keys that seal.
//! - `lines`: the text of a sealed or stored value. `refusal`: refused requests. `request_id`: the ID of a request.
//!   `event`: events for the operator. `io`: requests, effects and replies.
//!
//! # How a host drives it
//!
//! [`Handler::begin`] takes a request, and [`Handler::resume`] takes the reply to the last effect. Both return a
//! [`Step`]: an effect for the host, or the response. The handler performs no I/O and reads no clock; every call passes
//! the time. Each request is a task, written from top to bottom as an `async` function, but without a runtime: a task
//! is polled once when it begins, and once for each reply. So a test can interleave the tasks of many isolates in any
//! order, and can stop an isolate at any step.
//!
//! ```
//! use rules::base::clock::{Instant, Millis};
//! use edge::{Response, Config, Handler, Request, Step};
//! # struct Zeros;
//! # impl rules::base::entropy::Entropy for Zeros {
//! #     fn fill(&mut self, bytes: &mut [u8]) { bytes.fill(0); }
//! # }
//! let config = Config::parse(r#"{
//!     "issuer": "https://id.example.com",
//!     "client": { "id": "web", "auth": { "method": "none" } },
//!     "cookie": { "keys": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"] },
//!     "routes": [{ "prefix": "/api/", "upstream": "https://api.example.com/v1/" }]
//! }"#)?;
//! let mut handler = Handler::new(config, Box::new(Zeros));
//! let now = Instant { monotonic: Millis::ZERO, wall: 1_790_000_000_000 };
//!
//! // A script sends a request without a session.
//! let request = Request {
//!     method: "GET".into(),
//!     url: "https://app.example.com/api/orders".into(),
//!     marker: Some("1".into()),
//!     ..Request::default()
//! };
//! let (_, Step::Done(Response::Own(response))) = handler.begin(now, request) else { panic!() };
//! assert_eq!(response.status, 401);
//! # Ok::<(), rules::Error>(())
//! ```

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod check;
mod config;
mod csrf;
mod endpoints;
mod event;
mod io;
mod isolate;
mod lines;
mod manage;
mod marker;
mod navigation;
mod provider;
mod proxy;
mod refresh;
mod refusal;
mod request;
mod request_id;
mod response;
mod router;
pub mod session;
mod store;
mod task;

use alloc::rc::Rc;
use rules::prelude::*;

use rules::base::clock::{Instant, Millis};
use rules::base::entropy::Entropy;
use rules::base::error::{Code, Error};

pub use config::keys::{Key, Keyring};
pub use config::{Audience, Client, ClientAuth, Config, Storage};
pub use event::{
    About, CallResult, Event, Fault, Happened, Level, Observation, RefreshResult, RenewalResult,
    Server,
};
use io::MOST_TASKS;
pub use io::{
    Allowed, BEAT, Broken, Check, Effect, Entry, FlightId, Forward, Head, Outer, OwnResponse,
    Reply, Request, Response, Step, TaskId,
};
pub use isolate::{Health, ServerHealth};
use isolate::{Isolate, Seldom};
pub use marker::HANDLER_HEADER;
pub use proxy::headers::policy;
use refusal::RETRY_AFTER;
use task::Task;

/// One isolate's token handler.
pub struct Handler {
    isolate: Rc<Isolate>,
    /// The tasks with their numbers. Slots are reused.
    tasks: Vec<Option<(TaskId, task::Running)>>,
    /// Free slots in `tasks`.
    free: Vec<usize>,
    /// The number of tasks that this handler has started. The count starts again at 0 before a [`TaskId`] could exceed
    /// 32 bits.
    count: usize,
}

/// If all slots are used and their number is a multiple of this number, stale tasks are removed before a slot is added.
const MANY_TASKS: usize = 256;

/// The error message for a task beyond the largest number.
const TOO_MANY: &str = msg!("too many requests are in flight in this process");

impl Handler {
    /// Creates a handler without sessions.
    #[must_use]
    pub fn new(config: Config, entropy: Box<dyn Entropy>) -> Self {
        Self {
            isolate: Rc::new(Isolate::new(config, entropy)),
            tasks: Vec::new(),
            free: Vec::new(),
            count: 0,
        }
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.isolate.config
    }

    /// Starts a task for a request. The task's number is invalid after [`Step::Done`].
    pub fn begin(&mut self, now: Instant, request: Request) -> (TaskId, Step) {
        let now = self.isolate.clock.read(now);
        // The host's timer may be lost.
        self.isolate.emit_due_refusals(&now);
        let age = request
            .outer
            .as_ref()
            .map_or(Millis::ZERO, |outer| outer.age);
        let arrived = now.back_to(now.wall.saturating_sub(age.0));
        let task = Task::new(&self.isolate, arrived, now);
        let response = Box::pin(router::handle(task.clone(), Box::new(request)));
        match self.add(task::Running::new(task, response)) {
            TaskId::NONE => (TaskId::NONE, Step::Done(Response::Own(self.too_many(&now)))),
            id => (id, self.step(id)),
        }
    }

    /// Starts a task that does what the app's server asks: a command in JSON. Its response is [`Response::Managed`].
    pub fn manage(&mut self, now: Instant, command: &str) -> (TaskId, Step) {
        let now = self.isolate.clock.read(now);
        let task = Task::new(&self.isolate, now, now);
        let response = Box::pin(manage::handle(task.clone(), command.to_owned()));
        match self.add(task::Running::new(task, response)) {
            TaskId::NONE => {
                self.too_many(&now);
                let error = Error::new(Code::LimitExceeded, TOO_MANY);
                (TaskId::NONE, Step::Done(Response::Managed(Err(error))))
            }
            id => (id, self.step(id)),
        }
    }

    /// Reports a response of an upstream that the host could not pass on after [`Response::Upstream`].
    pub fn response_broke(&self, now: Instant, broken: &Broken<'_>) {
        let now = self.isolate.clock.read(now);
        let task = Task::new(&self.isolate, now, now);
        task.set_request_id(broken.request_id.into());
        task.response_broke(broken);
    }

    /// Reports that too many requests are in flight, and returns the response to one more request.
    fn too_many(&self, now: &Instant) -> OwnResponse {
        let task = Task::new(&self.isolate, *now, *now);
        let line = [
            TOO_MANY,
            msg!(" (16,384); an API or the provider is probably slow"),
        ];
        task.fault_seldom(Seldom::ManyRequests, &line.concat());
        let response = response::later(&Error::new(Code::LimitExceeded, TOO_MANY), RETRY_AFTER);
        task.note_refusal(&response);
        response
    }

    /// Adds a task, and returns its number. If there are too many tasks, drops the task and returns [`TaskId::NONE`].
    fn add(&mut self, running: task::Running) -> TaskId {
        let Some(place) = self.free_place(&running.now()) else {
            return TaskId::NONE;
        };
        self.count = (self.count + 1) % (u32::MAX as usize / MOST_TASKS);
        let id = TaskId::new(self.count, place);
        self.tasks[place] = Some((id, running));
        id
    }

    /// Returns a slot for a task, or `None` if there are too many tasks.
    fn free_place(&mut self, now: &Instant) -> Option<usize> {
        // Remove stale tasks before growing by another `MANY_TASKS`.
        if self.free.is_empty()
            && !self.tasks.is_empty()
            && self.tasks.len().is_multiple_of(MANY_TASKS)
        {
            let is_stale = |(_, running): &(TaskId, task::Running)| running.is_stale(now);
            for (place, task) in self.tasks.iter_mut().enumerate() {
                if task.take_if(|task| is_stale(task)).is_some() {
                    self.free.push(place);
                }
            }
        }
        self.free.pop().or_else(|| {
            (self.tasks.len() < MOST_TASKS).then(|| {
                self.tasks.push(None);
                self.tasks.len() - 1
            })
        })
    }

    fn forget(&mut self, id: TaskId) {
        let place = id.slot();
        if self.running(id).is_some() {
            self.tasks[place] = None;
            self.free.push(place);
        }
    }

    /// Returns the task with this number, unless the number is no longer valid.
    fn running(&mut self, id: TaskId) -> Option<&mut task::Running> {
        match self.tasks.get_mut(id.slot()) {
            Some(Some((known, running))) if *known == id => Some(running),
            _ => None,
        }
    }

    /// Continues a task with the reply to its last effect. Returns an error response without details if the number is
    /// unknown.
    pub fn resume(&mut self, now: Instant, id: TaskId, reply: Reply) -> Step {
        let now = self.isolate.clock.read(now);
        match self.running(id) {
            Some(running) => running.reply(now, reply),
            None => return Step::Done(Response::Own(response::failure())),
        }
        self.step(id)
    }

    /// Handles the disconnect of a task's client. Usually removes the task and returns `true`. Returns `false` if the
    /// task must finish, such as a logout. In that case, the host carries out the task's effects and
    /// [resumes](Handler::resume) the task until [`Step::Done`], and drops the response. Meanwhile, the platform's
    /// `waitUntil` keeps the isolate alive.
    pub fn abandon(&mut self, id: TaskId) -> bool {
        let goes_on = self.running(id).is_some_and(task::Running::abandon);
        if !goes_on {
            self.forget(id);
        }
        !goes_on
    }

    /// Lets the handler emit [`Event::Observed`].
    pub fn observe(&mut self) {
        self.isolate.is_observed.set(true);
    }

    /// Emits the events that are due although no request caused them: counts of requests that were refused a moment ago. A
    /// host calls this function about a second after such an event.
    pub fn tick(&mut self, now: Instant) {
        let now = self.isolate.clock.read(now);
        self.isolate.emit_due_refusals(&now);
    }

    /// Takes a late period of the host's process, in which it stood still or was too busy to read requests. The period ends
    /// `now`. A host that has a timer calls this function as soon as it notices, and before it passes a request on that it has
    /// read after such a period.
    pub fn note_lateness(&self, now: Instant, lateness: Millis) {
        let now = self.isolate.clock.read(now);
        self.isolate.lateness.note(lateness, now);
    }

    /// Returns what this isolate knows about its servers.
    #[must_use]
    pub fn health(&self) -> Health {
        let requests = self.tasks.len() - self.free.len();
        self.isolate.health(requests)
    }

    /// Returns true if sessions would lose their end or their new tokens without this handler, because the coordinator does
    /// not respond.
    #[must_use]
    pub fn holds_unwritten(&self, now: Instant) -> bool {
        let now = self.isolate.clock.read(now);
        let absolute = self.isolate.config.flow.limits.absolute;
        let cache = self.isolate.session_cache.borrow();
        cache.holds_unwritten(absolute, &now)
    }

    /// Returns the next event for the operator or the host, or `None`. The host calls this function after every step
    /// until the function returns `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.isolate.next_event()
    }

    fn step(&mut self, id: TaskId) -> Step {
        let Some(running) = self.running(id) else {
            return Step::Done(Response::Own(response::failure()));
        };
        let mut step = running.step();
        let other = running.take_started();
        if running.is_unneeded() {
            step = Step::Done(Response::Own(response::failure()));
        }
        match &mut step {
            Step::Do(Effect::Sleep { started, .. }) => {
                *started = other.map(|other| self.add(other));
            }
            Step::Do(_) => {}
            Step::Done(_) => self.forget(id),
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::base::clock::Millis;

    struct Zeros;

    impl Entropy for Zeros {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn handler() -> Handler {
        let config = Config::parse(
            r#"{
                "issuer": "https://id.example.com",
                "client": { "id": "web", "auth": { "method": "none" } },
                "cookie": { "keys": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"] }
            }"#,
        );
        Handler::new(config.unwrap(), Box::new(Zeros))
    }

    fn at(seconds: u64) -> Instant {
        Instant {
            monotonic: Millis::from_secs(seconds),
            wall: 1_790_000_000_000 + seconds * 1000,
        }
    }

    /// Begins a login. Its first effect fetches the provider's metadata, or waits for the fetch of another login.
    fn begin(handler: &mut Handler, seconds: u64) -> TaskId {
        let request = Request {
            method: "GET".into(),
            url: "https://app.example.com/auth/login".into(),
            mode: Some("navigate".into()),
            ..Request::default()
        };
        let (id, step) = handler.begin(at(seconds), request);
        assert!(matches!(
            step,
            Step::Do(Effect::Send { .. } | Effect::Sleep { .. })
        ));
        id
    }

    /// Fails each effect of a task. Returns the last step.
    fn fail_all(handler: &mut Handler, seconds: u64, id: TaskId) -> Step {
        loop {
            let step = handler.resume(at(seconds), id, Reply::Failed(String::new()));
            if matches!(step, Step::Done(_)) {
                return step;
            }
        }
    }

    #[test]
    fn stale_tasks_free_their_slots() {
        let mut handler = handler();
        let lost: Vec<TaskId> = (0..MANY_TASKS).map(|_| begin(&mut handler, 0)).collect();
        for _ in 0..MANY_TASKS {
            begin(&mut handler, 599);
        }
        assert_eq!(handler.tasks.len(), 2 * MANY_TASKS, "they may come back");
        let later = begin(&mut handler, 600);
        assert_eq!(handler.tasks.len(), 2 * MANY_TASKS);
        let place = later.slot();
        assert!(!lost.contains(&later));
        let gone = lost.iter().find(|id| id.slot() == place).unwrap();
        let step = handler.resume(at(601), *gone, Reply::Failed(String::new()));
        assert!(matches!(
            step,
            Step::Done(Response::Own(OwnResponse { status: 500, .. }))
        ));
        let step = fail_all(&mut handler, 601, later);
        assert!(matches!(
            step,
            Step::Done(Response::Own(OwnResponse { status: 503, .. }))
        ));
    }

    #[test]
    fn silent_task_is_kept_while_slots_are_free() {
        let mut handler = handler();
        let silent = begin(&mut handler, 0);
        begin(&mut handler, 600);
        assert_eq!(handler.tasks.len(), 2);
        let step = fail_all(&mut handler, 601, silent);
        assert!(matches!(
            step,
            Step::Done(Response::Own(OwnResponse { status: 503, .. }))
        ));
    }

    #[test]
    fn finished_task_frees_its_slot() {
        let mut handler = handler();
        for second in 0..3 {
            let id = begin(&mut handler, second);
            fail_all(&mut handler, second, id);
        }
        assert_eq!((handler.tasks.len(), handler.free.len()), (1, 1));
    }

    #[test]
    fn numbers_of_tasks_fit_32_bits() {
        let mut handler = handler();
        let most = u32::MAX as usize / MOST_TASKS;
        handler.count = most - 2;
        assert_eq!(begin(&mut handler, 0).0 / MOST_TASKS, most - 1);
        assert_eq!(begin(&mut handler, 0).0 / MOST_TASKS, 0);
    }

    #[test]
    fn too_many_tasks_get_503() {
        let mut handler = handler();
        for _ in 0..MOST_TASKS {
            begin(&mut handler, 0);
        }
        for second in [60, 61] {
            let (_, step) = handler.begin(at(second), Request::default());
            let Step::Done(Response::Own(response)) = step else {
                panic!("not refused");
            };
            assert_eq!(response.status, 503);
            let retry = ("retry-after", "2".to_owned());
            assert!(response.headers.contains(&retry), "{response:?}");
        }
        let Some(Event::Fault(fault)) = handler.poll_event() else {
            panic!("not reported");
        };
        assert_eq!(fault.error.code(), Code::LimitExceeded);
        assert_eq!(handler.poll_event(), None, "one line a minute");
    }
}
