//! The token handler: the same rules on a server, where the browser has a cookie and no token at all
//! (the BFF of RFC 10017 6.1).
//!
//! An isolate is one running copy of the handler, and there may be thousands: none of them remembers more than
//! it can afford to lose. A session is in the browser's cookie, sealed, or in a store, sealed as well. What
//! isolates have to agree on, which is only who refreshes and which sessions are over, they agree on through a
//! coordinator: a store of small texts with an atomic write ([`session::record`]).
//!
//! # How a host drives it
//!
//! [`Handler::begin`] takes a request and [`Handler::resume`] the answer to what was asked last; both give a
//! [`Step`]: something to be done for this request, or how to answer it. Nothing is done here: no clock is read
//! and no connection opened, and every call brings the time. Each request is a task of its own, written from top
//! to bottom as an `async` function, but there is no runtime: a task is polled when its host has an answer for
//! it, and at no other time. So a test can interleave the tasks of many isolates in any order, and let an isolate
//! die at any step.
//!
//! ```
//! use strongroom::base::clock::{Instant, Millis};
//! use strongroom::edge::{Answer, Config, Handler, Request, Step};
//! # struct Zeros;
//! # impl strongroom::vault::Entropy for Zeros {
//! #     fn fill(&mut self, octets: &mut [u8]) { octets.fill(0); }
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
//! // A request by script, which has no session.
//! let request = Request {
//!     method: "GET".into(),
//!     url: "https://app.example.com/api/orders".into(),
//!     marker: Some("1".into()),
//!     ..Request::default()
//! };
//! let (_, Step::Done(Answer::Respond(response))) = handler.begin(now, request) else { panic!() };
//! assert_eq!(response.status, 401);
//! # Ok::<(), strongroom::Error>(())
//! ```

mod config;
mod coordinator;
mod csrf;
mod endpoints;
mod io;
mod provider;
mod proxy;
mod refresh;
mod request;
mod response;
pub mod session;
mod task;

use crate::prelude::*;
use alloc::rc::Rc;
use core::cell::{Cell, OnceCell, RefCell};

use crate::base::clock::{Instant, Millis};
use crate::vault::Entropy;

pub use config::{Client, ClientAuth, Config, Storage};
pub use io::{
    Answer, BEAT, Effect, Entry, Event, FlightId, Forward, Head, Reply, Request, Respond, Step,
};
use provider::Provider;
pub use proxy::headers::policy;
use session::cache::Known;
pub use session::keys::{Key, Keyring};
use task::Task;
pub use task::TaskId;

/// One isolate's token handler.
pub struct Handler {
    isolate: Rc<Isolate>,
    /// By their places, which are used again; each with its number.
    tasks: Vec<Option<(TaskId, task::Running)>>,
    /// Places that nobody has.
    free: Vec<usize>,
    /// How many tasks there have been.
    count: usize,
}

/// Most tasks at a time: a task's number is how many there were before it, times this, plus its place.
const MOST_TASKS: usize = 1 << 14;

/// At each multiple of this those are looked for that nobody comes back to.
const MANY_TASKS: usize = 256;

/// A platform may let go of a request without a word. Its task is forgotten when nothing has happened to it for so
/// long, if places are wanted.
const STALE: Millis = Millis::from_secs(600);

/// What the tasks of an isolate have in common.
struct Isolate {
    config: Config,
    entropy: RefCell<Box<dyn Entropy>>,
    provider: RefCell<Provider>,
    nonces: proxy::dpop::KnownNonces,
    known: RefCell<Known>,
    events: RefCell<Vec<Event>>,
    next_flight: Cell<FlightId>,
    /// What tells it from other isolates, once that matters.
    name: OnceCell<String>,
}

impl Handler {
    /// A handler that knows nothing yet.
    #[must_use]
    pub fn new(mut config: Config, entropy: Box<dyn Entropy>) -> Self {
        let metadata = config.metadata.take();
        let provider = Provider::new(&config.flow.issuer, metadata);
        Self {
            isolate: Rc::new(Isolate {
                config,
                entropy: RefCell::new(entropy),
                provider: RefCell::new(provider),
                nonces: proxy::dpop::KnownNonces::default(),
                known: RefCell::default(),
                events: RefCell::default(),
                next_flight: Cell::default(),
                name: OnceCell::new(),
            }),
            tasks: Vec::new(),
            free: Vec::new(),
            count: 0,
        }
    }

    /// The configuration it works by.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.isolate.config
    }

    /// Begins to answer a request. The task's number means nothing after [`Step::Done`].
    pub fn begin(&mut self, now: Instant, request: Request) -> (TaskId, Step) {
        let Some(place) = self.free_place(&now) else {
            return (0, Step::Done(Answer::Respond(response::empty(503))));
        };
        self.count = (self.count + 1) % (u32::MAX as usize / MOST_TASKS);
        let id = self.count * MOST_TASKS + place;
        let task = Task::new(&self.isolate, now);
        let answer = Box::pin(task.clone().answer(Box::new(request)));
        self.tasks[place] = Some((id, task::Running::new(task, answer)));
        (id, self.step(id))
    }

    /// A place for a task; none if there are too many.
    fn free_place(&mut self, now: &Instant) -> Option<usize> {
        // Each time that there are so many more, whoever has gone makes room first.
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
        let place = id % MOST_TASKS;
        if self.running(id).is_some() {
            self.tasks[place] = None;
            self.free.push(place);
        }
    }

    /// The task of this number, unless that means nothing any more.
    fn running(&mut self, id: TaskId) -> Option<&mut task::Running> {
        match self.tasks.get_mut(id % MOST_TASKS) {
            Some(Some((known, running))) if *known == id => Some(running),
            _ => None,
        }
    }

    /// Goes on with a task: `reply` is what came of the effect that it asked for last. A number that means
    /// nothing gets a plain failure.
    pub fn resume(&mut self, now: Instant, id: TaskId, reply: Reply) -> Step {
        match self.running(id) {
            Some(running) => running.reply(now, reply),
            None => return Step::Done(Answer::Respond(response::failure())),
        }
        self.step(id)
    }

    /// The request of a task has gone away. `true` if the task is forgotten, as it mostly is. `false` if it is about
    /// something that must not be left half done, such as a refresh, whose new tokens nobody else has: then the host
    /// carries out its effects and [resumes](Handler::resume) it as before, until [`Step::Done`], whose answer is for
    /// nobody (`waitUntil` keeps an isolate alive for that).
    pub fn abandon(&mut self, id: TaskId) -> bool {
        let goes_on = self.running(id).is_some_and(task::Running::abandon);
        if !goes_on {
            self.forget(id);
        }
        !goes_on
    }

    /// What there is to tell the operator, and tasks that wait for another's refresh; until there is nothing
    /// more. To be asked after every step.
    pub fn poll_event(&mut self) -> Option<Event> {
        let mut events = self.isolate.events.borrow_mut();
        (!events.is_empty()).then(|| events.remove(0))
    }

    fn step(&mut self, id: TaskId) -> Step {
        let Some(running) = self.running(id) else {
            return Step::Done(Answer::Respond(response::failure()));
        };
        let step = running.step();
        let is_over = running.is_over();
        if is_over || matches!(step, Step::Done(_)) {
            self.forget(id);
        }
        if is_over {
            return Step::Done(Answer::Respond(response::failure()));
        }
        step
    }
}

impl Isolate {
    /// Its name, which is chosen when it is first needed: some platforms have no entropy before the first request.
    fn name(&self) -> &str {
        self.name
            .get_or_init(|| crate::codec::base64url::encode(&self.random::<9>()))
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut octets = [0; N];
        self.entropy.borrow_mut().fill(&mut octets);
        octets
    }

    fn tell(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros;

    impl Entropy for Zeros {
        fn fill(&mut self, octets: &mut [u8]) {
            octets.fill(0);
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

    /// A login, which asks for the provider's metadata.
    fn begin(handler: &mut Handler, seconds: u64) -> TaskId {
        let request = Request {
            method: "GET".into(),
            url: "https://app.example.com/auth/login".into(),
            mode: Some("navigate".into()),
            ..Request::default()
        };
        let (id, step) = handler.begin(at(seconds), request);
        assert!(matches!(step, Step::Do(Effect::Send { .. })));
        id
    }

    #[test]
    fn what_a_platform_has_let_go_of_makes_room_and_comes_back_as_nobody_else() {
        let mut handler = handler();
        let lost: Vec<TaskId> = (0..MANY_TASKS).map(|_| begin(&mut handler, 0)).collect();
        for _ in 0..MANY_TASKS {
            begin(&mut handler, 599);
        }
        assert_eq!(handler.tasks.len(), 2 * MANY_TASKS, "they may come back");
        let later = begin(&mut handler, 600);
        assert_eq!(handler.tasks.len(), 2 * MANY_TASKS);
        let place = later % MOST_TASKS;
        assert!(!lost.contains(&later));
        let gone = lost.iter().find(|id| *id % MOST_TASKS == place).unwrap();
        let step = handler.resume(at(601), *gone, Reply::Failed);
        assert!(matches!(
            step,
            Step::Done(Answer::Respond(Respond { status: 500, .. }))
        ));
        let step = handler.resume(at(601), later, Reply::Failed);
        assert!(matches!(
            step,
            Step::Done(Answer::Respond(Respond { status: 503, .. }))
        ));
    }

    #[test]
    fn silent_task_is_kept_while_there_is_room() {
        let mut handler = handler();
        let silent = begin(&mut handler, 0);
        begin(&mut handler, 600);
        assert_eq!(handler.tasks.len(), 2);
        let step = handler.resume(at(601), silent, Reply::Failed);
        assert!(matches!(
            step,
            Step::Done(Answer::Respond(Respond { status: 503, .. }))
        ));
    }

    #[test]
    fn finished_task_leaves_its_place_to_the_next() {
        let mut handler = handler();
        for second in 0..3 {
            let id = begin(&mut handler, second);
            handler.resume(at(second), id, Reply::Failed);
        }
        assert_eq!((handler.tasks.len(), handler.free.len()), (1, 1));
    }

    #[test]
    fn numbers_of_tasks_fit_32_bits() {
        let mut handler = handler();
        let most = u32::MAX as usize / MOST_TASKS;
        handler.count = most - 2;
        assert_eq!(begin(&mut handler, 0) / MOST_TASKS, most - 1);
        assert_eq!(begin(&mut handler, 0) / MOST_TASKS, 0);
    }

    #[test]
    fn there_is_an_end_to_tasks_and_it_is_told() {
        let mut handler = handler();
        for _ in 0..MOST_TASKS {
            begin(&mut handler, 0);
        }
        let (_, step) = handler.begin(at(1), Request::default());
        assert!(matches!(
            step,
            Step::Done(Answer::Respond(Respond { status: 503, .. }))
        ));
    }
}
